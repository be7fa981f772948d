//! Who did what: each change leaves an entry, nobody can change or take away one unseen, and who somebody was can be forgotten.

use serde_json::{Value, json};
use sqlx::Row;
use tokio::time::Instant;
use tollgate_core::wire::{Hello, MOST_REFUSED, Refused, Report};
use tollgate_server::api_keys::{self, NewOwnKey, Reach};
use tollgate_server::audit::{self, Broken, Chain, Entry, Filter, Head, TOLD_APART};
use tollgate_server::blocks::{self, NewApproval, NewBlock};
use tollgate_server::clock::SystemClock;
use tollgate_server::consumers;
use tollgate_server::failure::Failure;
use tollgate_server::nodes::{self, Incarnation, NewNodeCredential};
use tollgate_server::page::Page;
use tollgate_server::permission::Role;
use tollgate_server::reports;
use tollgate_server::store::Store;
use tollgate_server::tiers::{self, TierBody};
use tollgate_server::users::{self, NewUser, User, UserPatch};

use crate::setup::*;

const URL: &str = "https://tollgate.example.com";

async fn user(backend: &Backend, name: &str, organisation: Option<&str>) -> User {
    let new = NewUser {
        name: name.to_owned(),
        email: format!("{}@example.com", name.to_lowercase()),
        role: Role::Viewer,
        organisation: organisation.map(str::to_owned),
        consumer: None,
    };
    committed!(backend, |write| users::create(write, &backend.secrets, URL, &backend.admin, new)).unwrap()
}

/// Entries that are asked for, the newest first.
async fn entries(backend: &Backend, filter: Filter) -> Vec<Entry> {
    audit::list(&backend.store, &backend.admin, &filter, &Page { limit: Some(200), after: None }).await.unwrap().items
}

async fn of_kind(backend: &Backend, kind: &str) -> Vec<Entry> {
    entries(backend, Filter { kind: Some(kind.to_owned()), ..Filter::default() }).await
}

fn detail(entry: &Entry) -> Value {
    serde_json::from_str(entry.detail.as_ref().unwrap().get()).unwrap()
}

async fn verify(backend: &Backend, kept: &[Head]) -> Result<Head, Broken> {
    audit::verify(backend.dir.path(), kept.to_vec()).await.unwrap()
}

async fn head(backend: &Backend) -> Head {
    let last = audit::head(&backend.store, &backend.admin).await.unwrap();
    format!("{}:{}", last.seq, last.hash).parse().unwrap()
}

/// The log as an export, line by line.
async fn export(backend: &Backend, filter: &Filter) -> Vec<String> {
    let mut export = audit::export(&backend.store, &backend.admin, filter, 0, None).await.unwrap();
    let mut lines = String::new();
    while let Some(more) = export.next().await.unwrap() {
        lines.push_str(&more);
    }
    lines.lines().map(str::to_owned).collect()
}

/// What somebody does who may write to the file, and knows of the triggers.
async fn tamper(backend: &Backend, statements: &[&str]) {
    let raw = backend.raw().await;
    for trigger in ["events_stay_as_they_are", "events_stay", "events_are_appended"] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP TRIGGER {trigger}"))).execute(&raw).await.unwrap();
    }
    for statement in statements {
        sqlx::raw_sql(sqlx::AssertSqlSafe((*statement).to_owned())).execute(&raw).await.unwrap();
    }
}

#[tokio::test]
async fn each_change_is_noted_with_who_made_it() {
    let backend = Backend::new().await;
    let developer = developer(&backend.consumer("acme").await);
    let made = committed!(backend, |write| api_keys::create_own(write, &backend.secrets, &developer, NewOwnKey::default())).unwrap();
    committed!(backend, |write| api_keys::revoke(write, &backend.admin, Reach::All, &made.key.id, None)).unwrap();
    let rows =
        sqlx::query("SELECT at, principal, action, subject FROM events WHERE seq > 4 ORDER BY seq").fetch_all(&backend.raw().await).await;
    let rows: Vec<(i64, String, String, String)> =
        rows.unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let line = |principal: &str, action: &str, subject: &str| {
        (backend.now().millis(), principal.to_owned(), action.to_owned(), subject.to_owned())
    };
    assert_eq!(
        rows,
        [
            line("test", "consumers:create", "acme"),
            line("admin_key:developer", "keys:create", &made.key.id),
            line("test", "keys:revoke", &made.key.id),
        ]
    );
}

