use proptest::prelude::*;
use tollgate_core::config;
use tollgate_core::limit::{Limit, Rate};
use tollgate_core::policy::Policy;
use tollgate_core::time::SECOND;

use super::*;
use crate::shared::{Memory, Version};

/// Where time starts in these tests: nothing may depend on its being 0.
const START: u64 = 1_000 * SECOND;

fn policy(limits: &serde_json::Value) -> Policy {
    let document = serde_json::json!({"tiers": [{"name": "t", "limits": limits}], "routes": [{"name": "a", "match": {"path": "/a"}}]});
    config::load(document.to_string().as_bytes(), &|_: &str| None).unwrap()
}

fn limits_of(tier: &tollgate_core::policy::Tier) -> TierLimits<'_> {
    TierLimits { position: 0, limits: &tier.limits, shape: tier.shape }
}

fn bucket(name: &str, rate: u64, burst: u64) -> serde_json::Value {
    serde_json::json!({"name": name, "algorithm": "token_bucket", "rate": rate, "per": "1s", "burst": burst})
}

fn window(name: &str, rate: u64, per: &str) -> serde_json::Value {
    serde_json::json!({"name": name, "algorithm": "sliding_window", "rate": rate, "per": per})
}

/// Workers of one node.
struct Node {
    policy: Policy,
    workers: Vec<Limiter>,
    shared: Memory,
    counters: Counters,
    now: u64,
}

impl Node {
    fn new(limits: &serde_json::Value, workers: usize, slots: u32) -> Self {
        let workers = (0..workers).map(|_| Limiter::new(slots)).collect();
        Self { policy: policy(limits), workers, shared: Memory::default(), counters: Counters::default(), now: START }
    }

    fn limits(&self) -> &[Limit] {
        &self.policy.tiers[0].limits
    }

    fn ask(&mut self, worker: usize, subject: u64, cost: u32) -> (Outcome, Standings) {
        self.ask_on(worker, subject, cost, 1)
    }

    fn ask_on(&mut self, worker: usize, subject: u64, cost: u32, route: u16) -> (Outcome, Standings) {
        let tier = &self.policy.tiers[0];
        let subject = Subject { table: Table::Consumers, place: subject, tag: subject };
        let ask = Ask { tier: limits_of(tier), subject, route, cost, now: Instant(self.now) };
        self.workers[worker].judge(&ask, &mut self.shared, &mut self.counters)
    }

    fn admits(&mut self, worker: usize, subject: u64, cost: u32) -> bool {
        matches!(self.ask(worker, subject, cost).0, Outcome::Admitted(_))
    }

    fn tick(&mut self, worker: usize) {
        let tiers = &self.policy.tiers;
        let find = |tier: usize| tiers.get(tier).map(limits_of);
        self.workers[worker].give_back_idle(Instant(self.now), find, &mut self.shared, &mut self.counters);
    }

    fn give_back(&mut self, worker: usize, charge: &Charge) {
        let mut standings = Standings::default();
        let tier = &self.policy.tiers[0];
        self.workers[worker].give_back(limits_of(tier), charge, &mut standings, Instant(self.now), &mut self.shared, &mut self.counters);
    }
}

#[test]
fn low_rates_are_exact_over_all_workers() {
    for limits in [serde_json::json!([bucket("b", 10, 100)]), serde_json::json!([window("w", 100, "60s")])] {
        let mut node = Node::new(&limits, 3, 64);
        let admitted = (0..600).filter(|number| node.admits(number % 3, 7, 1)).count();
        assert_eq!(admitted, 100, "{limits}");
    }
}

#[test]
fn what_one_limit_refuses_is_charged_to_none() {
    let mut node = Node::new(&serde_json::json!([bucket("small", 1, 3), window("large", 100, "60s")]), 1, 64);
    for number in 0..10 {
        assert_eq!(node.admits(0, 7, 1), number < 3);
    }
    let standings = node.ask(0, 7, 1).1;
    assert_eq!(standings[0].unwrap().remaining, 0);
    assert_eq!(standings[1].unwrap().remaining, 97);
}

