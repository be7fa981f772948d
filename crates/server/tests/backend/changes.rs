//! The change feed: complete, in the order of commits, heard of at once.

use std::sync::Arc;
use std::time::Duration;

use tollgate_core::wire::{Changes, LARGEST_ANSWER, MOST_CHANGES, encode};
use tollgate_server::api_keys::{self, NewApiKey, Reach};
use tollgate_server::changes::Known;
use tollgate_server::consumers::{self, ConsumerPatch};
use tollgate_server::store::Store;
use tollgate_server::tiers::{self, TierBody};
use tollgate_server::{changes, clock::Clock};

use crate::setup::*;

/// Longer than any test runs: a poll that ends sooner was woken.
const LONG: Duration = Duration::from_secs(20);

async fn revoke(backend: &Backend, id: &str) {
    committed!(backend, |write| api_keys::revoke(write, &backend.admin, Reach::All, id, None)).unwrap();
}

async fn key_ids(backend: &Backend, count: usize) -> Vec<String> {
    backend.consumer("acme").await;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(backend.key("acme").await.key.id);
    }
    ids
}

fn credentials(changes: &Changes) -> Vec<&str> {
    changes.changes.iter().map(|change| change.credential.as_ref().unwrap().id.as_str()).collect()
}

#[tokio::test]
async fn without_a_revision_it_answers_where_the_feed_is() {
    let backend = Backend::new().await;
    let ids = key_ids(&backend, 1).await;
    assert_eq!(backend.revision().await, 0);
    revoke(&backend, &ids[0]).await;
    let answer = changes::after(&backend.store, None, LONG).await.unwrap();
    assert_eq!((answer.revision, answer.changes.len(), answer.reset), (1, 0, false));
}

/// A backup that is restored counts on from where it was: the same numbers then mean something else.
#[tokio::test]
async fn a_revision_of_another_history_is_not_taken_for_one_of_this() {
    let backend = Backend::new().await;
    let ids = key_ids(&backend, 2).await;
    let origin = changes::after(&backend.store, None, Duration::ZERO).await.unwrap();
    let restored = tempfile::tempdir().unwrap();
    backend.store.close().await;
    std::fs::copy(backend.dir.path().join("tollgate.db"), restored.path().join("tollgate.db")).unwrap();
    let mut marks = Vec::new();
    for (dir, id) in [(backend.dir.path(), &ids[0]), (restored.path(), &ids[1])] {
        let store = Store::open(dir, Arc::new(backend.clock.clone())).await.unwrap();
        let mut write = store.begin().await.unwrap();
        api_keys::revoke(&mut write, &backend.admin, Reach::All, id, None).await.unwrap();
        write.commit().await.unwrap();
        let after = async |revision, mark| {
            let known = Known { revision, mark: Some(mark) };
            changes::after(&store, Some(known), Duration::ZERO).await.unwrap()
        };
        let told = after(0, origin.mark).await;
        assert_eq!((credentials(&told), told.revision, told.reset), (vec![id.as_str()], 1, false));
        let own = after(1, told.mark).await;
        assert_eq!((own.revision, own.mark, own.reset), (1, told.mark, false));
        for other in &marks {
            let reset = after(1, *other).await;
            assert_eq!((reset.revision, reset.mark, reset.reset), (1, told.mark, true), "{other}");
        }
        marks.push(told.mark);
    }
    let fresh = Backend::new().await;
    let known = Known { revision: 0, mark: Some(origin.mark) };
    assert!(changes::after(&fresh.store, Some(known), LONG).await.unwrap().reset, "another database is another history from the start");
}

