//! Owns tiers: named sets of limits that consumers are in. Must not judge limits itself: `tollgate_core::config` does.

mod schema;

use serde::{Deserialize, Serialize};
use tollgate_core::config::document::{self, Algorithm, Limit};
use tollgate_core::config::{check_tier, default_tiers};

use crate::audit::noted::Noted;
use crate::calendar::is_time_zone;
use crate::failure::{Failure, Problem};
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::store::changes::{Kind, publish};
use crate::store::tiers as rows;
use crate::store::{self, Store, Write};

pub use crate::store::tiers::Tier;
pub use schema::LimitSchema;

/// The most bytes of a tier's limits as JSON. A tier travels in answers to nodes, which are at most
/// [`tollgate_core::wire::LARGEST_ANSWER`] long.
const LARGEST_LIMITS: usize = 32 * 1024;

/// Units a month of the tiers there are by default, beside their rates: those between the one that is given away and the one that is agreed upon.
const MONTHLY: [(&str, u64); 2] = [("basic", 100_000), ("pro", 1_000_000)];

/// A tier to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTier {
    /// Its name: 1 to 64 lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// Its limits, at most 8; none: unlimited.
    #[serde(default)]
    #[schema(value_type = Vec<LimitSchema>)]
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
    #[schema(value_type = Vec<LimitSchema>)]
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
pub async fn list(store: &Store, principal: &Principal, page: &Page) -> Result<Listing<Tier>, Failure> {
    let _ = principal;
    let rows = rows::list(&mut store.read().await?, page.window()?).await?;
    page.of(rows, |row| row, |tier: &Tier| &tier.name)
}

/// One tier.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn get(store: &Store, principal: &Principal, name: &str) -> Result<Tier, Failure> {
    let _ = principal;
    rows::get(&mut store.read().await?, name).await?.ok_or(Failure::NotFound)
}

/// Makes a tier.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Conflict`] where the name is taken; [`Failure::Forbidden`] to principals bound to an organisation,
/// because tiers are everybody's.
pub async fn create(write: &mut Write, principal: &Principal, new: NewTier) -> Result<Tier, Failure> {
    principal.unbound()?;
    judge(&new.name, &new.limits)?;
    let (created_at, updated_at) = (write.now(), write.now());
    let tier = Tier { name: new.name, limits: new.limits, self_service: new.self_service, version: 1, created_at, updated_at };
    if !rows::insert(write, &tier).await? {
        return Err(Failure::conflict("name", "another tier has this name"));
    }
    write.note(principal, "tiers:create", &tier.name, Noted::made(&tier)).await?;
    Ok(tier)
}

/// Gives a tier these limits, and tells the nodes; makes it where there is none. `version` is the one the caller knows, if it says so.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Stale`], also where a version is given and there is no tier; [`Failure::Forbidden`] as for [`create`].
pub async fn put(write: &mut Write, principal: &Principal, name: &str, version: Option<u32>, body: TierBody) -> Result<Put, Failure> {
    principal.unbound()?;
    judge(name, &body.limits)?;
    let Some(found) = rows::get(write, name).await? else {
        if version.is_some() {
            return Err(Failure::Stale);
        }
        let new = NewTier { name: name.to_owned(), limits: body.limits, self_service: body.self_service };
        return Ok(Put { tier: create(write, principal, new).await?, created: true });
    };
    Failure::unless_current(version, found.version)?;
    let tier = Tier { limits: body.limits, self_service: body.self_service, ..found.clone() };
    if tier == found {
        return Ok(Put { tier, created: false });
    }
    let tier = Tier { version: found.version + 1, updated_at: write.now(), ..tier };
    rows::update(write, &tier).await?;
    if tier.limits != found.limits {
        publish(write, Kind::Tier, name).await?;
    }
    write.note(principal, "tiers:put", name, Noted::changed(&found, &tier)).await?;
    Ok(Put { tier, created: false })
}

/// Deletes a tier.
///
/// # Errors
/// [`Failure::Conflict`] while a consumer is in it; [`Failure::NotFound`], [`Failure::Stale`]; [`Failure::Forbidden`] as for [`create`].
pub async fn delete(write: &mut Write, principal: &Principal, name: &str, version: Option<u32>) -> Result<(), Failure> {
    principal.unbound()?;
    let found = rows::get(write, name).await?.ok_or(Failure::NotFound)?;
    Failure::unless_current(version, found.version)?;
    if store::consumers::any_in_tier(write, name).await? {
        return Err(Failure::conflict("name", "consumers are in this tier"));
    }
    rows::delete(write, name).await?;
    write.note(principal, "tiers:delete", name, Noted::ended(&found)).await?;
    Ok(())
}

/// Makes the tiers there are by default, if there is none: `free`, which is for self-service, `basic`, `pro` and `enterprise`. They have the
/// rates of a plugin without a backend; `basic` and `pro` have a quota a month besides, which only a backend can count.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn seed(write: &mut Write, principal: &Principal) -> Result<(), Failure> {
    if rows::any(write).await? {
        return Ok(());
    }
    for document::Tier { name, mut limits } in default_tiers() {
        let self_service = name == "free";
        limits.extend(
            MONTHLY.iter().find(|(tier, _)| *tier == name).map(|(_, units)| Limit::new("monthly", Algorithm::Quota, *units, "month")),
        );
        create(write, principal, NewTier { name, limits, self_service }).await?;
    }
    Ok(())
}

impl From<Tier> for document::Tier {
    fn from(tier: Tier) -> Self {
        Self { name: tier.name, limits: tier.limits }
    }
}

/// Judges a tier as nodes will.
fn judge(name: &str, limits: &[Limit]) -> Result<(), Failure> {
    let problems = problems(name, limits, LARGEST_LIMITS);
    if problems.is_empty() { Ok(()) } else { Err(Failure::Invalid { problems }) }
}

/// What is wrong with limits, as nodes will judge them, or that they are of more bytes than `largest` as JSON.
pub(crate) fn problems(name: &str, limits: &[Limit], largest: usize) -> Vec<Problem> {
    let size = serde_json::to_vec(limits).map_or(usize::MAX, |json| json.len());
    if size > largest {
        return vec![Problem { field: "limits".to_owned(), reason: format!("{size} bytes as JSON; at most {largest}") }];
    }
    let tier = document::Tier { name: name.to_owned(), limits: limits.to_vec() };
    if let Err(Failure::Invalid { problems }) = check_tier(&tier).map_err(Failure::from) {
        return problems;
    }
    let unknown = limits.iter().enumerate().filter(|(_, limit)| !limit.time_zone.as_deref().is_none_or(is_time_zone));
    let problem = |(position, _)| Problem {
        field: format!("limits[{position}].time_zone"),
        reason: "there is no such time zone; a name of the IANA database, such as `Europe/Berlin`".to_owned(),
    };
    unknown.map(problem).collect()
}
