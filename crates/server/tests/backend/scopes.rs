//! Scopes: a consumer has them, its keys have some of these, and nodes are told what a key has of what its consumer has.

use tollgate_server::api_keys::{self, ApiKeyPatch, Import, NewApiKey, NewOwnKey, Reach, Rotate};
use tollgate_server::failure::{Failure, Problem};

use crate::setup::*;

/// A key with these scopes: its id, and the key.
async fn key(backend: &Backend, scopes: &[&str]) -> (String, String) {
    let new = NewApiKey { scopes: words(scopes), ..new_key("acme") };
    let created = committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, new)).unwrap();
    (created.key.id, created.api_key.unwrap().expose().to_owned())
}

/// The scopes that a node is told of a key.
async fn told(backend: &Backend, key: &str) -> Vec<String> {
    backend.resolve(key).await.known.unwrap().scopes
}

fn refused<T: std::fmt::Debug>(result: Result<T, Failure>) -> Vec<Problem> {
    let Err(Failure::Invalid { problems }) = result else { panic!("{result:?}") };
    problems
}

#[tokio::test]
async fn a_key_has_no_scope_that_its_consumer_has_not() {
    let backend = Backend::new().await;
    let developer = developer(&backend.consumer("acme").await);
    let (id, _) = key(&backend, &[]).await;
    let asked = words(&["read", "admin"]);
    let attempts = async || {
        let new = || NewApiKey { scopes: asked.clone(), ..new_key("acme") };
        let import = || NewApiKey { import: Some(Import::Key("a-key-of-the-old-gateway".to_owned())), ..new() };
        let own = NewOwnKey { scopes: asked.clone(), ..Default::default() };
        let patch = ApiKeyPatch { scopes: Some(asked.clone()), ..Default::default() };
        [
            refused(committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, new()))),
            refused(committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, import()))),
            refused(committed!(backend, |write| api_keys::create_own(write, &backend.secrets, &developer, own))),
            refused(committed!(backend, |write| api_keys::update(write, &backend.store, &backend.admin, &id, None, patch))),
        ]
    };
    let none = |field: &str| Problem::new(field, "none: its consumer has no scopes");
    assert_eq!(attempts().await, std::array::from_fn(|_| vec![none("scopes[0]"), none("scopes[1]")]));
    backend.grant("acme", &["read", "write"]).await;
    let allowed = Problem::new("scopes[1]", "what its consumer has: `read`, `write`");
    assert_eq!(attempts().await, std::array::from_fn(|_| vec![allowed.clone()]));
    assert_eq!(backend.get_key(&id).await.version, 1, "nothing was changed");
    let own = NewOwnKey { scopes: words(&["write"]), ..Default::default() };
    let own = committed!(backend, |write| api_keys::create_own(write, &backend.secrets, &developer, own)).unwrap();
    assert_eq!(told(&backend, own.api_key.unwrap().expose()).await, ["write"]);
}

#[tokio::test]
async fn a_scope_taken_from_a_consumer_is_taken_from_all_its_keys_at_once() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    backend.grant("acme", &["read", "write"]).await;
    let (id, both) = key(&backend, &["write", "read"]).await;
    let (_, one) = key(&backend, &["write"]).await;
    let imported = "a-key-of-the-old-gateway";
    let new = NewApiKey { scopes: words(&["write", "read"]), import: Some(Import::Key(imported.to_owned())), ..new_key("acme") };
    committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, new)).unwrap();
    for (granted, expected) in [
        (&["read"][..], [&["read"][..], &[], &["read"]]),
        (&[], [&[], &[], &[]]),
        (&["other", "read", "write"], [&["write", "read"], &["write"], &["write", "read"]]),
    ] {
        let before = backend.revision().await;
        backend.grant("acme", granted).await;
        let found = [told(&backend, &both).await, told(&backend, &one).await, told(&backend, imported).await];
        assert_eq!(found, expected.map(words));
        let changes = backend.changes(before).await.changes;
        let consumer = changes[0].consumer.as_ref().unwrap();
        assert_eq!((changes.len(), consumer.id.as_str(), &consumer.tier), (1, "acme", &None), "nodes ask for its keys again");
        assert!(backend.resolve(&both).await.revision > before);
    }
    let before = backend.revision().await;
    backend.grant("acme", &["other", "read", "write"]).await;
    assert_eq!(backend.revision().await, before, "nothing changed");
    assert_eq!(backend.get_key(&id).await.scopes, ["write", "read"], "the key's own are kept");
}

#[tokio::test]
async fn a_key_goes_on_and_is_changed_and_replaced_without_the_scopes_its_consumer_lost() {
    let backend = Backend::new().await;
    let developer = developer(&backend.consumer("acme").await);
    backend.grant("acme", &["read", "write"]).await;
    let (id, _) = key(&backend, &["write", "read"]).await;
    backend.grant("acme", &["read"]).await;
    let update = async |patch| committed!(backend, |write| api_keys::update(write, &backend.store, &backend.admin, &id, None, patch));
    let labelled = update(ApiKeyPatch { label: Some("ci".to_owned()), ..Default::default() }).await.unwrap();
    assert_eq!((labelled.label.as_str(), labelled.scopes), ("ci", words(&["write", "read"])));
    let same = update(ApiKeyPatch { scopes: Some(words(&["write", "read"])), ..Default::default() }).await;
    assert_eq!(refused(same), [Problem::new("scopes[0]", "what its consumer has: `read`")]);
    let rotated = committed!(backend, |write| api_keys::rotate(write, &backend.secrets, &developer, Reach::Own, &id, Rotate::default()));
    assert_eq!(rotated.unwrap().created.key.scopes, ["read"]);
}
