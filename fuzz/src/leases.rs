//! Owns the targets for leases: messages of any bytes, a ledger that lies, and slots of any bytes in shared data.

use bolero::{TypeGenerator, check, produce};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_core::limit::{Counted, FailureMode, Leased, Period, Routes};
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::wire::{
    Acknowledged, Changes, LeaseAnswer, LeaseAsk, Report, Resolve, Resolved, ResolvedConsumer, Settle, Settled, decode, encode,
};
use tollgate_filter::counters::Counters;
use tollgate_filter::leases::{Ask, Leases, Outcome, Standings, TICK_EVERY, TierLeases, name_hash};
use tollgate_filter::limits::{Subject, Table};
use tollgate_filter::shared::{Broken, Memory, SharedData, Version};

use crate::BRIEFLY;
use crate::input::{Edge, Splice, numbers, several, text, words};

const NOW: u64 = 1_000_000 * SECOND;
const NAMES: [&str; 2] = ["daily", "monthly"];
const SUBJECT: Subject = Subject { table: Table::Consumers, place: 5, tag: 7 };
/// Where leases are numbered.
const NUMBERS: &str = "tollgate/1/leases";
/// The shortest a slot can be written.
const SLOT: usize = 31 * 8 + 2;

/// One worker whose consumer has two quotas, over some shared data.
struct Worker<S> {
    leases: Leases,
    shared: S,
    leased: Vec<Leased>,
    names: Vec<u64>,
    counters: Counters,
    now: Instant,
}

impl<S: SharedData> Worker<S> {
    fn new(shared: S) -> Self {
        let leased = |name: &&str| Leased {
            name: (*name).to_owned(),
            counted: Counted::Quota(Period::Day),
            routes: Routes::All,
            shadow: false,
            failure_mode: FailureMode::Deny,
            degraded: None,
        };
        Self {
            leases: Leases::new(16, &["fuzz"]),
            shared,
            leased: NAMES.iter().map(leased).collect(),
            names: NAMES.iter().map(|name| name_hash(name)).collect(),
            counters: Counters::default(),
            now: Instant(NOW),
        }
    }

    fn judge(&mut self, cost: u32) -> Outcome {
        let tier = TierLeases { position: 0, leased: &self.leased, names: &self.names };
        let ask = Ask { tier, subject: SUBJECT, consumer: "acme", route: 0, cost, impatient: false, now: self.now };
        self.leases.judge(&ask, &mut Standings::default(), &mut self.shared, &mut self.counters)
    }

    fn asks(&mut self) -> Vec<LeaseAsk> {
        let mut asks = self.leases.take_urgent();
        asks.extend(self.leases.take_background());
        asks
    }

    fn tick(&mut self) {
        self.leases.tick(true, self.now, &mut self.shared, &mut self.counters);
    }

    fn answered(&mut self, ask: &LeaseAsk, answer: &LeaseAnswer) -> bool {
        let place = self.leases.place(SUBJECT, name_hash(&ask.limit));
        self.leases.answered(place, answer, 1, self.now, self.now, &mut self.shared)
    }
}

/// What a ledger may say, near what matters.
#[derive(Clone, Debug, TypeGenerator)]
struct Lie {
    /// Bits: of another lease, or ask; closed; not told of.
    odd: u8,
    granted: Edge,
    lasts: Edge,
    window: Edge,
    opens: Edge,
    full: Edge,
    expires: Edge,
    limit: Edge,
    left: Edge,
    retry: Edge,
}

#[derive(Clone, Debug, TypeGenerator)]
enum Step {
    Request(u8),
    GiveBack,
    Wait(u16),
    WaitLong(u8),
    Answer(Lie),
    Recall(bool),
}

