//! Owns what is said of a document: where, what was found, what is allowed. Must not decide what is wrong.

use std::fmt;

use serde::Serialize;
use tollgate_core::config::Problem;

/// Something a reader of the configuration should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// Where in the file; empty for the document itself.
    pub(super) place: String,
    /// Where in the plugin configuration at that place, if it is about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    pub(super) found: String,
    pub(super) allowed: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// The filter would not load, or would not protect.
    Error,
    /// It works, and is likely not what is wanted.
    Warning,
}

impl Finding {
    pub(super) fn error(place: impl Into<String>, found: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: place.into(), path: None, found: found.into(), allowed: allowed.into() }
    }

    pub(super) fn warning(place: impl Into<String>, found: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, found, allowed) }
    }

    /// A problem with the plugin configuration itself.
    pub(super) fn in_plugin(severity: Severity, problem: Problem) -> Self {
        Self { severity, place: String::new(), path: Some(problem.path), found: problem.found, allowed: problem.allowed }
    }

    /// The same finding about the plugin configuration at `place`.
    pub(super) fn at(self, place: &str) -> Self {
        Self { place: place.to_owned(), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.severity == Severity::Warning {
            formatter.write_str("warning: ")?;
        }
        let path = self.path.as_deref().filter(|path| !path.is_empty());
        match (self.place.as_str(), path) {
            ("", None) => formatter.write_str("document")?,
            (place, None) => formatter.write_str(place)?,
            ("", Some(path)) => formatter.write_str(path)?,
            (place, Some(path)) => write!(formatter, "{place} / {path}")?,
        }
        write!(formatter, ": found {}; allowed: {}", self.found, self.allowed)
    }
}