#[tokio::test]
async fn revocations_come_in_the_order_they_were_committed() {
    let backend = Backend::new().await;
    let ids = key_ids(&backend, 5).await;
    for id in ids.iter().rev() {
        revoke(&backend, id).await;
    }
    let answer = backend.changes(0).await;
    assert_eq!(credentials(&answer), ids.iter().rev().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(answer.changes.iter().map(|change| change.revision).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!((answer.revision, backend.changes(3).await.changes.len()), (5, 2));
}

#[tokio::test]
async fn what_is_rolled_back_is_never_told_and_leaves_no_gap() {
    let backend = Backend::new().await;
    let ids = key_ids(&backend, 2).await;
    let mut write = backend.store.begin().await.unwrap();
    api_keys::revoke(&mut write, &backend.admin, Reach::All, &ids[0], None).await.unwrap();
    drop(write);
    revoke(&backend, &ids[1]).await;
    let answer = backend.changes(0).await;
    assert_eq!((credentials(&answer), answer.revision), (vec![ids[1].as_str()], 1));
    assert_eq!(backend.get_key(&ids[0]).await.revoked_at, None);
}

#[tokio::test]
async fn a_poll_waits_until_something_is_committed() {
    let backend = Backend::new().await;
    let ids = key_ids(&backend, 1).await;
    let store = backend.store.clone();
    let poll = tokio::spawn(async move { changes::after(&store, Some(0.into()), LONG).await.unwrap() });
    let mut write = backend.store.begin().await.unwrap();
    api_keys::revoke(&mut write, &backend.admin, Reach::All, &ids[0], None).await.unwrap();
    assert!(!poll.is_finished());
    write.commit().await.unwrap();
    assert_eq!(credentials(&poll.await.unwrap()), [ids[0].as_str()]);
}

#[tokio::test]
async fn a_poll_without_news_is_held_for_its_time_and_complete_at_the_end() {
    let backend = Backend::new().await;
    let wait = Duration::from_millis(30);
    let answer = changes::after(&backend.store, Some(0.into()), wait).await.unwrap();
    assert_eq!((answer.revision, answer.changes.len(), answer.reset), (0, 0, false));
    assert!((30..5_000).contains(&answer.held_ms), "{}", answer.held_ms);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_is_lost_however_polls_and_commits_interleave() {
    let backend = Arc::new(Backend::new().await);
    let ids = key_ids(&backend, 200).await;
    let pollers: Vec<_> = (0..4)
        .map(|_| {
            let (backend, last) = (Arc::clone(&backend), ids.len() as u64);
            tokio::spawn(async move {
                let (mut seen, mut held) = (0, Duration::ZERO);
                while seen < last {
                    let answer = changes::after(&backend.store, Some(seen.into()), LONG).await.unwrap();
                    assert!(answer.revision > seen && !answer.reset, "woken for nothing, or not at all");
                    (seen, held) = (answer.revision, held + Duration::from_millis(answer.held_ms));
                }
                held
            })
        })
        .collect();
    for id in &ids {
        revoke(&backend, id).await;
    }
    for poller in pollers {
        assert!(poller.await.unwrap() < LONG, "a poll was not woken");
    }
}

#[tokio::test]
async fn a_commit_whose_caller_goes_away_wakes_pollers_all_the_same() {
    let backend = Backend::new().await;
    let ids = key_ids(&backend, 1).await;
    let store = backend.store.clone();
    let poll = tokio::spawn(async move { changes::after(&store, Some(0.into()), LONG).await.unwrap() });
    let mut write = backend.store.begin().await.unwrap();
    api_keys::revoke(&mut write, &backend.admin, Reach::All, &ids[0], None).await.unwrap();
    // Polled once, so that it has begun, and dropped.
    let mut commit = Box::pin(write.commit());
    assert!(std::future::poll_fn(|context| std::task::Poll::Ready(commit.as_mut().poll(context).is_pending())).await);
    drop(commit);
    assert_eq!(credentials(&poll.await.unwrap()), [ids[0].as_str()]);
}

#[tokio::test]
async fn a_long_way_is_walked_in_parts_that_fit_together() {
    let backend = Backend::new().await;
    let ids = key_ids(&backend, MOST_CHANGES + 10).await;
    let mut write = backend.store.begin().await.unwrap();
    for id in &ids {
        api_keys::revoke(&mut write, &backend.admin, Reach::All, id, None).await.unwrap();
    }
    write.commit().await.unwrap();
    let first = changes::after(&backend.store, Some(0.into()), LONG).await.unwrap();
    assert_eq!((first.changes.len(), first.revision, first.more), (MOST_CHANGES, MOST_CHANGES as u64, true));
    let second = changes::after(&backend.store, Some(first.revision.into()), LONG).await.unwrap();
    assert!(!second.more);
    assert_eq!([credentials(&first), credentials(&second)].concat(), ids.iter().map(String::as_str).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_answer_full_of_large_tiers_stays_within_its_size() {
    let backend = Backend::new().await;
    let limit = |rate: usize| {
        let routes: Vec<String> = (0..400).map(|number| format!("{number:064}")).collect();
        serde_json::json!([{"name": "l", "algorithm": "token_bucket", "rate": rate, "per": "1s", "routes": routes}])
    };
    for rate in 1..=20 {
        let body: TierBody = serde_json::from_value(serde_json::json!({"limits": limit(rate)})).unwrap();
        committed!(backend, |write| tiers::put(write, &backend.admin, "pro", None, body)).unwrap();
    }
    let (mut seen, mut answers) = (0, 0);
    while seen < 20 {
        let answer = backend.changes(seen).await;
        assert!(encode(&answer).unwrap().len() <= LARGEST_ANSWER);
        assert!(answer.revision > seen);
        assert_eq!(answer.more, answer.revision < 20);
        (seen, answers) = (answer.revision, answers + 1);
    }
    assert_eq!((seen, answers), (20, 3), "27 KB each, nine to an answer");
}

#[tokio::test]
async fn a_revision_of_the_future_or_of_the_distant_past_resets_a_node() {
    let backend = Backend::new().await;
    let id = backend.consumer("acme").await.id;
    let toggle = async |count: u64| {
        let mut write = backend.store.begin().await.unwrap();
        for number in 0..count {
            let patch = ConsumerPatch { disabled: Some(number % 2 == 0), ..Default::default() };
            consumers::update(&mut write, &backend.admin, &id, None, patch).await.unwrap();
        }
        write.commit().await.unwrap();
    };
    toggle(10).await;
    let future = changes::after(&backend.store, Some(11.into()), LONG).await.unwrap();
    assert_eq!((future.reset, future.revision, future.changes.len()), (true, 10, 0));
    assert!(!backend.changes(0).await.reset);
    // As if very many more had followed.
    backend.forget_changes(4).await;
    let past = changes::after(&backend.store, Some(3.into()), LONG).await.unwrap();
    assert_eq!((past.reset, past.revision, past.changes.len()), (true, 10, 0));
    let known = backend.changes(4).await;
    assert_eq!((known.reset, known.changes.len()), (false, 6));
}

#[tokio::test]
async fn expired_keys_are_told_of_once_and_those_that_go_on_are_not() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let mut ids = Vec::new();
    for seconds in [10, 20, 20, 30] {
        let new = NewApiKey { expires_at: Some(backend.now().after(seconds * SECOND)), ..new_key("acme") };
        ids.push(committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, new)).unwrap().key.id);
    }
    revoke(&backend, &ids[1]).await;
    backend.key("acme").await;
    let expire = async || committed!(backend, |write| changes::expire(write)).unwrap();
    assert_eq!(changes::next_expiry(&backend.store).await.unwrap(), Some(backend.now().after(10 * SECOND)));
    assert_eq!(expire().await, 0);
    backend.clock.advance(20 * SECOND);
    assert_eq!((expire().await, expire().await), (2, 0));
    let answer = backend.changes(1).await;
    assert_eq!(credentials(&answer), [ids[0].as_str(), ids[2].as_str()]);
    assert!(answer.changes.iter().all(|change| change.credential.as_ref().unwrap().gone));
    assert_eq!(changes::next_expiry(&backend.store).await.unwrap(), Some(backend.clock.now().after(10 * SECOND)));
    backend.clock.advance(10 * SECOND);
    assert_eq!(expire().await, 1);
    assert_eq!(changes::next_expiry(&backend.store).await.unwrap(), None);
}

#[tokio::test]
async fn a_new_end_of_a_key_is_told_of_when_it_comes() {
    let backend = Backend::new().await;
    let id = key_ids(&backend, 1).await.remove(0);
    for end in [60, 10] {
        let patch = api_keys::ApiKeyPatch { expires_at: Some(Some(backend.now().after(end * SECOND))), ..Default::default() };
        committed!(backend, |write| api_keys::update(write, &backend.store, &backend.admin, &id, None, patch)).unwrap();
    }
    backend.clock.advance(10 * SECOND);
    assert_eq!(committed!(backend, |write| changes::expire(write)).unwrap(), 1);
}
