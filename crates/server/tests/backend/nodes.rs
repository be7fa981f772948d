//! Nodes: their credentials, their incarnations, their tokens.

use tollgate_core::wire::{Hello, Report};
use tollgate_server::failure::Failure;
use tollgate_server::nodes::{self, CreatedNodeCredential, NewNodeCredential, NodeCredential};
use tollgate_server::page::Page;
use tollgate_server::reports;
use tollgate_server::secrets::KeyHashing;
use tollgate_server::store::Store;

use crate::setup::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn hello(secret: &str) -> Hello {
    Hello { incarnation_secret: secret.to_owned(), node: "edge-1".to_owned(), module: "0.1.0".to_owned() }
}

async fn credential(backend: &Backend) -> CreatedNodeCredential {
    let new = NewNodeCredential { label: "edge".to_owned() };
    committed!(backend, |write| nodes::create_credential(write, &backend.secrets, &backend.admin, new)).unwrap()
}

async fn token(backend: &Backend, credential: &NodeCredential) -> String {
    let welcome = committed!(backend, |write| nodes::hello(write, &backend.secrets, credential, &hello(SECRET))).unwrap();
    assert_eq!(welcome.expires_in_ms, 600_000);
    assert!(welcome.token.len() <= 512 && welcome.token.bytes().all(|byte| byte.is_ascii_graphic()));
    welcome.token
}

async fn whose(backend: &Backend, presented: &str) -> Option<NodeCredential> {
    nodes::authenticate(&backend.store, &backend.secrets, presented).await.unwrap()
}

#[tokio::test]
async fn a_credential_is_recognised_until_it_is_revoked() {
    let backend = Backend::new().await;
    let made = credential(&backend).await;
    assert!(made.node_credential.expose().starts_with(&format!("tgn_{}", made.credential.id)));
    assert!(!backend.holds(&made.node_credential.expose().as_bytes()[20..]), "it is kept nowhere");
    assert_eq!(whose(&backend, made.node_credential.expose()).await, Some(made.credential.clone()));
    assert_eq!(whose(&backend, &made.node_credential.expose()[1..]).await, None);
    for _ in 0..2 {
        committed!(backend, |write| nodes::revoke_credential(write, &backend.admin, &made.credential.id)).unwrap();
    }
    assert_eq!(whose(&backend, made.node_credential.expose()).await, None);
    let listed = nodes::credentials(&backend.store, &backend.admin, &Page::default()).await.unwrap().items;
    assert_eq!((listed.len(), listed[0].label.as_str(), listed[0].revoked_at), (1, "edge", Some(backend.now())));
    assert_eq!(committed!(backend, |write| nodes::revoke_credential(write, &backend.admin, "nobody")), Err(Failure::NotFound));
}

#[tokio::test]
async fn a_token_stands_for_its_incarnation_for_ten_minutes() {
    let backend = Backend::new().await;
    let made = credential(&backend).await;
    let token = token(&backend, &made.credential).await;
    backend.clock.advance(599 * SECOND);
    let incarnation = nodes::authorize(&backend.store, &backend.secrets, &token).unwrap();
    assert_eq!((incarnation.credential, incarnation.incarnation), (made.credential.id, hello(SECRET).incarnation()));
    backend.clock.advance(SECOND);
    assert_eq!(nodes::authorize(&backend.store, &backend.secrets, &token), None);
}

#[tokio::test]
async fn a_token_with_anything_changed_in_it_is_none() {
    let backend = Backend::new().await;
    let token = token(&backend, &credential(&backend).await.credential).await;
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(nodes::authorize(&backend.store, &backend.secrets, &changed), None, "{at}");
    }
    for other in ["", "tgt_", "tgt_.", &token[..token.len() - 4], &format!("{token}{}", "A".repeat(512))] {
        assert_eq!(nodes::authorize(&backend.store, &backend.secrets, other), None);
    }
    let mut others = environment(&[1]);
    others[0].1 = "another token key of the tests".to_owned();
    let others = tollgate_server::secrets::Secrets::load("/nonexistent".as_ref(), others, "foil", KeyHashing::default()).unwrap();
    assert_eq!(nodes::authorize(&backend.store, &others, &token), None);
}

