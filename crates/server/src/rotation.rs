//! Owns the rotation of the backend's own secrets: which versions there are, what was made with each, and that what can be made anew is. Must not
//! know how a secret is kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::audit::noted::Noted;
use crate::clock::Time;
use crate::failure::Failure;
use crate::permission::Principal;
use crate::secrets::{Hash, Kind, Origin, Secrets, Shown, Use, Version};
use crate::store::secret_versions::{self as rows, HashedIn, SealedIn};
use crate::store::{Store, Write};
use crate::{openid, outbox, signing, signing_keys};

/// Secrets that are sealed anew in one go.
const RESEALED_TOGETHER: u32 = 100;

/// A version of a secret, without the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SecretVersion {
    /// What it is for.
    pub kind: Kind,
    /// Its number. Token keys had none once: the first is 0.
    pub version: u32,
    /// Whether new things are made with it.
    #[serde(rename = "use")]
    pub used: Use,
    /// Where it comes from.
    pub origin: Origin,
    /// Since when it is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_used_at: Option<Time>,
    /// Of a former one: how much there is that was made with it and would be lost with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<u64>,
    /// Of a former one that access tokens were signed with: until when some may pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed_until: Option<Time>,
    /// The secret itself, shown this once, where it was prepared to be given to nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub secret: Option<Shown>,
}

/// All versions there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SecretVersions {
    /// By kind and number.
    pub items: Vec<SecretVersion>,
}

/// How a version is taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Retire {
    /// Although something was made with it, which is of no use any more then. Default: false.
    #[param(value_type = bool, required = false)]
    pub force: bool,
}

/// All versions there are, with what holds each; `token_life` is how long access tokens pass.
///
/// # Errors
/// [`Failure::Forbidden`] to principals bound to an organisation; [`Failure::Unavailable`].
pub async fn list(store: &Store, secrets: &Secrets, principal: &Principal, token_life: Duration) -> Result<SecretVersions, Failure> {
    principal.unbound()?;
    let mut reader = store.read().await?;
    let since = rows::all(&mut reader).await?;
    let mut items = Vec::new();
    for version in secrets.versions() {
        items.push(weigh(&mut reader, version, &since, token_life, store.now()).await?);
    }
    Ok(SecretVersions { items })
}

/// Makes a version that is not used yet, for others to know first: an issuer key, which is shown, for the nodes; any file for other backends.
///
/// # Errors
/// [`Failure::Forbidden`] as for [`list`]; [`Failure::Conflict`] where one is prepared already, or where files do not count.
pub async fn prepare(write: &mut Write, secrets: &Secrets, principal: &Principal, kind: Kind) -> Result<SecretVersion, Failure> {
    principal.unbound()?;
    let (version, secret) = secrets.prepare(kind)?;
    let made = bare(kind, version, Use::Prepared);
    write.note(principal, "secrets:prepare", &name(kind, version), Noted::made(&made)).await?;
    Ok(SecretVersion { secret: (kind == Kind::Issuer).then(|| Shown::new(secret)), ..made })
}

/// Has another version used from now on: the one that is prepared, or a new one.
///
/// # Errors
/// [`Failure::Forbidden`] as for [`list`]; [`Failure::Conflict`] where none is prepared that must be, or where files do not count.
pub async fn rotate(write: &mut Write, secrets: &Secrets, principal: &Principal, kind: Kind) -> Result<SecretVersion, Failure> {
    principal.unbound()?;
    let version = secrets.promote(kind)?;
    rows::used(write, kind.name(), version).await?;
    let made = SecretVersion { first_used_at: Some(write.now()), ..bare(kind, version, Use::Current) };
    write.note(principal, "secrets:rotate", &name(kind, version), Noted::made(&made)).await?;
    Ok(made)
}

