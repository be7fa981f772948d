//! The store under faults: locked, full, torn away, opened again.

use std::collections::HashSet;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

use super::changes::{Kind, newest, publish};
use super::organisations::{self, Organisation};
use super::*;
use crate::clock::FakeClock;

async fn open(dir: &Path) -> Result<Store, StoreError> {
    Store::open(dir, Arc::new(FakeClock::at(Time::from_millis(1_000)))).await
}

async fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await.unwrap();
    (dir, store)
}

/// A connection of another process, as far as SQLite can tell.
async fn other(dir: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(dir.join(DATABASE))).await.unwrap()
}

async fn add(store: &Store, id: &str) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    insert(&mut write, id, 0).await?;
    write.commit().await
}

/// Adds an organisation with a name of so many bytes.
async fn insert(write: &mut Write, id: &str, bytes: usize) -> Result<bool, StoreError> {
    let (id, name, created_at) = (id.to_owned(), "x".repeat(bytes), write.now());
    organisations::insert(write, &Organisation { id, name, version: 1, created_at }).await
}

async fn ids(store: &Store) -> Vec<String> {
    let window = Window { after: None, size: 10_000 };
    let rows = organisations::list(&mut store.read().await.unwrap(), window, None).await.unwrap().unwrap();
    rows.into_iter().map(|organisation| organisation.id).collect()
}

fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    let Err(StoreError::Unavailable(text)) = result else { panic!("{result:?}") };
    text
}

