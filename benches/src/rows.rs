//! Owns the list of what is measured: each row's name, listener, requests and expected answer.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::envoy::bootstrap::{self, Listener};
use crate::plugin;
use crate::request::{Requests, key};

/// What all rows are measured over.
pub(crate) const BARE: &str = "bare";
/// What Tollgate's rows are compared with.
pub(crate) const NOOP: &str = "sdk-noop";
/// The usual request.
pub(crate) const KEY: &str = "key";
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
    /// An unknown key must be refused, or the row measures something else.
    pub(crate) judges_keys: bool,
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

/// Every row that can be measured.
pub(crate) fn all(modules: &Modules, service_port: u16) -> Vec<Row> {
    let warm = || Requests::with_key(&key(0));
    let noop = Listener::with_filter(bootstrap::wasm(&modules.noop, &json!({})));
    let mut rows = vec![
        Row::new(BARE, "a route answered by the fault filter, which ends the chain of every row", Listener::default(), warm),
        Row::new(NOOP, "a filter through the SDK that does nothing", noop, warm),
    ];
    for (tollgate, suffix) in [(&modules.tollgate, ""), (&modules.beside, BESIDE)] {
        let Some(tollgate) = tollgate else { continue };
        let with = |configuration: Value| Listener::with_filter(bootstrap::wasm(tollgate, &configuration));
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

/// Those rows whose name contains one of `filters` (all of them without a filter), and always the two that the others are compared with.
pub(crate) fn choose(rows: Vec<Row>, filters: &[String]) -> Vec<Row> {
    let wanted = |row: &Row| filters.is_empty() || filters.iter().any(|filter| row.name.contains(filter.as_str()));
    rows.into_iter().filter(|row| row.name == BARE || row.name == NOOP || wanted(row)).collect()
}

// === impl Row ===

impl Row {
    /// A row whose filter judges keys.
    pub(crate) fn with_key(name: &str, about: &'static str, listener: Listener) -> Self {
        Self { judges_keys: true, ..Self::new(name, about, listener, || Requests::with_key(&key(0))) }
    }

    pub(crate) fn new(name: &str, about: &'static str, listener: Listener, requests: impl Fn() -> Requests + 'static) -> Self {
        let (name, requests) = (name.to_owned(), Box::new(requests));
        Self { name, about, listener, requests, warm_up: WARM_UP, expected: 200, judges_keys: false, asks: None }
    }

    /// The name of the row that this one is measured beside, if it is one with the other build.
    pub(crate) fn beside(&self) -> Option<&str> {
        self.name.strip_suffix(BESIDE)
    }
}
