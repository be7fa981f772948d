//! What clients with keys that nobody knows can make the node ask: no more than its bounds, and nobody else is hurt.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_core::credential::IssuerKey;
use tollgate_core::secret::Secret;
use tollgate_tests::plugin::{self, ACME, consumer, key, tier};
use tollgate_tests::{Answer, Call, FakeBackend, Fault, Gate, Http, Kind, Setup, run, until};

use super::backend_shared::open;

const LIMIT: Duration = Duration::from_secs(20);
const PER_ADDRESS: usize = 5;
const ISSUER_KEY: &str = "issuer-key-of-the-end-to-end-tests";

fn plugin(settings: Value) -> Value {
    json!({
        "backend": plugin::backend(&settings),
        "tiers": [tier("open", &[])],
        "consumers": [consumer("acme", "open", ACME)],
    })
}

async fn start(name: &str, plugin: &Value) -> (Arc<FakeBackend>, Gate) {
    let backend = FakeBackend::start();
    let gate = Setup::new(name, plugin).backend(&backend).trusting_one_hop().secret("TOLLGATE_ISSUER_KEY", ISSUER_KEY).start().await;
    backend.until_followed(&gate).await;
    (backend, gate)
}

async fn get(gate: &Gate, key: &str, address: &str, http: Http) -> Answer {
    Call::get("/a").bearer(key).from(address).send(gate, http).await
}

/// Presents unknown keys until the address is refused; answers how many were asked about.
async fn guess(gate: &Gate, backend: &FakeBackend, name: &str, addresses: &[&str]) -> usize {
    let mut asked = 0;
    for number in 0..4 * PER_ADDRESS {
        let guessed = format!("{name}-{number}");
        let answer = get(gate, &guessed, addresses[number % addresses.len()], Http::BOTH[number % 2]).await;
        asked += backend.resolves(&guessed);
        if answer.status == 401 {
            answer.assert_denied(401, "invalid_key");
        } else {
            answer.assert_denied(429, "too_many_unknown_keys");
            let wait = answer.number("retry-after");
            assert!((1..=60 / PER_ADDRESS as u64).contains(&wait), "{answer:?}");
            assert_eq!(backend.resolves(&guessed), 0);
        }
    }
    asked
}

#[test]
fn an_address_may_guess_only_so_many_keys() {
    run(async {
        let (backend, gate) = start("backend-guesses", &plugin(json!({"unknown_per_address": PER_ADDRESS}))).await;
        backend.give(&key("customer"), "customer", &open());
        get(&gate, &key("customer"), "192.0.2.7", Http::One).await.assert_admitted();
        get(&gate, &key("customer"), "192.0.2.7", Http::Two).await.assert_admitted();

        // One may come back while the case runs.
        let asked = guess(&gate, &backend, "guess-4", &["192.0.2.7"]).await;
        assert!((PER_ADDRESS..=PER_ADDRESS + 1).contains(&asked), "{asked}");
        // What the gate knows goes on, from that address too.
        for http in Http::BOTH {
            get(&gate, ACME, "192.0.2.7", http).await.assert_admitted();
        }
        backend.give(&key("newcomer"), "newcomer", &open());
        get(&gate, &key("newcomer"), "192.0.2.8", Http::One).await.assert_admitted();
        get(&gate, "from-the-next-address", "192.0.2.6", Http::Two).await.assert_denied(401, "invalid_key");

        // Of IPv6 a whole network is one client.
        let asked = guess(&gate, &backend, "guess-6", &["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:2::77"]).await;
        assert!((PER_ADDRESS..=PER_ADDRESS + 1).contains(&asked), "{asked}");
        get(&gate, "from-the-next-network", "2001:db8:1:3::1", Http::One).await.assert_denied(401, "invalid_key");
        gate.until_stat("tollgate_verdicts.too_many_unknown_keys", 2).await;
        gate.assert_untrapped().await;
    });
}

#[test]
fn keys_that_turn_out_valid_are_no_guesses() {
    run(async {
        let (backend, gate) = start("backend-valid", &plugin(json!({"unknown_per_address": PER_ADDRESS}))).await;
        for number in 0..4 * PER_ADDRESS {
            let key = key(&format!("valid-{number}"));
            backend.give(&key, "valid", &open());
            let answer = get(&gate, &key, "192.0.2.7", Http::BOTH[number % 2]).await;
            assert!(answer.reached_upstream(), "{number}: {answer:?}");
        }
        let asked = guess(&gate, &backend, "after-all", &["192.0.2.7"]).await;
        assert!((PER_ADDRESS..=PER_ADDRESS + 1).contains(&asked), "{asked}");
    });
}

