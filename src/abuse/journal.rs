//! Owns what the workers of a node tell each other of blocks: the newest ones, in one value of shared data. Must not know what a block
//! does.

use tollgate_core::time::Instant;
use tollgate_core::wire::Effect;

use super::blocks::Block;
use crate::shared::{Broken, SharedData};

/// The blocks that are kept; who reads too seldom misses older ones, and finds out by itself.
pub const MOST: usize = 256;
/// The number is of how it is written.
const KEY: &str = "tollgate/1/blocks/1";
/// A lost swap is tried again so often.
const MOST_RETRIES: u32 = 8;

/// A worker's place in what was told.
#[derive(Debug, Default)]
pub struct Journal {
    read: u64,
}

impl Journal {
    /// Tells the others.
    ///
    /// # Errors
    /// [`Broken`], also where others were always faster.
    pub fn write(&mut self, key: &[u8], block: &Block, shared: &mut impl SharedData) -> Result<(), Broken> {
        for _ in 0..MOST_RETRIES {
            let mut value = Vec::new();
            let version = shared.get(KEY, &mut value)?;
            let (next, entries) = if version.is_some() { split(&value)? } else { (0, Vec::new()) };
            let kept = entries.len().saturating_sub(MOST - 1);
            let mut written = (next + 1).to_le_bytes().to_vec();
            entries.iter().skip(kept).for_each(|entry| put(&mut written, entry));
            let effect = u8::from(block.effect == Effect::All);
            put(&mut written, &[&block.until.0.to_le_bytes()[..], &[effect], key].concat());
            if shared.set(KEY, &written, version)? {
                return Ok(());
            }
        }
        Err(Broken)
    }

    /// Takes back what was told of somebody, if anything was.
    ///
    /// # Errors
    /// [`Broken`], also where others were always faster.
    pub fn end(&mut self, key: &[u8], shared: &mut impl SharedData) -> Result<(), Broken> {
        for _ in 0..MOST_RETRIES {
            let mut value = Vec::new();
            let version = shared.get(KEY, &mut value)?;
            if version.is_none() {
                return Ok(());
            }
            let (next, entries) = split(&value)?;
            let names = |entry: &[u8]| entry.get(9..) == Some(key) && entry.first_chunk() != Some(&[0; 8]);
            if !entries.iter().any(|entry| names(entry)) {
                return Ok(());
            }
            let mut written = next.to_le_bytes().to_vec();
            for entry in entries {
                match entry.split_first_chunk::<8>().filter(|_| names(entry)) {
                    Some((_, rest)) => put(&mut written, &[&[0; 8][..], rest].concat()),
                    None => put(&mut written, entry),
                }
            }
            if shared.set(KEY, &written, version)? {
                return Ok(());
            }
        }
        Err(Broken)
    }

    /// What was told since the last time, in its order.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn read(&mut self, shared: &mut impl SharedData) -> Result<Vec<(Vec<u8>, Block)>, Broken> {
        let mut value = Vec::new();
        if shared.get(KEY, &mut value)?.is_none() {
            return Ok(Vec::new());
        }
        let next = value.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).ok_or(Broken)?;
        if next == self.read {
            return Ok(Vec::new());
        }
        let (_, entries) = split(&value)?;
        let new = usize::try_from(next.wrapping_sub(self.read)).unwrap_or(usize::MAX);
        self.read = next;
        let skipped = entries.len().saturating_sub(new);
        Ok(entries.into_iter().skip(skipped).filter_map(block).collect())
    }
}

fn block(entry: &[u8]) -> Option<(Vec<u8>, Block)> {
    let (until, rest) = entry.split_first_chunk::<8>()?;
    let (effect, key) = rest.split_first()?;
    let effect = if *effect == 1 { Effect::All } else { Effect::Unknown };
    Some((key.to_vec(), Block { until: Instant(u64::from_le_bytes(*until)), effect, automatic: true, told: false, since: Instant(0) }))
}

fn put(bytes: &mut Vec<u8>, entry: &[u8]) {
    // A key names an id of at most 128 characters.
    bytes.extend_from_slice(&u16::try_from(entry.len()).unwrap_or(0).to_le_bytes());
    bytes.extend_from_slice(entry.get(..usize::from(u16::MAX).min(entry.len())).unwrap_or_default());
}

fn split(value: &[u8]) -> Result<(u64, Vec<&[u8]>), Broken> {
    let (next, mut rest) = value.split_first_chunk::<8>().ok_or(Broken)?;
    let mut entries = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length))).ok_or(Broken)?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok((u64::from_le_bytes(*next), entries)) } else { Err(Broken) }
}
