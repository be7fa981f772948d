//! Owns the judgement of a document's values: it makes a valid policy, or says everything that is wrong.

use std::collections::HashMap;

use ipnet::IpNet;
use sha2::{Digest, Sha256};

use super::problem::{Problem, Problems};
use super::{Environment, document as doc, units};
use crate::access::AddressRules;
use crate::bucket::TokenBucket;
use crate::credential::{IssuerKey, KeyHash, is_prefix};
use crate::limit::{FailureMode, Limit, Rate, Routes};
use crate::policy::{Answers, ApiKey, ApiKeys, BodyStyle, Consumer, IdentityHeaders, NodeSizes, Policy, ResetForm, Source, Tier};
use crate::route::{Auth, Cors, HostPattern, Matcher, PathPattern, Route};
use crate::secret::{LEAST_SECRET_LEN, Secret};
use crate::time::{Instant, SECOND, seconds_ceil};
use crate::window::SlidingWindow;

/// The most limits a tier has: they are judged together on each request, and their state is one shared value.
const MOST_LIMITS: usize = 8;
/// The most routes: matching is one pass over them.
const MOST_ROUTES: usize = 1_000;
/// The largest rate and burst.
const LARGEST_RATE: u64 = 1_000_000_000;
/// The largest cost of a request.
const LARGEST_COST: u32 = 1_000_000;
const NAME: &str = "1 to 64 lower-case letters, digits, `-` and `_`";
const ID: &str = "1 to 128 visible ASCII characters, none of them `\"` or `\\`";

/// Compiles a document.
///
/// # Errors
/// Every problem found.
pub fn compile(document: &doc::Plugin, environment: &dyn Environment) -> Result<Policy, Problems> {
    let mut compiler = Compiler { problems: Vec::new(), environment };
    let policy = compiler.policy(document);
    if compiler.problems.is_empty() { Ok(policy) } else { Err(Problems(compiler.problems)) }
}

/// The tiers in force where a document names none: free 100/min, basic 500/min, pro 1,000/min, enterprise unlimited.
#[must_use]
pub fn default_tiers() -> Vec<doc::Tier> {
    let tier = |name: &str, rate: Option<u64>| doc::Tier {
        name: name.to_owned(),
        limits: rate
            .map(|rate| doc::Limit {
                name: "per-minute".to_owned(),
                algorithm: doc::Algorithm::SlidingWindow,
                rate,
                per: "60s".to_owned(),
                burst: None,
                scope: doc::Scope::Node,
                routes: None,
                shadow: false,
                failure_mode: doc::FailureMode::Degrade,
            })
            .into_iter()
            .collect(),
    };
    vec![tier("free", Some(100)), tier("basic", Some(500)), tier("pro", Some(1_000)), tier("enterprise", None)]
}

struct Compiler<'a> {
    problems: Vec<Problem>,
    environment: &'a dyn Environment,
}

