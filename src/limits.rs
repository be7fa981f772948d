//! Owns the limits of one worker: it spends from the worker's purses, and from the node's shared state where they are empty. Must
//! not know how a subject was found or how an answer looks.
//!
//! All limits of a tier that a subject meets are judged together: their states are one entry in one shared value, so one
//! compare-and-swap charges all of them or none. Where a rate is high enough, a worker takes a chunk in the same exchange and
//! spends it from its own memory for up to [`HOLD`]. A chunk is charged as of the end of that time, so whenever its units are
//! spent within it, the limit would have admitted them (see `tollgate_core::bucket`). Low rates are judged request by request.

mod ask;
mod purse;
mod slots;

#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;

use lru::LruCache;
use tollgate_core::limit::FailureMode;
use tollgate_core::time::Instant;

use crate::counters::{Counter, Counters};
use crate::shared::{Broken, Memory, SharedData};
use ask::bits;
pub use ask::{Ask, Charge, MOST_LIMITS, Outcome, Standings, Subject, Table, TierLimits};
use purse::Purse;
use slots::{Entry, Set};

/// How long a worker may hold units: long enough that a busy worker meets others rarely, short enough that an idle one keeps
/// next to nothing from them.
pub const HOLD: u64 = 50_000_000;
/// How often [`Limiter::give_back_idle`] must be called while [`Limiter::holds_units`].
pub const GIVE_BACK_EVERY: u64 = 20_000_000;
/// A purse this close to its end is renewed, so that its rest can still be given back.
const RENEW_BEFORE: u64 = 10_000_000;
/// Purses a worker keeps.
const MOST_PURSES: usize = 4_096;
/// Compare-and-swaps lost in a row before shared data counts as unusable. Two workers on one key lose one in a few.
const MOST_RETRIES: u32 = 64;
/// Sets of the table a worker keeps by itself while the node's cannot be had: at most 16 MB, whatever the node's size.
const LOCAL_SETS: u32 = 1_024;

/// Whose states an exchange is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The node's, shared by its workers.
    Node,
    /// This worker's own, while those of the node cannot be had.
    Worker,
}

/// Units on their way back to the node's state.
struct Return {
    subject: Subject,
    units: purse::Units,
    as_of: Instant,
}

/// The limits of one worker.
#[derive(Debug)]
pub struct Limiter {
    sets: u32,
    purses: LruCache<u64, Purse>,
    /// Tags of purses that may hold units.
    active: Vec<u64>,
    /// What limits fall back on when shared data is unusable.
    local: Memory,
    set: Set,
}

