//! Owns what a node knows from its plugin configuration, compiled for use. Must not read documents (that is `config`) or judge requests.

use std::collections::HashMap;

use crate::abuse;
use crate::access::AddressRules;
use crate::credential::{IssuerKey, KeyHash, digest};
use crate::issuer::Issuer;
use crate::limit::{Leased, Limit};
use crate::requirement::{Met, Requirement};
use crate::route::{Route, Target};
use crate::secret::Secret;
use crate::signature::{self, Signing};

/// A valid plugin configuration. Positions in it are valid: they were made together with it.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The realm of `WWW-Authenticate`.
    pub realm: String,
    /// Where credentials are looked for.
    pub sources: Box<[Source]>,
    /// Whether the upstream gets the credential too.
    pub forward_credentials: bool,
    /// Keys that recognise issued credentials.
    pub issuer_keys: Box<[IssuerKey]>,
    /// The static API keys.
    pub api_keys: ApiKeys,
    /// Whose access tokens are accepted.
    pub tokens: Tokens,
    /// What routes ask of an identity, each once.
    pub requirements: Box<[Requirement]>,
    /// The tiers.
    pub tiers: Box<[Tier]>,
    /// The static consumers.
    pub consumers: Box<[Consumer]>,
    /// The routes in order of matching; the last one matches everything.
    pub routes: Box<[Route]>,
    /// Address rules of every route.
    pub addresses: AddressRules,
    /// How answers look.
    pub answers: Answers,
    /// Which headers tell the upstream who is asking.
    pub identity_headers: IdentityHeaders,
    /// Whether the verdict is left in filter state.
    pub filter_state: bool,
    /// Sizes of what the node keeps.
    pub node: NodeSizes,
    /// Who knows the other credentials.
    pub backend: Option<Backend>,
    /// How abuse is judged; `None`: it is not looked for.
    pub abuse: Option<abuse::Rules>,
    /// How requests are signed with credentials that require it, where their route does not say; `None`: they are refused.
    pub signatures: Option<signature::Rules>,
}

/// Access tokens: whose are accepted, and what they may cost.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Who may issue them; none: there are no tokens, only keys.
    pub issuers: Box<[Issuer]>,
    /// The longest that is read, in bytes.
    pub longest: usize,
    /// The bound on an address's tokens that fail: a tier of one limit.
    pub per_address: Option<Tier>,
}

/// The backend that knows the credentials the policy does not name.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The proxy's cluster.
    pub cluster: String,
    /// The host named in requests.
    pub authority: String,
    /// What the node presents itself with.
    pub credential: Secret,
    /// Nanoseconds a request waits for an answer.
    pub timeout: u64,
    /// Nanoseconds for which what was said is trusted.
    pub max_staleness: u64,
    /// Credentials a worker resolves at once.
    pub resolves_in_flight: usize,
    /// The bound on an address's unknown credentials: a tier of one limit.
    pub per_address: Tier,
    /// The bound on a node's.
    pub per_node: Tier,
}

/// A named set of limits.
#[derive(Clone, Debug)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// The limits that each node counts by itself.
    pub limits: Box<[Limit]>,
    /// A fingerprint of those: state kept under another one is not theirs.
    pub shape: u64,
    /// The limits that are counted over all nodes.
    pub leased: Box<[Leased]>,
}

/// Who is limited and billed.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its id.
    pub id: String,
    /// The position of its tier.
    pub tier: usize,
    /// Address rules of all its credentials.
    pub addresses: AddressRules,
}

/// A place in a request where a credential may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A header, in lower case; with a scheme the credential follows it (RFC 9110, section 11.4).
    Header {
        /// The header's name.
        name: String,
        /// The scheme, compared without case.
        scheme: Option<String>,
    },
    /// A query parameter.
    Query(String),
}

/// How answers look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// The form of error bodies.
    pub body: BodyStyle,
    /// Whether `X-RateLimit-*` are sent.
    pub x_ratelimit: bool,
    /// Whether `RateLimit` and `RateLimit-Policy` are sent.
    pub ratelimit: bool,
    /// The form of `X-RateLimit-Reset`.
    pub reset: ResetForm,
}

/// The form of error bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyStyle {
    /// `{"error":{"code":…,"message":…}}`.
    Coded,
    /// `{"error":"message"}`.
    Simple,
    /// `application/problem+json` (RFC 9457).
    Problem,
}

