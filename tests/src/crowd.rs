//! Owns many clients or requests at once, and what they got.
//!
//! It must not know what a limit admits: it only sorts answers into admitted and limited, and fails at any other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Answer, Call, Connection, Http};
use crate::gate::Gate;

/// How many clients, and how many requests each sends, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Clients, each on a connection of its own, half of them by either version of HTTP.
    pub clients: usize,
    /// Requests of each.
    pub requests: usize,
}

/// An admitted request: its units were spent between the two times.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    /// When it was sent.
    pub asked: Instant,
    /// When its answer was there.
    pub answered: Instant,
    /// The upstream's status.
    pub status: u16,
}

/// What a crowd got.
#[derive(Clone, Debug)]
pub struct Spent {
    /// The admitted requests; all others were 429.
    pub admitted: Vec<Admitted>,
    /// From before the first request to after the last answer.
    pub took: Duration,
}

/// Sends requests that may all wait at once, by HTTP/2, a hundred on each connection.
pub async fn send_all(gate: &Gate, calls: impl IntoIterator<Item = Call>) -> JoinSet<Answer> {
    let mut requests = JoinSet::new();
    let mut calls = calls.into_iter().peekable();
    while calls.peek().is_some() {
        let connection = Connection::open(gate.address(), Http::Two).await;
        for call in calls.by_ref().take(100) {
            let mut connection = connection.share();
            requests.spawn(async move { connection.send(call).await.expect("an answer") });
        }
    }
    requests
}

// === impl Crowd ===

impl Crowd {
    /// Sends from all clients at once; `call` makes the request from the client's number and the request's.
    pub async fn spend(self, gate: &Gate, call: impl Fn(usize, usize) -> Call + Send + Sync + 'static) -> Spent {
        let call = Arc::new(call);
        let start = Arc::new(Barrier::new(self.clients + 1));
        let mut running = JoinSet::new();
        for client in 0..self.clients {
            let (start, call) = (Arc::clone(&start), Arc::clone(&call));
            let connection = Connection::open(gate.address(), Http::BOTH[client % 2]).await;
            running.spawn(async move {
                start.wait().await;
                drive(connection, (0..self.requests).map(|request| call(client, request))).await
            });
        }
        let began = Instant::now();
        start.wait().await;
        let admitted = running.join_all().await.concat();
        Spent { admitted, took: began.elapsed() }
    }
}

async fn drive(mut connection: Connection, calls: impl Iterator<Item = Call>) -> Vec<Admitted> {
    let mut admitted = Vec::new();
    for call in calls {
        let asked = Instant::now();
        let answer = connection.send(call).await.expect("an answer");
        if answer.reached_upstream() {
            admitted.push(Admitted { asked, answered: Instant::now(), status: answer.status.as_u16() });
        } else {
            answer.assert_denied(429, "rate_limited");
        }
    }
    admitted
}

// === impl Spent ===

impl Spent {
    /// How many were admitted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.admitted.len() as u64
    }

    /// Units that a bucket refilled by `per_second` may have gained meanwhile, rounded down.
    #[must_use]
    pub fn refilled(&self, per_second: u64) -> u64 {
        u64::try_from(self.took.as_nanos() * u128::from(per_second) / 1_000_000_000).expect("a short run")
    }

    /// The most requests that were both sent and answered within one `period`, and so surely spent in it.
    #[must_use]
    pub fn most_within(&self, period: Duration) -> usize {
        let inside = |start: Instant| self.admitted.iter().filter(move |one| one.asked >= start && one.answered < start + period).count();
        self.admitted.iter().map(|one| inside(one.asked)).max().unwrap_or(0)
    }
}
