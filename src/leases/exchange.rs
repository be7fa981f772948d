//! Owns the exchange between a worker's purses and the node's slots. Must not judge requests.

use tollgate_core::time::Instant;

use super::ask::Standing;
use super::purse::{Back, Held};
use super::slot::{Found, Slot};
use super::table::{Displaces, Fate};
use super::upkeep::LATELY;
use super::{Leases, Place, SEND_AGAIN};
use crate::counters::{Counter, Counters};
use crate::limits::Subject;
use crate::shared::{Broken, SharedData};

/// The counter of leases, which are numbered over the whole node.
const NUMBERS: &str = "tollgate/1/leases";

/// Where a row is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) place: Place,
    pub(super) subject: Subject,
    pub(super) consumer: &'a str,
    pub(super) name: &'a str,
}

/// What came of asking a slot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exchanged {
    /// The request's units are spent, from what is now in the purse.
    Spent(Held),
    Refused {
        wait: u64,
        standing: Standing,
    },
    Waiting,
}

impl Leases {
    /// Takes units out of a slot; where there are too few, sees to it that they are asked for.
    #[inline(never)]
    pub(super) fn exchange<S: SharedData>(
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
        let waits = self.waits.iter().find(|wait| wait.place == place).copied().unwrap_or_default();
        let away = self.reach.is_away();
        let reach = &mut self.reach;
        let mut may_call = None;
        let (mut urgent, mut renewal, mut returned) = (None, None, false);
        let mut exchanged = Exchanged::Waiting;
        let displaces = if impatient { Displaces::Any } else { Displaces::Unused };
        let make = || Slot::new(place.tag, row.consumer, row.name, now);
        let opened = self.table.open(place, (displaces, now), &make, shared, &mut |slot, shared| {
            (urgent, renewal) = (None, None);
            let seen = now.since(slot.used_at()) < LATELY;
            returned = rest.is_some_and(|rest| slot.give_back(rest.lease, rest.units, rest.until, now));
            let wanted = need.max(chunk.min(slot.units() / 4));
            let found = slot.take(need, wanted, raised, now);
            exchanged = Exchanged::Waiting;
            let fate = match found {
                Found::Units(units, until) => {
                    // With nobody to ask, what is left need not be renewed: that would be a call in vain for each.
                    if slot.wants_renewal(now) && !away {
                        slot.ask(0, 0, now);
                        renewal = Some((slot.is_short(), slot.send(now)));
                    }
                    let (lease, standing) = (slot.lease(), standing(slot, units, now));
                    exchanged = Exchanged::Spent(Held { lease, units, until, standing });
                    Fate::Changed
                }
                Found::Refused => {
                    exchanged = Exchanged::Refused { wait: slot.refused_for(now), standing: standing(slot, 0, now) };
                    // Who is refused wants something all the same, once the next window begins.
                    if seen { Fate::Kept } else { Fate::Changed }
                }
                Found::Pending if !slot.is_due(SEND_AGAIN, now) => Fate::Kept,
                Found::Pending | Found::Nothing if !*may_call.get_or_insert_with(|| reach.may_call(now)) => Fate::Kept,
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
            counters.add(Counter::StrandedUnits, if now < rest.until { rest.units } else { 0 });
        }
        let opened = opened?;
        // A set whose slots are all in use: one of them will be free.
        let Some(displaced) = opened else {
            return Ok(Exchanged::Waiting);
        };
        self.opened(place, displaced, now);
        match renewal {
            Some((true, ask)) => self.short.push(ask),
            Some((false, ask)) => self.background.push(ask),
            None => {}
        }
        if let Some(ask) = urgent {
            counters.count(Counter::LeaseAsked);
            self.urgent.push(ask);
        }
        let Exchanged::Spent(held) = exchanged else {
            return Ok(exchanged);
        };
        if let Some(back) = self.purses.put(place, held, now) {
            self.put_back(back, now, shared, counters);
        }
        Ok(self.purses.spend(place, need, now).map_or(Exchanged::Waiting, Exchanged::Spent))
    }

    #[inline(never)]
    pub(super) fn put_back<S: SharedData>(&mut self, from: Back, now: Instant, shared: &mut S, counters: &mut Counters) {
        let Back { place, lease, units, until } = from;
        if units == 0 || now >= until {
            return;
        }
        let mut back = false;
        let done = self.table.change(place, shared, &mut |slot| {
            back = slot.give_back(lease, units, until, now);
            if back { Fate::Changed } else { Fate::Kept }
        });
        if !back || done.is_err() {
            counters.add(Counter::StrandedUnits, units);
        }
    }
}

/// How it stands with a slot's window, and units just taken from it.
fn standing(slot: &Slot, taken: u64, now: Instant) -> Standing {
    let (limit, left) = slot.standing();
    Standing { limit, remaining: left.saturating_add(taken).min(limit), until_full: slot.full_at().since(now) }
}

/// The next lease's number: higher than all this node has given before.
pub fn next_number<S: SharedData>(shared: &mut S) -> Option<u64> {
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
