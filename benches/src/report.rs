//! Owns how results are told: tables on stdout, and JSON with each round's raw numbers.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cpu;
use crate::figures::{Figure, Summary};
use crate::host_calls::HostCalls;
use crate::measure::{Measured, Settings};
use crate::statistics::Quartiles;

/// Everything that a run found.
pub(crate) struct Report<'a> {
    /// How it was done.
    pub(crate) settings: &'a Settings,
    /// What `envoy --version` says.
    pub(crate) envoy: &'a str,
    /// Module → bytes.
    pub(crate) modules: &'a [(&'static str, u64)],
    /// Raw numbers.
    pub(crate) measured: &'a [Measured],
    /// A summary of each.
    pub(crate) summaries: &'a [Summary],
    /// Row → calls.
    pub(crate) host_calls: &'a [(String, HostCalls)],
    /// Promises.
    pub(crate) figures: &'a [Figure],
}

// === impl Report ===

impl Report<'_> {
    /// Prints the tables.
    pub(crate) fn print(&self) {
        println!("{}, {} cores; {}", cpu::model(), std::thread::available_parallelism().map_or(0, usize::from), self.envoy);
        let Settings { rounds, seconds, connections, .. } = self.settings;
        println!(
            "Envoy CPU per request; {rounds} interleaved rounds of {seconds} s, {connections} connections, one worker; medians [quartiles]\n"
        );
        println!("{:<24}{:>9}{:>11}{:>23}{:>9}{:>12}{:>10}", "row", "µs", "over bare", "× SDK no-op", "service", "requests/s", "ready ms");
        for (row, summary) in self.measured.iter().zip(self.summaries) {
            let ready = row.ready.as_millis();
            println!(
                "{:<24}{:>9}{:>11}{:>23}{:>9}{:>12}{ready:>10}",
                summary.name,
                median(summary.envoy_us, 2),
                median(summary.over_bare_us, 2),
                spread(summary.times_noop),
                median(summary.service_us, 1),
                median(summary.per_second, 0),
            );
        }
        println!("\nover bare: Envoy alone; × SDK no-op: with the service's CPU. What the rows are:");
        for row in self.measured.iter().filter(|row| row.row.beside().is_none()) {
            println!("  {:<22} {}", row.row.name, row.row.about);
        }
        // The row with a service has three processes for what may be two CPUs: it always waits.
        let quiet = self.measured.iter().zip(self.summaries).filter(|(measured, _)| measured.row.asks.is_none());
        let (waiting, others) = quiet.fold((0.0_f64, 0.0_f64), |(waiting, others), (_, summary)| {
            let share = |found: Option<Quartiles>| found.map_or(0.0, |found| found.median * 100.0);
            (waiting.max(share(summary.waiting)), others.max(share(summary.others)))
        });
        println!(
            "While a row was measured (worst row's median), all other Envoys together used {others:.1} % of one CPU, and its own waited\n\
             {waiting:.1} % of the time for a CPU: above a few percent, something else keeps this machine busy, and the figures are noisy."
        );
        self.print_beside();
        self.print_host_calls();
        for (name, bytes) in self.modules {
            println!("{name}: {bytes} bytes");
        }
        println!();
        self.figures.iter().for_each(Figure::print);
    }

    /// Writes the JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        write_json(path, &self.json())
    }

    fn json(&self) -> Value {
        let rows = self.measured.iter().zip(self.summaries).map(|(measured, summary)| {
            json!({
                "name": measured.row.name,
                "about": measured.row.about,
                "ready_s": measured.ready.as_secs_f64(),
                "answer": measured.answer,
                "summary": summary,
                "rounds": measured.slices,
            })
        });
        let host_calls: serde_json::Map<_, _> = self.host_calls.iter().map(|(row, calls)| (row.clone(), json!(calls))).collect();
        let modules: serde_json::Map<_, _> = self.modules.iter().map(|(name, bytes)| ((*name).to_owned(), json!(bytes))).collect();
        json!({
            "machine": {"cpu": cpu::model(), "cores": std::thread::available_parallelism().map_or(0, usize::from)},
            "envoy": self.envoy,
            "settings": self.settings,
            "module_bytes": modules,
            "rows": rows.collect::<Vec<_>>(),
            "host_calls": host_calls,
            "figures": self.figures,
        })
    }

    fn print_beside(&self) {
        let pairs = self.measured.iter().zip(self.summaries).filter_map(|(row, summary)| Some((row.row.beside()?, summary.this_build?)));
        for (number, (name, (whole, over_bare))) in pairs.enumerate() {
            if number == 0 {
                println!(
                    "\nThis build beside the other (rows ...@beside), paired by round\n{:<18}{:>23}{:>23}",
                    "row", "Envoy CPU", "over bare"
                );
            }
            println!("{name:<18}{:>23}{:>23}", spread(Some(whole)), spread(Some(over_bare)));
        }
    }

    fn print_host_calls(&self) {
        println!(
            "\nCalls across the border per warm request (from Envoy's trace log of {} requests)",
            self.host_calls.first().map_or(0, |(_, calls)| calls.requests)
        );
        for (row, counted) in self.host_calls {
            let per_request = |count: &u64| *count as f64 / counted.requests.max(1) as f64;
            let callbacks: f64 = counted.callbacks.values().map(per_request).sum();
            println!("{row}: {callbacks:.2} callbacks, {:.2} host calls", counted.per_request());
            for (callback, count) in &counted.callbacks {
                println!("  {:<44}{:>6.2}", callback, per_request(count));
                for (name, count) in counted.by_callback.get(callback).into_iter().flatten() {
                    println!("    {:<42}{:>6.2}", name, per_request(count));
                }
            }
        }
        println!();
    }
}

/// Writes `document` to `path`, whose directories are created.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_json(path: &Path, document: &Value) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let text = serde_json::to_string_pretty(document)?;
    fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
}

/// A median with so many digits, or nothing.
pub(crate) fn median(found: Option<Quartiles>, digits: usize) -> String {
    found.map_or_else(String::new, |found| format!("{:.digits$}", found.median))
}

/// A median and its quartiles, or nothing.
pub(crate) fn spread(found: Option<Quartiles>) -> String {
    found.map_or_else(String::new, |Quartiles { first, median, third }| format!("{median:.3} [{first:.3}–{third:.3}]"))
}
