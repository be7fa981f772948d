//! Clients who would hold everything: bodies that do not come, and more connections than anybody needs.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Reply, call};
use crate::locked::wait_for;
use crate::process::Process;
use crate::service::{Service, data};

/// What one address gets of the 512 bodies that may be coming on the public API.
const SHARE: usize = 64;
/// What one address gets of its 2,048 connections.
const CONNECTIONS: usize = 512;

/// A body of which one byte was sent, and which the server waits for.
async fn slow_body(service: &Service, client: &str) -> TcpStream {
    let mut stream = TcpStream::connect(service.at.public).await.unwrap();
    let head = format!(
        "POST /api/auth/keys HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {client}\r\ncontent-type: application/json\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{").await.unwrap();
    stream
}

/// An administrator's request with a body that says nothing: 400 if it is read.
async fn post(service: &Service, client: &str) -> Reply {
    service.call("POST", "/api/v1/consumers").header("x-forwarded-for", client).json(&json!({})).send().await
}

async fn revoke(service: &Service, consumer: &str, client: &str) -> u16 {
    let path = format!("/api/v1/keys/{}", service.key(consumer).await["id"].as_str().unwrap());
    service.call("DELETE", &path).header("x-forwarded-for", client).send().await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_come_hold_up_only_bodies_of_their_own_address() {
    let service = Service::start_with(&[("self_service", "true"), ("trusted_proxies", "127.0.0.1")]).await;
    let consumer = service.consumer().await;
    let mut slow = Vec::new();
    for _ in 0..SHARE {
        slow.push(slow_body(&service, "192.0.2.1").await);
    }
    let refused = post(&service, "192.0.2.1").await;
    assert_eq!(refused.problem(429)["code"], "rate_limited");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(revoke(&service, &consumer, "192.0.2.1").await, 204, "what has no body waits for none");
    post(&service, "192.0.2.2").await.problem(400);

    drop(slow);
    wait_for(async || post(&service, "192.0.2.1").await.status == 400).await;
}

/// Whether a connection is served beside as many silent ones as are one address's share.
async fn may_have_more_than_its_share(address: SocketAddr) -> bool {
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let beyond = TcpStream::connect(address).await.unwrap();
    call(address, "GET", "/api/openapi.json").send_over(beyond).await.is_ok_and(|reply| reply.status == 200)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_proxy_has_more_than_a_quarter_of_the_connections() {
    for (trusted, expected) in [("127.0.0.1", true), ("10.0.0.0/8", false)] {
        let data = data().await;
        let mut process = Process::serve(data.path(), &[&format!("--trusted-proxies={trusted}")], &[]);
        let address = process.address("public");
        assert_eq!(may_have_more_than_its_share(address).await, expected, "{trusted}");
    }
}
