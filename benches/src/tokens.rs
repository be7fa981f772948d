//! Owns the issuers of the token rows: their keys, and the access tokens they sign. Must not know who verifies these.

use anyhow::{Context, Result};
use jwt_simple::prelude::*;
use serde_json::{Value, json};

/// `iss` of every token.
pub(crate) const ISSUER: &str = "https://issuer.example.com";
/// `aud` of every token.
pub(crate) const AUDIENCE: &str = "https://api.example.com";
/// Tokens of an issuer that are sent in turn: a cache of a few is pushed over long before the first comes again.
pub(crate) const IN_TURN: usize = 512;

/// The id of an issuer's only key.
const KEY_ID: &str = "bench-1";
/// What is shared with the issuer of `HS256` tokens.
const SECRET: &str = "a secret of the benchmark's alone, longer than 32 bytes";
/// As most issuers have it.
const RSA_BITS: usize = 2_048;
/// Longer than any run.
const DAYS: u64 = 2;

/// What an issuer signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// RSASSA-PKCS1-v1_5, 2,048 bits.
    Rs256,
    /// ECDSA on P-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PSS, 2,048 bits.
    Ps256,
    /// HMAC.
    Hs256,
}

/// An issuer and the tokens it has signed.
pub(crate) struct Issued {
    keys: Keys,
    /// [`IN_TURN`] of them, alike but for `jti` and signature; all of one length.
    pub(crate) tokens: Vec<String>,
}

/// How the issuer's signatures are verified.
enum Keys {
    Public(Value),
    Secret,
}

// === impl Issued ===

impl Issued {
    /// An issuer with a new key, and its tokens.
    ///
    /// # Errors
    /// When a key cannot be made or used.
    pub(crate) fn by(algorithm: Algorithm) -> Result<Self> {
        match algorithm {
            Algorithm::Rs256 => {
                let pair = RS256KeyPair::generate(RSA_BITS)?.with_key_id(KEY_ID);
                Self::public(&pair.public_key().to_jwk(), |claims| pair.sign(claims))
            }
            Algorithm::Ps256 => {
                let pair = PS256KeyPair::generate(RSA_BITS)?.with_key_id(KEY_ID);
                Self::public(&pair.public_key().to_jwk(), |claims| pair.sign(claims))
            }
            Algorithm::Es256 => {
                let pair = ES256KeyPair::generate().with_key_id(KEY_ID);
                Self::public(&pair.public_key().to_jwk(), |claims| pair.sign(claims))
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().with_key_id(KEY_ID);
                Self::public(&pair.public_key().to_jwk(), |claims| pair.sign(claims))
            }
            Algorithm::Hs256 => {
                let key = HS256Key::from_bytes(SECRET.as_bytes()).with_key_id(KEY_ID);
                Ok(Self { keys: Keys::Secret, tokens: tokens(|claims| key.authenticate(claims))? })
            }
        }
    }

    fn public(jwk: &str, sign: impl Fn(JWTClaims<NoCustomClaims>) -> Result<String>) -> Result<Self> {
        let jwk: Value = serde_json::from_str(jwk)?;
        Ok(Self { keys: Keys::Public(json!({"keys": [jwk]})), tokens: tokens(sign)? })
    }

    /// Its public keys, as it would publish them; `null` where it has a secret.
    pub(crate) fn jwks(&self) -> &Value {
        match &self.keys {
            Keys::Public(jwks) => jwks,
            Keys::Secret => &Value::Null,
        }
    }

    /// Its keys as the plugin's configuration has them.
    pub(crate) fn plugin_keys(&self) -> Value {
        match &self.keys {
            Keys::Public(jwks) => json!({"jwks": jwks}),
            Keys::Secret => json!({"secrets": [{"kid": KEY_ID, "secret": {"inline": SECRET}}]}),
        }
    }

    /// The first token's claims under the second one's signature: all of it is right but that.
    ///
    /// # Errors
    /// Never, as long as tokens have signatures.
    pub(crate) fn tampered(&self) -> Result<String> {
        let [first, second, ..] = self.tokens.as_slice() else { anyhow::bail!("an issuer without tokens") };
        let (signed, _) = first.rsplit_once('.').context("a token without a signature")?;
        let (_, signature) = second.rsplit_once('.').context("a token without a signature")?;
        Ok(format!("{signed}.{signature}"))
    }
}

fn tokens(sign: impl Fn(JWTClaims<NoCustomClaims>) -> Result<String>) -> Result<Vec<String>> {
    // Made once: all are signed as of one second, and so of one length.
    let claims = Claims::create(Duration::from_days(DAYS)).with_issuer(ISSUER).with_audience(AUDIENCE).with_subject("bench-0");
    (0..IN_TURN).map(|number| sign(claims.clone().with_jwt_id(format!("token-{number:08}")))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_have_one_length() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256] {
            let mut issued = Issued::by(algorithm).unwrap();
            let length = issued.tokens[0].len();
            assert!(issued.tokens.iter().all(|token| token.len() == length), "{algorithm:?}");
            assert_eq!(issued.tampered().unwrap().len(), length);
            issued.tokens.sort();
            issued.tokens.dedup();
            assert_eq!(issued.tokens.len(), IN_TURN);
        }
    }

    #[test]
    fn publishes_the_public_key_alone() {
        let jwks = Issued::by(Algorithm::Es256).unwrap().jwks().clone();
        let key = &jwks["keys"][0];
        assert_eq!(key["kid"], KEY_ID);
        assert!(key.get("d").is_none());
    }
}
