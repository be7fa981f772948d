//! Signing secrets of keys: shown once, sealed in the store, told to nodes alone.

use tollgate_core::wire::{Resolve, ResolveCredential};
use tollgate_server::api_keys::{self, ApiKeyPatch, Created, NewApiKey, NewOwnKey, Reach, Rotate};
use tollgate_server::resolve::{resolve, resolve_credential};
use tollgate_server::signing::Signing;

use crate::setup::*;

async fn create(backend: &Backend, signing: Signing) -> Created {
    let new = NewApiKey { signing, ..new_key("acme") };
    committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, new)).unwrap()
}

/// What a node is told of a key: its signing secret, and whether it must sign.
async fn told(backend: &Backend, created: &Created) -> Option<(String, bool)> {
    let known = backend.resolve(created.api_key.as_ref().unwrap().expose()).await.known.unwrap();
    let asked = ResolveCredential { credential: created.key.id.clone(), checks_signatures: true, limits_credentials: true, leases: None };
    let by_id = resolve_credential(&backend.store, &backend.secrets, &crate::leases::node(1), &asked).await.unwrap().known.unwrap();
    assert_eq!(known.signing, by_id.signing, "its tokens are held to the same");
    known.signing.map(|signing| (signing.secret, signing.required))
}

#[tokio::test]
async fn a_signing_secret_is_shown_once_and_told_to_nodes_alone() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let plain = create(&backend, Signing::None).await;
    assert!(plain.signing_secret.is_none() && told(&backend, &plain).await.is_none());
    let created = create(&backend, Signing::Required).await;
    let secret = created.signing_secret.clone().unwrap();
    assert_eq!(secret.expose().len(), 43);
    assert_eq!(told(&backend, &created).await, Some((secret.expose().to_owned(), true)));
    let seen = serde_json::to_string(&backend.get_key(&created.key.id).await).unwrap();
    assert!(seen.contains("\"signing\":\"required\"") && !seen.contains(secret.expose()), "{seen}");
    assert!(!backend.holds(secret.expose().as_bytes()), "it is sealed in the store");
    assert_ne!(create(&backend, Signing::Optional).await.signing_secret.unwrap(), secret);
}

#[tokio::test]
async fn when_to_sign_can_be_changed_and_is_told_but_a_secret_never_comes_later() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let patch = async |created: &Created, signing: Signing| {
        let patch = ApiKeyPatch { signing: Some(signing), ..ApiKeyPatch::default() };
        committed!(backend, |write| api_keys::update(write, &backend.store, &backend.admin, &created.key.id, None, patch))
    };
    let created = create(&backend, Signing::Optional).await;
    let secret = created.signing_secret.clone().unwrap().expose().to_owned();
    let before = backend.revision().await;
    patch(&created, Signing::Required).await.unwrap();
    assert_eq!(told(&backend, &created).await, Some((secret, true)));
    assert_eq!(backend.changes(before).await.changes.len(), 1);
    patch(&created, Signing::None).await.unwrap();
    assert_eq!(told(&backend, &created).await, None);
    assert_eq!(conflict(patch(&created, Signing::Optional).await), "signing");
    assert_eq!(conflict(patch(&create(&backend, Signing::None).await, Signing::Required).await), "signing");
}

#[tokio::test]
async fn a_rotated_key_has_a_signing_secret_of_its_own() {
    let backend = Backend::new().await;
    let consumer = backend.consumer("acme").await;
    let own = NewOwnKey { signing: Signing::Required, ..NewOwnKey::default() };
    let developer = developer(&consumer);
    let old = committed!(backend, |write| api_keys::create_own(write, &backend.secrets, &developer, own)).unwrap();
    let rotated =
        committed!(backend, |write| api_keys::rotate(write, &backend.secrets, &developer, Reach::Own, &old.key.id, Rotate::default()))
            .unwrap();
    let (before, after) = (old.signing_secret.clone().unwrap(), rotated.created.signing_secret.clone().unwrap());
    assert_ne!(before, after);
    assert_eq!(told(&backend, &rotated.created).await, Some((after.expose().to_owned(), true)));
    assert_eq!(told(&backend, &old).await, Some((before.expose().to_owned(), true)), "until it ends");
}

#[tokio::test]
async fn a_key_that_must_sign_is_not_told_to_a_node_that_would_not_ask_for_it() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let node = crate::leases::node(1);
    for (signing, is_told) in [(Signing::None, true), (Signing::Optional, true), (Signing::Required, false)] {
        let created = create(&backend, signing).await;
        let key = created.api_key.as_ref().unwrap().expose();
        let older = Resolve { checks_signatures: false, ..question(key) };
        let known = resolve(&backend.store, &backend.secrets, &node, &older).await.unwrap().known;
        assert_eq!(known.is_some(), is_told, "{signing:?}");
        let asked =
            ResolveCredential { credential: created.key.id.clone(), checks_signatures: false, limits_credentials: true, leases: None };
        let known = resolve_credential(&backend.store, &backend.secrets, &node, &asked).await.unwrap().known;
        assert_eq!(known.is_some(), is_told, "{signing:?}, by its tokens");
        assert!(told(&backend, &created).await.is_some() || signing.is_none());
    }
}