/// Notes that a version is to be taken away that nothing holds, or whatever holds it. Once that is durable the caller does so:
/// [`Secrets::retire`]. In the other order a secret could be gone, and nobody have said so.
///
/// # Errors
/// [`Failure::Forbidden`] as for [`list`]; [`Failure::NotFound`]; [`Failure::Conflict`] for the one in use, one that something holds, and one that
/// is no file.
pub async fn retire(
    write: &mut Write,
    secrets: &Secrets,
    principal: &Principal,
    (kind, version): (Kind, u32),
    how: Retire,
    token_life: Duration,
) -> Result<(), Failure> {
    principal.unbound()?;
    let versions = secrets.versions();
    let found = versions.into_iter().find(|found| (found.kind, found.version) == (kind, version)).ok_or(Failure::NotFound)?;
    let since = rows::all(write).await?;
    let now = write.now();
    let weighed = weigh(write, found, &since, token_life, now).await?;
    if found.used == Use::Former && !how.force {
        if let Some(holds) = weighed.holds.filter(|holds| *holds > 0) {
            return Err(Failure::conflict("version", format!("{holds} {} it: {}", words(kind).0, words(kind).1)));
        }
        if let Some(until) = weighed.needed_until.filter(|until| *until > now) {
            return Err(Failure::conflict("version", format!("access tokens that were signed with it pass until {until}")));
        }
    }
    secrets.retirable(kind, version)?;
    rows::forget(write, kind.name(), version).await?;
    write.note(principal, "secrets:retire", &name(kind, version), Noted::ended(&weighed).with("force", &how.force)).await?;
    Ok(())
}

/// Reads the secrets again, notes since when versions are in use, and seals anew some of what an older version sealed. Answers whether there may
/// be more of that.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn upkeep(store: &Store, secrets: &Secrets) -> Result<bool, Failure> {
    match secrets.reload() {
        Ok(true) => tracing::info!("secrets read again: there are others now"),
        Ok(false) => {}
        Err(error) => {
            return Err(Failure::Unavailable { private: format!("secrets could not be read again; those before stay in force: {error}") });
        }
    }
    note_versions(store, secrets).await?;
    reseal(store, secrets).await
}

