//! Owns what one worker does with leases: it spends from its purses, takes more from the node's slots, and asks the ledger where those are
//! empty. Must not know how a subject was found, how messages travel, or how an answer looks.
//!
//! Units flow from the ledger to a slot in shared data and from there to a worker's purse (DESIGN.md, Leases). What is in a purse counts as
//! spent: it goes back only to the slot it came from, while that holds the same lease.

mod ask;
mod purse;
mod reach;
mod slot;
mod table;

#[cfg(test)]
mod tests;

use std::hash::Hasher;

use hashbrown::HashMap;
use siphasher::sip128::{Hasher128, SipHasher24};
use tollgate_core::limit::FailureMode;
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::wire::{LeaseAnswer, LeaseAsk, Overage};

use crate::counters::{Counter, Counters};
use crate::limits::{MOST_LIMITS, Subject};
use crate::shared::{Broken, SharedData};
pub use ask::{Ask, Charge, Outcome, Standing, Standings, TierLeases};
use purse::{Held, Purses};
use reach::Reach;
use slot::{Found, Slot};
pub use table::Place;
use table::{Fate, Table};

/// How often [`Leases::tick`] must be called.
pub const TICK_EVERY: u64 = SECOND / 20;
/// An ask that was not answered is sent again after this time.
const SEND_AGAIN: u64 = SECOND;
/// A slot nobody used for so long returns what is left.
const IDLE: u64 = 3 * SECOND / 2;
/// How often a worker looks after slots it has used.
const VISIT_EVERY: u64 = SECOND / 4;
/// A slot that was forgotten, because its worker's memory was lost, is found by who sweeps.
const FORGOTTEN: u64 = 10 * SECOND;
/// Sets the sweeper looks at in a tick.
const SWEEP: u32 = 8;
/// Consumers whose limits were raised lately.
const MOST_RAISED: usize = 1_024;
/// The counter of leases, which are numbered over the whole node.
const NUMBERS: &str = "tollgate/1/leases";

/// The leases of one worker.
#[derive(Debug)]
pub struct Leases {
    table: Table,
    purses: Purses,
    reach: Reach,
    /// Slots this worker has used: when it looks after them next.
    visits: HashMap<Place, Instant>,
    visited: Instant,
    /// What waits on this worker.
    waits: HashMap<Place, Wait>,
    /// To be sent at once: somebody waits.
    urgent: Vec<(Place, LeaseAsk)>,
    /// To be sent when there is an opportunity.
    background: Vec<LeaseAsk>,
    /// Units let pass without a lease.
    overages: Vec<Overage>,
    raised: Raised,
    sweep_at: u32,
}

/// Requests that wait for one row.
#[derive(Clone, Copy, Debug, Default)]
struct Wait {
    /// The tag of their subject.
    subject: u64,
    need: u64,
    sum: u64,
}

/// From which revision on refusals are no longer believed.
#[derive(Debug, Default)]
struct Raised {
    all: u64,
    of: HashMap<u64, u64>,
}

/// Where a row is.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    place: Place,
    subject: Subject,
    consumer: &'a str,
    name: &'a str,
}

/// What came of asking a slot.
#[derive(Clone, Copy, Debug)]
enum Exchanged {
    Held(Held),
    Refused { wait: u64, standing: Standing },
    Waiting,
}

