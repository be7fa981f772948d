#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const WINDOW: Window = Window { start: 1_000_000, end: 87_400_000 };
const NOW: u64 = 2_000_000;

fn ask(lease: u64, number: u64) -> LeaseAsk {
    let window = if number == 1 { 0 } else { WINDOW.start };
    LeaseAsk { consumer: "acme".to_owned(), limit: "daily".to_owned(), lease, number, window, ..LeaseAsk::default() }
}

fn needs(lease: u64, number: u64, need: u64) -> LeaseAsk {
    LeaseAsk { need, waiting: need, ..ask(lease, number) }
}

fn returns(lease: u64, number: u64, returned: u64) -> LeaseAsk {
    LeaseAsk { returned, close: true, ..ask(lease, number) }
}

#[test]
fn what_follows_is_asked_for_shortly_before_and_stays_the_same_afterwards() {
    let ahead = LeaseAsk { after: WINDOW.start, ..ask(1, 1) };
    assert_eq!(WINDOW.asked(&ahead), Which::Following);
    let next = Window { start: WINDOW.end, end: WINDOW.end + 86_400_000 };
    assert_eq!(WINDOW.following(next, WINDOW.end - AHEAD - 1), None, "too early");
    assert_eq!(WINDOW.following(Window { start: 5, ..next }, WINDOW.end - AHEAD), Some(next), "whatever a calendar says");
    assert_eq!(next.asked(&ahead), Which::InForce, "the same ask, after the boundary");
    assert_eq!(WINDOW.asked(&LeaseAsk { after: next.start, ..ask(1, 1) }), Which::Neither, "of what nobody knows of");
    assert_eq!(WINDOW.asked(&LeaseAsk { window: next.start, ..ask(1, 2) }), Which::Following, "what it was answered");
    assert_eq!(WINDOW.asked(&ask(1, 2)), Which::InForce);
    let row = Row::new(next, 10);
    assert!(row.has_begun(next.start) && !row.has_begun(next.start - 1), "as the clock says");
    assert!(Row { begun: true, ..row }.has_begun(next.start - 1), "and for good");
    let answer = { row }.settle(&mut Holder::default(), &needs(1, 1, 1), WINDOW.end - 5_000, 1).answer;
    assert_eq!((answer.granted, answer.opens_in_ms, answer.full_in_ms), (1, 5_000, 86_405_000));
}

/// A row of a limit, with one holder.
fn row(limit: u64) -> (Row, Holder) {
    (Row::new(WINDOW, limit), Holder::default())
}

#[test]
fn a_repeated_ask_gets_the_same_answer_and_an_older_one_nothing() {
    let (mut row, mut holder) = row(1_000);
    let first = row.settle(&mut holder, &needs(1, 1, 5), NOW, 1).answer;
    assert!(first.granted >= 5 && !first.closed, "{first:?}");
    let (charged, held) = (row.charged, row.held);
    assert_eq!(row.settle(&mut holder, &needs(1, 1, 900), NOW, 1).answer.granted, first.granted);
    let second = row.settle(&mut holder, &needs(1, 2, 30), NOW, 1).answer;
    assert_eq!(row.charged, charged + second.granted);
    assert_eq!(row.settle(&mut holder, &needs(1, 1, 5), NOW, 1).answer.granted, 0, "nobody waits for it");
    assert_eq!((row.charged, row.held), (charged + second.granted, held - first.granted + second.granted));
}

#[test]
fn a_loss_is_shown_by_what_follows_an_answer_that_was_never_given() {
    let (mut row, mut holder) = row(1_000);
    let granted = row.settle(&mut holder, &needs(2, 1, 5), NOW, 1).answer.granted;
    let lost = |ask: LeaseAsk| holder.shows_loss(&ask, WINDOW.start);
    assert!(lost(ask(2, 3)) && lost(ask(3, 2)) && lost(returns(3, 2, 0)) && lost(returns(2, 4, 0)) && lost(returns(2, 2, granted + 1)));
    // Its next ask, and its last one, which does not wait for an answer.
    assert!(!lost(ask(2, 2)) && !lost(returns(2, 2, granted)) && !lost(returns(2, 3, granted)));
    // A first ask, one that comes late, and one of another window.
    assert!(!lost(ask(3, 1)) && !lost(ask(1, 9)) && !lost(LeaseAsk { window: WINDOW.start - 1, ..ask(3, 2) }));
    row.settle(&mut holder, &returns(2, 2, 0), NOW, 1);
    assert!(!holder.shows_loss(&ask(2, 9), WINDOW.start), "of a closed one no ask is counted");
}

