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
    /// By the key's SHA-256, or by the consumer's id.
    subjects: HashMap<(Kind, String), Fault>,
}

impl Faults {
    pub(super) fn set(&mut self, kind: Kind, fault: Fault) {
        self.kinds.insert(kind, fault);
    }

    pub(super) fn set_for(&mut self, kind: Kind, subject: String, fault: Fault) {
        self.subjects.insert((kind, subject), fault);
    }

    pub(super) fn clear(&mut self, kind: Kind) {
        self.kinds.remove(&kind);
    }

    pub(super) fn clear_for(&mut self, kind: Kind, subject: String) {
        self.subjects.remove(&(kind, subject));
    }

    /// What befalls a call; of two, the one of what it asks about.
    pub(super) fn of(&self, kind: Kind, subject: Option<&str>) -> Option<Fault> {
        let own = subject.and_then(|subject| self.subjects.get(&(kind, subject.to_owned())));
        own.or_else(|| self.kinds.get(&kind)).cloned()
    }
}
