//! The ledger under faults: locked, torn away before and after a commit, refused by the disk; and that its statements go by indexes.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

use super::*;
use crate::clock::{FakeClock, Time};
use crate::consumers::{self, NewConsumer};
use crate::permission::Principal;
use crate::tiers::{self, NewTier};

async fn open(dir: &Path) -> Store {
    Store::open(dir, Arc::new(FakeClock::at(Time::from_millis(1_000)))).await.unwrap()
}

/// A store with the consumer `acme`, whose quota is 100 units a day.
async fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let (mut write, principal) = (store.begin().await.unwrap(), Principal::backend("test"));
    let limits = serde_json::json!([{"name": "daily", "algorithm": "quota", "rate": 100, "per": "day"}]);
    let tier = NewTier { name: "free".to_owned(), limits: serde_json::from_value(limits).unwrap(), self_service: false };
    tiers::create(&mut write, &principal, tier).await.unwrap();
    let new = serde_json::json!({"id": "acme", "name": "acme", "tier": "free"});
    let new: NewConsumer = serde_json::from_value(new).unwrap();
    consumers::create(&mut write, &principal, new).await.unwrap();
    write.commit().await.unwrap();
    (dir, store)
}

/// A connection of another process, as far as SQLite can tell.
async fn other(dir: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(dir.join(DATABASE))).await.unwrap()
}

/// The data directory as a process that is killed now leaves it.
fn image(dir: &Path) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), image.path().join(file.file_name())).unwrap();
    }
    image
}

fn asked(incarnation: u8, lease: u64, units: u64) -> Asked {
    let (consumer, limit) = ("acme".to_owned(), "daily".to_owned());
    let ask = LeaseAsk { consumer, limit, lease, number: 1, need: units, waiting: units, ..LeaseAsk::default() };
    Asked { incarnation: format!("{incarnation:032x}"), asks: vec![ask], overages: None, first: false }
}

async fn granted(store: &Store, asked: Asked) -> Result<u64, StoreError> {
    settle(store, asked).await.map(|answered| answered.answers[0].granted)
}

async fn charged(store: &Store) -> Vec<u64> {
    let which = Which { organisation: None, consumer: None, all: true };
    let rows = list(store, super::super::Window { after: None, size: 100 }, which).await.unwrap().unwrap();
    rows.into_iter().map(|row| row.charged).collect()
}

