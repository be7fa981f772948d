//! Owns the search for a request's credential. Must not know whether it is valid.

use std::borrow::Cow;

use tollgate_core::credential::LONGEST_CREDENTIAL;
use tollgate_core::jws::is_token;
use tollgate_core::policy::Source;
use tollgate_core::verdict::Reason;

use crate::head::{Field, Head};

/// A credential, told from its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    /// A key, or what is to be judged as one.
    ApiKey(Cow<'a, [u8]>),
    /// What is meant to be an access token.
    Token(Cow<'a, [u8]>),
}

/// Finds the one credential a request carries: 1 to 512 visible ASCII characters, an access token up to `longest_token` where there are any.
///
/// # Errors
/// The reason to deny the request: repeated or conflicting credentials, or one no key or token can look like.
pub fn find<'a>(sources: &[Source], longest_token: Option<usize>, head: &Head<'a>) -> Result<Option<Presented<'a>>, Reason> {
    let mut credential: Option<Presented<'a>> = None;
    for (position, source) in sources.iter().enumerate() {
        let found = match source {
            Source::Header { scheme, .. } => in_header(field(head, position), scheme.as_deref())?.map(Cow::Borrowed),
            Source::Query(name) => in_query(head.target, name)?,
        };
        let Some(found) = found.filter(|found| !found.is_empty()) else {
            continue;
        };
        let well_formed = |longest| found.len() <= longest && found.iter().all(u8::is_ascii_graphic);
        let found = match longest_token {
            Some(longest) if is_token(&found) => well_formed(longest).then_some(Presented::Token(found)).ok_or(Reason::InvalidToken)?,
            Some(_) | None => well_formed(LONGEST_CREDENTIAL).then_some(Presented::ApiKey(found)).ok_or(Reason::InvalidKey)?,
        };
        match &credential {
            None => credential = Some(found),
            Some(first) if *first == found => {}
            Some(_) => return Err(Reason::ConflictingCredentials),
        }
    }
    Ok(credential)
}

/// Names of the headers in which a request carries a credential, valid or not.
pub fn headers<'a>(sources: &'a [Source], head: &'a Head<'_>) -> impl Iterator<Item = &'a str> {
    sources.iter().enumerate().filter_map(|(position, source)| match source {
        Source::Header { name, scheme } => {
            let carries = !matches!(in_header(field(head, position), scheme.as_deref()), Ok(None));
            carries.then_some(name.as_str())
        }
        Source::Query(_) => None,
    })
}

fn field<'a>(head: &Head<'a>, position: usize) -> Field<'a> {
    head.sources.get(position).copied().unwrap_or_default()
}

fn in_header<'a>(field: Field<'a>, scheme: Option<&str>) -> Result<Option<&'a [u8]>, Reason> {
    let value = match field {
        Field::Absent => return Ok(None),
        Field::Once(value) => value,
        Field::Repeated => return Err(Reason::DuplicateCredentials),
    };
    let Some(scheme) = scheme else {
        return Ok(Some(value));
    };
    // A proxy may join repeated headers with a comma, which no credential of a scheme holds (RFC 6750, section 2.1).
    let mut parts = value.split(|byte| *byte == b',');
    let first = parts.next().and_then(|part| after_scheme(part, scheme));
    let later = parts.fold((0, false), |(count, any), part| (count + 1, any || after_scheme(part, scheme).is_some()));
    match (first, later) {
        (Some(_), (1.., _)) | (None, (_, true)) => Err(Reason::DuplicateCredentials),
        (first, _) => Ok(first),
    }
}

/// What follows the scheme, or `None` if the value is of another scheme.
fn after_scheme<'a>(value: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let value = value.trim_ascii();
    let (own, rest) = value.split_at_checked(scheme.len())?;
    let ends = rest.first().is_none_or(|byte| *byte == b' ' || *byte == b'\t');
    (ends && own.eq_ignore_ascii_case(scheme.as_bytes())).then(|| rest.trim_ascii())
}

fn in_query<'a>(target: &'a [u8], name: &str) -> Result<Option<Cow<'a, [u8]>>, Reason> {
    let mut values = parameters(target).filter_map(|parameter| value_of(parameter, name));
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => Err(Reason::DuplicateCredentials),
        (Some(value), None) => unescape(value).map(Some).ok_or(Reason::InvalidKey),
        (None, _) => Ok(None),
    }
}

/// The target without the parameter of this name.
#[must_use]
pub fn without_parameter(target: &[u8], name: &str) -> Vec<u8> {
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let kept: Vec<&[u8]> = parameters(target).filter(|parameter| value_of(parameter, name).is_none()).collect();
    let mut rest = path.to_vec();
    if !kept.is_empty() {
        rest.push(b'?');
        rest.extend(kept.join(&b'&'));
    }
    rest
}

fn parameters(target: &[u8]) -> impl Iterator<Item = &[u8]> {
    let query = target.iter().position(|byte| *byte == b'?').and_then(|mark| target.get(mark + 1..));
    query.into_iter().flat_map(|query| query.split(|byte| *byte == b'&'))
}

