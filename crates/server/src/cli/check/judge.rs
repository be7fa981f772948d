//! Owns the judgement of one plugin configuration: the filter's own, and what the filter cannot see. Must not know where the document was.

use std::fmt;

use serde::Serialize;
use tollgate_core::config::{self, Problem, Problems, document as doc};
use tollgate_core::policy::Policy;
use tollgate_core::route::Auth;

use super::finding::{Finding, Severity};
use super::issuers;
use super::variables::Variables;

/// How strictly to judge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge {
    /// Whether secrets may be written into the configuration.
    pub(super) dev: bool,
}

/// What a document is worth.
#[derive(Debug)]
pub(super) struct Judged {
    /// The compiled document, if it is valid.
    pub(super) policy: Option<Policy>,
    pub(super) findings: Vec<Finding>,
}

/// How much a valid document configures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Size {
    pub(super) routes: usize,
    pub(super) tiers: usize,
    pub(super) consumers: usize,
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = [(self.routes, "route"), (self.tiers, "tier"), (self.consumers, "consumer")];
        for (position, (count, noun)) in counted.into_iter().enumerate() {
            let comma = if position > 0 { ", " } else { "" };
            let plural = if count == 1 { "" } else { "s" };
            write!(formatter, "{comma}{count} {noun}{plural}")?;
        }
        Ok(())
    }
}

impl Judged {
    /// The size of the document, if nothing is wrong with it.
    pub(super) fn size(&self) -> Option<Size> {
        let policy = self.policy.as_ref()?;
        // The last route is the one for what no other matches.
        let routes = policy.routes.len().saturating_sub(1);
        Some(Size { routes, tiers: policy.tiers.len(), consumers: policy.consumers.len() })
    }
}

impl Judge {
    /// Judges a plugin configuration for a VM with these variables.
    pub(super) fn document(self, json: &[u8], variables: &Variables) -> Judged {
        let document = match config::parse(json) {
            Ok(document) => document,
            Err(problems) => return Judged { policy: None, findings: errors(problems).collect() },
        };
        let mut findings = self.references(&document, variables);
        findings.extend(open_to_all(&document));
        findings.extend(issuers::of_document(&document));
        match config::compile(&document, &|name: &str| Some(variables.value(name))) {
            Ok(policy) => {
                findings.extend(never_admitted(&policy));
                Judged { policy: Some(policy), findings }
            }
            Err(problems) => {
                findings.extend(errors(problems));
                Judged { policy: None, findings }
            }
        }
    }

    /// What is wrong with where the secrets come from.
    fn references(self, document: &doc::Plugin, variables: &Variables) -> Vec<Finding> {
        let credentials = &document.credentials;
        let issuer_keys = credentials.issuer_keys.iter().enumerate();
        let issuer_keys = issuer_keys.map(|(position, key)| (format!("credentials.issuer_keys[{position}].secret"), &key.secret));
        let pepper = credentials.pepper.iter().map(|pepper| ("credentials.pepper".to_owned(), pepper));
        let backend = document.backend.iter().map(|backend| ("backend.credential".to_owned(), &backend.credential));
        let mut findings = Vec::new();
        for (path, secret) in issuer_keys.chain(pepper).chain(token_secrets(document)).chain(backend) {
            if secret.inline.is_some() && !self.dev {
                let problem = Problem::new(format!("{path}.inline"), "a secret in the document", "`{\"env\": NAME}`, or --dev");
                findings.push(Finding::in_plugin(Severity::Error, problem));
            }
            let Some(name) = &secret.env else {
                continue;
            };
            let path = format!("{path}.env");
            if !variables.declare(name) {
                let problem = Problem::new(
                    path,
                    format!("{}, which the VM does not get", variable(name)),
                    "a name in `host_env_keys` or `key_values` of `vm_config.environment_variables`",
                );
                findings.push(Finding::in_plugin(Severity::Error, problem));
            } else if variables.are_literal(name) && !self.dev {
                let problem =
                    Problem::new(path, "a variable whose value is in the proxy's configuration", "one of the proxy's own environment");
                findings.push(Finding::in_plugin(Severity::Warning, problem));
            }
        }
        findings
    }
}

