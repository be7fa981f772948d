//! A configuration that is wrong is refused as a whole, by a message that names the place.

use serde_json::{Value, json};
use tollgate_tests::plugin::{consumer, hourly, tier};
use tollgate_tests::{Call, Http, Setup, run};

fn plugin() -> Value {
    json!({
        "tiers": [tier("free", &[hourly(10)])],
        "consumers": [consumer("acme", "free", "acme-key-0123456789")],
        "routes": [{"name": "search", "match": {"prefix": "/search"}}],
    })
}

/// A change by JSON pointer to the parent, the member, and its new value; then what the message must hold.
fn wrong() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    vec![
        ("", "realmm", json!("x"), "realmm"),
        ("", "anonymous_tier", json!("none-such"), "anonymous_tier"),
        ("", "addresses", json!({"deny": ["10.0.0.0/33"]}), "addresses.deny[0]"),
        ("", "answers", json!({"body": "fancy"}), "answers.body"),
        ("", "answers", json!({"reset": 7}), "answers.reset"),
        ("", "answers", json!(["simple"]), "answers"),
        ("", "credentials", json!({"sources": [{"cookie": "key"}]}), "credentials.sources[0]"),
        ("/tiers/0/limits/0", "rate", json!(0), "tiers[0].limits[0].rate"),
        ("/tiers/0/limits/0", "rate", json!(-1), "tiers[0].limits[0].rate"),
        ("/tiers/0/limits/0", "per", json!("soon"), "tiers[0].limits[0].per"),
        ("/tiers/0/limits/0", "burst", json!(0), "tiers[0].limits[0].burst"),
        ("/tiers/0/limits/0", "algorithm", json!("leaky"), "tiers[0].limits[0].algorithm"),
        ("/tiers/0/limits/0", "routes", json!(["none-such"]), "tiers[0].limits[0].routes[0]"),
        ("/consumers/0", "tier", json!("none-such"), "consumers[0].tier"),
        ("/consumers/0/keys/0", "hash", json!("sha256:zz"), "consumers[0].keys[0].hash"),
        ("/consumers/0/keys/0", "hash", json!("acme-key-0123456789"), "consumers[0].keys[0].hash"),
        ("/routes/0/match", "prefix", json!("search"), "routes[0].match.prefix"),
        ("/routes/0", "match", json!({"regex": "^/(a"}), "routes[0].match.regex"),
        ("/routes/0", "charge_when", json!(["6xx"]), "routes[0].charge_when"),
        ("/routes/0", "auth", json!("maybe"), "routes[0].auth"),
        ("/routes/0", "anonymous_tier", json!("none-such"), "routes[0].anonymous_tier"),
    ]
}

#[test]
fn a_gate_does_not_start_with_a_wrong_configuration_and_says_where_it_is_wrong() {
    run(async {
        for (number, (parent, member, value, place)) in wrong().into_iter().enumerate() {
            let mut plugin = plugin();
            plugin.pointer_mut(parent).expect("a parent")[member] = value;
            let said = Setup::new(&format!("refused-{number}"), &plugin).refusal().await;
            assert!(said.contains(place), "no word of {place} in:\n{said}");
            assert!(!said.contains("acme-key-0123456789"), "a key in the log:\n{said}");
        }
    });
}

#[test]
fn a_gate_does_not_start_with_a_text_that_is_no_configuration() {
    run(async {
        let deep = "[".repeat(100_000);
        for (number, text) in ["{", "[]", "null", "\"x\"", "{} {}", "{\"consumers\":[]", &deep].into_iter().enumerate() {
            let setup = Setup::new(&format!("no-configuration-{number}"), &json!(null)).plugin_text(text);
            let said = setup.refusal().await;
            assert!(!said.contains("in-VM backtrace"), "{text:.20}: the virtual machine trapped:\n{said}");
        }
    });
}

#[test]
fn a_gate_does_not_start_without_a_configuration() {
    run(async {
        let said = Setup::new("no-configuration", &json!(null)).plugin_text("").refusal().await;
        assert!(said.contains("document: found nothing"), "{said}");
    });
}

#[test]
fn a_gate_does_not_start_without_a_secret_it_was_promised() {
    run(async {
        let mut plugin = plugin();
        let secret = json!({"env": "TOLLGATE_NOT_SET"});
        plugin["credentials"] = json!({"issuer_keys": [{"version": 1, "prefix": "foil", "secret": secret}]});
        let said = Setup::new("refused-secret", &plugin).refusal().await;
        assert!(said.contains("TOLLGATE_NOT_SET"), "{said}");
    });
}

#[test]
fn a_running_gate_refuses_a_wrong_update_and_goes_on_as_before() {
    run(async {
        let gate = Setup::new("refused-update", &plugin()).updatable().start().await;
        let mut rejected = 0;
        for (parent, member, value, _) in wrong().into_iter().take(4) {
            let mut wrong = plugin();
            wrong["realm"] = json!("wrong");
            wrong.pointer_mut(parent).expect("a parent")[member] = value;
            gate.update(&wrong);
            rejected += 1;
            gate.until_stat("listener_manager.lds.update_rejected", rejected).await;
            for http in Http::BOTH {
                Call::get("/a").bearer("acme-key-0123456789").send(&gate, http).await.assert_admitted();
                let answer = Call::get("/a").send(&gate, http).await;
                assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="tollgate""#));
            }
        }
        // Eight units of ten are spent: no refused update has filled the bucket again.
        Call::get("/a").bearer("acme-key-0123456789").send(&gate, Http::One).await.assert_admitted();
        Call::get("/a").bearer("acme-key-0123456789").send(&gate, Http::Two).await.assert_admitted();
        let answer = Call::get("/a").bearer("acme-key-0123456789").send(&gate, Http::One).await;
        answer.assert_denied(429, "rate_limited");
    });
}
