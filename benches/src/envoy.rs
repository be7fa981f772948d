//! Owns Envoy processes: one for each row, started, awaited, and killed when dropped.
//!
//! It knows nothing of what a row measures.

pub(crate) mod bootstrap;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use self::bootstrap::Listener;
use crate::connection::Connection;

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
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.admin_port))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        // The body is chunked: its object is what stands between the outermost braces.
        let object = answer.find('{').zip(answer.rfind('}')).and_then(|(first, last)| answer.get(first..=last));
        serde_json::from_str(object.unwrap_or_default()).with_context(|| format!("the admin interface's answer on {path}"))
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
