//! Owns what a token looks like: an incarnation and an end, and a tag that only the token key makes. Must not know whether its credential
//! is still good.
//!
//! `tgt_<body>.<tag>`, both base64url; the body is `<credential>.<incarnation>.<end in milliseconds since 1970>`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Incarnation;
use crate::clock::Time;
use crate::failure::Failure;
use crate::secrets::Secrets;

/// What a token begins with, so that people and scanners know it.
const PREFIX: &str = "tgt_";
/// Longer ones are refused unread; ours have about 140 characters.
const LONGEST: usize = 512;

pub(super) fn make(secrets: &Secrets, incarnation: &Incarnation, end: Time) -> Result<String, Failure> {
    let body = format!("{}.{}.{}", incarnation.credential, incarnation.incarnation, end.millis());
    let tag = URL_SAFE_NO_PAD.encode(secrets.token_tag(body.as_bytes())?);
    Ok(format!("{PREFIX}{}.{tag}", URL_SAFE_NO_PAD.encode(body)))
}

/// Whom a token stands for, unless it is none of ours or over.
pub(super) fn read(secrets: &Secrets, presented: &str, now: Time) -> Option<Incarnation> {
    if presented.len() > LONGEST {
        return None;
    }
    let (body, tag) = presented.strip_prefix(PREFIX)?.split_once('.')?;
    let (body, tag) = (URL_SAFE_NO_PAD.decode(body).ok()?, URL_SAFE_NO_PAD.decode(tag).ok()?);
    if !secrets.is_token_tag(&body, &tag) {
        return None;
    }
    let mut parts = std::str::from_utf8(&body).ok()?.split('.');
    let (credential, incarnation) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let end = Time::from_millis(parts.next()?.parse().ok()?);
    (now < end).then_some(Incarnation { credential, incarnation })
}
