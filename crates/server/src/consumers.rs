//! Owns consumers: who is billed, by which tier, and whether they may pass. Must not know what credentials they have.

use serde::{Deserialize, Deserializer, Serialize};

use crate::clock::Time;
use crate::failure::Failure;
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::store::{Store, Write};

/// A consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Consumer {
    /// Its id.
    pub id: String,
    /// The id of its organisation.
    pub organisation: String,
    /// Its name, for people.
    pub name: String,
    /// Where it can be written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The name of its tier.
    pub tier: String,
    /// None of its credentials pass.
    pub disabled: bool,
    /// Counts its changes.
    pub version: u32,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}

/// A consumer to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConsumer {
    /// Its id: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`. Default: a random one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The id of its organisation. Default: the principal's, else `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Its name: 1 to 128 characters.
    pub name: String,
    /// Where it can be written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The name of its tier.
    pub tier: String,
    /// None of its credentials pass. Default: false.
    #[serde(default)]
    pub disabled: bool,
}

/// What of a consumer is to change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsumerPatch {
    /// Its name from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it can be written to from now on; null: nowhere.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub email: Option<Option<String>>,
    /// The name of its tier from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Whether none of its credentials pass from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// Which consumers are listed: all that agree with everything given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Of this organisation.
    pub organisation: Option<String>,
    /// In this tier.
    pub tier: Option<String>,
}

/// The consumers this principal may see.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be.
pub async fn list(_store: &Store, _principal: &Principal, _filter: &Filter, _page: &Page) -> Result<Listing<Consumer>, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// One consumer.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn get(_store: &Store, _principal: &Principal, _id: &str) -> Result<Consumer, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Makes a consumer.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Conflict`] where the id is or was somebody's.
pub async fn create(_write: &mut Write, _principal: &Principal, _new: NewConsumer) -> Result<Consumer, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Changes a consumer, and tells the nodes; `version` is the one the caller knows, if it says so.
///
/// # Errors
/// [`Failure::Invalid`], [`Failure::NotFound`], [`Failure::Stale`].
pub async fn update(
    _write: &mut Write,
    _principal: &Principal,
    _id: &str,
    _version: Option<u32>,
    _patch: ConsumerPatch,
) -> Result<Consumer, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Ends a consumer: its credentials are revoked, its id is never given again, and what it used stays accounted for.
///
/// # Errors
/// [`Failure::NotFound`], [`Failure::Stale`].
pub async fn delete(_write: &mut Write, _principal: &Principal, _id: &str, _version: Option<u32>) -> Result<(), Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Tells a field that is null from one that is not there.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
