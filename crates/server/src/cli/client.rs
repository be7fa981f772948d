//! Owns the way to the public API: requests and their answers, repeated where that is safe. Must not know what is asked or how it is shown.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{self, Method, Request, header};
use zeroize::Zeroizing;

pub(super) use connection::Connection;
pub(super) use failure::{ClientError, finish};
pub(super) use listing::Window;

mod connection;
mod failure;
mod listing;

/// Far more than a page of the largest items.
const LARGEST_ANSWER: u64 = 16 * 1024 * 1024;
/// How often a request is sent at most, where it may be sent again.
const ATTEMPTS: u32 = 3;
/// The longest a person is kept waiting for another attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The pause after the first attempt, where the server names none; twice as long after the second.
const PAUSE: Duration = Duration::from_millis(200);

/// The public API of one backend, asked with one admin key.
pub(super) struct Client {
    agent: ureq::Agent,
    base: String,
    admin_key: Zeroizing<String>,
}

/// A good answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// What it holds; null where there is nothing.
    pub(super) body: Value,
    /// The version of what it holds.
    etag: Option<String>,
}

/// What is sent, apart from where.
#[derive(Debug)]
struct Message<'a> {
    method: Method,
    /// The path below the base, with its query.
    target: String,
    body: Option<Value>,
    headers: Vec<(&'static str, &'a str)>,
    /// Whether sending it twice does what sending it once does.
    repeatable: bool,
}

// === impl Client ===

impl Client {
    /// Gets what is at a path; `query` members without a value are left out.
    pub(super) fn get(&self, path: &str, query: &[(&str, Option<&str>)]) -> Result<Answer, ClientError> {
        self.send(&Message { method: Method::GET, target: target(path, query), body: None, headers: Vec::new(), repeatable: true })
    }

    /// Makes something. Sent again under the same idempotency key, it is made once; a key that was made is shown again.
    pub(super) fn post(&self, path: &str, body: &impl Serialize, idempotency_key: Option<&str>) -> Result<Answer, ClientError> {
        let random = idempotency_key.is_none().then(random_key).transpose()?.unwrap_or_default();
        let headers = vec![("idempotency-key", idempotency_key.unwrap_or(&random))];
        let body = Some(serde_json::to_value(body)?);
        self.send(&Message { method: Method::POST, target: path.to_owned(), body, headers, repeatable: true })
    }

    /// Puts something in the place of what is there, if that is still of this version.
    pub(super) fn put(&self, path: &str, body: &impl Serialize, etag: &str) -> Result<Answer, ClientError> {
        // Sent again, it would find the version that it made itself.
        let message = Message {
            method: Method::PUT,
            target: path.to_owned(),
            body: Some(serde_json::to_value(body)?),
            headers: vec![(header::IF_MATCH.as_str(), etag)],
            repeatable: false,
        };
        self.send(&message)
    }

    /// Changes some members of what is there, whatever the others are.
    pub(super) fn patch(&self, path: &str, body: &impl Serialize) -> Result<Answer, ClientError> {
        let body = Some(serde_json::to_value(body)?);
        self.send(&Message { method: Method::PATCH, target: path.to_owned(), body, headers: Vec::new(), repeatable: true })
    }

    /// Ends what is there.
    pub(super) fn delete(&self, path: &str) -> Result<(), ClientError> {
        let message = Message { method: Method::DELETE, target: path.to_owned(), body: None, headers: Vec::new(), repeatable: true };
        self.send(&message).map(|_| ())
    }

    fn send(&self, message: &Message<'_>) -> Result<Answer, ClientError> {
        let mut attempt = 1;
        loop {
            let error = match self.send_once(message) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let named = error.retry_after();
            let pause = named.unwrap_or(PAUSE * attempt);
            if !message.repeatable || attempt == ATTEMPTS || !error.may_pass() || pause > LONGEST_PAUSE {
                return Err(error);
            }
            std::thread::sleep(pause);
            attempt += 1;
        }
    }

