//! Owns how many different things were seen, in 256 bits: how often each of them came does not count. Must not know what they are.
//!
//! Two windows of 128 bits: what is seen again and again is never new, what was not seen for two windows is forgotten. A hash sets one bit
//! (linear counting: Whang, Vander-Zanden, Taylor 1990). Once half of the bits are set, nobody can have that many by mistake, and
//! everything counts as new.

use crate::time::Instant;

/// Bits of a window.
const BITS: u32 = 128;

/// Something was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// For the first time, as far as is remembered.
    New,
    /// Before.
    Again,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// In this window.
    pub now: u128,
    /// In the one before.
    pub before: u128,
    /// The window's number.
    pub window: u64,
}

impl Spread {
    /// Notes what has this hash; windows are `window` nanoseconds long.
    pub fn see(&mut self, hash: u64, now: Instant, window: u64) -> Seen {
        self.turn(now, window);
        let bit = 1_u128 << (hash % u64::from(BITS));
        let known = (self.now | self.before) & bit != 0;
        self.now |= bit;
        if known && self.now.count_ones() <= BITS / 2 { Seen::Again } else { Seen::New }
    }

    /// How many different things were seen in this window and the one before, about; at most 621.
    #[must_use]
    pub fn estimate(&mut self, now: Instant, window: u64) -> u32 {
        self.turn(now, window);
        let zeros = (self.now | self.before).count_zeros().max(1);
        // m · ln(m / zeros), with ln(x) = log2(x) · ln 2: m · ln 2 is 88.72, and log2 is counted in 1,024ths.
        let log2 = log2_1024(BITS) - log2_1024(zeros);
        (log2 * 8_872 / 102_400).max(u32::from(zeros < BITS))
    }

    fn turn(&mut self, now: Instant, window: u64) {
        let number = now.0 / window.max(1);
        // A clock that went back changes nothing.
        if number > self.window {
            self.before = if number == self.window + 1 { self.now } else { 0 };
            (self.now, self.window) = (0, number);
        }
    }
}

/// The binary logarithm of 1 to 128, in 1,024ths, rounded down: squaring doubles it.
fn log2_1024(number: u32) -> u32 {
    let whole = number.max(1).ilog2();
    // Between 1 and 2, in 2^30ths.
    let mut rest = (u64::from(number.max(1)) << 30) >> whole;
    let mut fraction = 0;
    for _ in 0..10 {
        rest = (rest * rest) >> 30;
        let bit = u32::from(rest >= 2 << 30);
        rest >>= bit;
        fraction = fraction << 1 | bit;
    }
    whole << 10 | fraction
}
