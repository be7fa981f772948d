//! A backend that is not there: what was known goes on for as long as it may, and everything comes back by itself.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tollgate_tests::plugin::{self, ACME, consumer, key, tier};
use tollgate_tests::{Answer, Call, EveryWorker, FakeBackend, Fault, Gate, Http, Kind, Setup, run, until};

use super::backend_shared::open;

const LIMIT: Duration = Duration::from_secs(20);
/// The shortest that can be configured.
const MAX_STALENESS: Duration = Duration::from_secs(1);

fn plugin(settings: Value) -> Value {
    let mut all = json!({"timeout": "400ms", "max_staleness": "1s", "unknown_per_address": 1_000_000});
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    json!({
        "backend": plugin::backend(&all),
        "tiers": [tier("open", &[])],
        "consumers": [consumer("acme", "open", ACME)],
    })
}

fn assert_unavailable(answer: &Answer) {
    answer.assert_denied(503, "unavailable");
    assert_eq!(answer.number("retry-after"), 1);
}

async fn assert_configured_admitted(gate: &Gate) {
    for http in Http::BOTH {
        Call::get("/a").bearer(ACME).send(gate, http).await.assert_admitted();
    }
}

/// How often the filter has said something since its log had this length.
fn lines_since(gate: &Gate, length: usize) -> Vec<String> {
    gate.log()[length..].lines().filter(|line| line.contains("tollgate:")).map(str::to_owned).collect()
}

#[test]
fn a_backend_that_goes_away_is_missed_only_after_the_time_it_may_be() {
    run(async {
        let backend = FakeBackend::start();
        let gate = Setup::new("backend-outage", &plugin(json!({}))).backend(&backend).start().await;
        backend.until_followed(&gate).await;
        let mut workers = EveryWorker::of(&gate).await;
        let (call, logged) = (Call::get("/a").bearer(&key("faithful")), gate.log().len());
        backend.give(&key("faithful"), "faithful", &open());
        workers.send(&call).await.iter().for_each(Answer::assert_admitted);
        for round in 0..2 {
            let down = Instant::now();
            backend.down();
            assert_unavailable(&Call::get("/a").bearer(&format!("unheard-{round}")).send(&gate, Http::One).await);
            let mut last_admitted = down;
            workers
                .until("what is known to be too old", &call, |answer| {
                    match answer.status.as_u16() {
                        200 => last_admitted = Instant::now(),
                        _ => assert_unavailable(answer),
                    }
                    answer.status == 503
                })
                .await;
            let (first, last) = (last_admitted - down, down.elapsed());
            println!("known keys went on for {first:?}, all were refused after {last:?}");
            // A poll is held for a third of the time; whatever was heard before it counts from its beginning at worst.
            assert!(first >= MAX_STALENESS / 2, "refused after {first:?}");
            assert!(last_admitted - down <= MAX_STALENESS + Duration::from_millis(100), "believed for {first:?}");
            assert_configured_admitted(&gate).await;
            backend.up();
            workers
                .until("the gate to come back by itself", &call, |answer| {
                    if !answer.reached_upstream() {
                        assert_unavailable(answer);
                    }
                    answer.reached_upstream()
                })
                .await;
            backend.until_followed(&gate).await;
        }
        // One line of the beginning and one of the end, from each worker and the main thread, for each outage and each way to fail.
        let lines = lines_since(&gate, logged);
        assert!((2..=24).contains(&lines.len()), "{lines:#?}");
        gate.assert_untrapped().await;
    });
}

#[test]
fn without_its_feed_a_key_is_asked_about_as_often_as_it_must() {
    run(async {
        let backend = FakeBackend::start();
        let gate = Setup::new("backend-no-feed", &plugin(json!({}))).backend(&backend).start().await;
        backend.until_followed(&gate).await;
        let mut workers = EveryWorker::of(&gate).await;
        let (kept, revoked) = (Call::get("/a").bearer(&key("kept")), Call::get("/a").bearer(&key("revoked")));
        for consumer in ["kept", "revoked"] {
            backend.give(&key(consumer), consumer, &open());
        }
        for call in [&kept, &revoked] {
            workers.send(call).await.iter().for_each(Answer::assert_admitted);
        }
        for fault in [Fault::Status(500), Fault::Hold] {
            let before = backend.resolves(&key("kept"));
            let began = Instant::now();
            backend.fail(Kind::Changes, fault);
            until("both workers to ask three times more", LIMIT, async || {
                workers.send(&kept).await.iter().for_each(Answer::assert_admitted);
                (backend.resolves(&key("kept")) >= before + 6).then_some(())
            })
            .await;
            // Each worker asks once in the time that what it heard is believed, not at every request.
            let most = 2 * (usize::try_from(began.elapsed().as_millis() / MAX_STALENESS.as_millis()).unwrap() + 1);
            assert!(backend.resolves(&key("kept")) - before <= most, "{} of {most}", backend.resolves(&key("kept")) - before);
            backend.heal(Kind::Changes);
            backend.until_followed(&gate).await;
        }
        backend.fail(Kind::Changes, Fault::Status(500));
        let revocation = backend.revoke(&key("revoked"));
        workers.until("the revocation to be found out", &revoked, |answer| answer.status == 401).await;
        assert!(revocation.elapsed() < 2 * MAX_STALENESS, "{:?}", revocation.elapsed());
    });
}

