//! Abuse, through real proxies and the real backend: who guesses is blocked everywhere, for a while, and who is behind the same address is not.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tollgate_tests::plugin::{self, ACME, claims, consumer, hourly, inline, issuer, tier};
use tollgate_tests::{Answer, Backend, Call, Connection, EveryWorker, Gate, Http, NewKey, Setup, Signer, run, until};

const LIMIT: Duration = Duration::from_secs(20);
/// Guesses that lead to a block at the latest: 20 count, some may fall on the bits of others.
const GUESSES: usize = 30;

/// Short times, so that a test sees them end.
fn rules(more: &Value) -> Value {
    let mut rules = json!({"first_block": "2s", "longest_block": "16s", "half_life": "60s"});
    rules.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rules
}

async fn gate(name: &str, backend: &Backend, abuse: &Value) -> Gate {
    let settings = json!({"unknown_per_address": 1_000_000, "unknown_per_node": 1_000_000});
    let plugin = json!({"backend": plugin::backend(&settings), "abuse": abuse, "default_route": {"auth": "required"}});
    let gate = Setup::new(name, &plugin).real_backend(backend).trusting_one_hop().start().await;
    let consumer = format!("first-{name}");
    backend.new_consumer(&consumer, "enterprise").await;
    let first = backend.new_key(&consumer).await;
    EveryWorker::of(&gate).await.until("the backend to be found", &good(&first, "203.0.113.250"), Answer::reached_upstream).await;
    gate
}

fn good(key: &NewKey, address: &str) -> Call {
    Call::get("/a").bearer(&key.key).from(address)
}

fn guess(number: usize, address: &str) -> Call {
    Call::get("/a").bearer(&format!("guess-{number}-{address}")).from(address)
}

/// Guesses until the address is blocked; answers with how many guesses.
async fn until_blocked(gate: &Gate, address: &str, offset: usize) -> usize {
    let mut connection = Connection::open(gate.address(), Http::Two).await;
    for number in 0..GUESSES {
        let answer = connection.send(guess(offset + number, address)).await.unwrap();
        if answer.status == 403 {
            answer.assert_denied(403, "blocked");
            assert!(answer.number("retry-after") >= 1, "{answer:?}");
            return number;
        }
        answer.assert_denied(401, "invalid_key");
    }
    panic!("{GUESSES} guesses did not lead to a block");
}

async fn blocks(backend: &Backend) -> Vec<Value> {
    backend.call("GET", "/api/v1/blocks", None).await["items"].as_array().unwrap().clone()
}

async fn block_of(backend: &Backend, subject: &str) -> Value {
    until(&format!("a block of {subject}"), LIMIT, async || blocks(backend).await.into_iter().find(|block| block["subject"] == subject))
        .await
}

fn is_blocked(answer: &Answer) -> bool {
    answer.status == 403
}

