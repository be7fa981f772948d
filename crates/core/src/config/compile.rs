//! Owns the judgement of a document's values: it makes a valid policy, or says everything that is wrong.

mod abuse;
mod backend;
mod credentials;
mod limits;
mod requirements;
mod routes;
mod signatures;
mod tokens;

use std::collections::HashMap;

use super::problem::{Problem, Problems};
use super::{Environment, document as doc};
use crate::access::AddressRules;
use crate::limit::{Counted, Rate, Routes};
use crate::policy::{Answers, BodyStyle, NodeSizes, Policy, ResetForm, Tier, is_id};
use crate::requirement::Requirement;
use crate::route::{Matcher, PathPattern, Route};

const NAME: &str = "1 to 64 lower-case letters, digits, `-` and `_`";
const ID: &str = "1 to 128 visible ASCII characters, none of them `\"` or `\\`";

/// Compiles a document.
///
/// # Errors
/// Every problem found.
pub fn compile(document: &doc::Plugin, environment: &dyn Environment) -> Result<Policy, Problems> {
    let has_backend = document.backend.is_some();
    let mut compiler = Compiler { problems: Vec::new(), environment, foreign_routes: false, has_backend, requirements: Vec::new() };
    let policy = compiler.policy(document);
    if compiler.problems.is_empty() { Ok(policy) } else { Err(Problems(compiler.problems)) }
}

/// Compiles a tier that a backend has sent, for the routes of `policy`. Routes of other names are other nodes'.
///
/// # Errors
/// Every problem found.
pub fn compile_tier(tier: &doc::Tier, policy: &Policy) -> Result<Tier, Problems> {
    let mut compiler = Compiler::of_foreign_tiers();
    // The last route is the default one, which has no entry in a document.
    let names: Vec<&str> = policy.routes.iter().rev().skip(1).rev().map(|route| route.name.as_str()).collect();
    let tier = compiler.tier("tier", tier, &names);
    if compiler.problems.is_empty() { Ok(tier) } else { Err(Problems(compiler.problems)) }
}

/// Judges a tier by itself, as a backend must that knows no node's routes.
///
/// # Errors
/// Every problem found.
pub fn check_tier(tier: &doc::Tier) -> Result<(), Problems> {
    let mut compiler = Compiler::of_foreign_tiers();
    let _ = compiler.tier("", tier, &[]);
    if compiler.problems.is_empty() { Ok(()) } else { Err(Problems(compiler.problems)) }
}

/// Judges address rules by themselves.
///
/// # Errors
/// Every problem found, by its place in them: `allow[0]`.
pub fn check_addresses(addresses: &doc::Addresses) -> Result<AddressRules, Problems> {
    let mut compiler = Compiler::of_foreign_tiers();
    let rules = compiler.addresses("", addresses);
    if compiler.problems.is_empty() { Ok(rules) } else { Err(Problems(compiler.problems)) }
}

/// The rate of a limit that is counted over all nodes; `None` if it is a quota, each node's own, or wrong.
#[must_use]
pub fn global_rate(limit: &doc::Limit) -> Option<Rate> {
    let leased = limit.is_leased().then(|| Compiler::of_foreign_tiers().leased("", limit, Routes::All)).flatten()?;
    match leased.counted {
        Counted::Rate(rate) => Some(rate),
        Counted::Quota(_) => None,
    }
}

/// The tiers in force where a document names none: free 100/min, basic 500/min, pro 1,000/min, enterprise unlimited.
#[must_use]
pub fn default_tiers() -> Vec<doc::Tier> {
    let tier = |name: &str, rate: Option<u64>| doc::Tier {
        name: name.to_owned(),
        limits: rate.map(|rate| doc::Limit::new("per-minute", doc::Algorithm::SlidingWindow, rate, "60s")).into_iter().collect(),
    };
    vec![tier("free", Some(100)), tier("basic", Some(500)), tier("pro", Some(1_000)), tier("enterprise", None)]
}

struct Compiler<'a> {
    problems: Vec<Problem>,
    environment: &'a dyn Environment,
    /// Whether a limit may name routes that are not there.
    foreign_routes: bool,
    /// Whether there is a backend.
    has_backend: bool,
    /// What routes ask, so far.
    requirements: Vec<Requirement>,
}

