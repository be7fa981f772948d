#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use tollgate_core::abuse::Terms;

use super::blocks::{MOST, key_of_id, key_of_network};
use super::*;
use crate::identity::Namespace;
use crate::shared::{Memory, Version};

const ATTACKER: [u8; 4] = [198, 51, 100, 7];

fn abuse(rules: Rules) -> Abuse {
    Abuse::new(Some(rules), [7; 16])
}

fn few_sets() -> Rules {
    Rules { sets: 1, ..Rules::default() }
}

fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number ^ (number >> 31)
}

fn watched(address: impl Into<Ipv4Addr>) -> Watched {
    let address = address.into();
    let hash = mixed(u64::from(u32::from(address)));
    Watched { key: key_of_network(IpNet::from(IpAddr::V4(address))), place: hash, tag: hash | 1 }
}

/// What it takes to block: the number of different keys.
fn guesses(abuse: &mut Abuse, who: &Watched, from: u64, now: Instant, shared: &mut Memory) -> Option<(u64, Verdict)> {
    let mut counters = Counters::default();
    (0..1_000).find_map(|number| {
        let shown = abuse.shows(who, (Signal::UnknownKey, Some(mixed(from + number))), 1, now, shared, &mut counters);
        shown.unwrap().1.map(|verdict| (number + 1, verdict))
    })
}

fn block(until: u64, effect: Effect) -> Block {
    Block { until: Instant(until), effect, automatic: true, told: false, since: Instant(0) }
}

#[test]
fn some_twenty_different_keys_are_enough_and_one_never_is() {
    let (mut abuse, mut shared, mut counters) = (abuse(Rules::default()), Memory::default(), Counters::default());
    let who = watched(ATTACKER);
    for second in 0..100_000_u64 {
        let now = Instant(second * SECOND / 50);
        assert_eq!(abuse.shows(&who, (Signal::UnknownKey, Some(3)), 1, now, &mut shared, &mut counters).unwrap().1, None);
    }
    let (needed, verdict) = guesses(&mut abuse, &watched([198, 51, 100, 8]), 0, Instant(SECOND), &mut shared).unwrap();
    assert!((20..=26).contains(&needed), "{needed}");
    assert_eq!((verdict.act, verdict.score, verdict.sentence.lasts), (Act::Block, 100, 60 * SECOND));
}

#[test]
fn blocks_grow_while_somebody_goes_on_and_are_forgotten_when_it_rests() {
    let terms = Terms { first: SECOND, longest: 8 * SECOND, forgotten_after: 100 * SECOND };
    let (mut abuse, mut shared) = (abuse(Rules { terms, ..Rules::default() }), Memory::default());
    let (who, mut now, mut lasted) = (watched(ATTACKER), Instant(SECOND), Vec::new());
    for round in 0..5 {
        let (_, verdict) = guesses(&mut abuse, &who, 1_000 * round, now, &mut shared).unwrap();
        lasted.push(verdict.sentence.lasts / SECOND);
        assert_eq!(guesses(&mut abuse, &who, 50_000, now, &mut shared), None, "it is blocked already");
        now = now.after(verdict.sentence.lasts);
    }
    assert_eq!(lasted, [1, 2, 4, 8, 8]);
    let rested = guesses(&mut abuse, &who, 90_000, now.after(100 * SECOND), &mut shared).unwrap();
    assert_eq!(rested.1.sentence.lasts, SECOND);
}

#[test]
fn good_requests_of_an_address_weigh_against_its_bad_ones_up_to_a_bound() {
    let (mut abuse, mut shared) = (abuse(Rules::default()), Memory::default());
    let mut counters = Counters::default();
    let (plain, busy) = (watched(ATTACKER), watched([198, 51, 100, 8]));
    abuse.shows(&busy, (Signal::UnknownKey, Some(mixed(77))), 1, Instant(1), &mut shared, &mut counters);
    for _ in 0..100_000 {
        abuse.credits(&busy, SAMPLE, Instant(1), &mut shared);
    }
    let alone = guesses(&mut abuse, &plain, 0, Instant(1), &mut shared).unwrap().0;
    let beside = guesses(&mut abuse, &busy, 0, Instant(1), &mut shared).unwrap().0;
    assert!(beside > 3 * alone && beside < 6 * alone, "{alone}, {beside}");
}

