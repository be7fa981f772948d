//! Owns the score of a subject: it grows by signals and halves with time. Must not know what it is of.

use crate::time::Instant;

/// A point, in the units of a score.
pub const POINT: u64 = 1_000;
/// No score is higher: a million points, more than any sum of weights needs to say.
const MOST: u64 = 1_000_000 * POINT;

/// 2^(-1/2), 2^(-1/4), … 2^(-1/65536), each times 2^32.
const ROOTS: [u64; 16] = [
    3_037_000_500,
    3_611_622_603,
    3_938_502_376,
    4_112_874_773,
    4_202_935_003,
    4_248_701_965,
    4_271_771_996,
    4_283_353_945,
    4_289_156_690,
    4_292_061_010,
    4_293_513_907,
    4_294_240_540,
    4_294_603_903,
    4_294_785_595,
    4_294_876_445,
    4_294_921_870,
];

/// A score, as it was at an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Thousandths of a point.
    pub level: u64,
    /// When it was that.
    pub at: Instant,
}

impl Score {
    /// What is left of it. A clock that went back changes nothing.
    #[must_use]
    pub fn at(self, now: Instant, half_life: u64) -> u64 {
        faded(self.level, now.since(self.at), half_life)
    }

    /// The score after more thousandths of a point came to it.
    #[must_use]
    pub fn add(self, more: u64, now: Instant, half_life: u64) -> Self {
        let level = self.at(now, half_life).saturating_add(more).min(MOST);
        Self { level, at: now.max(self.at) }
    }
}

/// What is left of a level after some time: half after each half-life, rounded down.
#[must_use]
pub fn faded(level: u64, passed: u64, half_life: u64) -> u64 {
    let half_life = half_life.max(1);
    let halvings = passed / half_life;
    if halvings >= 64 {
        return 0;
    }
    let mut left = level.min(MOST) >> halvings;
    // The rest of a half-life, in 65,536ths of it.
    let rest = u128::from(passed % half_life) * 65_536 / u128::from(half_life);
    for (place, root) in ROOTS.iter().enumerate() {
        if rest & (0x8000 >> place) != 0 {
            left = u64::try_from((u128::from(left) * u128::from(*root)) >> 32).unwrap_or(0);
        }
    }
    left
}
