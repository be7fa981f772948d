mod tokens;
mod wrong;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::limit::{Counted, FailureMode, Period};
use crate::route::Target;
use wrong::Wrong;

/// A configuration that uses every field.
const EXAMPLE: &str = include_str!("../../../../examples/plugin.json");
/// The value of every variable that is set and long enough.
const SECRET: &str = "0123456789abcdef";

fn environment(name: &str) -> Option<String> {
    match name {
        "LONG"
        | "ACME_SIGNING_SECRET"
        | "TOLLGATE_ISSUER_KEY"
        | "TOLLGATE_PEPPER"
        | "TOLLGATE_NODE_CREDENTIAL"
        | "TOLLGATE_INTROSPECTION_SECRET" => Some(SECRET.to_owned()),
        "TOLLGATE_TOKEN_SECRET" => Some(SECRET.repeat(2)),
        "SHORT" => Some("0123".to_owned()),
        _ => None,
    }
}

/// All that is said of a document, a line each; none if it is valid.
fn said(json: &[u8]) -> Vec<String> {
    match load(json, &environment) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            assert!(!problems.0.is_empty(), "an error without a problem");
            problems.to_string().lines().map(str::to_owned).collect()
        }
    }
}

fn said_of(document: &Value) -> Vec<String> {
    said(document.to_string().as_bytes())
}

fn check(table: &[Wrong]) {
    for (document, expected) in table {
        assert_eq!(said(document.as_bytes()), *expected, "{document}");
    }
}

#[test]
fn wrong_credentials_are_named() {
    check(wrong::CREDENTIALS);
}

#[test]
fn wrong_rules_of_abuse_are_named_with_what_is_allowed() {
    check(wrong::ABUSE);
}

#[test]
fn wrong_backends_are_named() {
    check(wrong::BACKEND);
}

#[test]
fn wrong_tokens_are_named() {
    check(wrong::TOKENS);
}

#[test]
fn wrong_requirements_are_named() {
    check(wrong::REQUIREMENTS);
}

#[test]
fn a_tier_from_the_backend_is_compiled_for_the_routes_there_are() {
    let policy = load(br#"{"routes":[{"name":"a","match":{"path":"/a"}},{"name":"b","match":{"path":"/b"}}]}"#, &environment).unwrap();
    let limit = |routes: &[&str]| serde_json::json!({"name": "l", "algorithm": "token_bucket", "rate": 5, "per": "1s", "routes": routes});
    let tier = |routes: &[&str]| serde_json::from_value(serde_json::json!({"name": "t", "limits": [limit(routes)]})).unwrap();
    let applies = |routes: &[&str]| {
        let tier = compile_tier(&tier(routes), &policy).unwrap();
        (0..3).filter(|route| tier.limits[0].routes.include(*route)).collect::<Vec<_>>()
    };
    assert_eq!(applies(&["b", "default"]), [1, 2]);
    assert_eq!(applies(&["elsewhere"]), [0_u16; 0], "a route of other nodes is not any of this one's");
    let Err(problems) = check_tier(
        &serde_json::from_value(
            serde_json::json!({"name": "T", "limits": [{"name": "l", "algorithm": "token_bucket", "rate": 0, "per": "1s"}]}),
        )
        .unwrap(),
    ) else {
        panic!("wrong, and accepted")
    };
    assert_eq!(problems.0.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), ["name", "limits[0].rate"]);
}

#[test]
fn limits_over_all_nodes_are_told_from_those_of_each_node() {
    let policy = load(b"{}", &environment).unwrap();
    let tier = json!({"name": "t", "limits": [
        {"name": "monthly", "algorithm": "quota", "rate": 100_000, "per": "month", "time_zone": "Europe/Berlin"},
        {"name": "own", "algorithm": "sliding_window", "rate": 5, "per": "1s", "scope": "node"},
        {"name": "daily", "algorithm": "quota", "rate": 9, "per": "day", "failure_mode": "degrade", "degrade_to": {"rate": 2, "per": "1s"}},
        {"name": "all", "algorithm": "token_bucket", "rate": 7, "per": "1s", "scope": "global"},
    ]});
    let document = serde_json::from_value(tier).unwrap();
    let tier = compile_tier(&document, &policy).unwrap();
    let [own] = &*tier.limits else { panic!("{:?}", tier.limits) };
    let [monthly, daily, all] = &*tier.leased else { panic!("{:?}", tier.leased) };
    assert_eq!((own.name.as_str(), own.failure_mode, own.window_seconds), ("own", FailureMode::Degrade, 1));
    assert_eq!((monthly.counted, monthly.failure_mode, monthly.degraded), (Counted::Quota(Period::Month), FailureMode::Deny, None));
    assert_eq!((daily.counted, daily.failure_mode), (Counted::Quota(Period::Day), FailureMode::Degrade));
    assert_eq!(daily.degraded.unwrap().capacity(), 2);
    let Counted::Rate(rate) = all.counted else { panic!("{all:?}") };
    assert_eq!((all.failure_mode, all.degraded), (FailureMode::Degrade, Some(rate)));
    let rates: Vec<_> = document.limits.iter().map(global_rate).collect();
    assert_eq!(rates, [None, None, None, Some(rate)]);
}

