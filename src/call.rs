//! Owns calls to the backend and to issuers as values: what is sent, and what came of it. Must not know who carries them.

use tollgate_core::jwk::NotASet;
use tollgate_core::time::Instant;

use crate::authn::place::Place;

/// A call that the host is to make.
pub struct Call {
    /// What it is for.
    pub purpose: Purpose,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// The whole value of `authorization`; empty: none is sent.
    pub authorization: String,
    /// The body; empty for `GET`.
    pub body: Vec<u8>,
    /// How long an answer is waited for, in milliseconds.
    pub timeout_ms: u32,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Call").field("purpose", &self.purpose).field("path", &self.path).finish_non_exhaustive()
    }
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
    /// The same once more, where the answer was lost and may have brought leases.
    Reclaim {
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
    /// What becomes of leases, where somebody waits for it.
    Settle {
        /// The message's number on this worker.
        number: u32,
        /// When it was sent.
        sent: Instant,
    },
    /// Whether signatures were used on other nodes.
    Take {
        /// The message's number on this worker.
        number: u32,
        /// When it was sent.
        sent: Instant,
    },
    /// Who is blocked.
    Blocks {
        /// When it was sent.
        sent: Instant,
    },
    /// Which tokens are revoked.
    Revocations {
        /// When it was sent.
        sent: Instant,
    },
    /// What an issuer says of an opaque token.
    Introspect {
        /// The issuer's position.
        issuer: u16,
        /// The token's place.
        place: Place,
        /// When it was sent.
        sent: Instant,
    },
    /// The keys of an issuer.
    KeySet {
        /// The issuer's position.
        issuer: u16,
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
            Self::Resolve { .. } | Self::Reclaim { .. } => "asking the backend about a credential",
            Self::Report { .. } => "reporting to the backend",
            Self::Settle { .. } => "asking the backend for leases",
            Self::Take { .. } => "asking the backend which signatures were used elsewhere",
            Self::Blocks { .. } => "asking the backend who is blocked",
            Self::Revocations { .. } => "asking the backend which tokens are revoked",
            Self::Introspect { .. } => "asking an issuer about a token",
            Self::KeySet { .. } => "fetching the keys of an issuer",
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
    /// An issuer answers with this status.
    #[error("the answer has the status {0}")]
    Status(u16),
    /// What an issuer answers is no set of keys; the last good one stays.
    #[error("what was answered is not a set of keys: {0}")]
    NotASet(NotASet),
    /// What an issuer answers does not say whether a token is active.
    #[error("what was answered does not say whether the token is active")]
    NotAVerdict,
    /// An issuer did not answer.
    #[error("there was no answer")]
    NoAnswer,
    /// Anything else: it may work later.
    #[error("the backend could not be reached, or gave no answer that is understood here")]
    Failed,
}

/// Whole milliseconds, at least one: the host takes 0 for "no end".
pub(crate) fn milliseconds(nanos: u64) -> u32 {
    u32::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u32::MAX).max(1)
}
