//! Owns the feed of changes on a node: which worker listens, and how the others hear. Must not know what a change does.
//!
//! One elected worker polls the backend and writes each answer with changes into a ring of chunks in shared data, then moves the head.
//! Every worker follows the head at its tick; one that fell off the ring forgets everything. Two workers that both believe they lead do no harm:
//! the head moves by compare-and-swap, and a chunk under the wrong number counts as lost.

use tollgate_core::time::Instant;
use tollgate_core::wire::{self, Changes, MOST_CHANGES};

use super::call::{Answer, CallError, Pace};
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
mod tests {
    use super::*;
    use crate::shared::Memory;
    use tollgate_core::wire::{Change, CredentialChange};

    const MS: u64 = 1_000_000;

    fn change(revision: u64) -> Change {
        Change { revision, credential: Some(CredentialChange { id: format!("k{revision}"), gone: true }), ..Change::default() }
    }

    fn answer(revision: u64, changes: &[u64]) -> Vec<u8> {
        let changes = changes.iter().map(|revision| change(*revision)).collect();
        wire::encode(&Changes { revision, mark: 0, held_ms: 0, reset: false, more: false, changes }).unwrap()
    }

    /// A feed that leads and knows where it is: at revision 10.
    fn leader(own: u64, shared: &mut Memory) -> Feed {
        let mut feed = Feed::new("t", own);
        feed.tick(Instant(MS), shared).unwrap();
        assert_eq!(feed.to_poll(), Some(None));
        hear(&mut feed, None, &answer(10, &[]), Instant(2 * MS), shared).unwrap();
        assert_eq!(feed.to_poll(), Some(Some(10)));
        feed
    }

    fn hear(feed: &mut Feed, after: Option<u64>, body: &[u8], now: Instant, shared: &mut Memory) -> Result<Vec<Event>, CallError> {
        feed.heard(Answer::Whole(200, body), after, Instant(now.0 - MS), now, shared)
    }

    fn revisions(events: &[Event]) -> Vec<u64> {
        events
            .iter()
            .flat_map(|event| match event {
                Event::Changes(changes) => changes.changes.iter().map(|change| change.revision).collect(),
                Event::Forget(_) => vec![0],
            })
            .collect()
    }

    #[test]
    fn every_worker_hears_every_change_once_and_in_order() {
        let mut shared = Memory::default();
        let mut first = leader(1, &mut shared);
        let mut second = Feed::new("t", 2);
        assert_eq!(second.tick(Instant(3 * MS), &mut shared), Ok(vec![Event::Forget(10)]), "what was told before it came is not known");
        let heard = hear(&mut first, Some(10), &answer(12, &[11, 12]), Instant(4 * MS), &mut shared).unwrap();
        assert_eq!(revisions(&heard), [11, 12]);
        hear(&mut first, Some(12), &answer(13, &[13]), Instant(5 * MS), &mut shared).unwrap();
        assert_eq!(revisions(&second.tick(Instant(6 * MS), &mut shared).unwrap()), [11, 12, 13]);
        assert_eq!(second.tick(Instant(7 * MS), &mut shared), Ok(vec![]));
        assert_eq!((second.fresh(), second.to_poll()), (Instant(4 * MS), None));
    }

    #[test]
    fn a_worker_that_fell_off_the_ring_forgets_everything_once() {
        let mut shared = Memory::default();
        let mut first = leader(1, &mut shared);
        let mut second = Feed::new("t", 2);
        second.tick(Instant(2 * MS), &mut shared).unwrap();
        for revision in 11..=11 + CHUNKS {
            hear(&mut first, Some(revision - 1), &answer(revision, &[revision]), Instant(3 * MS), &mut shared).unwrap();
        }
        assert_eq!(second.tick(Instant(4 * MS), &mut shared), Ok(vec![Event::Forget(11 + CHUNKS)]));
        assert_eq!(second.tick(Instant(5 * MS), &mut shared), Ok(vec![]));
    }

