//! Owns one worker's watcher: a connection that the worker serves, kept busy with one key by a thread, and what the answers say of that key.
//!
//! It must not forgive an admission that comes after a refusal: it counts them.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::connection::Connection;
use crate::request::Requests;

/// A thread that watches one worker; it ends when this is dropped.
pub(super) struct Watcher {
    orders: Sender<Order>,
    events: Receiver<Result<Event>>,
}

/// How a key's end was seen by one worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    /// When its first refusal was there.
    pub(super) refused: Instant,
    /// Answers 200 after that.
    pub(super) admitted_again: u64,
    /// Answers that are neither 200 nor 401.
    pub(super) other_answers: u64,
    /// All.
    pub(super) requests: u64,
}

struct Order {
    request: Vec<u8>,
    /// `None`: a single request.
    pause: Option<Duration>,
}

enum Event {
    /// The key has been admitted several times in a row.
    Warm,
    Refused(Watched),
    Answered(u16),
}

/// Admissions until a key counts as remembered.
const WARM: u64 = 3;
/// For how long a worker is watched after its first refusal: two of its ticks.
const AFTER: Duration = Duration::from_millis(100);
/// Nothing that is waited for here takes so long.
const PATIENCE: Duration = Duration::from_secs(10);

// === impl Watcher ===

impl Watcher {
    /// Starts the thread.
    pub(super) fn start(mut connection: Connection) -> Result<Self> {
        let (orders, ordered) = channel::<Order>();
        let (tell, events) = channel();
        thread::Builder::new().name("watcher".to_owned()).spawn(move || {
            for order in ordered {
                let done = match order.pause {
                    Some(pause) => follow(&mut connection, &order.request, pause, &tell).map(Event::Refused),
                    None => ask(&mut connection, &order.request).map(Event::Answered),
                };
                if tell.send(done).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { orders, events })
    }

    /// Begins to present a key again and again.
    pub(super) fn watch(&self, key: &str, pause: Duration) -> Result<()> {
        self.order(key, Some(pause))
    }

    /// Waits until the worker remembers the key.
    pub(super) fn await_warm(&self) -> Result<()> {
        match self.next()? {
            Event::Warm => Ok(()),
            Event::Refused(_) | Event::Answered(_) => bail!("a key was refused before it was admitted"),
        }
    }

    /// Waits until the worker has refused the key for a while.
    pub(super) fn await_refused(&self) -> Result<Watched> {
        match self.next()? {
            Event::Refused(watched) => Ok(watched),
            Event::Warm | Event::Answered(_) => bail!("a watcher out of step"),
        }
    }

    /// The answer to a key presented once.
    pub(super) fn ask(&self, key: &str) -> Result<u16> {
        self.order(key, None)?;
        match self.next()? {
            Event::Answered(status) => Ok(status),
            Event::Warm | Event::Refused(_) => bail!("a watcher out of step"),
        }
    }

    fn order(&self, key: &str, pause: Option<Duration>) -> Result<()> {
        let request = Requests::with_key(key).next().to_vec();
        self.orders.send(Order { request, pause }).map_err(|_| anyhow!("a watcher has stopped"))
    }

    fn next(&self) -> Result<Event> {
        self.events.recv_timeout(2 * PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => anyhow!("a watcher hangs"),
            RecvTimeoutError::Disconnected => anyhow!("a watcher has stopped"),
        })?
    }
}

fn ask(connection: &mut Connection, request: &[u8]) -> Result<u16> {
    connection.send(request)?;
    connection.receive()
}

fn follow(connection: &mut Connection, request: &[u8], pause: Duration, tell: &Sender<Result<Event>>) -> Result<Watched> {
    let started = Instant::now();
    let (mut requests, mut admitted, mut admitted_again, mut other_answers) = (0, 0, 0, 0);
    let mut refused = None;
    loop {
        let status = ask(connection, request).context("watching a worker")?;
        let now = Instant::now();
        requests += 1;
        match (status, refused) {
            (200, None) => {
                admitted += 1;
                if admitted == WARM {
                    tell.send(Ok(Event::Warm))?;
                }
            }
            (200, Some(_)) => admitted_again += 1,
            (401, None) => refused = Some(now),
            (401, Some(_)) => {}
            _ => other_answers += 1,
        }
        if let Some(refused) = refused
            && now.duration_since(refused) > AFTER
        {
            return Ok(Watched { refused, admitted_again, other_answers, requests });
        }
        if now.duration_since(started) > PATIENCE {
            bail!(
                "a worker still admits a key {PATIENCE:?} after it was first presented; {other_answers} answers were neither 200 nor 401"
            );
        }
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }
}
