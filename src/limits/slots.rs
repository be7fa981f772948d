//! Owns the node's table of subjects: a fixed number of sets, each one shared value of up to four entries. Must not know what a
//! request asks.
//!
//! The table is as large as it was configured, whatever clients send. An entry is replaced only when all its limits are full
//! again, so that forgetting it forgets nothing. Where all four places are in use, newcomers of one kind of tier share one more
//! entry, the overflow: they are refused earlier than alone, and all together get no more than one limit. While an overflow is
//! in use, a place that becomes free is taken over with a copy of its state, because the subject may have spent there.

use tollgate_core::bucket::BucketState;
use tollgate_core::limit::{Limit, RateState};
use tollgate_core::time::Instant;

use super::{MOST_LIMITS, Subject, Table};
use crate::shared::{Broken, SharedData, Version};

/// Entries of a set. Four ways at a load of one half leave fewer than 2 in 1,000 subjects without a place of their own.
pub(super) const WAYS: u32 = 4;

/// Layout of the values below: a change gets a new number, and with it new keys.
const LAYOUT: u8 = 1;

/// The tag of an overflow; no subject has it.
const OVERFLOW: u64 = 0;

/// Where an entry says when it is idle: after its tag and its shape.
const IDLE_AT: usize = 8 + 8;
/// Bytes before an entry's states: those, the time, and the length of the states.
const ENTRY_HEAD: usize = IDLE_AT + 8 + 2;

/// The key of the set a subject belongs to.
pub(super) fn key(subject: Subject, sets: u32) -> String {
    let table = match subject.table {
        Table::Consumers => 'c',
        Table::Addresses => 'a',
    };
    format!("tollgate/{LAYOUT}/{table}/{sets}/{}", subject.place % u64::from(sets))
}

/// One set, as last read.
#[derive(Debug, Default)]
pub(super) struct Set {
    bytes: Vec<u8>,
}

/// A subject's states in a set.
#[derive(Debug)]
pub(super) struct Entry {
    /// By position of the limit.
    pub(super) states: [RateState; MOST_LIMITS],
    /// Nothing was kept for the subject.
    pub(super) fresh: bool,
    tag: u64,
    shape: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Where it is, from here on.
    Kept(usize),
    /// At the end.
    Append,
    /// Instead of the entry from here to there.
    Replace(usize, usize),
}

/// An entry as it lies in a set.
struct Raw {
    start: usize,
    end: usize,
    tag: u64,
    shape: u64,
    idle_at: u64,
}

impl Set {
    /// Reads the set under `key`; an absent one is empty.
    pub(super) fn read<S: SharedData>(&mut self, key: &str, shared: &mut S) -> Result<Option<Version>, Broken> {
        let version = shared.get(key, &mut self.bytes)?;
        if version.is_none() {
            self.bytes.clear();
        }
        Ok(version)
    }

    /// The entry of a subject, a new one, or the overflow.
    pub(super) fn entry(&self, tag: u64, shape: u64, limits: &[Limit], now: Instant) -> Result<Entry, Broken> {
        let tag = if tag == OVERFLOW { 1 } else { tag };
        let mut own = 0;
        let mut idle = None;
        let mut overflow = None;
        let mut rest = 0;
        while let Some(raw) = self.raw(rest)? {
            rest = raw.end;
            if raw.tag == tag && raw.shape == shape {
                return self.kept(&raw, limits);
            }
            if raw.tag == OVERFLOW && raw.shape == shape {
                overflow = Some(raw);
            } else if raw.idle_at <= now.0 {
                idle = Some((raw.start, raw.end));
            } else {
                own += usize::from(raw.tag != OVERFLOW);
            }
        }
        let free = match idle {
            Some((start, end)) => Some(Place::Replace(start, end)),
            None if own < WAYS as usize => Some(Place::Append),
            None => None,
        };
        match (free, overflow) {
            (Some(place), Some(overflow)) if overflow.idle_at > now.0 => Ok(Entry { tag, place, ..self.kept(&overflow, limits)? }),
            (Some(place), _) => Ok(Entry { tag, place, ..Entry::untouched(shape, limits) }),
            (None, Some(overflow)) => self.kept(&overflow, limits),
            (None, None) => Ok(Entry::untouched(shape, limits)),
        }
    }

