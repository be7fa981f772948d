//! Leases that come with the answer to whose a key is: whatever becomes of the answer, no unit is lost or there twice.

use tollgate_core::wire::Recall;

use super::ledger::metered;
use super::*;

/// Longer than a slot is kept that nobody uses, and than its return takes.
const QUIET: u64 = 6 * SECOND;

/// A node whose backend knows the key `k` of `acme`, which has so many units.
fn world(workers: u8, units: u64) -> World {
    let mut world = World::new(workers, &json!({}));
    world.backend.issue("k", known("acme", metered(units)));
    world
}

impl World {
    /// What is charged is what was spent, and nothing is open.
    fn assert_spent(&mut self, spent: u64) {
        self.pass(QUIET);
        assert_eq!(self.backend.ledger.account("acme"), (spent, 0));
    }

    /// The leases that the questions asked for.
    fn asked(&self) -> Vec<Option<u64>> {
        self.backend.resolves.iter().map(|resolve| resolve.leases.as_ref().map(|leases| leases.lease)).collect()
    }
}

#[test]
fn a_new_key_of_a_consumer_with_a_quota_costs_one_call() {
    let mut world = world(1, 1_000);
    assert_eq!(world.settle(0, "k"), admitted("acme"));
    assert_eq!((world.backend.calls, world.backend.ledger.settles), (1, 0));
    let asked = world.backend.resolves[0].leases.clone().unwrap();
    assert_eq!((asked.lease, asked.need, asked.route.as_str()), (1, 1, "default"));
    assert_eq!(world.count(Counter::LeasedUnits), 15, "a share to begin with");
    assert_eq!((1..15).map(|_| world.ask(0, "k")).collect::<Vec<_>>(), vec![admitted("acme"); 14]);
    assert_eq!(world.backend.ledger.settles, 0);
    world.assert_spent(15);
}

#[test]
fn a_refusal_that_comes_with_the_answer_is_one_and_costs_no_call_more() {
    let mut world = world(1, 1_000);
    world.backend.issue("none", known("other", metered(1)));
    world.backend.ledger.prepare("other", 0);
    assert_eq!(world.settle(0, "none"), Got::Denied(Reason::QuotaExceeded));
    assert_eq!((world.backend.calls, world.backend.ledger.settles), (1, 0));
}

#[test]
fn who_was_refused_until_a_window_ends_asks_anew_once_the_ledgers_clock_was_set() {
    let mut world = world(1, 1_000);
    world.backend.ledger.prepare("acme", 0);
    for (freed, settles) in [(None, 0), (Some("other"), 0), (Some(""), 1)] {
        if let Some(consumer) = freed {
            let recall = Recall { consumer: consumer.to_owned(), limit: String::new(), freed: true };
            world.backend.publish(Change { recall: Some(recall), ..Change::default() });
            world.pass(SECOND);
        }
        assert_eq!([(); 2].map(|()| world.settle(0, "k")), [(); 2].map(|()| Got::Denied(Reason::QuotaExceeded)));
        assert_eq!(world.backend.ledger.settles, settles, "{freed:?}");
    }
}

#[test]
fn a_client_that_goes_away_leaves_units_that_are_spent_or_returned() {
    let mut world = world(1, 1_000);
    assert_eq!(world.ask(0, "k"), Got::Waits);
    let place = world.workers[0].keys.cache.place(b"k");
    world.workers[0].leave(&Awaited::Credential(place), world.streams);
    assert!(world.deliver().is_empty());
    assert_eq!(world.backend.ledger.account("acme"), (15, 1));
    world.assert_spent(0);
}

#[test]
fn what_comes_to_a_slot_in_use_is_returned() {
    let mut world = world(2, 1_000);
    world.backend.ledger.lavish = true;
    world.backend.issue("l", known("acme", metered(1_000)));
    assert_eq!([world.settle(0, "k"), world.settle(1, "k"), world.settle(1, "l")], [(); 3].map(|()| admitted("acme")));
    assert_eq!(world.backend.ledger.account("acme").1, 3, "each brought a lease");
    assert_eq!(world.count(Counter::LeasedUnits), 15, "one was taken");
    world.assert_spent(3);
}

