//! Configurations that change under load: nobody notices, and what was spent stays spent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tollgate_tests::plugin::{ACME, bucket, consumer, hourly, tier};
use tollgate_tests::{Call, Connection, Gate, Http, Setup, Upstream, run, until};

const LIMIT: Duration = Duration::from_secs(30);

fn plugin(realm: &str, burst: u32) -> Value {
    json!({
        "realm": realm,
        "tiers": [tier("hourly", &[hourly(burst)])],
        "consumers": [consumer("acme", "hourly", ACME)],
    })
}

/// Updates, and waits until new connections are answered under the new configuration.
async fn update(gate: &Gate, realm: &str, plugin: &Value) {
    gate.update(plugin);
    let challenge = format!(r#"Bearer realm="{realm}""#);
    until(&format!("the realm {realm}"), LIMIT, async || {
        let answer = Call::get("/realm").send(gate, Http::One).await;
        answer.assert_denied(401, "unauthenticated");
        (answer.header("www-authenticate") == Some(&*challenge)).then_some(())
    })
    .await;
}

/// What the load has seen so far.
#[derive(Default)]
struct Load {
    admitted: AtomicU64,
    limited: AtomicU64,
    stopped: AtomicBool,
}

impl Load {
    /// One client: a request after another, over a new connection whenever the proxy has asked to leave the old one.
    async fn drive(self: Arc<Self>, gate: std::net::SocketAddr, http: Http) {
        let mut connection = Connection::open(gate, http).await;
        while !self.stopped.load(Ordering::Relaxed) {
            let answer = match connection.send(Call::get("/load").bearer(ACME)).await {
                Ok(answer) => answer,
                // Never sent: the connection had been told to close before.
                Err(error) if error.is_canceled() || error.is_closed() => {
                    connection = Connection::open(gate, http).await;
                    continue;
                }
                Err(error) => panic!("a request failed over {http:?}: {error:?}"),
            };
            if answer.reached_upstream() {
                self.admitted.fetch_add(1, Ordering::Relaxed);
            } else {
                answer.assert_denied(429, "rate_limited");
                self.limited.fetch_add(1, Ordering::Relaxed);
            }
            if connection.is_closed() || answer.header("connection") == Some("close") {
                connection = Connection::open(gate, http).await;
            }
        }
    }

    fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed)
    }

    fn limited(&self) -> u64 {
        self.limited.load(Ordering::Relaxed)
    }

    async fn until_admitted(&self, count: u64) {
        until("the load to go on", LIMIT, async || (self.admitted() >= count).then_some(())).await;
    }

    async fn stop(&self, clients: JoinSet<()>) {
        self.stopped.store(true, Ordering::Relaxed);
        clients.join_all().await;
    }
}

/// Starts clients, and updates under them, each time after they have been admitted a while.
async fn updated_under_load(gate: &Gate, plugin: impl Fn(&str) -> Value) -> (Arc<Load>, JoinSet<()>) {
    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for client in 0..8 {
        clients.spawn(Arc::clone(&load).drive(gate.address(), Http::BOTH[client % 2]));
    }
    for realm in ["one", "two", "three"] {
        load.until_admitted(load.admitted() + 500).await;
        update(gate, realm, &plugin(realm)).await;
    }
    (load, clients)
}

#[test]
fn updates_under_load_fail_no_request_and_refill_no_bucket() {
    run(async {
        let burst = 20_000;
        let gate = Setup::new("updates", &plugin("zero", burst)).updatable().start().await;
        let (load, clients) = updated_under_load(&gate, |realm| plugin(realm, burst)).await;
        assert_eq!(load.limited(), 0, "the bucket was empty before the last update");
        until("the bucket to be empty", LIMIT, async || (load.limited() > 100).then_some(())).await;
        load.stop(clients).await;
        assert_eq!(load.admitted(), u64::from(burst));
        gate.assert_untrapped().await;
    });
}

#[test]
fn updates_under_load_give_a_fast_bucket_no_second_burst() {
    run(async {
        let plugin = |realm: &str| {
            let mut plugin = plugin(realm, 1);
            plugin["tiers"] = json!([tier("hourly", &[bucket("fast", 500, "1s", 300)])]);
            plugin
        };
        let gate = Setup::new("updates-fast", &plugin("zero")).updatable().start().await;
        let began = Instant::now();
        let (load, clients) = updated_under_load(&gate, plugin).await;
        until("the limit to bind", LIMIT, async || (load.limited() > 0).then_some(())).await;
        load.stop(clients).await;
        let most = 300 + u64::try_from(began.elapsed().as_millis() / 2).unwrap();
        assert!((300..=most).contains(&load.admitted()), "{} of {most}", load.admitted());
        gate.assert_untrapped().await;
    });
}

#[test]
fn an_update_adds_and_removes_consumers() {
    run(async {
        let gate = Setup::new("updates-consumers", &plugin("before", 10)).updatable().start().await;
        Call::get("/a").bearer(ACME).send(&gate, Http::Two).await.assert_admitted();
        Call::get("/a").bearer("zenith-key").send(&gate, Http::Two).await.assert_denied(401, "invalid_key");
        let mut next = plugin("after", 10);
        next["consumers"] = json!([consumer("zenith", "hourly", "zenith-key")]);
        update(&gate, "after", &next).await;
        for http in Http::BOTH {
            Call::get("/a").bearer("zenith-key").send(&gate, http).await.assert_admitted();
            Call::get("/a").bearer(ACME).send(&gate, http).await.assert_denied(401, "invalid_key");
        }
    });
}

#[test]
fn a_lowered_burst_holds_at_once_and_a_raised_one_gives_no_second_burst() {
    run(async {
        let gate = Setup::new("updates-burst", &plugin("ten", 10)).updatable().start().await;
        for _ in 0..4 {
            Call::get("/a").bearer(ACME).send(&gate, Http::One).await.assert_admitted();
        }
        update(&gate, "three", &plugin("three", 3)).await;
        let mut admitted = 0;
        while Call::get("/a").bearer(ACME).send(&gate, Http::Two).await.reached_upstream() {
            admitted += 1;
            assert!(admitted <= 3, "more than the lowered burst");
        }
        // Seven of ten were spent at least: a raise may add what it adds to the limit, but not what was spent before.
        update(&gate, "twenty", &plugin("twenty", 20)).await;
        let mut admitted = 0;
        while Call::get("/a").bearer(ACME).send(&gate, Http::Two).await.reached_upstream() {
            admitted += 1;
            assert!(admitted <= 17, "a raised limit forgot what was spent");
        }
    });
}

#[test]
fn a_request_in_flight_outlives_an_update() {
    run(async {
        let gate = Setup::new("updates-in-flight", &plugin("before", 10)).updatable().start().await;
        let mut waiting = JoinSet::new();
        for http in Http::BOTH {
            let mut connection = Connection::open(gate.address(), http).await;
            waiting.spawn(async move { connection.send(Call::get("/slow/update").bearer(ACME)).await });
        }
        let upstream = Upstream::shared();
        until("both to reach the upstream", LIMIT, async || (upstream.seen("/slow/update").len() == 2).then_some(())).await;
        update(&gate, "after", &plugin("after", 10)).await;
        upstream.release("update");
        for answer in waiting.join_all().await {
            let answer = answer.expect("an answer in spite of the update");
            answer.assert_admitted();
            assert_eq!(answer.number("x-ratelimit-limit"), 10);
        }
    });
}
