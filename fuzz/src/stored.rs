//! Owns the targets for shared data: whatever is stored there, nobody gets more than the limit and no set is broken further.

mod set;

use std::sync::LazyLock;

use bolero::{TypeGenerator, check, produce};
use tollgate_core::credential::{KeyHash, digest};
use tollgate_core::jws::Accelerator;
use tollgate_core::policy::{Policy, Tier};
use tollgate_core::time::{Instant, SECOND};
use tollgate_filter::admission::{Gate, Node, Verdict, Waited};
use tollgate_filter::counters::{Counter, Counters};
use tollgate_filter::limits::{Ask, Limiter, Outcome, Standings, Subject, Table, TierLimits};
use tollgate_filter::shared::{Broken, SharedData, Version};

use crate::BRIEFLY;
use crate::fixture::{KEYS, map, policy};
use crate::input::{Splice, several};
use set::{Entry, Found};

/// What the clock says: nothing may depend on its being 0.
const NOW: u64 = 1_000_000 * SECOND;
const TAG: u64 = 7;
/// Units the limits below admit at once.
const BURST: u64 = 30;
/// More than two workers are ever admitted.
const MOST_ASKS: u32 = 70;
/// The tier whose limits are not judged without shared data.
const CLOSED: usize = 2;

/// Limits that are judged request by request, ones that workers hold units of, and ones that refuse where others degrade.
static LIMITS: LazyLock<Policy> = LazyLock::new(|| {
    let limits = |rate: u64, burst: u64, window: u64, per: &str, failure_mode: &str| {
        serde_json::json!([
            {"name": "b", "algorithm": "token_bucket", "rate": rate, "per": "1s", "burst": burst, "failure_mode": failure_mode},
            {"name": "w", "algorithm": "sliding_window", "rate": window, "per": per, "failure_mode": failure_mode},
        ])
    };
    let hash = KeyHash::of(&digest(KEYS[0].as_bytes()), None).to_string();
    policy(&serde_json::json!({
        "tiers": [
            {"name": "slow", "limits": limits(1, BURST, 40, "60s", "degrade")},
            {"name": "fast", "limits": limits(200, BURST, 300, "1s", "degrade")},
            {"name": "closed", "limits": limits(3, 40, BURST, "60s", "deny")},
        ],
        "consumers": [{"id": "acme", "tier": "slow", "keys": [{"id": "a", "hash": hash}]}],
        "node": {"known_keys": 16, "unknown_keys": 16},
    }))
});

/// Shared data that starts with any bytes, and where some writes lose against another worker.
struct Stored {
    value: Vec<u8>,
    version: u32,
    lost: u16,
}

impl SharedData for Stored {
    fn get(&mut self, _: &str, value: &mut Vec<u8>) -> Result<Option<Version>, Broken> {
        value.clone_from(&self.value);
        Ok(Some(Version(self.version)))
    }

    fn set(&mut self, _: &str, value: &[u8], expected: Option<Version>) -> Result<bool, Broken> {
        self.lost = self.lost.rotate_left(1);
        if self.lost & 1 == 1 || expected != Some(Version(self.version)) {
            return Ok(false);
        }
        self.version += 1;
        value.clone_into(&mut self.value);
        Ok(true)
    }
}

impl Accelerator for Stored {}

impl Node for Stored {
    fn source_address(&mut self) -> Option<std::net::IpAddr> {
        None
    }
}

/// What workers do after the first moment.
#[derive(Clone, Debug, TypeGenerator)]
enum Step {
    Wait(u32),
    Ask(u8),
    Tick,
    GiveBack,
}

#[derive(Clone, Debug, TypeGenerator)]
struct Case {
    #[generator(0..3_usize)]
    tier: usize,
    #[generator(1..=3_u32)]
    cost: u32,
    /// Bits: writes that lose. All set would be a store that does not serve.
    #[generator(0..=0x7fff_u16)]
    lost: u16,
}

fn limits_of(tier: &Tier) -> TierLimits<'_> {
    TierLimits { position: 0, limits: &tier.limits, shape: tier.shape }
}

fn ask<'a>(tier: &'a Tier, cost: u32, now: u64) -> Ask<'a> {
    let subject = Subject { table: Table::Consumers, place: 1, tag: TAG };
    Ask { tier: limits_of(tier), subject, route: 0, cost, now: Instant(now) }
}

/// No limit says that it holds more than it can.
fn check_standings(tier: &Tier, standings: &Standings) {
    for (limit, standing) in tier.limits.iter().zip(standings) {
        assert!(standing.is_none_or(|standing| standing.remaining <= limit.rate.capacity()), "{standings:?}");
    }
}

