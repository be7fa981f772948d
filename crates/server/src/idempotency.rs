//! Owns requests that come twice: the second gets the answer of the first. Must not keep an answer or a client's key readable.
//!
//! The answer may show a key. It is sealed under a key made from the pepper and the client's `Idempotency-Key`, of which the store has
//! only a hash: so neither the store nor the pepper alone opens it.

use std::time::Duration;

use ring::digest::{SHA256, digest};

use crate::failure::Failure;
use crate::permission::Principal;
use crate::secrets::Secrets;
use crate::store::Write;
use crate::store::answers::{self, Row};

/// How long an answer is remembered.
pub const REMEMBERED: Duration = Duration::from_secs(86_400);
/// The most characters of a client's key.
const LONGEST_KEY: usize = 128;
/// The field that a client's key comes in.
const FIELD: &str = "Idempotency-Key";

/// A request that may come twice.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    key: String,
    /// SHA-256 over what is asked.
    request: Vec<u8>,
}

impl Attempt {
    /// A request with a client's `Idempotency-Key`.
    ///
    /// # Errors
    /// [`Failure::Invalid`] unless the key is 1 to 128 visible ASCII characters.
    pub fn new(key: &str, method: &str, path: &str, body: &[u8]) -> Result<Self, Failure> {
        if !(1..=LONGEST_KEY).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::invalid(FIELD, format!("1 to {LONGEST_KEY} visible ASCII characters")));
        }
        // Neither a method nor a path has a line's end in it.
        let request = digest(&SHA256, &[format!("{method}\n{path}\n").as_bytes(), body].concat()).as_ref().to_vec();
        Ok(Self { key: key.to_owned(), request })
    }

    /// What the answer is sealed with beside the pepper: only this client has it.
    fn word<'a>(&'a self, principal: &'a Principal) -> [&'a [u8]; 2] {
        [principal.name.as_bytes(), self.key.as_bytes()]
    }

    /// What the row is found by, under each pepper.
    fn ids(&self, secrets: &Secrets, principal: &Principal) -> Vec<[u8; 32]> {
        secrets.names("answer 1", &self.word(principal))
    }

    /// What the request is told from others by, under each pepper. Not its bare hash: a body may hold a key that could be guessed.
    fn requests(&self, secrets: &Secrets, principal: &Principal) -> Vec<[u8; 32]> {
        secrets.names("request 1", &[principal.name.as_bytes(), self.key.as_bytes(), &self.request])
    }
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Attempt(…)")
    }
}

/// The answer remembered for this request, if it came before.
///
/// # Errors
/// [`Failure::Conflict`] if another request came with this key.
pub async fn replay(write: &mut Write, secrets: &Secrets, principal: &Principal, attempt: &Attempt) -> Result<Option<Vec<u8>>, Failure> {
    let oldest = write.now().before(REMEMBERED);
    for id in attempt.ids(secrets, principal) {
        let Some(found) = answers::get(write, &id).await?.filter(|found| found.at >= oldest) else {
            continue;
        };
        if !attempt.requests(secrets, principal).iter().any(|request| *request == found.request.as_slice()) {
            return Err(Failure::conflict(FIELD, "another request came with this key"));
        }
        return secrets.open(&attempt.word(principal), &id, &found.answer).map(Some);
    }
    Ok(None)
}

/// Remembers the answer for 24 hours, in the same transaction as what it tells of. `answer` is what [`replay`] gives back: any bytes.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn remember(
    write: &mut Write,
    secrets: &Secrets,
    principal: &Principal,
    attempt: &Attempt,
    answer: &[u8],
) -> Result<(), Failure> {
    let newest = |names: Vec<[u8; 32]>| names.first().copied().ok_or_else(|| Failure::Internal { private: "no pepper".to_owned() });
    let id = newest(attempt.ids(secrets, principal))?;
    let request = newest(attempt.requests(secrets, principal))?;
    let answer = secrets.seal(&attempt.word(principal), &id, answer)?;
    let row = Row { id: id.to_vec(), request: request.to_vec(), answer, at: write.now() };
    answers::insert(write, &row, write.now().before(REMEMBERED)).await?;
    Ok(())
}
