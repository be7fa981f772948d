//! Owns what is kept: two SQLite databases in the data directory, one of them the ledger's. Must not decide what may be done with it:
//! operations do.
//!
//! One connection writes, one transaction at a time and in the order they were asked for; others read beside it, each a snapshot (SQLite's
//! write-ahead log). A commit is on the disk before it is acknowledged (`synchronous=FULL`).

pub(crate) mod admin_keys;
pub(crate) mod answers;
pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod blocks;
pub(crate) mod changes;
pub(crate) mod consumers;
mod error;
pub(crate) mod families;
mod heard;
pub(crate) mod ledger;
mod listing;
pub(crate) mod nodes;
pub(crate) mod nonces;
pub(crate) mod openid;
pub(crate) mod organisations;
pub(crate) mod outbox;
pub(crate) mod resolve;
pub(crate) mod secret_versions;
pub(crate) mod sessions;
pub(crate) mod signing_keys;
pub(crate) mod tiers;
pub(crate) mod users;
mod values;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::watch;

use crate::audit::{Failures, Who};
use crate::clock::{Clock, Time};
use crate::nonces::Room;

pub use error::StoreError;
pub(crate) use listing::Window;

/// The database's name in the data directory.
const DATABASE: &str = "tollgate.db";
/// The file whose lock says that a process serves the data directory.
const CLAIM: &str = "tollgate.lock";
/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a transaction waits for its turn: with the lock's time it stays below what clients wait for an answer.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that read: more than there are cores helps nobody, fewer than this would queue behind one slow list.
const READERS: u32 = 4;
/// Memory for pages of each connection, in KiB.
const CACHE_KIB: i32 = 16 * 1024;
/// What the write-ahead log is cut down to once it has been carried over.
const WAL_BYTES: i64 = 64 * 1024 * 1024;

/// What is kept. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    writer: SqlitePool,
    readers: SqlitePool,
    /// The newest revision of the feed that is committed.
    newest: watch::Sender<u64>,
    /// Ids of node credentials that are revoked: looked up on every request of a node, so they are in memory.
    revoked_nodes: RwLock<HashSet<String>>,
    heard: heard::Heard,
    failures: Failures,
    room_for_nonces: Room,
    lookups: resolve::Lookups,
    ledger: ledger::Ledger,
}

/// A connection that reads, one snapshot a statement.
#[derive(Debug)]
pub(crate) struct Read(PoolConnection<Sqlite>);

/// A transaction that reads: one snapshot.
#[derive(Debug)]
pub(crate) struct Snapshot(Transaction<'static, Sqlite>);

/// A transaction that writes: nobody else's runs beside it. Nothing is kept unless it is committed.
#[derive(Debug)]
pub struct Write {
    store: Arc<Inner>,
    transaction: Transaction<'static, Sqlite>,
    now: Time,
    published: Option<u64>,
    revoked_nodes: Vec<String>,
    failed: Vec<(Who, u64)>,
}

/// The right to serve a data directory, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    _lock: fs::File,
}

/// What one can read from.
pub(crate) trait Reader: Send {
    /// The connection.
    fn connection(&mut self) -> &mut SqliteConnection;
}

// === impl Store ===

