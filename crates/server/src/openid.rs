//! Owns sign-in through OpenID providers: whose account an identity of theirs opens. Must not know what is said to them: `protocol` does.
//!
//! An account is linked to (issuer, subject), never to an address: whoever can have a provider say an address could open the account of
//! whoever has it here. Somebody who has an account links an identity to it while signed in.

mod protocol;
mod providers;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tollgate_core::credential::digest;
use zeroize::Zeroizing;

use crate::audit::noted::Noted;
use crate::failure::Failure;
use crate::outgoing::Outgoing;
use crate::permission::{Principal, Role};
use crate::secrets::{Secrets, Shown, random_word};
use crate::sessions::{self, Begun};
use crate::store::openid::{self as rows, SignIn, Stored};
use crate::store::{self, Store, Write};
use crate::users::{self, User};

pub use crate::store::openid::IdentityProvider;
use protocol::{Client, Metadata, Person, ProtocolError, Words};
pub(crate) use providers::CLIENT_SECRET;
pub use providers::{IdentityProviderPatch, NewIdentityProvider, create, delete, get, list, update};

/// How long a sign-in may take.
pub const LONGEST_SIGN_IN: Duration = Duration::from_secs(600);
/// Sign-ins under way at once; of more the oldest must begin anew.
const MOST_SIGN_INS: u32 = 10_000;
/// What the words of a sign-in are sealed for.
const SIGN_IN: &str = "sign-in";
/// The longest path that a browser comes back to.
const LONGEST_PATH: usize = 512;

/// Where a browser goes to sign in.
#[derive(Debug)]
pub struct Departure {
    /// The provider's page.
    pub location: String,
    /// The word for the browser's cookie, without which it cannot come back.
    pub browser: Shown,
}

/// What a browser brings back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Return {
    /// Which sign-in it is.
    pub state: Option<String>,
    /// What the provider gave it for us.
    pub code: Option<String>,
    /// Which provider that was.
    pub iss: Option<String>,
    /// Why the provider gave it nothing.
    pub error: Option<String>,
}

/// What came of a sign-in.
#[derive(Debug)]
pub enum Arrival {
    /// Somebody signed in; the browser goes on to this path.
    SignedIn(Box<Begun>, String),
    /// Somebody linked an identity to their account.
    Linked(String),
}

/// What both ways need of their surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// What is kept.
    pub store: &'a Store,
    /// The backend's own secrets.
    pub secrets: &'a Secrets,
    /// The way out.
    pub outgoing: &'a Outgoing,
    /// Where people find this backend.
    pub public_url: &'a str,
    /// The tier of new developers' consumers.
    pub tier: &'a str,
}

/// What a sign-in must have again, and the browser must not know.
#[derive(Serialize, Deserialize)]
struct Kept {
    nonce: Zeroizing<String>,
    verifier: Zeroizing<String>,
}

impl From<ProtocolError> for Failure {
    fn from(error: ProtocolError) -> Self {
        Self::Unavailable { private: error.to_string() }
    }
}

/// Where we have a provider send browsers back to.
#[must_use]
pub fn redirect_uri(public_url: &str, provider: &str) -> String {
    format!("{public_url}/api/v1/auth/openid/{provider}/callback")
}

