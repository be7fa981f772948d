//! Whom a real proxy refuses comes to the backend's audit log: how often, why, from where and whose.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_tests::plugin;
use tollgate_tests::{Answer, Backend, Call, Connection, EveryWorker, Http, Setup, run, until};

const LIMIT: Duration = Duration::from_secs(30);

async fn denied(backend: &Backend) -> Vec<Value> {
    backend.call("GET", "/api/v1/audit?kind=authentication:denied&limit=200", None).await["items"].as_array().unwrap().clone()
}

#[test]
fn whom_a_proxy_refuses_is_counted_in_the_audit_log() {
    run(async {
        let backend = Backend::start("audited-backend").await;
        let settings = json!({"unknown_per_address": 1_000_000, "unknown_per_node": 1_000_000});
        let routes = json!([{"name": "admin", "match": {"prefix": "/admin"}, "require": {"scopes": {"all": ["admin"]}}}]);
        let plugin = json!({"backend": plugin::backend(&settings), "routes": routes, "default_route": {"auth": "required"}});
        let gate = Setup::new("audited", &plugin).real_backend(&backend).trusting_one_hop().start().await;
        backend.new_consumer("acme", "enterprise").await;
        let key = backend.new_key("acme").await.key;
        let good = |path: &str| Call::get(path).bearer(&key).from("203.0.113.1");
        EveryWorker::of(&gate).await.until("the backend to be found", &good("/a"), Answer::reached_upstream).await;
        let mut connection = Connection::open(gate.address(), Http::Two).await;
        for number in 0..7 {
            let guess = Call::get("/a").bearer(&format!("guess-{number}")).from("203.0.113.7");
            connection.send(guess).await.unwrap().assert_denied(401, "invalid_key");
        }
        for _ in 0..3 {
            connection.send(good("/admin")).await.unwrap().assert_denied(403, "insufficient_scope");
        }
        let sum = |entries: &[Value], reason: &str, address: &str, subject: &str| -> u64 {
            let own = entries.iter().filter(|entry| {
                entry["detail"]["reason"] == reason && entry["personal"]["address"] == address && entry["subject"] == subject
            });
            own.map(|entry| entry["detail"]["count"].as_u64().unwrap()).sum()
        };
        until("the refusals in the log", LIMIT, async || {
            let entries = denied(&backend).await;
            let counted =
                (sum(&entries, "invalid_key", "203.0.113.7", "unknown"), sum(&entries, "insufficient_scope", "203.0.113.1", "acme"));
            (counted == (7, 3)).then_some(())
        })
        .await;
        let entries = denied(&backend).await;
        assert!(entries.iter().all(|entry| entry["detail"]["reporter"].as_str().unwrap().starts_with("node:")), "{entries:#?}");
        assert!(entries.len() < 10, "they are counted, not listed: {entries:#?}");
        assert!(!serde_json::to_string(&entries).unwrap().contains("guess-"), "what was presented is not kept");
    });
}
