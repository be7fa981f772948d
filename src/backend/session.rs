//! Owns how the node authorizes itself: its incarnation, and the token that its workers share. Must not know what is asked with it.

use tollgate_core::policy;
use tollgate_core::time::Instant;
use tollgate_core::wire::{self, Hello, Welcome};

use super::pace::Pace;
use crate::call::{Answer, Call, CallError, Purpose, milliseconds};
use crate::shared::{Broken, SharedData};

/// Where the incarnation's secret is kept: 16 random bytes, made by whichever worker is first. It ends with the process.
const INCARNATION: &str = "tollgate/1/incarnation";
/// A token has at most so many characters.
const LONGEST_TOKEN: usize = 512;
/// Tokens are taken to be valid for at most a day.
const LONGEST_LIFE_MS: u64 = 86_400_000;
/// How often the node says hello at most, whatever becomes of the tokens it gets.
const HELLO_EVERY: u64 = 250_000_000;

/// This worker's view of the node's authorization.
#[derive(Debug)]
pub(super) struct Session {
    /// Where the token is kept.
    key: String,
    token: Option<Token>,
    /// Since when this worker uses that token.
    since: Instant,
    hello: Pace,
}

#[derive(Clone, PartialEq, Eq)]
struct Token {
    text: String,
    /// When it is no longer used.
    ends: Instant,
    /// When another one is asked for.
    renew_at: Instant,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(…)")
    }
}

impl Session {
    pub(super) fn new(prefix: &str) -> Self {
        Self { key: format!("{prefix}/token"), token: None, since: Instant(0), hello: Pace::default() }
    }

    /// The value of `authorization`, if there is a token.
    pub(super) fn authorization(&self, now: Instant) -> Option<String> {
        let token = self.token.as_ref().filter(|token| now < token.ends)?;
        Some(format!("Bearer {}", token.text))
    }

    /// Follows what the workers share: another token, or that there is none any longer. The one that listens hears of neither otherwise.
    pub(super) fn look(&mut self, now: Instant, shared: &mut impl SharedData) -> Result<(), Broken> {
        let mut value = Vec::new();
        if shared.get(&self.key, &mut value)?.is_some() {
            // One that cannot be read is none: the listener gets another and writes that in its place.
            let token = Token::decode(&value).filter(|token| now < token.ends);
            if token != self.token {
                (self.token, self.since) = (token, now);
            }
        }
        Ok(())
    }

    /// A hello, if it is time for one.
    pub(super) fn hello(&mut self, settings: &policy::Backend, node: &str, now: Instant, secret: &str) -> Option<Call> {
        if self.token.as_ref().is_some_and(|token| now < token.renew_at) || !self.hello.may(now) {
            return None;
        }
        let hello = Hello { incarnation_secret: secret.to_owned(), node: node.to_owned(), module: env!("CARGO_PKG_VERSION").to_owned() };
        let timeout_ms = milliseconds(settings.timeout);
        self.hello.started(now, timeout_ms);
        // A secret that is not text is no credential of ours; the backend will say so.
        let credential = String::from_utf8_lossy(settings.credential.expose());
        Some(Call {
            purpose: Purpose::Hello,
            method: "POST",
            path: "/internal/v1/incarnations".to_owned(),
            authorization: format!("Bearer {}", credential.trim()),
            body: wire::encode(&hello).ok()?,
            timeout_ms,
        })
    }

    /// Takes the answer to a hello.
    pub(super) fn welcomed(&mut self, answer: Answer<'_>, now: Instant, shared: &mut impl SharedData) -> Result<(), CallError> {
        let token = answer.body().and_then(|body| Token::from_welcome(body, now).ok_or(CallError::Failed));
        match token {
            Ok(token) => {
                self.hello.succeeded(now, HELLO_EVERY);
                // Where the others cannot be told, each of them will ask itself once it leads.
                let _ = self.store(&token.encode(), shared);
                (self.token, self.since) = (Some(token), now);
                Ok(())
            }
            Err(error) => {
                self.hello.failed(now);
                Err(error)
            }
        }
    }

    /// The token of a call that was sent at an instant was not accepted: nobody on this node uses it any longer.
    pub(super) fn refused(&mut self, sent: Instant, shared: &mut impl SharedData) {
        // Otherwise it was another one, which has been replaced meanwhile.
        if let Some(token) = self.token.take_if(|_| self.since <= sent) {
            let mut value = Vec::new();
            if let Ok(Some(_)) = shared.get(&self.key, &mut value)
                && value == token.encode()
            {
                let _ = self.store(&[], shared);
            }
        }
    }

    fn store(&self, value: &[u8], shared: &mut impl SharedData) -> Result<(), Broken> {
        let mut old = Vec::new();
        let version = shared.get(&self.key, &mut old)?;
        // Whoever was faster has a newer one.
        shared.set(&self.key, value, version).map(|_| ())
    }
}

impl Token {
    fn from_welcome(body: &[u8], now: Instant) -> Option<Self> {
        let Welcome { token: text, expires_in_ms } = wire::decode(body).ok()?;
        let life = expires_in_ms.min(LONGEST_LIFE_MS) * 1_000_000;
        Self { text, ends: now.after(life / 10 * 9), renew_at: now.after(life / 2) }.checked()
    }

    /// The token, if it may stand in a header.
    fn checked(self) -> Option<Self> {
        let fits = (1..=LONGEST_TOKEN).contains(&self.text.len()) && self.text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then_some(self)
    }

    fn encode(&self) -> Vec<u8> {
        [&self.ends.0.to_le_bytes(), &self.renew_at.0.to_le_bytes(), self.text.as_bytes()].concat()
    }

    /// The token in a shared value; `None` if there is none in it.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (ends, bytes) = bytes.split_first_chunk::<8>()?;
        let (renew_at, text) = bytes.split_first_chunk::<8>()?;
        let instant = |bytes: &[u8; 8]| Instant(u64::from_le_bytes(*bytes));
        Self { text: String::from_utf8(text.to_vec()).ok()?, ends: instant(ends), renew_at: instant(renew_at) }.checked()
    }
}

/// The secret of this life of the node, as 32 hexadecimal digits; `own` if this worker is the first to ask.
pub(super) fn incarnation_secret(own: &[u8; 16], shared: &mut impl SharedData) -> Result<String, Broken> {
    let mut value = Vec::new();
    if shared.get(INCARNATION, &mut value)?.is_none() {
        if shared.set(INCARNATION, own, None)? {
            value = own.to_vec();
        } else {
            shared.get(INCARNATION, &mut value)?;
        }
    }
    if value.len() != own.len() {
        return Err(Broken);
    }
    Ok(super::hex(&value))
}
