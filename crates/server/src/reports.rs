//! Owns what nodes report: each report is applied once, however often it comes. Must not know how it came.

use tollgate_core::wire::{Acknowledged, MOST_USED, Report};

use crate::clock::Time;
use crate::failure::Failure;
use crate::nodes::{Incarnation, Node};
use crate::store::{self, Write};

/// How many reports of an incarnation are told apart, counted back from the newest. Older ones are taken as applied: a node has far fewer
/// under way.
const TOLD_APART: u64 = 1_024;

/// Applies a report, unless it was applied before.
///
/// # Errors
/// [`Failure::Invalid`] for number 0 or too many entries; [`Failure::NotFound`] for an incarnation that never said
/// hello, or so long ago that it is forgotten.
pub async fn apply(write: &mut Write, incarnation: &Incarnation, report: &Report) -> Result<Acknowledged, Failure> {
    let sequence = report.sequence;
    if sequence == 0 || i64::try_from(sequence).is_err() {
        return Err(Failure::invalid("sequence", "counts from 1"));
    }
    if report.used.len() > MOST_USED {
        return Err(Failure::invalid("used", format!("{} entries; at most {MOST_USED}", report.used.len())));
    }
    let node = store::nodes::get(write, &incarnation.incarnation).await?.ok_or(Failure::NotFound)?;
    let newest = node.last_sequence.max(sequence);
    let oldest = newest.saturating_sub(TOLD_APART - 1);
    let is_new = sequence >= oldest && store::nodes::insert_report(write, &node.incarnation, sequence, oldest).await?;
    if is_new {
        let now = write.now();
        for used in &report.used {
            let at = Time::from_millis(i64::try_from(used.at_ms).unwrap_or(i64::MAX)).min(now);
            store::api_keys::used(write, &used.credential, at).await?;
        }
        store::nodes::upsert(write, &Node { last_seen_at: now, last_sequence: newest, ..node }).await?;
    }
    Ok(Acknowledged { sequence, ..Acknowledged::default() })
}
