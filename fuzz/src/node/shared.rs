//! Owns the shared data of a node: operations that fail, and ones that another worker comes before. Must not assert anything.

use std::collections::BTreeMap;
use std::net::IpAddr;

use tollgate_core::time::Instant;
use tollgate_filter::admission::{Gate, Node};
use tollgate_filter::backend::call::{Answer, Call, Purpose};
use tollgate_filter::shared::{Broken, SharedData, Version};

use super::backend::Backend;

#[derive(Default)]
pub(super) struct Shared {
    values: BTreeMap<String, (u32, Vec<u8>)>,
    versions: u32,
    /// Which of the coming operations fail.
    pub(super) fails: std::ops::Range<u8>,
}

/// A worker's host during one callback.
pub(super) struct Host<'a> {
    shared: &'a mut Shared,
    pub(super) interruption: Option<Interruption<'a>>,
    /// An operation has failed.
    pub(super) broke: bool,
}

/// Another worker's turn, in the middle of a callback.
pub(super) struct Interruption<'a> {
    /// So many operations of the first come before it.
    pub(super) after: u8,
    /// Calls of the other whose time is over.
    pub(super) over: Vec<Purpose>,
    pub(super) gate: &'a mut Gate,
    pub(super) now: Instant,
    pub(super) backend: &'a mut Backend,
    /// Calls that are not answered at once.
    pub(super) held: &'a mut Vec<Call>,
    pub(super) woken: &'a mut Vec<u32>,
}

impl Shared {
    /// The revision in the feed's head: after who listens, since when, and when the feed was complete.
    pub(super) fn revision(&self) -> Option<u64> {
        let value = self.value(self.key("/feed")?);
        let synced = *value.last()? == 1;
        value.get(24..32)?.try_into().ok().map(u64::from_le_bytes).filter(|_| synced)
    }

    /// The first key that ends in this way.
    pub(super) fn key(&self, end: &str) -> Option<&str> {
        self.values.keys().map(String::as_str).find(|key| key.ends_with(end))
    }

    pub(super) fn value(&self, key: &str) -> &[u8] {
        self.values.get(key).map_or(&[], |(_, value)| value)
    }

    /// Puts a value in place of another, or takes it away.
    pub(super) fn put(&mut self, key: &str, value: Option<Vec<u8>>) {
        self.versions += 1;
        match value {
            Some(value) => drop(self.values.insert(key.to_owned(), (self.versions, value))),
            None => drop(self.values.remove(key)),
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }
}

impl<'a> Host<'a> {
    pub(super) fn new(shared: &'a mut Shared) -> Self {
        Self { shared, interruption: None, broke: false }
    }

    /// Before each operation.
    fn pass(&mut self) -> Result<(), Broken> {
        if let Some(interruption) = self.interruption.take_if(|interruption| interruption.after == 0) {
            interruption.happen(self.shared);
        }
        if let Some(interruption) = &mut self.interruption {
            interruption.after -= 1;
        }
        let fails = &mut self.shared.fails;
        let now = fails.contains(&0);
        *fails = fails.start.saturating_sub(1)..fails.end.saturating_sub(1);
        self.broke |= now;
        if now { Err(Broken) } else { Ok(()) }
    }
}

impl Interruption<'_> {
    /// The other worker ticks, and what it asks is answered at once.
    fn happen(self, shared: &mut Shared) {
        let mut host = Host::new(shared);
        for purpose in self.over {
            self.woken.extend(self.gate.heard(purpose, Answer::Whole(504, b""), self.now, &mut host).woken);
        }
        self.woken.extend(self.gate.tick(self.now, &mut host));
        for _ in 0..20 {
            let calls = self.gate.take_calls();
            for call in calls {
                match self.backend.answer(&call, self.now, self.now) {
                    Some((status, body)) => {
                        self.woken.extend(self.gate.heard(call.purpose, Answer::Whole(status, &body), self.now, &mut host).woken);
                    }
                    None => self.held.push(call),
                }
            }
        }
    }
}

impl SharedData for Host<'_> {
    fn get(&mut self, key: &str, value: &mut Vec<u8>) -> Result<Option<Version>, Broken> {
        self.pass()?;
        let Some((version, own)) = self.shared.values.get(key) else { return Ok(None) };
        value.clone_from(own);
        Ok(Some(Version(*version)))
    }

    fn set(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> Result<bool, Broken> {
        self.pass()?;
        let fits = self.shared.values.get(key).map(|(version, _)| Version(*version)) == expected;
        if fits {
            self.shared.put(key, Some(value.to_vec()));
        }
        Ok(fits)
    }
}

impl Node for Host<'_> {
    fn source_address(&mut self) -> Option<IpAddr> {
        "192.0.2.1".parse().ok()
    }
}
