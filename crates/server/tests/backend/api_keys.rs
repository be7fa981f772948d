//! Keys: made, shown once, changed, revoked, expired.

use std::time::Duration;

use tollgate_server::api_keys::{self, ApiKeyPatch, Filter, NewApiKey, NewOwnKey, Reach, Status};
use tollgate_server::clock::Time;
use tollgate_server::consumers;
use tollgate_server::failure::Failure;
use tollgate_server::page::Page;

use crate::setup::*;

fn patch(json: serde_json::Value) -> ApiKeyPatch {
    serde_json::from_value(json).unwrap()
}

#[tokio::test]
async fn a_new_key_passes_for_its_consumer() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    backend.grant("acme", &["tracks:read", "tracks:write"]).await;
    let new: NewApiKey = serde_json::from_value(serde_json::json!({
        "consumer": "acme", "label": "ci", "scopes": ["tracks:read"], "expires_at": "2026-01-15T00:00:00Z"
    }))
    .unwrap();
    let created = committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, new)).unwrap();
    let key = created.api_key.unwrap();
    assert!(key.expose().starts_with(&format!("foil_{}", created.key.id)), "prefix and id are those of the key");
    let resolved = backend.resolve(key.expose()).await;
    let known = resolved.known.unwrap();
    assert_eq!((known.credential.as_str(), known.consumer.as_str()), (created.key.id.as_str(), "acme"));
    assert_eq!((known.tier.name.as_str(), known.tier.limits[0].rate), ("free", 100));
    assert_eq!((known.scopes, known.expires_in_ms), (vec!["tracks:read".to_owned()], Some(86_400_000)));
    assert_eq!(resolved.revision, backend.revision().await);
    assert_eq!(backend.get_key(&created.key.id).await, created.key);
}

#[tokio::test]
async fn a_key_is_shown_once_and_kept_nowhere() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let created = backend.key("acme").await;
    let key = created.api_key.clone().unwrap();
    let secret = &key.expose()["foil_".len() + 16..];
    assert!(backend.holds(created.key.id.as_bytes()), "the id is no secret; this sees the database's bytes");
    for kept_nowhere in [secret.as_bytes().to_vec(), sha256(key.expose()).into_bytes(), unhex(&sha256(key.expose()))] {
        assert!(!backend.holds(&kept_nowhere));
    }
    assert!(!format!("{created:?}").contains(secret), "the Debug form hides it");
    assert!(serde_json::to_string(&created).unwrap().contains(secret), "the answer shows it");
}

#[tokio::test]
async fn wrong_fields_are_all_named() {
    let backend = Backend::new().await;
    let new =
        NewApiKey { label: "\n".to_owned(), scopes: vec!["a b".to_owned()], expires_at: Some(backend.now()), ..NewApiKey::new("nobody") };
    let made = committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, new));
    assert_eq!(wrong(made), ["consumer", "label", "scopes[0]", "expires_at"]);
    backend.consumer("acme").await;
    let key = backend.key("acme").await.key;
    let all = serde_json::json!({"label": "\n", "scopes": [""], "expires_at": "2026-01-13T00:00:00Z"});
    let changed = committed!(backend, |write| api_keys::update(write, &backend.store, &backend.admin, &key.id, None, patch(all)));
    assert_eq!(wrong(changed), ["label", "scopes[0]", "expires_at"]);
}

#[tokio::test]
async fn a_key_with_anything_wrong_in_it_does_not_pass() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let key = backend.key("acme").await.api_key.unwrap();
    let other = backend.key("acme").await.api_key.unwrap();
    // The id of one and the hash of the other.
    let mut mixed = question(key.expose());
    mixed.sha256 = sha256(other.expose());
    let resolved = tollgate_server::resolve::resolve(&backend.store, &backend.secrets, &crate::leases::node(1), &mixed).await.unwrap();
    assert_eq!(resolved.known, None);
    assert!(!backend.passes(&format!("{}x", key.expose())).await);
    for wrong_hash in ["", "00", &"G".repeat(64), &sha256(key.expose()).to_uppercase()] {
        mixed.sha256 = wrong_hash.to_owned();
        let resolved = tollgate_server::resolve::resolve(&backend.store, &backend.secrets, &crate::leases::node(1), &mixed).await;
        assert_eq!(wrong(resolved), ["sha256"]);
    }
}

