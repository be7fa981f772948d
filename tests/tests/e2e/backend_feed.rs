//! A feed of changes that cannot be followed as it is: whoever missed something forgets everything and asks again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_tests::plugin::{self, key};
use tollgate_tests::{Answer, Call, EveryWorker, FakeBackend, Fault, Gate, Kind, Setup, run, until};

use super::backend_shared::{WORKERS, open};

const LIMIT: Duration = Duration::from_secs(20);

async fn start(name: &str) -> (Arc<FakeBackend>, Gate) {
    let backend = FakeBackend::start();
    let gate = Setup::new(name, &json!({"backend": plugin::backend(&json!({"unknown_per_address": 1_000_000}))})).backend(&backend);
    let gate = gate.start().await;
    backend.until_followed(&gate).await;
    (backend, gate)
}

/// A key that all workers know.
async fn known(backend: &FakeBackend, workers: &mut EveryWorker, consumer: &str) -> Call {
    let call = Call::get("/a").bearer(&key(consumer));
    backend.give(&key(consumer), consumer, &open());
    workers.send(&call).await.iter().for_each(Answer::assert_admitted);
    call
}

#[test]
fn after_a_reset_or_a_change_of_an_unknown_kind_everything_is_asked_about_again() {
    run(async {
        let (backend, gate) = start("backend-resets").await;
        let mut workers = EveryWorker::of(&gate).await;
        // A change, or none for a reset.
        let resets = [
            ("reset", None),
            ("unknown-kind", Some(json!({"invoice": {"id": "one"}}))),
            ("nothing-known", Some(json!({}))),
            ("impossible-tier", Some(json!({"consumer": {"id": "impossible-tier", "tier": {"name": "Not A Name"}}}))),
        ];
        for (consumer, change) in resets {
            let call = known(&backend, &mut workers, consumer).await;
            let resolves = backend.resolves(&key(consumer));
            match change {
                None => backend.reset(),
                Some(change) => backend.push([change]),
            }
            let what = format!("every worker to ask again after {consumer}");
            until(&what, LIMIT, async || {
                // Nobody is refused meanwhile.
                workers.send(&call).await.iter().for_each(Answer::assert_admitted);
                (backend.resolves(&key(consumer)) == resolves + WORKERS).then_some(())
            })
            .await;
            backend.until_followed(&gate).await;
            workers.send(&call).await.iter().for_each(Answer::assert_admitted);
            assert_eq!(backend.resolves(&key(consumer)), resolves + WORKERS, "{consumer}: forgotten more than once");
        }
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_revocation_behind_hundreds_of_changes_is_carried_out_and_nothing_else_is_forgotten() {
    run(async {
        let (backend, gate) = start("backend-many-changes").await;
        let mut workers = EveryWorker::of(&gate).await;
        let (revoked, kept) = (known(&backend, &mut workers, "revoked").await, known(&backend, &mut workers, "kept").await);
        let resolves = backend.resolves(&key("kept"));
        let changes = |count: usize| (0..count).map(|number| json!({"credential": {"id": format!("other-{number}"), "gone": true}}));
        // Three answers and a bit.
        backend.push(changes(800));
        backend.revoke(&key("revoked"));
        workers.until("the revocation", &revoked, |answer| answer.status == 401).await;
        workers.send(&kept).await.iter().for_each(Answer::assert_admitted);
        assert_eq!((backend.resolves(&key("kept")), backend.resolves(&key("revoked"))), (resolves, resolves));

        // More than workers keep for one another: they may forget, but they miss nothing.
        let late = known(&backend, &mut workers, "revoked-late").await;
        backend.push(changes(20_000));
        backend.revoke(&key("revoked-late"));
        workers.until("the late revocation", &late, |answer| answer.status == 401).await;
        workers.send(&kept).await.iter().for_each(Answer::assert_admitted);
        workers.send(&revoked).await.iter().for_each(|answer| answer.assert_denied(401, "invalid_key"));
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_feed_of_nonsense_is_asked_again_and_nothing_of_it_is_believed() {
    run(async {
        let (backend, gate) = start("backend-feed-faults").await;
        let mut workers = EveryWorker::of(&gate).await;
        let mut huge = json!({"wire": "tollgate-node/1", "revision": 0, "held_ms": 0}).to_string().into_bytes();
        huge.resize(300 * 1024, b' ');
        let claim = |revision: u64, changes: Value| {
            let text = json!({"wire": "tollgate-node/1", "revision": revision, "held_ms": 0, "changes": changes}).to_string();
            Fault::Body(text.into_bytes())
        };
        let gone = |revision: u64| json!({"revision": revision, "credential": {"id": "steady-1", "gone": true}});
        let far = 1_000_000;
        let faults = [
            ("internal error", Fault::Status(500)),
            ("not found", Fault::Status(404)),
            ("reset in the middle", Fault::Cut),
            ("no JSON", Fault::Body(b"oops".to_vec())),
            ("too large", Fault::Body(huge)),
            ("an older version", Fault::Wire("tollgate-node/0")),
            ("a newer version", Fault::Wire("tollgate-node/2")),
            ("another message", Fault::Body(br#"{"wire":"tollgate-node/1","sequence":1}"#.to_vec())),
            ("changes from before", claim(far, json!([gone(1)]))),
            ("changes out of order", claim(far, json!([gone(far), gone(far - 1)]))),
            ("changes twice", claim(far, json!([gone(far), gone(far)]))),
            ("changes beyond its revision", claim(far, json!([gone(far + 1)]))),
            ("more changes than may be", claim(far, (0..257).map(|number| gone(far - 1_000 + number)).collect())),
        ];
        let steady = known(&backend, &mut workers, "steady").await;
        let resolves = backend.resolves(&key("steady"));
        for (number, (fault, told)) in faults.into_iter().enumerate() {
            let revoked = format!("revoked-{number}");
            let call = known(&backend, &mut workers, &revoked).await;
            let polls = backend.count(Kind::Changes);
            backend.fail(Kind::Changes, told);
            until(&format!("the feed to be asked again after {fault}"), LIMIT, async || {
                workers.send(&steady).await.iter().for_each(Answer::assert_admitted);
                (backend.count(Kind::Changes) > polls + 2).then_some(())
            })
            .await;
            backend.revoke(&key(&revoked));
            backend.heal(Kind::Changes);
            workers.until(&format!("the feed to go on after {fault}"), &call, |answer| answer.status == 401).await;
        }
        workers.send(&steady).await.iter().for_each(Answer::assert_admitted);
        assert_eq!(backend.resolves(&key("steady")), resolves, "something was believed or forgotten");
        gate.assert_untrapped().await;
    });
}
