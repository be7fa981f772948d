//! Owns a backend that does as a case tells it: it speaks the node wire format over HTTP/2, knows the keys and consumers it was given, and breaks where
//! it is told to.
//!
//! It must not know the filter: it holds it to the wire format, and counts what it is asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;
use tollgate_core::wire::Hello;

use crate::port::Port;

mod directory;
mod fault;
mod followed;
mod node_api;
mod record;
mod serving;

use directory::Directory;
pub use fault::Fault;
use fault::Faults;
use record::Record;
pub use record::{Kind, Received};

/// What nodes present themselves with.
pub const NODE_CREDENTIAL: &str = "tgn_0123456789abcdefNodeCredentialOfTheTests";

/// What each token begins with, so that a leak shows.
pub const TOKEN_PREFIX: &str = "token-of-a-node-";

/// A running backend.
#[derive(Debug)]
pub struct FakeBackend {
    port: Port,
    state: Mutex<State>,
    /// Moves whenever the state does, for those who wait for something.
    moved: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    directory: Directory,
    faults: Faults,
    record: Record,
    polls_held: usize,
}

// === impl FakeBackend ===

impl FakeBackend {
    /// Starts one that knows nobody yet.
    pub fn start() -> Arc<Self> {
        let backend = Self::start_down();
        backend.up();
        backend
    }

    /// Has an address, but nobody listens there.
    pub fn start_down() -> Arc<Self> {
        Arc::new(Self { port: Port::reserve(), state: Mutex::default(), moved: watch::Sender::default() })
    }

    /// Where it listens, when it does.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// How often it was called, with or without success.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.state().record.count(kind)
    }

    /// How often it was asked about a key.
    #[must_use]
    pub fn resolves(&self, key: &str) -> usize {
        self.state().record.questions(Kind::Resolve, &directory::sha256(key))
    }

    /// How often it was asked for a consumer.
    #[must_use]
    pub fn consumer_resolves(&self, consumer: &str) -> usize {
        self.state().record.questions(Kind::ResolveConsumer, consumer)
    }

    /// Every call of a kind, in the order of their arrival.
    #[must_use]
    pub fn received(&self, kind: Kind) -> Vec<Received> {
        self.state().record.received(kind)
    }

    /// How many polls for changes are held.
    #[must_use]
    pub fn polls_held(&self) -> usize {
        self.state().polls_held
    }

    /// Every good presentation of a node.
    #[must_use]
    pub fn hellos(&self) -> Vec<Hello> {
        self.state().record.hellos.clone()
    }

    /// From now on calls of this kind fail so.
    pub fn fail(&self, kind: Kind, fault: Fault) {
        self.change(|state| state.faults.set(kind, fault));
    }

    /// From now on questions about this key fail so.
    pub fn fail_resolve(&self, key: &str, fault: Fault) {
        self.change(|state| state.faults.set_for(Kind::Resolve, directory::sha256(key), fault));
    }

    /// From now on questions for this consumer fail so.
    pub fn fail_consumer(&self, consumer: &str, fault: Fault) {
        self.change(|state| state.faults.set_for(Kind::ResolveConsumer, consumer.to_owned(), fault));
    }

    /// Ends the faults of this kind; what is held goes out.
    pub fn heal(&self, kind: Kind) {
        self.change(|state| state.faults.clear(kind));
    }

    /// Ends a key's fault; what is held goes out.
    pub fn heal_resolve(&self, key: &str) {
        self.change(|state| state.faults.clear_for(Kind::Resolve, directory::sha256(key)));
    }

    /// Ends a consumer's fault; what is held goes out.
    pub fn heal_consumer(&self, consumer: &str) {
        self.change(|state| state.faults.clear_for(Kind::ResolveConsumer, consumer.to_owned()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the backend's state")
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.moved.send_modify(|moves| *moves += 1);
        changed
    }
}
