//! Owns the harness's deterministic randomness: the same seed gives the same order of rows and the same keys.
//!
//! Nothing here is fit for secrets.

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) struct Random(u64);

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// === impl Random ===

impl Random {
    /// A sequence that depends on `seed` alone.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Fills `bytes` with letters and digits, ten to a draw.
    pub(crate) fn fill_base62(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(10) {
            let mut bits = self.next();
            for byte in chunk {
                *byte = ALPHABET.get((bits % 62) as usize).copied().unwrap_or(b'0');
                bits /= 62;
            }
        }
    }

    /// Fisher and Yates.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_order_and_keys() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            let mut order: Vec<u32> = (0..9).collect();
            random.shuffle(&mut order);
            let mut key = [0; 57];
            random.fill_base62(&mut key);
            (order, key)
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        assert!(draw(3).1.iter().all(u8::is_ascii_alphanumeric));
        let mut sorted = draw(3).0;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..9).collect::<Vec<_>>());
    }
}
