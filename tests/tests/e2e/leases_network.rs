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
            until(&format!("{step} to be admitted after {before}"), LIMIT, enough).await;
        };
        some_more().await;
        // The cuts lose now the questions, now the answers.
        for (there, back) in [(2 * SLOW, Duration::ZERO), (Duration::ZERO, 2 * SLOW)] {
            self.delay(there, back);
            for gate in 0..3 {
                self.cut(gate).await;
            }
        }
        self.delay(SLOW, SLOW);
        self.networks[0].down();
        some_more().await;
        self.networks[0].up();
        some_more().await;
        self.silence(1, Network::hold).await;
        some_more().await;
        self.silence(2, Network::swallow).await;
        self.delay(Duration::ZERO, Duration::ZERO);
    }

    fn delay(&self, there: Duration, back: Duration) {
        self.networks.iter().for_each(|network| network.delay(there, back));
    }

    /// Cuts a gate off while a question for units is under way.
    async fn cut(&self, gate: usize) {
        // It asks before anybody waits, and of little else.
        let asked = async || self.gates[gate].stat("cluster.backend.upstream_rq_total").await;
        let before = asked().await;
        until("a question for units", LIMIT, async || (asked().await > before).then_some(())).await;
        let ended = async || {
            let [cut, unborn] = ["cluster.backend.upstream_cx_destroy_remote", "cluster.backend.upstream_cx_connect_fail"];
            self.gates[gate].stat(cut).await + self.gates[gate].stat(unborn).await
        };
        let before = ended().await;
        self.networks[gate].cut();
        until("a connection to end", LIMIT, async || (ended().await > before).then_some(())).await;
    }

    /// Lets a gate hear nothing for longer than a lease, by a fault that ends no connection.
    async fn silence(&self, gate: usize, fault: fn(&Network)) {
        let unanswered = async || self.gates[gate].stat("cluster.backend.upstream_rq_timeout").await;
        let before = unanswered().await;
        fault(&self.networks[gate]);
        sleep(LONGER_THAN_A_LEASE).await;
        self.networks[gate].heal();
        assert!(unanswered().await >= before + 2, "gate {gate} was answered");
    }

    async fn assert_untrapped(&self) {
        for gate in &self.gates {
            gate.assert_untrapped().await;
        }
    }
}

#[test]
fn a_quota_over_bad_networks_is_spent_to_its_last_unit_and_no_further() {
    const QUOTA: u64 = 12_000;
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
        world.assert_untrapped().await;
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
        world.assert_untrapped().await;
    });
}
