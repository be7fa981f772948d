//! Owns a flood: as many requests as Envoy takes, over connections that are always busy, their answers counted by status.
//!
//! It must cost little itself: clients and Envoy share the machine.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::connection::Connection;

/// Requests written at once. Envoy closes a connection on which a third local reply waits to be sent
/// ("Too many responses queued", its flood protection).
const PIPELINED: usize = 2;
/// Enough for both workers to have some, however the kernel spreads them.
const CONNECTIONS: usize = 16;

/// Busy connections to one Envoy.
pub(crate) struct Flood {
    connections: Vec<Connection>,
    /// Status → answers.
    pub(crate) answers: BTreeMap<u16, u64>,
}

// === impl Flood ===

impl Flood {
    /// Opens the connections.
    ///
    /// # Errors
    /// When nothing listens there.
    pub(crate) fn open(port: u16) -> Result<Self> {
        let connections = (0..CONNECTIONS).map(|_| Connection::open(port)).collect::<Result<_>>()?;
        Ok(Self { connections, answers: BTreeMap::new() })
    }

    /// Sends `count` requests, each added to a batch by `next`, and waits for all answers.
    ///
    /// # Errors
    /// When a connection breaks.
    pub(crate) fn send(&mut self, count: u64, next: &mut dyn FnMut(&mut Vec<u8>)) -> Result<()> {
        let mut left = usize::try_from(count)?;
        let mut in_flight = vec![0; self.connections.len()];
        let mut batch = Vec::new();
        while left > 0 || in_flight.iter().any(|count| *count > 0) {
            for (connection, in_flight) in self.connections.iter_mut().zip(&mut in_flight) {
                for _ in 0..std::mem::take(in_flight) {
                    *self.answers.entry(connection.receive()?).or_default() += 1;
                }
                *in_flight = left.min(PIPELINED);
                left -= *in_flight;
                batch.clear();
                for _ in 0..*in_flight {
                    next(&mut batch);
                }
                connection.send_many(&batch, *in_flight)?;
            }
        }
        Ok(())
    }
}
