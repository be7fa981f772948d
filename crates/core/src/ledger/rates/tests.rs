#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use proptest::prelude::*;

use super::*;
use crate::window::SlidingWindow;

const START: u64 = 1_000_000;

fn bucket(rate: u64, burst: u64) -> Rate {
    Rate::TokenBucket(TokenBucket::new(rate, SECOND, burst).unwrap())
}

fn window(limit: u32, seconds: u64) -> Rate {
    Rate::SlidingWindow(SlidingWindow::new(limit, seconds * SECOND).unwrap())
}

fn needs(number: u64, need: u64) -> LeaseAsk {
    LeaseAsk { lease: 1, number, window: if number == 1 { 0 } else { START }, need, waiting: need, ..LeaseAsk::default() }
}

#[test]
fn a_burst_is_granted_at_once_and_more_as_it_flows_in() {
    let mut row = RateRow::new(bucket(100, 300), START);
    assert_eq!(row.settle(1, &needs(1, 300), START).granted, 300);
    let refused = row.settle(2, &needs(1, 1), START);
    assert_eq!((refused.granted, refused.retry_ms, refused.left), (0, RETRY, 0));
    assert_eq!(row.settle(2, &needs(2, 40), START + 400).granted, 40);
    let refused = row.settle(2, &needs(3, 50), START + 400);
    assert_eq!((refused.granted, refused.retry_ms), (0, 500), "when so much has flowed in");
}

#[test]
fn a_small_burst_is_as_large_as_what_flows_in_in_a_second() {
    let mut row = RateRow::new(bucket(100, 5), START);
    let answer = row.settle(1, &needs(1, 100), START);
    assert_eq!((answer.granted, answer.limit), (100, 5));
    assert_eq!(row.settle(1, &needs(2, 1), START).granted, 0);
}

#[test]
fn an_ask_that_comes_again_gets_the_same_units_for_what_is_left_of_their_life() {
    let mut row = RateRow::new(bucket(10, 50), START);
    let first = row.settle(1, &needs(1, 20), START);
    assert_eq!((first.granted, first.expires_in_ms), (20, LIFE));
    let again = row.settle(1, &needs(1, 20), START + 700);
    assert_eq!((again.granted, again.expires_in_ms), (20, LIFE - 700));
    assert_eq!(row.settle(1, &needs(1, 20), START + LIFE).granted, 0, "they have expired");
    assert_eq!(row.settle(2, &needs(1, 50), START + LIFE).granted, 50, "charged once, and drained since");
}

#[test]
fn what_comes_back_of_a_bucket_is_credited_but_for_what_time_has_refilled() {
    let close = |returned| LeaseAsk { returned, close: true, ..needs(2, 0) };
    for (after, credited) in [(0, 40), (1_000, 30), (5_000, 0)] {
        let mut row = RateRow::new(bucket(10, 1_000), START);
        assert_eq!(row.settle(1, &needs(1, 1_000), START).granted, 1_000);
        let left = row.settle(1, &close(40), START + after).left;
        assert_eq!(left, after / 100 + credited, "after {after} ms");
    }
}

#[test]
fn what_comes_back_of_a_window_is_credited_in_full() {
    let mut row = RateRow::new(window(100, 60), START);
    assert_eq!(row.settle(1, &needs(1, 100), START).granted, 100);
    let close = LeaseAsk { returned: 40, close: true, ..needs(2, 0) };
    assert_eq!(row.settle(1, &close, START + 1_500).left, 40);
    assert!(row.settle(1, &close, START + 1_500).closed && row.settle(2, &needs(1, 41), START + 1_600).granted == 0, "once");
}

#[test]
fn a_window_counts_units_from_when_they_may_be_spent_at_the_latest() {
    // Sub-windows of a second. Granted at the end of one, spent at the end of the next.
    let mut row = RateRow::new(window(100, 30), START);
    let granted = START + 999;
    let spent = granted + row.settle(1, &needs(1, 100), granted).expires_in_ms;
    for at in (granted..spent + 30_000).step_by(100) {
        assert_eq!(row.settle(at, &needs(1, 1), at).granted, 0, "{} ms too early", spent + 30_000 - at);
    }
    assert_eq!(row.settle(0, &needs(1, 100), spent + 31_000).granted, 100);
}

#[test]
fn no_more_than_the_newest_grant_comes_back() {
    let mut row = RateRow::new(bucket(1, 1_000), START);
    row.settle(1, &needs(1, 500), START);
    row.settle(1, &needs(2, 10), START);
    let lies = LeaseAsk { returned: 510, close: true, ..needs(3, 0) };
    assert_eq!(row.settle(1, &lies, START).left, 500);
}

#[test]
fn leases_of_another_account_are_closed() {
    let mut row = RateRow::new(bucket(10, 50), START + 1);
    assert!(row.settle(1, &needs(2, 5), START + 1).closed);
}

#[test]
fn holders_share_what_there_is_and_are_forgotten_when_silent() {
    let mut row = RateRow::new(bucket(1_000, 1_000), START);
    let wants = |number| LeaseAsk { demand: 1_000_000, ..needs(number, 1) };
    row.settle(1, &needs(1, 1), START);
    let left = row.settle(2, &needs(1, 1), START).left;
    let half = row.settle(1, &wants(2), START);
    assert_eq!((half.granted, half.retry_ms), ((left + 500) / 4, 0), "with what flows in soon; and more may be asked for at once");
    let scarce = (3..20).map(|number| row.settle(1, &wants(number), START)).find(|answer| answer.retry_ms > 0).unwrap();
    assert!(scarce.granted > 1 && scarce.left < 200, "until little is left, and who has spent that waits a little: {scarce:?}");
    assert!(!row.is_idle(START + 5_000) && row.is_idle(START + REMEMBERED + 1));
    row.settle(3, &needs(1, 1), START + REMEMBERED + 1);
    assert_eq!(row.holders.len(), 1);
}

