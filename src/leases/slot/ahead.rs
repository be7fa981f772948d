//! Owns how units of the window that follows are had before it begins: in a slot of their own, which takes the place of the one in force at the
//! boundary. Must not touch shared data.

use tollgate_core::ledger;
use tollgate_core::time::Instant;
use tollgate_core::wire::LeaseAsk;

use super::{MILLISECOND, Slot};

/// They are asked for so long before at the earliest: less than what the ledger grants them ahead.
const AHEAD: u64 = (ledger::AHEAD - 2_000) * MILLISECOND;

/// The tag of the slot for the window that follows, beside that of the one in force; and back.
pub(in super::super) const fn next_tag(tag: u64) -> u64 {
    tag ^ (1 << 63)
}

impl Slot {
    /// Whether the window that is here is over, or none is known or being asked for.
    pub(in super::super) fn is_over(&self, now: Instant) -> bool {
        if self.window == 0 { self.lease == 0 } else { self.life == 0 && now >= self.until }
    }

    /// Whether units of the window that follows should be asked for: somebody has wanted some lately, and it begins soon. Not all at the same
    /// moment, and no sooner than they are granted.
    pub(in super::super) fn wants_next(&self, lately: u64, now: Instant) -> bool {
        let soon = now < self.until && self.until.since(now) <= AHEAD / 2 + self.tag % (AHEAD / 2);
        self.life == 0 && self.window != 0 && soon && now.since(self.used_at) < lately
    }

    /// A slot for what follows this window.
    pub(in super::super) fn next(&self, now: Instant) -> Self {
        Self { after: self.window, demand: self.demand, ..Self::new(next_tag(self.tag), &self.consumer, &self.name, now) }
    }

    /// Notes an ask for the window that follows, if none was made, for whoever comes first.
    pub(in super::super) fn ask_ahead(&mut self, lease: impl FnOnce() -> Option<u64>, now: Instant) -> Option<LeaseAsk> {
        if self.after == 0 || self.lease != 0 {
            return None;
        }
        self.open(lease)?;
        self.ask(1, 1, now);
        Some(self.send(now))
    }

    /// If this holds the window that follows: when that begins.
    pub(in super::super) fn next_at(&self, now: Instant) -> Option<Instant> {
        let held = self.after != 0 && self.lease != 0 && self.window != 0 && self.asked_at == Instant(0) && now < self.until;
        held.then_some(self.opens_at)
    }

    /// The window that followed has begun.
    pub(in super::super) fn begin(&mut self) {
        (self.tag, self.after, self.opens_at) = (next_tag(self.tag), 0, Instant(0));
    }

    /// Nothing is here, but what is will be then.
    pub(in super::super) fn wait_until(&mut self, opens_at: Instant) {
        self.opens_at = opens_at;
    }
}
