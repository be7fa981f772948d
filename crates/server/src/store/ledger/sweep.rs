//! Owns what of the ledger is forgotten, and how little at a time. Must not decide after how long.

use sqlx::types::Json;

use super::super::{Store, StoreError};
use super::commit::begin;
use crate::clock::Time;

/// Rows whose leases are deleted in one transaction: each has a lease for each node, and whoever asks waits meanwhile.
const MOST_ROWS: u32 = 100;

/// What is forgotten: all that ended before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    /// Leases, by the ends of their windows.
    pub(crate) leases: Time,
    /// Rows, by their ends, and fences.
    pub(crate) rows: Time,
    /// Which reports with overages were applied.
    pub(crate) reports: Time,
}

/// Forgets some of what is old; answers whether there may be more.
pub(crate) async fn sweep(store: &Store, before: Before) -> Result<bool, StoreError> {
    let ledger = &store.0.ledger;
    let query = sqlx::query_scalar("SELECT seq FROM rows WHERE swept = 0 AND window_end < ? LIMIT ?");
    let unswept: Vec<i64> = query.bind(before.leases).bind(MOST_ROWS).fetch_all(&ledger.readers).await?;
    let mut transaction = begin(&ledger.writer).await?;
    if !unswept.is_empty() {
        let query = sqlx::query("DELETE FROM leases WHERE row IN (SELECT value FROM json_each(?))");
        query.bind(Json(&unswept)).execute(&mut *transaction).await?;
        let query = sqlx::query("UPDATE rows SET swept = 1, held = 0 WHERE seq IN (SELECT value FROM json_each(?))");
        query.bind(Json(&unswept)).execute(&mut *transaction).await?;
    }
    let query = sqlx::query("DELETE FROM rows WHERE seq IN (SELECT seq FROM rows WHERE window_end < ? AND swept = 1 LIMIT ?)");
    let deleted = query.bind(before.rows).bind(MOST_ROWS).execute(&mut *transaction).await?.rows_affected();
    sqlx::query("DELETE FROM overages WHERE at < ?").bind(before.reports).execute(&mut *transaction).await?;
    sqlx::query("DELETE FROM fenced WHERE at < ?").bind(before.rows).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(unswept.len() >= MOST_ROWS as usize || deleted >= u64::from(MOST_ROWS))
}