#[test]
fn two_workers_that_ask_about_one_key_at_once_spend_from_one_lease() {
    let mut world = world(2, 1_000);
    assert_eq!([world.ask(0, "k"), world.ask(1, "k")], [Got::Waits, Got::Waits]);
    assert_eq!(world.deliver().len(), 2);
    assert_eq!((world.asked(), world.backend.ledger.settles), (vec![Some(1), Some(2)], 0));
    assert_eq!(world.backend.ledger.account("acme").1, 1);
    world.assert_spent(2);
}

#[test]
fn an_answer_that_was_lost_is_asked_for_again_unchanged_and_its_units_return() {
    let mut world = world(1, 1_000);
    world.backend.loses = true;
    assert_eq!(world.settle(0, "k"), Got::Denied(Reason::Unavailable));
    assert_eq!(world.backend.ledger.account("acme"), (15, 1));
    world.pass(5 * SECOND);
    assert_eq!(world.backend.ledger.account("acme"), (15, 1));
    let asked = world.asked();
    assert!((5..=7).contains(&asked.len()), "about once a second: {asked:?}");
    let first = world.backend.resolves[0].clone();
    assert!(world.backend.resolves.iter().all(|resolve| *resolve == first));
    world.backend.loses = false;
    world.assert_spent(0);
    let answered = world.asked().len();
    world.pass(QUIET);
    assert_eq!(world.asked().len(), answered, "answered, it is not asked again");
}

#[test]
fn a_lease_that_is_heard_of_late_serves_who_comes_meanwhile() {
    let mut world = world(1, 1_000);
    world.backend.loses = true;
    assert_eq!(world.settle(0, "k"), Got::Denied(Reason::Unavailable));
    world.backend.loses = false;
    // Its own question brings nothing, as a lease is open; so it asks the ledger by itself.
    assert_eq!(world.settle(0, "k"), admitted("acme"));
    assert_eq!((world.asked(), world.backend.ledger.settles), (vec![Some(1), Some(2)], 1));
    world.assert_spent(1);
}

#[test]
fn the_questions_whose_leases_are_owed_are_bounded() {
    let mut world = world(1, 1_000_000);
    world.backend.loses = true;
    for number in 0..70 {
        let key = format!("k{number}");
        world.backend.issue(&key, known("acme", metered(1_000_000)));
        assert_eq!(world.settle(0, &key), Got::Denied(Reason::Unavailable));
        world.pass(600 * MS);
    }
    let mut asked: Vec<u64> = world.asked().into_iter().flatten().collect();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), 64);
    assert!(world.asked().last().unwrap().is_none() || world.asked().contains(&None), "the others asked for none");
    world.backend.loses = false;
    world.assert_spent(0);
}

#[test]
fn a_ledger_that_was_late_is_asked_again_and_what_it_granted_returns() {
    let mut world = world(1, 1_000);
    world.backend.ledger.late = true;
    // The key is known at once; units are asked for by themselves.
    assert_eq!(world.settle(0, "k"), admitted("acme"));
    assert_eq!(world.backend.ledger.settles, 1);
    world.pass(3 * SECOND);
    assert!(world.asked().len() > 2 && world.asked().iter().all(|asked| *asked == Some(1)), "{:?}", world.asked());
    assert_eq!(world.backend.ledger.account("acme").1, 1, "of two, the one that nobody knows of");
    world.backend.ledger.late = false;
    world.assert_spent(1);
}

#[test]
fn a_backend_that_knows_nothing_of_first_leases_is_asked_for_them_apart() {
    let mut world = world(1, 1_000);
    world.backend.ledger.old = true;
    world.backend.ledger.prepare("acme", 1_000);
    assert_eq!(world.settle(0, "k"), admitted("acme"));
    assert_eq!((world.backend.calls, world.backend.ledger.settles), (1, 1));
    world.assert_spent(1);
    assert_eq!(world.asked().len(), 1);
}

