//! Owns the check of one signature under one key. Must not choose the key.

use hmac::{Hmac, KeyInit, Mac};
use jwt_simple::algorithms::{ECDSAP256PublicKeyLike, ECDSAP384PublicKeyLike, EdDSAPublicKeyLike, RS256PublicKey, RSAPublicKeyLike};
use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use superboring::reexports::rsa::sha2::digest::{DynDigest, InvalidBufferSize};
use superboring::reexports::rsa::{Pkcs1v15Sign, Pss};
use superboring::rsa::RsaKey;

use super::{Algorithm, Signed};
use crate::der;
use crate::jwk::{Curve, Material};

// What stands before each digest in RSASSA-PKCS1-v1_5 (RFC 8017, section 9.2, note 1).
const SHA256_PREFIX: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
const SHA384_PREFIX: &[u8] = b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30";
const SHA512_PREFIX: &[u8] = b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40";

/// How an RSA signature is padded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    Pkcs1,
    Pss,
}

/// The digest a signature is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// Somebody who checks signatures faster than code in the module: the proxy.
pub trait Accelerator {
    /// Whether the key signed `text`: RSASSA-PKCS1-v1_5 or ECDSA over `digest`, by the kind of key. `None`: not done here.
    ///
    /// `key` is a DER SubjectPublicKeyInfo (RFC 5280); an ECDSA signature is DER too (RFC 3279).
    fn verify(&mut self, _digest: Digest, _key: &[u8], _signature: &[u8], _text: &[u8]) -> Option<bool> {
        None
    }
}

/// Nobody does.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAccelerator;

impl Accelerator for NoAccelerator {}

/// Checks a signature. The algorithm fits the material: [`Jwk::may_verify`](crate::jwk::Jwk::may_verify) said so.
#[expect(clippy::wildcard_enum_match_arm, reason = "an algorithm of another kind of key verifies nothing")]
pub(super) fn verify(
    algorithm: Algorithm,
    material: &Material,
    text: &[u8],
    signature: &[u8],
    accelerator: &mut impl Accelerator,
) -> Signed {
    match material {
        Material::Secret(secret) => match algorithm {
            Algorithm::Hs256 => said(authentic::<Hmac<Sha256>>(secret.expose(), text, signature)),
            Algorithm::Hs384 => said(authentic::<Hmac<Sha384>>(secret.expose(), text, signature)),
            Algorithm::Hs512 => said(authentic::<Hmac<Sha512>>(secret.expose(), text, signature)),
            _ => Signed::No,
        },
        Material::Rsa { key, spki, size } => {
            // A shorter one would be another number's encoding (RFC 8017, section 8.2.2).
            if signature.len() != *size {
                return Signed::No;
            }
            let (padding, digest) = match algorithm {
                Algorithm::Rs256 => (Padding::Pkcs1, Digest::Sha256),
                Algorithm::Rs384 => (Padding::Pkcs1, Digest::Sha384),
                Algorithm::Rs512 => (Padding::Pkcs1, Digest::Sha512),
                Algorithm::Ps256 => (Padding::Pss, Digest::Sha256),
                Algorithm::Ps384 => (Padding::Pss, Digest::Sha384),
                Algorithm::Ps512 => (Padding::Pss, Digest::Sha512),
                _ => return Signed::No,
            };
            let accelerated = if padding == Padding::Pkcs1 { accelerator.verify(digest, spki, signature, text) } else { None };
            said(accelerated.unwrap_or_else(|| rsa(key, padding, digest, text, signature)))
        }
        Material::Curve(curve) => {
            let (digest, size) = match curve {
                Curve::P256 { .. } => (Digest::Sha256, 32),
                Curve::P384 { .. } => (Digest::Sha384, 48),
                Curve::P521 { .. } => (Digest::Sha512, 66),
            };
            let Some((r, s)) = signature.split_at_checked(size).filter(|(_, s)| s.len() == size) else {
                return Signed::No;
            };
            if let Some(verdict) = accelerator.verify(digest, curve.spki(), &der_signature(r, s), text) {
                return said(verdict);
            }
            match curve {
                Curve::P256 { key, .. } => {
                    let signature = p256::ecdsa::Signature::from_slice(signature);
                    said(signature.is_ok_and(|signature| key.public_key().as_ref().verify(text, &signature).is_ok()))
                }
                Curve::P384 { key, .. } => {
                    let signature = p384::ecdsa::Signature::from_slice(signature);
                    said(signature.is_ok_and(|signature| key.public_key().as_ref().verify(text, &signature).is_ok()))
                }
                Curve::P521 { .. } => Signed::Unknown,
            }
        }
        Material::Ed25519(key) => {
            let signature = ed25519_compact::Signature::from_slice(signature);
            said(signature.is_ok_and(|signature| key.public_key().as_ref().verify(text, &signature).is_ok()))
        }
    }
}