#[tokio::test]
async fn it_is_a_file_of_its_own_for_its_owner_alone() {
    let (dir, store) = store().await;
    assert_eq!(granted(&store, asked(1, 1, 10)).await, Ok(10));
    use std::os::unix::fs::PermissionsExt;
    for file in [DATABASE, "ledger.db-wal", "ledger.db-shm"] {
        assert_eq!(dir.path().join(file).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&store.0.ledger.writer).await.unwrap();
    assert_eq!(synchronous, 2, "a commit is on the disk before it is acknowledged");
    store.close().await;
    assert!(!dir.path().join("ledger.db-wal").exists(), "it is one file");
    assert!(matches!(granted(&store, asked(1, 2, 10)).await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn what_is_answered_is_in_the_files() {
    let (dir, store) = store().await;
    for number in 1..=5 {
        assert_eq!(granted(&store, asked(number, 1, 10)).await, Ok(10));
        let image = image(dir.path());
        let after = open(image.path()).await;
        assert_eq!(charged(&after).await, [u64::from(number) * 10]);
        assert_eq!(granted(&after, asked(number, 1, 10)).await, Ok(10), "the same answer");
        assert_eq!(charged(&after).await, [u64::from(number) * 10]);
    }
}

#[tokio::test]
async fn what_is_judged_and_not_committed_never_was() {
    let (dir, store) = store().await;
    assert_eq!(granted(&store, asked(1, 1, 10)).await, Ok(10));
    let ledger = &store.0.ledger;
    let main = SqliteConnectOptions::new().filename(dir.path().join("tollgate.db"));
    let mut accounts = Accounts::new(SqliteConnection::connect_with(&main).await.unwrap(), store.newest());
    let (_, accounts) = accounts.of(&["acme"].into()).await.unwrap();
    let mut transaction = commit::begin(&ledger.writer).await.unwrap();
    let judged = batch::judge(&mut transaction, &[asked(2, 1, 50)], &accounts, &mut rates::Rates::default(), store.now()).await.unwrap();
    assert_eq!((judged.answers[0][0].granted, judged.answers[0][0].left), (50, 40));
    let image = image(dir.path());
    drop(transaction);
    for store in [&open(image.path()).await, &store] {
        assert_eq!(charged(store).await, [10]);
        assert_eq!(granted(store, asked(2, 1, 60)).await, Ok(60));
    }
}

/// A commit that the database refuses at its very end.
#[tokio::test]
async fn a_commit_that_fails_answers_nobody() {
    let (dir, store) = store().await;
    assert_eq!(granted(&store, asked(1, 1, 10)).await, Ok(10));
    let mut other = other(dir.path()).await;
    for statement in [
        "CREATE TABLE never (id INTEGER PRIMARY KEY)",
        "CREATE TABLE broken (id INTEGER REFERENCES never (id) DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TRIGGER breaks AFTER INSERT ON leases BEGIN INSERT INTO broken VALUES (1); END",
    ] {
        sqlx::query(statement).execute(&mut other).await.unwrap();
    }
    let together: Vec<_> = (2..10)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { granted(&store, asked(number, 1, 10)).await })
        })
        .collect();
    for one in together {
        let refused = one.await.unwrap();
        assert!(matches!(&refused, Err(StoreError::Broken(text)) if text.contains("FOREIGN KEY")), "{refused:?}");
    }
    assert_eq!(charged(&store).await, [10]);
    sqlx::query("DROP TRIGGER breaks").execute(&mut other).await.unwrap();
    assert_eq!(granted(&store, asked(2, 1, 90)).await, Ok(90));
}

#[tokio::test]
async fn a_file_that_is_no_database_any_more_cannot_be_read() {
    let (dir, store) = store().await;
    assert_eq!(granted(&store, asked(1, 1, 10)).await, Ok(10));
    store.probe_ledger().await.unwrap();
    let mut other = other(dir.path()).await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    store.probe_ledger().await.unwrap();
    lock.rollback().await.unwrap();
    let path = dir.path().join(DATABASE);
    let size = path.metadata().unwrap().len();
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&store.0.ledger.writer).await.unwrap();
    std::fs::write(&path, vec![0x5a; usize::try_from(size).unwrap()]).unwrap();
    let refused = store.probe_ledger().await;
    assert!(matches!(&refused, Err(StoreError::Broken(_) | StoreError::Unavailable(_))), "{refused:?}");
}

/// As after a fault of the disk or of ours.
#[tokio::test]
async fn a_row_that_is_broken_holds_up_nobody_but_who_asks_from_it() {
    let (dir, store) = store().await;
    let mut write = store.begin().await.unwrap();
    let new = serde_json::from_value(serde_json::json!({"id": "other", "name": "other", "tier": "free"})).unwrap();
    consumers::create(&mut write, &Principal::backend("test"), new).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(granted(&store, asked(1, 1, 10)).await, Ok(10));
    let mut ledger = other(dir.path()).await;
    sqlx::query("UPDATE rows SET charged = -1").execute(&mut ledger).await.unwrap();
    // They wait for each other and go together.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut ledger).await.unwrap();
    let together: Vec<_> = (2..12)
        .map(|number| {
            let (store, mut asked) = (store.clone(), asked(number, 1, 10));
            if number != 5 {
                asked.asks.iter_mut().for_each(|ask| ask.consumer = "other".to_owned());
            }
            tokio::spawn(async move { granted(&store, asked).await })
        })
        .collect();
    // On one thread each of them asks before this goes on.
    tokio::task::yield_now().await;
    sqlx::query("ROLLBACK").execute(&mut ledger).await.unwrap();
    for (number, one) in (2..).zip(together) {
        let granted = one.await.unwrap();
        assert!(if number == 5 { matches!(granted, Err(StoreError::Broken(_))) } else { granted == Ok(10) }, "{number}: {granted:?}");
    }
}

