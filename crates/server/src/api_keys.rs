//! Owns API keys: their making, rotation and end. Must not keep one: the store has hashes, and a key is shown once.

mod bulk;
mod document;
mod issue;
mod leak;
mod limits;
mod taken_over;

use std::time::Duration;

use crate::audit::noted::Noted;
use crate::clock::Time;
use crate::consumers::{self, Consumer};
use crate::failure::{Failure, Problems};
use crate::ledger::quota;
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::secrets::Secrets;
use crate::store::api_keys::{self as rows, Row, Which};
use crate::store::changes::{Kind, publish};
use crate::store::{self, Reader, Store, Write};

pub use bulk::load;
pub(crate) use document::unhex;
pub use document::{ApiKey, ApiKeyPatch, Created, Filter, Import, NewApiKey, NewOwnKey, Rotate, Rotated, Status};
use issue::import;
pub(crate) use issue::{Wish, issue};
pub use leak::{Leak, Leaked, report};
use limits::{CREDITS, all, apart};
pub(crate) use limits::{account, told};
pub use taken_over::{MOST_TAKEN_OVER, TakeOver, TakenOver, take_over};

/// The longest a rotated key may go on, in seconds: 30 days.
pub const LONGEST_OVERLAP: u32 = 30 * 86_400;
/// How long a rotated key goes on where nothing is said, in seconds: a day.
pub const USUAL_OVERLAP: u32 = 86_400;
/// The most active keys a developer may make for their consumer, beside as many that were rotated and go on for a while. Nobody has more to
/// look after by hand, and somebody might try to fill the disk.
pub const MOST_OWN_KEYS: u32 = 100;

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
pub async fn list(store: &Store, principal: &Principal, reach: Reach, filter: &Filter, page: &Page) -> Result<Listing<ApiKey>, Failure> {
    let consumer = match reach {
        Reach::All => filter.consumer.as_deref(),
        Reach::Own => Some(own_consumer(principal)?),
    };
    if let (Some(own), Some(asked)) = (principal.consumer.as_deref(), consumer)
        && own != asked
    {
        return Ok(Listing { items: Vec::new(), next: None });
    }
    let which = Which { organisation: principal.organisation.as_deref(), consumer: consumer.or(principal.consumer.as_deref()) };
    let rows = rows::list(&mut store.read().await?, page.window()?, which).await?;
    let now = store.now();
    let accounts: Vec<String> = rows.iter().flatten().map(Row::account).collect();
    let mut listing = page.of(rows, |row| ApiKey::of(row, now), |key: &ApiKey| &key.id)?;
    tell_left(store, listing.items.iter_mut().zip(&accounts)).await?;
    Ok(listing)
}

/// One key.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn get(store: &Store, principal: &Principal, reach: Reach, id: &str) -> Result<ApiKey, Failure> {
    let found = find(&mut store.read().await?, principal, reach, id).await?;
    let account = found.account();
    let mut key = ApiKey::of(found, store.now());
    tell_left(store, [(&mut key, &account)]).await?;
    Ok(key)
}

/// Tells of keys that have credits how many are left in their accounts.
async fn tell_left<'a>(store: &Store, keys: impl IntoIterator<Item = (&'a mut ApiKey, &'a String)>) -> Result<(), Failure> {
    let keys: Vec<_> = keys.into_iter().filter_map(|(key, account)| Some((key.credits?, key, account.as_str()))).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let accounts: Vec<&str> = keys.iter().map(|(_, _, account)| *account).collect();
    let spent = store::ledger::spent(store, &accounts, CREDITS).await?;
    for (credits, key, account) in keys {
        key.credits_left = Some(credits.saturating_sub(spent.get(account).copied().unwrap_or(0)));
    }
    Ok(())
}