#[test]
fn an_answer_whose_key_is_to_be_asked_about_again_brings_its_leases_once() {
    let mut world = world(1, 1_000);
    assert_eq!(world.ask(0, "k"), Got::Waits);
    let calls = world.workers[0].take_calls();
    let answers: Vec<(Purpose, Vec<u8>)> = calls.iter().map(|call| (call.purpose, world.backend.answer(call, false).unwrap().1)).collect();
    // Read before, delivered after.
    let change = ConsumerChange { id: "acme".to_owned(), tier: Some(metered(1_000)) };
    world.backend.publish(Change { consumer: Some(change), ..Change::default() });
    world.pass(50 * MS);
    let mut woken = Vec::new();
    for (purpose, body) in answers {
        world.heard(0, purpose, Answer::Whole(200, &body), &mut woken);
    }
    assert!(woken.is_empty());
    assert_eq!(world.deliver().pop().unwrap().2, admitted("acme"));
    assert_eq!(world.asked(), [Some(1), None]);
    assert_eq!(world.backend.ledger.settles, 0);
    world.assert_spent(1);
}

#[test]
fn a_token_that_is_not_taken_changes_nothing_about_what_is_asked() {
    let mut world = world(1, 1_000);
    world.backend.token += 1;
    assert_eq!(world.ask(0, "k"), Got::Waits);
    assert!(world.deliver().is_empty());
    assert_eq!(world.ask(0, "k"), Got::Waits);
    let woken: Vec<Got> = world.pass(500 * MS).into_iter().map(|(_, _, got)| got).collect();
    assert_eq!(woken, [admitted("acme"), admitted("acme")]);
    assert_eq!((world.asked(), world.backend.ledger.settles), (vec![Some(1)], 0));
    world.assert_spent(2);
}

#[test]
fn who_is_known_and_asked_about_again_needs_no_first_lease() {
    let mut world = world(1, 1_000);
    assert_eq!(world.settle(0, "k"), admitted("acme"));
    world.backend.silent = true;
    world.pass_without_polls(3 * SECOND);
    assert_eq!(world.settle(0, "k"), admitted("acme"));
    assert_eq!(world.asked(), [Some(1), None]);
}

#[test]
fn a_guess_owes_nothing() {
    let mut world = world(1, 1_000);
    assert_eq!(world.settle(0, "guess"), Got::Denied(Reason::InvalidKey));
    world.pass(3 * SECOND);
    assert_eq!(world.asked(), [Some(1)]);
}

/// Requests of four keys of one consumer on three workers, answers that are lost or late, clients that go away: whatever happens, what is
/// charged in the end is what was spent.
#[test]
fn no_unit_is_lost_or_there_twice() {
    for seed in 1..=40_u64 {
        let mut world = world(3, 300);
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let keys: Vec<String> = (0..4).map(|number| format!("k{number}")).collect();
        keys.iter().for_each(|key| world.backend.issue(key, known("acme", metered(300))));
        let mut spent = 0;
        let count = |woken: &[(u32, String, Got)]| woken.iter().filter(|(_, _, got)| *got == admitted("acme")).count() as u64;
        for _ in 0..150 {
            match random(10) {
                0 => world.backend.loses = !world.backend.loses,
                1 => world.backend.ledger.late = !world.backend.ledger.late,
                2 => world.backend.ledger.lavish = !world.backend.ledger.lavish,
                3 => {
                    // All that is known is forgotten, and asked about again.
                    let change = ConsumerChange { id: "acme".to_owned(), tier: None };
                    world.backend.publish(Change { consumer: Some(change), ..Change::default() });
                }
                4 => world.waiting.clear(),
                5 => spent += count(&world.pass((1 + random(40)) * 50 * MS)),
                _ => {
                    let (worker, key) = (random(3), random(4));
                    spent += u64::from(world.ask(worker as usize, &keys[key as usize]) == admitted("acme"));
                    spent += if random(2) == 0 { count(&world.deliver()) } else { 0 };
                }
            }
            let (charged, _) = world.backend.ledger.account("acme");
            assert!((spent..=300).contains(&charged), "seed {seed}: {spent} spent, {charged} charged");
        }
        (world.backend.loses, world.backend.ledger.late) = (false, false);
        // Longer than a refusal is remembered.
        spent += count(&world.pass(90 * SECOND));
        world.assert_spent(spent);
        assert!(spent > 0);
    }
}
