//! Owns the judgement whether the backend can be asked. Must not send anything.
//!
//! It takes several failures in a row to count it as away, and several answers to count it as back: a backend that comes and goes costs
//! few requests their time, and does not change what a limit does with each answer.

use tollgate_core::time::{Instant, SECOND};

/// Failures in a row after which nobody waits any more.
const FAILURES: u32 = 3;
/// Answers in a row after which it is back.
const ANSWERS: u32 = 2;
/// How often one that is away is tried.
const PROBE_EVERY: u64 = SECOND;

/// Whether the backend answers.
#[derive(Debug, Default)]
pub(super) struct Reach {
    away: bool,
    /// Failures in a row while it is here, answers in a row while it is away.
    in_a_row: u32,
    probe_at: Instant,
}

impl Reach {
    /// Whether requests need not wait for it.
    pub(super) const fn is_away(&self) -> bool {
        self.away
    }

    /// Whether a call may be made now. While it is away, one in a while.
    pub(super) fn may_call(&mut self, now: Instant) -> bool {
        if !self.away {
            return true;
        }
        let may = now >= self.probe_at;
        if may {
            self.probe_at = now.after(PROBE_EVERY);
        }
        may
    }

    /// A call was answered, or not; `true` if that changes something.
    pub(super) fn note(&mut self, answered: bool, now: Instant) -> bool {
        if answered != self.away {
            self.in_a_row = 0;
            return false;
        }
        self.in_a_row += 1;
        // What answered once may be tried again at once.
        self.probe_at = if answered { now } else { now.after(PROBE_EVERY) };
        let changes = self.in_a_row >= if answered { ANSWERS } else { FAILURES };
        if changes {
            (self.away, self.in_a_row) = (!answered, 0);
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_several_to_change_one_s_mind() {
        let mut reach = Reach::default();
        let now = Instant(5 * SECOND);
        assert!(![false, false, true, false, false].into_iter().any(|answered| reach.note(answered, now)));
        assert!(reach.may_call(now) && !reach.is_away());
        assert!(reach.note(false, now) && reach.is_away());
        assert!(!reach.may_call(now) && reach.may_call(now.after(PROBE_EVERY)) && !reach.may_call(now.after(PROBE_EVERY)));
        let later = now.after(3 * PROBE_EVERY);
        assert!(!reach.note(true, later) && reach.may_call(later), "one answer is tried again at once");
        assert!(!reach.note(false, later) && !reach.note(true, later) && reach.is_away());
        assert!(reach.note(true, later) && !reach.is_away());
    }
}
