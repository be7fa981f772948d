//! Owns why a request is denied: the reasons, their stable codes and their words. Must not know how an answer is written.

/// Why a request is denied. `docs/reasons.md` is the table of these for users; a test holds the two together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The path can be read in more than one way, so no rule can be trusted to match it.
    AmbiguousPath,
    /// The host can be read in more than one way.
    AmbiguousHost,
    /// Two sources carry two different credentials.
    ConflictingCredentials,
    /// The route needs a credential and there is none.
    Unauthenticated,
    /// The credential is malformed, forged or unknown.
    InvalidKey,
    /// The access token is malformed, not signed by its issuer, or of another kind than is accepted.
    InvalidToken,
    /// The access token has ended.
    ExpiredToken,
    /// The access token has not begun.
    TokenNotYetValid,
    /// The access token is for somebody else.
    WrongAudience,
    /// One source carries more than one credential.
    DuplicateCredentials,
    /// The access token is valid, but nobody knows its consumer.
    UnknownConsumer,
    /// The credential lacks a scope, role or claim that the route requires.
    InsufficientScope,
    /// The request must be signed with the credential's secret, and is not.
    SignatureRequired,
    /// The signature is malformed, leaves out what must be signed, or is not of this request.
    InvalidSignature,
    /// The signature has ended, or has not begun.
    ExpiredSignature,
    /// The signature was used before.
    ReplayedSignature,
    /// Whether the signature was used on another node could not be found out.
    ReplayUnknown,
    /// The body is not the one that was signed.
    WrongDigest,
    /// The client's address is denied, or not among those allowed.
    AddressDenied,
    /// The client, its consumer or its credential is blocked for abuse, or by an operator.
    Blocked,
    /// Too many unknown credentials came from the client's address.
    TooManyUnknownKeys,
    /// Too many access tokens with a wrong signature came from the client's address.
    TooManyFailedTokens,
    /// A rate is spent.
    RateLimited,
    /// A quota is spent.
    QuotaExceeded,
    /// Something needed for the verdict could not be had.
    Unavailable,
}

impl Reason {
    /// Every reason, in the order of the documented table.
    pub const ALL: [Self; 25] = [
        Self::AmbiguousPath,
        Self::AmbiguousHost,
        Self::ConflictingCredentials,
        Self::Unauthenticated,
        Self::InvalidKey,
        Self::InvalidToken,
        Self::ExpiredToken,
        Self::TokenNotYetValid,
        Self::WrongAudience,
        Self::DuplicateCredentials,
        Self::UnknownConsumer,
        Self::InsufficientScope,
        Self::SignatureRequired,
        Self::InvalidSignature,
        Self::ExpiredSignature,
        Self::ReplayedSignature,
        Self::ReplayUnknown,
        Self::WrongDigest,
        Self::AddressDenied,
        Self::Blocked,
        Self::TooManyUnknownKeys,
        Self::TooManyFailedTokens,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::Unavailable,
    ];

    /// The stable code: in bodies, metrics, filter state and logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AmbiguousPath => "ambiguous_path",
            Self::AmbiguousHost => "ambiguous_host",
            Self::ConflictingCredentials => "conflicting_credentials",
            Self::Unauthenticated => "unauthenticated",
            Self::InvalidKey => "invalid_key",
            Self::InvalidToken => "invalid_token",
            Self::ExpiredToken => "expired_token",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::WrongAudience => "wrong_audience",
            Self::UnknownConsumer => "unknown_consumer",
            Self::InsufficientScope => "insufficient_scope",
            Self::SignatureRequired => "signature_required",
            Self::InvalidSignature => "invalid_signature",
            Self::ExpiredSignature => "expired_signature",
            Self::ReplayedSignature => "replayed_signature",
            Self::ReplayUnknown => "replay_unknown",
            Self::WrongDigest => "wrong_digest",
            Self::TooManyFailedTokens => "too_many_failed_tokens",
            Self::DuplicateCredentials => "duplicate_credentials",
            Self::AddressDenied => "address_denied",
            Self::Blocked => "blocked",
            Self::TooManyUnknownKeys => "too_many_unknown_keys",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Unavailable => "unavailable",
        }
    }

    /// What a client is told. Whoever answers completes the text of a rate or quota with its name and the time to wait.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::AmbiguousPath => {
                "The path must not hold empty or dot segments, backslashes, fragments or encoded separators, nor more than 4096 bytes"
            }
            Self::AmbiguousHost => "The host must be a name or an address, with or without a port",
            Self::ConflictingCredentials => "Two different credentials were sent. Send one",
            Self::Unauthenticated => "Authentication required. Provide API key in Authorization or X-API-Key header",
            Self::InvalidKey => "The API key is not valid",
            Self::InvalidToken => "The access token is malformed, not signed by its issuer, or not of the kind that is accepted here",
            Self::ExpiredToken => "The access token has expired",
            Self::TokenNotYetValid => "The access token is not valid yet",
            Self::WrongAudience => "The access token is not meant for this API",
            Self::UnknownConsumer => "The access token is valid, but its consumer is not known here",
            Self::InsufficientScope => "The credential lacks a scope, role or claim that this route requires",
            Self::SignatureRequired => "The request must be signed with the credential's signing secret",
            Self::InvalidSignature => "The signature is malformed, leaves out what must be signed, or does not match the request",
            Self::ExpiredSignature => "The signature has expired, or is from the future. Check the clock and sign again",
            Self::ReplayedSignature => "The signature was used before. Sign each request anew",
            Self::ReplayUnknown => "Whether the signature was used before could not be found out. Retry later, signed anew",
            Self::WrongDigest => "The body does not match its signed digest",
            Self::TooManyFailedTokens => "Too many access tokens that are not valid came from this address. Retry later",
            Self::DuplicateCredentials => "A credential header was sent more than once",
            Self::Blocked => "Blocked because of abuse. Retry later",
            Self::AddressDenied => "Requests from this address are not allowed",
            Self::TooManyUnknownKeys => "Too many unknown API keys came from this address. Retry later",
            Self::RateLimited => "Rate limit exceeded",
            Self::QuotaExceeded => "Quota exceeded",
            Self::Unavailable => "The request could not be judged. Retry later",
        }
    }
}
