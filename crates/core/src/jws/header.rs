//! Owns the header of a token: what of it is read, and what it may not ask for. Must not choose keys.

use super::{Algorithm, Malformed};
use crate::json;

/// The longest key id that is looked for, in bytes; no set of keys here has a longer one.
pub const LONGEST_KEY_ID: usize = 256;

/// What of a header matters (RFC 7515, section 4.1). `jku`, `jwk`, `x5u` and `x5c` would let a token bring its own key: they are not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`.
    pub key_id: Option<String>,
    /// `typ`, in lower case and without `application/`.
    pub kind: Option<String>,
}

impl Header {
    /// Reads a decoded header.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn read(json: &[u8]) -> Result<Self, Malformed> {
        let members = json::object(json).ok_or(Malformed::Header)?;
        // `crit` must be refused where one of its names is not understood, and none is (section 4.1.11). `b64` changes what is signed
        // (RFC 7797). `zip` and `enc` are of encrypted tokens.
        if ["crit", "b64", "zip", "enc"].iter().any(|name| members.contains_key(*name)) {
            return Err(Malformed::Critical);
        }
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(serde_json::Value::String(text)) if text.len() <= LONGEST_KEY_ID => Ok(Some(text.as_str())),
            Some(_) => Err(Malformed::Header),
        };
        let lower = |text: &str| {
            let text = text.to_ascii_lowercase();
            text.strip_prefix("application/").map(str::to_owned).unwrap_or(text)
        };
        let content = text("cty")?.map(lower);
        if content.is_some_and(|content| content == "jwt" || content.ends_with("+jwt")) {
            return Err(Malformed::Critical);
        }
        let algorithm = text("alg")?.and_then(Algorithm::from_name).ok_or(Malformed::Algorithm)?;
        Ok(Self { algorithm, key_id: text("kid")?.map(str::to_owned), kind: text("typ")?.map(lower) })
    }
}
