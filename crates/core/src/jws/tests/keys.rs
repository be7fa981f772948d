//! Which key verifies which token: its own algorithm's and no other.

use super::proxy::Proxy;
use super::*;

fn check_both(token: &str, key: &Jwk) -> (Signed, Signed) {
    let compact = Compact::parse(token.as_bytes()).unwrap();
    (compact.signed_by(key, &mut NoAccelerator), compact.signed_by(key, &mut Proxy::default()))
}

#[test]
fn a_token_is_verified_by_its_key_and_by_no_other() {
    let vectors = read(OPENSSL);
    for vector in &vectors {
        for other in &vectors {
            let expected = match (vector.jwk == other.jwk, vector.algorithm) {
                (true, Some(Algorithm::Es512)) => (Signed::Unknown, Signed::Yes),
                (true, _) => (Signed::Yes, Signed::Yes),
                (false, _) => (Signed::No, Signed::No),
            };
            // Two keys on P-521 would be `Unknown`, but there is one.
            assert_eq!(check_both(&vector.token, other.key.as_ref().unwrap()), expected, "{} by {}", vector.name, other.name);
        }
    }
}

#[test]
fn a_key_of_another_kind_verifies_nothing() {
    use Algorithm::*;
    const RSA: [Algorithm; 6] = [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512];
    for vector in read(OPENSSL) {
        let own = vector.key.unwrap();
        let fitting: &[Algorithm] = match vector.name.as_str() {
            "HS256" => &[Hs256],
            "HS384" => &[Hs256, Hs384],
            "HS512" => &[Hs256, Hs384, Hs512],
            "ES256" => &[Es256],
            "ES384" => &[Es384],
            "ES512" => &[Es512],
            "EdDSA" | "Ed25519" => &[EdDsa],
            _ => &RSA,
        };
        for algorithm in Algorithm::ALL {
            assert_eq!(own.may_verify(algorithm), fitting.contains(&algorithm), "{} {algorithm:?}", vector.name);
        }
    }
}

#[test]
fn a_public_key_is_no_secret() {
    for vector in read(OPENSSL) {
        let own = vector.key.unwrap();
        let mut guesses = vec![vector.jwk.to_string().into_bytes(), serde_json::to_vec_pretty(&vector.jwk).unwrap()];
        let spki = match own.material() {
            crate::jwk::Material::Rsa { spki, .. } => spki,
            crate::jwk::Material::Curve(curve) => curve.spki(),
            crate::jwk::Material::Ed25519(_) | crate::jwk::Material::Secret(_) => [].as_slice(),
        };
        if !spki.is_empty() {
            let text = base64::engine::general_purpose::STANDARD.encode(spki);
            let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
            let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
            guesses.extend([spki.to_vec(), text.into_bytes(), pem.clone().into_bytes(), format!("{pem}\n").into_bytes()]);
        }
        for name in ["n", "x", "y"] {
            let number = vector.jwk[name].as_str().map(|text| [text.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(text).unwrap()]);
            guesses.extend(number.into_iter().flatten());
        }
        for guess in guesses {
            let confused = token(r#"{"alg":"HS256","typ":"JWT"}"#, "{}", by_hs256(&guess));
            assert_eq!(check_both(&confused, &own), (Signed::No, Signed::No), "{}: {}", vector.name, guess.escape_ascii());
            let secret = Jwk::secret(None, Secret::new(guess)).unwrap();
            assert_eq!(check(&confused, &secret), Signed::Yes, "the test's own signature is right");
        }
    }
}

#[test]
fn a_key_with_an_algorithm_of_its_own_verifies_no_other() {
    for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
        let vector = signed(name);
        let with = |alg: &str| {
            let mut jwk = vector.jwk.clone();
            jwk["alg"] = alg.into();
            Jwk::read(jwk.as_object().unwrap())
        };
        assert_eq!(check(&vector.token, &with(name).unwrap()), Signed::Yes, "{name}");
        for other in Algorithm::ALL.into_iter().filter(|own| own.name() != name) {
            let Ok(key) = with(other.name()) else { continue };
            assert_eq!(check(&vector.token, &key), Signed::No, "{name} by a key for {other:?}");
        }
    }
}

