//! Owns why a request got no good answer, in words, and the exit status that makes. Must not carry the admin key.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;

use crate::cli::table::plain;
use crate::cli::{UNUSABLE, WRONG};
use crate::failure::Problem;

/// Signs of what another attempt does not mend, and what does.
const HINTS: [(&str, &str); 3] = [
    ("UnknownIssuer", "--ca FILE names the authority to trust"),
    // An authority of the same name with another key: that of another data directory.
    ("BadSignature", "--ca FILE must be the authority of this backend"),
    ("invalid HTTP version", "does it speak https?"),
];

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("--url: found `{0}`; allowed: http:// or https://, a host, perhaps a port and a path")]
    Url(String),
    #[error("--url: the admin key would travel unencrypted; use https://, or --plain-http where nobody can listen")]
    PlainHttp,
    #[error("no admin key: give --admin-key-file FILE, or --data DIR where `tollgate init` left one, or set TOLLGATE_ADMIN_KEY")]
    NoKey,
    #[error("cannot read {}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("the admin key is not one line of visible ASCII")]
    BadKey,
    #[error("--ca: {}: {reason}", path.display())]
    Ca { path: PathBuf, reason: String },
    #[error("cannot ask {url}: {reason}")]
    Transport { url: String, reason: String, lasting: bool },
    #[error("{0}")]
    Refused(Box<Refusal>),
    #[error("the answer is not what the public API of Tollgate's backend says: {0}")]
    Unexpected(#[from] serde_json::Error),
    #[error("the answer names no version (ETag): is this the public API of Tollgate's backend?")]
    NoVersion,
    #[error("no randomness: {0}")]
    Random(getrandom::Error),
    #[error("{place}: {reason}")]
    Document { place: String, reason: String },
    #[error("tier {name}: {error}")]
    Tier { name: String, error: Box<ClientError> },
    #[error("{0}")]
    Output(#[from] io::Error),
}

/// The server answered, and not as it was asked.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: u16,
    retry_after: Option<Duration>,
    problem: Document,
}

/// `application/problem+json` (RFC 9457), as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    title: Option<String>,
    detail: Option<String>,
    errors: Vec<Problem>,
}

// === impl ClientError ===

impl ClientError {
    pub(super) fn transport(url: &str, error: ureq::Error) -> Self {
        let reason = if let ureq::Error::Io(error) = &error { error.to_string() } else { error.to_string() };
        let hint = HINTS.iter().find(|(sign, _)| reason.contains(sign)).map(|(_, hint)| *hint);
        let reason = hint.map_or_else(|| reason.clone(), |hint| format!("{reason}; {hint}"));
        Self::Transport { url: url.to_owned(), reason, lasting: hint.is_some() }
    }

    pub(super) fn refused(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let problem = serde_json::from_slice(body).unwrap_or_default();
        Self::Refused(Box::new(Refusal { status, retry_after, problem }))
    }

    /// Something in a document the user gave.
    pub(crate) fn document(place: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Document { place: plain(&place.to_string()), reason: plain(&reason.to_string()) }
    }

    /// Several places in a document the user gave, each with what is wrong there.
    pub(crate) fn lines(place: impl fmt::Display, said: &[String]) -> Self {
        let reason = said.iter().map(|line| format!("\n  {}", plain(line))).collect();
        Self::Document { place: plain(&place.to_string()), reason }
    }

    /// What the server found wrong, place by place.
    pub(crate) fn problems(&self) -> &[Problem] {
        if let Self::Refused(refusal) = self { &refusal.problem.errors } else { &[] }
    }

    /// Whether there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 404)
    }

    /// Whether another attempt may do better.
    pub(super) fn may_pass(&self) -> bool {
        if let Self::Refused(refusal) = self {
            return matches!(refusal.status, 429 | 502 | 503 | 504);
        }
        matches!(self, Self::Transport { lasting: false, .. })
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Self::Refused(refusal) = self { refusal.retry_after } else { None }
    }

    /// Refused is what the server or a document's rules judged; everything else could not be judged.
    fn status(&self) -> u8 {
        if let Self::Tier { error, .. } = self {
            return error.status();
        }
        let refused = matches!(self, Self::Refused(refusal) if (400..500).contains(&refusal.status) && refusal.status != 429);
        if refused || matches!(self, Self::Document { .. }) { WRONG } else { UNUSABLE }
    }
}

/// The exit status of a command; what went wrong is said on standard error.
///
/// # Errors
/// What went wrong with the standard streams themselves.
pub(crate) fn finish(result: Result<(), ClientError>) -> io::Result<ExitCode> {
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(ClientError::Output(error)) => Err(error),
        Err(error) => {
            writeln!(io::stderr(), "error: {error}")?;
            Ok(ExitCode::from(error.status()))
        }
    }
}

// === impl Refusal ===

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Document { title, detail, errors } = &self.problem;
        let said = detail.as_deref().or(title.as_deref()).filter(|text| !text.is_empty());
        let said = said.map_or_else(|| "the server gave no reason".to_owned(), plain);
        write!(formatter, "{said} ({})", self.status)?;
        if let Some(pause) = self.retry_after.filter(|pause| !pause.is_zero()) {
            write!(formatter, "; again in {} s", pause.as_secs())?;
        }
        for Problem { field, reason } in errors {
            let place = if field.is_empty() { "the request" } else { field };
            write!(formatter, "\n  {}: {}", plain(place), plain(reason))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> ClientError {
        ClientError::refused(status, None, body.as_bytes())
    }

    #[test]
    fn a_problem_document_becomes_words_that_name_the_fields() {
        let error = refused(
            400,
            r#"{"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "the request is not valid",
                "errors": [{"field": "limits[0].rate", "reason": "0; 1 to 1,000"}, {"field": "", "reason": "too large"}], "more": 1}"#,
        );
        assert_eq!(error.to_string(), "the request is not valid (400)\n  limits[0].rate: 0; 1 to 1,000\n  the request: too large");
        assert_eq!(error.status(), WRONG);
    }

    #[test]
    fn what_is_no_problem_document_is_a_status_still() {
        for body in ["", "<html>", "[]", r#"{"detail": 5}"#] {
            assert_eq!(refused(502, body).to_string(), "the server gave no reason (502)");
        }
        assert_eq!(refused(502, "").status(), UNUSABLE);
        assert_eq!(refused(404, r#"{"title": "not found"}"#).to_string(), "not found (404)");
    }

    #[test]
    fn control_characters_of_the_server_do_not_reach_the_terminal() {
        let error = refused(409, r#"{"detail": "a\u001b[2Jb", "errors": [{"field": "x\u0007", "reason": "y\u009b"}]}"#).to_string();
        assert!(error.chars().all(|one| one == '\n' || !one.is_control()), "{error:?}");
    }

    #[test]
    fn another_attempt_is_for_what_may_pass() {
        assert!([429, 502, 503, 504].iter().all(|status| refused(*status, "").may_pass()));
        assert!([400, 401, 404, 409, 412, 500].iter().all(|status| !refused(*status, "").may_pass()));
    }
}
