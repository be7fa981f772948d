//! Owns how the ledger is shown: rows with what their leases add up to, page by page. Must not know who may see them.

use serde::{Deserialize, Serialize};
use sqlx::{FromRow, QueryBuilder, Sqlite};

use super::super::{Store, StoreError, Window};
use super::frozen::IS_FROZEN;
use crate::clock::Time;

/// The account of a quota of one consumer in one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow, utoipa::ToSchema)]
pub struct LedgerRow {
    /// Its id.
    pub id: String,
    /// The consumer's id.
    pub consumer: String,
    /// The id of the key whose own limit it is, or of the first of those that replaced each other up to that one. Absent: the consumer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The name of the limit.
    pub limit: String,
    /// When the window began.
    pub window_start: Time,
    /// When it ends, or ended.
    pub window_end: Time,
    /// Units that may be spent in it, as of the last time somebody asked for some.
    pub units: u64,
    /// Units that nodes were granted, in all.
    pub granted: u64,
    /// Units of these that they returned.
    pub returned: u64,
    /// Granted and not returned: what counts against the limit.
    pub charged: u64,
    /// Of what is charged, what nodes had when they last spoke: some of it may come back.
    pub outstanding: u64,
    /// Of what is outstanding, what is with nodes that should have spoken long ago.
    pub silent: u64,
    /// Units that nodes let pass without being granted them, as the limit's failure mode says.
    pub overage: u64,
    /// Nothing is granted from it, because the ledger forgot what it had answered, until somebody reopens it.
    pub frozen: bool,
}

/// Which rows: those that agree with everything given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Which<'a> {
    pub(crate) organisation: Option<&'a str>,
    pub(crate) consumer: Option<&'a str>,
    /// Also those whose window is over.
    pub(crate) all: bool,
}

/// The rows in the window that meet all conditions; `None` if there is no row to begin after.
pub(crate) async fn list(store: &Store, window: Window<'_>, which: Which<'_>) -> Result<Option<Vec<LedgerRow>>, StoreError> {
    let mut connection = store.0.ledger.readers.acquire().await?;
    let now = store.now();
    let mut after = 0;
    if let Some(id) = window.after {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT seq FROM rows WHERE seq = ");
        // What is not a number of ours is nobody's.
        query.push_bind(id.parse().unwrap_or(0_i64));
        narrow(&mut query, Which { all: true, ..which }, now);
        let Some(found) = query.build_query_scalar().fetch_optional(&mut *connection).await? else {
            return Ok(None);
        };
        after = found;
    }
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT CAST(seq AS TEXT) AS id, payer AS consumer, nullif(substr(consumer, length(payer) + 2), '') AS credential, name AS \"limit\", window_start, window_end, units, granted, granted - charged AS returned, \
         charged, held AS outstanding, overage, (SELECT coalesce(sum(l.held), 0) FROM leases l WHERE l.row = rows.seq AND l.closed = 0 \
         AND l.asked_at + 2 * l.lasts < ",
    );
    query.push_bind(now).push(") AS silent, ").push(IS_FROZEN).push(" AS frozen FROM rows WHERE seq > ").push_bind(after);
    narrow(&mut query, which, now);
    query.push(" ORDER BY seq LIMIT ").push_bind(window.size);
    Ok(Some(query.build_query_as().fetch_all(&mut *connection).await?))
}

fn narrow(query: &mut QueryBuilder<Sqlite>, which: Which<'_>, now: Time) {
    for (column, value) in [("payer", which.consumer), ("organisation", which.organisation)] {
        if let Some(value) = value {
            query.push(format_args!(" AND {column} = ")).push_bind(value.to_owned());
        }
    }
    if !which.all {
        query.push(" AND swept = 0 AND window_end > ").push_bind(now);
    }
}
