//! Owns the mark that the ledger forgot what it had answered, and which windows grant nothing because of it. Must not judge what an ask shows:
//! `tollgate_core::ledger` does.
//!
//! A row that is not there may be one that was lost, so the mark is of windows, by when they began, and not of rows.

use std::collections::HashSet;

use sqlx::SqliteConnection;
use tollgate_core::ledger::AHEAD;

use super::super::{Store, StoreError};
use super::commit::begin;
use crate::clock::Time;

/// Which rows grant nothing: a condition on `rows`. Something may have been granted of windows already that begin within [`AHEAD`].
pub(super) const IS_FROZEN: &str = "EXISTS (SELECT 1 FROM frozen f WHERE f.reopened = 0 AND rows.window_start <= f.at + 10000 \
    AND NOT EXISTS (SELECT 1 FROM reopened o WHERE o.consumer = rows.payer))";

const _: () = assert!(AHEAD == 10_000);

/// What is known of the mark; by default there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frozen {
    /// Windows that began until then, in milliseconds since 1970.
    at: Option<u64>,
    /// All may grant again.
    reopened: bool,
    /// These may, of the consumers that are asked for.
    consumers: HashSet<String>,
}

impl Frozen {
    /// As it is read: when, whether all may grant again, and which consumers.
    pub(super) fn of((at, reopened, consumers): (u64, u8, HashSet<String>)) -> Self {
        Self { at: Some(at), reopened: reopened != 0, consumers }
    }

    /// As it is after [`freeze`].
    pub(super) fn since(at: u64) -> Self {
        Self { at: Some(at), ..Self::default() }
    }

    /// Whether something may have been lost of a window that begins at `start`, whether or not it may grant again.
    pub(super) fn covers(&self, start: u64) -> bool {
        self.at.is_some_and(|at| start <= at.saturating_add(AHEAD))
    }

    /// Whether the window of an account that began at `start` grants nothing: of a consumer, or of one of its keys.
    pub(super) fn holds(&self, account: &str, start: u64) -> bool {
        let consumer = account.split_once('/').map_or(account, |(consumer, _)| consumer);
        self.covers(start) && !self.reopened && !self.consumers.contains(consumer)
    }
}

/// Marks all windows that began until `at`.
pub(super) async fn mark(connection: &mut SqliteConnection, at: Time) -> Result<(), StoreError> {
    let query = sqlx::query("INSERT INTO frozen (id, at, reopened) VALUES (1, ?1, 0) ON CONFLICT (id) DO UPDATE SET at = ?1, reopened = 0");
    query.bind(at).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM reopened").execute(connection).await?;
    Ok(())
}

/// Has no window grant anything that began until now.
pub(crate) async fn freeze(store: &Store) -> Result<(), StoreError> {
    let mut transaction = begin(&store.0.ledger.writer).await?;
    mark(&mut transaction, store.now()).await?;
    Ok(transaction.commit().await?)
}

/// Has the windows of a consumer, or all, grant again; answers how many rows that are in force did not.
pub(crate) async fn reopen(store: &Store, consumer: Option<&str>) -> Result<u64, StoreError> {
    let mut transaction = begin(&store.0.ledger.writer).await?;
    let count = format!("SELECT count(*) FROM rows WHERE swept = 0 AND window_end > ?1 AND (?2 IS NULL OR payer = ?2) AND {IS_FROZEN}");
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).bind(store.now()).bind(consumer);
    let rows = query.fetch_one(&mut *transaction).await?;
    match consumer {
        Some(consumer) => sqlx::query("INSERT INTO reopened (consumer) VALUES (?) ON CONFLICT DO NOTHING").bind(consumer),
        None => sqlx::query("UPDATE frozen SET reopened = 1"),
    }
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(rows)
}
