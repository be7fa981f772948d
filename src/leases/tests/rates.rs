//! Units that expire.

use tollgate_core::bucket::TokenBucket;
use tollgate_core::limit::Rate;

use super::super::purse::{Held, Purses};
use super::super::slot::Found;
use super::*;

const LIFE: u64 = 2 * SECOND;

fn world(rate: u64, burst: u64, workers: usize) -> World {
    let mut world = World::new(&[0], workers);
    let rate = Rate::TokenBucket(TokenBucket::new(rate, SECOND, burst).unwrap());
    world.leased[0].counted = Counted::Rate(rate);
    world.rate = Some(RateRow::new(rate, LEDGER_START));
    world
}

/// A slot of a rate that was granted so many units, each time at so many seconds after the start, and spent so many half a second later.
fn slot(grants: &[(u64, u64, u64)]) -> Slot {
    let mut slot = Slot::new(1, "c", "l", Instant(START));
    slot.open(|| Some(7)).unwrap();
    for (granted, at, spent) in grants {
        let now = Instant(START).after(at * SECOND);
        slot.ask(0, 0, now);
        let ask = slot.send(now);
        let answer = LeaseAnswer {
            lease: 7,
            number: ask.number,
            granted: *granted,
            lasts_ms: 1_500,
            expires_in_ms: 2_000,
            full_in_ms: 60_000,
            window: 3,
            limit: 1_000,
            left: 500,
            ..LeaseAnswer::default()
        };
        assert!(slot.adopt(&answer, 1, now, now));
        assert!(matches!(slot.take(*spent, *spent, 0, now.after(SECOND / 2)), Found::Units(..)));
    }
    slot
}

fn after(millis: u64) -> Instant {
    Instant(START).after(millis * 1_000_000)
}

#[test]
fn older_units_are_spent_first_and_each_until_its_own_end() {
    let mut slot = slot(&[(20, 0, 10), (20, 1, 0)]);
    assert_eq!(slot.take(1, 4, 0, after(1_600)), Found::Units(4, after(2_000)));
    assert_eq!(slot.take(1, 99, 0, after(1_700)), Found::Units(6, after(2_000)), "not more, since those last longer");
    assert_eq!(slot.take(1, 5, 0, after(1_800)), Found::Units(5, after(3_000)));
    assert_eq!(slot.take(1, 99, 0, after(2_999)), Found::Units(15, after(3_000)));
}

#[test]
fn where_older_units_are_too_few_what_is_taken_together_expires_together() {
    let mut slot = slot(&[(20, 0, 17), (20, 1, 0)]);
    assert_eq!(slot.take(5, 5, 0, after(1_600)), Found::Units(5, after(2_000)));
    assert_eq!(slot.take(1, 1, 0, after(1_600)), Found::Units(1, after(3_000)));
}

#[test]
fn units_that_have_expired_are_not_there_and_the_lease_lives_on() {
    let mut slot = slot(&[(20, 0, 10), (20, 1, 0)]);
    assert_eq!(slot.take(1, 99, 0, after(2_000)), Found::Units(20, after(3_000)));
    assert_eq!(slot.take(1, 1, 0, after(3_000)), Found::Nothing);
    assert_eq!(slot.lease(), 7);
    slot.ask(1, 1, after(3_000));
    assert_eq!(slot.send(after(3_000)).returned, 0, "nothing that expired");
}

#[test]
fn what_has_expired_was_not_spent() {
    let mut slot = slot(&[(20, 0, 10), (20, 1, 0)]);
    assert_eq!(slot.take(1, 1, 0, after(3_000)), Found::Nothing);
    slot.ask(1, 1, after(3_000));
    // Ten in the first second, and nothing in the two after it.
    assert_eq!(slot.send(after(3_000)).demand, 5_000);
}

#[test]
fn units_do_not_live_longer_in_a_purse_that_was_filled_later() {
    let mut purses = Purses::default();
    let (place, standing) = (Place::default(), Standing { limit: 9, remaining: 9, until_full: 0 });
    purses.put(place, Held { lease: 7, units: 5, until: after(2_000), standing }, after(0));
    assert!(!purses.give_back(place, 7, 1, after(1_999)));
    assert!(purses.give_back(place, 7, 1, after(2_000)));
}

#[test]
fn only_units_of_the_newest_grant_are_returned() {
    let mut slot = slot(&[(20, 0, 10), (20, 1, 0)]);
    slot.ask(99, 99, after(1_500));
    let ask = slot.send(after(1_500));
    assert_eq!((ask.returned, ask.own), (20, 10));
}

