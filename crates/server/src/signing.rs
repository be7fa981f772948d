//! Owns the secrets that owners of keys sign requests with: made here, shown once, sealed in the store, and told to nodes alone. Must not know
//! how requests are signed.

use tollgate_core::wire;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::secrets::{Secrets, Shown, random_id};
pub use crate::store::api_keys::Signing;

/// What a secret is sealed for.
pub(crate) const PURPOSE: &str = "request signing secret";
/// Characters of a secret: 256 bits.
const LENGTH: usize = 43;

impl Signing {
    /// Whether there is no secret.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// Makes the secret of a key, where it has one: to be kept, and to be shown.
    pub(crate) fn make(self, secrets: &Secrets, id: &str) -> Result<Option<(Vec<u8>, Shown)>, Failure> {
        if self.is_none() {
            return Ok(None);
        }
        let secret = Zeroizing::new(random_id(LENGTH)?);
        Ok(Some((secrets.protect(PURPOSE, id, secret.as_bytes())?, Shown::new(secret))))
    }

    /// What a node is told.
    pub(crate) fn tell(self, secrets: &Secrets, id: &str, sealed: Option<&[u8]>) -> Result<Option<wire::Signing>, Failure> {
        let Some(sealed) = sealed else {
            return Ok(None);
        };
        let secret = secrets.reveal(PURPOSE, id, sealed)?;
        let secret =
            String::from_utf8(secret.to_vec()).map_err(|_| Failure::Internal { private: "a signing secret is no text".to_owned() })?;
        Ok(Some(wire::Signing { secret, required: self == Self::Required }))
    }
}
