//! The real backend behind the gate: what its public API promises holds for requests.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tollgate_tests::plugin::{self, hourly};
use tollgate_tests::{Answer, Backend, Call, EveryWorker, Gate, Http, Load, NewKey, Setup, run, until};

const LIMIT: Duration = Duration::from_secs(20);

async fn gate(name: &str, backend: &Backend) -> Gate {
    let plugin = json!({"backend": plugin::backend(&json!({"unknown_per_address": 1_000_000})), "filter_state": true});
    let gate = Setup::new(name, &plugin).real_backend(backend).start().await;
    // Until they follow the feed, workers may ask twice.
    backend.new_consumer("first", "enterprise").await;
    let first = backend.new_key("first").await;
    EveryWorker::of(&gate).await.until("the backend to be found", &call(&first), Answer::reached_upstream).await;
    gate
}

fn call(key: &NewKey) -> Call {
    Call::get("/a").bearer(&key.key)
}

fn is_refused(answer: &Answer) -> bool {
    answer.status == 401
}

#[test]
fn a_key_passes_from_its_creation_to_its_revocation_in_the_tier_its_consumer_has() {
    run(async {
        let backend = Backend::start("server").await;
        let gate = gate("server-gate", &backend).await;
        let mut workers = EveryWorker::of(&gate).await;
        backend.new_consumer("acme", "pro").await;
        let key = backend.new_key("acme").await;
        for answer in workers.send(&call(&key)).await {
            assert_eq!(answer.upstream_saw("x-consumer-id"), ["acme"]);
            assert_eq!(answer.upstream_saw("x-consumer-tier"), ["pro"]);
            assert_eq!(answer.upstream_saw("x-credential-id"), [&*key.id]);
            assert_eq!(answer.number("x-ratelimit-limit"), 1_000);
        }

        // Another tier, another form of a tier, none: each without another request to ask.
        backend.call("PATCH", "/api/v1/consumers/acme", Some(&json!({"tier": "basic"}))).await;
        workers.until("the new tier", &call(&key), |answer| answer.upstream_saw("x-consumer-tier") == ["basic"]).await;
        backend.call("PUT", "/api/v1/tiers/basic", Some(&json!({"limits": [hourly(700)]}))).await;
        workers.until("the tier's new form", &call(&key), |answer| answer.number("x-ratelimit-limit") == 700).await;
        backend.call("PATCH", "/api/v1/consumers/acme", Some(&json!({"tier": "enterprise"}))).await;
        workers.until("no limits", &call(&key), |answer| answer.header("x-ratelimit-limit").is_none()).await;

        // Rotated: both pass, then one.
        let path = format!("/api/v1/keys/{}", key.id);
        let rotated = backend.call("POST", &format!("{path}/rotate"), Some(&json!({"overlap_seconds": 2}))).await;
        let (successor, rotation) = (NewKey::shown(&rotated), Instant::now());
        assert_ne!(successor.key, key.key);
        for key in [&key, &successor] {
            workers.send(&call(key)).await.iter().for_each(Answer::assert_admitted);
        }
        assert!(rotation.elapsed() < Duration::from_secs(2), "too slow a machine for so short an overlap");
        workers.until("the old key to end", &call(&key), is_refused).await;
        assert!(rotation.elapsed() > Duration::from_millis(900), "it ended early: {:?}", rotation.elapsed());
        workers.send(&call(&successor)).await.iter().for_each(Answer::assert_admitted);

        backend.call("PATCH", "/api/v1/consumers/acme", Some(&json!({"disabled": true}))).await;
        workers.until("the consumer to be refused", &call(&successor), is_refused).await;

        // The node has told of its use.
        let used = async || {
            let key = backend.call("GET", &path, None).await;
            key["last_used_at"].as_str().map(str::to_owned)
        };
        until("the use to be known", LIMIT, used).await;
        let nodes = backend.call("GET", "/api/v1/nodes", None).await;
        assert_eq!(nodes["items"].as_array().map(Vec::len), Some(1), "{nodes}");
        gate.assert_untrapped().await;
    });
}

