//! Owns requests that come twice: the second gets the answer of the first. Must not keep an answer or a client's key readable.
//!
//! The answer may show a key. It is sealed under a key made from the pepper and the client's `Idempotency-Key`, of which the store has only a
//! hash: so neither the store nor the pepper alone opens it.

use crate::failure::Failure;
use crate::permission::Principal;
use crate::secrets::Secrets;
use crate::store::Write;

/// A request that may come twice.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    key: String,
    request: Vec<u8>,
}

impl Attempt {
    /// A request with a client's `Idempotency-Key`.
    ///
    /// # Errors
    /// [`Failure::Invalid`] unless the key is 1 to 128 visible ASCII characters.
    pub fn new(key: &str, method: &str, path: &str, body: &[u8]) -> Result<Self, Failure> {
        let _ = (key, method, path, body);
        Err(Failure::Unavailable { private: String::new() })
    }
}

/// The answer remembered for this request, if it came before.
///
/// # Errors
/// [`Failure::Conflict`] if another request came with this key.
pub async fn replay(
    _write: &mut Write,
    _secrets: &Secrets,
    _principal: &Principal,
    _attempt: &Attempt,
) -> Result<Option<Vec<u8>>, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Remembers the answer for 24 hours, in the same transaction as what it tells of. `answer` is what [`replay`] gives back: any bytes.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn remember(
    _write: &mut Write,
    _secrets: &Secrets,
    _principal: &Principal,
    _attempt: &Attempt,
    _answer: &[u8],
) -> Result<(), Failure> {
    Err(Failure::Unavailable { private: String::new() })
}