/// Two workers ask at one moment until nothing can be left, then go on with `steps`.
fn judge(value: &[u8], case: &Case, steps: &[Step]) {
    let tier = &LIMITS.tiers[case.tier];
    let found = set::find(value, TAG, tier, NOW);
    let mut shared = Stored { value: value.to_vec(), version: 1, lost: case.lost };
    let mut workers = [Limiter::new(64), Limiter::new(64)];
    let mut counters = Counters::default();
    let mut units = 0;
    let mut charges = Vec::new();
    for number in 0..MOST_ASKS {
        let worker = &mut workers[(number % 2) as usize];
        let (outcome, standings) = worker.judge(&ask(tier, case.cost, NOW), &mut shared, &mut counters);
        check_standings(tier, &standings);
        match outcome {
            Outcome::Admitted(charge) => {
                units += u64::from(case.cost);
                charges.push((charge, standings));
            }
            Outcome::Refused { .. } => {}
            Outcome::Unavailable => assert_eq!((case.tier, &found), (CLOSED, &Found::Malformed), "unavailable"),
        }
    }
    let most = match &found {
        Found::Malformed if case.tier == CLOSED => 0,
        // A worker that judges alone has a memory of its own, and there are two.
        Found::Malformed => 2 * BURST,
        Found::Kept(remaining) => *remaining,
        Found::Absent => BURST,
    };
    assert!(units <= most, "{units} units, at most {most}: {found:?}");
    let degraded = counters.get(Counter::Degraded);
    match found {
        Found::Malformed => {
            assert_eq!((degraded, shared.version), (u64::from(MOST_ASKS), 1), "what is malformed is neither used nor written");
        }
        Found::Kept(_) | Found::Absent => assert_eq!(degraded, 0, "{found:?}"),
    }
    if let Some(before) = set::in_use(value, NOW) {
        let after = set::in_use(&shared.value, 0).expect("a set that was well is malformed");
        let forgotten = before.iter().find(|entry| !after.contains(entry));
        assert_eq!(forgotten, None, "forgotten, though in use");
    }
    let mut now = NOW;
    for (number, step) in steps.iter().enumerate() {
        let worker = &mut workers[number % 2];
        match step {
            Step::Wait(millis) => now += u64::from(*millis) * 1_000_000,
            Step::Ask(cost) => check_standings(tier, &worker.judge(&ask(tier, u32::from(*cost), now), &mut shared, &mut counters).1),
            Step::Tick => worker.give_back_idle(Instant(now), |_| Some(limits_of(tier)), &mut shared, &mut counters),
            Step::GiveBack => {
                if let Some((charge, mut standings)) = charges.pop() {
                    worker.give_back(limits_of(tier), &charge, &mut standings, Instant(now), &mut shared, &mut counters);
                    check_standings(tier, &standings);
                }
            }
        }
    }
}

#[test]
fn any_bytes_are_never_a_fresh_set() {
    check!().with_test_time(BRIEFLY).with_max_len(512).for_each(|value: &[u8]| {
        for tier in 0..3 {
            judge(value, &Case { tier, cost: 1, lost: 0 }, &[]);
        }
    });
}

#[test]
fn any_set_admits_no_more_than_the_limit() {
    let cases = (produce::<Case>(), several(produce::<Entry>(), 6), several(produce::<Splice>(), 2), several(produce::<Step>(), 8));
    check!().with_test_time(BRIEFLY).with_generator(cases).for_each(|(case, entries, changes, steps)| {
        let mut value = set::write(entries, TAG, &LIMITS.tiers[case.tier], NOW);
        changes.iter().for_each(|change| change.apply(&mut value));
        judge(&value, case, steps);
    });
}

#[test]
fn any_bytes_under_every_key_leave_the_gate_to_itself() {
    let map = map(&[(b":method", b"GET"), (b":path", b"/"), (b"x-api-key", KEYS[0].as_bytes())]);
    check!().with_test_time(BRIEFLY).with_max_len(64).for_each(|value: &[u8]| {
        let mut gate = Gate::new(LIMITS.clone(), "node", [7; 32]);
        let mut shared = Stored { value: value.to_vec(), version: 1, lost: 0 };
        let mut admitted = 0;
        for _ in 0..40 {
            let head = gate.read(&map).unwrap();
            if let Verdict::Admit(mut permit) = gate.judge(&head, Waited::default(), Instant(NOW), 0, &mut shared) {
                admitted += 1;
                gate.answered(&mut permit, 500, Instant(NOW), &mut shared);
            }
            gate.tick(Instant(NOW), &mut shared);
        }
        // Such bytes are not both the node's key (16 bytes) and a set (0, or 26 and more).
        assert_eq!((admitted, shared.version, gate.counters.get(Counter::Degraded)), (BURST, 1, 40));
    });
}