#[test]
fn where_a_call_for_each_is_no_more_nobody_waits() {
    let mut row = RateRow::new(bucket(10, 10), START);
    let wants = |number| LeaseAsk { demand: 50_000, ..needs(number, 1) };
    for number in 1..=2 {
        let few = row.settle(number, &wants(1), START);
        assert_eq!((few.granted, few.retry_ms), (if number == 1 { 7 } else { 2 }, 0));
    }
}

#[test]
fn who_waits_gets_its_part_whatever_is_kept_back_from_who_asks_ahead() {
    let mut row = RateRow::new(bucket(10, 1_000), START);
    row.settle(1, &needs(1, 1), START);
    let left = row.settle(2, &needs(1, 1), START).left;
    let part = row.settle(1, &LeaseAsk { waiting: 900, ..needs(2, 1) }, START);
    assert_eq!(part.granted, left / 2);
}

#[test]
fn who_is_refused_what_others_hold_asks_again_soon() {
    let hourly = Rate::TokenBucket(TokenBucket::new(30, 3_600 * SECOND, 30).unwrap());
    let mut row = RateRow::new(hourly, START);
    row.settle(1, &needs(1, 30), START);
    assert_eq!(row.settle(2, &needs(1, 1), START).retry_ms, RETRY_HELD);
    let close = LeaseAsk { returned: 10, close: true, ..needs(2, 0) };
    row.settle(1, &close, START + 500);
    assert_eq!(row.settle(2, &needs(2, 1), START + 1_000).granted, 1);
    assert_eq!(row.settle(3, &needs(1, 25), START + 1_000).retry_ms, RETRY_HELD, "the other one's lease");
    assert_eq!(row.settle(2, &needs(3, 25), START + LIFE + 1_000).retry_ms, LONGEST_RETRY);
}

#[test]
fn another_rate_keeps_what_was_charged_unless_the_period_is_another() {
    let mut row = RateRow::new(bucket(10, 50), START);
    row.settle(1, &needs(1, 50), START);
    row.set_rate(bucket(20, 70));
    assert_eq!(row.settle(1, &needs(2, 21), START).granted, 0);
    assert_eq!(row.settle(1, &needs(3, 20), START).granted, 20);
    row.set_rate(window(30, 60));
    assert_eq!(row.settle(1, &needs(4, 30), START).granted, 30);
}

proptest! {
    /// Whatever is asked when by whom, and spent as late as possible, keeps to what is promised.
    #[test]
    fn no_window_admits_more_than_its_limit(
        limit in 1_u32..200,
        asks in prop::collection::vec((0_u64..3, 0_u64..1_500, 1_u64..60, 0_u64..60), 1..120),
        late in any::<bool>(),
    ) {
        let rate = window(limit, 20);
        let mut row = RateRow::new(rate, START);
        let (mut now, mut numbers, mut returned, mut newest) = (START, [0; 3], [0; 3], [0; 3]);
        let mut spent: Vec<(u64, u64)> = Vec::new();
        for (holder, after, need, back) in asks {
            now += after;
            let own = usize::try_from(holder).unwrap();
            numbers[own] += 1;
            // Units of the newest grant come back within their life, and are not spent then.
            let back = if after < 400 { back.min(newest[own]) } else { 0 };
            if back > 0 && let Some(last) = spent.iter_mut().rev().find(|(at, units)| *at >= now && *units >= back) {
                last.1 -= back;
                returned[own] += back;
            }
            let ask = LeaseAsk { returned: returned[own], ..needs(numbers[own], need) };
            let answer = row.settle(holder, &ask, now);
            newest[own] = answer.granted;
            spent.push((if late { now + answer.expires_in_ms } else { now }, answer.granted));
        }
        spent.sort_unstable();
        for (at, _) in &spent {
            let within: u64 = spent.iter().filter(|(other, _)| *other >= *at && *other < at + 20_000).map(|(_, units)| units).sum();
            prop_assert!(within <= u64::from(limit), "{within} of {limit}");
        }
    }

    #[test]
    fn no_time_admits_more_than_capacity_and_what_flows_in(
        (rate, burst) in (1_u64..500, 1_u64..1_000),
        asks in prop::collection::vec((0_u64..3, 0_u64..1_500, 1_u64..300), 1..120),
        late in prop::collection::vec(any::<bool>(), 120),
    ) {
        let mut row = RateRow::new(bucket(rate, burst), START);
        let (mut now, mut numbers) = (START, [0; 3]);
        let mut spent: Vec<(u64, u64)> = Vec::new();
        for ((holder, after, need), late) in asks.into_iter().zip(late) {
            now += after;
            let own = usize::try_from(holder).unwrap();
            numbers[own] += 1;
            let answer = row.settle(holder, &needs(numbers[own], need), now);
            spent.push((if late { now + answer.expires_in_ms } else { now }, answer.granted));
        }
        spent.sort_unstable();
        let capacity = burst.max(rate);
        for (first, (from, _)) in spent.iter().enumerate() {
            let mut sum = 0;
            for (to, units) in spent.iter().skip(first) {
                sum += units;
                let most = capacity + rate * (to - from + LIFE) / 1_000;
                prop_assert!(sum <= most, "{sum} of {most} in {} ms", to - from);
            }
        }
    }
}
