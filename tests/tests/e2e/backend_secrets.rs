//! What an operator sees of the talk with the backend: counts of everything, and no secret.

use serde_json::json;
use tollgate_tests::fake_backend::{NODE_CREDENTIAL, TOKEN_PREFIX};
use tollgate_tests::plugin::{self, key};
use tollgate_tests::{Call, FakeBackend, Fault, Http, Kind, Setup, run};

use super::backend_shared::open;

#[test]
fn no_key_token_or_node_credential_is_shown_anywhere() {
    run(async {
        let backend = FakeBackend::start();
        let plugin = json!({
            "backend": plugin::backend(&json!({"timeout": "300ms"})),
            "credentials": {"sources": [{"header": "authorization", "scheme": "Bearer"}, {"query": "api_key"}]},
            "filter_state": true,
        });
        let gate = Setup::new("backend-secrets", &plugin).backend(&backend).start().await;
        backend.until_followed(&gate).await;
        let (good, bad, late) = ("secret-key-that-is-good", "secret-key-that-is-bad", "secret-key-that-is-late");
        backend.give(good, "discreet", &open());
        for http in Http::BOTH {
            Call::get("/a").bearer(good).header("x-case", "secrets").send(&gate, http).await.assert_admitted();
            Call::get("/a").bearer(bad).header("x-case", "secrets").send(&gate, http).await.assert_denied(401, "invalid_key");
            let asked = Call::get(&format!("/a?api_key={good}&b=1")).header("x-case", "secrets").send(&gate, http).await;
            assert!(!asked.json()["target"].as_str().unwrap().contains("api_key"), "{asked:?}");
        }
        backend.fail_resolve(late, Fault::Hold);
        Call::get(&format!("/a?api_key={late}")).header("x-case", "secrets").send(&gate, Http::One).await.assert_denied(503, "unavailable");
        for fault in [Fault::Status(500), Fault::Body(b"nonsense".to_vec()), Fault::Cut] {
            backend.fail(Kind::Resolve, fault);
            Call::get("/a").bearer(&key("unlucky")).send(&gate, Http::Two).await.assert_denied(503, "unavailable");
            backend.heal(Kind::Resolve);
        }
        backend.refuse_tokens();
        Call::get("/a").bearer("secret-key-after-all").send(&gate, Http::One).await;

        assert_eq!(gate.access_log("secrets", 7).await.len(), 7);
        let mut shown = vec![("log", gate.log()), ("access log", gate.access_log_text())];
        for page in ["/config_dump?include_eds", "/stats", "/stats/prometheus", "/clusters", "/listeners", "/server_info", "/runtime"] {
            shown.push((page, gate.admin_page(page).await));
        }
        let credential = NODE_CREDENTIAL.trim_start_matches("tgn_");
        for (place, text) in &shown {
            for secret in [good, bad, late, "secret-key", &key("unlucky"), credential, TOKEN_PREFIX] {
                assert!(!text.contains(secret), "{place} shows {secret}");
            }
            assert!(!text.is_empty(), "{place} is empty");
        }
        // It would have been found: what is no secret is there.
        assert!(shown[1].1.contains("discreet-1") && shown[2].1.contains("TOLLGATE_NODE_CREDENTIAL"));
    });
}

#[test]
fn everything_asked_and_heard_is_counted() {
    run(async {
        let backend = FakeBackend::start();
        let plugin = json!({"backend": plugin::backend(&json!({"timeout": "300ms", "unknown_per_address": 10}))});
        let gate = Setup::new("backend-metrics", &plugin).backend(&backend).workers(1).start().await;
        backend.until_followed(&gate).await;
        // A second after the last count everything is published: this is the last for now.
        Call::get("/a").send(&gate, Http::One).await.assert_denied(401, "unauthenticated");
        gate.until_stat("tollgate_verdicts.unauthenticated", 1).await;
        let names = ["asked", "known", "unknown", "unanswered", "not_asked", "failed"];
        let mut before = Vec::new();
        for name in names {
            before.push(gate.stat(&format!("tollgate_backend.{name}")).await);
        }
        let [changes, resets] = [gate.stat("tollgate_feed.changes").await, gate.stat("tollgate_feed.resets").await];

        for number in 0..3 {
            let key = key(&format!("counted-{number}"));
            backend.give(&key, "counted", &open());
            for http in Http::BOTH {
                Call::get("/a").bearer(&key).send(&gate, http).await.assert_admitted();
            }
        }
        for number in 0..10 {
            Call::get("/a").bearer(&format!("guess-{number}")).send(&gate, Http::One).await.assert_denied(401, "invalid_key");
        }
        for number in 0..4 {
            let answer = Call::get("/a").bearer(&format!("one-too-many-{number}")).send(&gate, Http::One).await;
            answer.assert_denied(429, "too_many_unknown_keys");
        }
        let expected = [13, 3, 10, 0, 4, 0];
        for ((name, before), expected) in names.iter().zip(before).zip(expected) {
            let name = format!("tollgate_backend.{name}");
            gate.until_stat(&name, before + expected).await;
            assert_eq!(gate.stat(&name).await, before + expected, "{name}");
        }
        // The main thread follows too; what it had counted before may not have been published.
        backend.push((0..100).map(|number| json!({"credential": {"id": format!("nobodys-{number}")}})));
        gate.until_stat("tollgate_feed.changes", changes + 200).await;
        assert!(gate.stat("tollgate_feed.changes").await < changes + 300);
        backend.reset();
        gate.until_stat("tollgate_feed.resets", resets + 2).await;
        gate.assert_untrapped().await;
    });
}