#[test]
fn nobody_pushes_its_own_score_out_by_many_other_addresses() {
    let (mut abuse, mut shared, mut counters) = (abuse(few_sets()), Memory::default(), Counters::default());
    let who = watched(ATTACKER);
    for number in 0..15 {
        abuse.shows(&who, (Signal::UnknownKey, Some(mixed(number))), 1, Instant(1), &mut shared, &mut counters);
    }
    for address in 0..10_000_u32 {
        let other = watched(Ipv4Addr::from(0x0a00_0000 + address));
        abuse.shows(&other, (Signal::UnknownKey, Some(1)), 1, Instant(1), &mut shared, &mut counters);
    }
    let needed = guesses(&mut abuse, &who, 15, Instant(1), &mut shared).unwrap().0;
    assert!(needed <= 8, "its score was lost: {needed}");
}

#[test]
fn a_set_of_high_scores_is_not_emptied_by_newcomers_which_are_counted() {
    let (mut abuse, mut shared, mut counters) = (abuse(few_sets()), Memory::default(), Counters::default());
    for address in 1..=4 {
        for number in 0..10 {
            let who = watched([10, 0, 0, address]);
            abuse.shows(&who, (Signal::UnknownKey, Some(mixed(number))), 1, Instant(1), &mut shared, &mut counters);
        }
    }
    for address in 0..100 {
        let other = watched([10, 0, 1, address]);
        let shown = abuse.shows(&other, (Signal::UnknownKey, Some(1)), 1, Instant(1), &mut shared, &mut counters);
        assert_eq!(shown, Some((false, None)));
    }
    assert_eq!(counters.get(Counter::AbuseUntracked), 100);
    for address in 1..=4 {
        let needed = guesses(&mut abuse, &watched([10, 0, 0, address]), 10, Instant(1), &mut shared).unwrap().0;
        assert!(needed <= 13, "its score was lost: {needed}");
    }
    // Scores fade: later there is room again.
    let shown =
        abuse.shows(&watched([10, 9, 9, 9]), (Signal::UnknownKey, Some(1)), 1, Instant(90_000 * SECOND), &mut shared, &mut counters);
    assert_eq!(shown, Some((true, None)));
}

#[test]
fn millions_of_addresses_and_blocks_take_no_more_room_than_a_few() {
    let rules = Rules { sets: 64, ..Rules::default() };
    let (mut abuse, mut shared, mut counters) = (abuse(rules), Memory::default(), Counters::default());
    let mut size = 0;
    for number in 0..400_000_u32 {
        let who = watched(Ipv4Addr::from(number));
        abuse.shows(&who, (Signal::UnknownKey, Some(u64::from(number))), 1, Instant(1), &mut shared, &mut counters);
        if number % 20 == 0 {
            abuse.block(&who, Effect::Unknown, SECOND + u64::from(number), Instant(1), &mut shared, &mut counters);
        }
        if number == 100_000 {
            size = shared.size();
        }
    }
    assert_eq!(shared.size(), size, "shared data grew");
    assert_eq!(abuse.blocks.len(), MOST);
    assert_eq!(counters.get(Counter::BlocksDropped), 20_000 - MOST as u64);
}

#[test]
fn what_one_worker_blocks_the_others_block_and_lift_too() {
    let (mut one, mut other, mut shared) = (abuse(Rules::default()), Abuse::new(Some(Rules::default()), [9; 16]), Memory::default());
    let mut counters = Counters::default();
    let who = watched(ATTACKER);
    let address = IpAddr::from(ATTACKER);
    other.tick(Instant(SECOND), &mut shared, &mut counters).unwrap();
    one.block(&who, Effect::Unknown, 5 * SECOND, Instant(SECOND), &mut shared, &mut counters);
    for worker in [&mut one, &mut other] {
        worker.tick(Instant(2 * SECOND), &mut shared, &mut counters).unwrap();
        assert_eq!(worker.blocks.address(address, false, Instant(2 * SECOND)), Some(4 * SECOND));
        assert_eq!(worker.blocks.address(address, true, Instant(2 * SECOND)), None, "a good credential");
        assert_eq!(worker.blocks.address(IpAddr::from([198, 51, 100, 8]), false, Instant(2 * SECOND)), None);
        // Never longer than it was to last.
        assert_eq!(worker.blocks.address(address, false, Instant(6 * SECOND)), None);
    }
    one.unblock(&who, Instant(3 * SECOND), &mut shared, &mut counters);
    other.tick(Instant(3 * SECOND), &mut shared, &mut counters).unwrap();
    assert!(other.blocks.is_empty());
    // More than the journal keeps.
    for number in 0..1_000_u32 {
        one.block(&watched(Ipv4Addr::from(number)), Effect::Unknown, 50 * SECOND, Instant(3 * SECOND), &mut shared, &mut counters);
    }
    other.tick(Instant(4 * SECOND), &mut shared, &mut counters).unwrap();
    assert_eq!(other.blocks.len(), journal::MOST);
}

