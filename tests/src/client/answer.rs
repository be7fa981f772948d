//! Owns answers: what a case reads from one, and the two verdicts it may state of one.
//!
//! It must not know the filter's reasons: codes are strings here.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde_json::Value;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers, duplicates kept.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// A header's (or trailer's) only value; fails where there are two.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert!(values.len() < 2, "{name} came more than once: {values:?}");
        Some(values.first()?.to_str().expect("a value in ASCII"))
    }

    /// A header's value as a number.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        let value = self.header(name).unwrap_or_else(|| panic!("no {name} in {self:?}"));
        value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}"))
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The reason code of a denial in the `coded` style.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether the upstream made it.
    #[must_use]
    pub fn reached_upstream(&self) -> bool {
        self.headers.contains_key("x-upstream")
    }

    /// Fails unless it is the upstream's own answer.
    #[track_caller]
    pub fn assert_admitted(&self) {
        assert!(self.reached_upstream(), "not admitted: {self:?}");
    }

    /// Fails unless it is the gate's denial with this status and code, in the `coded` style.
    #[track_caller]
    pub fn assert_denied(&self, status: u16, code: &str) {
        assert!(!self.reached_upstream(), "admitted: {self:?}");
        assert_eq!((self.status.as_u16(), &*self.code()), (status, code), "{self:?}");
    }

    /// Every value that the upstream saw for a request header, read from its echo.
    #[must_use]
    pub fn upstream_saw(&self, name: &str) -> Vec<String> {
        self.assert_admitted();
        let echo = self.json();
        let headers = echo["headers"].as_array().expect("headers in the echo").clone();
        let named = headers.into_iter().filter(|pair| pair[0] == name);
        named.filter_map(|pair| pair[1].as_str().map(str::to_owned)).collect()
    }
}