impl Lie {
    fn to(&self, ask: &LeaseAsk) -> LeaseAnswer {
        let edge = |edge: Edge, near| edge.number(near, 1);
        LeaseAnswer {
            lease: ask.lease.wrapping_add(u64::from(self.odd & 0x11 == 0x11)),
            number: ask.number.wrapping_add(u64::from(self.odd & 0x22 == 0x22)),
            closed: self.odd & 0xc0 == 0xc0,
            granted: edge(self.granted, ask.need),
            lasts_ms: edge(self.lasts, 2_000),
            window: edge(self.window, 5),
            opens_in_ms: if self.odd & 4 == 0 { 0 } else { edge(self.opens, 3_000) },
            full_in_ms: edge(self.full, 60_000),
            expires_in_ms: if self.odd & 8 == 0 { 0 } else { edge(self.expires, 2_000) },
            limit: edge(self.limit, 100),
            left: edge(self.left, 100),
            retry_ms: edge(self.retry, 1_000),
        }
    }
}

/// Whatever a ledger answers, no more is spent of a limit than it said was granted, less what was returned.
#[test]
fn a_ledger_that_lies_has_no_more_spent_than_it_granted() {
    check!().with_test_time(BRIEFLY).with_generator(several(produce::<Step>(), 40)).for_each(|steps| {
        let mut worker = Worker::new(Memory::default());
        let (mut asks, mut charges) = (Vec::new(), Vec::new());
        let (mut spent, mut granted) = (0_u128, [0_u128; 2]);
        let mut returned: std::collections::BTreeMap<u64, (usize, u64)> = std::collections::BTreeMap::new();
        for step in steps {
            match step {
                Step::Request(cost) => {
                    let cost = u32::from(cost % 8);
                    if let Outcome::Admitted { charge, .. } = worker.judge(cost) {
                        spent += u128::from(cost);
                        charges.push(charge);
                    }
                }
                Step::GiveBack => {
                    if let Some(charge) = charges.pop() {
                        let tier = TierLeases { position: 0, leased: &worker.leased, names: &worker.names };
                        worker.leases.give_back(tier, &charge, worker.now, &mut worker.shared, &mut worker.counters);
                        spent -= u128::from(charge.units);
                    }
                }
                Step::Wait(millis) => {
                    worker.now = worker.now.after(TICK_EVERY + u64::from(*millis) * 1_000_000);
                    worker.tick();
                }
                Step::WaitLong(seconds) => {
                    for _ in 0..u32::from(*seconds) {
                        worker.now = worker.now.after(TICK_EVERY);
                        worker.tick();
                    }
                }
                Step::Answer(lie) => {
                    if let Some(ask) = asks.pop() {
                        let answer = lie.to(&ask);
                        if worker.answered(&ask, &answer) {
                            let limit = usize::from(ask.limit == NAMES[1]);
                            granted[limit] += u128::from(if answer.closed { 0 } else { answer.granted });
                        }
                    }
                }
                Step::Recall(changed) if *changed => worker.leases.changed(None, 2, worker.now, &mut worker.shared),
                Step::Recall(_) => {
                    let place = worker.leases.place(SUBJECT, name_hash(NAMES[0]));
                    worker.leases.recall(place, worker.now, &mut worker.shared);
                }
            }
            for ask in worker.asks() {
                let limit = usize::from(ask.limit == NAMES[1]);
                let known = returned.entry(ask.lease).or_insert((limit, 0));
                known.1 = known.1.max(ask.returned);
                asks.push(ask);
            }
            for (limit, granted) in granted.iter().enumerate() {
                let back: u128 = returned.values().filter(|(of, _)| *of == limit).map(|(_, units)| u128::from(*units)).sum();
                assert!(spent + back <= *granted, "{spent} spent and {back} returned of {granted}");
            }
        }
    });
}

/// Shared data whose one set of slots is given; what else is there is as it should be.
struct OneSet {
    set: Vec<u8>,
    version: u32,
    others: Memory,
}

impl OneSet {
    fn new(set: Vec<u8>) -> Self {
        Self { set, version: 1, others: Memory::default() }
    }
}

impl SharedData for OneSet {
    fn get(&mut self, key: &str, value: &mut Vec<u8>) -> Result<Option<Version>, Broken> {
        if key == NUMBERS {
            return self.others.get(key, value);
        }
        value.clone_from(&self.set);
        Ok(Some(Version(self.version)))
    }

