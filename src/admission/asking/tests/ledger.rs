//! Owns a ledger of one quota for every consumer, which judges as the real one does. Must not test anything.

use tollgate_core::ledger::{Holder, Row, Window};
use tollgate_core::wire::{FirstAsk, LeaseAnswer, LeaseAsk, Settled};

use super::*;

/// The quota every consumer of [`metered`] has.
pub(super) const MONTHLY: &str = "monthly";

/// The ledger, and what is wrong with it.
#[derive(Default)]
pub(super) struct FakeLedger {
    rows: HashMap<String, (Row, Holder)>,
    /// The time, in milliseconds.
    pub(super) now: u64,
    /// What comes with a question is not looked at, as backends did not before.
    pub(super) old: bool,
    /// It grants with an answer too late for it.
    pub(super) late: bool,
    /// It grants with an answer also where a lease is open.
    pub(super) lavish: bool,
    /// What became of leases, message by message.
    pub(super) settles: u32,
}

/// A tier with one quota of so many units.
pub(super) fn metered(units: u64) -> document::Tier {
    let limit = json!({"name": MONTHLY, "algorithm": "quota", "rate": units, "per": "month"});
    serde_json::from_value(json!({"name": "metered", "limits": [limit]})).unwrap()
}

impl FakeLedger {
    fn of(&mut self, consumer: &str, units: u64) -> &mut (Row, Holder) {
        let window = Window { start: 1, end: 1 << 40 };
        self.rows.entry(consumer.to_owned()).or_insert_with(|| (Row::new(window, units), Holder::default()))
    }

    /// A consumer with so many units.
    pub(super) fn prepare(&mut self, consumer: &str, units: u64) {
        self.of(consumer, units);
    }

    /// A consumer may spend so many units from now on.
    pub(super) fn raise(&mut self, consumer: &str, units: u64) {
        self.of(consumer, units).0.limit = units;
    }

    pub(super) fn settle(&mut self, ask: &LeaseAsk) -> LeaseAnswer {
        let now = self.now;
        let (row, holder) = self.of(&ask.consumer, 0);
        row.settle(holder, ask, now, 1).answer
    }

    /// What comes with the answer about a key of a consumer.
    pub(super) fn first(&mut self, revision: u64, known: &Known, asked: &FirstAsk) -> (Vec<String>, Option<Settled>) {
        let quota = known.tier.limits.iter().find(|limit| limit.is_leased());
        let Some(quota) = quota.filter(|_| !self.old) else { return (Vec::new(), None) };
        let lease = asked.lease;
        let ask = LeaseAsk {
            consumer: known.consumer.clone(),
            limit: quota.name.clone(),
            lease,
            number: 1,
            need: asked.need,
            waiting: asked.need,
            ..LeaseAsk::default()
        };
        let (_, holder) = self.of(&known.consumer, quota.rate);
        let answer = match holder.has_another(lease) && !self.lavish {
            true => LeaseAnswer { lease, number: 1, closed: true, ..LeaseAnswer::default() },
            false => self.settle(&ask),
        };
        (vec![quota.name.clone()], (!self.late).then(|| Settled { revision, answers: vec![answer] }))
    }

    /// Units charged to a consumer, and its open leases.
    pub(super) fn account(&self, consumer: &str) -> (u64, usize) {
        self.rows.get(consumer).map_or((0, 0), |(row, holder)| (row.charged, holder.open()))
    }
}
