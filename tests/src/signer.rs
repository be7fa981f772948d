//! Owns keys that issuers sign tokens with, of every algorithm, and tokens as a case writes them, right or wrong.
//!
//! It must not know which tokens are accepted.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Signer as Signs;
use serde_json::{Value, json};
use superboring::reexports::rsa::pkcs8::EncodePublicKey;
use superboring::reexports::rsa::rand_core::OsRng;
use superboring::reexports::rsa::sha2::{Digest, Sha256, Sha384, Sha512};
use superboring::reexports::rsa::traits::PublicKeyParts;
use superboring::reexports::rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};

/// Bits of an RSA key.
const RSA_BITS: usize = 2_048;

/// Two RSA keys: making one takes a second.
static RSA: [LazyLock<RsaPrivateKey>; 2] = [LazyLock::new(rsa), LazyLock::new(rsa)];

/// A key that signs with one algorithm.
#[derive(Clone, Debug)]
pub struct Signer {
    algorithm: String,
    id: String,
    key: Key,
}

#[derive(Clone, Debug)]
enum Key {
    Rsa(&'static RsaPrivateKey),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
    Ed25519(ed25519_compact::KeyPair),
    Secret(Vec<u8>),
}

fn rsa() -> RsaPrivateKey {
    RsaPrivateKey::new(&mut OsRng, RSA_BITS).expect("an RSA key")
}

/// Base64url without padding.
#[must_use]
pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What base64url without padding stands for.
#[must_use]
pub fn unbase64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

// === impl Signer ===

impl Signer {
    /// The key of this number for an algorithm that has public keys. There are two for RSA, 0 and 1, and any number of all others.
    #[must_use]
    pub fn new(algorithm: &str, id: &str, number: u8) -> Self {
        let seed = [number + 1; 66];
        let key = match algorithm {
            "ES256" => Key::P256(p256::ecdsa::SigningKey::from_slice(&seed[..32]).expect("a key of P-256")),
            "ES384" => Key::P384(p384::ecdsa::SigningKey::from_slice(&seed[..48]).expect("a key of P-384")),
            "ES512" => {
                let scalar = [&[0][..], &seed[1..]].concat();
                Key::P521(p521::ecdsa::SigningKey::from_slice(&scalar).expect("a key of P-521"))
            }
            "EdDSA" => Key::Ed25519(ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new([number + 1; 32]))),
            _ => Key::Rsa(&RSA[usize::from(number)]),
        };
        Self { algorithm: algorithm.to_owned(), id: id.to_owned(), key }
    }

    /// A secret that is shared, for HMAC.
    #[must_use]
    pub fn secret(algorithm: &str, id: &str, secret: impl AsRef<[u8]>) -> Self {
        Self { algorithm: algorithm.to_owned(), id: id.to_owned(), key: Key::Secret(secret.as_ref().to_vec()) }
    }

    /// The same key under another id.
    #[must_use]
    pub fn named(&self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self.clone() }
    }

    /// The public key as issuers publish it; an empty id is left out.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let curve = |name: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at(point.len() / 2);
            json!({"kty": "EC", "crv": name, "x": base64(x), "y": base64(y)})
        };
        let mut jwk = match &self.key {
            Key::Rsa(key) => json!({"kty": "RSA", "n": base64(key.n().to_bytes_be()), "e": base64(key.e().to_bytes_be())}),
            Key::P256(key) => curve("P-256", key.verifying_key().to_sec1_point(false).as_bytes()),
            Key::P384(key) => curve("P-384", key.verifying_key().to_sec1_point(false).as_bytes()),
            Key::P521(key) => curve("P-521", key.verifying_key().to_sec1_point(false).as_bytes()),
            Key::Ed25519(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64(pair.pk.as_slice())}),
            Key::Secret(_) => panic!("a secret has no public key"),
        };
        jwk["use"] = json!("sig");
        if !self.id.is_empty() {
            jwk["kid"] = json!(self.id);
        }
        jwk
    }

    /// Forms of the public key that a verifier may wrongly take for a secret: PEM with and without its last line feed, DER, and the
    /// modulus.
    #[must_use]
    pub fn public_forms(&self) -> Vec<Vec<u8>> {
        let Key::Rsa(key) = &self.key else { panic!("not an RSA key") };
        let public = key.to_public_key();
        let pem = public.to_public_key_pem(Default::default()).expect("PEM");
        let der = public.to_public_key_der().expect("DER").as_bytes().to_vec();
        vec![pem.trim_end().into(), pem.into_bytes(), der, key.n().to_bytes_be(), base64(key.n().to_bytes_be()).into_bytes()]
    }

    /// The header of this key's tokens; an empty id is left out.
    #[must_use]
    pub fn header(&self) -> Value {
        let mut header = json!({"alg": self.algorithm, "typ": "JWT"});
        if !self.id.is_empty() {
            header["kid"] = json!(self.id);
        }
        header
    }

    /// A token with these claims.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        self.token_of(self.header().to_string(), claims.to_string())
    }

    /// A token whose header has these members besides or instead.
    #[must_use]
    pub fn token_with(&self, members: &Value, claims: &Value) -> String {
        let mut header = self.header();
        header.as_object_mut().expect("an object").extend(members.as_object().expect("members").clone());
        self.token_of(header.to_string(), claims.to_string())
    }

    /// A token of this header and payload, which may be anything.
    #[must_use]
    pub fn token_of(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.token_over(&format!("{}.{}", base64(header), base64(payload)))
    }

    /// A token over this text, which may be anything, with a signature that is right.
    #[must_use]
    pub fn token_over(&self, text: &str) -> String {
        format!("{text}.{}", base64(self.sign(text.as_bytes())))
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        match &self.key {
            Key::Rsa(key) => self.sign_rsa(key, text),
            Key::P256(key) => <_ as Signs<p256::ecdsa::Signature>>::sign(key, text).to_bytes().to_vec(),
            Key::P384(key) => <_ as Signs<p384::ecdsa::Signature>>::sign(key, text).to_bytes().to_vec(),
            Key::P521(key) => <_ as Signs<p521::ecdsa::Signature>>::sign(key, text).to_bytes().to_vec(),
            Key::Ed25519(pair) => pair.sk.sign(text, None).to_vec(),
            Key::Secret(secret) => match &*self.algorithm {
                "HS384" => hmac::<Hmac<sha2::Sha384>>(secret, text),
                "HS512" => hmac::<Hmac<sha2::Sha512>>(secret, text),
                _ => hmac::<Hmac<sha2::Sha256>>(secret, text),
            },
        }
    }

    fn sign_rsa(&self, key: &RsaPrivateKey, text: &[u8]) -> Vec<u8> {
        let signed = match &*self.algorithm {
            "RS384" => key.sign(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(text)),
            "RS512" => key.sign(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(text)),
            "PS256" => key.sign_with_rng(&mut OsRng, Pss::new::<Sha256>(), &Sha256::digest(text)),
            "PS384" => key.sign_with_rng(&mut OsRng, Pss::new::<Sha384>(), &Sha384::digest(text)),
            "PS512" => key.sign_with_rng(&mut OsRng, Pss::new::<Sha512>(), &Sha512::digest(text)),
            _ => key.sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text)),
        };
        signed.expect("a signature")
    }
}

fn hmac<M: Mac + KeyInit>(secret: &[u8], text: &[u8]) -> Vec<u8> {
    <M as KeyInit>::new_from_slice(secret).expect("a secret").chain_update(text).finalize().into_bytes().to_vec()
}
