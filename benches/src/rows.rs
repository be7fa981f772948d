//! Owns the list of what is measured: each row's name, listener, requests and expected answer.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};

use crate::envoy::bootstrap::{self, Listener};
use crate::plugin;
use crate::request::{BODY, Requests, get, key, with_token};
use crate::tokens::{AUDIENCE, Algorithm, ISSUER, Issued};

/// What all rows are measured over.
pub(crate) const BARE: &str = "bare";
/// What Tollgate's rows are compared with.
pub(crate) const NOOP: &str = "sdk-noop";
/// The usual request.
pub(crate) const KEY: &str = "key";
/// The usual request with a token.
pub(crate) const JWT_WARM: &str = "jwt-warm";
/// The usual request, signed.
pub(crate) const SIGNED: &str = "signed";
/// A token signed with `RS256` that is not remembered.
pub(crate) const JWT_COLD_RS256: &str = "jwt-cold-rs256";
/// Envoy's own filter with such tokens.
pub(crate) const JWT_AUTHN_RS256: &str = "envoy-jwt-authn-rs256";
/// The alternative with one callout per request.
pub(crate) const GRPC: &str = "grpc-ratelimit";

/// One thing to measure.
pub(crate) struct Row {
    /// Its name in tables, filters and JSON.
    pub(crate) name: String,
    /// What it is, in one line.
    pub(crate) about: &'static str,
    /// How its Envoy is configured.
    pub(crate) listener: Listener,
    /// Makes its requests, always the same ones.
    pub(crate) requests: Box<dyn Fn() -> Requests>,
    /// Requests before the first round: enough for V8 to have compiled what is hot, and for every key to have been seen.
    pub(crate) warm_up: u64,
    /// The status of every answer.
    pub(crate) expected: u16,
    /// Credentials, by name, and requests with these: they must be refused, or the row measures something else.
    pub(crate) refused: Vec<(&'static str, Vec<u8>)>,
    /// Another process whose CPU counts too.
    pub(crate) asks: Option<Asked>,
}

/// Whom an Envoy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The rate limit service, about every request: together with client and Envoy it keeps more than two CPUs busy.
    RatelimitService,
    /// A backend of this process id, about keys it does not remember.
    Backend(u32),
}

/// Where the modules are; without Tollgate's, its rows are left out.
pub(crate) struct Modules {
    /// The SDK no-op.
    pub(crate) noop: PathBuf,
    /// The filter.
    pub(crate) tollgate: Option<PathBuf>,
    /// Another build of it, to be measured beside.
    pub(crate) beside: Option<PathBuf>,
}

/// What the name of a row with the other build ends with.
const BESIDE: &str = "@beside";
/// Enough for V8, and for the keys of the exact row.
const WARM_UP: u64 = 30_000;
/// Enough for V8 where each request runs through the same loops thousands of times; and each may take milliseconds.
const WARM_UP_COLD: u64 = 3_000;

/// Those rows whose name contains one of `filters` (all of them without a filter), and always the two that the others are compared with.
///
/// # Errors
/// When tokens cannot be signed.
pub(crate) fn chosen(modules: &Modules, service_port: u16, filters: &[String]) -> Result<Vec<Row>> {
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let mut rows = with_keys(modules, service_port);
    rows.retain(|row| row.name == BARE || row.name == NOOP || wanted(&row.name));
    for (algorithm, kinds) in TOKENS {
        rows.extend(with_tokens(modules, *algorithm, kinds, wanted)?);
    }
    Ok(rows)
}

