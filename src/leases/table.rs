//! Owns the node's table of slots: a fixed number of sets, each one shared value of up to sixteen slots. Must not know what slots mean.
//!
//! A slot that has to go costs a call to close its lease and another one when it is wanted again. So sets are wide: at a load of one half
//! fewer than 4 in 1,000 are full. Then only a slot goes that was not used lately, or for a request that has waited long enough.

use tollgate_core::time::{Instant, SECOND};

use super::slot::{Slot, next_tag};
use crate::limits::Subject;
use crate::shared::{Broken, SharedData, Version};

/// What a slot is written as. A module that is loaded beside another one, or in its place, must not read numbers of the other's for its own.
const LAYOUT: u32 = 2;
/// Slots of a set.
const WAYS: usize = 16;
/// Slots of a set that may be in use when another one is taken ahead of need.
const AHEAD_WAYS: usize = 12;
/// A slot used within this time stays.
const LATELY: u64 = SECOND;
/// What begins within this time is waited for.
const SOON: u64 = SECOND;
/// Compare-and-swaps lost in a row before shared data counts as unusable.
const MOST_RETRIES: u32 = 64;

/// Where a row's slot is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The set.
    pub(super) set: u32,
    /// Tells rows in one set apart.
    pub(super) tag: u64,
}

/// The table, as this worker reads it.
#[derive(Debug)]
pub(super) struct Table {
    /// What the keys of its values begin with.
    prefix: String,
    sets: u32,
    bytes: Vec<u8>,
}

/// Where something lies in a set.
type Range = std::ops::Range<usize>;

/// What becomes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays as it was.
    Kept,
    /// It is as it was made.
    Changed,
    /// It is free.
    Freed,
}

/// Which slot goes for another one, where there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Displaces {
    /// None; and some room is left to those who need it at once.
    Nothing,
    /// One that was not used lately.
    Unused,
    /// Any.
    Any,
}

/// A slot as found, and one that had to go for it.
#[derive(Debug)]
pub(super) struct Opened {
    /// The slot.
    pub(super) slot: Slot,
    /// What was displaced: its lease must be closed.
    pub(super) displaced: Option<Slot>,
}

impl Place {
    /// Where the slot for the window that follows is: in the same set, so that one compare-and-swap changes both.
    pub(super) const fn next(self) -> Self {
        Self { set: self.set, tag: next_tag(self.tag) }
    }
}

impl Table {
    /// A table of so many slots: each ledger has its own, told apart by `prefix`.
    pub(super) fn new(slots: u32, prefix: String) -> Self {
        Self { prefix, sets: slots.div_ceil(WAYS as u32).max(1), bytes: Vec::new() }
    }

    /// Where the slot of a subject's limit is; `name` is a hash of the limit's name.
    pub(super) fn place(&self, subject: Subject, name: u64) -> Place {
        let set = (subject.place ^ name.rotate_left(17)) % u64::from(self.sets);
        Place { set: u32::try_from(set).unwrap_or(0), tag: (subject.tag ^ name).max(1) }
    }

    /// How many sets there are.
    pub(super) const fn sets(&self) -> u32 {
        self.sets
    }

    /// Changes the slot at a place, if there is one, under compare-and-swap; `false` if there is none.
    pub(super) fn change<S: SharedData>(
        &mut self,
        place: Place,
        shared: &mut S,
        change: &mut dyn FnMut(&mut Slot) -> Fate,
    ) -> Result<bool, Broken> {
        for _ in 0..MOST_RETRIES {
            let version = self.read(place.set, shared)?;
            let Some((range, mut slot)) = self.find(place.tag)? else {
                return Ok(false);
            };
            let fate = change(&mut slot);
            if self.settle(place.set, range, slot, fate, version, shared)? {
                return Ok(true);
            }
        }
        Err(Broken)
    }

    /// Changes the slot at a place, or one made for it, under compare-and-swap, and answers a slot that had to go for it; `None` if there is no
    /// room, and none that may go: those with asks under way never do.
    pub(super) fn open<S: SharedData>(
        &mut self,
        place: Place,
        (displaces, now): (Displaces, Instant),
        make: &dyn Fn() -> Slot,
        shared: &mut S,
        change: &mut dyn FnMut(&mut Slot, &mut S) -> Result<Fate, Broken>,
    ) -> Result<Option<Option<Slot>>, Broken> {
        for _ in 0..MOST_RETRIES {
            let version = self.read(place.set, shared)?;
            let soon = self.advance(place.tag, now)?;
            let Some((range, Opened { mut slot, displaced })) = self.find_or_make(place.tag, displaces, now, make)? else {
                return Ok(None);
            };
            soon.into_iter().for_each(|at| slot.wait_until(at));
            let fate = change(&mut slot, shared)?;
            if self.settle(place.set, range, slot, fate, version, shared)? {
                return Ok(Some(displaced.filter(|_| fate != Fate::Kept)));
            }
        }
        Err(Broken)
    }