#[test]
fn guessing_leads_to_a_block_on_two_gates_that_ends_by_itself_and_grows() {
    run(async {
        let backend = Backend::start("abuse-guessing").await;
        let gates =
            [gate("abuse-guessing-1", &backend, &rules(&json!({}))).await, gate("abuse-guessing-2", &backend, &rules(&json!({}))).await];
        backend.new_consumer("neighbour", "enterprise").await;
        let neighbour = backend.new_key("neighbour").await;
        let (attacker, other) = ("198.51.100.7", "198.51.101.8");
        let mut workers = [EveryWorker::of(&gates[0]).await, EveryWorker::of(&gates[1]).await];
        // One worker of each knows the neighbour's key; the others will have to hear that it is good.
        for gate in &gates {
            good(&neighbour, attacker).send(gate, Http::One).await.assert_admitted();
        }
        let guesses = until_blocked(&gates[0], attacker, 0).await;
        let began = Instant::now();
        println!("blocked at guess {guesses}");
        assert!(guesses >= 19, "blocked too soon: {guesses}");
        let block = block_of(&backend, "address:198.51.100.7/32").await;
        let known = Instant::now();
        assert_eq!(
            (block["automatic"].as_bool(), block["reason"].as_str(), block["effect"].as_str()),
            (Some(true), Some("unknown_key"), Some("unknown"))
        );
        assert!(block["origin"].as_str().unwrap().starts_with("node:"), "{block}");
        workers[1].until("the second gate to block", &guess(900, attacker), is_blocked).await;
        println!("on the second gate {:?} after the backend was seen to know", known.elapsed());
        // All workers of both, without another guess; but whoever has a good key behind the same address passes, and so do other addresses.
        for workers in &mut workers {
            workers.until("all workers to block", &guess(901, attacker), is_blocked).await;
            workers.send(&Call::get("/a").from(attacker)).await.iter().for_each(|answer| answer.assert_denied(403, "blocked"));
            workers.send(&good(&neighbour, attacker)).await.iter().for_each(Answer::assert_admitted);
            workers.send(&guess(902, other)).await.iter().for_each(|answer| answer.assert_denied(401, "invalid_key"));
            // Nobody else's address can be claimed: only the one that the trusted proxy saw counts.
            let spoofed = Call::get("/a").bearer("guess-903").from(&format!("{other}, {attacker}"));
            workers.send(&spoofed).await.iter().for_each(|answer| answer.assert_denied(403, "blocked"));
        }
        for workers in &mut workers {
            workers.until("the block to end", &guess(902, attacker), |answer| answer.status == 401).await;
        }
        println!("ended after {:?}", began.elapsed());
        assert!(began.elapsed() >= Duration::from_millis(1_500), "it ended early");
        // Once more: twice as long.
        until_blocked(&gates[1], attacker, 2_000).await;
        let second = until("the second block", LIMIT, async || {
            blocks(&backend).await.into_iter().find(|own| own["subject"] == "address:198.51.100.7/32" && own["repeats"] == 2)
        })
        .await;
        assert_ne!(second["id"], block["id"]);
        // Lifted: in force at once, everywhere, and nothing is left of the score.
        backend.call("DELETE", &format!("/api/v1/blocks/{}", second["id"].as_str().unwrap()), None).await;
        let lifted = Instant::now();
        for workers in &mut workers {
            workers.until("the block to be lifted", &guess(902, attacker), |answer| answer.status == 401).await;
        }
        println!("lifted on both gates within {:?}", lifted.elapsed());
        assert!(lifted.elapsed() < Duration::from_millis(1_500), "{:?}", lifted.elapsed());
        for gate in &gates {
            gate.assert_untrapped().await;
        }
    });
}

#[test]
fn one_bad_key_however_often_it_comes_blocks_nobody() {
    run(async {
        let backend = Backend::start("abuse-stubborn").await;
        let gate = gate("abuse-stubborn-gate", &backend, &rules(&json!({}))).await;
        let mut connection = Connection::open(gate.address(), Http::Two).await;
        let mut other = Connection::open(gate.address(), Http::One).await;
        for number in 0..5_000 {
            for connection in [&mut connection, &mut other] {
                let answer = connection.send(guess(1, "198.51.100.9")).await.unwrap();
                assert_eq!(answer.status, 401, "at request {number}: {answer:?}");
            }
        }
        assert!(blocks(&backend).await.is_empty());
        gate.assert_untrapped().await;
    });
}

#[test]
fn in_shadow_nobody_is_blocked_and_all_is_told() {
    run(async {
        let backend = Backend::start("abuse-shadow").await;
        let shadow = gate("abuse-shadow-1", &backend, &rules(&json!({"mode": "shadow"}))).await;
        let enforcing = gate("abuse-shadow-2", &backend, &rules(&json!({"first_block": "60s", "longest_block": "60s"}))).await;
        let mut connection = Connection::open(shadow.address(), Http::Two).await;
        for number in 0..100 {
            connection.send(guess(number, "198.51.100.7")).await.unwrap().assert_denied(401, "invalid_key");
        }
        let told = block_of(&backend, "address:198.51.100.7/32").await;
        assert_eq!(told["shadow"], true, "{told}");
        shadow.until_stat("tollgate_abuse.shadow", 1).await;
        // Nor is it elsewhere; and what others block is not blocked in shadow, but for an operator's word.
        connection.send(guess(1, "198.51.100.7")).await.unwrap().assert_denied(401, "invalid_key");
        Connection::open(enforcing.address(), Http::Two)
            .await
            .send(guess(1, "198.51.100.7"))
            .await
            .unwrap()
            .assert_denied(401, "invalid_key");
        until_blocked(&enforcing, "192.0.2.1", 0).await;
        block_of(&backend, "address:192.0.2.1/32").await;
        backend.call("POST", "/api/v1/blocks", Some(&json!({"subject": "address:192.0.2.2", "reason": "a test"}))).await;
        let mut workers = EveryWorker::of(&shadow).await;
        workers.until("the operator's block", &guess(1, "192.0.2.2"), is_blocked).await;
        workers.send(&guess(1, "192.0.2.1")).await.iter().for_each(|answer| answer.assert_denied(401, "invalid_key"));
    });
}

