//! Owns consumers: who is billed, by which tier, and whether they may pass. Must not know what credentials they have.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::addresses::AddressRules;
use crate::audit::noted::Noted;
use crate::failure::{Failure, Problems};
use crate::ledger::quota;
use crate::organisations;
use crate::page::{Listing, Page};
use crate::patch::given;
use crate::permission::Principal;
use crate::secrets::random_id;
use crate::store::changes::{Kind, publish};
use crate::store::consumers::{self as rows, Which};
use crate::store::{self, Reader, Store, Write};
use crate::users;

pub use crate::store::consumers::Consumer;

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
    /// What its keys may be used for at most: at most 32 scopes of `[A-Za-z0-9:._/*-]{1,64}`. Default: none.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Roles that routes may ask for, as many and of the same form. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// From where its credentials may be used: at most 1,000 networks. Default: from everywhere.
    #[serde(default, skip_serializing_if = "AddressRules::are_none")]
    pub addresses: AddressRules,
    /// Units of quotas in place of what its tier says, by the limits' names: at most 8, each 1 to 9,007,199,254,740,991. Default: none.
    #[serde(default)]
    pub overrides: BTreeMap<String, u64>,
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
    /// What its keys may be used for at most from now on. What is taken away here no key of it has any more, in force on every connected
    /// node at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Roles that its keys may have from now on. What is taken away here no key of it has any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// From where its credentials may be used from now on, in force on every connected node at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<AddressRules>,
    /// Units of quotas in place of what its tier says from now on; none: what the tier says. In force when nodes next ask for units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overrides: Option<BTreeMap<String, u64>>,
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

impl NewConsumer {
    /// One of this name and tier, with the defaults in all other fields.
    #[must_use]
    pub fn new(name: impl Into<String>, tier: impl Into<String>) -> Self {
        Self {
            id: None,
            organisation: None,
            name: name.into(),
            email: None,
            tier: tier.into(),
            scopes: Vec::new(),
            roles: Vec::new(),
            addresses: AddressRules::default(),
            overrides: BTreeMap::new(),
            disabled: false,
        }
    }
}

/// The consumers this principal may see.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be.
pub async fn list(store: &Store, principal: &Principal, filter: &Filter, page: &Page) -> Result<Listing<Consumer>, Failure> {
    let which = Which { id: principal.consumer.as_deref(), organisation: principal.organisation.as_deref(), tier: filter.tier.as_deref() };
    let asked = filter.organisation.as_deref();
    if let (Some(own), Some(asked)) = (which.organisation, asked)
        && own != asked
    {
        return Ok(Listing { items: Vec::new(), next: None });
    }
    let which = Which { organisation: which.organisation.or(asked), ..which };
    let rows = rows::list(&mut store.read().await?, page.window()?, which).await?;
    page.of(rows, |row| row, |consumer: &Consumer| &consumer.id)
}

/// One consumer.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn get(store: &Store, principal: &Principal, id: &str) -> Result<Consumer, Failure> {
    find(&mut store.read().await?, principal, id).await
}

/// Makes a consumer.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Conflict`] where the id is or was somebody's.
pub async fn create(write: &mut Write, principal: &Principal, new: NewConsumer) -> Result<Consumer, Failure> {
    if principal.consumer.is_some() {
        return Err(Failure::Forbidden);
    }
    let organisation = new.organisation.or_else(|| principal.organisation.clone()).unwrap_or_else(|| organisations::DEFAULT.to_owned());
    let mut problems = Problems::default();
    if let Some(id) = &new.id {
        problems.id("id", id);
    }
    problems.name("name", &new.name);
    if let Some(email) = &new.email {
        problems.email("email", email);
    }
    let reached = principal.organisation.as_ref().is_none_or(|own| *own == organisation);
    let known = reached && store::organisations::get(write, &organisation).await?.is_some();
    problems.check(known, "organisation", "there is no such organisation");
    problems.check(store::tiers::get(write, &new.tier).await?.is_some(), "tier", "there is no such tier");
    problems.scopes("scopes", &new.scopes);
    problems.roles("roles", &new.roles);
    problems.addresses("addresses", &new.addresses);
    problems.overrides("overrides", &new.overrides);
    problems.finish()?;
    let id = new.id.map_or_else(|| random_id(16).map(|random| format!("con_{random}")), Ok)?;
    let consumer = Consumer {
        id,
        organisation,
        name: new.name,
        email: new.email,
        tier: new.tier,
        scopes: new.scopes,
        roles: new.roles,
        addresses: new.addresses,
        overrides: new.overrides,
        disabled: new.disabled,
        version: 1,
        created_at: write.now(),
        updated_at: write.now(),
    };
    if !rows::insert(write, &consumer).await? {
        return Err(Failure::conflict("id", "another consumer has or had this id"));
    }
    write.note(principal, "consumers:create", &consumer.id, told(Noted::made(&consumer), &consumer.id)).await?;
    Ok(consumer)
}

