//! Admin keys: made, recognised, revoked, expired.

use tollgate_server::admin_keys::{self, CreatedAdminKey, NewAdminKey};
use tollgate_server::consumers;
use tollgate_server::failure::Failure;
use tollgate_server::permission::{Permission, Principal, Role};
use tollgate_server::secrets::KeyHashing;

use crate::setup::*;

fn new(json: serde_json::Value) -> NewAdminKey {
    serde_json::from_value(json).unwrap()
}

async fn create(backend: &Backend, json: serde_json::Value) -> Result<CreatedAdminKey, Failure> {
    committed!(backend, |write| admin_keys::create(write, &backend.secrets, &backend.admin, new(json)))
}

async fn whose(backend: &Backend, presented: &str) -> Option<Principal> {
    admin_keys::authenticate(&backend.store, &backend.secrets, presented).await.unwrap()
}

#[tokio::test]
async fn a_key_is_its_principal() {
    let backend = Backend::new().await;
    backend.organisation("other").await;
    backend.consumer_of("acme", "other").await;
    for (json, organisation, consumer) in [
        (serde_json::json!({"role": "admin"}), None, None),
        (serde_json::json!({"role": "operator", "organisation": "other"}), Some("other"), None),
        (serde_json::json!({"role": "viewer"}), None, None),
        (serde_json::json!({"role": "developer", "consumer": "acme"}), Some("other"), Some("acme")),
    ] {
        let made = create(&backend, json).await.unwrap();
        assert!(made.admin_key.expose().starts_with(&format!("tga_{}", made.key.id)));
        let principal = whose(&backend, made.admin_key.expose()).await.unwrap();
        assert_eq!((principal.role, &principal.name), (made.key.role, &format!("admin_key:{}", made.key.id)));
        assert_eq!((principal.organisation.as_deref(), principal.consumer.as_deref()), (organisation, consumer));
        assert!(!backend.holds(&made.admin_key.expose().as_bytes()[20..]), "it is kept nowhere");
        assert!(!format!("{made:?}").contains(&made.admin_key.expose()[20..]));
    }
}

#[tokio::test]
async fn bindings_that_cannot_be_are_refused() {
    let backend = Backend::new().await;
    backend.organisation("other").await;
    backend.consumer("acme").await;
    for (json, field) in [
        (serde_json::json!({"role": "developer"}), "consumer"),
        (serde_json::json!({"role": "viewer", "consumer": "acme"}), "consumer"),
        (serde_json::json!({"role": "developer", "consumer": "nobody"}), "consumer"),
        (serde_json::json!({"role": "developer", "consumer": "acme", "organisation": "other"}), "organisation"),
        (serde_json::json!({"role": "admin", "organisation": "other"}), "organisation"),
        (serde_json::json!({"role": "viewer", "organisation": "nobody"}), "organisation"),
        (serde_json::json!({"role": "viewer", "label": "\n"}), "label"),
        (serde_json::json!({"role": "viewer", "expires_at": "2026-01-14T00:00:00Z"}), "expires_at"),
    ] {
        assert_eq!(wrong(create(&backend, json.clone()).await), [field], "{json}");
    }
}

#[tokio::test]
async fn what_is_no_key_is_nobodys() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let made = create(&backend, serde_json::json!({"role": "admin"})).await.unwrap();
    let key = made.admin_key.expose();
    let api_key = backend.key("acme").await.api_key.unwrap();
    let other_end = format!("{}{}", &key[..key.len() - 1], if key.ends_with('0') { '1' } else { '0' });
    for presented in ["", "tga_", "tga_ü", key.trim_start_matches("tga_"), &key[1..], &other_end, api_key.expose(), &format!("{key}0")] {
        assert_eq!(whose(&backend, presented).await, None, "{presented}");
    }
    // Made with the same issuer key, but never kept here.
    let elsewhere = Backend::new().await;
    let foreign = create(&elsewhere, serde_json::json!({"role": "admin"})).await.unwrap();
    assert_eq!(whose(&backend, foreign.admin_key.expose()).await, None);
}

