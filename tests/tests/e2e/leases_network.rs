//! Limits over three gates, each with a bad network between it and the backend: what is lost on the way is neither lost nor admitted twice.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tollgate_tests::{Answer, Backend, Gate, Load, Network, NewKey, run, until};

use super::leases::{LIMIT, LONGER_THAN_A_LEASE, call, metered, one, quota, ready, row, setup};
use super::leases_rates::{assert_bucket, rate};

/// Each way: an answer takes most of the second that a gate waits for it, and one over a new connection more than that.
const SLOW: Duration = Duration::from_millis(300);

struct World {
    backend: Backend,
    networks: Vec<Network>,
    gates: Vec<Gate>,
    key: NewKey,
}

/// A backend, and three gates, each with a network of its own.
async fn world(name: &str, limits: &Value) -> World {
    let (backend, key) = metered(name, limits).await;
    let (mut networks, mut gates) = (Vec::new(), Vec::new());
    for gate in 0..3 {
        let network = Network::to(backend.node_address());
        gates.push(ready(setup(&format!("{name}-{gate}"), &backend).through(&network), &backend).await);
        networks.push(network);
    }
    World { backend, networks, gates, key }
}

impl World {
    fn load(&self) -> Load {
        Load::start(&self.gates.iter().collect::<Vec<_>>(), 2, &call(&self.key))
    }

    /// All faults in turn, each from when so many more requests have been admitted.
    async fn disturb(&self, load: &Load, step: u64) {
        let some_more = async || {
            let before = load.count(Answer::reached_upstream);
            let enough = async || (load.count(Answer::reached_upstream) >= before + step).then_some(());
            until("some more to be admitted", LIMIT, enough).await;
        };
        some_more().await;
        self.networks.iter().for_each(|network| network.delay(SLOW, SLOW));
        for _ in 0..4 {
            for network in &self.networks {
                some_more().await;
                network.cut();
            }
        }
        self.networks[0].down();
        some_more().await;
        self.networks[0].up();
        some_more().await;
        self.networks[1].hold();
        sleep(LONGER_THAN_A_LEASE).await;
        self.networks[1].heal();
        some_more().await;
        self.networks[2].swallow();
        sleep(LONGER_THAN_A_LEASE).await;
        self.networks[2].heal();
        self.networks.iter().for_each(|network| network.delay(Duration::ZERO, Duration::ZERO));
    }

    /// Fails where the faults did not reach the gates' connections.
    async fn assert_disturbed(&self) {
        for gate in &self.gates {
            assert!(gate.stat("cluster.backend.upstream_cx_destroy_remote_with_active_rq").await >= 4, "too few were cut");
            gate.assert_untrapped().await;
        }
        for gate in &self.gates[1..] {
            assert!(gate.stat("cluster.backend.upstream_rq_timeout").await > 0, "no question without an answer");
        }
    }
}

#[test]
fn a_quota_over_bad_networks_is_spent_to_its_last_unit_and_no_further() {
    const QUOTA: u64 = 6_000;
    run(async {
        let world = world("leases-network", &json!([quota(QUOTA, &json!({}))])).await;
        let load = world.load();
        world.disturb(&load, 200).await;
        let left = QUOTA.saturating_sub(load.count(Answer::reached_upstream));
        let (began, mut beside) = (Instant::now(), 0);
        until("all to be known as spent by every gate", LIMIT, async || {
            for gate in &world.gates {
                let answer = one(gate, &world.key).await;
                beside += u64::from(answer.reached_upstream());
                let admitted = beside + load.count(Answer::reached_upstream);
                assert!(admitted <= QUOTA, "{admitted} admitted");
                if answer.status != 429 || answer.number("retry-after") <= 10 {
                    return None;
                }
            }
            Some(())
        })
        .await;
        println!("{left} left after the faults; spent in {:?}", began.elapsed());
        let admitted = beside + load.stop().await.iter().flatten().filter(|sent| sent.answer.reached_upstream()).count() as u64;
        let row = row(&world.backend).await;
        assert_eq!((admitted, &row["charged"], &row["overage"]), (QUOTA, &json!(QUOTA), &json!(0)), "{row}");
        world.assert_disturbed().await;
    });
}

#[test]
fn a_bucket_over_bad_networks_is_never_exceeded_and_comes_back() {
    const RATE: f64 = 200.0;
    const BURST: f64 = 400.0;
    run(async {
        let bucket = rate("token_bucket", 200, "1s", &json!({"burst": 400, "failure_mode": "deny"}));
        let world = world("leases-network-rate", &json!([bucket])).await;
        let load = world.load();
        world.disturb(&load, 100).await;
        let healed = Instant::now();
        until("units for every gate", LIMIT, async || {
            let seen = load.seen();
            let served = |clients: &[Vec<tollgate_tests::load::Sent>]| {
                clients.iter().flatten().any(|sent| sent.asked > healed && sent.answer.reached_upstream())
            };
            seen.chunks(2).all(served).then_some(())
        })
        .await;
        println!("every gate has units again after {:?}", healed.elapsed());
        let seen = load.stop().await;
        assert_bucket(&seen, RATE, BURST);
        world.assert_disturbed().await;
    });
}
