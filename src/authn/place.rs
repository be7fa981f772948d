//! Owns where a worker remembers a credential: hashes of it, never the credential itself. Must not know what is remembered.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};
use subtle::ConstantTimeEq;

/// A credential's place in a worker's memory (SipHash-2-4, 128 bits, under a random key of the worker).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Where to look.
    pub(super) index: u64,
    /// What must be there.
    pub(super) check: u64,
}

impl Place {
    /// The place of what these parts make together.
    #[must_use]
    pub fn of(hash_key: &[u8; 16], parts: &[&[u8]]) -> Self {
        let mut hasher = SipHasher24::new_with_key(hash_key);
        parts.iter().for_each(|part| hasher.write(part));
        let hash = hasher.finish128();
        Self { index: hash.h1, check: hash.h2 }
    }

    /// Whether this is what is there, in constant time.
    #[must_use]
    pub(super) fn is(&self, check: u64) -> bool {
        self.check.ct_eq(&check).into()
    }
}
