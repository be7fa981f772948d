//! Owns how a worker finds out who is blocked when it starts, or is told to forget: page by page. Must not know what a block does.

use tollgate_core::policy;
use tollgate_core::time::Instant;
use tollgate_core::wire::{self, Blocks};

use super::pace::Pace;
use crate::call::{Answer, Call, CallError, Purpose, milliseconds};

/// A page of those in force.
#[derive(Debug)]
pub struct Page {
    /// What is on it.
    pub blocks: Blocks,
    /// Nothing was read before it.
    pub first: bool,
    /// Nothing follows.
    pub last: bool,
}

/// What is known of the backend's blocks.
#[derive(Debug, Default)]
pub(super) struct BlockList {
    /// They are to be asked for.
    wanted: bool,
    /// Something changed while they were read: what was read may be older than that.
    again: bool,
    /// After which one to go on.
    after: Option<u64>,
    under_way: bool,
    known: bool,
    pace: Pace,
}

impl BlockList {
    pub(super) const fn want(&mut self) {
        self.again |= self.under_way;
        (self.wanted, self.after) = (true, None);
    }

    /// One of them changed: what is being read may be older than that.
    pub(super) const fn changed(&mut self) {
        if self.wanted {
            self.want();
        }
    }

    pub(super) const fn is_known(&self) -> bool {
        self.known
    }

    pub(super) fn next_call(&mut self, settings: &policy::Backend, authorization: &str, now: Instant) -> Option<Call> {
        if !self.wanted || !self.pace.may(now) {
            return None;
        }
        let timeout_ms = milliseconds(settings.timeout);
        self.pace.started(now, timeout_ms);
        self.under_way = true;
        let path = self.after.map_or_else(|| "/internal/v1/blocks".to_owned(), |after| format!("/internal/v1/blocks?after={after}"));
        Some(Call {
            purpose: Purpose::Blocks { sent: now },
            method: "GET",
            path,
            authorization: authorization.to_owned(),
            body: Vec::new(),
            timeout_ms,
        })
    }

    /// A page, whether it is the first, and whether it is the last; nothing if all is to be read again.
    pub(super) fn heard(&mut self, answer: Answer<'_>, now: Instant) -> Result<Option<Page>, CallError> {
        self.under_way = false;
        let read = match answer {
            // A backend of before there were blocks.
            Answer::Whole(404, _) => Ok(Blocks::default()),
            Answer::Whole(..) | Answer::Broken => {
                answer.body().and_then(|body| wire::decode::<Blocks>(body).map_err(|_| CallError::Failed))
            }
        };
        let blocks = read.inspect_err(|_| self.pace.failed(now))?;
        self.pace.succeeded(now, 0);
        if std::mem::take(&mut self.again) {
            self.after = None;
            return Ok(None);
        }
        let first = self.after.is_none();
        let moves = blocks.next.is_some_and(|next| self.after.is_none_or(|after| after < next));
        self.after = blocks.next.filter(|_| moves);
        self.wanted = self.after.is_some();
        self.known |= !self.wanted;
        Ok(Some(Page { blocks, first, last: !self.wanted }))
    }
}
