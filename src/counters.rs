//! Owns what a worker counts between two visits of the clock. Must not know how the host publishes it.

use tollgate_core::abuse::Signal;
use tollgate_core::verdict::Reason;

/// A counter's number, below [`Counter::COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Requests admitted.
    Admitted,
    /// Requests denied for a reason.
    Denied(Reason),
    /// Keys found among the known ones of this worker.
    KnownHit,
    /// Keys that had to be looked up.
    KeyMiss,
    /// Keys found among the refused ones of this worker.
    UnknownHit,
    /// Keys refused by their tag.
    Forged,
    /// Compare-and-swaps lost to another worker.
    CasRetry,
    /// Requests a limit in shadow would have refused.
    ShadowRefusal,
    /// Requests judged without shared data.
    Degraded,
    /// Subjects that had to share another one's state because all places were taken.
    Merged,
    /// Units of a purse nobody spent or gave back in time.
    DroppedUnits,
    /// Statuses the host should not have given.
    HostError,
    /// Keys the backend was asked about.
    Asked,
    /// Answers that said whose a key is.
    AskedKnown,
    /// Answers that said it is nobody's.
    AskedUnknown,
    /// Keys about which no answer came in time.
    AskedInVain,
    /// Keys not asked about, because a bound was reached.
    NotAsked,
    /// Calls to the backend that failed, of all kinds.
    CallFailed,
    /// Changes heard of.
    Change,
    /// Times everything the backend had said was forgotten.
    Forgotten,
    /// Access tokens found among the verified ones of this worker.
    TokenHit,
    /// Access tokens found among the refused ones of this worker.
    TokenRefusedHit,
    /// Access tokens whose signature was checked and is right.
    TokenVerified,
    /// Access tokens refused for what they claim, although their signature is right.
    TokenUnaccepted,
    /// Access tokens whose signature was checked and is wrong, or whose key is unknown.
    TokenFailed,
    /// Access tokens refused for their form, header or issuer, before any check of a signature.
    TokenMalformed,
    /// Access tokens not checked, because their address had too many that failed.
    TokenNotChecked,
    /// A token of the backend's own is revoked, or its family.
    TokenRevoked,
    /// Sets of keys fetched from issuers.
    KeySetFetched,
    /// Sets of keys that this worker took over: the first one, and others than before.
    KeySetChanged,
    /// Sets of keys that could not be fetched, or not be used.
    KeySetFailed,
    /// Units of leases that were in a worker's purse when their lease was over: spent as far as the ledger knows.
    StrandedUnits,
    /// Asks of leases that were sent because a request waited.
    LeaseAsked,
    /// Units that the ledger granted.
    LeasedUnits,
    /// Units let pass without a lease, because the limit says so.
    PassedUnits,
    /// Times the backend counted as gone for leases.
    LeasesAway,
    /// Times it counted as back.
    LeasesBack,
    /// Signals of abuse that counted.
    Abuse(Signal),
    /// Blocks that this worker decided on.
    AbuseBlocked,
    /// What would have been a block, in shadow.
    AbuseReported,
    /// Signals that were not kept, because the table was full of higher scores.
    AbuseUntracked,
    /// Blocks and approvals that came into force on this worker.
    BlockBegun,
    /// Those that ended.
    BlockEnded,
    /// Those that ended early for want of room.
    BlocksDropped,
}

/// Names of the counters, in the order of their numbers; the reasons follow.
const NAMES: [&str; 49] = [
    "tollgate_verdicts.admitted",
    "tollgate_cache.known_hit",
    "tollgate_cache.miss",
    "tollgate_cache.unknown_hit",
    "tollgate_forged_keys",
    "tollgate_cas_retries",
    "tollgate_shadow_refusals",
    "tollgate_degraded",
    "tollgate_merged_subjects",
    "tollgate_purse_dropped_units",
    "tollgate_host_errors",
    "tollgate_backend.asked",
    "tollgate_backend.known",
    "tollgate_backend.unknown",
    "tollgate_backend.unanswered",
    "tollgate_backend.not_asked",
    "tollgate_backend.failed",
    "tollgate_feed.changes",
    "tollgate_feed.resets",
    "tollgate_tokens.known_hit",
    "tollgate_tokens.refused_hit",
    "tollgate_tokens.verified",
    "tollgate_tokens.unaccepted",
    "tollgate_tokens.failed",
    "tollgate_tokens.malformed",
    "tollgate_tokens.not_checked",
    "tollgate_key_sets.fetched",
    "tollgate_key_sets.changed",
    "tollgate_key_sets.failed",
    "tollgate_leases.stranded_units",
    "tollgate_leases.asked",
    "tollgate_leases.units",
    "tollgate_leases.passed_units",
    "tollgate_leases.away",
    "tollgate_leases.back",
    "tollgate_abuse.unknown_key",
    "tollgate_abuse.forged_key",
    "tollgate_abuse.failed_token",
    "tollgate_abuse.wrong_signature",
    "tollgate_abuse.denial_storm",
    "tollgate_abuse.velocity",
    "tollgate_abuse.many_addresses",
    "tollgate_abuse.blocked",
    "tollgate_abuse.shadow",
    "tollgate_abuse.untracked",
    "tollgate_blocks.begun",
    "tollgate_blocks.ended",
    "tollgate_blocks.dropped",
    "tollgate_tokens.revoked",
];

