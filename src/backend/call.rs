//! Owns calls to the backend as values: what is sent, and what came of it. Must not know who carries them.

use tollgate_core::time::Instant;

use crate::authn::key_cache::Place;

/// A call that the host is to make.
pub struct Call {
    /// What it is for.
    pub purpose: Purpose,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// The whole value of `authorization`.
    pub authorization: String,
    /// The body; empty for `GET`.
    pub body: Vec<u8>,
    /// How long an answer is waited for, in milliseconds.
    pub timeout_ms: u32,
}

/// What a call is for: it finds its answer's reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A token for this incarnation.
    Hello,
    /// What has changed.
    Poll {
        /// When it was sent.
        sent: Instant,
        /// After which revision; `None` asks where the feed is.
        after: Option<u64>,
    },
    /// Whose the key at this place is.
    Resolve {
        /// The key's place.
        place: Place,
        /// When it was sent.
        sent: Instant,
    },
    /// What this node has to tell.
    Report {
        /// The report's number.
        sequence: u64,
        /// When it was sent.
        sent: Instant,
    },
}

impl Purpose {
    /// What it is called in a log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "saying hello to the backend",
            Self::Poll { .. } => "asking the backend for changes",
            Self::Resolve { .. } => "asking the backend about a key",
            Self::Report { .. } => "reporting to the backend",
        }
    }
}

/// What came of a call.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// An answer with this status and body.
    Whole(u16, &'a [u8]),
    /// None that can be read: reset, too large, or never sent.
    Broken,
}

impl<'a> Answer<'a> {
    /// The body of a good answer.
    ///
    /// # Errors
    /// [`CallError`]: which kind of answer it was instead.
    pub fn body(self) -> Result<&'a [u8], CallError> {
        match self {
            Self::Whole(200, body) => Ok(body),
            Self::Whole(401, _) => Err(CallError::Unauthorized),
            Self::Whole(400, _) => Err(CallError::Rejected),
            Self::Whole(..) | Self::Broken => Err(CallError::Failed),
        }
    }
}

/// Why a call brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The token or credential is not accepted.
    #[error("the backend does not accept what this node authorizes itself with")]
    Unauthorized,
    /// The backend will never take this message.
    #[error("the backend does not take this message")]
    Rejected,
    /// Anything else: it may work later.
    #[error("the backend could not be reached, or gave no answer that is understood here")]
    Failed,
}

/// When the next call of a kind may be made: one at a time, and later after each failure.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the call under way is given up.
    lost_at: Option<Instant>,
    not_before: Option<Instant>,
    failures: u32,
}

impl Pace {
    /// The longest pause between two attempts.
    const LONGEST: u64 = 2_000_000_000;
    const SHORTEST: u64 = 50_000_000;
    /// A call is given up so long after its timeout: the host should have said so before.
    const GRACE: u64 = 5_000_000_000;

    pub(super) fn may(&self, now: Instant) -> bool {
        self.lost_at.is_none_or(|lost_at| lost_at <= now) && self.not_before.is_none_or(|not_before| not_before <= now)
    }

    pub(super) fn started(&mut self, now: Instant, timeout_ms: u32) {
        self.lost_at = Some(now.after(u64::from(timeout_ms) * 1_000_000 + Self::GRACE));
    }

    /// It succeeded; the next may follow after a pause.
    pub(super) fn succeeded(&mut self, now: Instant, pause: u64) {
        *self = Self { not_before: Some(now.after(pause)), ..Self::default() };
    }

    pub(super) fn failed(&mut self, now: Instant) {
        let pause = (Self::SHORTEST << self.failures.min(6)).min(Self::LONGEST);
        *self = Self { lost_at: None, not_before: Some(now.after(pause)), failures: self.failures.saturating_add(1) };
    }
}
