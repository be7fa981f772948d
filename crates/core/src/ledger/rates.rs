//! Owns what is granted of a rate over all nodes. Must not keep anything, read a clock or know who asks.
//!
//! Units of a rate expire: whoever was granted them spends them within [`LIFE`], or not at all. So nothing need be durable or come back: what
//! was charged drains by itself, and when all of this is lost, a consumer gets its burst once more.
//!
//! A *token bucket* is charged when units are granted. What time has refilled since is not credited when they come back. So within any
//! time t at most capacity + rate · (t + life) units are admitted, where the capacity is the burst, or what flows in in [`AHEAD`] if that is
//! more: with less there would be nothing to lease. A *sliding window* is charged in the last sub-window its units may be spent in, which
//! therefore is as long as they live: no window admits more than its limit.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::holder::Heard;
use super::{FIRST_SHARE, Holder};
use crate::bucket::TokenBucket;
use crate::limit::{Rate, RateState};
use crate::sabotage::{self, Rule};
use crate::time::{Instant, SECOND};
use crate::wire::{LeaseAnswer, LeaseAsk};

const MILLISECOND: u64 = 1_000_000;
/// How long units may be spent after they were granted, at most, in milliseconds.
const LIFE: u64 = 2_000;
/// A bucket holds at least what flows in in so many nanoseconds.
const AHEAD: u64 = SECOND;
/// When to ask again at the earliest where units are scarce, in milliseconds: meanwhile enough flows in for more than one request.
const RETRY: u64 = 100;
/// Unless so few units a second are each holder's part that a call for each is no more.
const FEW: u64 = 1_000 / RETRY;
/// When to ask again at the latest while others hold units that they may return.
const RETRY_HELD: u64 = 1_000;
/// When to ask again at the latest.
const LONGEST_RETRY: u64 = 60_000;
/// Who has not asked for so long is forgotten, in milliseconds: its units have expired, and so have its messages.
const REMEMBERED: u64 = 10_000;

/// The account of a rate of one consumer, by whoever asks.
#[derive(Clone, Debug)]
pub struct RateRow<K> {
    rate: Rate,
    state: RateState,
    /// Names this account: leases of another one are closed.
    since: u64,
    holders: BTreeMap<K, Holder>,
}

impl<K: Ord> RateRow<K> {
    /// An account nothing was granted from; `since` tells it from those before.
    #[must_use]
    pub fn new(rate: Rate, since: u64) -> Self {
        Self { rate, state: rate.untouched(), since: since.max(1), holders: BTreeMap::new() }
    }

    /// The rate is this one from now on. What was charged stays charged, unless the period is another one.
    pub fn set_rate(&mut self, rate: Rate) {
        if self.rate.meaning() != rate.meaning() {
            self.state = rate.untouched();
        }
        self.rate = rate;
    }

    /// Whether a holder has an open lease other than this one, which was never heard of.
    #[must_use]
    pub fn has_another(&self, from: &K, lease: u64) -> bool {
        self.holders.get(from).is_some_and(|holder| holder.has_another(lease))
    }

    /// Judges an ask at `now`, in milliseconds of a clock that never goes back.
    pub fn settle(&mut self, from: K, ask: &LeaseAsk, now: u64) -> LeaseAnswer {
        self.holders.retain(|_, holder| holder.forget_silent(now.saturating_sub(REMEMBERED)));
        let life = life(&self.rate);
        let mut holder = self.holders.remove(&from).unwrap_or_default();
        let active = 1 + self.holders.values().filter(|other| other.has_asked_since(now.saturating_sub(2 * life))).count();
        let held = self.holders.values().any(|other| other.has_held_since(now.saturating_sub(life)));
        let longest = if held { RETRY_HELD } else { LONGEST_RETRY };
        let answer = match holder.hear(ask, self.since) {
            Heard::Closed => self.answer(ask, now, (0, 0), true),
            Heard::Again { granted, at, .. } => {
                // What was granted then has grown older since.
                let left = life.saturating_sub(now.saturating_sub(at));
                let granted = if left > 0 { granted } else { 0 };
                let answer = self.answer(ask, now, (granted, self.retry(granted, ask, now).min(longest)), false);
                LeaseAnswer { expires_in_ms: left.max(1), ..answer }
            }
            Heard::New { lease, came_back, closes } => {
                // What comes back is of the newest grant (the holder returns no other), which was at the newest ask, if any.
                self.give_back(came_back.min(lease.newest), lease.asked_at, now);
                let (granted, scarce) = if closes { (0, false) } else { self.grant(ask, u64::try_from(active).unwrap_or(u64::MAX), now) };
                lease.judged(ask, came_back, granted, closes, now);
                let pace = if scarce { RETRY } else { 0 };
                self.answer(ask, now, (granted, self.retry(granted, ask, now).min(longest).max(pace)), closes)
            }
        };
        holder.forget_closed();
        self.holders.insert(from, holder);
        answer
    }

