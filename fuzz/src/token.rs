//! Owns the targets for tokens in compact form: which bytes are one, what is read of it, and that it could be written in no other way.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bolero::{check, produce};
use tollgate_core::jws::{Compact, is_token};

use crate::input::{Splice, several};
use crate::{BRIEFLY, mint, plain};

/// Holds what is read of a token, or that it is none, to `plain`, and to itself.
fn check_token(token: &[u8]) {
    assert_eq!(is_token(token), plain::token::is_meant(token), "{}", token.escape_ascii());
    let (read, expected) = (Compact::parse(token), plain::token::read(token));
    let (compact, expected) = match (&read, &expected) {
        (Ok(compact), Some(expected)) => (compact, expected),
        (Err(_), None) => return assert_eq!(read.err(), Compact::parse(token).err()),
        (read, expected) => panic!("{:?} where {expected:?} is expected: {}", read.as_ref().err(), token.escape_ascii()),
    };
    let header = compact.header();
    let algorithm = if expected.algorithm == "Ed25519" { "EdDSA" } else { &expected.algorithm };
    assert_eq!((header.algorithm.name(), &header.key_id, &header.kind), (algorithm, &expected.key_id, &expected.kind));
    assert!(header.key_id.iter().chain(&header.kind).all(|text| text.len() <= 256));
    assert!(header.kind.iter().all(|kind| !kind.bytes().any(|byte| byte.is_ascii_uppercase())));
    assert_eq!(compact.unverified_payload(), expected.payload);
    // Nothing is left out of what is signed, and nothing of it can be written otherwise.
    let (text, signature) = token.split_at(compact.text().len());
    assert_eq!((text, signature[0]), (compact.text(), b'.'));
    let again = token.split(|byte| *byte == b'.').map(|part| URL_SAFE_NO_PAD.encode(plain::token::base64url(part).unwrap()));
    assert_eq!(again.collect::<Vec<_>>().join(".").as_bytes(), token);
    let again = Compact::parse(token).unwrap();
    assert_eq!((again.header(), again.text(), again.unverified_payload()), (header, text, compact.unverified_payload()));
}

#[test]
fn any_bytes_are_a_token_by_both_readings_or_by_none() {
    check!().with_test_time(BRIEFLY).with_max_len(256).for_each(check_token);
}

#[test]
fn any_token_is_read_by_both_readings_or_by_none() {
    check!().with_test_time(BRIEFLY).with_type::<mint::Token>().for_each(|token| check_token(&token.mint()));
}

#[test]
fn any_header_payload_and_signature_are_read_by_both_readings_or_by_none() {
    let cases = (produce::<mint::Token>(), several(produce::<Splice>(), 3), several(produce(), 8), several(produce(), 80));
    check!().with_test_time(BRIEFLY).with_generator(cases).for_each(|(token, changes, payload, signature): &(_, _, Vec<u8>, Vec<u8>)| {
        let mut header = token.header();
        changes.iter().for_each(|change| change.apply(&mut header));
        let [header, payload, signature] = [&header, payload, signature].map(|part| URL_SAFE_NO_PAD.encode(part));
        check_token(format!("{header}.{payload}.{signature}").as_bytes());
        check_token(format!("{header}.{payload}.{signature}=").as_bytes());
        check_token(format!("{header}.{payload}").as_bytes());
        check_token(format!("{header}.{payload}.{signature}.{payload}").as_bytes());
    });
}

#[test]
fn any_other_character_makes_another_token_or_none() {
    let cases = (produce::<mint::Token>(), produce::<u16>(), produce::<u8>());
    check!().with_test_time(BRIEFLY).with_generator(cases).for_each(|(token, place, other)| {
        let token = token.mint();
        let mut changed = token.clone();
        let place = usize::from(*place) % token.len();
        changed[place] = *other;
        check_token(&changed);
        let (Ok(one), Ok(two)) = (Compact::parse(&token), Compact::parse(&changed)) else { return };
        // A change to the signature shows in its check alone.
        assert!(*other == token[place] || place > one.text().len() || one.text() != two.text());
    });
}
