use tollgate_core::config;
use tollgate_core::limit::Standing;
use tollgate_core::time::SECOND;

use super::*;
use crate::admission::Limited;
use crate::limits::Standings;

const WALL: u64 = 1_768_348_740 * SECOND;

fn policy(extra: &serde_json::Value) -> Policy {
    let mut document = serde_json::json!({
        "tiers": [{"name": "t", "limits": [
            {"name": "per-minute", "algorithm": "sliding_window", "rate": 100, "per": "60s"},
            {"name": "per-second", "algorithm": "token_bucket", "rate": 10, "per": "1s", "burst": 40},
            {"name": "trial", "algorithm": "token_bucket", "rate": 1, "per": "1s", "shadow": true},
        ]}],
        "routes": [{"name": "page", "match": {"path": "/page"}, "cors": {"origins": ["https://a.example"], "credentials": true}}],
    });
    for (field, value) in extra.as_object().unwrap() {
        document[field] = value.clone();
    }
    config::load(document.to_string().as_bytes(), &|_: &str| None).unwrap()
}

fn limited(remaining: [u64; 3]) -> Limited {
    let mut standings = Standings::default();
    for (standing, remaining) in standings.iter_mut().zip(remaining) {
        *standing = Some(Standing { remaining, until_full: 59 * SECOND + 1 });
    }
    Limited { tier: 0, standings, charge: None, leasing: None, beside: None }
}

fn denial(reason: Reason) -> Denial {
    let wait = (reason == Reason::RateLimited).then_some(59 * SECOND + 1);
    Denial { reason, route: Some(0), identity: None, wait, limited: None }
}

fn answer(extra: &serde_json::Value, head: &Head<'_>, denial: &Denial) -> Answer {
    let policy = policy(extra);
    Replies::new(&policy).denial(&policy, &Tiers::new(&policy), head, denial, WALL)
}

