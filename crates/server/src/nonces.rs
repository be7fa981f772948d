//! Owns that a signature is taken once by all nodes: each nonce is given to the first that asks, and kept until none would take it. Must not
//! know what a signature is.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tollgate_core::wire::{LONGEST_NONCE_MS, MOST_NONCES, TakeNonces, TakenNonces};

use crate::api_keys::unhex;
use crate::failure::Failure;
use crate::store::nonces as rows;
use crate::store::{Store, Write};

/// Nonces that are kept at once: about 100 MB. At 1,000 signed requests a second each is kept for a quarter of an hour.
pub const MOST_KEPT: u32 = 1_000_000;
/// How many more may be taken before they are counted again.
const UNCOUNTED: u32 = 4_096;

/// How many more may be taken before it must be known how many there are. Each process counts its own, so several of one store may exceed
/// the bound by that much each.
#[derive(Debug, Default)]
pub struct Room(AtomicU32);

/// Takes nonces for a node, each unless it was taken before.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Unavailable`] where there is no room for more, or nothing can be written: none of them is taken then.
pub async fn take(store: &Store, asked: &TakeNonces) -> Result<TakenNonces, Failure> {
    take_within(store, asked, MOST_KEPT).await
}

/// The same with another bound.
///
/// # Errors
/// As for [`take`].
pub async fn take_within(store: &Store, asked: &TakeNonces, most: u32) -> Result<TakenNonces, Failure> {
    let nonces = judge(asked)?;
    let mut write = store.begin().await?;
    let number = u32::try_from(nonces.len()).unwrap_or(u32::MAX);
    // More than come, so that there are never more than have not ended.
    rows::forget(&mut write, number.saturating_mul(2)).await?;
    make_room(&mut write, store.room_for_nonces(), number, most).await?;
    let mut first = Vec::with_capacity(nonces.len());
    for (sha256, life) in nonces {
        let ends_at = write.now().after(life);
        first.push(rows::take(&mut write, &sha256, ends_at).await?);
    }
    write.commit().await?;
    Ok(TakenNonces { first })
}

/// Pays for some more nonces, which are counted where that was not done for long.
async fn make_room(write: &mut Write, room: &Room, number: u32, most: u32) -> Result<(), Failure> {
    // Nobody else is here: whoever writes is alone.
    let left = room.0.load(Ordering::Relaxed);
    let left = match left.checked_sub(number) {
        Some(left) => left,
        None => {
            let free = most.saturating_sub(rows::count(write).await?).checked_sub(number);
            free.ok_or_else(|| Failure::Unavailable { private: format!("{most} nonces are taken: there is no room for more") })?
                .min(UNCOUNTED)
        }
    };
    room.0.store(left, Ordering::Relaxed);
    Ok(())
}

fn judge(asked: &TakeNonces) -> Result<Vec<([u8; 32], Duration)>, Failure> {
    if asked.nonces.len() > MOST_NONCES {
        return Err(Failure::invalid("nonces", format!("{} entries; at most {MOST_NONCES}", asked.nonces.len())));
    }
    let judge = |(position, nonce): (usize, &tollgate_core::wire::Nonce)| {
        let sha256 = unhex(&nonce.sha256)
            .ok_or_else(|| Failure::invalid(format!("nonces[{position}].sha256"), "64 lower-case hexadecimal digits"))?;
        if !(1..=LONGEST_NONCE_MS).contains(&nonce.for_ms) {
            return Err(Failure::invalid(format!("nonces[{position}].for_ms"), format!("1 to {LONGEST_NONCE_MS}")));
        }
        Ok((sha256, Duration::from_millis(nonce.for_ms)))
    };
    asked.nonces.iter().enumerate().map(judge).collect()
}
