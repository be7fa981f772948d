//! Tokens, keys and checks that the tests of this module share, and what `Compact::parse` makes of a token's form.
#![cfg(not(target_arch = "wasm32"))] // Where the vectors' crates are.

mod any;
mod header;
mod keys;
mod proxy;
mod vectors;
mod wycheproof;

use serde_json::{Value, json};

use super::*;
use crate::secret::Secret;

/// A token of each algorithm, by an implementation of others.
const OPENSSL: &str = include_str!("../../tests/tokens/openssl.json");

/// A token with a verdict, and the key it is to be checked with.
struct Vector {
    name: String,
    algorithm: Option<Algorithm>,
    verdict: String,
    key: Option<Jwk>,
    /// The key as it is written.
    jwk: Value,
    payload: Option<String>,
    token: String,
}

fn read(file: &str) -> Vec<Vector> {
    let file: Value = serde_json::from_str(file).unwrap();
    let text = |vector: &Value, name: &str| vector[name].as_str().map(str::to_owned);
    let vector = |vector: &Value| Vector {
        name: text(vector, "name").unwrap(),
        algorithm: vector["algorithm"].as_str().map(|name| Algorithm::from_name(name).unwrap()),
        verdict: text(vector, "verdict").unwrap(),
        key: vector["key"].is_object().then(|| key(&vector["key"])),
        jwk: vector["key"].clone(),
        payload: text(vector, "payload"),
        token: text(vector, "token").unwrap(),
    };
    file["vectors"].as_array().unwrap().iter().map(vector).collect()
}

/// A key of any kind, also a secret, as the configuration would make it of its bytes.
fn key(jwk: &Value) -> Jwk {
    if jwk["kty"] != "oct" {
        return Jwk::read(jwk.as_object().unwrap()).unwrap_or_else(|wrong| panic!("{wrong}: {jwk}"));
    }
    let secret = URL_SAFE_NO_PAD.decode(jwk["k"].as_str().unwrap()).unwrap();
    Jwk::secret(jwk["kid"].as_str().map(str::to_owned), Secret::new(secret)).unwrap()
}

/// The vector of an algorithm, which is signed.
fn signed(name: &str) -> Vector {
    read(OPENSSL).into_iter().find(|vector| vector.name == name).unwrap()
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of this header and payload.
fn token(header: &str, payload: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let text = format!("{}.{}", base64(header), base64(payload));
    let signature = sign(text.as_bytes());
    format!("{text}.{}", base64(signature))
}

/// Signs with Ed25519, with a key of this seed.
fn by_ed25519(seed: u8) -> impl Fn(&[u8]) -> Vec<u8> {
    move |text| ed25519(seed).sk.sign(text, None).to_vec()
}

fn ed25519(seed: u8) -> ed25519_compact::KeyPair {
    ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new([seed; 32]))
}

fn ed25519_jwk(seed: u8) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": base64(ed25519(seed).pk.as_slice())})
}

