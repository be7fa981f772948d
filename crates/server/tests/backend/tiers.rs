//! Tiers: made, put, deleted; and what nodes hear of it.

use tollgate_core::config::document::Limit;
use tollgate_core::wire::LeaseAsk;
use tollgate_server::consumers;
use tollgate_server::failure::Failure;
use tollgate_server::page::Page;
use tollgate_server::tiers::{self, NewTier, TierBody};

use crate::leases::{ask, node, settle};
use crate::setup::*;

fn limit(rate: u64) -> serde_json::Value {
    serde_json::json!({"name": "per-second", "algorithm": "token_bucket", "rate": rate, "per": "1s"})
}

fn body(limits: &[serde_json::Value]) -> TierBody {
    serde_json::from_value(serde_json::json!({"limits": limits})).unwrap()
}

#[tokio::test]
async fn four_are_there_by_default_and_one_gives_keys_away() {
    let backend = Backend::new().await;
    let listed = tiers::list(&backend.store, &backend.admin, &Page::default()).await.unwrap().items;
    let shown: Vec<_> = listed
        .iter()
        .map(|tier| {
            let limits: Vec<_> = tier.limits.iter().map(|limit| format!("{} {}/{}", limit.name, limit.rate, limit.per)).collect();
            (tier.name.as_str(), limits.join(", "), tier.self_service)
        })
        .collect();
    let expected = [
        ("free", "per-minute 100/60s", true),
        ("basic", "per-minute 500/60s, monthly 100000/month", false),
        ("pro", "per-minute 1000/60s, monthly 1000000/month", false),
        ("enterprise", "", false),
    ];
    assert_eq!(shown, expected.map(|(name, limits, given)| (name, limits.to_owned(), given)));
}

#[tokio::test]
async fn the_quotas_of_the_default_tiers_are_granted_from() {
    let backend = Backend::new().await;
    for (consumer, tier, units) in [("a", "basic", 100_000), ("b", "pro", 1_000_000)] {
        let new = serde_json::from_value(serde_json::json!({"id": consumer, "name": consumer, "tier": tier})).unwrap();
        committed!(backend, |write| consumers::create(write, &backend.admin, new)).unwrap();
        let answer = settle(&backend, &node(1), LeaseAsk { consumer: consumer.to_owned(), ..ask(1, 1, 1) }).await;
        assert_eq!((answer.limit, answer.window), (units, 1_767_225_600_000), "{consumer}: from the first of January, UTC");
    }
}

#[tokio::test]
async fn seeding_again_brings_back_nothing_that_was_taken_away() {
    let backend = Backend::new().await;
    committed!(backend, |write| tiers::delete(write, &backend.admin, "basic", Some(1))).unwrap();
    committed!(backend, |write| tiers::seed(write, &backend.admin)).unwrap();
    assert_eq!(tiers::get(&backend.store, &backend.admin, "basic").await, Err(Failure::NotFound));
}

#[tokio::test]
async fn the_tiers_of_the_other_product_are_taken_as_they_are() {
    let backend = Backend::new().await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/tiers/per-second.json");
    let documents: Vec<NewTier> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for NewTier { name, limits, self_service } in documents {
        let put = committed!(backend, |write| tiers::put(write, &backend.admin, &name, None, TierBody { limits, self_service })).unwrap();
        assert_eq!(put.created, name == "premium", "{name}");
    }
    let free = tiers::get(&backend.store, &backend.admin, "free").await.unwrap();
    assert_eq!((free.limits[0].rate, free.limits[0].burst, free.version), (10, Some(100), 2));
}

#[tokio::test]
async fn the_example_of_quotas_is_taken_as_it_is() {
    let backend = Backend::new().await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/tiers/quotas.json");
    let documents: Vec<NewTier> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for tier in documents {
        let made = committed!(backend, |write| tiers::create(write, &backend.admin, tier)).unwrap();
        assert!(made.limits.iter().any(Limit::is_leased), "{}", made.name);
    }
}

