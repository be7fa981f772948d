//! Owns nodes: their credentials, their incarnations, and the tokens that stand for an incarnation. Must not know what a node asks.

use serde::{Deserialize, Serialize};
use tollgate_core::wire::{Hello, Welcome};

use crate::clock::Time;
use crate::failure::Failure;
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::secrets::{Secrets, Shown};
use crate::store::{Store, Write};

/// The prefix of node credentials.
pub const PREFIX: &str = "tgn";

/// One life of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Node {
    /// 32 hexadecimal digits: this life.
    pub incarnation: String,
    /// The id of the credential it came with.
    pub credential: String,
    /// What it calls itself, which proves nothing.
    pub node: String,
    /// The version of its module.
    pub module: String,
    /// When it first said hello.
    pub first_seen_at: Time,
    /// When it last said hello or reported; it says hello every ten minutes.
    pub last_seen_at: Time,
    /// The highest number of its reports.
    pub last_sequence: u64,
}

/// A node credential, without the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NodeCredential {
    /// Its id: the one inside it.
    pub id: String,
    /// What its owner calls it.
    pub label: String,
    /// When it was made.
    pub created_at: Time,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
}

/// A node credential to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewNodeCredential {
    /// What its owner calls it: at most 128 characters. Default: nothing.
    pub label: String,
}

/// A node credential just made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreatedNodeCredential {
    /// What is known of it.
    #[serde(flatten)]
    pub credential: NodeCredential,
    /// The credential itself, shown this once.
    #[schema(value_type = String)]
    pub node_credential: Shown,
}

/// Whom a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incarnation {
    /// The id of the node's credential.
    pub credential: String,
    /// 32 hexadecimal digits: this life of the node.
    pub incarnation: String,
}

/// The nodes, those seen last week.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be; [`Failure::Forbidden`] to principals bound to an organisation, because nodes serve all.
pub async fn list(_store: &Store, _principal: &Principal, _page: &Page) -> Result<Listing<Node>, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// The node credentials.
///
/// # Errors
/// As for [`list`].
pub async fn credentials(_store: &Store, _principal: &Principal, _page: &Page) -> Result<Listing<NodeCredential>, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Makes a node credential.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Forbidden`] to principals bound to an organisation.
pub async fn create_credential(
    _write: &mut Write,
    _secrets: &Secrets,
    _principal: &Principal,
    _new: NewNodeCredential,
) -> Result<CreatedNodeCredential, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Revokes a node credential, and with it the tokens it was traded for. Revoking it again does nothing.
///
/// # Errors
/// [`Failure::NotFound`]; [`Failure::Forbidden`] to principals bound to an organisation.
pub async fn revoke_credential(_write: &mut Write, _principal: &Principal, _id: &str) -> Result<(), Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Whose a presented node credential is; `None`: nobody's that may pass.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn authenticate(_store: &Store, _secrets: &Secrets, _presented: &str) -> Result<Option<NodeCredential>, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Takes a node in and gives it a token, good for ten minutes.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Forbidden`] where the incarnation came with another credential before.
pub async fn hello(_write: &mut Write, _secrets: &Secrets, _credential: &NodeCredential, _hello: &Hello) -> Result<Welcome, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}

/// Whom a presented token stands for; `None`: it is none, is over, or its credential was revoked. Reads memory alone.
#[must_use]
pub fn authorize(_store: &Store, _secrets: &Secrets, _presented: &str) -> Option<Incarnation> {
    None
}
