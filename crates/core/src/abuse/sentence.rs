//! Owns how long a block lasts: longer each time, until its subject was quiet for long enough. Must not know who is blocked.

use super::Terms;

/// A block's length, and what is to be remembered of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// Nanoseconds.
    pub lasts: u64,
    /// How many blocks in a row this is, from 1.
    pub repeats: u32,
}

/// The block that follows `repeats` others, the last of which has ended `quiet` nanoseconds ago.
#[must_use]
pub fn sentence(terms: &Terms, repeats: u32, quiet: u64) -> Sentence {
    let repeats = if quiet >= terms.forgotten_after { 0 } else { repeats };
    let doubled = 1_u64.checked_shl(repeats).and_then(|factor| terms.first.checked_mul(factor));
    Sentence { lasts: doubled.unwrap_or(u64::MAX).min(terms.longest.max(terms.first)), repeats: repeats.saturating_add(1) }
}
