//! Owns how a gate is started: what may differ between gates, and the wait for one to serve or to refuse.
//!
//! It must not know what the configuration says: [`super::bootstrap`] writes it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::OnceCell;

use super::{Gate, admin, bootstrap, parts};
use crate::backend::Backend;
use crate::fake_backend::{FakeBackend, NODE_CREDENTIAL};
use crate::network::Network;
use crate::publisher::Publisher;
use crate::wait::until;

/// Longer than Envoy takes to compile the module and open its listener on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What an Envoy is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    pub(super) name: String,
    pub(super) plugin: String,
    pub(super) module: Option<PathBuf>,
    pub(super) workers: u32,
    pub(super) trusted_hops: u32,
    pub(super) updatable: bool,
    pub(super) stop_iteration: bool,
    pub(super) environment: Vec<(String, String)>,
    /// Variables that the module takes from Envoy's own environment: no configuration shows them.
    pub(super) secrets: Vec<(String, String)>,
    pub(super) backend: Option<BackendCluster>,
    /// Where the cluster `issuer` is.
    pub(super) issuer: Option<SocketAddr>,
}

/// Where the cluster `backend` is.
#[derive(Clone, Debug)]
pub(super) struct BackendCluster {
    pub(super) address: SocketAddr,
    /// The authority of its certificate, where it speaks TLS.
    pub(super) authority: Option<PathBuf>,
}

/// A gate that many cases share: started by the first, ended with the test run.
#[derive(Debug)]
pub struct Shared {
    setup: fn() -> Setup,
    gate: OnceCell<Gate>,
}

// === impl Setup ===

impl Setup {
    /// Two workers, the module that ships, this plugin configuration. `name` names the directory of its files.
    #[must_use]
    pub fn new(name: &str, plugin: &Value) -> Self {
        Self {
            name: name.to_owned(),
            plugin: plugin.to_string(),
            module: None,
            workers: 2,
            trusted_hops: 0,
            updatable: false,
            stop_iteration: true,
            environment: Vec::new(),
            secrets: Vec::new(),
            backend: None,
            issuer: None,
        }
    }

    /// This text as plugin configuration, JSON or not.
    #[must_use]
    pub fn plugin_text(mut self, text: &str) -> Self {
        text.clone_into(&mut self.plugin);
        self
    }

    /// Another module than the one that ships.
    #[must_use]
    pub fn module(mut self, module: PathBuf) -> Self {
        self.module = Some(module);
        self
    }

    /// How many worker threads.
    #[must_use]
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// Trusts one proxy in front, so that the last address in `X-Forwarded-For` is the client's.
    #[must_use]
    pub fn trusting_one_hop(mut self) -> Self {
        self.trusted_hops = 1;
        self
    }

    /// Serves the listener from a watched file, for [`Gate::update`].
    #[must_use]
    pub fn updatable(mut self) -> Self {
        self.updatable = true;
        self
    }

    /// Leaves `allow_on_headers_stop_iteration` out: Envoy then holds back the body of a paused request itself.
    #[must_use]
    pub fn without_stop_iteration(mut self) -> Self {
        self.stop_iteration = false;
        self
    }

    /// Puts a variable into the environment that the module sees.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts a variable into the environment of Envoy, in the place of any of that name, and lets the module see it.
    #[must_use]
    pub fn secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.retain(|(known, _)| known != name);
        self.secrets.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds the cluster `backend`, and the credential that it takes from nodes, for [`plugin::backend`](crate::plugin::backend).
    #[must_use]
    pub fn backend(mut self, backend: &FakeBackend) -> Self {
        self.backend = Some(BackendCluster { address: backend.address(), authority: None });
        self.secret("TOLLGATE_NODE_CREDENTIAL", NODE_CREDENTIAL)
    }