/// The secrets that issuers of access tokens share with this API, and where they stand.
fn token_secrets(document: &doc::Plugin) -> impl Iterator<Item = (String, &doc::Secret)> {
    let issuers = document.tokens.iter().flat_map(|tokens| &tokens.issuers).enumerate();
    issuers.flat_map(|(issuer, of)| {
        let secrets = of.keys.secrets.iter().flatten().enumerate();
        secrets.map(move |(position, secret)| (format!("tokens.issuers[{issuer}].keys.secrets[{position}].secret"), &secret.secret))
    })
}

/// A variable's name, unless it looks like something else that was put in its place.
fn variable(name: &str) -> String {
    let usual = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if usual { format!("`{name}`") } else { "a variable".to_owned() }
}

fn errors(problems: Problems) -> impl Iterator<Item = Finding> {
    problems.0.into_iter().map(|problem| Finding::in_plugin(Severity::Error, problem))
}

/// Routes that let every request pass: sometimes that is meant, and sometimes a route lost its `match`.
fn open_to_all(document: &doc::Plugin) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut warn = |path: String, found: String, allowed: &str| {
        findings.push(Finding::in_plugin(Severity::Warning, Problem::new(path, found, allowed)));
    };
    for (position, route) in document.routes.iter().enumerate() {
        let everything = route.matching.as_ref().and_then(everything);
        if let (Some(everything), Some((field, value))) = (everything, unguarded(route)) {
            let on = if field == "exempt" { "that is `exempt`".to_owned() } else { format!("with `{field}` {value}") };
            let found = format!("{everything}, on a route {on}: every request that gets here passes");
            warn(format!("routes[{position}].match"), found, "a path, hosts or methods, unless that is meant");
        }
    }
    if let Some((field, value)) = unguarded(&document.default_route) {
        let found = format!("{value}: every request that no route matches passes");
        warn(format!("default_route.{field}"), found, "a route of its own for what may pass, unless that is meant");
    }
    findings
}

/// The field by which a route asks for no credential, and its value.
fn unguarded(route: &doc::Route) -> Option<(&'static str, &'static str)> {
    match route.auth {
        _ if route.exempt => Some(("exempt", "true")),
        doc::Auth::None => Some(("auth", "`none`")),
        doc::Auth::Required | doc::Auth::Optional => None,
    }
}

/// What a `match` says that excludes no request.
fn everything(matching: &doc::Match) -> Option<&'static str> {
    let doc::Match { hosts, methods, path, prefix, template, regex } = matching;
    let others = hosts.is_empty() && methods.is_empty() && path.is_none() && template.is_none() && regex.is_none();
    match prefix.as_deref() {
        None if others => Some("nothing"),
        Some("/") if others => Some("every path"),
        _ => None,
    }
}

/// Routes that cost more than some limit they meet ever has: each request is refused, however long one waits.
fn never_admitted(policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (position, route) in policy.routes.iter().enumerate() {
        let last = position + 1 == policy.routes.len();
        let path = if last { "default_route.cost".to_owned() } else { format!("routes[{position}].cost") };
        for (tier_position, tier) in policy.tiers.iter().enumerate() {
            let meets = !route.exempt
                && match route.auth {
                    Auth::Required | Auth::Optional => true,
                    Auth::None => route.anonymous_tier == Some(tier_position),
                };
            let applies = |routes: &tollgate_core::limit::Routes| u16::try_from(position).is_ok_and(|position| routes.include(position));
            for limit in tier.limits.iter().filter(|limit| meets && !limit.shadow && applies(&limit.routes)) {
                let capacity = limit.rate.capacity();
                if u64::from(route.cost) > capacity {
                    let found = format!("{}, more than limit `{}` of tier `{}` ever has at once", route.cost, limit.name, tier.name);
                    let problem = Problem::new(path.clone(), found, format!("at most {capacity}, or a larger limit"));
                    findings.push(Finding::in_plugin(Severity::Warning, problem));
                }
            }
        }
    }
    findings
}
