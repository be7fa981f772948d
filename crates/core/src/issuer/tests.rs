//! What a token of an issuer must be like, rule by rule, and what it grants.

mod grant;

use serde_json::json;

use super::*;

const NOW: u64 = 1_700_000_000;

/// An issuer with no rule beyond those that always hold.
fn issuer() -> Issuer {
    let claims = |names: &[&str]| NamesClaim {
        claims: names.iter().map(|name| ClaimPath::parse(name).unwrap()).collect(),
        strip_prefix: String::new(),
        default: Box::new([]),
    };
    Issuer {
        name: "https://issuer.example".to_owned(),
        tag: [7; 8],
        audiences: Some(texts(&["api", "other"])),
        algorithms: Algorithm::ALL.into(),
        algorithms_named: false,
        kinds: None,
        leeway: 30,
        longest_life: None,
        keys: Keys::Known(KeySet::default()),
        consumer: ClaimPath::parse("sub").unwrap(),
        consumer_prefix: String::new(),
        known_by: KnownBy::Backend,
        scopes: claims(&["scope", "scp"]),
        roles: claims(&["roles"]),
    }
}

fn texts(names: &[&str]) -> Box<[String]> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn header(kind: Option<&str>) -> Header {
    Header { algorithm: Algorithm::Es256, key_id: None, kind: kind.map(str::to_owned) }
}

/// The claims of a token that is accepted, with others; `null` takes one out.
fn claims(changes: Value) -> Map<String, Value> {
    let Value::Object(mut claims) = json!({"iss": "https://issuer.example", "sub": "alice", "aud": "api", "exp": NOW + 60}) else {
        panic!()
    };
    let Value::Object(changes) = changes else { panic!() };
    claims.extend(changes);
    claims.retain(|_, value| !value.is_null());
    claims
}

fn judge(issuer: &Issuer, changes: Value) -> Result<Grant, Refused> {
    issuer.judge(&header(Some("at+jwt")), &claims(changes), NOW)
}

fn refused(issuer: &Issuer, changes: Value) -> Option<Refused> {
    judge(issuer, changes).err()
}

#[test]
fn a_token_with_what_it_needs_is_accepted() {
    let grant = judge(&issuer(), json!({})).unwrap();
    let validity = Validity { from: 0, until: NOW + 90 };
    assert_eq!(grant, Grant { consumer: "alice".to_owned(), tier: None, id: None, origin: None, scopes: vec![], roles: vec![], validity });
    assert!(judge(&issuer(), json!({"nbf": NOW, "iat": NOW, "azp": "x", "other": {"a": [1]}})).is_ok());
}

#[test]
fn types_are_those_of_access_tokens_where_none_are_given() {
    let takes = |kinds: Option<&[&str]>, kind: Option<&str>| {
        let issuer = Issuer { kinds: kinds.map(texts), ..issuer() };
        match issuer.judge(&header(kind), &claims(json!({})), NOW) {
            Ok(_) => true,
            Err(refused) => {
                assert_eq!(refused, Refused::Malformed);
                false
            }
        }
    };
    for kind in [None, Some("jwt"), Some("at+jwt")] {
        assert!(takes(None, kind), "{kind:?}");
    }
    for kind in ["", "id+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt", "jose", "application/jwt", "jwt ", "at+jwt2"] {
        assert!(!takes(None, Some(kind)), "{kind}");
    }
    let own = Some(&["at+jwt", "x"][..]);
    assert!(takes(own, Some("at+jwt")) && takes(own, Some("x")));
    assert!(!takes(own, Some("jwt")) && !takes(own, None) && !takes(own, Some("")) && !takes(Some(&[]), None));
}