impl Leases {
    /// No leases, over a table of so many slots.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        Self {
            table: Table::new(slots),
            purses: Purses::default(),
            reach: Reach::default(),
            visits: HashMap::new(),
            visited: Instant(0),
            waits: HashMap::new(),
            urgent: Vec::new(),
            background: Vec::new(),
            overages: Vec::new(),
            raised: Raised::default(),
            sweep_at: 0,
        }
    }

    /// Judges a request and spends its units, or spends nothing.
    pub fn judge<S: SharedData>(&mut self, ask: &Ask<'_>, shared: &mut S, counters: &mut Counters) -> (Outcome, Standings) {
        let mut standings = Standings::default();
        let need = u64::from(ask.cost);
        let mut leases = [0; MOST_LIMITS];
        let (mut waiting, mut unasked) = (0_u8, 0_u8);
        let mut refused: Option<(usize, u64)> = None;
        for (position, limit) in ask.tier.leased.iter().enumerate().take(MOST_LIMITS) {
            if !limit.routes.include(ask.route) {
                continue;
            }
            let name = ask.tier.names.get(position).copied().unwrap_or_default();
            let place = self.table.place(ask.subject, name);
            let row = Row { place, subject: ask.subject, consumer: ask.consumer, name: &limit.name };
            let held = match self.purses.find(place, need, ask.now) {
                Some(held) => Ok(Exchanged::Held(held)),
                // Whoever needs nothing need not wait for it.
                None if need == 0 => continue,
                None => self.exchange(&row, need, ask.impatient, ask.now, shared, counters),
            };
            let (lease, standing) = match held {
                Ok(Exchanged::Held(held)) => (held.lease, Some(held.standing)),
                Ok(Exchanged::Refused { wait, standing }) => {
                    if limit.shadow {
                        counters.count(Counter::ShadowRefusal);
                    } else if refused.is_none_or(|(_, longest)| wait > longest) {
                        refused = Some((position, wait));
                    }
                    (0, Some(standing))
                }
                Ok(Exchanged::Waiting) if !ask.impatient && !self.reach.is_away() => {
                    waiting |= u8::from(!limit.shadow) << position;
                    (0, None)
                }
                Ok(Exchanged::Waiting) | Err(Broken) => {
                    unasked |= u8::from(!limit.shadow) << position;
                    (0, None)
                }
            };
            if let (Some(own), Some(entry)) = (leases.get_mut(position), standings.get_mut(position)) {
                (*own, *entry) = (lease, standing);
            }
        }
        if let Some((position, wait)) = refused {
            return (Outcome::Refused { position, wait }, standings);
        }
        if waiting != 0 {
            self.note_waits(ask, need, waiting);
            return (Outcome::Waiting, standings);
        }
        let by_mode = |mode: FailureMode| {
            let of_mode = ask.tier.leased.iter().take(MOST_LIMITS).enumerate().filter(|(_, limit)| limit.failure_mode == mode);
            of_mode.fold(0_u8, |bits, (position, _)| bits | (1 << position)) & unasked
        };
        if by_mode(FailureMode::Deny) != 0 {
            return (Outcome::Unavailable, standings);
        }
        for (place, _) in self.places(ask.tier, ask.subject, &leases) {
            self.purses.spend(place, need, ask.now);
        }
        if unasked != 0 {
            self.pass(ask, need, unasked);
            counters.count(Counter::Degraded);
        }
        let charge = Charge { subject: ask.subject, units: ask.cost, leases };
        (Outcome::Admitted { charge, degraded: by_mode(FailureMode::Degrade) }, standings)
    }

    /// Gives the units of an admitted request back, where the leases they came from still are.
    pub fn give_back<S: SharedData>(
        &mut self,
        tier: TierLeases<'_>,
        charge: &Charge,
        now: Instant,
        shared: &mut S,
        counters: &mut Counters,
    ) {
        let units = u64::from(charge.units);
        for (place, lease) in self.places(tier, charge.subject, &charge.leases) {
            if !self.purses.give_back(place, lease, units) {
                self.put_back(place, lease, units, now, shared, counters);
            }
        }
    }

    /// Asks to be sent at once, each with its place for [`answered`](Self::answered).
    pub fn take_urgent(&mut self) -> Vec<(Place, LeaseAsk)> {
        std::mem::take(&mut self.urgent)
    }

    /// What the node should tell when it next reports. What is taken must be told: units in it are nowhere else.
    pub fn take_background(&mut self) -> Vec<LeaseAsk> {
        std::mem::take(&mut self.background)
    }

    /// Units that were let pass since the last time, to be reported.
    pub fn take_overages(&mut self) -> Vec<Overage> {
        std::mem::take(&mut self.overages)
    }

    /// Where the slot of a limit is, whose name has this hash.
    #[must_use]
    pub fn place(&self, subject: Subject, name: u64) -> Place {
        self.table.place(subject, name)
    }

    /// Takes the ledger's answer to an ask, read at a revision of the feed, from a message that was sent at `sent`; `false` if nobody
    /// asks that any more. Who waits for it is to be judged again.
    pub fn answered<S: SharedData>(
        &mut self,
        place: Place,
        answer: &LeaseAnswer,
        revision: u64,
        sent: Instant,
        now: Instant,
        shared: &mut S,
    ) -> bool {
        self.waits.remove(&place);
        let mut adopted = false;
        let done = self.table.change(place, shared, &mut |slot| {
            adopted = slot.adopt(answer, revision, sent, now);
            if adopted { Fate::Changed } else { Fate::Kept }
        });
        // Where shared data is unusable, nothing is adopted: the units stay charged.
        adopted && done.is_ok()
    }

    /// A message about leases was answered, or not; `true` if the backend counts as gone or back from now on.
    pub fn heard(&mut self, answered: bool, now: Instant) -> bool {
        self.reach.note(answered, now)
    }

    /// Whether the backend counts as gone.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        self.reach.is_away()
    }

    /// Limits of a consumer, or of all, may be higher since a revision: who was refused before asks again.
    pub fn raised(&mut self, subject: Option<Subject>, revision: u64) {
        match subject {
            Some(subject) if self.raised.of.len() < MOST_RAISED || self.raised.of.contains_key(&subject.tag) => {
                self.raised.of.insert(subject.tag, revision);
            }
            Some(_) | None => {
                self.raised.all = self.raised.all.max(revision);
                self.raised.of.clear();
            }
        }
    }

    /// Units of a limit are wanted elsewhere: what is not needed soon is returned.
    pub fn recall<S: SharedData>(&mut self, place: Place, now: Instant, shared: &mut S) {
        let mut message = None;
        let done = self.table.change(place, shared, &mut |slot| {
            message = None;
            if !slot.shrink(now) {
                return Fate::Kept;
            }
            slot.ask(0, 0, now);
            message = Some(slot.send(now));
            Fate::Changed
        });
        self.background.extend(message.filter(|_| done.is_ok()));
    }

    /// Looks after purses and slots, and answers the tags of subjects whose waiting requests are to be judged again, because another worker has
    /// heard an answer. One worker of a node `sweeps`: it also looks after slots that no worker remembers.
    pub fn tick<S: SharedData>(&mut self, sweeps: bool, now: Instant, shared: &mut S, counters: &mut Counters) -> Vec<u64> {
        let woken = self.answered_elsewhere(now, shared);
        for back in self.purses.idle(now) {
            self.put_back(back.place, back.lease, back.units, now, shared, counters);
        }
        if now.since(self.visited) >= VISIT_EVERY {
            self.visited = now;
            let due: Vec<Place> = self.visits.iter().filter(|(_, due)| now >= **due).map(|(place, _)| *place).collect();
            for place in due {
                self.visits.remove(&place);
                self.look_after(place, IDLE, now, shared);
            }
        }
        if sweeps {
            for _ in 0..SWEEP.min(self.table.sets()) {
                self.sweep_at = (self.sweep_at + 1) % self.table.sets();
                let set = self.sweep_at;
                for tag in self.table.tags(set, shared).unwrap_or_default() {
                    self.look_after(Place { set, tag }, FORGOTTEN, now, shared);
                }
            }
        }
        woken
    }

    /// Takes units out of a slot; where there are too few, sees to it that they are asked for.
    #[inline(never)]
    fn exchange<S: SharedData>(
        &mut self,
        row: &Row<'_>,
        need: u64,
        impatient: bool,
        now: Instant,
        shared: &mut S,
        counters: &mut Counters,
    ) -> Result<Exchanged, Broken> {
        let place = row.place;
        // The rest of the purse goes back, so that what is left is whole.
        let rest = self.purses.empty(place).filter(|rest| rest.units > 0);
        let raised = self.raised.since(row.subject);
        let chunk = self.purses.chunk(place, need, now);
        let waits = self.waits.get(&place).copied().unwrap_or_default();
        let away = self.reach.is_away();
        let reach = &mut self.reach;
        let (mut urgent, mut renewal, mut returned) = (None, None, false);
        let mut exchanged = Exchanged::Waiting;
        let make = || Slot::new(place.tag, row.consumer, row.name, now);
        let opened = self.table.open(place, (impatient, now), &make, shared, &mut |slot, shared| {
            (urgent, renewal) = (None, None);
            returned = rest.is_some_and(|rest| slot.give_back(rest.lease, rest.units, now));
            let wanted = need.max(chunk.min(slot.units() / 4));
            let found = slot.take(need, wanted, raised, now);
            exchanged = Exchanged::Waiting;
            let fate = match found {
                Found::Units(units) => {
                    // With nobody to ask, what is left need not be renewed: that would be a call in vain for each.
                    if slot.wants_renewal(now) && !away {
                        slot.ask(0, 0, now);
                        renewal = Some(slot.send(now));
                    }
                    let (lease, until, standing) = (slot.lease(), slot.until(), standing(slot, units, now));
                    exchanged = Exchanged::Held(Held { lease, units, until, standing });
                    Fate::Changed
                }
                Found::Refused => {
                    exchanged = Exchanged::Refused { wait: slot.refused_for(now), standing: standing(slot, 0, now) };
                    Fate::Kept
                }
                Found::Pending if !slot.is_due(SEND_AGAIN, now) => Fate::Kept,
                Found::Pending | Found::Nothing if !reach.may_call(now) => Fate::Kept,
                Found::Pending => {
                    urgent = Some(slot.send(now));
                    Fate::Changed
                }
                Found::Nothing => {
                    slot.open(|| next_number(shared)).ok_or(Broken)?;
                    slot.ask(need.max(waits.need), need.saturating_add(waits.sum), now);
                    urgent = Some(slot.send(now));
                    Fate::Changed
                }
            };
            Ok(if returned && fate == Fate::Kept { Fate::Changed } else { fate })
        });
        if let (Some(rest), false) = (rest, returned && opened.is_ok()) {
            counters.add(Counter::StrandedUnits, rest.units);
        }
        let opened = opened?;
        // A set whose slots are all in use: one of them will be free.
        let Some(displaced) = opened else {
            return Ok(Exchanged::Waiting);
        };
        self.background.extend(displaced.and_then(|mut slot| slot.close(now)));
        self.background.extend(renewal);
        self.urgent.extend(urgent.map(|ask| (place, ask)));
        self.visits.entry(place).or_insert_with(|| now.after(IDLE));
        if let Exchanged::Held(held) = exchanged
            && let Some(back) = self.purses.put(place, held, now)
        {
            self.put_back(back.place, back.lease, back.units, now, shared, counters);
        }
        Ok(exchanged)
    }

    /// The places of leases, by position of their limits.
    fn places(&self, tier: TierLeases<'_>, subject: Subject, leases: &[u64; MOST_LIMITS]) -> impl Iterator<Item = (Place, u64)> + use<> {
        let mut places = [(Place::default(), 0); MOST_LIMITS];
        for ((place, name), lease) in places.iter_mut().zip(tier.names).zip(leases) {
            *place = (self.table.place(subject, *name), *lease);
        }
        places.into_iter().filter(|(_, lease)| *lease != 0)
    }

    #[inline(never)]
    fn put_back<S: SharedData>(&mut self, place: Place, lease: u64, units: u64, now: Instant, shared: &mut S, counters: &mut Counters) {
        if units == 0 {
            return;
        }
        let mut back = false;
        let done = self.table.change(place, shared, &mut |slot| {
            back = slot.give_back(lease, units, now);
            if back { Fate::Changed } else { Fate::Kept }
        });
        if !back || done.is_err() {
            counters.add(Counter::StrandedUnits, units);
        }
    }

    /// Returns what a slot holds that nobody used for `idle`, and forgets it; else comes back.
    #[inline(never)]
    fn look_after<S: SharedData>(&mut self, place: Place, idle: u64, now: Instant, shared: &mut S) {
        let (mut message, mut again) = (None, None);
        let done = self.table.change(place, shared, &mut |slot| {
            (message, again) = (None, None);
            if slot.is_idle(idle, now) {
                message = slot.close(now);
                return Fate::Freed;
            }
            // An ask that was lost is sent again, although nobody waits any more: its answer may hold units.
            if slot.is_due(FORGOTTEN, now) {
                (message, again) = (Some(slot.send(now)), Some(now.after(FORGOTTEN)));
                return Fate::Changed;
            }
            again = Some(now.after(IDLE));
            Fate::Kept
        });
        if done == Ok(true) {
            self.background.extend(message);
            if let (Some(again), true) = (again, idle == IDLE) {
                self.visits.insert(place, again);
            }
        }
    }

    /// The subjects for which nothing is under way any more, or not for too long.
    fn answered_elsewhere<S: SharedData>(&mut self, now: Instant, shared: &mut S) -> Vec<u64> {
        let mut woken = Vec::new();
        let table = &mut self.table;
        self.waits.retain(|place, wait| {
            let mut waits = false;
            let _ = table.change(*place, shared, &mut |slot| {
                waits = slot.is_pending() && !slot.is_due(SEND_AGAIN, now);
                Fate::Kept
            });
            if !waits {
                woken.push(wait.subject);
            }
            waits
        });
        woken
    }

    fn note_waits(&mut self, ask: &Ask<'_>, need: u64, waiting: u8) {
        for (position, name) in ask.tier.names.iter().enumerate().take(MOST_LIMITS) {
            if waiting & (1 << position) != 0 {
                let wait = self.waits.entry(self.table.place(ask.subject, *name)).or_default();
                wait.subject = ask.subject.tag;
                wait.need = wait.need.max(need);
                wait.sum = wait.sum.saturating_add(need);
            }
        }
    }

    /// Notes what is let pass of limits that could not be asked.
    fn pass(&mut self, ask: &Ask<'_>, need: u64, unasked: u8) {
        for (position, limit) in ask.tier.leased.iter().enumerate().take(MOST_LIMITS) {
            if unasked & (1 << position) == 0 {
                continue;
            }
            let own = self.overages.iter_mut().find(|own| own.consumer == ask.consumer && own.limit == limit.name);
            match own {
                Some(own) => own.units = own.units.saturating_add(need),
                None => self.overages.push(Overage { consumer: ask.consumer.to_owned(), limit: limit.name.clone(), units: need }),
            }
        }
    }
}

