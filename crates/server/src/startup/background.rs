//! Owns what the backend does unasked: telling nodes of keys that have expired, and keeping metrics small. Must not stop at a failure.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::changes;
use crate::failure::Failure;
use crate::http::backend::Backend;

/// How often it looks. Nodes end keys by themselves when their time is over, so this need not be prompt.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) async fn run(backend: Arc<Backend>, metrics: PrometheusHandle) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        period.tick().await;
        metrics.run_upkeep();
        match expire(&backend).await {
            Ok(()) => failing = false,
            // Told once, not every second.
            Err(failure) if !failing => {
                failing = true;
                tracing::warn!(private = failure.private(), %failure, "nodes could not be told of expired keys");
            }
            Err(_) => {}
        }
    }
}

async fn expire(backend: &Backend) -> Result<(), Failure> {
    if changes::next_expiry(&backend.store).await?.is_none_or(|at| at > backend.store.now()) {
        return Ok(());
    }
    let mut write = backend.store.begin().await?;
    let told = changes::expire(&mut write).await?;
    write.commit().await?;
    tracing::info!(keys = told, "nodes are told of expired keys");
    Ok(())
}
