//! Owns the change feed: what nodes must be told, in the order it was committed. Must not know how they ask.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tollgate_core::wire::{Change, Changes, ConsumerChange, CredentialChange, LARGEST_ANSWER, LONGEST_WAIT, MOST_CHANGES, Recall};

use crate::clock::Time;
use crate::failure::Failure;
use crate::store::changes::{self as rows, Kind, Row, publish};
use crate::store::{self, Snapshot, Store, Write};
use crate::{blocks, tokens};

/// The most bytes of changes in one answer; the rest is for what is around them.
const LARGEST: usize = LARGEST_ANSWER - 4 * 1024;
/// The most keys whose expiry is told of in one transaction, so that others get their turn.
const MOST_EXPIRED: u32 = 1_000;

/// Up to where a node knows the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The revision.
    pub revision: u64,
    /// Its mark, if the node was told one.
    pub mark: Option<u64>,
}

impl From<u64> for Known {
    fn from(revision: u64) -> Self {
        Self { revision, mark: None }
    }
}

/// What has changed after a revision; waits up to `wait` (at most [`LONGEST_WAIT`]) while that is nothing. Without `after`: where the feed
/// is now, at once.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn after(store: &Store, after: Option<Known>, wait: Duration) -> Result<Changes, Failure> {
    let begun = Instant::now();
    let end = begun + wait.min(Duration::from_millis(LONGEST_WAIT));
    let mut newest = store.newest();
    loop {
        // Before reading: what is committed while we read then wakes us.
        newest.mark_unchanged();
        let read_at = Instant::now();
        let held_ms = u64::try_from(read_at.duration_since(begun).as_millis()).unwrap_or(u64::MAX);
        let changes = read(store, after, held_ms).await?;
        let Some(after) = after else {
            return Ok(changes);
        };
        if changes.reset || changes.revision != after.revision || read_at >= end {
            return Ok(changes);
        }
        // Woken or not, the answer is read anew, so that it is complete at the end of the time it was held.
        let _ = timeout_at(end, newest.changed()).await;
    }
}

/// When the next key expires whose end nodes were not told of; in the past if that is overdue.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn next_expiry(store: &Store) -> Result<Option<Time>, Failure> {
    Ok(store::api_keys::next_expiry(&mut store.read().await?).await?)
}

/// Tells nodes of keys that have expired, at most 1,000 in one go; answers how many.
///
/// `startup` runs a task that looks at [`next_expiry`] once a second and calls this while that is past. Nodes end a key by themselves when
/// its time is over; the feed makes sure where their clocks have it otherwise.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn expire(write: &mut Write) -> Result<usize, Failure> {
    let expired = store::api_keys::tell_expired(write, MOST_EXPIRED).await?;
    for id in &expired {
        publish(write, Kind::CredentialGone, id).await?;
    }
    Ok(expired.len())
}

async fn read(store: &Store, after: Option<Known>, held_ms: u64) -> Result<Changes, Failure> {
    let mut snapshot = store.snapshot().await?;
    let newest = rows::newest(&mut snapshot).await?;
    let mark = rows::mark(&mut snapshot, newest).await?.unwrap_or_default();
    let mut answer = Changes { revision: newest, mark, held_ms, reset: false, more: false, changes: Vec::new() };
    let Some(Known { revision: after, mark }) = after else {
        return Ok(answer);
    };
    // Under the mark of another history its number says nothing.
    if mark.is_some() && rows::mark(&mut snapshot, after).await? != mark {
        answer.reset = true;
        return Ok(answer);
    }
    if after == newest {
        return Ok(answer);
    }
    let rows = if after > newest { Vec::new() } else { rows::after(&mut snapshot, after, MOST_CHANGES).await? };
    // There are no gaps: if the next one is not there, it is there no longer.
    answer.reset = rows.first().is_none_or(|first| first.revision != after + 1);
    if answer.reset {
        return Ok(answer);
    }
    let mut size = 0;
    let mut told = after;
    for row in &rows {
        let change = change(&mut snapshot, row, store.now()).await?;
        size += change.as_ref().map_or(0, |change| serde_json::to_vec(change).map_or(LARGEST, |json| json.len() + 1));
        if size > LARGEST && told != after {
            break;
        }
        (told, answer.mark) = (row.revision, row.mark);
        answer.changes.extend(change);
    }
    answer.revision = told;
    answer.more = told < newest;
    Ok(answer)
}

/// A change with what it tells of, as that is now; `None` where nobody can have heard of it.
async fn change(snapshot: &mut Snapshot, row: &Row, now: Time) -> Result<Option<Change>, Failure> {
    let change = Change { revision: row.revision, ..Change::default() };
    let id = row.subject.clone();
    Ok(Some(match row.kind {
        Kind::Credential => Change { credential: Some(CredentialChange { id, gone: false }), ..change },
        Kind::CredentialGone => Change { credential: Some(CredentialChange { id, gone: true }), ..change },
        Kind::ConsumerOut => Change { consumer: Some(ConsumerChange { id, tier: None }), ..change },
        Kind::Consumer => {
            let consumer = store::consumers::get(snapshot, &id).await?.filter(|consumer| !consumer.disabled);
            let tier = match consumer {
                Some(consumer) => store::tiers::get(snapshot, &consumer.tier).await?.map(Into::into),
                None => None,
            };
            Change { consumer: Some(ConsumerChange { id, tier }), ..change }
        }
        // A tier that is gone had no consumers left, and each of them was told of.
        Kind::Tier => return Ok(store::tiers::get(snapshot, &id).await?.map(|tier| Change { tier: Some(tier.into()), ..change })),
        Kind::Block => {
            // One that was forgotten has ended long ago.
            let block = store::blocks::get(snapshot, &id).await?.map(|block| blocks::change(&block, now));
            return Ok(block.map(|block| Change { block: Some(block), ..change }));
        }
        Kind::Revoked => {
            let revoked = store::families::revocation(snapshot, &id).await?.map(|revoked| tokens::told(&revoked, now));
            return Ok(revoked.map(|revoked| Change { revoked: Some(revoked), ..change }));
        }
        Kind::Recall | Kind::Freed => {
            let freed = row.kind == Kind::Freed;
            let recall = |(consumer, limit): (&str, &str)| Recall { consumer: consumer.to_owned(), limit: limit.to_owned(), freed };
            return Ok(id.rsplit_once('/').map(recall).map(|recall| Change { recall: Some(recall), ..change }));
        }
    }))
}
