//! Owns a second reading of requests, plain and slow, that the gate's is held to. Must not use the filter's code.

pub(crate) mod der;
pub(crate) mod json;
pub(crate) mod token;

/// A header: its name and its value.
pub(crate) type Pair<'a> = (&'a [u8], &'a [u8]);

/// The headers of a host's header map; `None` if the bytes are not one.
pub(crate) fn pairs(map: &[u8]) -> Option<Vec<Pair<'_>>> {
    let number = |at: usize| Some(u32::from_le_bytes(map.get(at..at.checked_add(4)?)?.try_into().ok()?) as usize);
    if map.len() < 4 {
        return Some(Vec::new());
    }
    let count = number(0)?;
    let mut at = count.checked_mul(8)?.checked_add(4)?;
    let mut text = |length: usize| {
        let text = map.get(at..at.checked_add(length)?)?;
        at += length + 1;
        (map.get(at - 1) == Some(&0)).then_some(text)
    };
    (0..count).map(|pair| Some((text(number(4 + 8 * pair)?)?, text(number(8 + 8 * pair)?)?))).collect()
}

/// The values of a header.
pub(crate) fn values<'a>(pairs: &[Pair<'a>], name: &str) -> Vec<&'a [u8]> {
    pairs.iter().filter(|(own, _)| *own == name.as_bytes()).map(|(_, value)| *value).collect()
}

/// A pseudo-header; empty if it is missing.
pub(crate) fn last<'a>(pairs: &[Pair<'a>], name: &str) -> &'a [u8] {
    values(pairs, name).last().copied().unwrap_or_default()
}

/// What follows `Bearer`, if that is the scheme.
pub(crate) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let (scheme, rest) = value.split_at(value.iter().position(|byte| b" \t".contains(byte)).unwrap_or(value.len()));
    scheme.eq_ignore_ascii_case(b"bearer").then(|| rest.trim_ascii())
}

/// The target's path and the parts of its query.
pub(crate) fn split(target: &[u8]) -> (&[u8], Vec<&[u8]>) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(mark) => (&target[..mark], target[mark + 1..].split(|byte| *byte == b'&').collect()),
        None => (target, Vec::new()),
    }
}

/// The values of `api_key` in a query.
pub(crate) fn parameters(target: &[u8]) -> Vec<&[u8]> {
    let pairs = split(target).1.into_iter().map(|part| part.split_at(part.iter().position(|byte| *byte == b'=').unwrap_or(part.len())));
    pairs.filter(|(name, _)| unescape(name) == b"api_key").map(|(_, value)| value.strip_prefix(b"=").unwrap_or_default()).collect()
}

/// The path's segments without escapes and without `;parameters`.
pub(crate) fn path(target: &[u8]) -> Vec<u8> {
    let name = |segment: &[u8]| unescape(segment.split(|byte| *byte == b';').next().unwrap_or_default());
    split(target).0.split(|byte| *byte == b'/').map(name).collect::<Vec<_>>().join(&b'/')
}

/// Whether an authority is `host`, `host:port`, `[address]` or `[address]:port`, as far as characters tell.
pub(crate) fn is_plain_authority(authority: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(authority) else { return false };
    let (host, port) = match text.split_once(']') {
        Some((address, port)) if port.is_empty() || port.starts_with(':') => (address, port.get(1..).unwrap_or_default()),
        Some(_) => return false,
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let host_is_plain = match host.strip_prefix('[') {
        Some(address) => {
            text.contains(']') && !address.is_empty() && address.chars().all(|one| one.is_ascii_hexdigit() || ":.".contains(one))
        }
        None => !text.contains(']') && host.chars().all(|one| one.is_ascii_alphanumeric() || "-._~".contains(one)),
    };
    host_is_plain && port.len() <= 5 && port.chars().all(|digit| digit.is_ascii_digit())
}

/// Bytes without escapes; broken escapes stay.
pub(crate) fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        let digits = rest.get(1..3).and_then(|digits| std::str::from_utf8(digits).ok()).filter(|_| *byte == b'%');
        match digits.filter(|digits| !digits.starts_with('+')).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => {
                plain.push(escaped);
                rest = &rest[3..];
            }
            None => {
                plain.push(*byte);
                rest = after;
            }
        }
    }
    plain
}

/// All credentials a request carries, empty ones left out.
pub(crate) fn credentials(pairs: &[Pair<'_>]) -> Vec<Vec<u8>> {
    let schemes = values(pairs, "authorization").into_iter().flat_map(|value| value.split(|byte| *byte == b',')).filter_map(bearer);
    let headers = values(pairs, "x-api-key");
    let query = parameters(last(pairs, ":path")).into_iter().map(unescape);
    let all = schemes.chain(headers).map(<[u8]>::to_vec).chain(query);
    all.filter(|credential| !credential.is_empty()).collect()
}

/// Whether no place holds more than one credential, empty ones counted.
pub(crate) fn each_place_once(pairs: &[Pair<'_>]) -> bool {
    let authorization = values(pairs, "authorization");
    authorization.len() <= 1
        && authorization.iter().all(|value| bearer(value).is_none_or(|rest| !rest.contains(&b',')))
        && values(pairs, "x-api-key").len() <= 1
        && parameters(last(pairs, ":path")).len() <= 1
}

/// Whether a request's path is this one or below it.
pub(crate) fn is_below(pairs: &[Pair<'_>], prefix: &str) -> bool {
    let path = path(last(pairs, ":path"));
    path.strip_prefix(prefix.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Whether a request may pass without a key by the policy of `fixture`.
pub(crate) fn may_be_anonymous(pairs: &[Pair<'_>]) -> bool {
    let there = |name: &str| !values(pairs, name).is_empty();
    let preflight = last(pairs, ":method") == b"OPTIONS" && there("origin") && there("access-control-request-method");
    path(last(pairs, ":path")) == b"/healthz"
        || is_below(pairs, "/open")
        || (is_below(pairs, "/either") && credentials(pairs).is_empty())
        || (is_below(pairs, "/page") && preflight)
}