/// The value if the parameter has this name, however the name is escaped.
fn value_of<'a>(parameter: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let end = parameter.iter().position(|byte| *byte == b'=').unwrap_or(parameter.len());
    let (own, value) = parameter.split_at_checked(end)?;
    (*unescape(own)? == *name.as_bytes()).then(|| value.strip_prefix(b"=").unwrap_or(value))
}

fn unescape(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !value.contains(&b'%') {
        return Some(Cow::Borrowed(value));
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = value.iter().copied();
    let mut plain = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            byte => byte,
        });
    }
    Some(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Vec<Source> {
        let header = |name: &str, scheme: Option<&str>| Source::Header { name: name.to_owned(), scheme: scheme.map(str::to_owned) };
        vec![header("authorization", Some("Bearer")), header("x-api-key", None), Source::Query("api_key".to_owned())]
    }

    fn carried(authorization: Field<'static>, api_key: Field<'static>, target: &'static [u8]) -> Result<Option<String>, Reason> {
        let mut head = Head { target, ..Head::default() };
        head.sources[0] = authorization;
        head.sources[1] = api_key;
        find(&sources(), None, &head).map(|credential| {
            credential.map(|presented| match presented {
                Presented::ApiKey(key) => String::from_utf8(key.into_owned()).unwrap(),
                Presented::Token(_) => panic!("there are no tokens"),
            })
        })
    }

    #[test]
    fn each_source_may_carry_the_credential() {
        let key = Some("k1".to_owned());
        for authorization in [&b"Bearer k1"[..], b"bearer  k1", b"BEARER\tk1 "] {
            assert_eq!(carried(Field::Once(authorization), Field::Absent, b"/"), Ok(key.clone()));
        }
        assert_eq!(carried(Field::Absent, Field::Once(b"k1"), b"/"), Ok(key.clone()));
        assert_eq!(carried(Field::Absent, Field::Absent, b"/?a=b&api_key=%6b1"), Ok(key.clone()));
        assert_eq!(carried(Field::Once(b"Bearer k1"), Field::Once(b"k1"), b"/?api_key=k1"), Ok(key), "the same thrice");
    }

    #[test]
    fn other_schemes_and_empty_values_are_no_credential() {
        for other in [&b"Basic Zm9v"[..], b"Bearer", b"Bearer ", b"Bearerk1", b"", b"Digest username=\"a\", realm=\"b\""] {
            assert_eq!(carried(Field::Once(other), Field::Absent, b"/"), Ok(None), "{}", other.escape_ascii());
        }
        assert_eq!(carried(Field::Absent, Field::Once(b""), b"/?api_key=&api_keys=x"), Ok(None));
    }

    #[test]
    fn repeated_and_conflicting_credentials_are_refused() {
        assert_eq!(carried(Field::Repeated, Field::Absent, b"/"), Err(Reason::DuplicateCredentials));
        for joined in [&b"Bearer k1,Bearer k1"[..], b"Bearer k1,", b"Basic x, bearer k1"] {
            assert_eq!(carried(Field::Once(joined), Field::Absent, b"/"), Err(Reason::DuplicateCredentials), "{}", joined.escape_ascii());
        }
        assert_eq!(carried(Field::Absent, Field::Absent, b"/?api_key=a&api_key=a"), Err(Reason::DuplicateCredentials));
        assert_eq!(carried(Field::Once(b"Bearer k1"), Field::Once(b"k2"), b"/"), Err(Reason::ConflictingCredentials));
    }

    #[test]
    fn what_no_key_looks_like_is_invalid() {
        for wrong in [&b"k\xff"[..], b"k 1", b"k\x01", &[b'k'; LONGEST_CREDENTIAL + 1]] {
            assert_eq!(carried(Field::Absent, Field::Once(wrong), b"/"), Err(Reason::InvalidKey));
        }
        for wrong in [&b"/?api_key=%"[..], b"/?api_key=%4", b"/?api_key=%zz", b"/?api_key=%00"] {
            assert_eq!(carried(Field::Absent, Field::Absent, wrong), Err(Reason::InvalidKey));
        }
        assert!(carried(Field::Absent, Field::Once(&[b'k'; LONGEST_CREDENTIAL]), b"/").is_ok());
    }

    #[test]
    fn a_parameter_is_taken_out_of_the_target() {
        for (target, rest) in [
            ("/a?api_key=x", "/a"),
            ("/a?b=c&api_key=x&d", "/a?b=c&d"),
            ("/a?b", "/a?b"),
            ("/a", "/a"),
            ("/a?api_key&b", "/a?b"),
            ("/a?api%5Fkey=x&%", "/a?%"),
        ] {
            assert_eq!(without_parameter(target.as_bytes(), "api_key"), rest.as_bytes(), "{target}");
        }
    }

    #[test]
    fn headers_that_carry_a_credential_are_named_valid_or_not() {
        let names = |authorization, api_key| {
            let mut head = Head::default();
            head.sources[0] = authorization;
            head.sources[1] = api_key;
            headers(&sources(), &head).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names(Field::Once(b"Bearer \xff"), Field::Repeated), ["authorization", "x-api-key"]);
        assert_eq!(names(Field::Once(b"Basic x"), Field::Once(b"")), ["x-api-key"], "another scheme is the upstream's");
        assert!(names(Field::Absent, Field::Absent).is_empty());
    }
}