#[test]
fn what_was_lifted_is_not_found_by_a_worker_that_starts_later() {
    let (mut one, mut shared, mut counters) = (abuse(Rules::default()), Memory::default(), Counters::default());
    let (who, other) = (watched(ATTACKER), watched([198, 51, 100, 8]));
    one.block(&who, Effect::Unknown, 50 * SECOND, Instant(SECOND), &mut shared, &mut counters);
    one.block(&other, Effect::Unknown, 50 * SECOND, Instant(SECOND), &mut shared, &mut counters);
    one.told(&who, None, Effect::Unknown, Instant(2 * SECOND), &mut shared, &mut counters);
    let mut later = abuse(Rules::default());
    for worker in [&mut one, &mut later] {
        worker.tick(Instant(3 * SECOND), &mut shared, &mut counters).unwrap();
        assert_eq!(worker.blocks.address(IpAddr::from(ATTACKER), false, Instant(3 * SECOND)), None);
        assert!(worker.blocks.address(IpAddr::from([198, 51, 100, 8]), false, Instant(3 * SECOND)).is_some());
    }
    // The backend knows of none of them: lifted while nothing was heard.
    later.blocks.keep_told(&[], Instant(4 * SECOND), &mut counters);
    assert!(!later.blocks.is_empty(), "it may not have heard yet");
    later.blocks.keep_told(&[], Instant(14 * SECOND), &mut counters);
    assert!(later.blocks.is_empty());
}

#[test]
fn a_node_that_takes_its_own_word_back_leaves_an_operator_s() {
    let (mut abuse, mut shared, mut counters) = (abuse(Rules::default()), Memory::default(), Counters::default());
    let who = watched(ATTACKER);
    let told = Block { automatic: false, told: true, ..block(100 * SECOND, Effect::All) };
    abuse.told(&who, Some(told), Effect::All, Instant(1), &mut shared, &mut counters);
    abuse.block(&who, Effect::Unknown, SECOND, Instant(1), &mut shared, &mut counters);
    abuse.unblock(&who, Instant(2), &mut shared, &mut counters);
    abuse.tick(Instant(SECOND), &mut shared, &mut counters).unwrap();
    assert!(abuse.blocks.address(IpAddr::from(ATTACKER), true, Instant(SECOND)).is_some());
}

#[test]
fn good_credentials_are_remembered_on_the_node_and_take_a_fixed_room() {
    let mut shared = Memory::default();
    let place = |number: u64| (mixed(number), mixed(number + 1_000_000_000));
    assert!(!known::was_good(place(1), &mut shared));
    for number in 0..4 {
        known::note(place(number), &mut shared).unwrap();
    }
    assert!((0..4).all(|number| known::was_good(place(number), &mut shared)) && !known::was_good(place(4), &mut shared));
    for number in 0..50_000 {
        known::note(place(number), &mut shared).unwrap();
    }
    let full = shared.size();
    for number in 50_000..100_000 {
        known::note(place(number), &mut shared).unwrap();
    }
    assert_eq!(shared.size(), full);
    assert!(known::was_good(place(99_999), &mut shared), "the newest");
}

#[test]
fn an_operator_s_block_is_not_undone_by_what_a_node_finds_and_is_in_force_in_shadow() {
    let (mut abuse, mut counters) = (abuse(Rules { act: Act::Report, ..Rules::default() }), Counters::default());
    let address = IpAddr::from(ATTACKER);
    let wide = key_of_network("198.51.0.0/16".parse().unwrap());
    let mut put = |block: Block| abuse.blocks.put(&wide, block, Instant(1), &mut counters);
    put(block(100, Effect::Unknown));
    put(Block { automatic: false, ..block(50, Effect::All) });
    put(block(100, Effect::Unknown));
    assert_eq!(abuse.blocks.address(address, true, Instant(1)), Some(49), "shadow takes no automatic block");
    assert!(abuse.blocks.has_totals());
    abuse.blocks.sweep(Instant(50), &mut counters);
    assert!(abuse.blocks.is_empty() && !abuse.blocks.has_totals());
}

