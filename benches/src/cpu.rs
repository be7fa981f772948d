//! Owns reading what the kernel accounts to a process: nanoseconds on a CPU, and resident memory.

use std::fs;

use anyhow::{Context, Result, anyhow};

/// Nanoseconds on a CPU, summed over the threads of process `pid` (the first field of each thread's `schedstat`).
///
/// A running thread's figure lags by up to a scheduler tick: read it while the process is idle.
///
/// # Errors
/// When the process is gone, or the kernel keeps no such account.
pub(crate) fn nanoseconds(pid: u32) -> Result<u64> {
    let tasks = format!("/proc/{pid}/task");
    let mut sum = 0;
    for task in fs::read_dir(&tasks).with_context(|| format!("reading {tasks}"))? {
        let path = task?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        sum += first_number(&text).with_context(|| format!("{}: {text:?}", path.display()))?;
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

fn first_number(text: &str) -> Result<u64> {
    let word = text.split_whitespace().next().ok_or_else(|| anyhow!("no number"))?;
    word.parse().with_context(|| format!("{word:?} is not a number"))
}
