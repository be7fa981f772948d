//! Owns organisations: whose consumers are. Must not know what a consumer is.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::failure::Failure;
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::store::{Store, Write};

/// The organisation that exists from the start.
pub const DEFAULT: &str = "default";

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Organisation {
    /// Its id.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Counts its changes.
    pub version: u32,
    /// When it was made.
    pub created_at: Time,
}

/// An organisation to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrganisation {
    /// Its id: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`. Default: a random one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name: 1 to 128 characters.
    pub name: String,
}

/// What of an organisation is to change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OrganisationPatch {
    /// Its name from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The organisations this principal may see.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be.
pub async fn list(_store: &Store, _principal: &Principal, _page: &Page) -> Result<Listing<Organisation>, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// One organisation.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn get(_store: &Store, _principal: &Principal, _id: &str) -> Result<Organisation, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Makes an organisation.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Conflict`] where the id is taken; [`Failure::Forbidden`] to principals bound to an organisation.
pub async fn create(_write: &mut Write, _principal: &Principal, _new: NewOrganisation) -> Result<Organisation, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Changes an organisation; `version` is the one the caller knows, if it says so.
///
/// # Errors
/// [`Failure::Invalid`], [`Failure::NotFound`], [`Failure::Stale`].
pub async fn update(
    _write: &mut Write,
    _principal: &Principal,
    _id: &str,
    _version: Option<u32>,
    _patch: OrganisationPatch,
) -> Result<Organisation, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}
