//! Owns the question a request puts to its limits, and the answers. Must not judge.

use tollgate_core::limit::{Limit, Standing};
use tollgate_core::time::Instant;

/// Limits a tier may have.
pub const MOST_LIMITS: usize = 8;

/// Which of the node's tables a subject is kept in. Addresses can be had for nothing, so they have a table of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Consumers, by id.
    Consumers,
    /// Clients without identity, by address.
    Addresses,
}

/// Who is limited: a keyed 128-bit hash of its name, unpredictable to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The table it is kept in.
    pub table: Table,
    /// Chooses the place in the table.
    pub place: u64,
    /// Tells subjects in one place apart.
    pub tag: u64,
}

/// The limits of a tier.
#[derive(Clone, Copy, Debug)]
pub struct TierLimits<'a> {
    /// The tier's position in the policy.
    pub position: usize,
    /// Its limits.
    pub limits: &'a [Limit],
    /// Its fingerprint.
    pub shape: u64,
}

/// What a request asks of its limits.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The tier whose limits it meets.
    pub tier: TierLimits<'a>,
    /// Who is limited.
    pub subject: Subject,
    /// The position of the request's route.
    pub route: u16,
    /// Units the request costs.
    pub cost: u32,
    /// The node's monotonic clock.
    pub now: Instant,
}

/// What the limits say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All admit it; the units are spent.
    Admitted(Charge),
    /// At least one refuses it; nothing is spent.
    Refused {
        /// Nanoseconds until all would admit it; `None` if one never will, because the cost is beyond its capacity.
        wait: Option<u64>,
    },
    /// A limit that must be judged cannot be.
    Unavailable,
}

/// What was spent, for giving it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Whose units they are.
    pub subject: Subject,
    /// Units, from each of the limits.
    pub units: u32,
    /// When they count as spent.
    pub(super) as_of: Instant,
    /// The limits, as bits by position.
    pub(super) limits: u8,
}

/// Where the subject stands with each limit that applied, by position.
pub type Standings = [Option<Standing>; MOST_LIMITS];

impl Ask<'_> {
    /// What is owed once the request's units are spent as of an instant, from the limits of these bits.
    pub(super) fn charge(&self, as_of: Instant, limits: u8) -> Charge {
        Charge { subject: self.subject, units: self.cost, as_of, limits }
    }

    /// The limits that apply to the request's route, as bits by position.
    pub(super) fn applying(&self) -> u8 {
        bits(self.tier.limits, |limit| limit.routes.include(self.route))
    }
}

/// The limits of which something holds, as bits by position.
pub(super) fn bits(limits: &[Limit], holds: impl Fn(&Limit) -> bool) -> u8 {
    limits.iter().take(MOST_LIMITS).enumerate().fold(0, |bits, (position, limit)| bits | (u8::from(holds(limit)) << position))
}
