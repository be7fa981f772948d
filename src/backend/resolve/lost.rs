//! Owns the questions that asked for leases and whose answer was lost: what the ledger granted then is nowhere until it is told. Must not
//! know what a lease is worth.
//!
//! They are asked again, unchanged, one at a time, until answered. When this worker's memory ends, what they would have brought is silent,
//! as what is in its purses is. They hold no key, but the SHA-256 of one.

use std::collections::VecDeque;

use tollgate_core::time::{Instant, SECOND};

use super::super::Brought;
use super::message::{First, Message};
use super::{GRACE, post};
use crate::call::{Answer, Call, CallError, Purpose};

/// After a failure nothing is asked again for so long: the ledger may be behind.
const RETRY_EVERY: u64 = SECOND;

/// Questions without an answer.
#[derive(Debug, Default)]
pub(super) struct Lost {
    messages: VecDeque<Message>,
    /// When the first of them was sent, if it is under way, and when that is given up.
    sent: Option<(Instant, Instant)>,
    not_before: Instant,
}

impl Lost {
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn push(&mut self, message: Message, now: Instant) {
        if self.messages.is_empty() {
            self.not_before = now.after(RETRY_EVERY);
        }
        self.messages.push_back(message);
    }

    /// The call to be made now.
    pub(super) fn call(&mut self, authorization: &str, timeout: u64, now: Instant) -> Option<Call> {
        if now < self.not_before || self.sent.is_some_and(|(_, lost_at)| now < lost_at) {
            return None;
        }
        let message = self.messages.front()?;
        self.sent = Some((now, now.after(timeout).after(GRACE)));
        post(message, Purpose::Reclaim { sent: now }, authorization, timeout)
    }

    /// Whether an answer is waited for that was asked for at an instant.
    pub(super) fn awaits(&self, sent: Instant) -> bool {
        self.sent.is_some_and(|(own, _)| own == sent)
    }

    /// Takes the answer to the first of them.
    pub(super) fn heard(&mut self, answer: Answer<'_>, sent: Instant, now: Instant) -> Result<Option<Brought>, CallError> {
        self.sent = None;
        let Some(mut message) = self.messages.pop_front() else {
            return Ok(None);
        };
        let first = answer.body().and_then(|body| message.read(body)).map(|mut said| message.settle(&mut said, sent));
        match first {
            Ok(First::Settled(brought)) => return Ok(brought),
            // What is never taken has brought nothing.
            Err(CallError::Rejected) => return Err(CallError::Rejected),
            Ok(First::Unsettled) | Err(_) => {}
        }
        self.not_before = now.after(RETRY_EVERY);
        self.messages.push_back(message);
        first.map(|_| None)
    }
}