    fn send_once(&self, message: &Message<'_>) -> Result<Answer, ClientError> {
        let mut response = self.ask(message)?;
        let bytes = response.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec();
        let bytes = bytes.map_err(|error| ClientError::transport(&self.base, error))?;
        let etag = header_text(&response, header::ETAG);
        if !response.status().is_success() {
            return Err(refused(&response, &bytes));
        }
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes)? };
        Ok(Answer { body, etag })
    }

    /// Gives each line of what is at a path, however many there are.
    pub(super) fn lines(
        &self,
        path: &str,
        query: &[(&str, Option<&str>)],
        each: &mut dyn FnMut(&str) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let message = Message { method: Method::GET, target: target(path, query), body: None, headers: Vec::new(), repeatable: true };
        let mut response = self.ask(&message)?;
        if !response.status().is_success() {
            let bytes = response.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec();
            return Err(refused(&response, &bytes.map_err(|error| ClientError::transport(&self.base, error))?));
        }
        let lines = BufReader::new(response.body_mut().as_reader()).lines();
        for line in lines {
            each(&line.map_err(|error| ClientError::transport(&self.base, error.into()))?)?;
        }
        Ok(())
    }

    fn ask(&self, message: &Message<'_>) -> Result<http::Response<ureq::Body>, ClientError> {
        let url = format!("{}{}", self.base, message.target);
        let mut authorization = http::HeaderValue::try_from(format!("Bearer {}", *self.admin_key)).map_err(|_| ClientError::BadKey)?;
        authorization.set_sensitive(true);
        let mut request = Request::builder()
            .method(message.method.clone())
            .uri(&url)
            .header(header::AUTHORIZATION, authorization)
            .header(header::ACCEPT, "application/json");
        for (name, value) in &message.headers {
            request = request.header(*name, *value);
        }
        let sent = match &message.body {
            Some(body) => {
                let request = request.header(header::CONTENT_TYPE, "application/json").body(serde_json::to_vec(body)?);
                self.agent.run(request.map_err(|error| ClientError::transport(&self.base, error.into()))?)
            }
            None => self.agent.run(request.body(()).map_err(|error| ClientError::transport(&self.base, error.into()))?),
        };
        sent.map_err(|error| ClientError::transport(&self.base, error))
    }
}

fn header_text(response: &http::Response<ureq::Body>, name: header::HeaderName) -> Option<String> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn refused(response: &http::Response<ureq::Body>, bytes: &[u8]) -> ClientError {
    let retry_after = header_text(response, header::RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
    ClientError::refused(response.status().as_u16(), retry_after, bytes)
}

// === impl Answer ===

impl Answer {
    /// What was found here, to be shown as if it were an answer.
    pub(super) const fn local(body: Value) -> Self {
        Self { body, etag: None }
    }

    /// What it holds, as what it should be.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        Ok(T::deserialize(&self.body)?)
    }

    /// The version of what it holds, to be given back with a change.
    pub(super) fn etag(&self) -> Result<&str, ClientError> {
        self.etag.as_deref().ok_or(ClientError::NoVersion)
    }
}

/// A path with a query, of which members without a value are left out.
fn target(path: &str, query: &[(&str, Option<&str>)]) -> String {
    let mut target = path.to_owned();
    for (name, value) in query.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(&format!("{name}={}", escaped(value)));
    }
    target
}

/// A path from its parts; what the user gave may hold anything.
pub(super) fn path(parts: &[&str]) -> String {
    parts.iter().fold("/api/v1".to_owned(), |path, part| format!("{path}/{}", escaped(part)))
}

/// Text as it may stand in a path or a query (RFC 3986, unreserved characters as they are).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    // Clients take these parts of a path away, escaped or not.
    if matches!(escaped.as_str(), "." | "..") { escaped.replace('.', "%2E") } else { escaped }
}

fn random_key() -> Result<String, ClientError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(ClientError::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_gave_stays_one_part_of_a_path() {
        assert_eq!(path(&["keys", "a/b?c#d%e"]), "/api/v1/keys/a%2Fb%3Fc%23d%25e");
        assert_eq!(path(&["keys", ".."]), "/api/v1/keys/%2E%2E");
        assert_eq!(path(&["consumers", "con_1.a-b~"]), "/api/v1/consumers/con_1.a-b~");
        assert_eq!(escaped("ä&="), "%C3%A4%26%3D");
    }

    #[test]
    fn no_two_random_keys_are_equal() {
        let (one, other) = (random_key().unwrap(), random_key().unwrap());
        assert!(one != other && one.len() == 32, "{one} {other}");
    }
}
