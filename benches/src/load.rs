//! Owns the load: a closed loop over a few keep-alive connections, from one thread, as cheap as a client can be.
//!
//! It must check every answer: a benchmark of a refusal is worth nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::connection::Connection;
use crate::request::Requests;

/// Connections to one Envoy, and what to send over them.
pub(crate) struct Load {
    connections: Vec<Connection>,
    requests: Requests,
    expected: u16,
    /// Waited before each request: an Envoy that is not kept busy finds its code and data gone from the processor's caches.
    pub(crate) pause: Duration,
}

/// When a run stops starting requests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// After so many requests.
    Count(u64),
    /// After so much time.
    Elapsed(Duration),
}

/// What a run did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// Requests sent and answered as expected.
    pub(crate) requests: u64,
    /// From the first request's start to the last answer.
    pub(crate) elapsed: Duration,
}

// === impl Load ===

impl Load {
    /// Opens `connections` to `port` on the loopback address. Every answer's status must be `expected`.
    ///
    /// # Errors
    /// When a connection is refused, or none is wanted.
    pub(crate) fn open(port: u16, connections: usize, requests: Requests, expected: u16) -> Result<Self> {
        if connections == 0 {
            bail!("no load without connections");
        }
        let connections = (0..connections).map(|_| Connection::open(port)).collect::<Result<_>>()?;
        Ok(Self { connections, requests, expected, pause: Duration::ZERO })
    }

    /// Keeps one request in flight on every connection until told to stop, then waits for the last answers.
    ///
    /// # Errors
    /// When a connection breaks, or an answer has another status than the expected one.
    pub(crate) fn run(&mut self, until: Until) -> Result<Done> {
        let started = Instant::now();
        let mut sent = 0_u64;
        'run: loop {
            for connection in &mut self.connections {
                if connection.awaits() {
                    check(connection.receive()?, self.expected)?;
                }
                if until.reached(sent, started) {
                    break 'run;
                }
                if !self.pause.is_zero() {
                    std::thread::sleep(self.pause);
                }
                connection.send(self.requests.next())?;
                sent += 1;
            }
        }
        for connection in self.connections.iter_mut().filter(|connection| connection.awaits()) {
            check(connection.receive()?, self.expected)?;
        }
        Ok(Done { requests: sent, elapsed: started.elapsed() })
    }
}

// === impl Until ===

impl Until {
    fn reached(self, sent: u64, started: Instant) -> bool {
        match self {
            Self::Count(count) => sent >= count,
            Self::Elapsed(limit) => started.elapsed() >= limit,
        }
    }
}

fn check(found: u16, expected: u16) -> Result<()> {
    if found != expected {
        bail!("answered {found}, expected {expected}");
    }
    Ok(())
}
