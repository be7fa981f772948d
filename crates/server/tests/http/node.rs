//! The node API, message by message.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tollgate_core::wire::{LONGEST_WAIT, MOST_ASKS, MOST_USED};

use crate::client::{Http2, Reply, call};
use crate::locked::sha256;
use crate::service::Service;

const WIRE: &str = "tollgate-node/1";

fn resolve(key: &Value) -> Value {
    json!({"wire": WIRE, "id": key["id"], "sha256": sha256(key["api_key"].as_str().unwrap())})
}

fn asked(consumer: &str) -> Value {
    json!({"wire": WIRE, "consumer": consumer})
}

async fn changes(service: &Service, token: &str, query: &str) -> Reply {
    service.node(token, "GET", &format!("/internal/v1/changes{query}")).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_hello_resolves_reports_and_is_seen() {
    let service = Service::start().await;
    let consumer = service.consumer().await;
    let key = service.key(&consumer).await;
    let token = service.token().await;

    let resolved = service.node(&token, "POST", "/internal/v1/resolve").json(&resolve(&key)).send().await.expect(200);
    assert_eq!(resolved["wire"], WIRE);
    assert_eq!(resolved["known"]["consumer"], json!(consumer));
    assert_eq!(resolved["known"]["credential"], key["id"]);
    assert_eq!(resolved["known"]["tier"]["name"], "free");
    let nobody = json!({"wire": WIRE, "sha256": "0".repeat(64)});
    let unknown = service.node(&token, "POST", "/internal/v1/resolve").json(&nobody).send().await.expect(200);
    assert!(unknown.get("known").is_none() && unknown["revision"].is_u64(), "{unknown}");

    let report = json!({"wire": WIRE, "sequence": 1, "used": [{"credential": key["id"], "at_ms": 4_000_000_000_000_u64}]});
    for _ in 0..2 {
        let acknowledged = service.node(&token, "POST", "/internal/v1/reports").json(&report).send().await.expect(200);
        assert_eq!(acknowledged, json!({"wire": WIRE, "sequence": 1}));
    }
    let used = service.get(&format!("/api/v1/keys/{}", key["id"].as_str().unwrap())).await.expect(200);
    assert!(used["last_used_at"].is_string(), "{used}");

    let nodes = service.get("/api/v1/nodes").await.expect(200);
    assert_eq!((&nodes["items"][0]["node"], &nodes["items"][0]["last_sequence"]), (&json!("test"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_told_the_tier_of_a_consumer_that_may_pass_and_nothing_of_others() {
    let service = Service::start().await;
    let token = service.token().await;
    let ask = |consumer: &str| service.node(&token, "POST", "/internal/v1/consumers").json(&asked(consumer)).send();
    let tier_of = async |consumer: &str| {
        let mut answer = ask(consumer).await.expect(200);
        assert_eq!((&answer["wire"], answer["revision"].is_u64()), (&json!(WIRE), true), "{answer}");
        answer.as_object_mut().unwrap().remove("tier")
    };
    let consumer = service.consumer().await;
    let path = format!("/api/v1/consumers/{consumer}");
    let disable = async |disabled: bool| service.call("PATCH", &path).json(&json!({"disabled": disabled})).send().await.expect(200);
    let tier = tier_of(&consumer).await.unwrap();
    assert_eq!((&tier["name"], tier["limits"][0]["rate"].as_u64()), (&json!("free"), Some(100)));
    disable(true).await;
    assert_eq!(tier_of(&consumer).await, None);
    disable(false).await;
    assert_eq!(tier_of(&consumer).await, Some(tier));
    let odd = ["", " ", "'", "\" OR 1=1 --", "%", "*", "..", "\0", "ä", "\u{202e}", "\n", &"x".repeat(65), &"x".repeat(200_000)];
    for nobody in odd.into_iter().map(str::to_owned).chain([
        consumer.to_uppercase(),
        format!("{consumer} "),
        format!("{consumer}\0"),
        format!("{consumer}%"),
    ]) {
        assert_eq!(tier_of(&nobody).await, None, "{:?}", nobody.chars().take(80).collect::<String>());
    }
    service.call("DELETE", &path).send().await.expect(204);
    assert_eq!(tier_of(&consumer).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_formats_and_versions_are_refused_by_every_route() {
    let service = Service::start().await;
    let token = service.token().await;
    for path in [
        "/internal/v1/resolve",
        "/internal/v1/consumers",
        "/internal/v1/credentials",
        "/internal/v1/leases",
        "/internal/v1/reports",
        "/internal/v1/incarnations",
    ] {
        let credential = if path.ends_with("incarnations") { &service.node_credential } else { &token };
        let send = |wire: Value| {
            let message = json!({
                "wire": wire, "sequence": 1, "asks": [], "sha256": "0".repeat(64), "consumer": "acme", "credential": "key", "incarnation_secret": "0".repeat(32), "node": "", "module": ""
            });
            service.node(credential, "POST", path).json(&message).send()
        };
        for wire in [
            json!("tollgate-node/0"),
            json!("tollgate-node/2"),
            json!("tollgate-node"),
            json!("other/1"),
            json!(""),
            json!("tollgate-node/1x"),
        ] {
            let (field, reason) = send(wire.clone()).await.wrong_field(400);
            assert!(field == "wire" && reason.contains("tollgate-node/1"), "{path} {wire}: {reason}");
        }
        for wire in [json!(1), json!(["tollgate-node/1"])] {
            assert_eq!(send(wire).await.status, 400);
        }
        send(json!(WIRE)).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_none_are_refused() {
    let service = Service::start().await;
    let token = service.token().await;
    let most = |count: usize| json!({"wire": WIRE, "sequence": 1, "used": vec![json!({"credential": "c", "at_ms": 1}); count]}).to_string();
    let asks = |count: usize| {
        let ask = json!({"consumer": "c".repeat(64), "limit": "l".repeat(64), "lease": 1_u64 << 53, "number": 1, "returned": 1_u64 << 53});
        json!({"wire": WIRE, "asks": vec![ask; count]}).to_string()
    };
    let padded = |length: usize| format!(r#"{{"wire":"{WIRE}","sequence":1,"padding":"{}"}}"#, "x".repeat(length));
    for (path, body, status) in [
        ("/internal/v1/resolve", String::new(), 400),
        ("/internal/v1/resolve", "{".to_owned(), 400),
        ("/internal/v1/resolve", format!(r#"{{"wire":"{WIRE}"}}"#), 400),
        ("/internal/v1/resolve", format!(r#"{{"wire":"{WIRE}","sha256":"{}"}}"#, "g".repeat(64)), 400),
        ("/internal/v1/resolve", format!(r#"{{"wire":"{WIRE}","sha256":"{}"}}"#, "0".repeat(63)), 400),
        ("/internal/v1/credentials", format!(r#"{{"wire":"{WIRE}"}}"#), 400),
        ("/internal/v1/credentials", format!(r#"{{"wire":"{WIRE}","credential":7}}"#), 400),
        ("/internal/v1/consumers", String::new(), 400),
        ("/internal/v1/consumers", format!(r#"{{"wire":"{WIRE}"}}"#), 400),
        ("/internal/v1/consumers", format!(r#"{{"wire":"{WIRE}","consumer":null}}"#), 400),
        ("/internal/v1/consumers", format!(r#"{{"wire":"{WIRE}","consumer":["acme"]}}"#), 400),
        ("/internal/v1/consumers", format!(r#"{{"wire":"{WIRE}","consumer":"{}"}}"#, "x".repeat(300_000)), 413),
        ("/internal/v1/leases", String::new(), 400),
        ("/internal/v1/leases", format!(r#"{{"wire":"{WIRE}"}}"#), 400),
        ("/internal/v1/leases", format!(r#"{{"wire":"{WIRE}","asks":[{{}}]}}"#), 400),
        ("/internal/v1/leases", asks(MOST_ASKS + 1), 400),
        ("/internal/v1/leases", asks(MOST_ASKS), 200),
        ("/internal/v1/leases", format!(r#"{{"wire":"{WIRE}","asks":[],"padding":"{}"}}"#, "x".repeat(300_000)), 413),
        ("/internal/v1/reports", format!(r#"{{"wire":"{WIRE}","sequence":0}}"#), 400),
        ("/internal/v1/reports", format!(r#"{{"wire":"{WIRE}","sequence":-1}}"#), 400),
        ("/internal/v1/reports", most(MOST_USED + 1), 400),
        ("/internal/v1/reports", most(MOST_USED), 200),
        ("/internal/v1/reports", padded(300_000), 413),
    ] {
        let reply = service.node(&token, "POST", path).body(body.clone()).send().await;
        assert_eq!(reply.status, status, "{path} {}: {}", body.chars().take(80).collect::<String>(), reply.text());
    }
    let mark = "hunter2hunter2";
    let reply =
        service.node(&token, "POST", "/internal/v1/resolve").body(format!(r#"{{"wire":"{WIRE}","sha256":["{mark}"]}}"#)).send().await;
    assert!(reply.status == 400 && !reply.text().contains(mark), "{}", reply.text());
    // What a later version adds is passed over.
    let later = json!({"wire": WIRE, "sha256": "0".repeat(64), "added": {"later": true}});
    service.node(&token, "POST", "/internal/v1/resolve").json(&later).send().await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_its_own_credential() {
    let service = Service::start().await;
    let token = service.token().await;
    let mut cases = 0;
    for (method, path, right) in [
        ("POST", "/internal/v1/incarnations", &service.node_credential),
        ("POST", "/internal/v1/resolve", &token),
        ("POST", "/internal/v1/consumers", &token),
        ("POST", "/internal/v1/credentials", &token),
        ("GET", "/internal/v1/revocations", &token),
        ("GET", "/internal/v1/changes", &token),
        ("POST", "/internal/v1/leases", &token),
        ("POST", "/internal/v1/nonces", &token),
        ("POST", "/internal/v1/reports", &token),
    ] {
        let mut altered = token.clone();
        let last = altered.pop().unwrap();
        altered.push(if last == 'A' { 'B' } else { 'A' });
        for wrong in
            [&token, &service.node_credential, &service.admin, &altered, &"x".repeat(5_000)].into_iter().filter(|wrong| *wrong != right)
        {
            let reply = service.node(wrong, method, path).body("{}").send().await;
            assert_eq!(reply.problem(401)["code"], "invalid_key", "{path}");
            cases += 1;
        }
        assert_eq!(call(service.at.node, method, path).send().await.problem(401)["code"], "unauthenticated", "{path}");
        cases += 1;
    }
    println!("{cases} wrong credentials refused on the node API");
    for path in ["/api/v1/consumers", "/api/openapi.json", "/metrics", "/healthz"] {
        assert_eq!(service.node(&service.admin, "GET", path).send().await.status, 404, "the node API has {path}");
    }
    for (address, path) in
        [(service.at.public, "/internal/v1/changes"), (service.at.public, "/metrics"), (service.at.operations, "/api/v1/tiers")]
    {
        assert_eq!(call(address, "GET", path).bearer(&token).send().await.status, 404, "{path} is on another listener");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_node_credential_ends_its_tokens() {
    let service = Service::start().await;
    let token = service.token().await;
    changes(&service, &token, "").await.expect(200);
    let credentials = service.get("/api/v1/node-credentials").await.expect(200);
    let id = credentials["items"][0]["id"].as_str().unwrap().to_owned();
    service.call("DELETE", &format!("/api/v1/node-credentials/{id}")).send().await.expect(204);
    changes(&service, &token, "").await.problem(401);
    for (path, question) in
        [("/internal/v1/resolve", json!({"wire": WIRE, "sha256": "0".repeat(64)})), ("/internal/v1/consumers", asked("acme"))]
    {
        service.node(&token, "POST", path).json(&question).send().await.problem(401);
    }
    let hello = json!({"wire": WIRE, "incarnation_secret": "f".repeat(32), "node": "", "module": ""});
    service.node(&service.node_credential, "POST", "/internal/v1/incarnations").json(&hello).send().await.problem(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_answered_within_milliseconds_of_a_revocation() {
    let service = Service::start().await;
    let consumer = service.consumer().await;
    let token = service.token().await;
    let mut revision = changes(&service, &token, "").await.expect(200)["revision"].as_u64().unwrap();
    let mut waits = Vec::new();
    for _ in 0..20 {
        let key = service.key(&consumer).await["id"].as_str().unwrap().to_owned();
        let query = format!("/internal/v1/changes?after={revision}&wait_ms={LONGEST_WAIT}");
        let poll = tokio::spawn(service.node(&token, "GET", &query).send());
        // The poll must be waiting; a read that goes the same way and comes back is behind it.
        changes(&service, &token, "").await.expect(200);
        service.call("DELETE", &format!("/api/v1/keys/{key}")).send().await.expect(204);
        let revoked = Instant::now();
        let reply = poll.await.unwrap().expect(200);
        waits.push(revoked.elapsed());
        assert_eq!(reply["changes"], json!([{"revision": revision + 1, "credential": {"id": key, "gone": true}}]));
        revision = reply["revision"].as_u64().unwrap();
    }
    waits.sort();
    println!("a poll was answered after the revocation's answer within: median {:?}, longest {:?}", waits[10], waits[19]);
    assert!(waits[10] < Duration::from_millis(50), "{waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_waits_as_long_as_it_was_asked_to_and_no_longer() {
    let service = Service::start().await;
    let token = service.token().await;
    let revision = changes(&service, &token, "").await.expect(200)["revision"].clone();
    let started = Instant::now();
    let reply = changes(&service, &token, &format!("?after={revision}&wait_ms=300")).await.expect(200);
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_millis(300) && elapsed < Duration::from_secs(5), "{elapsed:?}");
    assert_eq!(reply["revision"], revision);
    assert!(reply.get("changes").is_none() && reply["held_ms"].as_u64().unwrap() >= 300, "{reply}");

    let (field, _) = changes(&service, &token, &format!("?after=0&wait_ms={}", LONGEST_WAIT + 1)).await.wrong_field(400);
    assert_eq!(field, "wait_ms");
    for (query, field) in
        [("?after=-1", "after"), ("?after=x", "after"), ("?after=1&after=2", "after"), ("?wait_ms=1s", "wait_ms"), ("?other=1", "other")]
    {
        assert_eq!(changes(&service, &token, query).await.wrong_field(400).0, field, "{query}");
    }
    let reset = changes(&service, &token, "?after=4000000000").await.expect(200);
    assert_eq!(reset["reset"], true, "{reset}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_over_http2_carries_a_poll_and_many_questions_at_once() {
    let service = Service::start().await;
    let consumer = service.consumer().await;
    let key = service.key(&consumer).await;
    let token = service.token().await;
    let revision = changes(&service, &token, "").await.expect(200)["revision"].clone();
    let stream = tokio::net::TcpStream::connect(service.at.node).await.unwrap();
    let connection = Http2::new(stream).await.unwrap();
    let poll = service.node(&token, "GET", &format!("/internal/v1/changes?after={revision}&wait_ms={LONGEST_WAIT}"));
    let mut polling = connection.clone();
    let poll = tokio::spawn(async move { polling.send(&poll).await });
    let questions: Vec<_> = (0..200)
        .map(|_| {
            let (mut connection, question) =
                (connection.clone(), service.node(&token, "POST", "/internal/v1/resolve").json(&resolve(&key)));
            tokio::spawn(async move { connection.send(&question).await.unwrap() })
        })
        .collect();
    for question in questions {
        assert_eq!(question.await.unwrap().expect(200)["known"]["credential"], key["id"]);
    }
    assert!(!poll.is_finished());
    service.call("DELETE", &format!("/api/v1/keys/{}", key["id"].as_str().unwrap())).send().await.expect(204);
    assert_eq!(poll.await.unwrap().unwrap().expect(200)["changes"][0]["credential"]["gone"], true);
}
