//! Owns what a node and the backend say to each other: the format `tollgate-node`, its version and its messages. Must not know how
//! messages travel or what is done with them.
//!
//! Every message is one JSON object whose member `wire` names format and version: `"tollgate-node/1"`. A receiver takes the versions
//! from [`OLDEST`] to [`VERSION`], ignores members it does not know, and refuses everything else. Golden files in
//! `crates/core/tests/wire/` hold each version to its words. Times are milliseconds; those that travel to a node are relative, because its wall clock is not trusted.
//!
//! | request | body | answer |
//! | --- | --- | --- |
//! | `POST /internal/v1/incarnations`, authorized by the node's credential | [`Hello`] | [`Welcome`] |
//! | `POST /internal/v1/resolve`, authorized by the token, as all below | [`Resolve`] | [`Resolved`] |
//! | `POST /internal/v1/consumers` | [`ResolveConsumer`] | [`ResolvedConsumer`] |
//! | `POST /internal/v1/credentials` | [`ResolveCredential`] | [`Resolved`] |
//! | `GET /internal/v1/changes?after=N&mark=N&wait_ms=N`; without `after`: where the feed is now | | [`Changes`] |
//! | `POST /internal/v1/leases` | [`Settle`] | [`Settled`] |
//! | `POST /internal/v1/reports` | [`Report`] | [`Acknowledged`] |
//! | `GET /internal/v1/blocks?after=N` | | [`Blocks`] |
//! | `GET /internal/v1/revocations?after=N` | | [`Revocations`] |
//! | `POST /internal/v1/nonces` | [`TakeNonces`] | [`TakenNonces`] |
//!
//! A token is refused with 401: the node then says hello again. Every other status than 200 is a failure.

mod abuse;
mod leases;
mod nonces;
mod revocations;

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::document::{Addresses, Tier};
use crate::credential::digest;
pub use abuse::{BlockChange, Blocks, Effect, MOST_BLOCKS, MOST_OFFENCES, Offence};
pub use leases::{FirstAsk, LeaseAnswer, LeaseAsk, MOST_ASKS, MOST_OVERAGES, Overage, Recall, Settle, Settled};
pub use nonces::{LONGEST_NONCE_MS, MOST_NONCES, Nonce, TakeNonces, TakenNonces};
pub use revocations::{MOST_REVOCATIONS, Revocations, Revoked};

/// The format's name.
pub const FORMAT: &str = "tollgate-node";
/// The version this code speaks.
pub const VERSION: u32 = 1;
/// The oldest version this code takes.
pub const OLDEST: u32 = 1;

/// The largest body of an answer, in bytes; a node refuses a larger one.
pub const LARGEST_ANSWER: usize = 256 * 1024;
/// The most changes in one answer; more follow in the next.
pub const MOST_CHANGES: usize = 256;
/// The longest a poll for changes is held, in milliseconds: shorter than what proxies between the two cut off.
pub const LONGEST_WAIT: u64 = 25_000;
/// The most used credentials in one report.
pub const MOST_USED: usize = 1_024;

/// The most refusals in one report.
pub const MOST_REFUSED: usize = 64;

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Not the JSON of this message.
    #[error("not this message: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another format, or a version that is not spoken here.
    #[error("another format or version: `{0}`; spoken here: `{FORMAT}/{OLDEST}` to `{FORMAT}/{VERSION}`")]
    Version(String),
}

/// A node presents itself: one process of Envoy, in one life.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// 32 lower-case hexadecimal digits, random, and this process's alone: whoever has them is this life of the node, whichever node
    /// credential it has. [`Hello::incarnation`] is how it is called.
    pub incarnation_secret: String,
    /// Its label, from `--service-node`; at most 128 characters. Only a label: it proves nothing.
    pub node: String,
    /// The module's version.
    pub module: String,
}

/// The backend takes a node in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// What the node authorizes itself with, bound to its incarnation: visible ASCII, at most 512 characters.
    pub token: String,
    /// For how long.
    pub expires_in_ms: u64,
}

/// A node asks whose a credential is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolve {
    /// The id inside the key, where it has the form of an issued one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// SHA-256 of the whole key: 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// The node checks the signatures of requests. A key that must sign is not told to any other, as it would pass there without.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checks_signatures: bool,
    /// The node judges limits of single credentials. A key that has some is not told to any other, as it would pass there without.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub limits_credentials: bool,
    /// The first leases of its consumer, wanted with the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases: Option<FirstAsk>,
}

