//! Which keys are used.

mod set;

use serde_json::json;

use super::*;

/// Keys of every kind, made by others.
const OPENSSL: &str = include_str!("../../tests/tokens/openssl.json");
/// A sound modulus of 2,048 bits, for an exponent of 3.
const EXPONENT_3: &str = "zzG_UaOcrdJL2NQc7THfXLJHFgRIPgsit74MYtmak0wn_Ji0vz3WDEdoE2PdqRxqhGffSNOgvTnpjAGkuLtBa23BsjtyrECPM3TAxEBI8YUHXm6Mdsxv7RuqtJID43bQURFuTp7X6C2rCELaFLkfBwSvffUk-_yiINd6UqKjThTVrJoZhujmEyhsONbOHSRAN9TqdW3cPyQ4fMh2GYH8R1JVQ7fzaN6m67WujG6IjvyNEKB5Ah0BHrQez7IepDCL9_cPA6hrVFjI0WcDdZVVJamvt0FmV2E249yTV9bCQI_ZqAxvRNUROKtohuWc4cb1aVgOkCgGuoByN7g1Eolt-w";
/// A sound modulus of 1,024 bits.
const SHORT: &str = "0M8Am-MKtKVDXZAgvzeVC8kaxx_fcFTO02Iz0FtOsEUSFsbYhQMP9E0tm353U3aKm0a_DoW4BxUDW2l1m3Nw1mKML-oVz1KFxWtjxc7Cu7SXTlYZD8n8lOvN8RDvH2rNUh7cHJ_nUjx_0d7MWhYL45qTaD8aET6iL1uxa5TjYk8";

/// The key under which a token of the algorithm is signed.
fn own(name: &str) -> Value {
    let file: Value = serde_json::from_str(OPENSSL).unwrap();
    let vector = file["vectors"].as_array().unwrap().iter().find(|vector| vector["name"] == name).unwrap();
    vector["key"].clone()
}

/// The key with other members; `null` takes one out.
fn with(jwk: &Value, changes: &Value) -> Value {
    let mut jwk = jwk.clone();
    let members = jwk.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    jwk
}

fn read(jwk: &Value) -> Result<Jwk, Unusable> {
    Jwk::read(jwk.as_object().unwrap())
}

