//! Owns the question a request puts to the leases, and the answers. Must not judge.

use tollgate_core::limit::Leased;
use tollgate_core::time::Instant;

use crate::limits::{MOST_LIMITS, Subject};

/// The limits of a tier that are counted over all nodes.
#[derive(Clone, Copy, Debug)]
pub struct TierLeases<'a> {
    /// The tier's position in the policy.
    pub position: usize,
    /// Its limits.
    pub leased: &'a [Leased],
    /// A hash of each limit's name.
    pub names: &'a [u64],
}

/// What a request asks of its leases.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The tier whose limits it meets.
    pub tier: TierLeases<'a>,
    /// Who is limited.
    pub subject: Subject,
    /// The consumer's id, as the ledger knows it.
    pub consumer: &'a str,
    /// The position of the request's route.
    pub route: u16,
    /// Units the request costs.
    pub cost: u32,
    /// The request has waited for as long as it may.
    pub impatient: bool,
    /// The node's monotonic clock.
    pub now: Instant,
}

/// What the leases say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All have the units, which are spent; or the failure mode of those that could not be asked lets the request pass.
    Admitted {
        /// What was spent.
        charge: Charge,
        /// Limits, as bits by position, of which the request must be judged by what they degrade to.
        degraded: u8,
    },
    /// At least one is exhausted; nothing is spent.
    Refused {
        /// The limit's position.
        position: usize,
        /// Nanoseconds until that may have changed.
        wait: u64,
    },
    /// Units are being asked for; nothing is spent.
    Waiting,
    /// A limit that must be asked cannot be; nothing is spent.
    Unavailable,
}

/// What was spent, for giving it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Whose units they are.
    pub subject: Subject,
    /// Units, from each limit.
    pub units: u32,
    /// The leases they are of, by position of the limit.
    pub(super) leases: [Paid; MOST_LIMITS],
}

/// A lease that units were spent from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paid {
    /// Its number; 0: nothing was spent.
    pub(super) lease: u64,
    /// Given back later than this, the units are worth nothing.
    pub(super) until: Instant,
}

impl Charge {
    /// The number of the lease that paid for the limit at a position; 0: none did.
    #[must_use]
    pub fn lease(&self, position: usize) -> u64 {
        self.leases.get(position).map_or(0, |paid| paid.lease)
    }
}

/// Where a consumer stands with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Units of the window.
    pub limit: u64,
    /// Units that may still be had, as far as this node knows.
    pub remaining: u64,
    /// Nanoseconds until all of the limit is available again.
    pub until_full: u64,
}

/// By position of the limit.
pub type Standings = [Option<Standing>; MOST_LIMITS];
