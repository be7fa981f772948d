//! Owns the targets for what a proxy is handed to check a signature: the same numbers, in the one form DER has for them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bolero::{TypeGenerator, check};
use serde_json::{Value, json};
use tollgate_core::jwk::Jwk;
use tollgate_core::jws::{Accelerator, Compact, Digest, NoAccelerator, Signed};

use crate::BRIEFLY;
use crate::key_set::KEYS;
use crate::plain::der::{BIT_STRING, OBJECT, SEQUENCE, numbers, only, take, without_zeros};
use crate::plain::token::base64url;

/// A proxy that says what it was told to.
struct Proxy {
    says: bool,
    asked: Vec<(Digest, Vec<u8>, Vec<u8>)>,
}

impl Accelerator for Proxy {
    fn verify(&mut self, digest: Digest, key: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
        assert_eq!(text.iter().filter(|byte| **byte == b'.').count(), 1);
        self.asked.push((digest, key.to_vec(), signature.to_vec()));
        Some(self.says)
    }
}

/// A key and a signature, their numbers of any length in bits.
#[derive(Clone, Debug, TypeGenerator)]
struct Case {
    #[generator(0..6_usize)]
    kind: usize,
    /// The numbers' digits, over and over.
    digits: [[u8; 16]; 3],
    /// Zeros at their start.
    #[generator(0..70_usize)]
    zeros: usize,
    /// Bytes of a modulus.
    #[generator(254..515_usize)]
    size: usize,
    /// Bytes of the signature too many or too few, if it is not whole.
    #[generator(-2..=2_isize)]
    excess: isize,
    #[generator(0..4_u8)]
    whole: u8,
    says: bool,
}

fn number(digits: &[u8], size: usize, zeros: usize) -> Vec<u8> {
    (0..size).map(|place| if place < zeros { 0 } else { digits[place % digits.len()] }).collect()
}

/// What a SubjectPublicKeyInfo is of (RFC 5280, section 4.1), and its bits.
fn spki(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (algorithm, rest) = take(only(bytes, SEQUENCE), SEQUENCE);
    let bits = only(rest, BIT_STRING);
    assert_eq!(bits[0], 0, "no bits are unused");
    let (identifier, parameters) = take(algorithm, OBJECT);
    match parameters {
        [5, 0] => {}
        curve => drop(only(curve, OBJECT)),
    }
    ([identifier, parameters].concat(), bits[1..].to_vec())
}

#[test]
fn any_key_and_signature_are_handed_to_the_proxy_as_they_are() {
    const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    const P256: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
    const P384: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
    const P521: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23";
    check!().with_test_time(BRIEFLY).with_type::<Case>().for_each(|case| {
        let [first, second, third] = &case.digits;
        let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let n = [vec![0; case.zeros % 3], number(first, case.size, 0)].concat();
        let point = [number(first, 66, case.zeros), number(second, 66, 0)];
        let (identifier, algorithm, digest, jwk): (_, _, _, Value) = match case.kind {
            0 => (RSA, "RS256", Digest::Sha256, KEYS[0].clone()),
            1 => (RSA, "RS384", Digest::Sha384, json!({"kty": "RSA", "n": base64(&n), "e": base64(&[0, 1, 0, 1][case.zeros % 2..])})),
            2 => (P256, "ES256", Digest::Sha256, KEYS[2].clone()),
            3 => (P384, "ES384", Digest::Sha384, KEYS[3].clone()),
            4 => (P521, "ES512", Digest::Sha512, KEYS[4].clone()),
            _ => (P521, "ES512", Digest::Sha512, json!({"kty": "EC", "crv": "P-521", "x": base64(&point[0]), "y": base64(&point[1])})),
        };
        let Ok(key) = Jwk::read(jwk.as_object().unwrap()) else { return assert_eq!(case.kind, 1, "{jwk}") };
        let member = |name: &str| base64url(jwk[name].as_str().unwrap().as_bytes()).unwrap();
        let is_rsa = case.kind < 2;
        let size = if is_rsa { without_zeros(&member("n")).len() } else { member("x").len() };
        let mut signature = number(second, size, case.zeros);
        if !is_rsa {
            signature.extend(number(third, size, case.zeros / 2));
        }
        let excess = if case.whole == 0 { case.excess } else { 0 };
        let is_whole = excess == 0;
        let sent = [vec![0; excess.max(0).unsigned_abs()], signature[excess.min(0).unsigned_abs()..].to_vec()].concat();
        let header = format!("{{\"alg\":\"{algorithm}\"}}");
        let token = format!("{}.e30.{}", base64(header.as_bytes()), base64(&sent));
        let compact = Compact::parse(token.as_bytes()).unwrap();

        assert_ne!(compact.signed_by(&key, &mut NoAccelerator), Signed::Yes, "signed by chance");
        let mut proxy = Proxy { says: case.says, asked: Vec::new() };
        let verdict = compact.signed_by(&key, &mut proxy);
        assert_eq!(verdict, if case.says && is_whole { Signed::Yes } else { Signed::No }, "the proxy's word counts, if it was asked");
        let Some((own, key, handed)) = proxy.asked.pop() else { return assert!(!is_whole, "not asked") };
        assert!(is_whole && proxy.asked.is_empty() && own == digest);
        let (kind, bits) = spki(&key);
        assert_eq!(kind, identifier);
        if is_rsa {
            assert_eq!(numbers(only(&bits, SEQUENCE)), [without_zeros(&member("n")), &[1, 0, 1]]);
            assert_eq!(handed, signature);
        } else {
            assert_eq!(bits, [vec![4], member("x"), member("y")].concat());
            let halves = signature.split_at(size);
            assert_eq!(numbers(only(&handed, SEQUENCE)), [without_zeros(halves.0), without_zeros(halves.1)]);
        }
    });
}
