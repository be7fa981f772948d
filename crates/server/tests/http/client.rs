//! A client that says exactly what it is told to, over HTTP/1.1 or HTTP/2, with TLS or without.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A request that is put together step by step and then sent over a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    address: SocketAddr,
    method: String,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A call to an address: `call(address, "GET", "/healthz")`.
pub(crate) fn call(address: SocketAddr, method: &str, path: &str) -> Call {
    Call { address, method: method.to_owned(), path: path.to_owned(), headers: HeaderMap::new(), body: Bytes::new() }
}

impl Call {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub(crate) fn bearer(self, credential: &str) -> Self {
        self.header("authorization", &format!("Bearer {credential}"))
    }

    pub(crate) fn json(self, document: &Value) -> Self {
        self.header("content-type", "application/json").body(document.to_string())
    }

    /// The members of an object as a form.
    pub(crate) fn form(self, members: &Value) -> Self {
        let pairs = members.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap()));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    fn request(&self, authority: bool) -> Request<Full<Bytes>> {
        let uri = if authority { format!("http://{}{}", self.address, self.path) } else { self.path.clone() };
        let mut request = Request::builder().method(self.method.as_str()).uri(uri).body(Full::new(self.body.clone())).unwrap();
        *request.headers_mut() = self.headers.clone();
        if !authority {
            request.headers_mut().insert("host", self.address.to_string().parse().unwrap());
        }
        request
    }

    /// Sends it over HTTP/1.1.
    pub(crate) async fn send(self) -> Reply {
        let stream = TcpStream::connect(self.address).await.unwrap();
        self.send_over(stream).await.unwrap()
    }

    /// Sends it over HTTP/1.1 on this connection.
    pub(crate) async fn send_over(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> hyper::Result<Reply> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let reply = Reply::read(sender.send_request(self.request(false)).await?).await;
        connection.abort();
        reply
    }

    /// Sends it over HTTP/2, without asking whether that is spoken.
    pub(crate) async fn send_http2(self) -> Reply {
        let stream = TcpStream::connect(self.address).await.unwrap();
        self.send_http2_over(stream).await.unwrap()
    }

    /// Sends it over HTTP/2 on this connection.
    pub(crate) async fn send_http2_over(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> hyper::Result<Reply> {
        let mut connection = Http2::new(stream).await?;
        connection.send(&self).await
    }
}

/// A connection over HTTP/2, for many calls.
#[derive(Clone)]
pub(crate) struct Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>);

impl Http2 {
    pub(crate) async fn new(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> hyper::Result<Self> {
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    pub(crate) async fn send(&mut self, call: &Call) -> hyper::Result<Reply> {
        Reply::read(self.0.send_request(call.request(true)).await?).await
    }
}

impl Reply {
    async fn read(response: Response<Incoming>) -> hyper::Result<Self> {
        let (parts, body) = response.into_parts();
        Ok(Self { status: parts.status.as_u16(), headers: parts.headers, body: body.collect().await?.to_bytes() })
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// The document, if the status is this.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem, in its form, if the status is this.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        let problem = self.expect(status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["type"], "about:blank", "{problem}");
        assert!(problem["code"].is_string() && problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        problem
    }

    /// The only field that is wrong, and the reason.
    #[track_caller]
    pub(crate) fn wrong_field(&self, status: u16) -> (String, String) {
        let problem = self.problem(status);
        let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("{problem}"));
        assert_eq!(errors.len(), 1, "{problem}");
        (errors[0]["field"].as_str().unwrap().to_owned(), errors[0]["reason"].as_str().unwrap().to_owned())
    }
}

/// Speaks TLS to an address.
pub(crate) async fn tls(address: SocketAddr, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}
