//! Owns which OpenID providers there are, and what may be said of one. Must not know how one signs in with them.

use serde::{Deserialize, Serialize};

use crate::audit::noted::Noted;
use crate::failure::{Failure, Problems};
use crate::organisations;
use crate::page::{Listing, Page};
use crate::patch::given;
use crate::permission::{Principal, Role};
use crate::secrets::{Secrets, Shown};
use crate::store::openid::{self as rows, IdentityProvider, Stored};
use crate::store::{self, Store, Write};

/// What our secrets with providers are sealed for.
pub(crate) const CLIENT_SECRET: &str = "client secret";
/// The most scopes, and the longest texts.
const MOST_SCOPES: usize = 16;
const LONGEST_TEXT: usize = 512;

/// A provider to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIdentityProvider {
    /// Its id, which is part of our redirect URI: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
    #[schema(examples("corporate"))]
    pub id: String,
    /// What people read where they choose it. Default: its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its issuer, exactly as its tokens have it.
    #[schema(examples("https://idp.example.com"))]
    pub issuer: String,
    /// What we are called there.
    pub client_id: String,
    /// Our secret with it. Default: none; we are a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub client_secret: Option<Shown>,
    /// What is asked for, `openid` among it. Default: `openid`, `profile` and `email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The role of people who have no account yet: `operator`, `developer` or `viewer`. Default: they get none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_users: Option<Role>,
    /// The organisation of new users. Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
}

/// What of a provider is to change. Its issuer does not: who somebody is depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityProviderPatch {
    /// What people read from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What we are called there from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Our secret with it from now on; null: we have none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub client_secret: Option<Option<Shown>>,
    /// What is asked for from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The role of people without account from now on; null: they get none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<Role>)]
    pub new_users: Option<Option<Role>>,
    /// Whether nobody signs in with it from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// All providers.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be.
pub async fn list(store: &Store, page: &Page) -> Result<Listing<IdentityProvider>, Failure> {
    let rows = rows::list(&mut store.read().await?, page.window()?).await?;
    page.of(rows, |row| row, |provider: &IdentityProvider| &provider.id)
}

/// One provider.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn get(store: &Store, id: &str) -> Result<IdentityProvider, Failure> {
    Ok(rows::get(&mut store.read().await?, id).await?.ok_or(Failure::NotFound)?.provider)
}

/// Makes a provider.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Conflict`] where there is one of this id; [`Failure::Forbidden`] to principals bound to an organisation.
pub async fn create(
    write: &mut Write,
    secrets: &Secrets,
    principal: &Principal,
    new: NewIdentityProvider,
) -> Result<IdentityProvider, Failure> {
    principal.unbound()?;
    let scopes = new.scopes.unwrap_or_else(|| ["openid", "profile", "email"].map(str::to_owned).to_vec());
    let provider = IdentityProvider {
        label: new.label.unwrap_or_else(|| new.id.clone()),
        id: new.id,
        issuer: new.issuer,
        client_id: new.client_id,
        has_client_secret: new.client_secret.is_some(),
        scopes,
        new_users: new.new_users,
        organisation: Some(new.organisation.unwrap_or_else(|| organisations::DEFAULT.to_owned())),
        disabled: false,
        version: 1,
        created_at: write.now(),
        updated_at: write.now(),
    };
    let mut problems = Problems::default();
    problems.id("id", &provider.id);
    let issuer = provider.issuer.parse::<hyper::Uri>().ok().filter(|url| url.host().is_some() && url.query().is_none());
    let right = issuer.is_some() && provider.issuer.starts_with("http") && !provider.issuer.contains(['#', '@']);
    problems.check(
        right && provider.issuer.len() <= LONGEST_TEXT,
        "issuer",
        "a URL such as https://idp.example.com, without query and fragment",
    );
    let known = match provider.organisation.as_deref() {
        Some(organisation) => store::organisations::get(write, organisation).await?.is_some(),
        None => true,
    };
    problems.check(known, "organisation", "there is no such organisation");
    judge(&mut problems, &provider, new.client_secret.as_ref());
    problems.finish()?;
    let secret = new.client_secret.map(|secret| secrets.protect(CLIENT_SECRET, &provider.id, secret.expose().as_bytes())).transpose()?;
    if !rows::insert(write, &provider, secret.as_deref()).await? {
        return Err(Failure::conflict("id", "there is a provider of this id"));
    }
    write.note(principal, "identity_providers:create", &provider.id, Noted::made(&provider).whose(None)).await?;
    Ok(provider)
}

