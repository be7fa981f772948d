//! Owns the limit headers: which of the limits a request met are shown, and as what. Must not judge anything.

use itoa::Buffer;
use tollgate_core::policy::{Policy, ResetForm, Tier};
use tollgate_core::time::{SECOND, seconds_ceil};

use crate::admission::Limited;
use crate::leases::NEVER;
use crate::tiers::Tiers;

/// A limit as clients are shown it.
#[derive(Clone, Copy)]
struct Shown<'a> {
    name: &'a str,
    /// What `RateLimit-Policy` says of it before and after `limit`.
    item: &'a [String; 2],
    limit: u64,
    remaining: u64,
    until_full: u64,
}

/// Tells each limit header for how a request stands, by its name and value. `wall` is nanoseconds since 1970.
pub fn limit_headers(policy: &Policy, tiers: &Tiers, limited: &Limited, wall: u64, mut tell: impl FnMut(&'static str, &str)) {
    let all = || std::iter::successors(Some(limited), |limited| limited.beside.as_deref());
    let shown = || all().filter_map(|limited| Some(shown(tiers.get(limited.tier)?, tiers.policy_items(limited.tier), limited))).flatten();
    if policy.answers.x_ratelimit
        && let Some(tightest) = shown().reduce(Shown::tighter)
    {
        tell("x-ratelimit-limit", Buffer::new().format(tightest.limit));
        tell("x-ratelimit-remaining", Buffer::new().format(tightest.remaining));
        match reset(policy.answers.reset, wall, tightest.until_full) {
            Reset::Seconds(seconds) => tell("x-ratelimit-reset", Buffer::new().format(seconds)),
            Reset::Date(date) => tell("x-ratelimit-reset", &date),
            Reset::Never => {}
        }
    }
    if policy.answers.ratelimit {
        let policies = list(shown(), |text, Shown { item: [before, after], limit, .. }| {
            text.extend([before, Buffer::new().format(limit), after]);
        });
        if policies.is_empty() {
            return;
        }
        tell("ratelimit-policy", &policies);
        let states = list(shown(), |text, shown| {
            text.extend(["\"", shown.name, "\";r=", Buffer::new().format(shown.remaining)]);
            if shown.until_full < NEVER {
                text.extend([";t=", Buffer::new().format(seconds_ceil(shown.until_full))]);
            }
        });
        tell("ratelimit", &states);
    }
}

/// What is written of each limit that is shown.
fn list<'a>(all: impl Iterator<Item = Shown<'a>>, write: impl Fn(&mut String, Shown<'a>)) -> String {
    let mut text = String::new();
    for shown in all {
        if !text.is_empty() {
            text.push_str(", ");
        }
        write(&mut text, shown);
    }
    text
}

/// The limits a request met; `items` are those of [`Tiers::policy_items`]. One in shadow does not bind, so it is not one to show.
fn shown<'a>(tier: &'a Tier, items: &'a [[String; 2]], limited: &'a Limited) -> impl Iterator<Item = Shown<'a>> {
    let own = tier.limits.iter().zip(items).zip(&limited.standings).filter_map(|((limit, item), standing)| {
        let standing = standing.filter(|_| !limit.shadow)?;
        let (remaining, until_full) = (standing.remaining, standing.until_full);
        Some(Shown { name: &limit.name, item, limit: limit.rate.capacity(), remaining, until_full })
    });
    let standings = limited.leasing.iter().flat_map(|leasing| &leasing.standings);
    let items = items.iter().skip(tier.limits.len());
    let leased = tier.leased.iter().zip(items).zip(standings).filter_map(|((leased, item), standing)| {
        let standing = standing.filter(|_| !leased.shadow)?;
        let (limit, remaining, until_full) = (standing.limit, standing.remaining, standing.until_full);
        Some(Shown { name: &leased.name, item, limit, remaining, until_full })
    });
    own.chain(leased)
}

impl Shown<'_> {
    /// The one of which the smaller share remains; the first of equals.
    fn tighter(self, other: Self) -> Self {
        let product = |one: u64, other: u64| u128::from(one) * u128::from(other.max(1));
        if product(other.remaining, self.limit) < product(self.remaining, other.limit) { other } else { self }
    }
}

/// When all of a limit is available again, in the form that is wanted.
enum Reset {
    Seconds(u64),
    Date(String),
    Never,
}

fn reset(form: ResetForm, wall: u64, until_full: u64) -> Reset {
    if until_full >= NEVER {
        return Reset::Never;
    }
    let at = seconds_ceil(wall.saturating_add(until_full));
    match form {
        ResetForm::Delta => Reset::Seconds(seconds_ceil(until_full)),
        ResetForm::Epoch => Reset::Seconds(at),
        ResetForm::Rfc3339 => {
            let at = i64::try_from(at.min(wall / SECOND + 366 * 86_400)).unwrap_or(i64::MAX);
            Reset::Date(jiff::Timestamp::from_second(at).map(|time| time.to_string()).unwrap_or_default())
        }
    }
}
