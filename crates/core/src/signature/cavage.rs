//! Owns the reading of `Authorization: Signature` (draft-cavage-http-signatures-12). Must not know secrets.
//!
//! Taken is what is as safe as the standard: `(request-target)`, `host` and `(created)` must be signed, and `digest` where there is a body. A
//! draft signature has no nonce: it is told from others by itself.

use super::{Claim, Request, Rules, Wrong, base, decode, digest, input};

const LONGEST: usize = 4_096;
const MOST_COMPONENTS: usize = 32;

#[derive(Default)]
struct Params<'a> {
    key: Option<&'a str>,
    algorithm: Option<&'a str>,
    headers: Option<&'a str>,
    signature: Option<&'a str>,
    created: Option<u64>,
    expires: Option<u64>,
}

/// Finds the signature of a credential.
pub(super) fn find(request: &Request<'_>, rules: &Rules, credential: &str) -> Result<Claim, Wrong> {
    let value = base::field(request.fields, "authorization")?.ok_or(Wrong::Missing)?;
    let value = String::from_utf8(value).ok().filter(|value| value.len() <= LONGEST).ok_or(Wrong::Invalid)?;
    let (scheme, rest) = value.split_once(' ').ok_or(Wrong::Missing)?;
    if !scheme.eq_ignore_ascii_case("Signature") {
        return Err(Wrong::Missing);
    }
    let params = read(rest.trim_start_matches(' ')).ok_or(Wrong::Invalid)?;
    if params.key != Some(credential) {
        return Err(Wrong::Missing);
    }
    let headers: Vec<&str> = params.headers.unwrap_or_default().split(' ').collect();
    let covers = |name: &str| headers.contains(&name);
    let repeated = headers.iter().enumerate().any(|(position, name)| headers.iter().take(position).any(|own| own == name));
    let least = ["(request-target)", "host", "(created)"].into_iter().all(covers) && (params.expires.is_none() || covers("(expires)"));
    let extra = rules.components.iter().all(|name| match name.as_str() {
        "@method" | "@authority" | "@path" | "@query" | "@request-target" => true,
        "content-digest" => covers("digest"),
        // Also the two that name the scheme, which a draft signature cannot.
        name => covers(name),
    });
    let known = params.algorithm.is_none_or(|own| own == "hmac-sha256" || own == "hs2019");
    let has_digest = covers("digest");
    if !least || !extra || !known || repeated || headers.len() > MOST_COMPONENTS || rules.tag.is_some() {
        return Err(Wrong::Invalid);
    }
    if request.has_body && !has_digest && !rules.checks_body {
        return Err(Wrong::Invalid);
    }
    let created = params.created.ok_or(Wrong::Invalid)?;
    let text = text(request, &headers, created, params.expires)?;
    Ok(Claim {
        base: text,
        mac: params.signature.and_then(decode).ok_or(Wrong::Invalid)?.to_vec(),
        created,
        expires: params.expires,
        nonce: None,
        digest: has_digest.then(|| digest::in_digest(request)).transpose()?,
    })
}

/// What is signed (section 2.3 of the draft).
pub(super) fn text(request: &Request<'_>, headers: &[&str], created: u64, expires: Option<u64>) -> Result<Vec<u8>, Wrong> {
    let mut text = Vec::with_capacity(256);
    for (position, name) in headers.iter().enumerate() {
        if position > 0 {
            text.push(b'\n');
        }
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        match *name {
            "(request-target)" => {
                text.extend(request.method.to_ascii_lowercase());
                text.push(b' ');
                text.extend_from_slice(request.target);
            }
            "(created)" => text.extend(created.to_string().into_bytes()),
            "(expires)" => text.extend(expires.ok_or(Wrong::Invalid)?.to_string().into_bytes()),
            "host" => text.extend_from_slice(request.authority),
            name if name.is_empty()
                || name.starts_with('(')
                || name.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii_graphic()) =>
            {
                return Err(Wrong::Invalid);
            }
            name => text.extend(base::field(request.fields, name)?.ok_or(Wrong::Invalid)?),
        }
    }
    Ok(text)
}

/// Reads the parameters, each at most once; `None` for one that is not known.
fn read(text: &str) -> Option<Params<'_>> {
    let mut params = Params::default();
    let mut rest = text;
    loop {
        let (name, value) = rest.split_once('=')?;
        let after = if let "created" | "expires" = name {
            let (number, after) = input::integer(value)?;
            let place = if name == "created" { &mut params.created } else { &mut params.expires };
            if place.replace(number).is_some() {
                return None;
            }
            after
        } else {
            let (text, after) = value.strip_prefix('"')?.split_once('"')?;
            let place = match name {
                "keyId" => &mut params.key,
                "algorithm" => &mut params.algorithm,
                "headers" => &mut params.headers,
                "signature" => &mut params.signature,
                _ => return None,
            };
            if text.contains('\\') || place.replace(text).is_some() {
                return None;
            }
            after
        };
        match after.trim_start_matches(' ') {
            "" => return Some(params),
            more => rest = more.strip_prefix(',')?.trim_start_matches(' '),
        }
    }
}