#[test]
fn a_refusal_says_how_long_to_wait_and_when_waiting_is_in_vain() {
    let mut node = Node::new(&serde_json::json!([bucket("b", 2, 4)]), 1, 64);
    assert!(node.admits(0, 7, 4));
    assert_eq!(node.ask(0, 7, 3).0, Outcome::Refused { wait: Some(3 * SECOND / 2) });
    assert_eq!(node.ask(0, 7, 5).0, Outcome::Refused { wait: None });
    node.now += 3 * SECOND / 2;
    assert!(node.admits(0, 7, 3));
}

#[test]
fn limits_apply_to_their_routes_only() {
    let mut limit = bucket("b", 1, 1);
    limit["routes"] = serde_json::json!(["a"]);
    let mut node = Node::new(&serde_json::json!([limit]), 1, 64);
    let on = |node: &mut Node, route| matches!(node.ask_on(0, 7, 1, route).0, Outcome::Admitted(_));
    assert!(on(&mut node, 0) && !on(&mut node, 0), "route a is limited");
    assert!(on(&mut node, 1), "the default route is not");
    assert_eq!(node.ask_on(0, 7, 1, 1).1, Standings::default());
}

#[test]
fn changed_numbers_leave_spent_what_was_spent() {
    let mut node = Node::new(&serde_json::json!([bucket("b", 1, 10), window("w", 10, "60s")]), 1, 64);
    assert!(node.admits(0, 7, 8));
    node.policy = policy(&serde_json::json!([bucket("b", 5, 20), window("w", 15, "60s")]));
    let standings = node.ask(0, 7, 0).1;
    assert_eq!((standings[0].unwrap().remaining, standings[1].unwrap().remaining), (12, 7));
    node.policy = policy(&serde_json::json!([bucket("b", 1, 7), window("w", 5, "60s")]));
    let standings = node.ask(0, 7, 0).1;
    assert_eq!((standings[0].unwrap().remaining, standings[1].unwrap().remaining), (0, 0));
}

#[test]
fn a_limit_in_shadow_refuses_nothing_and_is_counted() {
    let mut limit = bucket("b", 1, 2);
    limit["shadow"] = serde_json::json!(true);
    let mut node = Node::new(&serde_json::json!([limit]), 1, 64);
    assert_eq!((0..5).filter(|_| node.admits(0, 7, 1)).count(), 5);
    assert_eq!(node.counters.get(Counter::ShadowRefusal), 3);
}

#[test]
fn a_busy_worker_spends_from_its_purse() {
    let mut node = Node::new(&serde_json::json!([bucket("b", 100_000, 100_000)]), 1, 64);
    let mut shared = Counting::default();
    let tier = node.policy.tiers[0].clone();
    let subject = Subject { table: Table::Consumers, place: 7, tag: 7 };
    for _ in 0..10_000 {
        node.now += 100_000;
        let ask = Ask { tier: limits_of(&tier), subject, route: 0, cost: 1, now: Instant(node.now) };
        let (outcome, standings) = node.workers[0].judge(&ask, &mut shared, &mut node.counters);
        assert!(matches!(outcome, Outcome::Admitted(_)));
        // All but what a chunk withholds: the refill of its hold.
        assert!(standings[0].unwrap().remaining >= 94_000);
    }
    assert!(shared.exchanges < 100, "{} exchanges for 10,000 requests", shared.exchanges);
    assert_eq!(node.counters.get(Counter::DroppedUnits), 0);
}

#[test]
fn an_idle_purse_is_given_back_by_the_clock() {
    let mut node = Node::new(&serde_json::json!([bucket("b", 1_000, 1_000)]), 2, 64);
    let admitted = (0..200).filter(|_| {
        node.now += 100_000;
        node.admits(0, 7, 1)
    });
    assert_eq!(admitted.count(), 200);
    assert!(node.workers[0].holds_units());
    node.now += GIVE_BACK_EVERY;
    node.tick(0);
    assert!(!node.workers[0].holds_units());
    assert_eq!(node.counters.get(Counter::DroppedUnits), 0);
    // 200 spent over 40 ms, which brought 40 back. A chunk withholds the refill until the end of its hold: 50 ms, at most 50 units.
    let at_once = (0..2_000).filter(|_| node.admits(1, 7, 1)).count();
    assert!((790..=840).contains(&at_once), "{at_once}");
    node.now += HOLD;
    assert!((0..2_000).filter(|_| node.admits(1, 7, 1)).count() + at_once >= 840);
}

