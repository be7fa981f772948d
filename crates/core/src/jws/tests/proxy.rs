//! A proxy that checks what it is handed: the key and the signature must be DER that others read.

use p256::ecdsa::signature::Verifier;
use p256::pkcs8::{DecodePublicKey, EncodePublicKey};
use superboring::reexports::rsa::{Pkcs1v15Sign, RsaPublicKey, sha2};

use super::*;

#[derive(Default)]
pub(super) struct Proxy {
    /// How often it was asked.
    pub(super) asked: usize,
}

impl Accelerator for Proxy {
    fn verify(&mut self, digest: Digest, key: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
        self.asked += 1;
        let verdict = match digest {
            Digest::Sha256 => rsa::<sha2::Sha256>(key, signature, text).or_else(|| p256(key, signature, text)),
            Digest::Sha384 => rsa::<sha2::Sha384>(key, signature, text).or_else(|| p384(key, signature, text)),
            Digest::Sha512 => rsa::<sha2::Sha512>(key, signature, text).or_else(|| p521(key, signature, text)),
        };
        // A key that is none verifies nothing.
        Some(verdict.unwrap_or(false))
    }
}

/// `None`: the key is of another kind.
fn rsa<D: sha2::Digest + superboring::reexports::rsa::pkcs8::AssociatedOid>(key: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
    use superboring::reexports::rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
    let read = RsaPublicKey::from_public_key_der(key).ok()?;
    assert_eq!(read.to_public_key_der().unwrap().as_bytes(), key, "as others write it");
    Some(read.verify(Pkcs1v15Sign::new::<D>(), &D::digest(text), signature).is_ok())
}

macro_rules! curve {
    ($name:ident) => {
        fn $name(key: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
            use ::$name::ecdsa::{DerSignature, VerifyingKey};
            let read = VerifyingKey::from_public_key_der(key).ok()?;
            assert_eq!(read.to_public_key_der().unwrap().as_bytes(), key, "as others write it");
            Some(DerSignature::from_bytes(signature.into()).is_ok_and(|signature| read.verify(text, &signature).is_ok()))
        }
    };
}

curve!(p256);
curve!(p384);
curve!(p521);

/// Says always the same.
struct Always(Option<bool>, usize);

impl Accelerator for Always {
    fn verify(&mut self, _: Digest, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
        self.1 += 1;
        self.0
    }
}

#[test]
fn the_proxy_is_asked_first_and_its_word_counts() {
    for vector in read(OPENSSL) {
        let own = vector.key.unwrap();
        let compact = Compact::parse(vector.token.as_bytes()).unwrap();
        let wrong = resigned(&vector.token, vec![1; signature_of(&vector.token).len()]);
        let wrong = Compact::parse(wrong.as_bytes()).unwrap();
        let asked = vector.name.starts_with("RS") || vector.name.starts_with("ES");
        for (says, of_right, of_wrong) in [
            (None, Signed::Yes, Signed::No),
            (Some(true), Signed::Yes, if asked { Signed::Yes } else { Signed::No }),
            (Some(false), if asked { Signed::No } else { Signed::Yes }, Signed::No),
        ] {
            let mut proxy = Always(says, 0);
            let verdicts = (compact.signed_by(&own, &mut proxy), wrong.signed_by(&own, &mut proxy));
            let unknown = vector.name == "ES512" && says.is_none();
            let expected = if unknown { (Signed::Unknown, Signed::Unknown) } else { (of_right, of_wrong) };
            assert_eq!(verdicts, expected, "{} {says:?}", vector.name);
            assert_eq!(proxy.1, if asked { 2 } else { 0 }, "{}", vector.name);
        }
    }
}

#[test]
fn the_proxy_is_not_asked_about_what_cannot_be_a_signature() {
    for name in ["RS256", "ES256", "ES384", "ES512"] {
        let vector = signed(name);
        let own = vector.key.unwrap();
        let signature = signature_of(&vector.token);
        let mut proxy = Always(Some(true), 0);
        for wrong in
            [&signature[1..], &signature[..signature.len() - 1], &[&signature[..], &[0]].concat(), &[&[0], &signature[..]].concat(), &[]]
        {
            let token = resigned(&vector.token, wrong);
            assert_eq!(Compact::parse(token.as_bytes()).unwrap().signed_by(&own, &mut proxy), Signed::No, "{name}");
        }
        let other = if name == "RS256" { "ES256" } else { "RS256" };
        assert_eq!(Compact::parse(signed(other).token.as_bytes()).unwrap().signed_by(&own, &mut proxy), Signed::No);
        assert_eq!(proxy.1, 0, "{name}");
    }
}
