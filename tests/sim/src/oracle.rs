//! Owns what must hold: it follows each unit from its grant to the request it let pass. Must not influence anything.

use std::collections::{HashMap, VecDeque};

use tollgate_core::ledger::AHEAD;
use tollgate_core::limit::Rate;

use super::ledger::{Entry, Key, Ledger, Quota};
use super::plan::{CALM, MS, SECOND, TROUBLE};

/// A lease: its incarnation, its number and its row. A message that comes twice may open a lease in two windows; its holder adopts one.
type Lease = (u64, u64, Key);

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    granted: u64,
    returned: u64,
    spent: u64,
    closed: bool,
}

/// What is known of all units.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    leases: HashMap<Lease, Account>,
    /// The row of each lease that a node has adopted.
    adopted: HashMap<(u64, u64, Quota), Key>,
    /// The highest limit that was in force in a window.
    highest: HashMap<Key, u64>,
    spent: HashMap<Key, u64>,
    /// Units an operator released that had been spent since their holder last spoke.
    excused: HashMap<Key, u64>,
    /// Of each quota, units let pass without a lease, in all and near the end.
    passed: HashMap<Quota, (u64, u64)>,
    /// Asks of one row by one node, second by second.
    asks: HashMap<(u64, Quota, u64), u32>,
    /// Since when there has been something to be had of each row, and how much at least.
    free: HashMap<Key, (u64, u64)>,
    reports: HashMap<(u64, u64), u32>,
    rates: HashMap<Quota, Rated>,
}

/// What was admitted of a rate.
#[derive(Debug, Default)]
struct Rated {
    /// When, and how much; of a sliding window, as long as that may count.
    admitted: VecDeque<(u64, u64)>,
    sum: u64,
    /// How far a token bucket is from full, in units by nanoseconds of its period: below 0 where the ledger has lost what it knew.
    level: i128,
    at: u64,
    /// Times the ledger has lost what it knew, lately.
    lost: Vec<u64>,
    /// What was admitted near the end.
    lately: u64,
}

/// How long units of a token bucket may be spent, in nanoseconds, with what a message that comes late in a millisecond adds.
const LIFE: u64 = 2 * SECOND + MS;
/// From when on it is looked at whether a rate is used in full.
pub(crate) const USED_FROM: u64 = TROUBLE + 5 * SECOND;

/// The most asks for one row that a node may send in a second: halves of halves of what is left, and retries.
const MOST_ASKS: u32 = 60;
/// The most reports a node may send in a second.
const MOST_REPORTS: u32 = 2;

/// How much too early a node's clock may take a window for begun, in milliseconds: drift over the longest time that was told ahead.
const EARLY: u64 = AHEAD * 2 / 1_000 + 1;

/// What was broken.
pub(crate) type Broken = String;

impl Oracle {
    /// A limit is in force.
    pub(crate) fn limit(&mut self, key: Key, units: u64) {
        let highest = self.highest.entry(key).or_default();
        *highest = (*highest).max(units);
    }

    /// The ledger has durably judged an ask.
    pub(crate) fn judged(&mut self, entry: &Entry) -> Result<(), Broken> {
        let lease = (entry.incarnation, entry.lease, entry.key);
        let account = self.leases.entry(lease).or_default();
        if account.closed {
            return Err(format!("lease {entry:?} was closed before"));
        }
        account.closed = entry.closed;
        account.granted = entry.granted.max(account.granted);
        if entry.returned < account.returned {
            return Err(format!("lease {entry:?}: returned goes down from {}", account.returned));
        }
        account.returned = entry.returned;
        self.covered(lease)
    }

    /// A node has adopted a grant.
    pub(crate) fn adopted(&mut self, incarnation: u64, lease: u64, key: Key) {
        self.adopted.insert((incarnation, lease, key.0), key);
    }

    /// A request was admitted, and units of a lease spent for it.
    pub(crate) fn spent(&mut self, lease: (u64, u64, Quota), units: u64, now: u64) -> Result<(), Broken> {
        let key = self.adopted.get(&lease).copied().unwrap_or_default();
        let (incarnation, lease, _) = lease;
        if now + EARLY < key.1 {
            return Err(format!("row {key:?}: {units} units are admitted {} ms before it begins", key.1 - now));
        }
        let Some(account) = self.leases.get_mut(&(incarnation, lease, key)) else {
            return Err(format!("lease {lease} of {incarnation} was spent from, and never durably granted"));
        };
        account.spent += units;
        let spent = self.spent.entry(key).or_default();
        *spent += units;
        let most = self.highest.get(&key).copied().unwrap_or_default() + self.excused.get(&key).copied().unwrap_or_default();
        if *spent > most {
            return Err(format!("row {key:?}: {spent} units admitted, of at most {most}"));
        }
        self.covered((incarnation, lease, key))
    }