#[test]
fn an_approval_outweighs_an_automatic_block_but_not_an_operator_s() {
    let (mut abuse, mut counters) = (abuse(Rules::default()), Counters::default());
    let (own, wide) = (key_of_network("198.51.100.7/32".parse().unwrap()), key_of_network("198.51.100.0/24".parse().unwrap()));
    let address = IpAddr::from(ATTACKER);
    abuse.blocks.put(&own, block(100, Effect::Unknown), Instant(1), &mut counters);
    abuse.blocks.put(&wide, Block { automatic: false, ..block(80, Effect::Approve) }, Instant(1), &mut counters);
    assert_eq!(abuse.blocks.address(address, false, Instant(1)), None);
    assert!(abuse.blocks.is_approved(address, 32, Instant(1)) && !abuse.blocks.is_approved(address, 16, Instant(1)));
    assert_eq!(abuse.blocks.address(address, false, Instant(80)), Some(20), "the approval has ended");
    abuse.blocks.put(&own, Block { automatic: false, ..block(100, Effect::All) }, Instant(1), &mut counters);
    assert_eq!(abuse.blocks.address(address, true, Instant(1)), Some(99));
    let id = key_of_id(true, &Namespace::Backend, "acme");
    abuse.blocks.put(&id, block(100, Effect::All), Instant(1), &mut counters);
    assert!(abuse.blocks.has_identities());
    assert_eq!(abuse.blocks.identity(&id, Instant(1)), Some(99));
    assert_eq!(abuse.blocks.identity(&key_of_id(true, &Namespace::Configuration, "acme"), Instant(1)), None, "another's of the same name");
    let strangers = key_of_id(true, &Namespace::Configuration, "acme");
    abuse.blocks.put(&strangers, block(100, Effect::All), Instant(1), &mut counters);
    abuse.blocks.keep_told(&[(id.clone(), Effect::All)], Instant(20 * SECOND), &mut counters);
    assert_eq!(abuse.blocks.len(), 2, "what the backend lists, and what it knows nothing of");
}

#[test]
fn a_clock_that_jumps_blocks_nobody_and_never_longer() {
    let (mut abuse, mut shared) = (abuse(Rules::default()), Memory::default());
    let who = watched(ATTACKER);
    for (number, now) in [1_000, 1, 5_000_000, 0, 900, u64::MAX / 4, 3].into_iter().enumerate() {
        let mut counters = Counters::default();
        let shown = abuse.shows(&who, (Signal::UnknownKey, Some(mixed(number as u64))), 1, Instant(now), &mut shared, &mut counters);
        assert_eq!(shown.unwrap().1, None);
    }
}

#[test]
fn broken_shared_data_is_nobody_s_block() {
    struct BrokenData;
    impl SharedData for BrokenData {
        fn get(&mut self, _: &str, _: &mut Vec<u8>) -> Result<Option<Version>, Broken> {
            Err(Broken)
        }
        fn set(&mut self, _: &str, _: &[u8], _: Option<Version>) -> Result<bool, Broken> {
            Err(Broken)
        }
    }
    let (mut abuse, mut counters) = (abuse(Rules::default()), Counters::default());
    for number in 0..100 {
        let shown =
            abuse.shows(&watched(ATTACKER), (Signal::UnknownKey, Some(mixed(number))), 1, Instant(1), &mut BrokenData, &mut counters);
        assert_eq!(shown, Some((false, None)));
    }
    assert!(abuse.tick(Instant(SECOND), &mut BrokenData, &mut counters).is_err());
    // Bytes of something else.
    let mut shared = Memory::default();
    shared.set("tollgate/1/abuse/a/4096/0", b"something else", None).unwrap();
    let who = Watched { place: 0, ..watched(ATTACKER) };
    assert_eq!(abuse.shows(&who, (Signal::UnknownKey, Some(1)), 1, Instant(1), &mut shared, &mut counters), Some((false, None)));
}
