//! Owns the node's table of scores: a fixed number of sets of four in shared data. Must not know what a score means.
//!
//! Whoever is new takes the place of the lowest score of its set, if its own is as high; otherwise it is not kept. So nobody can push a
//! high score out, its own or another's, by many low ones; and because places are hashed under a secret of the node, nobody can
//! aim at one. Scores fade, so a full set is open again after a while.

use tollgate_core::abuse::{POINT, Pace, Score, Spread};
use tollgate_core::time::Instant;

use super::Watched;
use crate::shared::{Broken, SharedData};

/// Entries of a set.
pub const WAYS: usize = 4;
/// Bytes of an entry.
const ENTRY: usize = 8 * 8 + 2 * 16 + 8 * 4;
/// The number is of how entries are written.
const LAYOUT: u8 = 1;
/// A lost swap is tried again so often.
const MOST_RETRIES: u32 = 4;

/// What is kept of a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    tag: u64,
    /// What counts against it.
    pub score: Score,
    /// What counts for it.
    pub credit: Score,
    /// Its blocks in a row.
    pub repeats: u32,
    /// When the last one ends.
    pub until: Instant,
    /// What it has shown, or where it came from.
    pub spread: Spread,
    /// How it asks.
    pub pace: Pace,
}

/// The node's table.
#[derive(Debug)]
pub struct Table {
    sets: u32,
}

impl Table {
    /// So many sets.
    #[must_use]
    pub const fn new(sets: u32) -> Self {
        Self { sets }
    }

    /// Changes the entry of a subject; `worth` is what it will count for at least where it has to be made, `None`: it is not made.
    /// `false`: there is none.
    ///
    /// # Errors
    /// [`Broken`], also where other workers were always faster.
    pub fn exchange(
        &self,
        who: &Watched,
        worth: Option<u64>,
        (now, half_life): (Instant, u64),
        shared: &mut impl SharedData,
        change: &mut dyn FnMut(&mut Entry),
    ) -> Result<bool, Broken> {
        let kind = if who.key.first().is_some_and(|kind| *kind < 4) { 'i' } else { 'a' };
        let key = format!("tollgate/{LAYOUT}/abuse/{kind}/{}/{}", self.sets, who.place % u64::from(self.sets.max(1)));
        for _ in 0..MOST_RETRIES {
            let mut value = Vec::new();
            let version = shared.get(&key, &mut value)?;
            if version.is_none() {
                value.clear();
            }
            let mut entries = decode(&value)?;
            let found = entries.iter().position(|entry| entry.tag == who.tag);
            let place = match found {
                Some(place) => place,
                None if worth.is_some() && entries.len() < WAYS => {
                    entries.push(Entry::default());
                    entries.len() - 1
                }
                None => {
                    let lowest = entries.iter().enumerate().min_by_key(|(_, entry)| entry.worth(now, half_life));
                    let Some((place, _)) =
                        lowest.filter(|(_, entry)| entry.worth(now, half_life).0 <= worth.unwrap_or(0) && worth.is_some())
                    else {
                        return Ok(false);
                    };
                    place
                }
            };
            let Some(entry) = entries.get_mut(place) else { return Err(Broken) };
            if found.is_none() {
                *entry = Entry { tag: who.tag, ..Entry::default() };
            }
            let before = *entry;
            change(entry);
            if *entry == before || shared.set(&key, &encode(&entries), version)? {
                return Ok(true);
            }
        }
        Err(Broken)
    }
}

impl Entry {
    /// Forgets what counts against it.
    pub(super) fn forgive(&mut self) {
        *self = Self { tag: self.tag, pace: self.pace, spread: self.spread, ..Self::default() };
    }

    /// How much is lost with it: its score and its blocks, then how lately it was heard of.
    fn worth(&self, now: Instant, half_life: u64) -> (u64, u64) {
        let blocked = if now < self.until { 1_000 * POINT } else { u64::from(self.repeats.min(20)) * 5 * POINT };
        (self.score.at(now, half_life).saturating_add(blocked), self.score.at.0.max(self.pace.interval))
    }
}

fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * ENTRY);
    for entry in entries {
        let Entry { tag, score, credit, repeats, until, spread, pace } = entry;
        for number in [*tag, score.level, score.at.0, credit.level, credit.at.0, until.0, spread.window, pace.interval] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [spread.now, spread.before] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [*repeats, pace.requests, pace.refused, pace.mean, pace.deviation, pace.learnt, pace.unusual, 0] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    bytes
}

fn decode(bytes: &[u8]) -> Result<Vec<Entry>, Broken> {
    let (entries, []) = bytes.as_chunks::<ENTRY>() else { return Err(Broken) };
    if entries.len() > WAYS {
        return Err(Broken);
    }
    entries.iter().map(|entry| read(entry).ok_or(Broken)).collect()
}

fn read(bytes: &[u8; ENTRY]) -> Option<Entry> {
    let (longs, rest) = bytes.split_first_chunk::<64>()?;
    let (wide, shorts) = rest.split_first_chunk::<32>()?;
    let [tag, level, at, credit, credit_at, until, window, interval] = *longs.as_chunks::<8>().0 else { return None };
    let [now, before] = *wide.as_chunks::<16>().0 else { return None };
    let [repeats, requests, refused, mean, deviation, learnt, unusual, _] = *shorts.as_chunks::<4>().0 else { return None };
    let (long, short) = (u64::from_le_bytes, u32::from_le_bytes);
    Some(Entry {
        tag: long(tag),
        score: Score { level: long(level), at: Instant(long(at)) },
        credit: Score { level: long(credit), at: Instant(long(credit_at)) },
        repeats: short(repeats),
        until: Instant(long(until)),
        spread: Spread { now: u128::from_le_bytes(now), before: u128::from_le_bytes(before), window: long(window) },
        pace: Pace {
            interval: long(interval),
            requests: short(requests),
            refused: short(refused),
            mean: short(mean),
            deviation: short(deviation),
            learnt: short(learnt),
            unusual: short(unusual),
        },
    })
}
