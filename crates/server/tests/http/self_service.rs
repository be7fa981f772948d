//! Keys for the asking.

use serde_json::{Value, json};

use crate::client::Reply;
use crate::service::Service;

const PATH: &str = "/api/auth/keys";

async fn take(service: &Service, email: &str) -> Reply {
    service.anonymous("POST", PATH).json(&json!({"tier": "free", "email": email})).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_off_unless_it_is_switched_on() {
    let service = Service::start().await;
    take(&service, "user@example.com").await.problem(404);
    let listed = service.get("/api/v1/consumers").await.expect(200);
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_in_exactly_the_promised_form() {
    let service = Service::start_with(&[("self_service", "true")]).await;
    let reply = take(&service, "user@example.com").await;
    let taken = reply.expect(201);
    let fields: Vec<_> = taken.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields.len(), 3, "{taken}");
    assert!(taken["api_key"].as_str().unwrap().starts_with("foil_"));
    assert_eq!(taken["tier"], "free");
    let at = taken["created_at"].as_str().unwrap();
    assert!(at.len() == "2026-01-14T00:00:00Z".len() && at.ends_with('Z') && at.as_bytes()[10] == b'T', "{at}");
    assert_eq!((reply.header("location"), reply.header("cache-control")), ("", "no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_tell_whether_an_address_is_known() {
    let service = Service::start_with(&[("self_service", "true")]).await;
    let shape = |reply: &Reply| {
        let mut document = reply.expect(201);
        document["api_key"] = Value::Null;
        document["created_at"] = Value::Null;
        let headers: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
        (document, headers, reply.body.len())
    };
    let (first, again, other) =
        (take(&service, "user@example.com").await, take(&service, "user@example.com").await, take(&service, "else@example.com").await);
    assert_eq!(shape(&first), shape(&again));
    assert_eq!(shape(&first), shape(&other));
    assert_ne!(first.json()["api_key"], again.json()["api_key"]);
    let listed = service.get("/api/v1/consumers").await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 3, "each call makes a consumer of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_tiers_that_are_open_to_everybody_can_be_taken() {
    let service = Service::start_with(&[("self_service", "true")]).await;
    for tier in ["pro", "enterprise", "none"] {
        let reply = service.anonymous("POST", PATH).json(&json!({"tier": tier, "email": "user@example.com"})).send().await;
        assert_eq!(reply.wrong_field(400).0, "tier", "{tier}");
    }
    let wrong = |tier: &str| service.anonymous("POST", PATH).json(&json!({"tier": tier, "email": "user@example.com"})).send();
    assert_eq!(wrong("pro").await.body, wrong("none").await.body, "which tiers there are is nobody's business");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_takes_ten_and_is_then_told_when_to_come_back() {
    let service = Service::start_with(&[("self_service", "true")]).await;
    for number in 0..10 {
        take(&service, &format!("user{number}@example.com")).await.expect(201);
    }
    let refused = take(&service, "user@example.com").await;
    let problem = refused.problem(429);
    assert_eq!(problem["code"], "rate_limited");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=360).contains(&seconds) && problem["retry_after"] == seconds, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_behind_a_trusted_proxy_count_each_for_itself() {
    let service = Service::start_with(&[("self_service", "true"), ("trusted_proxies", "127.0.0.0/8")]).await;
    let take = |forwarded: &'static str| {
        service
            .anonymous("POST", PATH)
            .header("x-forwarded-for", forwarded)
            .json(&json!({"tier": "free", "email": "user@example.com"}))
            .send()
    };
    for _ in 0..10 {
        take("192.0.2.1").await.expect(201);
    }
    take("192.0.2.1").await.problem(429);
    take("198.51.100.9, 192.0.2.1").await.problem(429);
    take("192.0.2.2").await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_anybody_else_says_of_its_address_is_not_believed() {
    let service = Service::start_with(&[("self_service", "true"), ("trusted_proxies", "10.0.0.0/8")]).await;
    let take = |number: usize| {
        service
            .anonymous("POST", PATH)
            .header("x-forwarded-for", &format!("192.0.2.{number}"))
            .json(&json!({"tier": "free", "email": "user@example.com"}))
            .send()
    };
    for number in 0..10 {
        take(number).await.expect(201);
    }
    take(10).await.problem(429);
}
