//! Owns the arithmetic of the ledger: what a quota owes in a window, what may be granted from it, and which messages count. Must not keep
//! anything, read a clock or know who asks. What is granted of rates is in `rates`.
//!
//! A *row* is one quota of one consumer in one window. A *lease* is what one incarnation of a node was granted from a row: its first ask
//! opens it, further asks let it grow, its holder closes it. Asks of a lease are numbered, and what it returns is told as a total, so a
//! message that comes twice, late or in another order changes nothing.
//!
//! A row's *charge* is granted − returned, over all its leases. Only an explicit return lowers it: whoever falls silent keeps what it was
//! granted, spent or not, until the window ends. So no clock decides whether a quota holds.
//!
//! Times are milliseconds since 1970 by the ledger's clock.

mod holder;
mod rates;

#[cfg(test)]
mod tests;

use crate::sabotage::{self, Rule};
use crate::wire::{LeaseAnswer, LeaseAsk};
use holder::Heard;
pub use holder::{Holder, Lease};
pub use rates::RateRow;

/// How long a grant should last where little is left, in milliseconds.
pub const SHORTEST_LEASE: u64 = 2_000;
/// The same where all is left.
pub const LONGEST_LEASE: u64 = 300_000;
/// When to ask again while others hold units that they may return, in milliseconds.
pub const RETRY: u64 = 1_000;
/// How long before a window begins units of it are granted, in milliseconds, so that nobody need wait for any when it does.
pub const AHEAD: u64 = 10_000;
/// The most leases an incarnation has open in a row: one, and those whose return is on its way.
pub const MOST_OPEN: usize = 64;
/// A share of what is free that a holder for whom somebody waits gets before it has shown what it spends.
const FIRST_SHARE: u64 = 64;

/// When a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first millisecond. It names the window: no two windows of a quota have the same.
    pub start: u64,
    /// The first millisecond after it.
    pub end: u64,
}

/// Which window an ask is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one in force.
    InForce,
    /// The one that follows it.
    Following,
    /// None that anything is granted from.
    Neither,
}

/// The account of a quota in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// When it counts.
    pub window: Window,
    /// Units that may be spent.
    pub limit: u64,
    /// Units granted and not returned, over all leases.
    pub charged: u64,
    /// Units that holders had when they last spoke, and what they were granted then: part of what is charged, and may come back.
    pub held: u64,
    /// Units admitted without being granted, because the quota's failure mode let them pass.
    pub overage: u64,
    /// Somebody was told that all is spent, and has not been told otherwise.
    pub told_spent: bool,
    /// It has been in force: a clock that is put back does not change that.
    pub begun: bool,
}

/// What an ask came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What is answered.
    pub answer: LeaseAnswer,
    /// Somebody is refused what others hold: they should be told to return it.
    pub recall: bool,
    /// Units came free, and somebody was told that all is spent: they should be told to ask again.
    pub freed: bool,
}

impl Window {
    /// The window in force at `now`, given the newest there was and the calendar's period that `now` is in. A window never comes back,
    /// so a clock that was put back, or another time zone, acts from the end of the newest.
    #[must_use]
    pub fn in_force(newest: Option<Self>, period: Self, now: u64) -> Self {
        match newest {
            Some(newest) if now < newest.end => newest,
            Some(newest) => Self { start: period.start.max(newest.end), ..period },
            None => period,
        }
    }

    /// The window that follows this one, of a calendar whose period after it is this; `None` as long as nothing is granted from it yet, which
    /// is until [`AHEAD`] before it begins.
    #[must_use]
    pub fn following(self, period: Self, now: u64) -> Option<Self> {
        let following = Self { start: self.end, ..period };
        (following.start < following.end && following.start.saturating_sub(now) <= AHEAD).then_some(following)
    }

    /// Which window an ask is of while this one is in force. Asked again after the boundary, it is of the same.
    #[must_use]
    pub const fn asked(self, ask: &LeaseAsk) -> Which {
        match (ask.number, ask.after) {
            (0..=1, 0) => Which::InForce,
            (0..=1, after) if after == self.start => Which::Following,
            (0..=1, after) if after < self.start => Which::InForce,
            (0..=1, _) => Which::Neither,
            _ if ask.window == self.end => Which::Following,
            _ => Which::InForce,
        }
    }
}

impl Row {
    /// A row nothing was granted from.
    #[must_use]
    pub const fn new(window: Window, limit: u64) -> Self {
        Self { window, limit, charged: 0, held: 0, overage: 0, told_spent: false, begun: false }
    }