/// Signs with HMAC and SHA-256.
fn by_hs256(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    use hmac::{KeyInit, Mac};
    move |text| hmac::Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

fn malformed(token: impl AsRef<[u8]>) -> Option<Malformed> {
    Compact::parse(token.as_ref()).err()
}

/// What is said of a token without a proxy.
fn check(token: &str, key: &Jwk) -> Signed {
    Compact::parse(token.as_bytes()).unwrap().signed_by(key, &mut NoAccelerator)
}

/// A token's parts.
fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// The token with another signature.
fn resigned(token: &str, signature: impl AsRef<[u8]>) -> String {
    let [header, payload, _] = parts(token);
    format!("{header}.{payload}.{}", base64(signature))
}

fn signature_of(token: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(parts(token)[2]).unwrap()
}

#[test]
fn a_token_is_three_parts_and_its_text_is_as_sent() {
    let own = token(r#"{ "alg" : "EdDSA" }"#, "{}", by_ed25519(1));
    let compact = Compact::parse(own.as_bytes()).unwrap();
    let [header, payload, _] = parts(&own);
    assert_eq!(compact.text(), format!("{header}.{payload}").as_bytes());
    assert_eq!(compact.unverified_payload(), b"{}");
    assert_eq!(compact.header(), &Header { algorithm: Algorithm::EdDsa, key_id: None, kind: None });
    assert_eq!(check(&own, &key(&ed25519_jwk(1))), Signed::Yes);
}

#[test]
fn anything_but_three_parts_is_no_token() {
    let own = token(r#"{"alg":"EdDSA"}"#, "{}", by_ed25519(1));
    let [header, payload, signature] = parts(&own);
    for wrong in [
        String::new(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{own}."),
        format!(".{own}"),
        format!("{own}.{signature}"),
        format!("{own}.{signature}.{signature}"),
        format!("{own},{own}"),
        format!("{header}..{payload}.{signature}"),
    ] {
        assert_eq!(malformed(&wrong), Some(Malformed::Form), "{wrong}");
    }
    for wrong in ["..", &format!(".{payload}.{signature}")] {
        assert_eq!(malformed(wrong), Some(Malformed::Header), "no header: {wrong}");
    }
}

#[test]
fn a_part_that_is_empty_is_not_signed() {
    let own = token(r#"{"alg":"EdDSA"}"#, "{}", by_ed25519(1));
    let [header, payload, signature] = parts(&own);
    for wrong in [format!("{header}..{signature}"), format!("{header}.{payload}."), format!("{header}..")] {
        assert_eq!(check(&wrong, &key(&ed25519_jwk(1))), Signed::No, "{wrong}");
    }
    for vector in read(OPENSSL) {
        assert_eq!(check(&resigned(&vector.token, b""), vector.key.as_ref().unwrap()), Signed::No, "{}", vector.name);
    }
}

#[test]
fn only_base64url_without_padding_is_read_and_only_in_one_way() {
    // Two bytes, so that a part ends with bits that mean nothing.
    let own = token(r#"{"alg":"EdDSA" }"#, "{ }", |_| b"ab".to_vec());
    let parts = parts(&own);
    assert_eq!(parts[2], "YWI");
    assert_eq!(malformed(&own), None);
    let mut wrong: Vec<Vec<u8>> = Vec::new();
    for changed in ["YWI=", "YWI==", "YWI\n", " YWI", "YW I", "YWI\t", "YWJ", "YWL", "YWI0Y", "Y", "YW+-", "YW/_", "YW%2B", "Y\0I", "ÿWI"]
    {
        for place in 0..3 {
            let part = if place == 2 { changed.to_owned() } else { format!("{}{changed}", parts[place]) };
            let mut own = parts.map(str::to_owned);
            own[place] = part;
            wrong.push(own.join(".").into_bytes());
        }
    }
    for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_alphanumeric() && !b"-_".contains(byte)) {
        for place in [0, own.len() / 2, own.len() - 1] {
            let mut own = own.clone().into_bytes();
            own[place] = byte;
            wrong.push(own);
        }
    }
    for wrong in wrong {
        // What is left of a header may be none: it is refused either way.
        assert!(malformed(&wrong).is_some(), "{}", wrong.escape_ascii());
    }
    for signature in ["YWI=", "YWJ", "YW+-", "YWI\n"] {
        assert_eq!(malformed(format!("{}.{}.{signature}", parts[0], parts[1])), Some(Malformed::Form), "{signature}");
        assert_eq!(malformed(format!("{}.{signature}.YWI", parts[0])), Some(Malformed::Form), "{signature}");
        assert_eq!(malformed(format!("{}{signature}.YWI.YWI", parts[0])), Some(Malformed::Form), "{signature}");
    }
}

#[test]
fn what_starts_as_an_object_and_has_dots_is_meant_to_be_a_token() {
    for vector in read(OPENSSL) {
        assert!(is_token(vector.token.as_bytes()));
    }
    for credential in ["", "e", "eyJ.a", "foil_1.2.3", "a.b.c", "..", "Eyj.a.b"] {
        assert!(!is_token(credential.as_bytes()), "{credential}");
    }
    assert!(is_token(b"e..") && is_token(b"eyJ.a.b.c.d"), "whether it is one, its form says");
}
