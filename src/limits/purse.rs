//! Owns the units a worker holds of one subject's limits: how many it takes, how it spends them, what goes back. Must not touch
//! shared data.

use tollgate_core::limit::Limit;
use tollgate_core::time::Instant;

use super::slots::Entry;
use super::{Ask, HOLD, MOST_LIMITS, RENEW_BEFORE, Standings, Subject};

/// Units by position of the limit.
pub(super) type Units = [u32; MOST_LIMITS];

/// A purse is worth it from this hold on: a shorter one would be renewed on nearly every request.
const SHORTEST_HOLD: u64 = 2 * RENEW_BEFORE;
/// A chunk leaves all but this share to other workers, so that a limit near its end is judged request by request.
const SHARE: u64 = 8;

/// What a worker holds of a subject's limits.
#[derive(Debug)]
pub(super) struct Purse {
    pub(super) subject: Subject,
    /// The tier's position and fingerprint.
    pub(super) tier: usize,
    pub(super) shape: u64,
    /// Units may be spent or given back until here.
    pub(super) held_until: Instant,
    pub(super) last_used: Instant,
    /// The last exchange with the node's state, and units spent since.
    exchanged: Instant,
    spent: u32,
    units: Units,
    /// Among those the clock visits.
    pub(super) listed: bool,
    /// Where the node's state stood after the last exchange.
    seen: Standings,
}

/// A chunk just taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    units: u32,
    until: Instant,
}

/// What an exchange with the node's state did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    /// The chunk it took.
    pub(super) chunk: Option<Chunk>,
    /// It gave the purse's rest back.
    pub(super) returned: bool,
    /// It spent the request's units, from an entry of the subject's own.
    pub(super) spent: bool,
}

impl Purse {
    /// An empty purse of a subject that has just spent from the node's state.
    pub(super) fn new(ask: &Ask<'_>) -> Self {
        Self {
            subject: ask.subject,
            tier: ask.tier.position,
            shape: ask.tier.shape,
            held_until: Instant(0),
            last_used: ask.now,
            exchanged: ask.now,
            spent: 0,
            units: Units::default(),
            listed: false,
            seen: Standings::default(),
        }
    }

    /// Spends the request's units if the purse holds them for all limits that apply; `false` and no change otherwise.
    pub(super) fn spend(&mut self, ask: &Ask<'_>, applying: u8, standings: &mut Standings) -> bool {
        if self.shape != ask.tier.shape || self.tier != ask.tier.position || ask.now.after(RENEW_BEFORE) > self.held_until {
            return false;
        }
        let applies = |position: usize| applying & (1 << position) != 0;
        let covered = self.units.iter().zip(&self.seen).enumerate();
        if !covered.filter(|(position, _)| applies(*position)).all(|(_, (units, seen))| *units >= ask.cost && seen.is_some()) {
            return false;
        }
        let elapsed = ask.now.since(self.exchanged);
        for (position, ((units, seen), standing)) in self.units.iter_mut().zip(&self.seen).zip(standings).enumerate() {
            if applies(position)
                && let Some(mut seen) = *seen
            {
                *units -= ask.cost;
                seen.remaining += u64::from(*units);
                seen.until_full = seen.until_full.saturating_sub(elapsed);
                *standing = Some(seen);
            }
        }
        self.spent = self.spent.saturating_add(ask.cost);
        self.last_used = ask.now;
        true
    }

    /// How many units this worker will want over the next [`HOLD`], judged by what it spent since the last exchange; at most
    /// twice as many as that, so that a burst is followed step by step.
    pub(super) fn wanted(&self, ask: &Ask<'_>) -> u32 {
        let elapsed = ask.now.since(self.exchanged);
        if ask.cost == 0 || elapsed > HOLD {
            return 0;
        }
        let spent = u64::from(self.spent) + u64::from(ask.cost);
        let projected = spent.saturating_mul(HOLD) / elapsed.max(1);
        u32::try_from(projected.min(2 * spent)).unwrap_or(u32::MAX)
    }