/// Sends a browser to a provider. `user` links an identity to their account; without one somebody signs in. It comes back to `return_to`, a path
/// of ours.
///
/// # Errors
/// [`Failure::NotFound`], [`Failure::Invalid`]; [`Failure::Unavailable`] where the provider cannot be asked.
pub async fn depart(around: Surroundings<'_>, provider: &str, return_to: &str, user: Option<&Principal>) -> Result<Departure, Failure> {
    if !is_own_path(return_to) {
        return Err(Failure::invalid("return_to", "a path of this backend, such as /keys"));
    }
    let found = usable(around.store, provider).await?;
    let user = user.map(users::id_of).transpose()?;
    let metadata = Metadata::discover(around.outgoing, &found.provider.issuer).await?;
    let words = Words { state: random_word()?, nonce: random_word()?, verifier: random_word()? };
    let browser = random_word()?;
    let redirect_uri = redirect_uri(around.public_url, provider);
    let location = metadata.authorization_url(&client(&found, None, &redirect_uri), &words);
    let state = digest(words.state.as_bytes());
    let kept = Kept { nonce: words.nonce, verifier: words.verifier };
    let kept = Zeroizing::new(serde_json::to_vec(&kept).map_err(|error| Failure::internal(&error))?);
    let mut write = around.store.begin().await?;
    let sign_in = SignIn {
        browser: digest(browser.as_bytes()).to_vec(),
        provider: provider.to_owned(),
        sealed: around.secrets.protect(SIGN_IN, &URL_SAFE_NO_PAD.encode(state), &kept)?,
        return_to: return_to.to_owned(),
        user: user.map(ToOwned::to_owned),
        ends_at: write.now().after(LONGEST_SIGN_IN),
    };
    rows::begin(&mut write, &state, &sign_in, MOST_SIGN_INS).await?;
    write.commit().await?;
    Ok(Departure { location, browser: Shown::new(browser) })
}

/// Takes a browser back that was sent to a provider. `browser` is the word of its cookie, `user` who is signed in with it, `agent` what it calls
/// itself.
///
/// # Errors
/// [`Failure::Invalid`] for a sign-in that is not this browser's, is over or was finished before; [`Failure::Forbidden`] to whoever gets no account;
/// [`Failure::Conflict`] for an identity that opens another account; [`Failure::Unavailable`] where the provider cannot be asked or believed.
pub async fn arrive(
    around: Surroundings<'_>,
    provider: &str,
    back: &Return,
    browser: Option<&str>,
    user: Option<&Principal>,
    agent: &str,
) -> Result<Arrival, Failure> {
    let wrong = || Failure::invalid("state", "no sign-in of this browser that is under way: begin anew");
    let found = usable(around.store, provider).await?;
    let state = digest(back.state.as_deref().ok_or_else(wrong)?.as_bytes());
    let mut write = around.store.begin().await?;
    let sign_in = rows::take(&mut write, &state).await?;
    // Whatever comes of it, it is good once.
    write.commit().await?;
    let sign_in = sign_in.filter(|sign_in| sign_in.provider == provider && around.store.now() < sign_in.ends_at).ok_or_else(wrong)?;
    let own = browser.is_some_and(|browser| bool::from(digest(browser.as_bytes()).ct_eq(&sign_in.browser)));
    // Who began to link must be who comes back.
    if !own || sign_in.user.is_some() && sign_in.user.as_deref() != user.and_then(|user| users::id_of(user).ok()) {
        return Err(wrong());
    }
    let metadata = Metadata::discover(around.outgoing, &found.provider.issuer).await?;
    if !metadata.may_have_said(back.iss.as_deref()) {
        return Err(Failure::invalid("iss", "the answer is another provider's"));
    }
    if let Some(error) = &back.error {
        let shown: String = error.chars().filter(|character| character.is_ascii_lowercase() || *character == '_').take(40).collect();
        return Err(Failure::invalid("error", format!("the provider signed nobody in: {shown}")));
    }
    let code = back.code.as_deref().ok_or_else(|| Failure::invalid("code", "required"))?;
    let kept = around.secrets.reveal(SIGN_IN, &URL_SAFE_NO_PAD.encode(state), &sign_in.sealed)?;
    let kept: Kept = serde_json::from_slice(&kept).map_err(|error| Failure::internal(&error))?;
    let secret = match &found.client_secret {
        Some(sealed) => Some(text(around.secrets.reveal(CLIENT_SECRET, provider, sealed)?)?),
        None => None,
    };
    let redirect_uri = redirect_uri(around.public_url, provider);
    let now = u64::try_from(around.store.now().millis()).unwrap_or_default() / 1_000;
    let person = metadata.person(around.outgoing, &client(&found, secret, &redirect_uri), code, (&kept.nonce, &kept.verifier), now).await?;
    settle(around, &found.provider, &person, sign_in, user, agent).await
}

