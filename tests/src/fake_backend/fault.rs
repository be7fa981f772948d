//! Owns the ways in which the backend fails. Must not choose when.

use std::collections::HashMap;

use super::record::Kind;

/// How a call fails. What the call does at the backend is done all the same.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status, and nothing else.
    Status(u16),
    /// 200 with this body.
    Body(Vec<u8>),
    /// The right answer, in the name of another version.
    Wire(&'static str),
    /// The answer begins, and the stream is reset.
    Cut,
    /// The answer, as of now, is held back until the fault ends.
    Hold,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    kinds: HashMap<Kind, Fault>,
    /// By the key's SHA-256.
    keys: HashMap<String, Fault>,
}

impl Faults {
    pub(super) fn set(&mut self, kind: Kind, fault: Fault) {
        self.kinds.insert(kind, fault);
    }

    pub(super) fn set_key(&mut self, sha256: String, fault: Fault) {
        self.keys.insert(sha256, fault);
    }

    pub(super) fn clear(&mut self, kind: Kind) {
        self.kinds.remove(&kind);
    }

    pub(super) fn clear_key(&mut self, sha256: &str) {
        self.keys.remove(sha256);
    }

    /// What befalls a call; of two, the key's.
    pub(super) fn of(&self, kind: Kind, sha256: Option<&str>) -> Option<Fault> {
        sha256.and_then(|sha256| self.keys.get(sha256)).or_else(|| self.kinds.get(&kind)).cloned()
    }
}
