//! A ledger that forgot what it had answered: what it grants then, how that is noticed, and who ends it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tollgate_core::wire::{LeaseAsk, Settle};
use tollgate_server::failure::Failure;
use tollgate_server::ledger::{self, Reopen, Reopened};
use tollgate_server::store::{Store, StoreError};

use crate::leases::{again, ask, node, put, quota, restart, rows, settle, with_quota};
use crate::setup::*;

async fn reopen(backend: &Backend, consumer: Option<&str>) -> Result<u64, Failure> {
    let reopen = Reopen { consumer: consumer.map(str::to_owned) };
    committed!(backend, |write| ledger::reopen(write, &backend.store, &backend.admin, &reopen)).map(|Reopened { rows }| rows)
}

/// What an operator does after a restore, before the backend is started.
pub(crate) async fn freeze(backend: &mut Backend) {
    backend.store.close().await;
    ledger::freeze(backend.dir.path(), Arc::new(backend.clock.clone())).await.unwrap();
    backend.store = Store::open(backend.dir.path(), Arc::new(backend.clock.clone())).await.unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from.join("ledger.db"), to.join("ledger.db")).unwrap();
}

/// The ledger as it is now.
async fn backup(backend: &mut Backend) -> tempfile::TempDir {
    let backup = tempfile::tempdir().unwrap();
    backend.store.close().await;
    copy(backend.dir.path(), backup.path());
    restart(backend).await;
    backup
}

/// The backend goes on with the ledger of then, and nobody says so.
async fn restore(backend: &mut Backend, backup: &Path) {
    backend.store.close().await;
    copy(backup, backend.dir.path());
    restart(backend).await;
}

fn of(consumer: &str, ask: LeaseAsk) -> LeaseAsk {
    LeaseAsk { consumer: consumer.to_owned(), ..ask }
}

#[tokio::test]
async fn a_frozen_ledger_takes_back_and_grants_nothing_until_it_is_reopened() {
    let mut backend = with_quota().await;
    let first = settle(&backend, &node(1), ask(1, 1, 30)).await;
    freeze(&mut backend).await;
    let back = settle(&backend, &node(1), LeaseAsk { returned: 10, ..again(&first, 5) }).await;
    assert_eq!((back.granted, back.closed, back.limit, back.left), (0, false, 100, 0));
    assert!(back.retry_ms > 1_000, "nobody could return what is wanted: {back:?}");
    // A row that is not there may have been lost.
    backend.consumer("other").await;
    assert_eq!(settle(&backend, &node(2), of("other", ask(1, 1, 1))).await.granted, 0);
    restart(&mut backend).await;
    let listed: Vec<_> = rows(&backend, false).await.iter().map(|row| (row.charged, row.units, row.frozen)).collect();
    assert_eq!(listed, [(20, 100, true), (0, 100, true)]);
    // What was answered before is answered again.
    assert_eq!(settle(&backend, &node(1), again(&first, 5)).await.granted, 0);
    assert_eq!(reopen(&backend, None).await, Ok(2));
    assert_eq!(settle(&backend, &node(1), again(&back, 5)).await.granted, 5);
    assert_eq!(settle(&backend, &node(2), of("other", ask(2, 1, 100))).await.granted, 100);
    assert!(rows(&backend, false).await.iter().all(|row| !row.frozen));
    assert_eq!(reopen(&backend, None).await, Ok(0));
    let events: Vec<(String, String)> = sqlx::query_as("SELECT action, subject FROM events WHERE action LIKE 'ledger:%' ORDER BY rowid")
        .fetch_all(&backend.raw().await)
        .await
        .unwrap();
    assert_eq!(
        events,
        [("ledger:freeze", "all"), ("ledger:reopen", "all"), ("ledger:reopen", "all")].map(|(a, s)| (a.to_owned(), s.to_owned()))
    );
}

#[tokio::test]
async fn windows_that_begin_later_are_not_frozen() {
    let mut backend = with_quota().await;
    put(&backend, "free", &[quota("monthly", 100, "month"), quota("daily", 10, "day")]).await;
    freeze(&mut backend).await;
    let daily = |lease| LeaseAsk { limit: "daily".to_owned(), ..ask(lease, 1, 1) };
    assert_eq!(settle(&backend, &node(1), daily(1)).await.granted, 0);
    backend.clock.advance(Duration::from_secs(86_400));
    assert_eq!(settle(&backend, &node(1), daily(2)).await.granted, 1);
    assert_eq!(settle(&backend, &node(1), ask(3, 1, 1)).await.granted, 0);
}

