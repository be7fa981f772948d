//! Owns why an operation was not done: what may be told to whoever asked, and apart from it what only the log may say. Must not know how
//! it is told (HTTP statuses are `http`'s).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One thing wrong with what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// Where: `limits[0].rate`; empty for the whole.
    #[schema(examples("limits[0].rate"))]
    pub field: String,
    /// What is wrong there, and what is allowed. Never a secret.
    pub reason: String,
}

/// Collects what is wrong with what was asked.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

/// Why an operation was not done. Its text is public; [`Failure::private`] is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// What was asked is not valid; never empty.
    #[error("the request is not valid")]
    Invalid {
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// There is none, or none that this principal may know of.
    #[error("not found")]
    NotFound,
    /// It contradicts what there is.
    #[error("{reason}")]
    Conflict {
        /// The field that contradicts.
        field: &'static str,
        /// What it contradicts.
        reason: String,
    },
    /// It was changed since the version the caller knows.
    #[error("changed since the version that was given")]
    Stale,
    /// This principal may not do it.
    #[error("not permitted")]
    Forbidden,
    /// Too often.
    #[error("too many requests")]
    LimitReached {
        /// When to try again.
        retry_after: Duration,
    },
    /// It cannot be done now, and may be possible later.
    #[error("temporarily unavailable")]
    Unavailable {
        /// Why, for the log.
        private: String,
    },
    /// Something is broken.
    #[error("internal error")]
    Internal {
        /// What, for the log.
        private: String,
    },
}

impl Failure {
    /// One field is wrong.
    #[cold]
    pub fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { problems: vec![Problem::new(field, reason)] }
    }

    /// One field contradicts what there is.
    #[cold]
    pub fn conflict(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Conflict { field, reason: reason.into() }
    }

    /// Something is broken.
    #[cold]
    pub fn internal(error: &dyn std::error::Error) -> Self {
        Self::Internal { private: error.to_string() }
    }

    /// Asks that the version a caller knows, if it says so, is the one there is.
    pub(crate) fn unless_current(known: Option<u32>, current: u32) -> Result<(), Self> {
        if known.is_none_or(|known| known == current) { Ok(()) } else { Err(Self::Stale) }
    }

    /// What the log may say and the caller may not be told.
    #[must_use]
    pub fn private(&self) -> Option<&str> {
        match self {
            Self::Unavailable { private } | Self::Internal { private } => Some(private),
            Self::Invalid { .. } | Self::NotFound | Self::Conflict { .. } | Self::Stale | Self::Forbidden | Self::LimitReached { .. } => {
                None
            }
        }
    }
}

impl Problem {
    /// A problem with a field.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

impl Problems {
    /// A field is wrong unless it is as it must be.
    pub(crate) fn check(&mut self, right: bool, field: &str, reason: impl Into<String>) {
        if !right {
            self.0.push(Problem::new(field, reason));
        }
    }

    /// # Errors
    /// [`Failure::Invalid`] if anything was wrong.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(Failure::Invalid { problems: self.0 }) }
    }
}

impl From<tollgate_core::config::Problems> for Failure {
    fn from(problems: tollgate_core::config::Problems) -> Self {
        let problem = |problem: tollgate_core::config::Problem| {
            Problem::new(problem.path, format!("found {}; allowed: {}", problem.found, problem.allowed))
        };
        Self::Invalid { problems: problems.0.into_iter().map(problem).collect() }
    }
}
