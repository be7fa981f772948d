use proptest::prelude::*;

use super::*;
use crate::time::Instant;

#[test]
fn a_score_halves_with_each_half_life_and_is_gone_in_the_end() {
    assert_eq!(faded(100 * POINT, 0, SECOND), 100 * POINT);
    assert_eq!(faded(100 * POINT, SECOND, SECOND), 50 * POINT);
    assert_eq!(faded(100 * POINT, 3 * SECOND, SECOND), 12_500);
    // 100 · 2^(-1/2) = 70.71…
    assert!((70_700..=70_711).contains(&faded(100 * POINT, SECOND / 2, SECOND)));
    assert_eq!(faded(u64::MAX, 64 * SECOND, SECOND), 0);
}

#[test]
fn blocks_double_up_to_the_longest_and_are_forgotten_after_a_quiet_time() {
    let terms = Terms { first: 60 * SECOND, longest: 86_400 * SECOND, forgotten_after: 3_600 * SECOND };
    let mut repeats = 0;
    for minutes in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_440, 1_440] {
        let next = sentence(&terms, repeats, 0);
        assert_eq!((next.lasts, next.repeats), (minutes * 60 * SECOND, repeats + 1));
        repeats = next.repeats;
    }
    assert_eq!(sentence(&terms, u32::MAX, 0).lasts, terms.longest);
    assert_eq!(sentence(&terms, repeats, terms.forgotten_after), Sentence { lasts: terms.first, repeats: 1 });
}

/// A hash (SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[test]
fn one_thing_is_new_once_however_often_it_comes_and_many_are_counted() {
    let mut spread = Spread::default();
    let again = |spread: &mut Spread, hash, now| spread.see(hash, Instant(now), 100);
    assert_eq!(again(&mut spread, 7, 50), Seen::New);
    // Ten thousand times, over a hundred windows.
    assert!((1..10_000).all(|time| again(&mut spread, 7, 50 + time) == Seen::Again));
    assert_eq!(again(&mut spread, 7, 10_400), Seen::New, "not seen for two windows");
    let mut many = Spread::default();
    let new = (0..10_000_u64).filter(|thing| many.see(mixed(*thing), Instant(1), 100) == Seen::New).count();
    assert!(new > 9_900, "whoever shows so many is not taken for one that repeats itself: {new}");
}

#[test]
fn the_estimate_is_near_the_truth() {
    for truth in [1_u64, 4, 16, 40, 100] {
        let mut spread = Spread::default();
        for thing in 0..truth {
            spread.see(mixed(thing), Instant(1), 100);
        }
        let estimate = u64::from(spread.estimate(Instant(1), 100));
        assert!(estimate.abs_diff(truth) <= 1 + truth / 3, "{truth}: {estimate}");
    }
    assert_eq!(Spread::default().estimate(Instant(1), 100), 0);
}

/// Runs intervals with so many requests, the last of which are refused; answers what was shown.
fn run(rules: &Rules, intervals: &[(u32, u32)]) -> Vec<Pattern> {
    let mut pace = Pace::default();
    let mut at = rules.interval;
    let mut shown = Vec::new();
    for (requests, refused) in intervals.iter().chain([&(1, 0)]) {
        shown.push(pace.count(*requests, *refused, Instant(at), rules));
        at += rules.interval;
    }
    shown.split_off(1)
}

#[test]
fn a_pace_many_times_the_usual_is_unusual_after_some_intervals_and_others_are_not() {
    let rules = Rules { velocity: Velocity { multiple: 10, intervals: 3, least: 500 }, ..Rules::default() };
    let usual = [(100, 0); 10];
    let shown = |more: &[(u32, u32)]| run(&rules, &[&usual[..], more].concat()).iter().filter(|pattern| pattern.velocity).count();
    assert_eq!(shown(&[(2_000, 0); 2]), 0, "a burst");
    assert_eq!(shown(&[(2_000, 0); 3]), 1);
    assert_eq!(shown(&[(900, 0); 20]), 0, "less than ten times");
    assert_eq!(run(&rules, &[(5, 0), (5, 0), (5, 0), (5, 0), (5, 0), (5, 0), (400, 0), (400, 0), (400, 0)]).len(), 9);
    assert!(shown(&[(2_000, 0); 200]) < 10, "what goes on becomes usual");
    assert_eq!(run(&rules, &[(9_000, 0); 9]).iter().filter(|pattern| pattern.velocity).count(), 0, "a large consumer from the start");
}

