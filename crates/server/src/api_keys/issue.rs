//! Owns the making of keys: new ones and those taken over from elsewhere. Must not ask whether one may be made.

use tollgate_core::config::document::Limit;
use tollgate_core::credential::digest;

use super::document::{ApiKey, Created, NewApiKey};
use super::limits::all;
use crate::addresses::AddressRules;
use crate::clock::Time;
use crate::consumers::Consumer;
use crate::failure::Failure;
use crate::secrets::{Hash, Purpose, Secrets, Shown, random_id};
use crate::signing::Signing;
use crate::store::Write;
use crate::store::api_keys::{self as rows, Row};

/// What a key is to have.
#[derive(Default)]
pub(crate) struct Wish {
    pub(crate) label: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) addresses: AddressRules,
    pub(crate) signing: Signing,
    pub(crate) expires_at: Option<Time>,
    pub(crate) replaces: Option<String>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) spends_as: Option<String>,
}

impl Wish {
    /// What a new key is to have.
    pub(super) fn of(new: NewApiKey) -> Self {
        let NewApiKey { label, scopes, roles, addresses, signing, limits, credits, expires_at, consumer: _, import: _ } = new;
        Self { label, scopes, roles, addresses, signing, limits: all(limits, credits), expires_at, ..Self::default() }
    }
}

/// Makes a key, without asking whether it may be.
pub(crate) async fn issue(write: &mut Write, secrets: &Secrets, consumer: &Consumer, wish: Wish) -> Result<Created, Failure> {
    let issued = secrets.issue(Purpose::Api)?;
    let hash = secrets.hash_as_set(&digest(issued.shown.expose().as_bytes())).await?;
    let (key, signing_secret) = insert(write, secrets, consumer, issued.id, wish, (hash, false)).await?;
    Ok(Created { key, api_key: Some(issued.shown), signing_secret })
}

/// Takes a key over from elsewhere.
pub(super) async fn import(
    write: &mut Write,
    secrets: &Secrets,
    consumer: &Consumer,
    wish: Wish,
    digest: [u8; 32],
) -> Result<Created, Failure> {
    if rows::imported_for(write, &secrets.hashes(&digest)).await?.is_some() {
        return Err(Failure::conflict("import", "the key was imported before"));
    }
    // It is found by its hash, which only this hashing makes again.
    let (key, signing_secret) = insert(write, secrets, consumer, random_id(16)?, wish, (secrets.hash(&digest)?, true)).await?;
    Ok(Created { key, api_key: None, signing_secret })
}

async fn insert(
    write: &mut Write,
    secrets: &Secrets,
    consumer: &Consumer,
    id: String,
    wish: Wish,
    (hash, imported): (Hash, bool),
) -> Result<(ApiKey, Option<Shown>), Failure> {
    let (signing_secret, shown) = wish.signing.make(secrets, &id)?.unzip();
    let row = Row { signing_secret, ..row(consumer, id, wish, imported, write.now()) };
    rows::insert(write, &[(row.clone(), hash)]).await?;
    Ok((ApiKey::of(row, write.now()), shown))
}

pub(super) fn row(consumer: &Consumer, id: String, wish: Wish, imported: bool, now: Time) -> Row {
    Row {
        id,
        organisation: consumer.organisation.clone(),
        consumer: consumer.id.clone(),
        label: wish.label,
        scopes: wish.scopes,
        roles: wish.roles,
        addresses: wish.addresses,
        signing: wish.signing,
        signing_secret: None,
        imported,
        created_at: now,
        expires_at: wish.expires_at,
        revoked_at: None,
        last_used_at: None,
        replaces: wish.replaces,
        replaced_by: None,
        limits: wish.limits,
        spends_as: wish.spends_as,
        version: 1,
    }
}
