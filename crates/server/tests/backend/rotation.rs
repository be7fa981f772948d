//! Rotation: a new key, and an old one that goes on for a while.

use std::time::Duration;

use tollgate_server::api_keys::{self, ApiKeyPatch, NewApiKey, Reach, Rotate, Rotated, Status};
use tollgate_server::changes;
use tollgate_server::failure::Failure;

use crate::setup::*;

async fn rotate(backend: &Backend, id: &str, rotate: Rotate) -> Result<Rotated, Failure> {
    committed!(backend, |write| api_keys::rotate(write, &backend.secrets, &backend.admin, Reach::All, id, rotate))
}

fn overlap(seconds: u32) -> Rotate {
    Rotate { overlap_seconds: Some(seconds), expires_at: None }
}

#[tokio::test]
async fn both_keys_pass_during_the_overlap_and_the_new_one_after_it() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    backend.grant("acme", &["a"]).await;
    let old = backend.key("acme").await;
    let labelled = ApiKeyPatch { label: Some("ci".to_owned()), scopes: Some(vec!["a".to_owned()]), ..ApiKeyPatch::default() };
    committed!(backend, |write| api_keys::update(write, &backend.store, &backend.admin, &old.key.id, None, labelled)).unwrap();
    let rotated = rotate(&backend, &old.key.id, overlap(60)).await.unwrap();
    let new = &rotated.created;
    assert_eq!((new.key.label.as_str(), new.key.scopes.as_slice(), new.key.expires_at), ("ci", ["a".to_owned()].as_slice(), None));
    assert_eq!(
        (new.key.replaces.as_deref(), rotated.replaced.replaced_by.as_deref()),
        (Some(old.key.id.as_str()), Some(new.key.id.as_str()))
    );
    assert_eq!(rotated.replaced.expires_at, Some(backend.now().after(60 * SECOND)));
    assert_eq!(backend.get_key(&old.key.id).await, rotated.replaced);
    let (old, new) = (old.api_key.unwrap(), new.api_key.clone().unwrap());
    backend.clock.advance(60 * SECOND - Duration::from_millis(1));
    assert!(backend.passes(old.expose()).await && backend.passes(new.expose()).await);
    backend.clock.advance(Duration::from_millis(1));
    assert!(!backend.passes(old.expose()).await && backend.passes(new.expose()).await);
}

#[tokio::test]
async fn without_an_overlap_the_old_key_is_gone_at_once_and_told_of_once() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let old = backend.key("acme").await;
    let before = backend.revision().await;
    rotate(&backend, &old.key.id, overlap(0)).await.unwrap();
    assert!(!backend.passes(old.api_key.unwrap().expose()).await);
    assert_eq!(backend.get_key(&old.key.id).await.status, Status::Expired);
    committed!(backend, |write| changes::expire(write)).unwrap();
    let changes = backend.changes(before).await.changes;
    let gone: Vec<_> = changes.into_iter().map(|change| change.credential.unwrap()).map(|change| (change.id, change.gone)).collect();
    assert_eq!(gone, [(old.key.id, true)]);
}

#[tokio::test]
async fn a_day_is_the_usual_overlap_and_a_sooner_end_stays() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let id = backend.key("acme").await.key.id;
    let before = backend.revision().await;
    let rotated = rotate(&backend, &id, Rotate::default()).await.unwrap();
    assert_eq!(rotated.replaced.expires_at, Some(backend.now().after(86_400 * SECOND)));
    let changes = backend.changes(before).await.changes;
    assert_eq!(changes.len(), 1, "a new key is nothing that nodes have heard of");
    assert!(!changes[0].credential.as_ref().unwrap().gone, "it goes on for a while");

    let soon = backend.now().after(10 * SECOND);
    let ending = NewApiKey { expires_at: Some(soon), ..new_key("acme") };
    let ending = committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, ending)).unwrap();
    backend.clock.advance(4 * SECOND);
    let rotated = rotate(&backend, &ending.key.id, overlap(60)).await.unwrap();
    assert_eq!(rotated.replaced.expires_at, Some(soon));
    assert_eq!(rotated.created.key.expires_at, Some(backend.now().after(10 * SECOND)), "made for as long as the old one was");
    let end = backend.now().after(90 * SECOND);
    let asked = Rotate { overlap_seconds: None, expires_at: Some(end) };
    assert_eq!(rotate(&backend, &rotated.created.key.id, asked).await.unwrap().created.key.expires_at, Some(end));
}

#[tokio::test]
async fn only_a_key_that_passes_and_was_not_rotated_is_rotated() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let id = backend.key("acme").await.key.id;
    rotate(&backend, &id, overlap(60)).await.unwrap();
    assert_eq!(conflict(rotate(&backend, &id, overlap(60)).await), "replaced_by");
    backend.clock.advance(60 * SECOND);
    assert_eq!(conflict(rotate(&backend, &id, overlap(60)).await), "expires_at");
    let revoked = backend.key("acme").await.key.id;
    committed!(backend, |write| api_keys::revoke(write, &backend.admin, Reach::All, &revoked, None)).unwrap();
    assert_eq!(conflict(rotate(&backend, &revoked, overlap(60)).await), "revoked_at");
    assert_eq!(rotate(&backend, "nobody", overlap(60)).await, Err(Failure::NotFound));
}

#[tokio::test]
async fn wrong_fields_are_all_named_and_nothing_is_made() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let key = backend.key("acme").await.key;
    let asked = Rotate { overlap_seconds: Some(api_keys::LONGEST_OVERLAP + 1), expires_at: Some(backend.now()) };
    assert_eq!(wrong(rotate(&backend, &key.id, asked).await), ["overlap_seconds", "expires_at"]);
    assert_eq!(backend.get_key(&key.id).await, key);
    assert!(rotate(&backend, &key.id, overlap(api_keys::LONGEST_OVERLAP)).await.is_ok());
}
