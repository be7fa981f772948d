//! Owns when the next call of a kind may be made. Must not know what is asked.

use tollgate_core::time::Instant;

/// When the next call of a kind may be made: one at a time, and later after each failure.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the call under way is given up.
    lost_at: Option<Instant>,
    not_before: Option<Instant>,
    failures: u32,
}

impl Pace {
    /// The longest pause between two attempts.
    const LONGEST: u64 = 2_000_000_000;
    const SHORTEST: u64 = 50_000_000;
    /// A call is given up so long after its timeout: the host should have said so before.
    const GRACE: u64 = 5_000_000_000;

    pub(super) fn may(&self, now: Instant) -> bool {
        self.lost_at.is_none_or(|lost_at| lost_at <= now) && self.not_before.is_none_or(|not_before| not_before <= now)
    }

    pub(super) fn started(&mut self, now: Instant, timeout_ms: u32) {
        self.lost_at = Some(now.after(u64::from(timeout_ms) * 1_000_000 + Self::GRACE));
    }

    /// It succeeded; the next may follow after a pause.
    pub(super) fn succeeded(&mut self, now: Instant, pause: u64) {
        *self = Self { not_before: Some(now.after(pause)), ..Self::default() };
    }

    pub(super) fn failed(&mut self, now: Instant) {
        let pause = (Self::SHORTEST << self.failures.min(6)).min(Self::LONGEST);
        *self = Self { lost_at: None, not_before: Some(now.after(pause)), failures: self.failures.saturating_add(1) };
    }
}