#[tokio::test]
async fn a_revoked_key_does_not_pass_and_nodes_hear_of_it_once() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let created = backend.key("acme").await;
    let before = backend.revision().await;
    let revoke = |version| (created.key.id.clone(), version);
    let (id, version) = revoke(Some(2));
    assert_eq!(committed!(backend, |write| api_keys::revoke(write, &backend.admin, Reach::All, &id, version)), Err(Failure::Stale));
    for _ in 0..2 {
        committed!(backend, |write| api_keys::revoke(write, &backend.admin, Reach::All, &id, None)).unwrap();
    }
    assert!(!backend.passes(created.api_key.unwrap().expose()).await);
    let key = backend.get_key(&id).await;
    assert_eq!((key.status, key.revoked_at, key.version), (Status::Revoked, Some(backend.now()), 2));
    let changes = backend.changes(before).await.changes;
    assert_eq!(changes.len(), 1);
    let change = changes[0].credential.as_ref().unwrap();
    assert_eq!((&change.id, change.gone), (&id, true));
    let late = committed!(backend, |write| api_keys::update(write, &backend.store, &backend.admin, &id, None, ApiKeyPatch::default()));
    assert_eq!(conflict(late), "revoked_at");
}

#[tokio::test]
async fn a_key_ends_when_its_time_is_over() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let created = backend.key("acme").await;
    let (id, key) = (created.key.id, created.api_key.unwrap());
    let in_a_minute = backend.now().after(60 * SECOND);
    let ending = serde_json::json!({"expires_at": in_a_minute});
    committed!(backend, |write| api_keys::update(write, &backend.store, &backend.admin, &id, None, patch(ending))).unwrap();
    backend.clock.advance(60 * SECOND - Duration::from_millis(1));
    assert_eq!(backend.resolve(key.expose()).await.known.unwrap().expires_in_ms, Some(1));
    backend.clock.advance(Duration::from_millis(1));
    assert!(!backend.passes(key.expose()).await);
    assert_eq!(backend.get_key(&id).await.status, Status::Expired);
    let late = committed!(backend, |write| api_keys::update(
        write,
        &backend.store,
        &backend.admin,
        &id,
        None,
        patch(serde_json::json!({"expires_at": null}))
    ));
    assert_eq!(conflict(late), "expires_at", "what has ended stays ended");
}

#[tokio::test]
async fn nodes_hear_of_other_scopes_and_another_end_and_not_of_labels() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    backend.grant("acme", &["a"]).await;
    let id = backend.key("acme").await.key.id;
    let before = backend.revision().await;
    let update = async |json: serde_json::Value| {
        committed!(backend, |write| api_keys::update(write, &backend.store, &backend.admin, &id, None, patch(json))).unwrap()
    };
    assert_eq!(update(serde_json::json!({"label": "ci"})).await.version, 2);
    assert_eq!(update(serde_json::json!({"label": "ci"})).await.version, 2, "nothing changed");
    assert_eq!(backend.revision().await, before);
    update(serde_json::json!({"scopes": ["a"]})).await;
    update(serde_json::json!({"expires_at": "2027-01-01T00:00:00Z"})).await;
    let forever = update(serde_json::json!({"expires_at": null})).await;
    assert_eq!((forever.expires_at, forever.scopes, forever.version), (None, vec!["a".to_owned()], 5));
    let changes = backend.changes(before).await.changes;
    assert_eq!(changes.len(), 3);
    for change in changes {
        let change = change.credential.unwrap();
        assert_eq!((change.id, change.gone), (id.clone(), false));
    }
}