impl Raised {
    fn since(&self, subject: Subject) -> u64 {
        self.all.max(self.of.get(&subject.tag).copied().unwrap_or_default())
    }
}

/// How it stands with a slot's window, and units just taken from it.
fn standing(slot: &Slot, taken: u64, now: Instant) -> Standing {
    let (limit, left) = slot.standing();
    Standing { limit, remaining: left.saturating_add(taken).min(limit), until_full: slot.until().since(now) }
}

/// A hash of a limit's name, for [`TierLeases::names`].
#[must_use]
pub fn name_hash(name: &str) -> u64 {
    let mut hasher = SipHasher24::new_with_key(&[0; 16]);
    hasher.write(name.as_bytes());
    hasher.finish128().h1
}

/// The next lease's number: higher than all this node has given before.
fn next_number<S: SharedData>(shared: &mut S) -> Option<u64> {
    for _ in 0..64 {
        let mut value = Vec::new();
        let version = shared.get(NUMBERS, &mut value).ok()?;
        let last = match version {
            Some(_) => u64::from_le_bytes(value.as_slice().try_into().ok()?),
            None => 0,
        };
        let next = last.checked_add(1)?;
        if shared.set(NUMBERS, &next.to_le_bytes(), version).ok()? {
            return Some(next);
        }
    }
    None
}