#[test]
fn what_is_returned_is_free_again_once_however_often_it_is_told() {
    let (mut row, mut holder) = row(100);
    let granted = row.settle(&mut holder, &needs(1, 1, 60), NOW, 1).answer.granted;
    assert_eq!((granted, row.free()), (60, 40));
    let close = returns(1, 2, 25);
    assert!(row.settle(&mut holder, &close, NOW, 1).answer.closed);
    assert_eq!((row.charged, row.held), (35, 0));
    assert!(row.settle(&mut holder, &close, NOW, 1).answer.closed);
    assert!(row.settle(&mut holder, &needs(1, 1, 60), NOW, 1).answer.closed, "a late first ask opens nothing again");
    assert_eq!((row.charged, row.free()), (35, 65));
    assert_eq!(holder.leases.len(), 1, "the newest number is remembered");
}

#[test]
fn more_than_was_granted_is_never_taken_back() {
    let (mut row, mut holder) = row(100);
    let granted = row.settle(&mut holder, &needs(1, 1, 10), NOW, 1).answer.granted;
    assert!(row.settle(&mut holder, &returns(1, 2, granted + 1), NOW, 1).answer.closed);
    assert_eq!((row.charged, holder.open()), (granted, 0));
}

#[test]
fn what_was_never_opened_here_cannot_be_continued_or_opened_later() {
    let (mut row, mut holder) = row(100);
    assert!(row.settle(&mut holder, &returns(5, 2, 10), NOW, 1).answer.closed);
    assert!(row.settle(&mut holder, &needs(5, 1, 10), NOW, 1).answer.closed, "its return was here first");
    assert!(row.settle(&mut holder, &needs(4, 1, 10), NOW, 1).answer.closed, "older than the newest");
    assert!(!row.settle(&mut holder, &needs(6, 1, 10), NOW, 1).answer.closed);
    let other_window = LeaseAsk { window: WINDOW.start - 1, ..needs(6, 2, 10) };
    assert!(row.settle(&mut holder, &other_window, NOW, 1).answer.closed);
    let again = row.settle(&mut holder, &needs(6, 1, 10), NOW, 1).answer;
    assert_eq!(row.charged, again.granted);
}

#[test]
fn leases_of_one_holder_are_bounded() {
    let (mut row, mut holder) = row(1_000_000);
    let most = MOST_OPEN as u64;
    assert!((1..=most).all(|lease| row.settle(&mut holder, &needs(lease, 1, 1), NOW, 1).answer.granted >= 1));
    assert!(row.settle(&mut holder, &needs(most + 1, 1, 1), NOW, 1).answer.closed);
    row.settle(&mut holder, &returns(1, 2, 0), NOW, 1);
    assert!(row.settle(&mut holder, &needs(most + 2, 1, 1), NOW, 1).answer.granted >= 1);
    assert_eq!(holder.leases.len(), MOST_OPEN);
}

#[test]
fn a_grant_is_enough_for_what_waits_or_nothing() {
    let (mut row, mut holder) = row(10);
    let refused = row.settle(&mut holder, &needs(1, 1, 11), NOW, 1).answer;
    assert_eq!((refused.granted, refused.retry_ms), (0, WINDOW.end - NOW), "it never fits");
    assert_eq!(row.settle(&mut holder, &needs(1, 2, 8), NOW, 1).answer.granted, 8);
    assert_eq!(row.settle(&mut holder, &needs(1, 3, 3), NOW, 1).answer.granted, 0);
    assert_eq!(row.settle(&mut holder, &needs(1, 4, 2), NOW, 1).answer.granted, 2);
}

