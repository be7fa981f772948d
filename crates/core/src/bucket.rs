//! Owns the token bucket: GCRA in its leaky-bucket-as-a-meter form (ITU-T I.371, annex A), exact in integers.
//! Must not know who is limited or where the state is kept.
//!
//! The textbook form keeps a theoretical arrival time and adds `period / rate` a unit, which rounds unless the
//! rate divides a second. Here the state is the distance of that arrival time from `at`, counted in *credits*:
//! one unit costs `period` credits and one nanosecond drains `rate` credits. No division touches the state, so no rounding ever
//! accumulates, and a state keeps its meaning when the rate or the burst is changed: only the period gives it one.

use crate::time::Instant;

/// A rate and a burst: at most `burst` units at once, refilled by `rate` units every `period` nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    rate: u64,
    period: u64,
    burst: u64,
}

/// How far a bucket is from full. The default is a full bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketState {
    at: u64,
    level: u128,
}

/// Bytes of an encoded [`BucketState`].
pub const BUCKET_STATE_LEN: usize = 24;

impl TokenBucket {
    /// `rate` units every `period` nanoseconds, `burst` units at once; `None` if any of them is 0.
    #[must_use]
    pub const fn new(rate: u64, period: u64, burst: u64) -> Option<Self> {
        if rate == 0 || period == 0 || burst == 0 {
            return None;
        }
        Some(Self { rate, period, burst })
    }

    /// The most units the bucket holds.
    #[must_use]
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    /// The rate, the period in nanoseconds, and the burst.
    #[must_use]
    pub const fn numbers(&self) -> [u64; 3] {
        [self.rate, self.period, self.burst]
    }

    /// Whole units refilled within `nanos`.
    #[must_use]
    pub fn refill(&self, nanos: u64) -> u64 {
        u64::try_from(u128::from(nanos) * u128::from(self.rate) / u128::from(self.period)).unwrap_or(u64::MAX)
    }

    /// The state of a bucket that has just been emptied, at instant 0.
    #[must_use]
    pub fn emptied(&self) -> BucketState {
        BucketState { at: 0, level: self.credits(self.burst) }
    }

    /// Charges `units` as if they were spent at `as_of` (at or after `now`), or `None` if the bucket does not hold them.
    ///
    /// Charging at a later instant is what makes a chunk safe to hold: whenever up to `as_of` its units are
    /// spent, the bucket would have admitted them then, because the refill up to `as_of` is withheld as well.
    #[must_use]
    pub fn spend(&self, state: BucketState, now: Instant, as_of: Instant, units: u64) -> Option<BucketState> {
        let level = self.level(state, as_of).checked_add(self.credits(units))?.checked_add(self.drained(as_of.since(now)))?;
        (level <= self.credits(self.burst)).then_some(BucketState { at: now.0, level })
    }

    /// Gives back `units` that were charged as of `charged`: what the passing of time has not refilled already.
    ///
    /// Crediting more would be unsound: the bucket may have been full in between, where the refill of an
    /// uncharged unit would have been lost.
    #[must_use]
    pub fn give_back(&self, state: BucketState, now: Instant, charged: Instant, units: u64) -> BucketState {
        let credit = self.credits(units).saturating_sub(self.drained(now.since(charged)));
        BucketState { at: now.0, level: self.level(state, now).saturating_sub(credit) }
    }

    /// Whole units the bucket would admit at `now`.
    #[must_use]
    pub fn remaining(&self, state: BucketState, now: Instant) -> u64 {
        let free = self.credits(self.burst).saturating_sub(self.level(state, now));
        u64::try_from(free / u128::from(self.period)).unwrap_or(u64::MAX)
    }

    /// Nanoseconds until the bucket is full again.
    #[must_use]
    pub fn until_full(&self, state: BucketState, now: Instant) -> u64 {
        self.nanos(self.level(state, now))
    }

    /// Nanoseconds until `units` would be admitted if nobody else spends; `None` if they exceed the burst.
    #[must_use]
    pub fn until_admitted(&self, state: BucketState, now: Instant, units: u64) -> Option<u64> {
        let allowed = self.credits(self.burst).checked_sub(self.credits(units))?;
        Some(self.nanos(self.level(state, now).saturating_sub(allowed)))
    }

    /// Credits above empty debt at `now`; a state written at a later instant stands that much higher.
    fn level(&self, state: BucketState, now: Instant) -> u128 {
        let at = Instant(state.at);
        state.level.saturating_add(self.drained(at.since(now))).saturating_sub(self.drained(now.since(at)))
    }

    fn credits(&self, units: u64) -> u128 {
        u128::from(units) * u128::from(self.period)
    }

    fn drained(&self, nanos: u64) -> u128 {
        u128::from(nanos) * u128::from(self.rate)
    }

    fn nanos(&self, credits: u128) -> u64 {
        u64::try_from(credits.div_ceil(u128::from(self.rate))).unwrap_or(u64::MAX)
    }
}

impl BucketState {
    /// Little-endian: `at` (8 bytes, nanoseconds), `level` (16 bytes, credits).
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.at.to_le_bytes());
        out.extend_from_slice(&self.level.to_le_bytes());
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` unless there are exactly [`BUCKET_STATE_LEN`] bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (at, level) = bytes.split_first_chunk::<8>()?;
        Some(Self { at: u64::from_le_bytes(*at), level: u128::from_le_bytes(level.try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests;
