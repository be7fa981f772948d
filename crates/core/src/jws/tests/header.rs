//! What `Header::read` refuses, and what of a header has no effect.

use super::*;

fn of(header: &str) -> Result<Header, Malformed> {
    let token = token(header, "{}", by_ed25519(1));
    let compact = Compact::parse(token.as_bytes())?;
    Ok(compact.header().clone())
}

#[test]
fn a_token_that_is_not_signed_is_refused_in_every_spelling() {
    for alg in ["none", "None", "NONE", "nOnE", "nonE", " none", "none ", "none\\u0000", "\\u006eone", ""] {
        for token in [
            token(&format!(r#"{{"alg":"{alg}"}}"#), "{}", |_| Vec::new()),
            token(&format!(r#"{{"typ":"JWT","alg":"{alg}"}}"#), "{}", by_ed25519(1)),
        ] {
            assert_eq!(malformed(&token), Some(Malformed::Algorithm), "{alg:?}");
        }
    }
    assert_eq!(malformed(token("{}", "{}", |_| Vec::new())), Some(Malformed::Algorithm));
}

#[test]
fn algorithms_are_compared_exactly() {
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        assert_eq!(of(&format!(r#"{{"alg":"{name}"}}"#)).unwrap().algorithm, algorithm);
        for other in [name.to_ascii_lowercase(), format!("{name} "), format!(" {name}"), format!("{name}\\u0000"), format!("{name}K")] {
            assert_eq!(of(&format!(r#"{{"alg":"{other}"}}"#)), Err(Malformed::Algorithm), "{other:?}");
        }
    }
    assert_eq!(of(r#"{"alg":"Ed25519"}"#).unwrap().algorithm, Algorithm::EdDsa);
    assert_eq!(of(r#"{"alg":"\u0048S256"}"#).unwrap().algorithm, Algorithm::Hs256);
    for other in ["HS1", "RS1", "ES256K", "Ed448", "RSA1_5", "RSA-OAEP", "dir", "A128KW", "HS", "256", "HS256,none", "HS256/64", "*"] {
        assert_eq!(of(&format!(r#"{{"alg":"{other}"}}"#)), Err(Malformed::Algorithm), "{other}");
    }
}

#[test]
fn members_that_are_read_are_text() {
    for value in ["1", "null", "true", r#"["HS256"]"#, r#"{"HS256":1}"#, "[]", "0.5"] {
        assert_eq!(of(&format!(r#"{{"alg":{value}}}"#)), Err(Malformed::Header), "alg {value}");
        for name in ["kid", "typ", "cty"] {
            assert_eq!(of(&format!(r#"{{"alg":"HS256","{name}":{value}}}"#)), Err(Malformed::Header), "{name} {value}");
        }
    }
}

#[test]
fn a_key_id_is_at_most_as_long_as_those_there_are() {
    let kid = |length: usize| of(&format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(length)));
    assert_eq!(kid(256).unwrap().key_id, Some("k".repeat(256)));
    assert_eq!(kid(0).unwrap().key_id, Some(String::new()), "an empty one is one");
    for length in [257, 100_000] {
        assert_eq!(kid(length), Err(Malformed::Header));
    }
    for name in ["typ", "alg", "cty"] {
        let long = of(&format!(r#"{{"alg":"HS256","{name}2":1,"{name}":"{}"}}"#, "k".repeat(257)));
        assert_eq!(long, Err(Malformed::Header), "{name}");
    }
}

#[test]
fn what_is_not_understood_and_must_be_is_refused() {
    for member in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""crit":["alg"]"#,
        r#""crit":null"#,
        r#""crit":"b64""#,
        r#""\u0063rit":["b64"],"b64":false"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""zip":"DEF""#,
        r#""enc":"A128GCM""#,
        r#""cty":"JWT""#,
        r#""cty":"jwt""#,
        r#""cty":"application/jwt""#,
        r#""cty":"Application/JWT""#,
        r#""cty":"at+jwt""#,
        r#""cty":"application/secevent+JWT""#,
    ] {
        assert_eq!(of(&format!(r#"{{"alg":"HS256",{member}}}"#)), Err(Malformed::Critical), "{member}");
        assert_eq!(of(&format!(r#"{{{member},"alg":"none"}}"#)), Err(Malformed::Critical), "{member}");
    }
    for member in [r#""cty":"text/plain""#, r#""Crit":["exp"]"#, r#""x":{"crit":["exp"]}"#] {
        assert!(of(&format!(r#"{{"alg":"HS256",{member}}}"#)).is_ok(), "{member}");
    }
}

#[test]
fn a_header_is_one_object_that_can_be_read_in_one_way() {
    for header in [
        "",
        " ",
        "null",
        "[]",
        r#""HS256""#,
        r#"["alg","HS256"]"#,
        r#"[{"alg":"HS256"}]"#,
        r#"{"alg":"HS256"}{}"#,
        r#"{"alg":"HS256"}x"#,
        r#"{"alg":"HS256",}"#,
        r#"{"alg":"HS256""#,
        "{'alg':'HS256'}",
        r#"{alg:"HS256"}"#,
        r#"{"alg":"HS256"/**/}"#,
        "\u{feff}{\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\"}\0",
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"none"}"#,
        r#"{"\u0061\u006c\u0067":"HS256","alg":"RS256"}"#,
        r#"{"alg":"HS256","kid":"a","k\u0069d":"b"}"#,
        r#"{"alg":"HS256","x":1,"x":1}"#,
        r#"{"alg":"HS256","x":{"y":1,"y":2}}"#,
        r#"{"alg":"HS256","x":[{"y":1,"\u0079":2}]}"#,
        r#"{"alg":"HS256","x":"\ud800"}"#,
        r#"{"alg":"HS256","x":01}"#,
        r#"{"alg":"HS256","x":1e999}"#,
    ] {
        assert_eq!(of(header), Err(Malformed::Header), "{header}");
    }
    let not_utf_8 = format!("{}.e30.YWI", base64(b"{\"alg\":\"HS256\",\"x\":\"\xff\"}"));
    assert_eq!(malformed(not_utf_8), Some(Malformed::Header));
    assert!(of(" \n\t{\"alg\"\r:\"HS256\"} \n").is_ok(), "space is part of JSON");
}

#[test]
fn deep_and_huge_headers_do_no_harm() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let bomb = format!(r#"{{"alg":"HS256","x":{}1{}}}"#, open.repeat(200_000), close.repeat(200_000));
        assert_eq!(of(&bomb), Err(Malformed::Header));
    }
    let members: String = (0..100_000).map(|n| format!(r#","m{n}":{n}"#)).collect();
    assert!(of(&format!(r#"{{"alg":"HS256"{members}}}"#)).is_ok(), "how long a token is, others bound");
    assert!(of(&format!(r#"{{"alg":"HS256","x":"{}"}}"#, "x".repeat(1_000_000))).is_ok());
}

#[test]
fn types_are_compared_without_case_and_prefix() {
    let kind = |typ: &str| of(&format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#)).unwrap().kind;
    for (typ, expected) in [
        ("JWT", "jwt"),
        ("at+jwt", "at+jwt"),
        ("AT+JWT", "at+jwt"),
        ("application/at+jwt", "at+jwt"),
        ("APPLICATION/at+JWT", "at+jwt"),
        ("application/", ""),
        ("application/application/jwt", "application/jwt"),
        ("text/jwt", "text/jwt"),
        (" jwt", " jwt"),
    ] {
        assert_eq!(kind(typ).as_deref(), Some(expected), "{typ}");
    }
    assert_eq!(of(r#"{"alg":"HS256"}"#).unwrap().kind, None);
}

#[test]
fn a_key_that_a_token_brings_has_no_effect() {
    let (trusted, own) = (key(&ed25519_jwk(1)), ed25519_jwk(2));
    for member in [
        json!({"jwk": own}),
        json!({"jku": "https://attacker.example/jwks.json"}),
        json!({"x5u": "https://attacker.example/cert.pem"}),
        json!({"x5c": [base64(ed25519(2).pk.as_slice())]}),
        json!({"x5t": "AAAA", "x5t#S256": "AAAA", "jwk": own, "jku": "http://localhost/"}),
        json!({"jwk": 1, "jku": null, "x5c": "x", "x5u": []}),
    ] {
        let mut header = json!({"alg": "EdDSA"});
        header.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
        let header = header.to_string();
        let forged = token(&header, "{}", by_ed25519(2));
        assert_eq!(check(&forged, &trusted), Signed::No, "{header}");
        assert_eq!(check(&forged, &key(&own)), Signed::Yes, "the test's own signature is right");
        assert_eq!(check(&token(&header, "{}", by_ed25519(1)), &trusted), Signed::Yes, "{header}");
    }
}