#[test]
fn who_is_approved_is_never_blocked_by_a_node_but_by_an_operator() {
    run(async {
        let backend = Backend::start("abuse-approved").await;
        let approval = backend.call("POST", "/api/v1/approvals", Some(&json!({"subject": "address:198.51.100.0/25"}))).await;
        let gate = gate("abuse-approved-gate", &backend, &rules(&json!({}))).await;
        let mut connection = Connection::open(gate.address(), Http::Two).await;
        for number in 0..150 {
            connection.send(guess(number, "198.51.100.7")).await.unwrap().assert_denied(401, "invalid_key");
        }
        assert!(blocks(&backend).await.is_empty(), "{:?}", blocks(&backend).await);
        backend.new_consumer("known", "enterprise").await;
        let known = backend.new_key("known").await;
        let mut workers = EveryWorker::of(&gate).await;
        workers.send(&good(&known, "198.51.100.7")).await.iter().for_each(Answer::assert_admitted);
        // An operator's block of everything: also who has a good key.
        let total = backend.call("POST", "/api/v1/blocks", Some(&json!({"subject": "address:198.51.100.7"}))).await;
        workers.until("the operator's block", &good(&known, "198.51.100.7"), is_blocked).await;
        workers.send(&good(&known, "198.51.100.8")).await.iter().for_each(Answer::assert_admitted);
        backend.call("DELETE", &format!("/api/v1/blocks/{}", total["id"].as_str().unwrap()), None).await;
        workers.until("it to be lifted", &good(&known, "198.51.100.7"), Answer::reached_upstream).await;
        // A consumer, a credential: everywhere, from anywhere.
        for subject in ["consumer:known".to_owned(), format!("credential:{}", known.id)] {
            let block = backend.call("POST", "/api/v1/blocks", Some(&json!({"subject": subject}))).await;
            workers.until("the identity to be blocked", &good(&known, "198.51.100.8"), is_blocked).await;
            backend.call("DELETE", &format!("/api/v1/blocks/{}", block["id"].as_str().unwrap()), None).await;
            workers.until("it to be lifted", &good(&known, "198.51.100.8"), Answer::reached_upstream).await;
        }
        // No longer approved.
        backend.call("DELETE", &format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap()), None).await;
        until("the approval's end", LIMIT, async || {
            for number in 0..40 {
                if is_blocked(&connection.send(guess(9_000 + number, "198.51.100.9")).await.unwrap()) {
                    return Some(());
                }
            }
            None
        })
        .await;
        gate.assert_untrapped().await;
    });
}

#[test]
fn while_the_backend_is_away_a_node_s_own_block_holds_and_ends() {
    run(async {
        let mut backend = Backend::start("abuse-away").await;
        let gate = gate("abuse-away-gate", &backend, &rules(&json!({}))).await;
        // Forged keys need no backend to be known as such.
        let until_asked = guess(7_000, "198.51.100.20");
        until_asked.send(&gate, Http::Two).await.assert_denied(401, "invalid_key");
        until_blocked(&gate, "198.51.100.7", 0).await;
        let began = Instant::now();
        backend.kill();
        let mut workers = EveryWorker::of(&gate).await;
        workers.until("all workers to block", &guess(0, "198.51.100.7"), is_blocked).await;
        workers.until("the block to end", &guess(0, "198.51.100.7"), |answer| answer.status != 403).await;
        assert!((Duration::from_millis(1_500)..Duration::from_secs(6)).contains(&began.elapsed()), "{:?}", began.elapsed());
        // Started anew, the node asks who is blocked; what an operator said meanwhile is in force.
        backend.restart().await;
        backend.call("POST", "/api/v1/blocks", Some(&json!({"subject": "address:192.0.2.0/24"}))).await;
        workers.until("the operator's block", &guess(1, "192.0.2.77"), is_blocked).await;
        let late = self::gate("abuse-away-late", &backend, &rules(&json!({}))).await;
        EveryWorker::of(&late).await.until("the late gate to know", &guess(1, "192.0.2.77"), is_blocked).await;
    });
}

