//! Leases over HTTP: from a tier's quota to what operators see, and that a node has only its own.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_core::wire::LONGEST_WAIT;
use tollgate_server::clock::{Clock, FakeClock, SystemClock};

use crate::locked::sha256;
use crate::service::{Service, data};

const WIRE: &str = "tollgate-node/1";

fn ask(consumer: &str, lease: u64, units: u64) -> Value {
    json!({"consumer": consumer, "limit": "daily", "lease": lease, "number": 1, "need": units, "waiting": units})
}

async fn with_quota(service: &Service) -> String {
    let limits = json!([{"name": "daily", "algorithm": "quota", "rate": 100, "per": "day", "time_zone": "Pacific/Auckland"}]);
    service.call("PUT", "/api/v1/tiers/free").json(&json!({"limits": limits})).send().await.expect(200);
    service.consumer().await
}

async fn settle(service: &Service, token: &str, ask: Value) -> Value {
    let message = json!({"wire": WIRE, "asks": [ask]});
    let mut settled = service.node(token, "POST", "/internal/v1/leases").json(&message).send().await.expect(200);
    assert_eq!((&settled["wire"], settled["revision"].is_u64()), (&json!(WIRE), true), "{settled}");
    settled["answers"][0].take()
}

async fn newest_incarnation(service: &Service) -> String {
    let nodes = service.get("/api/v1/nodes?limit=200").await.expect(200);
    nodes["items"].as_array().unwrap().last().unwrap()["incarnation"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_granted_units_reports_and_is_let_go() {
    let service = Service::start().await;
    let consumer = with_quota(&service).await;
    let token = service.token().await;
    let incarnation = newest_incarnation(&service).await;
    let first = settle(&service, &token, ask(&consumer, 1, 60)).await;
    assert_eq!((first["granted"].as_u64(), first["limit"].as_u64()), (Some(60), Some(100)), "{first}");
    // The same in a report, with what was let pass.
    let mut again = ask(&consumer, 1, 0);
    (again["number"], again["window"], again["own"]) = (json!(2), first["window"].clone(), json!(20));
    let overages = json!([{"consumer": consumer, "limit": "daily", "units": 5}]);
    let report = json!({"wire": WIRE, "sequence": 1, "leases": [again, ask(&consumer, 2, 10)], "overages": overages});
    for _ in 0..2 {
        let acknowledged = service.node(&token, "POST", "/internal/v1/reports").json(&report).send().await.expect(200);
        let granted: Vec<_> = acknowledged["leases"].as_array().unwrap().iter().map(|answer| answer["granted"].as_u64()).collect();
        assert_eq!((granted, acknowledged["sequence"].as_u64()), (vec![None, Some(10)], Some(1)), "{acknowledged}");
    }
    let row = |listed: &Value| {
        ["units", "granted", "returned", "charged", "outstanding", "silent", "overage"]
            .map(|name| listed["items"][0][name].as_u64().unwrap())
    };
    let listed = service.get(&format!("/api/v1/ledger?consumer={consumer}")).await.expect(200);
    assert_eq!(row(&listed), [100, 70, 0, 70, 30, 0, 5], "{listed}");
    assert_eq!(service.get("/api/v1/ledger?consumer=nobody&all=true").await.expect(200)["items"], json!([]));
    for (query, field) in [("all=yes", "all"), ("customer=a", "customer"), ("after=x", "after"), ("limit=0", "limit")] {
        assert_eq!(service.get(&format!("/api/v1/ledger?{query}")).await.wrong_field(400).0, field);
    }
    let release = format!("/api/v1/nodes/{incarnation}/release");
    assert_eq!(service.call("POST", &release).send().await.wrong_field(409).0, "node");
    assert_eq!(service.post("/api/v1/nodes/test/release", &json!({"force": true})).await.wrong_field(400).0, "force");
    assert_eq!(service.post(&release, &json!({"forced": true})).await.wrong_field(400).0, "forced");
    service.call("POST", "/api/v1/nodes/nobody/release").send().await.problem(404);
    let released = service.post(&release, &json!({"force": true})).await.expect(200);
    assert_eq!(released, json!({"incarnations": [incarnation], "leases": 2, "units": 30}));
    assert_eq!(settle(&service, &token, ask(&consumer, 3, 1)).await["closed"], true);
    let listed = service.get("/api/v1/ledger").await.expect(200);
    assert_eq!(row(&listed), [100, 70, 30, 40, 0, 0, 5], "{listed}");
}

/// Nobody can speak for another node: who a message is of is said by its token alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_of_the_node_whose_token_it_comes_with() {
    let service = Service::start().await;
    let consumer = with_quota(&service).await;
    let [one, other] = [service.token().await, service.token().await];
    let first = settle(&service, &one, ask(&consumer, 1, 60)).await;
    let mut stolen = ask(&consumer, 1, 0);
    (stolen["number"], stolen["window"], stolen["returned"], stolen["incarnation"]) =
        (json!(2), first["window"].clone(), json!(60), json!(newest_incarnation(&service).await));
    assert_eq!(settle(&service, &other, stolen).await["closed"], true);
    let listed = service.get("/api/v1/ledger").await.expect(200);
    assert_eq!(listed["items"][0]["charged"], 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_hears_in_its_poll_that_units_are_wanted_elsewhere() {
    let service = Service::start().await;
    let consumer = with_quota(&service).await;
    let [holder, other] = [service.token().await, service.token().await];
    settle(&service, &holder, ask(&consumer, 1, 100)).await;
    let now = service.node(&holder, "GET", "/internal/v1/changes").send().await.expect(200)["revision"].clone();
    let refused = settle(&service, &other, ask(&consumer, 1, 1)).await;
    assert!(refused.get("granted").is_none() && refused["retry_ms"].as_u64().unwrap() <= 1_000, "{refused}");
    let poll = service.node(&holder, "GET", &format!("/internal/v1/changes?after={now}&wait_ms={LONGEST_WAIT}"));
    let told = poll.send().await.expect(200);
    assert_eq!(told["changes"][0]["recall"], json!({"consumer": consumer, "limit": "daily"}), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_hear_once_that_the_clock_was_set() {
    let clock = FakeClock::at(SystemClock.now());
    let service = Service::start_by(Arc::new(clock.clone()), data().await, &[]).await;
    let token = service.token().await;
    let poll = async |after: &Value| {
        service.node(&token, "GET", &format!("/internal/v1/changes?after={after}&wait_ms=2500")).send().await.expect(200)
    };
    let now = service.node(&token, "GET", "/internal/v1/changes").send().await.expect(200)["revision"].clone();
    assert_eq!(poll(&now).await.get("changes"), None);
    clock.set(clock.now().before(Duration::from_secs(30)));
    let told = poll(&now).await;
    assert_eq!(told["changes"][0]["recall"], json!({"consumer": "", "limit": "", "freed": true}), "{told}");
    assert_eq!(poll(&told["revision"]).await.get("changes"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn overrides_are_part_of_a_consumers_document() {
    let service = Service::start().await;
    let consumer = with_quota(&service).await;
    let path = format!("/api/v1/consumers/{consumer}");
    assert_eq!(service.get(&path).await.expect(200)["overrides"], json!({}));
    let put = async |overrides: Value| service.call("PATCH", &path).json(&json!({"overrides": overrides})).send().await;
    assert_eq!(put(json!({"daily": 500})).await.expect(200)["overrides"], json!({"daily": 500}));
    let token = service.token().await;
    assert_eq!(settle(&service, &token, ask(&consumer, 1, 400)).await["limit"], 500);
    for (overrides, field) in [
        (json!({"daily": 0}), "overrides.daily"),
        (json!({"Daily": 1}), "overrides.Daily"),
        (json!({"daily": null}), "overrides.daily"),
        (json!({"daily": -1}), "overrides.daily"),
        (json!(["daily"]), "overrides"),
    ] {
        assert_eq!(put(overrides).await.wrong_field(400).0, field);
    }
    let new = json!({"name": "Another", "tier": "free", "overrides": {"daily": 7}});
    assert_eq!(service.post("/api/v1/consumers", &new).await.expect(201)["overrides"], json!({"daily": 7}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_asks_whose_a_key_is_is_told_with_it_what_it_may_spend() {
    let service = Service::start().await;
    let consumer = with_quota(&service).await;
    let key = service.key(&consumer).await;
    let [one, other] = [service.token().await, service.token().await];
    let resolve = json!({"wire": WIRE, "id": key["id"], "sha256": sha256(key["api_key"].as_str().unwrap()),
        "leases": {"lease": 4, "need": 25, "route": "default"}});
    let asks =
        [("resolve", resolve), ("consumers", json!({"wire": WIRE, "consumer": consumer, "leases": {"lease": 4, "need": 25, "route": ""}}))];
    for (token, (path, question)) in [(&one, &asks[0]), (&other, &asks[1])] {
        for _ in 0..2 {
            let told = service.node(token, "POST", &format!("/internal/v1/{path}")).json(question).send().await.expect(200);
            assert_eq!(told["limits"], json!(["daily"]), "{told}");
            let answer = &told["settled"]["answers"][0];
            assert_eq!((&answer["lease"], &answer["number"], &answer["granted"]), (&json!(4), &json!(1), &json!(25)), "{told}");
        }
    }
    assert_eq!(service.get("/api/v1/ledger").await.expect(200)["items"][0]["charged"], 50, "by the tokens two nodes, and each once");
    let wrong = json!({"wire": WIRE, "consumer": consumer, "leases": {"lease": -4, "need": 1, "route": ""}});
    assert_eq!(service.node(&one, "POST", "/internal/v1/consumers").json(&wrong).send().await.wrong_field(400).0, "");
}