/// The form of `X-RateLimit-Reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetForm {
    /// Seconds since 1970.
    Epoch,
    /// `2026-01-14T00:00:00Z`.
    Rfc3339,
    /// Seconds from now.
    Delta,
}

/// Which headers tell the upstream who is asking, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// Carries the consumer's id.
    pub consumer: String,
    /// Carries the tier's name.
    pub tier: String,
    /// Carries the credential's id.
    pub credential: String,
}

/// Sizes of what a node keeps, so that no client can make it grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeSizes {
    /// Subjects whose limits the node keeps at once, in each of its two tables (consumers and addresses).
    pub slots: u32,
    /// Valid keys a worker remembers.
    pub known_keys: usize,
    /// Refused keys a worker remembers.
    pub unknown_keys: usize,
    /// Verified access tokens a worker remembers, and as many refused ones.
    pub known_tokens: usize,
    /// Signatures the node remembers, so that each is taken once.
    pub nonces: u32,
    /// Bits of an IPv6 address that make a client.
    pub ipv6_prefix: u8,
}

/// An API key's place: whose it is and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, which is no secret.
    pub id: String,
    /// The position of its consumer.
    pub consumer: usize,
    /// Which of the policy's requirements it meets.
    pub met: Met,
    /// Address rules of its own.
    pub addresses: AddressRules,
    /// What its owner signs requests with.
    pub signing: Option<Signing>,
}

/// The static API keys by hash.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys {
    /// Keyed by half of the hash: the other half is compared in constant time.
    by_half: HashMap<[u8; 16], Vec<(KeyHash, usize)>>,
    keys: Vec<ApiKey>,
    pepper: Option<Secret>,
    peppered: bool,
}

impl ApiKeys {
    /// No keys yet; `pepper` is what peppered hashes were made with.
    #[must_use]
    pub fn new(pepper: Option<Secret>) -> Self {
        Self { pepper, ..Self::default() }
    }

    /// Adds a key; `false` if its hash is there already.
    #[must_use]
    pub fn insert(&mut self, hash: KeyHash, key: ApiKey) -> bool {
        let place = self.by_half.entry(half(&hash)).or_default();
        if place.iter().any(|(own, _)| own.matches(&hash)) {
            return false;
        }
        place.push((hash, self.keys.len()));
        self.keys.push(key);
        self.peppered |= matches!(hash, KeyHash::HmacSha256(_));
        true
    }

    /// The position of the key a client presents. Costs one SHA-256, and an HMAC where a hash is peppered.
    #[must_use]
    pub fn find(&self, presented: &[u8]) -> Option<usize> {
        let digest = digest(presented);
        let plain = self.find_hash(&KeyHash::of(&digest, None));
        match (&self.pepper, self.peppered) {
            (Some(pepper), true) => plain.or_else(|| self.find_hash(&KeyHash::of(&digest, Some(pepper)))),
            _ => plain,
        }
    }

    /// The key at a position.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&ApiKey> {
        self.keys.get(position)
    }

    fn find_hash(&self, hash: &KeyHash) -> Option<usize> {
        let place = self.by_half.get(&half(hash))?;
        place.iter().find(|(own, _)| own.matches(hash)).map(|(_, position)| *position)
    }
}

/// Whether text may be a consumer's or a credential's id: 1 to 128 visible ASCII characters other than `"` and `\`, so that it may stand
/// in a header, a log and a challenge as it is.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

fn half(hash: &KeyHash) -> [u8; 16] {
    hash.bytes().first_chunk().copied().unwrap_or_default()
}

impl Policy {
    /// Whether bodies may have to be compared with a digest, so that they must be held from the start.
    #[must_use]
    pub fn checks_bodies(&self) -> bool {
        let rules = self.routes.iter().filter_map(|route| route.signature.as_ref()).chain(&self.signatures);
        rules.into_iter().any(|rules| rules.checks_body)
    }

    /// The first route that matches, and its position.
    #[must_use]
    pub fn route(&self, target: Target<'_>) -> Option<(u16, &Route)> {
        let position = self.routes.iter().position(|route| route.matcher.matches(target))?;
        Some((u16::try_from(position).ok()?, self.routes.get(position)?))
    }
}