    /// Whether nothing is lost if this is forgotten.
    #[must_use]
    pub fn is_idle(&self, now: u64) -> bool {
        let silent = !self.holders.values().any(|holder| holder.has_asked_since(now.saturating_sub(REMEMBERED)));
        silent && self.leased().standing(self.state, at(now)).until_full == 0
    }

    fn give_back(&mut self, units: u64, asked_at: u64, now: u64) {
        if units > 0 {
            self.state = self.leased().give_back(self.state, at(now), at(self.charged_as_of(asked_at)), units);
        }
    }

    /// Units for an ask, charged: enough to last, at most a fair half of what there is and flows in soon, or a fair part for who waits, at
    /// least what the first of them needs, or none. And whether they are so few that who asks again at once would ask for each request.
    fn grant(&mut self, ask: &LeaseAsk, active: u64, now: u64) -> (u64, bool) {
        let leased = self.leased();
        let free = leased.standing(self.state, at(now)).remaining;
        if free < ask.need {
            return (0, true);
        }
        let lasting = u128::from(ask.demand) * u128::from(lasts(&self.rate)) / 1_000_000;
        let first = if ask.need > 0 { free / active.saturating_mul(FIRST_SHARE) } else { 0 };
        let lasting = u64::try_from(lasting).unwrap_or(u64::MAX).max(first);
        let ahead = lasting.saturating_sub(ask.own);
        // What flows in until the next ask counts too, or a bucket would have to be full before half of it were enough.
        let there = free.saturating_add(self.rate.refill(AHEAD / 2)).saturating_add(ask.own);
        let fair_half = (there / active.saturating_mul(2)).saturating_sub(ask.own);
        // What is waited for is spent as soon as it is answered: no half of it need be kept back.
        let now_due = ask.waiting.min(free / active);
        let wanted = ahead.max(ask.waiting);
        let granted = ahead.min(fair_half).max(now_due).max(ask.need).min(free);
        match leased.spend(self.state, at(now), at(self.charged_as_of(now)), granted) {
            Some(state) => {
                self.state = state;
                // Halves of halves may be asked for at once, down to what flows in in that time.
                let left = free - granted;
                let scarce = granted < wanted && left < self.rate.refill(2 * RETRY * MILLISECOND).max(active);
                (granted, scarce && self.rate.refill(SECOND) / active > FEW)
            }
            None => (0, true),
        }
    }

    /// When units that are granted at `now` count as spent.
    fn charged_as_of(&self, now: u64) -> u64 {
        match self.rate {
            Rate::TokenBucket(_) => now,
            // The clock may be anywhere in its millisecond.
            Rate::SlidingWindow(_) => now.saturating_add(life(&self.rate)).saturating_add(1),
        }
    }

    /// The rate that grants are charged to.
    fn leased(&self) -> Rate {
        match self.rate {
            Rate::TokenBucket(bucket) => {
                let [rate, period, burst] = bucket.numbers();
                let capacity = burst.max(bucket.refill(AHEAD));
                let capacity = if sabotage::removed(Rule::BucketCap) { capacity.saturating_mul(16) } else { capacity };
                TokenBucket::new(rate, period, capacity).map_or(self.rate, Rate::TokenBucket)
            }
            Rate::SlidingWindow(_) => self.rate,
        }
    }

    /// When an ask that got too little is worth another one, in milliseconds; 0: it got enough.
    fn retry(&self, granted: u64, ask: &LeaseAsk, now: u64) -> u64 {
        let until_needed = || self.leased().until_admitted(self.state, at(now), ask.need).map_or(LONGEST_RETRY, millis);
        if granted < ask.need { until_needed().clamp(RETRY, LONGEST_RETRY) } else { 0 }
    }

    fn answer(&self, ask: &LeaseAsk, now: u64, (granted, retry_ms): (u64, u64), closed: bool) -> LeaseAnswer {
        let leased = self.leased();
        let standing = leased.standing(self.state, at(now));
        let limit = self.rate.capacity();
        LeaseAnswer {
            lease: ask.lease,
            number: ask.number,
            closed,
            granted,
            lasts_ms: lasts(&self.rate),
            expires_in_ms: life(&self.rate),
            window: self.since,
            opens_in_ms: 0,
            full_in_ms: millis(standing.until_full),
            limit,
            left: standing.remaining.min(limit),
            retry_ms,
        }
    }
}

/// How long units of a rate may be spent, in milliseconds: of a sliding window, less than they can be charged in advance.
fn life(rate: &Rate) -> u64 {
    (rate.hold((LIFE + 1) * MILLISECOND) / MILLISECOND).saturating_sub(1)
}

/// How long a grant should last: not to its end, so that nothing expires while more is being asked for.
fn lasts(rate: &Rate) -> u64 {
    life(rate) / 4 * 3
}

const fn at(millis: u64) -> Instant {
    Instant(millis.saturating_mul(MILLISECOND))
}

const fn millis(nanos: u64) -> u64 {
    nanos.div_ceil(MILLISECOND)
}