    /// Writes the entry back. `false`: another worker was faster.
    pub(super) fn write<S: SharedData>(
        &mut self,
        key: &str,
        entry: &Entry,
        limits: &[Limit],
        now: Instant,
        version: Option<Version>,
        shared: &mut S,
    ) -> Result<bool, Broken> {
        let idle_at = limits.iter().zip(&entry.states).map(|(limit, state)| now.after(limit.rate.standing(*state, now).until_full).0).max();
        let idle_at = idle_at.unwrap_or(0).to_le_bytes();
        let mut states = Vec::with_capacity(states_len(limits));
        entry.states.iter().take(limits.len()).for_each(|state| state.encode(&mut states));
        match entry.place {
            Place::Kept(start) => {
                let entry = self.bytes.get_mut(start..start + ENTRY_HEAD + states.len()).ok_or(Broken)?;
                entry.get_mut(IDLE_AT..IDLE_AT + 8).ok_or(Broken)?.copy_from_slice(&idle_at);
                entry.get_mut(ENTRY_HEAD..).ok_or(Broken)?.copy_from_slice(&states);
            }
            Place::Replace(start, end) => {
                self.bytes.drain(start..end);
                self.append(entry, &idle_at, &states)?;
            }
            Place::Append => self.append(entry, &idle_at, &states)?,
        }
        shared.set(key, &self.bytes, version)
    }

    fn append(&mut self, entry: &Entry, idle_at: &[u8; 8], states: &[u8]) -> Result<(), Broken> {
        self.bytes.extend_from_slice(&entry.tag.to_le_bytes());
        self.bytes.extend_from_slice(&entry.shape.to_le_bytes());
        self.bytes.extend_from_slice(idle_at);
        self.bytes.extend_from_slice(&u16::try_from(states.len()).map_err(|_| Broken)?.to_le_bytes());
        self.bytes.extend_from_slice(states);
        Ok(())
    }

    /// The entry at an offset, `None` at the end. A malformed set is an error, never a fresh one.
    fn raw(&self, start: usize) -> Result<Option<Raw>, Broken> {
        let bytes = self.bytes.get(start..).ok_or(Broken)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let (tag, bytes) = bytes.split_first_chunk::<8>().ok_or(Broken)?;
        let (shape, bytes) = bytes.split_first_chunk::<8>().ok_or(Broken)?;
        let (idle_at, bytes) = bytes.split_first_chunk::<8>().ok_or(Broken)?;
        let (len, bytes) = bytes.split_first_chunk::<2>().ok_or(Broken)?;
        let len = usize::from(u16::from_le_bytes(*len));
        if bytes.len() < len {
            return Err(Broken);
        }
        let (tag, shape, idle_at) = (u64::from_le_bytes(*tag), u64::from_le_bytes(*shape), u64::from_le_bytes(*idle_at));
        Ok(Some(Raw { start, end: start + ENTRY_HEAD + len, tag, shape, idle_at }))
    }

    /// The states of an entry as it lies in the set.
    fn kept(&self, raw: &Raw, limits: &[Limit]) -> Result<Entry, Broken> {
        let mut bytes = self.bytes.get(raw.start + ENTRY_HEAD..raw.end).ok_or(Broken)?;
        let mut states = [RateState::Bucket(BucketState::default()); MOST_LIMITS];
        for (state, limit) in states.iter_mut().zip(limits) {
            let (own, rest) = bytes.split_at_checked(limit.rate.state_len()).ok_or(Broken)?;
            *state = limit.rate.decode(own).ok_or(Broken)?;
            bytes = rest;
        }
        if !bytes.is_empty() {
            return Err(Broken);
        }
        Ok(Entry { states, fresh: false, tag: raw.tag, shape: raw.shape, place: Place::Kept(raw.start) })
    }
}

impl Entry {
    /// Whether other subjects spend from these states too.
    pub(super) const fn is_overflow(&self) -> bool {
        self.tag == OVERFLOW
    }

    /// An overflow nothing has been charged to.
    fn untouched(shape: u64, limits: &[Limit]) -> Self {
        let mut states = [RateState::Bucket(BucketState::default()); MOST_LIMITS];
        for (state, limit) in states.iter_mut().zip(limits) {
            *state = limit.rate.untouched();
        }
        Self { states, fresh: true, tag: OVERFLOW, shape, place: Place::Append }
    }
}

fn states_len(limits: &[Limit]) -> usize {
    limits.iter().map(|limit| limit.rate.state_len()).sum()
}
