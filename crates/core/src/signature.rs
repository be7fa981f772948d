//! Owns request signatures: RFC 9421 with `hmac-sha256`, and draft-cavage-http-signatures where a policy takes it. Must not know whose a key
//! is, or what was signed before.
//!
//! What is read here is narrower than the standards: only what has one meaning and one spelling is taken. Everything else is refused, as
//! nobody can tell what the signer meant by it.

mod base;
mod cavage;
mod digest;
mod input;
mod make;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use crate::credential::mac;
use crate::secret::Secret;
pub use base::signature_base;
pub use digest::{content_digest, is_digest_of};
pub use make::{Ticket, make, make_cavage};

/// What a policy asks of signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Components that must be signed beside the least there is.
    pub components: Box<[String]>,
    /// Seconds after its creation for which a signature is taken.
    pub max_age: u64,
    /// Seconds by which clocks may differ.
    pub clock_skew: u64,
    /// What the signature is for; `None`: it need not say.
    pub tag: Option<String>,
    /// Whether each must carry a nonce.
    pub nonce: bool,
    /// Whether the body is compared with its signed digest before it goes on.
    pub checks_body: bool,
    /// Whether each is taken once on all nodes, instead of on each.
    pub mesh: bool,
    /// Whether `Authorization: Signature` is taken too.
    pub cavage: bool,
}

/// What a credential's owner signs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// The shared secret.
    pub secret: Secret,
    /// Whether the credential is of no use without a signature.
    pub required: bool,
}

/// The parts of a request that can be signed, as they came.
pub struct Request<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:scheme`.
    pub scheme: &'a [u8],
    /// `:authority`.
    pub authority: &'a [u8],
    /// `:path`, with the query.
    pub target: &'a [u8],
    /// Whether a body follows.
    pub has_body: bool,
    /// The values of a header of this name, in lower case.
    pub fields: &'a dyn Fields,
}

/// The headers of a request.
pub trait Fields {
    /// Hands over each value of a name, in order.
    fn each(&self, name: &str, take: &mut dyn FnMut(&[u8]));
}

/// A good signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What tells it from every other one of its credential: its nonce, or itself.
    pub once: Vec<u8>,
    /// Seconds since 1970 until which it would be taken again.
    pub until: u64,
    /// What the body must be.
    pub body: Body,
}

/// What is signed of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It has this SHA-256.
    Sha256([u8; 32]),
    /// Nothing: it must be empty.
    Empty,
}

impl Body {
    /// Whether this is the body.
    #[must_use]
    pub fn is(&self, body: &[u8]) -> bool {
        match self {
            Self::Sha256(digest) => is_digest_of(digest, body),
            Self::Empty => body.is_empty(),
        }
    }
}

/// Why a request does not count as signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// There is no signature of this credential's.
    Missing,
    /// It is malformed, leaves out what must be signed, or is not of this request.
    Invalid,
    /// It has ended, or has not begun.
    Outdated,
}

/// A signature that was found, before it is checked.
struct Claim {
    /// What was signed.
    base: Vec<u8>,
    mac: Vec<u8>,
    created: u64,
    expires: Option<u64>,
    nonce: Option<String>,
    /// The digest that is signed.
    digest: Option<[u8; 32]>,
}

/// Checks that a credential's owner signed a request; `wall` is seconds since 1970.
///
/// # Errors
/// [`Wrong`]. Nothing is said of the time of a signature that is not good.
pub fn check(request: &Request<'_>, rules: &Rules, credential: &str, secret: &Secret, wall: u64) -> Result<Signed, Wrong> {
    let claim = match input::find(request, rules, credential) {
        Err(Wrong::Missing) if rules.cavage => cavage::find(request, rules, credential),
        found => found,
    }?;
    if !bool::from(mac(secret, &[&claim.base]).as_slice().ct_eq(&claim.mac)) {
        return Err(Wrong::Invalid);
    }
    let last = claim.created.saturating_add(rules.max_age).min(claim.expires.unwrap_or(u64::MAX));
    let until = last.saturating_add(rules.clock_skew);
    if wall > until || claim.created > wall.saturating_add(rules.clock_skew) || last < claim.created {
        return Err(Wrong::Outdated);
    }
    let body = claim.digest.map_or(Body::Empty, Body::Sha256);
    if !request.has_body && rules.checks_body && !body.is(b"") {
        return Err(Wrong::Invalid);
    }
    let once = claim.nonce.map_or(claim.mac, String::into_bytes);
    Ok(Signed { once, until, body })
}

/// Base64 of 32 bytes, with padding.
fn decode(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