    /// Gives what is left back to the entry it was taken from; `false` if nothing is left on either
    /// side. After the end of the hold that is still sound: what time has refilled since then stays spent.
    pub(super) fn return_to(&self, entry: &mut Entry, limits: &[Limit], now: Instant) -> bool {
        if entry.fresh || self.held() == 0 {
            return false;
        }
        give_back(entry, limits, &self.units, self.held_until, now);
        true
    }

    /// Starts anew after an exchange. Answers units that were neither spent nor returned.
    pub(super) fn renew(&mut self, ask: &Ask<'_>, applying: u8, done: &Exchange, standings: &Standings) -> u64 {
        let dropped = if done.returned { 0 } else { self.held() };
        self.units = Units::default();
        self.seen = *standings;
        self.tier = ask.tier.position;
        self.shape = ask.tier.shape;
        if let Some(chunk) = done.chunk {
            self.held_until = chunk.until;
            for (position, (units, seen)) in self.units.iter_mut().zip(&mut self.seen).enumerate() {
                if applying & (1 << position) != 0 {
                    *units = chunk.units;
                    if let Some(seen) = seen {
                        seen.remaining = seen.remaining.saturating_sub(u64::from(chunk.units));
                    }
                }
            }
        } else {
            self.held_until = Instant(0);
        }
        self.exchanged = ask.now;
        self.last_used = ask.now;
        self.spent = 0;
        dropped
    }

    /// Takes everything out.
    pub(super) fn empty(&mut self) -> Units {
        self.held_until = Instant(0);
        std::mem::take(&mut self.units)
    }

    /// Units held, over all limits.
    pub(super) fn held(&self) -> u64 {
        self.units.iter().map(|units| u64::from(*units)).sum()
    }
}

/// Whether the limits are of a size that a purse pays for.
pub(super) fn is_worth_it(ask: &Ask<'_>, applying: u8) -> bool {
    let hold = hold(ask.tier.limits, applying);
    ask.cost > 0
        && hold >= SHORTEST_HOLD
        && of(ask.tier.limits, applying).all(|(_, limit)| limit.rate.refill(hold) >= 2 * u64::from(ask.cost))
}

/// Takes a chunk of up to `wanted` units from every limit that applies, beside what the request itself spent; `None` and no
/// change where one cannot spare it.
pub(super) fn take(entry: &mut Entry, ask: &Ask<'_>, applying: u8, wanted: u32) -> Option<Chunk> {
    let hold = hold(ask.tier.limits, applying);
    if hold < SHORTEST_HOLD || ask.cost == 0 {
        return None;
    }
    let until = ask.now.after(hold);
    let spare = |(position, limit): (usize, &Limit)| {
        let remaining = entry.states.get(position).map_or(0, |state| limit.rate.standing(*state, ask.now).remaining);
        limit.rate.refill(hold).min(remaining / SHARE)
    };
    let units = of(ask.tier.limits, applying).map(spare).min()?.min(u64::from(wanted));
    let units = units - units % u64::from(ask.cost);
    if units == 0 {
        return None;
    }
    let mut next = entry.states;
    for (position, limit) in of(ask.tier.limits, applying) {
        let state = next.get_mut(position)?;
        *state = limit.rate.spend(*state, ask.now, until, units)?;
    }
    entry.states = next;
    Some(Chunk { units: u32::try_from(units).ok()?, until })
}

/// Gives units back that were charged as of `charged`.
pub(super) fn give_back(entry: &mut Entry, limits: &[Limit], units: &Units, charged: Instant, now: Instant) {
    for ((limit, state), units) in limits.iter().zip(&mut entry.states).zip(units) {
        if *units > 0 {
            *state = limit.rate.give_back(*state, now, charged, u64::from(*units));
        }
    }
}

fn hold(limits: &[Limit], applying: u8) -> u64 {
    of(limits, applying).map(|(_, limit)| limit.rate.hold(HOLD)).min().unwrap_or(0)
}

fn of(limits: &[Limit], applying: u8) -> impl Iterator<Item = (usize, &Limit)> {
    limits.iter().enumerate().filter(move |(position, _)| applying & (1 << position) != 0)
}