fn with_keys(modules: &Modules, service_port: u16) -> Vec<Row> {
    let warm = || Requests::with_key(&key(0));
    let noop = Listener::with_filter(bootstrap::wasm(&modules.noop, &json!({})));
    let mut rows = vec![
        Row::new(BARE, "a route answered by the fault filter, which ends the chain of every row", Listener::default(), warm),
        Row::new(NOOP, "a filter through the SDK that does nothing", noop, warm),
    ];
    for (tollgate, suffix) in [(&modules.tollgate, ""), (&modules.beside, BESIDE)] {
        let Some(tollgate) = tollgate else { continue };
        let with = |configuration: Value| Listener::with_filter(bootstrap::wasm(tollgate, &configuration));
        let held = |configuration: Value| Listener {
            filters: vec![bootstrap::wasm(tollgate, &configuration), bootstrap::buffer()],
            ..Listener::default()
        };
        let headers = |names: &[&str]| with(plugin::purse_with_limit_headers(names));
        let tollgates = [
            Row::with_key(KEY, "Tollgate: warm key, rate limit from the purse, defaults", with(plugin::purse())),
            Row::with_key("key-no-headers", "the same without limit headers", headers(&[])),
            Row::with_key("key-x-ratelimit", "the same with x-ratelimit-*", headers(&["x-ratelimit"])),
            Row::with_key("key-both-headers", "the same with x-ratelimit-* and ratelimit", headers(&["x-ratelimit", "ratelimit"])),
            Row {
                requests: Box::new(|| Requests::with_keys((0..plugin::EXACT_KEYS).map(key))),
                ..Row::with_key("key-exact", "Tollgate: 20,000 keys at 10/s each, every request in shared data", with(plugin::exact()))
            },
            Row::with_key(
                "key-address-1",
                "Tollgate: as key, with one denied range: the client's address is asked for",
                with(plugin::denying(1)),
            ),
            Row::with_key("key-address-100k", "the same with 100,000 denied ranges", with(plugin::denying(100_000))),
            Row {
                requests: Box::new(|| Requests::with_body(&key(0))),
                ..Row::with_key("key-post", "Tollgate: as key, with a body of 1 KB that nothing is asked of", held(plugin::purse()))
            },
            Row {
                requests: Box::new(|| Requests::signed(b"")),
                refused: vec![("no signature", get("/v1/search?q=abc", &[("x-api-key", &key(0))]))],
                ..Row::with_key(SIGNED, "Tollgate: as key, each request signed (RFC 9421, HMAC-SHA256)", with(plugin::signed()))
            },
            Row {
                requests: Box::new(|| Requests::signed(BODY)),
                ..Row::with_key("signed-post", "Tollgate: as key-post, each request signed, body included", held(plugin::signed()))
            },
            Row::new("exempt", "Tollgate: exempt route", with(plugin::purse()), || Requests::without_key(plugin::EXEMPT_PATH)),
            Row {
                expected: 401,
                ..Row::new("denied", "Tollgate: an unknown key each time", with(plugin::purse()), || Requests::with_fresh_keys(1))
            },
        ];
        rows.extend(tollgates.map(|row| Row { name: row.name + suffix, ..row }));
    }
    let native = |forwarding, headers| Listener {
        filters: vec![bootstrap::api_key_auth(&key(0), forwarding), bootstrap::local_ratelimit(headers)],
        ..Listener::default()
    };
    rows.extend([
        Row::with_key("native", "api_key_auth + local_ratelimit", native(json!({}), "OFF")),
        Row::with_key(
            "native-headers",
            "the same with identity header, key removed, x-ratelimit-*",
            native(json!({"header": "x-consumer-id", "hide_credentials": true}), "DRAFT_VERSION_03"),
        ),
        Row {
            asks: Some(Asked::RatelimitService),
            ..Row::new(GRPC, "ratelimit filter, one gRPC callout per request", bootstrap::ratelimit_service(service_port), warm)
        },
    ]);
    rows
}

/// What is measured with tokens.
#[derive(Clone, Copy)]
enum Tokens {
    /// Tollgate, one token.
    Warm,
    /// Tollgate, tokens it has forgotten.
    Cold,
    /// Envoy's own filter, which remembers none.
    Native,
    /// The same, one token that it remembers.
    NativeCached,
}

/// A row's name, what it measures, and what it is in one line.
type Kind = (&'static str, Tokens, &'static str);