#[test]
fn units_given_back_can_be_spent_again() {
    let mut node = Node::new(&serde_json::json!([window("w", 5, "60s")]), 2, 64);
    for _ in 0..20 {
        let (Outcome::Admitted(charge), _) = node.ask(0, 7, 1) else { panic!("refused") };
        node.give_back(1, &charge);
    }
    assert_eq!((0..20).filter(|_| node.admits(1, 7, 1)).count(), 5);
}

#[test]
fn a_full_table_neither_grows_nor_admits_more() {
    let mut node = Node::new(&serde_json::json!([window("w", 10, "60s")]), 2, 8);
    let mut admitted = vec![0; 1_000];
    for round in 0..20 {
        for (subject, admitted) in admitted.iter_mut().enumerate() {
            *admitted += u32::from(node.admits(round % 2, subject as u64, 1));
        }
    }
    assert!(admitted.iter().all(|admitted| *admitted <= 10));
    assert!(node.counters.get(Counter::Merged) > 0);
    let mut bytes = 0;
    for set in 0..2 {
        let mut value = Vec::new();
        assert!(node.shared.get(&format!("tollgate/1/c/2/{set}"), &mut value).unwrap().is_some());
        bytes += value.len();
    }
    // Four places and the overflow in each of two sets.
    assert!(bytes <= 2 * 5 * (26 + 136), "{bytes}");
    // Once all are full again, newcomers take the places over.
    node.now += 63 * SECOND;
    let merged = node.counters.get(Counter::Merged);
    assert_eq!((5_000..5_008).filter(|subject| node.admits(0, *subject, 10)).count(), 8);
    assert_eq!(node.counters.get(Counter::Merged), merged);
}

/// A node whose only set is full of subjects of another tier.
fn node_full_of_another_tier() -> Node {
    let mut node = Node::new(&serde_json::json!([window("other", 10, "60s")]), 8, 4);
    assert!((1..=4).all(|subject| node.admits(0, subject, 10)));
    node.policy = policy(&serde_json::json!([window("own", 5, "60s")]));
    node
}

#[test]
fn another_tiers_subjects_take_nobodys_limit_away() {
    let mut node = node_full_of_another_tier();
    assert_eq!((0..800).filter(|number| node.admits(number % 8, 9, 1)).count(), 5);
    assert_eq!(node.counters.get(Counter::Degraded), 0);
    assert_eq!((0..80).filter(|number| node.admits(number % 8, 10, 1)).count(), 0, "the overflow is shared");
}

#[test]
fn leaving_the_overflow_for_a_free_place_is_no_second_limit() {
    let mut node = Node::new(&serde_json::json!([window("w", 100, "60s")]), 1, 4);
    assert!((1..=4).all(|subject| node.admits(0, subject, 1)));
    node.now += 30 * SECOND;
    assert!((2..=4).all(|subject| node.admits(0, subject, 1)));
    node.now += 30 * SECOND;
    assert_eq!((0..200).filter(|_| node.admits(0, 9, 1)).count(), 100, "from the overflow");
    node.now += 3 * SECOND;
    // The first subject's place is free now.
    assert_eq!((0..200).filter(|_| node.admits(0, 9, 1)).count(), 0);
    node.now += 62 * SECOND;
    assert_eq!((0..200).filter(|_| node.admits(0, 9, 1)).count(), 100);
}

#[test]
fn nothing_is_given_back_to_the_overflow() {
    let mut node = Node::new(&serde_json::json!([window("w", 5, "60s")]), 1, 4);
    assert!((1..=4).all(|subject| node.admits(0, subject, 5)));
    let (Outcome::Admitted(charge), _) = node.ask(0, 9, 5) else { panic!("refused") };
    node.give_back(0, &charge);
    assert!(!node.admits(0, 10, 1));
}

