//! Gates that change under load, and a worker that stops: the backend's keys go on.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_tests::plugin::{self, key};
use tollgate_tests::trap::trapping_module;
use tollgate_tests::{Answer, Call, Connection, EveryWorker, FakeBackend, Http, Kind, Load, Setup, run, until};

use super::backend_shared::open;

const LIMIT: Duration = Duration::from_secs(20);

fn plugin(realm: &str) -> Value {
    json!({"realm": realm, "backend": plugin::backend(&json!({"unknown_per_address": 1_000_000}))})
}

#[test]
fn updates_under_load_refuse_nobody_and_the_feed_goes_on() {
    run(async {
        let backend = FakeBackend::start();
        let gate = Setup::new("backend-updates", &plugin("zero")).backend(&backend).updatable().start().await;
        backend.until_followed(&gate).await;
        backend.give(&key("loaded"), "loaded", &open());
        let load = Load::start(&[&gate], 8, &Call::get("/a").bearer(&key("loaded")));
        for realm in ["one", "two", "three"] {
            gate.update(&plugin(realm));
            let challenge = format!(r#"Bearer realm="{realm}""#);
            until(&format!("the realm {realm}"), LIMIT, async || {
                let answer = Call::get("/realm").send(&gate, Http::One).await;
                (answer.header("www-authenticate") == Some(&*challenge)).then_some(())
            })
            .await;
            // Keys that nobody has seen are resolved, and changes arrive.
            let newcomer = key(&format!("newcomer-{realm}"));
            backend.give(&newcomer, "newcomer", &open());
            let (call, mut workers) = (Call::get("/a").bearer(&newcomer), EveryWorker::of(&gate).await);
            workers.send(&call).await.iter().for_each(Answer::assert_admitted);
            backend.revoke(&newcomer);
            workers.until("a revocation after the update", &call, |answer| answer.status == 401).await;
        }
        let clients = load.stop().await;
        assert!(clients.iter().all(|seen| seen.len() > 100), "{:?}", clients.iter().map(Vec::len).collect::<Vec<_>>());
        clients.iter().flatten().for_each(|sent| sent.answer.assert_admitted());
        // The old configurations' listeners have gone: one is left.
        until("one poll to be held", LIMIT, async || (backend.polls_held() == 1).then_some(())).await;
        let hellos = backend.hellos();
        assert!(hellos.iter().all(|hello| hello.incarnation() == hellos[0].incarnation()), "{hellos:?}");
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_worker_that_stops_comes_back_and_knows_whom_to_ask() {
    run(async {
        let backend = FakeBackend::start();
        let gate = Setup::new("backend-traps", &plugin("trap")).backend(&backend).workers(1).module(trapping_module()).start().await;
        backend.until_followed(&gate).await;
        backend.give(&key("survivor"), "survivor", &open());
        let call = Call::get("/a").bearer(&key("survivor"));
        for round in 0..2 {
            call.clone().send(&gate, Http::One).await.assert_admitted();
            let mut connection = Connection::open(gate.address(), Http::Two).await;
            let trapped = connection.send(call.clone().trailer("x-stop", "now")).await;
            assert!(trapped.is_err() || trapped.is_ok_and(|answer| !answer.reached_upstream()), "no trap");
            until("the worker to serve again", LIMIT, async || {
                let answer = call.clone().send(&gate, Http::Two).await;
                assert!(answer.status == 503 || answer.upstream_saw("x-consumer-id") == ["survivor"], "{answer:?}");
                answer.reached_upstream().then_some(())
            })
            .await;
            gate.until_stat("vm_reload_success", round + 1).await;
            backend.until_followed(&gate).await;
            let revoked = key(&format!("revoked-{round}"));
            backend.give(&revoked, "revoked", &open());
            let call = Call::get("/a").bearer(&revoked);
            call.clone().send(&gate, Http::One).await.assert_admitted();
            backend.revoke(&revoked);
            EveryWorker::of(&gate).await.until("a revocation after the trap", &call, |answer| answer.status == 401).await;
        }
        let hellos = backend.hellos();
        assert!(hellos.iter().all(|hello| hello.incarnation() == hellos[0].incarnation()), "{hellos:?}");
        let refused = |kind| backend.received(kind).iter().filter(|call| call.incarnation.is_empty()).count();
        assert_eq!([Kind::Resolve, Kind::Changes, Kind::Report].map(refused), [0; 3], "a token was lost");
    });
}
