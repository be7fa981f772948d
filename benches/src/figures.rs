//! Owns what the numbers say: a summary of each row, and the figures that Tollgate promises to reach.

use serde::Serialize;

use crate::measure::{Measured, Slice};
use crate::rows::{BARE, GRPC, JWT_AUTHN_RS256, JWT_COLD_RS256, JWT_WARM, KEY, NOOP};
use crate::statistics::{Quartiles, over, quartiles, ratio};

/// A row's summary over its rounds. Times are microseconds of CPU per request.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// The row's name.
    pub(crate) name: String,
    /// Its Envoy.
    pub(crate) envoy_us: Option<Quartiles>,
    /// The rate limit service, where the row asks it.
    pub(crate) service_us: Option<Quartiles>,
    /// Its Envoy over the bare listener's, paired by round.
    pub(crate) over_bare_us: Option<Quartiles>,
    /// What it adds to the bare listener (with the service's CPU) as a multiple of what the no-op adds, paired by round.
    pub(crate) times_noop: Option<Quartiles>,
    /// Requests per second.
    pub(crate) per_second: Option<Quartiles>,
    /// How long its Envoy waited for a CPU, as a share of the time.
    pub(crate) waiting: Option<Quartiles>,
    /// Other Envoys' share of one CPU meanwhile.
    pub(crate) others: Option<Quartiles>,
    /// The row with this build beside this row with the other one, paired by round: Envoy's CPU, and what is over the bare listener.
    pub(crate) this_build: Option<(Quartiles, Quartiles)>,
}

/// A promised bound and what was found.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    /// What is bounded.
    pub(crate) about: &'static str,
    /// What was found.
    pub(crate) found: f64,
    /// The most it may be.
    pub(crate) at_most: f64,
    /// Of both.
    pub(crate) unit: &'static str,
}

/// Summaries, in the order of `measured`.
pub(crate) fn summaries(measured: &[Measured]) -> Vec<Summary> {
    let bare = envoy_us(measured, BARE);
    let noop = over(&envoy_us(measured, NOOP), &bare);
    let summary = |row: &Measured| {
        let envoy = each(row, |slice| per_request(slice.envoy_ns, slice));
        let service = each(row, |slice| per_request(slice.service_ns, slice));
        Summary {
            name: row.row.name.clone(),
            envoy_us: quartiles(&envoy),
            service_us: quartiles(&service).filter(|_| row.row.asks.is_some()),
            over_bare_us: quartiles(&over(&envoy, &bare)).filter(|_| row.row.name != BARE),
            times_noop: quartiles(&ratio(&added(row, &bare), &noop)).filter(|_| row.row.name != BARE),
            per_second: quartiles(&each(row, |slice| slice.requests as f64 / slice.seconds)),
            waiting: quartiles(&each(row, |slice| slice.waiting_ns as f64 / 1e9 / slice.seconds)),
            others: quartiles(&each(row, |slice| slice.others_ns as f64 / 1e9 / slice.seconds)),
            this_build: row.row.beside().and_then(|name| {
                let this = envoy_us(measured, name);
                Some((quartiles(&ratio(&this, &envoy))?, quartiles(&ratio(&over(&this, &bare), &over(&envoy, &bare)))?))
            }),
        }
    };
    measured.iter().map(summary).collect()
}

/// The promised figures that these rows can tell. `module` is the size of Tollgate's module in bytes.
pub(crate) fn promised(measured: &[Measured], module: Option<u64>) -> Vec<Figure> {
    let bare = envoy_us(measured, BARE);
    let noop = over(&envoy_us(measured, NOOP), &bare);
    let mut figures = Vec::new();
    let mut promise = |about, found: Option<f64>, at_most, unit| {
        figures.extend(found.map(|found| Figure { about, found, at_most, unit }));
    };
    let median = |sample: &[f64]| quartiles(sample).map(|found| found.median);
    let beside = |name, other| median(&ratio(&added(named(measured, name)?, &bare), &added(named(measured, other)?, &bare)));
    if let Some(key) = named(measured, KEY) {
        let key_added = added(key, &bare);
        promise("warm key over bare, beside the SDK no-op over bare", median(&ratio(&key_added, &noop)), 1.6, "times");
        promise("warm key over bare, beside one gRPC callout per request (CPU in both)", beside(KEY, GRPC), 0.1, "times");
        promise("Envoy ready with the module", Some(key.ready.as_secs_f64()), 3.0, "s");
    }
    promise("warm token over bare, beside the warm key over bare", beside(JWT_WARM, KEY), 1.1, "times");
    let beside_jwt_authn = beside(JWT_COLD_RS256, JWT_AUTHN_RS256);
    promise("new RS256 token over bare, beside Envoy's jwt_authn over bare", beside_jwt_authn, 2.0, "times");
    promise("module", module.map(|bytes| bytes as f64 / 1000.0), 800.0, "KB");
    figures
}

// === impl Figure ===

impl Figure {
    /// Whether the promise holds.
    pub(crate) fn holds(&self) -> bool {
        self.found <= self.at_most
    }

    /// Prints it in one line.
    pub(crate) fn print(&self) {
        let Self { about, found, at_most, unit } = self;
        println!("{:<6} {about}: {found:.3} {unit} (at most {at_most})", if self.holds() { "holds" } else { "MISSED" });
    }
}

fn named<'a>(measured: &'a [Measured], name: &str) -> Option<&'a Measured> {
    measured.iter().find(|row| row.row.name == name)
}

/// Microseconds of Envoy's CPU per request in each round of the row of this name.
pub(crate) fn envoy_us(measured: &[Measured], name: &str) -> Vec<f64> {
    named(measured, name).map(|row| each(row, |slice| per_request(slice.envoy_ns, slice))).unwrap_or_default()
}

/// Microseconds per request over the bare listener, the service's CPU included.
fn added(row: &Measured, bare: &[f64]) -> Vec<f64> {
    over(&each(row, |slice| per_request(slice.envoy_ns + slice.service_ns, slice)), bare)
}

fn each(row: &Measured, value: impl Fn(&Slice) -> f64) -> Vec<f64> {
    row.slices.iter().map(value).collect()
}

fn per_request(nanoseconds: u64, slice: &Slice) -> f64 {
    nanoseconds as f64 / 1e3 / slice.requests as f64
}
