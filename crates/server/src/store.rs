//! Owns what is kept: one SQLite database in the data directory. Must not decide what may be done with it: operations do.

use std::path::Path;
use std::sync::Arc;

use crate::clock::{Clock, Time};
use crate::failure::Failure;

/// Why the store did not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It may work later: the database is locked, full, read-only or out of reach.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It is broken, or we are.
    #[error("the store is broken: {0}")]
    Broken(String),
    /// Another process serves this data directory.
    #[error("another process serves this data directory")]
    Claimed,
}

/// What is kept. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    clock: Arc<dyn Clock>,
}

/// A transaction that writes: nobody else's runs beside it. Nothing is kept unless it is committed.
#[derive(Debug)]
pub struct Write {
    now: Time,
}

/// The right to serve a data directory, until it is dropped.
#[derive(Debug)]
pub struct Claim {}

impl Store {
    /// Opens the database `DIR/tollgate.db`, and makes or migrates it where needed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(_dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let _ = clock;
        Err(StoreError::Unavailable(String::new()))
    }

    /// Claims the data directory for this process: nodes hear of changes at once only from the process that made them.
    ///
    /// # Errors
    /// [`StoreError::Claimed`] if another process has it.
    pub fn claim(_dir: &Path) -> Result<Claim, StoreError> {
        Ok(Claim {})
    }

    /// Begins to write, after those who asked before.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if that takes too long.
    pub async fn begin(&self) -> Result<Write, StoreError> {
        Err(StoreError::Unavailable(String::new()))
    }

    /// The store's time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Writes something, to see whether that is possible.
    ///
    /// # Errors
    /// [`StoreError`] if it is not.
    pub async fn probe(&self) -> Result<(), StoreError> {
        Err(StoreError::Unavailable(String::new()))
    }

    /// Finishes what is under way and closes the database.
    pub async fn close(&self) {}
}

impl Write {
    /// The time of this transaction.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// Keeps what was written, durably, and wakes whoever waits for changes.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was kept.
    pub async fn commit(self) -> Result<(), StoreError> {
        Err(StoreError::Unavailable(String::new()))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Claimed => Self::Unavailable { private: error.to_string() },
            StoreError::Broken(_) => Self::Internal { private: error.to_string() },
        }
    }
}