impl Counter {
    /// How many counters there are.
    pub const COUNT: usize = NAMES.len() + Reason::ALL.len();

    /// Every counter's metric name, in the order of their numbers.
    pub fn names() -> impl Iterator<Item = String> {
        let verdicts = Reason::ALL.iter().map(|reason| format!("tollgate_verdicts.{}", reason.code()));
        NAMES.iter().map(|name| (*name).to_owned()).chain(verdicts)
    }

    fn number(self) -> usize {
        match self {
            Self::Admitted => 0,
            Self::KnownHit => 1,
            Self::KeyMiss => 2,
            Self::UnknownHit => 3,
            Self::Forged => 4,
            Self::CasRetry => 5,
            Self::ShadowRefusal => 6,
            Self::Degraded => 7,
            Self::Merged => 8,
            Self::DroppedUnits => 9,
            Self::HostError => 10,
            Self::Asked => 11,
            Self::AskedKnown => 12,
            Self::AskedUnknown => 13,
            Self::AskedInVain => 14,
            Self::NotAsked => 15,
            Self::CallFailed => 16,
            Self::Change => 17,
            Self::Forgotten => 18,
            Self::TokenHit => 19,
            Self::TokenRefusedHit => 20,
            Self::TokenVerified => 21,
            Self::TokenUnaccepted => 22,
            Self::TokenFailed => 23,
            Self::TokenMalformed => 24,
            Self::TokenNotChecked => 25,
            Self::KeySetFetched => 26,
            Self::KeySetChanged => 27,
            Self::KeySetFailed => 28,
            Self::StrandedUnits => 29,
            Self::LeaseAsked => 30,
            Self::LeasedUnits => 31,
            Self::PassedUnits => 32,
            Self::LeasesAway => 33,
            Self::LeasesBack => 34,
            Self::Abuse(signal) => 35 + signal.number(),
            Self::AbuseBlocked => 42,
            Self::AbuseReported => 43,
            Self::AbuseUntracked => 44,
            Self::BlockBegun => 45,
            Self::BlockEnded => 46,
            Self::BlocksDropped => 47,
            Self::TokenRevoked => 48,
            Self::Denied(reason) => NAMES.len() + Reason::ALL.iter().position(|own| *own == reason).unwrap_or(0),
        }
    }
}

/// Counts since the last time they were taken.
#[derive(Debug)]
pub struct Counters([u64; Counter::COUNT]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; Counter::COUNT])
    }
}

impl Counters {
    /// Counts one.
    pub fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts several.
    pub fn add(&mut self, counter: Counter, amount: u64) {
        if let Some(own) = self.0.get_mut(counter.number()) {
            *own = own.saturating_add(amount);
        }
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0.get(counter.number()).copied().unwrap_or(0)
    }

    /// Takes all counts that are not 0, with their numbers, and starts anew.
    pub fn take(&mut self) -> impl Iterator<Item = (usize, u64)> {
        std::mem::take(self).0.into_iter().enumerate().filter(|(_, amount)| *amount > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_number_and_a_name_of_its_own() {
        let mut counters = Counters::default();
        for reason in Reason::ALL {
            counters.count(Counter::Denied(reason));
        }
        counters.add(Counter::HostError, 5);
        let names: Vec<String> = Counter::names().collect();
        assert_eq!(names.len(), Counter::COUNT);
        let taken: Vec<(&str, u64)> = counters.take().map(|(number, amount)| (names[number].as_str(), amount)).collect();
        assert_eq!(taken[0], ("tollgate_host_errors", 5));
        assert_eq!(taken.len(), 1 + Reason::ALL.len());
        assert!(taken.contains(&("tollgate_verdicts.rate_limited", 1)));
        assert_eq!(counters.take().count(), 0, "taken counts are gone");
    }

    #[test]
    fn every_counter_is_documented() {
        let documented = include_str!("../docs/metrics.md");
        for name in Counter::names() {
            let of_reason = Reason::ALL.iter().any(|reason| name == format!("tollgate_verdicts.{}", reason.code()));
            assert!(of_reason || documented.contains(&format!("`{name}`")), "{name}");
        }
    }
}
