//! Which sets are sets, and which of their keys are in them.

use proptest::prelude::*;

use super::*;

fn set(keys: &[Value]) -> Vec<u8> {
    json!({"keys": keys}).to_string().into_bytes()
}

fn ids(set: &KeySet) -> Vec<&str> {
    set.keys().iter().filter_map(Jwk::id).map(String::as_str).collect()
}

#[test]
fn a_set_is_read_and_keys_that_cannot_be_used_are_passed_over() {
    let named = |name: &str, kid: &str| with(&own(name), &json!({"kid": kid}));
    let keys = [
        named("HS256", "secret"),
        named("RS256", "a"),
        with(&own("RS256"), &json!({"kid": "enc", "use": "enc"})),
        json!({"kty": "new", "kid": "new"}),
        json!({}),
        named("EdDSA", "b"),
        with(&own("ES256"), &json!({"kid": "private", "d": "AA"})),
        with(&own("ES256"), &json!({"kid": "off", "y": own("ES256")["x"]})),
        named("ES256", "c"),
    ];
    let set = KeySet::read(&set(&keys)).unwrap();
    assert_eq!(ids(&set), ["a", "b", "c"]);
    assert!(set.names("a") && set.names("c"));
    assert!(!set.names("enc") && !set.names("") && !set.names("A") && !KeySet::default().names(""));
    assert!(
        KeySet::read(br#" {"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}],"more":{"a":[1]}} "#)
            .is_ok()
    );
}

#[test]
fn what_is_no_set_is_refused_as_a_whole() {
    let own = own("EdDSA").to_string();
    for document in [
        "",
        "null",
        "[]",
        "{}",
        "<html>",
        r#"{"keys":null}"#,
        r#"{"keys":{}}"#,
        r#"{"keys":"x"}"#,
        r#"{"keys":[1]}"#,
        r#"{"keys":[null]}"#,
        r#"{"Keys":[]}"#,
        &own,
        &format!("[{own}]"),
        &format!(r#"{{"keys":{own}}}"#),
        &format!(r#"{{"keys":[{own},[]]}}"#),
        &format!(r#"{{"keys":[{own}]}}x"#),
        &format!(r#"{{"keys":[{own}],"keys":[]}}"#),
        &format!(r#"{{"keys":[{own}],"k\u0065ys":[{own}]}}"#),
        &format!(r#"{{"keys":[{own}],"a":{{"b":1,"b":2}}}}"#),
        &format!(r#"{{"keys":[{own},{{"kty":"oct","kty":"RSA"}}]}}"#),
        &format!(r#"{{"keys":[{}]}}"#, own.replacen('{', r#"{"x":"AA","#, 1)),
        &format!(r#"{{"keys":[{own}"#),
        &format!(r#"{{"keys":[{}1{}]}}"#, "[".repeat(10_000), "]".repeat(10_000)),
    ] {
        assert_eq!(KeySet::read(document.as_bytes()).err(), Some(NotASet::Form), "{document}");
        assert_eq!(entries(document.as_bytes()).err(), Some(NotASet::Form), "{document}");
    }
    assert_eq!(KeySet::read(b"{\"keys\":[{\"kid\":\"\xff\"}]}").err(), Some(NotASet::Form));
}

#[test]
fn a_set_without_a_key_that_can_be_used_is_empty() {
    for keys in [vec![], vec![json!({})], vec![own("HS256")], vec![with(&own("RS256"), &json!({"n": SHORT})), own("HS512")]] {
        assert_eq!(KeySet::read(&set(&keys)).err(), Some(NotASet::Empty));
        assert_eq!(entries(&set(&keys)).map(|entries| entries.len()), Ok(keys.len()), "its keys are not judged");
    }
}

#[test]
fn sets_have_bounds() {
    let many = |count: usize| KeySet::read(&set(&vec![own("EdDSA"); count]));
    assert_eq!(many(32).unwrap().keys().len(), 32);
    assert_eq!(many(33).err(), Some(NotASet::TooMany(33)));
    let unusable = [vec![json!({}); 32], vec![own("EdDSA")]].concat();
    assert_eq!(KeySet::read(&set(&unusable)).err(), Some(NotASet::TooMany(33)), "those count that cannot be used");
    let padded = |length: usize| {
        let mut document = set(&[own("EdDSA")]);
        document.resize(length, b' ');
        KeySet::read(&document).err()
    };
    assert_eq!((padded(LARGEST_SET), padded(LARGEST_SET + 1)), (None, Some(NotASet::TooLarge)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_a_set_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = KeySet::read(&bytes);
    }

    #[test]
    fn any_members_are_a_key_or_not(
        kty in prop::sample::select(vec!["RSA", "EC", "OKP", "oct", "x"]),
        crv in prop::sample::select(vec!["P-256", "P-384", "P-521", "Ed25519", "Ed448"]),
        numbers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..70), 4),
        size in prop::sample::select(vec![0_usize, 1, 32, 48, 66, 256, 512, 600])
    ) {
        let number = |position: usize| {
            let mut bytes = numbers[position].clone();
            bytes.resize(size, 0x55);
            base64(bytes)
        };
        let jwk = json!({"kty": kty, "crv": crv, "x": number(0), "y": number(1), "n": number(2), "e": base64(&numbers[3])});
        let _ = read(&jwk);
        let _ = KeySet::read(&set(&[jwk]));
    }

    #[test]
    fn a_set_with_any_bytes_replaced_is_a_set_or_not(
        place in any::<prop::sample::Index>(), length in 0_usize..8, other in prop::collection::vec(any::<u8>(), 0..8)
    ) {
        let mut document = set(&[own("RS256"), own("ES256"), own("ES384"), own("ES512"), own("EdDSA")]);
        let start = place.index(document.len());
        document.splice(start..(start + length).min(document.len()), other);
        if let Ok(set) = KeySet::read(&document) {
            prop_assert!((1..=5).contains(&set.keys().len()));
        }
    }
}