#[tokio::test]
async fn a_change_is_noted_with_what_was_before_and_after() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    backend.grant("acme", &["read"]).await;
    let changed = of_kind(&backend, "consumers:update").await.remove(0);
    assert_eq!((&detail(&changed)["before"]["scopes"], &detail(&changed)["after"]["scopes"]), (&json!([]), &json!(["read"])));
    assert_eq!(changed.organisation.as_deref(), Some("default"));

    let body = TierBody { limits: Vec::new(), self_service: true };
    committed!(backend, |write| tiers::put(write, &backend.admin, "free", None, body)).unwrap();
    let changed = detail(&of_kind(&backend, "tiers:put").await.remove(0));
    assert!(!changed["before"]["limits"].as_array().unwrap().is_empty() && changed["after"]["limits"] == json!([]), "{changed}");

    let key = backend.key("acme").await;
    committed!(backend, |write| api_keys::revoke(write, &backend.admin, Reach::All, &key.key.id, None)).unwrap();
    let revoked = of_kind(&backend, "keys:revoke").await.remove(0);
    assert_eq!(detail(&revoked)["before"]["status"], "active");
    assert_eq!(detail(&revoked)["after"]["status"], "revoked");
    assert_eq!(revoked.organisation.as_deref(), Some("default"));

    committed!(backend, |write| consumers::delete(write, &backend.admin, "acme", None)).unwrap();
    let deleted = detail(&of_kind(&backend, "consumers:delete").await.remove(0));
    assert_eq!((&deleted["before"]["id"], deleted.get("after")), (&json!("acme"), None));
}

#[tokio::test]
async fn the_log_of_a_busy_backend_holds_and_no_secret_is_in_it() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let key = backend.key("acme").await;
    user(&backend, "Ada", None).await;
    let kept = head(&backend).await;
    assert_eq!(kept.seq, 7);
    assert_eq!(verify(&backend, &[kept]).await, Ok(kept));
    let lines = export(&backend, &Filter::default()).await;
    let mut chain = Chain::new(vec![kept]);
    lines.iter().for_each(|line| chain.entry(&serde_json::from_str(line).unwrap()).unwrap());
    assert_eq!((lines.len(), chain.end()), (7, Ok(kept)));
    let secret = key.api_key.unwrap().expose().to_owned();
    assert!(!lines.concat().contains(&secret) && !lines.concat().contains(&sha256(&secret)));
    assert!(!backend.holds(secret.as_bytes()));
}

#[tokio::test]
async fn the_database_refuses_to_change_an_entry_or_take_one_away() {
    let backend = Backend::new().await;
    let raw = backend.raw().await;
    for statement in [
        "UPDATE events SET subject = 'other' WHERE seq = 2",
        "DELETE FROM events WHERE seq = 2",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events (seq, at, principal, action, subject, hash) VALUES (2, 0, 'x', 'y', 'z', x'00')",
        "INSERT INTO events (seq, at, principal, action, subject, hash) VALUES (99, 0, 'x', 'y', 'z', x'00')",
        "INSERT INTO events (at, principal, action, subject, hash) VALUES (0, 'x', 'y', 'z', x'00')",
    ] {
        let refused = sqlx::query(statement).execute(&raw).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{statement}: {refused}");
    }
    assert!(verify(&backend, &[]).await.is_ok());
}

#[tokio::test]
async fn whatever_is_done_to_a_row_breaks_the_chain_there() {
    let columns = [
        ("at = at + 1", 3),
        ("principal = 'nobody'", 3),
        ("action = 'tiers:delete'", 3),
        ("subject = 'other'", 3),
        ("organisation = 'other'", 3),
        ("detail = NULL", 3),
        ("detail = detail || ' '", 3),
        ("hash = x'00'", 3),
        ("person = 'user:x', sealed = x'00'", 3),
    ];
    for (change, seq) in columns {
        let backend = Backend::new().await;
        tamper(&backend, &[&format!("UPDATE events SET {change} WHERE seq = {seq}")]).await;
        assert_eq!(verify(&backend, &[]).await, Err(Broken::Changed(seq)), "{change}");
    }
}

