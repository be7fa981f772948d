//! Tokens that others made, each with what is to be said of it: `tests/tokens`.

use super::proxy::Proxy;
use super::*;

const RFC_7515: &str = include_str!("../../../tests/tokens/rfc7515.json");
const RFC_7520: &str = include_str!("../../../tests/tokens/rfc7520.json");
const OTHERS: &str = include_str!("../../../tests/tokens/others.json");
const OPENSSL_ODD: &str = include_str!("../../../tests/tokens/openssl-odd.json");

/// Judges a vector with and without a proxy; how many of a file are of each verdict.
fn judge(file: &str) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for vector in read(file) {
        *counts.entry(vector.verdict.clone()).or_default() += 1;
        let name = &vector.name;
        let compact = match (vector.verdict.as_str(), Compact::parse(vector.token.as_bytes())) {
            ("form", Err(Malformed::Form)) | ("algorithm", Err(Malformed::Algorithm)) | ("critical", Err(Malformed::Critical)) => continue,
            ("signed" | "not signed", Ok(compact)) => compact,
            (expected, other) => panic!("{name}: {other:?}, not {expected}"),
        };
        assert_eq!(Some(compact.header().algorithm), vector.algorithm, "{name}");
        if let Some(payload) = &vector.payload {
            assert_eq!(compact.unverified_payload(), payload.as_bytes(), "{name}");
        }
        let own = vector.key.unwrap();
        let expected = if vector.verdict == "signed" { Signed::Yes } else { Signed::No };
        let mut proxy = Proxy::default();
        assert_eq!(compact.signed_by(&own, &mut proxy), expected, "{name}, with a proxy");
        let alone = compact.signed_by(&own, &mut NoAccelerator);
        if proxy.asked > 0 && vector.algorithm == Some(Algorithm::Es512) {
            assert_eq!(alone, Signed::Unknown, "{name}: only a proxy can tell");
        } else {
            assert_eq!(alone, expected, "{name}");
        }
    }
    counts.into_iter().collect()
}

fn counts(of: &[(&str, usize)]) -> Vec<(String, usize)> {
    of.iter().map(|(verdict, count)| ((*verdict).to_owned(), *count)).collect()
}

#[test]
fn the_examples_of_rfc_7515_are_judged_as_they_should_be() {
    assert_eq!(judge(RFC_7515), counts(&[("algorithm", 1), ("critical", 1), ("form", 2), ("not signed", 1), ("signed", 4)]));
}

#[test]
fn the_examples_of_rfc_7520_are_judged_as_they_should_be() {
    assert_eq!(judge(RFC_7520), counts(&[("form", 22), ("not signed", 1), ("signed", 4)]));
}

#[test]
fn the_examples_of_others_are_judged_as_they_should_be() {
    assert_eq!(judge(OTHERS), counts(&[("algorithm", 1), ("critical", 1), ("form", 2), ("not signed", 2), ("signed", 4)]));
}

#[test]
fn tokens_of_openssl_are_signed_in_every_algorithm() {
    assert_eq!(judge(OPENSSL), counts(&[("signed", 14)]));
}

#[test]
fn odd_tokens_of_openssl_are_signed_only_as_they_say() {
    assert_eq!(judge(OPENSSL_ODD), counts(&[("not signed", 51), ("signed", 12)]));
}
