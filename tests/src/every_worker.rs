//! Owns clients whose connections together reach every worker of a gate.
//!
//! It must not know which of them reaches which: nothing tells.

use std::time::Duration;

use crate::client::{Answer, Call, Connection, Http};
use crate::gate::Gate;
use crate::wait::until;

/// So many connections reach every one of two workers: that they do not has one chance in 32,768.
const ENOUGH: usize = 16;

/// Longer than any news takes to reach a worker.
const LIMIT: Duration = Duration::from_secs(20);

/// Open connections, half of them by either version of HTTP.
#[derive(Debug)]
pub struct EveryWorker(Vec<Connection>);

impl EveryWorker {
    /// Connects.
    pub async fn of(gate: &Gate) -> Self {
        let mut connections = Vec::new();
        for number in 0..ENOUGH {
            connections.push(Connection::open(gate.address(), Http::BOTH[number % 2]).await);
        }
        Self(connections)
    }

    /// Sends a request over each connection, one after another.
    pub async fn send(&mut self, call: &Call) -> Vec<Answer> {
        let mut answers = Vec::new();
        for connection in &mut self.0 {
            answers.push(connection.send(call.clone()).await.expect("an answer"));
        }
        answers
    }

    /// Sends again and again, until all answers of a round are as they should be.
    pub async fn until(&mut self, what: &str, call: &Call, mut as_it_should: impl FnMut(&Answer) -> bool) {
        until(what, LIMIT, async || self.send(call).await.iter().all(&mut as_it_should).then_some(())).await;
    }
}
