//! Keys for the asking.

use tollgate_server::consumers::{self, Filter};
use tollgate_server::failure::Failure;
use tollgate_server::page::Page;
use tollgate_server::self_service::{self, NewSelfServiceKey, SelfServiceKey};

use crate::setup::*;

async fn ask(backend: &Backend, tier: &str, email: &str) -> Result<SelfServiceKey, Failure> {
    let new = NewSelfServiceKey { tier: tier.to_owned(), email: email.to_owned() };
    committed!(backend, |write| self_service::create(write, &backend.secrets, new))
}

#[tokio::test]
async fn the_answer_has_the_form_of_the_product_and_the_key_passes() {
    let backend = Backend::new().await;
    let answer = ask(&backend, "free", "user@example.com").await.unwrap();
    let key = answer.api_key.expose().to_owned();
    let json = serde_json::to_string(&answer).unwrap();
    assert_eq!(json, format!(r#"{{"api_key":"{key}","tier":"free","created_at":"2026-01-14T00:00:00Z"}}"#));
    assert!(key.starts_with("foil_") && backend.passes(&key).await);
    let consumer = consumers::list(&backend.store, &backend.admin, &Filter::default(), &Page::default()).await.unwrap().items.remove(0);
    assert_eq!((consumer.scopes, backend.resolve(&key).await.known.unwrap().scopes), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn an_address_that_is_known_gets_a_consumer_of_its_own_again() {
    let backend = Backend::new().await;
    for _ in 0..2 {
        ask(&backend, "free", "user@example.com").await.unwrap();
    }
    let listed = consumers::list(&backend.store, &backend.admin, &Filter::default(), &Page::default()).await.unwrap().items;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|consumer| consumer.email.as_deref() == Some("user@example.com")));
}

#[tokio::test]
async fn no_tier_but_those_for_it_and_no_wrong_address() {
    let backend = Backend::new().await;
    let mut reasons = Vec::new();
    for tier in ["pro", "nobody", ""] {
        match ask(&backend, tier, "user@example.com").await {
            Err(Failure::Invalid { problems }) => reasons.extend(problems),
            other => panic!("{other:?}"),
        }
    }
    assert!(reasons.iter().all(|problem| *problem == reasons[0]), "a tier that is there is not told from one that is not: {reasons:?}");
    assert_eq!(wrong(ask(&backend, "pro", "nowhere").await), ["email", "tier"]);
    assert_eq!(consumers::list(&backend.store, &backend.admin, &Filter::default(), &Page::default()).await.unwrap().items, []);
}
