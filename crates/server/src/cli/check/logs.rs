//! Owns which access logs show a credential in the query. Must not know the filter: it cleans the query of what reaches it, and
//! Envoy logs what it refuses itself, such as a path it cannot normalise, as it came.

use serde_json::Value;
use tollgate_core::policy::{Policy, Source};

use super::envoy::{Manager, unpack};
use super::finding::Finding;
use super::tree::{Path, list, member, text};

/// Loggers that have a default format, which shows the whole path.
const WITH_DEFAULT: [&str; 3] = [
    "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
    "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
];
/// Fields that replace the default format. All but the first are deprecated.
const FORMATS: [&str; 4] = ["log_format", "format", "json_format", "typed_json_format"];
const GRPC: &str = "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig";

const REASON: &str = "a credential in the query shows in requests that Envoy itself refuses";
const ALLOWED: &str = "`%PATH(NQ)%`";

/// A command operator of a format: `%NAME(argument):length%`.
#[derive(Clone, Copy, Debug)]
struct Operator<'a> {
    name: &'a str,
    argument: Option<&'a str>,
}

/// What the manager's access logs show.
pub(super) fn of_manager(manager: &Manager<'_>, policy: &Policy) -> Vec<Finding> {
    let parameter = |source: &Source| match source {
        Source::Query(name) => Some(name.clone()),
        Source::Header { .. } => None,
    };
    let parameters: Vec<String> = policy.sources.iter().filter_map(parameter).collect();
    let mut findings = Vec::new();
    if parameters.is_empty() {
        return findings;
    }
    for (position, log) in list(manager.config, &["access_log"]).iter().enumerate() {
        let path = manager.path.member("access_log").element(position).member("typed_config");
        let Some((kind, config, path)) = member(log, "typed_config").and_then(|config| unpack(config, &path)) else {
            continue;
        };
        let given = |name: &&str| text(config, &[name]).map_or_else(|| member(config, name).is_some(), |format| !format.is_empty());
        if WITH_DEFAULT.contains(&kind) && !FORMATS.iter().any(given) {
            findings.push(Finding::warning(path.clone(), format!("no format, and the default one shows whole paths: {REASON}"), ALLOWED));
        } else if kind == GRPC {
            let found = format!("an HttpGrpcAccessLogConfig, which sends whole paths: {REASON}");
            findings.push(Finding::warning(path.clone(), found, format!("another logger, with {ALLOWED}")));
        }
        formats(config, &path, &parameters, &mut findings);
    }
    findings
}

/// Looks at every text in a logger's configuration.
fn formats(node: &Value, path: &Path, parameters: &[String], findings: &mut Vec<Finding>) {
    match node {
        Value::String(format) => {
            for operator in operators(format).into_iter().filter(|operator| operator.shows_query(parameters)) {
                let argument = operator.argument.map(|argument| format!("({argument})")).unwrap_or_default();
                findings.push(Finding::warning(path.clone(), format!("`%{}{argument}%`: {REASON}", operator.name), ALLOWED));
            }
        }
        Value::Array(elements) => {
            for (position, element) in elements.iter().enumerate() {
                formats(element, &path.element(position), parameters, findings);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                formats(value, &path.member(name), parameters, findings);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Operator<'_> {
    /// Whether it can show one of these query parameters.
    fn shows_query(&self, parameters: &[String]) -> bool {
        const HEADERS: [&str; 2] = [":path", "x-envoy-original-path"];
        let argument = self.argument.unwrap_or_default();
        match self.name {
            // One header, or `?` and another one in its place.
            "REQ" | "REQUEST_HEADER" => argument.split('?').any(|name| HEADERS.iter().any(|header| header.eq_ignore_ascii_case(name))),
            // Whether with the query (the default), and of which header.
            "PATH" => argument.split(':').next() != Some("NQ"),
            "QUERY_PARAMS" => true,
            "QUERY_PARAM" => parameters.iter().any(|name| name == argument),
            "CEL" => ["request.path", "request.query"].iter().chain(&HEADERS).any(|expression| argument.contains(expression)),
            _ => false,
        }
    }
}

fn operators(mut format: &str) -> Vec<Operator<'_>> {
    let mut found = Vec::new();
    while let Some((_, rest)) = format.split_once('%') {
        format = match operator(rest) {
            Some((operator, rest)) => {
                found.push(operator);
                rest
            }
            // `%%` stands for the character.
            None => rest.strip_prefix('%').unwrap_or(rest),
        };
    }
    found
}

/// The operator whose first `%` is before this text, and what follows its last.
fn operator(text: &str) -> Option<(Operator<'_>, &str)> {
    let end = text.find(|letter: char| !(letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_'))?;
    let (name, rest) = text.split_at_checked(end).filter(|(name, _)| !name.is_empty())?;
    let Some(inner) = rest.strip_prefix('(') else {
        return Some((Operator { name, argument: None }, after_end(rest)?));
    };
    inner.match_indices(')').find_map(|(position, _)| {
        let (argument, rest) = inner.split_at_checked(position)?;
        Some((Operator { name, argument: Some(argument) }, after_end(rest.strip_prefix(')')?)?))
    })
}

/// What follows an operator's end: perhaps a length, and `%`.
fn after_end(text: &str) -> Option<&str> {
    let text = text.strip_prefix(':').map_or(text, |text| text.trim_start_matches(|letter: char| letter.is_ascii_digit()));
    text.strip_prefix('%')
}
