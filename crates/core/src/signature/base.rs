//! Owns what is signed: the components of a request, and the text they make (RFC 9421, section 2.5). Must not know what must be signed.

use super::{Fields, Request, Wrong};

/// The longest value of a header that is signed.
const LONGEST_FIELD: usize = 8_192;

/// The signature base over components, with the value of `@signature-params` at its end.
///
/// # Errors
/// [`Wrong::Invalid`] if a component is not there, or is none that can be signed here.
pub fn signature_base<'a>(request: &Request<'_>, components: impl Iterator<Item = &'a str>, params: &str) -> Result<Vec<u8>, Wrong> {
    let mut base = Vec::with_capacity(256);
    for component in components {
        base.push(b'"');
        base.extend_from_slice(component.as_bytes());
        base.extend_from_slice(b"\": ");
        match component.strip_prefix('@') {
            Some(derived) => derive(request, derived, &mut base)?,
            None => base.extend(field(request.fields, component)?.ok_or(Wrong::Invalid)?),
        }
        base.push(b'\n');
    }
    base.extend_from_slice(b"\"@signature-params\": ");
    base.extend_from_slice(params.as_bytes());
    Ok(base)
}

/// Adds the value of a derived component (RFC 9421, section 2.2).
fn derive(request: &Request<'_>, name: &str, base: &mut Vec<u8>) -> Result<(), Wrong> {
    let mark = request.target.iter().position(|byte| *byte == b'?').unwrap_or(request.target.len());
    let (path, query) = request.target.split_at_checked(mark).ok_or(Wrong::Invalid)?;
    match name {
        "method" => base.extend_from_slice(request.method),
        "target-uri" => {
            base.extend(request.scheme.to_ascii_lowercase());
            base.extend_from_slice(b"://");
            base.extend(authority(request));
            base.extend_from_slice(request.target);
        }
        "authority" => base.extend(authority(request)),
        "scheme" => base.extend(request.scheme.to_ascii_lowercase()),
        "request-target" => base.extend_from_slice(request.target),
        "path" => base.extend_from_slice(path),
        "query" if query.is_empty() => base.push(b'?'),
        "query" => base.extend_from_slice(query),
        _ => return Err(Wrong::Invalid),
    }
    Ok(())
}

/// The host in lower case, without a port that goes without saying.
fn authority(request: &Request<'_>) -> Vec<u8> {
    let mut host = request.authority.to_ascii_lowercase();
    let usual: &[u8] = match request.scheme {
        b"https" => b":443",
        b"http" => b":80",
        _ => return host,
    };
    if host.ends_with(usual) {
        host.truncate(host.len() - usual.len());
    }
    host
}

/// The combined value of a header (RFC 9421, section 2.1); `None` if it is not there.
pub(super) fn field(fields: &dyn Fields, name: &str) -> Result<Option<Vec<u8>>, Wrong> {
    let mut combined: Option<Vec<u8>> = None;
    fields.each(name, &mut |value| {
        let value = value.trim_ascii();
        match &mut combined {
            None => combined = Some(value.to_vec()),
            Some(before) => {
                if before.len() <= LONGEST_FIELD {
                    before.extend_from_slice(b", ");
                    before.extend_from_slice(value);
                }
            }
        }
    });
    // A line break in a value would be another component.
    let wrong = |value: &Vec<u8>| value.len() > LONGEST_FIELD || value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f);
    match combined {
        Some(value) if wrong(&value) => Err(Wrong::Invalid),
        value => Ok(value),
    }
}
