//! Consumers: made, changed, disabled, deleted; and what nodes hear of it.

use tollgate_server::consumers::{self, ConsumerPatch, Filter, NewConsumer};
use tollgate_server::failure::Failure;
use tollgate_server::page::Page;

use crate::setup::*;

fn patch(json: serde_json::Value) -> ConsumerPatch {
    serde_json::from_value(json).unwrap()
}

async fn update(backend: &Backend, id: &str, json: serde_json::Value) -> consumers::Consumer {
    committed!(backend, |write| consumers::update(write, &backend.admin, id, None, patch(json))).unwrap()
}

async fn ids(backend: &Backend, filter: Filter) -> Vec<String> {
    let listed = consumers::list(&backend.store, &backend.admin, &filter, &Page::default()).await.unwrap();
    listed.items.into_iter().map(|consumer| consumer.id).collect()
}

#[tokio::test]
async fn one_is_made_as_it_was_asked_for() {
    let backend = Backend::new().await;
    let new: NewConsumer = serde_json::from_value(
        serde_json::json!({"name": "Acme", "tier": "pro", "email": "a@example.com", "scopes": ["b", "a"], "disabled": true}),
    )
    .unwrap();
    let made = committed!(backend, |write| consumers::create(write, &backend.admin, new)).unwrap();
    assert!(made.id.strip_prefix("con_").is_some_and(|id| id.len() == 16), "{}", made.id);
    assert_eq!((made.organisation.as_str(), made.tier.as_str(), made.disabled, made.version), ("default", "pro", true, 1));
    assert_eq!(made.scopes, words(&["b", "a"]));
    assert_eq!(consumers::get(&backend.store, &backend.admin, &made.id).await.unwrap(), made);
}

#[tokio::test]
async fn wrong_fields_are_all_named() {
    let backend = Backend::new().await;
    let new = NewConsumer {
        id: Some("/".to_owned()),
        organisation: Some("nobody".to_owned()),
        email: Some("nowhere".to_owned()),
        scopes: words(&["a b"]),
        ..NewConsumer::new("", "gold")
    };
    let made = committed!(backend, |write| consumers::create(write, &backend.admin, new));
    assert_eq!(wrong(made), ["id", "name", "email", "organisation", "tier", "scopes[0]"]);
    backend.consumer("acme").await;
    let all = serde_json::json!({"name": "", "email": "nowhere", "tier": "gold", "scopes": ["a", "a"]});
    let changed = committed!(backend, |write| consumers::update(write, &backend.admin, "acme", None, patch(all)));
    assert_eq!(wrong(changed), ["name", "email", "tier", "scopes[1]"]);
}

#[tokio::test]
async fn an_id_is_given_once_even_after_its_consumer_is_deleted() {
    let backend = Backend::new().await;
    let acme = backend.consumer("acme").await;
    let again = || NewConsumer { id: Some("acme".to_owned()), ..NewConsumer::new("Other", &acme.tier) };
    assert_eq!(conflict(committed!(backend, |write| consumers::create(write, &backend.admin, again()))), "id");
    committed!(backend, |write| consumers::delete(write, &backend.admin, "acme", None)).unwrap();
    assert_eq!(conflict(committed!(backend, |write| consumers::create(write, &backend.admin, again()))), "id");
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_takes_the_address_away() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let changed = update(&backend, "acme", serde_json::json!({"email": "a@example.com", "name": "Acme"})).await;
    assert_eq!((changed.email.as_deref(), changed.name.as_str(), changed.version), (Some("a@example.com"), "Acme", 2));
    let changed = update(&backend, "acme", serde_json::json!({"name": "Acme Ltd"})).await;
    assert_eq!(changed.email.as_deref(), Some("a@example.com"));
    let changed = update(&backend, "acme", serde_json::json!({"email": null})).await;
    assert_eq!((changed.email, changed.version), (None, 4));
    let same = update(&backend, "acme", serde_json::json!({"name": "Acme Ltd"})).await;
    assert_eq!(same.version, 4, "nothing changed");
    let stale = committed!(backend, |write| consumers::update(write, &backend.admin, "acme", Some(3), ConsumerPatch::default()));
    assert_eq!(stale, Err(Failure::Stale));
    assert_eq!(committed!(backend, |write| consumers::delete(write, &backend.admin, "acme", Some(3))), Err(Failure::Stale));
}

#[tokio::test]
async fn nodes_hear_of_another_tier_with_the_tier() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let before = backend.revision().await;
    update(&backend, "acme", serde_json::json!({"name": "Acme"})).await;
    assert_eq!(backend.revision().await, before, "a name is nothing to a node");
    update(&backend, "acme", serde_json::json!({"tier": "pro"})).await;
    let changes = backend.changes(before).await.changes;
    let consumer = changes[0].consumer.as_ref().unwrap();
    assert_eq!((changes.len(), consumer.id.as_str()), (1, "acme"));
    let tier = consumer.tier.as_ref().unwrap();
    assert_eq!((tier.name.as_str(), tier.limits[0].rate), ("pro", 1_000));
}

