//! Owns which signatures were used on this node: a table of a fixed size in shared data. Must not know what a signature is.
//!
//! An entry is kept for as long as its signature would be taken again, and never pushed out: where a set is full of such entries, nothing more
//! is taken that falls into it. Only who signs rightly can write here. Sets are chosen by a hash under a secret of the node, so they fill
//! evenly: the table is as good as full when three quarters of it are in use.
//!
//! The wall clock may be set, forwards and back. Each set remembers the latest end of what it has forgotten: whatever ends no later may have
//! been used, and is not taken again.

use crate::shared::{Broken, SharedData};

/// Entries of a set.
const WAYS: usize = 256;
/// Bytes of an entry: a tag, and the second in which it ends.
const ENTRY: usize = 12;
/// Bytes before the entries: the latest end of those that were forgotten.
const HEAD: usize = 4;
/// The number is of how it is written.
const KEY: &str = "tollgate/1/nonces/2";
/// A lost swap is tried again so often.
const MOST_RETRIES: u32 = 8;

/// What became of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It was not used before; where it was to be noted, it is.
    First,
    /// It was.
    Again,
    /// It ends no later than what was forgotten here: the clock was set back, and nobody knows.
    Over,
    /// There is no room to note it.
    Full,
}

/// Looks for a signature with this hash that ends `until` then, and notes it if it is to be. Both times are seconds since 1970.
///
/// # Errors
/// [`Broken`], also where other workers were always faster, and for times that do not fit.
pub fn look(
    (place, tag): (u64, u64),
    entries: u32,
    until: u64,
    note: bool,
    wall: u64,
    shared: &mut impl SharedData,
) -> Result<Use, Broken> {
    let until = u32::try_from(until).map_err(|_| Broken)?;
    let sets = u64::from(entries).div_ceil(WAYS as u64).max(1);
    let key = format!("{KEY}/{sets}/{}", place % sets);
    for _ in 0..MOST_RETRIES {
        let mut value = Vec::new();
        let version = shared.get(&key, &mut value)?;
        if version.is_none() {
            value = vec![0; HEAD];
        }
        let (forgotten, all) = value.split_first_chunk::<HEAD>().ok_or(Broken)?;
        let (all, []) = all.as_chunks::<ENTRY>() else { return Err(Broken) };
        let mut forgotten = u32::from_le_bytes(*forgotten);
        let mut kept = Vec::with_capacity(value.len() + ENTRY);
        kept.extend_from_slice(&[0; HEAD]);
        for entry in all {
            let [a, b, c, d, e, f, g, h, ends @ ..] = *entry;
            if u64::from_le_bytes([a, b, c, d, e, f, g, h]) == tag {
                return Ok(Use::Again);
            }
            let ends = u32::from_le_bytes(ends);
            if u64::from(ends) < wall {
                forgotten = forgotten.max(ends);
            } else {
                kept.extend_from_slice(entry);
            }
        }
        if until <= forgotten {
            return Ok(Use::Over);
        }
        if !note {
            return Ok(Use::First);
        }
        if kept.len() >= HEAD + WAYS * ENTRY {
            return Ok(Use::Full);
        }
        kept.extend(tag.to_le_bytes());
        kept.extend(until.to_le_bytes());
        if let Some(head) = kept.first_chunk_mut() {
            *head = forgotten.to_le_bytes();
        }
        if shared.set(&key, &kept, version)? {
            return Ok(Use::First);
        }
    }
    Err(Broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Memory;

    /// Looks in a table of one set.
    fn used(tag: u64, until: u64, wall: u64, shared: &mut Memory) -> Use {
        look((0, tag), 256, until, true, wall, shared).unwrap()
    }

    #[test]
    fn what_was_used_is_known_until_its_end() {
        let mut shared = Memory::default();
        assert_eq!(look((1, 7), 256, 20, false, 10, &mut shared), Ok(Use::First));
        assert_eq!(used(7, 20, 10, &mut shared), Use::First);
        assert_eq!(used(8, 20, 10, &mut shared), Use::First);
        for wall in [0, 10, 15, 20] {
            assert_eq!(used(7, 30, wall, &mut shared), Use::Again, "{wall}");
        }
        assert_eq!(used(9, 40, 21, &mut shared), Use::First);
        assert_eq!(used(7, 30, 21, &mut shared), Use::First, "it is forgotten: this one ends later");
    }

    #[test]
    fn a_clock_that_is_set_back_brings_nothing_back() {
        let mut shared = Memory::default();
        assert_eq!(used(7, 20, 10, &mut shared), Use::First);
        assert_eq!(used(7, 20, 5, &mut shared), Use::Again, "not yet forgotten");
        // Forwards, and something else is noted meanwhile: the first one is forgotten.
        assert_eq!(used(8, 100, 90, &mut shared), Use::First);
        for wall in [10, 0, 20] {
            assert_eq!(used(7, 20, wall, &mut shared), Use::Over, "{wall}");
            assert_eq!(look((0, 7), 256, 20, false, wall, &mut shared), Ok(Use::Over), "{wall}");
            assert_eq!(used(8, 100, wall, &mut shared), Use::Again, "{wall}");
        }
        assert_eq!(used(9, 21, 12, &mut shared), Use::First, "what cannot have been forgotten is taken");
        assert_eq!(used(10, 95, 101, &mut shared), Use::Over, "it is told in the same look that forgets");
    }

    #[test]
    fn a_full_table_takes_nothing_more_and_forgets_nothing() {
        let mut shared = Memory::default();
        for number in 0..WAYS as u64 {
            assert_eq!(used(number, 20, 10, &mut shared), Use::First);
        }
        assert_eq!(used(999, 20, 10, &mut shared), Use::Full);
        assert_eq!(used(5, 20, 10, &mut shared), Use::Again);
        assert!(shared.size() < 4_096, "{}", shared.size());
        assert_eq!(used(999, 40, 21, &mut shared), Use::First, "there is room again");
    }

    #[test]
    fn three_quarters_of_the_table_are_of_use() {
        let mut shared = Memory::default();
        let entries = 8_192;
        let mut random = 1_u64;
        for _ in 0..entries * 3 / 4 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            assert_eq!(look((random >> 20, random), entries, 20, true, 10, &mut shared), Ok(Use::First));
        }
    }

    #[test]
    fn what_cannot_be_read_or_kept_lets_nothing_pass() {
        let mut shared = Memory::default();
        let far = u64::from(u32::MAX) + 1;
        assert_eq!(look((0, 1), 256, far, true, far - 10, &mut shared), Err(Broken));
        for odd in [&b"odd"[..], b"headodd"] {
            let mut shared = Memory::default();
            assert_eq!(shared.set("tollgate/1/nonces/2/1/0", odd, None), Ok(true));
            assert_eq!(look((0, 1), 256, 20, true, 10, &mut shared), Err(Broken));
        }
    }
}
