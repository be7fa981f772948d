//! Owns how nodes agree that a signature is taken once on all of them. Must not know what is signed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FORMAT, VERSION, is_spoken};
use crate::json;

/// The most nonces in one message.
pub const MOST_NONCES: usize = 256;
/// For how long a nonce can be taken at most, in milliseconds: longer than any signature is taken.
pub const LONGEST_NONCE_MS: u64 = 7_200_000;

/// A node wants to take nonces: each is given to the first that asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeNonces {
    /// At most [`MOST_NONCES`].
    pub nonces: Vec<Nonce>,
}

/// What tells a signature from all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nonce {
    /// SHA-256 of whose it is and of the nonce: 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// For how long no other node may take it: 1 to [`LONGEST_NONCE_MS`].
    pub for_ms: u64,
}

/// What became of nonces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenNonces {
    /// Of each, in order: whether nobody had taken it before.
    pub first: Vec<bool>,
}

impl TakeNonces {
    /// Writes a message of SHA-256s and milliseconds, as [`encode`](super::encode) would: in the module this is smaller.
    #[must_use]
    pub fn write(nonces: impl Iterator<Item = ([u8; 32], u64)>) -> Vec<u8> {
        let mut message = format!("{{\"wire\":\"{FORMAT}/{VERSION}\",\"nonces\":[");
        for (position, (sha256, for_ms)) in nonces.enumerate() {
            message.push_str(if position == 0 { "{\"sha256\":\"" } else { ",{\"sha256\":\"" });
            let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
            message.extend(sha256.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
            message.push_str("\",\"for_ms\":");
            message.push_str(&for_ms.to_string());
            message.push('}');
        }
        message.push_str("]}");
        message.into_bytes()
    }
}

impl TakenNonces {
    /// Reads a message as [`decode`](super::decode) would: in the module this is smaller. `None`: it is none.
    #[must_use]
    pub fn read(message: &[u8]) -> Option<Self> {
        let message = json::object(message)?;
        if !is_spoken(message.get("wire")?.as_str()?) {
            return None;
        }
        let first = message.get("first")?.as_array()?;
        Some(Self { first: first.iter().map(Value::as_bool).collect::<Option<_>>()? })
    }
}