/// Changes a provider; `version` is the one the caller knows, if it says so.
///
/// # Errors
/// [`Failure::Invalid`], [`Failure::NotFound`], [`Failure::Stale`]; [`Failure::Forbidden`] to principals bound to an organisation.
pub async fn update(
    write: &mut Write,
    secrets: &Secrets,
    principal: &Principal,
    id: &str,
    version: Option<u32>,
    patch: IdentityProviderPatch,
) -> Result<IdentityProvider, Failure> {
    principal.unbound()?;
    let Stored { provider: found, client_secret: kept } = rows::get(write, id).await?.ok_or(Failure::NotFound)?;
    Failure::unless_current(version, found.version)?;
    let mut changed = found.clone();
    changed.label = patch.label.unwrap_or(changed.label);
    changed.client_id = patch.client_id.unwrap_or(changed.client_id);
    changed.scopes = patch.scopes.unwrap_or(changed.scopes);
    changed.new_users = patch.new_users.unwrap_or(changed.new_users);
    changed.disabled = patch.disabled.unwrap_or(changed.disabled);
    let mut problems = Problems::default();
    judge(&mut problems, &changed, patch.client_secret.as_ref().and_then(Option::as_ref));
    problems.finish()?;
    let client_secret = match patch.client_secret {
        Some(given) => given.map(|secret| secrets.protect(CLIENT_SECRET, id, secret.expose().as_bytes())).transpose()?,
        None => kept,
    };
    changed =
        IdentityProvider { has_client_secret: client_secret.is_some(), version: found.version + 1, updated_at: write.now(), ..changed };
    rows::update(write, &Stored { provider: changed.clone(), client_secret }).await?;
    write.note(principal, "identity_providers:update", id, Noted::changed(&found, &changed).whose(None)).await?;
    Ok(changed)
}

/// Takes a provider away. Those who signed in with it stay signed in, and can no longer do so.
///
/// # Errors
/// [`Failure::NotFound`], [`Failure::Stale`]; [`Failure::Forbidden`] to principals bound to an organisation.
pub async fn delete(write: &mut Write, principal: &Principal, id: &str, version: Option<u32>) -> Result<(), Failure> {
    principal.unbound()?;
    let found = rows::get(write, id).await?.ok_or(Failure::NotFound)?.provider;
    Failure::unless_current(version, found.version)?;
    rows::delete(write, id).await?;
    write.note(principal, "identity_providers:delete", id, Noted::ended(&found).whose(None)).await?;
    Ok(())
}

fn judge(problems: &mut Problems, provider: &IdentityProvider, secret: Option<&Shown>) {
    problems.name("label", &provider.label);
    let visible = |text: &str| (1..=LONGEST_TEXT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    problems.check(visible(&provider.client_id), "client_id", "1 to 512 visible ASCII characters");
    problems.check(secret.is_none_or(|secret| visible(secret.expose())), "client_secret", "1 to 512 visible ASCII characters");
    let scope = |scope: &String| visible(scope) && !scope.contains([' ', '"', '\\']);
    let right = provider.scopes.len() <= MOST_SCOPES && provider.scopes.iter().all(scope);
    problems.check(right && provider.scopes.iter().any(|scope| scope == "openid"), "scopes", "1 to 16 scopes, `openid` among them");
    // Whoever the provider lets in would administer this backend.
    problems.check(provider.new_users != Some(Role::Admin), "new_users", "operator, developer or viewer");
}