#[test]
fn a_node_without_backend_blocks_by_itself_and_forged_keys_blame_nobody_else() {
    run(async {
        let secret = "an-issuer-key-of-the-tests";
        let plugin = json!({
            "tiers": [tier("open", &[])],
            "consumers": [consumer("acme", "open", ACME)],
            "credentials": {"issuer_keys": [{"version": 1, "prefix": "foil", "secret": {"env": "TOLLGATE_ISSUER_KEY"}}]},
            "abuse": rules(&json!({"first_block": "3s"})),
        });
        let gate = Setup::new("abuse-alone", &plugin).secret("TOLLGATE_ISSUER_KEY", secret).trusting_one_hop().start().await;
        let mut workers = EveryWorker::of(&gate).await;
        let mut connection = Connection::open(gate.address(), Http::Two).await;
        let forged = |number: usize| {
            let digits: String = format!("{number:057}");
            Call::get("/a").bearer(&format!("foil_{digits}")).from("198.51.100.7")
        };
        let mut guesses = 0;
        while !is_blocked(&connection.send(forged(guesses)).await.unwrap()) {
            guesses += 1;
            assert!(guesses < GUESSES, "not blocked");
        }
        gate.until_stat("tollgate_abuse.forged_key", 19).await;
        workers.until("all workers to block", &forged(1), is_blocked).await;
        let neighbour = Call::get("/a").bearer(ACME).from("198.51.100.7");
        workers.send(&neighbour).await.iter().for_each(Answer::assert_admitted);
        workers.until("the block to end", &forged(1), |answer| answer.status == 401).await;
        gate.assert_untrapped().await;
    });
}

