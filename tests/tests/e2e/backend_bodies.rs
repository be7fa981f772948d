//! Requests with a body that wait for the backend: nothing passes before the verdict, and everything arrives after it.

use std::time::Duration;

use serde_json::json;
use tollgate_tests::plugin::{self, key};
use tollgate_tests::{Answer, Call, Connection, FakeBackend, Fault, Gate, Http, Kind, Setup, Upstream, run, until};

use super::backend_shared::open;

const LIMIT: Duration = Duration::from_secs(20);

/// Fits into no buffer by chance: Envoy's flow control windows are smaller.
const LARGE: usize = 200 * 1024;

fn body(length: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(length).collect()
}

/// Sends a request whose key's answer is held back until the gate waits for it.
async fn wait_and_send(gate: &Gate, backend: &FakeBackend, http: Http, key: &str, call: Call) -> Answer {
    backend.fail_resolve(key, Fault::Hold);
    let before = backend.count(Kind::Resolve);
    let mut connection = Connection::open(gate.address(), http).await;
    let call = call.bearer(key);
    let waiting = tokio::spawn(async move { connection.send(call).await.expect("an answer") });
    until("the key to be asked about", LIMIT, async || (backend.count(Kind::Resolve) > before).then_some(())).await;
    backend.heal_resolve(key);
    waiting.await.unwrap()
}

async fn bodies_wait(name: &str, adapt: impl Fn(Setup) -> Setup) {
    let backend = FakeBackend::start();
    let gate = adapt(Setup::new(name, &json!({"backend": plugin::backend(&json!({"timeout": "5s"}))})).backend(&backend)).start().await;
    for http in Http::BOTH {
        for length in [0, 1, 4_000, LARGE] {
            let (good, bad) = (key(&format!("good-{length}-{http:?}")), key(&format!("bad-{length}-{http:?}")));
            backend.give(&good, "good", &open());
            let path = format!("/{name}/{http:?}/{length}");
            let refused = wait_and_send(&gate, &backend, http, &bad, Call::new("POST", &path).body(body(length))).await;
            refused.assert_denied(401, "invalid_key");
            assert!(Upstream::shared().seen(&path).is_empty(), "{path} reached the upstream without a key");
            let answer = wait_and_send(&gate, &backend, http, &good, Call::new("POST", &path).body(body(length))).await;
            assert_eq!(answer.upstream_saw("x-consumer-id"), ["good"]);
            assert!(answer.upstream_saw("authorization").is_empty());
            assert!(answer.json()["body"].as_str() == Some(&String::from_utf8(body(length)).unwrap()), "{path} arrived changed");
            assert_eq!(Upstream::shared().seen(&path).len(), 1);
        }
    }
    gate.assert_untrapped().await;
}

#[test]
fn bodies_wait_where_envoy_holds_them_back() {
    run(bodies_wait("backend-bodies", Setup::without_stop_iteration));
}

#[test]
fn bodies_wait_where_the_filter_must_hold_them_back() {
    run(bodies_wait("backend-bodies-itself", |setup| setup));
}
