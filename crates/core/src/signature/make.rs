//! Owns the making of signatures: what a client of the gate does. Must not judge them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Request, Wrong, cavage, signature_base};
use crate::credential::mac;
use crate::secret::Secret;

/// What a signature says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket<'a> {
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When it ends, if earlier than the receiver's rules say.
    pub expires: Option<u64>,
    /// What makes it unlike every other one.
    pub nonce: Option<&'a str>,
    /// The credential's id.
    pub keyid: &'a str,
    /// What it is for.
    pub tag: Option<&'a str>,
}

/// Signs components of a request: the values of `Signature-Input` and `Signature`.
///
/// # Errors
/// [`Wrong::Invalid`] if a component is not there, or is none that can be signed.
pub fn make(request: &Request<'_>, components: &[&str], ticket: &Ticket<'_>, secret: &Secret) -> Result<(String, String), Wrong> {
    let listed: Vec<String> = components.iter().map(|name| format!("\"{name}\"")).collect();
    let mut params = format!("({});created={}", listed.join(" "), ticket.created);
    if let Some(expires) = ticket.expires {
        params.push_str(&format!(";expires={expires}"));
    }
    for (name, value) in [("nonce", ticket.nonce), ("keyid", Some(ticket.keyid)), ("alg", Some("hmac-sha256")), ("tag", ticket.tag)] {
        if let Some(value) = value {
            params.push_str(&format!(";{name}=\"{value}\""));
        }
    }
    let base = signature_base(request, components.iter().copied(), &params)?;
    Ok((format!("sig1={params}"), format!("sig1=:{}:", STANDARD.encode(mac(secret, &[&base])))))
}

/// Signs headers of a request by the older draft: the value of `Authorization`. It has no nonce and no tag.
///
/// # Errors
/// [`Wrong::Invalid`] if a header is not there, or is none that can be signed.
pub fn make_cavage(request: &Request<'_>, headers: &[&str], ticket: &Ticket<'_>, secret: &Secret) -> Result<String, Wrong> {
    let text = cavage::text(request, headers, ticket.created, ticket.expires)?;
    let Ticket { created, keyid, .. } = ticket;
    let expires = ticket.expires.map(|expires| format!(",expires={expires}")).unwrap_or_default();
    let (headers, signature) = (headers.join(" "), STANDARD.encode(mac(secret, &[&text])));
    Ok(format!(
        "Signature keyId=\"{keyid}\",algorithm=\"hs2019\",created={created}{expires},headers=\"{headers}\",signature=\"{signature}\""
    ))
}
