//! Owns backend processes: a data directory made anew, what is loaded into it, the process that serves it; killed when dropped.
//!
//! It knows nothing of what is measured.

pub(crate) mod api;
pub(crate) mod bulk;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::Files;
use crate::cpu::{self, Account};
use crate::envoy::bootstrap::backend_cluster;
use crate::envoy::free_ports;
use crate::fetch::fetch;

/// A running backend.
pub(crate) struct Backend {
    child: Child,
    /// Its data directory.
    pub(crate) data: PathBuf,
    /// Where its public API listens, without TLS.
    pub(crate) public_port: u16,
    /// Where its node API listens, with TLS.
    pub(crate) node_port: u16,
    operations_port: u16,
}

const START_LIMIT: Duration = Duration::from_secs(30);
const START_POLL: Duration = Duration::from_millis(20);
/// The cluster's name in Envoy.
pub(crate) const CLUSTER: &str = "tollgate-backend";

// === impl Backend ===

impl Backend {
    /// Makes the data directory `name`, has `load` fill it, and serves it with the defaults.
    ///
    /// # Errors
    /// When the program is missing or fails, or is not ready within 30 s; the error ends with its log.
    pub(crate) fn start<T>(files: &Files, name: &str, load: impl FnOnce(&Path) -> Result<T>) -> Result<(Self, T)> {
        let data = files.directory.join(name);
        if data.exists() {
            fs::remove_dir_all(&data).with_context(|| format!("removing {}", data.display()))?;
        }
        fs::create_dir_all(&files.directory)?;
        let made = files.command().arg("init").arg("--data").arg(&data).output();
        let made = made.with_context(|| format!("running {} (`make build` makes it)", files.tollgate.display()))?;
        if !made.status.success() {
            bail!("tollgate init: {}", String::from_utf8_lossy(&made.stderr));
        }
        let loaded = load(&data)?;
        let ([public_port, node_port], [operations_port, _]) = (free_ports()?, free_ports()?);
        let log = files.directory.join(format!("{name}.log"));
        let address = |port: u16| format!("127.0.0.1:{port}");
        let child = files
            .command()
            .arg("serve")
            .arg("--data")
            .arg(&data)
            .args(["--listen", &address(public_port), "--node-listen", &address(node_port)])
            .args(["--operations-listen", &address(operations_port)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut backend = Self { child, data, public_port, node_port, operations_port };
        backend.await_ready(&log).with_context(|| format!("starting the backend of {name}"))?;
        Ok((backend, loaded))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has cost.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn account(&self) -> Result<Account> {
        cpu::account(self.pid())
    }

    /// How many calls of a route of its node API it has answered, by its own count.
    ///
    /// # Errors
    /// When its metrics cannot be read.
    pub(crate) fn answered(&self, route: &str) -> Result<u64> {
        let wanted = format!("route=\"{route}\"");
        let metrics = fetch(self.operations_port, "/metrics")?;
        let lines = metrics.lines().filter(|line| line.starts_with("tollgate_http_requests_total{") && line.contains(&wanted));
        let counts = lines.map(|line| line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()));
        counts.map(|count| count.ok_or_else(|| anyhow!("a count that is none in the backend's metrics"))).sum()
    }

    /// Envoy's cluster of it.
    pub(crate) fn cluster(&self) -> Value {
        backend_cluster(CLUSTER, self.node_port, &self.data.join("tls/ca.pem"))
    }

    /// `backend` and, `with_issuer_key`, `credentials` of a plugin configuration; `bounds` are more fields of `backend`.
    ///
    /// # Errors
    /// When the data directory lacks a secret.
    pub(crate) fn plugin(&self, with_issuer_key: bool, bounds: &Value) -> Result<Value> {
        let mut backend = json!({"cluster": CLUSTER, "credential": {"inline": self.node_credential()?}});
        if let (Some(fields), Some(bounds)) = (backend.as_object_mut(), bounds.as_object()) {
            fields.extend(bounds.clone());
        }
        let issuer = json!({"version": 1, "prefix": "foil", "secret": {"inline": self.secret("secrets/issuer.1")?}});
        let issuer_keys = if with_issuer_key { vec![issuer] } else { Vec::new() };
        Ok(json!({"backend": backend, "credentials": {"issuer_keys": issuer_keys}}))
    }

    /// The credential that `tollgate init` made for nodes.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub(crate) fn node_credential(&self) -> Result<String> {
        self.secret("node.credential")
    }

    fn secret(&self, name: &str) -> Result<String> {
        let path = self.data.join(name);
        Ok(fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?.trim_end().to_owned())
    }

    fn await_ready(&mut self, log: &Path) -> Result<()> {
        let started = Instant::now();
        loop {
            let Err(error) = fetch(self.operations_port, "/readyz") else { return Ok(()) };
            let stopped = self.child.try_wait()?;
            if stopped.is_some() || started.elapsed() > START_LIMIT {
                bail!("{error:#}; {stopped:?}; its log:\n{}", fs::read_to_string(log).unwrap_or_default());
            }
            sleep(START_POLL);
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // It may have stopped by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