#[test]
fn revocations_reach_two_gates_under_load_and_no_secret_is_shown_or_kept() {
    run(async {
        let backend = Backend::start("server-two").await;
        let one = gate("server-two-1", &backend).await;
        let two = Setup::new("server-two-2", &json!({"backend": plugin::backend(&json!({}))})).real_backend(&backend).start().await;
        backend.new_consumer("acme", "enterprise").await;
        let (mut keys, mut times) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let key = backend.new_key("acme").await;
            let load = Load::start(&[&one, &two], 8, &call(&key));
            until("all clients to be admitted", LIMIT, async || load.all_last(200).then_some(())).await;
            let revoked = Instant::now();
            backend.call("DELETE", &format!("/api/v1/keys/{}", key.id), None).await;
            until("all clients to be refused", LIMIT, async || load.all_last(401).then_some(())).await;
            let mut all_refused = revoked;
            for seen in load.stop().await {
                let first_refused = seen.iter().position(|sent| is_refused(&sent.answer)).expect("a refusal");
                assert!(seen[first_refused..].iter().all(|sent| is_refused(&sent.answer)), "admitted after a refusal");
                all_refused = all_refused.max(seen[first_refused].answered);
            }
            times.push((all_refused - revoked).as_millis());
            keys.push(key.key);
        }
        times.sort_unstable();
        println!("from the call that revokes to refusal by all workers of two gates, ms: {times:?}");
        assert!(times[times.len() / 2] <= 500, "{times:?}");

        let mut shown = vec![
            ("the backend's log".to_owned(), backend.log().into_bytes()),
            ("the backend's metrics".to_owned(), backend.metrics().await.into_bytes()),
        ];
        for gate in [&one, &two] {
            shown.push(("the gate's log".to_owned(), gate.log().into_bytes()));
            shown.push(("the gate's access log".to_owned(), gate.access_log_text().into_bytes()));
            for page in ["/config_dump?include_eds", "/stats", "/stats/prometheus", "/clusters"] {
                shown.push((page.to_owned(), gate.admin_page(page).await.into_bytes()));
            }
        }
        shown.extend(backend.kept().into_iter().map(|(path, bytes)| (path.display().to_string(), bytes)));
        keys.extend([backend.admin_key().to_owned(), backend.node_credential()]);
        for (place, bytes) in &shown {
            let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
            for key in &keys {
                assert!(!holds(key.as_bytes()), "{place} holds a key");
                // What follows the id is the secret.
                assert!(!holds(&key.as_bytes()[key.len() - 41..]), "{place} holds a key's secret");
            }
        }
        // It would have been found: what is no secret is there.
        for part in ["access log", "tollgate.db"] {
            let there = shown.iter().any(|(place, bytes)| place.contains(part) && bytes.windows(4).any(|window| window == b"acme"));
            assert!(there, "{part} does not even name the consumer");
        }
    });
}

#[test]
fn what_was_acknowledged_outlives_a_killed_backend() {
    run(async {
        let mut backend = Backend::start("server-killed").await;
        let gate = gate("server-killed-gate", &backend).await;
        backend.new_consumer("acme", "enterprise").await;
        let known = backend.new_key("acme").await;
        let mut workers = EveryWorker::of(&gate).await;
        workers.send(&call(&known)).await.iter().for_each(Answer::assert_admitted);
        for round in 0..2 {
            // Killed in the middle of a stream of changes: only what was answered counts.
            let (mut made, mut revoked) = (Vec::new(), Vec::new());
            let kill_at = Instant::now() + Duration::from_millis(150 + 70 * round);
            while Instant::now() < kill_at {
                let key = backend.new_key("acme").await;
                if made.len() % 2 == 1 {
                    backend.call("DELETE", &format!("/api/v1/keys/{}", key.id), None).await;
                    revoked.push(key.clone());
                }
                made.push(key);
            }
            let body = json!({"consumer": "acme"});
            tokio::join!(backend.try_call("POST", "/api/v1/keys", Some(&body)), async { kill(&backend) });
            backend.kill();
            workers.send(&call(&known)).await.iter().for_each(Answer::assert_admitted);
            backend.restart().await;
            let is_revoked = |key: &NewKey| revoked.iter().any(|other: &NewKey| other.id == key.id);
            for key in &made {
                let what = format!("the restarted backend to know a key of {}", made.len());
                workers.until(&what, &call(key), |answer| answer.status == if is_revoked(key) { 401 } else { 200 }).await;
            }
            workers.send(&call(&known)).await.iter().for_each(Answer::assert_admitted);
        }
        backend.call("DELETE", &format!("/api/v1/keys/{}", known.id), None).await;
        workers.until("the feed to go on", &call(&known), is_refused).await;
        gate.assert_untrapped().await;
    });
}

/// Ends the process by its number: the case still waits for an answer.
fn kill(backend: &Backend) {
    let killed = std::process::Command::new("kill").args(["-KILL", &backend.process_id().to_string()]).status();
    assert!(killed.expect("a kill").success());
}