impl Compiler<'_> {
    fn problem(&mut self, path: impl Into<String>, found: impl Into<String>, allowed: impl Into<String>) {
        self.problems.push(Problem::new(path, found, allowed));
    }

    fn policy(&mut self, document: &doc::Plugin) -> Policy {
        let route_names = self.route_names(&document.routes);
        let default_tiers = default_tiers();
        let tier_documents = document.tiers.as_ref().unwrap_or(&default_tiers);
        let tier_names: Vec<&str> = tier_documents.iter().map(|tier| tier.name.as_str()).collect();
        self.unique("tiers", "name", &tier_names);
        let tiers = tier_documents.iter().enumerate().map(|(position, tier)| self.tier(&format!("tiers[{position}]"), tier, &route_names));
        let tiers = tiers.collect::<Vec<_>>().into();
        let (consumers, api_keys) = self.consumers(document, &tier_names);
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
        let realm = document.realm.clone().unwrap_or_else(|| "tollgate".to_owned());
        if !is_id(&realm) {
            self.problem("realm", quoted(&realm), ID);
        }
        Policy {
            realm,
            sources: self.sources(document.credentials.sources.as_deref()),
            forward_credentials: document.credentials.forward,
            issuer_keys: self.issuer_keys(&document.credentials.issuer_keys),
            api_keys,
            tiers,
            consumers,
            routes: routes.into(),
            addresses: self.addresses("addresses", &document.addresses),
            answers: self.answers(&document.answers),
            identity_headers: self.identity_headers(&document.identity_headers),
            filter_state: document.filter_state,
            node: self.node(&document.node),
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

    fn route_names<'a>(&mut self, routes: &'a [doc::Route]) -> Vec<&'a str> {
        if routes.len() > MOST_ROUTES {
            self.problem("routes", format!("{} routes", routes.len()), format!("at most {MOST_ROUTES}"));
        }
        let names: Vec<&str> = routes.iter().map(|route| route.name.as_deref().unwrap_or_default()).collect();
        for (position, name) in names.iter().enumerate() {
            let path = format!("routes[{position}].name");
            self.name(&path, name);
            if *name == "default" {
                self.problem(path, "`default`", "another name: this one means what no route matches");
            }
        }
        self.unique("routes", "name", &names);
        names
    }

    fn name(&mut self, path: &str, name: &str) {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
            self.problem(path, quoted(name), NAME);
        }
    }

    fn tier(&mut self, path: &str, tier: &doc::Tier, route_names: &[&str]) -> Tier {
        self.name(&format!("{path}.name"), &tier.name);
        if tier.limits.len() > MOST_LIMITS {
            self.problem(format!("{path}.limits"), format!("{} limits", tier.limits.len()), format!("at most {MOST_LIMITS}"));
        }
        let names: Vec<&str> = tier.limits.iter().map(|limit| limit.name.as_str()).collect();
        self.unique(&format!("{path}.limits"), "name", &names);
        let limits = tier.limits.iter().enumerate();
        let limits: Vec<Limit> =
            limits.filter_map(|(position, limit)| self.limit(&format!("{path}.limits[{position}]"), limit, route_names)).collect();
        Tier { name: tier.name.clone(), shape: shape(&limits), limits: limits.into() }
    }

    fn limit(&mut self, path: &str, limit: &doc::Limit, route_names: &[&str]) -> Option<Limit> {
        self.name(&format!("{path}.name"), &limit.name);
        let burst = limit.burst.unwrap_or(limit.rate);
        for (field, value) in [("rate", limit.rate), ("burst", burst)] {
            if !(1..=LARGEST_RATE).contains(&value) {
                self.problem(format!("{path}.{field}"), value.to_string(), format!("1 to {LARGEST_RATE}"));
            }
        }
        if limit.burst.is_some() && limit.algorithm == doc::Algorithm::SlidingWindow {
            self.problem(format!("{path}.burst"), burst.to_string(), "no burst with `sliding_window`: `rate` units may come at once");
        }
        let routes = self.routes(&format!("{path}.routes"), limit.routes.as_deref(), route_names);
        let period = units::duration(&limit.per).filter(|period| *period <= 86_400 * SECOND);
        let Some(period) = period else {
            self.problem(format!("{path}.per"), quoted(&limit.per), "a duration such as `100ms`, `1s`, `60s`, `1h`, at most `1d`");
            return None;
        };
        let rate = match limit.algorithm {
            doc::Algorithm::TokenBucket => Rate::TokenBucket(TokenBucket::new(limit.rate, period, burst)?),
            doc::Algorithm::SlidingWindow => Rate::SlidingWindow(SlidingWindow::new(u32::try_from(limit.rate).ok()?, period)?),
        };
        Some(Limit {
            name: limit.name.clone(),
            rate,
            routes,
            shadow: limit.shadow,
            failure_mode: match limit.failure_mode {
                doc::FailureMode::Deny => FailureMode::Deny,
                doc::FailureMode::Degrade => FailureMode::Degrade,
                doc::FailureMode::Allow => FailureMode::Allow,
            },
            window_seconds: match rate {
                Rate::TokenBucket(bucket) => seconds_ceil(bucket.until_full(bucket.emptied(), Instant(0))),
                Rate::SlidingWindow(_) => seconds_ceil(period),
            },
        })
    }

    fn routes(&mut self, path: &str, names: Option<&[String]>, route_names: &[&str]) -> Routes {
        let Some(names) = names else {
            return Routes::All;
        };
        let mut positions = Vec::with_capacity(names.len());
        for (position, name) in names.iter().enumerate() {
            let found = if name == "default" { Some(route_names.len()) } else { route_names.iter().position(|own| own == name) };
            match found.and_then(|found| u16::try_from(found).ok()) {
                Some(found) => positions.push(found),
                None => self.problem(format!("{path}[{position}]"), quoted(name), one_of(route_names.iter().copied().chain(["default"]))),
            }
        }
        positions.sort_unstable();
        Routes::Only(positions.into())
    }

    fn consumers(&mut self, document: &doc::Plugin, tier_names: &[&str]) -> (Box<[Consumer]>, ApiKeys) {
        let pepper = document.credentials.pepper.as_ref().and_then(|pepper| self.secret("credentials.pepper", pepper));
        let mut api_keys = ApiKeys::new(pepper);
        let ids: Vec<&str> = document.consumers.iter().map(|consumer| consumer.id.as_str()).collect();
        self.unique("consumers", "id", &ids);
        let mut consumers = Vec::with_capacity(ids.len());
        for (position, consumer) in document.consumers.iter().enumerate() {
            let path = format!("consumers[{position}]");
            self.id(&format!("{path}.id"), &consumer.id);
            let tier = self.tier_reference(&format!("{path}.tier"), Some(&consumer.tier), tier_names).unwrap_or(0);
            for (number, key) in consumer.keys.iter().enumerate() {
                let path = format!("{path}.keys[{number}]");
                self.id(&format!("{path}.id"), &key.id);
                match key.hash.parse::<KeyHash>() {
                    Err(error) => self.problem(format!("{path}.hash"), "something else", error.to_string()),
                    Ok(KeyHash::HmacSha256(_)) if document.credentials.pepper.is_none() => {
                        self.problem(format!("{path}.hash"), "`hmac-sha256:…` without a pepper", "`sha256:…`, or set `credentials.pepper`");
                    }
                    Ok(hash) => {
                        if !api_keys.insert(hash, ApiKey { id: key.id.clone(), consumer: position }) {
                            self.problem(format!("{path}.hash"), "a hash given before", "each key once");
                        }
                    }
                }
            }
            consumers.push(Consumer { id: consumer.id.clone(), tier });
        }
        (consumers.into(), api_keys)
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

    fn secret(&mut self, path: &str, secret: &doc::Secret) -> Option<Secret> {
        let text = match (&secret.env, &secret.inline) {
            (Some(name), None) => {
                let text = self.environment.variable(name);
                if text.is_none() {
                    self.problem(
                        format!("{path}.env"),
                        format!("{}, which is not set", variable(name)),
                        "a variable of the VM's environment (`host_env_keys`)",
                    );
                }
                text
            }
            (None, Some(inline)) => Some(inline.clone()),
            (Some(_), Some(_)) | (None, None) => {
                self.problem(path, "both or neither of `env` and `inline`", "one of them");
                None
            }
        }?;
        if text.len() < LEAST_SECRET_LEN {
            self.problem(path, format!("{} bytes", text.len()), format!("at least {LEAST_SECRET_LEN} bytes"));
            return None;
        }
        Some(Secret::new(text.into_bytes()))
    }

    fn issuer_keys(&mut self, keys: &[doc::IssuerKey]) -> Box<[IssuerKey]> {
        let mut compiled = Vec::with_capacity(keys.len());
        if keys.len() > 8 {
            self.problem("credentials.issuer_keys", format!("{} keys", keys.len()), "at most 8");
        }
        for (position, key) in keys.iter().enumerate() {
            let path = format!("credentials.issuer_keys[{position}]");
            if !is_prefix(&key.prefix) {
                self.problem(format!("{path}.prefix"), quoted(&key.prefix), "2 to 16 lower-case letters and digits, a letter first");
            }
            if let Some(secret) = self.secret(&format!("{path}.secret"), &key.secret) {
                compiled.extend(IssuerKey::new(key.version, &key.prefix, secret));
            }
        }
        compiled.into()
    }

    fn sources(&mut self, sources: Option<&[doc::Source]>) -> Box<[Source]> {
        let header = |name: &str, scheme: Option<&str>| Source::Header { name: name.to_owned(), scheme: scheme.map(str::to_owned) };
        let Some(sources) = sources else {
            return Box::new([header("authorization", Some("Bearer")), header("x-api-key", None)]);
        };
        if !(1..=8).contains(&sources.len()) {
            self.problem("credentials.sources", format!("{} sources", sources.len()), "1 to 8");
        }
        let mut compiled = Vec::with_capacity(sources.len());
        for (position, source) in sources.iter().enumerate() {
            let path = format!("credentials.sources[{position}]");
            let place = match (&source.header, &source.query) {
                (Some(name), None) => {
                    let name = self.header_name(&format!("{path}.header"), name);
                    if let Some(scheme) = source.scheme.as_deref().filter(|scheme| !is_token(scheme)) {
                        self.problem(format!("{path}.scheme"), quoted(scheme), "an authentication scheme such as `Bearer`");
                    }
                    header(&name, source.scheme.as_deref())
                }
                (None, Some(name)) if source.scheme.is_none() => {
                    if !is_query_name(name) {
                        self.problem(format!("{path}.query"), quoted(name), "letters, digits and `-._~!$'*+`, written without escapes");
                    }
                    Source::Query(name.clone())
                }
                _ => {
                    self.problem(path, "another combination", "`header` with or without `scheme`, or `query` alone");
                    continue;
                }
            };
            let twin = |own: &Source| match (own, &place) {
                (Source::Header { name: own, .. }, Source::Header { name, .. }) => own == name,
                (own, place) => own == place,
            };
            if compiled.iter().any(twin) {
                self.problem(path, "a place given before", "each place once");
            }
            compiled.push(place);
        }
        compiled.into()
    }

    fn header_name(&mut self, path: &str, name: &str) -> String {
        const RESERVED: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "te", "upgrade"];
        let lower = name.to_ascii_lowercase();
        if !is_token(name) || name.len() > 64 || RESERVED.contains(&lower.as_str()) {
            self.problem(path, quoted(name), "a header name of at most 64 characters that does not steer HTTP itself");
        }
        lower
    }

    fn route(&mut self, path: &str, route: &doc::Route, matcher: Matcher, anonymous_tier: Option<usize>, tier_names: &[&str]) -> Route {
        let cost = route.cost.unwrap_or(1);
        if cost > LARGEST_COST {
            self.problem(format!("{path}.cost"), cost.to_string(), format!("0 to {LARGEST_COST}"));
        }
        let charge_when = route.charge_when.as_deref().and_then(|patterns| match units::statuses(patterns) {
            Ok(statuses) => Some(statuses),
            Err(wrong) => {
                self.problem(format!("{path}.charge_when"), quoted(wrong), "statuses such as `404` (100 to 599) or classes such as `2xx`");
                None
            }
        });
        let own_tier = self.tier_reference(&format!("{path}.anonymous_tier"), route.anonymous_tier.as_deref(), tier_names);
        Route {
            name: route.name.clone().unwrap_or_else(|| "default".to_owned()),
            matcher,
            exempt: route.exempt,
            preflight: route.preflight,
            auth: match route.auth {
                doc::Auth::Required => Auth::Required,
                doc::Auth::Optional => Auth::Optional,
                doc::Auth::None => Auth::None,
            },
            anonymous_tier: own_tier.or(anonymous_tier),
            cost,
            charge_when,
            addresses: self.addresses(&format!("{path}.addresses"), &route.addresses),
            cors: route.cors.as_ref().map(|cors| self.cors(&format!("{path}.cors"), cors)),
        }
    }

    fn matcher(&mut self, path: &str, matching: &doc::Match) -> Matcher {
        let mut hosts = Vec::with_capacity(matching.hosts.len());
        for (position, host) in matching.hosts.iter().enumerate() {
            let (name, below) = host.strip_prefix('*').map_or((host.as_str(), false), |rest| (rest, true));
            let bare = name.trim_start_matches('.');
            let well_formed = !bare.is_empty()
                && (name.starts_with('.') == below)
                && !bare.bytes().any(|byte| byte <= b' ' || b"/*?#@".contains(&byte) || byte >= 0x7f);
            if !well_formed || (bare.contains(':') && !bare.starts_with('[')) {
                self.problem(
                    format!("{path}.hosts[{position}]"),
                    quoted(host),
                    "a host without port, such as `api.example.com` or `*.example.com`",
                );
            }
            let name = name.to_ascii_lowercase();
            hosts.push(if below { HostPattern::Below(name) } else { HostPattern::Exact(name) });
        }
        for (position, method) in matching.methods.iter().enumerate() {
            if !is_token(method) || method.bytes().any(|byte| byte.is_ascii_lowercase()) {
                self.problem(format!("{path}.methods[{position}]"), quoted(method), "a method in capitals, such as `GET`");
            }
        }
        Matcher { hosts: hosts.into(), methods: matching.methods.clone().into(), path: self.path_pattern(path, matching) }
    }

    fn path_pattern(&mut self, path: &str, matching: &doc::Match) -> PathPattern {
        let given = [&matching.path, &matching.prefix, &matching.template, &matching.regex].into_iter().flatten().count();
        if given > 1 {
            self.problem(path, format!("{given} of `path`, `prefix`, `template` and `regex`"), "at most one of them");
        }
        for (field, text) in [("path", &matching.path), ("prefix", &matching.prefix), ("template", &matching.template)] {
            if let Some(text) =
                text.as_ref().filter(|text| !crate::route::decode_path(text.as_bytes()).is_ok_and(|decoded| decoded == text.as_str()))
            {
                self.problem(
                    format!("{path}.{field}"),
                    quoted(text),
                    "a decoded path: a `/` first, no empty or dot segments, no query, no escapes",
                );
            }
        }
        if let Some(own) = &matching.path {
            return PathPattern::Exact(own.clone());
        }
        if let Some(prefix) = &matching.prefix {
            return PathPattern::Prefix(prefix.clone());
        }
        if let Some(template) = &matching.template {
            let mut router = matchit::Router::new();
            if let Err(error) = router.insert(template.clone(), ()) {
                self.problem(
                    format!("{path}.template"),
                    format!("{} ({error})", quoted(template)),
                    "a template such as `/users/{id}` or `/files/{*rest}`",
                );
            }
            return PathPattern::Template(router);
        }
        if let Some(regex) = &matching.regex {
            // Anchored as a whole, so that a rule for one path is not by accident one for all that contain it. Read alone first:
            // `/a)|(?:/b` is no expression, yet would become one between the anchor's parentheses, and undo it.
            let build = |text: &str| regex_lite::RegexBuilder::new(text).size_limit(1 << 18).build();
            match build(regex).and_then(|_| build(&format!("^(?:{regex})$"))) {
                Ok(regex) => return PathPattern::Regex(regex),
                Err(error) => self.problem(
                    format!("{path}.regex"),
                    format!("{} ({error})", quoted(regex)),
                    "a regular expression (syntax of regex-lite)",
                ),
            }
        }
        PathPattern::Any
    }

    fn addresses(&mut self, path: &str, addresses: &doc::Addresses) -> AddressRules {
        let allow = self.networks(&format!("{path}.allow"), &addresses.allow);
        let deny = self.networks(&format!("{path}.deny"), &addresses.deny);
        AddressRules::new(allow, deny)
    }

    fn networks(&mut self, path: &str, texts: &[String]) -> Vec<IpNet> {
        let mut networks = Vec::with_capacity(texts.len());
        for (position, text) in texts.iter().enumerate() {
            let network = text.parse::<IpNet>().ok().or_else(|| text.parse().ok().map(|address: std::net::IpAddr| IpNet::from(address)));
            match network {
                Some(network) if network.addr() == network.network() => networks.push(network),
                Some(network) => {
                    self.problem(format!("{path}[{position}]"), quoted(text), format!("no bits beyond the prefix: `{}`", network.trunc()))
                }
                None => self.problem(
                    format!("{path}[{position}]"),
                    quoted(text),
                    "an address or a network such as `10.0.0.0/8` or `2001:db8::/32`",
                ),
            }
        }
        networks
    }

    fn cors(&mut self, path: &str, cors: &doc::Cors) -> Cors {
        let any = cors.origins.iter().any(|origin| origin == "*");
        if any && (cors.origins.len() > 1 || cors.credentials) {
            self.problem(
                format!("{path}.origins"),
                "`*` with other origins or with `credentials`",
                "`*` alone and without `credentials`, or exact origins",
            );
        }
        for (position, origin) in cors.origins.iter().enumerate() {
            // Browsers send origins in lower case; one with a wildcard inside would never match.
            let host = origin.split_once("://").map(|(_, host)| host);
            let well_formed = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', '*']))
                && origin.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
            if origin != "*" && !well_formed {
                self.problem(
                    format!("{path}.origins[{position}]"),
                    quoted(origin),
                    "an origin in lower case, such as `https://app.example.com`, or `*`",
                );
            }
        }
        Cors { origins: (!any).then(|| cors.origins.clone().into()), credentials: cors.credentials }
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

    fn identity_headers(&mut self, headers: &doc::IdentityHeaders) -> IdentityHeaders {
        let mut name = |field: &str, own: &Option<String>, default: &str| match own {
            Some(own) => self.header_name(&format!("identity_headers.{field}"), own),
            None => default.to_owned(),
        };
        let names = IdentityHeaders {
            consumer: name("consumer", &headers.consumer, "x-consumer-id"),
            tier: name("tier", &headers.tier, "x-consumer-tier"),
            credential: name("credential", &headers.credential, "x-credential-id"),
        };
        if names.consumer == names.tier || names.consumer == names.credential || names.tier == names.credential {
            self.problem("identity_headers", "one name for two headers", "three different names");
        }
        names
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
            slots: within(self, "slots", node.slots, 65_536, 64, 4_194_304),
            known_keys: within(self, "known_keys", node.known_keys, 8_192, 16, 1_000_000),
            unknown_keys: within(self, "unknown_keys", node.unknown_keys, 8_192, 16, 1_000_000),
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

fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// What stands in a query as it is, so that names can be compared byte by byte.
fn is_query_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$'*+".contains(&byte))
}

/// A fingerprint of everything that gives a tier's state its meaning: the order, the algorithms and their numbers.
fn shape(limits: &[Limit]) -> u64 {
    let mut hash = Sha256::new();
    for limit in limits {
        hash.update(limit.name.as_bytes());
        hash.update([0]);
        limit.rate.numbers().into_iter().for_each(|number| hash.update(number.to_le_bytes()));
    }
    hash.finalize().first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