#[test]
fn a_backend_that_is_not_there_at_first_is_found_when_it_comes() {
    run(async {
        let backend = FakeBackend::start_down();
        let gate = Setup::new("backend-late", &plugin(json!({}))).backend(&backend).start().await;
        backend.give(&key("early"), "early", &open());
        for http in Http::BOTH {
            let asked = Instant::now();
            assert_unavailable(&Call::get("/a").bearer(&key("early")).send(&gate, http).await);
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        }
        assert_configured_admitted(&gate).await;
        backend.up();
        let mut workers = EveryWorker::of(&gate).await;
        workers.until("the backend to be found", &Call::get("/a").bearer(&key("early")), Answer::reached_upstream).await;
        backend.until_followed(&gate).await;
        gate.assert_untrapped().await;
    });
}

#[test]
fn hellos_that_fail_are_said_again() {
    run(async {
        let backend = FakeBackend::start();
        backend.give(&key("patient"), "patient", &open());
        let gate = Setup::new("backend-hellos", &plugin(json!({}))).backend(&backend).start().await;
        backend.until_followed(&gate).await;
        let body = |text: &str| Fault::Body(text.as_bytes().to_vec());
        let long = json!({"wire": "tollgate-node/1", "token": "x".repeat(513), "expires_in_ms": 60_000}).to_string();
        let faults = [
            Fault::Status(500),
            Fault::Cut,
            Fault::Wire("tollgate-node/2"),
            body("{}"),
            body(&long),
            body(r#"{"wire":"tollgate-node/1","token":"two words","expires_in_ms":60000}"#),
            body(r#"{"wire":"tollgate-node/1","token":"","expires_in_ms":60000}"#),
        ];
        for (number, fault) in faults.into_iter().enumerate() {
            let shown = format!("{fault:?}");
            let before = backend.count(Kind::Hello);
            backend.fail(Kind::Hello, fault);
            backend.refuse_tokens();
            backend.push([json!({"credential": {"id": "nobodys"}})]);
            until(&format!("another hello after {shown}"), LIMIT, async || (backend.count(Kind::Hello) > before + 1).then_some(())).await;
            assert_unavailable(&Call::get("/a").bearer(&format!("unheard-{number}")).send(&gate, Http::One).await);
            assert_configured_admitted(&gate).await;
            backend.heal(Kind::Hello);
            let call = Call::get("/a").bearer(&format!("heard-{number}"));
            EveryWorker::of(&gate).await.until("an answer", &call, |answer| answer.status == 401).await;
        }
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_wrong_credential_is_named_once_by_each_worker_and_hurts_only_the_backends_keys() {
    run(async {
        let backend: Arc<FakeBackend> = FakeBackend::start();
        let setup = Setup::new("backend-credential", &plugin(json!({}))).backend(&backend);
        let gate = setup.secret("TOLLGATE_NODE_CREDENTIAL", "tgn_SomebodyElses").start().await;
        backend.give(&key("locked-out"), "locked-out", &open());
        until("several hellos", LIMIT, async || (backend.count(Kind::Hello) >= 4).then_some(())).await;
        assert!(backend.received(Kind::Hello).iter().all(|hello| hello.authorization == "Bearer tgn_SomebodyElses"));
        for http in Http::BOTH {
            assert_unavailable(&Call::get("/a").bearer(&key("locked-out")).send(&gate, http).await);
        }
        assert_configured_admitted(&gate).await;
        let lines = lines_since(&gate, 0);
        // The main thread and two workers; each has its turn to try.
        assert!((1..=3).contains(&lines.len()), "{lines:#?}");
        assert!(lines.iter().all(|line| line.contains("does not accept what this node authorizes itself with")), "{lines:?}");
        assert!(!gate.log().contains("SomebodyElses"));
        assert_eq!(backend.count(Kind::Resolve), 0, "asked without a token");
    });
}