impl Limiter {
    /// A limiter over tables of `slots` subjects each.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        let purses = NonZeroUsize::new(MOST_PURSES).unwrap_or(NonZeroUsize::MIN);
        Self {
            sets: slots.div_ceil(slots::WAYS).max(1),
            purses: LruCache::new(purses),
            active: Vec::new(),
            local: Memory::default(),
            set: Set::default(),
        }
    }

    /// Judges a request and spends its units, or spends nothing.
    pub fn judge<S: SharedData>(&mut self, ask: &Ask<'_>, shared: &mut S, counters: &mut Counters) -> (Outcome, Standings) {
        let mut standings = Standings::default();
        let applying = ask.applying();
        if applying == 0 {
            return (Outcome::Admitted(ask.charge(ask.now, 0)), standings);
        }
        if let Some(purse) = self.purses.get_mut(&ask.subject.tag)
            && purse.spend(ask, applying, &mut standings)
        {
            return (Outcome::Admitted(ask.charge(purse.held_until, applying)), standings);
        }
        match self.exchange(ask, applying, Whose::Node, shared, counters, &mut standings) {
            Ok(outcome) => (outcome, standings),
            Err(Broken) => self.alone(ask, applying, counters),
        }
    }

    /// Judges a request without shared data, by each limit's failure mode.
    pub fn judge_alone(&mut self, ask: &Ask<'_>, counters: &mut Counters) -> (Outcome, Standings) {
        self.alone(ask, ask.applying(), counters)
    }

    /// Gives back the units of an admitted request, as far as time has not refilled them already, and corrects where it stands.
    pub fn give_back<S: SharedData>(
        &mut self,
        tier: TierLimits<'_>,
        charge: &Charge,
        standings: &mut Standings,
        now: Instant,
        shared: &mut S,
        counters: &mut Counters,
    ) {
        if charge.limits == 0 || charge.units == 0 {
            return;
        }
        let units = std::array::from_fn(|position| if charge.limits & (1 << position) == 0 { 0 } else { charge.units });
        let back = Return { subject: charge.subject, units, as_of: charge.as_of };
        // Units that cannot be given back stay spent, which is on the safe side.
        if self.put_back(tier, &back, now, shared, counters).is_ok() {
            for ((limit, standing), units) in tier.limits.iter().zip(standings).zip(units) {
                if let Some(standing) = standing {
                    standing.remaining = standing.remaining.saturating_add(u64::from(units)).min(limit.rate.capacity());
                    if standing.remaining == limit.rate.capacity() {
                        standing.until_full = 0;
                    }
                }
            }
        }
    }

    /// Whether a purse may hold units that others wait for.
    #[must_use]
    pub fn holds_units(&self) -> bool {
        !self.active.is_empty()
    }

    /// Gives back what purses hold that were not used lately or are about to end. `tier_at` finds a tier by position.
    pub fn give_back_idle<'a, S: SharedData>(
        &mut self,
        now: Instant,
        tier_at: impl Fn(usize) -> Option<TierLimits<'a>>,
        shared: &mut S,
        counters: &mut Counters,
    ) {
        let mut still_active = Vec::new();
        for tag in std::mem::take(&mut self.active) {
            let Some(purse) = self.purses.peek_mut(&tag) else {
                continue;
            };
            let ends = now.after(GIVE_BACK_EVERY + RENEW_BEFORE) >= purse.held_until;
            if !ends && now.since(purse.last_used) < GIVE_BACK_EVERY {
                still_active.push(tag);
                continue;
            }
            purse.listed = false;
            let tier = tier_at(purse.tier).filter(|tier| tier.shape == purse.shape);
            let back = Return { subject: purse.subject, as_of: purse.held_until, units: purse.empty() };
            if back.units.iter().all(|units| *units == 0) {
                continue;
            }
            let returned = tier.is_some_and(|tier| self.put_back(tier, &back, now, shared, counters).is_ok());
            if !returned {
                counters.add(Counter::DroppedUnits, back.units.iter().map(|units| u64::from(*units)).sum());
            }
        }
        self.active = still_active;
    }

    /// Judges by the node's shared state, and refills the purse where that is worth it.
    fn exchange<S: SharedData>(
        &mut self,
        ask: &Ask<'_>,
        applying: u8,
        whose: Whose,
        shared: &mut S,
        counters: &mut Counters,
        standings: &mut Standings,
    ) -> Result<Outcome, Broken> {
        let sets = match whose {
            Whose::Node => self.sets,
            Whose::Worker => self.sets.min(LOCAL_SETS),
        };
        let key = slots::key(ask.subject, sets);
        for _ in 0..MOST_RETRIES {
            let version = self.set.read(&key, shared)?;
            let mut entry = self.set.entry(ask.subject.tag, ask.tier.shape, ask.tier.limits, ask.now)?;
            if entry.is_overflow() {
                counters.count(Counter::Merged);
            }
            // A purse holds the node's units, whoever judges meanwhile.
            let purse = self.purses.peek(&ask.subject.tag).filter(|purse| {
                whose == Whose::Node && purse.tier == ask.tier.position && purse.shape == ask.tier.shape && !entry.is_overflow()
            });
            let returned = purse.is_some_and(|purse| purse.return_to(&mut entry, ask.tier.limits, ask.now));
            let refusal = spend(&mut entry, ask, applying, counters);
            let chunk = match refusal {
                None => purse.map_or(0, |purse| purse.wanted(ask)),
                Some(_) => 0,
            };
            *standings = standings_of(&entry, ask, applying);
            let chunk = if chunk > 0 { purse::take(&mut entry, ask, applying, chunk) } else { None };
            let changed = returned || (refusal.is_none() && ask.cost > 0);
            if changed && !self.set.write(&key, &entry, ask.tier.limits, ask.now, version, shared)? {
                counters.count(Counter::CasRetry);
                continue;
            }
            let done = purse::Exchange { chunk, returned, spent: refusal.is_none() && !entry.is_overflow() };
            if whose == Whose::Node {
                self.settle_purse(ask, applying, &done, standings, counters);
            }
            return Ok(match refusal {
                None => Outcome::Admitted(ask.charge(ask.now, applying)),
                Some(wait) => Outcome::Refused { wait },
            });
        }
        Err(Broken)
    }

    /// Brings the worker's purse in line with what the exchange just did to the node's state.
    fn settle_purse(&mut self, ask: &Ask<'_>, applying: u8, done: &purse::Exchange, standings: &Standings, counters: &mut Counters) {
        match self.purses.get_mut(&ask.subject.tag) {
            Some(purse) => {
                counters.add(Counter::DroppedUnits, purse.renew(ask, applying, done, standings));
                if done.chunk.is_some() && !purse.listed {
                    purse.listed = true;
                    self.active.push(ask.subject.tag);
                }
            }
            None if done.spent && purse::is_worth_it(ask, applying) => {
                if let Some((_, old)) = self.purses.push(ask.subject.tag, Purse::new(ask)) {
                    counters.add(Counter::DroppedUnits, old.held());
                }
            }
            None => {}
        }
    }

    fn put_back<S: SharedData>(
        &mut self,
        tier: TierLimits<'_>,
        back: &Return,
        now: Instant,
        shared: &mut S,
        counters: &mut Counters,
    ) -> Result<(), Broken> {
        let key = slots::key(back.subject, self.sets);
        for _ in 0..MOST_RETRIES {
            let version = self.set.read(&key, shared)?;
            let mut entry = self.set.entry(back.subject.tag, tier.shape, tier.limits, now)?;
            if entry.fresh || entry.is_overflow() {
                // Nothing of the charge is left, or the subject shares the overflow, where nothing is given back.
                return Ok(());
            }
            purse::give_back(&mut entry, tier.limits, &back.units, back.as_of, now);
            if self.set.write(&key, &entry, tier.limits, now, version, shared)? {
                return Ok(());
            }
            counters.count(Counter::CasRetry);
        }
        Err(Broken)
    }

    fn alone(&mut self, ask: &Ask<'_>, applying: u8, counters: &mut Counters) -> (Outcome, Standings) {
        counters.count(Counter::Degraded);
        let by_mode = |mode: FailureMode| bits(ask.tier.limits, |limit| limit.failure_mode == mode) & applying;
        let enforced = bits(ask.tier.limits, |limit| !limit.shadow);
        let mut standings = Standings::default();
        if by_mode(FailureMode::Deny) & enforced != 0 {
            return (Outcome::Unavailable, standings);
        }
        let degraded = by_mode(FailureMode::Degrade);
        if degraded == 0 {
            return (Outcome::Admitted(ask.charge(ask.now, 0)), standings);
        }
        let mut local = std::mem::take(&mut self.local);
        let judged = self.exchange(ask, degraded, Whose::Worker, &mut local, counters, &mut standings);
        self.local = local;
        match judged {
            Ok(Outcome::Admitted(_)) => (Outcome::Admitted(ask.charge(ask.now, 0)), standings),
            Ok(refused) => (refused, standings),
            Err(Broken) => (Outcome::Unavailable, standings),
        }
    }
}

