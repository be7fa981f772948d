//! Owns what nodes report: each report is applied once, however often it comes. Must not know how it came.

use tollgate_core::wire::{Acknowledged, MOST_REFUSED, MOST_USED, Report};

use crate::audit::Who;
use crate::blocks;
use crate::clock::Time;
use crate::failure::Failure;
use crate::ledger;
use crate::nodes::{Incarnation, Node};
use crate::store::{self, Store, Write};

/// How many reports of an incarnation are told apart, counted back from the newest. Older ones are taken as applied: a node has far fewer
/// under way.
const TOLD_APART: u64 = 1_024;

/// Takes a report: settles its leases, then applies the rest unless it was applied before. The ledger is a database of its own, and one of
/// the two may fail: what is settled is settled once, by its own numbers, also when the report comes again.
///
/// # Errors
/// As for [`apply`] and [`ledger::settle`].
pub async fn receive(store: &Store, incarnation: &Incarnation, report: &Report) -> Result<Acknowledged, Failure> {
    judge(report)?;
    let settled = ledger::settle_report(store, incarnation, report).await?;
    let mut write = store.begin().await?;
    let acknowledged = apply(&mut write, incarnation, report).await?;
    write.commit().await?;
    Ok(match settled {
        Some(settled) => Acknowledged { revision: settled.revision, leases: settled.answers, ..acknowledged },
        None => acknowledged,
    })
}

/// Applies what a report says of credentials and of whom was refused, unless it was applied before.
///
/// # Errors
/// [`Failure::Invalid`] for number 0 or too many entries; [`Failure::NotFound`] for an incarnation that never said
/// hello, or so long ago that it is forgotten.
pub async fn apply(write: &mut Write, incarnation: &Incarnation, report: &Report) -> Result<Acknowledged, Failure> {
    judge(report)?;
    let sequence = report.sequence;
    let node = store::nodes::get(write, &incarnation.incarnation).await?.ok_or(Failure::NotFound)?;
    let newest = node.last_sequence.max(sequence);
    let oldest = newest.saturating_sub(TOLD_APART - 1);
    let is_new = sequence >= oldest && store::nodes::insert_report(write, &node.incarnation, sequence, oldest).await?;
    let mut unblocked = Vec::new();
    if is_new {
        let now = write.now();
        unblocked = blocks::take(write, incarnation, &report.abuse).await?;
        for refused in &report.refused {
            if let Some(who) = Who::refused(&incarnation.credential, refused) {
                write.failed(who, refused.count);
            }
        }
        for used in &report.used {
            let at = Time::from_millis(i64::try_from(used.at_ms).unwrap_or(i64::MAX)).min(now);
            store::api_keys::used(write, &used.credential, at).await?;
        }
        store::nodes::upsert(write, &Node { last_seen_at: now, last_sequence: newest, ..node }).await?;
    }
    Ok(Acknowledged { sequence, unblocked, ..Acknowledged::default() })
}

fn judge(report: &Report) -> Result<(), Failure> {
    if report.sequence == 0 || i64::try_from(report.sequence).is_err() {
        return Err(Failure::invalid("sequence", "counts from 1"));
    }
    if report.used.len() > MOST_USED {
        return Err(Failure::invalid("used", format!("{} entries; at most {MOST_USED}", report.used.len())));
    }
    if report.refused.len() > MOST_REFUSED {
        return Err(Failure::invalid("refused", format!("{} entries; at most {MOST_REFUSED}", report.refused.len())));
    }
    blocks::judge(&report.abuse)
}