impl Compiler<'_> {
    /// For tiers that are judged apart from a plugin's configuration.
    fn of_foreign_tiers() -> Self {
        Self { problems: Vec::new(), environment: &|_: &str| None, foreign_routes: true, has_backend: false, requirements: Vec::new() }
    }

    fn problem(&mut self, path: impl Into<String>, found: impl Into<String>, allowed: impl Into<String>) {
        self.problems.push(Problem::new(path, found, allowed));
    }

    fn policy(&mut self, document: &doc::Plugin) -> Policy {
        let route_names = self.route_names(&document.routes);
        let default_tiers = default_tiers();
        let tier_documents = document.tiers.as_ref().unwrap_or(&default_tiers);
        let tier_names: Vec<&str> = tier_documents.iter().map(|tier| tier.name.as_str()).collect();
        self.unique("tiers", "name", &tier_names);
        let tiers =
            tier_documents.iter().enumerate().map(|(position, tier)| self.static_tier(&format!("tiers[{position}]"), tier, &route_names));
        let tiers = tiers.collect::<Vec<_>>().into();
        let anonymous_tier = self.tier_reference("anonymous_tier", document.anonymous_tier.as_deref(), &tier_names);
        let mut routes: Vec<Route> = Vec::with_capacity(document.routes.len() + 1);
        for (position, route) in document.routes.iter().enumerate() {
            let path = format!("routes[{position}]");
            let matcher = match &route.matching {
                Some(matching) => self.matcher(&format!("{path}.match"), matching),
                None => {
                    self.problem(format!("{path}.match"), "nothing", "an object: `{}` matches every request");
                    self.matcher("", &doc::Match::default())
                }
            };
            routes.push(self.route(&path, route, matcher, anonymous_tier, &tier_names));
        }
        let default = &document.default_route;
        if default.name.is_some() || default.matching.is_some() {
            self.problem("default_route", "`name` or `match`", "neither: it is named `default` and takes what no route matches");
        }
        let anything = Matcher { hosts: Box::new([]), methods: Box::new([]), path: PathPattern::Any };
        routes.push(self.route("default_route", default, anything, anonymous_tier, &tier_names));
        // After the routes: what a key meets of their requirements is known with it.
        let (consumers, api_keys) = self.consumers(document, &tier_names);
        let tokens = self.tokens(document.tokens.as_ref(), &tier_names, document.backend.is_some());
        let realm = document.realm.clone().unwrap_or_else(|| "tollgate".to_owned());
        if !is_id(&realm) {
            self.problem("realm", quoted(&realm), ID);
        }
        let sources = self.sources(document.credentials.sources.as_deref());
        let identity_headers = self.identity_headers(&document.identity_headers, &sources);
        Policy {
            realm,
            sources,
            forward_credentials: document.credentials.forward,
            issuer_keys: self.issuer_keys(&document.credentials.issuer_keys),
            api_keys,
            tokens,
            requirements: std::mem::take(&mut self.requirements).into(),
            tiers,
            consumers,
            routes: routes.into(),
            addresses: self.addresses("addresses", &document.addresses),
            answers: self.answers(&document.answers),
            identity_headers,
            filter_state: document.filter_state,
            node: self.node(&document.node),
            backend: document.backend.as_ref().and_then(|backend| self.backend(backend)),
            abuse: document.abuse.as_ref().and_then(|abuse| self.abuse(abuse)),
            signatures: document.signatures.as_ref().map(|signatures| self.signature("signatures", signatures)),
        }
    }

    fn unique(&mut self, list: &str, field: &str, names: &[&str]) {
        let mut seen = HashMap::new();
        for (position, name) in names.iter().enumerate() {
            if let Some(first) = seen.insert(*name, position) {
                self.problem(
                    format!("{list}[{position}].{field}"),
                    quoted(name),
                    format!("a name of its own ({list}[{first}] has this one)"),
                );
            }
        }
    }

    fn name(&mut self, path: &str, name: &str) {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        if name.len() > 64 || name.is_empty() || !name.bytes().all(allowed) {
            self.problem(path, quoted(name), NAME);
        }
    }

    fn id(&mut self, path: &str, id: &str) {
        if !is_id(id) {
            self.problem(path, quoted(id), ID);
        }
    }

    fn tier_reference(&mut self, path: &str, name: Option<&str>, tier_names: &[&str]) -> Option<usize> {
        let name = name?;
        let position = tier_names.iter().position(|own| *own == name);
        if position.is_none() {
            self.problem(path, quoted(name), one_of(tier_names.iter().copied()));
        }
        position
    }

    fn answers(&mut self, answers: &doc::Answers) -> Answers {
        let families = answers.limit_headers.as_deref().unwrap_or(&[doc::LimitHeaders::XRateLimit]);
        Answers {
            body: match answers.body {
                doc::BodyStyle::Coded => BodyStyle::Coded,
                doc::BodyStyle::Simple => BodyStyle::Simple,
                doc::BodyStyle::Problem => BodyStyle::Problem,
            },
            x_ratelimit: families.contains(&doc::LimitHeaders::XRateLimit),
            ratelimit: families.contains(&doc::LimitHeaders::RateLimit),
            reset: match answers.reset {
                doc::Reset::Epoch => ResetForm::Epoch,
                doc::Reset::Rfc3339 => ResetForm::Rfc3339,
                doc::Reset::Delta => ResetForm::Delta,
            },
        }
    }

    fn node(&mut self, node: &doc::Node) -> NodeSizes {
        fn within<T: Copy + PartialOrd + std::fmt::Display>(
            compiler: &mut Compiler<'_>,
            field: &str,
            value: Option<T>,
            default: T,
            low: T,
            high: T,
        ) -> T {
            let value = value.unwrap_or(default);
            if value < low || value > high {
                compiler.problem(format!("node.{field}"), value.to_string(), format!("{low} to {high}"));
            }
            value
        }
        NodeSizes {
            slots: within(self, "slots", node.slots, 65_536, 64, 1_048_576),
            known_keys: within(self, "known_keys", node.known_keys, 8_192, 16, 1_000_000),
            unknown_keys: within(self, "unknown_keys", node.unknown_keys, 8_192, 16, 1_000_000),
            known_tokens: within(self, "known_tokens", node.known_tokens, 8_192, 16, 1_000_000),
            nonces: within(self, "nonces", node.nonces, 65_536, 256, 4_194_304),
            ipv6_prefix: within(self, "ipv6_prefix", node.ipv6_prefix, 64, 32, 128),
        }
    }
}

/// Text in quotes, cut to a length that suits an error message.
fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(80).collect();
    format!("`{}`{}", shown.escape_debug(), if shown.len() < text.len() { " (cut)" } else { "" })
}

/// A variable's name, unless it looks like a secret that was put in its place.
fn variable(name: &str) -> String {
    let usual = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if name.len() <= 64 && name.bytes().all(usual) { format!("`{name}`") } else { "a variable".to_owned() }
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.take(20).map(quoted).collect();
    if names.is_empty() { "none: there are no names to choose from".to_owned() } else { format!("one of {}", names.join(", ")) }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// What stands in a query as it is, so that names can be compared byte by byte.
fn is_query_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$'*+".contains(&byte))
}