fn header<'a>(headers: &'a [(&'static str, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
}

fn limit_headers(answers: &serde_json::Value, remaining: [u64; 3]) -> Vec<(&'static str, String)> {
    let policy = policy(&serde_json::json!({"answers": answers}));
    let mut headers = Vec::new();
    super::limit_headers(&policy, &Tiers::new(&policy), &limited(remaining), WALL, |name, value| headers.push((name, value.to_owned())));
    headers
}

#[test]
fn bodies_are_the_documented_ones() {
    let body = |style: &str, reason| answer(&serde_json::json!({"answers": {"body": style}}), &Head::default(), &denial(reason)).body;
    assert_eq!(
        body("coded", Reason::Unauthenticated),
        r#"{"error":{"code":"unauthenticated","message":"Authentication required. Provide API key in Authorization or X-API-Key header"}}"#
    );
    assert_eq!(
        body("coded", Reason::RateLimited),
        r#"{"error":{"code":"rate_limited","message":"Rate limit exceeded. Retry after 60 seconds"},"retry_after":60}"#
    );
    assert_eq!(body("simple", Reason::RateLimited), r#"{"error":"Rate limit exceeded"}"#);
    assert_eq!(
        body("problem", Reason::AddressDenied),
        r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"Requests from this address are not allowed","code":"address_denied"}"#
    );
}

#[test]
fn every_body_is_json_and_every_challenge_a_quoted_string() {
    for style in ["coded", "simple", "problem"] {
        for reason in Reason::ALL {
            let answer = answer(&serde_json::json!({"answers": {"body": style}}), &Head::default(), &denial(reason));
            assert!(serde_json::from_str::<serde_json::Value>(&answer.body).is_ok(), "{}", answer.body);
            let challenged = header(&answer.headers, "www-authenticate").is_some();
            assert!(answer.status != 401 || challenged, "{reason:?}: RFC 9110, section 15.5.2");
            assert!(!reason.message().contains(['"', '\\']));
        }
    }
    let challenge =
        |reason| header(&answer(&serde_json::json!({}), &Head::default(), &denial(reason)).headers, "www-authenticate").map(str::to_owned);
    assert_eq!(challenge(Reason::Unauthenticated).as_deref(), Some("Bearer realm=\"tollgate\""));
    assert!(challenge(Reason::InvalidKey).unwrap().starts_with("Bearer realm=\"tollgate\", error=\"invalid_token\", error_description=\""));
    assert_eq!(challenge(Reason::RateLimited), None);
    assert!(challenge(Reason::ExpiredToken).unwrap().contains("error=\"invalid_token\""));
}

#[test]
fn a_challenge_names_the_scopes_that_the_route_requires() {
    let route = |require: serde_json::Value| serde_json::json!({"routes": [{"name": "a", "match": {}, "require": require}]});
    let denial = Denial { route: Some(0), ..denial(Reason::InsufficientScope) };
    let challenge =
        |document: &serde_json::Value| header(&answer(document, &Head::default(), &denial).headers, "www-authenticate").unwrap().to_owned();
    let scopes = challenge(&route(serde_json::json!({"scopes": {"all": ["read"], "any": ["a", "b"]}})));
    assert!(scopes.contains("error=\"insufficient_scope\"") && scopes.ends_with(", scope=\"read a b\""), "{scopes}");
    let roles = challenge(&route(serde_json::json!({"roles": {"any": ["admin"]}})));
    assert!(!roles.contains("scope=") && !roles.contains("admin"), "{roles}");
}

#[test]
fn the_message_names_the_places_that_are_configured() {
    let message =
        |sources: serde_json::Value| Replies::new(&policy(&serde_json::json!({"credentials": {"sources": sources}}))).unauthenticated;
    assert_eq!(message(serde_json::json!([{"header": "Key-Id"}])), "Authentication required. Provide API key in Key-ID header");
    let both = message(serde_json::json!([{"header": "x-key"}, {"query": "key"}]));
    assert_eq!(both, "Authentication required. Provide API key in X-Key header or key query parameter");
}

#[test]
fn grpc_clients_get_their_status_and_a_plain_message() {
    let head = Head { content_type: b"application/grpc", ..Head::default() };
    for (reason, status) in [
        (Reason::Unauthenticated, 16),
        (Reason::AddressDenied, 7),
        (Reason::RateLimited, 8),
        (Reason::Unavailable, 14),
        (Reason::AmbiguousPath, 3),
    ] {
        let answer = answer(&serde_json::json!({}), &head, &denial(reason));
        assert_eq!(answer.grpc_status, Some(status));
        assert!(!answer.body.starts_with('{') && header(&answer.headers, "content-type").is_none());
    }
}

#[test]
fn the_limit_with_the_smallest_remaining_share_is_shown() {
    let shown = |remaining| {
        let headers = limit_headers(&serde_json::json!({}), remaining);
        (header(&headers, "x-ratelimit-limit").unwrap().to_owned(), header(&headers, "x-ratelimit-remaining").unwrap().to_owned())
    };
    assert_eq!(shown([49, 20, 0]), ("100".to_owned(), "49".to_owned()));
    assert_eq!(shown([60, 20, 0]), ("40".to_owned(), "20".to_owned()), "shadow limits do not bind");
}

#[test]
fn the_reset_comes_in_three_forms() {
    let reset =
        |form: &str| header(&limit_headers(&serde_json::json!({"reset": form}), [1, 1, 1]), "x-ratelimit-reset").unwrap().to_owned();
    assert_eq!(reset("epoch"), "1768348800");
    assert_eq!(reset("rfc3339"), "2026-01-14T00:00:00Z");
    assert_eq!(reset("delta"), "60");
}

#[test]
fn ratelimit_fields_are_lists_of_strings() {
    let headers = limit_headers(&serde_json::json!({"limit_headers": ["ratelimit"]}), [49, 20, 0]);
    assert_eq!(header(&headers, "ratelimit-policy"), Some("\"per-minute\";q=100;w=60, \"per-second\";q=40;w=4"));
    assert_eq!(header(&headers, "ratelimit"), Some("\"per-minute\";r=49;t=60, \"per-second\";r=20;t=60"));
    assert_eq!(headers.len(), 2);
    for (_, value) in headers {
        let list: sfv::List = sfv::Parser::new(&value).parse().unwrap();
        assert_eq!(list.len(), 2);
        for entry in list {
            let sfv::ListEntry::Item(item) = entry else { panic!("not an item") };
            assert!(item.bare_item.as_string().is_some() && item.params.values().all(|value| value.as_integer().is_some()));
        }
    }
}

#[test]
fn denials_may_be_read_by_the_routes_origins() {
    let origin = |origin: &'static [u8]| {
        let head = Head { origin: Some(origin), ..Head::default() };
        answer(&serde_json::json!({}), &head, &denial(Reason::Unauthenticated)).headers
    };
    let own = origin(b"https://a.example");
    assert_eq!(header(&own, "access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(header(&own, "access-control-allow-credentials"), Some("true"));
    assert_eq!(header(&own, "vary"), Some("origin"));
    let other = origin(b"https://b.example");
    assert_eq!((header(&other, "access-control-allow-origin"), header(&other, "vary")), (None, Some("origin")));
    let elsewhere = Denial { route: Some(1), ..denial(Reason::Unauthenticated) };
    assert_eq!(header(&answer(&serde_json::json!({}), &Head::default(), &elsewhere).headers, "vary"), None);
}

#[test]
fn retry_after_is_there_where_waiting_helps() {
    let retry =
        |denial: &Denial| header(&answer(&serde_json::json!({}), &Head::default(), denial).headers, "retry-after").map(str::to_owned);
    assert_eq!(retry(&denial(Reason::RateLimited)).as_deref(), Some("60"));
    assert_eq!(retry(&Denial { wait: Some(1), ..denial(Reason::RateLimited) }).as_deref(), Some("1"));
    assert_eq!(retry(&Denial { wait: None, ..denial(Reason::RateLimited) }), None);
    assert_eq!(retry(&denial(Reason::Unavailable)).as_deref(), Some("1"));
    assert_eq!(retry(&denial(Reason::InvalidKey)), None);
}

#[test]
fn statuses_are_the_documented_ones() {
    let documented = include_str!("../../docs/reasons.md");
    for reason in Reason::ALL {
        let row = format!("| `{}` | {} | {} |", reason.code(), status(reason), grpc_status(reason));
        assert!(documented.contains(&row), "{row}");
    }
}
