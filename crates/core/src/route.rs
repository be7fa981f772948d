//! Owns routes: how a request is matched to one, and what the route asks. Must not judge the request.

use std::borrow::Cow;

use regex_lite::Regex;

use crate::access::AddressRules;
use crate::signature::Rules;

/// A named class of requests and what it asks of them.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name, as limits, metrics and logs use it.
    pub name: String,
    /// Which requests it matches.
    pub matcher: Matcher,
    /// Neither authenticated nor limited.
    pub exempt: bool,
    /// Whether CORS preflights pass without credential and uncounted.
    pub preflight: bool,
    /// Whether a credential is needed.
    pub auth: Auth,
    /// What is asked of whoever has one: the position of the requirement.
    pub requirement: Option<u16>,
    /// The tier whose limits anonymous requests meet, per address: its position.
    pub anonymous_tier: Option<usize>,
    /// Units a request costs.
    pub cost: u32,
    /// Statuses whose requests are charged; others get their units back. `None`: all are charged.
    pub charge_when: Option<Statuses>,
    /// Address rules beside the global ones.
    pub addresses: AddressRules,
    /// How requests must be signed; `None`: only those of credentials that require it.
    pub signature: Option<Rules>,
    /// What denials tell a browser.
    pub cors: Option<Cors>,
}

/// Whether a route needs a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A valid credential, or 401.
    Required,
    /// None, or a valid one.
    Optional,
    /// Credentials are not looked at.
    None,
}

/// Origins whose pages may read this route's answers.
#[derive(Clone, Debug)]
pub struct Cors {
    /// Exact origins; `None` is every origin.
    pub origins: Option<Box<[String]>>,
    /// Whether credentialed requests may be read too.
    pub credentials: bool,
}

impl Cors {
    /// Whether pages of this origin may read the answer.
    #[must_use]
    pub fn admits(&self, origin: &[u8]) -> bool {
        self.origins.as_ref().is_none_or(|origins| origins.iter().any(|own| own.as_bytes() == origin))
    }
}

/// A set of HTTP statuses, as inclusive ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(pub Box<[(u16, u16)]>);

impl Statuses {
    /// Whether `status` is in the set.
    #[must_use]
    pub fn contain(&self, status: u16) -> bool {
        self.0.iter().any(|(low, high)| (*low..=*high).contains(&status))
    }
}

/// Which requests a route matches: all of hosts, methods and path must agree; an empty list agrees with everything.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Hosts in lower case without port.
    pub hosts: Box<[HostPattern]>,
    /// Methods, as sent (they are case-sensitive).
    pub methods: Box<[String]>,
    /// The path.
    pub path: PathPattern,
}

/// A host, or all hosts below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// Hosts that end in this suffix, which starts with a dot.
    Below(String),
}

/// A set of paths.
#[derive(Clone, Debug)]
pub enum PathPattern {
    /// Every path.
    Any,
    /// This path.
    Exact(String),
    /// This path and those below it, by whole segments.
    Prefix(String),
    /// A template such as `/users/{id}`.
    Template(matchit::Router<()>),
    /// A regular expression over the whole decoded path.
    Regex(Regex),
}

/// What of a request routes are matched by.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The authority, as sent.
    pub authority: &'a [u8],
    /// The path from [`decode_path`].
    pub path: &'a str,
}

impl Matcher {
    /// Whether a request is one of this route's.
    #[must_use]
    pub fn matches(&self, target: Target<'_>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|method| method.as_bytes() == target.method))
            && self.path.matches(target.path)
            && (self.hosts.is_empty() || self.hosts.iter().any(|host| host.matches(host_of(target.authority))))
    }
}

impl HostPattern {
    fn matches(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(own) => own.as_bytes().eq_ignore_ascii_case(host),
            Self::Below(suffix) => host
                .len()
                .checked_sub(suffix.len())
                .filter(|below| *below > 0)
                .and_then(|below| host.get(below..))
                .is_some_and(|end| suffix.as_bytes().eq_ignore_ascii_case(end)),
        }
    }
}