#[test]
fn wrong_limits_over_all_nodes_are_named() {
    let said = |limit: Value| {
        let tier = json!({"name": "t", "limits": [limit]});
        let Err(problems) = check_tier(&serde_json::from_value(tier).unwrap()) else { return Vec::new() };
        problems.0.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let quota = |more: Value| {
        let mut quota = json!({"name": "q", "algorithm": "quota", "rate": 5, "per": "day"});
        quota.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        said(quota)
    };
    assert!(quota(json!({})).is_empty());
    assert!(quota(json!({"rate": 9_007_199_254_740_991_u64, "scope": "global", "time_zone": "America/Argentina/Ushuaia"})).is_empty());
    let one = |more: Value, problem: &str| assert_eq!(quota(more), [format!("limits[0].{problem}")]);
    one(json!({"rate": 0}), "rate: found 0; allowed: 1 to 9007199254740991");
    one(json!({"rate": 9_007_199_254_740_992_u64}), "rate: found 9007199254740992; allowed: 1 to 9007199254740991");
    one(json!({"per": "1d"}), "per: found `1d`; allowed: `day`, `month` or `lifetime` for a quota");
    assert!(quota(json!({"per": "lifetime"})).is_empty());
    one(json!({"per": "lifetime", "time_zone": "UTC"}), "time_zone: found a value; allowed: none for a quota that never begins anew");
    one(json!({"burst": 3}), "burst: found a value; allowed: no burst with `quota`");
    one(json!({"scope": "node"}), "scope: found `node`; allowed: `global`, or nothing: a quota is counted over all nodes");
    one(json!({"time_zone": "here!"}), "time_zone: found `here!`; allowed: a name of the IANA database, such as `Europe/Berlin`");
    one(
        json!({"failure_mode": "degrade"}),
        "degrade_to: found nothing; allowed: a rate such as `{rate: 10, per: 1s}`, for a quota that degrades",
    );
    one(json!({"degrade_to": {"rate": 1, "per": "1s"}}), "degrade_to: found a value; allowed: none but with `failure_mode: degrade`");
    one(json!({"failure_mode": "degrade", "degrade_to": {"rate": 0, "per": "1s"}}), "degrade_to.rate: found 0; allowed: 1 to 1000000000");
    let window = |per: &str| said(json!({"name": "g", "algorithm": "sliding_window", "rate": 5, "per": per, "scope": "global"}));
    let found =
        |per| format!("limits[0].per: found `{per}`; allowed: at least `10s` for a `sliding_window` over all nodes; or a `token_bucket`");
    assert_eq!((window("9s"), window("10s")), (vec![found("9s")], Vec::new()));
    let zone = json!({"name": "g", "algorithm": "token_bucket", "rate": 5, "per": "1s", "scope": "global", "time_zone": "UTC"});
    assert_eq!(said(zone), ["limits[0].time_zone: found a value; allowed: none but for a quota"]);
}

#[test]
fn wrong_tiers_and_consumers_are_named() {
    check(wrong::TIERS_AND_CONSUMERS);
}

#[test]
fn wrong_routes_and_answers_are_named() {
    check(wrong::ROUTES_AND_ANSWERS);
}

#[test]
fn wrong_shapes_are_named() {
    check(wrong::SHAPES);
}

#[test]
fn lists_have_bounds() {
    let list = |length: usize, make: fn(usize) -> Value| (0..length).map(make).collect::<Value>();
    let sources = |length| json!({"credentials": {"sources": list(length, |n| json!({"query": format!("q{n}")}))}});
    assert!(said_of(&sources(8)).is_empty());
    assert_eq!(said_of(&sources(9)), ["credentials.sources: found 9 sources; allowed: 1 to 8"]);

    let issuer_key = |n| json!({"version": n, "prefix": "foil", "secret": {"env": "LONG"}});
    let issuer_keys = |length| json!({"credentials": {"issuer_keys": list(length, issuer_key)}});
    assert!(said_of(&issuer_keys(8)).is_empty());
    assert_eq!(said_of(&issuer_keys(9)), ["credentials.issuer_keys: found 9 keys; allowed: at most 8"]);

    let limit = |n| json!({"name": format!("l{n}"), "algorithm": "token_bucket", "rate": 1, "per": "1s"});
    let limits = |length| json!({"tiers": [{"name": "a", "limits": list(length, limit)}]});
    assert!(said_of(&limits(8)).is_empty());
    assert_eq!(said_of(&limits(9)), ["tiers[0].limits: found 9 limits; allowed: at most 8"]);

    let routes = |length| json!({"routes": list(length, |n| json!({"name": format!("r{n}"), "match": {}}))});
    assert!(said_of(&routes(1_000)).is_empty());
    assert_eq!(said_of(&routes(1_001)), ["routes: found 1001 routes; allowed: at most 1000"]);

    let consumer = |length: usize| json!({"consumers": [{"id": "i".repeat(length), "tier": "free"}]});
    assert!(said_of(&consumer(128)).is_empty());
    let problems = said_of(&consumer(129));
    assert!(problems[0].contains(&format!("found `{}` (cut);", "i".repeat(80))), "{problems:?}");

    let header = |length: usize| json!({"credentials": {"sources": [{"header": "h".repeat(length)}]}});
    assert!(said_of(&header(64)).is_empty());
    assert!(said_of(&header(65))[0].starts_with("credentials.sources[0].header: found `h"));

    let padded = |length: usize| format!("{{}}{}", " ".repeat(length - 2)).into_bytes();
    assert!(said(&padded(LARGEST_DOCUMENT)).is_empty());
    assert_eq!(said(&padded(LARGEST_DOCUMENT + 1)), ["document: found 8388609 bytes; allowed: at most 8388608 bytes"]);
}

#[test]
fn all_problems_are_listed_at_once() {
    let document = json!({"realm": "", "anonymous_tier": "gold", "routes": [{"name": "A", "cost": 2_000_000}], "node": {"slots": 1}});
    let paths: Vec<String> = load(document.to_string().as_bytes(), &environment).unwrap_err().0.into_iter().map(|one| one.path).collect();
    assert_eq!(paths, ["routes[0].name", "anonymous_tier", "routes[0].match", "routes[0].cost", "realm", "node.slots"]);
}

#[test]
fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"routes\":[", "]}")] {
        let document = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        assert!(!said(document.as_bytes()).is_empty(), "{open}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    for document in [&b"\xff"[..], b"{\"realm\":\"\xff\"}", b"{\"realm\":\"\xc0\x80\"}", b"{\"\xed\xa0\x80\":1}", b"\xef\xbb\xbf{}"] {
        assert!(!said(document).is_empty(), "{}", document.escape_ascii());
    }
}

#[test]
fn an_empty_document_is_valid_and_asks_for_credentials() {
    let policy = load(b"{}", &environment).unwrap();
    let (position, route) = policy.route(Target { method: b"GET", authority: b"a.example", path: "/" }).unwrap();
    assert_eq!((position, route.name.as_str(), route.cost, route.exempt), (0, "default", 1, false));
    assert_eq!(route.auth, crate::route::Auth::Required);
    assert_eq!(policy.tiers.len(), default_tiers().len());
    assert_eq!(policy.sources.len(), 2);
}

#[test]
fn a_regular_expression_matches_the_whole_path_and_cannot_undo_that() {
    let document = json!({"routes": [{"name": "a", "match": {"regex": "/a|/b"}}]});
    let policy = load(document.to_string().as_bytes(), &environment).unwrap();
    let route = |path| policy.route(Target { method: b"GET", authority: b"", path }).unwrap().1.name.clone();
    assert_eq!([route("/a"), route("/b"), route("/a/x"), route("/x/b")], ["a", "a", "default", "default"]);
    let document = json!({"routes": [{"name": "a", "match": {"regex": "/a)|(?:/b"}}]});
    assert_eq!(said_of(&document).len(), 1);
}

#[test]
fn no_problem_shows_a_secret() {
    const INLINE: &str = "hunter2-hunter2";
    let wrong_places = [
        json!({"credentials": {"pepper": {"inline": INLINE}}}),
        json!({"credentials": {"pepper": {"inline": INLINE, "env": "LONG"}}}),
        json!({"credentials": {"pepper": INLINE}}),
        json!({"credentials": {"pepper": [INLINE]}}),
        json!({"credentials": {"pepper": {"inline": [INLINE]}}}),
        json!({"credentials": {"pepper": {"env": INLINE}}}),
        json!({"credentials": {"issuer_keys": [{"version": 1, "prefix": "foil", "secret": INLINE}]}}),
        json!({"credentials": {"issuer_keys": INLINE}}),
        json!({"consumers": [{"id": "a", "tier": "free", "keys": [INLINE]}]}),
        json!({"consumers": [{"id": "a", "tier": "free", "keys": [{"id": "a", "hash": INLINE}]}]}),
        json!({"consumers": [{"id": "a", "tier": "free", "keys": INLINE}]}),
    ];
    for document in wrong_places {
        let problems = said_of(&document);
        assert!(!problems.is_empty(), "{document}");
        assert!(!problems.concat().contains("hunter2"), "{problems:?}");
    }
    let Err(problems) = load(br#"{"credentials":{"pepper":{"inline":7812345678123456}}}"#, &environment) else { panic!("a number") };
    assert!(!problems.to_string().contains("78123"), "{problems}");
    let parsed = parse(json!({"credentials": {"pepper": {"inline": INLINE}}}).to_string().as_bytes()).unwrap();
    assert!(!format!("{parsed:?}").contains(INLINE));
}

#[test]
fn the_example_is_valid() {
    assert_eq!(said(EXAMPLE.as_bytes()), [""; 0]);
}

#[test]
fn a_document_survives_being_written_and_read_again() {
    let document = parse(EXAMPLE.as_bytes()).unwrap();
    let written = serde_json::to_vec(&document).unwrap();
    assert_eq!(parse(&written).unwrap(), document);
}

/// Any JSON, of members that the document has and of others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~]{0,12}|\\PC{0,4}|/[a-z{}*]{0,8}|10\\.0\\.0\\.0/[0-9]{1,2}|[0-9]{1,4}(s|m|h|ms)".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let name = prop_oneof![prop::sample::select(names()), "[a-z_]{1,8}".prop_map(String::from)];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The names of all members in the example.
fn names() -> Vec<String> {
    fn collect(value: &Value, names: &mut std::collections::BTreeSet<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| {
                names.insert(name.clone());
                collect(value, names);
            }),
            Value::Array(elements) => elements.iter().for_each(|element| collect(element, names)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut names = std::collections::BTreeSet::new();
    collect(&example(), &mut names);
    names.into_iter().collect()
}

fn example() -> Value {
    serde_json::from_str(EXAMPLE).unwrap()
}

/// How many values a document has, itself included.
fn size(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
        Value::Array(elements) => 1 + elements.iter().map(size).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// The `n`-th value of a document, counted from the outside in; `n` becomes what is left to count.
fn nth<'a>(value: &'a mut Value, n: &mut usize) -> Option<&'a mut Value> {
    if *n == 0 {
        return Some(value);
    }
    *n -= 1;
    match value {
        Value::Object(members) => members.values_mut().find_map(|value| nth(value, n)),
        Value::Array(elements) => elements.iter_mut().find_map(|value| nth(value, n)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// `said` asserts that there is either a policy or a problem.
    #[test]
    fn any_json_gives_a_policy_or_problems(document in any_json()) {
        said_of(&document);
    }

    #[test]
    fn any_bytes_give_a_policy_or_problems(document in prop::collection::vec(any::<u8>(), 0..64)) {
        said(&document);
    }

    #[test]
    fn the_example_with_any_value_replaced_gives_a_policy_or_problems(place in any::<prop::sample::Index>(), other in any_json()) {
        let mut document = example();
        let mut place = place.index(size(&document));
        *nth(&mut document, &mut place).unwrap() = other;
        said_of(&document);
    }

    #[test]
    fn the_example_with_any_bytes_replaced_gives_a_policy_or_problems(
        place in any::<prop::sample::Index>(), length in 0_usize..8, other in prop::collection::vec(any::<u8>(), 0..8)
    ) {
        let mut document = EXAMPLE.as_bytes().to_vec();
        let start = place.index(document.len());
        let end = (start + length).min(document.len());
        document.splice(start..end, other);
        said(&document);
    }
}
