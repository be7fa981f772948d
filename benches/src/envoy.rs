//! Owns Envoy processes: one for each row, started, awaited, and killed when dropped.
//!
//! It knows nothing of what a row measures.

pub(crate) mod bootstrap;

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use self::bootstrap::Listener;
use crate::connection::Connection;
use crate::fetch::fetch;

/// A running Envoy.
pub(crate) struct Envoy {
    child: Child,
    /// Where its listener is.
    pub(crate) port: u16,
    admin_port: u16,
    /// From its start to the first expected answer.
    pub(crate) ready: Duration,
    /// That answer.
    pub(crate) answer: String,
    /// What it wrote to stderr.
    pub(crate) log: PathBuf,
}

/// How an Envoy is started.
pub(crate) struct Launch<'a> {
    /// The binary.
    pub(crate) program: &'a Path,
    /// Where its configuration and log go.
    pub(crate) directory: &'a Path,
    /// The name of those files.
    pub(crate) name: &'a str,
    /// Worker threads.
    pub(crate) workers: u8,
    /// Log levels, as Envoy's command line takes them.
    pub(crate) logging: &'a [&'a str],
}

const START_LIMIT: Duration = Duration::from_secs(30);
/// Attempts to arrive at a certain worker: with two of them all fail once in 2^64.
const CONNECTING: u32 = 64;
/// How often a starting Envoy is asked: the resolution of [`Envoy::ready`].
const START_POLL: Duration = Duration::from_millis(5);

// === impl Envoy ===

impl Envoy {
    /// Starts Envoy with `listener` and waits until `probe` is answered with `expected`.
    ///
    /// # Errors
    /// When it stops, or does not answer so within 30 s; the error ends with its log.
    pub(crate) fn start(launch: &Launch<'_>, listener: &Listener, probe: &[u8], expected: u16) -> Result<Self> {
        fs::create_dir_all(launch.directory)?;
        let [port, admin_port] = free_ports()?;
        let configuration = launch.directory.join(format!("{}.json", launch.name));
        let log = launch.directory.join(format!("{}.log", launch.name));
        fs::write(&configuration, listener.bootstrap(port, admin_port).to_string())?;

        let started = Instant::now();
        let child = Command::new(launch.program)
            .arg("-c")
            .arg(&configuration)
            .args(["--concurrency", &launch.workers.to_string(), "--disable-hot-restart"])
            .args(launch.logging)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("starting {}", launch.program.display()))?;
        let mut envoy = Self { child, port, admin_port, ready: Duration::ZERO, answer: String::new(), log };
        envoy.answer = envoy.await_ready(started, probe, expected).with_context(|| format!("starting Envoy for {}", launch.name))?;
        envoy.ready = started.elapsed();
        Ok(envoy)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The JSON object that its admin interface answers on `path`.
    ///
    /// # Errors
    /// When it does not answer, or something else.
    pub(crate) fn admin(&self, path: &str) -> Result<Value> {
        let page = fetch(self.admin_port, path)?;
        serde_json::from_str(&page).with_context(|| format!("the admin interface's answer on {path}"))
    }

    /// The statistic of this name; 0 where Envoy has not made it yet. The filter's own are up to a second old.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub(crate) fn statistic(&self, name: &str) -> Result<u64> {
        let pattern = name.replace('.', "%5C.");
        let page = fetch(self.admin_port, &format!("/stats?filter=^{pattern}$"))?;
        let Some(line) = page.lines().find(|line| !line.is_empty()) else { return Ok(0) };
        let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
        value.and_then(|value| value.parse().ok()).ok_or_else(|| anyhow!("not a number: {line}"))
    }

    /// A connection to this worker: the kernel chooses, so it may take several attempts.
    ///
    /// # Errors
    /// When no connection arrives there.
    pub(crate) fn connect_to_worker(&self, worker: u8) -> Result<Connection> {
        let arrived = || self.statistic(&format!("listener.127.0.0.1_{}.worker_{worker}.downstream_cx_total", self.port));
        let accepted = || self.statistic(&format!("listener.127.0.0.1_{}.downstream_cx_total", self.port));
        for _ in 0..CONNECTING {
            let (own, all) = (arrived()?, accepted()?);
            let connection = Connection::open(self.port)?;
            let started = Instant::now();
            while accepted()? == all {
                if started.elapsed() > START_LIMIT {
                    bail!("Envoy does not accept a connection");
                }
                sleep(START_POLL);
            }
            if arrived()? > own {
                return Ok(connection);
            }
        }
        bail!("none of {CONNECTING} connections arrived at worker {worker}")
    }

    fn await_ready(&mut self, started: Instant, probe: &[u8], expected: u16) -> Result<String> {
        loop {
            let last = match ask(self.port, probe) {
                Ok((status, answer)) if status == expected => return Ok(answer),
                Ok((status, _)) => format!("it answers {status}, expected {expected}"),
                Err(error) => format!("{error:#}"),
            };
            let stopped = self.child.try_wait()?;
            if stopped.is_some() || started.elapsed() > START_LIMIT {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(20).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                bail!("{last}; {stopped:?}; its log ends:\n{}", tail.join("\n"));
            }
            sleep(START_POLL);
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // It may have stopped by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(port: u16, request: &[u8]) -> Result<(u16, String)> {
    let mut connection = Connection::open(port)?;
    connection.send(request)?;
    connection.receive_text()
}

/// Two ports that nothing listens on at the moment.
pub(crate) fn free_ports() -> Result<[u16; 2]> {
    let listeners = [TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?];
    let [first, second] = &listeners;
    Ok([first.local_addr()?.port(), second.local_addr()?.port()])
}