    fn set(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> Result<bool, Broken> {
        if key == NUMBERS {
            return self.others.set(key, value, expected);
        }
        if expected != Some(Version(self.version)) {
            return Ok(false);
        }
        value.clone_into(&mut self.set);
        self.version += 1;
        Ok(true)
    }
}

/// How many slots there are, each after its length, before bytes that are none; by a plainer reading.
fn slots(mut bytes: &[u8]) -> usize {
    let slot = |bytes: &mut &[u8]| {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (slot, after) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let (consumer, names) = slot.get(SLOT - 2..)?.split_first_chunk::<2>()?;
        let (consumer, name) = names.split_at_checked(usize::from(u16::from_le_bytes(*consumer)))?;
        *bytes = after;
        (std::str::from_utf8(consumer).is_ok() && std::str::from_utf8(name).is_ok()).then_some(())
    };
    std::iter::from_fn(|| slot(&mut bytes)).count()
}

/// Judges some requests over these bytes, and looks after the slots: how many are admitted, and how often the set is written.
fn over(bytes: Vec<u8>) -> (u32, u32) {
    let mut worker = Worker::new(OneSet::new(bytes));
    let mut admitted = 0;
    for _ in 0..8 {
        admitted += u32::from(matches!(worker.judge(1), Outcome::Admitted { .. }));
        for ask in worker.asks() {
            worker.answered(&ask, &LeaseAnswer { lease: ask.lease, number: ask.number, granted: 2, ..LeaseAnswer::default() });
        }
        worker.now = worker.now.after(SECOND);
        worker.tick();
    }
    (admitted, worker.shared.version - 1)
}

#[test]
fn any_bytes_in_shared_data_are_no_units() {
    check!().with_test_time(BRIEFLY).with_max_len(600).for_each(|bytes: &[u8]| {
        let (admitted, written) = over(bytes.to_vec());
        // None is an empty set.
        assert!(bytes.is_empty() || slots(bytes) > 0 || (admitted, written) == (0, 0), "{admitted} admitted, {written} times written");
    });
}

#[test]
fn slots_that_were_changed_are_read_or_left_alone() {
    let mut worker = Worker::new(OneSet::new(Vec::new()));
    worker.judge(1);
    let asks = worker.asks();
    assert_eq!(asks.len(), 2);
    for ask in asks {
        let answer = LeaseAnswer {
            lease: ask.lease,
            number: 1,
            granted: 50,
            window: 3,
            full_in_ms: 60_000,
            limit: 99,
            left: 49,
            ..Default::default()
        };
        assert!(worker.answered(&ask, &answer));
    }
    let set = worker.shared.set;
    assert_eq!(slots(&set), 2);
    check!().with_test_time(BRIEFLY).with_generator(several(produce::<Splice>(), 4)).for_each(|changes| {
        let mut bytes = set.clone();
        changes.iter().for_each(|change| change.apply(&mut bytes));
        over(bytes);
    });
}

fn comes_back<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(message) = decode::<T>(bytes) {
        let again = encode(&message).unwrap();
        assert_eq!(decode::<T>(&again).ok().as_ref(), Some(&message), "{}", String::from_utf8_lossy(&again));
    }
}

/// All messages that one side reads of the other.
#[test]
fn any_message_is_refused_or_is_the_same_when_written_again() {
    let words = words(
        r#"{"wire":"tollgate-node/1"|,"asks":[|,"answers":[|,"leases":[|{"consumer":"c","limit":"l","lease":1,"number":1|}|]}|]|,"revision":|18446744073709551615|9007199254740993|-1|0|1.5|1e400|null|true|"returned":|,"close":true|,"need":|,"after":|,"window":|,"granted":|,"opens_in_ms":|,"sha256":"a"|,"known":{|"consumer":"|\u0000|"|,"sequence":|,"overages":[|,"used":[|,"held_ms":|,"changes":["#,
    );
    check!().with_test_time(BRIEFLY).with_generator(numbers(60)).for_each(|numbers| {
        let bytes = text(numbers, &words);
        comes_back::<Settle>(&bytes);
        comes_back::<Settled>(&bytes);
        comes_back::<Report>(&bytes);
        comes_back::<Acknowledged>(&bytes);
        comes_back::<Resolve>(&bytes);
        comes_back::<Resolved>(&bytes);
        comes_back::<ResolvedConsumer>(&bytes);
        comes_back::<Changes>(&bytes);
    });
}