#[tokio::test]
async fn a_row_that_is_taken_away_or_moved_is_noticed() {
    let backend = Backend::new().await;
    tamper(&backend, &["DELETE FROM events WHERE seq = 2"]).await;
    assert_eq!(verify(&backend, &[]).await, Err(Broken::Missing { expected: 2, found: 3 }));
    let backend = Backend::new().await;
    tamper(&backend, &["DELETE FROM events WHERE seq = 2", "UPDATE events SET seq = seq - 1 WHERE seq > 2"]).await;
    assert_eq!(verify(&backend, &[]).await, Err(Broken::Changed(2)));
    let backend = Backend::new().await;
    let swap =
        ["UPDATE events SET seq = 99 WHERE seq = 2", "UPDATE events SET seq = 2 WHERE seq = 3", "UPDATE events SET seq = 3 WHERE seq = 99"];
    tamper(&backend, &swap).await;
    assert_eq!(verify(&backend, &[]).await, Err(Broken::Changed(2)));
    let backend = Backend::new().await;
    tamper(&backend, &["INSERT INTO events SELECT -1, at, principal, action, subject, organisation, detail, person, sealed, hash FROM events WHERE seq = 1"]).await;
    assert_eq!(verify(&backend, &[]).await, Err(Broken::Missing { expected: 1, found: 0 }));
}

#[tokio::test]
async fn a_tail_that_is_cut_off_is_noticed_with_a_head_that_was_kept() {
    let backend = Backend::new().await;
    let kept = head(&backend).await;
    tamper(&backend, &["DELETE FROM events WHERE seq > 2"]).await;
    let cut = verify(&backend, &[]).await.unwrap();
    assert_eq!(cut.seq, 2, "without a head a shorter log is whole");
    assert_eq!(verify(&backend, &[kept]).await, Err(Broken::CutOff { last: 2, kept: kept.seq }));
    // Filled up with others, it is as long as before.
    let developer = developer(&backend.consumer("acme").await);
    committed!(backend, |write| api_keys::create_own(write, &backend.secrets, &developer, NewOwnKey::default())).unwrap();
    assert_eq!(verify(&backend, &[kept]).await, Err(Broken::Forged(kept.seq)));
}

#[tokio::test]
async fn an_export_that_was_changed_does_not_hold() {
    let backend = Backend::new().await;
    user(&backend, "Ada", None).await;
    let lines = export(&backend, &Filter::default()).await;
    let follow = |lines: &[String]| {
        let mut chain = Chain::new(Vec::new());
        lines.iter().try_for_each(|line| chain.entry(&serde_json::from_str(line).unwrap()))?;
        chain.end()
    };
    assert!(follow(&lines).is_ok());
    for (from, to) in [
        ("\"seq\":5", "\"seq\":6"),
        ("users:create", "users:delete"),
        ("\"role\":\"viewer\"", "\"role\":\"admin\""),
        ("2026-01-14T", "2026-01-15T"),
    ] {
        let changed: Vec<String> =
            lines.iter().enumerate().map(|(place, line)| if place == 4 { line.replace(from, to) } else { line.clone() }).collect();
        assert_ne!(changed, lines, "{from}");
        assert!(follow(&changed).is_err(), "{from}");
    }
}

#[tokio::test]
async fn who_somebody_was_is_sealed_and_forgotten_with_them() {
    let backend = Backend::new().await;
    let ada = user(&backend, "Ada", None).await;
    user(&backend, "Grace", None).await;
    let patch = UserPatch { name: Some("Countess".to_owned()), ..UserPatch::default() };
    committed!(backend, |write| users::update(write, &backend.admin, &ada.id, None, patch)).unwrap();
    let [changed, grace, made] = of_kind(&backend, "users").await.try_into().unwrap();
    assert_eq!(made.personal.unwrap()["after"], json!({"name": "Ada", "email": "ada@example.com"}));
    assert_eq!(changed.personal.as_ref().unwrap()["before"]["name"], "Ada");
    assert_eq!(changed.personal.as_ref().unwrap()["after"]["name"], "Countess");
    assert_eq!(detail(&changed)["after"].get("name"), None);
    assert_eq!(grace.personal.unwrap()["after"]["name"], "Grace");
    let text: Vec<Option<String>> = sqlx::query_scalar("SELECT detail FROM events").fetch_all(&backend.raw().await).await.unwrap();
    assert!(text.iter().flatten().all(|detail| !detail.contains("Ada") && !detail.contains("Countess") && !detail.contains("example.com")));

    let kept = head(&backend).await;
    committed!(backend, |write| users::delete(write, &backend.admin, &ada.id, None)).unwrap();
    let [deleted, changed, grace, made] = of_kind(&backend, "users").await.try_into().unwrap();
    for entry in [&deleted, &changed, &made] {
        assert!(entry.erased && entry.personal.is_none() && entry.sealed.is_some(), "{entry:?}");
    }
    assert_eq!(grace.personal.unwrap()["after"]["name"], "Grace", "others stay known");
    assert_eq!(detail(&deleted)["before"]["role"], "viewer");
    assert!(verify(&backend, &[kept]).await.is_ok());
}

