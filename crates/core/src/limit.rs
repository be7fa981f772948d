//! Owns what a limit is: a named rate, where it applies, and what happens when it cannot be judged. Must not keep any state.

use crate::bucket::{BUCKET_STATE_LEN, BucketState, TokenBucket};
use crate::time::{Instant, seconds_ceil};
use crate::window::{SlidingWindow, WINDOW_STATE_LEN, WindowState};

/// A named bound on the units a subject may spend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name within the tier: `[a-z0-9-]`, as clients see it in `RateLimit-Policy`.
    pub name: String,
    /// The algorithm and its numbers.
    pub rate: Rate,
    /// Routes whose requests are charged.
    pub routes: Routes,
    /// Judged and counted, never enforced.
    pub shadow: bool,
    /// What happens when its state cannot be had.
    pub failure_mode: FailureMode,
    /// Seconds, rounded up, in which its whole capacity comes back: `w` in `RateLimit-Policy`.
    pub window_seconds: u64,
}

/// A named bound on the units a consumer may spend over all nodes, which lease them from the backend's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    /// Its name within the tier, as of a [`Limit`].
    pub name: String,
    /// What the ledger counts.
    pub counted: Counted,
    /// Routes whose requests are charged.
    pub routes: Routes,
    /// Judged and counted, never enforced.
    pub shadow: bool,
    /// What happens when the ledger cannot be asked.
    pub failure_mode: FailureMode,
    /// What each node admits by itself while it degrades.
    pub degraded: Option<Rate>,
}

impl Leased {
    /// What a node admits by itself while the ledger cannot be asked, as a limit of its own.
    #[must_use]
    pub fn degrades_to(&self) -> Option<Limit> {
        let rate = self.degraded?;
        Some(Limit { name: String::new(), rate, routes: Routes::All, shadow: false, failure_mode: FailureMode::Deny, window_seconds: 0 })
    }

    /// The window that `RateLimit-Policy` states, in seconds: an empty limit is full after it. Months differ, so a month has none.
    #[must_use]
    pub fn window_seconds(&self) -> Option<u64> {
        match self.counted {
            Counted::Quota(Period::Day) => Some(86_400),
            Counted::Quota(Period::Month | Period::Lifetime) => None,
            Counted::Rate(rate) => Some(seconds_ceil(rate.until_full())),
        }
    }
}

/// What a ledger counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Units in each period of the calendar.
    Quota(Period),
    /// Units by a rate.
    Rate(Rate),
}

/// A period of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
    /// All time: it never begins anew.
    Lifetime,
}

/// Which of the configured routes a limit applies to, by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routes {
    /// Every route.
    All,
    /// These positions, ascending.
    Only(Box<[u16]>),
}

/// What a limit answers when it cannot be judged (DESIGN.md, promise 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureMode {
    /// Refuse with `unavailable`.
    Deny,
    /// Judge by the same rate in this worker's memory alone.
    Degrade,
    /// Let the request pass unjudged.
    Allow,
}

/// A rate algorithm with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Rate and burst.
    TokenBucket(TokenBucket),
    /// At most so many units in any window.
    SlidingWindow(SlidingWindow),
}

/// The state of a [`Rate`], of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateState {
    /// State of a [`Rate::TokenBucket`].
    Bucket(BucketState),
    /// State of a [`Rate::SlidingWindow`].
    Window(WindowState),
}

/// Where a subject stands with one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Units still admitted now.
    pub remaining: u64,
    /// Nanoseconds until all of the limit is available again.
    pub until_full: u64,
}

impl Routes {
    /// Whether the limit applies to the route at this position.
    #[must_use]
    pub fn include(&self, route: u16) -> bool {
        match self {
            Self::All => true,
            Self::Only(routes) => routes.binary_search(&route).is_ok(),
        }
    }
}

