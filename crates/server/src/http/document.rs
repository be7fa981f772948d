//! Owns the reading of JSON bodies: how large, how slow and how lax they may be, and the words for what is wrong. Must not judge values.
//!
//! Beyond what serde asks: no `null` where leaving a field out is meant, no array in place of an object, no control characters in texts.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::places::Held;
use super::problem::Refusal;
use crate::failure::Problem;

/// The largest body of the public API, in bytes.
pub(super) const LARGEST_DOCUMENT: usize = 64 * 1024;
/// How long a body may take to come.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Characters of a client's own words in an answer: enough to recognise them.
const LONGEST_QUOTE: usize = 200;
/// The fields that hold lists, wherever they are; no list holds another one.
const LISTS: [&str; 7] = ["allow", "deny", "keys", "limits", "roles", "routes", "scopes"];

/// What a request of the public API may carry as its body.
pub(super) trait Shape: DeserializeOwned {
    /// The fields where `null` means something: take away what is there.
    const CLEARABLE: &'static [&'static str] = &[];

    /// What no body at all means, if it may mean something.
    fn absent() -> Option<Self> {
        None
    }
}

/// A body, read.
#[derive(Debug)]
pub(super) struct Document<T> {
    pub(super) value: T,
    /// As it came.
    pub(super) raw: Bytes,
}

impl<S: Send + Sync, T: Shape> FromRequest<S> for Document<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let raw = whole(&parts, body).await?;
        if raw.is_empty()
            && !parts.headers.contains_key(CONTENT_TYPE)
            && let Some(value) = T::absent()
        {
            return Ok(Self { value, raw });
        }
        judge_type(&parts.headers)?;
        parse(&raw).map(|value| Self { value, raw })
    }
}

/// Reads a body of the public API to its end.
pub(super) async fn whole(parts: &Parts, body: Body) -> Result<Bytes, Refusal> {
    // Nobody waits for no body.
    let is_coming = !body.is_end_stream();
    let reading = collect(&parts.headers, body, LARGEST_DOCUMENT);
    match parts.extensions.get::<Held>() {
        Some(held) if is_coming => held.lend(reading).await,
        _ => reading.await,
    }
}

/// Reads a body to its end.
pub(super) async fn collect(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, Refusal> {
    // Said beforehand: nothing needs to be read to refuse it.
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()).and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(Refusal::too_large(most));
    }
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::too_large(most)),
        Ok(Err(_)) => Err(Refusal::field("", "the body broke off")),
        Err(_elapsed) => Err(Refusal::slow()),
    }
}

fn judge_type(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Refusal::media_type("no Content-Encoding is supported"));
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(given), None) = (types.next(), types.next()) else {
        return Err(Refusal::media_type("Content-Type must be given once: application/json"));
    };
    let mut parts = given.to_str().unwrap_or_default().split(';').map(|part| part.trim().to_ascii_lowercase());
    let is_json = parts.next().is_some_and(|kind| kind == "application/json");
    let is_utf8 = parts.all(|parameter| parameter.is_empty() || ["charset=utf-8", "charset=\"utf-8\""].contains(&parameter.as_str()));
    if is_json && is_utf8 { Ok(()) } else { Err(Refusal::media_type("Content-Type must be application/json, in UTF-8")) }
}

fn parse<T: Shape>(bytes: &[u8]) -> Result<T, Refusal> {
    let document: Value = serde_json::from_slice(bytes).map_err(|error| Refusal::field("", format!("not JSON: {error}")))?;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        Refusal::invalid(vec![problem_of(if path == "." { "" } else { &path }, error.inner())])
    })?;
    let mut problems = Vec::new();
    strict("", "", false, T::CLEARABLE, &document, &mut problems);
    if problems.is_empty() { Ok(value) } else { Err(Refusal::invalid(problems)) }
}

