//! Whatever is sent: nothing panics, and no changed token is signed.

use proptest::prelude::*;

use super::proxy::Proxy;
use super::*;

/// Read once: reading keys takes longer than most checks.
fn openssl() -> &'static [Vector] {
    static VECTORS: std::sync::LazyLock<Vec<Vector>> = std::sync::LazyLock::new(|| read(OPENSSL));
    &VECTORS
}

fn is_signed(token: &[u8], key: &Jwk) -> bool {
    Compact::parse(token).is_ok_and(|compact| match compact.signed_by(key, &mut NoAccelerator) {
        Signed::Unknown => compact.signed_by(key, &mut Proxy::default()) == Signed::Yes,
        Signed::Yes => true,
        Signed::No => false,
    })
}

#[test]
fn a_token_with_any_character_changed_is_not_signed() {
    for vector in openssl() {
        let own = vector.key.as_ref().unwrap();
        assert!(is_signed(vector.token.as_bytes(), own), "{}", vector.name);
        for place in 0..vector.token.len() {
            let mut token = vector.token.clone().into_bytes();
            // The next of the alphabet: the smallest change of the bits.
            token[place] = match token[place] {
                b'Z' => b'a',
                b'z' => b'0',
                b'9' => b'-',
                b'-' => b'_',
                b'_' => b'A',
                b'.' => b'A',
                other => other + 1,
            };
            assert!(!is_signed(&token, own), "{}: {}", vector.name, token.escape_ascii());
        }
    }
}

fn any_header() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["alg", "kid", "typ", "cty", "crit", "b64", "jwk", "enc", "zip", "x"]);
    let value = prop_oneof![
        prop::sample::select(Algorithm::ALL.map(Algorithm::name).to_vec()).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!(["b64"])),
        Just(json!({"a": {"b": 1}})),
    ];
    prop::collection::vec((name, value), 0..5).prop_map(|members| {
        let members: Vec<String> = members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_a_token_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Compact::parse(&bytes);
        let _ = is_token(&bytes);
    }

    #[test]
    fn any_text_with_dots_is_a_token_or_not(text in "(eyJ)?[A-Za-z0-9_=.-]{0,60}(\\.[A-Za-z0-9_-]{0,40}){0,4}") {
        let _ = Compact::parse(text.as_bytes());
    }

    #[test]
    fn any_header_and_signature_of_others_are_not_signed(
        header in any_header(), payload in prop::collection::vec(any::<u8>(), 0..40), signature in prop::collection::vec(any::<u8>(), 0..600)
    ) {
        let token = format!("{}.{}.{}", base64(header), base64(payload), base64(signature));
        for vector in openssl() {
            prop_assert!(!is_signed(token.as_bytes(), vector.key.as_ref().unwrap()));
        }
    }

    #[test]
    fn a_token_with_any_character_replaced_is_not_signed(
        one in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), other in any::<u8>()
    ) {
        let vector = one.get(openssl());
        let mut token = vector.token.clone().into_bytes();
        let place = place.index(token.len());
        prop_assume!(token[place] != other);
        token[place] = other;
        prop_assert!(!is_signed(&token, vector.key.as_ref().unwrap()), "{}: {}", vector.name, token.escape_ascii());
    }

    #[test]
    fn a_token_with_bits_of_its_signature_changed_is_not_signed(
        one in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), bits in 1..=u8::MAX
    ) {
        let vector = one.get(openssl());
        let mut signature = signature_of(&vector.token);
        let place = place.index(signature.len());
        signature[place] ^= bits;
        prop_assert!(!is_signed(resigned(&vector.token, signature).as_bytes(), vector.key.as_ref().unwrap()), "{}", vector.name);
    }
}
