//! Owns reading what the kernel accounts to a process: nanoseconds on a CPU, and resident memory.

use std::fs;
use std::ops::{AddAssign, Sub};

use anyhow::{Context, Result, anyhow};

/// Nanoseconds, summed over a process's threads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    /// On a CPU.
    pub(crate) running: u64,
    /// Ready to run while others had the CPU: how busy the machine was with something else.
    pub(crate) waiting: u64,
}

/// The account of process `pid` (the first two fields of each thread's `schedstat`).
///
/// A running thread's figures lag by up to a scheduler tick: read them while the process is idle.
///
/// # Errors
/// When the process is gone, or the kernel keeps no such account.
pub(crate) fn account(pid: u32) -> Result<Account> {
    let tasks = format!("/proc/{pid}/task");
    let mut sum = Account::default();
    for task in fs::read_dir(&tasks).with_context(|| format!("reading {tasks}"))? {
        let path = task?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let (running, waiting) = text.split_once(' ').ok_or_else(|| anyhow!("{}: {text:?}", path.display()))?;
        sum += Account { running: first_number(running)?, waiting: first_number(waiting)? };
    }
    Ok(sum)
}

/// Resident memory of process `pid`, in KiB (`VmRSS`).
///
/// # Errors
/// When the process is gone.
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    first_number(line.ok_or_else(|| anyhow!("{path} has no VmRSS"))?)
}

/// The CPU's name, for the record beside the figures.
pub(crate) fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name).to_owned()
}

// === impl Account ===

impl AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        self.running += other.running;
        self.waiting += other.waiting;
    }
}

impl Sub for Account {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { running: self.running.saturating_sub(earlier.running), waiting: self.waiting.saturating_sub(earlier.waiting) }
    }
}

fn first_number(text: &str) -> Result<u64> {
    let word = text.split_whitespace().next().ok_or_else(|| anyhow!("no number"))?;
    word.parse().with_context(|| format!("{word:?} is not a number"))
}
