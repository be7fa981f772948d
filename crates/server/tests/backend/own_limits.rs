//! Limits and credits of single keys: told to nodes with the key, leased from an account of the key's own, kept over rotations.

use serde_json::{Value, json};
use tollgate_core::wire::{LeaseAsk, Recall, Resolve, ResolveCredential};
use tollgate_server::api_keys::{self, ApiKey, ApiKeyPatch, NewApiKey, Reach, Rotate};
use tollgate_server::failure::Failure;
use tollgate_server::ledger::{self, Filter, Reopen};
use tollgate_server::page::Page;
use tollgate_server::resolve::{resolve, resolve_credential};

use crate::frozen::freeze;
use crate::leases::{ask, node, quota, rows, settle, with_quota};
use crate::setup::*;

async fn make(backend: &Backend, own: Value) -> Result<api_keys::Created, Failure> {
    let mut new = json!({"consumer": "acme"});
    new.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    let new: NewApiKey = serde_json::from_value(new).unwrap();
    committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, new))
}

async fn change(backend: &Backend, id: &str, patch: Value) -> Result<ApiKey, Failure> {
    let patch: ApiKeyPatch = serde_json::from_value(patch).unwrap();
    committed!(backend, |write| api_keys::update(write, &backend.store, &backend.admin, id, None, patch))
}

/// An ask for credits in the name of a key.
fn credits(id: &str, lease: u64, units: u64) -> LeaseAsk {
    LeaseAsk { consumer: format!("acme/{id}"), limit: "credits".to_owned(), ..ask(lease, 1, units) }
}

#[tokio::test]
async fn a_node_is_told_a_key_s_limits_and_its_account() {
    let backend = with_quota().await;
    let rate = json!({"name": "slow", "algorithm": "token_bucket", "rate": 2, "per": "1s"});
    let made = make(&backend, json!({"limits": [rate], "credits": 50})).await.unwrap();
    assert_eq!((made.key.credits, made.key.credits_left, made.key.limits.len()), (Some(50), None, 1));
    let known = backend.resolve(made.api_key.unwrap().expose()).await.known.unwrap();
    let own = known.own.unwrap();
    let told = serde_json::to_value(&own.limits).unwrap();
    assert_eq!(
        (told[0]["name"].as_str(), told[1]["name"].as_str(), told[1]["per"].as_str()),
        (Some("slow"), Some("credits"), Some("lifetime"))
    );
    assert_eq!(known.account, Some(format!("acme/{}", made.key.id)));
    let plain = make(&backend, json!({})).await.unwrap();
    let known = backend.resolve(plain.api_key.unwrap().expose()).await.known.unwrap();
    assert_eq!((known.own, known.account), (None, None));
    let name = async |own: Value| {
        let key = make(&backend, own).await.unwrap().api_key.unwrap();
        backend.resolve(key.expose()).await.known.unwrap().own.unwrap().name
    };
    assert_eq!(name(json!({"limits": [rate], "credits": 7})).await, own.name, "the ledger says how many");
    assert_ne!(name(json!({"limits": [rate]})).await, own.name);
    let faster = json!({"name": "slow", "algorithm": "token_bucket", "rate": 3, "per": "1s"});
    assert_ne!(name(json!({"limits": [faster], "credits": 7})).await, own.name);
}

#[tokio::test]
async fn a_key_with_limits_is_not_told_to_a_node_that_would_not_judge_them() {
    let backend = with_quota().await;
    for (own, is_told) in [(json!({}), true), (json!({"credits": 5}), false)] {
        let made = make(&backend, own).await.unwrap();
        let older = Resolve { limits_credentials: false, ..question(made.api_key.unwrap().expose()) };
        let known = resolve(&backend.store, &backend.secrets, &node(1), &older).await.unwrap().known;
        assert_eq!(known.is_some(), is_told);
        let asked = ResolveCredential { credential: made.key.id, checks_signatures: true, limits_credentials: false, leases: None };
        let known = resolve_credential(&backend.store, &backend.secrets, &node(1), &asked).await.unwrap().known;
        assert_eq!(known.is_some(), is_told, "by its tokens");
    }
}

