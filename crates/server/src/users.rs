//! Owns users: people who sign in, and what they may do. Must not know how they prove who they are: `accounts` and `openid` do.

mod binding;

use serde::{Deserialize, Serialize};

pub(crate) use binding::{Binding, bind};

use crate::audit::noted::Noted;
use crate::consumers::{self, NewConsumer};
use crate::failure::{Failure, Problems};
use crate::page::{Listing, Page};
use crate::permission::{Principal, Role};
use crate::secrets::{Secrets, random_id};
use crate::store::users as rows;
use crate::store::{self, Reader, Store, Write};
use crate::{accounts, sessions};

pub use crate::store::users::User;

/// What the name of a principal who is a user begins with.
const NAMED: &str = "user:";

/// A user to be made. They are sent a word with which they choose a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// What they are called: 1 to 128 characters.
    pub name: String,
    /// Where they can be written to.
    #[schema(examples("user@example.com"))]
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// The organisation an operator or a viewer is bound to. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The consumer a developer is bound to; only and always for developers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
}

/// What of a user is to change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UserPatch {
    /// What they are called from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What they may do from now on. Organisation and consumer are those given with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The organisation an operator or a viewer is bound to; only with `role`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The consumer a developer is bound to; only with `role`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// Whether they can no longer sign in. All their sessions end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// The users this principal may see.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be.
pub async fn list(store: &Store, principal: &Principal, page: &Page) -> Result<Listing<User>, Failure> {
    let rows =
        rows::list(&mut store.read().await?, page.window()?, principal.organisation.as_deref(), principal.consumer.as_deref()).await?;
    page.of(rows, |row| row, |user: &User| &user.id)
}

/// One user.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn get(store: &Store, principal: &Principal, id: &str) -> Result<User, Failure> {
    find(&mut store.read().await?, principal, id).await
}

/// Makes a user, and sends them a word to choose a password with.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Conflict`] where somebody has the address; [`Failure::Forbidden`] to principals bound to an organisation.
pub async fn create(write: &mut Write, secrets: &Secrets, public_url: &str, principal: &Principal, new: NewUser) -> Result<User, Failure> {
    principal.unbound()?;
    let mut problems = Problems::default();
    problems.name("name", &new.name);
    problems.email("email", &new.email);
    let binding = Binding { role: new.role, organisation: new.organisation, consumer: new.consumer };
    let organisation = bind(write, principal, &binding, &mut problems).await?;
    problems.finish()?;
    let user = User {
        id: user_id()?,
        name: new.name,
        email: Some(new.email),
        role: new.role,
        organisation,
        consumer: binding.consumer,
        verified: false,
        disabled: false,
        version: 1,
        created_at: write.now(),
        updated_at: write.now(),
    };
    add(write, &user, None).await?;
    accounts::invite(write, secrets, public_url, &user).await?;
    write.note(principal, "users:create", &user.id, told(Noted::made(&user), &user.id)).await?;
    Ok(user)
}

/// Changes a user; `version` is the one the caller knows, if it says so. Who may do something else, or nothing any longer, signs in anew.
///
/// # Errors
/// [`Failure::Invalid`], [`Failure::NotFound`], [`Failure::Stale`]; [`Failure::Forbidden`] to principals bound to an organisation, and to users
/// who would change what they themselves may do.
pub async fn update(write: &mut Write, principal: &Principal, id: &str, version: Option<u32>, patch: UserPatch) -> Result<User, Failure> {
    principal.unbound()?;
    let found = find(write, principal, id).await?;
    Failure::unless_current(version, found.version)?;
    let mut problems = Problems::default();
    let mut changed = found.clone();
    if let Some(name) = patch.name {
        problems.name("name", &name);
        changed.name = name;
    }
    match patch.role {
        Some(role) => {
            let binding = Binding { role, organisation: patch.organisation, consumer: patch.consumer };
            changed.organisation = bind(write, principal, &binding, &mut problems).await?;
            (changed.role, changed.consumer) = (role, binding.consumer);
        }
        None => {
            problems.check(patch.organisation.is_none(), "organisation", "only with `role`");
            problems.check(patch.consumer.is_none(), "consumer", "only with `role`");
        }
    }
    problems.finish()?;
    changed.disabled = patch.disabled.unwrap_or(found.disabled);
    if changed == found {
        return Ok(found);
    }
    let may = |user: &User| (user.role, user.organisation.clone(), user.consumer.clone(), user.disabled);
    if may(&changed) != may(&found) {
        // Nobody is left who could undo it.
        if principal.name == name_of(id) {
            return Err(Failure::Forbidden);
        }
        sessions::end_all(write, id).await?;
    }
    let changed = User { version: found.version + 1, updated_at: write.now(), ..changed };
    rows::update(write, &changed).await?;
    write.note(principal, "users:update", id, told(Noted::changed(&found, &changed), id)).await?;
    Ok(changed)
}