#[tokio::test]
async fn a_name_is_given_once() {
    let backend = Backend::new().await;
    let new = NewTier { name: "free".to_owned(), limits: Vec::new(), self_service: false };
    assert_eq!(conflict(committed!(backend, |write| tiers::create(write, &backend.admin, new))), "name");
    assert_eq!(tiers::get(&backend.store, &backend.admin, "free").await.unwrap().limits.len(), 1);
}

#[tokio::test]
async fn wrong_limits_are_refused_with_their_place() {
    let backend = Backend::new().await;
    let put = committed!(backend, |write| tiers::put(write, &backend.admin, "Gold", None, body(&[limit(1), limit(0)])));
    assert_eq!(wrong(put), ["name", "limits[1].name", "limits[1].rate"]);
    let mut routes = limit(1);
    routes["routes"] = serde_json::json!(vec!["x".repeat(64); 1_000]);
    let put = committed!(backend, |write| tiers::put(write, &backend.admin, "gold", None, body(&[routes])));
    assert_eq!(wrong(put), ["limits"], "more than fits into an answer to a node");
    let mut elsewhere = limit(1);
    elsewhere["routes"] = serde_json::json!(["checkout"]);
    assert!(
        committed!(backend, |write| tiers::put(write, &backend.admin, "gold", None, body(&[elsewhere]))).is_ok(),
        "nodes know their routes"
    );
}

#[tokio::test]
async fn nodes_hear_of_other_limits_and_of_nothing_else() {
    let backend = Backend::new().await;
    let before = backend.revision().await;
    let free = tiers::get(&backend.store, &backend.admin, "free").await.unwrap();
    let put = |limits: Vec<_>, self_service| TierBody { limits, self_service };
    let closed = committed!(backend, |write| tiers::put(write, &backend.admin, "free", Some(1), put(free.limits.clone(), false))).unwrap();
    assert_eq!((closed.created, closed.tier.version), (false, 2));
    let same = committed!(backend, |write| tiers::put(write, &backend.admin, "free", Some(2), put(free.limits.clone(), false))).unwrap();
    assert_eq!(same.tier.version, 2, "nothing changed");
    assert_eq!(backend.revision().await, before);
    committed!(backend, |write| tiers::put(write, &backend.admin, "free", None, body(&[limit(7)]))).unwrap();
    let changes = backend.changes(before).await.changes;
    let tier = changes[0].tier.as_ref().unwrap();
    assert_eq!((changes.len(), tier.name.as_str(), tier.limits[0].rate), (1, "free", 7));
}

#[tokio::test]
async fn a_put_for_a_version_that_is_over_or_never_was_changes_nothing() {
    let backend = Backend::new().await;
    for (name, version) in [("free", 2), ("gold", 1)] {
        let put = committed!(backend, |write| tiers::put(write, &backend.admin, name, Some(version), body(&[])));
        assert_eq!(put, Err(Failure::Stale), "{name}");
    }
    assert_eq!(tiers::get(&backend.store, &backend.admin, "gold").await, Err(Failure::NotFound));
}

#[tokio::test]
async fn one_with_consumers_in_it_is_not_deleted() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    assert_eq!(conflict(committed!(backend, |write| tiers::delete(write, &backend.admin, "free", None))), "name");
    assert_eq!(committed!(backend, |write| tiers::delete(write, &backend.admin, "pro", Some(2))), Err(Failure::Stale));
    committed!(backend, |write| consumers::delete(write, &backend.admin, "acme", None)).unwrap();
    committed!(backend, |write| tiers::delete(write, &backend.admin, "free", None)).unwrap();
    assert_eq!(committed!(backend, |write| tiers::delete(write, &backend.admin, "free", None)), Err(Failure::NotFound));
}

#[tokio::test]
async fn the_feed_passes_over_a_tier_that_is_gone() {
    let backend = Backend::new().await;
    let before = backend.revision().await;
    committed!(backend, |write| tiers::put(write, &backend.admin, "pro", None, body(&[limit(7)]))).unwrap();
    committed!(backend, |write| tiers::delete(write, &backend.admin, "pro", None)).unwrap();
    let changes = backend.changes(before).await;
    assert_eq!((changes.changes.len(), changes.revision, changes.reset), (0, before + 1, false));
}
