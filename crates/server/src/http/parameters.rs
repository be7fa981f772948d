//! Owns the reading of what a path, a query and the headers ask for. Must not judge values.

use axum::extract::{FromRequestParts, OptionalFromRequestParts, RawPathParams};
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Refusal;
use crate::failure::Problem;

/// The last parameter of the path.
#[derive(Debug)]
pub(super) struct Named(pub(super) String);

/// The query, with nothing in it that is not asked for.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

/// What the caller knows of what it changes, by `If-Match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// That it is there.
    Any,
    /// Its version.
    Version(u32),
}

impl Known {
    /// The version, if that is what the caller knows.
    pub(super) const fn version(known: Option<Self>) -> Option<u32> {
        match known {
            Some(Self::Version(version)) => Some(version),
            Some(Self::Any) | None => None,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        // A path whose escapes are no UTF-8 names nothing.
        let parameters = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Refusal::not_found())?;
        parameters.iter().last().map(|(_, value)| Self(value.to_owned())).ok_or_else(Refusal::not_found)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Refusal> {
    let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let text = error.inner().to_string();
        let path = error.path().to_string();
        let quoted = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.split_once('`'));
        let problem = if let Some((name, allowed)) = quoted("unknown field `") {
            Problem::new(cut(name), format!("unknown parameter{}", allowed.replacen(", ", "; ", 1)))
        } else if let Some((name, _)) = quoted("duplicate field `") {
            Problem::new(name, "given twice")
        } else if let Some((name, _)) = quoted("missing field `") {
            Problem::new(name, "required")
        } else {
            Problem::new(cut(&path), cut(&text))
        };
        Refusal::invalid(vec![problem])
    })
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Known {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Refusal> {
        let mut given = parts.headers.get_all(IF_MATCH).iter();
        match (given.next(), given.next()) {
            (None, _) => Ok(None),
            (Some(any), None) if any == "*" => Ok(Some(Known::Any)),
            (Some(tag), None) => version(tag.to_str().unwrap_or_default()).map(Some),
            (Some(_), Some(_)) => Err(Refusal::field("If-Match", "given twice")),
        }
    }
}

fn version(tag: &str) -> Result<Known, Refusal> {
    let number = tag.trim().strip_prefix("\"v").and_then(|rest| rest.strip_suffix('"'));
    let number = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())).and_then(|number| number.parse().ok());
    number.map(Known::Version).ok_or_else(|| Refusal::field("If-Match", "one ETag as it was given, such as \"v3\", or *"))
}

/// The tag of a version.
pub(super) fn tag(version: u32) -> String {
    format!("\"v{version}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Page;

    #[test]
    fn a_query_holds_what_is_asked_for_and_nothing_else() {
        let page = |query: &str| {
            parse::<Page>(query).map_err(|refusal| {
                let [problem] = refusal.problems() else { panic!("{refusal:?}") };
                (problem.field.clone(), problem.reason.clone())
            })
        };
        assert_eq!(page("limit=7&after=a%20b").unwrap(), Page { limit: Some(7), after: Some("a b".to_owned()) });
        assert_eq!(page("").unwrap(), Page::default());
        let wrong = |query: &str| page(query).unwrap_err();
        assert_eq!(wrong("limt=7"), ("limt".to_owned(), "unknown parameter; expected `limit` or `after`".to_owned()));
        assert_eq!(wrong("limit=1&limit=2"), ("limit".to_owned(), "given twice".to_owned()));
        assert_eq!(wrong("limit=seven").0, "limit");
        assert_eq!(wrong("limit=-1").0, "limit");
        assert_eq!(wrong("limit=").0, "limit");
    }

    #[test]
    fn a_version_is_one_strong_tag() {
        assert_eq!(version("\"v12\"").unwrap(), Known::Version(12));
        for wrong in ["v12", "\"12\"", "W/\"v12\"", "\"v12\", \"v13\"", "\"v\"", "\"v+1\"", "\"v99999999999\"", ""] {
            assert!(version(wrong).is_err(), "{wrong}");
        }
        assert_eq!(version(&tag(7)).unwrap(), Known::Version(7));
    }
}
