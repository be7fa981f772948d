use proptest::prelude::*;

use super::*;
use crate::time::SECOND;

fn spend_now(window: &SlidingWindow, state: WindowState, now: u64, units: u64) -> Option<WindowState> {
    window.spend(state, Instant(now), Instant(now), units)
}

#[test]
fn admits_the_limit_then_nothing_until_the_window_has_passed() {
    let window = SlidingWindow::new(100, 60 * SECOND).unwrap();
    let start = 1_000 * SECOND + 1;
    let mut state = WindowState::default();
    for _ in 0..100 {
        state = spend_now(&window, state, start, 1).unwrap();
    }
    assert_eq!(spend_now(&window, state, start, 1), None);
    assert_eq!(spend_now(&window, state, start + 60 * SECOND - 1, 1), None);
    let wait = window.until_admitted(state, Instant(start), 1).unwrap();
    assert!((60 * SECOND..=62 * SECOND).contains(&wait), "{wait}");
    assert!(spend_now(&window, state, start + wait, 100).is_some());
}

#[test]
fn more_than_the_limit_never_succeeds() {
    let window = SlidingWindow::new(5, SECOND).unwrap();
    assert_eq!(window.until_admitted(WindowState::default(), Instant(0), 6), None);
    assert_eq!(spend_now(&window, WindowState::default(), 0, 6), None);
    assert_eq!(spend_now(&window, WindowState::default(), 0, u64::MAX), None);
}

#[test]
fn a_clock_reading_older_than_the_last_write_forgets_nothing() {
    let window = SlidingWindow::new(3, 30 * SECOND).unwrap();
    let late = 100 * SECOND;
    let state = spend_now(&window, WindowState::default(), late, 3).unwrap();
    assert_eq!(spend_now(&window, state, late - 1, 1), None);
    assert_eq!(spend_now(&window, state, 0, 1), None, "even far in the past");
}

#[test]
fn units_given_back_can_be_spent_again_and_none_beyond() {
    let window = SlidingWindow::new(10, 30 * SECOND).unwrap();
    let state = spend_now(&window, WindowState::default(), 50 * SECOND, 10).unwrap();
    let state = window.give_back(state, Instant(50 * SECOND), 4);
    assert_eq!(window.remaining(state, Instant(55 * SECOND)), 4);
    let elsewhere = window.give_back(state, Instant(10 * SECOND), 4);
    assert_eq!(window.remaining(elsewhere, Instant(55 * SECOND)), 4, "that sub-window is gone");
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Spend(u64),
    Take { units: u64, hold: u64, spent: u64, spend_after: u64 },
    Refunded { units: u64, after: u64 },
    BackBy(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..4_000_u64).prop_map(Step::Wait),
        (1..4_u64).prop_map(Step::Spend),
        (1..6_u64, 0..30_u64, 0..6_u64, 0..30_u64).prop_map(|(units, hold, spent, after)| Step::Take {
            units,
            hold,
            spent: spent.min(units),
            spend_after: after.min(hold)
        }),
        (1..4_u64, 0..2_000_u64).prop_map(|(units, after)| Step::Refunded { units, after }),
        (0..20_u64).prop_map(Step::BackBy),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    /// In any window, what counts never exceeds the limit: with chunks held, units returned, refunds, and readers whose
    /// clock reading is a little older than the last write.
    #[test]
    fn never_over(steps in steps(), limit in 1..12_u32, sub in 30..100_u64) {
        let width = sub * SUB_WINDOWS;
        let window = SlidingWindow::new(limit, width).unwrap();
        let mut state = WindowState::default();
        let mut now = 10_000_u64;
        let mut latest = now;
        let mut spends: Vec<(u64, u64)> = Vec::new();
        let mut returns: Vec<(u64, u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(nanos) => now = latest + nanos,
                Step::BackBy(nanos) => now = latest - nanos,
                Step::Spend(units) => if let Some(next) = spend_now(&window, state, now, units) {
                    state = next;
                    // A spend happens when its clock was read, which may be before the last write.
                    spends.push((now, units));
                },
                Step::Take { units, hold, spent, spend_after } => if now == latest && let Some(next) = window.spend(state, Instant(now), Instant(now + hold), units) {
                    state = next;
                    spends.push((now + spend_after, spent));
                    returns.push((now + spend_after, now + hold, units - spent));
                },
                Step::Refunded { units, after } => if now == latest && let Some(next) = spend_now(&window, state, now, units) {
                    state = next;
                    returns.push((now + after, now, units));
                },
            }
            latest = latest.max(now);
            while let Some(place) = returns.iter().position(|(when, ..)| *when <= latest) {
                let (_, charged, units) = returns.remove(place);
                state = window.give_back(state, Instant(charged), units);
            }
        }
        spends.sort_unstable();
        for (first, (start, _)) in spends.iter().enumerate() {
            let sum: u64 = spends[first..].iter().take_while(|(when, _)| when - start < width).map(|(_, units)| units).sum();
            prop_assert!(sum <= u64::from(limit), "{sum} units in the window from {start}");
        }
    }

    #[test]
    fn waits_exactly_as_long_as_it_says(limit in 1..50_u32, width in 30..SECOND, units in 1..60_u64, spends in prop::collection::vec((0..1_000_000_u64, 1..10_u64), 0..40)) {
        let window = SlidingWindow::new(limit, width).unwrap();
        let mut state = WindowState::default();
        let mut now = 0;
        for (wait, units) in spends {
            now += wait;
            state = spend_now(&window, state, now, units).unwrap_or(state);
        }
        if let Some(wait) = window.until_admitted(state, Instant(now), units) {
            prop_assert!(spend_now(&window, state, now + wait, units).is_some());
            if wait > 0 {
                prop_assert!(spend_now(&window, state, now + wait - 1, units).is_none());
            }
            prop_assert_eq!(window.remaining(state, Instant(now)) >= units, wait == 0);
        } else {
            prop_assert!(units > u64::from(limit));
        }
        let full = window.until_full(state, Instant(now));
        prop_assert_eq!(window.remaining(state, Instant(now + full)), u64::from(limit));
    }

    #[test]
    fn a_state_reads_back_as_written(newest: u64, counts: [u32; 32]) {
        let state = WindowState { newest, counts };
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        prop_assert_eq!(bytes.len(), WINDOW_STATE_LEN);
        prop_assert_eq!(WindowState::decode(&bytes), Some(state));
        prop_assert_eq!(WindowState::decode(&bytes[1..]), None);
    }
}
