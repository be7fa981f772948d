//! Owns API keys: their making, rotation and end. Must not keep one: the store has hashes, and a key is shown once.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::failure::Failure;
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::secrets::{Secrets, Shown};
use crate::store::{Store, Write};

/// The longest a rotated key may go on, in seconds: 30 days.
pub const LONGEST_OVERLAP: u32 = 30 * 86_400;
/// How long a rotated key goes on where nothing is said, in seconds: a day.
pub const USUAL_OVERLAP: u32 = 86_400;

/// An API key, without the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiKey {
    /// Its id: the one inside the key.
    pub id: String,
    /// The id of its consumer.
    pub consumer: String,
    /// What its owner calls it.
    pub label: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// Whether it passes, and if not, why.
    pub status: Status,
    /// When it was made.
    pub created_at: Time,
    /// When it ends, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// When a node last saw it, to within some seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
    /// The id of the key it was made to replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The id of the key that was made to replace it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    /// Counts its changes; use is none.
    pub version: u32,
}

/// Whether a key passes; its consumer may be disabled all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It passes.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

/// A key to be made for any consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// The id of its consumer.
    pub consumer: String,
    /// What its owner calls it: at most 128 characters. Default: nothing.
    #[serde(default)]
    pub label: String,
    /// What it may be used for: at most 32 scopes of `[A-Za-z0-9:._/*-]{1,64}`. Default: none.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// When it ends. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// A key that exists already, from elsewhere. Default: a new one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<Import>,
}

/// A key from elsewhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Import {
    /// Its unsalted SHA-256: 64 lower-case hexadecimal digits.
    Sha256(String),
    /// The key itself: 20 to 512 visible ASCII characters.
    Key(String),
}

/// A key to be made for one's own consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewOwnKey {
    /// What its owner calls it: at most 128 characters. Default: nothing.
    pub label: String,
    /// What it may be used for: at most 32 scopes of `[A-Za-z0-9:._/*-]{1,64}`. Default: none.
    pub scopes: Vec<String>,
    /// When it ends. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// What of a key is to change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiKeyPatch {
    /// What its owner calls it from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it may be used for from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// When it ends; null: never.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<Time>)]
    pub expires_at: Option<Option<Time>>,
}

/// How a key is to be rotated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rotate {
    /// How long the old key goes on, in seconds: 0 to 2,592,000 (30 days). Default: 86,400 (a day).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 2_592_000)]
    pub overlap_seconds: Option<u32>,
    /// When the new key ends. Default: after as long as the old one was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// A key just made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Created {
    /// What is known of it.
    #[serde(flatten)]
    pub key: ApiKey,
    /// The key itself, shown this once. Not there if it was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub api_key: Option<Shown>,
}

/// A key just rotated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rotated {
    /// The new key.
    #[serde(flatten)]
    pub created: Created,
    /// The old key, with its end.
    pub replaced: ApiKey,
}

/// Which keys are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Of this consumer.
    pub consumer: Option<String>,
}

/// Whose keys an operation may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those of the principal's organisation, or all: the paths under `/api/v1/keys`.
    All,
    /// Those of the principal's own consumer: the paths under `/api/v1/developer/keys`.
    Own,
}

/// The keys this principal may see.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be; [`Failure::Conflict`] for [`Reach::Own`] without a consumer.
pub async fn list(
    _store: &Store,
    _principal: &Principal,
    _reach: Reach,
    _filter: &Filter,
    _page: &Page,
) -> Result<Listing<ApiKey>, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// One key.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn get(_store: &Store, _principal: &Principal, _reach: Reach, _id: &str) -> Result<ApiKey, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Makes a key, or takes one over from elsewhere.
///
/// # Errors
/// [`Failure::Invalid`], also where there is no such consumer; [`Failure::Conflict`] where the key is there already.
pub async fn create(_write: &mut Write, _secrets: &Secrets, _principal: &Principal, _new: NewApiKey) -> Result<Created, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Makes a key for the principal's own consumer.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Conflict`] where the principal has no consumer, or a disabled one.
pub async fn create_own(_write: &mut Write, _secrets: &Secrets, _principal: &Principal, _new: NewOwnKey) -> Result<Created, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Changes a key, and tells the nodes; `version` is the one the caller knows, if it says so.
///
/// # Errors
/// [`Failure::Invalid`], [`Failure::NotFound`], [`Failure::Stale`]; [`Failure::Conflict`] where the key has ended.
pub async fn update(
    _write: &mut Write,
    _principal: &Principal,
    _id: &str,
    _version: Option<u32>,
    _patch: ApiKeyPatch,
) -> Result<ApiKey, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Makes a key that replaces another, which goes on for a while.
///
/// # Errors
/// [`Failure::Invalid`], [`Failure::NotFound`]; [`Failure::Conflict`] where the key has ended or was replaced before.
pub async fn rotate(
    _write: &mut Write,
    _secrets: &Secrets,
    _principal: &Principal,
    _reach: Reach,
    _id: &str,
    _rotate: Rotate,
) -> Result<Rotated, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Revokes a key, and tells the nodes. Revoking it again does nothing.
///
/// # Errors
/// [`Failure::NotFound`], [`Failure::Stale`].
pub async fn revoke(_write: &mut Write, _principal: &Principal, _reach: Reach, _id: &str, _version: Option<u32>) -> Result<(), Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

impl std::fmt::Debug for Import {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Sha256(_) => "Sha256(…)",
            Self::Key(_) => "Key(…)",
        })
    }
}

/// Tells a field that is null from one that is not there.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Time>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