impl PathPattern {
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(own) => own == path,
            Self::Prefix(prefix) => {
                path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
            }
            Self::Template(router) => router.at(path).is_ok(),
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

/// Whether an authority is a host with or without a port, so that all who read it read the same host. An empty one is plain.
#[must_use]
pub fn is_plain_authority(authority: &[u8]) -> bool {
    let (host, rest) = match authority.strip_prefix(b"[") {
        Some(rest) => {
            let end = rest.iter().position(|byte| *byte == b']');
            let Some((address, [_, rest @ ..])) = end.and_then(|end| rest.split_at_checked(end)) else {
                return false;
            };
            if address.is_empty() || !address.iter().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte)) {
                return false;
            }
            (&b""[..], rest)
        }
        None => {
            let end = authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len());
            authority.split_at_checked(end).unwrap_or_default()
        }
    };
    let port_is_plain = match rest {
        [] => true,
        [b':', port @ ..] => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        [_, ..] => false,
    };
    port_is_plain && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte))
}

/// The host of an authority: without port and trailing dot, brackets kept.
fn host_of(authority: &[u8]) -> &[u8] {
    let end = match authority.iter().rposition(|byte| *byte == b':') {
        // The last colon of `[::1]` is inside the brackets.
        Some(colon) if authority.last() != Some(&b']') => colon,
        _ => authority.len(),
    };
    let host = authority.get(..end).unwrap_or(authority);
    host.strip_suffix(b".").unwrap_or(host)
}

/// A path that different readers may understand differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmbiguousPath;

/// The longest path that is judged, in bytes as sent and without the query: it bounds what matching costs.
pub const LONGEST_PATH: usize = 4_096;

/// The percent-decoded path of a request target, without the query and without `;parameters`, which many servers ignore.
///
/// # Errors
/// [`AmbiguousPath`] where a rule for one path could be evaded by writing it differently: dot segments (also with
/// `;parameters`), empty segments, fragments, backslashes, control characters, encoded slashes, broken escapes, bytes that
/// are not UTF-8 (RFC 3986, sections 5.2.4 and 6.2.2). Such requests are not meant well, or are worth mending.
pub fn decode_path(target: &[u8]) -> Result<Cow<'_, str>, AmbiguousPath> {
    let raw = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    if raw.len() > LONGEST_PATH {
        return Err(AmbiguousPath);
    }
    if raw == b"*" {
        return Ok(Cow::Borrowed("*"));
    }
    let plain = raw.iter().all(|byte| !matches!(byte, 0..=0x1f | 0x7f | b'%' | b'\\' | b'#' | b';'));
    let path = if plain { Cow::Borrowed(std::str::from_utf8(raw).map_err(|_| AmbiguousPath)?) } else { Cow::Owned(decode_escapes(raw)?) };
    let rest = path.strip_prefix('/').ok_or(AmbiguousPath)?;
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let empty_within = segment.is_empty() && segments.peek().is_some();
        if empty_within || segment == "." || segment == ".." {
            return Err(AmbiguousPath);
        }
    }
    Ok(path)
}

/// Decodes escapes and leaves out parameters, which must hold nothing either that another reader could take for a separator.
fn decode_escapes(raw: &[u8]) -> Result<String, AmbiguousPath> {
    let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut decoded = Vec::with_capacity(raw.len());
    let mut in_parameters = false;
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let (high, low) = (bytes.next().and_then(hex), bytes.next().and_then(hex));
                match high.zip(low).map(|(high, low)| high << 4 | low) {
                    None | Some(b'/' | b';') => return Err(AmbiguousPath),
                    Some(byte) => byte,
                }
            }
            b'#' => return Err(AmbiguousPath),
            b';' => {
                in_parameters = true;
                continue;
            }
            b'/' => {
                in_parameters = false;
                b'/'
            }
            byte => byte,
        };
        if matches!(byte, 0..=0x1f | 0x7f | b'\\') || (in_parameters && !byte.is_ascii()) {
            return Err(AmbiguousPath);
        }
        if !in_parameters {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).map_err(|_| AmbiguousPath)
}

#[cfg(test)]
mod tests;
