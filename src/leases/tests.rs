#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use tollgate_core::ledger::{Holder, RateRow, Row, Which, Window};
use tollgate_core::limit::{Leased, Period, Routes};

use super::slot::Slot;
use super::*;
use crate::limits::Table as Kind;
use crate::shared::Memory;

mod boundary;
mod first;
mod rates;
mod table;

const START: u64 = 1_000 * SECOND;
/// The ledger's clock at `START`, in milliseconds.
const LEDGER_START: u64 = 5_000_000;

/// A node of some workers, and a ledger that answers when it is told to.
struct World {
    shared: Memory,
    workers: Vec<Leases>,
    counters: Counters,
    leased: Vec<Leased>,
    names: Vec<u64>,
    rows: Vec<Row>,
    holders: Vec<Holder>,
    /// What was granted of the windows that follow, by position.
    next: HashMap<usize, (Row, Holder)>,
    /// The account of the first limit, where that is a rate.
    rate: Option<RateRow<u8>>,
    /// How long ago what is answered was sent.
    answers_take: u64,
    now: Instant,
}

fn quota(name: &str) -> Leased {
    Leased {
        name: name.to_owned(),
        counted: Counted::Quota(Period::Day),
        routes: Routes::All,
        shadow: false,
        failure_mode: FailureMode::Deny,
        degraded: None,
    }
}

impl World {
    fn new(limits: &[u64], workers: usize) -> Self {
        let leased: Vec<Leased> = (0..limits.len()).map(|position| quota(&format!("q{position}"))).collect();
        let window = Window { start: LEDGER_START - 1_000, end: LEDGER_START + 3_600_000 };
        Self {
            shared: Memory::default(),
            workers: (0..workers).map(|_| Leases::new(64, &["a"])).collect(),
            counters: Counters::default(),
            names: leased.iter().map(|leased| name_hash(&leased.name)).collect(),
            leased,
            rows: limits.iter().map(|limit| Row::new(window, *limit)).collect(),
            holders: limits.iter().map(|_| Holder::default()).collect(),
            next: HashMap::new(),
            rate: None,
            answers_take: 0,
            now: Instant(START),
        }
    }

    fn subject() -> Subject {
        Subject { table: Kind::Consumers, place: 77, tag: 99 }
    }

    fn ask(&mut self, worker: usize, cost: u32, impatient: bool) -> Outcome {
        let tier = TierLeases { position: 0, leased: &self.leased, names: &self.names };
        let ask = Ask { tier, subject: Self::subject(), consumer: "acme", route: 0, cost, impatient, now: self.now };
        self.workers[worker].judge(&ask, &mut Standings::default(), &mut self.shared, &mut self.counters)
    }

    fn admits(&mut self, worker: usize, cost: u32) -> bool {
        matches!(self.ask(worker, cost, false), Outcome::Admitted { .. })
    }

    /// Judges an ask as the ledger does.
    fn judge(&mut self, ask: &LeaseAsk) -> LeaseAnswer {
        let position = self.leased.iter().position(|leased| leased.name == ask.limit).unwrap();
        let now = LEDGER_START + (self.now.0 - START) / 1_000_000;
        if let Some(rate) = &mut self.rate {
            return rate.settle(1, ask, now);
        }
        let (window, limit) = (self.rows[position].window, self.rows[position].limit);
        let day = Window { start: window.end, end: window.end + 86_400_000 };
        let following = || (Row::new(day, limit), Holder::default());
        if now >= window.end {
            (self.rows[position], self.holders[position]) = self.next.remove(&position).unwrap_or_else(following);
        }
        match self.rows[position].window.asked(ask) {
            Which::InForce => self.rows[position].settle(&mut self.holders[position], ask, now, 1).answer,
            Which::Following if window.following(day, now).is_some() => {
                let (row, holder) = self.next.entry(position).or_insert_with(following);
                row.settle(holder, ask, now, 1).answer
            }
            Which::Following | Which::Neither => {
                LeaseAnswer { lease: ask.lease, number: ask.number, closed: true, ..LeaseAnswer::default() }
            }
        }
    }

    fn answer(&mut self, worker: usize, ask: &LeaseAsk, answer: &LeaseAnswer) -> bool {
        let place = self.workers[worker].place(Self::subject(), name_hash(&ask.limit));
        let sent = Instant(self.now.0 - self.answers_take);
        self.workers[worker].answered(place, answer, 1, sent, self.now, &mut self.shared)
    }