const fn said(verdict: bool) -> Signed {
    if verdict { Signed::Yes } else { Signed::No }
}

/// Compares in constant time.
fn authentic<M: Mac + KeyInit>(secret: &[u8], text: &[u8], signature: &[u8]) -> bool {
    <M as KeyInit>::new_from_slice(secret).is_ok_and(|mac| mac.chain_update(text).verify_slice(signature).is_ok())
}

/// jwt-simple's own check through the library it is built on, without the copies for each pair of padding and digest: they would be a
/// tenth of the module.
fn rsa(key: &RS256PublicKey, padding: Padding, digest: Digest, text: &[u8], signature: &[u8]) -> bool {
    let RsaKey::Public(key) = &key.public_key().as_ref().rsa_key else {
        return false;
    };
    let (hashed, prefix, hasher): (Vec<u8>, &[u8], Box<dyn DynDigest + Send + Sync>) = match digest {
        Digest::Sha256 => (Sha256::digest(text).to_vec(), SHA256_PREFIX, Box::new(Hasher::<Sha256>::default())),
        Digest::Sha384 => (Sha384::digest(text).to_vec(), SHA384_PREFIX, Box::new(Hasher::<Sha384>::default())),
        Digest::Sha512 => (Sha512::digest(text).to_vec(), SHA512_PREFIX, Box::new(Hasher::<Sha512>::default())),
    };
    match padding {
        Padding::Pkcs1 => {
            let scheme = Pkcs1v15Sign { hash_len: Some(hashed.len()), prefix: prefix.into() };
            key.verify(scheme, &hashed, signature).is_ok()
        }
        // The salt is as long as the digest (RFC 7518, section 3.5).
        Padding::Pss => {
            let scheme = Pss { blinded: false, digest: hasher, salt_len: hashed.len() };
            key.verify(scheme, &hashed, signature).is_ok()
        }
    }
}

/// r and s as a DER sequence of two integers (RFC 3279, section 2.2.3).
fn der_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    der::sequence(&[der::integer(r), der::integer(s)].concat())
}

/// This crate's digest for the RSA library, which knows an older interface: the module then has each digest once.
#[derive(Clone, Default)]
struct Hasher<D>(D);

impl<D: sha2::Digest + Clone + Default + Send + Sync + 'static> Hasher<D> {
    fn write(digest: D, out: &mut [u8]) -> Result<(), InvalidBufferSize> {
        if out.len() != <D as sha2::Digest>::output_size() {
            return Err(InvalidBufferSize);
        }
        out.copy_from_slice(&digest.finalize());
        Ok(())
    }
}

impl<D: sha2::Digest + Clone + Default + Send + Sync + 'static> DynDigest for Hasher<D> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize_into(self, out: &mut [u8]) -> Result<(), InvalidBufferSize> {
        Self::write(self.0, out)
    }

    fn finalize_into_reset(&mut self, out: &mut [u8]) -> Result<(), InvalidBufferSize> {
        Self::write(std::mem::take(&mut self.0), out)
    }

    fn reset(&mut self) {
        self.0 = D::default();
    }

    fn output_size(&self) -> usize {
        <D as sha2::Digest>::output_size()
    }

    fn box_clone(&self) -> Box<dyn DynDigest> {
        Box::new(self.clone())
    }
}
