//! How keys are hashed and found: under each pepper, by argon2id, and keys from elsewhere.

use tollgate_server::api_keys::{self, Created, Import, NewApiKey, Reach};
use tollgate_server::failure::Failure;
use tollgate_server::secrets::{KeyHashing, Secrets};

use crate::setup::*;

/// A key as some other service made it.
const FOREIGN: &str = "sk-live-0123456789abcdef";

async fn create(backend: &Backend, secrets: &Secrets, import: Option<Import>) -> Result<Created, Failure> {
    let new = NewApiKey { import, ..new_key("acme") };
    committed!(backend, |write| api_keys::create(write, secrets, &backend.admin, new))
}

async fn backend() -> Backend {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    backend
}

#[tokio::test]
async fn keys_of_an_older_pepper_and_issuer_key_pass_while_those_are_there() {
    let mut backend = backend().await;
    let (old, unused) = (backend.key("acme").await.api_key.unwrap(), backend.key("acme").await.api_key.unwrap());
    backend.secrets = secrets(&[1, 2], KeyHashing::default());
    let new = backend.key("acme").await.api_key.unwrap();
    assert!(backend.passes(old.expose()).await && backend.passes(new.expose()).await);
    backend.secrets = secrets(&[2], KeyHashing::default());
    assert!(!backend.passes(unused.expose()).await, "its pepper is gone");
    assert!(backend.passes(old.expose()).await, "it was hashed anew when it was used");
    assert!(backend.passes(new.expose()).await, "it was made with the newest");
}

#[tokio::test]
async fn argon2id_keys_pass_by_their_id_beside_the_others() {
    let mut backend = backend().await;
    let fast = backend.key("acme").await.api_key.unwrap();
    backend.secrets = secrets(&[1], KeyHashing::Argon2id);
    let slow = backend.key("acme").await.api_key.unwrap();
    assert!(backend.passes(fast.expose()).await && backend.passes(slow.expose()).await);
    assert!(backend.holds(b"argon2id"));
    let mut other = question(slow.expose());
    other.sha256 = sha256(fast.expose());
    assert_eq!(
        tollgate_server::resolve::resolve(&backend.store, &backend.secrets, &crate::leases::node(1), &other).await.unwrap().known,
        None
    );
    backend.secrets = secrets(&[1], KeyHashing::HmacSha256);
    assert!(backend.passes(slow.expose()).await, "the setting is for new keys");
    backend.secrets = secrets(&[2], KeyHashing::HmacSha256);
    assert!(!backend.passes(slow.expose()).await, "the pepper is in it too");
}

