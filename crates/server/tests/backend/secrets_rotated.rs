//! Rotation of the backend's own secrets while everything goes on: what was made before is good, and goes over to the new version.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tollgate_server::admin_keys;
use tollgate_server::api_keys::{self, NewApiKey};
use tollgate_server::failure::Failure;
use tollgate_server::permission::Role;
use tollgate_server::rotation::{self, Retire, SecretVersion};
use tollgate_server::secrets::{KeyHashing, Kind, Secrets, Use};
use tollgate_server::signing::Signing;

use crate::setup::*;

const LIFE: Duration = Duration::from_secs(600);

fn write(dir: &Path, name: &str, mode: u32) {
    std::fs::create_dir_all(dir.join("secrets")).unwrap();
    let path = dir.join("secrets").join(name);
    std::fs::write(&path, format!("what {name} of the tests says\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
}

fn load(dir: &Path) -> Secrets {
    Secrets::load(dir, Vec::new(), "foil", KeyHashing::default()).unwrap()
}

/// A backend whose secrets are files, with the consumer `acme`.
async fn world() -> Backend {
    let mut backend = Backend::new().await;
    for name in ["pepper.1", "issuer.1", "encryption.1", "token.key"] {
        write(backend.dir.path(), name, 0o600);
    }
    backend.secrets = load(backend.dir.path());
    rotation::upkeep(&backend.store, &backend.secrets).await.unwrap();
    backend.clock.advance(SECOND);
    backend.consumer("acme").await;
    backend
}

async fn rotate(backend: &Backend, kind: Kind) -> Result<SecretVersion, Failure> {
    let rotated = committed!(backend, |write| rotation::rotate(write, &backend.secrets, &backend.admin, kind));
    backend.clock.advance(SECOND);
    rotated
}

async fn retire(backend: &Backend, kind: Kind, version: u32, force: bool) -> Result<(), Failure> {
    let how = Retire { force };
    committed!(backend, |write| rotation::retire(write, &backend.secrets, &backend.admin, (kind, version), how, LIFE))?;
    backend.secrets.retire(kind, version)
}

async fn version(backend: &Backend, kind: Kind, number: u32) -> SecretVersion {
    let all = rotation::list(&backend.store, &backend.secrets, &backend.admin, LIFE).await.unwrap().items;
    all.into_iter().find(|version| (version.kind, version.version) == (kind, number)).unwrap()
}

fn files(backend: &Backend) -> Vec<String> {
    let entries = std::fs::read_dir(backend.dir.path().join("secrets")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn credentials_go_over_to_a_new_pepper_as_they_are_used() {
    let backend = world().await;
    let key = backend.key("acme").await.api_key.unwrap();
    let imported =
        serde_json::from_value::<NewApiKey>(serde_json::json!({"consumer": "acme", "import": {"key": "a-key-of-elsewhere-1"}})).unwrap();
    committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, imported)).unwrap();
    let new = admin_keys::NewAdminKey { label: String::new(), role: Role::Viewer, organisation: None, consumer: None, expires_at: None };
    let admin = committed!(backend, |write| admin_keys::create(write, &backend.secrets, &backend.admin, new)).unwrap().admin_key;
    assert_eq!(rotate(&backend, Kind::Pepper).await.unwrap().version, 2);
    let later = backend.key("acme").await.api_key.unwrap();
    assert_eq!((version(&backend, Kind::Pepper, 1).await.holds, version(&backend, Kind::Pepper, 2).await.used), (Some(3), Use::Current));
    assert_eq!(conflict(retire(&backend, Kind::Pepper, 1, false).await), "version");
    assert!(backend.passes(key.expose()).await && backend.passes(later.expose()).await && backend.passes("a-key-of-elsewhere-1").await);
    assert_eq!(version(&backend, Kind::Pepper, 1).await.holds, Some(1), "the admin key");
    assert!(admin_keys::authenticate(&backend.store, &backend.secrets, admin.expose()).await.unwrap().is_some());
    retire(&backend, Kind::Pepper, 1, false).await.unwrap();
    assert!(!files(&backend).contains(&"pepper.1".to_owned()));
    assert!(backend.passes(key.expose()).await && backend.passes("a-key-of-elsewhere-1").await);
    assert!(admin_keys::authenticate(&backend.store, &backend.secrets, admin.expose()).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_sealed_is_sealed_anew_and_opens_before_and_after() {
    let backend = world().await;
    let new = NewApiKey { signing: Signing::Optional, ..new_key("acme") };
    let created = committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, new)).unwrap();
    let (key, secret) = (created.api_key.unwrap(), created.signing_secret.unwrap());
    let told = async || backend.resolve(key.expose()).await.known.unwrap().signing.unwrap().secret;
    rotate(&backend, Kind::Encryption).await.unwrap();
    assert_eq!(told().await, secret.expose());
    assert_eq!(version(&backend, Kind::Encryption, 1).await.holds, Some(1));
    assert_eq!(conflict(retire(&backend, Kind::Encryption, 1, false).await), "version");
    assert!(!rotation::upkeep(&backend.store, &backend.secrets).await.unwrap());
    assert_eq!(version(&backend, Kind::Encryption, 1).await.holds, Some(0));
    retire(&backend, Kind::Encryption, 1, false).await.unwrap();
    assert_eq!(told().await, secret.expose());
}

#[tokio::test]
async fn an_issuer_key_is_known_before_it_is_used_and_old_keys_hold_the_old_one() {
    let backend = world().await;
    let key = backend.key("acme").await.api_key.unwrap();
    assert_eq!(conflict(rotate(&backend, Kind::Issuer).await), "kind");
    let prepared = committed!(backend, |write| rotation::prepare(write, &backend.secrets, &backend.admin, Kind::Issuer)).unwrap();
    let shown = prepared.secret.unwrap();
    let kept = std::fs::read_to_string(backend.dir.path().join("secrets/issuer.2.next")).unwrap();
    assert_eq!((kept.trim_end(), prepared.version, shown.expose().len()), (shown.expose(), 2, 43));
    assert_eq!(version(&backend, Kind::Issuer, 2).await.used, Use::Prepared);
    let again = committed!(backend, |write| rotation::prepare(write, &backend.secrets, &backend.admin, Kind::Issuer));
    assert_eq!(conflict(again), "kind");
    // What is made meanwhile nodes with the first alone know.
    let first = load(backend.dir.path());
    let meanwhile = backend.key("acme").await.api_key.unwrap();
    assert_eq!(rotate(&backend, Kind::Issuer).await.unwrap().version, 2);
    assert!(files(&backend).contains(&"issuer.2".to_owned()) && !files(&backend).iter().any(|name| name.ends_with(".next")));
    let later = backend.key("acme").await.api_key.unwrap();
    for key in [&key, &meanwhile, &later] {
        assert!(backend.passes(key.expose()).await);
    }
    drop(first);
    assert_eq!(version(&backend, Kind::Issuer, 1).await.holds, Some(2));
    assert_eq!(conflict(retire(&backend, Kind::Issuer, 1, false).await), "version");
    retire(&backend, Kind::Issuer, 1, true).await.unwrap();
    assert!(backend.passes(later.expose()).await);
    let leak = api_keys::Leak { key: key.expose().to_owned(), found_at: None };
    assert_eq!(api_keys::report(&backend.store, &backend.secrets, &leak).await.unwrap().revoked, None, "it is nobody's to us");
}

#[tokio::test]
async fn another_backend_finds_a_version_that_it_had_not_read() {
    let backend = world().await;
    let other = load(backend.dir.path());
    rotate(&backend, Kind::Pepper).await.unwrap();
    let key = backend.key("acme").await.api_key.unwrap();
    let node = crate::leases::node(1);
    let known = tollgate_server::resolve::resolve(&backend.store, &other, &node, &question(key.expose())).await.unwrap().known;
    assert!(known.is_some());
}

#[tokio::test]
async fn what_is_prepared_is_known_before_it_is_used() {
    let backend = world().await;
    let elsewhere = tempfile::tempdir().unwrap();
    for name in ["pepper.1", "issuer.1", "encryption.1", "token.key"] {
        write(elsewhere.path(), name, 0o600);
    }
    let other = load(elsewhere.path());
    let prepared = committed!(backend, |write| rotation::prepare(write, &backend.secrets, &backend.admin, Kind::Pepper)).unwrap();
    assert_eq!((prepared.secret, prepared.version), (None, 2));
    let [from, to] = [backend.dir.path(), elsewhere.path()].map(|dir| dir.join("secrets/pepper.2.next"));
    std::fs::copy(from, to).unwrap();
    let node = crate::leases::node(1);
    let passes = async |secrets: &Secrets, key: &str| {
        tollgate_server::resolve::resolve(&backend.store, secrets, &node, &question(key)).await.unwrap().known.is_some()
    };
    other.reload().unwrap();
    // The other does not use it, so what it makes is known here; and here it is used before there.
    rotate(&backend, Kind::Pepper).await.unwrap();
    let key = backend.key("acme").await.api_key.unwrap();
    assert!(passes(&other, key.expose()).await && passes(&backend.secrets, key.expose()).await);
    let there = committed!(backend, |write| api_keys::create(write, &other, &backend.admin, new_key("acme"))).unwrap().api_key.unwrap();
    assert!(passes(&other, there.expose()).await && passes(&backend.secrets, there.expose()).await);
}

#[tokio::test]
async fn all_is_sealed_anew_however_much_there_is_and_whatever_cannot_be_opened() {
    let backend = world().await;
    let mut made = Vec::new();
    for _ in 0..230 {
        let new = NewApiKey { signing: Signing::Optional, ..new_key("acme") };
        made.push(committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, new)).unwrap());
    }
    let mut ids: Vec<&str> = made.iter().map(|created| created.key.id.as_str()).collect();
    ids.sort_unstable();
    // The first hundred are broken: nothing of the rest may wait for them.
    let raw = backend.raw().await;
    for id in &ids[..100] {
        let query = sqlx::query("UPDATE api_keys SET signing_secret = CAST(substr(signing_secret, 1, 20) AS BLOB) WHERE id = ?");
        query.bind(id).execute(&raw).await.unwrap();
    }
    rotate(&backend, Kind::Encryption).await.unwrap();
    let mut passes = 0;
    while rotation::upkeep(&backend.store, &backend.secrets).await.unwrap() {
        passes += 1;
        assert!(passes < 10, "it goes round and round");
    }
    assert_eq!(version(&backend, Kind::Encryption, 1).await.holds, Some(100));
}

