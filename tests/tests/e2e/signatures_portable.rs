//! Signed requests through a listener without `allow_on_headers_stop_iteration`: what cannot be compared there does not pass.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_tests::plugin::{self, ACME, key};
use tollgate_tests::{Call, Connection, FakeBackend, Fault, Gate, Http, Kind, Setup, Upstream, run, until};

use super::backend_shared::open;
use super::signatures::{SECRET, Signing, consumer};

const LIMIT: Duration = Duration::from_secs(20);

fn plugin() -> Value {
    json!({
        "consumers": [consumer(false)],
        "routes": [
            {"name": "checked", "match": {"prefix": "/checked"}, "signature": {}},
            {"name": "left", "match": {"prefix": "/left"}, "signature": {"body": "upstream"}},
        ],
    })
}

/// Sends a request that is to stay unanswered, and others after it until the worker has had time for it.
async fn assert_held(gate: &Gate, http: Http, path: &str, call: Call) {
    let held = gate.stat("http.gate.downstream_rq_total").await;
    let mut connection = Connection::open(gate.address(), http).await;
    let waiting = tokio::spawn(async move { connection.send(call).await });
    until("the request to arrive", LIMIT, async || (gate.stat("http.gate.downstream_rq_total").await > held).then_some(())).await;
    for _ in 0..20 {
        Call::get("/other").bearer(ACME).send(gate, Http::One).await.assert_admitted();
    }
    assert!(!waiting.is_finished(), "{path} was answered");
    assert!(Upstream::shared().seen(path).is_empty(), "{path} reached the upstream");
    waiting.abort();
}

#[test]
fn a_body_that_cannot_be_compared_does_not_pass() {
    run(async {
        let gate = Setup::new("portable", &plugin()).secret("ACME_SIGNING", SECRET).without_stop_iteration().workers(1).start().await;
        for http in Http::BOTH {
            Signing::get("/checked/get").call(ACME).send(&gate, http).await.assert_admitted();
            Call::get("/checked/get").bearer(ACME).send(&gate, http).await.assert_denied(401, "signature_required");
            Call::new("POST", "/checked/unsigned").bearer(ACME).body("x").send(&gate, http).await.assert_denied(401, "signature_required");
            let forged = Signing { secret: "another secret of some length", ..Signing::post("/checked/forged", "x") };
            forged.call(ACME).send(&gate, http).await.assert_denied(401, "invalid_signature");
            Signing::post("/left/post", "x").call(ACME).send(&gate, http).await.assert_admitted();
            let large = "0123456789".repeat(2_000);
            for (name, signed, sent) in [("altered", "x", "y"), ("longer", "x", "xy"), ("right", "x", "x"), ("large", "x", large.as_str())]
            {
                let path = format!("/checked/{http:?}/{name}");
                let signing = Signing::post(&path, signed);
                let call = || Call::new("POST", &path).body(sent.to_owned());
                assert_held(&gate, http, &path, signing.onto(call(), ACME)).await;
                // Ended by trailers.
                let signing = Signing::post(&path, signed);
                assert_held(&gate, http, &path, signing.onto(call().trailer("x-checksum", "1"), ACME)).await;
                // Signed without the body.
                let signing = Signing { components: vec!["@method", "@target-uri"], ..Signing::post(&path, signed) };
                assert_held(&gate, http, &path, signing.onto(call(), ACME)).await;
            }
        }
        gate.assert_untrapped().await;
    });
}

/// While the key is asked about, nothing of a request goes on, and when it is known, nothing that was not signed.
#[test]
fn nothing_passes_while_a_key_is_asked_about() {
    run(async {
        let backend = FakeBackend::start();
        let mut plugin = plugin();
        plugin["backend"] = plugin::backend(&json!({"timeout": "5s"}));
        let setup = Setup::new("portable-asked", &plugin).secret("ACME_SIGNING", SECRET).backend(&backend).without_stop_iteration();
        let gate = setup.workers(1).start().await;
        for http in Http::BOTH {
            for (name, path) in [("unsigned", "/checked"), ("unsigned", "/left"), ("free", "/other")] {
                let key = key(&format!("{name}{}-{http:?}", path.replace('/', "-")));
                backend.give(&key, "good", &open());
                backend.fail_resolve(&key, Fault::Hold);
                let path = format!("{path}/{http:?}/asked");
                let before = backend.count(Kind::Resolve);
                let mut connection = Connection::open(gate.address(), http).await;
                let call = Call::new("POST", &path).bearer(&key).body("0123456789".repeat(2_000)).trailer("x-checksum", "1");
                let waiting = tokio::spawn(async move { connection.send(call).await.expect("an answer") });
                until("the key to be asked about", LIMIT, async || (backend.count(Kind::Resolve) > before).then_some(())).await;
                for _ in 0..20 {
                    Call::get("/other").bearer(ACME).send(&gate, Http::One).await.assert_admitted();
                }
                assert!(!waiting.is_finished() && Upstream::shared().seen(&path).is_empty(), "{path} went on");
                backend.heal_resolve(&key);
                let answer = waiting.await.unwrap();
                if name == "free" {
                    answer.assert_admitted();
                } else {
                    answer.assert_denied(401, "signature_required");
                    assert!(Upstream::shared().seen(&path).is_empty(), "{path} reached the upstream");
                }
            }
        }
        gate.assert_untrapped().await;
    });
}
