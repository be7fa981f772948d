//! Tokens whose consumers the backend knows: it says who passes and in which tier, and its feed keeps that true.

use serde_json::{Value, json};
use tollgate_tests::plugin::{self, claims, hourly, inline, issuer, key, remote, set, tier};
use tollgate_tests::{Answer, Call, EveryWorker, FakeBackend, Http, Kind, Publisher, Setup, Signer, run};

const ISSUER: &str = "https://backed.example";

fn signer() -> Signer {
    Signer::new("ES256", "one", 5)
}

fn plugin() -> Value {
    let backed = json!({"consumer": {"known_by": "backend"}, "tier": null});
    json!({
        "backend": plugin::backend(&json!({"unknown_per_address": 1_000_000, "timeout": "400ms", "max_staleness": "1s"})),
        "tokens": {"issuers": [issuer(ISSUER, &inline(&[&signer()]), &backed)]},
    })
}

fn call(consumer: &str, id: &str) -> Call {
    Call::get("/a").bearer(&signer().token(&claims(ISSUER, consumer, &json!({"jti": id}))))
}

fn has_tier(tier: &str) -> impl Fn(&Answer) -> bool {
    move |answer| answer.reached_upstream() && answer.upstream_saw("x-consumer-tier") == [tier]
}

#[test]
fn the_first_token_of_all_waits_for_its_key_and_then_for_its_consumer() {
    run(async {
        let (backend, publisher) = (FakeBackend::start(), Publisher::start());
        let backed = json!({"consumer": {"known_by": "backend"}, "tier": null});
        let plugin = json!({
            "backend": plugin::backend(&json!({})),
            "tokens": {"issuers": [issuer(ISSUER, &remote("/keys", &json!({})), &backed)]},
        });
        let gate = Setup::new("tokens-backend-remote", &plugin).backend(&backend).issuer(&publisher).start().await;
        backend.until_followed(&gate).await;
        backend.take_in("acme", &tier("small", &[hourly(500)]));
        // Nothing has been published yet, and nothing asked.
        publisher.publish("/keys", set(&[&signer()]));
        let mut workers = EveryWorker::of(&gate).await;
        workers.until("the keys to be fetched", &call("nobody", "first"), |answer| answer.status == 403).await;
        let new = signer().named("two");
        publisher.publish("/keys", set(&[&new]));
        let token = new.token(&claims(ISSUER, "acme", &json!({})));
        workers.send(&Call::get("/a").bearer(&token)).await.iter().for_each(Answer::assert_admitted);
        gate.assert_untrapped().await;
    });
}

#[test]
fn the_backend_says_which_consumers_pass_and_in_which_tier() {
    run(async {
        let backend = FakeBackend::start();
        let gate = Setup::new("tokens-backend", &plugin()).backend(&backend).start().await;
        backend.until_followed(&gate).await;
        let mut workers = EveryWorker::of(&gate).await;
        backend.take_in("acme", &tier("small", &[hourly(500)]));
        for answer in workers.send(&call("acme", "one")).await {
            assert!(has_tier("small")(&answer) && answer.number("x-ratelimit-limit") == 500, "{answer:?}");
            assert_eq!(answer.upstream_saw("x-consumer-id"), ["acme"]);
            assert_eq!(answer.upstream_saw("x-credential-id"), ["one"]);
        }
        assert!((1..=2).contains(&backend.consumer_resolves("acme")), "{}", backend.consumer_resolves("acme"));
        let asked = backend.consumer_resolves("acme");
        workers.send(&call("acme", "another")).await.iter().for_each(Answer::assert_admitted);
        assert_eq!(backend.consumer_resolves("acme"), asked, "a consumer is known, whatever token names it");

        backend.set_tier("acme", &tier("big", &[hourly(5_000)]));
        workers.until("the new tier", &call("acme", "one"), has_tier("big")).await;

        for http in Http::BOTH {
            call("nobody", "none").send(&gate, http).await.assert_denied(403, "unknown_consumer");
        }
        backend.disable("acme", true);
        workers.until("the consumer's end", &call("acme", "one"), |answer| answer.status == 403).await;
        for answer in workers.send(&call("acme", "third")).await {
            answer.assert_denied(403, "unknown_consumer");
        }
        backend.disable("acme", false);
        workers.until("the consumer's return", &call("acme", "one"), has_tier("big")).await;
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_consumers_keys_and_tokens_share_its_limits() {
    run(async {
        let backend = FakeBackend::start();
        let gate = Setup::new("tokens-backend-limits", &plugin()).backend(&backend).start().await;
        backend.until_followed(&gate).await;
        let mut workers = EveryWorker::of(&gate).await;
        backend.give(&key("sharing"), "sharing", &tier("tight", &[hourly(5)]));
        let mut admitted = 0;
        for call in [call("sharing", "one"), Call::get("/a").bearer(&key("sharing"))] {
            for answer in workers.send(&call).await {
                if answer.reached_upstream() {
                    admitted += 1;
                } else {
                    answer.assert_denied(429, "rate_limited");
                }
            }
        }
        assert_eq!(admitted, 5);
        gate.assert_untrapped().await;
    });
}

#[test]
fn without_the_backend_nobody_knows_and_whoever_is_signed_wrongly_is_never_asked_about() {
    run(async {
        let backend = FakeBackend::start();
        let gate = Setup::new("tokens-backend-down", &plugin()).backend(&backend).start().await;
        backend.until_followed(&gate).await;
        backend.take_in("acme", &tier("open", &[]));
        let before = backend.count(Kind::ResolveConsumer);
        let forged = Signer::new("ES256", "one", 6).token(&claims(ISSUER, "acme", &json!({})));
        for http in Http::BOTH {
            Call::get("/a").bearer(&forged).send(&gate, http).await.assert_denied(401, "invalid_token");
        }
        assert_eq!(backend.count(Kind::ResolveConsumer), before);
        backend.down();
        for http in Http::BOTH {
            let answer = call("acme", "one").send(&gate, http).await;
            answer.assert_denied(503, "unavailable");
            assert!(answer.number("retry-after") >= 1);
        }
        backend.up();
        let mut workers = EveryWorker::of(&gate).await;
        workers.until("the backend's return", &call("acme", "one"), has_tier("open")).await;
        gate.assert_untrapped().await;
    });
}
