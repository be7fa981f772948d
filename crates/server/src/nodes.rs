//! Owns nodes: their credentials, their incarnations, and the tokens that stand for an incarnation. Must not know what a node asks.

mod token;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tollgate_core::credential::digest;
use tollgate_core::wire::{Hello, Welcome};

use crate::audit::noted::Noted;
use crate::clock::Time;
use crate::failure::{Failure, Problems};
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::rotation::rehash;
use crate::secrets::{Purpose, Secrets, Shown};
use crate::store::nodes as rows;
use crate::store::secret_versions::HashedIn;
use crate::store::{Store, Write};

pub use crate::store::nodes::{Node, NodeCredential};

/// How long a token is good.
pub const TOKEN_LIFE: Duration = Duration::from_secs(600);
/// How long an incarnation is remembered that is not heard of: longer than any node is cut off and still the same process.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

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

/// The nodes, each life of one an item; one that has not been heard of for 30 days is forgotten.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be; [`Failure::Forbidden`] to principals bound to an organisation, because nodes serve all.
pub async fn list(store: &Store, principal: &Principal, page: &Page) -> Result<Listing<Node>, Failure> {
    principal.unbound()?;
    let rows = rows::list(&mut store.read().await?, page.window()?).await?;
    page.of(rows, |row| row, |node: &Node| &node.incarnation)
}

/// The node credentials.
///
/// # Errors
/// As for [`list`].
pub async fn credentials(store: &Store, principal: &Principal, page: &Page) -> Result<Listing<NodeCredential>, Failure> {
    principal.unbound()?;
    let rows = rows::credentials(&mut store.read().await?, page.window()?).await?;
    page.of(rows, |row| row, |credential: &NodeCredential| &credential.id)
}

/// Makes a node credential.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Forbidden`] to principals bound to an organisation.
pub async fn create_credential(
    write: &mut Write,
    secrets: &Secrets,
    principal: &Principal,
    new: NewNodeCredential,
) -> Result<CreatedNodeCredential, Failure> {
    principal.unbound()?;
    let mut problems = Problems::default();
    problems.label("label", &new.label);
    problems.finish()?;
    let issued = secrets.issue(Purpose::Node)?;
    let credential = NodeCredential { id: issued.id, label: new.label, created_at: write.now(), revoked_at: None };
    rows::insert_credential(write, &credential, &secrets.hash(&digest(issued.shown.expose().as_bytes()))?).await?;
    write.note(principal, "nodes:create_credential", &credential.id, Noted::made(&credential)).await?;
    Ok(CreatedNodeCredential { credential, node_credential: issued.shown })
}

/// Revokes a node credential, and with it the tokens it was traded for. Revoking it again does nothing.
///
/// # Errors
/// [`Failure::NotFound`]; [`Failure::Forbidden`] to principals bound to an organisation.
pub async fn revoke_credential(write: &mut Write, principal: &Principal, id: &str) -> Result<(), Failure> {
    principal.unbound()?;
    let found = rows::get_credential(write, id).await?.ok_or(Failure::NotFound)?.credential;
    if found.revoked_at.is_some() {
        return Ok(());
    }
    rows::revoke_credential(write, id).await?;
    write.note(principal, "nodes:revoke_credential", id, Noted::ended(&found)).await?;
    Ok(())
}

/// Whose a presented node credential is; `None`: nobody's that may pass.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn authenticate(store: &Store, secrets: &Secrets, presented: &str) -> Result<Option<NodeCredential>, Failure> {
    let Some(id) = secrets.recognise(Purpose::Node, presented) else {
        return Ok(None);
    };
    let Some(found) = rows::get_credential(&mut store.read().await?, id).await? else {
        return Ok(None);
    };
    let digest = digest(presented.as_bytes());
    if !secrets.matches(&found.hash, &digest).await? || found.credential.revoked_at.is_some() {
        return Ok(None);
    }
    rehash(store, secrets, HashedIn::NodeCredentials, id, &found.hash, &digest).await;
    Ok(Some(found.credential))
}

/// Takes a node in and gives it a token, good for ten minutes. It may come with another credential than before: that it has the secret
/// of its incarnation proves that it is the same.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Unavailable`].
pub async fn hello(write: &mut Write, secrets: &Secrets, credential: &NodeCredential, hello: &Hello) -> Result<Welcome, Failure> {
    judge(hello)?;
    let now = write.now();
    let incarnation = hello.incarnation();
    let known = rows::get(write, &incarnation).await?;
    rows::forget(write, now.before(REMEMBERED)).await?;
    let node = Node {
        incarnation,
        credential: credential.id.clone(),
        node: hello.node.clone(),
        module: hello.module.clone(),
        first_seen_at: known.as_ref().map_or(now, |known| known.first_seen_at),
        last_seen_at: now,
        last_sequence: known.map_or(0, |known| known.last_sequence),
    };
    rows::upsert(write, &node).await?;
    welcome(secrets, credential, hello, now)
}

/// Takes a node in of which nothing can be written now: a locked or full database must not keep nodes from what can be read. Its next hello
/// writes it down; until then its reports are not taken.
///
/// # Errors
/// [`Failure::Invalid`].
pub fn hello_unrecorded(store: &Store, secrets: &Secrets, credential: &NodeCredential, hello: &Hello) -> Result<Welcome, Failure> {
    judge(hello)?;
    welcome(secrets, credential, hello, store.now())
}

fn judge(hello: &Hello) -> Result<(), Failure> {
    let mut problems = Problems::default();
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_secret = hello.incarnation_secret.len() == 32 && hello.incarnation_secret.bytes().all(hexadecimal);
    problems.check(is_secret, "incarnation_secret", "32 lower-case hexadecimal digits");
    problems.label("node", &hello.node);
    problems.label("module", &hello.module);
    problems.finish()
}

fn welcome(secrets: &Secrets, credential: &NodeCredential, hello: &Hello, now: Time) -> Result<Welcome, Failure> {
    let incarnation = Incarnation { credential: credential.id.clone(), incarnation: hello.incarnation() };
    let expires_in_ms = u64::try_from(TOKEN_LIFE.as_millis()).unwrap_or(u64::MAX);
    Ok(Welcome { token: token::make(secrets, &incarnation, now.after(TOKEN_LIFE))?, expires_in_ms })
}

/// Whom a presented token stands for; `None`: it is none, is over, or its credential was revoked. Reads memory alone.
#[must_use]
pub fn authorize(store: &Store, secrets: &Secrets, presented: &str) -> Option<Incarnation> {
    let incarnation = token::read(secrets, presented, store.now()).filter(|incarnation| !is_revoked(store, incarnation))?;
    store.heard_of(&incarnation.incarnation);
    Some(incarnation)
}

/// Whether the credential of a node was revoked. Reads memory alone.
#[must_use]
pub fn is_revoked(store: &Store, incarnation: &Incarnation) -> bool {
    store.is_revoked_node(&incarnation.credential)
}
