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
    /// A node asks for a consumer.
    ResolveConsumer,
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
    /// By the key's SHA-256, or by the consumer's id.
    questions: HashMap<(Kind, String), usize>,
    pub(super) hellos: Vec<Hello>,
}

impl Record {
    pub(super) fn note(&mut self, kind: Kind, subject: Option<&str>, received: Received) {
        self.received.entry(kind).or_default().push(received);
        if let Some(subject) = subject {
            *self.questions.entry((kind, subject.to_owned())).or_default() += 1;
        }
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.received.get(&kind).map_or(0, Vec::len)
    }

    pub(super) fn questions(&self, kind: Kind, subject: &str) -> usize {
        self.questions.get(&(kind, subject.to_owned())).copied().unwrap_or(0)
    }

    pub(super) fn received(&self, kind: Kind) -> Vec<Received> {
        self.received.get(&kind).cloned().unwrap_or_default()
    }
}
