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
    let held = |held_ms| wire::encode(&Changes { revision: 10, mark: 0, held_ms, reset: false, more: false, changes: Vec::new() }).unwrap();
    let sent = Instant(100 * MS);
    feed.heard(Answer::Whole(200, &held(300)), Some(10), sent, sent.after(400 * MS), &mut shared).unwrap();
    assert_eq!(feed.fresh(), sent.after(300 * MS));
    feed.heard(Answer::Whole(200, &held(u64::MAX)), Some(10), sent.after(MS), sent.after(500 * MS), &mut shared).unwrap();
    assert_eq!(feed.fresh(), sent.after(500 * MS), "a backend cannot make it fresher than now");
}