#[tokio::test]
async fn the_tokens_of_a_revoked_credential_are_refused_at_once_and_after_a_restart() {
    let backend = Backend::new().await;
    let (made, other) = (credential(&backend).await, credential(&backend).await);
    let token = token(&backend, &made.credential).await;
    let hello = hello("ffffffffffffffffffffffffffffffff");
    let others = committed!(backend, |write| nodes::hello(write, &backend.secrets, &other.credential, &hello)).unwrap().token;
    let mut write = backend.store.begin().await.unwrap();
    nodes::revoke_credential(&mut write, &backend.admin, &made.credential.id).await.unwrap();
    assert!(nodes::authorize(&backend.store, &backend.secrets, &token).is_some(), "not before it is committed");
    write.commit().await.unwrap();
    assert_eq!(nodes::authorize(&backend.store, &backend.secrets, &token), None);
    assert!(nodes::authorize(&backend.store, &backend.secrets, &others).is_some());
    let again = Store::open(backend.dir.path(), std::sync::Arc::new(backend.clock.clone())).await.unwrap();
    assert_eq!(nodes::authorize(&again, &backend.secrets, &token), None);
}

#[tokio::test]
async fn an_incarnation_is_one_however_often_it_says_hello() {
    let backend = Backend::new().await;
    let made = credential(&backend).await;
    token(&backend, &made.credential).await;
    let first_seen_at = backend.now();
    backend.clock.advance(60 * SECOND);
    token(&backend, &made.credential).await;
    let listed = nodes::list(&backend.store, &backend.admin, &Page::default()).await.unwrap().items;
    assert_eq!(listed.len(), 1);
    let node = &listed[0];
    assert_eq!((&node.incarnation, node.node.as_str(), node.module.as_str()), (&hello(SECRET).incarnation(), "edge-1", "0.1.0"));
    assert_eq!((node.first_seen_at, node.last_seen_at, node.last_sequence), (first_seen_at, backend.now(), 0));
}

#[tokio::test]
async fn an_incarnation_stays_one_whose_credential_is_replaced() {
    let backend = Backend::new().await;
    let (old, new) = (credential(&backend).await.credential, credential(&backend).await.credential);
    let old_token = token(&backend, &old).await;
    let apply = async |token: &str, sequence| {
        let incarnation = nodes::authorize(&backend.store, &backend.secrets, token).unwrap();
        let report = Report { sequence, used: Vec::new(), ..Report::default() };
        committed!(backend, |write| reports::apply(write, &incarnation, &report)).unwrap();
        nodes::list(&backend.store, &backend.admin, &Page::default()).await.unwrap().items
    };
    apply(&old_token, 1).await;
    let new_token = token(&backend, &new).await;
    // What is still under way with the old one counts while that is good.
    apply(&old_token, 2).await;
    let listed = apply(&new_token, 3).await;
    assert_eq!((listed.len(), &listed[0].credential, listed[0].last_sequence), (1, &new.id, 3));
    committed!(backend, |write| nodes::revoke_credential(write, &backend.admin, &old.id)).unwrap();
    assert!(nodes::authorize(&backend.store, &backend.secrets, &old_token).is_none());
    assert!(nodes::authorize(&backend.store, &backend.secrets, &new_token).is_some());
}

#[tokio::test]
async fn who_knows_what_an_incarnation_is_called_is_not_that_incarnation() {
    let backend = Backend::new().await;
    let made = credential(&backend).await.credential;
    token(&backend, &made).await;
    let called = hello(SECRET).incarnation();
    assert!(!backend.holds(SECRET.as_bytes()) && backend.holds(called.as_bytes()));
    committed!(backend, |write| nodes::hello(write, &backend.secrets, &made, &hello(&called))).unwrap();
    assert_eq!(nodes::list(&backend.store, &backend.admin, &Page::default()).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_a_node_is_refused() {
    let backend = Backend::new().await;
    let made = credential(&backend).await.credential;
    for secret in ["", "0123", &SECRET.to_uppercase(), &"g".repeat(32)] {
        let refused = committed!(backend, |write| nodes::hello(write, &backend.secrets, &made, &hello(secret)));
        assert_eq!(wrong(refused), ["incarnation_secret"]);
    }
    let long = Hello { node: "n".repeat(129), module: "\n".to_owned(), ..hello(SECRET) };
    assert_eq!(wrong(committed!(backend, |write| nodes::hello(write, &backend.secrets, &made, &long))), ["node", "module"]);
}

#[tokio::test]
async fn a_node_that_is_not_heard_of_for_a_month_is_forgotten() {
    let backend = Backend::new().await;
    let made = credential(&backend).await.credential;
    token(&backend, &made).await;
    for (days, left) in [(30, 2), (1, 1)] {
        backend.clock.advance(days * 86_400 * SECOND);
        let other = hello("ffffffffffffffffffffffffffffffff");
        committed!(backend, |write| nodes::hello(write, &backend.secrets, &made, &other)).unwrap();
        let listed = nodes::list(&backend.store, &backend.admin, &Page::default()).await.unwrap().items;
        assert_eq!(listed.len(), left);
    }
}
