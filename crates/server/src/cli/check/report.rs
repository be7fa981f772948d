//! Owns how findings are printed and which exit status they make. Must not decide what is a finding.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::file::FileError;
use super::finding::{Finding, Severity};
use super::judge::Size;
use super::{Checked, UNUSABLE, WRONG};

/// What was said so far.
#[derive(Debug)]
pub(super) struct Report {
    json: bool,
    strict: bool,
    status: u8,
    files: Vec<FileReport>,
}

/// One file in the form for machines.
#[derive(Debug, Serialize)]
struct FileReport {
    file: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    configurations: Vec<Configuration>,
    findings: Vec<Finding>,
}

/// A valid plugin configuration in the form for machines.
#[derive(Debug, Serialize)]
struct Configuration {
    place: String,
    #[serde(flatten)]
    size: Size,
}

impl Report {
    /// Nothing said yet.
    pub(super) fn new(json: bool, strict: bool) -> Self {
        Self { json, strict, status: 0, files: Vec::new() }
    }

    /// A file that could be parsed.
    pub(super) fn file(&mut self, name: &str, checked: &[Checked]) -> io::Result<()> {
        let good = |one: &Checked| one.findings.iter().all(|finding| finding.severity == Severity::Warning && !self.strict);
        let ok = checked.iter().all(good);
        if !ok {
            self.status = self.status.max(WRONG);
        }
        if self.json {
            let configurations =
                checked.iter().filter_map(|one| one.size.map(|size| Configuration { place: one.place.clone(), size })).collect();
            let findings = checked.iter().flat_map(|one| one.findings.iter().cloned()).collect();
            self.files.push(FileReport { file: name.to_owned(), ok, error: None, configurations, findings });
            return Ok(());
        }
        let mut out = io::stdout().lock();
        for one in checked {
            for finding in &one.findings {
                writeln!(out, "{name}: {finding}")?;
            }
            if let Some(size) = one.size.filter(|_| good(one)) {
                let place = if checked.len() > 1 { format!("{}: ", one.place) } else { String::new() };
                writeln!(out, "{name}: {place}ok ({size})")?;
            } else if one.findings.is_empty() {
                // Settings have no size.
                writeln!(out, "{name}: ok")?;
            }
        }
        Ok(())
    }

    /// A file that holds nothing that can be judged.
    pub(super) fn unusable(&mut self, name: &str, error: &FileError) -> io::Result<()> {
        self.status = self.status.max(UNUSABLE);
        if !self.json {
            return writeln!(io::stderr(), "error: {name} {error}");
        }
        let error = Some(error.to_string());
        self.files.push(FileReport { file: name.to_owned(), ok: false, error, configurations: Vec::new(), findings: Vec::new() });
        Ok(())
    }

    /// Prints what is left and gives the exit status.
    pub(super) fn end(self) -> io::Result<ExitCode> {
        let mut out = io::stdout().lock();
        if self.json {
            let answer = serde_json::json!({"ok": self.status == 0, "files": self.files});
            writeln!(out, "{answer:#}")?;
        }
        out.flush()?;
        Ok(ExitCode::from(self.status))
    }
}
