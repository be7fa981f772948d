//! Keys in the query: only where configured, and gone before anyone else reads the path.

use serde_json::{Value, json};
use tollgate_tests::plugin::{ACME, consumer, tier};
use tollgate_tests::{Call, Http, Setup, Shared, run};

fn plugin(sources: &Value) -> Value {
    json!({
        "tiers": [tier("open", &[])],
        "consumers": [consumer("acme", "open", ACME)],
        "credentials": {"sources": sources},
        "routes": [
            {"name": "health", "match": {"prefix": "/healthz"}, "exempt": true},
            {"name": "free", "match": {"prefix": "/free"}, "auth": "none"},
        ],
    })
}

static GATE: Shared = Shared::new(|| {
    let sources = json!([{"header": "authorization", "scheme": "Bearer"}, {"query": "api_key"}]);
    Setup::new("query", &plugin(&sources))
});

#[test]
fn the_parameter_is_taken_out_of_the_path() {
    run(async {
        let cases = [
            (format!("/q?api_key={ACME}"), "/q"),
            (format!("/q?api_key={ACME}&x=1"), "/q?x=1"),
            (format!("/q?x=1&api_key={ACME}"), "/q?x=1"),
            (format!("/q?x=1&api_key={ACME}&y=%2F"), "/q?x=1&y=%2F"),
            (format!("/q?my_api_key=1&api_key={ACME}"), "/q?my_api_key=1"),
            (format!("/q?api_key={}", ACME.replace('-', "%2D")), "/q"),
        ];
        for (target, remaining) in cases {
            for http in Http::BOTH {
                let answer = Call::get(&target).send(GATE.get().await, http).await;
                assert_eq!(answer.upstream_saw("x-consumer-id"), ["acme"], "{target}");
                assert_eq!(answer.json()["target"], remaining, "{target}");
                assert!(!String::from_utf8_lossy(&answer.body).contains(ACME), "{answer:?}");
            }
        }
    });
}

#[test]
fn the_key_is_in_no_access_log_whatever_becomes_of_the_request() {
    run(async {
        let gate = GATE.get().await;
        for (name, target, status) in [
            ("admitted", format!("/q?x=1&api_key={ACME}"), 200),
            ("unknown", "/q?x=1&api_key=secret-but-unknown".to_owned(), 401),
            ("twice", format!("/q?api_key={ACME}&api_key={ACME}"), 401),
            ("ambiguous", format!("/q//x?api_key={ACME}"), 400),
            ("exempt", format!("/healthz?api_key={ACME}"), 200),
            ("free", format!("/free?api_key={ACME}"), 200),
        ] {
            for http in Http::BOTH {
                let case = format!("query-{name}-{http:?}");
                let answer = Call::get(&target).header("x-case", &case).send(gate, http).await;
                assert_eq!(answer.status, status, "{name}");
                let entry = gate.access_log(&case, 1).await.remove(0).to_string();
                assert!(!entry.contains(ACME) && !entry.contains("secret-but-unknown"), "{entry}");
                assert!(!String::from_utf8_lossy(&answer.body).contains(ACME), "{name}: {answer:?}");
            }
        }
    });
}

#[test]
fn rules_for_headers_hold_for_the_parameter_too() {
    run(async {
        let gate = GATE.get().await;
        for http in Http::BOTH {
            let twice = Call::get(&format!("/q?api_key={ACME}&api_key={ACME}"));
            twice.send(gate, http).await.assert_denied(401, "duplicate_credentials");
            let conflict = Call::get("/q?api_key=other").bearer(ACME);
            conflict.send(gate, http).await.assert_denied(400, "conflicting_credentials");
            let same = Call::get(&format!("/q?api_key={ACME}")).bearer(ACME);
            same.send(gate, http).await.assert_admitted();
            Call::get("/q?api_key=unknown").send(gate, http).await.assert_denied(401, "invalid_key");
            Call::get("/q?api_key=").send(gate, http).await.assert_denied(401, "unauthenticated");
            Call::get("/q?API_KEY=x").send(gate, http).await.assert_denied(401, "unauthenticated");
            // Not among this gate's sources.
            Call::get("/q").api_key(ACME).send(gate, http).await.assert_denied(401, "unauthenticated");
        }
    });
}

#[test]
fn without_the_source_a_parameter_is_no_credential() {
    run(async {
        let sources = json!([{"header": "authorization", "scheme": "Bearer"}, {"header": "x-api-key"}]);
        let gate = Setup::new("query-off", &plugin(&sources)).start().await;
        for http in Http::BOTH {
            let call = Call::get(&format!("/q?api_key={ACME}"));
            call.send(&gate, http).await.assert_denied(401, "unauthenticated");
            let answer = Call::get("/q?api_key=mine&x=1").bearer(ACME).send(&gate, http).await;
            answer.assert_admitted();
            assert_eq!(answer.json()["target"], "/q?api_key=mine&x=1");
        }
    });
}
