//! Owns keys for the asking: anybody may take one in a tier that is marked `self_service`. Must not tell whether an address is known.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::failure::Failure;
use crate::secrets::{Secrets, Shown};
use crate::store::Write;

/// Who asks for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSelfServiceKey {
    /// The name of a tier that is marked `self_service`.
    #[schema(examples("free"))]
    pub tier: String,
    /// Where the consumer can be written to.
    #[schema(examples("user@example.com"))]
    pub email: String,
}

/// The key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SelfServiceKey {
    /// The key itself, shown this once.
    #[schema(value_type = String)]
    pub api_key: Shown,
    /// The name of its tier.
    pub tier: String,
    /// When it was made.
    pub created_at: Time,
}

/// Makes a consumer and a key for it. How often is for the caller to limit.
///
/// # Errors
/// [`Failure::Invalid`], also for a tier that is not marked `self_service`.
pub async fn create(_write: &mut Write, _secrets: &Secrets, _new: NewSelfServiceKey) -> Result<SelfServiceKey, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}
