//! Owns what the backend does unasked: telling nodes of keys that have expired, of units that are wanted elsewhere or came free, and of a clock that
//! was set, sending what is to be sent, forgetting what is old in the ledger, adding it up for the metrics, and keeping these small. Must not stop at a failure.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::failure::Failure;
use crate::http::backend::Backend;
use crate::{audit, blocks, changes, ledger, outbox, rotation, signing_keys, tokens};

/// How often it looks. Nodes end keys by themselves when their time is over, so this need not be prompt.
const PERIOD: Duration = Duration::from_secs(1);
/// How often failed authentications are written to the audit log: a flood of them is a few entries each time.
const NOTING_PERIOD: Duration = Duration::from_secs(5);
/// How often the audit log's head goes where the process's log goes.
const HEAD_PERIOD: Duration = Duration::from_secs(3_600);
/// How often the files of secrets are read again.
const SECRETS_PERIOD: Duration = Duration::from_secs(2);
/// How often old leases are looked for.
const SWEEP_PERIOD: Duration = Duration::from_secs(600);
/// How often the ledger is added up: as often as metrics are usually fetched. It walks all rows in force.
const MEASURE_PERIOD: Duration = Duration::from_secs(30);
/// How long the ledger is left to others between two parts of a sweep.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);

/// How far a clock may go beside another one in a [`PERIOD`], in milliseconds, and not count as set.
const SLEWED: u64 = 1_000;

/// Tells the first of failures in a row, not each.
struct Failures {
    what: &'static str,
    failing: bool,
}

pub(super) async fn run(backend: Arc<Backend>, metrics: PrometheusHandle) {
    tokio::join!(
        ending_blocks(&backend),
        expiring(&backend, &metrics),
        recalling(&backend),
        watching_the_clock(&backend),
        sweeping(&backend),
        measuring(&backend),
        sending(&backend),
        noting_failures(&backend),
        telling_the_head(&backend),
        keeping_signing_keys(&backend),
        forgetting_tokens(&backend),
        keeping_secrets(&backend)
    );
}

async fn expiring(backend: &Backend, metrics: &PrometheusHandle) {
    let mut period = every(PERIOD);
    let mut failures = Failures::of("nodes could not be told of expired keys");
    loop {
        period.tick().await;
        metrics.run_upkeep();
        failures.note(expire(backend).await);
    }
}

async fn ending_blocks(backend: &Backend) {
    let mut period = every(PERIOD);
    let mut failures = Failures::of("blocks that have ended could not be marked");
    loop {
        period.tick().await;
        failures.note(blocks::sweep(&backend.store).await);
    }
}

async fn noting_failures(backend: &Backend) {
    let mut period = every(NOTING_PERIOD);
    let mut failures = Failures::of("failed authentications could not be written to the audit log");
    loop {
        period.tick().await;
        failures.note(audit::write_failures(&backend.store).await);
    }
}

async fn telling_the_head(backend: &Backend) {
    let mut period = every(HEAD_PERIOD);
    let mut failures = Failures::of("the head of the audit log could not be read");
    loop {
        period.tick().await;
        // Where the log goes, nobody changes it who may write to the database.
        let told = audit::last(&backend.store).await.map(|head| tracing::info!(%head, "the audit log's head"));
        failures.note(told);
    }
}