#[tokio::test]
async fn an_address_has_a_name_that_tells_nothing_once_it_is_erased() {
    let backend = Backend::new().await;
    let block = NewBlock { subject: "address:192.0.2.7".to_owned(), effect: None, reason: String::new(), ends_at: None };
    let made = committed!(backend, |write| blocks::create(write, &backend.admin, block.clone())).unwrap();
    committed!(backend, |write| blocks::lift(write, &backend.admin, &made.id, false)).unwrap();
    let subject = || Filter { subject: Some("address:192.0.2.7".to_owned()), ..Filter::default() };
    let [lifted, created] = entries(&backend, subject()).await.try_into().unwrap();
    assert!(created.subject.starts_with("address:~") && created.subject == lifted.subject, "{}", created.subject);
    assert_eq!(created.personal.unwrap(), json!({"address": "192.0.2.7"}));
    let alias = created.subject;

    let kept = head(&backend).await;
    let erase = "address:192.0.2.7";
    committed!(backend, |write| audit::erase(write, &backend.admin, erase)).unwrap();
    assert_eq!(committed!(backend, |write| audit::erase(write, &backend.admin, erase)), Err(Failure::NotFound));
    assert!(entries(&backend, subject()).await.is_empty());
    let by_alias = entries(&backend, Filter { subject: Some(alias.clone()), ..Filter::default() }).await;
    assert!(by_alias.len() == 2 && by_alias.iter().all(|entry| entry.erased && entry.personal.is_none()));
    assert!(verify(&backend, &[kept]).await.is_ok());
    let all = export(&backend, &Filter::default()).await.concat();
    assert!(!all.contains("192.0.2.7") && all.contains("audit:erase"), "{all}");
    // Whoever comes again is somebody else.
    committed!(backend, |write| blocks::create(write, &backend.admin, block)).unwrap();
    assert_ne!(entries(&backend, subject()).await.remove(0).subject, alias);
}

#[tokio::test]
async fn only_those_of_all_organisations_see_more_than_their_own() {
    let backend = Backend::new().await;
    backend.organisation("a").await;
    backend.organisation("b").await;
    for organisation in ["a", "b"] {
        backend.consumer_of(&format!("of-{organisation}"), organisation).await;
        backend.key(&format!("of-{organisation}")).await;
        user(&backend, &format!("In{organisation}"), Some(organisation)).await;
    }
    let block = NewApproval { subject: "consumer:of-b".to_owned(), reason: String::new(), ends_at: None };
    committed!(backend, |write| blocks::approve(write, &backend.admin, block)).unwrap();
    let own = operator(Some("a"));
    let seen = audit::list(&backend.store, &own, &Filter::default(), &Page::default()).await.unwrap().items;
    let actions: Vec<&str> = seen.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["users:create", "keys:create", "consumers:create", "organisations:create"]);
    assert!(seen.iter().all(|entry| entry.organisation.as_deref() == Some("a")));
    let mut exported = audit::export(&backend.store, &own, &Filter::default(), 0, None).await.unwrap();
    let lines = exported.next().await.unwrap().unwrap();
    assert!(lines.lines().count() == 4 && !lines.contains("of-b"), "{lines}");
    let filter = Filter { subject: Some("consumer:of-b".to_owned()), ..Filter::default() };
    assert!(audit::list(&backend.store, &own, &filter, &Page::default()).await.unwrap().items.is_empty());
    assert_eq!(audit::head(&backend.store, &own).await, Err(Failure::Forbidden));
    let erase = seen[0].person.clone().unwrap();
    assert_eq!(committed!(backend, |write| audit::erase(write, &own, &erase)), Err(Failure::Forbidden));
}

