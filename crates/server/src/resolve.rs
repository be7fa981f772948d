//! Owns the answer to "whose credential is this?". Must not tell revoked, expired, disabled and unknown apart.

use tollgate_core::wire::{Resolve, Resolved};

use crate::failure::Failure;
use crate::secrets::Secrets;
use crate::store::Store;

/// Whose a credential is, and the revision that was read at: both from one snapshot.
///
/// # Errors
/// [`Failure::Invalid`] if the hash is none; [`Failure::Unavailable`].
pub async fn resolve(_store: &Store, _secrets: &Secrets, _resolve: &Resolve) -> Result<Resolved, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}
