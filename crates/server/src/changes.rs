//! Owns the change feed: what nodes must be told, in the order it was committed. Must not know how they ask.

use std::time::Duration;

use tollgate_core::wire::Changes;

use crate::clock::Time;
use crate::failure::Failure;
use crate::store::{Store, Write};

/// What has changed after a revision; waits up to `wait` (at most [`tollgate_core::wire::LONGEST_WAIT`]) while that is nothing.
/// Without `after`: where the feed is now, at once.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn after(_store: &Store, _after: Option<u64>, _wait: Duration) -> Result<Changes, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// When the next key expires whose end nodes were not told of; in the past if that is overdue.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn next_expiry(_store: &Store) -> Result<Option<Time>, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Tells nodes of keys that have expired, at most 1,000 in one go; answers how many.
///
/// `startup` runs a task that calls this once a second while [`next_expiry`] is in the past: nodes end a key by themselves when its time is over;
/// the feed makes sure where their clocks or a changed expiry have it otherwise.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn expire(_write: &mut Write) -> Result<usize, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}
