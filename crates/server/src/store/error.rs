//! Owns why the store did not do something, and which of it may pass. Must not hold what was to be stored.

use crate::failure::Failure;

/// Why the store did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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

/// SQLite's primary result codes that tell of its surroundings, not of us: busy, locked, out of memory, read-only, interrupted, I/O, full,
/// cannot open, locking protocol (<https://sqlite.org/rescode.html>).
const MAY_PASS: [u32; 9] = [5, 6, 7, 8, 9, 10, 13, 14, 15];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error::{Io, PoolClosed, PoolTimedOut, WorkerCrashed};
        let extended = error.as_database_error().and_then(|database| database.code()?.parse::<u32>().ok());
        let may_pass = extended.is_some_and(|code| MAY_PASS.contains(&(code & 0xff)))
            || matches!(error, Io(_) | PoolTimedOut | PoolClosed | WorkerCrashed);
        let text = error.to_string();
        if may_pass { Self::Unavailable(text) } else { Self::Broken(text) }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};
        if let Execute(error) | ExecuteMigration(error, _) = error { error.into() } else { Self::Broken(error.to_string()) }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) | StoreError::Claimed => Self::Unavailable { private: error.to_string() },
            StoreError::Broken(_) => Self::Internal { private: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_is_broken() {
        assert!(matches!(StoreError::from(sqlx::Error::PoolTimedOut), StoreError::Unavailable(_)));
        assert!(matches!(StoreError::from(sqlx::Error::RowNotFound), StoreError::Broken(_)));
        assert!(matches!(Failure::from(StoreError::Broken("x".to_owned())), Failure::Internal { .. }));
        assert!(matches!(Failure::from(StoreError::Claimed), Failure::Unavailable { .. }));
    }
}