impl Rate {
    /// The most units that can be had at once: the burst, or the limit of a window.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        match self {
            Self::TokenBucket(bucket) => bucket.burst(),
            Self::SlidingWindow(window) => u64::from(window.limit()),
        }
    }

    /// Nanoseconds in which all of it comes back.
    #[must_use]
    pub fn until_full(&self) -> u64 {
        match self {
            Self::TokenBucket(bucket) => bucket.until_full(bucket.emptied(), Instant(0)),
            Self::SlidingWindow(window) => window.longest_hold().saturating_mul(crate::window::SUB_WINDOWS),
        }
    }

    /// Units this rate allows within `nanos` in the long run, rounded down.
    #[must_use]
    pub fn refill(&self, nanos: u64) -> u64 {
        match self {
            Self::TokenBucket(bucket) => bucket.refill(nanos),
            Self::SlidingWindow(window) => {
                let whole = u128::from(window.longest_hold()) * u128::from(crate::window::SUB_WINDOWS);
                u64::try_from(u128::from(window.limit()) * u128::from(nanos) / whole).unwrap_or(u64::MAX)
            }
        }
    }

    /// The longest time units taken in advance may be held, given the wish `nanos`.
    #[must_use]
    pub fn hold(&self, nanos: u64) -> u64 {
        match self {
            Self::TokenBucket(_) => nanos,
            Self::SlidingWindow(window) => nanos.min(window.longest_hold()),
        }
    }

    /// The state nothing has been charged to.
    #[must_use]
    pub fn untouched(&self) -> RateState {
        match self {
            Self::TokenBucket(_) => RateState::Bucket(BucketState::default()),
            Self::SlidingWindow(_) => RateState::Window(WindowState::default()),
        }
    }

    /// Charges `units` as of `as_of`; `None` if they are not to be had, or if the state is of the other kind.
    #[must_use]
    pub fn spend(&self, state: RateState, now: Instant, as_of: Instant, units: u64) -> Option<RateState> {
        match (self, state) {
            (Self::TokenBucket(rate), RateState::Bucket(state)) => rate.spend(state, now, as_of, units).map(RateState::Bucket),
            (Self::SlidingWindow(rate), RateState::Window(state)) => rate.spend(state, now, as_of, units).map(RateState::Window),
            (Self::TokenBucket(_), RateState::Window(_)) | (Self::SlidingWindow(_), RateState::Bucket(_)) => None,
        }
    }

    /// Gives back `units` charged as of `charged`, as far as that is sound.
    #[must_use]
    pub fn give_back(&self, state: RateState, now: Instant, charged: Instant, units: u64) -> RateState {
        match (self, state) {
            (Self::TokenBucket(rate), RateState::Bucket(state)) => RateState::Bucket(rate.give_back(state, now, charged, units)),
            (Self::SlidingWindow(rate), RateState::Window(state)) => RateState::Window(rate.give_back(state, charged, units)),
            (Self::TokenBucket(_), RateState::Window(_)) | (Self::SlidingWindow(_), RateState::Bucket(_)) => state,
        }
    }

    /// Where the state stands at `now`.
    #[must_use]
    pub fn standing(&self, state: RateState, now: Instant) -> Standing {
        match (self, state) {
            (Self::TokenBucket(rate), RateState::Bucket(state)) => {
                Standing { remaining: rate.remaining(state, now), until_full: rate.until_full(state, now) }
            }
            (Self::SlidingWindow(rate), RateState::Window(state)) => {
                Standing { remaining: rate.remaining(state, now), until_full: rate.until_full(state, now) }
            }
            (Self::TokenBucket(_), RateState::Window(_)) | (Self::SlidingWindow(_), RateState::Bucket(_)) => {
                Standing { remaining: 0, until_full: u64::MAX }
            }
        }
    }

    /// Nanoseconds until `units` would be admitted; `None` if they never will.
    #[must_use]
    pub fn until_admitted(&self, state: RateState, now: Instant, units: u64) -> Option<u64> {
        match (self, state) {
            (Self::TokenBucket(rate), RateState::Bucket(state)) => rate.until_admitted(state, now, units),
            (Self::SlidingWindow(rate), RateState::Window(state)) => rate.until_admitted(state, now, units),
            (Self::TokenBucket(_), RateState::Window(_)) | (Self::SlidingWindow(_), RateState::Bucket(_)) => None,
        }
    }

    /// What gives a state its meaning: rates that agree in this understand each other's states, whatever their other numbers.
    #[must_use]
    pub const fn meaning(&self) -> [u64; 2] {
        match self {
            Self::TokenBucket(bucket) => {
                let [_, period, _] = bucket.numbers();
                [1, period]
            }
            Self::SlidingWindow(window) => [2, window.longest_hold()],
        }
    }

    /// Bytes of this rate's encoded state.
    #[must_use]
    pub const fn state_len(&self) -> usize {
        match self {
            Self::TokenBucket(_) => BUCKET_STATE_LEN,
            Self::SlidingWindow(_) => WINDOW_STATE_LEN,
        }
    }

    /// Reads a state of this rate's kind; `None` if the bytes are not one.
    #[must_use]
    pub fn decode(&self, bytes: &[u8]) -> Option<RateState> {
        match self {
            Self::TokenBucket(_) => BucketState::decode(bytes).map(RateState::Bucket),
            Self::SlidingWindow(_) => WindowState::decode(bytes).map(RateState::Window),
        }
    }
}

impl RateState {
    /// Appends the encoded state.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bucket(state) => state.encode(out),
            Self::Window(state) => state.encode(out),
        }
    }
}