#[tokio::test]
async fn an_empty_directory_gets_a_database_for_its_owner_alone() {
    let (dir, store) = store().await;
    assert_eq!(ids(&store).await, ["default"]);
    add(&store, "a").await.unwrap();
    use std::os::unix::fs::PermissionsExt;
    for file in [DATABASE, "tollgate.db-wal", "tollgate.db-shm"] {
        assert_eq!(dir.path().join(file).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_database_that_is_opened_again_has_what_was_committed() {
    let (dir, store) = store().await;
    add(&store, "a").await.unwrap();
    let mut write = store.begin().await.unwrap();
    publish(&mut write, Kind::Tier, "free").await.unwrap();
    write.commit().await.unwrap();
    store.close().await;
    assert!(!dir.path().join("tollgate.db-wal").exists(), "it is one file");
    unavailable(resolve::by_id(&store, "a").await);
    let again = open(dir.path()).await.unwrap();
    assert_eq!(ids(&again).await, ["default", "a"]);
    assert_eq!(*again.newest().borrow(), 1);
}

#[tokio::test]
async fn a_directory_or_database_that_cannot_be_used_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    unavailable(open(&dir.path().join("nowhere")).await);
    std::fs::write(dir.path().join(DATABASE), "no database, but long enough to be taken for one".repeat(100)).unwrap();
    assert!(matches!(open(dir.path()).await, Err(StoreError::Broken(_))));
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let (dir, store) = store().await;
    store.close().await;
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'newer', 1, x'00', 0)";
    sqlx::query(newer).execute(&mut other(dir.path()).await).await.unwrap();
    assert!(matches!(open(dir.path()).await, Err(StoreError::Broken(_))));
}

#[tokio::test]
async fn consumers_of_an_older_database_have_the_scopes_that_their_keys_were_granted() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::File::create(dir.path().join(DATABASE)).unwrap();
    let mut older = other(dir.path()).await;
    let first = sqlx::migrate!().migrations.iter().take(1).cloned().collect::<Vec<_>>();
    sqlx::migrate::Migrator { migrations: first.into(), ..sqlx::migrate::Migrator::DEFAULT }.run(&mut older).await.unwrap();
    let key = |id: &str, consumer: &str, scopes: &str, replaces: &str, ended: &str| {
        format!(
            "INSERT INTO api_keys (id, organisation, consumer, label, scopes, hashing, pepper, hash, imported, created_at, version, replaces, \
             {ended}) VALUES ('{id}', 'o', '{consumer}', '', '{scopes}', 'hmac-sha256', 1, x'', 0, 0, 1, {replaces}, 1)"
        )
    };
    let made =
        |by: &str, id: &str| format!("INSERT INTO events (at, principal, action, subject) VALUES (0, '{by}', 'keys:create', '{id}')");
    let mut before = vec![
        "INSERT INTO organisations (id, name, version, created_at) VALUES ('o', 'o', 1, 0)".to_owned(),
        "INSERT INTO tiers (name, limits, self_service, version, created_at, updated_at) VALUES ('t', '[]', 0, 1, 0, 0)".to_owned(),
        "INSERT INTO admin_keys (id, label, role, organisation, consumer, pepper, hash, created_at) VALUES \
         ('op', '', 'operator', NULL, NULL, 1, x'', 0), ('dev', '', 'developer', 'o', 'mixed', 1, x'', 0)"
            .to_owned(),
    ];
    let consumers = ["granted", "mixed", "none"].map(|id| {
        format!(
            "INSERT INTO consumers (id, organisation, name, tier, disabled, version, created_at, updated_at) \
             VALUES ('{id}', 'o', '', 't', 0, 1, 0, 0)"
        )
    });
    before.splice(2..2, consumers);
    before.extend([
        key("g1", "granted", r#"["b","a"]"#, "NULL", "last_used_at"),
        key("g2", "granted", r#"["c","a"]"#, "NULL", "last_used_at"),
        key("g3", "granted", r#"["revoked"]"#, "NULL", "revoked_at"),
        key("g4", "granted", r#"["expired"]"#, "NULL", "expires_at"),
        key("m1", "mixed", r#"["a"]"#, "NULL", "revoked_at"),
        key("m2", "mixed", r#"["a"]"#, "'m1'", "last_used_at"),
        key("m3", "mixed", r#"["admin"]"#, "NULL", "last_used_at"),
        key("m4", "mixed", r#"["admin"]"#, "'m3'", "last_used_at"),
        key("n1", "none", "[]", "NULL", "last_used_at"),
        made("admin_key:op", "g1"),
        made("admin_key:op", "m1"),
        made("admin_key:dev", "m3"),
    ]);
    for statement in before {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut older).await.unwrap();
    }
    older.close().await.unwrap();
    let store = open(dir.path()).await.unwrap();
    let mut read = store.read().await.unwrap();
    for (consumer, scopes) in [("granted", &["a", "b", "c"][..]), ("mixed", &["a"]), ("none", &[])] {
        assert_eq!(consumers::get(&mut read, consumer).await.unwrap().unwrap().scopes, scopes, "{consumer}");
    }
    let told = changes::after(&mut read, 0, 10).await.unwrap();
    let told: Vec<_> = told.iter().map(|row| (row.kind, row.subject.as_str())).collect();
    assert_eq!(told, [(Kind::ConsumerOut, "mixed")]);
}

#[tokio::test]
async fn what_is_dropped_is_not_kept_and_holds_nobody_up() {
    let (_dir, store) = store().await;
    let mut write = store.begin().await.unwrap();
    insert(&mut write, "a", 0).await.unwrap();
    assert_eq!(ids(&store).await, ["default"], "others do not see it before");
    drop(write);
    add(&store, "b").await.unwrap();
    assert_eq!(ids(&store).await, ["default", "b"]);
}

#[tokio::test]
async fn writers_take_turns_and_none_is_lost() {
    let (_dir, store) = store().await;
    let all: Vec<_> = (0..50)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut write = store.begin().await?;
                publish(&mut write, Kind::Tier, &number.to_string()).await?;
                write.commit().await
            })
        })
        .collect();
    for one in all {
        one.await.unwrap().unwrap();
    }
    let rows = changes::after(&mut store.read().await.unwrap(), 0, 100).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.revision).collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>());
    assert_eq!(rows.iter().map(|row| row.subject.as_str()).collect::<HashSet<_>>().len(), 50);
}

#[tokio::test]
async fn the_feed_keeps_its_newest_changes() {
    let (dir, store) = store().await;
    let far = i64::try_from(changes::KEPT).unwrap() + 5;
    let insert = sqlx::query(
        "INSERT INTO changes (revision, kind, subject, at) VALUES (1, 'tier', 'a', 0), (10, 'tier', 'b', 0), (?, 'tier', 'c', 0)",
    );
    insert.bind(far).execute(&mut other(dir.path()).await).await.unwrap();
    let mut write = store.begin().await.unwrap();
    publish(&mut write, Kind::Tier, "d").await.unwrap();
    write.commit().await.unwrap();
    let rows = changes::after(&mut store.read().await.unwrap(), 0, 100).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.subject.as_str()).collect::<Vec<_>>(), ["b", "c", "d"]);
}

#[tokio::test]
async fn while_another_process_holds_the_lock_writes_are_unavailable_and_reads_go_on() {
    let (dir, store) = store().await;
    let mut other = other(dir.path()).await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let write = tokio::spawn({
        let store = store.clone();
        async move { add(&store, "a").await }
    });
    assert_eq!(ids(&store).await, ["default"]);
    assert!(!write.is_finished(), "it waits a while for the lock");
    assert!(unavailable(write.await.unwrap()).contains("locked"));
    unavailable(store.probe().await);
    lock.rollback().await.unwrap();
    add(&store, "b").await.unwrap();
    store.probe().await.unwrap();
    assert_eq!(ids(&store).await, ["default", "b"]);
}