#[tokio::test]
async fn a_change_of_a_consumer_has_a_higher_revision_than_what_a_node_was_told_before() {
    let backend = Backend::new().await;
    let told = async || backend.resolve_consumer("acme").await;
    assert_eq!((told().await.revision, told().await.tier), (0, None));
    backend.consumer("acme").await;
    for (change, tier) in [
        (serde_json::json!({"tier": "pro"}), Some("pro")),
        (serde_json::json!({"disabled": true}), None),
        (serde_json::json!({"disabled": false}), Some("pro")),
    ] {
        let before = told().await;
        update(&backend, "acme", change).await;
        let changes = backend.changes(before.revision).await.changes;
        assert_eq!((changes.len(), changes[0].consumer.as_ref().unwrap().id.as_str()), (1, "acme"));
        let after = told().await;
        assert_eq!((after.revision, after.tier.as_ref().map(|tier| tier.name.as_str())), (changes[0].revision, tier));
    }
    let before = told().await;
    committed!(backend, |write| consumers::delete(write, &backend.admin, "acme", None)).unwrap();
    let after = told().await;
    assert_eq!((after.revision, after.tier), (before.revision + 1, None));
}

#[tokio::test]
async fn a_disabled_consumer_does_not_pass_until_it_is_enabled_again() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let key = backend.key("acme").await.api_key.unwrap();
    for disabled in [true, false] {
        let before = backend.revision().await;
        update(&backend, "acme", serde_json::json!({"disabled": disabled, "tier": "pro"})).await;
        assert_eq!(backend.passes(key.expose()).await, !disabled);
        let changes = backend.changes(before).await.changes;
        let consumer = changes[0].consumer.as_ref().unwrap();
        assert_eq!((changes.len(), consumer.id.as_str(), &consumer.tier), (1, "acme", &None));
    }
}

#[tokio::test]
async fn the_feed_tells_no_tier_of_a_consumer_that_was_disabled_meanwhile() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let before = backend.revision().await;
    update(&backend, "acme", serde_json::json!({"tier": "pro"})).await;
    update(&backend, "acme", serde_json::json!({"disabled": true})).await;
    let changes = backend.changes(before).await.changes;
    assert!(changes.iter().all(|change| change.consumer.as_ref().unwrap().tier.is_none()), "{changes:?}");
}

#[tokio::test]
async fn a_deleted_consumer_is_gone_with_its_credentials() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    backend.consumer("other").await;
    let keys = [backend.key("acme").await, backend.key("acme").await];
    let others = backend.key("other").await;
    let before = backend.revision().await;
    committed!(backend, |write| consumers::delete(write, &backend.admin, "acme", Some(1))).unwrap();
    assert_eq!(consumers::get(&backend.store, &backend.admin, "acme").await, Err(Failure::NotFound));
    assert_eq!(committed!(backend, |write| consumers::delete(write, &backend.admin, "acme", None)), Err(Failure::NotFound));
    assert_eq!(ids(&backend, Filter::default()).await, ["other"]);
    for key in &keys {
        assert!(!backend.passes(key.api_key.as_ref().unwrap().expose()).await);
        assert_eq!(backend.get_key(&key.key.id).await.revoked_at, Some(backend.now()));
    }
    assert!(backend.passes(others.api_key.unwrap().expose()).await);
    let changes = backend.changes(before).await.changes;
    assert_eq!(changes.len(), 1, "one for all its keys");
    assert_eq!((changes[0].consumer.as_ref().unwrap().id.as_str(), &changes[0].consumer.as_ref().unwrap().tier), ("acme", &None));
}

#[tokio::test]
async fn lists_are_narrowed_by_organisation_and_tier() {
    let backend = Backend::new().await;
    backend.organisation("other").await;
    backend.consumer("a").await;
    backend.consumer_of("b", "other").await;
    backend.consumer_of("c", "other").await;
    update(&backend, "c", serde_json::json!({"tier": "pro"})).await;
    let of = |organisation: Option<&str>, tier: Option<&str>| Filter {
        organisation: organisation.map(str::to_owned),
        tier: tier.map(str::to_owned),
    };
    assert_eq!(ids(&backend, of(None, None)).await, ["a", "b", "c"]);
    assert_eq!(ids(&backend, of(Some("other"), None)).await, ["b", "c"]);
    assert_eq!(ids(&backend, of(Some("other"), Some("pro"))).await, ["c"]);
    assert_eq!(ids(&backend, of(None, Some("free"))).await, ["a", "b"]);
    assert_eq!(ids(&backend, of(Some("nobody"), None)).await, [""; 0]);
}
