//! Owns a second reading and writing of stored sets: entries of tag, shape, the time they are idle, a length, and states.

use bolero::TypeGenerator;
use tollgate_core::limit::Rate;
use tollgate_core::policy::Tier;
use tollgate_core::time::{Instant, SECOND};

use crate::input::Edge;

/// The tag of the entry that is shared where all places are taken.
const OVERFLOW: u64 = 0;
/// Places in a set, beside those of overflows.
const PLACES: usize = 4;

/// An entry, its numbers near those that matter.
#[derive(Clone, Debug, TypeGenerator)]
pub(super) struct Entry {
    #[generator(0..4_u8)]
    whose: u8,
    own_shape: bool,
    idle_at: Edge,
    right_length: bool,
    /// Bytes too many or too few where the length is not right.
    #[generator(-40..40_i8)]
    excess: i8,
    at: Edge,
    level: Edge,
    scale: u8,
    counts: [u8; 32],
}

/// What a set says of a subject.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It has an entry, or must start from the overflow's; units that the entry admits.
    Kept(u64),
    /// Nothing is kept for it.
    Absent,
    /// The set is not one.
    Malformed,
}

/// The value these entries are stored as.
pub(super) fn write(entries: &[Entry], tag: u64, tier: &Tier, now: u64) -> Vec<u8> {
    let number = |edge: Edge, near, unit| edge.number(near, unit);
    let mut value = Vec::new();
    for (other, entry) in (1..).zip(entries) {
        let mut states = Vec::new();
        for limit in &tier.limits {
            match limit.rate {
                Rate::TokenBucket(bucket) => {
                    let [_, period, burst] = bucket.numbers();
                    states.extend(number(entry.at, now, SECOND).to_le_bytes());
                    let level = u128::from(number(entry.level, burst * period, period));
                    states.extend((level << (entry.scale % 4 / 3 * 64)).to_le_bytes());
                }
                Rate::SlidingWindow(window) => {
                    let sub = window.longest_hold();
                    let unit = if entry.scale & 16 == 0 { 1 } else { sub };
                    states.extend(number(entry.at, now / sub, unit).to_le_bytes());
                    // Small counts, and now and then one that is as large as can be.
                    let count = |count: &u8| if *count == 255 { u32::MAX } else { u32::from(count / 64) };
                    states.extend(entry.counts.iter().map(count).flat_map(u32::to_le_bytes));
                }
            }
        }
        if !entry.right_length {
            states.resize(states.len().saturating_add_signed(entry.excess.into()), 0);
        }
        let own = match entry.whose {
            0 => tag,
            1 => OVERFLOW,
            _ => tag + other,
        };
        value.extend(own.to_le_bytes());
        value.extend((if entry.own_shape { tier.shape } else { !tier.shape }).to_le_bytes());
        value.extend(number(entry.idle_at, now, SECOND).to_le_bytes());
        value.extend(u16::try_from(states.len()).unwrap().to_le_bytes());
        value.extend(states);
    }
    value
}

/// An entry at the start of these bytes, and what follows it: tag, shape, when it is idle, states.
type Read<'a> = ((u64, u64, u64, &'a [u8]), &'a [u8]);

fn read(bytes: &[u8]) -> Option<Read<'_>> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let length = usize::from(u16::from_le_bytes(bytes.get(24..26)?.try_into().ok()?));
    Some(((number(0)?, number(8)?, number(16)?, bytes.get(26..26 + length)?), &bytes[26 + length..]))
}

/// Tag and shape of each entry that is in use at `now`; `None` if the set is malformed.
pub(super) fn in_use(mut value: &[u8], now: u64) -> Option<Vec<(u64, u64)>> {
    let mut entries = Vec::new();
    while !value.is_empty() {
        let ((tag, shape, idle_at, _), rest) = read(value)?;
        entries.extend((idle_at > now).then_some((tag, shape)));
        value = rest;
    }
    Some(entries)
}

/// What a set says of a subject of this tier.
pub(super) fn find(mut value: &[u8], tag: u64, tier: &Tier, now: u64) -> Found {
    let length: usize = tier.limits.iter().map(|limit| limit.rate.state_len()).sum();
    let kept = |states: &[u8]| if states.len() == length { Found::Kept(remaining(states, tier, now)) } else { Found::Malformed };
    let (mut taken, mut idle, mut overflow) = (0, false, None);
    while !value.is_empty() {
        let Some(((own, shape, idle_at, states), rest)) = read(value) else { return Found::Malformed };
        value = rest;
        match own {
            OVERFLOW if shape == tier.shape => overflow = Some((idle_at > now, states)),
            own if (own, shape) == (tag, tier.shape) => return kept(states),
            own => {
                idle |= idle_at <= now;
                taken += usize::from(own != OVERFLOW);
            }
        }
    }
    let room = idle || taken < PLACES;
    match overflow {
        Some((in_use, states)) if in_use || !room => kept(states),
        _ => Found::Absent,
    }
}

fn remaining(mut states: &[u8], tier: &Tier, now: u64) -> u64 {
    let each = tier.limits.iter().map(|limit| {
        let (own, rest) = states.split_at(limit.rate.state_len());
        states = rest;
        limit.rate.standing(limit.rate.decode(own).unwrap(), Instant(now)).remaining
    });
    each.min().unwrap()
}