#[tokio::test]
async fn a_key_ends_when_it_is_revoked_expires_or_its_consumer_is_deleted() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let revoked = create(&backend, serde_json::json!({"role": "viewer"})).await.unwrap();
    let expiring = create(&backend, serde_json::json!({"role": "viewer", "expires_at": "2026-01-14T00:01:00Z"})).await.unwrap();
    let developer = create(&backend, serde_json::json!({"role": "developer", "consumer": "acme"})).await.unwrap();
    for made in [&revoked, &expiring, &developer] {
        assert!(whose(&backend, made.admin_key.expose()).await.is_some());
    }
    for _ in 0..2 {
        committed!(backend, |write| admin_keys::revoke(write, &backend.admin, &revoked.key.id)).unwrap();
    }
    backend.clock.advance(60 * SECOND);
    committed!(backend, |write| consumers::delete(write, &backend.admin, "acme", None)).unwrap();
    for made in [&revoked, &expiring, &developer] {
        assert_eq!(whose(&backend, made.admin_key.expose()).await, None, "{:?}", made.key);
    }
    assert_eq!(committed!(backend, |write| admin_keys::revoke(write, &backend.admin, "nobody")), Err(Failure::NotFound));
}

#[tokio::test]
async fn the_last_key_of_an_administrator_that_does_not_end_stays() {
    let backend = Backend::new().await;
    let last = create(&backend, serde_json::json!({"role": "admin"})).await.unwrap().key.id;
    create(&backend, serde_json::json!({"role": "admin", "expires_at": "2027-01-01T00:00:00Z"})).await.unwrap();
    create(&backend, serde_json::json!({"role": "operator"})).await.unwrap();
    assert_eq!(conflict(committed!(backend, |write| admin_keys::revoke(write, &backend.admin, &last))), "role");
    create(&backend, serde_json::json!({"role": "admin"})).await.unwrap();
    committed!(backend, |write| admin_keys::revoke(write, &backend.admin, &last)).unwrap();
}

#[tokio::test]
async fn keys_of_an_older_issuer_key_and_pepper_pass_while_those_are_there() {
    let mut backend = Backend::new().await;
    let old = create(&backend, serde_json::json!({"role": "admin"})).await.unwrap();
    backend.secrets = secrets(&[1, 2], KeyHashing::Argon2id);
    let new = create(&backend, serde_json::json!({"role": "admin"})).await.unwrap();
    assert!(whose(&backend, old.admin_key.expose()).await.is_some() && whose(&backend, new.admin_key.expose()).await.is_some());
    backend.secrets = secrets(&[2], KeyHashing::default());
    assert!(whose(&backend, old.admin_key.expose()).await.is_none() && whose(&backend, new.admin_key.expose()).await.is_some());
}

#[test]
fn roles_grant_what_they_are_documented_to() {
    use Permission as P;
    let granted = |role: Role| P::ALL.into_iter().filter(|permission| role.grants(*permission)).collect::<Vec<_>>();
    let reads = [P::OrganisationsRead, P::ConsumersRead, P::TiersRead, P::KeysRead, P::NodesRead, P::LedgerRead];
    assert_eq!(granted(Role::Admin), P::ALL);
    assert_eq!(granted(Role::Developer), [P::OwnKeysRead, P::OwnKeysWrite, P::OwnAccount]);
    let others = [P::OwnAccount, P::IdentityProvidersRead, P::BlocksRead, P::TokensRead, P::SigningKeysRead];
    assert_eq!(granted(Role::Viewer), [&reads[..], &others].concat());
    let mut operator = reads.to_vec();
    operator.extend([P::ConsumersWrite, P::KeysWrite, P::AdminKeysRead, P::LedgerWrite]);
    operator.extend([P::UsersRead, P::OwnAccount, P::IdentityProvidersRead, P::OutboxRead, P::OutboxWrite]);
    operator.extend([P::BlocksRead, P::BlocksWrite, P::TokensRead, P::TokensWrite, P::SigningKeysRead, P::AuditRead]);
    operator.sort();
    assert_eq!(granted(Role::Operator), operator);
}
