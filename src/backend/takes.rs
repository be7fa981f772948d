//! Owns the asking whether signatures were used on other nodes: many requests' in one message, and few messages under way. Must not know what
//! a signature is.

use std::collections::VecDeque;

use tollgate_core::policy;
use tollgate_core::time::Instant;
use tollgate_core::wire::{MOST_NONCES, TakeNonces, TakenNonces};

use crate::call::{Answer, Call, CallError, Purpose, milliseconds};

/// Messages under way on a worker: what comes meanwhile goes with the next.
const MOST_UNDER_WAY: usize = 4;
/// Requests of a worker whose nonces are not sent yet.
const MOST_WAITING: usize = 1_024;

/// What is asked on this worker.
#[derive(Debug, Default)]
pub(super) struct Takes {
    waiting: VecDeque<Taking>,
    sent: Vec<(u32, Vec<Taking>)>,
    last: u32,
}

/// What tells a signature from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// A SHA-256.
    pub sha256: [u8; 32],
    /// For how long no other node may take it, in milliseconds.
    pub for_ms: u64,
}

/// One request's nonce.
#[derive(Clone, Copy, Debug)]
struct Taking {
    stream: u32,
    nonce: Nonce,
    until: Instant,
}

/// What became of a request's nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nobody had taken it before.
    First,
    /// Somebody had.
    Again,
    /// That is not known.
    Unknown,
}

impl Takes {
    /// A request waits for a nonce; `false`: too many do.
    pub(super) fn ask(&mut self, nonce: Nonce, stream: u32, until: Instant) -> bool {
        let has_room = self.waiting.len() < MOST_WAITING;
        if has_room {
            self.waiting.push_back(Taking { stream, nonce, until });
        }
        has_room
    }

    /// Whether anything is to be sent now.
    pub(super) fn is_due(&self) -> bool {
        !self.waiting.is_empty() && self.sent.len() < MOST_UNDER_WAY
    }

    /// The calls for what waits.
    pub(super) fn calls(&mut self, settings: &policy::Backend, authorization: &str, now: Instant, calls: &mut Vec<Call>) {
        while self.is_due() {
            let takings: Vec<Taking> = self.waiting.drain(..self.waiting.len().min(MOST_NONCES)).collect();
            let body = TakeNonces::write(takings.iter().map(|taking| (taking.nonce.sha256, taking.nonce.for_ms)));
            self.last = self.last.wrapping_add(1);
            self.sent.push((self.last, takings));
            calls.push(Call {
                purpose: Purpose::Take { number: self.last, sent: now },
                method: "POST",
                path: "/internal/v1/nonces".to_owned(),
                authorization: authorization.to_owned(),
                body,
                timeout_ms: milliseconds(settings.timeout),
            });
        }
    }

    /// Takes the answer to a message, and answers what became of each request.
    pub(super) fn heard(&mut self, answer: Answer<'_>, number: u32, now: Instant) -> (Vec<(u32, Taken)>, Result<(), CallError>) {
        let Some(position) = self.sent.iter().position(|(own, _)| *own == number) else {
            return (Vec::new(), Err(CallError::Failed));
        };
        let (_, takings) = self.sent.swap_remove(position);
        let answer = answer.body().and_then(|body| TakenNonces::read(body).ok_or(CallError::Failed));
        match answer {
            Ok(TakenNonces { first }) if first.len() == takings.len() => {
                let taken = |first| if first { Taken::First } else { Taken::Again };
                (takings.iter().zip(first).map(|(taking, first)| (taking.stream, taken(first))).collect(), Ok(()))
            }
            // Not even read: with another token they may be.
            Err(CallError::Unauthorized) => {
                takings.into_iter().rev().for_each(|taking| self.waiting.push_front(taking));
                (self.overdue(now), Err(CallError::Unauthorized))
            }
            answer => {
                let unknown = takings.iter().map(|taking| (taking.stream, Taken::Unknown)).collect();
                (unknown, Err(answer.err().unwrap_or(CallError::Failed)))
            }
        }
    }

    /// Requests that have waited for too long to be sent.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(u32, Taken)> {
        let mut overdue = Vec::new();
        self.waiting.retain(|taking| {
            let waits = now < taking.until;
            if !waits {
                overdue.push((taking.stream, Taken::Unknown));
            }
            waits
        });
        overdue
    }
}

#[cfg(test)]
mod tests;
