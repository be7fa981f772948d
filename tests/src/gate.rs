//! Owns one running Envoy with the filter: its start, its updates, its statistics and logs, and its end.
//!
//! It must not retry requests or forgive a proxy that died: that is what the cases are there to see.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use serde_json::Value;

use crate::wait::until;

mod admin;
mod bootstrap;
pub(crate) mod parts;
mod setup;

pub use setup::{Setup, Shared};

pub(crate) use parts::{fresh_directory, module};

/// Longer than statistics, access logs and file watches take to show what happened.
const SETTLE_LIMIT: Duration = Duration::from_secs(15);

/// A running Envoy; it ends when this is dropped, or with the test run.
#[derive(Debug)]
pub struct Gate {
    setup: Setup,
    directory: PathBuf,
    envoy: Child,
    leash: Child,
    admin: SocketAddr,
    address: SocketAddr,
}

// === impl Gate ===

impl Gate {
    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it as a power failure would: without asking.
    pub fn kill(&mut self) {
        parts::end(&mut self.envoy);
    }

    /// Lets it stand still, until the answer is dropped.
    #[must_use]
    pub fn stop(&self) -> parts::Stopped {
        parts::stop(self.envoy.id())
    }

    /// Everything Envoy has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("envoy.log")).expect("Envoy's log")
    }

    /// Puts another plugin configuration into the watched listener file; does not wait for it to act.
    pub fn update(&self, plugin: &Value) {
        assert!(self.setup.updatable, "this gate's listener is not served from a file");
        let setup = Setup { plugin: plugin.to_string(), ..self.setup.clone() };
        let document = bootstrap::discovery(&setup, &self.directory);
        parts::replace(&self.directory.join("listeners.json"), &document);
    }

    /// The sum of all counters and gauges whose name holds `part`.
    pub async fn stat(&self, part: &str) -> u64 {
        let stats = admin::ask(self.admin, "/stats?format=json").await.expect("statistics");
        let stats = stats["stats"].as_array().expect("a list of statistics").clone();
        let named = stats.iter().filter(|stat| stat["name"].as_str().is_some_and(|name| name.contains(part)));
        named.filter_map(|stat| stat["value"].as_u64()).sum()
    }

    /// A page of the admin interface, as it is.
    pub async fn admin_page(&self, target: &str) -> String {
        admin::page(self.admin, target).await.expect("a page of the admin interface")
    }

    /// Waits until [`Self::stat`] of `part` is at least `value`.
    pub async fn until_stat(&self, part: &str, value: u64) {
        let what = format!("{part} to reach {value}");
        until(&what, SETTLE_LIMIT, async || (self.stat(part).await >= value).then_some(())).await;
    }

    /// Fails if a virtual machine of the filter has ever stopped on a fault.
    pub async fn assert_untrapped(&self) {
        let log = self.log();
        let trace = log.split_once("in-VM backtrace").map(|(_, trace)| trace);
        assert!(trace.is_none(), "a virtual machine trapped: {trace:?}");
        let failed = log.lines().find(|line| line.contains("Function: ") && line.contains(" failed:"));
        assert!(failed.is_none(), "a virtual machine failed: {failed:?}");
        assert_eq!(self.stat("vm_reload").await, 0, "a virtual machine was reloaded");
        assert_eq!(self.stat("tollgate_host_errors").await, 0, "the host gave a status that it should not give");
    }

    /// The whole access log, as it is.
    #[must_use]
    pub fn access_log_text(&self) -> String {
        fs::read_to_string(self.directory.join("access.log")).expect("the access log")
    }

    /// The access log's entries of the requests whose `x-case` header was `case`, waiting until there are `count`:
    /// Envoy writes them about once a second, some of a case maybe a second before the others.
    pub async fn access_log(&self, case: &str, count: usize) -> Vec<Value> {
        let path = self.directory.join("access.log");
        until(&format!("{count} access log entries of {case}"), SETTLE_LIMIT, async || {
            let log = fs::read_to_string(&path).ok()?;
            let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let entries: Vec<_> = entries.filter(|entry| entry["case"] == case).collect();
            (entries.len() >= count).then_some(entries)
        })
        .await
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        parts::end(&mut self.envoy);
        parts::end(&mut self.leash);
        if std::thread::panicking() {
            eprintln!("the gate's files: {}\n{}", self.directory.display(), parts::tail(&self.directory.join("envoy.log")));
        } else {
            // Left behind at worst, and swept by the next run.
            drop(fs::remove_dir_all(&self.directory));
        }
    }
}
