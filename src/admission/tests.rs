use tollgate_core::config;
use tollgate_core::credential::{KeyHash, digest};
use tollgate_core::time::SECOND;

use super::*;
use crate::head::tests::map;
use crate::shared::{Broken, Memory, Version};

pub(super) struct FakeNode {
    pub(super) shared: Memory,
    pub(super) address: Option<IpAddr>,
    pub(super) broken: bool,
}

impl SharedData for FakeNode {
    fn get(&mut self, key: &str, value: &mut Vec<u8>) -> Result<Option<Version>, Broken> {
        if self.broken { Err(Broken) } else { self.shared.get(key, value) }
    }

    fn set(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> Result<bool, Broken> {
        self.shared.set(key, value, expected)
    }
}

impl Accelerator for FakeNode {}

impl Node for FakeNode {
    fn source_address(&mut self) -> Option<IpAddr> {
        self.address
    }
}

pub(super) fn node() -> FakeNode {
    FakeNode { shared: Memory::default(), address: Some("192.0.2.1".parse().unwrap()), broken: false }
}

fn gate(extra: &serde_json::Value) -> Gate {
    let hash = KeyHash::of(&digest(b"k1"), None).to_string();
    let mut document = serde_json::json!({
        "tiers": [{"name": "few", "limits": [{"name": "m", "algorithm": "sliding_window", "rate": 3, "per": "60s"}]}, {"name": "any"}],
        "consumers": [{"id": "acme", "tier": "few", "keys": [{"id": "acme-1", "hash": hash}]}],
    });
    for (field, value) in extra.as_object().unwrap() {
        document[field] = value.clone();
    }
    Gate::new(config::load(document.to_string().as_bytes(), &|_: &str| None).unwrap(), "node-1", [7; 32])
}

/// Judges a request for `path` with these headers.
fn judge(gate: &mut Gate, node: &mut FakeNode, path: &str, headers: &[(&str, &str)]) -> Verdict {
    let mut pairs: Vec<(&[u8], &[u8])> = vec![(b":method", b"GET"), (b":authority", b"api"), (b":path", path.as_bytes())];
    for (name, value) in headers {
        pairs.retain(|(own, _)| *own != name.as_bytes() || !name.starts_with(':'));
        pairs.push((name.as_bytes(), value.as_bytes()));
    }
    let map = map(&pairs);
    let head = gate.read(&map).unwrap();
    gate.judge(&head, Waited::default(), Instant(SECOND), 0, node)
}

fn reason(verdict: Verdict) -> Option<Reason> {
    match verdict {
        Verdict::Deny(denial) => Some(denial.reason),
        Verdict::Admit(_) => None,
        Verdict::Wait(..) => panic!("there is no backend to wait for"),
    }
}

#[test]
fn a_key_passes_only_from_where_its_consumer_and_itself_may_be() {
    let hash = |key: &[u8]| KeyHash::of(&digest(key), None).to_string();
    let consumers = serde_json::json!([{
        "id": "acme", "tier": "any", "addresses": {"deny": ["192.0.2.66"]},
        "keys": [{"id": "1", "hash": hash(b"k1")}, {"id": "2", "hash": hash(b"k2"), "addresses": {"allow": ["192.0.2.0/24"]}}],
    }]);
    let (mut gate, mut node) = (gate(&serde_json::json!({"consumers": consumers})), node());
    for (address, first, second) in [
        (Some("192.0.2.1"), None, None),
        (Some("::ffff:192.0.2.1"), None, None),
        (Some("192.0.2.66"), Some(Reason::AddressDenied), Some(Reason::AddressDenied)),
        (Some("198.51.100.1"), None, Some(Reason::AddressDenied)),
        // Nobody knows from where it is.
        (None, Some(Reason::AddressDenied), Some(Reason::AddressDenied)),
    ] {
        node.address = address.map(|address| address.parse().unwrap());
        for (key, expected) in [("k1", first), ("k2", second)] {
            assert_eq!(reason(judge(&mut gate, &mut node, "/", &[("x-api-key", key)])), expected, "{key} from {address:?}");
        }
    }
}

#[test]
fn a_known_key_is_admitted_until_its_limit_is_spent() {
    let (mut gate, mut node) = (gate(&serde_json::json!({})), node());
    for _ in 0..3 {
        let Verdict::Admit(permit) = judge(&mut gate, &mut node, "/", &[("x-api-key", "k1")]) else { panic!("denied") };
        assert_eq!(permit.identity.unwrap().credential, "acme-1");
    }
    let Verdict::Deny(denial) = judge(&mut gate, &mut node, "/", &[("x-api-key", "k1")]) else { panic!("admitted") };
    assert_eq!((denial.reason, denial.identity.is_some()), (Reason::RateLimited, true));
    assert!(denial.wait.is_some_and(|wait| wait >= 59 * SECOND) && denial.limited.is_some());
}

#[test]
fn requests_refused_before_the_limits_are_not_charged() {
    let (mut gate, mut node) = (gate(&serde_json::json!({"addresses": {"deny": ["198.51.100.0/24"]}})), node());
    for _ in 0..5 {
        assert_eq!(reason(judge(&mut gate, &mut node, "/", &[("x-api-key", "k2")])), Some(Reason::InvalidKey));
        assert_eq!(reason(judge(&mut gate, &mut node, "/", &[])), Some(Reason::Unauthenticated));
        assert_eq!(reason(judge(&mut gate, &mut node, "/../", &[("x-api-key", "k1")])), Some(Reason::AmbiguousPath));
        node.address = Some("198.51.100.7".parse().unwrap());
        assert_eq!(reason(judge(&mut gate, &mut node, "/", &[("x-api-key", "k1")])), Some(Reason::AddressDenied));
        node.address = Some("192.0.2.1".parse().unwrap());
    }
    assert_eq!((0..5).filter(|_| reason(judge(&mut gate, &mut node, "/", &[("x-api-key", "k1")])).is_none()).count(), 3);
    assert_eq!(gate.counters.get(Counter::Denied(Reason::AddressDenied)), 5);
}

#[test]
fn an_address_that_cannot_be_known_is_denied_where_it_matters() {
    let (mut open, mut node) = (gate(&serde_json::json!({})), node());
    node.address = None;
    assert_eq!(reason(judge(&mut open, &mut node, "/", &[("x-api-key", "k1")])), None, "no rule asks");
    let mut ruled = gate(&serde_json::json!({"addresses": {"deny": ["198.51.100.0/24"]}}));
    assert_eq!(reason(judge(&mut ruled, &mut node, "/", &[("x-api-key", "k1")])), Some(Reason::AddressDenied));
    let mut limited = gate(&serde_json::json!({"default_route": {"auth": "none"}, "anonymous_tier": "few"}));
    assert_eq!(reason(judge(&mut limited, &mut node, "/", &[])), Some(Reason::Unavailable));
}

#[test]
fn exempt_routes_and_preflights_ask_nothing_and_cost_nothing() {
    let routes = serde_json::json!({"routes": [{"name": "health", "match": {"path": "/healthz"}, "exempt": true}, {"name": "api", "match": {"prefix": "/api"}, "preflight": true}]});
    let (mut gate, mut node) = (gate(&routes), node());
    let preflight = [(":method", "OPTIONS"), ("origin", "https://a"), ("access-control-request-method", "PUT")];
    for _ in 0..5 {
        let verdict = judge(&mut gate, &mut node, "/healthz?x", &[("x-api-key", "anything")]);
        assert!(matches!(verdict, Verdict::Admit(Permit { identity: None, limited: None, .. })));
        assert_eq!(reason(judge(&mut gate, &mut node, "/api/x", &preflight)), None);
    }
    assert_eq!(reason(judge(&mut gate, &mut node, "/healthz/", &[])), Some(Reason::Unauthenticated));
    assert_eq!(reason(judge(&mut gate, &mut node, "/api/x", &[("origin", "https://a")])), Some(Reason::Unauthenticated), "not a preflight");
    assert_eq!(reason(judge(&mut gate, &mut node, "/other", &preflight)), Some(Reason::Unauthenticated), "not that route");
}

#[test]
fn anonymous_requests_are_limited_by_address_and_apart_from_consumers() {
    let open = serde_json::json!({"default_route": {"auth": "optional"}, "anonymous_tier": "few"});
    let (mut gate, mut node) = (gate(&open), node());
    let admitted = |gate: &mut Gate, node: &mut FakeNode| (0..5).filter(|_| reason(judge(gate, node, "/", &[])).is_none()).count();
    assert_eq!(admitted(&mut gate, &mut node), 3);
    node.address = Some("192.0.2.2".parse().unwrap());
    assert_eq!(admitted(&mut gate, &mut node), 3);
    node.address = Some("2001:db8::1".parse().unwrap());
    assert_eq!(admitted(&mut gate, &mut node), 3);
    node.address = Some("2001:db8::ffff:2".parse().unwrap());
    assert_eq!(admitted(&mut gate, &mut node), 0, "the same network");
    assert_eq!(reason(judge(&mut gate, &mut node, "/", &[("x-api-key", "k1")])), None);
    assert_eq!(reason(judge(&mut gate, &mut node, "/", &[("x-api-key", "k2")])), Some(Reason::InvalidKey), "optional, but not false");
}

#[test]
fn workers_of_a_node_share_limits_and_those_without_it_fall_back() {
    let (mut first, mut second, mut node) = (gate(&serde_json::json!({})), gate(&serde_json::json!({})), node());
    second.hash_key = HashKey::new([9; 16]);
    let key = [("x-api-key", "k1")];
    let admitted =
        (0..6).filter(|number| reason(judge(if number % 2 == 0 { &mut first } else { &mut second }, &mut node, "/", &key)).is_none());
    assert_eq!(admitted.count(), 3);
    node.broken = true;
    let mut third = gate(&serde_json::json!({}));
    assert_eq!((0..6).filter(|_| reason(judge(&mut third, &mut node, "/", &key)).is_none()).count(), 3, "its own three");
    assert_eq!(third.counters.get(Counter::Degraded), 6);
}

#[test]
fn units_come_back_where_the_answer_is_not_charged() {
    let (mut gate, mut node) = (gate(&serde_json::json!({"default_route": {"charge_when": ["2xx"]}})), node());
    let mut permits = Vec::new();
    for status in [500, 404, 503, 200, 200, 200] {
        let Verdict::Admit(mut permit) = judge(&mut gate, &mut node, "/", &[("x-api-key", "k1")]) else { panic!("denied") };
        assert!(gate.charge_depends_on_status(&permit));
        gate.answered(&mut permit, status, Instant(SECOND), &mut node);
        permits.push(permit);
    }
    assert_eq!(reason(judge(&mut gate, &mut node, "/", &[("x-api-key", "k1")])), Some(Reason::RateLimited));
}

fn edits(gate: &mut Gate, headers: &[(&str, &str)]) -> Vec<String> {
    let mut pairs: Vec<(&[u8], &[u8])> = vec![(b":path", b"/")];
    pairs.extend(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    let map = map(&pairs);
    let head = gate.read(&map).unwrap();
    let Verdict::Admit(permit) = gate.judge(&head, Waited::default(), Instant(SECOND), 0, &mut node()) else { panic!("denied") };
    let shown = |edit| match edit {
        Edit::Remove(name) => format!("-{}", String::from_utf8_lossy(name)),
        Edit::Add(name, value) => format!("{name}={}", String::from_utf8_lossy(value)),
    };
    gate.edits(&permit, &head).map(shown).collect()
}

#[test]
fn the_upstream_sees_who_asks_but_no_credential_and_no_forgery() {
    let identity = ["x-consumer-id=acme", "x-consumer-tier=few", "x-credential-id=acme-1"];
    let forged = [("authorization", "Bearer k1"), ("x-consumer-id", "root"), ("x_consumer_id", "root"), ("x-credential_id", "root")];
    let own = edits(&mut gate(&serde_json::json!({})), &forged);
    assert_eq!(own, [&["-x-consumer-id", "-x_consumer_id", "-x-credential_id", "-authorization"][..], &identity].concat());
    let forward = gate(&serde_json::json!({"credentials": {"forward": true}}));
    assert_eq!(edits(&mut { forward }, &[("x-api-key", "k1"), ("authorization", "Basic x")]), identity);
    let exempt = serde_json::json!({"default_route": {"exempt": true}});
    assert_eq!(edits(&mut gate(&exempt), &forged), ["-x-consumer-id", "-x_consumer_id", "-x-credential_id", "-authorization"]);
}

#[test]
fn trailers_carry_no_claims_and_no_credentials() {
    let gate = gate(&serde_json::json!({}));
    let map = map(&[(b"x-consumer-id", b"root"), (b"x_credential_id", b"root"), (b"x-api-key", b""), (b"grpc-status", b"0")]);
    let trailers = gate.read(&map).unwrap();
    let misplaced: Vec<&[u8]> = gate.misplaced(&trailers).collect();
    assert_eq!(misplaced, [&b"x-consumer-id"[..], b"x_credential_id", b"x-api-key"]);
}

#[test]
fn odd_authorities_are_refused_before_any_rule_reads_them() {
    let routes = serde_json::json!({"routes": [{"name": "open", "match": {"hosts": ["*.public.example"]}, "exempt": true}]});
    let (mut gate, mut node) = (gate(&routes), node());
    assert_eq!(reason(judge(&mut gate, &mut node, "/", &[(":authority", "a.public.example:8080")])), None);
    for authority in ["admin.example,x.public.example", "admin.example@x.public.example", "a.public.example:80:90"] {
        assert_eq!(reason(judge(&mut gate, &mut node, "/", &[(":authority", authority)])), Some(Reason::AmbiguousHost), "{authority}");
    }
}

#[test]
fn a_key_in_the_query_is_taken_out_of_the_target() {
    let query = serde_json::json!({"credentials": {"sources": [{"query": "key"}, {"query": "token"}]}});
    let mut gate = gate(&query);
    let map = map(&[(b":path", b"/a?key=k1&b=c&token=k1")]);
    let head = gate.read(&map).unwrap();
    assert_eq!(gate.redacted_target(&head).as_deref(), Some(&b"/a?b=c"[..]));
    assert_eq!(reason(gate.judge(&head, Waited::default(), Instant(SECOND), 0, &mut node())), None);
    let plain = crate::head::tests::map(&[(b":path", b"/a?b=c")]);
    assert_eq!(gate.redacted_target(&gate.read(&plain).unwrap()), None);
}

proptest::proptest! {
    #[test]
    fn any_bytes_get_a_verdict(pairs in proptest::collection::vec((proptest::sample::select(vec![":path", ":method", ":authority", "authorization", "x-api-key", "origin", "x-consumer-id"]), proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)), 0..10)) {
        let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
        let map = map(&pairs);
        let mut gate = gate(&serde_json::json!({}));
        let head = gate.read(&map).unwrap();
        proptest::prop_assert!(reason(gate.judge(&head, Waited::default(), Instant(SECOND), 0, &mut node())).is_some());
        let _ = gate.redacted_target(&head);
    }
}
