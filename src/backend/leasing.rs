//! Owns the messages about leases that somebody waits for: they are sent at once, by the worker that noted them. Must not know what a lease
//! is worth.

use tollgate_core::policy;
use tollgate_core::time::Instant;
use tollgate_core::wire::{self, LeaseAnswer, LeaseAsk, MOST_ASKS, Settle, Settled};

use crate::call::{Answer, Call, CallError, Purpose, milliseconds};

/// Messages under way on this worker.
#[derive(Debug, Default)]
pub(super) struct Leasing {
    sent: Vec<(u32, Vec<LeaseAsk>)>,
    last: u32,
}

/// What the ledger says to asks.
#[derive(Debug, Default)]
pub struct Settlement {
    /// The revision of the feed it was true at.
    pub revision: u64,
    /// When the message was sent; the answer is no older.
    pub sent: Instant,
    /// Each ask, and what came of it.
    pub settled: Vec<(LeaseAsk, LeaseAnswer)>,
}

impl Leasing {
    /// The calls for some asks.
    pub(super) fn calls(&mut self, asks: Vec<LeaseAsk>, settings: &policy::Backend, authorization: &str, now: Instant) -> Vec<Call> {
        let mut calls = Vec::new();
        for asks in asks.chunks(MOST_ASKS) {
            let asks = asks.to_vec();
            let Ok(body) = wire::encode(&Settle { asks: asks.clone() }) else { continue };
            self.last = self.last.wrapping_add(1);
            self.sent.push((self.last, asks));
            calls.push(Call {
                purpose: Purpose::Settle { number: self.last, sent: now },
                method: "POST",
                path: "/internal/v1/leases".to_owned(),
                authorization: authorization.to_owned(),
                body,
                timeout_ms: milliseconds(settings.timeout),
            });
        }
        calls
    }

    /// Takes the answer to a message.
    pub(super) fn heard(&mut self, answer: Answer<'_>, number: u32, sent: Instant) -> Result<Settlement, CallError> {
        let position = self.sent.iter().position(|(own, _)| *own == number).ok_or(CallError::Failed)?;
        let (_, asks) = self.sent.swap_remove(position);
        let Settled { revision, answers } = answer.body().and_then(|body| wire::decode(body).map_err(|_| CallError::Failed))?;
        settlement(asks, answers, revision, sent)
    }
}

/// Asks beside their answers.
pub(super) fn settlement(asks: Vec<LeaseAsk>, answers: Vec<LeaseAnswer>, revision: u64, sent: Instant) -> Result<Settlement, CallError> {
    let settled: Vec<_> = asks.into_iter().zip(answers).collect();
    match settled.iter().all(|(ask, answer)| (ask.lease, ask.number) == (answer.lease, answer.number)) {
        true => Ok(Settlement { revision, sent, settled }),
        false => Err(CallError::Failed),
    }
}
