//! Owns the wait until all workers of a gate follow the feed. Must not break anything.
//!
//! A worker forgets everything once when it hears of the feed for the first time. A case that counts questions starts after that.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::FakeBackend;
use crate::client::Call;
use crate::every_worker::EveryWorker;
use crate::gate::Gate;
use crate::plugin::{key, tier};
use crate::wait::until;

impl FakeBackend {
    /// Waits until every worker has carried out whatever the feed has told so far.
    pub async fn until_followed(&self, gate: &Gate) {
        static FOLLOWERS: AtomicUsize = AtomicUsize::new(0);
        let follower = format!("follower-{}", FOLLOWERS.fetch_add(1, Ordering::Relaxed));
        let (call, mut workers) = (Call::get("/follow").bearer(&key(&follower)), EveryWorker::of(gate).await);
        self.give(&key(&follower), &follower, &tier("told-by-answer", &[]));
        until("all workers to follow the feed", Duration::from_secs(20), async || {
            let answers = workers.send(&call).await;
            let told = |tier: &[String]| tier == ["told-by-feed"];
            let followed = answers.iter().all(|answer| answer.reached_upstream() && told(&answer.upstream_saw("x-consumer-tier")));
            if !followed {
                // Whoever asks is told the other tier: this one is known from the feed alone.
                self.push([json!({"consumer": {"id": follower, "tier": tier("told-by-feed", &[])}})]);
            }
            followed.then_some(())
        })
        .await;
    }
}
