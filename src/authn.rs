//! Owns authentication: which credential a request carries, and whose it is. Must not know limits or answers.

pub mod api_key;
pub mod credential;
pub mod key_cache;
pub mod place;
pub mod revoked;
pub mod token_cache;
