//! Owns what node and backend say of abuse: what was detected, and who is blocked. Must not judge it.

use serde::{Deserialize, Serialize};

use super::is_default;

/// The most offences in one report.
pub const MOST_OFFENCES: usize = 64;
/// The most blocks in one answer; more follow in the next.
pub const MOST_BLOCKS: usize = 1_000;

/// Somebody was suspected enough. The node has blocked it already, unless `shadow`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offence {
    /// Who, as [`crate::abuse::Subject`] is written.
    pub subject: String,
    /// The signal that was the last straw, by its code.
    pub signal: String,
    /// The score, in points.
    pub score: u64,
    /// How long a first block of this node lasts.
    pub first_ms: u64,
    /// How long its longest lasts.
    pub longest_ms: u64,
    /// After how long a quiet time it forgets.
    pub forgotten_ms: u64,
    /// It is only told of: nobody is to be blocked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shadow: bool,
}

/// What a block does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Of an address: what carries no credential that is known to be good is refused. Consumers and credentials have none that is.
    #[default]
    Unknown,
    /// Everything is refused.
    All,
    /// The opposite of a block: it is never blocked automatically.
    Approve,
}

/// A block or an approval began, changed or ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockChange {
    /// Who, as [`crate::abuse::Subject`] is written.
    pub subject: String,
    /// What it does.
    #[serde(default, skip_serializing_if = "is_default")]
    pub effect: Effect,
    /// No operator asked for it: nodes that only watch pass over it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub automatic: bool,
    /// When it ends; absent: when it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_in_ms: Option<u64>,
    /// It has ended. What was counted against the subject is forgotten.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lifted: bool,
}

/// Blocks and approvals in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// The revision they were read at.
    pub revision: u64,
    /// At most [`MOST_BLOCKS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<BlockChange>,
    /// What to ask `after`, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}
