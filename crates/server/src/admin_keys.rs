//! Owns admin keys: what the public API itself is used with. Must not know what they may do: `permission` does.

use serde::{Deserialize, Serialize};
use tollgate_core::credential::digest;

use crate::audit::noted::Noted;
use crate::clock::Time;
use crate::failure::{Failure, Problems};
use crate::page::{Listing, Page};
use crate::permission::{Principal, Role};
use crate::rotation::rehash;
use crate::secrets::{Purpose, Secrets, Shown};
use crate::store::admin_keys as rows;
use crate::store::secret_versions::HashedIn;
use crate::store::{Store, Write};
use crate::users::{Binding, bind};

pub use crate::store::admin_keys::AdminKey;

/// What the name of a principal with an admin key begins with.
const NAMED: &str = "admin_key:";

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
pub async fn list(store: &Store, principal: &Principal, page: &Page) -> Result<Listing<AdminKey>, Failure> {
    let rows =
        rows::list(&mut store.read().await?, page.window()?, principal.organisation.as_deref(), principal.consumer.as_deref()).await?;
    page.of(rows, |row| row, |key: &AdminKey| &key.id)
}

/// Makes an admin key.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Forbidden`] to principals bound to an organisation.
pub async fn create(write: &mut Write, secrets: &Secrets, principal: &Principal, new: NewAdminKey) -> Result<CreatedAdminKey, Failure> {
    principal.unbound()?;
    let mut problems = Problems::default();
    problems.label("label", &new.label);
    problems.expiry("expires_at", new.expires_at, write.now());
    let binding = Binding { role: new.role, organisation: new.organisation, consumer: new.consumer };
    let organisation = bind(write, principal, &binding, &mut problems).await?;
    problems.finish()?;
    let issued = secrets.issue(Purpose::Admin)?;
    let key = AdminKey {
        id: issued.id,
        label: new.label,
        role: new.role,
        organisation,
        consumer: binding.consumer,
        created_at: write.now(),
        expires_at: new.expires_at,
        revoked_at: None,
    };
    rows::insert(write, &key, &secrets.hash(&digest(issued.shown.expose().as_bytes()))?).await?;
    write.note(principal, "admin_keys:create", &key.id, Noted::made(&key)).await?;
    Ok(CreatedAdminKey { key, admin_key: issued.shown })
}

/// Revokes an admin key. Revoking it again does nothing.
///
/// # Errors
/// [`Failure::NotFound`]; [`Failure::Forbidden`] to principals bound to an organisation; [`Failure::Conflict`] for the last key of
/// an administrator that does not end: nobody could make another.
pub async fn revoke(write: &mut Write, principal: &Principal, id: &str) -> Result<(), Failure> {
    principal.unbound()?;
    let found = rows::get(write, id).await?.ok_or(Failure::NotFound)?.key;
    if found.revoked_at.is_some() {
        return Ok(());
    }
    if found.role == Role::Admin && !rows::any_other_admin(write, id).await? {
        return Err(Failure::conflict("role", "it is the last key of an administrator that does not end: nobody could make another"));
    }
    rows::revoke(write, id).await?;
    write.note(principal, "admin_keys:revoke", id, Noted::ended(&found)).await?;
    Ok(())
}

/// Whose a presented key is; `None`: nobody's that may pass.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn authenticate(store: &Store, secrets: &Secrets, presented: &str) -> Result<Option<Principal>, Failure> {
    let Some(id) = secrets.recognise(Purpose::Admin, presented) else {
        return Ok(None);
    };
    let Some(found) = rows::get(&mut store.read().await?, id).await? else {
        return Ok(None);
    };
    let digest = digest(presented.as_bytes());
    if !secrets.matches(&found.hash, &digest).await? || has_ended(&found.key, store.now()) {
        return Ok(None);
    }
    rehash(store, secrets, HashedIn::AdminKeys, id, &found.hash, &digest).await;
    let AdminKey { id, role, organisation, consumer, .. } = found.key;
    Ok(Some(Principal { name: format!("{NAMED}{id}"), role, organisation, consumer, session: None }))
}

/// Whether the key of a principal that was authenticated before is still good. Nothing else about it changes.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn still_stands(write: &mut Write, principal: &Principal) -> Result<bool, Failure> {
    let Some(id) = principal.name.strip_prefix(NAMED) else {
        // The backend itself.
        return Ok(true);
    };
    Ok(rows::get(write, id).await?.is_some_and(|found| !has_ended(&found.key, write.now())))
}

fn has_ended(key: &AdminKey, now: Time) -> bool {
    key.revoked_at.is_some() || key.expires_at.is_some_and(|expires_at| expires_at <= now)
}
