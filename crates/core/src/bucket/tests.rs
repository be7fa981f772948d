use proptest::prelude::*;

use super::*;
use crate::time::SECOND;

fn spend_now(bucket: &TokenBucket, state: BucketState, now: u64, units: u64) -> Option<BucketState> {
    bucket.spend(state, Instant(now), Instant(now), units)
}

#[test]
fn throttles_after_burst_and_recovers_after_one_refill() {
    let bucket = TokenBucket::new(3, SECOND, 5).unwrap();
    let start = 1_000 * SECOND;
    let mut state = BucketState::default();
    for _ in 0..5 {
        state = spend_now(&bucket, state, start, 1).unwrap();
    }
    assert_eq!(spend_now(&bucket, state, start, 1), None);
    // A third of a second is no whole number of nanoseconds: the first that admits is the one after.
    assert_eq!(bucket.until_admitted(state, Instant(start), 1), Some(333_333_334));
    assert_eq!(spend_now(&bucket, state, start + 333_333_333, 1), None);
    assert!(spend_now(&bucket, state, start + 333_333_334, 1).is_some());
    assert_eq!(bucket.until_full(state, Instant(start)), 1_666_666_667);
}

#[test]
fn more_than_the_burst_never_succeeds() {
    let bucket = TokenBucket::new(1, SECOND, 5).unwrap();
    assert_eq!(bucket.until_admitted(BucketState::default(), Instant(0), 6), None);
    assert_eq!(spend_now(&bucket, BucketState::default(), u64::MAX, 6), None);
}

#[test]
fn extreme_numbers_do_not_overflow() {
    let bucket = TokenBucket::new(u64::MAX, 1, u64::MAX).unwrap();
    let state = spend_now(&bucket, BucketState::default(), u64::MAX, u64::MAX);
    assert!(state.is_some());
    let slow = TokenBucket::new(1, u64::MAX, u64::MAX).unwrap();
    let state = slow.spend(BucketState::default(), Instant(0), Instant(u64::MAX), 1);
    assert!(state.is_some());
    assert_eq!(BucketState::decode(&[0; 23]), None);
}

#[test]
fn what_time_has_refilled_is_not_given_back_again() {
    let bucket = TokenBucket::new(10, SECOND, 10).unwrap();
    let mut state = spend_now(&bucket, BucketState::default(), 0, 5).unwrap();
    // After half a second the five are back by themselves; others then empty the bucket.
    state = spend_now(&bucket, state, SECOND / 2, 10).unwrap();
    let refunded = bucket.give_back(state, Instant(SECOND / 2), Instant(0), 5);
    assert_eq!(bucket.remaining(refunded, Instant(SECOND / 2)), 0);
    let at_once = bucket.give_back(state, Instant(SECOND / 2), Instant(SECOND / 2), 5);
    assert_eq!(bucket.remaining(at_once, Instant(SECOND / 2)), 5);
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Spend(u64),
    Take { units: u64, hold: u64, spent: u64, spend_after: u64 },
    Refunded { units: u64, after: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..2_000_u64).prop_map(Step::Wait),
        (1..4_u64).prop_map(Step::Spend),
        (1..6_u64, 0..500_u64, 0..6_u64, 0..500_u64).prop_map(|(units, hold, spent, after)| Step::Take {
            units,
            hold,
            spent: spent.min(units),
            spend_after: after.min(hold)
        }),
        (1..4_u64, 0..800_u64).prop_map(|(units, after)| Step::Refunded { units, after }),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    /// What counts (spent and not refunded) never exceeds burst + rate x t over any stretch of time t, whether units were
    /// spent at once, taken in advance and spent until the end of their hold, returned, or refunded.
    #[test]
    fn never_over(steps in steps(), rate in 1..8_u64, period in 100..1_000_u64, burst in 1..12_u64) {
        let bucket = TokenBucket::new(rate, period, burst).unwrap();
        let mut state = BucketState::default();
        let mut now = 0;
        let mut spends: Vec<(u64, u64)> = Vec::new();
        // (when, charged as of, units): returns that fall due later, while other steps go on.
        let mut returns: Vec<(u64, u64, u64)> = Vec::new();
        for step in steps {
            returns.sort_unstable();
            match step {
                Step::Wait(nanos) => now += nanos,
                Step::Spend(units) => if let Some(next) = spend_now(&bucket, state, now, units) {
                    state = next;
                    spends.push((now, units));
                },
                Step::Take { units, hold, spent, spend_after } => if let Some(next) = bucket.spend(state, Instant(now), Instant(now + hold), units) {
                    state = next;
                    spends.push((now + spend_after, spent));
                    returns.push((now + spend_after, now + hold, units - spent));
                },
                Step::Refunded { units, after } => if let Some(next) = spend_now(&bucket, state, now, units) {
                    state = next;
                    returns.push((now + after, now, units));
                },
            }
            while let Some(place) = returns.iter().position(|(when, ..)| *when <= now) {
                let (_, charged, units) = returns.remove(place);
                state = bucket.give_back(state, Instant(now), Instant(charged), units);
            }
        }
        spends.sort_unstable();
        for first in 0..spends.len() {
            let mut sum = 0;
            for (when, units) in &spends[first..] {
                sum += units;
                let elapsed = when - spends[first].0;
                prop_assert!(u128::from(sum) * u128::from(period) <= u128::from(burst * period) + u128::from(elapsed * rate),
                    "{sum} units in {elapsed} ns");
            }
        }
    }

    /// Used one by one, all of it is usable: after until_admitted, the spend succeeds, and one nanosecond earlier it does not.
    #[test]
    fn waits_exactly_as_long_as_it_says(rate in 1..1_000_u64, period in 1..SECOND, burst in 1..50_u64, units in 1..50_u64, spent in 0..50_u64) {
        let bucket = TokenBucket::new(rate, period, burst).unwrap();
        let state = spend_now(&bucket, BucketState::default(), 5, spent.min(burst)).unwrap();
        if let Some(wait) = bucket.until_admitted(state, Instant(5), units) {
            prop_assert!(spend_now(&bucket, state, 5 + wait, units).is_some());
            if wait > 0 {
                prop_assert!(spend_now(&bucket, state, 5 + wait - 1, units).is_none());
            }
            prop_assert_eq!(bucket.remaining(state, Instant(5)) >= units, wait == 0);
        } else {
            prop_assert!(units > burst);
        }
    }

    #[test]
    fn a_state_reads_back_as_written(at: u64, level: u128) {
        let state = BucketState { at, level };
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        prop_assert_eq!(bytes.len(), BUCKET_STATE_LEN);
        prop_assert_eq!(BucketState::decode(&bytes), Some(state));
    }
}