#[tokio::test]
async fn one_consumer_is_reopened_and_the_others_stay_frozen() {
    let mut backend = with_quota().await;
    backend.consumer("other").await;
    freeze(&mut backend).await;
    assert_eq!(reopen(&backend, Some("acme")).await, Ok(0), "it has no row yet");
    assert_eq!(wrong(reopen(&backend, Some("nobody")).await), ["consumer"]);
    let asks = vec![of("other", ask(1, 1, 1)), ask(2, 1, 1)];
    let settled = ledger::settle(&backend.store, &node(1), &Settle { asks }).await.unwrap();
    assert_eq!(settled.answers.iter().map(|answer| answer.granted).collect::<Vec<_>>(), [0, 1]);
    let listed: Vec<_> = rows(&backend, false).await.into_iter().map(|row| (row.consumer, row.frozen)).collect();
    assert!(listed.contains(&("acme".to_owned(), false)) && listed.contains(&("other".to_owned(), true)), "{listed:?}");
    let bound = operator(Some("default"));
    let refused = committed!(backend, |write| ledger::reopen(write, &backend.store, &bound, &Reopen::default()));
    assert_eq!(refused, Err(Failure::Forbidden));
    // Another restore counts for all.
    freeze(&mut backend).await;
    assert_eq!(settle(&backend, &node(1), ask(3, 1, 1)).await.granted, 0);
}

#[tokio::test]
async fn a_ledger_that_was_restored_is_frozen_by_the_first_ask_that_shows_it() {
    let mut backend = with_quota().await;
    backend.consumer("other").await;
    let first = settle(&backend, &node(1), ask(1, 1, 10)).await;
    let backup = backup(&mut backend).await;
    // Of one lease it knows no further ask, of another one nothing.
    let grown = settle(&backend, &node(1), again(&first, 40)).await;
    let unknown = settle(&backend, &node(2), ask(1, 1, 40)).await;
    assert_eq!((grown.granted, unknown.granted), (40, 40));
    for (holder, told) in
        [(node(1), again(&grown, 5)), (node(2), again(&unknown, 5)), (node(2), LeaseAsk { close: true, ..again(&unknown, 0) })]
    {
        restore(&mut backend, backup.path()).await;
        // A new lease shows nothing, and neither does what is no later than it should be.
        assert_eq!(settle(&backend, &node(3), ask(1, 1, 1)).await.granted, 1);
        assert_eq!(settle(&backend, &node(1), LeaseAsk { close: true, ..again(&grown, 0) }).await.granted, 0);
        assert!(!rows(&backend, false).await[0].frozen);
        restore(&mut backend, backup.path()).await;
        assert_eq!(settle(&backend, &holder, told.clone()).await.granted, 0);
        for consumer in ["acme", "other"] {
            assert_eq!(settle(&backend, &node(4), of(consumer, ask(1, 1, 1))).await.granted, 0, "{consumer}");
        }
        assert_eq!(reopen(&backend, None).await, Ok(2));
        assert_eq!(settle(&backend, &node(4), of("other", ask(2, 1, 1))).await.granted, 1);
        // The same loss, of which somebody said already that it does not matter.
        assert_eq!(settle(&backend, &node(5), LeaseAsk { number: 3, ..told }).await.granted, 0);
        assert!(rows(&backend, false).await.iter().all(|row| !row.frozen));
    }
}

#[tokio::test]
async fn nothing_is_granted_together_with_an_ask_that_shows_a_loss() {
    let mut backend = with_quota().await;
    let backup = backup(&mut backend).await;
    let unknown = settle(&backend, &node(1), ask(1, 1, 60)).await;
    restore(&mut backend, backup.path()).await;
    let settled = ledger::settle(&backend.store, &node(1), &Settle { asks: vec![ask(2, 1, 50), again(&unknown, 1)] }).await.unwrap();
    assert_eq!(settled.answers.iter().map(|answer| (answer.granted, answer.closed)).collect::<Vec<_>>(), [(0, false), (0, true)]);
}

#[tokio::test]
async fn a_directory_that_is_served_or_has_no_store_is_not_frozen() {
    let backend = with_quota().await;
    let clock = || Arc::new(backend.clock.clone());
    let claim = Store::claim(backend.dir.path()).unwrap();
    assert_eq!(ledger::freeze(backend.dir.path(), clock()).await, Err(StoreError::Claimed));
    drop(claim);
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(ledger::freeze(empty.path(), clock()).await, Err(StoreError::Unavailable(_))));
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}
