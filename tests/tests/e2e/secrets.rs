//! The backend's own secrets are rotated and retired while requests go on: none of them notices.

use serde_json::{Value, json};
use tollgate_tests::{Answer, Backend, EveryWorker, Load, run, until};

use super::leases::{LIMIT, call, ready, setup};

#[test]
fn requests_go_on_while_secrets_are_rotated_and_retired() {
    run(async {
        let backend = Backend::start("secrets-rotated").await;
        for consumer in ["acme", "first"] {
            backend.new_consumer(consumer, "enterprise").await;
        }
        let gate = ready(setup("secrets-rotated-gate", &backend), &backend).await;
        let key = backend.new_key("acme").await;
        let mut workers = EveryWorker::of(&gate).await;
        let load = Load::start(&[&gate], 4, &call(&key));
        until("requests to pass", LIMIT, async || (load.count(Answer::reached_upstream) > 100).then_some(())).await;
        for kind in ["pepper", "encryption", "token"] {
            let rotated = backend.call("POST", &format!("/api/v1/secrets/{kind}/rotate"), Some(&json!({}))).await;
            assert_eq!(rotated["use"], "current", "{rotated}");
            // One that nodes must ask about, made with the new version.
            let new = backend.new_key("acme").await;
            workers.send(&call(&new)).await.iter().for_each(Answer::assert_admitted);
        }
        let listed = backend.call("GET", "/api/v1/secrets", None).await;
        let holds = |secret: &str| {
            let is_it = |one: &&Value| format!("{}.{}", one["kind"].as_str().unwrap(), one["version"]) == secret;
            listed["items"].as_array().unwrap().iter().find(is_it).unwrap()["holds"].clone()
        };
        assert_eq!((holds("encryption.1"), holds("token.0")), (json!(0), json!(0)), "{listed}");
        for secret in ["encryption.1", "token.0"] {
            backend.call("DELETE", &format!("/api/v1/secrets/{secret}"), None).await;
        }
        // The node remembers the key of the load, so nobody has asked about it since.
        let refused = backend.try_call("DELETE", "/api/v1/secrets/pepper.1", None).await.unwrap();
        assert_eq!(refused.status, 409, "{refused:?}");
        // The node's token was of the one that is gone: it fetches another.
        let new = backend.new_key("acme").await;
        workers.send(&call(&new)).await.iter().for_each(Answer::assert_admitted);
        let before = load.count(Answer::reached_upstream);
        until("requests to go on", LIMIT, async || (load.count(Answer::reached_upstream) > before + 100).then_some(())).await;
        let sent = load.stop().await;
        let failed: Vec<_> = sent.iter().flatten().filter(|sent| !sent.answer.reached_upstream()).collect();
        assert!(failed.is_empty(), "{} of them: {:?}", failed.len(), failed.first());
        gate.assert_untrapped().await;
    });
}
