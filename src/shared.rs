//! Owns the port to data that a node's workers share, and its version in this worker's memory. Must not know what is kept there.

use std::collections::HashMap;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

/// Values under keys, with compare-and-swap. The host's is shared by all workers of a node; it has no delete and no eviction,
/// so keys must come from a fixed set.
pub trait SharedData {
    /// Reads the value of `key` into `value` and answers its version; `None` (and nothing read) if there is none.
    ///
    /// # Errors
    /// [`Broken`] if the host does not serve.
    fn get(&mut self, key: &str, value: &mut Vec<u8>) -> Result<Option<Version>, Broken>;

    /// Writes `value` if the key's version is still `expected` (or the key is still absent). `false`: somebody was faster.
    ///
    /// # Errors
    /// [`Broken`] if the host does not serve.
    fn set(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> Result<bool, Broken>;
}

/// Where the workers of a node keep what is about `parts`: each kind has a letter of its own.
#[must_use]
pub fn prefix(kind: char, parts: &[&str]) -> String {
    let mut hasher = SipHasher24::new_with_key(&[0; 16]);
    for part in parts {
        hasher.write(part.as_bytes());
        hasher.write(&[0]);
    }
    format!("tollgate/1/{kind}{:016x}", hasher.finish128().h1)
}

/// What a value is compared by before it is swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub u32);

/// The shared data cannot be used, or holds what it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shared data cannot be used")]
pub struct Broken;

/// Shared data of one worker alone: what limits fall back on, and what tests share between workers of their own.
#[derive(Debug, Default)]
pub struct Memory {
    values: HashMap<String, (u32, Vec<u8>)>,
    versions: u32,
}

#[cfg(test)]
impl Memory {
    /// Bytes of all keys and values.
    pub(crate) fn size(&self) -> usize {
        self.values.iter().map(|(key, (_, value))| key.len() + value.len()).sum()
    }
}

impl SharedData for Memory {
    fn get(&mut self, key: &str, value: &mut Vec<u8>) -> Result<Option<Version>, Broken> {
        let Some((version, own)) = self.values.get(key) else {
            return Ok(None);
        };
        value.clear();
        value.extend_from_slice(own);
        Ok(Some(Version(*version)))
    }

    fn set(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> Result<bool, Broken> {
        let present = self.values.get(key).map(|(version, _)| Version(*version));
        if present != expected {
            return Ok(false);
        }
        self.versions = self.versions.wrapping_add(1);
        self.values.insert(key.to_owned(), (self.versions, value.to_vec()));
        Ok(true)
    }
}
