//! What becomes of a right document of tokens and requirements, and the bounds of its lists.

use super::*;
use crate::claims::ClaimPath;
use crate::issuer::{Issuer, Keys, KnownBy, NamesClaim, RemoteKeys, TierClaim};
use crate::jws::Algorithm;

const SECRET_32: &str = "hunter2-hunter2-hunter2-hunter2-";

/// A document that uses every field.
fn right() -> Value {
    json!({
        "tokens": {
            "issuers": [
                {
                    "issuer": "https://a.example",
                    "audiences": ["api", "other"],
                    "keys": {"remote": {
                        "cluster": "outbound|443||idp.example", "path": "/jwks?x=1", "timeout": "50ms", "refresh": "10s", "pause": "100ms",
                        "max_staleness": "30d"
                    }},
                    "algorithms": ["PS256", "Ed25519"],
                    "types": ["JWT", "application/AT+jwt"],
                    "leeway": "2000ms",
                    "longest_life": "1h",
                    "consumer": {"claim": "/org/id", "prefix": "a:"},
                    "tier": {"claim": "plan", "values": {"gold": "pro", "7": "free"}, "default": "basic"},
                    "scopes": {"claim": "s", "strip_prefix": "api:", "default": ["read"]},
                    "roles": {"claim": "/realm/roles"}
                },
                {
                    "issuer": "b",
                    "audiences": [],
                    "keys": {"jwks": {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}},
                    "consumer": {"known_by": "configuration"}
                },
                {
                    "issuer": "c",
                    "audiences": ["x"],
                    "keys": {"secrets": [
                        {"kid": "1", "secret": {"inline": SECRET_32}},
                        {"secret": {"inline": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm"}, "encoding": "base64url"}
                    ]},
                    "tier": {"claim": "plan"}
                }
            ],
            "longest": 512,
            "failed_per_address": 4
        },
        "routes": [
            {"name": "a", "match": {"path": "/a"}, "require": {"scopes": {"all": ["x"]}}},
            {"name": "b", "match": {"path": "/b"}, "require": {
                "scopes": {"any": ["y", "z"]}, "roles": {"all": ["r"]},
                "claims": {"all": [{"claim": "/mfa", "values": ["true"]}], "any": [{"claim": "n"}]}
            }},
            {"name": "c", "match": {"path": "/c"}, "require": {"scopes": {"all": ["x"]}}},
            {"name": "d", "match": {"path": "/d"}}
        ]
    })
}

fn loaded() -> crate::policy::Policy {
    load(right().to_string().as_bytes(), &environment).unwrap_or_else(|problems| panic!("{problems}"))
}

fn claim(path: &str) -> ClaimPath {
    ClaimPath::parse(path).unwrap()
}

fn texts(names: &[&str]) -> Box<[String]> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn an_issuer_is_compiled_with_all_it_says() {
    let policy = loaded();
    let Issuer {
        name, audiences, algorithms, kinds, leeway, longest_life, keys, consumer, consumer_prefix, known_by, scopes, roles, ..
    } = &policy.tokens.issuers[0];
    assert_eq!((name.as_str(), audiences.as_deref()), ("https://a.example", Some(&*texts(&["api", "other"]))));
    assert_eq!(**algorithms, [Algorithm::Ps256, Algorithm::EdDsa]);
    assert_eq!(kinds.as_deref(), Some(&*texts(&["jwt", "at+jwt"])), "as headers are compared");
    assert_eq!((*leeway, *longest_life), (2, Some(3_600)), "in seconds");
    let Keys::Remote(remote) = keys else { panic!("{keys:?}") };
    assert_eq!(
        *remote,
        RemoteKeys {
            cluster: "outbound|443||idp.example".to_owned(),
            authority: "idp.example".to_owned(),
            path: "/jwks?x=1".to_owned(),
            timeout: 50_000_000,
            refresh: 10_000_000_000,
            pause: 100_000_000,
            max_staleness: 30 * 86_400_000_000_000,
        }
    );
    assert_eq!((consumer, consumer_prefix.as_str()), (&claim("/org/id"), "a:"));
    let tiers = Box::new([("7".to_owned(), 0_usize), ("gold".to_owned(), 2)]) as Box<[(String, usize)]>;
    assert_eq!(*known_by, KnownBy::Token(TierClaim { claim: Some(claim("plan")), tiers, default: Some(1) }));
    assert_eq!(*scopes, NamesClaim { claims: Box::new([claim("s")]), strip_prefix: "api:".to_owned(), default: texts(&["read"]) });
    assert_eq!(*roles, NamesClaim { claims: Box::new([claim("/realm/roles")]), strip_prefix: String::new(), default: Box::new([]) });
}

#[test]
fn an_issuer_has_defaults() {
    let policy = loaded();
    let own = &policy.tokens.issuers[1];
    assert_eq!((&own.audiences, &own.kinds, own.leeway, own.longest_life), (&None, &None, 30, None));
    assert_eq!(*own.algorithms, [Algorithm::EdDsa], "those that its keys fit");
    assert_eq!((&own.consumer, own.consumer_prefix.as_str(), &own.known_by), (&claim("sub"), "", &KnownBy::Configuration));
    assert_eq!((&*own.scopes.claims, &*own.roles.claims), (&[claim("scope"), claim("scp")][..], &[claim("roles")][..]));
    assert_ne!(own.tag, policy.tokens.issuers[0].tag);
    let own = &policy.tokens.issuers[2];
    let Keys::Known(set) = &own.keys else { panic!("{:?}", own.keys) };
    assert_eq!(set.keys().iter().map(|key| key.id().map(String::as_str)).collect::<Vec<_>>(), [Some("1"), None]);
    assert_eq!(*own.algorithms, [Algorithm::Hs256, Algorithm::Hs384], "of 32 and of 48 bytes");
    let each = ["free", "basic", "pro", "enterprise"].iter().enumerate().map(|(position, name)| ((*name).to_owned(), position)).collect();
    assert_eq!(
        own.known_by,
        KnownBy::Token(TierClaim { claim: Some(claim("plan")), tiers: each, default: None }),
        "each tier for its name"
    );
    let remote = json!({"tokens": {"issuers": [{
        "issuer": "a", "audiences": [], "tier": {"default": "free"}, "keys": {"remote": {"cluster": "idp", "path": "/"}}
    }]}});
    let policy = load(remote.to_string().as_bytes(), &environment).unwrap();
    let own = &policy.tokens.issuers[0];
    let Keys::Remote(remote) = &own.keys else { panic!("{:?}", own.keys) };
    let seconds = [remote.timeout, remote.refresh, remote.pause, remote.max_staleness].map(|nanos| nanos / 1_000_000_000);
    assert_eq!((seconds, remote.authority.as_str(), policy.tokens.longest), ([2, 600, 1, 86_400], "idp", 8_192));
    assert!(own.algorithms.iter().all(|algorithm| !algorithm.name().starts_with("HS")), "what is published is no secret");
    assert_eq!(own.algorithms.len(), Algorithm::ALL.len() - 3);
}

#[test]
fn times_of_tokens_are_whole_seconds_and_a_clock_may_not_differ_at_all() {
    for (leeway, seconds) in [("0s", 0), ("1s", 1), ("2000ms", 2), ("5m", 300)] {
        let mut document = right();
        document["tokens"]["issuers"][0]["leeway"] = json!(leeway);
        let policy = load(document.to_string().as_bytes(), &environment).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(policy.tokens.issuers[0].leeway, seconds, "{leeway}");
    }
}

#[test]
fn without_tokens_none_are_accepted() {
    let policy = load(b"{}", &environment).unwrap();
    assert!(policy.tokens.issuers.is_empty() && policy.tokens.per_address.is_none() && policy.requirements.is_empty());
    let policy = loaded();
    assert_eq!((policy.tokens.longest, policy.tokens.per_address.is_some()), (512, true));
}

#[test]
fn requirements_that_are_equal_are_one() {
    let policy = loaded();
    let of_routes: Vec<_> = policy.routes.iter().map(|route| route.requirement).collect();
    assert_eq!(of_routes, [Some(0), Some(1), Some(0), None, None]);
    assert_eq!(policy.requirements.len(), 2);
    let own = &policy.requirements[1];
    assert_eq!((&own.scopes.any, &own.roles.all), (&texts(&["y", "z"]), &texts(&["r"])));
    assert_eq!((own.all_claims[0].claim.clone(), &own.all_claims[0].values), (claim("/mfa"), &Some(texts(&["true"]))));
    assert_eq!((own.any_claims[0].claim.clone(), &own.any_claims[0].values), (claim("n"), &None));
}

#[test]
fn lists_of_tokens_and_requirements_have_bounds() {
    let list = |length: usize, make: &dyn Fn(usize) -> Value| (0..length).map(make).collect::<Value>();
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let issuer = |name: &str, keys: Value| json!({"issuer": name, "audiences": [], "tier": {"default": "free"}, "keys": keys});
    let one = |keys: Value| json!({"tokens": {"issuers": [issuer("a", keys)]}});

    let issuers = |length| json!({"tokens": {"issuers": list(length, &|n| issuer(&n.to_string(), json!({"jwks": {"keys": [key]}})))}});
    assert_eq!(said_of(&issuers(32)), [""; 0]);
    assert_eq!(said_of(&issuers(33)), ["tokens.issuers: found 33 issuers; allowed: 1 to 32"]);

    let secrets = |length| one(json!({"secrets": list(length, &|n| json!({"kid": n.to_string(), "secret": {"inline": SECRET_32}}))}));
    assert_eq!(said_of(&secrets(8)), [""; 0]);
    assert_eq!(said_of(&secrets(9)), ["tokens.issuers[0].keys.secrets: found 9 secrets; allowed: 1 to 8"]);

    let keys = |length| one(json!({"jwks": {"keys": list(length, &|_| key.clone())}}));
    assert_eq!(said_of(&keys(32)), [""; 0]);
    let wrong = "tokens.issuers[0].keys.jwks: found something else; allowed: a set of keys (RFC 7517), but it has";
    assert_eq!(said_of(&keys(33)), [format!("{wrong} 33 keys, more than 32")]);
    let large = one(json!({"jwks": {"keys": [key], "x": "x".repeat(64 * 1024)}}));
    assert_eq!(said_of(&large), [format!("{wrong} more than 65536 bytes")]);

    let name = |length: usize| json!({"tokens": {"issuers": [issuer(&"i".repeat(length), json!({"jwks": {"keys": [key]}}))]}});
    assert_eq!((said_of(&name(1_024)).len(), said_of(&name(1_025)).len()), (0, 1));
    let kid = |length: usize| one(json!({"secrets": [{"kid": "k".repeat(length), "secret": {"inline": SECRET_32}}]}));
    assert_eq!((said_of(&kid(256)).len(), said_of(&kid(257)).len()), (0, 1));
    let path = |length: usize| one(json!({"remote": {"cluster": "idp", "path": format!("/{}", "p".repeat(length - 1))}}));
    assert_eq!((said_of(&path(1_024)).len(), said_of(&path(1_025)).len()), (0, 1));

    let route = |require: Value| json!({"default_route": {"require": require}});
    let names = |length| list(length, &|n| json!(format!("n{n}")));
    let rules = |length| list(length, &|n| json!({"claim": format!("n{n}")}));
    for (field, require) in [
        ("scopes.all", (&|length| json!({"scopes": {"all": names(length)}})) as &dyn Fn(usize) -> Value),
        ("roles.any", &|length| json!({"roles": {"any": names(length)}})),
        ("claims.all", &|length| json!({"claims": {"all": rules(length)}})),
        ("claims.any", &|length| json!({"claims": {"any": rules(length)}})),
        ("claims.all[0].values", &|length| json!({"claims": {"all": [{"claim": "a", "values": names(length)}]}})),
    ] {
        assert_eq!(said_of(&route(require(64))), [""; 0], "{field}");
        assert_eq!(said_of(&route(require(65))), [format!("default_route.require.{field}: found 65 entries; allowed: at most 64")]);
    }
}

#[test]
fn no_problem_with_tokens_shows_a_secret() {
    let keys = |keys: Value| json!({"tokens": {"issuers": [{"issuer": "a", "audiences": [], "keys": keys}]}});
    for document in [
        keys(json!({"secrets": [{"secret": {"inline": "hunter2-hunter2-hunter2"}}]})),
        keys(json!({"secrets": [{"secret": {"inline": "hunter2-hunter2-hunter2="}, "encoding": "base64url"}]})),
        keys(json!({"secrets": [{"secret": "hunter2-hunter2-hunter2"}]})),
        keys(json!({"secrets": ["hunter2-hunter2-hunter2"]})),
        keys(json!({"secrets": "hunter2-hunter2-hunter2"})),
        keys(json!({"secrets": [{"secret": {"env": "hunter2-hunter2-hunter2"}}]})),
        keys(json!({"jwks": {"keys": [{"kty": "oct", "k": "hunter2-hunter2-hunter2"}]}})),
        keys(json!({"jwks": {"keys": [{"kty": "EC", "d": "hunter2-hunter2-hunter2"}]}})),
        keys(json!({"jwks": {"keys": ["hunter2-hunter2-hunter2"]}})),
        keys(json!({"jwks": "hunter2-hunter2-hunter2"})),
    ] {
        let problems = said_of(&document);
        assert!(!problems.is_empty(), "{document}");
        assert!(!problems.concat().contains("hunter2"), "{problems:?}");
    }
    let policy = loaded();
    assert!(!format!("{:?}", policy.tokens.issuers[2].keys).contains("hunter2"));
    assert!(!format!("{:?}", parse(right().to_string().as_bytes()).unwrap()).contains("hunter2"));
}

#[test]
fn a_document_of_tokens_survives_being_written_and_read_again() {
    let document = parse(right().to_string().as_bytes()).unwrap();
    assert_eq!(parse(&serde_json::to_vec(&document).unwrap()).unwrap(), document);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_document_of_tokens_with_any_value_replaced_gives_a_policy_or_problems(place in any::<prop::sample::Index>(), other in any_json()) {
        let mut document = right();
        let mut place = place.index(size(&document));
        *nth(&mut document, &mut place).unwrap() = other;
        said_of(&document);
    }
}
