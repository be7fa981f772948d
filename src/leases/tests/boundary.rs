//! Where one window of a quota ends and the next begins.

use super::*;

/// A world whose first window ends in twelve seconds.
fn world(limit: u64) -> World {
    let mut world = World::new(&[limit], 1);
    world.rows[0].window.end = LEDGER_START + 12_000;
    world
}

const END: u64 = START + 12 * SECOND;

impl World {
    /// What is charged to the window that follows the first, which has begun.
    fn roll(&mut self) -> u64 {
        self.judge(&LeaseAsk { limit: "q0".to_owned(), ..LeaseAsk::default() });
        assert_eq!(self.rows[0].window.start, LEDGER_START + 12_000);
        self.rows[0].charged
    }
}

/// Until then a request every ten milliseconds, and a report every second; how many were admitted, and how many waited.
fn runs(world: &mut World, until: u64) -> (u64, u64) {
    let (mut admitted, mut waited) = (0, 0);
    for step in 0.. {
        if world.now.0 + 10_000_000 >= until {
            world.now = Instant(until);
            return (admitted, waited);
        }
        world.tick(10_000_000);
        match world.ask(0, 1, false) {
            Outcome::Admitted { .. } => admitted += 1,
            Outcome::Waiting => waited += 1,
            Outcome::Refused { .. } | Outcome::Unavailable => {}
        }
        let urgent = world.workers[0].take_urgent();
        for ask in urgent {
            let answer = world.judge(&ask);
            world.answer(0, &ask, &answer);
        }
        if step % 100 == 0 {
            world.settle(0);
        }
    }
    (admitted, waited)
}

#[test]
fn nobody_waits_where_one_window_follows_another() {
    let mut world = world(100_000);
    assert_eq!(runs(&mut world, END).1, 1, "the very first request");
    let (ahead, _) = &world.next[&0];
    assert!(ahead.charged > 0 && ahead.window.start == LEDGER_START + 12_000);
    let spent = world.rows[0].charged - world.rows[0].held;
    assert_eq!(runs(&mut world, END + 10 * SECOND), (999, 0));
    assert!(spent > 0 && world.roll() >= 999, "it is charged to the window that follows");
}

#[test]
fn every_slot_asks_early_enough_for_the_answer_and_not_all_at_once() {
    let mut when = Vec::new();
    for (number, tag) in (1..=200_u64).map(|number| (number, number.wrapping_mul(0x9e37_79b9_7f4a_7c15))) {
        let mut slot = Slot::new(tag, "c", "l", Instant(START));
        slot.open(|| Some(7)).unwrap();
        slot.ask(1, 1, Instant(START));
        let answer = LeaseAnswer { lease: 7, number: 1, granted: 99, window: 5, full_in_ms: 60_000, ..LeaseAnswer::default() };
        slot.adopt(&answer, 1, Instant(START), Instant(START));
        // It is looked after as rarely as it may be.
        let mut now = Instant(START + number * 10_000_000);
        while !slot.wants_next(SECOND, now) {
            now = now.after(2_050_000_000);
            assert!(now.0 < START + 60 * SECOND);
            slot.take(1, 1, 0, now);
        }
        when.push(START + 60 * SECOND - now.0);
    }
    when.sort_unstable();
    let (latest, earliest) = (when[0], when[199]);
    assert!(latest > 1_900_000_000 && earliest <= 8 * SECOND && earliest - latest > 5 * SECOND, "{latest} {earliest}");
}

#[test]
fn nothing_is_spent_before_its_window_begins() {
    let mut world = world(5);
    assert_eq!(runs(&mut world, END).0, 5, "and it is refused to the end");
    assert!(world.next[&0].0.charged > 0, "who is refused is granted some of what follows");
    assert!(world.admits(0, 1), "at once");
    assert_eq!(runs(&mut world, END + 5 * SECOND).0, 4);
}

#[test]
fn who_wants_little_finds_something_too() {
    let mut world = world(100_000);
    world.ask(0, 1, false);
    for second in 0..15 {
        world.settle(0);
        assert!(world.admits(0, 1), "{second} s");
        world.tick(SECOND);
    }
    assert!(world.roll() > 0);
}

#[test]
fn who_finds_one_window_over_waits_for_what_is_there_of_the_next() {
    let mut world = world(100_000);
    // Answers that take long: this node takes the window for over too soon.
    world.answers_take = 300_000_000;
    runs(&mut world, END - 290_000_000);
    let charged = world.next[&0].0.charged;
    assert_eq!(world.ask(0, 1, false), Outcome::Waiting);
    assert!(world.workers[0].take_urgent().is_empty(), "nobody need be asked");
    world.now = Instant(END);
    assert_eq!(world.tick(50_000_000), [99], "it is judged again");
    assert!(world.admits(0, 1));
    assert_eq!(world.roll(), charged);
}

#[test]
fn what_nobody_wants_in_the_next_window_comes_back() {
    let mut world = world(100_000);
    runs(&mut world, END - 2 * SECOND);
    world.settle(0);
    assert!(world.next[&0].0.charged > 0);
    for _ in 0..60 {
        world.tick(100_000_000);
        world.settle(0);
    }
    assert_eq!(world.roll(), 0);
}

#[test]
fn who_gets_nothing_ahead_asks_when_it_begins_as_ever() {
    let mut world = world(100_000);
    runs(&mut world, END - 9 * SECOND);
    let mut asked = 0;
    while world.now.0 + 10_000_000 < END {
        world.tick(10_000_000);
        assert!(world.admits(0, 1));
        for ask in world.workers[0].take_background().into_iter().chain(world.workers[0].take_urgent()) {
            let mut answer = world.judge(&ask);
            if ask.after != 0 {
                asked += 1;
                answer = LeaseAnswer { lease: ask.lease, number: ask.number, closed: true, ..LeaseAnswer::default() };
            }
            world.answer(0, &ask, &answer);
        }
    }
    assert!((1..=5).contains(&asked), "{asked} asks in vain");
    world.next.clear();
    let (admitted, waited) = runs(&mut world, END + SECOND);
    assert!(admitted > 90 && waited == 1, "{admitted} {waited}");
}

#[test]
fn an_answer_that_comes_when_others_were_granted_already_is_returned() {
    let mut world = world(1_000);
    runs(&mut world, END - 9 * SECOND);
    let mut late = None;
    while world.now.0 < END {
        world.tick(10_000_000);
        world.admits(0, 1);
        for ask in world.workers[0].take_background().into_iter().chain(world.workers[0].take_urgent()) {
            let answer = world.judge(&ask);
            if ask.after != 0 {
                late = Some((ask, answer));
            } else {
                world.answer(0, &ask, &answer);
            }
        }
    }
    let (ask, answer) = late.unwrap();
    let (admitted, _) = runs(&mut world, END + SECOND);
    assert!(answer.granted > 0 && world.answer(0, &ask, &answer));
    for _ in 0..120 {
        world.tick(100_000_000);
        world.settle(0);
    }
    assert_eq!(world.rows[0].charged, admitted, "only what was admitted stays charged");
}
