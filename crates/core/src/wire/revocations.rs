//! Owns what a backend says of access tokens that it issued itself and revoked. Must not judge a token.

use serde::{Deserialize, Serialize};

/// The most revocations in one answer; more follow in the next.
pub const MOST_REVOCATIONS: usize = 2_000;

/// An access token, or a family of them, must not pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// `jti` of the token, or `sid` of all of its family.
    pub id: String,
    /// When the last of its tokens has ended whatever a clock says: it may be forgotten then.
    pub ends_in_ms: u64,
}

/// All revocations of which tokens may still be about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocations {
    /// The revision they were read at.
    pub revision: u64,
    /// At most [`MOST_REVOCATIONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<Revoked>,
    /// What to ask `after`, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}
