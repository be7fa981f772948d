//! Owns organisations: whose consumers are. Must not know what a consumer is.

use serde::{Deserialize, Serialize};

use crate::audit::noted::Noted;
use crate::failure::{Failure, Problems};
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::secrets::random_id;
use crate::store::organisations as rows;
use crate::store::{Store, Write};

pub use crate::store::organisations::{DEFAULT, Organisation};

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
pub async fn list(store: &Store, principal: &Principal, page: &Page) -> Result<Listing<Organisation>, Failure> {
    let rows = rows::list(&mut store.read().await?, page.window()?, principal.organisation.as_deref()).await?;
    page.of(rows, |row| row, |organisation: &Organisation| &organisation.id)
}

/// One organisation.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn get(store: &Store, principal: &Principal, id: &str) -> Result<Organisation, Failure> {
    if principal.organisation.as_deref().is_some_and(|own| own != id) {
        return Err(Failure::NotFound);
    }
    rows::get(&mut store.read().await?, id).await?.ok_or(Failure::NotFound)
}

/// Makes an organisation.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Conflict`] where the id is taken; [`Failure::Forbidden`] to principals bound to an organisation.
pub async fn create(write: &mut Write, principal: &Principal, new: NewOrganisation) -> Result<Organisation, Failure> {
    principal.unbound()?;
    let mut problems = Problems::default();
    if let Some(id) = &new.id {
        problems.id("id", id);
    }
    problems.name("name", &new.name);
    problems.finish()?;
    let id = new.id.map_or_else(|| random_id(16).map(|random| format!("org_{random}")), Ok)?;
    let organisation = Organisation { id, name: new.name, version: 1, created_at: write.now() };
    if !rows::insert(write, &organisation).await? {
        return Err(Failure::conflict("id", "another organisation has this id"));
    }
    write.note(principal, "organisations:create", &organisation.id, Noted::made(&organisation).whose(Some(&organisation.id))).await?;
    Ok(organisation)
}

/// Changes an organisation; `version` is the one the caller knows, if it says so.
///
/// # Errors
/// [`Failure::Invalid`], [`Failure::NotFound`], [`Failure::Stale`]; [`Failure::Forbidden`] as for [`create`].
pub async fn update(
    write: &mut Write,
    principal: &Principal,
    id: &str,
    version: Option<u32>,
    patch: OrganisationPatch,
) -> Result<Organisation, Failure> {
    principal.unbound()?;
    let mut problems = Problems::default();
    if let Some(name) = &patch.name {
        problems.name("name", name);
    }
    problems.finish()?;
    let found = rows::get(write, id).await?.ok_or(Failure::NotFound)?;
    Failure::unless_current(version, found.version)?;
    let changed = Organisation { name: patch.name.unwrap_or_else(|| found.name.clone()), ..found.clone() };
    if changed == found {
        return Ok(found);
    }
    let changed = Organisation { version: found.version + 1, ..changed };
    rows::update(write, &changed).await?;
    write.note(principal, "organisations:update", id, Noted::changed(&found, &changed).whose(Some(id))).await?;
    Ok(changed)
}