    /// The ledger answers whatever a worker asks, or has in the background; so many messages.
    fn settle(&mut self, worker: usize) -> usize {
        let mut asks = self.workers[worker].take_urgent();
        asks.extend(self.workers[worker].take_background());
        for ask in &asks {
            let answer = self.judge(ask);
            self.answer(worker, ask, &answer);
        }
        asks.len()
    }

    /// Time goes on, and workers tick as often as they must.
    fn tick(&mut self, after: u64) -> Vec<u64> {
        let until = self.now.after(after);
        let mut woken = Vec::new();
        while self.now < until {
            self.now = self.now.after(TICK_EVERY.min(until.since(self.now)));
            let (shared, counters) = (&mut self.shared, &mut self.counters);
            woken.extend(self.workers.iter_mut().flat_map(|worker| worker.tick(false, self.now, shared, counters)));
        }
        woken
    }
}

#[test]
fn the_first_request_waits_and_those_after_it_ask_nobody() {
    let mut world = World::new(&[100_000], 1);
    assert_eq!(world.ask(0, 1, false), Outcome::Waiting);
    assert_eq!(world.settle(0), 1);
    for _ in 0..500 {
        world.now = world.now.after(1_000_000);
        assert!(world.admits(0, 1));
    }
    assert_eq!(world.settle(0), 0, "there is more than half of it left");
    assert!(world.rows[0].charged >= 500);
}

#[test]
fn what_runs_out_before_the_next_report_is_asked_for_with_the_next_tick() {
    let mut world = World::new(&[128], 1);
    world.ask(0, 1, false);
    world.settle(0);
    world.tick(200_000_000);
    assert!(world.admits(0, 1) && world.admits(0, 1), "two of two");
    world.tick(TICK_EVERY);
    assert_eq!(world.workers[0].take_urgent().len(), 1);
}

#[test]
fn workers_share_what_one_has_asked_for() {
    let mut world = World::new(&[1_000], 2);
    assert_eq!((world.ask(0, 1, false), world.ask(1, 1, false)), (Outcome::Waiting, Outcome::Waiting));
    assert!(world.workers[1].take_urgent().is_empty(), "one ask is under way");
    assert!(world.tick(1_000_000).is_empty(), "nobody has heard anything");
    assert_eq!(world.settle(0), 1);
    assert_eq!(world.tick(1_000_000), [99], "the other worker's requests are to be judged again");
    assert!(world.admits(1, 1) && world.admits(0, 1));
}

#[test]
fn an_ask_without_an_answer_is_sent_again_unchanged_and_adopted_once() {
    let mut world = World::new(&[1_000], 2);
    world.ask(0, 3, false);
    let lost = world.workers[0].take_urgent().pop().unwrap();
    world.tick(SEND_AGAIN);
    world.ask(1, 3, false);
    let again = world.workers[1].take_urgent().pop().unwrap();
    assert_eq!(lost, again);
    let answer = world.judge(&again);
    assert_eq!(world.judge(&lost), answer);
    assert!(world.answer(1, &again, &answer) && !world.answer(0, &lost, &answer), "what was adopted is not adopted again");
    let granted = answer.granted;
    assert_eq!((0..=granted).filter(|_| world.admits(0, 1)).count() as u64, granted);
}

#[test]
fn units_come_from_all_quotas_or_from_none() {
    let mut world = World::new(&[10, 4], 1);
    let mut admitted = 0;
    for _ in 0..60 {
        admitted += u64::from(world.admits(0, 1));
        world.settle(0);
        world.tick(200_000_000);
    }
    assert_eq!(admitted, 4);
    for _ in 0..20 {
        world.tick(SECOND);
        world.settle(0);
    }
    assert_eq!((world.rows[0].charged, world.rows[1].charged), (4, 4), "what was taken of the first in vain came back");
}

#[test]
fn a_spent_quota_costs_one_call_until_it_is_raised() {
    let mut world = World::new(&[2], 1);
    let mut calls = 0;
    for _ in 0..200 {
        world.ask(0, 1, false);
        calls += world.settle(0);
        world.now = world.now.after(10_000_000);
    }
    assert!(calls <= 4, "{calls}");
    let Outcome::Refused { position: 0, wait } = world.ask(0, 1, false) else { panic!("admitted") };
    assert!(wait > 3_500 * SECOND, "until the window ends: {wait}");
    world.rows[0].limit = 3;
    world.workers[0].raised(Some(World::subject()), 2);
    assert_eq!(world.ask(0, 1, false), Outcome::Waiting);
    world.settle(0);
    assert!(world.admits(0, 1) && !world.admits(0, 1));
}

