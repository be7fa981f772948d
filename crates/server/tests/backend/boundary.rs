//! Units of the window that follows, which are granted shortly before it begins.

use std::time::Duration;

use tollgate_core::ledger::AHEAD;
use tollgate_core::wire::{LeaseAnswer, LeaseAsk, Settle};
use tollgate_server::ledger;

use crate::frozen::freeze;
use crate::leases::{again, ask, node, put, quota, restart, rows, settle, with_quota};
use crate::ledger::{FORCE, credential, hello, release};
use crate::setup::*;

/// From the test's first moment to the end of January.
const MONTH: Duration = Duration::from_secs(18 * 86_400);

fn ahead(lease: u64, of: &LeaseAnswer, units: u64) -> LeaseAsk {
    LeaseAsk { after: of.window, ..ask(lease, 1, units) }
}

/// Five seconds before January ends, of which a node was granted 60 units.
async fn shortly_before() -> (Backend, LeaseAnswer) {
    let backend = with_quota().await;
    let january = settle(&backend, &node(1), ask(1, 1, 60)).await;
    backend.clock.advance(MONTH - Duration::from_secs(5));
    (backend, january)
}

/// What is charged in January and February.
async fn charged(backend: &Backend) -> Vec<u64> {
    rows(backend, true).await.into_iter().map(|row| row.charged).collect()
}

#[tokio::test]
async fn shortly_before_a_month_begins_its_units_are_granted_and_charged_to_it() {
    let mut backend = with_quota().await;
    let january = settle(&backend, &node(1), ask(1, 1, 60)).await;
    backend.clock.advance(MONTH - Duration::from_millis(AHEAD + 1));
    assert!(settle(&backend, &node(1), ahead(2, &january, 30)).await.closed, "too early");
    assert_eq!(charged(&backend).await, [60]);
    backend.clock.advance(Duration::from_millis(1));
    let february = settle(&backend, &node(1), ahead(3, &january, 30)).await;
    assert_eq!((february.granted, february.left, february.window), (30, 70, january.window + 31 * 86_400_000));
    assert_eq!((february.opens_in_ms, february.full_in_ms), (AHEAD, AHEAD + 28 * 86_400_000));
    // January goes on meanwhile.
    let more = settle(&backend, &node(1), again(&january, 40)).await;
    assert_eq!((more.granted, more.window), (40, january.window));
    assert_eq!(charged(&backend).await, [100, 30]);
    restart(&mut backend).await;
    assert_eq!(settle(&backend, &node(1), ahead(3, &january, 30)).await, february, "the same answer");
    backend.clock.advance(Duration::from_millis(AHEAD));
    let late = settle(&backend, &node(1), ahead(3, &january, 30)).await;
    assert_eq!((late.granted, late.opens_in_ms, late.window), (30, 0, february.window), "and after it has begun");
    assert_eq!(settle(&backend, &node(2), ask(1, 1, 70)).await.granted, 70);
    assert_eq!(charged(&backend).await, [100, 100]);
}

#[tokio::test]
async fn what_was_granted_ahead_comes_back_before_and_after() {
    let (backend, january) = shortly_before().await;
    let some = settle(&backend, &node(1), ahead(2, &january, 10)).await;
    let others = settle(&backend, &node(1), ahead(3, &january, 20)).await;
    let returned = LeaseAsk { returned: 10, close: true, ..again(&some, 0) };
    assert!(settle(&backend, &node(1), returned).await.closed);
    assert_eq!(charged(&backend).await, [60, 20]);
    backend.clock.advance(Duration::from_secs(5));
    assert!(settle(&backend, &node(1), LeaseAsk { returned: 15, close: true, ..again(&others, 0) }).await.closed);
    assert_eq!(charged(&backend).await, [60, 5]);
}

#[tokio::test]
async fn both_windows_are_asked_from_in_one_message_and_limits_hold_in_each() {
    let (backend, january) = shortly_before().await;
    put(&backend, "free", &[quota("monthly", 80, "month")]).await;
    let asks = vec![ahead(2, &january, 50), again(&january, 20), ahead(3, &january, 40), ahead(4, &january, 30), again(&january, 20)];
    let answers = ledger::settle(&backend.store, &node(1), &Settle { asks }).await.unwrap().answers;
    assert_eq!(answers.iter().map(|answer| answer.granted).collect::<Vec<_>>(), [50, 20, 0, 30, 20]);
    assert_eq!(charged(&backend).await, [80, 80]);
}

#[tokio::test]
async fn a_released_node_gives_back_what_it_had_of_both_windows() {
    let backend = with_quota().await;
    let lost = hello(&backend, &credential(&backend).await, "edge", 1).await;
    let january = settle(&backend, &lost, ask(1, 1, 60)).await;
    backend.clock.advance(MONTH - Duration::from_secs(5));
    settle(&backend, &lost, ahead(2, &january, 50)).await;
    release(&backend, &lost.incarnation, &FORCE).await.unwrap();
    assert_eq!(charged(&backend).await, [0, 0]);
}

#[tokio::test]
async fn a_clock_that_is_put_back_takes_no_window_back_and_begins_none() {
    let (mut backend, january) = shortly_before().await;
    let february = settle(&backend, &node(1), ahead(2, &january, 10)).await.window;
    let put_back = |backend: &Backend, seconds| backend.clock.set(backend.now().before(Duration::from_secs(seconds)));
    put_back(&backend, 20);
    assert_eq!(settle(&backend, &node(2), ask(1, 1, 10)).await.window, january.window, "february was never in force");
    backend.clock.advance(Duration::from_secs(25));
    assert_eq!(settle(&backend, &node(2), ask(2, 1, 10)).await.window, february);
    for seconds in [1, 20] {
        put_back(&backend, seconds);
        restart(&mut backend).await;
        assert_eq!(settle(&backend, &node(3), ask(seconds, 1, 10)).await.window, february, "it was in force");
    }
    assert_eq!(charged(&backend).await, [70, 40]);
}

/// A node that lies about a window far ahead would else take its consumers there.
#[tokio::test]
async fn no_window_is_made_long_before_it_begins() {
    let backend = with_quota().await;
    let january = settle(&backend, &node(1), ask(1, 1, 60)).await;
    let february = LeaseAnswer { window: january.window + 31 * 86_400_000, lease: 2, ..january };
    assert!(settle(&backend, &node(1), again(&february, 10)).await.closed);
    assert_eq!(charged(&backend).await, [60]);
    assert_eq!(settle(&backend, &node(2), ask(1, 1, 40)).await.window, january.window);
}

#[tokio::test]
async fn a_frozen_ledger_grants_nothing_of_a_window_that_may_have_been_granted_ahead() {
    let (mut backend, january) = shortly_before().await;
    freeze(&mut backend).await;
    assert_eq!(settle(&backend, &node(1), ahead(2, &january, 1)).await.granted, 0);
    backend.clock.advance(Duration::from_secs(5));
    assert_eq!(settle(&backend, &node(2), ask(1, 1, 1)).await.granted, 0);
    assert!(rows(&backend, false).await.iter().all(|row| row.frozen));
}
