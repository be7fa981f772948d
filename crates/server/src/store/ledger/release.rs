//! Owns the end of lost incarnations: what they held comes back, and they are granted nothing any more. Must not judge whether they are lost.

use tollgate_core::ledger::Holder;

use super::super::{Store, StoreError};
use super::commit::begin;
use super::records::{self, Held};
use crate::clock::Time;

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Released {
    /// Leases that were open.
    pub(crate) leases: u64,
    /// Units.
    pub(crate) units: u64,
    /// Consumers and limits of which somebody was told that all is spent, and it is no more.
    pub(crate) freed: Vec<(String, String)>,
}

/// When an incarnation last asked for one of its open leases.
pub(crate) async fn last_asked(store: &Store, incarnation: &str) -> Result<Option<Time>, StoreError> {
    let query = sqlx::query_scalar("SELECT max(asked_at) FROM leases WHERE incarnation = ? AND closed = 0");
    Ok(query.bind(incarnation).fetch_one(&store.0.ledger.readers).await?)
}

/// Fences incarnations for `principal`, and takes everything back that they had when they last spoke.
pub(crate) async fn release(store: &Store, incarnations: &[String], principal: &str) -> Result<Released, StoreError> {
    let mut transaction = begin(&store.0.ledger.writer).await?;
    let now = store.now();
    let millis = u64::try_from(now.millis()).unwrap_or(0);
    let mut released = Released::default();
    for incarnation in incarnations {
        let query = sqlx::query("INSERT INTO fenced (incarnation, at, principal) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
        query.bind(incarnation).bind(now).bind(principal).execute(&mut *transaction).await?;
        let mut rows = records::open(&mut transaction, incarnation, millis).await?;
        let holders: Vec<(i64, &str)> = rows.iter().map(|(_, _, kept)| (kept.seq, incarnation.as_str())).collect();
        let (held, _) = records::held(&mut transaction, &holders, &[], millis).await?;
        for ((consumer, limit, kept), held) in rows.iter_mut().zip(held) {
            let mut holder = Holder { leases: held.iter().map(|held| held.lease).collect() };
            released.leases += u64::try_from(holder.open()).unwrap_or(0);
            released.units = released.units.saturating_add(kept.row.release(&mut holder));
            if kept.row.told_spent && kept.row.free() > 0 {
                kept.row.told_spent = false;
                released.freed.push((consumer.clone(), limit.clone()));
            }
            let left = |number: u64| holder.leases.iter().find(|lease| lease.lease == number);
            let (seq, incarnation) = (kept.seq, incarnation.as_str());
            let saved: Vec<_> = held
                .iter()
                .filter_map(|held| left(held.lease.lease).map(|lease| (seq, incarnation, Held { lease: *lease, ..*held })))
                .collect();
            let gone = held.iter().filter(|held| left(held.lease.lease).is_none());
            let forgotten: Vec<_> = gone.map(|held| (seq, incarnation, held.lease.lease)).collect();
            records::save(&mut transaction, &saved, &forgotten, &[&*kept]).await?;
        }
    }
    // In windows that are over nothing can come back.
    let ended = sqlx::query("UPDATE leases SET closed = 1, held = 0 WHERE closed = 0 AND incarnation IN (SELECT value FROM json_each(?))");
    ended.bind(sqlx::types::Json(incarnations)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(released)
}