#[tokio::test]
async fn credits_are_granted_once_and_never_again() {
    let backend = with_quota().await;
    let id = make(&backend, json!({"credits": 50})).await.unwrap().key.id;
    assert_eq!(backend.get_key(&id).await.credits_left, Some(50));
    let some = settle(&backend, &node(1), credits(&id, 1, 30)).await;
    assert_eq!((some.granted, some.left, some.limit, some.window), (30, 20, 50, 1));
    assert_eq!(backend.get_key(&id).await.credits_left, Some(50), "the node has not told that it spent any");
    let spent = LeaseAsk { number: 2, window: some.window, own: 10, need: 0, waiting: 0, ..credits(&id, 1, 0) };
    settle(&backend, &node(1), spent).await;
    assert_eq!(backend.get_key(&id).await.credits_left, Some(30));
    assert_eq!(settle(&backend, &node(2), credits(&id, 1, 20)).await.granted, 20);
    backend.clock.advance(std::time::Duration::from_secs(40 * 365 * 86_400));
    let none = settle(&backend, &node(3), credits(&id, 1, 1)).await;
    assert_eq!((none.granted, none.closed, none.left), (0, false, 0), "in forty years");
    assert_eq!(settle(&backend, &node(1), ask(1, 1, 30)).await.granted, 30, "the consumer's quota is another account");
}

#[tokio::test]
async fn more_credits_are_told_to_those_who_were_refused() {
    let backend = with_quota().await;
    let id = make(&backend, json!({"credits": 5})).await.unwrap().key.id;
    settle(&backend, &node(1), credits(&id, 1, 5)).await;
    assert_eq!(settle(&backend, &node(2), credits(&id, 1, 1)).await.granted, 0);
    let before = backend.revision().await;
    assert_eq!(change(&backend, &id, json!({"credits": 8})).await.unwrap().credits_left, Some(8));
    let changes = backend.changes(before).await.changes;
    let freed = Recall { consumer: format!("acme/{id}"), limit: "credits".to_owned(), freed: true };
    assert_eq!(changes.iter().filter_map(|change| change.recall.clone()).collect::<Vec<_>>(), [freed]);
    assert!(changes.iter().any(|change| change.credential.as_ref().is_some_and(|credential| credential.id == id && !credential.gone)));
    assert_eq!(settle(&backend, &node(2), credits(&id, 2, 3)).await.granted, 3);
    assert_eq!(settle(&backend, &node(2), credits(&id, 3, 1)).await.granted, 0);
    change(&backend, &id, json!({"credits": null})).await.unwrap();
    assert!(settle(&backend, &node(2), credits(&id, 4, 1)).await.closed, "there is no such limit any more");
}

#[tokio::test]
async fn a_key_and_the_one_that_replaces_it_share_what_is_left() {
    let backend = with_quota().await;
    let old = make(&backend, json!({"credits": 50})).await.unwrap().key.id;
    assert_eq!(settle(&backend, &node(1), credits(&old, 1, 40)).await.granted, 40);
    let rotate = |id: String| {
        let backend = &backend;
        async move { committed!(backend, |write| api_keys::rotate(write, &backend.secrets, &backend.admin, Reach::All, &id, Rotate::default())) }
    };
    let second = rotate(old.clone()).await.unwrap().created;
    let third = rotate(second.key.id.clone()).await.unwrap().created;
    assert_eq!(third.key.credits, Some(50));
    let known = backend.resolve(third.api_key.unwrap().expose()).await.known.unwrap();
    assert_eq!(known.account, Some(format!("acme/{old}")));
    assert_eq!(settle(&backend, &node(2), credits(&old, 1, 11)).await.granted, 0);
    change(&backend, &third.key.id, json!({"credits": 60})).await.unwrap();
    assert_eq!(settle(&backend, &node(2), credits(&old, 2, 20)).await.granted, 20, "the newest says how many there are");
    committed!(backend, |write| api_keys::revoke(write, &backend.admin, Reach::All, &old, None)).unwrap();
    assert!(!settle(&backend, &node(2), credits(&old, 3, 1)).await.closed, "others spend from it");
    for id in [&second.key.id, &third.key.id] {
        committed!(backend, |write| api_keys::revoke(write, &backend.admin, Reach::All, id, None)).unwrap();
    }
    assert!(settle(&backend, &node(2), credits(&old, 4, 1)).await.closed);
}

