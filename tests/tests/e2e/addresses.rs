//! Which client addresses are let in, and that no header can pretend another.

use serde_json::{Value, json};
use tollgate_tests::plugin::{ACME, consumer, tier};
use tollgate_tests::{Call, Connection, Http, Setup, Shared, Upstream, run};

fn plugin() -> Value {
    json!({
        "tiers": [tier("open", &[])],
        "consumers": [consumer("acme", "open", ACME)],
        "addresses": {"allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": ["10.6.6.6", "2001:db8:bad::/48"]},
        "routes": [
            {"name": "local", "match": {"prefix": "/local"},
             "addresses": {"allow": ["10.1.0.0/16"], "deny": ["10.1.9.0/24"]}},
            {"name": "wide", "match": {"prefix": "/wide"}, "addresses": {"allow": ["10.6.0.0/16", "192.168.0.0/16"]}},
        ],
    })
}

/// A gate behind a trusted proxy, whose word on the client's address counts.
static GATE: Shared = Shared::new(|| Setup::new("addresses", &plugin()).trusting_one_hop());

async fn assert_admits(path: &str, addresses: &[&str]) {
    for address in addresses {
        for http in Http::BOTH {
            let answer = Call::get(path).bearer(ACME).from(address).send(GATE.get().await, http).await;
            assert!(answer.reached_upstream(), "{address} at {path}: {answer:?}");
        }
    }
}

async fn assert_refuses(path: &str, addresses: &[&str]) {
    for address in addresses {
        for http in Http::BOTH {
            let answer = Call::get(path).bearer(ACME).from(address).send(GATE.get().await, http).await;
            assert!(!answer.reached_upstream(), "{address} was let in at {path}");
            answer.assert_denied(403, "address_denied");
        }
    }
}

#[test]
fn global_rules_allow_and_deny() {
    run(async {
        assert_admits("/a", &["10.0.0.1", "10.255.255.255", "2001:db8::1", "2001:db8:bae::1"]).await;
        assert_refuses("/a", &["192.168.1.1", "9.255.255.255", "11.0.0.0", "2001:db9::1", "::1"]).await;
        assert_refuses("/a", &["10.6.6.6", "2001:db8:bad::1", "2001:db8:bad:ffff::"]).await;
    });
}

#[test]
fn a_routes_rules_come_on_top_of_the_global_ones() {
    run(async {
        assert_admits("/local", &["10.1.2.3"]).await;
        assert_refuses("/local", &["10.1.9.1", "10.2.0.1", "2001:db8::1"]).await;
        assert_admits("/wide", &["10.6.0.1"]).await;
        assert_refuses("/wide", &["10.6.6.6", "192.168.1.1"]).await;
    });
}

#[test]
fn an_ipv4_address_written_as_ipv6_is_the_same_address() {
    run(async {
        assert_refuses("/a", &["::ffff:10.6.6.6", "::ffff:a06:606"]).await;
        assert_admits("/a", &["::ffff:10.0.0.1"]).await;
    });
}

#[test]
fn a_refused_address_learns_nothing_about_its_key() {
    run(async {
        for call in [Call::get("/address-first"), Call::get("/address-first").bearer("unknown")] {
            call.from("192.168.1.1").send(GATE.get().await, Http::Two).await.assert_denied(403, "address_denied");
        }
        assert!(Upstream::shared().seen("/address-first").is_empty());
    });
}

#[test]
fn only_the_last_reported_address_counts() {
    run(async {
        assert_refuses("/a", &["10.0.0.1, 192.168.1.1", "10.0.0.1,10.6.6.6"]).await;
        assert_admits("/a", &["192.168.1.1, 10.0.0.1"]).await;
    });
}

#[test]
fn without_a_trusted_proxy_only_the_connection_counts() {
    run(async {
        let mut plugin = plugin();
        plugin["addresses"] = json!({"allow": ["127.0.0.0/8"], "deny": ["127.0.0.2"]});
        let gate = Setup::new("addresses-direct", &plugin).start().await;
        for http in Http::BOTH {
            for header in ["x-forwarded-for", "x-real-ip", "forwarded", "x-envoy-external-address", "true-client-ip"] {
                let call = Call::get("/a").bearer(ACME).header(header, "127.0.0.2");
                call.send(&gate, http).await.assert_admitted();
                let source = Some([127, 0, 0, 2].into());
                let mut connection = Connection::open_from(source, gate.address(), http).await;
                let call = Call::get("/a").bearer(ACME).header(header, "127.0.0.1");
                connection.send(call).await.unwrap().assert_denied(403, "address_denied");
            }
        }
    });
}