#[test]
fn units_of_a_worker_alone_never_reach_the_node() {
    let policy = policy(&serde_json::json!([bucket("b", 100_000, 100_000)]));
    let tier = &policy.tiers[0];
    let mut limiter = Limiter::new(64);
    let mut counters = Counters::default();
    let subject = Subject { table: Table::Consumers, place: 7, tag: 7 };
    let mut shared = Counting::default();
    let mut judge = |shared: &mut Counting, now: u64, cost: u32| {
        let ask = Ask { tier: limits_of(tier), subject, route: 0, cost, now: Instant(now) };
        limiter.judge(&ask, shared, &mut counters).1[0].unwrap().remaining
    };
    judge(&mut shared, START, 99_000);
    let before = judge(&mut shared, START, 1);
    shared.broken = true;
    for _ in 0..5_000 {
        judge(&mut shared, START, 1);
    }
    shared.broken = false;
    let after = judge(&mut shared, START, 1);
    assert!(after < before, "no time has passed: {before} to {after}");
}

#[test]
fn what_costs_nothing_is_admitted_however_spent_the_limit() {
    let mut node = Node::new(&serde_json::json!([bucket("b", 1, 3)]), 1, 64);
    assert!(node.admits(0, 7, 3) && node.admits(0, 7, 0) && !node.admits(0, 7, 1));
}

/// Shared data that counts, and fails as it is told.
#[derive(Default)]
struct Counting {
    memory: Memory,
    exchanges: u32,
    broken: bool,
    /// Swaps lost before one succeeds.
    lose: u32,
}

impl SharedData for Counting {
    fn get(&mut self, key: &str, value: &mut Vec<u8>) -> Result<Option<Version>, Broken> {
        if self.broken { Err(Broken) } else { self.memory.get(key, value) }
    }

    fn set(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> Result<bool, Broken> {
        if self.lose > 0 {
            self.lose -= 1;
            return Ok(false);
        }
        self.exchanges += 1;
        self.memory.set(key, value, expected)
    }
}

fn without_shared(mode: &str) -> Vec<Outcome> {
    let mut limit = bucket("b", 1, 3);
    limit["failure_mode"] = serde_json::json!(mode);
    let policy = policy(&serde_json::json!([limit]));
    let mut limiter = Limiter::new(64);
    let mut shared = Counting { broken: true, ..Counting::default() };
    let subject = Subject { table: Table::Consumers, place: 7, tag: 7 };
    let ask = Ask { tier: limits_of(&policy.tiers[0]), subject, route: 0, cost: 1, now: Instant(START) };
    (0..5).map(|_| limiter.judge(&ask, &mut shared, &mut Counters::default()).0).collect()
}

#[test]
fn without_shared_data_each_limit_fails_as_it_says() {
    assert!(without_shared("deny").iter().all(|outcome| *outcome == Outcome::Unavailable));
    assert!(without_shared("allow").iter().all(|outcome| matches!(outcome, Outcome::Admitted(_))));
    let degraded = without_shared("degrade");
    assert_eq!(degraded.iter().filter(|outcome| matches!(outcome, Outcome::Admitted(_))).count(), 3, "{degraded:?}");
}

#[test]
fn malformed_state_is_never_a_fresh_bucket() {
    let mut limit = bucket("b", 1, 3);
    limit["failure_mode"] = serde_json::json!("deny");
    for garbage in [&b"x"[..], &[0xff; 26], &[0; 26 + 24 + 1], &[0; 200]] {
        let mut node = Node::new(&serde_json::json!([limit]), 1, 4);
        node.shared.set("tollgate/1/c/1/0", garbage, None).unwrap();
        assert_eq!(node.ask(0, 0, 1).0, Outcome::Unavailable, "{garbage:?}");
    }
}

#[test]
fn lost_swaps_are_tried_again_and_charge_once() {
    let policy = policy(&serde_json::json!([bucket("b", 1, 3)]));
    let mut limiter = Limiter::new(64);
    let mut counters = Counters::default();
    let mut shared = Counting { lose: 10, ..Counting::default() };
    let subject = Subject { table: Table::Consumers, place: 7, tag: 7 };
    let ask = Ask { tier: limits_of(&policy.tiers[0]), subject, route: 0, cost: 1, now: Instant(START) };
    let (outcome, standings) = limiter.judge(&ask, &mut shared, &mut counters);
    assert!(matches!(outcome, Outcome::Admitted(_)));
    assert_eq!(standings[0].unwrap().remaining, 2);
    assert_eq!(counters.get(Counter::CasRetry), 10);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask { worker: usize, subject: u64, cost: u32, refund_after: Option<u64> },
    Burst { worker: usize, subject: u64, count: u32 },
    Wait(u64),
    Tick(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_usize, 0..7_u64, 1..4_u32, prop::option::of(0..80_000_000_u64))
            .prop_map(|(worker, subject, cost, refund_after)| Step::Ask { worker, subject, cost, refund_after }),
        4 => (0..3_usize, 0..7_u64, 1..60_u32).prop_map(|(worker, subject, count)| Step::Burst { worker, subject, count }),
        3 => (0..60_000_000_u64).prop_map(Step::Wait),
        1 => (0..400_u64).prop_map(|millis| Step::Wait(millis * 1_000_000)),
        2 => (0..3_usize).prop_map(Step::Tick),
    ];
    prop::collection::vec(step, 1..150)
}