#[test]
fn what_comes_back_is_good_for_as_long_as_it_was() {
    for (until, good, returned) in [(3_000, 25, 25), (2_000, 20, 20), (1_700, 20, 20)] {
        let mut slot = slot(&[(0, 0, 0), (20, 1, 0)]);
        assert!(slot.give_back(7, 5, after(until), after(1_600)));
        assert_eq!(slot.take(0, 0, 0, after(2_000)), Found::Units(0, after(3_000)));
        assert_eq!(slot.units(), good, "of {until}");
        slot.ask(99, 99, after(2_000));
        assert_eq!(slot.send(after(2_000)).returned, returned);
        assert!(!slot.give_back(7, 5, after(3_000), after(3_000)), "too late");
    }
}

#[test]
fn a_newer_grant_may_end_sooner_than_what_came_back() {
    let mut slot = slot(&[(0, 0, 0), (20, 1, 0)]);
    assert!(slot.give_back(7, 5, after(3_500), after(1_600)));
    assert_eq!(slot.take(9, 25, 0, after(1_700)), Found::Units(25, after(3_000)));
    let mut slot = self::slot(&[(0, 0, 0), (20, 1, 0)]);
    assert!(slot.give_back(7, 5, after(3_500), after(1_600)));
    assert_eq!(slot.take(1, 25, 0, after(3_000)), Found::Units(5, after(3_500)));
    assert!(slot.give_back(7, 5, after(3_500), after(3_100)) && !slot.give_back(7, 5, after(3_500), after(3_500)));
}

#[test]
fn what_will_not_be_spent_in_time_is_returned_with_a_renewal() {
    let mut slot = slot(&[(100, 0, 10)]);
    slot.ask(0, 0, after(1_000));
    let ask = slot.send(after(1_000));
    // Ten a second.
    assert_eq!((ask.demand, ask.own, ask.returned), (10_000, 15, 75));
}

#[test]
fn a_rate_is_renewed_before_it_is_spent_and_without_waiting_for_the_next_report() {
    let mut world = world(1_000, 1_000, 1);
    let (mut waited, mut calls) = (0, 0);
    for _ in 0..5_000 {
        // 500 a second.
        world.tick(2_000_000);
        waited += u32::from(!world.admits(0, 1));
        assert!(world.workers[0].background.is_empty());
        calls += world.settle(0);
    }
    assert!(waited <= 10, "only until it is known what is spent: {waited}");
    assert!(calls <= 25, "in ten seconds: {calls}");
}

#[test]
fn what_a_worker_holds_expires_too() {
    let mut world = world(1_000, 1_000, 1);
    let mut charges = Vec::new();
    let place = world.workers[0].place(World::subject(), world.names[0]);
    while charges.len() < 50 || world.workers[0].purses.spend(place, 1, world.now).is_none() {
        world.now = world.now.after(1_000_000);
        match world.ask(0, 1, false) {
            Outcome::Admitted { charge, .. } => charges.push(charge),
            Outcome::Refused { .. } | Outcome::Waiting | Outcome::Unavailable => drop(world.settle(0)),
        }
    }
    let tier = TierLeases { position: 0, leased: &world.leased, names: &world.names };
    world.now = world.now.after(LIFE);
    let now = world.now;
    for charge in &charges {
        world.workers[0].give_back(tier, charge, now, &mut world.shared, &mut world.counters);
    }
    assert_eq!(world.counters.get(Counter::StrandedUnits), 0, "time has refilled them at the ledger");
    assert_eq!(world.ask(0, 1, false), Outcome::Waiting);
}

#[test]
fn a_burst_that_is_there_is_admitted() {
    let mut world = world(100, 1_000, 1);
    let (mut waiting, mut admitted, mut calls) = (1_000, 0, 0);
    while waiting > 0 {
        let judged: Vec<Outcome> = (0..waiting).map(|_| world.ask(0, 1, false)).collect();
        assert!(!judged.iter().any(|outcome| matches!(outcome, Outcome::Refused { .. })), "after {admitted}");
        admitted += judged.iter().filter(|outcome| matches!(outcome, Outcome::Admitted { .. })).count();
        waiting = judged.iter().filter(|outcome| **outcome == Outcome::Waiting).count();
        world.tick(5_000_000);
        calls += world.settle(0);
        if admitted >= 900 {
            break;
        }
    }
    assert!(calls <= 12, "{calls} calls for {admitted}");
}

#[test]
fn where_a_rate_is_exceeded_few_ask_and_nobody_waits() {
    let mut world = world(100, 100, 2);
    let (mut admitted, mut calls) = (0, 0);
    for step in 0..10_000 {
        world.tick(1_000_000);
        admitted += u64::from(world.admits(step % 2, 1));
        calls += world.settle(step % 2);
    }
    assert!((1_000..=1_300).contains(&admitted), "{admitted}");
    assert!(calls <= 150, "{calls}");
}