#[test]
fn what_nobody_uses_is_returned_and_a_late_answer_finds_nobody() {
    let mut world = World::new(&[10_000], 1);
    world.ask(0, 5, false);
    let ask = world.workers[0].take_urgent().pop().unwrap();
    let answer = world.judge(&ask);
    world.answer(0, &ask, &answer);
    assert!(world.admits(0, 5));
    for _ in 0..60 {
        world.tick(TICK_EVERY);
    }
    assert_eq!(world.settle(0), 1);
    assert_eq!((world.rows[0].charged, world.rows[0].held), (5, 0));
    assert!(!world.answer(0, &ask, &answer));
    assert_eq!(world.ask(0, 1, false), Outcome::Waiting, "nothing is left here");
}

#[test]
fn after_a_standstill_workers_give_back_before_a_slot_is_closed() {
    let mut world = World::new(&[10_000], 2);
    world.ask(0, 1, false);
    world.settle(0);
    world.tick(TICK_EVERY);
    for _ in 0..40 {
        assert!(world.admits(0, 1) && world.admits(1, 1));
    }
    world.settle(0);
    world.settle(1);
    world.now = world.now.after(30 * SECOND);
    world.tick(SECOND);
    world.settle(0);
    world.settle(1);
    assert_eq!((world.rows[0].charged, world.rows[0].held), (80, 0));
    assert_eq!(world.counters.get(Counter::StrandedUnits), 0);
}

#[test]
fn ledgers_of_one_node_share_nothing() {
    let mut world = World::new(&[100], 2);
    world.workers[1] = Leases::new(64, &["b"]);
    world.ask(0, 1, false);
    world.settle(0);
    assert!(world.admits(0, 1));
    assert_eq!(world.ask(1, 1, false), Outcome::Waiting);
    let ask = world.workers[1].take_urgent().pop().unwrap();
    assert_eq!((ask.number, ask.window), (1, 0), "a lease of its own");
}

#[test]
fn slots_are_looked_after_where_every_tick_is_late() {
    let mut world = World::new(&[10_000], 1);
    world.ask(0, 5, false);
    world.settle(0);
    assert!(world.admits(0, 5));
    for _ in 0..20 {
        world.now = world.now.after(SECOND / 4);
        let (now, shared) = (world.now, &mut world.shared);
        world.workers[0].tick(false, now, shared, &mut world.counters);
    }
    world.settle(0);
    assert_eq!((world.rows[0].charged, world.rows[0].held), (5, 0));
}

#[test]
fn who_still_waits_after_an_answer_is_asked_for_together() {
    let mut world = World::new(&[1_000], 1);
    for _ in 0..200 {
        assert_eq!(world.ask(0, 1, false), Outcome::Waiting);
    }
    world.settle(0);
    // They are judged again: the first that finds nothing asks for all who are left.
    let admitted = (0..200).take_while(|_| world.admits(0, 1)).count() as u64;
    let ask = world.workers[0].take_urgent().pop().unwrap();
    assert!((150..=201 - admitted).contains(&ask.waiting), "{admitted} admitted, and {} wait", ask.waiting);
}

#[test]
fn a_late_answer_does_not_end_a_window_early() {
    let mut slot = Slot::new(1, "c", "l", Instant(START));
    slot.open(|| Some(7)).unwrap();
    for (asked, full_in_ms) in [(0, 10_000), (1, 3_000)] {
        let sent = Instant(START).after(asked * SECOND);
        slot.ask(0, 0, sent);
        let number = slot.send(sent).number;
        let answer = LeaseAnswer { lease: 7, number, granted: 5, full_in_ms, window: 3, ..LeaseAnswer::default() };
        assert!(slot.adopt(&answer, 1, sent, sent.after(6 * SECOND)));
    }
    assert!(matches!(slot.take(1, 1, 0, Instant(START).after(10 * SECOND - 1)), slot::Found::Units(1, _)));
    assert_eq!(slot.take(1, 1, 0, Instant(START).after(10 * SECOND)), slot::Found::Nothing);
}

#[test]
fn what_is_wanted_elsewhere_is_returned_but_for_a_short_time() {
    let mut world = World::new(&[10_000], 1);
    world.ask(0, 1, false);
    world.settle(0);
    let held = world.rows[0].held;
    let place = world.workers[0].place(World::subject(), world.names[0]);
    let (now, shared) = (world.now, &mut world.shared);
    world.workers[0].recall(place, now, shared);
    world.tick(TICK_EVERY);
    world.settle(0);
    assert!(world.rows[0].held < held / 2, "{} of {held}", world.rows[0].held);
}