#[tokio::test]
async fn lists_are_narrowed_by_consumer() {
    let backend = Backend::new().await;
    let mut ids = Vec::new();
    for consumer in ["a", "b", "a"] {
        if ids.len() < 2 {
            backend.consumer(consumer).await;
        }
        ids.push(backend.key(consumer).await.key.id);
    }
    let listed = async |consumer: Option<&str>| {
        let filter = Filter { consumer: consumer.map(str::to_owned) };
        let listed = api_keys::list(&backend.store, &backend.admin, Reach::All, &filter, &Page::default()).await.unwrap();
        listed.items.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(None).await, ids);
    assert_eq!(listed(Some("a")).await, [ids[0].clone(), ids[2].clone()]);
    assert_eq!(listed(Some("nobody")).await, [""; 0]);
}

#[tokio::test]
async fn a_developer_has_a_bounded_number_of_active_keys() {
    let backend = Backend::new().await;
    let developer = developer(&backend.consumer("acme").await);
    let mut last = String::new();
    for _ in 0..api_keys::MOST_OWN_KEYS {
        let created = committed!(backend, |write| api_keys::create_own(write, &backend.secrets, &developer, NewOwnKey::default())).unwrap();
        last = created.key.id;
    }
    let more = committed!(backend, |write| api_keys::create_own(write, &backend.secrets, &developer, NewOwnKey::default()));
    assert_eq!(conflict(more), "consumer");
    committed!(backend, |write| api_keys::revoke(write, &developer, Reach::Own, &last, None)).unwrap();
    committed!(backend, |write| api_keys::create_own(write, &backend.secrets, &developer, NewOwnKey::default())).unwrap();
}

#[tokio::test]
async fn a_developer_cannot_get_round_the_bound_by_rotating() {
    let backend = Backend::new().await;
    let developer = developer(&backend.consumer("acme").await);
    let mut last = backend.key("acme").await.key.id;
    let rotate = async |id: &str| {
        committed!(backend, |write| api_keys::rotate(write, &backend.secrets, &developer, Reach::Own, id, Default::default()))
    };
    for _ in 1..2 * api_keys::MOST_OWN_KEYS {
        last = rotate(&last).await.unwrap().created.key.id;
    }
    assert_eq!(conflict(rotate(&last).await), "consumer");
    committed!(backend, |write| api_keys::rotate(write, &backend.secrets, &backend.admin, Reach::All, &last, Default::default())).unwrap();
}

#[tokio::test]
async fn a_developer_of_a_disabled_consumer_makes_no_keys() {
    let backend = Backend::new().await;
    let acme = backend.consumer("acme").await;
    let id = backend.key("acme").await.key.id;
    let disable = consumers::ConsumerPatch { disabled: Some(true), ..Default::default() };
    committed!(backend, |write| consumers::update(write, &backend.admin, "acme", None, disable)).unwrap();
    let developer = developer(&acme);
    let made = committed!(backend, |write| api_keys::create_own(write, &backend.secrets, &developer, NewOwnKey::default()));
    assert_eq!(conflict(made), "consumer");
    let rotated = committed!(backend, |write| api_keys::rotate(write, &backend.secrets, &developer, Reach::Own, &id, Default::default()));
    assert_eq!(conflict(rotated), "consumer");
    committed!(backend, |write| api_keys::revoke(write, &developer, Reach::Own, &id, None)).unwrap();
}

#[tokio::test]
async fn times_are_written_in_seconds_and_read_with_any_offset() {
    let time = |text: &str| serde_json::from_value::<Time>(serde_json::json!(text));
    let shown = serde_json::to_value(time("2026-01-14T01:30:00.999+01:30").unwrap()).unwrap();
    assert_eq!(shown, "2026-01-14T00:00:00Z");
    for wrong in ["", "2026-01-14", "2026-01-14T00:00:00", "1969-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "now"] {
        assert!(time(wrong).is_err(), "{wrong}");
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
