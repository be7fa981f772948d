//! Owns issuers of access tokens: what a token of one must be like, and who it says the caller is. Must not know how signatures are
//! checked, or where keys come from.

use serde_json::{Map, Value};

use crate::claims::{self, ClaimPath, Malformed, NumericDate};
use crate::jwk::{Jwk, KeySet};
use crate::jws::{Algorithm, Header};
use crate::policy::is_id;
use crate::secret::Secret;

/// Keys that a token without key id is tried with: in the module a wrong one may cost milliseconds.
pub const MOST_TRIES: usize = 4;

/// Somebody whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// `iss`, compared exactly.
    pub name: String,
    /// Tells the issuer's consumers from others of the same id.
    pub tag: [u8; 8],
    /// `aud` must name one of these; `None`: it is not looked at.
    pub audiences: Option<Box<[String]>>,
    /// With which algorithms it may sign.
    pub algorithms: Box<[Algorithm]>,
    /// Whether the configuration names these.
    pub algorithms_named: bool,
    /// What `typ` may be, in lower case and without `application/`; `None`: `jwt`, `at+jwt`, or none.
    pub kinds: Option<Box<[String]>>,
    /// Seconds by which its clock may differ.
    pub leeway: u64,
    /// A token may end at most so many seconds from now.
    pub longest_life: Option<u64>,
    /// Its keys.
    pub keys: Keys,
    /// Which claim names the consumer, and what is put before it.
    pub consumer: ClaimPath,
    /// What is put before the claim's value.
    pub consumer_prefix: String,
    /// Who knows the consumer.
    pub known_by: KnownBy,
    /// Scopes.
    pub scopes: NamesClaim,
    /// Roles.
    pub roles: NamesClaim,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug)]
pub enum Keys {
    /// In the configuration.
    Known(KeySet),
    /// With the issuer.
    Remote(RemoteKeys),
    /// There are none: it is asked about each token.
    Asked(Box<Introspection>),
}

/// Where an issuer is asked about opaque tokens (RFC 7662).
#[derive(Clone, Debug)]
pub struct Introspection {
    /// The proxy's cluster.
    pub cluster: String,
    /// The host named in requests.
    pub authority: String,
    /// The path, with its query.
    pub path: String,
    /// The value of `authorization`.
    pub authorization: Secret,
    /// Nanoseconds an answer is waited for.
    pub timeout: u64,
    /// Nanoseconds for which a token is believed to be active.
    pub cache: u64,
    /// Nanoseconds for which it is believed not to be.
    pub cache_refused: u64,
}

/// A set of keys that is fetched (RFC 7517, section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteKeys {
    /// The proxy's cluster.
    pub cluster: String,
    /// The host named in requests.
    pub authority: String,
    /// The path, with its query.
    pub path: String,
    /// Nanoseconds an answer is waited for, and a request for it.
    pub timeout: u64,
    /// Nanoseconds after which it is fetched again.
    pub refresh: u64,
    /// Nanoseconds that lie at least between two fetches.
    pub pause: u64,
    /// Nanoseconds for which a set is trusted that cannot be fetched again.
    pub max_staleness: u64,
}

/// Who knows a token's consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// Nobody: the token is enough, with a tier by these rules.
    Token(TierClaim),
    /// The consumers of the configuration.
    Configuration,
    /// The backend.
    Backend,
    /// The backend, which issued the token itself, by the credential that it came from.
    Credential,
}

/// Which tier a token's consumer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierClaim {
    /// The claim that says it.
    pub claim: Option<ClaimPath>,
    /// The position of the tier for each of the claim's values.
    pub tiers: Box<[(String, usize)]>,
    /// Where there is no such claim or value; `None`: the token is refused.
    pub default: Option<usize>,
}

/// Which names a token grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesClaim {
    /// The claims that may hold them; the first that is there counts.
    pub claims: Box<[ClaimPath]>,
    /// Only names that start so count, and lose it.
    pub strip_prefix: String,
    /// Where none of the claims is there.
    pub default: Box<[String]>,
}