#[tokio::test]
async fn entries_are_found_by_time_actor_subject_and_kind_page_by_page() {
    let backend = Backend::new().await;
    let start = backend.now();
    for hour in 0..5_u32 {
        backend.clock.advance(SECOND * 3_600);
        backend.consumer(&format!("c{hour}")).await;
    }
    let developer = developer(&backend.consumer("acme").await);
    let made = committed!(backend, |write| api_keys::create_own(write, &backend.secrets, &developer, NewOwnKey::default())).unwrap();
    let from = Filter { from: Some(start.after(SECOND * 3_600)), until: Some(start.after(SECOND * 10_800)), ..Filter::default() };
    let subjects = |entries: &[Entry]| entries.iter().map(|entry| entry.subject.clone()).collect::<Vec<_>>();
    assert_eq!(subjects(&entries(&backend, from).await), ["c1", "c0"]);
    let actor = Filter { actor: Some("admin_key:developer".to_owned()), ..Filter::default() };
    assert_eq!(subjects(&entries(&backend, actor).await), std::slice::from_ref(&made.key.id));
    let subject = Filter { subject: Some("c3".to_owned()), ..Filter::default() };
    assert_eq!(entries(&backend, subject).await.len(), 1);
    assert_eq!(of_kind(&backend, "keys").await.len(), 1);
    assert_eq!(of_kind(&backend, "keys:revoke").await.len(), 0);
    assert_eq!(of_kind(&backend, "key").await.len(), 0, "a kind is a whole word");

    let kind = Filter { kind: Some("consumers".to_owned()), ..Filter::default() };
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = audit::list(&backend.store, &backend.admin, &kind, &Page { limit: Some(2), after }).await.unwrap();
        found.extend(subjects(&page.items));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, ["acme", "c4", "c3", "c2", "c1", "c0"]);
    for after in ["", "x", "-1", "99999999999999999999"] {
        let page = Page { limit: None, after: Some(after.to_owned()) };
        assert_eq!(wrong(audit::list(&backend.store, &backend.admin, &kind, &page).await), ["after"], "{after}");
    }
    let empty = Filter { actor: Some(String::new()), ..Filter::default() };
    assert_eq!(wrong(audit::list(&backend.store, &backend.admin, &empty, &Page::default()).await), ["actor"]);
    assert_eq!(export(&backend, &kind).await.len(), 6);
}

#[tokio::test]
async fn what_a_version_without_a_chain_wrote_is_taken_over() {
    let backend = Backend::new().await;
    let kept = head(&backend).await;
    // As the table was before: what came first comes first.
    backend.store.close().await;
    let raw = backend.raw().await;
    for (seq, subject) in [(1, "k1"), (2, "address:192.0.2.7"), (3, "k3")] {
        let query = sqlx::query(
            "INSERT INTO events_unchained (seq, at, principal, action, subject) VALUES (?, 7, 'admin_key:a', 'keys:create', ?)",
        );
        query.bind(seq).bind(subject).execute(&raw).await.unwrap();
    }
    raw.close().await;
    let store = Store::open(backend.dir.path(), std::sync::Arc::new(SystemClock)).await.unwrap();
    let by = Filter { actor: Some("admin_key:a".to_owned()), ..Filter::default() };
    let found = audit::list(&store, &backend.admin, &by, &Page::default()).await.unwrap().items;
    assert_eq!((found[0].subject.as_str(), found[2].subject.as_str()), ("k3", "k1"));
    assert!(found.len() == 3 && found[1].subject.starts_with("address:~") && found.iter().all(|entry| entry.at_ms == 7));
    store.close().await;
    let verified = verify(&backend, &[kept]).await.unwrap();
    assert_eq!(verified.seq, kept.seq + 3);
    // Once.
    Store::open(backend.dir.path(), std::sync::Arc::new(SystemClock)).await.unwrap().close().await;
    assert_eq!(verify(&backend, &[kept]).await, Ok(verified));
}