#[tokio::test]
async fn many_argon2id_keys_at_once_are_turned_away_and_none_is_judged_bad() {
    let mut backend = backend().await;
    backend.secrets = secrets(&[1], KeyHashing::Argon2id);
    let key = backend.key("acme").await.api_key.unwrap();
    let question = question(key.expose());
    let (store, secrets) = (backend.store.clone(), std::sync::Arc::new(backend.secrets));
    let asked: Vec<_> = (0..80)
        .map(|_| {
            let (store, secrets, question) = (store.clone(), secrets.clone(), question.clone());
            tokio::spawn(async move { tollgate_server::resolve::resolve(&store, &secrets, &crate::leases::node(1), &question).await })
        })
        .collect();
    let (mut passed, mut turned_away) = (0, 0);
    for answer in asked {
        match answer.await.unwrap() {
            Ok(resolved) => passed += usize::from(resolved.known.is_some()),
            Err(Failure::Unavailable { .. }) => turned_away += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(passed + turned_away, 80);
    assert!(passed >= 64 && turned_away > 0, "{passed} passed");
}

#[tokio::test]
async fn a_key_from_elsewhere_passes_by_its_hash_under_each_pepper() {
    let mut backend = backend().await;
    let by_key = create(&backend, &backend.secrets, Some(Import::Key(FOREIGN.to_owned()))).await.unwrap();
    assert_eq!(by_key.api_key, None, "whoever imports it has it");
    backend.secrets = secrets(&[1, 2], KeyHashing::Argon2id);
    let other = "another-key-from-elsewhere";
    let by_hash = create(&backend, &backend.secrets, Some(Import::Sha256(sha256(other)))).await.unwrap();
    for (key, id) in [(FOREIGN, &by_key.key.id), (other, &by_hash.key.id)] {
        assert_eq!(&backend.resolve(key).await.known.unwrap().credential, id);
    }
    assert!(!backend.holds(FOREIGN.as_bytes()) && !backend.holds(sha256(FOREIGN).as_bytes()));
    committed!(backend, |write| api_keys::revoke(write, &backend.admin, Reach::All, &by_key.key.id, None)).unwrap();
    assert!(!backend.passes(FOREIGN).await && backend.passes(other).await);
}

#[tokio::test]
async fn a_key_from_elsewhere_may_look_like_one_of_ours() {
    let backend = backend().await;
    let elsewhere = Backend::new().await;
    elsewhere.consumer("acme").await;
    let key = elsewhere.key("acme").await.api_key.unwrap();
    assert!(question(key.expose()).id.is_some());
    create(&backend, &backend.secrets, Some(Import::Key(key.expose().to_owned()))).await.unwrap();
    assert!(backend.passes(key.expose()).await);
}

/// What was issued and has ended must not come back through an import of its hash, whoever made that and when.
#[tokio::test]
async fn an_issued_key_does_not_pass_by_an_import_of_its_hash() {
    for hashing in [KeyHashing::HmacSha256, KeyHashing::Argon2id] {
        for import_first in [true, false] {
            let mut backend = backend().await;
            backend.consumer("mallory").await;
            backend.secrets = secrets(&[1], hashing);
            let issued = backend.key("acme").await;
            let key = issued.api_key.unwrap();
            let import = async || {
                let new = NewApiKey { import: Some(Import::Sha256(sha256(key.expose()))), ..new_key("mallory") };
                committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, new)).unwrap();
            };
            let revoke = async || {
                committed!(backend, |write| api_keys::revoke(write, &backend.admin, Reach::All, &issued.key.id, None)).unwrap();
            };
            if import_first {
                import().await;
                assert_eq!(backend.resolve(key.expose()).await.known.unwrap().consumer, "acme");
                revoke().await;
            } else {
                revoke().await;
                import().await;
            }
            assert!(!backend.passes(key.expose()).await, "{hashing:?}, imported first: {import_first}");
        }
    }
}

#[tokio::test]
async fn keys_in_the_form_of_issued_ones_are_imported_only_if_they_are_and_are_not_there() {
    let backend = backend().await;
    let here = backend.key("acme").await.api_key.unwrap();
    let created = create(&backend, &backend.secrets, Some(Import::Key(here.expose().to_owned()))).await;
    assert_eq!(conflict(created), "import.key", "it was issued here");
    let forged = format!("foil_{}", "A".repeat(57));
    assert_eq!(wrong(create(&backend, &backend.secrets, Some(Import::Key(forged.clone()))).await), ["import.key"]);
    // With the prefix alone it is nobody's form.
    create(&backend, &backend.secrets, Some(Import::Key(format!("{forged}A")))).await.unwrap();
    assert!(backend.passes(&format!("{forged}A")).await);
}

#[tokio::test]
async fn a_key_from_elsewhere_is_imported_once_under_whichever_pepper() {
    let mut backend = backend().await;
    create(&backend, &backend.secrets, Some(Import::Key(FOREIGN.to_owned()))).await.unwrap();
    backend.secrets = secrets(&[1, 2], KeyHashing::default());
    for again in [Import::Key(FOREIGN.to_owned()), Import::Sha256(sha256(FOREIGN))] {
        assert_eq!(conflict(create(&backend, &backend.secrets, Some(again)).await), "import");
    }
}

#[tokio::test]
async fn what_cannot_be_a_key_is_not_imported() {
    let backend = backend().await;
    for key in ["nineteen-characters", "with a space in the key", "ümlaut-in-a-long-enough-key", &"k".repeat(513)] {
        assert_eq!(wrong(create(&backend, &backend.secrets, Some(Import::Key(key.to_owned()))).await), ["import.key"], "{key}");
    }
    for hash in ["", "abc", &sha256(FOREIGN).to_uppercase(), &"g".repeat(64)] {
        assert_eq!(wrong(create(&backend, &backend.secrets, Some(Import::Sha256(hash.to_owned()))).await), ["import.sha256"], "{hash}");
    }
    assert_eq!(format!("{:?}", Import::Key(FOREIGN.to_owned())), "Key(…)");
}
