//! Keys that issuers publish: how often they are fetched, how they change, and what happens when they cannot be had.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tollgate_tests::plugin::{claims, issuer, remote, set, tier};
use tollgate_tests::{Answer, Call, Connection, EveryWorker, Gate, Http, Published, Publisher, Setup, Signer, run, send_all, until};

const ISSUER: &str = "https://published.example";
const PATH: &str = "/.well-known/jwks.json";
const LIMIT: Duration = Duration::from_secs(20);

fn plugin(settings: &Value) -> Value {
    json!({
        "tiers": [tier("open", &[])],
        "tokens": {"failed_per_address": 1_000_000, "issuers": [issuer(ISSUER, &remote(PATH, settings), &json!({}))]},
    })
}

async fn start(name: &str, publisher: &Publisher, settings: &Value) -> Gate {
    Setup::new(name, &plugin(settings)).issuer(publisher).start().await
}

fn signer(number: u8) -> Signer {
    Signer::new("EdDSA", &format!("key-{number}"), number)
}

fn token(signer: &Signer, id: &str) -> String {
    signer.token(&claims(ISSUER, "acme", &json!({"jti": id})))
}

fn call(signer: &Signer, id: &str) -> Call {
    Call::get("/a").bearer(&token(signer, id))
}

/// Waits until all workers have taken over keys in which this one is.
async fn followed(workers: &mut EveryWorker, signer: &Signer) {
    workers.until("all workers to have the keys", &call(signer, "follow"), Answer::reached_upstream).await;
}

/// A token of a key that nobody has.
fn unknown(id: &str) -> Call {
    call(&signer(200).named(&format!("unknown-{id}")), id)
}

fn assert_unavailable(answer: &Answer) {
    answer.assert_denied(503, "unavailable");
    assert!((1..=60).contains(&answer.number("retry-after")), "{answer:?}");
}

#[test]
fn a_set_is_fetched_once_for_all_workers() {
    run(async {
        let publisher = Publisher::start();
        publisher.publish(PATH, set(&[&signer(1), &signer(2)]));
        let gate = start("keys-once", &publisher, &json!({})).await;
        let mut workers = EveryWorker::of(&gate).await;
        followed(&mut workers, &signer(1)).await;
        for number in [1, 2] {
            workers.send(&call(&signer(number), "good")).await.iter().for_each(Answer::assert_admitted);
        }
        assert_eq!(publisher.fetches(PATH), 1);
        gate.until_stat("tollgate_key_sets.changed", 2).await;
        gate.until_stat("tollgate_key_sets.fetched", 1).await;
        assert_eq!(gate.stat("tollgate_key_sets.fetched").await, 1);
        gate.assert_untrapped().await;
    });
}

#[test]
fn the_first_token_of_a_new_key_is_good_at_once_and_the_old_key_goes_with_its_known_tokens() {
    run(async {
        let publisher = Publisher::start();
        publisher.publish(PATH, set(&[&signer(1)]));
        let gate = start("keys-rotation", &publisher, &json!({"pause": "100ms"})).await;
        let mut workers = EveryWorker::of(&gate).await;
        followed(&mut workers, &signer(1)).await;
        let old = call(&signer(1), "old");
        workers.send(&old).await.iter().for_each(Answer::assert_admitted);
        publisher.publish(PATH, set(&[&signer(1), &signer(2)]));
        call(&signer(2), "new").send(&gate, Http::One).await.assert_admitted();
        workers.send(&call(&signer(2), "new-too")).await.iter().for_each(Answer::assert_admitted);
        workers.send(&old).await.iter().for_each(Answer::assert_admitted);
        assert_eq!(publisher.fetches(PATH), 2, "the workers share it");
        publisher.publish(PATH, set(&[&signer(2), &signer(3)]));
        call(&signer(3), "newest").send(&gate, Http::Two).await.assert_admitted();
        workers.until("the old key's end", &old, |answer| answer.status == 401 && answer.code() == "invalid_token").await;
        workers.send(&call(&signer(2), "new")).await.iter().for_each(Answer::assert_admitted);
        gate.assert_untrapped().await;
    });
}

