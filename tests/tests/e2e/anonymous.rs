//! Requests without a key, where a route lets them in: each address has its own limit.

use serde_json::json;
use tollgate_tests::plugin::{ACME, bucket, consumer, tier};
use tollgate_tests::{Call, Connection, Http, Setup, Shared, run};

/// A gate behind a trusted proxy. Anonymous requests may be two in an hour, on one route three.
static GATE: Shared = Shared::new(|| {
    let plugin = json!({
        "tiers": [
            tier("two", &[bucket("two", 1, "3600s", 2)]),
            tier("three", &[bucket("three", 1, "3600s", 3)]),
        ],
        "anonymous_tier": "two",
        "default_route": {"auth": "none"},
        "routes": [{"name": "own", "match": {"prefix": "/own"}, "auth": "optional", "anonymous_tier": "three"}],
    });
    Setup::new("anonymous", &plugin).trusting_one_hop()
});

/// How many of eight requests from these addresses, in turn, are admitted.
async fn admitted_from(path: &str, addresses: &[&str]) -> usize {
    let mut admitted = 0;
    for turn in 0..8 {
        let address = addresses[turn % addresses.len()];
        let answer = Call::get(path).from(address).send(GATE.get().await, Http::BOTH[turn % 2]).await;
        if answer.reached_upstream() {
            admitted += 1;
        } else {
            answer.assert_denied(429, "rate_limited");
        }
    }
    admitted
}

#[test]
fn anonymous_requests_are_limited_by_address() {
    run(async {
        for address in ["10.0.0.1", "10.0.0.2", "10.1.0.1"] {
            assert_eq!(admitted_from("/a", &[address]).await, 2, "{address}");
        }
    });
}

#[test]
fn anonymous_ipv6_addresses_of_one_network_share_a_limit() {
    run(async {
        assert_eq!(admitted_from("/a", &["2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:ffff::3"]).await, 2);
        assert_eq!(admitted_from("/a", &["2001:db8:0:2::1"]).await, 2);
    });
}

#[test]
fn a_routes_own_anonymous_tier_replaces_the_global_one() {
    run(async {
        assert_eq!(admitted_from("/own", &["10.9.0.1"]).await, 3);
        // Another tier is another account.
        assert_eq!(admitted_from("/a", &["10.9.0.1"]).await, 2);
    });
}

#[test]
fn a_table_full_of_addresses_forgets_nobody() {
    run(async {
        let plugin = json!({
            "tiers": [tier("two", &[bucket("two", 1, "3600s", 2)])],
            "consumers": [consumer("acme", "two", ACME)],
            "anonymous_tier": "two",
            "default_route": {"auth": "optional"},
            // The fewest there may be: four hundred addresses do not fit.
            "node": {"slots": 64},
        });
        let gate = Setup::new("anonymous-full", &plugin).trusting_one_hop().start().await;
        let known = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"];
        for address in known.into_iter().chain(known) {
            Call::get("/a").from(address).send(&gate, Http::One).await.assert_admitted();
            Call::get("/a").bearer(ACME).send(&gate, Http::One).await;
        }
        let mut connection = Connection::open(gate.address(), Http::Two).await;
        for number in 0..400 {
            let address = format!("10.1.{}.{}", number / 200, number % 200);
            connection.send(Call::get("/a").from(&address)).await.expect("an answer");
        }
        for http in Http::BOTH {
            for address in known {
                Call::get("/a").from(address).send(&gate, http).await.assert_denied(429, "rate_limited");
            }
            Call::get("/a").bearer(ACME).send(&gate, http).await.assert_denied(429, "rate_limited");
        }
    });
}