#[tokio::test]
async fn what_is_wrong_with_a_file_changes_nothing_and_no_file_is_written_over() {
    let backend = world().await;
    let key = backend.key("acme").await.api_key.unwrap();
    write(backend.dir.path(), "pepper.2", 0o644);
    assert!(matches!(rotation::upkeep(&backend.store, &backend.secrets).await, Err(Failure::Unavailable { .. })));
    assert!(backend.passes(key.expose()).await, "the one before stays in force");
    assert!(matches!(rotate(&backend, Kind::Pepper).await, Err(Failure::Unavailable { .. })));
    let kept = std::fs::read_to_string(backend.dir.path().join("secrets/pepper.2")).unwrap();
    assert_eq!(kept, "what pepper.2 of the tests says\n");
    assert!(!files(&backend).iter().any(|name| name.starts_with('.')), "nothing half-done is left: {:?}", files(&backend));
    write(backend.dir.path(), "pepper.2", 0o600);
    rotation::upkeep(&backend.store, &backend.secrets).await.unwrap();
    assert_eq!(version(&backend, Kind::Pepper, 2).await.used, Use::Current);
    assert!(backend.passes(key.expose()).await);
    assert_eq!(conflict(retire(&backend, Kind::Pepper, 2, true).await), "version", "the one in use");
    assert_eq!(retire(&backend, Kind::Pepper, 7, true).await, Err(Failure::NotFound));
}

#[tokio::test]
async fn what_comes_from_the_environment_is_not_rotated_here() {
    let backend = Backend::new().await;
    for kind in [Kind::Pepper, Kind::Encryption, Kind::Token] {
        let refused = rotate(&backend, kind).await.unwrap_err();
        assert!(refused.to_string().contains("environment: set TOLLGATE_"), "{refused}");
    }
    let bound = operator(Some("default"));
    assert_eq!(rotation::list(&backend.store, &backend.secrets, &bound, LIFE).await, Err(Failure::Forbidden));
    assert_eq!(committed!(backend, |write| rotation::rotate(write, &backend.secrets, &bound, Kind::Pepper)), Err(Failure::Forbidden));
    assert_eq!(committed!(backend, |write| rotation::prepare(write, &backend.secrets, &bound, Kind::Issuer)), Err(Failure::Forbidden));
    let retired =
        committed!(backend, |write| rotation::retire(write, &backend.secrets, &bound, (Kind::Pepper, 1), Retire { force: true }, LIFE));
    assert_eq!(retired, Err(Failure::Forbidden));
}