#[test]
fn one_fetch_is_enough_for_all_workers_however_long_the_pause_after_it() {
    run(async {
        let publisher = Publisher::start();
        publisher.publish(PATH, set(&[&signer(1)]));
        let gate = start("keys-pause", &publisher, &json!({})).await;
        let mut workers = EveryWorker::of(&gate).await;
        // Just after the start, at the first tokens of all.
        workers.send(&call(&signer(1), "first")).await.iter().for_each(Answer::assert_admitted);
        assert_eq!(publisher.fetches(PATH), 1);
        let fetched = Instant::now();
        publisher.publish(PATH, set(&[&signer(1), &signer(2)]));
        until("the default pause to end", LIMIT, async || (fetched.elapsed() > Duration::from_secs(5)).then_some(())).await;
        workers.send(&call(&signer(2), "second")).await.iter().for_each(Answer::assert_admitted);
        assert_eq!(publisher.fetches(PATH), 2);
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_set_is_fetched_again_in_time_without_anybody_asking() {
    run(async {
        let publisher = Publisher::start();
        publisher.publish(PATH, set(&[&signer(1), &signer(2)]));
        let gate = start("keys-refresh", &publisher, &json!({"refresh": "10s", "pause": "100ms"})).await;
        let mut workers = EveryWorker::of(&gate).await;
        followed(&mut workers, &signer(1)).await;
        workers.send(&call(&signer(1), "warm")).await.iter().for_each(Answer::assert_admitted);
        publisher.publish(PATH, set(&[&signer(2)]));
        workers.until("the removed key's end", &call(&signer(1), "warm"), |answer| answer.status == 401).await;
        workers.send(&call(&signer(2), "good")).await.iter().for_each(Answer::assert_admitted);
        gate.assert_untrapped().await;
    });
}

#[test]
fn forged_key_ids_cannot_make_the_gate_fetch_more_often_than_it_may() {
    run(async {
        const PAUSE: Duration = Duration::from_millis(500);
        let publisher = Publisher::start();
        publisher.publish(PATH, set(&[&signer(1)]));
        let gate = start("keys-forged", &publisher, &json!({"pause": "500ms"})).await;
        followed(&mut EveryWorker::of(&gate).await, &signer(1)).await;
        let (before, began) = (publisher.fetches(PATH), Instant::now());
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..8_usize {
            let mut connection = Connection::open(gate.address(), Http::BOTH[client % 2]).await;
            clients.spawn(async move {
                for turn in 0..5 {
                    let answer = connection.send(unknown(&format!("{client}-{turn}"))).await.unwrap();
                    answer.assert_denied(401, "invalid_token");
                }
            });
        }
        clients.join_all().await;
        let (fetches, most) = (publisher.fetches(PATH) - before, began.elapsed().as_millis() / PAUSE.as_millis() + 1);
        println!("40 forged key ids: {fetches} fetches in {:?}", began.elapsed());
        assert!((1..=usize::try_from(most).unwrap()).contains(&fetches), "{fetches} of {most}");
        // A token that has waited in vain is remembered.
        let before = publisher.fetches(PATH);
        let mut connection = Connection::open(gate.address(), Http::One).await;
        for _ in 0..20 {
            connection.send(unknown("again")).await.unwrap().assert_denied(401, "invalid_token");
        }
        assert_eq!(publisher.fetches(PATH), before + 1);
        call(&signer(1), "still-good").send(&gate, Http::Two).await.assert_admitted();
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_gate_that_starts_before_its_issuer_says_so_until_the_issuer_is_there() {
    run(async {
        let publisher = Publisher::start_down();
        publisher.publish(PATH, set(&[&signer(1)]));
        let gate = start("keys-down", &publisher, &json!({"pause": "100ms", "timeout": "300ms"})).await;
        for http in Http::BOTH {
            assert_unavailable(&call(&signer(1), "early").send(&gate, http).await);
        }
        publisher.up();
        let mut workers = EveryWorker::of(&gate).await;
        workers.until("the issuer's keys", &call(&signer(1), "early"), Answer::reached_upstream).await;
        workers.send(&call(&signer(1), "later")).await.iter().for_each(Answer::assert_admitted);
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_request_waits_for_keys_that_are_slow_and_not_for_those_that_never_come() {
    run(async {
        let publisher = Publisher::start();
        let good = set(&[&signer(1)]).to_string().into_bytes();
        publisher.publish(PATH, Published::Never);
        let gate = start("keys-slow", &publisher, &json!({"pause": "100ms", "timeout": "500ms"})).await;
        let began = Instant::now();
        assert_unavailable(&call(&signer(1), "never").send(&gate, Http::One).await);
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        publisher.publish(PATH, Published::After(Duration::from_millis(200), good));
        let mut workers = EveryWorker::of(&gate).await;
        workers.until("the slow keys", &call(&signer(1), "slow"), Answer::reached_upstream).await;
        publisher.publish(PATH, Published::After(Duration::from_millis(200), set(&[&signer(1), &signer(2)]).to_string().into_bytes()));
        let began = Instant::now();
        call(&signer(2), "slow").send(&gate, Http::Two).await.assert_admitted();
        assert!(began.elapsed() >= Duration::from_millis(190), "{:?}", began.elapsed());
        gate.assert_untrapped().await;
    });
}

#[test]
fn the_last_good_set_serves_whatever_comes_instead_of_another() {
    run(async {
        let publisher = Publisher::start();
        let good = set(&[&signer(1)]);
        publisher.publish(PATH, good.clone());
        let gate = start("keys-broken", &publisher, &json!({"pause": "100ms", "timeout": "300ms"})).await;
        let mut workers = EveryWorker::of(&gate).await;
        followed(&mut workers, &signer(1)).await;
        workers.send(&call(&signer(1), "warm")).await.iter().for_each(Answer::assert_admitted);
        let body = |text: &str| Published::Body(text.as_bytes().to_vec());
        let many: Vec<Signer> = (1..=33).map(signer).collect();
        let huge = |bytes: usize| Published::from(json!({"keys": good["keys"], "padding": "p".repeat(bytes)}));
        let mut private = good.clone();
        private["keys"][0]["d"] = json!("AAAA");
        let faults = [
            ("500", Published::Status(500, good.to_string().into_bytes())),
            ("503", Published::Status(503, good.to_string().into_bytes())),
            ("404", Published::Status(404, Vec::new())),
            ("302", Published::Status(302, Vec::new())),
            ("201", Published::Status(201, good.to_string().into_bytes())),
            ("garbage", body("\0\u{fffd}<html>not found</html>")),
            ("empty body", body("")),
            ("no keys", json!({"keys": []}).into()),
            ("no list", json!({"keys": {"kty": "OKP"}}).into()),
            ("a list alone", good["keys"].clone().into()),
            ("keys twice", body(&format!("{{\"keys\":[],{}", &good.to_string()[1..]))),
            ("only secrets", json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "key-1"}]}).into()),
            ("only private keys", private.into()),
            ("too large", huge(65_536)),
            ("far too large", huge(5_000_000)),
            ("too many keys", set(&many.iter().collect::<Vec<_>>()).into()),
            ("cut short", body(&good.to_string()[..40])),
            ("deep", body(&format!("{{\"keys\":{}", "[".repeat(30_000)))),
            ("never", Published::Never),
            ("too slow", Published::After(Duration::from_secs(1), good.to_string().into_bytes())),
        ];
        for (what, fault) in faults {
            let failed = gate.stat("tollgate_key_sets.failed").await;
            let fetched = gate.stat("tollgate_key_sets.fetched").await;
            publisher.publish(PATH, fault);
            let answer = unknown(&format!("bad-{}", what.replace(' ', "-"))).send(&gate, Http::One).await;
            assert!(answer.status == 503 && answer.code() == "unavailable", "{what}: {answer:?}");
            until(&format!("{what} to be found out"), LIMIT, async || (gate.stat("tollgate_key_sets.failed").await > failed).then_some(()))
                .await;
            workers.send(&call(&signer(1), "warm")).await.iter().for_each(Answer::assert_admitted);
            workers.send(&call(&signer(1), &format!("cold-{failed}"))).await.iter().for_each(Answer::assert_admitted);
            publisher.publish(PATH, good.clone());
            // The gate comes back by itself, so that the next fault is the first again.
            let what = format!("a good set after {what}");
            until(&what, LIMIT, async || {
                let turn = gate.stat("tollgate_key_sets.failed").await;
                unknown(&format!("heal-{turn}-{}", publisher.fetches(PATH))).send(&gate, Http::Two).await;
                (gate.stat("tollgate_key_sets.fetched").await > fetched).then_some(())
            })
            .await;
        }
        publisher.down();
        let failed = gate.stat("tollgate_key_sets.failed").await;
        unknown("down").send(&gate, Http::One).await;
        gate.until_stat("tollgate_key_sets.failed", failed + 1).await;
        workers.send(&call(&signer(1), "while-down")).await.iter().for_each(Answer::assert_admitted);
        gate.assert_untrapped().await;
    });
}

#[test]
fn keys_that_cannot_be_used_are_passed_over() {
    run(async {
        let publisher = Publisher::start();
        let mut mixed = set(&[&signer(1)]);
        let keys = mixed["keys"].as_array_mut().unwrap();
        keys.insert(0, json!({"kty": "quantum", "kid": "future"}));
        keys.insert(0, json!({"kty": "oct", "k": "c2VjcmV0", "kid": "secret"}));
        keys.push(json!({"kty": "EC", "crv": "P-256", "kid": "no-point", "x": "AA", "y": "AA"}));
        publisher.publish(PATH, mixed);
        let gate = start("keys-mixed", &publisher, &json!({"pause": "100ms"})).await;
        call(&signer(1), "good").send(&gate, Http::One).await.assert_admitted();
        let secret = Signer::secret("HS256", "secret", "secret");
        call(&secret, "forged").send(&gate, Http::Two).await.assert_denied(401, "invalid_token");
        gate.assert_untrapped().await;
    });
}

#[test]
fn however_many_wait_they_are_judged_a_few_at_a_time() {
    run(async {
        const REQUESTS: usize = 1_000;
        let publisher = Publisher::start();
        publisher.publish(PATH, Published::After(Duration::from_secs(4), set(&[&signer(1)]).to_string().into_bytes()));
        let plugin = plugin(&json!({"timeout": "10s"}));
        let gate = Setup::new("keys-waiters", &plugin).issuer(&publisher).workers(1).start().await;
        let forger = signer(200).named("key-1");
        let forged = (0..REQUESTS).map(|request| call(&forger, &request.to_string()));
        for answer in send_all(&gate, forged).await.join_all().await {
            answer.assert_denied(401, "invalid_token");
        }
        gate.until_stat("tollgate_tokens.failed", u64::try_from(REQUESTS).unwrap()).await;
        call(&signer(1), "good").send(&gate, Http::One).await.assert_admitted();
        gate.assert_untrapped().await;
    });
}

#[test]
fn nobody_is_refused_while_keys_rotate_under_load() {
    run(async {
        const CLIENTS: usize = 6;
        let publisher = Publisher::start();
        publisher.publish(PATH, set(&[&signer(0)]));
        // The pause is the default one; the wait is long, so that a busy machine's slowness is not what fails.
        let gate = Arc::new(start("keys-load", &publisher, &json!({"refresh": "10s", "pause": "1s", "timeout": "15s"})).await);
        // Who signs now. A key that goes is signed with no longer, before it is taken from the set.
        let signing = Arc::new(Mutex::new(vec![signer(0)]));
        let (ends, answers) = (Arc::new(AtomicBool::new(false)), Arc::new([const { AtomicUsize::new(0) }; CLIENTS]));
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            let mut connection = Connection::open(gate.address(), Http::BOTH[client % 2]).await;
            let (signing, ends, answers) = (Arc::clone(&signing), Arc::clone(&ends), Arc::clone(&answers));
            clients.spawn(async move {
                let mut turn = 0;
                while !ends.load(Ordering::SeqCst) {
                    let signer = {
                        let signing = signing.lock().unwrap();
                        signing[turn % signing.len()].clone()
                    };
                    // Two of three tokens are new.
                    let id = format!("{client}-{}", turn * 2 / 3);
                    let answer = connection.send(call(&signer, &id)).await.unwrap();
                    assert!(answer.reached_upstream(), "request {turn} of client {client} with {:?}: {answer:?}", signer.jwk()["kid"]);
                    turn += 1;
                    answers[client].fetch_add(1, Ordering::SeqCst);
                }
                turn
            });
        }
        // Whoever forges key ids makes the gate fetch as often as it may.
        let mut forgers = tokio::task::JoinSet::new();
        for forger in 0..8_usize {
            let (mut connection, ends) = (Connection::open(gate.address(), Http::BOTH[forger % 2]).await, Arc::clone(&ends));
            forgers.spawn(async move {
                let mut turn = 0;
                while !ends.load(Ordering::SeqCst) {
                    connection.send(unknown(&format!("{forger}-{turn}"))).await.unwrap().assert_denied(401, "invalid_token");
                    turn += 1;
                }
                turn
            });
        }
        let until_all_sent = async |more: usize| {
            let before: Vec<usize> = answers.iter().map(|count| count.load(Ordering::SeqCst)).collect();
            until("all clients to send", LIMIT, async || {
                let sent = |(count, before): (&AtomicUsize, &usize)| count.load(Ordering::SeqCst) >= before + more;
                answers.iter().zip(&before).all(sent).then_some(())
            })
            .await;
        };
        until_all_sent(20).await;
        for rotation in 1..=3 {
            let (old, new) = (signer(rotation - 1), signer(rotation));
            publisher.publish(PATH, set(&[&old, &new]));
            *signing.lock().unwrap() = vec![old, new.clone()];
            until_all_sent(60).await;
            *signing.lock().unwrap() = vec![new];
            // What was signed by the old key is answered before that key goes.
            until_all_sent(2).await;
        }
        ends.store(true, Ordering::SeqCst);
        let sent: usize = clients.join_all().await.iter().sum();
        let forged: usize = forgers.join_all().await.iter().sum();
        println!("{sent} requests while keys rotated three times, all admitted; {forged} forged; {} fetches", publisher.fetches(PATH));
        gate.assert_untrapped().await;
    });
}