#[test]
fn while_the_database_is_locked_changes_wait_and_requests_do_not() {
    run(changes_wait_and_requests_do_not("server-locked", Backend::lock_database));
}

#[test]
fn while_the_disk_is_full_changes_wait_and_requests_do_not() {
    run(changes_wait_and_requests_do_not("server-full", Backend::fill_disk));
}

/// What nobody can write meanwhile, until what `hold` answers is dropped.
async fn changes_wait_and_requests_do_not<Held>(name: &str, hold: impl FnOnce(&Backend) -> Held) {
    let backend = Backend::start(name).await;
    let gate = gate(&format!("{name}-gate"), &backend).await;
    let mut workers = EveryWorker::of(&gate).await;
    backend.new_consumer("acme", "enterprise").await;
    let (known, unseen) = (backend.new_key("acme").await, backend.new_key("acme").await);
    workers.send(&call(&known)).await.iter().for_each(Answer::assert_admitted);

    let held = hold(&backend);
    let body = json!({"consumer": "acme"});
    let refused = backend.try_call("POST", "/api/v1/keys", Some(&body)).await.expect("an answer");
    assert_eq!((refused.status.as_u16(), refused.header("content-type")), (503, Some("application/problem+json")), "{refused:?}");
    assert!(refused.number("retry-after") >= 1, "{refused:?}");
    // Reads go on, and so does whoever is behind the gate, known to it or not.
    assert_eq!(backend.call("GET", "/api/v1/keys?consumer=acme", None).await["items"].as_array().map(Vec::len), Some(2));
    for key in [&known, &unseen] {
        workers.send(&call(key)).await.iter().for_each(Answer::assert_admitted);
    }
    drop(held);
    let made = NewKey::shown(&backend.call("POST", "/api/v1/keys", Some(&body)).await);
    call(&made).send(&gate, Http::One).await.assert_admitted();
    let kept: Value = backend.call("GET", "/api/v1/keys?consumer=acme", None).await;
    assert_eq!(kept["items"].as_array().map(Vec::len), Some(3), "a refused key was kept: {kept}");
    gate.assert_untrapped().await;
}

#[test]
fn a_node_credential_is_replaced_without_a_restart() {
    run(async {
        let backend = Backend::start("server-credential").await;
        let next = backend.call("POST", "/api/v1/node-credentials", Some(&json!({"label": "next"}))).await;
        let next = next["node_credential"].as_str().expect("a node credential").to_owned();
        let staleness = Duration::from_secs(2);
        let plugin = |variable: &str| {
            let settings = json!({"credential": {"env": variable}, "max_staleness": "2s", "unknown_per_address": 1_000_000});
            json!({"realm": variable, "backend": plugin::backend(&settings)})
        };
        let setup = Setup::new("server-credential-gate", &plugin("TOLLGATE_NODE_CREDENTIAL")).real_backend(&backend);
        let gate = setup.secret("NEXT_CREDENTIAL", &next).updatable().start().await;
        backend.new_consumer("acme", "enterprise").await;
        let (known, unseen) = (backend.new_key("acme").await, backend.new_key("acme").await);
        EveryWorker::of(&gate).await.until("the backend to be found", &call(&known), Answer::reached_upstream).await;

        gate.update(&plugin("NEXT_CREDENTIAL"));
        until("the update", LIMIT, async || {
            let answer = Call::get("/realm").send(&gate, Http::One).await;
            answer.header("www-authenticate").is_some_and(|challenge| challenge.contains("NEXT_CREDENTIAL")).then_some(())
        })
        .await;
        let old = backend.node_credential().split_at("tgn_".len()).1.split_at(16).0.to_owned();
        backend.call("DELETE", &format!("/api/v1/node-credentials/{old}"), None).await;
        let revoked = Instant::now();
        let mut workers = EveryWorker::of(&gate).await;
        workers.until("the other credential to be used", &call(&unseen), Answer::reached_upstream).await;
        // Longer than anything is believed that is not heard of.
        until("the keys to pass all the time", LIMIT, async || {
            workers.send(&call(&known)).await.iter().for_each(Answer::assert_admitted);
            (revoked.elapsed() > 2 * staleness).then_some(())
        })
        .await;
        backend.call("DELETE", &format!("/api/v1/keys/{}", known.id), None).await;
        workers.until("the feed to go on", &call(&known), is_refused).await;
        let nodes = backend.call("GET", "/api/v1/nodes", None).await;
        assert_eq!(nodes["items"].as_array().map(Vec::len), Some(1), "it is the same life of the node: {nodes}");
        gate.assert_untrapped().await;
    });
}