impl Store {
    /// Opens the databases `DIR/tollgate.db` and `DIR/ledger.db`, and makes or migrates them where needed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let path = dir.join(DATABASE);
        // SQLite gives its other files the mode of this one.
        fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let options = connect(&path);
        let writer = pool(1, TURN_TIMEOUT).connect_with(options.clone()).await?;
        sqlx::migrate!().run(&writer).await?;
        let options = options.read_only(true);
        let lookups = resolve::Lookups::start(SqliteConnection::connect_with(&options).await?);
        let accounts = SqliteConnection::connect_with(&options).await?;
        let readers = pool(READERS, BUSY_TIMEOUT).connect_with(options).await?;
        let (newest, revoked_nodes) = (watch::Sender::new(0), RwLock::default());
        let ledger = ledger::Ledger::open(dir, accounts, newest.subscribe(), Arc::clone(&clock)).await?;
        let heard = heard::Heard::new(clock.now());
        let store = Self(Arc::new(Inner {
            clock,
            writer,
            readers,
            newest,
            revoked_nodes,
            heard,
            failures: Failures::default(),
            room_for_nonces: Room::default(),
            lookups,
            ledger,
        }));
        let mut read = store.read().await?;
        let revoked = nodes::revoked(&mut read).await?;
        store.0.newest.send_replace(changes::newest(&mut read).await?);
        store.0.revoked_nodes.write().unwrap_or_else(PoisonError::into_inner).extend(revoked);
        if organisations::get(&mut read, organisations::DEFAULT).await?.is_none() {
            let mut write = store.begin().await?;
            organisations::seed(&mut write).await?;
            write.commit().await?;
        }
        if audit::any_unchained(&mut read).await? {
            let mut write = store.begin().await?;
            audit::take_over(&mut write).await?;
            write.commit().await?;
        }
        drop(read);
        Ok(store)
    }

    /// Whether there is a store in the directory: [`Store::open`] would make one.
    #[must_use]
    pub fn is_in(dir: &Path) -> bool {
        dir.join(DATABASE).is_file()
    }

    /// Claims the data directory for this process: nodes hear of changes at once only from the process that made them.
    ///
    /// # Errors
    /// [`StoreError::Claimed`] if another process has it.
    pub fn claim(dir: &Path) -> Result<Claim, StoreError> {
        let file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join(CLAIM))?;
        match file.try_lock() {
            Ok(()) => Ok(Claim { _lock: file }),
            Err(fs::TryLockError::WouldBlock) => Err(StoreError::Claimed),
            Err(fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Begins to write, after those who asked before.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if that takes too long.
    pub async fn begin(&self) -> Result<Write, StoreError> {
        let transaction = self.0.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Write {
            store: Arc::clone(&self.0),
            transaction,
            now: self.now(),
            published: None,
            revoked_nodes: Vec::new(),
            failed: Vec::new(),
        })
    }

    /// The store's time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.0.clock.now()
    }

    /// How far its clock is ahead of one that nobody sets, in milliseconds: a change of that says that it was set.
    #[must_use]
    pub fn clock_ahead(&self) -> i64 {
        let passed = i64::try_from(self.0.clock.passed()).unwrap_or(i64::MAX);
        self.now().millis().saturating_sub(passed)
    }

    /// Writes something, to see whether that is possible.
    ///
    /// # Errors
    /// [`StoreError`] if it is not.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        let query = sqlx::query("INSERT INTO probe (id, at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET at = ?1");
        query.bind(write.now).execute(write.connection()).await?;
        write.commit().await
    }

    /// Reads the ledger's file, to see whether that is possible.
    ///
    /// # Errors
    /// [`StoreError`] if it is not, or if it is another file than the one that was opened.
    pub async fn probe_ledger(&self) -> Result<(), StoreError> {
        self.0.ledger.probe().await
    }

    /// Finishes what is under way and closes the databases: each is then one file, without its log.
    pub async fn close(&self) {
        self.0.ledger.close().await;
        self.0.lookups.close().await;
        self.0.readers.close().await;
        // Last, because only who may write can carry the log over.
        self.0.writer.close().await;
    }

    pub(crate) async fn read(&self) -> Result<Read, StoreError> {
        Ok(Read(self.0.readers.acquire().await?))
    }

    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot(self.0.readers.begin().await?))
    }

    /// Tells when the newest committed revision changes.
    pub(crate) fn newest(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }

    /// Whether a node credential is revoked, from memory.
    pub(crate) fn is_revoked_node(&self, id: &str) -> bool {
        self.0.revoked_nodes.read().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Failed authentications that are not in the audit log yet.
    pub(crate) fn failures(&self) -> &Failures {
        &self.0.failures
    }

    /// How many more nonces may be taken before they are counted.
    pub(crate) fn room_for_nonces(&self) -> &Room {
        &self.0.room_for_nonces
    }

    /// Notes in memory that a node was heard of.
    pub(crate) fn heard_of(&self, incarnation: &str) {
        self.0.heard.note(incarnation, self.now());
    }

    /// When a node was last heard of, or this process began to listen.
    pub(crate) fn last_heard(&self, incarnation: &str) -> Time {
        self.0.heard.last(incarnation)
    }
}

/// How a database is opened that may be written to.
fn connect(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", (-CACHE_KIB).to_string())
        .pragma("journal_size_limit", WAL_BYTES.to_string())
}

/// So many connections, each waited for no longer than this. They are for ever: there is no network that could take them away.
fn pool(connections: u32, turn: Duration) -> SqlitePoolOptions {
    let pool = SqlitePoolOptions::new().idle_timeout(None).max_lifetime(None).test_before_acquire(false);
    let pool = pool.max_connections(connections).acquire_timeout(turn);
    if connections > 1 {
        return pool;
    }
    // Who writes is alone.
    pool.after_release(|connection, _| {
        Box::pin(async move {
            // Where SQLite has itself rolled back, as it may when the disk is full, sqlx still counts a transaction.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

// === impl Write ===

impl Write {
    /// The time of this transaction.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// Counts failed authentications for the audit log, once this is committed.
    pub(crate) fn failed(&mut self, who: Who, count: u64) {
        self.failed.push((who, count));
    }

    /// Keeps what was written, durably, and wakes whoever waits for changes. Once begun it is done, even if its future is dropped.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was kept.
    pub async fn commit(self) -> Result<(), StoreError> {
        // In a task of its own: a commit whose caller went away would otherwise wake nobody.
        let commit = tokio::spawn(async move {
            self.transaction.commit().await?;
            self.store.revoked_nodes.write().unwrap_or_else(PoisonError::into_inner).extend(self.revoked_nodes);
            for (who, count) in self.failed {
                self.store.failures.count(who, count, self.now);
            }
            if let Some(published) = self.published {
                self.store.newest.send_if_modified(|newest| {
                    let newer = published > *newest;
                    *newest = published.max(*newest);
                    newer
                });
            }
            Ok(())
        });
        commit.await.unwrap_or_else(|error| Err(StoreError::Broken(error.to_string())))
    }
}

// === impl Reader ===

impl Reader for Read {
    fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}

impl Reader for Snapshot {
    fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}

impl Reader for Write {
    fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}

#[cfg(test)]
mod tests;