/// Whose a credential is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// The revision the answer was read at.
    pub revision: u64,
    /// Whose it is; absent: nobody's that may pass. Revoked, expired, disabled and unknown are not told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Known>,
    /// The limits of which leases were asked for, because of [`Resolve::leases`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// What came of it, an answer for each of `limits`. Absent, although there are such: that is not known, and the node must ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

/// A valid credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// The credential's id, which is no secret.
    pub credential: String,
    /// The scopes it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// When it ends, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// The roles it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Address rules of its own.
    #[serde(default, skip_serializing_if = "Addresses::are_none")]
    pub addresses: Addresses,
    /// The consumer's id.
    pub consumer: String,
    /// The consumer's tier.
    pub tier: Tier,
    /// Address rules of the consumer.
    #[serde(default, skip_serializing_if = "Addresses::are_none")]
    pub consumer_addresses: Addresses,
    /// What its owner signs requests with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// Limits of its own, beside those of the consumer's tier. The name stands for what they say, but for how large quotas are, which the ledger knows:
    /// credentials with the same name share them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Tier>,
    /// In whose name those are counted and leased, where there are any: the consumer's id, a slash, and another one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// What a credential's owner signs requests with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// The secret: the bytes of this text; at least 16.
    pub secret: String,
    /// Whether the credential is of no use without a signature.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

/// A node asks for a consumer that an access token names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveConsumer {
    /// The consumer's id.
    pub consumer: String,
    /// Its first leases, wanted with the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases: Option<FirstAsk>,
}

/// A node asks for the credential that an access token of the backend's own came from; the answer is a [`Resolved`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveCredential {
    /// The credential's id.
    pub credential: String,
    /// The node checks the signatures of requests. A key that must sign is not told to any other, as it would pass there without.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checks_signatures: bool,
    /// The node judges limits of single credentials. A key that has some is not told to any other, as it would pass there without.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub limits_credentials: bool,
    /// The first leases of its consumer, wanted with the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases: Option<FirstAsk>,
}

/// A consumer, if it may pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResolvedConsumer {
    /// The revision the answer was read at.
    pub revision: u64,
    /// The consumer's tier; absent: there is none of this id that may pass. Disabled, deleted and unknown are not told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// Address rules of the consumer.
    #[serde(default, skip_serializing_if = "Addresses::are_none")]
    pub addresses: Addresses,
    /// The limits of which leases were asked for, because of [`ResolveConsumer::leases`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// What came of it, an answer for each of `limits`. Absent, although there are such: that is not known, and the node must ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

/// A [`Resolved`] or a [`ResolvedConsumer`], for who has asked for either.
#[derive(Debug, Deserialize)]
pub struct Either {
    /// The revision the answer was read at.
    pub revision: u64,
    /// [`Resolved::known`].
    #[serde(default)]
    pub known: Option<Known>,
    /// [`ResolvedConsumer::tier`].
    #[serde(default)]
    pub tier: Option<Tier>,
    /// [`ResolvedConsumer::addresses`].
    #[serde(default)]
    pub addresses: Addresses,
    /// The limits of which leases were asked for.
    #[serde(default)]
    pub limits: Vec<String>,
    /// What came of it.
    #[serde(default)]
    pub settled: Option<Settled>,
}

/// What has changed after a revision, in the order it was committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// The revision up to which the answer is complete: the next poll's `after`.
    pub revision: u64,
    /// Tells that revision from one of the same number in another history, as there is after a backup was restored: the next poll's
    /// `mark`. Random, below 2^53; 0: not told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mark: u64,
    /// How long the backend held the poll; at its end the answer was complete, unless `more` follow.
    pub held_ms: u64,
    /// What was asked after is not known here, or no longer: the node must forget everything it was told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// There are more changes than these already: the node knows no better than before how old its knowledge is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// The changes; none if the time to wait has passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// One change. Exactly one of the optional members is there; a receiver that knows none of those it gets forgets everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its revision.
    pub revision: u64,
    /// A credential changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialChange>,
    /// A consumer changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<ConsumerChange>,
    /// A tier has these limits from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// Units of a limit are wanted elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recall: Option<Recall>,
    /// A block began, changed or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockChange>,
    /// An access token, or a family of them, is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
}