/// What a token grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The consumer's id.
    pub consumer: String,
    /// The position of its tier, where the token alone says so.
    pub tier: Option<usize>,
    /// The token's own id, if it has one that may stand in a header.
    pub id: Option<String>,
    /// What it came from, if the backend issued it.
    pub origin: Option<Origin>,
    /// Scopes.
    pub scopes: Vec<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// When it begins and ends, in seconds since 1970, leeway included.
    pub validity: Validity,
}

/// What a token of the backend's own came from, and what it can be revoked by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The id of the credential: `client_id`.
    pub credential: String,
    /// The token's own id: `jti`.
    pub token: String,
    /// The id of its family: `sid`.
    pub family: Option<String>,
}

/// From when until when something is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: u64,
    /// The first second after it.
    pub until: u64,
}

/// Why a token that is signed is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A claim is missing or not what it must be, or `typ` is another.
    Malformed,
    /// It has ended.
    Expired,
    /// It begins after so many seconds.
    NotYetValid(u64),
    /// It is for somebody else.
    WrongAudience,
}

impl From<Malformed> for Refused {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl Validity {
    /// Whether it has begun and not ended.
    ///
    /// # Errors
    /// [`Refused::Expired`] or [`Refused::NotYetValid`].
    pub const fn at(self, seconds: u64) -> Result<(), Refused> {
        if seconds >= self.until {
            Err(Refused::Expired)
        } else if seconds < self.from {
            Err(Refused::NotYetValid(self.from - seconds))
        } else {
            Ok(())
        }
    }
}

impl Issuer {
    /// Judges the claims of a token that one of the issuer's keys has signed (RFC 7519, section 4.1; RFC 8725). `now` is seconds since 1970.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn judge(&self, header: &Header, claims: &Map<String, Value>, now: u64) -> Result<Grant, Refused> {
        if !self.takes_kind(header.kind.as_deref()) || claims::text(claims, "iss")? != Some(&self.name) {
            return Err(Refused::Malformed);
        }
        if let Some(audiences) = &self.audiences
            && !claims::is_meant_for(claims, audiences)?
        {
            return Err(Refused::WrongAudience);
        }
        let NumericDate(ends) = claims::date(claims, "exp")?.ok_or(Refused::Malformed)?;
        self.grant(claims, ends, now)
    }