/// Makes a key, or takes one over from elsewhere.
///
/// # Errors
/// [`Failure::Invalid`], also where there is no such consumer; [`Failure::Conflict`] where the key is there already.
pub async fn create(write: &mut Write, secrets: &Secrets, principal: &Principal, new: NewApiKey) -> Result<Created, Failure> {
    let mut problems = Problems::default();
    let consumer = match consumers::find(write, principal, &new.consumer).await {
        Err(Failure::NotFound) => None,
        found => Some(found?),
    };
    let digest = judge(secrets, &new, consumer.as_ref(), write.now(), &mut problems);
    problems.finish()?;
    let consumer = consumer.ok_or(Failure::NotFound)?;
    let wish = Wish::of(new.clone());
    let created = match digest {
        None => issue(write, secrets, &consumer, wish).await?,
        Some(digest) => {
            if let Some(id) = new.import.as_ref().and_then(|import| import.issued_id(secrets))
                && rows::get(write, id).await?.is_some()
            {
                return Err(Failure::conflict("import.key", "the key was issued here"));
            }
            import(write, secrets, &consumer, wish, digest).await?
        }
    };
    write.note(principal, "keys:create", &created.key.id, Noted::made(&created.key).whose(Some(&consumer.organisation))).await?;
    Ok(created)
}

/// What is wrong with a key that is to be made for this consumer, if there is one; answers the SHA-256 of one that is taken over.
fn judge(secrets: &Secrets, new: &NewApiKey, consumer: Option<&Consumer>, now: Time, problems: &mut Problems) -> Option<[u8; 32]> {
    problems.check(consumer.is_some(), "consumer", "there is no such consumer");
    problems.label("label", &new.label);
    match consumer {
        Some(consumer) => {
            problems.scopes_of("scopes", &new.scopes, &consumer.scopes);
            problems.roles_of("roles", &new.roles, &consumer.roles);
        }
        None => {
            problems.scopes("scopes", &new.scopes);
            problems.roles("roles", &new.roles);
        }
    }
    problems.addresses("addresses", &new.addresses);
    problems.own_limits(&new.limits, new.credits);
    problems.expiry("expires_at", new.expires_at, now);
    new.import.as_ref().and_then(|import| import.digest(secrets, problems))
}

/// Makes a key for the principal's own consumer.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Conflict`] where the principal has no consumer, or a disabled one.
pub async fn create_own(write: &mut Write, secrets: &Secrets, principal: &Principal, new: NewOwnKey) -> Result<Created, Failure> {
    let consumer = consumers::find(write, principal, own_consumer(principal)?).await?;
    enabled(&consumer)?;
    let mut problems = Problems::default();
    problems.label("label", &new.label);
    problems.scopes_of("scopes", &new.scopes, &consumer.scopes);
    problems.roles_of("roles", &new.roles, &consumer.roles);
    problems.addresses("addresses", &new.addresses);
    problems.own_limits(&new.limits, new.credits);
    problems.expiry("expires_at", new.expires_at, write.now());
    problems.finish()?;
    room(write, &consumer, MOST_OWN_KEYS).await?;
    let NewOwnKey { label, scopes, roles, addresses, signing, limits, credits, expires_at } = new;
    let wish = Wish { label, scopes, roles, addresses, signing, limits: all(limits, credits), expires_at, ..Wish::default() };
    let created = issue(write, secrets, &consumer, wish).await?;
    write.note(principal, "keys:create", &created.key.id, Noted::made(&created.key).whose(Some(&consumer.organisation))).await?;
    Ok(created)
}