/// Signs in whoever an identity is, or links it.
async fn settle(
    around: Surroundings<'_>,
    provider: &IdentityProvider,
    person: &Person,
    sign_in: SignIn,
    user: Option<&Principal>,
    agent: &str,
) -> Result<Arrival, Failure> {
    let mut write = around.store.begin().await?;
    let linked = rows::linked(&mut write, &provider.issuer, &person.subject).await?;
    if let (Some(own), Some(principal)) = (&sign_in.user, user) {
        if !users::still_stands(&mut write, principal).await? {
            return Err(Failure::Forbidden);
        }
        if linked.as_ref().is_some_and(|linked| linked != own) {
            return Err(Failure::conflict("sub", "this identity opens another account"));
        }
        if linked.is_none() {
            rows::link(&mut write, &provider.issuer, &person.subject, own).await?;
            write.record(principal, "identities:link", own).await?;
        }
        write.commit().await?;
        return Ok(Arrival::Linked(sign_in.return_to));
    }
    let user = match linked {
        Some(id) => store::users::get(&mut write, &id).await?.ok_or(Failure::Forbidden)?.user,
        None => newcomer(&mut write, around, provider, person).await?,
    };
    let principal = users::principal_of(&user).ok_or(Failure::Forbidden)?;
    let begun = sessions::begin(&mut write, user, agent).await?;
    write.record(&principal, "sessions:begin", &begun.session.id).await?;
    write.commit().await?;
    Ok(Arrival::SignedIn(Box::new(begun), sign_in.return_to))
}

/// An account for somebody who has none, where the provider's newcomers get one. It has no address: that of the provider may be somebody else's
/// here.
async fn newcomer(write: &mut Write, around: Surroundings<'_>, provider: &IdentityProvider, person: &Person) -> Result<User, Failure> {
    let role = provider.new_users.ok_or(Failure::Forbidden)?;
    let by = Principal::backend("openid");
    let shown = person.name.as_deref().or(person.email.as_deref()).unwrap_or_default();
    let name: String = shown.chars().filter(|character| !character.is_control()).take(128).collect();
    let name = if name.trim().is_empty() { provider.label.clone() } else { name };
    let consumer = match role {
        Role::Developer => Some(users::give_consumer(write, &by, provider.organisation.as_deref(), (&name, None), around.tier).await?),
        Role::Admin | Role::Operator | Role::Viewer => None,
    };
    let user = User {
        id: users::user_id()?,
        name,
        email: None,
        role,
        organisation: provider.organisation.clone(),
        consumer,
        verified: true,
        disabled: false,
        version: 1,
        created_at: write.now(),
        updated_at: write.now(),
    };
    users::add(write, &user, None).await?;
    rows::link(write, &provider.issuer, &person.subject, &user.id).await?;
    write.note(&by, "users:create", &user.id, users::told(Noted::made(&user), &user.id)).await?;
    Ok(user)
}

async fn usable(store: &Store, id: &str) -> Result<Stored, Failure> {
    rows::get(&mut store.read().await?, id).await?.filter(|found| !found.provider.disabled).ok_or(Failure::NotFound)
}

fn client<'a>(found: &'a Stored, secret: Option<Zeroizing<String>>, redirect_uri: &'a str) -> Client<'a> {
    let IdentityProvider { issuer, client_id, scopes, .. } = &found.provider;
    Client { issuer, id: client_id, secret, scopes, redirect_uri }
}

/// Whether a browser that is sent there stays here. `//host` and `/\host` are other places to it.
fn is_own_path(path: &str) -> bool {
    path.len() <= LONGEST_PATH
        && path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'"')
}

fn text(bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, Failure> {
    let text = std::str::from_utf8(&bytes).map_err(|error| Failure::internal(&error))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_goes_on_to_a_path_of_ours_alone() {
        for own in ["/", "/keys", "/keys?consumer=a&b=%20#c"] {
            assert!(is_own_path(own), "{own}");
        }
        for other in ["", "keys", "//evil.example", "/\\evil.example", "https://evil.example", "/a b", "/a\r\nb", "/\t/evil.example"] {
            assert!(!is_own_path(other), "{other}");
        }
    }
}