/// Spends the request's units from every limit that applies, or from none: the wait where one refuses.
fn spend(entry: &mut Entry, ask: &Ask<'_>, applying: u8, counters: &mut Counters) -> Option<Option<u64>> {
    let units = u64::from(ask.cost);
    if units == 0 {
        return None;
    }
    let mut refusal: Option<Option<u64>> = None;
    let mut next = entry.states;
    for (position, limit) in ask.tier.limits.iter().enumerate().filter(|(position, _)| applying & (1 << position) != 0) {
        let Some(state) = next.get_mut(position) else { continue };
        match limit.rate.spend(*state, ask.now, ask.now, units) {
            Some(spent) => *state = spent,
            None if limit.shadow => counters.count(Counter::ShadowRefusal),
            None => {
                let wait = limit.rate.until_admitted(*state, ask.now, units);
                refusal = Some(match refusal {
                    None => wait,
                    Some(longest) => longest.zip(wait).map(|(longest, wait)| longest.max(wait)),
                });
            }
        }
    }
    if refusal.is_none() {
        entry.states = next;
    }
    refusal
}

fn standings_of(entry: &Entry, ask: &Ask<'_>, applying: u8) -> Standings {
    let mut standings = Standings::default();
    for (position, ((limit, state), standing)) in ask.tier.limits.iter().zip(&entry.states).zip(&mut standings).enumerate() {
        if applying & (1 << position) != 0 {
            *standing = Some(limit.rate.standing(*state, ask.now));
        }
    }
    standings
}
