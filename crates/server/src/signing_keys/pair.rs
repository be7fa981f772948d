//! Owns one key that signs access tokens: how it is made, kept, published, and how it signs. Must not know when it does.

use jwt_simple::common::HeaderOptions;
use jwt_simple::prelude::{
    ECDSAP256KeyPairLike, ES256KeyPair, Ed25519KeyPair, EdDSAKeyPairLike, HS256Key, JWTClaims, MACLike, RS256KeyPair, RSAKeyPairLike,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Bits of an RSA key: 2,048 is what RFC 7518 asks for at least, and twice as many take five times as long to sign.
const RSA_BITS: usize = 2_048;
/// `typ` of an access token (RFC 9068).
const KIND: &str = "at+jwt";

/// How access tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum SigningAlgorithm {
    /// Ed25519 (RFC 8037).
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA over P-256 with SHA-256 (RFC 7518).
    #[serde(rename = "ES256")]
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518).
    #[serde(rename = "RS256")]
    Rs256,
    /// HMAC with SHA-256 (RFC 7518), under a secret that the nodes have too.
    #[serde(rename = "HS256")]
    Hs256,
}

/// A key that signs. Its `Debug` form hides it.
pub(crate) enum Pair {
    EdDsa(Box<Ed25519KeyPair>),
    Es256(Box<ES256KeyPair>),
    Rs256(Box<RS256KeyPair>),
    Hs256(HS256Key),
}

impl SigningAlgorithm {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::EdDsa, Self::Es256, Self::Rs256, Self::Hs256];

    /// Its name (RFC 7518).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }

    /// The algorithm of a name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.name() == name)
    }
}

impl Pair {
    /// A new key. An RSA key takes up to seconds.
    pub(super) async fn generate(algorithm: SigningAlgorithm) -> Result<Self, Failure> {
        match algorithm {
            SigningAlgorithm::EdDsa => Ok(Self::EdDsa(Box::new(Ed25519KeyPair::generate()))),
            SigningAlgorithm::Es256 => Ok(Self::Es256(Box::new(ES256KeyPair::generate()))),
            SigningAlgorithm::Rs256 => {
                let made = tokio::task::spawn_blocking(|| RS256KeyPair::generate(RSA_BITS)).await;
                made.map_err(|error| Failure::internal(&error))?.map(|pair| Self::Rs256(Box::new(pair))).map_err(|_| broken())
            }
            SigningAlgorithm::Hs256 => Ok(Self::Hs256(HS256Key::generate())),
        }
    }

    /// A key as it was kept, which signs under an id.
    pub(super) fn read(algorithm: SigningAlgorithm, bytes: &[u8], id: &str) -> Result<Self, Failure> {
        let read = match algorithm {
            SigningAlgorithm::EdDsa => Ed25519KeyPair::from_bytes(bytes).map(|pair| Self::EdDsa(Box::new(pair.with_key_id(id)))),
            SigningAlgorithm::Es256 => ES256KeyPair::from_bytes(bytes).map(|pair| Self::Es256(Box::new(pair.with_key_id(id)))),
            SigningAlgorithm::Rs256 => RS256KeyPair::from_der(bytes).map(|pair| Self::Rs256(Box::new(pair.with_key_id(id)))),
            SigningAlgorithm::Hs256 => Ok(Self::Hs256(HS256Key::from_bytes(bytes).with_key_id(id))),
        };
        read.map_err(|_| broken())
    }

    /// The private key, to be kept.
    pub(super) fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let bytes = match self {
            Self::EdDsa(pair) => pair.to_bytes(),
            Self::Es256(pair) => pair.to_bytes(),
            Self::Rs256(pair) => pair.to_der().map_err(|_| broken())?,
            Self::Hs256(key) => key.to_bytes(),
        };
        Ok(Zeroizing::new(bytes))
    }

    /// The public key as a JSON Web Key (RFC 7517) of this id; a secret has none.
    pub(super) fn public(&self, id: &str) -> Result<Option<Value>, Failure> {
        let (written, algorithm) = match self {
            Self::EdDsa(pair) => (pair.public_key().to_jwk(), SigningAlgorithm::EdDsa),
            Self::Es256(pair) => (pair.public_key().to_jwk(), SigningAlgorithm::Es256),
            Self::Rs256(pair) => (pair.public_key().to_jwk(), SigningAlgorithm::Rs256),
            Self::Hs256(_) => return Ok(None),
        };
        let mut key: Map<String, Value> = serde_json::from_str(&written).map_err(|error| Failure::internal(&error))?;
        // Nothing private is published, whatever the library writes.
        key.retain(|name, _| ["kty", "crv", "x", "y", "n", "e"].contains(&name.as_str()));
        key.extend([("kid", id), ("alg", algorithm.name()), ("use", "sig")].map(|(name, value)| (name.to_owned(), value.into())));
        Ok(Some(Value::Object(key)))
    }

    /// A token with these claims.
    pub(crate) fn sign<C: Serialize>(&self, claims: JWTClaims<C>) -> Result<Zeroizing<String>, Failure> {
        let options = HeaderOptions { content_type: None, signature_type: Some(KIND.to_owned()) };
        let signed = match self {
            Self::EdDsa(pair) => pair.sign_with_options(claims, &options),
            Self::Es256(pair) => pair.sign_with_options(claims, &options),
            Self::Rs256(pair) => pair.sign_with_options(claims, &options),
            Self::Hs256(key) => key.authenticate_with_options(claims, &options),
        };
        signed.map(Zeroizing::new).map_err(|_| Failure::Internal { private: "a token could not be signed".to_owned() })
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Pair(…)")
    }
}

#[cold]
fn broken() -> Failure {
    Failure::Internal { private: "a key that signs tokens cannot be made or read".to_owned() }
}
