//! Owns what a worker knows of opaque tokens, and what it asks their issuer about (RFC 7662). Must not judge claims.
//!
//! A token is asked about once at a time, whoever waits for it; what was said is believed for a bounded time by the clock that cannot be set. Tokens
//! are not kept, only keyed hashes of them. What is active and what is not are bounded and apart, so that guesses push nothing good out.

use std::rc::Rc;

use tollgate_core::credential::digest;
use tollgate_core::issuer::{Introspection, Keys, form_escape};
use tollgate_core::json::{self, Object, Value};
use tollgate_core::policy::Policy;
use tollgate_core::time::Instant;
use tollgate_core::verdict::Reason;

use crate::authn::place::Place;
use crate::authn::token_cache::{Remembered, TokenCache, Verified};
use crate::backend::hex;
use crate::call::{Answer, Call, CallError, Purpose, milliseconds};
use crate::limits::Charge;

/// Tokens that a worker asks about at once.
const MOST_ASKED: usize = 64;
/// Requests that wait for one.
const MOST_WAITERS: usize = 256;
/// A larger answer is none.
const LONGEST_ANSWER: usize = 64 * 1024;

/// What is known of opaque tokens.
#[derive(Debug)]
pub struct Introspector {
    /// The issuer's position.
    issuer: u16,
    settings: Introspection,
    tokens: TokenCache,
    asked: Vec<Asked>,
    calls: Vec<Call>,
}

/// A token that is asked about.
#[derive(Debug)]
struct Asked {
    place: Place,
    waiters: Vec<u32>,
    /// What the client's address has paid.
    paid: Charge,
    /// What the token is called where it has no id, and the wall clock when it was asked about: nanoseconds since 1970.
    name: String,
    wall: u64,
}

/// What the issuer said of a token.
#[derive(Debug)]
pub enum Said {
    /// It is active, with these claims.
    Active(Object),
    /// It is not.
    Inactive,
    /// Nothing that can be understood.
    Nothing(CallError),
}

/// A token is no longer asked about.
#[derive(Debug)]
pub struct Told {
    /// What was said.
    pub said: Said,
    /// The requests that waited.
    pub waiters: Vec<u32>,
    /// What was paid.
    pub paid: Charge,
    /// What the token is called where it has no id.
    pub name: String,
    /// The wall clock when it was asked about, in nanoseconds since 1970.
    pub wall: u64,
}

impl Introspector {
    /// Nothing is known yet; `None` where no issuer is to be asked.
    #[must_use]
    pub fn new(policy: &Policy, hash_key: [u8; 16]) -> Option<Self> {
        let mut issuers = policy.tokens.issuers.iter().enumerate();
        let (issuer, settings) = issuers.find_map(|(position, issuer)| match &issuer.keys {
            Keys::Asked(settings) => Some((u16::try_from(position).ok()?, Introspection::clone(settings))),
            Keys::Known(_) | Keys::Remote(_) => None,
        })?;
        let tokens = TokenCache::new(policy.node.known_tokens, hash_key);
        Some(Self { issuer, settings, tokens, asked: Vec::new(), calls: Vec::new() })
    }

    /// The issuer's position.
    #[must_use]
    pub fn issuer(&self) -> usize {
        usize::from(self.issuer)
    }

    /// Where a token is remembered.
    #[must_use]
    pub fn place(&self, token: &[u8]) -> Place {
        self.tokens.place(token)
    }

    /// What is known of a token.
    pub fn find(&mut self, place: Place, now: Instant) -> Remembered {
        match self.tokens.find(place, now, |_| Some(0)) {
            Remembered::Verified(verified) if verified.until.is_none_or(|until| now >= until) => Remembered::Nothing,
            found @ (Remembered::Verified(_) | Remembered::Refused(_) | Remembered::Nothing) => found,
        }
    }

    /// Whether a token is asked about.
    #[must_use]
    pub fn is_asked(&self, place: Place) -> bool {
        self.asked.iter().any(|asked| asked.place == place)
    }

    /// Whether another token may be asked about.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.asked.len() < MOST_ASKED
    }

    /// Asks about a token; `paid` is what the client's address paid for that.
    pub fn ask(&mut self, place: Place, token: &[u8], paid: Charge, now: Instant, wall: u64) {
        let name = hex(digest(token).first_chunk::<12>().unwrap_or(&[0; 12]));
        self.asked.push(Asked { place, waiters: Vec::new(), paid, name, wall });
        self.calls.push(Call {
            purpose: Purpose::Introspect { issuer: self.issuer, place, sent: now },
            method: "POST",
            path: self.settings.path.clone(),
            authorization: String::from_utf8_lossy(self.settings.authorization.expose()).into_owned(),
            body: format!("token={}&token_type_hint=access_token", form_escape(token)).into_bytes(),
            timeout_ms: milliseconds(self.settings.timeout),
        });
    }

    /// A request waits for what is said of a token; `false` if it cannot.
    pub fn wait(&mut self, place: Place, stream: u32) -> bool {
        let asked = self.asked.iter_mut().find(|asked| asked.place == place).filter(|asked| asked.waiters.len() < MOST_WAITERS);
        asked.map(|asked| asked.waiters.push(stream)).is_some()
    }

    /// A request that waited has gone away.
    pub fn leave(&mut self, place: Place, stream: u32) {
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.place == place) {
            asked.waiters.retain(|own| *own != stream);
        }
    }

    /// Takes the answer about a token; `None`: nobody asked.
    pub fn heard(&mut self, place: Place, answer: Answer<'_>) -> Option<Told> {
        let position = self.asked.iter().position(|asked| asked.place == place)?;
        let Asked { waiters, paid, name, wall, .. } = self.asked.swap_remove(position);
        let said = match answer {
            Answer::Whole(200, body) if body.len() <= LONGEST_ANSWER => match json::object(body) {
                Some(claims) => match claims.get("active") {
                    Some(Value::Bool(true)) => Said::Active(claims),
                    Some(Value::Bool(false)) => Said::Inactive,
                    Some(_) | None => Said::Nothing(CallError::NotAVerdict),
                },
                None => Said::Nothing(CallError::NotAVerdict),
            },
            Answer::Whole(200, _) => Said::Nothing(CallError::NotAVerdict),
            // The host makes these up where there is no answer.
            Answer::Whole(503 | 504, _) | Answer::Broken => Said::Nothing(CallError::NoAnswer),
            Answer::Whole(status, _) => Said::Nothing(CallError::Status(status)),
        };
        Some(Told { said, waiters, paid, name, wall })
    }

    /// Until when it is believed that a token is active, at most.
    #[must_use]
    pub const fn until(&self, sent: Instant) -> Instant {
        sent.after(self.settings.cache)
    }

    /// Remembers that a token is active.
    pub fn know(&mut self, place: Place, verified: Verified) {
        self.tokens.know(place, Rc::new(verified));
    }

    /// Remembers that a token is refused.
    pub fn refuse(&mut self, place: Place, reason: Reason, sent: Instant) {
        self.tokens.refuse(place, reason, None, sent.after(self.settings.cache_refused));
    }

    /// The calls to be made now.
    pub fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }
}