    /// The same with the real backend, by TLS.
    #[must_use]
    pub fn real_backend(mut self, backend: &Backend) -> Self {
        self.backend = Some(BackendCluster { address: backend.node_address(), authority: Some(backend.authority()) });
        self.secret("TOLLGATE_NODE_CREDENTIAL", &backend.node_credential())
    }

    /// Puts a network before the backend.
    ///
    /// # Panics
    /// Where there is no backend.
    #[must_use]
    pub fn through(mut self, network: &Network) -> Self {
        self.backend.as_mut().expect("a backend").address = network.address();
        self
    }

    /// Adds the cluster `issuer`, which publishes keys, for [`plugin::remote`](crate::plugin::remote).
    #[must_use]
    pub fn issuer(mut self, publisher: &Publisher) -> Self {
        self.issuer = Some(publisher.address());
        self
    }

    /// The same with any other server.
    #[must_use]
    pub fn issuer_at(mut self, address: SocketAddr) -> Self {
        self.issuer = Some(address);
        self
    }

    /// The same with the real backend, which issues tokens itself.
    #[must_use]
    pub fn issuing_backend(mut self, backend: &Backend) -> Self {
        self.issuer = Some(backend.public_address());
        self.real_backend(backend)
    }

    /// Starts it and returns when it serves; fails with the end of its log when it does not.
    pub async fn start(self) -> Gate {
        let directory = parts::fresh_directory(&self.name);
        let mut envoy = self.spawn(&directory);
        let leash = parts::leash(&envoy);
        let log = directory.join("envoy.log");
        let listening = until("Envoy to serve", START_LIMIT, async || {
            if let Some(status) = envoy.try_wait().expect("the state of Envoy") {
                panic!("Envoy ended with {status}:\n{}", parts::tail(&log));
            }
            admin::serving(&directory).await
        });
        let (admin, address) = listening.await;
        Gate { setup: self, directory, envoy, leash, admin, address }
    }

    /// Starts it in the belief that it refuses its configuration, and returns what it then said.
    pub async fn refusal(self) -> String {
        let directory = parts::fresh_directory(&self.name);
        let mut envoy = self.spawn(&directory);
        let mut leash = parts::leash(&envoy);
        let status = until("Envoy to refuse its configuration", START_LIMIT, async || {
            let ended = envoy.try_wait().expect("the state of Envoy");
            if ended.is_none() && admin::serving(&directory).await.is_some() {
                parts::end(&mut envoy);
                panic!("Envoy took a configuration it should have refused: {}", self.plugin);
            }
            ended
        });
        let status = status.await;
        parts::end(&mut leash);
        assert!(!status.success(), "Envoy ended, but without an error");
        fs::read_to_string(directory.join("envoy.log")).expect("Envoy's log")
    }

    fn spawn(&self, directory: &Path) -> Child {
        let config = directory.join("envoy.json");
        if self.updatable {
            parts::replace(&directory.join("listeners.json"), &bootstrap::discovery(self, directory));
        }
        parts::replace(&config, &bootstrap::document(self, directory));
        let log = File::create(directory.join("envoy.log")).expect("a log file");
        Command::new(parts::envoy())
            .args(["--disable-hot-restart", "--log-level", "info", "--component-log-level", "main:warning"])
            .args(["--service-node", "test-node", "--service-cluster", "test"])
            .args(["--drain-time-s", "2", "--drain-strategy", "immediate"])
            .args(["--file-flush-interval-msec", "50"])
            .args(["--concurrency", &self.workers.to_string()])
            .arg("--admin-address-path")
            .arg(directory.join("admin"))
            .arg("-c")
            .arg(config)
            .envs(self.secrets.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", parts::envoy().display()))
    }
}

// === impl Shared ===

impl Shared {
    /// A gate that will be started so.
    #[must_use]
    pub const fn new(setup: fn() -> Setup) -> Self {
        Self { setup, gate: OnceCell::const_new() }
    }

    /// The gate, started if nobody has yet.
    pub async fn get(&self) -> &Gate {
        self.gate.get_or_init(|| (self.setup)().start()).await
    }
}