    /// Where a slot's window is over, what was granted ahead of the next takes its place in what was read; or answers when it will, soon.
    #[inline(never)]
    fn advance(&mut self, tag: u64, now: Instant) -> Result<Option<Instant>, Broken> {
        let own = self.find(tag)?;
        if own.as_ref().is_some_and(|(_, slot)| !slot.is_over(now)) {
            return Ok(None);
        }
        let Some((range, mut next)) = self.find(next_tag(tag))? else {
            return Ok(None);
        };
        let Some(opens_at) = next.next_at(now) else {
            return Ok(None);
        };
        if now < opens_at {
            return Ok((opens_at.since(now) <= SOON).then_some(opens_at));
        }
        next.begin();
        self.replace(range, Some(&mut next))?;
        // What is found first has the tag: that must be what has begun.
        if let Some((range, _)) = own {
            self.replace(range, None)?;
        }
        Ok(None)
    }

    /// Writes a slot back as its fate is; `false` if another worker was faster.
    #[inline(never)]
    fn settle<S: SharedData>(
        &mut self,
        set: u32,
        range: Range,
        mut slot: Slot,
        fate: Fate,
        version: Option<Version>,
        shared: &mut S,
    ) -> Result<bool, Broken> {
        match fate {
            Fate::Kept => return Ok(true),
            Fate::Changed => self.replace(range, Some(&mut slot))?,
            Fate::Freed => self.replace(range, None)?,
        }
        shared.set(&self.key(set), &self.bytes, version)
    }

    /// The tags of a set.
    pub(super) fn tags<S: SharedData>(&mut self, set: u32, shared: &mut S) -> Result<Vec<u64>, Broken> {
        self.read(set, shared)?;
        Ok(self.slots()?.into_iter().map(|(_, slot)| slot.tag).collect())
    }

    #[inline(never)]
    fn read<S: SharedData>(&mut self, set: u32, shared: &mut S) -> Result<Option<Version>, Broken> {
        let version = shared.get(&self.key(set), &mut self.bytes)?;
        if version.is_none() {
            self.bytes.clear();
        }
        Ok(version)
    }

    pub(super) fn key(&self, set: u32) -> String {
        format!("{}/{LAYOUT}/{}/{set}", self.prefix, self.sets)
    }

    #[inline(never)]
    fn find(&self, tag: u64) -> Result<Option<(Range, Slot)>, Broken> {
        let mut start = 0;
        while let Some((range, slot)) = self.raw(start)? {
            if slot.starts_with(&tag.to_le_bytes()) {
                return Ok(Some((range, Slot::decode(slot).ok_or(Broken)?)));
            }
            start = range.end;
        }
        Ok(None)
    }

    #[inline(never)]
    fn find_or_make(
        &self,
        tag: u64,
        displaces: Displaces,
        now: Instant,
        make: &dyn Fn() -> Slot,
    ) -> Result<Option<(Range, Opened)>, Broken> {
        if let Some((range, slot)) = self.find(tag)? {
            return Ok(Some((range, Opened { slot, displaced: None })));
        }
        let slots = self.slots()?;
        if slots.len() < if displaces == Displaces::Nothing { AHEAD_WAYS } else { WAYS } {
            let end = self.bytes.len();
            return Ok(Some((end..end, Opened { slot: make(), displaced: None })));
        }
        let calm = slots.into_iter().filter(|(_, slot)| match displaces {
            Displaces::Nothing => false,
            Displaces::Unused => !slot.is_pending() && now.since(slot.used_at()) >= LATELY,
            Displaces::Any => !slot.is_pending(),
        });
        let oldest = calm.min_by_key(|(_, slot)| slot.used_at());
        Ok(oldest.map(|(range, displaced)| (range, Opened { slot: make(), displaced: Some(displaced) })))
    }

    #[inline(never)]
    fn slots(&self) -> Result<Vec<(Range, Slot)>, Broken> {
        let mut slots = Vec::with_capacity(WAYS);
        let mut start = 0;
        while let Some((range, slot)) = self.raw(start)? {
            start = range.end;
            slots.push((range, Slot::decode(slot).ok_or(Broken)?));
        }
        Ok(slots)
    }

    /// The slot that begins at an offset, `None` at the end. What is malformed is an error, never a fresh slot.
    #[inline(never)]
    fn raw(&self, start: usize) -> Result<Option<(Range, &[u8])>, Broken> {
        let bytes = self.bytes.get(start..).ok_or(Broken)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let (length, bytes) = bytes.split_first_chunk::<2>().ok_or(Broken)?;
        let length = usize::from(u16::from_le_bytes(*length));
        Ok(Some((start..start + 2 + length, bytes.get(..length).ok_or(Broken)?)))
    }

    fn replace(&mut self, range: Range, slot: Option<&mut Slot>) -> Result<(), Broken> {
        let mut encoded = Vec::new();
        if let Some(slot) = slot {
            slot.encode(&mut encoded).ok_or(Broken)?;
        }
        self.bytes.splice(range, encoded);
        Ok(())
    }
}
