//! Owns the judgement of tiers and their limits.

use sha2::{Digest, Sha256};

use super::{Compiler, one_of, quoted};
use crate::bucket::TokenBucket;
use crate::config::{document as doc, units};
use crate::limit::{FailureMode, Limit, Rate, Routes};
use crate::policy::Tier;
use crate::time::{Instant, SECOND, seconds_ceil};
use crate::window::SlidingWindow;

/// The most limits a tier has: they are judged together on each request, and their state is one shared value.
const MOST_LIMITS: usize = 8;
/// The largest rate and burst.
const LARGEST_RATE: u64 = 1_000_000_000;

impl Compiler<'_> {
    pub(super) fn tier(&mut self, path: &str, tier: &doc::Tier, route_names: &[&str]) -> Tier {
        let field = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
        self.name(&field("name"), &tier.name);
        if tier.limits.len() > MOST_LIMITS {
            self.problem(field("limits"), format!("{} limits", tier.limits.len()), format!("at most {MOST_LIMITS}"));
        }
        let names: Vec<&str> = tier.limits.iter().map(|limit| limit.name.as_str()).collect();
        self.unique(&field("limits"), "name", &names);
        let limits = tier.limits.iter().enumerate();
        let limits: Vec<Limit> =
            limits.filter_map(|(position, limit)| self.limit(&field(&format!("limits[{position}]")), limit, route_names)).collect();
        Tier { name: tier.name.clone(), shape: shape(&limits), limits: limits.into() }
    }

    pub(super) fn limit(&mut self, path: &str, limit: &doc::Limit, route_names: &[&str]) -> Option<Limit> {
        self.name(&format!("{path}.name"), &limit.name);
        let burst = limit.burst.unwrap_or(limit.rate);
        for (field, value) in [("rate", Some(limit.rate)), ("burst", limit.burst)] {
            if let Some(value) = value
                && !(1..=LARGEST_RATE).contains(&value)
            {
                self.problem(format!("{path}.{field}"), value.to_string(), format!("1 to {LARGEST_RATE}"));
            }
        }
        if limit.burst.is_some() && limit.algorithm == doc::Algorithm::SlidingWindow {
            self.problem(format!("{path}.burst"), burst.to_string(), "no burst with `sliding_window`: `rate` units may come at once");
        }
        let routes = self.routes(&format!("{path}.routes"), limit.routes.as_deref(), route_names);
        let period = units::duration(&limit.per).filter(|period| (1..=86_400 * SECOND).contains(period));
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

    pub(super) fn routes(&mut self, path: &str, names: Option<&[String]>, route_names: &[&str]) -> Routes {
        let Some(names) = names else {
            return Routes::All;
        };
        if names.is_empty() {
            self.problem(path, "an empty list", "names of routes; without the field the limit applies to all");
        }
        let mut positions = Vec::with_capacity(names.len());
        for (position, name) in names.iter().enumerate() {
            let found = if name == "default" { Some(route_names.len()) } else { route_names.iter().position(|own| own == name) };
            match found.and_then(|found| u16::try_from(found).ok()) {
                Some(found) => positions.push(found),
                None if self.foreign_routes => {}
                None => self.problem(format!("{path}[{position}]"), quoted(name), one_of(route_names.iter().copied().chain(["default"]))),
            }
        }
        positions.sort_unstable();
        positions.dedup();
        Routes::Only(positions.into())
    }
}

/// A fingerprint of what gives a tier's state its meaning: the limits' names and order, their algorithms and periods. Rates,
/// bursts and the rest may change while what was spent stays spent.
fn shape(limits: &[Limit]) -> u64 {
    let mut hash = Sha256::new();
    for limit in limits {
        hash.update(limit.name.as_bytes());
        hash.update([0]);
        limit.rate.meaning().into_iter().for_each(|number| hash.update(number.to_le_bytes()));
    }
    hash.finalize().first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
