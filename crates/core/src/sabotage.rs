//! Owns the switch that removes one rule of the leases, so that the simulation can show that it would notice. Must not be in what ships:
//! without the feature `sabotage` every rule holds, and nothing can remove it. With it, core has the one global that it may not have.

/// A rule that leases rely on (DESIGN.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Only an explicit return lowers a charge: who is silent keeps what it was granted.
    SilenceBurns,
    /// A grant goes into the slot by a compare-and-swap that finds its ask still pending.
    AdoptOnce,
    /// Only units that a compare-and-swap took out of the slot are returned.
    ReturnSealed,
    /// Each life of a node has an incarnation of its own.
    FreshIncarnation,
    /// A grant is durable before it is answered.
    DurableFirst,
    /// A lease that was closed, or is older than the newest, is not opened again.
    RememberLeases,
    /// A worker gives units back only to the lease it took them from.
    GiveBackToLease,
    /// A grant is enough for what waits, or nothing.
    EnoughOrNothing,
    /// One ask of a row is under way at a time.
    OnePending,
    /// A rate's bucket never holds more than its capacity.
    BucketCap,
    /// Units of a rate expire.
    RatesExpire,
    /// Nothing of a window is spent before it begins.
    NotBefore,
}

/// Every rule, with the name the simulation shows.
pub const RULES: [(Rule, &str); 12] = [
    (Rule::SilenceBurns, "silence burns"),
    (Rule::AdoptOnce, "adopt once"),
    (Rule::ReturnSealed, "return only what is sealed"),
    (Rule::FreshIncarnation, "fresh incarnation"),
    (Rule::DurableFirst, "durable before answer"),
    (Rule::RememberLeases, "remember ids"),
    (Rule::GiveBackToLease, "full lease id on give-back"),
    (Rule::EnoughOrNothing, "at least what is needed"),
    (Rule::OnePending, "one pending id"),
    (Rule::BucketCap, "bucket cap"),
    (Rule::RatesExpire, "units of a rate expire"),
    (Rule::NotBefore, "not before it begins"),
];

/// The rule that is removed, as its number and one; 0: none.
#[cfg(feature = "sabotage")]
static REMOVED: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Removes a rule, or none.
#[cfg(feature = "sabotage")]
pub fn remove(rule: Option<Rule>) {
    REMOVED.store(rule.map_or(0, |rule| rule as u8 + 1), std::sync::atomic::Ordering::Relaxed);
}

/// Whether a rule does not hold.
#[cfg(feature = "sabotage")]
#[must_use]
pub fn removed(rule: Rule) -> bool {
    REMOVED.load(std::sync::atomic::Ordering::Relaxed) == rule as u8 + 1
}

/// Whether a rule does not hold: never.
#[cfg(not(feature = "sabotage"))]
#[must_use]
pub const fn removed(_: Rule) -> bool {
    false
}
