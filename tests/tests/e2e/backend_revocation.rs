//! A revoked key under load: refused by every worker of two gates, soon, and for good.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tollgate_tests::load::Sent;
use tollgate_tests::plugin::{self, key};
use tollgate_tests::{Answer, Call, EveryWorker, FakeBackend, Gate, Load, Setup, run, until};

use super::backend_shared::open;

const LIMIT: Duration = Duration::from_secs(20);
/// So many times a key is revoked.
const ROUNDS: usize = 20;

/// Half of the rounds are done within this time, all within the other, on a machine of two cores that does nothing else but this load.
const USUAL: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(2);

async fn gate(name: &str, backend: &FakeBackend) -> Gate {
    let plugin = json!({"backend": plugin::backend(&json!({"unknown_per_address": 1_000_000}))});
    let gate = Setup::new(name, &plugin).backend(backend).start().await;
    backend.until_followed(&gate).await;
    gate
}

/// When the last client was admitted and when the last one was first refused; fails where a client was admitted after a refusal.
fn turn(clients: &[Vec<Sent>], revoked: Instant) -> (Instant, Instant) {
    let (mut last_admitted, mut all_refused) = (revoked, revoked);
    for seen in clients {
        let first_refused = seen.iter().position(|sent| sent.answer.status == 401).expect("a refusal");
        let (before, after) = seen.split_at(first_refused);
        before.iter().for_each(|sent| sent.answer.assert_admitted());
        after.iter().for_each(|sent| sent.answer.assert_denied(401, "invalid_key"));
        assert!(after[0].answered >= revoked, "refused before it was revoked");
        last_admitted = last_admitted.max(before.last().map_or(revoked, |sent| sent.answered));
        all_refused = all_refused.max(after[0].answered);
    }
    (last_admitted, all_refused)
}

#[test]
fn a_revoked_key_is_refused_by_all_workers_of_two_gates_and_never_admitted_again() {
    run(async {
        let backend = FakeBackend::start();
        let gates = [gate("backend-revocation-1", &backend).await, gate("backend-revocation-2", &backend).await];
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            let key = key(&format!("revoked-{round}"));
            backend.give(&key, "revoked", &open());
            let call = Call::get("/a").bearer(&key);
            for gate in &gates {
                EveryWorker::of(gate).await.send(&call).await.iter().for_each(Answer::assert_admitted);
            }
            let resolves = backend.resolves(&key);
            let load = Load::start(&gates.each_ref(), 8, &call);
            until("all clients to be admitted", LIMIT, async || load.all_last(200).then_some(())).await;
            let revoked = backend.revoke(&key);
            until("all clients to be refused", LIMIT, async || load.all_last(401).then_some(())).await;
            let clients = load.stop().await;
            let (last_admitted, all_refused) = turn(&clients, revoked);
            // By whichever connection: once all workers have refused it, none admits it.
            let late = clients.iter().flatten().filter(|sent| sent.asked > all_refused && sent.answer.status == 200).count();
            assert_eq!(late, 0);
            assert_eq!(backend.resolves(&key), resolves, "a worker had to ask");
            times.push((all_refused - revoked, last_admitted.saturating_duration_since(revoked)));
        }
        times.sort();
        let shown: Vec<u128> = times.iter().map(|(refused, _)| refused.as_millis()).collect();
        println!("from revocation to refusal by all workers of two gates, ms: {shown:?}");
        assert!(times[ROUNDS / 2].0 <= USUAL, "{shown:?}");
        assert!(times[ROUNDS - 1].0 <= LONGEST, "{shown:?}");
        for gate in &gates {
            gate.assert_untrapped().await;
        }
    });
}
