//! Owns `tollgate serve`: the process around the backend: its runtime, its log, its signals. Must not know what is served.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{UNUSABLE, WRONG};
use crate::clock::SystemClock;
use crate::settings::{Flags, Settings};
use crate::startup::{Control, Server};
use crate::telemetry;

/// Run the backend: the public API, the API of nodes, and health and metrics.
///
/// Settings come from flags, environment variables and tollgate.toml, in this order. SIGTERM and SIGINT end it after the requests in flight,
/// SIGHUP makes it read its certificates again.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

/// The signals that mean something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let settings = match Settings::read(&arguments.flags, environment()) {
        Ok(settings) => settings,
        Err(error) => {
            writeln!(io::stderr(), "error: {error}")?;
            return Ok(ExitCode::from(UNUSABLE));
        }
    };
    let _log = telemetry::log(settings.log.clone()).map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(serve(&settings)))
}

async fn serve(settings: &Settings) -> ExitCode {
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be heard");
            return ExitCode::from(WRONG);
        }
    };
    match Server::open(settings, environment(), Arc::new(SystemClock)).await {
        Ok(server) => {
            let hearing = tokio::spawn(signals.hear(server.control()));
            server.run().await;
            hearing.abort();
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "not started");
            ExitCode::from(WRONG)
        }
    }
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn hear(mut self, control: Control) {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = self.hang_up.recv() => control.reload(),
                _ = self.terminate.recv() => end(&control, &mut asked),
                _ = self.interrupt.recv() => end(&control, &mut asked),
            }
        }
    }
}

fn end(control: &Control, asked: &mut bool) {
    if *asked {
        // Whoever asks twice does not want to wait. What was committed is durable.
        std::process::exit(i32::from(WRONG));
    }
    *asked = true;
    tracing::info!("ending");
    control.end();
}

/// The process's environment, as far as it is text.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
