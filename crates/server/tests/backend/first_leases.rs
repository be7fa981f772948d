//! Leases that come with the answer to whose a credential is: granted as others are, and never in the way of that answer.

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Executor, SqliteConnection};
use tokio::time::Instant;
use tollgate_core::wire::{FirstAsk, LeaseAnswer, LeaseAsk, Resolve, ResolveConsumer, Resolved};
use tollgate_server::api_keys;
use tollgate_server::failure::Failure;
use tollgate_server::ledger::ReleaseNode;
use tollgate_server::nodes::Incarnation;
use tollgate_server::resolve::{resolve, resolve_consumer};

use crate::leases::{again, ask, charged, node, put, quota, restart, rows, settle, with_quota};
use crate::setup::*;

fn first(lease: u64, need: u64) -> FirstAsk {
    FirstAsk { lease, need, route: "default".to_owned() }
}

async fn asked(backend: &Backend, node: &Incarnation, key: &str, leases: FirstAsk) -> Result<Resolved, Failure> {
    resolve(&backend.store, &backend.secrets, node, &Resolve { leases: Some(leases), ..question(key) }).await
}

/// What is granted of each limit that a key's answer names.
async fn granted(backend: &Backend, node: &Incarnation, key: &str, leases: FirstAsk) -> Vec<(String, Option<u64>)> {
    let resolved = asked(backend, node, key, leases).await.unwrap();
    let answers = resolved.settled.unwrap().answers.into_iter().map(|answer| (!answer.closed).then_some(answer.granted));
    resolved.limits.into_iter().zip(answers).collect()
}

async fn key_of(backend: &Backend) -> String {
    backend.key("acme").await.api_key.unwrap().expose().to_owned()
}

fn monthly(units: Option<u64>) -> Vec<(String, Option<u64>)> {
    vec![("monthly".to_owned(), units)]
}

#[tokio::test]
async fn the_first_leases_are_durable_and_the_same_when_they_are_asked_for_again() {
    let mut backend = with_quota().await;
    let key = key_of(&backend).await;
    let told = asked(&backend, &node(1), &key, first(7, 30)).await.unwrap();
    assert_eq!(told.known.as_ref().map(|known| known.consumer.as_str()), Some("acme"));
    let answers = told.settled.as_ref().unwrap().answers.clone();
    assert_eq!((answers[0].lease, answers[0].number, answers[0].granted, answers[0].left), (7, 1, 30, 70));
    assert_eq!(told.settled.as_ref().unwrap().revision, backend.revision().await);
    restart(&mut backend).await;
    assert_eq!(asked(&backend, &node(1), &key, first(7, 30)).await.unwrap(), told);
    assert_eq!(charged(&backend).await, 30);
    // It is a lease like any other.
    let grown = settle(&backend, &node(1), LeaseAsk { returned: 10, ..again(&answers[0], 5) }).await;
    assert_eq!((grown.granted, charged(&backend).await), (5, 25));
    // Another node has its own under the same number.
    assert_eq!(granted(&backend, &node(2), &key, first(7, 20)).await, monthly(Some(20)));
    // Without the wish nothing is granted.
    assert_eq!((backend.resolve(&key).await.limits, charged(&backend).await), (Vec::new(), 45));
}

#[tokio::test]
async fn a_consumer_that_a_token_names_comes_with_its_first_leases() {
    let backend = with_quota().await;
    let of = |consumer: &str| ResolveConsumer { consumer: consumer.to_owned(), leases: Some(first(3, 8)) };
    let told = resolve_consumer(&backend.store, &node(1), &of("acme")).await.unwrap();
    assert_eq!((told.limits, told.settled.unwrap().answers[0].granted), (words(&["monthly"]), 8));
    let nobody = resolve_consumer(&backend.store, &node(1), &of("nobody")).await.unwrap();
    assert_eq!((nobody.tier, nobody.limits, nobody.settled), (None, Vec::new(), None));
}

#[tokio::test]
async fn a_key_that_may_not_pass_brings_no_lease() {
    let backend = with_quota().await;
    let revoked = backend.key("acme").await;
    committed!(backend, |write| api_keys::revoke(write, &backend.admin, api_keys::Reach::All, &revoked.key.id, None)).unwrap();
    for key in [revoked.api_key.unwrap().expose(), "nobody's"] {
        let told = asked(&backend, &node(1), key, first(1, 1)).await.unwrap();
        assert_eq!((told.known, told.limits, told.settled), (None, Vec::new(), None));
    }
    assert!(rows(&backend, true).await.is_empty());
}

