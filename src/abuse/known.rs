//! Owns which credentials were good lately on this node, whichever worker found out: while an address is blocked, those behind it that have one go
//! on. Must not be what lets anybody pass: whoever is remembered here is still judged.
//!
//! Hashes under a secret of the node in a fixed number of values; the newest push out the oldest of their value. Only who has good credentials
//! can write here.

use crate::shared::{Broken, SharedData};

/// Values, and hashes in each: 64 KiB.
const SETS: u64 = 1_024;
const WAYS: usize = 8;
/// The number is of how it is written.
const KEY: &str = "tollgate/1/good/1";

/// Notes that a credential with this hash was good.
///
/// # Errors
/// [`Broken`].
pub fn note((place, tag): (u64, u64), shared: &mut impl SharedData) -> Result<(), Broken> {
    let key = key(place);
    let mut value = Vec::new();
    let version = shared.get(&key, &mut value)?;
    if version.is_none() {
        value.clear();
    }
    if holds(&value, tag) {
        return Ok(());
    }
    let mut written = tag.to_le_bytes().to_vec();
    written.extend(value.as_chunks::<8>().0.iter().take(WAYS - 1).flatten());
    // Whoever was faster has noted another one; this one is noted when it is met again.
    shared.set(&key, &written, version).map(|_| ())
}

/// Whether a credential with this hash was good lately.
pub fn was_good((place, tag): (u64, u64), shared: &mut impl SharedData) -> bool {
    let mut value = Vec::new();
    matches!(shared.get(&key(place), &mut value), Ok(Some(_))) && holds(&value, tag)
}

fn key(place: u64) -> String {
    format!("{KEY}/{}", place % SETS)
}

fn holds(value: &[u8], tag: u64) -> bool {
    value.as_chunks::<8>().0.contains(&tag.to_le_bytes())
}
