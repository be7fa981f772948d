//! A virtual machine that stops: the worker refuses until it has a new one, and nothing that was spent comes back.
//!
//! The shipped module never traps, so these gates run it with one callback added that does.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use tollgate_tests::plugin::{ACME, consumer, hourly, tier};
use tollgate_tests::trap::trapping_module;
use tollgate_tests::{Answer, Call, Connection, Gate, Http, Setup, Upstream, run, until};

const BURST: u64 = 50;
/// Longer than the gate's idle timeout for streams and the host's pause before it reloads.
const LIMIT: Duration = Duration::from_secs(20);

fn plugin() -> Value {
    json!({
        "tiers": [tier("hourly", &[hourly(50)])],
        "consumers": [consumer("acme", "hourly", ACME)],
    })
}

async fn get(gate: &Gate, http: Http) -> Answer {
    Call::get("/a").bearer(ACME).send(gate, http).await
}

async fn trap(gate: &Gate) {
    let mut connection = Connection::open(gate.address(), Http::Two).await;
    let answer = connection.send(Call::get("/trap").bearer(ACME).trailer("x-stop", "now")).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| !answer.status.is_success()), "no trap");
}

/// Waits for a worker to serve again; meanwhile it may only refuse.
async fn until_recovered(gate: &Gate) {
    until("the worker to serve again", LIMIT, async || {
        let answer = get(gate, Http::One).await;
        assert!(answer.status == 503 || answer.reached_upstream(), "{answer:?}");
        if answer.reached_upstream() {
            assert_eq!(answer.upstream_saw("x-consumer-id"), ["acme"], "let through without the filter");
        }
        answer.reached_upstream().then_some(())
    })
    .await;
}

#[test]
fn a_worker_recovers_and_remembers_what_was_spent() {
    run(async {
        let gate = Setup::new("traps", &plugin()).workers(1).module(trapping_module()).start().await;
        let mut admitted = 0;
        for round in 0..3 {
            for http in Http::BOTH {
                get(&gate, http).await.assert_admitted();
                admitted += 1;
            }
            trap(&gate).await;
            until_recovered(&gate).await;
            admitted += 1;
            gate.until_stat("vm_reload_success", round + 1).await;
        }
        while get(&gate, Http::Two).await.reached_upstream() {
            admitted += 1;
            assert!(admitted <= BURST, "more than the bucket ever held");
        }
        get(&gate, Http::One).await.assert_denied(429, "rate_limited");
        // Each trap may lose the one request that trapped, and no more than a worker holds.
        assert!(admitted >= BURST - 3 - 3, "{admitted}: a trap lost more than its own requests");
    });
}

#[test]
fn requests_in_flight_end_and_a_key_stays_required() {
    run(async {
        let gate = Setup::new("traps-in-flight", &plugin()).workers(1).module(trapping_module()).start().await;
        let mut waiting = Vec::new();
        for http in Http::BOTH {
            let mut connection = Connection::open(gate.address(), http).await;
            let call = Call::get("/slow/in-flight").bearer(ACME);
            waiting.push(tokio::spawn(async move { connection.send(call).await }));
        }
        until("both to reach the upstream", LIMIT, async || (Upstream::shared().seen("/slow/in-flight").len() == 2).then_some(())).await;
        trap(&gate).await;
        for request in waiting {
            let ended = timeout(LIMIT, request).await.expect("a request in flight to end").unwrap();
            assert!(ended.is_err() || ended.is_ok_and(|answer| answer.status.is_server_error()));
        }
        until_recovered(&gate).await;
        for http in Http::BOTH {
            Call::get("/a").send(&gate, http).await.assert_denied(401, "unauthenticated");
            Call::get("/a").bearer("unknown").send(&gate, http).await.assert_denied(401, "invalid_key");
        }
    });
}
