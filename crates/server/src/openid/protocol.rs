//! Owns what is said to an OpenID provider and what of its answers is believed (OpenID Connect Core 1.0, code flow; RFC 7636, RFC 9207, RFC
//! 9700). Must not know accounts.
//!
//! The provider's words come over TLS from addresses that [`Outgoing`] has judged. Its ID token is verified all the same, by the code that
//! verifies access tokens in the proxy; its access token is not used, so nothing is asked of it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use hyper::{Request, Response, Uri};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use tollgate_core::claims::{self, NumericDate};
use tollgate_core::json;
use tollgate_core::jwk::KeySet;
use tollgate_core::jws::{Algorithm, Compact, NoAccelerator, Signed};
use zeroize::Zeroizing;

use crate::outgoing::{Outgoing, OutgoingError};

/// Algorithms that an ID token may be signed with: those by which nobody but the provider can sign.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
];
/// Seconds by which the provider's clock may differ.
const LEEWAY: u64 = 60;
/// The longest code and ID token that are looked at, in bytes.
const LONGEST_CODE: usize = 4_096;
const LONGEST_TOKEN: usize = 16 * 1_024;
/// The longest `sub` (OpenID Connect Core, section 2).
const LONGEST_SUBJECT: usize = 255;

/// Why nobody is signed in. Never carries what the provider or the browser sent, but a provider's error code.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The provider cannot be asked.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
    /// It answered with another status.
    #[error("the provider's {what} answered {status}{code}")]
    Status {
        /// What was asked.
        what: &'static str,
        /// How.
        status: u16,
        /// The error code of an answer that has one, in brackets.
        code: String,
    },
    /// Its answer is not what it must be.
    #[error("the provider's {what}: {problem}")]
    Answer {
        /// What was asked.
        what: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// Its ID token is not to be believed.
    #[error("the provider's ID token: {0}")]
    Token(&'static str),
}

/// What one is known as to a provider.
#[derive(Debug)]
pub(super) struct Client<'a> {
    pub(super) issuer: &'a str,
    pub(super) id: &'a str,
    /// `None`: a public client.
    pub(super) secret: Option<Zeroizing<String>>,
    pub(super) scopes: &'a [String],
    pub(super) redirect_uri: &'a str,
}

/// What a provider says of itself (OpenID Connect Discovery 1.0).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// The words of one sign-in, each random and good once.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) state: Zeroizing<String>,
    pub(super) nonce: Zeroizing<String>,
    pub(super) verifier: Zeroizing<String>,
}

/// Who signed in, in the provider's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) subject: String,
    /// What the provider calls them, for people to read. It says nothing of who they are here.
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Metadata {
    /// Asks a provider what it is.
    pub(super) async fn discover(outgoing: &Outgoing, issuer: &str) -> Result<Self, ProtocolError> {
        const WHAT: &str = "discovery document";
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata: Self = document(WHAT, &get(outgoing, WHAT, &url).await?)?;
        let wrong = |problem| ProtocolError::Answer { what: WHAT, problem };
        if metadata.issuer != issuer {
            return Err(wrong("it is of another issuer"));
        }
        // The browser goes there, not we: it must not lead where TLS ends.
        if issuer.starts_with("https://") && !metadata.authorization_endpoint.starts_with("https://") {
            return Err(wrong("its authorization endpoint is not https"));
        }
        if metadata.authorization_endpoint.parse::<Uri>().is_err() || metadata.authorization_endpoint.contains('#') {
            return Err(wrong("its authorization endpoint is no URL"));
        }
        Ok(metadata)
    }

    /// Where the browser goes to sign in.
    pub(super) fn authorization_url(&self, client: &Client<'_>, words: &Words) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, words.verifier.as_bytes()));
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", client.id)
            .append_pair("redirect_uri", client.redirect_uri)
            .append_pair("scope", &client.scopes.join(" "))
            .append_pair("state", &words.state)
            .append_pair("nonce", &words.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        let joint = if self.authorization_endpoint.contains('?') { '&' } else { '?' };
        format!("{}{joint}{query}", self.authorization_endpoint)
    }

    /// Whether an answer that came to our redirect URI may be from this provider: by its `iss` (RFC 9207), which another provider would have
    /// to lie about.
    pub(super) fn may_have_said(&self, iss: Option<&str>) -> bool {
        iss.map_or(!self.authorization_response_iss_parameter_supported, |iss| iss == self.issuer)
    }

    /// Trades a code for who signed in. `now` is seconds since 1970.
    pub(super) async fn person(
        &self,
        outgoing: &Outgoing,
        client: &Client<'_>,
        code: &str,
        words: (&str, &str),
        now: u64,
    ) -> Result<Person, ProtocolError> {
        let (nonce, verifier) = words;
        let token = self.exchange(outgoing, client, code, verifier).await?;
        const WHAT: &str = "set of keys";
        let set = get(outgoing, WHAT, &self.jwks_uri).await?;
        let set = KeySet::read(&set).map_err(|_| ProtocolError::Answer { what: WHAT, problem: "it is none" })?;
        verified(&token, &set, client, nonce, now)
    }

    async fn exchange(&self, outgoing: &Outgoing, client: &Client<'_>, code: &str, verifier: &str) -> Result<String, ProtocolError> {
        const WHAT: &str = "token endpoint";
        if code.len() > LONGEST_CODE {
            return Err(ProtocolError::Answer { what: "answer", problem: "its code is too long" });
        }
        let request = self.token_request(client, code, verifier).map_err(|_| OutgoingError::Url)?;
        let answer = successful(WHAT, outgoing.send(request).await?)?;
        let wrong = |problem| ProtocolError::Answer { what: WHAT, problem };
        let token = document::<Tokens>(WHAT, &answer)?.id_token.ok_or_else(|| wrong("it gave no ID token"))?;
        if token.len() > LONGEST_TOKEN { Err(wrong("its ID token is too long")) } else { Ok(token) }
    }

    fn token_request(&self, client: &Client<'_>, code: &str, verifier: &str) -> Result<Request<Bytes>, hyper::http::Error> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code").append_pair("code", code).append_pair("redirect_uri", client.redirect_uri);
        form.append_pair("code_verifier", verifier);
        let mut request = Request::post(&self.token_endpoint)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        match &client.secret {
            Some(secret) if self.takes_basic() => request = request.header(AUTHORIZATION, basic(client.id, secret)),
            secret => {
                form.append_pair("client_id", client.id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret);
                }
            }
        }
        request.body(Bytes::from(form.finish()))
    }

    /// Whether the secret may go into `Authorization`: where nothing is said it may (RFC 8414, section 2).
    fn takes_basic(&self) -> bool {
        self.token_endpoint_auth_methods_supported
            .as_ref()
            .is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
    }
}