#[tokio::test]
async fn of_closed_leases_only_the_newest_is_kept() {
    let (dir, store) = store().await;
    for lease in 1..=5 {
        assert_eq!(granted(&store, asked(1, lease, 10)).await, Ok(10));
        let mut closing = asked(1, lease, 0);
        closing.asks.iter_mut().for_each(|ask| (ask.number, ask.window, ask.close) = (2, 0, true));
        settle(&store, closing).await.unwrap();
    }
    let leases: Vec<(i64, bool)> =
        sqlx::query_as("SELECT lease, closed FROM leases").fetch_all(&mut other(dir.path()).await).await.unwrap();
    assert_eq!(leases, [(5, true)]);
}

#[tokio::test]
async fn a_locked_ledger_refuses_and_the_other_database_is_not_held_up() {
    let (dir, store) = store().await;
    let mut other = other(dir.path()).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { granted(&store, asked(1, 1, 10)).await }
    });
    store.probe().await.unwrap();
    assert!(!waiting.is_finished());
    assert!(matches!(waiting.await.unwrap(), Err(StoreError::Unavailable(_))));
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(granted(&store, asked(1, 1, 10)).await, Ok(10));
}

#[tokio::test]
async fn a_locked_other_database_holds_up_no_grant() {
    let (_dir, store) = store().await;
    let write = store.begin().await.unwrap();
    assert_eq!(granted(&store, asked(1, 1, 10)).await, Ok(10));
    drop(write);
}

#[tokio::test]
async fn those_who_ask_at_the_same_time_are_committed_together() {
    let (dir, store) = store().await;
    // Nobody is answered as long as this is held.
    let mut other = other(dir.path()).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let asking: Vec<_> = (0..50)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { granted(&store, asked(number, 1, 2)).await })
        })
        .collect();
    // On one thread each of them asks before this goes on.
    tokio::task::yield_now().await;
    let before = dir.path().join("ledger.db-wal").metadata().unwrap().len();
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    for one in asking {
        assert_eq!(one.await.unwrap(), Ok(2));
    }
    assert_eq!(charged(&store).await, [100]);
    let pages = (dir.path().join("ledger.db-wal").metadata().unwrap().len() - before) / 4_096;
    assert!(pages <= 40, "{pages} pages for fifty grants");
}

#[tokio::test]
async fn statements_go_by_an_index() {
    let (dir, store) = store().await;
    drop(store);
    let mut ledger = other(dir.path()).await;
    let mut main = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(dir.path().join("tollgate.db"))).await.unwrap();
    sqlx::query("ANALYZE").execute(&mut ledger).await.unwrap();
    let saves = records::SAVE.split(';').map(|statement| (statement, false));
    for (query, is_main) in saves.chain([
        (records::NEWEST, false),
        (records::HELD, false),
        (records::OPEN, false),
        (records::INSERT, false),
        (accounts::BY_IDS, true),
        ("SELECT max(asked_at) FROM leases WHERE incarnation = ? AND closed = 0", false),
        ("DELETE FROM leases WHERE row IN (SELECT value FROM json_each(?))", false),
        ("SELECT seq FROM rows WHERE window_end < ? AND swept = 1 LIMIT ?", false),
        ("SELECT seq FROM rows WHERE seq > ? AND payer = ? ORDER BY seq LIMIT ?", false),
        ("SELECT seq FROM rows WHERE seq > ? AND organisation = ? ORDER BY seq LIMIT ?", false),
        ("SELECT seq FROM rows WHERE seq > ? AND swept = 0 AND window_end > ? ORDER BY seq LIMIT ?", false),
    ]) {
        let plan = sqlx::query_as::<_, (i64, i64, i64, String)>(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")));
        let plan = plan.fetch_all(if is_main { &mut main } else { &mut ledger }).await.unwrap();
        let plan: Vec<String> = plan.into_iter().map(|step| step.3).collect();
        let walks = |step: &&String| {
            let walked = step.strip_prefix("SCAN ").and_then(|table| table.split(' ').next());
            walked.is_some_and(|walked| ["r", "n", "l", "c", "t", "rows", "leases"].contains(&walked))
        };
        assert_eq!(plan.iter().find(walks), None, "{query}: {plan:?}");
    }
}
