//! Owns the feed of changes on a node: which worker listens, and how the others hear. Must not know what a change does.
//!
//! One elected worker polls the backend and writes each answer with changes into a ring of chunks in shared data, then moves the head.
//! Every worker follows the head at its tick; one that fell off the ring forgets everything. Two workers that both believe they lead do no harm:
//! the head moves by compare-and-swap, and a chunk under the wrong number counts as lost.

use tollgate_core::time::Instant;
use tollgate_core::wire::{self, Changes, MOST_CHANGES};

use super::pace::Pace;
use crate::call::{Answer, CallError};
use crate::shared::{Broken, SharedData, Version};

/// Chunks in the ring: as many polls with changes may pass between two ticks of a worker.
const CHUNKS: u64 = 32;
/// How often the listener says that it lives.
const BEAT_EVERY: u64 = 250_000_000;
/// After such a silence another worker listens.
const SILENCE: u64 = 1_000_000_000;
/// For how long a listener that is refused does not stand again: others have their turn meanwhile.
const STANDS_BACK: u64 = 3 * SILENCE;
/// Bytes of an encoded head.
const HEAD_LEN: usize = 6 * 8 + 1;

/// What a worker hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// These changes, in order.
    Changes(Changes),
    /// Whatever was said before this revision is no longer to be believed.
    Forget(u64),
}

/// This worker's view of the feed.
#[derive(Debug)]
pub(super) struct Feed {
    head_key: String,
    /// Tells this worker from the node's others.
    own: u64,
    /// The chunk to read next.
    next: Option<u64>,
    head: Head,
    /// Until when this worker does not stand for election.
    stands_back: Option<Instant>,
    pub(super) poll: Pace,
}

/// What the workers share of the feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    /// Who listens, and when it last said so.
    leader: u64,
    beat: u64,
    /// When the feed was last known to be complete.
    fresh: u64,
    /// Up to which revision.
    revision: u64,
    /// That revision's mark.
    mark: u64,
    /// The chunk to be written next.
    chunk: u64,
    /// Whether `revision` has been heard of at all.
    synced: bool,
}

impl Feed {
    pub(super) fn new(prefix: &str, own: u64) -> Self {
        Self {
            head_key: format!("{prefix}/feed"),
            own: own.max(1),
            next: None,
            head: Head::default(),
            stands_back: None,
            poll: Pace::default(),
        }
    }

    /// When the feed was last known to be complete.
    pub(super) const fn fresh(&self) -> Instant {
        Instant(self.head.fresh)
    }

    /// Whether this worker hears of every change from now on, or forgets everything.
    pub(super) const fn follows(&self) -> bool {
        self.next.is_some() && self.head.synced
    }

    /// After what to poll, if this worker is the one to poll: `Some(None)` asks where the feed is.
    #[expect(clippy::option_option, reason = "not to poll, to ask where it is, to ask what follows")]
    pub(super) fn to_poll(&self) -> Option<Option<u64>> {
        (self.head.leader == self.own).then(|| self.head.synced.then_some(self.head.revision))
    }

    /// The mark of the revision to poll after.
    pub(super) const fn mark(&self) -> u64 {
        self.head.mark
    }

    /// Catches up with the head, and stands for election where nobody listens.
    pub(super) fn tick(&mut self, now: Instant, shared: &mut impl SharedData) -> Result<Vec<Event>, Broken> {
        let (mut head, version) = self.read_head(shared)?;
        // Nothing was heard later than now, whatever stands there.
        head.fresh = head.fresh.min(now.0);
        let mine = head.leader == self.own;
        let silence = now.0.abs_diff(head.beat);
        if self.stands_back.is_some_and(|until| now < until) {
            if mine && shared.set(&self.head_key, &Head { leader: 0, ..head }.encode(), version)? {
                head.leader = 0;
            }
        } else if (mine && silence >= BEAT_EVERY) || (!mine && (head.leader == 0 || silence > SILENCE)) {
            let next = Head { leader: self.own, beat: now.0, ..head };
            if shared.set(&self.head_key, &next.encode(), version)? {
                return self.follow(next, shared);
            }
        }
        self.follow(head, shared)
    }

    /// The backend does not take what this worker has from its configuration. Another may have another: while an update drains, there are
    /// workers of both.
    pub(super) fn stand_back(&mut self, now: Instant) {
        self.stands_back = Some(now.after(STANDS_BACK));
    }

    /// Publishes the answer to a poll, and follows it.
    pub(super) fn heard(
        &mut self,
        answer: Answer<'_>,
        after: Option<u64>,
        sent: Instant,
        now: Instant,
        shared: &mut impl SharedData,
    ) -> Result<Vec<Event>, CallError> {
        let changes = answer.body().and_then(|body| wire::decode::<Changes>(body).map_err(|_| CallError::Failed));
        let changes = changes.and_then(|changes| if follows(&changes, after) { Ok(changes) } else { Err(CallError::Failed) });
        let published = changes.and_then(|changes| self.publish(changes, after, sent, now, shared).map_err(|Broken| CallError::Failed));
        match &published {
            Ok(_) => self.poll.succeeded(now, 0),
            Err(_) => self.poll.failed(now),
        }
        published
    }

