//! Credentials that are revoked while something they asked for is under way.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate_core::wire::LONGEST_WAIT;

use crate::client::call;
use crate::service::Service;
use crate::shutdown::half_sent;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_body_comes_after_the_revocation_does_nothing() {
    let service = Service::start().await;
    let other = service.admin_key("admin", "").await;
    let body = json!({"id": "late", "name": "Late", "tier": "free"}).to_string();
    let mut request = half_sent(&service, other["admin_key"].as_str().unwrap(), &body).await;
    service.call("DELETE", &format!("/api/v1/admin-keys/{}", other["id"].as_str().unwrap())).send().await.expect(204);
    request.write_all(body.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    request.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
    service.get("/api/v1/consumers/late").await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_was_held_tells_nothing_to_a_revoked_node() {
    let service = Service::start().await;
    let made = service.post("/api/v1/node-credentials", &json!({})).await.expect(201);
    let hello = json!({"wire": "tollgate-node/1", "incarnation_secret": "a".repeat(32), "node": "", "module": ""});
    let hello = call(service.at.node, "POST", "/internal/v1/incarnations").bearer(made["node_credential"].as_str().unwrap()).json(&hello);
    let token = hello.send().await.expect(200)["token"].as_str().unwrap().to_owned();
    let at = service.node(&token, "GET", "/internal/v1/changes").send().await.expect(200);
    let query = format!("/internal/v1/changes?after={}&mark={}&wait_ms={LONGEST_WAIT}", at["revision"], at["mark"]);
    let poll = tokio::spawn(service.node(&token, "GET", &query).send());
    // A read that goes the same way and comes back is behind the poll.
    service.node(&token, "GET", "/internal/v1/changes").send().await.expect(200);
    service.call("DELETE", &format!("/api/v1/node-credentials/{}", made["id"].as_str().unwrap())).send().await.expect(204);
    let key = service.key(&service.consumer().await).await;
    service.call("DELETE", &format!("/api/v1/keys/{}", key["id"].as_str().unwrap())).send().await.expect(204);
    poll.await.unwrap().problem(401);
}