/// Whether spends (when, units) conform to a rate over every stretch of time.
fn conforms(rate: &Rate, spends: &[(u64, u64)]) -> bool {
    let (kind, first, second, burst) = match rate {
        Rate::TokenBucket(bucket) => {
            let [rate, period, burst] = bucket.numbers();
            (1, rate, period, burst)
        }
        Rate::SlidingWindow(window) => (2, u64::from(window.limit()), window.longest_hold(), 0),
    };
    (0..spends.len()).all(|start| {
        let mut sum = 0;
        spends[start..].iter().all(|(when, units)| {
            let elapsed = when - spends[start].0;
            if kind == 1 {
                sum += units;
                u128::from(sum) * u128::from(second) <= u128::from(burst) * u128::from(second) + u128::from(elapsed) * u128::from(first)
            } else {
                sum += units;
                elapsed >= second * 30 || sum <= first
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever the workers do, in whatever order, no subject ever gets more than each of its limits over any stretch of time.
    #[test]
    fn never_over(steps in steps(), rate in 20..2_000_u64, burst in 20..500_u64, limit in 50..500_u64, slots in prop::sample::select(vec![4_u32, 64])) {
        let mut node = Node::new(&serde_json::json!([bucket("b", rate, burst), window("w", limit, "2s")]), 3, slots);
        let mut spends: Vec<Vec<(u64, u64)>> = vec![Vec::new(); 7];
        let mut refunds: Vec<(u64, usize, Charge)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(nanos) => node.now += nanos,
                Step::Tick(worker) => node.tick(worker),
                Step::Burst { worker, subject, count } => for _ in 0..count {
                    node.now += 50_000;
                    if node.admits(worker, subject, 1) {
                        spends[usize::try_from(subject).unwrap()].push((node.now, 1));
                    }
                },
                Step::Ask { worker, subject, cost, refund_after } => if let (Outcome::Admitted(charge), _) = node.ask(worker, subject, cost) {
                    match refund_after {
                        Some(after) => refunds.push((node.now + after, worker, charge)),
                        None => spends[usize::try_from(subject).unwrap()].push((node.now, u64::from(cost))),
                    }
                },
            }
            while let Some(due) = refunds.iter().position(|(when, ..)| *when <= node.now) {
                let (_, worker, charge) = refunds.remove(due);
                node.give_back(worker, &charge);
            }
        }
        for (subject, spends) in spends.iter().enumerate() {
            for limit in node.limits() {
                prop_assert!(conforms(&limit.rate, spends), "subject {subject}, limit {}", limit.name);
            }
        }
    }
}
