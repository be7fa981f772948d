//! Requests that come twice under one `Idempotency-Key`.

use serde_json::json;

use crate::client::{Call, Reply};
use crate::operation::{Callers, operations};
use crate::service::Service;

fn keyed(call: Call, key: &str) -> Call {
    call.header("idempotency-key", key)
}

fn same(first: &Reply, second: &Reply) -> bool {
    let told = |reply: &Reply| (reply.status, reply.body.clone(), reply.header("location").to_owned(), reply.header("etag").to_owned());
    told(first) == told(second)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_makes_something_makes_it_once_and_answers_the_same() {
    let service = Service::start().await;
    let consumer = service.consumer().await;
    let callers = Callers::new(&service, &consumer).await;
    let mut tried = 0;
    for operation in operations().iter().filter(|operation| operation.once) {
        let sample = operation.sample(&service, &consumer).await;
        let body = sample.body.unwrap();
        let call = |key: &str| keyed(callers.call(&service, operation, &sample.path), key);
        let first = call(&operation.id).json(&body).send().await;
        first.expect(sample.status);
        let second = call(&operation.id).json(&body).send().await;
        assert!(same(&first, &second), "{}: {} and {}", operation.id, first.text(), second.text());
        assert_eq!(second.header("location").is_empty(), sample.status != 201, "{}", operation.id);

        // A body with other white space is another body: what was sent is compared, not what was meant.
        let reply = call(&operation.id).header("content-type", "application/json").body(format!("{body} ")).send().await;
        assert_eq!(reply.wrong_field(409).0, "Idempotency-Key", "{}", operation.id);
        tried += 1;
    }
    assert!(tried >= 9, "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_at_the_same_moment_make_one_thing() {
    let service = Service::start().await;
    let consumer = service.consumer().await;
    let body = json!({"consumer": consumer, "label": "twin"});
    let twins: Vec<_> = (0..8).map(|_| tokio::spawn(keyed(service.call("POST", "/api/v1/keys"), "twins").json(&body).send())).collect();
    let mut replies = Vec::new();
    for twin in twins {
        replies.push(twin.await.unwrap());
    }
    replies[0].expect(201);
    assert!(replies.iter().all(|reply| same(reply, &replies[0])));
    let listed = service.get(&format!("/api/v1/keys?consumer={consumer}")).await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_failed_may_come_again_and_succeed() {
    let service = Service::start().await;
    let call = || keyed(service.call("POST", "/api/v1/keys"), "again").json(&json!({"consumer": "later"}));
    assert_eq!(call().send().await.status, 400);
    service.post("/api/v1/consumers", &json!({"id": "later", "name": "Later", "tier": "free"})).await.expect(201);
    call().send().await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_its_callers_own() {
    let service = Service::start().await;
    let body = json!({"name": "Consumer", "tier": "free"});
    let other = service.admin_key("operator", "").await["admin_key"].as_str().unwrap().to_owned();
    let first = keyed(service.call("POST", "/api/v1/consumers"), "mine").json(&body).send().await.expect(201);
    let second = keyed(service.anonymous("POST", "/api/v1/consumers").bearer(&other), "mine").json(&body).send().await.expect(201);
    assert_ne!(first["id"], second["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_one_is_refused() {
    let service = Service::start().await;
    let long = "x".repeat(129);
    for wrong in ["", "a b", &long, "schlüssel"] {
        let reply = keyed(service.call("POST", "/api/v1/consumers"), wrong).json(&json!({"name": "Consumer", "tier": "free"})).send().await;
        assert_eq!(reply.wrong_field(400).0, "Idempotency-Key", "{wrong}");
    }
    let reply =
        keyed(keyed(service.call("POST", "/api/v1/consumers"), "a"), "b").json(&json!({"name": "Consumer", "tier": "free"})).send().await;
    assert_eq!(reply.wrong_field(400), ("Idempotency-Key".to_owned(), "given twice".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_remembered_over_a_restart() {
    let service = Service::start().await;
    let consumer = service.consumer().await;
    let body = json!({"consumer": consumer});
    let first = keyed(service.call("POST", "/api/v1/keys"), "restart").json(&body).send().await;
    first.expect(201);
    let service = Service::start_on(service.end().await, &[]).await;
    let second = keyed(service.call("POST", "/api/v1/keys"), "restart").json(&body).send().await;
    assert!(same(&first, &second), "{}", second.text());
}