#[test]
fn a_storm_is_far_more_refused_than_admitted() {
    let rules = Rules::default();
    let storms = |requests, refused| run(&rules, &[(requests, refused)])[0].storm;
    assert!(storms(1_000, 900));
    assert!(!storms(10_000, 5_000), "half over the limit is no storm");
    assert!(!storms(190, 190), "few");
    assert!(!run(&Rules { storm_least: 0, ..rules.clone() }, &[(1_000, 900)])[0].storm, "switched off");
}

#[test]
fn subjects_read_back_as_written_and_nothing_else_is_one() {
    for (text, written) in [
        ("address:192.0.2.7", "address:192.0.2.7/32"),
        ("address:192.0.2.7/24", "address:192.0.2.0/24"),
        ("address:::ffff:192.0.2.7", "address:192.0.2.7/32"),
        ("address:2001:db8::1/64", "address:2001:db8::/64"),
        ("consumer:acme", "consumer:acme"),
        ("credential:key_1:2", "credential:key_1:2"),
    ] {
        let subject: Subject = text.parse().unwrap();
        assert_eq!(subject.to_string(), written);
        assert_eq!(written.parse(), Ok(subject.clone()));
        assert_eq!(Subject::of(subject.kind(), &subject.name()), Ok(subject));
    }
    for wrong in ["", "acme", "consumer:", "consumer:a b", "address:", "address:192.0.2.0/33", "address:host", "tier:free"] {
        assert_eq!(wrong.parse::<Subject>(), Err(NotASubject), "{wrong}");
    }
    let automatic = |text: &str| text.parse::<Subject>().unwrap().may_be_automatic();
    assert!(automatic("address:192.0.2.7") && automatic("address:192.0.2.0/24") && automatic("address:2001:db8::/48"));
    assert!(!automatic("address:0.0.0.0/0") && !automatic("address:10.0.0.0/8") && !automatic("address:2001:db8::/32"));
    let surroundings = |text: &str| text.parse::<Subject>().unwrap().surroundings().map(|subject| subject.to_string());
    assert_eq!(surroundings("address:192.0.2.7").as_deref(), Some("address:192.0.2.0/24"));
    assert_eq!(surroundings("address:2001:db8:1:2::/64").as_deref(), Some("address:2001:db8:1::/48"));
    assert_eq!(surroundings("address:192.0.2.0/24").or_else(|| surroundings("consumer:a")), None);
}

proptest! {
    #[test]
    fn time_never_raises_a_score_and_two_steps_are_one(level in 0..1_000_000 * POINT, a in 0..1u64 << 40, b in 0..1u64 << 40, half in 1..1u64 << 40) {
        let once = faded(level, a + b, half);
        let twice = faded(faded(level, a, half), b, half);
        prop_assert!(once <= level && faded(level, a, half) >= once);
        // What rounding may lose: a 16th of a root's last place each, and a 65,536th of a half-life in each step.
        prop_assert!(once.abs_diff(twice) <= 24 + level / 16_000, "{once} {twice}");
    }

    #[test]
    fn no_clock_makes_a_score_grow_or_overflow(level: u64, more: u64, at: u64, now: u64, half: u64) {
        let score = Score { level, at: Instant(at) };
        let next = score.add(more, Instant(now), half);
        prop_assert!(next.level <= 1_000_000 * POINT && next.at >= score.at);
        prop_assert!(score.at(Instant(now), half) <= level);
    }

    #[test]
    fn blocks_never_get_shorter_nor_longer_than_the_longest(first in 1..1u64 << 40, longest in 1..1u64 << 50, repeats: u32) {
        let terms = Terms { first, longest, forgotten_after: u64::MAX };
        let (one, next) = (sentence(&terms, repeats, 0), sentence(&terms, repeats.saturating_add(1), 0));
        prop_assert!(one.lasts <= next.lasts && next.lasts <= longest.max(first) && one.lasts >= first);
    }
}
