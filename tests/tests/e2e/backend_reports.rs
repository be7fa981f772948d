//! What a node tells the backend: which credentials were used, each once, in reports that are neither lost nor changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tollgate_core::wire::{self, Report};
use tollgate_tests::plugin::{self, ACME, consumer, key, tier};
use tollgate_tests::{Answer, Call, EveryWorker, FakeBackend, Fault, Gate, Http, Kind, Setup, run, until};

use super::backend_shared::{WORKERS, open};

const LIMIT: Duration = Duration::from_secs(20);

fn setup(name: &str, backend: &FakeBackend) -> Setup {
    let plugin = json!({
        "backend": plugin::backend(&json!({"unknown_per_address": 1_000_000})),
        "tiers": [tier("open", &[])],
        "consumers": [consumer("acme", "open", ACME)],
    });
    Setup::new(name, &plugin).backend(backend)
}

#[expect(clippy::disallowed_methods, reason = "the filter's clock is held to this one")]
fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// The reports as they came, those sent again too.
fn reports(backend: &FakeBackend) -> Vec<Report> {
    backend.received(Kind::Report).iter().map(|report| wire::decode(&report.body).unwrap()).collect()
}

/// How often each credential was reported as used.
fn used(backend: &FakeBackend) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for used in reports(backend).into_iter().flat_map(|report| report.used) {
        *times.entry(used.credential).or_default() += 1;
    }
    times
}

async fn until_used(backend: &FakeBackend, credential: &str) {
    until(&format!("the use of {credential}"), LIMIT, async || used(backend).contains_key(credential).then_some(())).await;
}

async fn use_once(gate: &Gate, backend: &FakeBackend, consumer: &str) {
    backend.give(&key(consumer), consumer, &open());
    Call::get("/a").bearer(&key(consumer)).send(gate, Http::Two).await.assert_admitted();
}

#[test]
fn each_use_is_reported_once_a_worker_and_minute() {
    run(async {
        let backend = FakeBackend::start();
        let gate = setup("backend-reports", &backend).start().await;
        backend.until_followed(&gate).await;
        let (began, mut workers) = (now_ms(), EveryWorker::of(&gate).await);
        let names = ["one", "two", "three"];
        for consumer in names {
            backend.give(&key(consumer), consumer, &open());
        }
        for turn in 0..3 {
            for consumer in names {
                workers.send(&Call::get("/a").bearer(&key(consumer))).await.iter().for_each(Answer::assert_admitted);
            }
            // The next turn comes after a report: it is not told of again.
            until_used(&backend, ["one-1", "two-1", "three-1"][turn]).await;
        }
        workers.send(&Call::get("/a").bearer(ACME)).await.iter().for_each(Answer::assert_admitted);
        Call::get("/a").bearer("stranger").send(&gate, Http::One).await.assert_denied(401, "invalid_key");
        use_once(&gate, &backend, "last").await;
        until_used(&backend, "last-1").await;
        let used = used(&backend);
        let known: BTreeSet<&str> = used.keys().map(String::as_str).filter(|id| !id.starts_with("follower")).collect();
        assert_eq!(known, BTreeSet::from(["last-1", "one-1", "three-1", "two-1"]));
        assert!(used.values().all(|times| (1..=WORKERS).contains(times)), "{used:?}");

        let received = backend.received(Kind::Report);
        let hellos = backend.hellos();
        assert!(received.iter().all(|report| report.incarnation == hellos[0].incarnation()), "{received:?}");
        let reports = reports(&backend);
        let sequences: Vec<u64> = reports.iter().map(|report| report.sequence).collect();
        assert_eq!(sequences, (1..=reports.len() as u64).collect::<Vec<_>>());
        let at = reports.iter().flat_map(|report| &report.used).filter(|used| known.contains(&*used.credential)).map(|used| used.at_ms);
        // The offset between the clocks is compared once a second.
        at.for_each(|at| assert!((began - 1_000..=now_ms() + 1_000).contains(&at), "{at}"));
    });
}

#[test]
fn a_report_is_sent_again_unchanged_until_it_is_acknowledged() {
    run(async {
        let backend = FakeBackend::start();
        let gate = setup("backend-lost-reports", &backend).start().await;
        for (round, fault) in
            [Fault::Cut, Fault::Status(500), Fault::Body(br#"{"wire":"tollgate-node/1","sequence":99}"#.to_vec())].into_iter().enumerate()
        {
            let (first, second) = (format!("first-{round}"), format!("second-{round}"));
            let before = backend.received(Kind::Report).len();
            backend.fail(Kind::Report, fault);
            use_once(&gate, &backend, &first).await;
            until_used(&backend, &format!("{first}-1")).await;
            // What is used meanwhile waits for the next report.
            use_once(&gate, &backend, &second).await;
            let again = backend.received(Kind::Report).len() + 2;
            until("it to be sent again", LIMIT, async || (backend.received(Kind::Report).len() >= again).then_some(())).await;
            let sent = backend.received(Kind::Report)[before..].to_vec();
            assert!(sent.iter().all(|report| report.body == sent[0].body), "{sent:?}");
            assert!(!used(&backend).contains_key(&format!("{second}-1")));
            backend.heal(Kind::Report);
            until_used(&backend, &format!("{second}-1")).await;
            let sequences: BTreeSet<u64> = reports(&backend)[before..].iter().map(|report| report.sequence).collect();
            let frozen = reports(&backend)[before].sequence;
            assert_eq!(sequences, BTreeSet::from([frozen, frozen + 1]));
        }
    });
}

#[test]
fn a_report_that_is_rejected_holds_up_no_other() {
    run(async {
        let backend = FakeBackend::start();
        let gate = setup("backend-rejected-reports", &backend).workers(1).start().await;
        backend.fail(Kind::Report, Fault::Status(400));
        use_once(&gate, &backend, "rejected").await;
        until_used(&backend, "rejected-1").await;
        backend.heal(Kind::Report);
        use_once(&gate, &backend, "taken").await;
        until_used(&backend, "taken-1").await;
        let sequences: Vec<u64> = reports(&backend).iter().map(|report| report.sequence).collect();
        assert_eq!(sequences, [1, 2], "a rejected report was sent again");
    });
}

#[test]
fn a_report_that_keeps_failing_is_told_of_in_the_log_once() {
    run(async {
        let backend = FakeBackend::start();
        let gate = setup("backend-log", &backend).start().await;
        backend.fail(Kind::Report, Fault::Status(500));
        use_once(&gate, &backend, "busy").await;
        let mut asked = 0;
        until("several reports to fail", LIMIT, async || {
            // Meanwhile other calls succeed.
            let answer = Call::get("/a").bearer(&format!("stranger-{asked}")).send(&gate, Http::One).await;
            answer.assert_denied(401, "invalid_key");
            asked += 1;
            backend.push([json!({"credential": {"id": "nobodys"}})]);
            (backend.count(Kind::Report) >= 5).then_some(())
        })
        .await;
        let lines: Vec<_> = gate.log().lines().filter(|line| line.contains("tollgate:")).map(str::to_owned).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
    });
}