/// Changes a consumer, and tells the nodes; `version` is the one the caller knows, if it says so.
///
/// # Errors
/// [`Failure::Invalid`], [`Failure::NotFound`], [`Failure::Stale`].
pub async fn update(
    write: &mut Write,
    principal: &Principal,
    id: &str,
    version: Option<u32>,
    patch: ConsumerPatch,
) -> Result<Consumer, Failure> {
    let found = find(write, principal, id).await?;
    Failure::unless_current(version, found.version)?;
    let mut problems = Problems::default();
    if let Some(name) = &patch.name {
        problems.name("name", name);
    }
    if let Some(Some(email)) = &patch.email {
        problems.email("email", email);
    }
    if let Some(tier) = &patch.tier {
        problems.check(store::tiers::get(write, tier).await?.is_some(), "tier", "there is no such tier");
    }
    if let Some(scopes) = &patch.scopes {
        problems.scopes("scopes", scopes);
    }
    if let Some(roles) = &patch.roles {
        problems.roles("roles", roles);
    }
    if let Some(addresses) = &patch.addresses {
        problems.addresses("addresses", addresses);
    }
    if let Some(overrides) = &patch.overrides {
        problems.overrides("overrides", overrides);
    }
    problems.finish()?;
    let changed = Consumer {
        name: patch.name.unwrap_or_else(|| found.name.clone()),
        email: patch.email.unwrap_or_else(|| found.email.clone()),
        tier: patch.tier.unwrap_or_else(|| found.tier.clone()),
        scopes: patch.scopes.unwrap_or_else(|| found.scopes.clone()),
        roles: patch.roles.unwrap_or_else(|| found.roles.clone()),
        addresses: patch.addresses.unwrap_or_else(|| found.addresses.clone()),
        overrides: patch.overrides.unwrap_or_else(|| found.overrides.clone()),
        disabled: patch.disabled.unwrap_or(found.disabled),
        ..found.clone()
    };
    if changed == found {
        return Ok(found);
    }
    let changed = Consumer { version: found.version + 1, updated_at: write.now(), ..changed };
    rows::update(write, &changed).await?;
    let may = |consumer: &Consumer| (consumer.disabled, consumer.scopes.clone(), consumer.roles.clone(), consumer.addresses.clone());
    if may(&changed) != may(&found) {
        // Enabled again: nodes know nothing of its credentials any more, and ask. So do they for what its keys may do now, and from where.
        publish(write, Kind::ConsumerOut, id).await?;
    } else if changed.tier != found.tier || changed.overrides != found.overrides {
        publish(write, Kind::Consumer, id).await?;
    }
    // Who was told that all is spent may ask again. With a lower one it is told so again.
    let names: BTreeSet<&String> = found.overrides.keys().chain(changed.overrides.keys()).collect();
    for name in names.into_iter().filter(|name| found.overrides.get(*name) != changed.overrides.get(*name)) {
        publish(write, Kind::Freed, &quota(id, name)).await?;
    }
    write.note(principal, "consumers:update", id, told(Noted::changed(&found, &changed), id)).await?;
    Ok(changed)
}

/// Ends a consumer: its credentials are revoked, its id is never given again, and what it used stays accounted for.
///
/// # Errors
/// [`Failure::NotFound`], [`Failure::Stale`].
pub async fn delete(write: &mut Write, principal: &Principal, id: &str, version: Option<u32>) -> Result<(), Failure> {
    let found = find(write, principal, id).await?;
    Failure::unless_current(version, found.version)?;
    rows::delete(write, id).await?;
    store::api_keys::revoke_all(write, id).await?;
    store::admin_keys::revoke_all(write, id).await?;
    users::delete_of_consumer(write, principal, id).await?;
    // One change for all its credentials.
    publish(write, Kind::ConsumerOut, id).await?;
    write.note(principal, "consumers:delete", id, told(Noted::ended(&found), id)).await?;
    // Who it was goes with it.
    store::audit::erase(write, &named(id)).await?;
    Ok(())
}

/// How the audit log names a consumer whose name and address it knows.
fn named(id: &str) -> String {
    format!("consumer:{id}")
}

fn told(noted: Noted, id: &str) -> Noted {
    noted.of(named(id), &["name", "email"])
}

/// The consumer of this id, if this principal may know of it.
pub(crate) async fn find(reader: &mut impl Reader, principal: &Principal, id: &str) -> Result<Consumer, Failure> {
    let found = rows::get(reader, id).await?;
    found.filter(|consumer| principal.reaches(&consumer.organisation, &consumer.id)).ok_or(Failure::NotFound)
}