#[test]
fn keys_about_which_nothing_was_heard_are_no_guesses() {
    run(async {
        let (backend, gate) = start("backend-unheard", &plugin(json!({"unknown_per_address": PER_ADDRESS}))).await;
        let key = key("insistent");
        backend.give(&key, "insistent", &open());
        backend.fail(Kind::Resolve, Fault::Status(500));
        for turn in 0..4 * PER_ADDRESS {
            let answer = get(&gate, &key, "192.0.2.7", Http::BOTH[turn % 2]).await;
            answer.assert_denied(503, "unavailable");
        }
        backend.heal(Kind::Resolve);
        until("the key to be asked about", LIMIT, async || {
            let answer = get(&gate, &key, "192.0.2.7", Http::One).await;
            assert!(answer.status != 429, "the failures were counted: {answer:?}");
            answer.reached_upstream().then_some(())
        })
        .await;
    });
}

#[test]
fn the_node_asks_only_so_much() {
    run(async {
        let settings = json!({"unknown_per_node": 10, "unknown_per_address": 1_000});
        let (backend, gate) = start("backend-node-bound", &plugin(settings)).await;
        let before = backend.count(Kind::Resolve);
        let began = tokio::time::Instant::now();
        let mut unavailable = 0;
        for number in 0..100 {
            let answer = get(&gate, &format!("many-{number}"), &format!("198.51.100.{number}"), Http::BOTH[number % 2]).await;
            if answer.status == 401 {
                answer.assert_denied(401, "invalid_key");
            } else {
                answer.assert_denied(503, "unavailable");
                unavailable += 1;
            }
        }
        let most = 10 + 10 * usize::try_from(began.elapsed().as_millis()).unwrap() / 1_000 + 1;
        assert!(backend.count(Kind::Resolve) - before <= most, "{} of {most}", backend.count(Kind::Resolve) - before);
        assert!(unavailable > 0);
        get(&gate, ACME, "192.0.2.7", Http::One).await.assert_admitted();
    });
}

/// Keys as an issuer makes them; the same ones for the same seed.
fn issued(secret: &str, seed: u8) -> String {
    let issuer = IssuerKey::new(1, "foil", Secret::new(secret.as_bytes().to_vec())).expect("an issuer key");
    let mut state = u64::from(seed);
    issuer.issue(&mut |bytes: &mut [u8]| {
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8 % 248;
        }
    })
}

#[test]
fn forged_keys_ask_nothing_and_genuine_ones_are_not_bounded_by_address() {
    run(async {
        let mut plugin = plugin(json!({"unknown_per_address": PER_ADDRESS}));
        plugin["credentials"] = json!({"issuer_keys": [{"version": 1, "prefix": "foil", "secret": {"env": "TOLLGATE_ISSUER_KEY"}}]});
        let (backend, gate) = start("backend-issuer", &plugin).await;
        let before = backend.count(Kind::Resolve);
        for seed in 0..100 {
            let forged = issued("somebody-elses-issuer-key", seed);
            get(&gate, &forged, "192.0.2.7", Http::BOTH[usize::from(seed) % 2]).await.assert_denied(401, "invalid_key");
        }
        assert_eq!(backend.count(Kind::Resolve), before);
        // What the issuer made may be asked about as often as anybody likes: nobody can guess it.
        for seed in 0..4 * PER_ADDRESS as u8 {
            let genuine = issued(ISSUER_KEY, seed);
            if seed % 2 == 0 {
                backend.give(&genuine, "genuine", &open());
            }
            let answer = get(&gate, &genuine, "192.0.2.7", Http::BOTH[usize::from(seed) / 2 % 2]).await;
            assert_eq!(answer.status, if seed % 2 == 0 { 200 } else { 401 }, "{answer:?}");
            assert_eq!(backend.resolves(&genuine), 1);
        }
        // A key with the prefix and another form is one from before: it is asked about as any other is.
        backend.give("foil_an-older-key", "older", &open());
        for http in Http::BOTH {
            get(&gate, "foil_an-older-key", "192.0.2.7", http).await.assert_admitted();
        }
        let asked = guess(&gate, &backend, "imported", &["192.0.2.7"]).await;
        assert!((PER_ADDRESS..=PER_ADDRESS + 1).contains(&asked), "{asked}");
        gate.until_stat("tollgate_forged_keys", 100).await;
    });
}