/// A credential changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialChange {
    /// Its id.
    pub id: String,
    /// It is revoked or expired and never comes back. Otherwise it must be resolved again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// A consumer changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsumerChange {
    /// Its id.
    pub id: String,
    /// Its tier from now on; absent: none of its credentials may pass, until they are resolved again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
}

/// What a node has to tell. It is kept until acknowledged, sent again unchanged under the same number, and applied once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Counts the reports of an incarnation, from 1.
    pub sequence: u64,
    /// When credentials were last used; at most [`MOST_USED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used: Vec<Used>,
    /// What becomes of leases; at most [`MOST_ASKS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<LeaseAsk>,
    /// Units admitted without a lease; at most [`MOST_OVERAGES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overages: Vec<Overage>,
    /// What was detected of abuse; at most [`MOST_OFFENCES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abuse: Vec<Offence>,
    /// Requests that were refused because of who asks; at most [`MOST_REFUSED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

/// How often somebody was refused since the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why: a [`crate::verdict::Reason`]'s code.
    pub reason: String,
    /// From where, as [`crate::abuse::Subject`] is written; absent: many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whose credential it was, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// How often.
    pub count: u64,
}

/// When a credential was last used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The credential's id.
    pub credential: String,
    /// Milliseconds since 1970 by the node's clock; the backend takes a future one as now.
    pub at_ms: u64,
}

/// A report has been applied, now or before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The report's number.
    pub sequence: u64,
    /// The revision the limits were read at.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revision: u64,
    /// What came of the report's asks, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<LeaseAnswer>,
    /// Subjects of the report's offences that are not to be blocked: approved, unknown, or too wide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unblocked: Vec<String>,
}

impl Known {
    /// A consumer by itself, without a credential.
    #[must_use]
    pub fn new(consumer: String, tier: Tier) -> Self {
        Self {
            credential: String::new(),
            scopes: Vec::new(),
            expires_in_ms: None,
            roles: Vec::new(),
            addresses: Addresses::default(),
            consumer,
            tier,
            consumer_addresses: Addresses::default(),
            signing: None,
            own: None,
            account: None,
        }
    }
}

impl Hello {
    /// The incarnation's id, 32 hexadecimal digits: the first half of the secret's SHA-256. It is no secret.
    #[must_use]
    pub fn incarnation(&self) -> String {
        digest(self.incarnation_secret.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Hello {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hello").field("node", &self.node).field("module", &self.module).finish_non_exhaustive()
    }
}

impl fmt::Debug for Welcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Welcome").field("expires_in_ms", &self.expires_in_ms).finish_non_exhaustive()
    }
}

impl fmt::Debug for Signing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Signing").field("required", &self.required).finish_non_exhaustive()
    }
}

impl fmt::Debug for Resolve {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Short keys can be found by their hash.
        formatter.debug_struct("Resolve").field("id", &self.id).finish_non_exhaustive()
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Whether a message of this format and version is understood.
fn is_spoken(tag: &str) -> bool {
    let version = tag.strip_prefix(FORMAT).and_then(|rest| rest.strip_prefix('/')).and_then(|version| version.parse().ok());
    version.is_some_and(|version: u32| (OLDEST..=VERSION).contains(&version))
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    wire: String,
    #[serde(flatten)]
    message: &'a T,
}

#[derive(Deserialize)]
struct Tag {
    wire: Option<String>,
}

/// Writes a message.
///
/// # Errors
/// Never for the messages of this module; whatever serde says of others.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, WireError> {
    Ok(serde_json::to_vec(&Tagged { wire: format!("{FORMAT}/{VERSION}"), message })?)
}

/// Reads a message.
///
/// # Errors
/// [`WireError`] if it is of another format or version, or not of this shape.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let tag = serde_json::from_slice::<Tag>(bytes)?.wire.unwrap_or_default();
    if !is_spoken(&tag) {
        let shown: String = tag.chars().take(40).collect();
        return Err(WireError::Version(shown.escape_debug().to_string()));
    }
    Ok(serde_json::from_slice(bytes)?)
}
