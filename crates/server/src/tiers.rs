//! Owns tiers: named sets of limits that consumers are in. Must not judge limits itself: `tollgate_core::config` does.

use serde::{Deserialize, Serialize};
use tollgate_core::config::document::Limit;

use crate::clock::Time;
use crate::failure::Failure;
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::store::{Store, Write};

/// A tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// Its limits; none: unlimited.
    #[schema(value_type = Vec<Object>)]
    pub limits: Vec<Limit>,
    /// Whether anybody may take a key in it without being asked who they are.
    pub self_service: bool,
    /// Counts its changes.
    pub version: u32,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}

/// A tier to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTier {
    /// Its name: 1 to 64 lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// Its limits, at most 8; none: unlimited.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub limits: Vec<Limit>,
    /// Whether anybody may take a key in it without being asked who they are. Default: false.
    #[serde(default)]
    pub self_service: bool,
}

/// What a tier is from now on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TierBody {
    /// Its limits, at most 8; none: unlimited.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub limits: Vec<Limit>,
    /// Whether anybody may take a key in it without being asked who they are. Default: false.
    #[serde(default)]
    pub self_service: bool,
}

/// What putting a tier did.
#[derive(Clone, Debug, PartialEq)]
pub struct Put {
    /// The tier as it is now.
    pub tier: Tier,
    /// There was none of this name.
    pub created: bool,
}

/// All tiers.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be.
pub async fn list(_store: &Store, _principal: &Principal, _page: &Page) -> Result<Listing<Tier>, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// One tier.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn get(_store: &Store, _principal: &Principal, _name: &str) -> Result<Tier, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Makes a tier.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Conflict`] where the name is taken; [`Failure::Forbidden`] to principals bound to an organisation,
/// because tiers are everybody's.
pub async fn create(_write: &mut Write, _principal: &Principal, _new: NewTier) -> Result<Tier, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Gives a tier these limits, and tells the nodes; makes it where there is none. `version` is the one the caller knows, if it says so.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Stale`], also where a version is given and there is no tier; [`Failure::Forbidden`] as for [`create`].
pub async fn put(_write: &mut Write, _principal: &Principal, _name: &str, _version: Option<u32>, _body: TierBody) -> Result<Put, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Deletes a tier.
///
/// # Errors
/// [`Failure::Conflict`] while a consumer is in it; [`Failure::NotFound`], [`Failure::Stale`]; [`Failure::Forbidden`] as for [`create`].
pub async fn delete(_write: &mut Write, _principal: &Principal, _name: &str, _version: Option<u32>) -> Result<(), Failure> {
    Err(Failure::Unavailable { private: String::new() })
}