/// Ends a user: their sessions end, and who they were is forgotten.
///
/// # Errors
/// [`Failure::NotFound`], [`Failure::Stale`]; [`Failure::Forbidden`] to principals bound to an organisation, and to users about themselves.
pub async fn delete(write: &mut Write, principal: &Principal, id: &str, version: Option<u32>) -> Result<(), Failure> {
    principal.unbound()?;
    let found = find(write, principal, id).await?;
    Failure::unless_current(version, found.version)?;
    if principal.name == name_of(id) {
        return Err(Failure::Forbidden);
    }
    end(write, principal, &found).await
}

/// Ends those users who are bound to a consumer.
pub(crate) async fn delete_of_consumer(write: &mut Write, principal: &Principal, consumer: &str) -> Result<(), Failure> {
    for id in rows::of_consumer(write, consumer).await? {
        if let Some(found) = rows::get(write, &id).await? {
            end(write, principal, &found.user).await?;
        }
    }
    Ok(())
}

async fn end(write: &mut Write, principal: &Principal, user: &User) -> Result<(), Failure> {
    let id = &user.id;
    sessions::end_all(write, id).await?;
    store::openid::unlink_all(write, id).await?;
    rows::drop_proofs(write, id).await?;
    rows::delete(write, id).await?;
    write.note(principal, "users:delete", id, told(Noted::ended(user), id)).await?;
    // Who they were is forgotten by the audit log, too.
    store::audit::erase(write, &name_of(id)).await?;
    Ok(())
}

/// What the audit log is told of a user, with what says who they are apart.
pub(crate) fn told(noted: Noted, id: &str) -> Noted {
    noted.of(name_of(id), &["name", "email"])
}

/// Keeps a new user.
///
/// # Errors
/// [`Failure::Conflict`] where somebody has the address.
pub(crate) async fn add(write: &mut Write, user: &User, password: Option<&crate::secrets::Hash>) -> Result<(), Failure> {
    let key = user.email.as_deref().map(email_key);
    if rows::insert(write, user, key.as_deref(), password).await? {
        Ok(())
    } else {
        Err(Failure::conflict("email", "somebody has this address"))
    }
}

pub(crate) fn user_id() -> Result<String, Failure> {
    random_id(16).map(|random| format!("usr_{random}"))
}

/// What makes two addresses the same: how they are written matters to nobody today, though the part before the `@` could tell its case apart.
pub(crate) fn email_key(email: &str) -> String {
    email.to_lowercase()
}

/// How the audit log names a user.
pub(crate) fn name_of(id: &str) -> String {
    format!("{NAMED}{id}")
}

/// The id of a principal who is a user.
///
/// # Errors
/// [`Failure::Conflict`] to those who are none.
pub(crate) fn id_of(principal: &Principal) -> Result<&str, Failure> {
    let none = || Failure::conflict("session", "your credential is no user's: sign in");
    principal.name.strip_prefix(NAMED).ok_or_else(none)
}

/// What a user is as a principal, if they may do anything.
pub(crate) fn principal_of(user: &User) -> Option<Principal> {
    let User { id, role, organisation, consumer, verified, disabled, .. } = user;
    let may = *verified && !disabled;
    may.then(|| Principal { name: name_of(id), role: *role, organisation: organisation.clone(), consumer: consumer.clone(), session: None })
}

/// Whether a principal who is a user may still do what it could: their session goes on, and they may do what they could.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn still_stands(write: &mut Write, principal: &Principal) -> Result<bool, Failure> {
    let (Ok(id), Some(session)) = (id_of(principal), &principal.session) else {
        return Ok(false);
    };
    let now = rows::get(write, id).await?.and_then(|found| principal_of(&found.user));
    let same = now.is_some_and(|now| Principal { session: principal.session.clone(), ..now } == *principal);
    Ok(same && sessions::still_stands(write, session).await?)
}

/// Whether a principal is a user.
#[must_use]
pub fn is_user(principal: &Principal) -> bool {
    id_of(principal).is_ok()
}

/// The user of this id, if this principal may know of them.
async fn find(reader: &mut impl Reader, principal: &Principal, id: &str) -> Result<User, Failure> {
    let reaches = |user: &User| {
        principal.organisation.is_none() && principal.consumer.is_none()
            || user
                .organisation
                .as_deref()
                .is_some_and(|organisation| principal.reaches(organisation, user.consumer.as_deref().unwrap_or_default()))
    };
    rows::get(reader, id).await?.map(|found| found.user).filter(reaches).ok_or(Failure::NotFound)
}

/// Makes a consumer for somebody who is to have one of their own, called as they are; answers its id.
///
/// # Errors
/// [`Failure::Internal`] where the tier is none: it is the operator's word, not that of whoever asks.
pub(crate) async fn give_consumer(
    write: &mut Write,
    by: &Principal,
    organisation: Option<&str>,
    (name, email): (&str, Option<&str>),
    tier: &str,
) -> Result<String, Failure> {
    let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
    let new = NewConsumer { organisation: owned(organisation), email: owned(email), ..NewConsumer::new(name, tier) };
    let made = consumers::create(write, by, new).await;
    Ok(made.map_err(|failure| Failure::Internal { private: format!("a consumer for a new user: {failure}") })?.id)
}
