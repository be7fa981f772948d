//! Owns how a slot gets a lease that was asked for before it was known whose it would be. Must not touch shared data.

use tollgate_core::time::Instant;
use tollgate_core::wire::LeaseAnswer;

use super::Slot;

impl Slot {
    /// Takes the answer to the first ask of a lease, which was sent at `sent` and could not be noted, since it was not known whose the lease
    /// would be. `false`: there is a lease here already, or one is being asked for, and the slot must stay as it was.
    #[inline(never)]
    pub(in super::super) fn adopt_first(&mut self, need: u64, answer: &LeaseAnswer, revision: u64, sent: Instant, now: Instant) -> bool {
        self.expire(now);
        if self.lease != 0 || self.open(|| Some(answer.lease)).is_none() {
            return false;
        }
        self.ask(need, need, sent);
        self.adopt(answer, revision, sent, now)
    }
}
