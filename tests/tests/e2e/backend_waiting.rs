//! Requests that wait for the backend, and clients that do not: whoever goes away leaves nothing behind, and nobody waits in vain.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tollgate_tests::plugin::{self, key};
use tollgate_tests::{Answer, Call, Connection, FakeBackend, Fault, Gate, Http, Setup, run, send_all, until};

use super::backend_shared::open;

const LIMIT: Duration = Duration::from_secs(20);

async fn active(gate: &Gate) -> u64 {
    gate.stat("http.gate.downstream_rq_active").await
}

/// A backend, and a gate of one worker that follows it and waits so long for its answers.
async fn following(name: &str, timeout: &str) -> (Arc<FakeBackend>, Gate) {
    let backend = FakeBackend::start();
    let plugin = json!({"backend": plugin::backend(&json!({"timeout": timeout}))});
    let gate = Setup::new(name, &plugin).backend(&backend).workers(1).start().await;
    backend.until_followed(&gate).await;
    (backend, gate)
}

/// Starts so many requests for a key.
async fn start(gate: &Gate, key: &str, count: usize) -> JoinSet<Answer> {
    send_all(gate, std::iter::repeat_n(Call::get("/a").bearer(key), count)).await
}

async fn until_active(gate: &Gate, count: u64) {
    until(&format!("{count} requests to be in flight"), LIMIT, async || (active(gate).await == count).then_some(())).await;
}

#[test]
fn a_client_that_goes_away_cancels_nothing_and_leaves_nothing_behind() {
    run(async {
        let (backend, gate) = following("backend-gone", "4s").await;
        for http in Http::BOTH {
            let key = key(&format!("gone-{http:?}"));
            backend.give(&key, "gone", &open());
            backend.fail_resolve(&key, Fault::Hold);
            let mut connection = Connection::open(gate.address(), http).await;
            let call = Call::new("POST", "/a").bearer(&key).body("half read");
            let waiting = tokio::spawn(async move { connection.send(call).await });
            until("it to be asked about", LIMIT, async || (backend.resolves(&key) == 1).then_some(())).await;
            waiting.abort();
            until_active(&gate, 0).await;
            backend.heal_resolve(&key);
            Call::get("/a").bearer(&key).send(&gate, http).await.assert_admitted();
            assert_eq!(backend.resolves(&key), 1, "the answer was lost with the client");
        }
        gate.assert_untrapped().await;
    });
}

#[test]
fn requests_that_wait_are_bounded_and_those_gone_do_not_count() {
    run(async {
        let (backend, gate) = following("backend-waiters", "20s").await;
        let key = key("awaited");
        backend.give(&key, "awaited", &open());
        backend.fail_resolve(&key, Fault::Hold);
        // More in all than may wait at once.
        for _ in 0..5 {
            let waiting = start(&gate, &key, 1_000).await;
            until_active(&gate, 1_000).await;
            drop(waiting);
            until_active(&gate, 0).await;
        }
        let requests = start(&gate, &key, 4_000).await;
        until_active(&gate, 4_000).await;
        let mut more = start(&gate, &key, 200).await;
        for _ in 0..104 {
            let answer = more.join_next().await.expect("another request").expect("a request that ends");
            answer.assert_denied(503, "unavailable");
        }
        backend.heal_resolve(&key);
        let mut admitted = 0;
        for answer in [requests.join_all().await, more.join_all().await].concat() {
            answer.assert_admitted();
            admitted += 1;
        }
        assert_eq!((admitted, backend.resolves(&key)), (4_096, 1));
        gate.assert_untrapped().await;
    });
}

#[test]
fn however_many_wait_for_a_key_that_is_nobodys_it_is_one_guess() {
    run(async {
        let (backend, gate) = following("backend-nobodys", "20s").await;
        let key = key("nobodys");
        backend.fail_resolve(&key, Fault::Hold);
        let requests = start(&gate, &key, 4_000).await;
        until_active(&gate, 4_000).await;
        backend.heal_resolve(&key);
        for answer in requests.join_all().await {
            answer.assert_denied(401, "invalid_key");
        }
        assert_eq!(backend.resolves(&key), 1);
        gate.assert_untrapped().await;
    });
}