    fn publish(
        &mut self,
        mut changes: Changes,
        after: Option<u64>,
        sent: Instant,
        now: Instant,
        shared: &mut impl SharedData,
    ) -> Result<Vec<Event>, Broken> {
        // The chunk's version is of before the head is read: if another worker took over since, its chunk is not overwritten.
        let next = self.read_head(shared)?.0.chunk;
        let chunk_version = shared.get(&self.chunk_key(next), &mut Vec::new())?;
        let (head, version) = self.read_head(shared)?;
        if head.leader != self.own || head.chunk != next || head.synced.then_some(head.revision) != after {
            // Another worker listens by now, or has heard the same.
            return self.follow(head, shared);
        }
        changes.reset |= after.is_none();
        let held = changes.held_ms.saturating_mul(1_000_000).min(now.since(sent));
        let complete = if changes.more { 0 } else { sent.after(held).0 };
        let mut next =
            Head { beat: now.0, fresh: complete.max(head.fresh), revision: changes.revision, mark: changes.mark, synced: true, ..head };
        if changes.reset || !changes.changes.is_empty() {
            let mut chunk = head.chunk.to_le_bytes().to_vec();
            chunk.extend(wire::encode(&changes).map_err(|_| Broken)?);
            if !shared.set(&self.chunk_key(head.chunk), &chunk, chunk_version)? {
                return Err(Broken);
            }
            next.chunk = head.chunk.wrapping_add(1);
        }
        if shared.set(&self.head_key, &next.encode(), version)? { self.follow(next, shared) } else { Ok(Vec::new()) }
    }

    fn follow(&mut self, head: Head, shared: &mut impl SharedData) -> Result<Vec<Event>, Broken> {
        let mut events = Vec::new();
        let mut next = match self.next {
            Some(next) => next,
            None => {
                events.push(Event::Forget(head.revision));
                head.chunk
            }
        };
        while next != head.chunk {
            match self.read_chunk(next, shared)? {
                Some(changes) if head.chunk.wrapping_sub(next) <= CHUNKS => {
                    next = next.wrapping_add(1);
                    events.push(if changes.reset { Event::Forget(changes.revision) } else { Event::Changes(changes) });
                }
                Some(_) | None => {
                    next = head.chunk;
                    events.push(Event::Forget(head.revision));
                }
            }
        }
        self.next = Some(next);
        self.head = head;
        Ok(events)
    }

    fn read_head(&self, shared: &mut impl SharedData) -> Result<(Head, Option<Version>), Broken> {
        let mut value = Vec::new();
        match shared.get(&self.head_key, &mut value)? {
            None => Ok((Head::default(), None)),
            Some(version) => Ok((Head::decode(&value).ok_or(Broken)?, Some(version))),
        }
    }

    fn chunk_key(&self, number: u64) -> String {
        format!("{}/{}", self.head_key, number % CHUNKS)
    }

    /// The chunk of this number; `None` if another one, or nothing that can be read, is in its place.
    fn read_chunk(&self, number: u64, shared: &mut impl SharedData) -> Result<Option<Changes>, Broken> {
        let mut value = Vec::new();
        if shared.get(&self.chunk_key(number), &mut value)?.is_none() {
            return Ok(None);
        }
        let read = value.split_first_chunk::<8>().filter(|(own, _)| u64::from_le_bytes(**own) == number);
        Ok(read.and_then(|(_, body)| wire::decode(body).ok()))
    }
}

impl Head {
    fn encode(&self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        let numbers = [self.leader, self.beat, self.fresh, self.revision, self.mark, self.chunk];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        if let Some(last) = bytes.last_mut() {
            *last = u8::from(self.synced);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, [synced @ (0 | 1)]) = bytes.as_chunks::<8>() else {
            return None;
        };
        let [leader, beat, fresh, revision, mark, chunk] = *numbers else {
            return None;
        };
        let number = u64::from_le_bytes;
        Some(Self {
            leader: number(leader),
            beat: number(beat),
            fresh: number(fresh),
            revision: number(revision),
            mark: number(mark),
            chunk: number(chunk),
            synced: *synced == 1,
        })
    }
}

/// Whether an answer can be one to a poll after this revision.
fn follows(changes: &Changes, after: Option<u64>) -> bool {
    let mut last = after.unwrap_or(0);
    let ascending = changes.changes.iter().all(|change| std::mem::replace(&mut last, change.revision) < change.revision);
    changes.changes.len() <= MOST_CHANGES && (changes.reset || after.is_none() || (ascending && last <= changes.revision))
}

#[cfg(test)]
mod tests;