async fn keeping_secrets(backend: &Backend) {
    let mut period = every(SECRETS_PERIOD);
    let mut failures = Failures::of("the backend's own secrets could not be looked after");
    loop {
        period.tick().await;
        // A part at a time, so that others write between.
        loop {
            let kept = rotation::upkeep(&backend.store, &backend.secrets).await;
            let more = matches!(kept, Ok(true));
            failures.note(kept.map(|_| ()));
            if !more {
                break;
            }
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
    }
}

async fn recalling(backend: &Backend) {
    let mut failures = Failures::of("nodes could not be told that units are wanted elsewhere");
    loop {
        failures.note(ledger::recall(&backend.store).await);
    }
}

async fn watching_the_clock(backend: &Backend) {
    let mut period = every(PERIOD);
    let mut failures = Failures::of("nodes could not be told that the clock was set");
    let mut before = backend.store.clock_ahead();
    loop {
        period.tick().await;
        let ahead = backend.store.clock_ahead();
        if ahead.abs_diff(before) <= SLEWED {
            before = ahead;
            continue;
        }
        let told = ledger::clock_was_set(&backend.store).await;
        if told.is_ok() {
            tracing::warn!(milliseconds = ahead - before, "the clock was set; nodes ask anew for what they were refused");
            before = ahead;
        }
        failures.note(told);
    }
}

async fn sending(backend: &Backend) {
    let mut period = every(PERIOD);
    let mut failures = Failures::of("what is to be sent could not be looked at");
    loop {
        period.tick().await;
        failures.note(send(backend).await);
    }
}

async fn keeping_signing_keys(backend: &Backend) {
    let mut period = every(MEASURE_PERIOD);
    let mut failures = Failures::of("the keys that sign access tokens could not be looked after");
    loop {
        period.tick().await;
        failures.note(signing_keys::upkeep(&backend.store, &backend.secrets, &backend.tokens.signing).await);
    }
}

async fn forgetting_tokens(backend: &Backend) {
    let mut period = every(MEASURE_PERIOD);
    let mut failures = Failures::of("tokens that have ended could not be forgotten");
    loop {
        period.tick().await;
        failures.note(tokens::sweep(&backend.store).await);
    }
}

async fn measuring(backend: &Backend) {
    let mut period = every(MEASURE_PERIOD);
    let mut failures = Failures::of("the ledger could not be added up");
    loop {
        period.tick().await;
        failures.note(ledger::measure(&backend.store).await.map(|_| ()));
    }
}

async fn sweeping(backend: &Backend) {
    let mut period = every(SWEEP_PERIOD);
    let mut failures = Failures::of("old leases could not be forgotten");
    loop {
        period.tick().await;
        loop {
            let swept = ledger::sweep(&backend.store).await;
            let more = swept == Ok(true);
            failures.note(swept.map(|_| ()));
            if !more {
                break;
            }
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

impl Failures {
    const fn of(what: &'static str) -> Self {
        Self { what, failing: false }
    }

    fn note(&mut self, result: Result<(), Failure>) {
        match result {
            Ok(()) => self.failing = false,
            Err(failure) if !self.failing => {
                self.failing = true;
                tracing::warn!(private = failure.private(), %failure, "{}", self.what);
            }
            Err(_) => {}
        }
    }
}

/// Sends what is due, a few at once.
async fn send(backend: &Backend) -> Result<(), Failure> {
    if outbox::next_due(&backend.store).await?.is_none_or(|at| at > backend.store.now()) {
        return Ok(());
    }
    let due = outbox::due(&backend.store).await?;
    let attempts = due.into_iter().map(|due| async move {
        let outcome = attempt(backend, &due).await;
        if let Err(error) = &outcome {
            tracing::warn!(message = due.id(), %error, "could not be sent");
        }
        let mut write = backend.store.begin().await?;
        let state = outbox::tried(&mut write, due, outcome).await?;
        write.commit().await?;
        metrics::counter!("tollgate_outbox_attempts_total", "outcome" => state.name()).increment(1);
        Ok(())
    });
    futures_util::future::try_join_all(attempts).await.map(|_: Vec<()>| ())
}

async fn attempt(backend: &Backend, due: &outbox::Due) -> Result<(), String> {
    let unreadable = |failure: Failure| failure.private().map_or_else(|| failure.to_string(), ToOwned::to_owned);
    backend.mailer.send(due.id(), &due.mail(&backend.secrets).map_err(unreadable)?).await
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
