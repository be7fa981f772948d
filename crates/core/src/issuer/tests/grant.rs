//! Who a token is for and what it grants.

use proptest::prelude::*;

use super::*;

fn consumer(issuer: &Issuer, changes: Value) -> Result<String, Refused> {
    judge(issuer, changes).map(|grant| grant.consumer)
}

#[test]
fn the_consumer_is_a_claims_text() {
    assert_eq!(consumer(&issuer(), json!({"sub": 42})).as_deref(), Ok("42"));
    assert_eq!(consumer(&issuer(), json!({"sub": true})).as_deref(), Ok("true"));
    for path in ["azp", "/org/id", "https://issuer.example/tenant", "/https:~1~1issuer.example~1tenant"] {
        let own = Issuer { consumer: ClaimPath::parse(path).unwrap(), ..issuer() };
        let claims = json!({"azp": "x", "org": {"id": "x"}, "https://issuer.example/tenant": "x"});
        assert_eq!(consumer(&own, claims).as_deref(), Ok("x"), "{path}");
        assert_eq!(consumer(&own, json!({})).err(), Some(Refused::Malformed), "{path}: `sub` is not asked");
    }
}

#[test]
fn the_prefix_keeps_consumers_of_issuers_apart() {
    let own = Issuer { consumer_prefix: "a:".to_owned(), ..issuer() };
    assert_eq!(consumer(&own, json!({})).as_deref(), Ok("a:alice"));
    assert_eq!(consumer(&own, json!({"sub": "x".repeat(126)})).map(|id| id.len()), Ok(128));
    assert_eq!(consumer(&own, json!({"sub": "x".repeat(127)})).err(), Some(Refused::Malformed));
}

#[test]
fn a_consumer_that_may_not_be_an_id_is_refused() {
    for sub in [
        json!(null),
        json!(""),
        json!(" "),
        json!("a b"),
        json!("a\nb"),
        json!("a\r\nx-admin: 1"),
        json!("a\"b"),
        json!("a\\b"),
        json!("ä"),
        json!("a\u{0}"),
        json!("\u{7f}"),
        json!("x".repeat(129)),
        json!(1.5),
        json!(["alice"]),
        json!({"alice": 1}),
        json!([]),
    ] {
        for prefix in ["", "a:"] {
            let own = Issuer { consumer_prefix: prefix.to_owned(), ..issuer() };
            assert_eq!(consumer(&own, json!({"sub": sub})).err(), Some(Refused::Malformed), "{prefix}{sub}");
        }
    }
    assert_eq!(consumer(&issuer(), json!({"sub": "x".repeat(128)})).map(|id| id.len()), Ok(128));
}

#[test]
fn the_tier_is_said_by_a_claim_or_is_the_default() {
    let by = |path: Option<&str>, default: Option<usize>| {
        let tiers = Box::new([("gold".to_owned(), 2_usize), ("7".to_owned(), 1), ("true".to_owned(), 3)]);
        let claim = path.map(|path| ClaimPath::parse(path).unwrap());
        Issuer { known_by: KnownBy::Token(TierClaim { claim, tiers, default }), ..issuer() }
    };
    let tier = |issuer: &Issuer, changes: Value| judge(issuer, changes).map(|grant| grant.tier);
    let own = by(Some("/app/plan"), Some(0));
    for (plan, expected) in [
        (json!("gold"), 2),
        (json!(7), 1),
        (json!("7"), 1),
        (json!(true), 3),
        (json!("GOLD"), 0),
        (json!(7.0), 0),
        (json!(["gold"]), 0),
        (json!({"gold": 1}), 0),
        (json!(""), 0),
    ] {
        assert_eq!(tier(&own, json!({"app": {"plan": plan}})), Ok(Some(expected)), "{plan}");
    }
    assert_eq!(tier(&own, json!({})), Ok(Some(0)));
    let strict = by(Some("/app/plan"), None);
    assert_eq!(tier(&strict, json!({"app": {"plan": "gold"}})), Ok(Some(2)));
    for changes in [json!({}), json!({"app": {"plan": "lead"}}), json!({"app": {"plan": ["gold"]}}), json!({"plan": "gold"})] {
        assert_eq!(tier(&strict, changes.clone()), Err(Refused::Malformed), "{changes}");
    }
    assert_eq!(tier(&by(None, Some(4)), json!({"app": {"plan": "gold"}})), Ok(Some(4)));
    assert_eq!(tier(&by(None, None), json!({})), Err(Refused::Malformed));
}

#[test]
fn who_is_known_by_others_has_no_tier_of_the_token() {
    for known_by in [KnownBy::Configuration, KnownBy::Backend] {
        assert_eq!(judge(&Issuer { known_by, ..issuer() }, json!({"tier": "gold"})).unwrap().tier, None);
    }
}

