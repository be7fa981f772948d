//! Owns what the workers of a node share about one set of keys. Must not read sets.

use tollgate_core::time::{Instant, SECOND};

/// Bytes of an encoded head.
const LEN: usize = 5 * 8;
/// The pause after a first failure; it doubles with each further one.
const SHORTEST_PAUSE: u64 = SECOND / 2;
/// The longest pause after failures.
const LONGEST_PAUSE: u64 = 30 * SECOND;

/// What is known about the fetching of a set. Times are of the monotonic clock that the workers share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The number of the set; 0: there is none yet.
    pub(super) number: u64,
    /// When it was last asked for with success.
    pub(super) fetched: u64,
    /// When it was last asked for.
    tried: u64,
    /// Until when the answer to that is waited for; 0: it has come.
    claimed_until: u64,
    /// How often it failed since.
    failures: u64,
}

impl Head {
    /// Whether somebody waits for an answer.
    pub(super) const fn is_claimed(&self, now: Instant) -> bool {
        now.0 < self.claimed_until
    }

    /// When it may be asked for again.
    pub(super) fn earliest(&self, pause: u64) -> Instant {
        if self.tried == 0 {
            return Instant(0);
        }
        let pause = match self.failures.checked_sub(1) {
            None => pause,
            Some(further) => (SHORTEST_PAUSE << further.min(8)).min(LONGEST_PAUSE),
        };
        Instant(self.tried).after(pause)
    }

    pub(super) const fn claimed(&self, now: Instant, until: Instant) -> Self {
        Self { tried: now.0, claimed_until: until.0, ..*self }
    }

    pub(super) fn succeeded(&self, number: u64, sent: Instant) -> Self {
        Self { number, fetched: self.fetched.max(sent.0), claimed_until: 0, failures: 0, ..*self }
    }

    pub(super) const fn failed(&self) -> Self {
        Self { claimed_until: 0, failures: self.failures.saturating_add(1), ..*self }
    }

    pub(super) fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let numbers = [self.number, self.fetched, self.tried, self.claimed_until, self.failures];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, []) = bytes.as_chunks::<8>() else {
            return None;
        };
        let [number, fetched, tried, claimed_until, failures] = *numbers else {
            return None;
        };
        let read = u64::from_le_bytes;
        Some(Self {
            number: read(number),
            fetched: read(fetched),
            tried: read(tried),
            claimed_until: read(claimed_until),
            failures: read(failures),
        })
    }
}