#[test]
fn who_finds_nothing_is_told_whether_others_may_return_some() {
    let (mut row, mut holder) = row(10);
    let mut other = Holder::default();
    assert_eq!(row.settle(&mut other, &needs(1, 1, 10), NOW, 2).answer.granted, 10);
    let settled = row.settle(&mut holder, &needs(1, 1, 1), NOW, 2);
    assert_eq!((settled.answer.retry_ms, settled.recall), (RETRY, true));
    row.settle(&mut other, &returns(1, 2, 0), NOW, 2);
    let settled = row.settle(&mut holder, &needs(1, 2, 1), NOW, 2);
    assert_eq!((settled.answer.retry_ms, settled.recall), (WINDOW.end - NOW, false), "all is spent");
    // A refusal that is repeated when there is something again.
    row.limit = 11;
    let again = row.settle(&mut holder, &needs(1, 2, 1), NOW, 2).answer;
    assert_eq!((again.granted, again.retry_ms), (0, 1));
    // What a holder has itself is no reason to come back soon.
    let (mut row, mut holder) = (Row::new(WINDOW, 10), Holder::default());
    row.settle(&mut holder, &needs(1, 1, 10), NOW, 1);
    let own = LeaseAsk { own: 10, ..needs(1, 2, 11) };
    assert_eq!(row.settle(&mut holder, &own, NOW, 1).answer.retry_ms, WINDOW.end - NOW);
}

#[test]
fn who_was_told_that_all_is_spent_hears_of_units_that_come_back_after_all() {
    let (mut row, mut holder) = row(10);
    let mut other = Holder::default();
    row.settle(&mut other, &needs(1, 1, 10), NOW, 2);
    // A worker has all of them in its hands.
    row.settle(&mut other, &LeaseAsk { own: 0, ..ask(1, 2) }, NOW, 2);
    let refused = row.settle(&mut holder, &needs(1, 1, 1), NOW, 2);
    assert_eq!((refused.answer.retry_ms, refused.freed), (WINDOW.end - NOW, false));
    assert!(!row.settle(&mut other, &ask(1, 3), NOW, 2).freed, "nothing came back");
    assert!(row.settle(&mut other, &returns(1, 4, 6), NOW, 2).freed);
    assert!(!row.told_spent, "it is told once");
}

#[test]
fn plenty_lasts_long_and_little_is_shared() {
    let (mut row, mut holder) = row(1_000_000);
    let busy = LeaseAsk { demand: 1_000_000, ..needs(1, 1, 1) };
    let answer = row.settle(&mut holder, &busy, NOW, 1).answer;
    assert_eq!(answer.granted, 300_000, "1,000 a second, for 300 s");
    assert_eq!(answer.lasts_ms, LONGEST_LEASE * 7 / 10);
    row.charged = 999_000;
    let mut other = Holder::default();
    let answer = row.settle(&mut other, &LeaseAsk { demand: 10_000_000, ..needs(1, 1, 1) }, NOW, 5).answer;
    assert_eq!((answer.granted, answer.lasts_ms), (100, SHORTEST_LEASE), "a tenth, with five who want some");
    let answer = row.settle(&mut other, &LeaseAsk { own: 100, demand: 10_000_000, ..ask(1, 2) }, NOW, 5).answer;
    assert_eq!(answer.granted, 0, "it has its share");
}

#[test]
fn a_lowered_limit_grants_nothing_until_enough_came_back() {
    let (mut row, mut holder) = row(100);
    row.settle(&mut holder, &needs(1, 1, 80), NOW, 1);
    row.limit = 50;
    assert_eq!(row.free(), 0);
    assert_eq!(row.settle(&mut holder, &needs(1, 2, 1), NOW, 1).answer.granted, 0);
    let back = LeaseAsk { returned: 40, ..needs(1, 3, 1) };
    let answer = row.settle(&mut holder, &back, NOW, 1).answer;
    assert!(answer.granted >= 1, "{answer:?}");
    assert!(row.charged <= row.limit);
    row.overage = 60;
    assert_eq!((row.free(), row.settle(&mut holder, &needs(1, 4, 1), NOW, 1).answer.granted), (0, 0));
}