async fn note_versions(store: &Store, secrets: &Secrets) -> Result<(), Failure> {
    let known = rows::all(&mut store.read().await?).await?;
    let is_known = |version: &Version| known.iter().any(|(kind, number, _)| kind == version.kind.name() && *number == version.version);
    let new: Vec<Version> = secrets.versions().into_iter().filter(|version| version.used != Use::Prepared && !is_known(version)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let mut write = store.begin().await?;
    for version in new {
        rows::used(&mut write, version.kind.name(), version.version).await?;
    }
    Ok(write.commit().await?)
}

async fn reseal(store: &Store, secrets: &Secrets) -> Result<bool, Failure> {
    let encryption: Vec<Version> = secrets.versions().into_iter().filter(|version| version.kind == Kind::Encryption).collect();
    let mut reader = store.read().await?;
    let mut left = 0;
    for former in encryption.iter().filter(|version| version.used == Use::Former) {
        left += rows::sealed_under(&mut reader, former.version).await?;
    }
    drop(reader);
    if left == 0 {
        return Ok(false);
    }
    let mut write = store.begin().await?;
    let mut more = false;
    for place in SealedIn::ALL {
        for former in encryption.iter().filter(|version| version.used == Use::Former) {
            more |= reseal_some(&mut write, secrets, place, former.version).await?;
        }
    }
    write.commit().await?;
    Ok(more)
}

/// Seals anew some of what a former version sealed in a place; answers whether there may be more. What cannot be opened is passed over.
async fn reseal_some(write: &mut Write, secrets: &Secrets, place: SealedIn, version: u32) -> Result<bool, Failure> {
    let purpose = match place {
        SealedIn::ApiKeys => signing::PURPOSE,
        SealedIn::SigningKeys => signing_keys::PURPOSE,
        SealedIn::IdentityProviders => openid::CLIENT_SECRET,
        SealedIn::Outbox => outbox::PURPOSE,
    };
    let mut after = String::new();
    loop {
        let found = rows::sealed_by(write, place, version, &after, RESEALED_TOGETHER).await?;
        let is_full = found.len() == RESEALED_TOGETHER as usize;
        let mut resealed = false;
        for (id, sealed) in found {
            if let Ok(revealed) = secrets.reveal(purpose, &id, &sealed) {
                rows::reseal(write, place, &id, &secrets.protect(purpose, &id, &revealed)?).await?;
                resealed = true;
            }
            after = id;
        }
        if resealed || !is_full {
            return Ok(is_full);
        }
    }
}

/// Keeps the hash of a credential under the newest pepper, if it is kept under another. `digest` is that of the credential, which matched. Where it
/// fails the old hash stays, and is as good.
pub(crate) async fn rehash(store: &Store, secrets: &Secrets, place: HashedIn, id: &str, hash: &Hash, digest: &[u8; 32]) {
    if secrets.is_newest(hash).unwrap_or(true) {
        return;
    }
    if let Err(failure) = keep(store, secrets, place, id, hash, digest).await {
        tracing::warn!(private = failure.private(), %failure, "a credential could not be hashed under the newest pepper");
    }
}

async fn keep(store: &Store, secrets: &Secrets, place: HashedIn, id: &str, hash: &Hash, digest: &[u8; 32]) -> Result<(), Failure> {
    let anew = secrets.hash_again(hash, digest).await?;
    let mut write = store.begin().await?;
    rows::rehash(&mut write, place, id, &hash.bytes, &anew).await?;
    Ok(write.commit().await?)
}

async fn weigh(
    reader: &mut impl crate::store::Reader,
    version: Version,
    since: &[(String, u32, Time)],
    token_life: Duration,
    now: Time,
) -> Result<SecretVersion, Failure> {
    let Version { kind, version, origin, used } = version;
    let mut of_kind: Vec<(u32, Time)> =
        since.iter().filter(|(own, _, _)| own == kind.name()).map(|(_, version, at)| (*version, *at)).collect();
    of_kind.sort_unstable();
    let first = of_kind.first().map(|(version, _)| *version);
    let first_used_at = of_kind.iter().find(|(own, _)| *own == version).map(|(_, at)| *at);
    let followed = of_kind.iter().find(|(own, _)| *own > version).map_or(now, |(_, at)| *at);
    let (mut holds, mut needed_until) = (None, None);
    if used == Use::Former {
        match kind {
            Kind::Pepper => holds = Some(rows::hashed_under(reader, version, now).await?),
            Kind::Encryption => holds = Some(rows::sealed_under(reader, version).await?),
            Kind::Issuer => {
                let from = first_used_at.filter(|_| first != Some(version)).unwrap_or(Time::from_millis(0));
                holds = Some(rows::issued_between(reader, from, followed, now).await?);
            }
            Kind::Token => holds = Some(rows::refreshed_before(reader, followed, now).await?),
            Kind::Signing => needed_until = Some(followed.after(token_life)),
        }
    }
    Ok(SecretVersion { first_used_at, holds, needed_until, origin, ..bare(kind, version, used) })
}

fn bare(kind: Kind, version: u32, used: Use) -> SecretVersion {
    SecretVersion { kind, version, used, origin: Origin::File, first_used_at: None, holds: None, needed_until: None, secret: None }
}

/// How the audit log calls it.
fn name(kind: Kind, version: u32) -> String {
    format!("{}.{version}", kind.name())
}

/// What holds a version, and what is to be done about it.
const fn words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Pepper => (
            "keys, credentials and passwords are hashed under",
            "they are hashed anew as they are used; replace those that are not, or force it",
        ),
        Kind::Encryption => ("secrets are sealed under", "they are sealed anew within moments; try again"),
        Kind::Issuer => ("keys and credentials may have been made with", "rotate them, or force it"),
        Kind::Token => ("refresh tokens were made with", "they are made anew as they are used, or end; wait, or force it"),
        Kind::Signing => ("tokens were signed with", "wait until they end"),
    }
}
