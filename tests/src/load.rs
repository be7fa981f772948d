//! Owns clients that keep on sending until they are told to stop, and what each of them saw, in order.
//!
//! It must not judge what they saw.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Answer, Call, Connection, Http};
use crate::gate::Gate;

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When it was sent.
    pub asked: Instant,
    /// When its answer was there.
    pub answered: Instant,
    /// The answer.
    pub answer: Answer,
}

/// Clients that send the same request again and again, half of them by either version of HTTP.
#[derive(Debug)]
pub struct Load {
    clients: Vec<Arc<Client>>,
    running: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Client {
    sent: Mutex<Vec<Sent>>,
    stopped: AtomicBool,
}

// === impl Load ===

impl Load {
    /// Starts this many clients at each gate; `call` is what they send.
    pub fn start(gates: &[&Gate], clients: usize, call: &Call) -> Self {
        let mut load = Self { clients: Vec::new(), running: JoinSet::new() };
        for gate in gates {
            for number in 0..clients {
                let client = Arc::new(Client::default());
                load.running.spawn(Arc::clone(&client).drive(gate.address(), Http::BOTH[number % 2], call.clone()));
                load.clients.push(client);
            }
        }
        load
    }

    /// What each client has seen so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Vec<Sent>> {
        self.clients.iter().map(|client| client.sent.lock().expect("what a client saw").clone()).collect()
    }

    /// How many answers so far are such.
    #[must_use]
    pub fn count(&self, such: impl Fn(&Answer) -> bool) -> u64 {
        let count = |client: &Arc<Client>| client.sent.lock().expect("what a client saw").iter().filter(|sent| such(&sent.answer)).count();
        self.clients.iter().map(count).sum::<usize>() as u64
    }

    /// Whether the latest answer of every client has this status.
    #[must_use]
    pub fn all_last(&self, status: u16) -> bool {
        self.clients.iter().all(|client| {
            let sent = client.sent.lock().expect("what a client saw");
            sent.last().is_some_and(|last| last.answer.status == status)
        })
    }

    /// Ends it, after the answers that are under way.
    pub async fn stop(self) -> Vec<Vec<Sent>> {
        self.clients.iter().for_each(|client| client.stopped.store(true, Ordering::Relaxed));
        let Self { clients, running } = self;
        running.join_all().await;
        clients.iter().map(|client| std::mem::take(&mut *client.sent.lock().expect("what a client saw"))).collect()
    }
}

// === impl Client ===

impl Client {
    /// A request after another, over a new connection whenever the proxy has asked to leave the old one.
    async fn drive(self: Arc<Self>, gate: SocketAddr, http: Http, call: Call) {
        let mut connection = Connection::open(gate, http).await;
        while !self.stopped.load(Ordering::Relaxed) {
            let asked = Instant::now();
            let answer = match connection.send(call.clone()).await {
                Ok(answer) => answer,
                // Never sent: the connection had been told to close before.
                Err(error) if error.is_canceled() || error.is_closed() => {
                    connection = Connection::open(gate, http).await;
                    continue;
                }
                Err(error) => panic!("a request failed over {http:?}: {error:?}"),
            };
            let leaves = connection.is_closed() || answer.header("connection") == Some("close");
            self.sent.lock().expect("what a client saw").push(Sent { asked, answered: Instant::now(), answer });
            if leaves {
                connection = Connection::open(gate, http).await;
            }
        }
    }
}