#[test]
fn scopes_and_roles_are_words_or_lists_of_the_first_claim_there_is() {
    let of = |changes: Value| {
        let grant = judge(&issuer(), changes).unwrap();
        (grant.scopes.join(","), grant.roles.join(","))
    };
    for (changes, scopes, roles) in [
        (json!({"scope": "a b", "roles": ["x", "y"]}), "a,b", "x,y"),
        (json!({"scope": "a", "scp": "b"}), "a", ""),
        (json!({"scp": ["a", "b"]}), "a,b", ""),
        (json!({"scope": "", "scp": "b"}), "", ""),
        (json!({"scope": [], "scp": "b"}), "", ""),
        (json!({"scope": 1, "scp": "b"}), "", ""),
        (json!({"scope": {"a": 1}, "roles": "x y"}), "", "x,y"),
        (json!({"scope": "  a   b ", "roles": [1, "x", null, ["y"], ""]}), "a,b", "x"),
        (json!({"roles": true}), "", ""),
    ] {
        assert_eq!(of(changes.clone()), (scopes.to_owned(), roles.to_owned()), "{changes}");
    }
    let mut null = claims(json!({"scp": "b"}));
    null.insert("scope".to_owned(), Value::Null);
    assert_eq!(issuer().judge(&header(None), &null, NOW).unwrap().scopes, ["b"], "null is not there");
}

#[test]
fn names_lose_their_prefix_or_do_not_count() {
    let names = NamesClaim {
        claims: Box::new([ClaimPath::parse("/realm/roles").unwrap()]),
        strip_prefix: "api:".to_owned(),
        default: texts(&["guest", "api:x"]),
    };
    let own = Issuer { scopes: names.clone(), roles: names, ..issuer() };
    let grant = |changes: Value| judge(&own, changes).unwrap();
    let some = grant(json!({"realm": {"roles": ["api:read", "write", "api:", "api:api:x", "API:y", "xapi:z"]}}));
    assert_eq!(some.scopes, ["read", "api:x"]);
    assert_eq!(some.roles, some.scopes);
    assert_eq!(grant(json!({"realm": {"roles": "api:a b"}})).scopes, ["a"]);
    assert_eq!(grant(json!({"realm": {"roles": []}})).scopes, [""; 0], "an empty claim is one");
    for without in [json!({}), json!({"realm": {}}), json!({"realm": 1}), json!({"scope": "api:a"})] {
        assert_eq!(grant(without).scopes, ["guest", "api:x"], "the default is as it is");
    }
}

#[test]
fn a_tokens_id_is_kept_if_it_may_stand_in_a_header() {
    let id = |jti: Value| judge(&issuer(), json!({"jti": jti})).map(|grant| grant.id);
    assert_eq!(id(json!("a-1")), Ok(Some("a-1".to_owned())));
    assert_eq!(id(json!("x".repeat(128))), Ok(Some("x".repeat(128))));
    for odd in ["", "a b", "a\nb", "ä", "\"", &"x".repeat(129)] {
        assert_eq!(id(json!(odd)), Ok(None), "{odd:?}");
    }
    assert_eq!(id(json!(null)), Ok(None));
    for wrong in [json!(1), json!(["a"]), json!({}), json!(false)] {
        assert_eq!(id(wrong.clone()), Err(Refused::Malformed), "{wrong}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (NOW - 200..NOW + 200).prop_map(Value::from),
        "\\PC{0,8}|api|alice|https://issuer\\.example|gold|[a-z ]{0,200}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}|id|plan", inner, 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn any_claims_are_judged(
        changes in prop::collection::btree_map(
            prop::sample::select(vec!["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "scp", "roles", "org", "x"]),
            any_value(),
            0..4
        ),
        kind in prop::option::of("jwt|at\\+jwt|\\PC{0,4}"),
        now in prop_oneof![any::<u64>(), Just(0), Just(u64::MAX), NOW - 200..NOW + 200],
        longest_life in prop::option::of(any::<u64>()),
        leeway in 0_u64..=300,
        path in prop::sample::select(vec!["sub", "/org/id", "/org/plan"])
    ) {
        let consumer = ClaimPath::parse(path).unwrap();
        let claim = Some(consumer.clone());
        let tier = TierClaim { claim, tiers: Box::new([("gold".to_owned(), 1_usize)]), default: Some(0) };
        let own = Issuer { longest_life, leeway, consumer, known_by: KnownBy::Token(tier), ..issuer() };
        let mut claims = claims(json!({}));
        claims.extend(changes.into_iter().map(|(name, value)| (name.to_owned(), value)));
        if let Ok(grant) = own.judge(&header(kind.as_deref()), &claims, now) {
            prop_assert!(is_id(&grant.consumer) && grant.id.as_deref().is_none_or(is_id));
            prop_assert!(grant.validity.from <= now && now < grant.validity.until);
            prop_assert_eq!(claims.get("iss"), Some(&json!("https://issuer.example")));
        }
    }
}