    #[test]
    fn a_listener_that_was_replaced_publishes_nothing() {
        let mut shared = Memory::default();
        let mut first = leader(1, &mut shared);
        let mut second = Feed::new("t", 2);
        let later = Instant(2 * MS + SILENCE + 1);
        second.tick(later, &mut shared).unwrap();
        assert_eq!(second.to_poll(), Some(Some(10)), "it takes over where the first was");
        hear(&mut second, Some(10), &answer(11, &[11]), later, &mut shared).unwrap();
        // The first was paused, not dead.
        assert_eq!(revisions(&hear(&mut first, Some(10), &answer(11, &[11]), later, &mut shared).unwrap()), [11]);
        assert_eq!(first.to_poll(), None);
        assert_eq!(second.tick(later, &mut shared), Ok(vec![]), "nothing twice");
    }

    #[test]
    fn a_listener_that_is_refused_lets_others_listen_and_stands_again_later() {
        let mut shared = Memory::default();
        let mut first = leader(1, &mut shared);
        let mut second = Feed::new("t", 2);
        first.stand_back(Instant(3 * MS));
        first.tick(Instant(4 * MS), &mut shared).unwrap();
        assert_eq!(first.to_poll(), None);
        second.tick(Instant(5 * MS), &mut shared).unwrap();
        assert_eq!(second.to_poll(), Some(Some(10)), "it goes on where the first was");
        // Alone, it tries again.
        first.tick(Instant(2 * MS + STANDS_BACK), &mut shared).unwrap();
        assert_eq!(first.to_poll(), None);
        first.tick(Instant(3 * MS + STANDS_BACK), &mut shared).unwrap();
        assert_eq!(first.to_poll(), Some(Some(10)));
    }

    #[test]
    fn the_mark_of_the_revision_goes_with_it_from_worker_to_worker() {
        let mut shared = Memory::default();
        let mut first = leader(1, &mut shared);
        let answer =
            wire::encode(&Changes { revision: 11, mark: 7, held_ms: 0, reset: false, more: false, changes: vec![change(11)] }).unwrap();
        hear(&mut first, Some(10), &answer, Instant(3 * MS), &mut shared).unwrap();
        let mut second = Feed::new("t", 2);
        second.tick(Instant(4 * MS + SILENCE), &mut shared).unwrap();
        assert_eq!((first.mark(), second.to_poll(), second.mark()), (7, Some(Some(11)), 7));
    }

    /// Shared data in which, before the `after`-th operation, another worker takes over and publishes.
    struct Crowded {
        shared: Memory,
        after: u32,
        other: Feed,
    }

    impl Crowded {
        fn pass(&mut self) {
            if self.after == 0 {
                let later = Instant(4 * MS + SILENCE);
                self.other.tick(later, &mut self.shared).unwrap();
                let at = self.other.to_poll().unwrap().unwrap();
                let all: Vec<u64> = (at + 1..=12).collect();
                hear(&mut self.other, Some(at), &answer(12, &all), later, &mut self.shared).unwrap();
            }
            self.after = self.after.wrapping_sub(1);
        }
    }

    impl SharedData for Crowded {
        fn get(&mut self, key: &str, value: &mut Vec<u8>) -> Result<Option<Version>, Broken> {
            self.pass();
            self.shared.get(key, value)
        }

        fn set(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> Result<bool, Broken> {
            self.pass();
            self.shared.set(key, value, expected)
        }
    }

