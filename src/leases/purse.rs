//! Owns the units a worker holds: how many it takes at once, how it spends them, when they go back. Must not touch shared data.

use std::num::NonZeroUsize;

use lru::LruCache;
use tollgate_core::time::{Instant, SECOND};

use super::ask::Standing;
use super::table::Place;

/// A chunk should last about so long.
const HOLD: u64 = SECOND / 20;
/// What a purse nobody used for so long holds goes back.
const IDLE: u64 = SECOND / 10;
/// What was not spent in so long goes back too, so that the slot is seen to be in use.
const LONGEST_HOLD: u64 = SECOND;
/// Purses a worker keeps.
const MOST_PURSES: usize = 8_192;

/// What a worker holds of one lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) lease: u64,
    pub(super) units: u64,
    /// Not to be spent from here on.
    pub(super) until: Instant,
    /// As of when it was taken; `remaining` counts these units.
    pub(super) standing: Standing,
}

#[derive(Debug)]
struct Purse {
    held: Held,
    /// When it was filled, and what with.
    filled_at: Instant,
    chunk: u64,
    used_at: Instant,
    listed: bool,
}

/// Units on their way back to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Back {
    pub(super) place: Place,
    pub(super) lease: u64,
    pub(super) units: u64,
    /// They are worth nothing from here on.
    pub(super) until: Instant,
}

/// The purses of a worker.
#[derive(Debug)]
pub(super) struct Purses {
    purses: LruCache<Place, Purse>,
    /// Those that may hold units.
    listed: Vec<Place>,
}

impl Default for Purses {
    fn default() -> Self {
        Self { purses: LruCache::new(NonZeroUsize::new(MOST_PURSES).unwrap_or(NonZeroUsize::MIN)), listed: Vec::new() }
    }
}

impl Purses {
    /// Spends units of what is held at a place, if it is enough: what is left.
    pub(super) fn spend(&mut self, place: Place, units: u64, now: Instant) -> Option<Held> {
        let purse = self.purses.get_mut(&place).filter(|purse| now < purse.held.until)?;
        purse.held.units = purse.held.units.checked_sub(units)?;
        purse.held.standing.remaining = purse.held.standing.remaining.saturating_sub(units);
        purse.used_at = now;
        Some(purse.held)
    }

    /// Takes back what has just been spent.
    pub(super) fn unspend(&mut self, place: Place, units: u64) {
        if let Some(purse) = self.purses.get_mut(&place) {
            purse.held.units = purse.held.units.saturating_add(units);
            purse.held.standing.remaining = purse.held.standing.remaining.saturating_add(units);
        }
    }

    /// Units of a request that is not charged after all, good until `until`; `false` if the purse is of another lease, or good for longer.
    pub(super) fn give_back(&mut self, place: Place, lease: u64, units: u64, until: Instant) -> bool {
        let takes = |held: &Held| held.lease == lease && held.units > 0 && held.until <= until;
        let Some(purse) = self.purses.get_mut(&place).filter(|purse| takes(&purse.held)) else {
            return false;
        };
        purse.held.units = purse.held.units.saturating_add(units);
        true
    }

    /// Takes the rest out of a purse.
    pub(super) fn empty(&mut self, place: Place) -> Option<Back> {
        let purse = self.purses.peek_mut(&place)?;
        let units = std::mem::take(&mut purse.held.units);
        Some(Back { place, lease: purse.held.lease, units, until: purse.held.until })
    }

    /// How many units to take: twice as many as the last time if those were gone soon, half as many if they lasted long.
    pub(super) fn chunk(&mut self, place: Place, need: u64, now: Instant) -> u64 {
        let Some(purse) = self.purses.peek(&place) else {
            return need;
        };
        match now.since(purse.filled_at) {
            lasted if lasted < HOLD => purse.chunk.saturating_mul(2).max(need),
            lasted if lasted > 2 * HOLD => (purse.chunk / 2).max(need),
            _ => purse.chunk.max(need),
        }
    }

    /// Fills a purse, which is empty, and answers what another one held that had to go for it.
    pub(super) fn put(&mut self, place: Place, held: Held, now: Instant) -> Option<Back> {
        if let Some(purse) = self.purses.get_mut(&place) {
            (purse.held, purse.filled_at, purse.chunk, purse.used_at) = (held, now, held.units, now);
            if !purse.listed {
                purse.listed = true;
                self.listed.push(place);
            }
            return None;
        }
        self.listed.push(place);
        let purse = Purse { held, filled_at: now, chunk: held.units, used_at: now, listed: true };
        let (place, old) = self.purses.push(place, purse)?;
        Some(Back { place, lease: old.held.lease, units: old.held.units, until: old.held.until })
    }

    /// Takes out what purses hold that were not used lately, or were filled too long ago.
    pub(super) fn idle(&mut self, now: Instant) -> Vec<Back> {
        let mut idle = Vec::new();
        let purses = &mut self.purses;
        self.listed.retain(|place| {
            let Some(purse) = purses.peek_mut(place) else {
                return false;
            };
            purse.listed = now.since(purse.used_at) < IDLE && now.since(purse.filled_at) < LONGEST_HOLD;
            if !purse.listed {
                let units = std::mem::take(&mut purse.held.units);
                idle.push(Back { place: *place, lease: purse.held.lease, units, until: purse.held.until });
            }
            purse.listed
        });
        idle
    }
}
