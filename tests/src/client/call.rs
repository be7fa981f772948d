//! Owns well-formed requests, built by what a case wants to say.
//!
//! It must not add anything a case did not write, besides the host.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri, Version};

use super::{Answer, Body, Connection, Http};
use crate::gate::Gate;

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    target: String,
    host: String,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

impl Call {
    /// `GET target`, to the host `gate`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// Any method.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.parse().expect("a method"),
            target: target.to_owned(),
            host: "gate".to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            trailers: None,
        }
    }

    /// Adds a header, beside any of the same name; values may be any bytes a field value allows.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        let value = HeaderValue::from_bytes(value.as_ref()).expect("a header value");
        self.headers.append(name, value);
        self
    }

    /// `Authorization: Bearer key`.
    #[must_use]
    pub fn bearer(self, key: &str) -> Self {
        self.header("authorization", format!("Bearer {key}"))
    }

    /// `X-API-Key: key`.
    #[must_use]
    pub fn api_key(self, key: &str) -> Self {
        self.header("x-api-key", key)
    }

    /// Another host.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// The client address that a proxy in front would report; the gate must trust one hop.
    #[must_use]
    pub fn from(self, address: &str) -> Self {
        self.header("x-forwarded-for", address)
    }

    /// Sends a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Ends the request with a trailer.
    #[must_use]
    pub fn trailer(mut self, name: &'static str, value: &'static str) -> Self {
        let trailers = self.trailers.get_or_insert_default();
        trailers.append(name, HeaderValue::from_static(value));
        self
    }

    /// Sends it over a connection of its own, and expects an answer.
    pub async fn send(self, gate: &Gate, http: Http) -> Answer {
        self.try_send(gate, http).await.expect("an answer from the gate")
    }

    /// Sends it over a connection of its own.
    ///
    /// # Errors
    /// When the proxy ends the connection or the stream without an answer.
    pub async fn try_send(self, gate: &Gate, http: Http) -> Result<Answer, hyper::Error> {
        let mut connection = Connection::open(gate.address(), http).await;
        connection.send(self).await
    }

    pub(super) fn into_request(self, http: Http) -> Request<Body> {
        let body = Full::new(self.body);
        let body = match self.trailers {
            Some(trailers) => body.with_trailers(async { Some(Ok(trailers)) }).boxed(),
            None => body.boxed(),
        };
        let uri = match http {
            Http::One => Uri::builder().path_and_query(&self.target),
            Http::Two => Uri::builder().scheme("http").authority(&*self.host).path_and_query(&self.target),
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri.build().expect("a request target");
        *request.headers_mut() = self.headers;
        if http == Http::Two {
            *request.version_mut() = Version::HTTP_2;
        } else {
            let host = HeaderValue::from_str(&self.host).expect("a host");
            request.headers_mut().insert("host", host);
        }
        request
    }
}
