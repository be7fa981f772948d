//! Owns what the backend was called with. Must not judge it.

use std::collections::HashMap;

use tollgate_core::wire::Hello;

/// What a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A node presents itself.
    Hello,
    /// A node asks whose a key is.
    Resolve,
    /// A node asks what has changed.
    Changes,
    /// A node reports.
    Report,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Received {
    /// The whole value of `authorization`.
    pub authorization: String,
    /// Whose life of which node the token was given to; empty where none was.
    pub incarnation: String,
    /// The body as it came.
    pub body: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    received: HashMap<Kind, Vec<Received>>,
    /// By the key's SHA-256.
    resolves: HashMap<String, usize>,
    pub(super) hellos: Vec<Hello>,
}

impl Record {
    pub(super) fn note(&mut self, kind: Kind, sha256: Option<&str>, received: Received) {
        self.received.entry(kind).or_default().push(received);
        if let Some(sha256) = sha256 {
            *self.resolves.entry(sha256.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.received.get(&kind).map_or(0, Vec::len)
    }

    pub(super) fn resolves(&self, sha256: &str) -> usize {
        self.resolves.get(sha256).copied().unwrap_or(0)
    }

    pub(super) fn received(&self, kind: Kind) -> Vec<Received> {
        self.received.get(&kind).cloned().unwrap_or_default()
    }
}