fn wrong(jwk: &Value) -> Option<Unusable> {
    read(jwk).err()
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decoded(jwk: &Value, name: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()
}

fn algorithms(key: &Jwk) -> Vec<Algorithm> {
    Algorithm::ALL.into_iter().filter(|algorithm| key.may_verify(*algorithm)).collect()
}

#[test]
fn keys_of_every_kind_are_read() {
    for (name, fitting) in [
        ("RS256", &RSA[..]),
        ("ES256", &[Algorithm::Es256]),
        ("ES384", &[Algorithm::Es384]),
        ("ES512", &[Algorithm::Es512]),
        ("EdDSA", &[Algorithm::EdDsa]),
    ] {
        let key = read(&own(name)).unwrap();
        assert_eq!((key.id(), algorithms(&key).as_slice()), (None, fitting), "{name}");
        let full =
            json!({"kid": "a b", "use": "sig", "key_ops": ["sign", "verify"], "alg": name, "x5c": ["x"], "x5t": 1, "ext": true, "iat": 7});
        let key = read(&with(&own(name), &full)).unwrap();
        assert_eq!(key.id().map(String::as_str), Some("a b"));
        assert_eq!(algorithms(&key), [Algorithm::from_name(name).unwrap()], "{name}");
    }
    assert_eq!(algorithms(&read(&with(&own("EdDSA"), &json!({"alg": "Ed25519"}))).unwrap()), [Algorithm::EdDsa]);
}

#[test]
fn members_are_text_and_there() {
    let (rsa, curve, ed25519) = (own("RS256"), own("ES256"), own("EdDSA"));
    for (jwk, names) in [(&rsa, &["n", "e"][..]), (&curve, &["x", "y", "crv"]), (&ed25519, &["x"])] {
        for name in names.iter().chain(&["kty"]) {
            assert_eq!(wrong(&with(jwk, &json!({*name: null}))), Some(Unusable::Member(name)), "no {name}");
        }
        for name in names.iter().chain(&["kty", "alg", "use", "kid"]) {
            for value in [json!(1), json!(true), json!(["x"]), json!({})] {
                assert_eq!(wrong(&with(jwk, &json!({*name: value}))), Some(Unusable::Member(name)), "{name} {value}");
            }
            let mut jwk = jwk.clone();
            jwk[*name] = Value::Null;
            assert_eq!(wrong(&jwk), Some(Unusable::Member(name)), "null is not nothing: {name}");
        }
        for name in names.iter().filter(|name| **name != "crv") {
            let text = jwk[*name].as_str().unwrap();
            for changed in [
                format!("{text}="),
                format!(" {text}"),
                format!("{text}\n"),
                format!("+{text}"),
                format!("{text}."),
                "A".to_owned(),
                "AB".to_owned(),
            ] {
                assert_eq!(wrong(&with(jwk, &json!({*name: changed}))), Some(Unusable::Member(name)), "{name} {changed}");
            }
        }
    }
    assert_eq!(wrong(&with(&ed25519, &json!({"crv": null}))), Some(Unusable::Kind("crv")));
}

#[test]
fn a_key_id_may_be_as_long_as_a_tokens() {
    let kid = |length: usize| read(&with(&own("EdDSA"), &json!({"kid": "k".repeat(length)})));
    assert_eq!(kid(256).unwrap().id().unwrap().len(), 256);
    assert_eq!(kid(257).err(), Some(Unusable::Member("kid")));
}

#[test]
fn kinds_that_verify_nothing_here_are_refused() {
    for kty in ["", "rsa", "Rsa", "ec", "okp", "AKP", "RSA ", "none"] {
        assert_eq!(wrong(&with(&own("RS256"), &json!({"kty": kty}))), Some(Unusable::Kind("kty")), "{kty}");
    }
    for crv in ["", "P256", "p-256", "secp256k1", "BP-256", "P-192", "Ed25519", "P-224"] {
        assert_eq!(wrong(&with(&own("ES256"), &json!({"crv": crv}))), Some(Unusable::Kind("crv")), "{crv}");
    }
    for crv in ["", "ed25519", "Ed448", "X25519", "X448", "P-256"] {
        assert_eq!(wrong(&with(&own("EdDSA"), &json!({"crv": crv}))), Some(Unusable::Kind("crv")), "{crv}");
    }
    for (name, algs) in [
        ("RS256", &["HS256", "ES256", "EdDSA", "none", "RSA-OAEP", "RSA1_5", "rs256", ""][..]),
        ("ES256", &["HS256", "RS256", "ES384", "ES512", "ES256K", "ECDH-ES", "EdDSA", "none"]),
        ("ES384", &["ES256", "ES512"]),
        ("ES512", &["ES256", "ES384"]),
        ("EdDSA", &["HS256", "ES256", "Ed448", "none"]),
    ] {
        for alg in algs {
            assert_eq!(wrong(&with(&own(name), &json!({"alg": alg}))), Some(Unusable::Kind("alg")), "{name} {alg}");
        }
    }
}

#[test]
fn a_key_for_something_else_is_refused() {
    for changes in [
        json!({"use": "enc"}),
        json!({"use": ""}),
        json!({"use": "SIG"}),
        json!({"use": "sig "}),
        json!({"key_ops": []}),
        json!({"key_ops": ["sign"]}),
        json!({"key_ops": ["encrypt", "wrapKey"]}),
        json!({"key_ops": ["Verify"]}),
        json!({"key_ops": "verify"}),
        json!({"key_ops": {"verify": true}}),
        json!({"key_ops": 1}),
        json!({"use": "enc", "key_ops": ["verify"]}),
        json!({"use": "sig", "key_ops": ["sign"]}),
    ] {
        for name in ["RS256", "ES256", "EdDSA"] {
            assert_eq!(wrong(&with(&own(name), &changes)), Some(Unusable::Use), "{name} {changes}");
        }
    }
    assert_eq!(wrong(&with(&own("EdDSA"), &json!({"key_ops": ["verify", 1]}))), None);
}

#[test]
fn a_key_that_should_be_secret_is_refused() {
    assert_eq!(wrong(&own("HS256")), Some(Unusable::Secret));
    assert_eq!(wrong(&json!({"kty": "oct"})), Some(Unusable::Secret));
    for name in ["RS256", "ES256", "EdDSA"] {
        for d in [json!("AQAB"), json!(""), json!(1), json!(null)] {
            let mut jwk = own(name);
            jwk["d"] = d;
            assert_eq!(wrong(&jwk), Some(Unusable::Private), "{name}");
        }
    }
}

#[test]
fn an_rsa_key_is_of_2048_to_4096_bits_with_the_usual_exponent() {
    let rsa = own("RS256");
    let n = |bytes: &[u8]| with(&rsa, &json!({"n": base64(bytes)}));
    // Moduli of which only the size is looked at.
    let bits = |bits: usize| {
        let mut bytes = vec![0x5a; bits.div_ceil(8)];
        bytes[0] = 1 << ((bits - 1) % 8);
        *bytes.last_mut().unwrap() |= 1;
        bytes
    };
    for size in [2_048, 2_049, 3_072, 4_096] {
        assert_eq!(wrong(&n(&bits(size))), None, "{size}");
    }
    for size in [1, 8, 512, 1_024, 2_040, 2_047, 4_097, 4_104, 8_192, 8_200, 16_384] {
        assert_eq!(wrong(&n(&bits(size))), Some(Unusable::Key), "{size}");
    }
    assert_eq!(wrong(&with(&rsa, &json!({"n": SHORT}))), Some(Unusable::Key));
    assert_eq!(wrong(&with(&rsa, &json!({"n": format!("{}{SHORT}", "A".repeat(172))}))), Some(Unusable::Key), "zeros make it no larger");
    let mut even = decoded(&rsa, "n");
    *even.last_mut().unwrap() &= 0xfe;
    assert_eq!(wrong(&n(&even)), Some(Unusable::Key));
    assert_eq!(wrong(&n(&[])), Some(Unusable::Key));
    assert_eq!(wrong(&n(&[0; 256])), Some(Unusable::Key));
    assert_eq!(wrong(&with(&rsa, &json!({"n": EXPONENT_3}))), None);
    for e in [
        &[3][..],
        &[1],
        &[0],
        &[],
        &[1, 0, 0],
        &[1, 0, 2],
        &[17],
        &[1, 0, 1, 0],
        &[1, 0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 0, 1, 0, 1],
        &[0xff; 8],
    ] {
        assert_eq!(wrong(&with(&rsa, &json!({"n": EXPONENT_3, "e": base64(e)}))), Some(Unusable::Key), "{e:?}");
    }
}

#[test]
fn zeros_before_an_rsa_key_do_not_change_it() {
    let rsa = own("RS256");
    let padded = with(&rsa, &json!({"n": base64([&[0, 0], &decoded(&rsa, "n")[..]].concat()), "e": base64([0, 1, 0, 1])}));
    let (Material::Rsa { spki, size, .. }, Material::Rsa { spki: own_spki, size: own_size, .. }) =
        (read(&padded).unwrap().material, read(&rsa).unwrap().material)
    else {
        panic!("not RSA")
    };
    assert_eq!((spki, size), (own_spki, own_size));
    assert_eq!(size, 256);
}

#[test]
fn a_point_that_is_not_on_its_curve_is_no_key() {
    for (name, size) in [("ES256", 32), ("ES384", 48)] {
        let own = own(name);
        let (x, y) = (decoded(&own, "x"), decoded(&own, "y"));
        let point = |x: &[u8], y: &[u8]| wrong(&with(&own, &json!({"x": base64(x), "y": base64(y)})));
        let mut next = y.clone();
        *next.last_mut().unwrap() ^= 1;
        let (zero, high) = (vec![0; size], vec![0xff; size]);
        assert_eq!(point(&x, &y), None);
        for (x, y) in [(&x, &next), (&y, &x), (&x, &x), (&zero, &zero), (&high, &y), (&x, &high), (&x, &zero), (&zero, &y)] {
            assert_eq!(point(x, y), Some(Unusable::Key), "{name}");
        }
        for (x, y, of) in [
            (&x[1..], &y[..], "x"),
            (&x[..], &y[1..], "y"),
            (&[&[0], &x[..]].concat(), &y[..], "x"),
            (&x[..], &[&y[..], &[0]].concat(), "y"),
            (&[], &y[..], "x"),
            (&x[..], &[], "y"),
        ] {
            assert_eq!(point(x, y), Some(Unusable::Member(of)), "{name}");
        }
    }
}

#[test]
fn a_point_of_another_curve_is_no_key() {
    for (name, crv, expected) in [
        ("ES256", "P-384", Unusable::Member("x")),
        ("ES256", "P-521", Unusable::Member("x")),
        ("ES384", "P-256", Unusable::Member("x")),
        ("ES512", "P-256", Unusable::Member("x")),
    ] {
        assert_eq!(wrong(&with(&own(name), &json!({"crv": crv}))), Some(expected), "{name} as {crv}");
    }
}

#[test]
fn whether_a_point_is_on_p_521_only_the_proxy_can_say() {
    let own = own("ES512");
    assert_eq!(wrong(&with(&own, &json!({"y": own["x"]}))), None);
    assert_eq!(wrong(&with(&own, &json!({"x": base64([0; 65])}))), Some(Unusable::Member("x")), "but its size is known");
}

#[test]
fn an_ed25519_key_is_a_point_of_large_order() {
    let x = |bytes: &[u8]| wrong(&with(&own("EdDSA"), &json!({"x": base64(bytes)})));
    let low = |first: u8, last: u8| [&[first][..], &[if last == 0 { 0 } else { 0xff }; 30], &[last]].concat();
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
    let hexadecimal = |text: &str| text.as_bytes().chunks(2).map(byte).collect::<Vec<u8>>();
    for small in [
        low(0, 0),
        low(1, 0),
        // Minus one, and ways to write it, zero and one that are larger than the field.
        low(0xec, 0x7f),
        low(0xed, 0x7f),
        low(0xee, 0x7f),
        low(0xec, 0xff),
        low(0xed, 0xff),
        low(0xee, 0xff),
        [&[0; 31][..], &[0x80]].concat(),
        [&[1], &[0; 30][..], &[0x80]].concat(),
        // Order eight.
        hexadecimal("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        hexadecimal("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
        hexadecimal("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        hexadecimal("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
    ] {
        assert_eq!(x(&small), Some(Unusable::Key), "{small:02x?}");
    }
    let own = decoded(&own("EdDSA"), "x");
    assert_eq!(x(&own), None);
    for length in [&own[..31], &[&own[..], &[0]].concat(), &[], &[&own[..], &own].concat()] {
        assert_eq!(x(length), Some(Unusable::Key), "{} bytes", length.len());
    }
    assert_eq!(x(&[&[2], &[0; 31][..]].concat()), Some(Unusable::Key), "no point has this y");
}

#[test]
fn a_secret_is_for_digests_that_are_not_longer() {
    use Algorithm::{Hs256, Hs384, Hs512};
    let secret = |length: usize| Jwk::secret(Some("a".to_owned()), Secret::new(vec![7; length])).map(|key| algorithms(&key));
    for (length, expected) in [
        (0, None),
        (31, None),
        (32, Some(vec![Hs256])),
        (47, Some(vec![Hs256])),
        (48, Some(vec![Hs256, Hs384])),
        (63, Some(vec![Hs256, Hs384])),
        (64, Some(vec![Hs256, Hs384, Hs512])),
        (1_000, Some(vec![Hs256, Hs384, Hs512])),
    ] {
        assert_eq!(secret(length), expected, "{length}");
    }
    let key = Jwk::secret(Some("a".to_owned()), Secret::new(b"hunter2-hunter2-hunter2-hunter2-".to_vec())).unwrap();
    assert_eq!(key.id().map(String::as_str), Some("a"));
    assert!(!format!("{key:?}").contains("hunter2") && !format!("{key:?}").contains("104, 117"), "{key:?}");
}

#[test]
fn sets_are_the_same_if_their_keys_are() {
    let same = |one: &str, other: &str| are_same(one.as_bytes(), other.as_bytes());
    let set = r#"{"keys":[{"kid":"1","kty":"OKP"},{"kid":"2"}]}"#;
    assert!(same(set, set));
    assert!(same(set, r#"{ "t": 7, "keys": [{"kid": "2"}, {"kty": "OKP", "kid": "1"}] }"#), "order and whatever is beside them");
    for other in [r#"{"keys":[{"kid":"1","kty":"OKP"}]}"#, r#"{"keys":[{"kid":"1","kty":"EC"},{"kid":"2"}]}"#, r#"{"keys":[]}"#, "{}", ""] {
        assert!(!same(set, other) && !same(other, set), "{other}");
    }
    assert!(!same("", ""), "what is no set is like no other");
}