/// Changes a key, and tells the nodes; `version` is the one the caller knows, if it says so.
///
/// # Errors
/// [`Failure::Invalid`], [`Failure::NotFound`], [`Failure::Stale`]; [`Failure::Conflict`] where the key has ended.
pub async fn update(
    write: &mut Write,
    store: &Store,
    principal: &Principal,
    id: &str,
    version: Option<u32>,
    patch: ApiKeyPatch,
) -> Result<ApiKey, Failure> {
    let found = find(write, principal, Reach::All, id).await?;
    Failure::unless_current(version, found.version)?;
    let now = write.now();
    active(&found, now)?;
    let mut problems = Problems::default();
    let label = patch.label.unwrap_or_else(|| found.label.clone());
    problems.label("label", &label);
    if patch.scopes.is_some() || patch.roles.is_some() {
        let consumer = consumers::find(write, principal, &found.consumer).await?;
        problems.scopes_of("scopes", patch.scopes.as_deref().unwrap_or_default(), &consumer.scopes);
        problems.roles_of("roles", patch.roles.as_deref().unwrap_or_default(), &consumer.roles);
    }
    if let Some(addresses) = &patch.addresses {
        problems.addresses("addresses", addresses);
    }
    let (limits, credits) = apart(found.limits.clone());
    let (limits, credits) = (patch.limits.unwrap_or(limits), patch.credits.unwrap_or(credits));
    problems.own_limits(&limits, credits);
    problems.expiry("expires_at", patch.expires_at.flatten(), now);
    problems.finish()?;
    let limits = all(limits, credits);
    let signing = patch.signing.unwrap_or(found.signing);
    if found.signing.is_none() && !signing.is_none() {
        return Err(Failure::conflict("signing", "the key has no signing secret: make another key, which has one"));
    }
    let signing_secret = found.signing_secret.clone().filter(|_| !signing.is_none());
    let scopes = patch.scopes.unwrap_or_else(|| found.scopes.clone());
    let roles = patch.roles.unwrap_or_else(|| found.roles.clone());
    let addresses = patch.addresses.unwrap_or_else(|| found.addresses.clone());
    let expires_at = patch.expires_at.unwrap_or(found.expires_at);
    let changed = Row { label, scopes, roles, addresses, signing, signing_secret, expires_at, limits, ..found.clone() };
    if changed == found {
        return Ok(ApiKey::of(found, now));
    }
    let changed = Row { version: found.version + 1, ..changed };
    rows::update(write, &changed).await?;
    let told = |row: &Row| (row.scopes.clone(), row.roles.clone(), row.addresses.clone(), row.signing, row.expires_at, row.limits.clone());
    if told(&changed) != told(&found) {
        publish(write, Kind::Credential, id).await?;
    }
    // Who was refused may ask again.
    for limit in changed.limits.iter().filter(|limit| limit.is_leased() && !found.limits.contains(limit)) {
        publish(write, Kind::Freed, &quota(&changed.account(), &limit.name)).await?;
    }
    let organisation = found.organisation.clone();
    let account = changed.account();
    let (before, mut after) = (ApiKey::of(found, now), ApiKey::of(changed, now));
    write.note(principal, "keys:update", id, Noted::changed(&before, &after).whose(Some(&organisation))).await?;
    tell_left(store, [(&mut after, &account)]).await?;
    Ok(after)
}

/// Makes a key that replaces another, which goes on for a while.
///
/// # Errors
/// [`Failure::Invalid`], [`Failure::NotFound`]; [`Failure::Conflict`] where the key has ended or was replaced before.
pub async fn rotate(
    write: &mut Write,
    secrets: &Secrets,
    principal: &Principal,
    reach: Reach,
    id: &str,
    rotate: Rotate,
) -> Result<Rotated, Failure> {
    let found = find(write, principal, reach, id).await?;
    let now = write.now();
    active(&found, now)?;
    if found.replaced_by.is_some() {
        return Err(Failure::conflict("replaced_by", "the key was rotated before: rotate the one that replaced it"));
    }
    let consumer = consumers::find(write, principal, &found.consumer).await?;
    if reach == Reach::Own {
        enabled(&consumer)?;
        // Each key may be in its overlap.
        room(write, &consumer, 2 * MOST_OWN_KEYS).await?;
    }
    let overlap = rotate.overlap_seconds.unwrap_or(USUAL_OVERLAP);
    let mut problems = Problems::default();
    problems.check(overlap <= LONGEST_OVERLAP, "overlap_seconds", format!("{overlap}; 0 to {LONGEST_OVERLAP}"));
    problems.expiry("expires_at", rotate.expires_at, now);
    problems.finish()?;
    let as_long = found.expires_at.map(|expires_at| now.after(expires_at.since(found.created_at)));
    let wish = Wish {
        label: found.label.clone(),
        // Those that its consumer still has: a leaked key can be replaced whatever was taken from the consumer since.
        scopes: found.scopes.iter().filter(|scope| consumer.scopes.contains(scope)).cloned().collect(),
        roles: found.roles.iter().filter(|role| consumer.roles.contains(role)).cloned().collect(),
        addresses: found.addresses.clone(),
        signing: found.signing,
        expires_at: rotate.expires_at.or(as_long),
        replaces: Some(found.id.clone()),
        limits: found.limits.clone(),
        spends_as: Some(found.spends_as.clone().unwrap_or_else(|| found.id.clone())),
    };
    let created = issue(write, secrets, &consumer, wish).await?;
    let end = now.after(Duration::from_secs(u64::from(overlap)));
    let before = ApiKey::of(found.clone(), now);
    let replaced = Row {
        expires_at: Some(found.expires_at.map_or(end, |expires_at| expires_at.min(end))),
        replaced_by: Some(created.key.id.clone()),
        version: found.version + 1,
        ..found
    };
    rows::update(write, &replaced).await?;
    // Without an overlap it has expired, and that is told at once.
    let gone = replaced.expires_at.is_some_and(|expires_at| expires_at <= now);
    if gone {
        rows::told_expired(write, id).await?;
    }
    publish(write, if gone { Kind::CredentialGone } else { Kind::Credential }, id).await?;
    let replaced = ApiKey::of(replaced, now);
    let noted = Noted::changed(&before, &replaced).with("new", &created.key).whose(Some(&consumer.organisation));
    write.note(principal, "keys:rotate", id, noted).await?;
    Ok(Rotated { created, replaced })
}

