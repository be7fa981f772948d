//! Owns which signatures were used on this node: a table of a fixed size in shared data. Must not know what a signature is.
//!
//! An entry is kept for as long as its signature would be taken again, and never pushed out: where a set is full of such entries, nothing more
//! is taken that falls into it. Only who signs rightly can write here. Sets are chosen by a hash under a secret of the node, so they fill
//! evenly: the table is as good as full when three quarters of it are in use.

use tollgate_core::time::{Instant, SECOND};

use crate::shared::{Broken, SharedData};

/// Entries of a set.
const WAYS: u64 = 256;
/// Bytes of an entry: a tag, and the second in which it ends.
const ENTRY: usize = 12;
/// The number is of how it is written.
const KEY: &str = "tollgate/1/nonces/1";
/// A lost swap is tried again so often.
const MOST_RETRIES: u32 = 8;

/// What became of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It was not used before; where it was to be noted, it is.
    First,
    /// It was.
    Again,
    /// There is no room to note it.
    Full,
}

/// Looks for a signature with this hash, and notes it until then if that is given.
///
/// # Errors
/// [`Broken`], also where other workers were always faster.
pub fn look(
    (place, tag): (u64, u64),
    entries: u32,
    until: Option<Instant>,
    now: Instant,
    shared: &mut impl SharedData,
) -> Result<Use, Broken> {
    let sets = u64::from(entries).div_ceil(WAYS).max(1);
    let key = format!("{KEY}/{sets}/{}", place % sets);
    for _ in 0..MOST_RETRIES {
        let mut value = Vec::new();
        let version = shared.get(&key, &mut value)?;
        if version.is_none() {
            value.clear();
        }
        let (all, []) = value.as_chunks::<ENTRY>() else { return Err(Broken) };
        let seconds = now.0 / SECOND;
        let mut kept = Vec::with_capacity(value.len() + ENTRY);
        for entry in all {
            let [a, b, c, d, e, f, g, h, ends @ ..] = *entry;
            if u64::from(u32::from_le_bytes(ends)) < seconds {
                continue;
            }
            if u64::from_le_bytes([a, b, c, d, e, f, g, h]) == tag {
                return Ok(Use::Again);
            }
            kept.extend_from_slice(entry);
        }
        let Some(until) = until else { return Ok(Use::First) };
        if kept.len() as u64 >= WAYS * ENTRY as u64 {
            return Ok(Use::Full);
        }
        kept.extend(tag.to_le_bytes());
        kept.extend(u32::try_from(until.0.div_ceil(SECOND)).unwrap_or(u32::MAX).to_le_bytes());
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

    fn at(seconds: u64) -> Instant {
        Instant(seconds * SECOND)
    }

    #[test]
    fn what_was_used_is_known_until_its_end() {
        let mut shared = Memory::default();
        assert_eq!(look((1, 7), 256, None, at(10), &mut shared), Ok(Use::First));
        assert_eq!(look((1, 7), 256, Some(at(20)), at(10), &mut shared), Ok(Use::First));
        assert_eq!(look((1, 8), 256, Some(at(20)), at(10), &mut shared), Ok(Use::First));
        for now in [10, 15, 20] {
            assert_eq!(look((1, 7), 256, Some(at(30)), at(now), &mut shared), Ok(Use::Again), "{now}");
        }
        assert_eq!(look((1, 7), 256, Some(at(30)), at(21), &mut shared), Ok(Use::First));
    }

    #[test]
    fn a_full_table_takes_nothing_more_and_forgets_nothing() {
        let mut shared = Memory::default();
        for number in 0..WAYS {
            assert_eq!(look((number, number), 256, Some(at(20)), at(10), &mut shared), Ok(Use::First));
        }
        assert_eq!(look((999, 999), 256, Some(at(20)), at(10), &mut shared), Ok(Use::Full));
        assert_eq!(look((5, 5), 256, Some(at(20)), at(10), &mut shared), Ok(Use::Again));
        assert!(shared.size() < 4_096, "{}", shared.size());
        assert_eq!(look((999, 999), 256, Some(at(40)), at(21), &mut shared), Ok(Use::First), "there is room again");
    }

    #[test]
    fn three_quarters_of_the_table_are_of_use() {
        let mut shared = Memory::default();
        let entries = 8_192;
        let mut random = 1_u64;
        for _ in 0..entries * 3 / 4 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            assert_eq!(look((random >> 20, random), entries, Some(at(20)), at(10), &mut shared), Ok(Use::First));
        }
    }

    #[test]
    fn what_cannot_be_read_lets_nothing_pass() {
        let mut shared = Memory::default();
        assert_eq!(shared.set("tollgate/1/nonces/1/1/0", b"odd", None), Ok(true));
        assert_eq!(look((0, 1), 256, Some(at(20)), at(10), &mut shared), Err(Broken));
    }
}