/// What rows there are with the tokens of each algorithm.
const TOKENS: &[(Algorithm, &[Kind])] = &[
    (
        Algorithm::Rs256,
        &[
            (JWT_WARM, Tokens::Warm, "Tollgate: one RS256 token seen before, otherwise as key"),
            (JWT_COLD_RS256, Tokens::Cold, "Tollgate: 512 RS256 tokens in turn, 16 remembered: each is forgotten before it comes again"),
            (JWT_AUTHN_RS256, Tokens::Native, "jwt_authn alone, no limit, no cache: 512 RS256 tokens in turn"),
            ("envoy-jwt-authn-cached", Tokens::NativeCached, "the same with its cache: one token seen before"),
        ],
    ),
    (
        Algorithm::Es256,
        &[
            ("jwt-cold-es256", Tokens::Cold, "Tollgate: as jwt-cold-rs256, with ES256"),
            ("envoy-jwt-authn-es256", Tokens::Native, "jwt_authn as with RS256, with ES256"),
        ],
    ),
    (Algorithm::EdDsa, &[("jwt-cold-eddsa", Tokens::Cold, "Tollgate: as jwt-cold-rs256, with EdDSA, which the module checks itself")]),
    (Algorithm::Ps256, &[("jwt-cold-ps256", Tokens::Cold, "Tollgate: as jwt-cold-rs256, with PS256, which the module checks itself")]),
    (Algorithm::Hs256, &[("jwt-cold-hs256", Tokens::Cold, "Tollgate: as jwt-cold-rs256, with HS256, which the module checks itself")]),
];

/// The wanted rows of one issuer. Tokens are signed only for these: hundreds of signatures take a while.
fn with_tokens(modules: &Modules, algorithm: Algorithm, kinds: &[Kind], wanted: impl Fn(&str) -> bool) -> Result<Vec<Row>> {
    let kinds: Vec<_> = kinds.iter().filter(|(name, ..)| wanted(&format!("{name}{BESIDE}"))).collect();
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let issued = Issued::by(algorithm)?;
    let native = |cached| vec![(bootstrap::jwt_authn(ISSUER, AUDIENCE, issued.jwks(), cached), "")];
    let tollgate = |configuration: Value| {
        let builds = [(&modules.tollgate, ""), (&modules.beside, BESIDE)].into_iter();
        builds.filter_map(|(module, suffix)| Some((bootstrap::wasm(module.as_ref()?, &configuration), suffix))).collect()
    };
    let mut rows = Vec::new();
    for (name, kind, about) in kinds {
        let (filters, remembered): (Vec<_>, _) = match kind {
            Tokens::Warm => (tollgate(plugin::tokens(&issued)), true),
            Tokens::Cold => (tollgate(plugin::forgetful_tokens(&issued)), false),
            Tokens::Native => (native(false), false),
            Tokens::NativeCached => (native(true), true),
        };
        let named = filters.into_iter().map(|(filter, suffix)| (format!("{name}{suffix}"), filter));
        for (name, filter) in named.filter(|(name, _)| wanted(name)) {
            rows.push(Row::with_tokens(&name, about, Listener::with_filter(filter), &issued, remembered)?);
        }
    }
    Ok(rows)
}

// === impl Row ===

impl Row {
    /// A row whose filter judges keys.
    pub(crate) fn with_key(name: &str, about: &'static str, listener: Listener) -> Self {
        let unknown = Requests::with_fresh_keys(1).next().to_vec();
        Self { refused: vec![("an unknown key", unknown)], ..Self::new(name, about, listener, || Requests::with_key(&key(0))) }
    }

    /// A row whose filter judges tokens: the first one for ever where it is `remembered`, all of them in turn where none is.
    fn with_tokens(name: &str, about: &'static str, listener: Listener, issued: &Issued, remembered: bool) -> Result<Self> {
        let tokens = issued.tokens.clone();
        let requests = move || match tokens.first().filter(|_| remembered) {
            Some(token) => Requests::with_token(token),
            None => Requests::with_tokens(tokens.iter().cloned()),
        };
        let refused =
            vec![("no token", get("/v1/search?q=abc", &[])), ("a token under another one's signature", with_token(&issued.tampered()?))];
        let warm_up = if remembered { WARM_UP } else { WARM_UP_COLD };
        Ok(Self { refused, warm_up, ..Self::new(name, about, listener, requests) })
    }

    pub(crate) fn new(name: &str, about: &'static str, listener: Listener, requests: impl Fn() -> Requests + 'static) -> Self {
        let (name, requests) = (name.to_owned(), Box::new(requests));
        Self { name, about, listener, requests, warm_up: WARM_UP, expected: 200, refused: Vec::new(), asks: None }
    }

    /// The name of the row that this one is measured beside, if it is one with the other build.
    pub(crate) fn beside(&self) -> Option<&str> {
        self.name.strip_suffix(BESIDE)
    }
}