    #[test]
    fn a_listener_that_stood_still_while_it_was_replaced_overwrites_nothing() {
        for after in 0..6 {
            let mut shared = Memory::default();
            let mut first = leader(1, &mut shared);
            let mut third = Feed::new("t", 3);
            third.tick(Instant(3 * MS), &mut shared).unwrap();
            let mut crowded = Crowded { shared, after, other: Feed::new("t", 2) };
            let before = first.heard(Answer::Whole(200, &answer(11, &[11])), Some(10), Instant(MS), Instant(3 * MS), &mut crowded);
            let later = Instant(5 * MS + SILENCE);
            let heard = [before.unwrap_or_default(), first.tick(later, &mut crowded.shared).unwrap()].concat();
            let (first, third) = (revisions(&heard), revisions(&third.tick(later, &mut crowded.shared).unwrap()));
            assert_eq!((first.last(), third.last()), (Some(&12), Some(&12)), "before operation {after}: {first:?}, {third:?}");
        }
    }

    #[test]
    fn answers_that_do_not_follow_are_refused() {
        let mut shared = Memory::default();
        let mut feed = leader(1, &mut shared);
        let (many, reversed) = ((11..=11 + MOST_CHANGES as u64).collect::<Vec<_>>(), [12, 11]);
        for (revision, changes) in [(11, &[10][..]), (11, &[12]), (12, &reversed), (9, &[]), (1_000, &many)] {
            let refused = hear(&mut feed, Some(10), &answer(revision, changes), Instant(3 * MS), &mut shared);
            assert_eq!(refused, Err(CallError::Failed), "{revision} {changes:?}");
        }
        assert_eq!(feed.to_poll(), Some(Some(10)));
    }

    #[test]
    fn a_head_from_the_future_is_neither_believed_nor_waited_for() {
        let mut shared = Memory::default();
        let version = shared.set("t/feed", &Head { leader: 9, beat: u64::MAX, fresh: u64::MAX, ..Head::default() }.encode(), None);
        assert_eq!(version, Ok(true));
        let mut feed = Feed::new("t", 1);
        feed.tick(Instant(MS), &mut shared).unwrap();
        assert_eq!((feed.fresh(), feed.to_poll()), (Instant(MS), Some(None)));
    }

    #[test]
    fn shared_data_that_is_not_a_feed_is_an_error_and_never_a_fresh_one() {
        let mut shared = Memory::default();
        shared.set("t/feed", b"something else", None).unwrap();
        assert_eq!(Feed::new("t", 1).tick(Instant(1), &mut shared), Err(Broken));
    }

    #[test]
    fn an_answer_that_more_changes_follow_makes_nothing_fresher() {
        let mut shared = Memory::default();
        let mut feed = leader(1, &mut shared);
        let (before, sent) = (feed.fresh(), Instant(100 * MS));
        let answer =
            |more| wire::encode(&Changes { revision: 11, mark: 0, held_ms: 0, reset: false, more, changes: vec![change(11)] }).unwrap();
        feed.heard(Answer::Whole(200, &answer(true)), Some(10), sent, sent.after(MS), &mut shared).unwrap();
        assert_eq!((feed.fresh(), feed.to_poll()), (before, Some(Some(11))));
        let last = wire::encode(&Changes { revision: 11, mark: 0, held_ms: 0, reset: false, more: false, changes: Vec::new() }).unwrap();
        feed.heard(Answer::Whole(200, &last), Some(11), sent, sent.after(MS), &mut shared).unwrap();
        assert_eq!(feed.fresh(), sent);
    }

    #[test]
    fn freshness_is_that_of_the_answer_and_not_of_its_arrival() {
        let mut shared = Memory::default();
        let mut feed = leader(1, &mut shared);
        let held =
            |held_ms| wire::encode(&Changes { revision: 10, mark: 0, held_ms, reset: false, more: false, changes: Vec::new() }).unwrap();
        let sent = Instant(100 * MS);
        feed.heard(Answer::Whole(200, &held(300)), Some(10), sent, sent.after(400 * MS), &mut shared).unwrap();
        assert_eq!(feed.fresh(), sent.after(300 * MS));
        feed.heard(Answer::Whole(200, &held(u64::MAX)), Some(10), sent.after(MS), sent.after(500 * MS), &mut shared).unwrap();
        assert_eq!(feed.fresh(), sent.after(500 * MS), "a backend cannot make it fresher than now");
    }
}
