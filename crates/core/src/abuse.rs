//! Owns what counts as abuse: the signals and their weights, how a score fades, when it is a block and for how long. Must not know who is
//! watched, where a score is kept, or what time it is.
//!
//! Everything is in whole numbers, so that two nodes judge alike. Scores are thousandths of a point.

mod pace;
mod score;
mod sentence;
mod spread;
mod subject;

pub use pace::{Pace, Pattern};
pub use score::{POINT, Score, faded};
pub use sentence::{Sentence, sentence};
pub use spread::{Seen, Spread};
pub use subject::{NotASubject, Subject};

use crate::time::SECOND;

/// Why somebody is suspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// A key that nobody knows, one not seen before: a guess.
    UnknownKey,
    /// A key in the form of an issuer's, without its tag, one not seen before.
    ForgedKey,
    /// An access token that its issuer did not sign, one not seen before.
    FailedToken,
    /// A request whose signature is wrong.
    WrongSignature,
    /// Far more refusals (403 and 429) in an interval than the limits explain.
    DenialStorm,
    /// A consumer asks many times as often as it used to.
    Velocity,
    /// One credential comes from many networks.
    ManyAddresses,
}

impl Signal {
    /// Every signal, in the order of the documented table.
    pub const ALL: [Self; 7] = [
        Self::UnknownKey,
        Self::ForgedKey,
        Self::FailedToken,
        Self::WrongSignature,
        Self::DenialStorm,
        Self::Velocity,
        Self::ManyAddresses,
    ];

    /// The stable code: in reports, blocks, metrics and the configuration.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown_key",
            Self::ForgedKey => "forged_key",
            Self::FailedToken => "failed_token",
            Self::WrongSignature => "wrong_signature",
            Self::DenialStorm => "denial_storm",
            Self::Velocity => "velocity",
            Self::ManyAddresses => "many_addresses",
        }
    }

    /// The signal of a code.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.code() == code)
    }

    /// Its position in [`Self::ALL`].
    #[must_use]
    pub const fn number(self) -> usize {
        match self {
            Self::UnknownKey => 0,
            Self::ForgedKey => 1,
            Self::FailedToken => 2,
            Self::WrongSignature => 3,
            Self::DenialStorm => 4,
            Self::Velocity => 5,
            Self::ManyAddresses => 6,
        }
    }
}

/// What becomes of whoever is suspected enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It is told of, and nothing else.
    Report,
    /// It is blocked.
    Block,
}

/// How abuse is judged. Positive numbers all, except where 0 means "not at all".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What becomes of a block.
    pub act: Act,
    /// Points of each signal, by its number.
    pub weights: [u32; Signal::ALL.len()],
    /// Points at which an address, a consumer or a credential is blocked.
    pub threshold: u32,
    /// The same of a network (/24, /48), as a multiple; 0: networks are not judged.
    pub network_multiple: u32,
    /// Nanoseconds in which a score loses half.
    pub half_life: u64,
    /// How long blocks last.
    pub terms: Terms,
    /// Nanoseconds of an interval in which requests and refusals are counted.
    pub interval: u64,
    /// What a consumer's pace is held against.
    pub velocity: Velocity,
    /// What becomes of a consumer whose pace is unusual.
    pub velocity_act: Act,
    /// Refusals in an interval that are a storm, if they are also [`Rules::storm_multiple`] times what was admitted; 0: none are.
    pub storm_least: u32,
    /// See [`Rules::storm_least`].
    pub storm_multiple: u32,
    /// Networks that one credential may come from in [`Rules::spread_window`]; 0: any number.
    pub networks: u32,
    /// Nanoseconds.
    pub spread_window: u64,
    /// What becomes of a credential that comes from more.
    pub spread_act: Act,
    /// Sets of four of the node's table.
    pub sets: u32,
}

/// How long blocks last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The first one, in nanoseconds; each that follows lasts twice as long.
    pub first: u64,
    /// The longest one.
    pub longest: u64,
    /// Who was quiet for so long after a block starts anew.
    pub forgotten_after: u64,
}

/// What a consumer's pace is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Velocity {
    /// So many times its usual pace is unusual; 0: pace is not judged.
    pub multiple: u32,
    /// For so many intervals in a row.
    pub intervals: u32,
    /// Fewer requests in an interval are never unusual.
    pub least: u32,
}

impl Rules {
    /// Points of a signal, in thousandths.
    #[must_use]
    pub fn weight(&self, signal: Signal) -> u64 {
        u64::from(self.weights.get(signal.number()).copied().unwrap_or(0)) * POINT
    }

    /// What becomes of whoever shows a signal enough.
    #[must_use]
    pub fn act_on(&self, signal: Signal) -> Act {
        let own = match signal {
            Signal::Velocity => self.velocity_act,
            Signal::ManyAddresses => self.spread_act,
            Signal::UnknownKey | Signal::ForgedKey | Signal::FailedToken | Signal::WrongSignature | Signal::DenialStorm => Act::Block,
        };
        if self.act == Act::Report { Act::Report } else { own }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            act: Act::Block,
            // 20 guesses within some minutes; three stormy intervals; one unusual pace or spread, which are judgements of their own.
            weights: [5, 5, 5, 5, 34, 100, 100],
            threshold: 100,
            network_multiple: 5,
            half_life: 300 * SECOND,
            terms: Terms::default(),
            interval: 10 * SECOND,
            velocity: Velocity { multiple: 10, intervals: 3, least: 1_000 },
            velocity_act: Act::Report,
            storm_least: 200,
            storm_multiple: 4,
            networks: 16,
            spread_window: 3_600 * SECOND,
            spread_act: Act::Report,
            sets: 4_096,
        }
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self { first: 60 * SECOND, longest: 86_400 * SECOND, forgotten_after: 86_400 * SECOND }
    }
}

#[cfg(test)]
mod tests;