#[test]
fn releasing_a_lost_holder_frees_what_it_last_had() {
    let (mut row, mut holder) = row(100);
    row.settle(&mut holder, &needs(1, 1, 40), NOW, 1);
    let own = LeaseAsk { own: 15, ..needs(1, 2, 10) };
    assert_eq!(row.settle(&mut holder, &own, NOW, 1).answer.granted, 10);
    assert_eq!(row.release(&mut holder), 25);
    assert_eq!((row.charged, row.held, holder.open()), (25, 0, 0));
    assert!(row.settle(&mut holder, &needs(1, 3, 1), NOW, 1).answer.closed);
    assert_eq!(row.release(&mut holder), 0);
}

#[test]
fn windows_follow_each_other_and_never_come_back() {
    let day = |day: u64| Window { start: day * 100, end: (day + 1) * 100 };
    assert_eq!(Window::in_force(None, day(3), 350), day(3));
    assert_eq!(Window::in_force(Some(day(3)), day(3), 399), day(3));
    assert_eq!(Window::in_force(Some(day(3)), day(4), 400), day(4));
    assert_eq!(Window::in_force(Some(day(3)), day(9), 950), day(9), "nobody came for days");
    assert_eq!(Window::in_force(Some(day(3)), day(2), 250), day(3), "the clock was put back");
    let shifted = Window { start: 370, end: 470 };
    assert_eq!(Window::in_force(Some(day(3)), shifted, 380), day(3), "another time zone acts at the next one");
    assert_eq!(Window::in_force(Some(day(3)), shifted, 410), Window { start: 400, end: 470 });
}

/// What holders say, truthfully or not.
#[derive(Clone, Copy, Debug)]
struct Said {
    holder: usize,
    lease: u64,
    number: u64,
    returned: u64,
    close: bool,
    need: u64,
    own: u64,
    demand: u64,
}

fn said() -> impl Strategy<Value = Said> {
    let numbers = (0..3_usize, 1..5_u64, 1..6_u64, 0..60_u64);
    (numbers, any::<bool>(), 0..40_u64, 0..100_u64, 0..10_000_u64).prop_map(
        |((holder, lease, number, returned), close, need, own, demand)| Said { holder, lease, number, returned, close, need, own, demand },
    )
}

proptest! {
    /// Whatever is said, a row is never charged beyond its limit, and its account is the sum of its leases'.
    #[test]
    fn accounts_add_up_and_are_never_over(said in prop::collection::vec(said(), 1..80), limit in 1..500_u64, active in 0..4_u64) {
        let mut row = Row::new(WINDOW, limit);
        let mut holders = vec![Holder::default(); 3];
        let mut granted = 0;
        let mut returned = 0;
        let mut answered: BTreeMap<(usize, u64, u64), u64> = BTreeMap::new();
        for Said { holder, lease, number, returned: back, close, need, own, demand } in said {
            let before = row;
            let ask = LeaseAsk { returned: back, close, need, waiting: need, own, demand, ..ask(lease, number) };
            let settled = row.settle(&mut holders[holder], &ask, NOW, active);
            let answer = settled.answer;
            prop_assert!(row.charged <= limit);
            prop_assert!(answer.granted == 0 || answer.granted >= need || answered.contains_key(&(holder, lease, number)));
            if answer.granted > 0 {
                let first = *answered.entry((holder, lease, number)).or_insert(answer.granted);
                prop_assert_eq!(first, answer.granted, "the same answer each time");
            }
            if row != before {
                returned += (before.charged + answer.granted).saturating_sub(row.charged);
                granted += answer.granted;
            }
            prop_assert_eq!(row.charged, granted - returned);
            let held: u64 = holders.iter().flat_map(|holder| &holder.leases).map(|lease| lease.held).sum();
            prop_assert_eq!(row.held, held);
            prop_assert!(row.held <= row.charged);
        }
    }
}
