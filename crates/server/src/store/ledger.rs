//! Owns the ledger as it is kept: a SQLite database of its own beside the other, and who writes to it. Must not judge: `tollgate_core::ledger`
//! does.
//!
//! One connection writes. What is asked is durable before it is answered (`synchronous=FULL`), and nothing about a row or lease is kept in
//! memory between two transactions.

mod accounts;
mod batch;
mod commit;
mod frozen;
mod listing;
mod rates;
mod records;
mod release;
mod standing;
mod sweep;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::sync::{Notify, watch};
use tollgate_core::wire::{LeaseAnswer, LeaseAsk, Overage, Recall};

use super::{BUSY_TIMEOUT, Store, StoreError, TURN_TIMEOUT, connect, pool};
use crate::clock::Clock;
use accounts::Accounts;
use commit::Queue;

pub(crate) use frozen::{freeze, reopen};
pub use listing::LedgerRow;
pub(crate) use listing::{Which, list};
pub(crate) use release::{last_asked, release};
pub use standing::Standing;
pub(crate) use standing::{spent, standing};
pub(crate) use sweep::{Before, sweep};

/// The database's name in the data directory.
const DATABASE: &str = "ledger.db";
/// Pages in the write-ahead log after which they are carried over: 16 MiB. Asks write to pages all over the file, and a page that is written often
/// is carried over once; with a longer log whoever waits for that waits long.
const CHECKPOINT_PAGES: u32 = 4_096;
/// Connections that read: only people's lists do.
const READERS: u32 = 2;
/// How many reports with overages of an incarnation are told apart, counted back from the newest: as many as of other reports.
const TOLD_APART: u64 = 1_024;

/// What an incarnation asks.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Whose leases they are.
    pub(crate) incarnation: String,
    /// What becomes of them.
    pub(crate) asks: Vec<LeaseAsk>,
    /// What it has admitted without a lease.
    pub(crate) overages: Option<Overages>,
    /// The asks are the first of leases that are wanted only where it has none open: the others are closed unjudged.
    pub(crate) first: bool,
}

/// Overages of one report.
#[derive(Debug)]
pub(crate) struct Overages {
    /// The report's number: they are applied once.
    pub(crate) sequence: u64,
    /// For each row.
    pub(crate) units: Vec<Overage>,
}

/// What came of [`Asked`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// The revision the limits were read at.
    pub(crate) revision: u64,
    /// One for each ask.
    pub(crate) answers: Vec<LeaseAnswer>,
}

/// The ledger.
#[derive(Debug)]
pub(super) struct Ledger {
    writer: SqlitePool,
    readers: SqlitePool,
    queue: Queue,
    recalls: Arc<Recalls>,
    file: File,
}

/// The database's file, as it was opened.
#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    /// The numbers of its device and of itself: another file under the same name has others.
    place: (u64, u64),
}

/// Units that are wanted elsewhere or came free, as long as nodes have not been told.
#[derive(Debug, Default)]
struct Recalls {
    wanted: Mutex<BTreeSet<News>>,
    any: Notify,
}

/// A consumer, a limit, and whether units of it came free; else they are wanted elsewhere.
type News = (String, String, bool);

/// Judges what is asked, with others that ask at the same time; it is durable when this returns.
///
/// # Errors
/// [`StoreError`]: nothing is known of what became of it, and it may be asked again.
pub(crate) async fn settle(store: &Store, asked: Asked) -> Result<Answered, StoreError> {
    store.0.ledger.queue.settle(asked).await
}

/// Waits until units are wanted elsewhere or came free, and takes what nodes are to be told.
pub(crate) async fn recalls(store: &Store) -> Vec<Recall> {
    let recalls = &store.0.ledger.recalls;
    loop {
        let wanted = std::mem::take(&mut *recalls.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        if !wanted.is_empty() {
            return wanted.into_iter().map(|(consumer, limit, freed)| Recall { consumer, limit, freed }).collect();
        }
        recalls.any.notified().await;
    }
}

impl Ledger {
    /// Opens the database `DIR/ledger.db`, and makes or migrates it where needed. `other` reads the other
    /// database, whose feed is at `newest`.
    pub(super) async fn open(
        dir: &Path,
        other: SqliteConnection,
        newest: watch::Receiver<u64>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let path = dir.join(DATABASE);
        // SQLite gives its other files the mode of this one.
        fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let options = connect(&path).pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string());
        let writer = pool(1, TURN_TIMEOUT).connect_with(options.clone()).await?;
        sqlx::migrate!("./ledger_migrations").run(&writer).await?;
        let readers = pool(READERS, BUSY_TIMEOUT).connect_with(options.read_only(true)).await?;
        let file = File { place: place(&path)?, path };
        let recalls = Arc::new(Recalls::default());
        let queue = Queue::start(writer.clone(), Accounts::new(other, newest), clock, Arc::clone(&recalls));
        Ok(Self { writer, readers, queue, recalls, file })
    }

    /// Reads the file, on a connection of its own: others remember pages, and the file they have open may have no name any more.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let path = self.file.path.clone();
        let found = tokio::task::spawn_blocking(move || place(&path))
            .await
            .map_err(|_| StoreError::Unavailable("the process ends".to_owned()))??;
        if found != self.file.place {
            return Err(StoreError::Broken("another file than the one that was opened".to_owned()));
        }
        let mut connection = SqliteConnection::connect_with(&connect(&self.file.path).read_only(true)).await?;
        sqlx::query("SELECT charged FROM rows ORDER BY seq DESC LIMIT 1").fetch_optional(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Finishes what is under way and closes the database.
    pub(super) async fn close(&self) {
        self.queue.close().await;
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Where a file is: the numbers of its device and of itself.
fn place(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Recalls {
    fn want(&self, wanted: impl IntoIterator<Item = News>) {
        let mut kept = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.len();
        kept.extend(wanted);
        if kept.len() > before {
            self.any.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