#[test]
fn forged_tokens_lead_to_a_block_and_verified_ones_pass_on_every_worker() {
    run(async {
        const ISSUER: &str = "https://abuse.example";
        let signer = Signer::new("EdDSA", "one", 11);
        let forger = Signer::new("EdDSA", "one", 12);
        let plugin = json!({
            "tiers": [tier("open", &[])],
            "tokens": {"failed_per_address": 1_000_000, "issuers": [issuer(ISSUER, &inline(&[&signer]), &json!({}))]},
            "abuse": rules(&json!({"first_block": "5s"})),
        });
        let gate = Setup::new("abuse-tokens", &plugin).trusting_one_hop().start().await;
        let address = "198.51.100.7";
        let token = |signer: &Signer, id: &str| signer.token(&claims(ISSUER, "acme", &json!({"jti": id})));
        let neighbour = Call::get("/a").bearer(&token(&signer, "neighbour")).from(address);
        // One worker has verified it.
        neighbour.clone().send(&gate, Http::One).await.assert_admitted();
        let forged = |number: usize| Call::get("/a").bearer(&token(&forger, &format!("forged-{number}"))).from(address);
        let mut connection = Connection::open(gate.address(), Http::Two).await;
        let mut sent = 0;
        while !is_blocked(&connection.send(forged(sent)).await.unwrap()) {
            sent += 1;
            assert!(sent < GUESSES, "not blocked");
        }
        let mut workers = EveryWorker::of(&gate).await;
        workers.until("all workers to block", &forged(0), is_blocked).await;
        workers.send(&neighbour).await.iter().for_each(Answer::assert_admitted);
        // A token that nobody has seen is no better than a guess.
        let new = Call::get("/a").bearer(&token(&signer, "new")).from(address);
        workers.send(&new).await.iter().for_each(|answer| answer.assert_denied(403, "blocked"));
        workers.until("the block to end", &forged(0), |answer| answer.status == 401).await;
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_storm_of_refusals_blocks_its_consumer_and_no_other() {
    run(async {
        let plugin = json!({
            "tiers": [tier("small", &[hourly(10)]), tier("open", &[])],
            "consumers": [consumer("stormy", "small", "stormy-key-0123456789"), consumer("acme", "open", ACME)],
            "abuse": rules(&json!({"interval": "1s", "denials": {"least": 64}, "first_block": "5s"})),
        });
        let gate = Setup::new("abuse-storm", &plugin).trusting_one_hop().start().await;
        let stormy = Call::get("/a").bearer("stormy-key-0123456789").from("198.51.100.7");
        let mut connection = Connection::open(gate.address(), Http::Two).await;
        let blocked = until("the storm to be noticed", LIMIT, async || {
            for _ in 0..200 {
                let answer = connection.send(stormy.clone()).await.unwrap();
                if answer.status == 403 {
                    return Some(answer);
                }
            }
            None
        })
        .await;
        blocked.assert_denied(403, "blocked");
        gate.until_stat("tollgate_abuse.denial_storm", 3).await;
        Call::get("/a").bearer(ACME).from("198.51.100.7").send(&gate, Http::One).await.assert_admitted();
    });
}

#[test]
fn one_key_from_many_networks_is_told_of_and_blocked_where_that_is_asked() {
    run(async {
        for block in [false, true] {
            let backend = Backend::start(&format!("abuse-many-{block}")).await;
            let many = json!({"first_block": "60s", "longest_block": "60s", "many_addresses": {"most": 8, "block": block}});
            let gate = gate(&format!("abuse-many-gate-{block}"), &backend, &rules(&many)).await;
            backend.new_consumer("shared", "enterprise").await;
            backend.new_consumer("single", "enterprise").await;
            let (shared, single) = (backend.new_key("shared").await, backend.new_key("single").await);
            let mut connection = Connection::open(gate.address(), Http::Two).await;
            for number in 0..64 * 30 {
                let answer = connection.send(good(&shared, &format!("10.{}.7.9", number / 64))).await.unwrap();
                connection.send(good(&single, &format!("10.7.7.{}", number / 64))).await.unwrap().assert_admitted();
                if answer.status == 403 {
                    break;
                }
                answer.assert_admitted();
            }
            let told = block_of(&backend, &format!("credential:{}", shared.id)).await;
            assert_eq!(
                (&told["reason"], &told["shadow"], &told["organisation"]),
                (&json!("many_addresses"), &json!(!block), &json!("default"))
            );
            let last = connection.send(good(&shared, "10.99.0.1")).await.unwrap();
            assert_eq!(last.status.as_u16(), if block { 403 } else { 200 });
            let named = blocks(&backend).await;
            assert!(!named.iter().any(|own| own["subject"] == format!("credential:{}", single.id)), "{named:?}");
        }
    });
}

#[test]
fn a_consumer_many_times_as_fast_as_usual_is_blocked_where_that_is_asked() {
    run(async {
        let plugin = json!({
            "tiers": [tier("open", &[])],
            "consumers": [consumer("sudden", "open", "sudden-key-0123456789"), consumer("acme", "open", ACME)],
            "abuse": rules(&json!({
                "interval": "1s",
                "first_block": "5s",
                "velocity": {"multiple": 3, "intervals": 2, "least": 320, "block": true},
            })),
        });
        let gate = Setup::new("abuse-velocity", &plugin).workers(1).start().await;
        let call = Call::get("/a").bearer("sudden-key-0123456789");
        let mut connection = Connection::open(gate.address(), Http::Two).await;
        let began = Instant::now();
        // Usual: some 70 to 140 requests a second, for ten seconds.
        let mut sent = 0;
        while began.elapsed() < Duration::from_secs(10) {
            if Duration::from_millis(10 * sent) <= began.elapsed() {
                connection.send(call.clone()).await.unwrap().assert_admitted();
                sent += 1;
            } else {
                tokio::task::yield_now().await;
            }
        }
        until("the pace to be noticed", LIMIT, async || {
            for _ in 0..500 {
                if is_blocked(&connection.send(call.clone()).await.unwrap()) {
                    return Some(());
                }
            }
            None
        })
        .await;
        gate.until_stat("tollgate_abuse.velocity", 1).await;
        Call::get("/a").bearer(ACME).send(&gate, Http::One).await.assert_admitted();
    });
}

#[test]
fn a_network_is_blocked_for_what_its_neighbours_do_together_unless_somebody_in_it_is_approved() {
    run(async {
        let backend = Backend::start("abuse-network").await;
        backend.call("POST", "/api/v1/approvals", Some(&json!({"subject": "address:198.51.100.200"}))).await;
        let together = json!({"network_multiple": 1, "first_block": "60s", "longest_block": "60s"});
        let gate = gate("abuse-network-gate", &backend, &rules(&together)).await;
        let mut connection = Connection::open(gate.address(), Http::Two).await;
        // Five guesses of each address: none is blocked by itself.
        for network in ["192.0.2", "198.51.100"] {
            let mut blocked = false;
            for number in 0..GUESSES {
                blocked |= is_blocked(&connection.send(guess(number, &format!("{network}.{}", number / 5))).await.unwrap());
            }
            assert!(blocked, "{network} was not blocked");
        }
        block_of(&backend, "address:192.0.2.0/24").await;
        // The node takes its word back; the approved one was never concerned.
        let mut workers = EveryWorker::of(&gate).await;
        workers.send(&guess(1, "198.51.100.200")).await.iter().for_each(|answer| answer.assert_denied(401, "invalid_key"));
        workers.until("the block to be taken back", &guess(2, "198.51.100.77"), |answer| answer.status == 401).await;
        workers.until("the other to stay", &guess(2, "192.0.2.77"), is_blocked).await;
        assert_eq!(blocks(&backend).await.len(), 1);
    });
}
