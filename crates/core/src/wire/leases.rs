//! Owns what a node and the backend say to each other about leases (DESIGN.md, Leases). Must not judge any of it.

use serde::{Deserialize, Serialize};

use super::is_default;

/// The most asks of leases in one message.
pub const MOST_ASKS: usize = 512;
/// The most rows of which a report tells an overage.
pub const MOST_OVERAGES: usize = 512;

/// Units of a limit that were admitted without a lease, because its failure mode let them pass while the backend could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overage {
    /// The consumer's id.
    pub consumer: String,
    /// The limit's name.
    pub limit: String,
    /// So many.
    pub units: u64,
}

/// A node asks for units, tells what it has returned, or ends leases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settle {
    /// Each is judged by itself; at most [`MOST_ASKS`].
    pub asks: Vec<LeaseAsk>,
}

/// What an incarnation says about one of its leases. It is repeated until answered; the same lease and number get the same answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAsk {
    /// The consumer's id.
    pub consumer: String,
    /// The limit's name.
    pub limit: String,
    /// The lease's number, the incarnation's own; newer ones of a limit of a consumer are higher. At most 2^53.
    pub lease: u64,
    /// Counts the asks of the lease, from 1: the first opens it.
    pub number: u64,
    /// [`LeaseAnswer::window`] of the lease; 0 in the first ask.
    #[serde(default, skip_serializing_if = "is_default")]
    pub window: u64,
    /// In the first ask: the lease is to be of the window that follows the one of this name. 0: of the one in force.
    #[serde(default, skip_serializing_if = "is_default")]
    pub after: u64,
    /// Units returned by this lease, in all. Nobody can spend them any more.
    #[serde(default, skip_serializing_if = "is_default")]
    pub returned: u64,
    /// The lease is over: what was granted and not returned is spent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub close: bool,
    /// The largest cost that waits: with less nothing can go on. 0: nothing waits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub need: u64,
    /// All costs that wait.
    #[serde(default, skip_serializing_if = "is_default")]
    pub waiting: u64,
    /// Units spent lately, in a thousand seconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub demand: u64,
    /// Units the node still has of this lease.
    #[serde(default, skip_serializing_if = "is_default")]
    pub own: u64,
}

/// What came of asks, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The revision the limits were read at.
    pub revision: u64,
    /// One for each ask.
    pub answers: Vec<LeaseAnswer>,
}

/// What came of an ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAnswer {
    /// The lease's number.
    pub lease: u64,
    /// The ask's number.
    pub number: u64,
    /// Nothing more comes of this lease: it was closed, belongs to a window that is over, or the consumer has no such limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// Units granted by this ask.
    #[serde(default, skip_serializing_if = "is_default")]
    pub granted: u64,
    /// After this time the holder should settle, whether or not it has spent what it holds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lasts_ms: u64,
    /// Names the window the units belong to, or the account of a rate.
    #[serde(default, skip_serializing_if = "is_default")]
    pub window: u64,
    /// Until the window begins: before that no unit of it may be spent. 0: it has begun.
    #[serde(default, skip_serializing_if = "is_default")]
    pub opens_in_ms: u64,
    /// Until all of the limit may be had again: a quota's window ends then, and with it the lease.
    #[serde(default, skip_serializing_if = "is_default")]
    pub full_in_ms: u64,
    /// After this time nothing that was granted by this ask may be spent or returned. 0: not before the window ends.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expires_in_ms: u64,
    /// Units of the limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limit: u64,
    /// Units of it that may still be granted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub left: u64,
    /// Units are scarce: once what was granted is spent, when to ask again. 0: at any time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_ms: u64,
}

/// What a node that asks about a credential wants with the answer: the first ask of a lease of each limit over all nodes that its consumer has.
/// A lease is judged only where the incarnation has none open. It is repeated unchanged until answered, as every ask is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstAsk {
    /// The number of the lease, the same in each of the limits.
    pub lease: u64,
    /// What the request costs that waits; at least 1.
    pub need: u64,
    /// The name of its route: of limits that do not apply there no lease is wanted.
    pub route: String,
}

/// Units of a limit are wanted elsewhere, so that who holds more than it needs now should return the rest; or some came free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    /// The consumer's id. Empty, where some came `freed`: there may be units of any limit of any consumer, as after the ledger's clock was set.
    pub consumer: String,
    /// The limit's name.
    pub limit: String,
    /// Units came free: who was told that all is spent may ask again. Nothing need be returned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub freed: bool,
}
