//! Requests that come twice: one effect, one answer, and no key in the database.

use std::sync::Arc;

use tollgate_server::api_keys::{self, Filter, Reach};
use tollgate_server::failure::Failure;
use tollgate_server::idempotency::{self, Attempt};
use tollgate_server::page::Page;
use tollgate_server::permission::Principal;
use tollgate_server::secrets::KeyHashing;
use tollgate_server::store::Write;

use crate::setup::*;

const KEY: &str = "7f9c24e8-3b1a-4a53-9c0d";

fn attempt(key: &str, body: &[u8]) -> Attempt {
    Attempt::new(key, "POST", "/api/v1/keys", body).unwrap()
}

/// What `http` does: makes a key for `acme` unless the request came before; answers what the client is answered.
async fn request(backend: &Backend, principal: &Principal, attempt: &Attempt) -> Result<Vec<u8>, Failure> {
    let mut write: Write = backend.store.begin().await?;
    if let Some(answer) = idempotency::replay(&mut write, &backend.secrets, principal, attempt).await? {
        return Ok(answer);
    }
    let created = api_keys::create(&mut write, &backend.secrets, &backend.admin, new_key("acme")).await?;
    let answer = serde_json::to_vec(&created).unwrap();
    idempotency::remember(&mut write, &backend.secrets, principal, attempt, &answer).await?;
    write.commit().await?;
    Ok(answer)
}

async fn backend() -> Backend {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    backend
}

async fn count(backend: &Backend) -> usize {
    api_keys::list(&backend.store, &backend.admin, Reach::All, &Filter::default(), &Page::default()).await.unwrap().items.len()
}

fn shown(answer: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(answer).unwrap()["api_key"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_second_request_gets_the_key_that_the_first_one_made() {
    let backend = backend().await;
    let first = request(&backend, &backend.admin, &attempt(KEY, b"{}")).await.unwrap();
    let second = request(&backend, &backend.admin, &attempt(KEY, b"{}")).await.unwrap();
    assert_eq!((first == second, count(&backend).await), (true, 1));
    assert!(backend.passes(&shown(&second)).await);
}

#[tokio::test]
async fn neither_the_key_nor_the_clients_word_is_in_the_database() {
    let backend = backend().await;
    let answer = request(&backend, &backend.admin, &attempt(KEY, b"{\"a\":1}")).await.unwrap();
    let key = shown(&answer);
    for kept_nowhere in [&key.as_bytes()[21..], KEY.as_bytes(), b"{\"a\":1}", b"api_key\":"] {
        assert!(!backend.holds(kept_nowhere), "{}", String::from_utf8_lossy(kept_nowhere));
    }
    assert!(!format!("{:?}", attempt(KEY, b"")).contains(KEY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_the_same_time_are_one() {
    let backend = Arc::new(backend().await);
    let all: Vec<_> = (0..8)
        .map(|_| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move { request(&backend, &backend.admin, &attempt(KEY, b"{}")).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for one in all {
        answers.push(one.await.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(count(&backend).await, 1);
}

#[tokio::test]
async fn another_request_with_the_same_word_is_refused() {
    let backend = backend().await;
    request(&backend, &backend.admin, &attempt(KEY, b"{}")).await.unwrap();
    for other in
        [attempt(KEY, b"{ }"), Attempt::new(KEY, "PUT", "/api/v1/keys", b"{}").unwrap(), Attempt::new(KEY, "POST", "/x", b"{}").unwrap()]
    {
        assert_eq!(conflict(request(&backend, &backend.admin, &other).await), "Idempotency-Key");
    }
    assert_eq!(count(&backend).await, 1);
}

#[tokio::test]
async fn the_same_word_of_somebody_else_is_another_one() {
    let backend = backend().await;
    let first = request(&backend, &backend.admin, &attempt(KEY, b"{}")).await.unwrap();
    let second = request(&backend, &operator(None), &attempt(KEY, b"{}")).await.unwrap();
    assert_eq!((first == second, count(&backend).await), (false, 2));
}

#[tokio::test]
async fn an_answer_is_remembered_for_a_day() {
    let backend = backend().await;
    let first = request(&backend, &backend.admin, &attempt(KEY, b"{}")).await.unwrap();
    backend.clock.advance(idempotency::REMEMBERED);
    assert_eq!(request(&backend, &backend.admin, &attempt(KEY, b"{}")).await.unwrap(), first);
    backend.clock.advance(SECOND);
    assert_ne!(request(&backend, &backend.admin, &attempt(KEY, b"{}")).await.unwrap(), first);
    assert_eq!(count(&backend).await, 2);
}

#[tokio::test]
async fn what_failed_may_be_tried_again() {
    let backend = Backend::new().await;
    assert_eq!(wrong(request(&backend, &backend.admin, &attempt(KEY, b"{}")).await), ["consumer"]);
    backend.consumer("acme").await;
    assert!(request(&backend, &backend.admin, &attempt(KEY, b"{}")).await.is_ok());
}

#[tokio::test]
async fn an_answer_survives_a_new_pepper() {
    let mut backend = backend().await;
    let first = request(&backend, &backend.admin, &attempt(KEY, b"{}")).await.unwrap();
    backend.secrets = secrets(&[1, 2], KeyHashing::default());
    assert_eq!(request(&backend, &backend.admin, &attempt(KEY, b"{}")).await.unwrap(), first);
}

#[test]
fn words_are_visible_ascii_of_bounded_length() {
    for key in ["a", &"x".repeat(128)] {
        assert!(Attempt::new(key, "POST", "/", b"").is_ok());
    }
    for key in ["", "a b", "ä", "a\n", &"x".repeat(129)] {
        assert_eq!(wrong(Attempt::new(key, "POST", "/", b"")), ["Idempotency-Key"]);
    }
}
