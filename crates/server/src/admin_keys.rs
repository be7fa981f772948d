//! Owns admin keys: what the public API itself is used with. Must not know what they may do: `permission` does.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::failure::Failure;
use crate::page::{Listing, Page};
use crate::permission::{Principal, Role};
use crate::secrets::{Secrets, Shown};
use crate::store::{Store, Write};

/// The prefix of admin keys.
pub const PREFIX: &str = "tga";

/// An admin key, without the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AdminKey {
    /// Its id: the one inside the key.
    pub id: String,
    /// What its owner calls it.
    pub label: String,
    /// What it may do.
    pub role: Role,
    /// The organisation it is bound to; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The consumer a developer is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it ends, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
}

/// An admin key to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAdminKey {
    /// What its owner calls it: at most 128 characters. Default: nothing.
    #[serde(default)]
    pub label: String,
    /// What it may do.
    pub role: Role,
    /// The organisation an operator or a viewer is bound to. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The consumer a developer is bound to; only and always for developers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// When it ends. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// An admin key just made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreatedAdminKey {
    /// What is known of it.
    #[serde(flatten)]
    pub key: AdminKey,
    /// The key itself, shown this once.
    #[schema(value_type = String)]
    pub admin_key: Shown,
}

/// The admin keys this principal may see.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be.
pub async fn list(_store: &Store, _principal: &Principal, _page: &Page) -> Result<Listing<AdminKey>, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Makes an admin key.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Forbidden`] to principals bound to an organisation.
pub async fn create(_write: &mut Write, _secrets: &Secrets, _principal: &Principal, _new: NewAdminKey) -> Result<CreatedAdminKey, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Revokes an admin key. Revoking it again does nothing.
///
/// # Errors
/// [`Failure::NotFound`]; [`Failure::Conflict`] for the last key of an administrator: nobody could make another.
pub async fn revoke(_write: &mut Write, _principal: &Principal, _id: &str) -> Result<(), Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Whose a presented key is; `None`: nobody's that may pass.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn authenticate(_store: &Store, _secrets: &Secrets, _presented: &str) -> Result<Option<Principal>, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}
