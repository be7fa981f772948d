//! A backend that answers badly, late or not at all: whoever waits is told so in time, nothing is remembered of it, and nobody else
//! notices.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tollgate_tests::plugin::{self, ACME, consumer, hourly, key, tier};
use tollgate_tests::{Answer, Call, Connection, EveryWorker, FakeBackend, Fault, Gate, Http, Kind, Setup, run, until};

use super::backend_shared::open;

const LIMIT: Duration = Duration::from_secs(20);
const TIMEOUT: Duration = Duration::from_millis(400);
/// What a loaded machine may take beyond a timeout.
const SLACK: Duration = Duration::from_millis(600);

fn setup(name: &str, backend: &FakeBackend, settings: Value) -> Setup {
    let mut all = json!({"timeout": "400ms"});
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let plugin = json!({
        "backend": plugin::backend(&all),
        "tiers": [tier("open", &[])],
        "consumers": [consumer("acme", "open", ACME)],
    });
    Setup::new(name, &plugin).backend(backend)
}

/// One worker, so that one request reaches it and failures in a row are counted in one place.
async fn one_worker(name: &str, settings: Value) -> (std::sync::Arc<FakeBackend>, Gate) {
    let backend = FakeBackend::start();
    let gate = setup(name, &backend, settings).workers(1).start().await;
    backend.until_followed(&gate).await;
    (backend, gate)
}

async fn get(gate: &Gate, key: &str, http: Http) -> Answer {
    Call::get("/a").bearer(key).send(gate, http).await
}

fn assert_unavailable(answer: &Answer) {
    answer.assert_denied(503, "unavailable");
    assert_eq!(answer.number("retry-after"), 1);
}

