//! Owns keys that tokens are verified with (RFC 7517): how they are written, and what each may verify. Must not know tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::algorithms::{ES256PublicKey, ES384PublicKey, Ed25519PublicKey, RS256PublicKey};
use serde_json::{Map, Value};

use crate::der;
use crate::json;
use crate::jws::{Algorithm, Header, LONGEST_KEY_ID};
use crate::secret::Secret;

/// The most keys of a set: every worker holds all of them. A token without a key id is tried with [`MOST_TRIES`](crate::issuer::MOST_TRIES) only.
pub const MOST_KEYS: usize = 32;
/// The largest document of a set, in bytes.
pub const LARGEST_SET: usize = 64 * 1024;

/// A key, and what it may verify.
#[derive(Clone, Debug)]
pub struct Jwk {
    id: Option<String>,
    algorithms: Box<[Algorithm]>,
    material: Material,
    /// Whether it names its algorithm itself.
    names_algorithm: bool,
}

/// What a key consists of.
#[derive(Clone, Debug)]
pub enum Material {
    /// An RSA key of 2,048 to 4,096 bits with the exponent 65,537.
    Rsa {
        /// The key, for any of the RSA algorithms.
        key: Box<RS256PublicKey>,
        /// The same as SubjectPublicKeyInfo.
        spki: Box<[u8]>,
        /// Bytes of its modulus, and so of each signature.
        size: usize,
    },
    /// A point on a NIST curve.
    Curve(Curve),
    /// An Ed25519 key.
    Ed25519(Ed25519PublicKey),
    /// A secret for HMAC.
    Secret(Secret),
}

/// A point on a NIST curve, and the same as SubjectPublicKeyInfo.
#[derive(Clone, Debug)]
pub enum Curve {
    /// P-256.
    P256 {
        /// The key.
        key: ES256PublicKey,
        /// As SubjectPublicKeyInfo.
        spki: Box<[u8]>,
    },
    /// P-384.
    P384 {
        /// The key.
        key: ES384PublicKey,
        /// As SubjectPublicKeyInfo.
        spki: Box<[u8]>,
    },
    /// P-521: whether it is on the curve, only the proxy can say.
    P521 {
        /// As SubjectPublicKeyInfo.
        spki: Box<[u8]>,
    },
}

/// Keys under which an issuer signs.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Box<[Jwk]>);

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A member is missing or of another form.
    #[error("`{0}` is missing or malformed")]
    Member(&'static str),
    /// It is of a kind that verifies nothing here.
    #[error("`{0}` names a kind that verifies no token here")]
    Kind(&'static str),
    /// It is for something else.
    #[error("it is not for verifying signatures")]
    Use,
    /// A secret among public keys: whoever sees the set could sign.
    #[error("it is a secret, and a set is public")]
    Secret,
    /// It holds a private key.
    #[error("it holds a private key (`d`)")]
    Private,
    /// It is too weak, too large, or no key at all.
    #[error("it is not a key of its kind that is strong enough (RSA: 2048 to 4096 bits, exponent 65537)")]
    Key,
}

/// Why a document is not a set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASet {
    /// It is too large.
    #[error("it has more than {LARGEST_SET} bytes")]
    TooLarge,
    /// It is not `{"keys": [{…}, …]}`.
    #[error("it is not a JSON object with a list `keys` of objects, each member once")]
    Form,
    /// It has too many keys.
    #[error("it has {0} keys, more than {MOST_KEYS}")]
    TooMany(usize),
    /// None of its keys can be used.
    #[error("it has no key that can be used")]
    Empty,
}