    /// Judges what the issuer says of an opaque token that it calls active (RFC 7662, section 2.2): `iss`, `exp` and `token_type` need not be
    /// there, and are right if they are. `now` is seconds since 1970.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn judge_introspected(&self, claims: &Map<String, Value>, now: u64) -> Result<Grant, Refused> {
        let kind = claims::text(claims, "token_type")?.map(str::to_ascii_lowercase);
        let takes_kind = match (&self.kinds, kind.as_deref()) {
            (None, None | Some("bearer")) => true,
            (None, Some(_)) | (Some(_), None) => false,
            (Some(kinds), Some(kind)) => kinds.iter().any(|own| own == kind),
        };
        if !takes_kind || claims::text(claims, "iss")?.is_some_and(|issuer| issuer != self.name) {
            return Err(Refused::Malformed);
        }
        if let Some(audiences) = &self.audiences
            && !claims::is_meant_for(claims, audiences)?
        {
            return Err(Refused::WrongAudience);
        }
        let ends = claims::date(claims, "exp")?.map_or(u64::MAX, |NumericDate(ends)| ends);
        self.grant(claims, ends, now)
    }

    /// What claims grant that are the issuer's.
    #[inline(never)]
    fn grant(&self, claims: &Map<String, Value>, ends: u64, now: u64) -> Result<Grant, Refused> {
        let begins = claims::date(claims, "nbf")?.map_or(0, |NumericDate(begins)| begins);
        claims::date(claims, "iat")?;
        let validity = Validity { from: begins.saturating_sub(self.leeway), until: ends.saturating_add(self.leeway) };
        validity.at(now)?;
        if self.longest_life.is_some_and(|longest| validity.until > now.saturating_add(longest).saturating_add(2 * self.leeway)) {
            return Err(Refused::Malformed);
        }
        // A prefix alone would be an id, and names nobody.
        let named = self.consumer.find(claims).and_then(claims::scalar).filter(|named| !named.is_empty()).ok_or(Refused::Malformed)?;
        let consumer = format!("{}{named}", self.consumer_prefix);
        if !is_id(&consumer) {
            return Err(Refused::Malformed);
        }
        let tier = match &self.known_by {
            KnownBy::Token(tier) => Some(tier.find(claims).ok_or(Refused::Malformed)?),
            KnownBy::Configuration | KnownBy::Backend | KnownBy::Credential => None,
        };
        let origin = match &self.known_by {
            KnownBy::Credential => Some(Origin::read(claims)?),
            KnownBy::Token(_) | KnownBy::Configuration | KnownBy::Backend => None,
        };
        let id = claims::text(claims, "jti")?.filter(|id| is_id(id)).map(str::to_owned);
        Ok(Grant { consumer, tier, id, origin, scopes: self.scopes.find(claims), roles: self.roles.find(claims), validity })
    }

    /// The positions of the keys of a set that a token with this header is tried with.
    #[must_use]
    pub fn candidates(&self, set: &KeySet, header: &Header) -> Vec<usize> {
        let fitting = set.keys().iter().enumerate().filter(|(_, key)| self.may_sign_with(key, header));
        fitting.map(|(position, _)| position).take(MOST_TRIES).collect()
    }

    /// Whether a token with this header may be signed by a key of the issuer's. RSA-PSS costs the module milliseconds, so that a key is for it
    /// only if it says so itself or the configuration does.
    fn may_sign_with(&self, key: &Jwk, header: &Header) -> bool {
        key.fits(header) && (!header.algorithm.is_pss() || self.algorithms_named || key.names_algorithm())
    }

    /// Whether a header's `typ` is one of those accepted (RFC 8725, section 3.11).
    fn takes_kind(&self, kind: Option<&str>) -> bool {
        match (&self.kinds, kind) {
            (None, None | Some("jwt" | "at+jwt")) => true,
            (None, Some(_)) | (Some(_), None) => false,
            (Some(kinds), Some(kind)) => kinds.iter().any(|own| own == kind),
        }
    }
}

impl Origin {
    fn read(claims: &Map<String, Value>) -> Result<Self, Refused> {
        let id = |name| claims::text(claims, name).map(|text| text.filter(|id| is_id(id)).map(str::to_owned));
        let (credential, token) = (id("client_id")?.ok_or(Refused::Malformed)?, id("jti")?.ok_or(Refused::Malformed)?);
        // One that cannot be read could not be revoked.
        let family = id("sid")?;
        if family.is_none() && claims.contains_key("sid") {
            return Err(Refused::Malformed);
        }
        Ok(Self { credential, token, family })
    }
}

impl TierClaim {
    fn find(&self, claims: &Map<String, Value>) -> Option<usize> {
        let value = self.claim.as_ref().and_then(|claim| claim.find(claims)).and_then(claims::scalar);
        let found = value.and_then(|value| self.tiers.iter().find(|(own, _)| *own == value)).map(|(_, tier)| *tier);
        found.or(self.default)
    }
}

impl NamesClaim {
    fn find(&self, claims: &Map<String, Value>) -> Vec<String> {
        let Some(value) = self.claims.iter().find_map(|claim| claim.find(claims)) else {
            return self.default.to_vec();
        };
        let own = |name: String| name.strip_prefix(&self.strip_prefix).filter(|name| !name.is_empty()).map(str::to_owned);
        claims::names(value).into_iter().filter_map(own).collect()
    }
}

/// Text as it stands in a form (`application/x-www-form-urlencoded`).
#[must_use]
pub fn form_escape(bytes: &[u8]) -> String {
    let mut escaped = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => escaped.push(char::from(*byte)),
            _ => {
                let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase();
                escaped.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
