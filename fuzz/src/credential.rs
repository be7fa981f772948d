//! Owns the targets for keys: their stored hashes and the tags of issued ones.

use bolero::{check, produce};
use tollgate_core::credential::{KeyHash, Provenance, digest};

use crate::BRIEFLY;
use crate::fixture::{KEYS, issuer_key};
use crate::input::{Splice, numbers, several, text, words};

fn check_hash(text: &str) {
    if let Ok(hash) = text.parse::<KeyHash>() {
        assert_eq!(hash.to_string(), text, "one way to write a hash");
    }
}

#[test]
fn any_text_is_a_hash_in_one_way_or_none() {
    let digits = "00112233445566778899aabbccddeeff".repeat(2);
    let parts = words(&format!("sha256:|hmac-sha256:|{digits}|{}|0|g|:|\u{e9}", digits.to_uppercase()));
    check!().with_test_time(BRIEFLY).with_generator((numbers(6), several(produce::<Splice>(), 2))).for_each(|(numbers, changes)| {
        let mut bytes = text(numbers, &parts);
        changes.iter().for_each(|change| change.apply(&mut bytes));
        check_hash(&String::from_utf8_lossy(&bytes));
    });
}

#[test]
fn any_hash_is_read_back_and_matches_itself_alone() {
    check!().with_test_time(BRIEFLY).with_type::<([u8; 32], bool, u8)>().for_each(|(bytes, peppered, place)| {
        let make = |bytes| if *peppered { KeyHash::HmacSha256(bytes) } else { KeyHash::Sha256(bytes) };
        let hash = make(*bytes);
        let read: KeyHash = hash.to_string().parse().unwrap();
        assert!(read == hash && read.matches(&hash));
        let mut other = *bytes;
        other[usize::from(*place) % 32] ^= 1 << (place / 32);
        assert!(!make(other).matches(&hash), "one bit less");
        assert!(!KeyHash::of(&digest(bytes), None).matches(&hash));
    });
}

#[test]
fn any_bytes_that_were_not_issued_are_foreign_or_forged() {
    let issuer = issuer_key();
    check!().with_test_time(BRIEFLY).with_max_len(128).for_each(|bytes: &[u8]| {
        let expected = |bytes: &[u8]| match bytes.strip_prefix(b"foil_") {
            Some(_) if bytes == KEYS[2].as_bytes() => Provenance::Issued,
            Some(body) if body.len() == 57 && body.iter().all(u8::is_ascii_alphanumeric) => Provenance::Forged,
            Some(_) | None => Provenance::Foreign,
        };
        // As they are, behind the prefix, and in the form of issued ones.
        let body = bytes.iter().cycle().map(|byte| b"0123456789abcdefXYZ"[usize::from(byte % 19)]).take(57);
        for bytes in [bytes.to_vec(), [b"foil_", bytes].concat(), b"foil_".iter().copied().chain(body).collect()] {
            assert_eq!(issuer.judge(&bytes), expected(&bytes), "{}", bytes.escape_ascii());
        }
    });
}

#[test]
fn any_change_makes_an_issued_key_foreign_or_forged() {
    let issuer = issuer_key();
    check!().with_test_time(BRIEFLY).with_type::<Splice>().for_each(|change| {
        let mut key = KEYS[2].as_bytes().to_vec();
        change.apply(&mut key);
        let issued = issuer.judge(&key) == Provenance::Issued;
        assert_eq!(issued, key == KEYS[2].as_bytes(), "{}", key.escape_ascii());
    });
}
