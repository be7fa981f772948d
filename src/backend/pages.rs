//! Owns how a worker finds out what is in force when it starts, or is told to forget: page by page. Must not know what it means.

use tollgate_core::policy;
use tollgate_core::time::Instant;
use tollgate_core::wire::{self, Blocks, Revocations};

use super::pace::Pace;
use crate::call::{Answer, Call, CallError, Purpose, milliseconds};

/// What is read page by page.
pub(super) trait Paged: Default {
    /// Where.
    const PATH: &'static str;

    /// What a page is asked for with.
    fn purpose(sent: Instant) -> Purpose;

    /// A page as it came.
    fn read(body: &[u8]) -> Result<Self, CallError>;

    /// After what to go on.
    fn next(&self) -> Option<u64>;
}

impl Paged for Blocks {
    const PATH: &'static str = "/internal/v1/blocks";

    fn purpose(sent: Instant) -> Purpose {
        Purpose::Blocks { sent }
    }

    fn read(body: &[u8]) -> Result<Self, CallError> {
        wire::decode(body).map_err(|_| CallError::Failed)
    }

    fn next(&self) -> Option<u64> {
        self.next
    }
}

impl Paged for Revocations {
    const PATH: &'static str = "/internal/v1/revocations";

    fn purpose(sent: Instant) -> Purpose {
        Purpose::Revocations { sent }
    }

    fn read(body: &[u8]) -> Result<Self, CallError> {
        wire::decode(body).map_err(|_| CallError::Failed)
    }

    fn next(&self) -> Option<u64> {
        self.next
    }
}

/// A page of what is in force.
#[derive(Debug)]
pub struct Page<T> {
    /// What is on it.
    pub page: T,
    /// Nothing was read before it.
    pub first: bool,
    /// Nothing follows.
    pub last: bool,
}

/// How far reading has come.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// They are to be asked for.
    wanted: bool,
    /// Something changed while they were read: what was read may be older than that.
    again: bool,
    /// After which one to go on.
    after: Option<u64>,
    under_way: bool,
    /// When the first page was asked for.
    begun: Instant,
    /// As of when all is known.
    known: Option<Instant>,
    pace: Pace,
}

impl Pages {
    pub(super) const fn want(&mut self) {
        self.again |= self.under_way;
        (self.wanted, self.after) = (true, None);
    }

    /// What was read before is not enough: it counts as not known until it is read again.
    pub(super) const fn lose(&mut self) {
        self.known = None;
        self.want();
    }

    /// One of them changed: what is being read may be older than that.
    pub(super) const fn changed(&mut self) {
        if self.wanted {
            self.want();
        }
    }

    /// As of when all is known, if it is.
    pub(super) const fn known(&self) -> Option<Instant> {
        self.known
    }

    pub(super) fn next_call<T: Paged>(&mut self, settings: &policy::Backend, authorization: &str, now: Instant) -> Option<Call> {
        if !self.wanted || !self.pace.may(now) {
            return None;
        }
        let timeout_ms = milliseconds(settings.timeout);
        self.pace.started(now, timeout_ms);
        self.under_way = true;
        if self.after.is_none() {
            self.begun = now;
        }
        let path = self.after.map_or_else(|| T::PATH.to_owned(), |after| format!("{}?after={after}", T::PATH));
        Some(Call { purpose: T::purpose(now), method: "GET", path, authorization: authorization.to_owned(), body: Vec::new(), timeout_ms })
    }

    /// A page, whether it is the first, and whether it is the last; nothing if all is to be read again.
    pub(super) fn heard<T: Paged>(&mut self, answer: Answer<'_>, now: Instant) -> Result<Option<Page<T>>, CallError> {
        self.under_way = false;
        let read = match answer {
            // A backend of before there were such.
            Answer::Whole(404, _) => Ok(T::default()),
            Answer::Whole(..) | Answer::Broken => answer.body().and_then(T::read),
        };
        let page = read.inspect_err(|_| self.pace.failed(now))?;
        self.pace.succeeded(now, 0);
        if std::mem::take(&mut self.again) {
            self.after = None;
            return Ok(None);
        }
        let first = self.after.is_none();
        let moves = page.next().is_some_and(|next| self.after.is_none_or(|after| after < next));
        self.after = page.next().filter(|_| moves);
        self.wanted = self.after.is_some();
        if !self.wanted {
            self.known = Some(self.begun);
        }
        Ok(Some(Page { page, first, last: !self.wanted }))
    }
}