impl Jwk {
    /// Reads a public key.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn read(members: &Map<String, Value>) -> Result<Self, Unusable> {
        let id = match optional(members, "kid")? {
            Some(id) if id.len() > LONGEST_KEY_ID => return Err(Unusable::Member("kid")),
            id => id.map(str::to_owned),
        };
        if optional(members, "use")?.is_some_and(|purpose| purpose != "sig") {
            return Err(Unusable::Use);
        }
        match members.get("key_ops") {
            None => {}
            Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => {}
            Some(_) => return Err(Unusable::Use),
        }
        let kind = optional(members, "kty")?.ok_or(Unusable::Member("kty"))?;
        if kind == "oct" {
            return Err(Unusable::Secret);
        }
        if members.contains_key("d") {
            return Err(Unusable::Private);
        }
        let (material, fitting): (Material, &[Algorithm]) = match kind {
            "RSA" => (rsa(members)?, &RSA),
            "EC" => curve(members)?,
            "OKP" if optional(members, "crv")? == Some("Ed25519") => {
                let key = Ed25519PublicKey::from_bytes(&bytes(members, "x")?).map_err(|_| Unusable::Key)?;
                (Material::Ed25519(key), &[Algorithm::EdDsa])
            }
            "OKP" => return Err(Unusable::Kind("crv")),
            _ => return Err(Unusable::Kind("kty")),
        };
        let algorithm = optional(members, "alg")?;
        let algorithms = match algorithm {
            None => fitting.into(),
            Some(name) => match Algorithm::from_name(name).filter(|algorithm| fitting.contains(algorithm)) {
                Some(algorithm) => Box::new([algorithm]) as Box<[Algorithm]>,
                None => return Err(Unusable::Kind("alg")),
            },
        };
        Ok(Self { id, algorithms, material, names_algorithm: algorithm.is_some() })
    }

    /// A secret for HMAC: for each of the algorithms whose digest is not longer (RFC 7518, section 3.2); `None` if there is none.
    #[must_use]
    pub fn secret(id: Option<String>, secret: Secret) -> Option<Self> {
        let length = secret.expose().len();
        let sizes = [(32, Algorithm::Hs256), (48, Algorithm::Hs384), (64, Algorithm::Hs512)];
        let algorithms: Box<[Algorithm]> = sizes.into_iter().filter(|(size, _)| *size <= length).map(|(_, algorithm)| algorithm).collect();
        (!algorithms.is_empty()).then_some(Self { id, algorithms, material: Material::Secret(secret), names_algorithm: false })
    }

    /// The key's id, `kid`.
    #[must_use]
    pub const fn id(&self) -> Option<&String> {
        self.id.as_ref()
    }

    /// Whether it may verify what is signed with this algorithm: never another than its kind's and its own `alg`.
    #[must_use]
    pub fn may_verify(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether a token with this header may be its: one that names no key may be any key's.
    #[must_use]
    pub fn fits(&self, header: &Header) -> bool {
        self.may_verify(header.algorithm) && header.key_id.as_ref().is_none_or(|id| self.id.as_ref() == Some(id))
    }

    /// Whether it names its algorithm itself, by `alg`.
    #[must_use]
    pub const fn names_algorithm(&self) -> bool {
        self.names_algorithm
    }

    pub(crate) const fn material(&self) -> &Material {
        &self.material
    }
}

impl Curve {
    pub(crate) const fn spki(&self) -> &[u8] {
        match self {
            Self::P256 { spki, .. } | Self::P384 { spki, .. } | Self::P521 { spki } => spki,
        }
    }
}

impl KeySet {
    /// These keys.
    #[must_use]
    pub fn new(keys: Vec<Jwk>) -> Self {
        Self(keys.into())
    }

    /// Reads a set as somebody else publishes it: keys that cannot be used are passed over (RFC 7517, section 5).
    ///
    /// # Errors
    /// [`NotASet`].
    pub fn read(json: &[u8]) -> Result<Self, NotASet> {
        let entries = entries(json)?;
        let keys: Vec<Jwk> = entries.iter().filter_map(|entry| Jwk::read(entry).ok()).collect();
        if keys.is_empty() { Err(NotASet::Empty) } else { Ok(Self::new(keys)) }
    }

    /// The keys.
    #[must_use]
    pub const fn keys(&self) -> &[Jwk] {
        &self.0
    }

    /// Whether a key has this id.
    #[must_use]
    pub fn names(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }
}