#[tokio::test]
async fn a_full_database_is_unavailable_for_writes_and_keeps_what_was_acknowledged() {
    let (dir, store) = store().await;
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&store.0.writer).await.unwrap();
    let full = async |pages: i64| {
        let mut connection = store.0.writer.acquire().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"))).execute(&mut *connection).await.unwrap();
    };
    full(pages + 20).await;
    let mut acknowledged = vec!["default".to_owned()];
    let refused = loop {
        let id = format!("o{}", acknowledged.len());
        let mut write = store.begin().await.unwrap();
        // Larger than a page, so that some of it is written when it no longer fits.
        let written = match insert(&mut write, &id, 10_000).await {
            Ok(_) => write.commit().await,
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => acknowledged.push(id),
            error => break error,
        }
        assert!(acknowledged.len() < 100, "it never was full");
    };
    assert!(unavailable(refused).contains("full"));
    assert!(acknowledged.len() > 2, "{acknowledged:?}");
    assert_eq!(ids(&store).await, acknowledged);
    // Again and again: each time SQLite rolls back by itself, and the connection is replaced.
    for _ in 0..3 {
        full(pages + 20).await;
        let mut write = store.begin().await.unwrap();
        unavailable(insert(&mut write, "more", 100_000).await);
    }
    full(1_000_000).await;
    add(&store, "room").await.unwrap();
    acknowledged.push("room".to_owned());
    assert_eq!(ids(&store).await, acknowledged);
    store.close().await;
    assert_eq!(ids(&open(dir.path()).await.unwrap()).await, acknowledged);
}

/// The files as they would be found after the process was killed.
fn image(dir: &Path) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    for file in [DATABASE, "tollgate.db-wal"] {
        std::fs::copy(dir.join(file), image.path().join(file)).unwrap();
    }
    image
}

#[tokio::test]
async fn a_process_that_is_killed_loses_nothing_it_acknowledged() {
    let (dir, store) = store().await;
    for number in 0..20 {
        add(&store, &format!("o{number}")).await.unwrap();
    }
    let mut unfinished = store.begin().await.unwrap();
    for number in 0..500 {
        // More than a cache holds, so that some of it is in the files.
        insert(&mut unfinished, &format!("u{number}"), 50_000).await.unwrap();
    }
    let image = image(dir.path());
    let acknowledged = ids(&store).await;
    assert_eq!(acknowledged.len(), 21);
    let after = open(image.path()).await.unwrap();
    assert_eq!(ids(&after).await, acknowledged);
    add(&after, "new").await.unwrap();
    assert_eq!(newest(&mut after.read().await.unwrap()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_log_that_is_torn_off_ends_at_a_commit() {
    let (dir, store) = store().await;
    let mut sizes = Vec::new();
    for number in 0..5 {
        add(&store, &format!("o{number}")).await.unwrap();
        sizes.push(dir.path().join("tollgate.db-wal").metadata().unwrap().len());
    }
    let all = ids(&store).await;
    for (committed, size) in sizes.iter().enumerate() {
        let image = image(dir.path());
        // A few bytes into the next commit.
        let log = std::fs::OpenOptions::new().write(true).open(image.path().join("tollgate.db-wal")).unwrap();
        log.set_len(size + 100).unwrap();
        assert_eq!(ids(&open(image.path()).await.unwrap()).await, all[..committed + 2]);
    }
}

#[tokio::test]
async fn a_data_directory_is_served_by_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let claim = Store::claim(dir.path()).unwrap();
    assert_eq!(Store::claim(dir.path()).unwrap_err(), StoreError::Claimed);
    drop(claim);
    Store::claim(dir.path()).unwrap();
}

#[tokio::test]
async fn lists_and_lookups_go_by_an_index() {
    let (dir, store) = store().await;
    drop(store);
    let mut other = other(dir.path()).await;
    for query in [
        "SELECT id FROM api_keys WHERE TRUE AND seq > ? AND consumer = ? ORDER BY seq LIMIT ?",
        "SELECT id FROM api_keys WHERE TRUE AND seq > ? AND organisation = ? AND consumer = ? ORDER BY seq LIMIT ?",
        "SELECT id FROM consumers WHERE deleted_at IS NULL AND seq > ? AND tier = ? ORDER BY seq LIMIT ?",
        "SELECT seq FROM api_keys WHERE expires_at <= ? AND revoked_at IS NULL AND expiry_told = 0 ORDER BY expires_at LIMIT ?",
        "SELECT min(expires_at) FROM api_keys WHERE expires_at IS NOT NULL AND revoked_at IS NULL AND expiry_told = 0",
        super::resolve::BY_IDS,
        super::resolve::BY_HASH,
        super::resolve::CONSUMER,
    ] {
        let plan = sqlx::query_as::<_, (i64, i64, i64, String)>(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")));
        let plan: Vec<String> = plan.fetch_all(&mut other).await.unwrap().into_iter().map(|step| step.3).collect();
        let walks = |step: &&String| {
            let walked = step.strip_prefix("SCAN ").and_then(|table| table.split(' ').next());
            walked.is_some_and(|walked| ["k", "c", "t", "api_keys", "consumers"].contains(&walked))
        };
        assert_eq!(plan.iter().find(walks), None, "{plan:?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
    }
}