#[tokio::test]
async fn a_crash_between_entries_leaves_the_chain_whole() {
    let backend = Backend::new().await;
    let before = head(&backend).await;
    // Two entries of one transaction that never ends, as when the process is killed.
    let mut write = backend.store.begin().await.unwrap();
    for subject in ["192.0.2.8", "192.0.2.9"] {
        let block = NewBlock { subject: format!("address:{subject}"), effect: None, reason: String::new(), ends_at: None };
        blocks::create(&mut write, &backend.admin, block).await.unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    for file in ["tollgate.db", "tollgate.db-wal", "ledger.db"] {
        std::fs::copy(backend.dir.path().join(file), copy.path().join(file)).unwrap();
    }
    drop(write);
    assert_eq!(verify(&backend, &[before]).await, Ok(before));
    let store = Store::open(copy.path(), std::sync::Arc::new(SystemClock)).await.unwrap();
    assert_eq!(audit::head(&store, &backend.admin).await.unwrap().seq, before.seq);
    let mut write = store.begin().await.unwrap();
    let block = NewBlock { subject: "address:192.0.2.9".to_owned(), effect: None, reason: String::new(), ends_at: None };
    blocks::create(&mut write, &backend.admin, block).await.unwrap();
    write.commit().await.unwrap();
    let after = audit::verify(copy.path(), vec![before]).await.unwrap().unwrap();
    assert_eq!(after.seq, before.seq + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_two_processes_make_one_chain() {
    let backend = Backend::new().await;
    let other = Store::open(backend.dir.path(), std::sync::Arc::new(SystemClock)).await.unwrap();
    let before = head(&backend).await;
    let writing = [backend.store.clone(), other].into_iter().enumerate().flat_map(|(process, store)| {
        let admin = backend.admin.clone();
        (0..2_usize).map(move |task| {
            let (store, admin) = (store.clone(), admin.clone());
            tokio::spawn(async move {
                for number in 0..10 {
                    let mut write = store.begin().await.unwrap();
                    let subject = format!("address:192.0.{process}.{}", task * 10 + number);
                    let block = NewBlock { subject, effect: None, reason: String::new(), ends_at: None };
                    blocks::create(&mut write, &admin, block).await.unwrap();
                    write.commit().await.unwrap();
                }
            })
        })
    });
    for writing in writing.collect::<Vec<_>>() {
        writing.await.unwrap();
    }
    let after = verify(&backend, &[before]).await.unwrap();
    assert_eq!(after.seq, before.seq + 40);
}

async fn incarnation(backend: &Backend) -> Incarnation {
    let made = committed!(backend, |write| nodes::create_credential(write, &backend.secrets, &backend.admin, NewNodeCredential::default()));
    let hello = Hello { incarnation_secret: "0".repeat(32), node: String::new(), module: String::new() };
    let credential = made.unwrap().credential;
    let welcome = committed!(backend, |write| nodes::hello(write, &backend.secrets, &credential, &hello)).unwrap();
    nodes::authorize(&backend.store, &backend.secrets, &welcome.token).unwrap()
}

fn refused(reason: &str, address: Option<&str>, consumer: Option<&str>, count: u64) -> Refused {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Refused { reason: reason.to_owned(), address: owned(address), consumer: owned(consumer), count }
}

#[tokio::test]
async fn whom_nodes_refuse_is_noted_once_and_within_bounds() {
    let backend = Backend::new().await;
    backend.organisation("a").await;
    backend.consumer_of("acme", "a").await;
    let node = incarnation(&backend).await;
    let report = Report {
        sequence: 1,
        refused: vec![
            refused("invalid_key", Some("address:192.0.2.7/32"), None, 3),
            refused("insufficient_scope", Some("address:2001:db8::/64"), Some("acme"), 1),
            refused("unauthenticated", None, Some("nobody"), 40_000),
            refused("of a later version", None, None, 1),
        ],
        ..Report::default()
    };
    // It comes twice, as when its answer was lost.
    for _ in 0..2 {
        reports::receive(&backend.store, &node, &report).await.unwrap();
    }
    assert!(of_kind(&backend, "authentication").await.is_empty(), "they are gathered first");
    audit::write_failures(&backend.store).await.unwrap();
    audit::write_failures(&backend.store).await.unwrap();
    let mut entries = of_kind(&backend, "authentication:denied").await;
    entries.sort_by_key(|entry| detail(entry)["count"].as_u64());
    let [scope, key, many] = <[Entry; 3]>::try_from(entries).unwrap();
    assert_eq!((scope.subject.as_str(), scope.organisation.as_deref()), ("acme", Some("a")));
    assert_eq!(scope.personal.unwrap(), json!({"address": "2001:db8::/64"}));
    assert_eq!(detail(&key)["reason"], "invalid_key");
    assert_eq!((detail(&key)["count"].clone(), detail(&key)["reporter"].clone()), (json!(3), json!(format!("node:{}", node.credential))));
    assert_eq!((key.subject.as_str(), key.personal.unwrap()), ("unknown", json!({"address": "192.0.2.7"})));
    assert_eq!((many.actor.as_str(), many.subject.as_str()), ("many", "unknown"));
    let own = audit::list(&backend.store, &operator(Some("a")), &Filter::default(), &Page::default()).await.unwrap().items;
    assert_eq!(own[0].action, "authentication:denied", "it is its organisation's affair");
    // A node that lies fills no disk, however often it reports.
    for sequence in 2..50_u64 {
        let addresses = (0..MOST_REFUSED as u64).map(|place| format!("address:198.51.{sequence}.{place}/32"));
        let refused = addresses.map(|address| refused("invalid_key", Some(&address), None, 1)).collect();
        reports::receive(&backend.store, &node, &Report { sequence, refused, ..Report::default() }).await.unwrap();
    }
    let before = head(&backend).await.seq;
    audit::write_failures(&backend.store).await.unwrap();
    assert!(head(&backend).await.seq - before <= TOLD_APART as u64 + 1);
    let all = of_kind(&backend, "authentication:denied").await;
    let counted: u64 = all.iter().map(|entry| detail(entry)["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 40_004 + 48 * MOST_REFUSED as u64);
    let most = vec![refused("invalid_key", None, None, 1); MOST_REFUSED + 1];
    let report = Report { sequence: 99, refused: most, ..Report::default() };
    assert_eq!(wrong(reports::receive(&backend.store, &node, &report).await), ["refused"]);
}

#[tokio::test]
async fn failures_that_cannot_be_written_are_kept_and_counted_on() {
    let backend = Backend::new().await;
    let node = incarnation(&backend).await;
    let report = |sequence| Report { sequence, refused: vec![refused("blocked", None, None, 2)], ..Report::default() };
    reports::receive(&backend.store, &node, &report(1)).await.unwrap();
    let raw = backend.raw().await;
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no room'); END";
    sqlx::query(trigger).execute(&raw).await.unwrap();
    assert!(audit::write_failures(&backend.store).await.is_err());
    reports::receive(&backend.store, &node, &report(2)).await.unwrap();
    sqlx::query("DROP TRIGGER full").execute(&raw).await.unwrap();
    audit::write_failures(&backend.store).await.unwrap();
    let [entry] = <[Entry; 1]>::try_from(of_kind(&backend, "authentication").await).unwrap();
    assert_eq!(detail(&entry)["count"], 4);
}

/// `cargo test --release … -- --ignored --nocapture appended` for figures.
#[tokio::test]
#[ignore = "measures"]
async fn entries_are_appended_and_verified_fast() {
    const ENTRIES: u32 = 50_000;
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let began = Instant::now();
    let mut write = backend.store.begin().await.unwrap();
    for number in 0..ENTRIES {
        let scopes = Some(words(&[if number % 2 == 0 { "read" } else { "write" }]));
        let patch = consumers::ConsumerPatch { scopes, ..Default::default() };
        consumers::update(&mut write, &backend.admin, "acme", None, patch).await.unwrap();
    }
    write.commit().await.unwrap();
    let appended = began.elapsed();
    let began = Instant::now();
    assert_eq!(verify(&backend, &[]).await.unwrap().seq, u64::from(ENTRIES) + 5);
    let verified = began.elapsed();
    let began = Instant::now();
    let exported = export(&backend, &Filter::default()).await;
    let bytes: usize = exported.iter().map(String::len).sum();
    let a_second = |duration: std::time::Duration| f64::from(ENTRIES) / duration.as_secs_f64();
    println!(
        "{ENTRIES} changes with before and after: {:.0} appended a second, {:.0} verified a second, {:.0} exported a second ({bytes} bytes)",
        a_second(appended),
        a_second(verified),
        a_second(began.elapsed())
    );
}
