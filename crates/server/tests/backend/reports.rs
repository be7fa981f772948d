//! Reports: each applied once, in whatever order and however often it comes.

use std::sync::Arc;

use tollgate_core::wire::{Acknowledged, Hello, MOST_USED, Report, Used};
use tollgate_server::failure::Failure;
use tollgate_server::nodes::{self, Incarnation, NewNodeCredential, Node};
use tollgate_server::page::Page;
use tollgate_server::reports;

use crate::setup::*;

async fn incarnation(backend: &Backend) -> Incarnation {
    let made = committed!(backend, |write| nodes::create_credential(write, &backend.secrets, &backend.admin, NewNodeCredential::default()))
        .unwrap();
    let hello = Hello { incarnation_secret: "0".repeat(32), node: String::new(), module: String::new() };
    let welcome = committed!(backend, |write| nodes::hello(write, &backend.secrets, &made.credential, &hello)).unwrap();
    nodes::authorize(&backend.store, &backend.secrets, &welcome.token).unwrap()
}

fn report(sequence: u64, used: &[(&str, i64)]) -> Report {
    let used = used.iter().map(|(credential, at)| Used { credential: (*credential).to_owned(), at_ms: u64::try_from(*at).unwrap() });
    Report { sequence, used: used.collect(), ..Report::default() }
}

async fn apply(backend: &Backend, incarnation: &Incarnation, report: &Report) -> Result<Acknowledged, Failure> {
    committed!(backend, |write| reports::apply(write, incarnation, report))
}

async fn node(backend: &Backend) -> Node {
    nodes::list(&backend.store, &backend.admin, &Page::default()).await.unwrap().items.remove(0)
}

async fn last_used(backend: &Backend, id: &str) -> Option<i64> {
    backend.get_key(id).await.last_used_at.map(|at| at.millis())
}

#[tokio::test]
async fn use_is_the_latest_reported_and_never_in_the_future() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let key = backend.key("acme").await.key;
    let incarnation = incarnation(&backend).await;
    let now = backend.now().millis();
    for (sequence, at, expected) in [(1, now - 5_000, now - 5_000), (2, now - 9_000, now - 5_000), (3, now + 60_000, now)] {
        assert_eq!(
            apply(&backend, &incarnation, &report(sequence, &[(&key.id, at)])).await,
            Ok(Acknowledged { sequence, ..Acknowledged::default() })
        );
        assert_eq!(last_used(&backend, &key.id).await, Some(expected));
    }
    assert_eq!(backend.get_key(&key.id).await.version, 1, "use is no change");
    assert_eq!(backend.revision().await, 0, "nor is it news");
    assert_eq!(
        apply(&backend, &incarnation, &report(4, &[("nobody", now)])).await,
        Ok(Acknowledged { sequence: 4, ..Acknowledged::default() })
    );
    assert_eq!((node(&backend).await.last_sequence, node(&backend).await.last_seen_at), (4, backend.now()));
}

#[tokio::test]
async fn a_repeated_report_is_acknowledged_and_changes_nothing() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let (first, second) = (backend.key("acme").await.key.id, backend.key("acme").await.key.id);
    let incarnation = incarnation(&backend).await;
    let now = backend.now().millis();
    apply(&backend, &incarnation, &report(1, &[(&first, now)])).await.unwrap();
    // A node repeats a report unchanged; another one under its number shows whether it is applied.
    assert_eq!(
        apply(&backend, &incarnation, &report(1, &[(&second, now)])).await,
        Ok(Acknowledged { sequence: 1, ..Acknowledged::default() })
    );
    assert_eq!((last_used(&backend, &first).await, last_used(&backend, &second).await), (Some(now), None));
}

#[tokio::test]
async fn reports_that_overtake_each_other_are_all_applied() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let incarnation = incarnation(&backend).await;
    let now = backend.now().millis();
    let mut ids = Vec::new();
    for sequence in [3, 1, 2, 1_026, 4] {
        let id = backend.key("acme").await.key.id;
        apply(&backend, &incarnation, &report(sequence, &[(&id, now)])).await.unwrap();
        ids.push(id);
    }
    for id in &ids {
        assert_eq!(last_used(&backend, id).await, Some(now));
    }
    // 1,024 numbers are told apart: 2 is now too old for that, and taken as applied.
    let late = backend.key("acme").await.key.id;
    assert_eq!(
        apply(&backend, &incarnation, &report(2, &[(&late, now)])).await,
        Ok(Acknowledged { sequence: 2, ..Acknowledged::default() })
    );
    assert_eq!(last_used(&backend, &late).await, None);
    assert_eq!(node(&backend).await.last_sequence, 1_026);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_comes_many_times_at_once_is_applied_once() {
    let backend = Arc::new(Backend::new().await);
    backend.consumer("acme").await;
    let incarnation = incarnation(&backend).await;
    let now = backend.now().millis();
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(backend.key("acme").await.key.id);
    }
    let all: Vec<_> = ids
        .iter()
        .map(|id| {
            let (backend, incarnation, report) = (Arc::clone(&backend), incarnation.clone(), report(1, &[(id, now)]));
            tokio::spawn(async move { apply(&backend, &incarnation, &report).await })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), Ok(Acknowledged { sequence: 1, ..Acknowledged::default() }));
    }
    let mut used = 0;
    for id in &ids {
        used += usize::from(last_used(&backend, id).await.is_some());
    }
    assert_eq!(used, 1);
}

#[tokio::test]
async fn a_report_that_is_not_committed_is_applied_when_it_comes_again() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let id = backend.key("acme").await.key.id;
    let incarnation = incarnation(&backend).await;
    let report = report(1, &[(&id, backend.now().millis())]);
    let mut write = backend.store.begin().await.unwrap();
    reports::apply(&mut write, &incarnation, &report).await.unwrap();
    drop(write);
    assert_eq!(last_used(&backend, &id).await, None);
    apply(&backend, &incarnation, &report).await.unwrap();
    assert_eq!(last_used(&backend, &id).await, Some(backend.now().millis()));
}

#[tokio::test]
async fn reports_that_cannot_be_are_refused() {
    let backend = Backend::new().await;
    let incarnation = incarnation(&backend).await;
    for sequence in [0, u64::MAX] {
        assert_eq!(wrong(apply(&backend, &incarnation, &report(sequence, &[])).await), ["sequence"]);
    }
    let many = vec![("k", 0); MOST_USED + 1];
    assert_eq!(wrong(apply(&backend, &incarnation, &report(1, &many)).await), ["used"]);
    assert!(apply(&backend, &incarnation, &report(1, &many[..MOST_USED])).await.is_ok());
    let unknown = Incarnation { incarnation: "unknown".to_owned(), ..incarnation };
    assert_eq!(apply(&backend, &unknown, &report(2, &[])).await, Err(Failure::NotFound));
}
