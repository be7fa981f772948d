//! Owns what an API key looks like and how it is hashed. Must not know who a key belongs to.
//!
//! An issued key is `<prefix>_<id><secret><tag>`: prefix `[a-z][a-z0-9]{1,15}`, then base62: id 16, secret 33 (196 bits) and
//! tag 8 characters. The tag is a truncated HMAC-SHA-256 over issuer-key version, prefix, id and secret, so whoever holds
//! the issuer key refuses a forged key without asking anybody. Keys from elsewhere may look as they like, but not like that.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// The longest credential anybody may send, in bytes; longer ones are refused unread.
pub const LONGEST_CREDENTIAL: usize = 512;

/// Characters of an issued key's id, secret and tag.
const ID_LEN: usize = 16;
const SECRET_LEN: usize = 33;
const TAG_LEN: usize = 8;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

type HmacSha256 = Hmac<Sha256>;

/// A hash of an API key, as configurations and stores keep it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyHash {
    /// SHA-256 of the key: right for keys of 128 random bits and more.
    Sha256([u8; 32]),
    /// HMAC-SHA-256 under a pepper over the key's SHA-256: useless to whoever has the hashes alone.
    HmacSha256([u8; 32]),
}

/// An error in the text of a [`KeyHash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key hash is `sha256:` or `hmac-sha256:` and 64 lower-case hexadecimal digits")]
pub struct KeyHashError;

/// SHA-256 of a presented key: computed once, compared with every stored form.
#[must_use]
pub fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

impl KeyHash {
    /// The hash stored for a key with this [`digest`], under `pepper` if there is one.
    #[must_use]
    pub fn of(digest: &[u8; 32], pepper: Option<&Secret>) -> Self {
        match pepper {
            Some(pepper) => Self::HmacSha256(mac(pepper, &[digest])),
            None => Self::Sha256(*digest),
        }
    }

    /// The hash itself.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        match self {
            Self::Sha256(bytes) | Self::HmacSha256(bytes) => bytes,
        }
    }

    /// Whether two hashes are the same, in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Sha256(_), Self::Sha256(_)) | (Self::HmacSha256(_), Self::HmacSha256(_)))
            && bool::from(self.bytes().ct_eq(other.bytes()))
    }
}

impl std::str::FromStr for KeyHash {
    type Err = KeyHashError;

    fn from_str(text: &str) -> Result<Self, KeyHashError> {
        let (kind, digits) = text.split_once(':').ok_or(KeyHashError)?;
        let bytes = unhex(digits).ok_or(KeyHashError)?;
        match kind {
            "sha256" => Ok(Self::Sha256(bytes)),
            "hmac-sha256" => Ok(Self::HmacSha256(bytes)),
            _ => Err(KeyHashError),
        }
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sha256(_) => "sha256:",
            Self::HmacSha256(_) => "hmac-sha256:",
        })?;
        self.bytes().iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// A key with which API keys are issued and recognised.
#[derive(Clone, Debug)]
pub struct IssuerKey {
    version: u32,
    prefix: String,
    secret: Secret,
}

/// What an issuer key says of a presented credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// It does not have the form of this issuer's keys: another prefix, or another length, or characters beside base62.
    Foreign,
    /// It has the form and the right tag.
    Issued,
    /// It has the form, but this issuer never made it.
    Forged,
}

impl Provenance {
    /// What several issuer keys say of a presented credential: issued if one of them made it, forged if it has the form of one's keys.
    #[must_use]
    pub fn of<'a>(issuer_keys: impl IntoIterator<Item = &'a IssuerKey>, presented: &[u8]) -> Self {
        let mut provenance = Self::Foreign;
        for issuer_key in issuer_keys {
            match issuer_key.judge(presented) {
                Self::Issued => return Self::Issued,
                Self::Forged => provenance = Self::Forged,
                Self::Foreign => {}
            }
        }
        provenance
    }
}

impl IssuerKey {
    /// An issuer key; `None` unless the prefix is `[a-z][a-z0-9]{1,15}`.
    #[must_use]
    pub fn new(version: u32, prefix: &str, secret: Secret) -> Option<Self> {
        is_prefix(prefix).then(|| Self { version, prefix: prefix.to_owned(), secret })
    }

    /// Judges a presented credential, in time that does not depend on the tag's bytes.
    #[must_use]
    pub fn judge(&self, presented: &[u8]) -> Provenance {
        let body = presented.strip_prefix(self.prefix.as_bytes()).and_then(|rest| rest.strip_prefix(b"_"));
        let Some((signed, tag)) = body.filter(|body| is_body(body)).and_then(|body| body.split_last_chunk::<TAG_LEN>()) else {
            return Provenance::Foreign;
        };
        if bool::from(self.tag(signed).ct_eq(tag)) { Provenance::Issued } else { Provenance::Forged }
    }

    /// Makes a new key; `random` fills its argument with unpredictable bytes.
    pub fn issue(&self, random: &mut impl FnMut(&mut [u8])) -> String {
        let body = random_base62(ID_LEN + SECRET_LEN, random);
        let tag = self.tag(body.as_bytes());
        let tag: String = tag.iter().map(|byte| char::from(*byte)).collect();
        format!("{}_{body}{tag}", self.prefix)
    }

    fn tag(&self, signed: &[u8]) -> [u8; TAG_LEN] {
        let mac = mac(&self.secret, &[&self.version.to_be_bytes(), self.prefix.as_bytes(), b"_", signed]);
        let mut number = mac.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        std::array::from_fn(|_| {
            let digit = base62(number % 62);
            number /= 62;
            digit
        })
    }
}

/// The id inside a key, where it has the form of an issued one: `<prefix>_<id><secret><tag>`. It is no secret.
#[must_use]
pub fn issued_id(presented: &[u8]) -> Option<&str> {
    let (prefix, body) = std::str::from_utf8(presented).ok()?.split_once('_')?;
    if is_prefix(prefix) && is_body(body.as_bytes()) { body.get(..ID_LEN) } else { None }
}

/// Whether this may follow an issued key's prefix: `<id><secret><tag>`.
fn is_body(text: &[u8]) -> bool {
    text.len() == ID_LEN + SECRET_LEN + TAG_LEN && text.iter().all(u8::is_ascii_alphanumeric)
}

/// Whether `text` may be the prefix of issued keys.
#[must_use]
pub fn is_prefix(text: &str) -> bool {
    (2..=16).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// `length` characters of base62, each from unbiased random bytes.
fn random_base62(length: usize, random: &mut impl FnMut(&mut [u8])) -> String {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = [0; 64];
        random(&mut bytes);
        // 248 is the largest multiple of 62 in a byte: larger values would favour the first digits.
        let digits = bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(base62(u64::from(*byte) % 62)));
        text.extend(digits.take(length - text.len()));
    }
    text
}

fn base62(digit: u64) -> u8 {
    usize::try_from(digit).ok().and_then(|digit| ALPHABET.get(digit).copied()).unwrap_or(b'0')
}

pub(crate) fn mac(secret: &Secret, parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length; the empty one stands in for an error that cannot happen.
    let mut mac = HmacSha256::new_from_slice(secret.expose()).unwrap_or_else(|_| HmacSha256::new(&Default::default()));
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn unhex(digits: &str) -> Option<[u8; 32]> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let bytes = pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect::<Option<Vec<u8>>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests;