/// Who an ID token speaks of, if it is to be believed (OpenID Connect Core, section 3.1.3.7).
fn verified(token: &str, set: &KeySet, client: &Client<'_>, nonce: &str, now: u64) -> Result<Person, ProtocolError> {
    use ProtocolError::Token;
    let compact = Compact::parse(token.as_bytes()).map_err(|_| Token("it is not read here"))?;
    let header = compact.header();
    if !ALGORITHMS.contains(&header.algorithm) || !matches!(header.kind.as_deref(), None | Some("jwt")) {
        return Err(Token("its algorithm or type is another"));
    }
    if !set.keys().iter().any(|key| compact.signed_by(key, &mut NoAccelerator) == Signed::Yes) {
        return Err(Token("no key of the provider's signed it"));
    }
    let claims = json::object(compact.unverified_payload()).ok_or(Token("its claims are no JSON object"))?;
    let text = |name| claims::text(&claims, name).map_err(|_| Token("a claim is not what it must be"));
    if text("iss")? != Some(client.issuer) {
        return Err(Token("it is of another issuer"));
    }
    meant_for(&claims, client.id)?;
    let date = |name| claims::date(&claims, name).map_err(|_| Token("a time is none"));
    let NumericDate(ends) = date("exp")?.ok_or(Token("it has no end"))?;
    let NumericDate(issued) = date("iat")?.ok_or(Token("it has no beginning"))?;
    let begins = date("nbf")?.map_or(issued, |NumericDate(begins)| begins.max(issued));
    if ends.saturating_add(LEEWAY) <= now || begins > now.saturating_add(LEEWAY) {
        return Err(Token("it is not of this time"));
    }
    if !text("nonce")?.is_some_and(|own| bool::from(own.as_bytes().ct_eq(nonce.as_bytes()))) {
        return Err(Token("it is of another sign-in"));
    }
    let subject = text("sub")?.filter(|subject| (1..=LONGEST_SUBJECT).contains(&subject.len()) && subject.is_ascii());
    let subject = subject.ok_or(Token("it names nobody"))?.to_owned();
    // These are for people to read: what cannot be read is not there.
    let shown = |name| claims::text(&claims, name).ok().flatten().map(str::to_owned);
    Ok(Person { subject, name: shown("name"), email: shown("email") })
}

/// An ID token is for us if its audience names us, and, where it names others too, `azp` does.
fn meant_for(claims: &Map<String, Value>, client: &str) -> Result<(), ProtocolError> {
    let other = || ProtocolError::Token("it is for somebody else");
    let audience = [client.to_owned()];
    if !claims::is_meant_for(claims, &audience).map_err(|_| other())? {
        return Err(other());
    }
    let several = matches!(claims.get("aud"), Some(Value::Array(names)) if names.len() > 1);
    match claims::text(claims, "azp").map_err(|_| other())? {
        Some(party) if party == client => Ok(()),
        None if !several => Ok(()),
        Some(_) | None => Err(other()),
    }
}

async fn get(outgoing: &Outgoing, what: &'static str, url: &str) -> Result<Bytes, ProtocolError> {
    let request = Request::get(url).header(ACCEPT, "application/json").body(Bytes::new()).map_err(|_| OutgoingError::Url)?;
    successful(what, outgoing.send(request).await?)
}

fn successful(what: &'static str, response: Response<Bytes>) -> Result<Bytes, ProtocolError> {
    let status = response.status().as_u16();
    let body = response.into_body();
    if status == 200 {
        return Ok(body);
    }
    // The codes of RFC 6749; a description may say anything.
    let code = serde_json::from_slice::<Refusal>(&body).ok().map(|refusal| refusal.error);
    let code = code.filter(|code| code.len() <= 40 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    Err(ProtocolError::Status { what, status, code: code.map_or_else(String::new, |code| format!(" ({code})")) })
}

fn document<T: for<'a> Deserialize<'a>>(what: &'static str, body: &[u8]) -> Result<T, ProtocolError> {
    serde_json::from_slice(body).map_err(|_| ProtocolError::Answer { what, problem: "it is not the JSON it must be" })
}

/// Name and secret, each in the form of forms before they are joined (RFC 6749, section 2.3.1).
fn basic(id: &str, secret: &str) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret))))
}

#[cfg(test)]
mod tests;