#[test]
fn what_was_granted_under_other_limits_is_returned_but_for_a_short_time() {
    let mut world = World::new(&[10_000], 1);
    world.ask(0, 1, false);
    world.settle(0);
    assert!(world.admits(0, 1));
    let held = world.rows[0].held;
    for (consumer, left) in [(Some((World::subject(), "other")), held..=held), (Some((World::subject(), "acme")), 0..=held / 2)] {
        let (now, shared) = (world.now, &mut world.shared);
        world.workers[0].changed(consumer, 2, now, shared);
        world.tick(TICK_EVERY);
        world.settle(0);
        assert!(left.contains(&world.rows[0].held), "{consumer:?}: {} of {held}", world.rows[0].held);
    }
}

#[test]
fn without_the_backend_each_quota_fails_as_it_says_and_what_is_held_is_spent() {
    for (mode, degraded) in [(FailureMode::Deny, 0), (FailureMode::Allow, 0), (FailureMode::Degrade, 1)] {
        let mut world = World::new(&[1_000], 1);
        world.leased[0].failure_mode = mode;
        world.ask(0, 1, false);
        world.settle(0);
        let held = world.rows[0].charged;
        let now = world.now;
        for _ in 0..3 {
            world.workers[0].heard(false, now);
        }
        assert!(world.workers[0].is_away());
        assert!((0..held).all(|_| world.admits(0, 1)), "{held}");
        let beyond = world.ask(0, 1, false);
        match mode {
            FailureMode::Deny => assert_eq!(beyond, Outcome::Unavailable),
            FailureMode::Allow | FailureMode::Degrade => {
                assert!(matches!(beyond, Outcome::Admitted { degraded: own, .. } if own == degraded), "{beyond:?}");
                let overage = Overage { consumer: "acme".to_owned(), limit: "q0".to_owned(), units: 1 };
                assert_eq!(world.workers[0].take_overages(), [overage]);
            }
        }
    }
}

#[test]
fn who_has_waited_long_enough_is_judged_without_an_answer() {
    let mut world = World::new(&[1_000], 1);
    assert_eq!(world.ask(0, 1, false), Outcome::Waiting);
    assert_eq!(world.ask(0, 1, true), Outcome::Unavailable);
    world.leased[0].failure_mode = FailureMode::Allow;
    assert!(matches!(world.ask(0, 1, true), Outcome::Admitted { .. }));
}

#[test]
fn a_known_exhaustion_outranks_a_quota_that_lets_pass() {
    let mut world = World::new(&[1], 1);
    world.leased[0].failure_mode = FailureMode::Allow;
    world.ask(0, 1, false);
    world.settle(0);
    assert!(world.admits(0, 1));
    world.ask(0, 1, false);
    world.settle(0);
    let now = world.now;
    for _ in 0..3 {
        world.workers[0].heard(false, now);
    }
    assert!(matches!(world.ask(0, 1, false), Outcome::Refused { .. }));
}

#[test]
fn a_quota_in_shadow_and_a_request_that_costs_nothing_wait_for_nobody() {
    let mut world = World::new(&[1], 1);
    assert!(world.admits(0, 0));
    world.leased[0].shadow = true;
    assert!((0..5).all(|_| world.admits(0, 1)));
    world.settle(0);
    assert!((0..5).all(|_| world.admits(0, 1)));
    world.settle(0);
    assert!(world.admits(0, 1));
    assert!(world.counters.get(Counter::ShadowRefusal) > 0);
}

#[test]
fn after_the_end_of_a_window_nothing_of_it_is_spent() {
    let mut world = World::new(&[100], 1);
    world.ask(0, 1, false);
    world.settle(0);
    assert!(world.admits(0, 1));
    world.now = world.now.after(3_600 * SECOND);
    assert_eq!(world.ask(0, 1, false), Outcome::Waiting);
    let ask = world.workers[0].take_urgent().pop().unwrap();
    assert_eq!((ask.number, ask.window, ask.returned), (1, 0, 0), "a lease of its own");
}

#[test]
fn malformed_slots_are_never_fresh_ones() {
    for garbage in [&b"x"[..], &[0xff; 40], &[0; 9]] {
        let mut world = World::new(&[100], 1);
        for set in 0..4 {
            let key = world.workers[0].table.key(set);
            world.shared.set(&key, garbage, None).unwrap();
        }
        assert_eq!(world.ask(0, 1, false), Outcome::Unavailable, "{garbage:?}");
        assert!(world.workers[0].take_urgent().is_empty());
    }
}
