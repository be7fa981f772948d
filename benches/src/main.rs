//! What Tollgate costs inside Envoy, beside the alternatives, in one run.
//!
//! `tollgate-benches` measures CPU per request; its modes what random keys and addresses do to memory (`memory`), how soon a revoked key is
//! refused (`revocation`), what forged keys cost the backend (`forged`), what a million keys in it cost (`keys`), and what limits over all
//! nodes cost (`quotas`).
//! The binaries come from the environment: `ENVOY`, `TOLLGATE_WASM`, `TOLLGATE_BIN`, `TOLLGATE_NOOP_WASM`.

// A benchmark is a harness: it reads clocks, and prints.
#![allow(clippy::disallowed_methods)]

mod backend;
mod connection;
mod cpu;
mod envoy;
mod fetch;
mod figures;
mod flood;
mod forged;
mod host_calls;
mod keys;
mod load;
mod measure;
mod memory;
mod node_api;
mod plugin;
mod quotas;
mod random;
mod ratelimit_service;
mod report;
mod request;
mod revocation;
mod rows;
mod statistics;
mod tokens;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::measure::Settings;
use crate::report::Report;
use crate::rows::{JWT_WARM, KEY, Modules, NOOP, SIGNED};

#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    rows: RowArguments,
    #[command(flatten)]
    files: Files,
}

#[derive(Subcommand)]
enum Mode {
    /// What random keys and addresses do to Envoy's memory
    Memory(memory::Arguments),
    /// How long a revoked key is still let pass, by the workers of two Envoys under load
    Revocation(revocation::Arguments),
    /// How often the backend is asked about millions of forged keys, with the issuer key and without
    Forged(forged::Arguments),
    /// What a million keys in the backend cost it, and the proxy, beside one key
    Keys(keys::Arguments),
    /// What a quota and a rate over all nodes add to the usual request, and how many calls they cost
    Quotas(quotas::Arguments),
    /// The rate limit service of the gRPC row (started by the benchmark itself)
    #[command(hide = true)]
    RatelimitService { port: u16 },
}

#[derive(Args)]
struct RowArguments {
    /// Only rows whose name contains one of these (bare and sdk-noop always run)
    rows: Vec<String>,
    /// How often every row is measured
    #[arg(long, default_value_t = 101)]
    rounds: u32,
    /// Seconds each time
    #[arg(long, default_value_t = 0.1)]
    seconds: f64,
    /// Connections, each with one request in flight
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Microseconds before each request: with some, Envoy finds its caches cold, as one that is not busy does
    #[arg(long, default_value_t = 0)]
    pause: u64,
    /// Decides the order of rows within each round
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the raw numbers go
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
    /// Fail where a promised figure is missed
    #[arg(long)]
    check: bool,
    /// Another build of Tollgate's module: each of its rows is measured with that too, in the same rounds
    #[arg(long, value_name = "MODULE")]
    beside: Option<PathBuf>,
}

/// What is measured.
#[derive(Args)]
struct Files {
    /// Envoy's binary
    #[arg(long, env = "ENVOY", default_value = "envoy", global = true)]
    envoy: PathBuf,
    /// Tollgate's module; its rows are left out where it is missing
    #[arg(long, env = "TOLLGATE_WASM", default_value = "dist/tollgate.wasm", global = true)]
    tollgate_wasm: PathBuf,
    /// The backend's program; only some modes need it
    #[arg(long, env = "TOLLGATE_BIN", default_value = "dist/tollgate", global = true)]
    tollgate: PathBuf,
    /// The SDK no-op's module (package tollgate-noop)
    #[arg(long, env = "TOLLGATE_NOOP_WASM", default_value = "target/dist/tollgate-noop.wasm", global = true)]
    noop_wasm: PathBuf,
    /// Where Envoy's configurations and logs go
    #[arg(long, default_value = "target/bench", global = true)]
    directory: PathBuf,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.mode {
        Some(Mode::RatelimitService { port }) => ratelimit_service::serve(port).map(|()| ExitCode::SUCCESS),
        Some(Mode::Memory(memory)) => memory::run(&memory, &arguments.files),
        Some(Mode::Revocation(revocation)) => revocation::run(&revocation, &arguments.files),
        Some(Mode::Forged(forged)) => forged::run(&forged, &arguments.files),
        Some(Mode::Keys(keys)) => keys::run(&keys, &arguments.files),
        Some(Mode::Quotas(quotas)) => quotas::run(&quotas, &arguments.files),
        None => run(&arguments.rows, &arguments.files),
    }
}

fn run(arguments: &RowArguments, files: &Files) -> Result<ExitCode> {
    let version = files.envoy_version()?;
    let [service_port, _] = envoy::free_ports()?;
    let modules = Modules { beside: arguments.beside.clone(), ..files.modules()? };
    let rows = rows::chosen(&modules, service_port, &arguments.rows)?;
    let settings = Settings {
        program: files.envoy.clone(),
        directory: files.directory.clone(),
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        connections: arguments.connections,
        pause: arguments.pause,
        seed: arguments.seed,
    };
    let mut host_calls = Vec::new();
    for row in rows.iter().filter(|row| [NOOP, KEY, "key-exact", JWT_WARM, SIGNED].contains(&row.beside().unwrap_or(&row.name))) {
        eprintln!("counting host calls of {}", row.name);
        host_calls.push((row.name.clone(), host_calls::count(row, &settings)?));
    }
    let measured = measure::run(rows, service_port, &settings)?;
    let tollgate = size(&files.tollgate_wasm);
    let modules = [("sdk-noop", size(&files.noop_wasm)), ("tollgate", tollgate)];
    let modules: Vec<_> = modules.into_iter().filter_map(|(name, bytes)| Some((name, bytes?))).collect();
    let figures = figures::promised(&measured, tollgate);
    let report = Report {
        settings: &settings,
        envoy: &version,
        modules: &modules,
        measured: &measured,
        summaries: &figures::summaries(&measured),
        host_calls: &host_calls,
        figures: &figures,
    };
    report.print();
    report.write(&arguments.json)?;
    println!("raw numbers: {}", arguments.json.display());
    let failed = arguments.check && !figures.iter().all(figures::Figure::holds);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

// === impl Files ===

impl Files {
    fn modules(&self) -> Result<Modules> {
        if !self.noop_wasm.is_file() {
            bail!("no {0}: build it with `tools/wasm.sh tollgate-noop {0}`", self.noop_wasm.display());
        }
        let tollgate = self.tollgate_wasm.is_file().then(|| self.tollgate_wasm.clone());
        if tollgate.is_none() {
            eprintln!("no {}: Tollgate's rows are left out", self.tollgate_wasm.display());
        }
        Ok(Modules { noop: self.noop_wasm.clone(), tollgate, beside: None })
    }

    /// Tollgate's module where nothing can be measured without it.
    fn module(&self) -> Result<&Path> {
        if !self.tollgate_wasm.is_file() {
            bail!("no {}: `make build` makes it", self.tollgate_wasm.display());
        }
        Ok(&self.tollgate_wasm)
    }

    /// The backend's program, without the settings of whoever runs the benchmark.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.tollgate);
        command.env_clear();
        command
    }

    fn envoy_version(&self) -> Result<String> {
        let output = Command::new(&self.envoy).arg("--version").output();
        let output = output.with_context(|| format!("running {} (set ENVOY to an Envoy 1.40.0 binary)", self.envoy.display()))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn size(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.len())
}
