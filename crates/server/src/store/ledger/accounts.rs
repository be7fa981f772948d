//! Owns the reading of what consumers may be granted: the limits of their tiers, and what is theirs in place of them. Must not know what
//! they were granted.
//!
//! It is in the other database, which changes seldom, and is read on a connection of its own: no list that others walk holds up grants. So
//! what was read is kept until the feed has something new; a consumer that was not found is looked for again, because one that is made is no
//! news.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::types::Json;
use sqlx::{Connection, FromRow, Row, SqliteConnection};
use tokio::sync::watch;
use tollgate_core::config::document::Limit;
use tollgate_core::config::global_rate;
use tollgate_core::limit::Rate;

use super::super::StoreError;
use crate::calendar::Calendar;

/// Consumers that are remembered; with more, all are forgotten. About 300 bytes each.
const MOST_KNOWN: usize = 65_536;

/// Many consumers that may pass by their ids, a JSON array; and accounts of keys, whose limits are those of the newest that spends from one.
pub(crate) const BY_IDS: &str = "SELECT j.value AS id, c.organisation, c.overrides, t.limits FROM json_each(?1) j \
    JOIN consumers c ON c.id = j.value AND c.disabled = 0 AND c.deleted_at IS NULL JOIN tiers t ON t.name = c.tier UNION ALL \
    SELECT j.value, c.organisation, '{}', k.limits FROM json_each(?1) j JOIN api_keys k ON k.seq = (SELECT max(a.seq) FROM api_keys a \
    WHERE a.revoked_at IS NULL AND (a.id = substr(j.value, instr(j.value, '/') + 1) OR a.spends_as = substr(j.value, instr(j.value, '/') + 1))) \
    JOIN consumers c ON c.id = k.consumer AND c.disabled = 0 AND c.deleted_at IS NULL \
    WHERE instr(j.value, '/') = length(k.consumer) + 1 AND substr(j.value, 1, length(k.consumer)) = k.consumer";

/// Whose quotas there are.
#[derive(Debug)]
pub(in super::super) struct Accounts {
    connection: SqliteConnection,
    newest: watch::Receiver<u64>,
    /// What is known was read at this revision of the feed, or a newer one.
    revision: u64,
    known: HashMap<String, Arc<Account>>,
}

/// A consumer that may pass, or one of its keys that has limits of its own.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) organisation: String,
    quotas: Vec<Quota>,
    rates: Vec<(String, Rate)>,
}

/// What a consumer may be granted in each period.
#[derive(Debug)]
pub(super) struct Quota {
    name: String,
    pub(super) units: u64,
    pub(super) calendar: Calendar,
}

/// What is read of a consumer.
struct Read {
    id: String,
    account: Account,
}

impl Accounts {
    pub(in super::super) fn new(connection: SqliteConnection, newest: watch::Receiver<u64>) -> Self {
        Self { connection, newest, revision: 0, known: HashMap::new() }
    }

    /// Those of these consumers that may pass, and the revision that is true of.
    pub(super) async fn of(&mut self, consumers: &HashSet<&str>) -> Result<(u64, HashMap<String, Arc<Account>>), StoreError> {
        // Before reading: what is committed meanwhile is then read again the next time.
        let newest = *self.newest.borrow_and_update();
        if newest != self.revision || self.known.len() > MOST_KNOWN {
            self.known.clear();
            self.revision = newest;
        }
        let missing: Vec<&str> = consumers.iter().copied().filter(|id| !self.known.contains_key(*id)).collect();
        if !missing.is_empty() {
            let found = sqlx::query_as::<_, Read>(BY_IDS).bind(Json(missing)).fetch_all(&mut self.connection).await?;
            self.known.extend(found.into_iter().map(|read| (read.id, Arc::new(read.account))));
        }
        let known = consumers.iter().filter_map(|id| Some(((*id).to_owned(), Arc::clone(self.known.get(*id)?))));
        Ok((self.revision, known.collect()))
    }

    pub(super) async fn close(self) {
        // Where this fails the process's end closes it.
        let _ = self.connection.close().await;
    }
}

impl Account {
    /// The rate over all nodes of this name, if the consumer has one.
    pub(super) fn rate(&self, name: &str) -> Option<Rate> {
        self.rates.iter().find(|(own, _)| own == name).map(|(_, rate)| *rate)
    }

    /// The quota of this name, if the consumer has one.
    pub(super) fn quota(&self, name: &str) -> Option<&Quota> {
        self.quotas.iter().find(|quota| quota.name == name)
    }
}

impl FromRow<'_, SqliteRow> for Read {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let Json(limits): Json<Vec<Limit>> = row.try_get("limits")?;
        let Json(overrides): Json<BTreeMap<String, u64>> = row.try_get("overrides")?;
        let rates = limits.iter().filter_map(|limit| Some((limit.name.clone(), global_rate(limit)?))).collect();
        let quota = |limit: Limit| {
            let calendar = Calendar::of(&limit)?;
            let units = overrides.get(&limit.name).copied().unwrap_or(limit.rate);
            Some(Quota { name: limit.name, units, calendar })
        };
        let quotas = limits.into_iter().filter_map(quota).collect();
        let account = Account { organisation: row.try_get("organisation")?, quotas, rates };
        Ok(Self { id: row.try_get("id")?, account })
    }
}