#[tokio::test]
async fn no_account_is_another_consumers() {
    let backend = with_quota().await;
    backend.consumer("other").await;
    let id = make(&backend, json!({"credits": 5})).await.unwrap().key.id;
    for account in [format!("other/{id}"), format!("acm/{id}"), format!("/{id}"), format!("acme/x/{id}"), id.clone(), "acme/".to_owned()] {
        let answer = settle(&backend, &node(1), LeaseAsk { consumer: account.clone(), ..credits(&id, 1, 1) }).await;
        assert!(answer.closed && answer.granted == 0, "{account}");
    }
    assert!(
        settle(&backend, &node(1), LeaseAsk { limit: "credits".to_owned(), ..ask(1, 1, 1) }).await.closed,
        "not in the consumer's name"
    );
}

#[tokio::test]
async fn rows_of_keys_are_listed_and_reopened_with_their_consumers() {
    let mut backend = with_quota().await;
    backend.consumer("acme2").await;
    let id = make(&backend, json!({"credits": 5})).await.unwrap().key.id;
    settle(&backend, &node(1), credits(&id, 1, 2)).await;
    settle(&backend, &node(1), ask(1, 1, 30)).await;
    let of = async |backend: &Backend, consumer: &str| {
        let filter = Filter { consumer: Some(consumer.to_owned()), all: false };
        ledger::list(&backend.store, &backend.admin, &filter, &Page::default()).await.unwrap().items
    };
    let found: Vec<_> = of(&backend, "acme").await.into_iter().map(|row| (row.consumer, row.credential, row.limit, row.charged)).collect();
    let expected = [("acme".to_owned(), Some(id.clone()), "credits".to_owned(), 2), ("acme".to_owned(), None, "monthly".to_owned(), 30)];
    assert_eq!(found, expected);
    assert_eq!((of(&backend, "acme2").await.len(), of(&backend, &format!("acme/{id}")).await.len()), (0, 0));
    freeze(&mut backend).await;
    assert!(rows(&backend, false).await.iter().all(|row| row.frozen));
    assert_eq!(settle(&backend, &node(2), credits(&id, 1, 1)).await.granted, 0);
    let reopen = Reopen { consumer: Some("acme".to_owned()) };
    let reopened = committed!(backend, |write| ledger::reopen(write, &backend.store, &backend.admin, &reopen)).unwrap();
    assert_eq!(reopened.rows, 2);
    assert_eq!(settle(&backend, &node(2), credits(&id, 2, 1)).await.granted, 1);
}

#[tokio::test]
async fn what_is_wrong_with_limits_is_named() {
    let backend = with_quota().await;
    let named = |own: Value| {
        let backend = &backend;
        async move { wrong(make(backend, own).await) }
    };
    assert_eq!(named(json!({"credits": 0})).await, ["credits"]);
    assert_eq!(named(json!({"credits": 1_u64 << 53})).await, ["credits"]);
    assert_eq!(named(json!({"limits": [quota("credits", 5, "day")]})).await, ["limits[0].name"]);
    assert_eq!(named(json!({"limits": [quota("a", 5, "day"), quota("b", 5, "year")]})).await, ["limits[1].per"]);
    assert_eq!(named(json!({"limits": [quota("a", 5, "day"), quota("a", 5, "month")]})).await, ["limits[1].name"]);
    let eight: Vec<Value> = (0..8).map(|number| quota(&format!("q{number}"), 5, "day")).collect();
    assert_eq!(named(json!({"limits": eight, "credits": 5})).await, ["limits"]);
    let long = json!({"name": "a", "algorithm": "token_bucket", "rate": 5, "per": "1s", "routes": vec!["r".repeat(60); 200]});
    assert_eq!(named(json!({"limits": [long]})).await, ["limits"]);
    let id = make(&backend, json!({"limits": [quota("a", 5, "day")]})).await.unwrap().key.id;
    assert_eq!(wrong(change(&backend, &id, json!({"limits": [quota("a", 0, "day")]})).await), ["limits[0].rate"]);
    let changed = change(&backend, &id, json!({"credits": 7})).await.unwrap();
    assert_eq!((changed.limits.len(), changed.credits, changed.credits_left), (1, Some(7), Some(7)), "the rest stays");
    let changed = change(&backend, &id, json!({"limits": []})).await.unwrap();
    assert_eq!((changed.limits.len(), changed.credits), (0, Some(7)));
}