/// What the backend might say about a key that is not to be believed.
fn faults(known: &str) -> Vec<(&'static str, Fault)> {
    let body = |text: &str| Fault::Body(text.as_bytes().to_vec());
    let of = |credential: &str, consumer: &str, tier: &Value| {
        let known = json!({"credential": credential, "consumer": consumer, "tier": tier});
        Fault::Body(json!({"wire": "tollgate-node/1", "revision": 0, "known": known}).to_string().into_bytes())
    };
    let mut huge = known.as_bytes().to_vec();
    huge.resize(300 * 1024, b' ');
    vec![
        ("internal error", Fault::Status(500)),
        ("bad request", Fault::Status(400)),
        ("not found", Fault::Status(404)),
        ("no content", Fault::Status(204)),
        ("reset in the middle", Fault::Cut),
        ("empty", body("")),
        ("no JSON", body("<html>It works!</html>")),
        ("truncated", body(&known[..known.len() - 1])),
        ("no UTF-8", Fault::Body(vec![0xff; 100])),
        ("deeply nested", Fault::Body(vec![b'['; 200_000])),
        ("too large", Fault::Body(huge)),
        ("an older version", Fault::Wire("tollgate-node/0")),
        ("a newer version", Fault::Wire("tollgate-node/2")),
        ("another format", Fault::Wire("tollgate/1")),
        ("another message", body(r#"{"wire":"tollgate-node/1","sequence":1}"#)),
        ("an id that fits no header", of("one", "a\r\nb", &open())),
        ("an id that is too long", of(&"x".repeat(129), "one", &open())),
        (
            "a limit that cannot be",
            of("one", "one", &tier("broken", &[json!({"name": "m", "algorithm": "token_bucket", "rate": 0, "per": "1s"})])),
        ),
        ("no answer", Fault::Hold),
    ]
}

#[test]
fn bad_answers_make_their_request_unavailable_and_nothing_else() {
    run(async {
        let (backend, gate) = one_worker("backend-faults", json!({"unknown_per_address": 1_000_000})).await;
        let known = json!({"wire": "tollgate-node/1", "revision": 0, "known": {"credential": "one", "consumer": "one", "tier": open()}});
        for (number, (fault, told)) in faults(&known.to_string()).into_iter().enumerate() {
            let key = key(&format!("fault-{number}"));
            backend.fail_resolve(&key, told);
            for http in Http::BOTH {
                let asked = Instant::now();
                let answer = get(&gate, &key, http).await;
                assert!(asked.elapsed() < TIMEOUT + SLACK, "{fault}: {:?}", asked.elapsed());
                assert!(answer.status == 503, "{fault}: {answer:?}");
                assert_unavailable(&answer);
                get(&gate, ACME, http).await.assert_admitted();
            }
            backend.give(&key, "one", &open());
            backend.heal_resolve(&key);
            // The next good answer counts at once: the failure was not remembered.
            let answer = get(&gate, &key, Http::Two).await;
            assert!(answer.reached_upstream(), "after {fault}: {answer:?}");
            assert_eq!(answer.upstream_saw("x-consumer-id"), ["one"]);
        }
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_waiting_grpc_request_gets_a_grpc_status() {
    run(async {
        let (backend, gate) = one_worker("backend-grpc", json!({})).await;
        let call = |key: &str| Call::new("POST", "/a").bearer(key).header("content-type", "application/grpc").body("\0\0\0\0\0");
        for (fault, status) in [(Fault::Hold, "14"), (Fault::Status(500), "14")] {
            backend.fail_resolve("silence", fault);
            let answer = call("silence").send(&gate, Http::Two).await;
            assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, Some(status)), "{answer:?}");
            assert!(!answer.reached_upstream());
        }
        let answer = call("stranger").send(&gate, Http::Two).await;
        assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, Some("16")), "{answer:?}");
    });
}

#[test]
fn a_backend_that_keeps_silent_costs_few_requests_their_time() {
    run(async {
        let (backend, gate) = one_worker("backend-silence", json!({})).await;
        backend.fail(Kind::Resolve, Fault::Hold);
        for number in 0..3 {
            let asked = Instant::now();
            assert_unavailable(&get(&gate, &format!("silent-{number}"), Http::One).await);
            assert!(asked.elapsed() >= TIMEOUT - Duration::from_millis(5), "{:?}", asked.elapsed());
        }
        let asked = backend.count(Kind::Resolve);
        assert_eq!(backend.resolves("silent-2"), 1);
        let spared = Instant::now();
        assert_unavailable(&get(&gate, "silent-3", Http::Two).await);
        if spared.elapsed() < Duration::from_millis(300) {
            assert_eq!(backend.count(Kind::Resolve), asked, "the fourth was made to wait too");
        }
        backend.heal(Kind::Resolve);
        backend.give("silent-4", "silent", &open());
        until("the backend to be asked again", LIMIT, async || get(&gate, "silent-4", Http::One).await.reached_upstream().then_some(()))
            .await;
        get(&gate, "silent-0", Http::Two).await.assert_denied(401, "invalid_key");
    });
}

#[test]
fn only_so_many_keys_are_asked_about_at_once() {
    run(async {
        let (backend, gate) = one_worker("backend-in-flight", json!({"resolves_in_flight": 2, "timeout": "4s"})).await;
        let mut waiting = JoinSet::new();
        for (number, held) in ["held-1", "held-2"].into_iter().enumerate() {
            backend.give(held, "held", &open());
            backend.fail_resolve(held, Fault::Hold);
            for _ in 0..3 {
                let mut connection = Connection::open(gate.address(), Http::BOTH[number]).await;
                waiting.spawn(async move { connection.send(Call::get("/a").bearer(held)).await.unwrap() });
            }
        }
        until("two to wait", LIMIT, async || (backend.resolves("held-1") + backend.resolves("held-2") == 2).then_some(())).await;
        let asked = Instant::now();
        assert_unavailable(&get(&gate, "third", Http::One).await);
        assert!(asked.elapsed() < Duration::from_secs(2), "it waited although it was not asked about");
        assert_eq!(backend.resolves("third"), 0);
        get(&gate, ACME, Http::Two).await.assert_admitted();
        gate.until_stat("tollgate_backend.not_asked", 1).await;
        for held in ["held-1", "held-2"] {
            backend.heal_resolve(held);
        }
        waiting.join_all().await.iter().for_each(Answer::assert_admitted);
        get(&gate, "third", Http::Two).await.assert_denied(401, "invalid_key");
    });
}

#[test]
fn a_token_that_is_refused_is_replaced_while_requests_wait() {
    run(async {
        let backend = FakeBackend::start();
        let gate = setup("backend-token", &backend, json!({"timeout": "3s", "unknown_per_address": 1_000_000})).start().await;
        let mut workers = EveryWorker::of(&gate).await;
        for round in 0..3 {
            // The node says nothing that could tell it: its poll is held, and nobody's use is to be reported.
            until("a poll to be held", LIMIT, async || (backend.polls_held() == 1).then_some(())).await;
            backend.refuse_tokens();
            for answer in workers.send(&Call::get("/a").bearer(&format!("patient-{round}"))).await {
                answer.assert_denied(401, "invalid_key");
            }
        }
        let hellos = backend.hellos();
        assert!(hellos.len() > 3, "{hellos:?}");
        let incarnation = hellos[0].incarnation();
        assert!(incarnation.len() == 32 && hellos.iter().all(|hello| hello.incarnation() == incarnation), "{hellos:?}");
        assert!(hellos.iter().all(|hello| hello.node == "test-node"), "{hellos:?}");
    });
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    run(async {
        let backend = FakeBackend::start();
        backend.token_life(Duration::from_millis(1_500));
        let gate = setup("backend-renewal", &backend, json!({})).start().await;
        let first = backend.received(Kind::Changes).iter().map(|poll| poll.authorization.clone()).next();
        let mut workers = EveryWorker::of(&gate).await;
        for round in 0.. {
            let key = key(&format!("renewed-{round}"));
            backend.give(&key, "renewed", &tier("hourly", &[hourly(100_000)]));
            workers.send(&Call::get("/a").bearer(&key)).await.iter().for_each(Answer::assert_admitted);
            if backend.hellos().len() > 4 {
                break;
            }
        }
        let refused = |kind| backend.received(kind).iter().filter(|call| call.incarnation.is_empty()).count();
        assert_eq!([Kind::Resolve, Kind::Report].map(refused), [0, 0], "a token was used after its end");
        assert_ne!(backend.received(Kind::Resolve).last().map(|call| call.authorization.clone()), first);
    });
}