/// Revokes a key, and tells the nodes. Revoking it again does nothing.
///
/// # Errors
/// [`Failure::NotFound`], [`Failure::Stale`].
pub async fn revoke(write: &mut Write, principal: &Principal, reach: Reach, id: &str, version: Option<u32>) -> Result<(), Failure> {
    let found = find(write, principal, reach, id).await?;
    Failure::unless_current(version, found.version)?;
    if found.revoked_at.is_some() {
        return Ok(());
    }
    let now = write.now();
    let revoked = end(write, &found).await?;
    let organisation = found.organisation.clone();
    let noted = Noted::changed(&ApiKey::of(found, now), &ApiKey::of(revoked, now)).whose(Some(&organisation));
    write.note(principal, "keys:revoke", id, noted).await?;
    Ok(())
}

/// Revokes a key that is not, and tells the nodes.
async fn end(write: &mut Write, found: &Row) -> Result<Row, Failure> {
    let revoked = Row { revoked_at: Some(write.now()), version: found.version + 1, ..found.clone() };
    rows::update(write, &revoked).await?;
    publish(write, Kind::CredentialGone, &found.id).await?;
    Ok(revoked)
}

/// The key of this id, if this principal may know of it.
async fn find(reader: &mut impl Reader, principal: &Principal, reach: Reach, id: &str) -> Result<Row, Failure> {
    if reach == Reach::Own {
        own_consumer(principal)?;
    }
    let found = rows::get(reader, id).await?;
    found.filter(|row| principal.reaches(&row.organisation, &row.consumer)).ok_or(Failure::NotFound)
}

fn own_consumer(principal: &Principal) -> Result<&str, Failure> {
    let none = || Failure::conflict("consumer", "your credential is bound to no consumer: use /api/v1/keys");
    principal.consumer.as_deref().ok_or_else(none)
}

fn enabled(consumer: &Consumer) -> Result<(), Failure> {
    if consumer.disabled { Err(Failure::conflict("consumer", "it is disabled")) } else { Ok(()) }
}

/// Asks that a consumer has fewer active keys than this.
async fn room(write: &mut Write, consumer: &Consumer, most: u32) -> Result<(), Failure> {
    if rows::count_active(write, &consumer.id).await? < most {
        return Ok(());
    }
    Err(Failure::conflict("consumer", format!("it has {most} active keys: revoke one first")))
}

fn active(row: &Row, now: Time) -> Result<(), Failure> {
    match Status::of(row, now) {
        Status::Active => Ok(()),
        Status::Expired => Err(Failure::conflict("expires_at", "the key has expired")),
        Status::Revoked => Err(Failure::conflict("revoked_at", "the key is revoked")),
    }
}
