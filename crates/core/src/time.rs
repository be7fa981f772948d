//! Owns the two kinds of time Tollgate computes with; must never read a clock.

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// A reading of a monotonic clock: nanoseconds since an origin all workers of a node share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// Nanoseconds from `earlier` to `self`, 0 when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The instant `nanos` nanoseconds later, saturating at the end of time.
    #[must_use]
    pub const fn after(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

/// Whole seconds that cover `nanos`, rounded up: what `Retry-After` may promise.
#[must_use]
pub const fn seconds_ceil(nanos: u64) -> u64 {
    nanos.div_ceil(SECOND)
}