#[test]
fn a_named_key_is_the_only_one_that_counts() {
    let named = |kid: Option<&str>| {
        let mut jwk = ed25519_jwk(1);
        if let Some(kid) = kid {
            jwk["kid"] = kid.into();
        }
        key(&jwk)
    };
    let own = |kid: Option<&str>| {
        let header = kid.map_or(json!({"alg": "EdDSA"}), |kid| json!({"alg": "EdDSA", "kid": kid}));
        token(&header.to_string(), "{}", by_ed25519(1))
    };
    for (asked, is, expected) in [
        (None, None, Signed::Yes),
        (None, Some("a"), Signed::Yes),
        (Some("a"), Some("a"), Signed::Yes),
        (Some("a"), Some("b"), Signed::No),
        (Some("a"), None, Signed::No),
        (Some(""), None, Signed::No),
        (Some("A"), Some("a"), Signed::No),
        (Some("a "), Some("a"), Signed::No),
        (Some("../a"), Some("a"), Signed::No),
    ] {
        assert_eq!(check(&own(asked), &named(is)), expected, "{asked:?} by {is:?}");
    }
}

#[test]
fn a_token_that_names_another_algorithm_is_not_signed() {
    for vector in read(OPENSSL) {
        let [_, payload, signature] = parts(&vector.token);
        for algorithm in Algorithm::ALL {
            let header = base64(format!(r#"{{"alg":"{}"}}"#, algorithm.name()));
            let verdict = check_both(&format!("{header}.{payload}.{signature}"), vector.key.as_ref().unwrap());
            assert_eq!(verdict.1, Signed::No, "{} as {algorithm:?}", vector.name);
        }
    }
}

#[test]
fn an_rsa_signature_is_as_long_as_its_key() {
    for name in ["RS256", "PS256", "RS512", "PS512"] {
        let vector = signed(name);
        let own = vector.key.unwrap();
        let signature = signature_of(&vector.token);
        for wrong in [
            signature[1..].to_vec(),
            signature[..signature.len() - 1].to_vec(),
            [&signature[..], &[0]].concat(),
            [&[0], &signature[..]].concat(),
            [&[0; 256], &signature[..]].concat(),
            vec![0; signature.len()],
            vec![0xff; signature.len()],
            [&vec![0; signature.len() - 1][..], &[1]].concat(),
            vec![],
        ] {
            assert_eq!(check_both(&resigned(&vector.token, &wrong), &own), (Signed::No, Signed::No), "{name} {}", wrong.len());
        }
    }
}

#[test]
fn an_ecdsa_signature_is_two_numbers_of_the_curves_size() {
    for (name, size) in [("ES256", 32), ("ES384", 48), ("ES512", 66)] {
        let vector = signed(name);
        let own = vector.key.unwrap();
        let signature = signature_of(&vector.token);
        let (r, s) = signature.split_at(size);
        let zero = vec![0; size];
        let one = [&zero[1..], &[1]].concat();
        let high = vec![0xff; size];
        let mut wrong = vec![
            crate::der::sequence(&[crate::der::integer(r), crate::der::integer(s)].concat()),
            [s, r].concat(),
            [r, r].concat(),
            [&[0], r, &[0], s].concat(),
            [&r[1..], s].concat(),
            [r, &s[1..]].concat(),
            [r, s, &[0]].concat(),
            r.to_vec(),
        ];
        for odd in [&zero, &one, &high] {
            wrong.extend([[odd, s].concat(), [r, odd].concat(), [&odd[..], odd].concat()]);
        }
        for wrong in wrong {
            let (alone, proxy) = check_both(&resigned(&vector.token, &wrong), &own);
            assert_eq!(proxy, Signed::No, "{name} {}", wrong.escape_ascii());
            let unknown = name == "ES512" && wrong.len() == 2 * size;
            assert_eq!(alone, if unknown { Signed::Unknown } else { Signed::No }, "{name} {}", wrong.escape_ascii());
        }
    }
}
