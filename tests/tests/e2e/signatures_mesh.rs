//! Signatures that are taken once by all proxies of a backend.

use std::time::Duration;

use serde_json::json;
use tollgate_tests::plugin::{self, ACME};
use tollgate_tests::{Answer, Backend, Call, Connection, EveryWorker, Gate, Http, Setup, Upstream, run, until};

use super::signatures::{SECRET, Signing, consumer};

const LIMIT: Duration = Duration::from_secs(20);

async fn gate(name: &str, backend: &Backend) -> Gate {
    let plugin = json!({
        "backend": plugin::backend(&json!({"timeout": "1s"})),
        "consumers": [consumer(false)],
        "routes": [
            {"name": "mesh", "match": {"prefix": "/mesh"}, "signature": {"replay": "mesh"}},
            {"name": "node", "match": {"prefix": "/node"}, "signature": {}},
            {"name": "left", "match": {"prefix": "/left"}, "signature": {"replay": "mesh", "body": "upstream"}},
        ],
    });
    Setup::new(name, &plugin).secret("ACME_SIGNING", SECRET).real_backend(backend).start().await
}

struct House {
    backend: Backend,
    gates: [Gate; 2],
}

impl House {
    async fn new(name: &str) -> Self {
        let backend = Backend::start(name).await;
        let gates = [gate(&format!("{name}-0"), &backend).await, gate(&format!("{name}-1"), &backend).await];
        Self { backend, gates }
    }
}

#[test]
fn a_signature_passes_once_whichever_proxy_sees_it_first() {
    run(async {
        let House { backend: _backend, gates: [first, second] } = House::new("mesh").await;
        for http in Http::BOTH {
            for signing in [|| Signing::get("/mesh/a?b=c"), || Signing::post("/mesh/a", "body"), || Signing::post("/left/a", "body")] {
                let call = signing().call(ACME);
                call.clone().send(&first, http).await.assert_admitted();
                for _ in 0..3 {
                    call.clone().send(&second, http).await.assert_denied(401, "replayed_signature");
                    call.clone().send(&first, http).await.assert_denied(401, "replayed_signature");
                }
                signing().call(ACME).send(&second, http).await.assert_admitted();
            }
            // Where nobody asks for more, each takes it by itself.
            let call = Signing::get("/node").call(ACME);
            call.clone().send(&first, http).await.assert_admitted();
            call.send(&second, http).await.assert_admitted();
        }
        // All at once, on both: more than fit into messages of their own.
        for signing in [Signing::get("/mesh/race"), Signing::post("/mesh/race", "body")] {
            let call = signing.call(ACME);
            let mut sent = Vec::new();
            for number in 0..24 {
                let gate = if number % 2 == 0 { &first } else { &second };
                let (mut connection, call) = (Connection::open(gate.address(), Http::BOTH[number / 2 % 2]).await, call.clone());
                sent.push(tokio::spawn(async move { connection.send(call).await.unwrap() }));
            }
            let mut admitted = 0;
            for task in sent {
                let answer = task.await.unwrap();
                if answer.reached_upstream() {
                    admitted += 1;
                } else {
                    answer.assert_denied(401, "replayed_signature");
                }
            }
            assert_eq!(admitted, 1);
        }
        assert_eq!(Upstream::shared().seen("/mesh/race").len(), 2);
        // Many that are all good: none is lost on the way.
        let mut sent = Vec::new();
        for number in 0..60 {
            let signing = if number % 3 == 0 { Signing::post("/mesh/many", "body") } else { Signing::get("/mesh/many") };
            let (mut connection, call) = (Connection::open(first.address(), Http::BOTH[number % 2]).await, signing.call(ACME));
            sent.push(tokio::spawn(async move { connection.send(call).await.unwrap() }));
        }
        for task in sent {
            task.await.unwrap().assert_admitted();
        }
        first.assert_untrapped().await;
        second.assert_untrapped().await;
    });
}

#[test]
fn a_body_is_compared_as_well_and_whatever_comes_first_decides() {
    run(async {
        let House { backend: _backend, gates: [first, second] } = House::new("mesh-bodies").await;
        for http in Http::BOTH {
            let path = format!("/mesh/{http:?}");
            let signing = Signing::post(&path, "body");
            signing.onto(Call::new("POST", &path).body("b0dy"), ACME).send(&first, http).await.assert_denied(400, "wrong_digest");
            // With trailers, which end the body in another way.
            let signing = Signing::post(&path, "body");
            let call = signing.onto(Call::new("POST", &path).body("body").trailer("x-checksum", "1"), ACME);
            call.clone().send(&first, http).await.assert_admitted();
            call.send(&second, http).await.assert_denied(401, "replayed_signature");
            let large = "0123456789".repeat(20_000);
            let call = Signing::post(&path, &large).call(ACME);
            call.clone().send(&first, http).await.assert_admitted();
            call.send(&second, http).await.assert_denied(401, "replayed_signature");
            assert_eq!(Upstream::shared().seen(&path).len(), 2);
        }
        first.assert_untrapped().await;
        second.assert_untrapped().await;
    });
}

#[test]
fn nothing_passes_while_nobody_knows_what_was_used_elsewhere() {
    run(async {
        let mut house = House::new("mesh-away").await;
        let gate = &house.gates[0];
        let asked = || Signing::get("/mesh/away").call(ACME);
        asked().send(gate, Http::One).await.assert_admitted();
        let unknown = |answer: &Answer| {
            answer.assert_denied(503, "replay_unknown");
            assert_eq!(answer.header("retry-after"), Some("1"));
        };
        // It stands still: the requests wait for as long as they may.
        let stopped = house.backend.stop();
        for http in Http::BOTH {
            unknown(&asked().send(gate, http).await);
            unknown(&Signing::post("/mesh/away", "body").call(ACME).send(gate, http).await);
        }
        Signing::get("/node").call(ACME).send(gate, Http::One).await.assert_admitted();
        drop(stopped);
        // What it does not write down is not given to anybody.
        let locked = house.backend.lock_database();
        unknown(&asked().send(gate, Http::One).await);
        drop(locked);
        let mut workers = EveryWorker::of(gate).await;
        until("it to be asked again", LIMIT, async || asked().send(gate, Http::One).await.reached_upstream().then_some(())).await;
        house.backend.kill();
        for answer in workers.send(&asked()).await {
            assert!(!answer.reached_upstream(), "{answer:?}");
        }
        unknown(&asked().send(gate, Http::Two).await);
        assert_eq!(Upstream::shared().seen("/mesh/away").len(), 2);
        // What was used before is used after its return, too.
        house.backend.restart().await;
        until("it to be asked again", LIMIT, async || asked().send(gate, Http::One).await.reached_upstream().then_some(())).await;
        gate.assert_untrapped().await;
    });
}
