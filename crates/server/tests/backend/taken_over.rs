//! Many keys from elsewhere at once: all of a list or none, and no matter how often.

use serde_json::{Value, json};
use tollgate_server::api_keys::{self, TakeOver, TakenOver};
use tollgate_server::failure::Failure;

use crate::setup::*;

async fn take(backend: &Backend, keys: &[Value]) -> Result<TakenOver, Failure> {
    let list: TakeOver = serde_json::from_value(json!({"keys": keys})).unwrap();
    committed!(backend, |write| api_keys::take_over(write, &backend.secrets, &backend.admin, &list))
}

fn key(consumer: &str, number: u32) -> Value {
    json!({"consumer": consumer, "import": {"key": text(number)}})
}

fn text(number: u32) -> String {
    format!("a-key-of-elsewhere-{number}")
}

async fn world() -> Backend {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    backend.consumer("other").await;
    backend
}

#[tokio::test]
async fn keys_that_were_taken_over_pass_and_the_same_list_again_changes_nothing() {
    let backend = world().await;
    let hash = json!({"consumer": "other", "label": "hashed", "credits": 5, "import": {"sha256": sha256(&text(2))}});
    let list = [key("acme", 1), hash];
    assert_eq!(take(&backend, &list).await, Ok(TakenOver { imported: 2, known: 0 }));
    let known = backend.resolve(&text(2)).await.known.unwrap();
    assert_eq!((known.consumer.as_str(), known.own.unwrap().limits[0].rate), ("other", 5));
    assert!(backend.passes(&text(1)).await);
    let before = backend.revision().await;
    assert_eq!(take(&backend, &list).await, Ok(TakenOver { imported: 0, known: 2 }));
    assert_eq!(take(&backend, &[key("acme", 1), key("acme", 3)]).await, Ok(TakenOver { imported: 1, known: 1 }));
    assert_eq!(backend.revision().await, before, "nobody need hear of what nobody knew");
}

#[tokio::test]
async fn a_list_with_anything_wrong_in_it_is_refused_by_its_places_and_not_taken_at_all() {
    let backend = world().await;
    take(&backend, &[key("acme", 1)]).await.unwrap();
    let issued = backend.key("acme").await.api_key.unwrap();
    let signed = json!({"consumer": "acme", "signing": "required", "import": {"key": text(5)}});
    let list = [
        key("acme", 9),
        key("other", 1),
        key("nobody", 2),
        json!({"consumer": "acme"}),
        key("acme", 9),
        signed,
        json!({"consumer": "other", "import": {"key": issued.expose()}}),
        json!({"consumer": "acme", "import": {"key": "short"}}),
    ];
    let places = [
        "keys[1].import",
        "keys[2].consumer",
        "keys[3].import",
        "keys[4].import",
        "keys[5].signing",
        "keys[6].import",
        "keys[7].import.key",
    ];
    assert_eq!(wrong(take(&backend, &list).await), places);
    assert!(!backend.passes(&text(9)).await);
    assert_eq!(wrong(take(&backend, &[]).await), ["keys"]);
    let many: Vec<Value> = (0..501).map(|number| key("acme", number)).collect();
    assert_eq!(wrong(take(&backend, &many).await), ["keys"]);
    let none: Vec<Value> = (0..400).map(|_| json!({"consumer": "acme"})).collect();
    assert_eq!(wrong(take(&backend, &none).await).len(), 20);
}

#[tokio::test]
async fn a_revoked_key_does_not_come_back_by_a_list() {
    let backend = world().await;
    let issued = backend.key("acme").await;
    let imported = json!({"consumer": "acme", "import": {"key": text(1)}});
    take(&backend, std::slice::from_ref(&imported)).await.unwrap();
    let id = backend.resolve(&text(1)).await.known.unwrap().credential;
    for id in [&id, &issued.key.id] {
        committed!(backend, |write| api_keys::revoke(write, &backend.admin, api_keys::Reach::All, id, None)).unwrap();
    }
    let again = [imported, json!({"consumer": "acme", "import": {"key": issued.api_key.unwrap().expose()}})];
    assert_eq!(take(&backend, &again).await, Ok(TakenOver { imported: 0, known: 2 }));
    assert!(!backend.passes(&text(1)).await);
}

#[tokio::test]
async fn whoever_is_bound_to_an_organisation_takes_over_for_its_own_consumers_alone() {
    let backend = world().await;
    backend.organisation("north").await;
    backend.consumer_of("theirs", "north").await;
    let operator = operator(Some("north"));
    let list: TakeOver = serde_json::from_value(json!({"keys": [key("theirs", 1), key("acme", 2)]})).unwrap();
    let taken = committed!(backend, |write| api_keys::take_over(write, &backend.secrets, &operator, &list));
    assert_eq!(wrong(taken), ["keys[1].consumer"]);
}
