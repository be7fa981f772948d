//! What ends by itself: words that were sent, sessions, and attempts to send.

use tollgate_server::accounts::{self, Chosen, INVITATION_LASTS, Login, Registration, Terms, WORD_LASTS};
use tollgate_server::failure::Failure;
use tollgate_server::outbox::{self, MOST_ATTEMPTS, State};
use tollgate_server::permission::Role;
use tollgate_server::sessions::{self, LONGEST, LONGEST_IDLE};
use tollgate_server::users::{self, NewUser, User};

use crate::setup::*;

const PASSWORD: &str = "a sentence of some words";

fn terms() -> Terms {
    Terms { tier: "free".to_owned(), public_url: "https://us.example".to_owned() }
}

/// The word in the newest mail that is to be sent.
async fn word(backend: &Backend) -> String {
    let due = outbox::due(&backend.store).await.unwrap();
    let text = due.last().unwrap().mail(&backend.secrets).unwrap().text;
    text.split_once("/password#").unwrap().1.lines().next().unwrap().to_owned()
}

async fn choose(backend: &Backend, token: &str) -> Result<(), Failure> {
    let chosen: Chosen = serde_json::from_value(serde_json::json!({"token": token, "password": PASSWORD})).unwrap();
    accounts::choose(&backend.store, &backend.secrets, &terms(), &chosen).await
}

async fn invited(backend: &Backend) -> User {
    let new =
        NewUser { name: "Ada".to_owned(), email: "ada@example.com".to_owned(), role: Role::Viewer, organisation: None, consumer: None };
    committed!(backend, |write| users::create(write, &backend.secrets, "https://us.example", &backend.admin, new)).unwrap()
}

/// The word for a session of the user who was invited.
async fn session(backend: &Backend) -> String {
    let login: Login = serde_json::from_value(serde_json::json!({"email": "ada@example.com", "password": PASSWORD})).unwrap();
    accounts::login(&backend.store, &backend.secrets, &login, "a browser").await.unwrap().unwrap().word.expose().to_owned()
}

async fn is_signed_in(backend: &Backend, word: &str) -> bool {
    sessions::authenticate(&backend.store, word).await.unwrap().is_some()
}

#[tokio::test]
async fn a_word_ends_when_its_time_is_over() {
    let backend = Backend::new().await;
    let new = Registration { name: "Grace".to_owned(), email: "grace@example.com".to_owned() };
    accounts::register(&backend.store, &backend.secrets, &terms(), new).await.unwrap();
    let registered = word(&backend).await;
    backend.clock.advance(WORD_LASTS);
    assert!(choose(&backend, &registered).await.is_err(), "an hour");
    invited(&backend).await;
    let invitation = word(&backend).await;
    backend.clock.advance(INVITATION_LASTS - SECOND);
    choose(&backend, &invitation).await.unwrap();
}

#[tokio::test]
async fn a_session_ends_without_use_and_after_a_week_however_much_it_is_used() {
    let backend = Backend::new().await;
    invited(&backend).await;
    choose(&backend, &word(&backend).await).await.unwrap();
    let (idle, used) = (session(&backend).await, session(&backend).await);
    // Its last use is kept to some minutes.
    let rest = SECOND * 600;
    let step = LONGEST_IDLE - rest;
    backend.clock.advance(step);
    assert!(is_signed_in(&backend, &used).await);
    backend.clock.advance(rest);
    assert!(!is_signed_in(&backend, &idle).await && is_signed_in(&backend, &used).await);
    let mut passed = LONGEST_IDLE;
    while passed + step < LONGEST {
        backend.clock.advance(step);
        passed += step;
        assert!(is_signed_in(&backend, &used).await, "{passed:?}");
    }
    backend.clock.advance(LONGEST - passed);
    assert!(!is_signed_in(&backend, &used).await, "a week");
}

#[tokio::test]
async fn what_is_never_taken_is_tried_later_and_later_and_then_dead() {
    let backend = Backend::new().await;
    invited(&backend).await;
    let mut pauses = Vec::new();
    for attempt in 1..=MOST_ATTEMPTS {
        let due = outbox::due(&backend.store).await.unwrap().pop().unwrap();
        let state = committed!(backend, |write| outbox::tried(write, due, Err("the server is away".to_owned()))).unwrap();
        assert_eq!(state, if attempt == MOST_ATTEMPTS { State::Dead } else { State::Waiting }, "{attempt}");
        assert!(outbox::due(&backend.store).await.unwrap().is_empty(), "not at once");
        if let Some(next) = outbox::next_due(&backend.store).await.unwrap() {
            pauses.push(next.since(backend.now()));
            backend.clock.advance(next.since(backend.now()));
        }
    }
    assert_eq!(pauses.len(), MOST_ATTEMPTS as usize - 1);
    assert!(pauses.is_sorted() && pauses[0] < SECOND * 20 && pauses[10] > SECOND * 3_600, "{pauses:?}");
    let page = tollgate_server::page::Page::default();
    let listed = outbox::list(&backend.store, &backend.admin, &outbox::Filter { state: Some(State::Dead) }, &page).await.unwrap();
    assert_eq!(listed.items[0].error.as_deref(), Some("the server is away"));
    let id = listed.items[0].id.clone();
    committed!(backend, |write| outbox::retry(write, &backend.admin, &id)).unwrap();
    assert_eq!(outbox::due(&backend.store).await.unwrap().len(), 1);
    // Whoever is bound to an organisation knows nothing of the others' messages, nor of the backend's own.
    let bound = operator(Some("default"));
    assert!(outbox::list(&backend.store, &bound, &outbox::Filter::default(), &page).await.unwrap().items.is_empty());
    assert_eq!(committed!(backend, |write| outbox::retry(write, &bound, &id)), Err(Failure::NotFound));
}