    /// Whether its window has begun.
    #[must_use]
    pub const fn has_begun(&self, now: u64) -> bool {
        self.begun || self.window.start <= now
    }

    /// Units that may be granted now: none where a limit was lowered below what is charged.
    #[must_use]
    pub const fn free(&self) -> u64 {
        self.limit.saturating_sub(self.charged).saturating_sub(self.overage)
    }

    /// How long a grant should last, in milliseconds: long where much of the limit is left.
    #[must_use]
    pub fn lasting(&self) -> u64 {
        let share = u128::from(self.free()) * u128::from(LONGEST_LEASE) / u128::from(self.limit.max(1));
        u64::try_from(share).unwrap_or(LONGEST_LEASE).clamp(SHORTEST_LEASE, LONGEST_LEASE)
    }

    /// Judges an ask of `holder` at `now`; `active` incarnations want from the row lately, this one included.
    pub fn settle(&mut self, holder: &mut Holder, ask: &LeaseAsk, now: u64, active: u64) -> Settled {
        let (lease, came_back, closes) = match holder.hear(ask, self.window.start) {
            Heard::Closed => return Settled { answer: self.answer(ask, now, 0, true, self.held), recall: false, freed: false },
            Heard::Again { granted, held, .. } => {
                let elsewhere = self.held.saturating_sub(held);
                return Settled { answer: self.answer(ask, now, granted, false, elsewhere), recall: false, freed: false };
            }
            Heard::New { lease, came_back, closes } => (lease, came_back, closes),
        };
        let elsewhere = self.held.saturating_sub(lease.held);
        self.charged = self.charged.saturating_sub(came_back);
        let granted = if closes { 0 } else { self.grant(ask, active) };
        lease.judged(ask, came_back, granted, closes, now);
        self.charged = self.charged.saturating_add(granted);
        self.held = elsewhere.saturating_add(lease.held);
        holder.forget_closed();
        let answer = self.answer(ask, now, granted, closes, elsewhere);
        let freed = self.told_spent && came_back > 0 && self.free() > 0;
        self.told_spent = (self.told_spent || answer.retry_ms > RETRY) && !freed;
        Settled { answer, recall: granted < ask.need && elsewhere > 0, freed }
    }

    /// Takes everything back that a lost holder had when it last spoke: an operator says that its process is gone. Units it has
    /// spent since are not known here.
    pub fn release(&mut self, holder: &mut Holder) -> u64 {
        let mut released = 0;
        for lease in holder.leases.iter_mut().filter(|lease| !lease.closed) {
            released += lease.held;
            self.charged = self.charged.saturating_sub(lease.held);
            self.held = self.held.saturating_sub(lease.held);
            *lease = Lease { returned: lease.returned.saturating_add(lease.held), held: 0, closed: true, ..*lease };
        }
        holder.forget_closed();
        released
    }

    /// Units for an ask: enough to last, at most a fair half of what is left, at least what somebody waits for, or none.
    fn grant(&self, ask: &LeaseAsk, active: u64) -> u64 {
        let free = self.free();
        if free < ask.need && !sabotage::removed(Rule::EnoughOrNothing) {
            return 0;
        }
        let active = active.max(1);
        let lasting = u128::from(ask.demand) * u128::from(self.lasting()) / 1_000_000;
        let first = if ask.need > 0 { free / active.saturating_mul(FIRST_SHARE) } else { 0 };
        let lasting = u64::try_from(lasting).unwrap_or(u64::MAX).max(first);
        let wanted = lasting.saturating_sub(ask.own).max(ask.waiting);
        let fair = (free.saturating_add(ask.own) / active.saturating_mul(2)).saturating_sub(ask.own);
        wanted.min(fair).max(ask.need).min(free)
    }

    fn answer(&self, ask: &LeaseAsk, now: u64, granted: u64, closed: bool, elsewhere: u64) -> LeaseAnswer {
        let until_end = self.window.end.saturating_sub(now);
        LeaseAnswer {
            lease: ask.lease,
            number: ask.number,
            closed,
            granted,
            lasts_ms: self.lasting(),
            window: self.window.start,
            opens_in_ms: self.window.start.saturating_sub(now),
            full_in_ms: until_end,
            expires_in_ms: 0,
            limit: self.limit,
            left: self.free(),
            retry_ms: match granted < ask.need {
                // What was refused then may be had now.
                true if self.free() >= ask.need => 1,
                true if elsewhere > 0 => RETRY.min(until_end),
                true => until_end,
                false => 0,
            },
        }
    }
}
