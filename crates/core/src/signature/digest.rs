//! Owns digests of bodies: `Content-Digest` (RFC 9530) and the older `Digest`, with SHA-256. Must not know who signed them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Request, Wrong, base, decode};

/// `Content-Digest` of a body.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))
}

/// Whether a SHA-256 is a body's.
#[must_use]
pub fn is_digest_of(digest: &[u8; 32], body: &[u8]) -> bool {
    Sha256::digest(body).as_slice().ct_eq(digest).into()
}

/// The one SHA-256 in `Content-Digest`. Other algorithms may stand beside it.
pub(super) fn in_content_digest(request: &Request<'_>) -> Result<[u8; 32], Wrong> {
    member(request, "content-digest", |member| member.strip_prefix("sha-256=:").map(|rest| rest.strip_suffix(':')))
}

/// The one SHA-256 in `Digest` (RFC 3230).
pub(super) fn in_digest(request: &Request<'_>) -> Result<[u8; 32], Wrong> {
    member(request, "digest", |member| {
        let (name, value) = member.split_once('=')?;
        name.eq_ignore_ascii_case("sha-256").then_some(Some(value))
    })
}

/// The value of the one member that is meant; the inner `None`: it is malformed.
fn member(request: &Request<'_>, name: &str, meant: impl Fn(&str) -> Option<Option<&str>>) -> Result<[u8; 32], Wrong> {
    let value = base::field(request.fields, name)?.ok_or(Wrong::Invalid)?;
    let value = std::str::from_utf8(&value).map_err(|_| Wrong::Invalid)?;
    let mut members = value.split(',').filter_map(|member| meant(member.trim_matches([' ', '\t'])));
    match (members.next(), members.next()) {
        (Some(Some(digest)), None) => decode(digest).ok_or(Wrong::Invalid),
        _ => Err(Wrong::Invalid),
    }
}
