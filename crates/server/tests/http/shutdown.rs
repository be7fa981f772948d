//! The end of the process, while requests are under way.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::client::call;
use crate::locked::wait_for;
use crate::service::Service;

const BODY: &str = r#"{"id":"in-flight","name":"In flight","tier":"free"}"#;

/// A request to make a consumer, of which only the head has been sent: the server waits for this body.
pub(crate) async fn half_sent(service: &Service, admin_key: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(service.at.public).await.unwrap();
    let head = format!(
        "POST /api/v1/consumers HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {admin_key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: the request has reached its handler.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_finished_polls_are_answered_and_nothing_new_begins() {
    let service = Service::start().await;
    let (public, node, operations) = (service.at.public, service.at.node, service.at.operations);
    let token = service.token().await;
    let revision = service.node(&token, "GET", "/internal/v1/changes").send().await.expect(200)["revision"].clone();
    let poll = tokio::spawn(service.node(&token, "GET", &format!("/internal/v1/changes?after={revision}&wait_ms=25000")).send());
    service.node(&token, "GET", "/internal/v1/changes").send().await.expect(200);
    let idle = TcpStream::connect(public).await.unwrap();
    let mut request = half_sent(&service, &service.admin, BODY).await;
    assert_eq!(call(operations, "GET", "/readyz").send().await.expect(200)["ready"], true);

    let started = Instant::now();
    service.control.end();
    let answered = poll.await.unwrap().expect(200);
    assert_eq!(answered["revision"], revision);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let readiness = call(operations, "GET", "/readyz").send().await;
    let reason = "the process is about to end";
    let unready = json!({"ready": false, "readable": true, "writable": true, "ledger": true, "ending": true, "reason": reason});
    assert_eq!(readiness.expect(503), unready);
    call(operations, "GET", "/healthz").send().await.expect(200);
    wait_for(async || TcpStream::connect(public).await.is_err() && TcpStream::connect(node).await.is_err()).await;

    request.write_all(BODY.as_bytes()).await.unwrap();
    let mut answer = String::new();
    request.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n") && answer.contains("connection: close"), "{answer}");
    let data = service.end().await;
    assert!(TcpStream::connect(operations).await.is_err());
    drop(idle);

    let service = Service::start_on(data, &[]).await;
    service.get("/api/v1/consumers/in-flight").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_is_cut_off_at_the_bound() {
    let service = Service::start_with(&[("shutdown_seconds", "1")]).await;
    let mut request = half_sent(&service, &service.admin, BODY).await;
    let started = Instant::now();
    let data = service.end().await;
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_secs(1) && elapsed < Duration::from_secs(6), "{elapsed:?}");
    let mut answer = Vec::new();
    let _ = request.read_to_end(&mut answer).await;
    assert!(answer.is_empty(), "{answer:?}");
    let service = Service::start_on(data, &[]).await;
    service.get("/api/v1/consumers/in-flight").await.problem(404);
}
