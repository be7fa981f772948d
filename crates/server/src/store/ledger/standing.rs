//! Owns what the rows in force add up to. Must not know who looks at it.

use std::collections::HashMap;

use sqlx::FromRow;
use sqlx::types::Json;

use super::super::{Store, StoreError};
use super::frozen::IS_FROZEN;

/// Sums over the rows whose windows are in force, as metrics take them.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromRow)]
pub struct Standing {
    /// Units that nodes had when they last spoke.
    pub outstanding: f64,
    /// Units of these that are with nodes that should have spoken long ago.
    #[sqlx(skip)]
    pub silent: f64,
    /// Units let pass without being granted.
    pub overage: f64,
    /// Units charged beyond the highest limit that was in force in their window.
    pub over_admitted: f64,
    /// Rows from which nothing is granted, because the ledger forgot what it had answered.
    pub frozen_rows: f64,
}

/// Units of a limit that were spent in the windows in force, by account: charged, and not with a node when it last spoke; and those let pass. Accounts
/// of which nothing was asked are not there.
pub(crate) async fn spent(store: &Store, accounts: &[&str], limit: &str) -> Result<HashMap<String, u64>, StoreError> {
    let mut connection = store.0.ledger.readers.acquire().await?;
    let query = sqlx::query_as::<_, (String, u64)>(
        "SELECT consumer, max(charged - held, 0) + overage FROM rows WHERE consumer IN (SELECT value FROM json_each(?)) AND name = ? \
         AND window_end > ?",
    );
    let found = query.bind(Json(accounts)).bind(limit).bind(store.now()).fetch_all(&mut *connection).await?;
    Ok(found.into_iter().collect())
}

/// What the rows in force add up to. Walks all of them and their leases.
pub(crate) async fn standing(store: &Store) -> Result<Standing, StoreError> {
    let mut connection = store.0.ledger.readers.acquire().await?;
    let now = store.now();
    // Sums of integers may be too large for one.
    let sums = format!(
        "SELECT total(held) AS outstanding, total(overage) AS overage, total(max(charged - highest, 0)) AS over_admitted, \
         total({IS_FROZEN}) AS frozen_rows FROM rows WHERE swept = 0 AND window_end > ?"
    );
    let standing: Standing = sqlx::query_as(sqlx::AssertSqlSafe(sums)).bind(now).fetch_one(&mut *connection).await?;
    let silent = sqlx::query_scalar(
        "SELECT total(l.held) FROM rows r JOIN leases l ON l.row = r.seq WHERE r.swept = 0 AND r.window_end > ?1 AND l.closed = 0 \
         AND l.asked_at + 2 * l.lasts < ?1",
    );
    Ok(Standing { silent: silent.bind(now).fetch_one(&mut *connection).await?, ..standing })
}