#[tokio::test]
async fn only_limits_over_all_nodes_that_apply_to_the_route_are_asked_from() {
    let backend = with_quota().await;
    let key = key_of(&backend).await;
    let rate = |name: &str, scope: &str| json!({"name": name, "algorithm": "token_bucket", "rate": 10, "per": "1s", "scope": scope});
    let mut elsewhere = quota("elsewhere", 100, "day");
    elsewhere["routes"] = json!(["search"]);
    put(&backend, "free", &[rate("own", "node"), elsewhere, quota("monthly", 100, "month"), rate("all", "global")]).await;
    let both = |units| vec![("monthly".to_owned(), Some(units)), ("all".to_owned(), Some(units))];
    assert_eq!(granted(&backend, &node(1), &key, first(1, 5)).await, both(5));
    let search = FirstAsk { route: "search".to_owned(), ..first(1, 5) };
    let three = granted(&backend, &node(2), &key, search).await;
    assert_eq!(three.iter().map(|(limit, _)| limit.as_str()).collect::<Vec<_>>(), ["elsewhere", "monthly", "all"]);
    // What costs nothing needs no lease.
    assert_eq!(asked(&backend, &node(3), &key, first(1, 0)).await.unwrap().limits, Vec::<String>::new());
    put(&backend, "free", &[]).await;
    let unlimited = asked(&backend, &node(4), &key, first(1, 5)).await.unwrap();
    assert_eq!((unlimited.known.is_some(), unlimited.limits, unlimited.settled), (true, Vec::new(), None));
}

/// Where each key of a consumer brought leases, a node that asks about a hundred of them would take all units for a second.
#[tokio::test]
async fn who_has_a_lease_open_is_given_no_other_and_one_that_was_given_is_answered_again() {
    let backend = with_quota().await;
    let keys = [key_of(&backend).await, key_of(&backend).await];
    let global = json!({"name": "all", "algorithm": "token_bucket", "rate": 100, "per": "1s", "scope": "global"});
    put(&backend, "free", &[quota("monthly", 100, "month"), global]).await;
    let both = |units: Option<u64>| vec![("monthly".to_owned(), units), ("all".to_owned(), units)];
    assert_eq!(granted(&backend, &node(1), &keys[0], first(5, 6)).await, both(Some(6)));
    assert_eq!(granted(&backend, &node(1), &keys[1], first(6, 6)).await, both(None));
    assert_eq!(granted(&backend, &node(1), &keys[0], first(5, 6)).await, both(Some(6)));
    assert_eq!(charged(&backend).await, 6);
    let window = rows(&backend, false).await[0].window_start.millis();
    let close = LeaseAsk { window: u64::try_from(window).unwrap(), returned: 6, close: true, ..ask(5, 2, 0) };
    assert!(settle(&backend, &node(1), close).await.closed);
    assert_eq!(granted(&backend, &node(1), &keys[1], first(6, 6)).await[0], monthly(Some(6))[0], "a newer one");
    assert_eq!(granted(&backend, &node(1), &keys[0], first(5, 6)).await[0], monthly(None)[0], "never the old one again");
    assert_eq!(charged(&backend).await, 6);
}

#[tokio::test]
async fn a_frozen_ledger_and_one_that_has_let_the_node_go_grant_nothing_with_an_answer() {
    let mut backend = with_quota().await;
    let key = key_of(&backend).await;
    let credential = crate::ledger::credential(&backend).await;
    let gone = crate::ledger::hello(&backend, &credential, "edge", 1).await;
    crate::ledger::release(&backend, &gone.incarnation, &ReleaseNode { force: true }).await.unwrap();
    assert_eq!(granted(&backend, &gone, &key, first(1, 5)).await, monthly(None));
    crate::frozen::freeze(&mut backend).await;
    let told = asked(&backend, &node(2), &key, first(1, 5)).await.unwrap();
    let [LeaseAnswer { granted: 0, closed: false, retry_ms: 1.., .. }] = told.settled.unwrap().answers[..] else { panic!("a refusal") };
    assert_eq!(charged(&backend).await, 0);
}

#[tokio::test]
async fn a_ledger_that_fails_or_is_late_keeps_nobody_from_being_known() {
    let backend = with_quota().await;
    let key = key_of(&backend).await;
    let file = SqliteConnectOptions::new().filename(backend.dir.path().join("ledger.db"));
    let mut other = SqliteConnection::connect_with(&file).await.unwrap();
    let unsettled = async || {
        let begun = Instant::now();
        let told = asked(&backend, &node(1), &key, first(1, 5)).await.unwrap();
        assert_eq!((told.known.is_some(), told.limits, told.settled), (true, words(&["monthly"]), None));
        assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    };
    other.execute("CREATE TRIGGER breaks BEFORE INSERT ON leases BEGIN SELECT raise(ABORT, 'broken'); END").await.unwrap();
    unsettled().await;
    other.execute("DROP TRIGGER breaks").await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    unsettled().await;
    other.execute("ROLLBACK").await.unwrap();
    // Whether or not it was granted then: it is charged once.
    assert_eq!(granted(&backend, &node(1), &key, first(1, 5)).await, monthly(Some(5)));
    assert_eq!(charged(&backend).await, 5);
}

#[tokio::test]
async fn leases_that_no_node_asks_for_are_refused() {
    let backend = with_quota().await;
    let key = key_of(&backend).await;
    assert_eq!(wrong(asked(&backend, &node(1), &key, first(1 << 54, 1)).await), ["leases[0].lease"]);
    assert_eq!(wrong(asked(&backend, &node(1), &key, first(1, 1 << 54)).await), ["leases[0].need", "leases[0].waiting"]);
}