/// The members of each key in a document.
///
/// # Errors
/// [`NotASet`], if the document is none; keys are not judged.
pub fn entries(json: &[u8]) -> Result<Vec<Map<String, Value>>, NotASet> {
    if json.len() > LARGEST_SET {
        return Err(NotASet::TooLarge);
    }
    let Some(Value::Array(keys)) = json::object(json).and_then(|mut document| document.remove("keys")) else {
        return Err(NotASet::Form);
    };
    if keys.len() > MOST_KEYS {
        return Err(NotASet::TooMany(keys.len()));
    }
    let members = |key| if let Value::Object(members) = key { Ok(members) } else { Err(NotASet::Form) };
    keys.into_iter().map(members).collect()
}

/// Whether two documents have the same keys, in whatever order and among whatever else.
#[must_use]
pub fn are_same(one: &[u8], other: &[u8]) -> bool {
    let keys = |json| {
        let mut keys: Vec<String> = entries(json).ok()?.into_iter().map(|members| Value::Object(members).to_string()).collect();
        keys.sort_unstable();
        Some(keys)
    };
    keys(one).is_some_and(|one| keys(other) == Some(one))
}

const RSA: [Algorithm; 6] = [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512];

fn rsa(members: &Map<String, Value>) -> Result<Material, Unusable> {
    let (n, e) = (bytes(members, "n")?, bytes(members, "e")?);
    // Longer than any that is allowed: not worth computing with.
    if n.len() > 1_024 || e.len() > 8 || n.is_empty() || e.is_empty() {
        return Err(Unusable::Key);
    }
    let key = RS256PublicKey::from_components(&n, &e).map_err(|_| Unusable::Key)?;
    let size = n.iter().skip_while(|byte| **byte == 0).count();
    Ok(Material::Rsa { key: Box::new(key), spki: rsa_spki(&n, &e).into(), size })
}

/// An RSA key as SubjectPublicKeyInfo (RFC 8017, appendix A.1.1; RFC 3279, section 2.3.1).
fn rsa_spki(n: &[u8], e: &[u8]) -> Vec<u8> {
    const RSA_ENCRYPTION: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let numbers = der::sequence(&[der::integer(n), der::integer(e)].concat());
    let bits = der::bit_string(&numbers);
    der::sequence(&[RSA_ENCRYPTION, &bits].concat())
}

fn curve(members: &Map<String, Value>) -> Result<(Material, &'static [Algorithm]), Unusable> {
    // SubjectPublicKeyInfo of an uncompressed point, up to the point's coordinates (RFC 5480).
    const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04";
    const P384: &[u8] = b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04";
    const P521: &[u8] = b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00\x04";
    let (prefix, size) = match optional(members, "crv")? {
        Some("P-256") => (P256, 32),
        Some("P-384") => (P384, 48),
        Some("P-521") => (P521, 66),
        Some(_) => return Err(Unusable::Kind("crv")),
        None => return Err(Unusable::Member("crv")),
    };
    let coordinate =
        |name: &'static str| bytes(members, name).and_then(|own| if own.len() == size { Ok(own) } else { Err(Unusable::Member(name)) });
    let point = [coordinate("x")?, coordinate("y")?].concat();
    let spki: Box<[u8]> = [prefix, &point].concat().into();
    let point = [&[4], point.as_slice()].concat();
    Ok(match size {
        32 => {
            let key = ES256PublicKey::from_bytes(&point).map_err(|_| Unusable::Key)?;
            (Material::Curve(Curve::P256 { key, spki }), &[Algorithm::Es256])
        }
        48 => {
            let key = ES384PublicKey::from_bytes(&point).map_err(|_| Unusable::Key)?;
            (Material::Curve(Curve::P384 { key, spki }), &[Algorithm::Es384])
        }
        _ => (Material::Curve(Curve::P521 { spki }), &[Algorithm::Es512]),
    })
}

/// A member that is text if it is there.
fn optional<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, Unusable> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Unusable::Member(name)),
    }
}

/// A member that is bytes in base64url.
fn bytes(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, Unusable> {
    let text = optional(members, name)?.ok_or(Unusable::Member(name))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Unusable::Member(name))
}

#[cfg(test)]
mod tests;