/// Notes what serde lets pass and nobody means.
fn strict(path: &str, name: &str, may_be_list: bool, clearable: &[&str], value: &Value, problems: &mut Vec<Problem>) {
    match value {
        Value::Null if clearable.contains(&name) => {}
        Value::Null => problems.push(Problem::new(path, "null; give a value, or leave it out")),
        Value::String(text) if text.contains(char::is_control) => {
            problems.push(Problem::new(path, "a text with control characters"));
        }
        Value::Array(_) if !may_be_list => problems.push(Problem::new(path, "an array; an object is expected")),
        Value::Array(elements) => {
            for (position, element) in elements.iter().enumerate() {
                strict(&format!("{path}[{position}]"), "", false, clearable, element, problems);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                strict(&joined(path, name), name, LISTS.contains(&name.as_str()), clearable, value, problems);
            }
        }
        Value::String(_) | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Turns serde's words into a field and a reason. Never repeats a text: it may be a secret in the wrong place.
fn problem_of(path: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    if !error.is_data() {
        // It is JSON: what serde_json takes for a mistake in writing is one in meaning, such as a number where a name belongs.
        return Problem::new(quote(path), "a value of another type than is expected here");
    }
    let text = text.strip_suffix(&place).unwrap_or(&text);
    if let Some(rest) = text.strip_prefix("missing field `") {
        return Problem::new(joined(path, rest.trim_end_matches('`')), "required");
    }
    if let Some(rest) = text.strip_prefix("unknown field `") {
        let (name, allowed) = rest.split_once("`, ").unwrap_or((rest.trim_end_matches('`'), "there are none"));
        // serde_path_to_error counts the unknown field to the path, or not, by where it noticed.
        let path = path.strip_suffix(name).map_or(path, |path| path.trim_end_matches('.'));
        return Problem::new(quote(&joined(path, name)), format!("unknown field; {}", quote(allowed)));
    }
    if let Some(name) = text.strip_prefix("duplicate field `") {
        return Problem::new(joined(path, name.trim_end_matches('`')), "given twice");
    }
    let reason = match text.rsplit_once(", expected ") {
        Some((found, expected)) => {
            let found = found.find(['`', '"']).and_then(|value| found.get(..value)).unwrap_or(found).trim_end();
            let expected = if expected.starts_with("struct ") { "an object" } else { expected };
            format!("{found}; expected {expected}")
        }
        None => text.to_owned(),
    };
    Problem::new(quote(path), quote(&reason))
}

fn quote(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        name: String,
        rate: u64,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        label: String,
        #[serde(default)]
        email: Option<String>,
        #[serde(default)]
        other: Option<String>,
        #[serde(default)]
        limits: Vec<Inner>,
        #[serde(default)]
        inner: Inner,
    }

    impl Shape for Body {
        const CLEARABLE: &'static [&'static str] = &["email"];
    }

    fn refused(json: &str) -> (String, String) {
        let refusal = parse::<Body>(json.as_bytes()).unwrap_err();
        let [problem] = refusal.problems() else { panic!("{refusal:?}") };
        (problem.field.clone(), problem.reason.clone())
    }

    #[test]
    fn a_wrong_field_is_named_by_its_path_with_a_reason() {
        for (json, field, reason) in [
            (r"{}", "label", "required"),
            (r#"{"label":1}"#, "label", "invalid type: integer; expected a string"),
            (r#"{"label":"a","x":1}"#, "x", "unknown field; expected one of `label`, `email`, `other`, `limits`, `inner`"),
            (r#"{"label":"a","limits":[{},{"x":1}]}"#, "limits[1].x", "unknown field; expected `name` or `rate`"),
            (r#"{"label":"a","inner":{"label":1}}"#, "inner.label", "unknown field; expected `name` or `rate`"),
            (r#"{"label":"a","limits":[{"rate":-1}]}"#, "limits[0].rate", "invalid value: integer; expected u64"),
            (r#"{"label":"a","limits":{}}"#, "limits", "invalid type: map; expected a sequence"),
            (r#"{"label":"a","label":"b"}"#, "label", "given twice"),
            (r#"["a"]"#, "", "an array; an object is expected"),
            (r#"{"label":"a","inner":["n",1]}"#, "inner", "an array; an object is expected"),
            (r#"{"label":"a","limits":[["n",1]]}"#, "limits[0]", "an array; an object is expected"),
            (r#"{"label":"a","other":null}"#, "other", "null; give a value, or leave it out"),
            (r#"{"label":"a\u0000b"}"#, "label", "a text with control characters"),
            (r#"{"label":"a\nb"}"#, "label", "a text with control characters"),
        ] {
            assert_eq!(refused(json), (field.to_owned(), reason.to_owned()), "{json}");
        }
        assert!(parse::<Body>(br#"{"label":"a","email":null}"#).is_ok());
    }

    /// A body that does not come.
    struct Never;

    impl hyper::body::Body for Never {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let started = tokio::time::Instant::now();
        let refusal = collect(&HeaderMap::new(), axum::body::Body::new(Never), LARGEST_DOCUMENT).await.unwrap_err();
        assert_eq!(started.elapsed(), BODY_TIMEOUT);
        assert_eq!(refusal.into_response().status(), 408);
    }

    #[test]
    fn what_is_not_json_is_said_to_be_none() {
        for json in ["", "{", "label", "{\"label\":\"a\"} x", "{\"label\":\"a\u{1}\"}", "nul", "\u{feff}{}"] {
            let (field, reason) = refused(json);
            assert!(field.is_empty() && reason.starts_with("not JSON: "), "{json}: {field} {reason}");
        }
        let deep = format!(r#"{{"label":{}"#, "[".repeat(10_000));
        assert!(!parse::<Body>(deep.as_bytes()).unwrap_err().problems().is_empty());
        assert!(!parse::<Body>(b"{\"label\":\"\xff\"}").unwrap_err().problems().is_empty());
    }

    #[test]
    fn a_text_in_the_wrong_place_is_not_repeated() {
        let (_, reason) = refused(r#"{"label":"a","limits":[{"rate":"hunter2"}]}"#);
        assert_eq!(reason, "invalid type: string; expected u64");
    }

    #[test]
    fn the_words_of_a_client_are_cut_short() {
        let (field, reason) = refused(&format!(r#"{{"{}":1}}"#, "x".repeat(5_000)));
        assert!(field.chars().count() <= LONGEST_QUOTE + 1 && reason.len() < 1_000);
    }
}
