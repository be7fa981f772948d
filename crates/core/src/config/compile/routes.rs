//! Owns the judgement of routes: what they match, whom they let in, who may read their answers.

use ipnet::IpNet;

use super::{Compiler, is_token, quoted};
use crate::access::{AddressRules, parse_network};
use crate::config::{document as doc, units};
use crate::route::{Auth, Cors, HostPattern, Matcher, PathPattern, Route};

/// The most routes: matching is one pass over them.
const MOST_ROUTES: usize = 1_000;
/// The most regular expressions: each costs a pass over the path, up to a tenth of a millisecond for the longest.
const MOST_REGEXES: usize = 64;
/// The largest cost of a request.
const LARGEST_COST: u32 = 1_000_000;

impl Compiler<'_> {
    pub(super) fn route_names<'a>(&mut self, routes: &'a [doc::Route]) -> Vec<&'a str> {
        if routes.len() > MOST_ROUTES {
            self.problem("routes", format!("{} routes", routes.len()), format!("at most {MOST_ROUTES}"));
        }
        let regexes = routes.iter().filter(|route| route.matching.as_ref().is_some_and(|matching| matching.regex.is_some())).count();
        if regexes > MOST_REGEXES {
            self.problem("routes", format!("{regexes} routes with `regex`"), format!("at most {MOST_REGEXES}"));
        }
        let names: Vec<&str> = routes.iter().map(|route| route.name.as_deref().unwrap_or_default()).collect();
        for (position, route) in routes.iter().enumerate() {
            let path = format!("routes[{position}].name");
            match route.name.as_deref() {
                None => self.problem(path, "nothing", super::NAME),
                Some("default") => self.problem(path, "`default`", "another name: this one means what no route matches"),
                Some(name) => {
                    self.name(&path, name);
                    if let Some(first) = names.iter().take(position).position(|own| *own == name) {
                        self.problem(path, quoted(name), format!("a name of its own (routes[{first}] has this one)"));
                    }
                }
            }
        }
        names
    }

    pub(super) fn route(
        &mut self,
        path: &str,
        route: &doc::Route,
        matcher: Matcher,
        anonymous_tier: Option<usize>,
        tier_names: &[&str],
    ) -> Route {
        let cost = route.cost.unwrap_or(1);
        if cost > LARGEST_COST {
            self.problem(format!("{path}.cost"), cost.to_string(), format!("0 to {LARGEST_COST}"));
        }
        if route.charge_when.as_ref().is_some_and(Vec::is_empty) {
            self.problem(format!("{path}.charge_when"), "an empty list", "statuses; without the field all are charged");
        }
        let charge_when = route.charge_when.as_deref().and_then(|patterns| match units::statuses(patterns) {
            Ok(statuses) => Some(statuses),
            Err(wrong) => {
                self.problem(format!("{path}.charge_when"), quoted(wrong), "statuses such as `404` (100 to 599) or classes such as `2xx`");
                None
            }
        });
        let own_tier = self.tier_reference(&format!("{path}.anonymous_tier"), route.anonymous_tier.as_deref(), tier_names);
        let requirement = self.requirement(path, route);
        if route.signature.is_some() && (route.exempt || route.auth != doc::Auth::Required) {
            self.problem(
                format!("{path}.signature"),
                "a route without `auth` `required`",
                "none there: a signature is that of a credential",
            );
        }
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
            requirement,
            anonymous_tier: own_tier.or(anonymous_tier),
            cost,
            charge_when,
            addresses: self.addresses(&format!("{path}.addresses"), &route.addresses),
            signature: route.signature.as_ref().map(|signature| self.signature(&format!("{path}.signature"), signature)),
            cors: route.cors.as_ref().map(|cors| self.cors(&format!("{path}.cors"), cors)),
        }
    }

    pub(super) fn matcher(&mut self, path: &str, matching: &doc::Match) -> Matcher {
        let mut hosts = Vec::with_capacity(matching.hosts.len());
        for (position, host) in matching.hosts.iter().enumerate() {
            let (name, below) = host.strip_prefix('*').map_or((host.as_str(), false), |rest| (rest, true));
            let bare = name.trim_start_matches('.');
            let well_formed = !bare.is_empty()
                && (name.starts_with('.') == below)
                && !bare.bytes().any(|byte| byte <= b' ' || b"/*?#@".contains(&byte) || byte >= 0x7f);
            let is_ipv6 = bare.starts_with('[') && bare.ends_with(']');
            if !well_formed || (bare.contains(':') && !is_ipv6) || bare.ends_with('.') {
                self.problem(
                    format!("{path}.hosts[{position}]"),
                    quoted(host),
                    "a host without port and final dot, such as `api.example.com` or `*.example.com`",
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

    pub(super) fn path_pattern(&mut self, path: &str, matching: &doc::Match) -> PathPattern {
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

    pub(super) fn addresses(&mut self, path: &str, addresses: &doc::Addresses) -> AddressRules {
        let place = |list: &str| if path.is_empty() { list.to_owned() } else { format!("{path}.{list}") };
        let allow = self.networks(&place("allow"), &addresses.allow);
        let deny = self.networks(&place("deny"), &addresses.deny);
        AddressRules::new(allow, deny)
    }

    pub(super) fn networks(&mut self, path: &str, texts: &[String]) -> Vec<IpNet> {
        let mut networks = Vec::with_capacity(texts.len());
        for (position, text) in texts.iter().enumerate() {
            match parse_network(text) {
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

    pub(super) fn cors(&mut self, path: &str, cors: &doc::Cors) -> Cors {
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
}