    /// A request was admitted, and units of a rate spent for it.
    pub(crate) fn rated(&mut self, quota: Quota, rate: &Rate, units: u64, now: u64) -> Result<(), Broken> {
        let of = self.rates.entry(quota).or_default();
        of.lately += if now >= USED_FROM { units } else { 0 };
        match rate {
            Rate::TokenBucket(bucket) => {
                let [rate, period, burst] = bucket.numbers().map(i128::from);
                let drained = of.level - i128::from(now - of.at) * rate;
                (of.level, of.at) = (drained.max(of.level.min(0)) + i128::from(units) * period, now);
                let capacity = (burst * period).max(i128::from(SECOND) * rate);
                let most = capacity + i128::from(LIFE) * rate;
                if of.level > most {
                    return Err(format!("rate {quota:?}: {} units too many are admitted", (of.level - most).div_euclid(period) + 1));
                }
            }
            Rate::SlidingWindow(window) => {
                let length = window.longest_hold() * tollgate_core::window::SUB_WINDOWS;
                while of.admitted.front().is_some_and(|(at, _)| at + length <= now) {
                    of.sum -= of.admitted.pop_front().map_or(0, |(_, units)| units);
                }
                of.admitted.push_back((now, units));
                of.sum += units;
                // What was granted before a loss is spent a while after it.
                let lost = of.lost.iter().filter(|at| **at + length + LIFE > now).count() as u64;
                if of.sum > u64::from(window.limit()) * (1 + lost) {
                    return Err(format!(
                        "rate {quota:?}: {} units admitted in a window of {}, after {lost} losses",
                        of.sum,
                        window.limit()
                    ));
                }
            }
        }
        Ok(())
    }

    /// The ledger has lost what it knew of rates: each may give its burst once more.
    pub(crate) fn rates_lost(&mut self, rates: &HashMap<Quota, Rate>, now: u64) {
        for (quota, rate) in rates {
            let of = self.rates.entry(*quota).or_default();
            of.lost.push(now);
            if let Rate::TokenBucket(bucket) = rate {
                let [rate, period, burst] = bucket.numbers().map(i128::from);
                of.level -= (burst * period).max(i128::from(SECOND) * rate);
            }
        }
    }

    /// Units of a rate that were admitted since [`USED_FROM`].
    pub(crate) fn rated_lately(&self, quota: Quota) -> u64 {
        self.rates.get(&quota).map_or(0, |of| of.lately)
    }

    /// An operator released a lease whose holder is gone.
    pub(crate) fn released(&mut self, incarnation: u64, key: Key, lease: u64, held: u64) {
        let Some(account) = self.leases.get_mut(&(incarnation, lease, key)) else {
            return;
        };
        let known = account.granted - account.returned - held;
        *self.excused.entry(key).or_default() += account.spent.saturating_sub(known);
    }

    /// How much is free of a row at a moment.
    pub(crate) fn free(&mut self, key: Key, units: u64, now: u64) {
        if units == 0 {
            self.free.remove(&key);
            return;
        }
        let (_, least) = self.free.entry(key).or_insert((now, units));
        *least = units.min(*least);
    }

    /// How much of a row could have been had for so long.
    pub(crate) fn free_for(&self, key: Key, long: u64, now: u64) -> u64 {
        self.free.get(&key).filter(|(since, _)| now - since >= long).map_or(0, |(_, least)| *least)
    }

    /// A request was let pass without a lease.
    pub(crate) fn passed(&mut self, quota: Quota, units: u64, now: u64) {
        let (all, lately) = self.passed.entry(quota).or_default();
        *all += units;
        *lately += if now >= TROUBLE + CALM - 4 * SECOND { units } else { 0 };
    }

    /// Units of a quota that were let pass, and those of them of which the ledger may not have heard yet.
    pub(crate) fn passed_of(&self, quota: Quota) -> (u64, u64) {
        self.passed.get(&quota).copied().unwrap_or_default()
    }

    pub(crate) fn asked(&mut self, incarnation: u64, quota: Quota, now: u64) -> Result<(), Broken> {
        let asks = self.asks.entry((incarnation, quota, now / SECOND)).or_default();
        *asks += 1;
        if *asks > MOST_ASKS { Err(format!("{asks} asks for {quota:?} by node {incarnation} in a second")) } else { Ok(()) }
    }

    pub(crate) fn reported(&mut self, incarnation: u64, now: u64) -> Result<(), Broken> {
        let reports = self.reports.entry((incarnation, now / SECOND)).or_default();
        *reports += 1;
        if *reports > MOST_REPORTS { Err(format!("{reports} reports by node {incarnation} in a second")) } else { Ok(()) }
    }

    /// The ledger's rows are the sums of their leases. To be asked when nothing is being committed.
    pub(crate) fn adds_up(&self, ledger: &Ledger) -> Result<(), Broken> {
        let mut charges: HashMap<Key, u64> = HashMap::new();
        for ((.., key), account) in &self.leases {
            *charges.entry(*key).or_default() += account.granted - account.returned;
        }
        for (key, row) in &ledger.working.rows {
            if self.excused.contains_key(key) || ledger.expires {
                continue;
            }
            let charge = charges.get(key).copied().unwrap_or_default();
            if row.charged != charge {
                return Err(format!("row {key:?}: charged {}, and its leases {charge}", row.charged));
            }
        }
        if ledger.useless > 0 {
            return Err("a grant was too small for what waited".to_owned());
        }
        Ok(())
    }

    /// Units of a row that were admitted.
    pub(crate) fn spent_of(&self, key: Key) -> u64 {
        self.spent.get(&key).copied().unwrap_or_default()
    }

    /// Units of a row that nobody can spend any more, because who had them is gone or has lost them: granted to others than the living.
    pub(crate) fn burnt(&self, key: Key, living: &[u64]) -> u64 {
        let dead = self.leases.iter().filter(|((incarnation, _, own), _)| *own == key && !living.contains(incarnation));
        dead.map(|(_, account)| account.granted - account.returned - account.spent.min(account.granted - account.returned)).sum()
    }

    fn covered(&self, lease: Lease) -> Result<(), Broken> {
        let Some(account) = self.leases.get(&lease) else {
            return Ok(());
        };
        if account.spent + account.returned > account.granted && !self.excused.contains_key(&lease.2) {
            return Err(format!("lease {lease:?}: {account:?}: more spent and returned than granted"));
        }
        Ok(())
    }
}