#[test]
fn the_issuer_is_compared_exactly() {
    for iss in [
        json!(null),
        json!(""),
        json!("https://issuer.example/"),
        json!("https://ISSUER.example"),
        json!("http://issuer.example"),
        json!("https://issuer.example "),
        json!("https://issuer.example.attacker.example"),
        json!(["https://issuer.example"]),
        json!({"https://issuer.example": 1}),
        json!(1),
    ] {
        assert_eq!(refused(&issuer(), json!({"iss": iss})), Some(Refused::Malformed), "{iss}");
    }
}

#[test]
fn a_token_for_somebody_else_is_refused() {
    for aud in [json!("api"), json!("other"), json!(["api"]), json!(["x", "other"]), json!(["other", "api"])] {
        assert_eq!(refused(&issuer(), json!({"aud": aud})), None, "{aud}");
    }
    for aud in [json!(null), json!(""), json!("API"), json!("api other"), json!("api/"), json!([]), json!(["x"]), json!([""])] {
        assert_eq!(refused(&issuer(), json!({"aud": aud})), Some(Refused::WrongAudience), "{aud}");
    }
    for aud in [json!(1), json!({"api": 1}), json!(["api", 1]), json!([["api"]]), json!([null]), json!(true)] {
        assert_eq!(refused(&issuer(), json!({"aud": aud})), Some(Refused::Malformed), "{aud}");
    }
    let anybody = Issuer { audiences: None, ..issuer() };
    for aud in [json!(null), json!("x"), json!(1)] {
        assert_eq!(refused(&anybody, json!({"aud": aud})), None, "{aud}");
    }
    let nobody = Issuer { audiences: Some(Box::new([])), ..issuer() };
    assert_eq!(refused(&nobody, json!({})), Some(Refused::WrongAudience));
}

#[test]
fn a_token_ends_when_it_says_so_and_must_say_so() {
    let ends = |exp: Value| refused(&issuer(), json!({"exp": exp}));
    for exp in [NOW + 1, NOW, NOW - 29, 253_402_300_799] {
        assert_eq!(ends(json!(exp)), None, "{exp}");
    }
    for exp in [NOW - 30, NOW - 31, 1, 0] {
        assert_eq!(ends(json!(exp)), Some(Refused::Expired), "{exp}");
    }
    assert_eq!((ends(json!((NOW - 29) as f64)), ends(json!((NOW - 30) as f64 + 0.9))), (None, Some(Refused::Expired)));
    for exp in [
        json!(null),
        json!("1800000000"),
        json!(-1),
        json!(1e300),
        json!(253_402_300_800_u64),
        json!(u64::MAX),
        json!([NOW + 60]),
        json!(true),
        json!({}),
    ] {
        assert_eq!(ends(exp.clone()), Some(Refused::Malformed), "{exp}");
    }
    let mut null = claims(json!({}));
    null.insert("exp".to_owned(), Value::Null);
    assert_eq!(issuer().judge(&header(None), &null, NOW).err(), Some(Refused::Malformed));
    let strict = Issuer { leeway: 0, ..issuer() };
    assert_eq!((refused(&strict, json!({"exp": NOW + 1})), refused(&strict, json!({"exp": NOW}))), (None, Some(Refused::Expired)));
}

#[test]
fn a_token_begins_when_it_says_so() {
    let begins = |nbf: Value| refused(&issuer(), json!({"nbf": nbf}));
    for nbf in [json!(0), json!(NOW), json!(NOW + 30), json!((NOW + 30) as f64 + 0.5)] {
        assert_eq!(begins(nbf.clone()), None, "{nbf}");
    }
    for wait in [1, 1_000_000] {
        assert_eq!(begins(json!(NOW + 30 + wait)), Some(Refused::NotYetValid(wait)));
    }
    for nbf in [json!("0"), json!(-1), json!([]), json!(false), json!(u64::MAX)] {
        assert_eq!(begins(nbf.clone()), Some(Refused::Malformed), "{nbf}");
        assert_eq!(refused(&issuer(), json!({"iat": nbf})), Some(Refused::Malformed), "iat {nbf}");
    }
    assert_eq!(refused(&issuer(), json!({"iat": NOW + 1_000_000})), None, "when it was issued refuses nothing");
    assert_eq!(refused(&issuer(), json!({"nbf": NOW + 100, "exp": NOW - 100})), Some(Refused::Expired));
    let strict = Issuer { leeway: 0, ..issuer() };
    assert_eq!((refused(&strict, json!({"nbf": NOW})), refused(&strict, json!({"nbf": NOW + 1}))), (None, Some(Refused::NotYetValid(1))));
}

