//! Owns the judgement of tiers and their limits.

use sha2::{Digest, Sha256};

use super::{Compiler, one_of, quoted};
use crate::bucket::TokenBucket;
use crate::config::{document as doc, units};
use crate::limit::{Counted, FailureMode, Leased, Limit, Period, Rate, Routes};
use crate::policy::Tier;
use crate::time::{Instant, SECOND, seconds_ceil};
use crate::window::{SUB_WINDOWS, SlidingWindow};

/// The most limits a tier has: they are judged together on each request, and their state is one shared value.
const MOST_LIMITS: usize = 8;
/// The largest rate and burst.
const LARGEST_RATE: u64 = 1_000_000_000;
/// The shortest sliding window over all nodes: what is leased of one is good for a thirtieth of it, and must reach the node in that time.
const SHORTEST_LEASED_WINDOW: u64 = 10 * SECOND;
/// The largest quota: what JSON's numbers hold exactly.
const LARGEST_QUOTA: u64 = (1 << 53) - 1;

impl Compiler<'_> {
    pub(super) fn tier(&mut self, path: &str, tier: &doc::Tier, route_names: &[&str]) -> Tier {
        let field = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
        self.name(&field("name"), &tier.name);
        if tier.limits.len() > MOST_LIMITS {
            self.problem(field("limits"), format!("{} limits", tier.limits.len()), format!("at most {MOST_LIMITS}"));
        }
        let names: Vec<&str> = tier.limits.iter().map(|limit| limit.name.as_str()).collect();
        self.unique(&field("limits"), "name", &names);
        let mut limits = Vec::new();
        let mut leased = Vec::new();
        for (position, limit) in tier.limits.iter().enumerate() {
            let path = field(&format!("limits[{position}]"));
            self.name(&format!("{path}.name"), &limit.name);
            let routes = self.routes(&format!("{path}.routes"), limit.routes.as_deref(), route_names);
            if limit.is_leased() {
                leased.extend(self.leased(&path, limit, routes));
            } else {
                limits.extend(self.limit(&path, limit, routes));
            }
        }
        Tier { name: tier.name.clone(), shape: shape(&limits), limits: limits.into(), leased: leased.into() }
    }

    /// A tier of the plugin's own configuration, which no ledger knows.
    pub(super) fn static_tier(&mut self, path: &str, tier: &doc::Tier, route_names: &[&str]) -> Tier {
        for (position, limit) in tier.limits.iter().enumerate().filter(|(_, limit)| limit.is_leased()) {
            let (field, found) = match limit.algorithm {
                doc::Algorithm::Quota => ("algorithm", "`quota`"),
                doc::Algorithm::TokenBucket | doc::Algorithm::SlidingWindow => ("scope", "`global`"),
            };
            let allowed = "in tiers of the backend alone: what is counted over all nodes needs its ledger";
            self.problem(format!("{path}.limits[{position}].{field}"), found, allowed);
        }
        self.tier(path, tier, route_names)
    }

    /// A limit that each node counts by itself.
    fn limit(&mut self, path: &str, limit: &doc::Limit, routes: Routes) -> Option<Limit> {
        for (field, given) in [("time_zone", limit.time_zone.is_some()), ("degrade_to", limit.degrade_to.is_some())] {
            if given {
                self.problem(format!("{path}.{field}"), "a value", "none for a limit that each node counts by itself");
            }
        }
        let rate = self.rate(path, limit)?;
        Some(Limit {
            name: limit.name.clone(),
            rate,
            routes,
            shadow: limit.shadow,
            failure_mode: failure_mode(limit),
            window_seconds: match rate {
                Rate::TokenBucket(bucket) => seconds_ceil(bucket.until_full(bucket.emptied(), Instant(0))),
                Rate::SlidingWindow(_) => seconds_ceil(units::duration(&limit.per)?),
            },
        })
    }

    /// A limit that is counted over all nodes.
    pub(super) fn leased(&mut self, path: &str, limit: &doc::Limit, routes: Routes) -> Option<Leased> {
        let counted = if limit.algorithm == doc::Algorithm::Quota {
            self.quota(path, limit).map(Counted::Quota)
        } else {
            if limit.time_zone.is_some() {
                self.problem(format!("{path}.time_zone"), "a value", "none but for a quota");
            }
            let rate = self.rate(path, limit);
            if let Some(Rate::SlidingWindow(window)) = rate
                && window.longest_hold() < SHORTEST_LEASED_WINDOW / SUB_WINDOWS
            {
                let allowed = "at least `10s` for a `sliding_window` over all nodes; or a `token_bucket`";
                self.problem(format!("{path}.per"), quoted(&limit.per), allowed);
            }
            rate.map(Counted::Rate)
        };
        let failure_mode = failure_mode(limit);
        let degraded = match (&limit.degrade_to, failure_mode, counted) {
            (Some(to), FailureMode::Degrade, _) => {
                self.checked_rate(&format!("{path}.degrade_to"), doc::Algorithm::TokenBucket, to.rate, &to.per, to.burst)
            }
            (Some(_), FailureMode::Deny | FailureMode::Allow, _) => {
                self.problem(format!("{path}.degrade_to"), "a value", "none but with `failure_mode: degrade`");
                None
            }
            (None, FailureMode::Degrade, Some(Counted::Quota(_))) => {
                self.problem(format!("{path}.degrade_to"), "nothing", "a rate such as `{rate: 10, per: 1s}`, for a quota that degrades");
                None
            }
            (None, FailureMode::Degrade, Some(Counted::Rate(rate))) => Some(rate),
            (None, ..) => None,
        };
        Some(Leased { name: limit.name.clone(), counted: counted?, routes, shadow: limit.shadow, failure_mode, degraded })
    }

    fn quota(&mut self, path: &str, limit: &doc::Limit) -> Option<Period> {
        if !(1..=LARGEST_QUOTA).contains(&limit.rate) {
            self.problem(format!("{path}.rate"), limit.rate.to_string(), format!("1 to {LARGEST_QUOTA}"));
        }
        if limit.burst.is_some() {
            self.problem(format!("{path}.burst"), "a value", "no burst with `quota`");
        }
        if limit.scope == Some(doc::Scope::Node) {
            self.problem(format!("{path}.scope"), "`node`", "`global`, or nothing: a quota is counted over all nodes");
        }
        if let Some(zone) = &limit.time_zone
            && !is_time_zone(zone)
        {
            self.problem(format!("{path}.time_zone"), quoted(zone), "a name of the IANA database, such as `Europe/Berlin`");
        }
        match limit.per.as_str() {
            "day" => Some(Period::Day),
            "month" => Some(Period::Month),
            "lifetime" => {
                if limit.time_zone.is_some() {
                    self.problem(format!("{path}.time_zone"), "a value", "none for a quota that never begins anew");
                }
                Some(Period::Lifetime)
            }
            other => {
                self.problem(format!("{path}.per"), quoted(other), "`day`, `month` or `lifetime` for a quota");
                None
            }
        }
    }

    fn rate(&mut self, path: &str, limit: &doc::Limit) -> Option<Rate> {
        self.checked_rate(path, limit.algorithm, limit.rate, &limit.per, limit.burst)
    }

    fn checked_rate(&mut self, path: &str, algorithm: doc::Algorithm, rate: u64, per: &str, burst: Option<u64>) -> Option<Rate> {
        for (field, value) in [("rate", Some(rate)), ("burst", burst)] {
            if let Some(value) = value
                && !(1..=LARGEST_RATE).contains(&value)
            {
                self.problem(format!("{path}.{field}"), value.to_string(), format!("1 to {LARGEST_RATE}"));
            }
        }
        let window = algorithm == doc::Algorithm::SlidingWindow;
        if let (Some(burst), true) = (burst, window) {
            self.problem(format!("{path}.burst"), burst.to_string(), "no burst with `sliding_window`: `rate` units may come at once");
        }
        let Some(period) = units::duration(per).filter(|period| (1..=86_400 * SECOND).contains(period)) else {
            self.problem(format!("{path}.per"), quoted(per), "a duration such as `100ms`, `1s`, `60s`, `1h`, at most `1d`");
            return None;
        };
        if window {
            Some(Rate::SlidingWindow(SlidingWindow::new(u32::try_from(rate).ok()?, period)?))
        } else {
            Some(Rate::TokenBucket(TokenBucket::new(rate, period, burst.unwrap_or(rate))?))
        }
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

fn failure_mode(limit: &doc::Limit) -> FailureMode {
    match limit.failure_mode {
        Some(doc::FailureMode::Deny) => FailureMode::Deny,
        Some(doc::FailureMode::Degrade) => FailureMode::Degrade,
        Some(doc::FailureMode::Allow) => FailureMode::Allow,
        None if limit.algorithm == doc::Algorithm::Quota => FailureMode::Deny,
        None => FailureMode::Degrade,
    }
}

/// Whether a text has the form of a time zone's name. Whether there is such a zone, only the backend knows.
fn is_time_zone(name: &str) -> bool {
    name.len() <= 64 && !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte))
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