#[test]
fn validity_holds_the_leeway_and_can_be_asked_again() {
    let validity = judge(&issuer(), json!({"nbf": NOW, "exp": NOW + 60})).unwrap().validity;
    assert_eq!(validity, Validity { from: NOW - 30, until: NOW + 90 });
    for (at, expected) in [
        (NOW - 31, Err(Refused::NotYetValid(1))),
        (NOW - 30, Ok(())),
        (NOW + 89, Ok(())),
        (NOW + 90, Err(Refused::Expired)),
        (u64::MAX, Err(Refused::Expired)),
        (0, Err(Refused::NotYetValid(NOW - 30))),
    ] {
        assert_eq!(validity.at(at), expected, "{at}");
    }
    assert_eq!(judge(&issuer(), json!({"nbf": 7})).unwrap().validity.from, 0);
}

#[test]
fn a_token_may_not_end_later_than_the_longest_life_from_now() {
    let lives = |longest: Option<u64>, exp: u64| refused(&Issuer { longest_life: longest, ..issuer() }, json!({"exp": exp}));
    assert_eq!(lives(Some(3_600), NOW + 3_600 + 30), None, "with the leeway");
    assert_eq!(lives(Some(3_600), NOW + 3_600 + 31), Some(Refused::Malformed));
    assert_eq!(lives(None, 253_402_300_799), None);
    assert_eq!(lives(Some(u64::MAX), 253_402_300_799), None);
    assert_eq!(lives(Some(3_600), NOW - 30), Some(Refused::Expired));
}

#[test]
fn what_is_wrong_first_is_named() {
    let all = json!({"iss": "x", "aud": "x", "exp": 0, "sub": null});
    assert_eq!(refused(&issuer(), all), Some(Refused::Malformed));
    assert_eq!(refused(&issuer(), json!({"aud": "x", "exp": 0, "sub": null})), Some(Refused::WrongAudience));
    assert_eq!(refused(&issuer(), json!({"exp": 0, "sub": null})), Some(Refused::Expired));
    assert_eq!(issuer().judge(&header(None), &Map::new(), NOW).err(), Some(Refused::Malformed));
}

#[test]
fn pss_is_for_keys_that_are_said_to_be_for_it() {
    let key = |algorithm: Option<&str>| {
        let n = format!("{}Q", "s".repeat(341));
        let mut members = json!({"kty": "RSA", "n": n, "e": "AQAB", "kid": "1"});
        if let Some(algorithm) = algorithm {
            members["alg"] = json!(algorithm);
        }
        Jwk::read(members.as_object().unwrap()).unwrap()
    };
    let header = |algorithm, id: &str| Header { algorithm, key_id: Some(id.to_owned()), kind: None };
    let (unnamed, named) = (issuer(), Issuer { algorithms_named: true, ..issuer() });
    for (own, key, expected) in [
        (&unnamed, key(None), [true, false]),
        (&named, key(None), [true, true]),
        (&unnamed, key(Some("PS256")), [false, true]),
        (&named, key(Some("RS256")), [true, false]),
    ] {
        let may = [Algorithm::Rs256, Algorithm::Ps256].map(|algorithm| own.may_sign_with(&key, &header(algorithm, "1")));
        assert_eq!(may, expected, "{key:?}");
        assert!(!own.may_sign_with(&key, &header(Algorithm::Rs256, "2")));
    }
}
