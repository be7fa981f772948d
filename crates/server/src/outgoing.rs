//! Owns the way out: requests to URLs that people gave (webhooks, OpenID providers). Must not reach what is not public, unless the operator
//! allows it, nor follow anybody elsewhere.
//!
//! Whoever may give a URL could otherwise reach through the backend what only the backend can: its own host, a cloud's metadata, the
//! neighbours of its network. So the address is judged after the name is resolved, and all of a name's addresses must pass; the connection
//! goes to an address that was judged, not to the name once more, which may resolve to another by then. Redirects are answers like any
//! others, of a kind that nobody here has a use for. Time and size are bounded.

mod address;
mod allow;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::Scheme;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

pub use allow::{Allow, NoPlace};

/// How long a request may take, with everything before it.
const LONGEST: Duration = Duration::from_secs(10);
/// How long one address is tried.
const LONGEST_CONNECT: Duration = Duration::from_secs(3);
/// Addresses of a name that are tried.
const MOST_ADDRESSES: usize = 4;
/// The largest answer that is read, in bytes: sets of keys and discovery documents have a few thousand.
pub const LARGEST_ANSWER: usize = 256 * 1024;

/// Why a request got no answer. Never carries what was sent.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// The URL cannot be one.
    #[error("the URL must be https://host/…, without user and fragment")]
    Url,
    /// It would go without TLS to a place that is not allowed to do without.
    #[error("{0} is asked without TLS; allowed are https, and what the setting outgoing_allow names")]
    Clear(String),
    /// The name has no address.
    #[error("{0} has no address")]
    Unresolved(String),
    /// An address is not public.
    #[error("{0} has an address that is not public; the setting outgoing_allow names what may be reached nevertheless")]
    Private(String),
    /// No connection.
    #[error("no connection to {host}: {error}")]
    Connect {
        /// To whom.
        host: String,
        /// Why.
        error: io::Error,
    },
    /// The connection broke, or what came was no answer.
    #[error("{host} did not answer: {error}")]
    Broken {
        /// Who.
        host: String,
        /// Why.
        error: String,
    },
    /// It took too long.
    #[error("{0} took longer than {seconds} s", seconds = LONGEST.as_secs())]
    Late(String),
    /// It would have gone elsewhere.
    #[error("{host} answered {status}: redirects are not followed")]
    Redirect {
        /// Who.
        host: String,
        /// With which status.
        status: u16,
    },
}

/// Who knows the addresses of names.
pub trait Resolve: Send + Sync + fmt::Debug {
    /// The addresses of a name.
    fn addresses<'a>(&'a self, name: &'a str, port: u16) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

/// The way out. Clones are the same.
#[derive(Clone, Debug)]
pub struct Outgoing {
    allowed: Arc<[Allow]>,
    tls: Arc<ClientConfig>,
    resolver: Arc<dyn Resolve>,
}

/// Where a request goes.
struct Target {
    host: String,
    port: u16,
    tls: bool,
}

// === impl Resolve ===

impl Resolve for SystemResolver {
    fn addresses<'a>(&'a self, name: &'a str, port: u16) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}

// === impl Outgoing ===

impl Outgoing {
    /// A way out to public addresses and what is `allowed` beside them. Servers are known by Mozilla's authorities and these `others`.
    ///
    /// # Errors
    /// [`rustls::Error`] if one of the others is no certificate of an authority.
    pub fn new(allowed: &[Allow], others: Vec<CertificateDer<'static>>, resolver: Arc<dyn Resolve>) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for other in others {
            roots.add(other)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { allowed: allowed.into(), tls: Arc::new(config), resolver })
    }

    /// Sends a request to the URL in it, and reads the whole answer, of any status but those that lead elsewhere.
    ///
    /// # Errors
    /// [`OutgoingError`].
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, OutgoingError> {
        let target = Target::of(request.uri())?;
        let host = target.host.clone();
        timeout(LONGEST, self.send_to(&target, request)).await.unwrap_or(Err(OutgoingError::Late(host)))
    }

    async fn send_to(&self, target: &Target, request: Request<Bytes>) -> Result<Response<Bytes>, OutgoingError> {
        let host = || target.host.clone();
        let addresses = self.judged(target).await?;
        let connect = |error| OutgoingError::Connect { host: host(), error };
        let stream = connect_to(&addresses).await.map_err(connect)?;
        let response = if target.tls {
            let name = ServerName::try_from(host()).map_err(|_| OutgoingError::Url)?;
            let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.map_err(connect)?;
            exchange(stream, request).await
        } else {
            exchange(stream, request).await
        };
        let response = response.map_err(|error| OutgoingError::Broken { host: host(), error: error.to_string() })?;
        if response.status().is_redirection() {
            return Err(OutgoingError::Redirect { host: host(), status: response.status().as_u16() });
        }
        Ok(response)
    }

    /// The addresses of a target, if all of them may be reached.
    async fn judged(&self, target: &Target) -> Result<Vec<SocketAddr>, OutgoingError> {
        let host = || target.host.clone();
        let resolved = match target.host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, target.port)],
            Err(_) => self.resolver.addresses(&target.host, target.port).await.unwrap_or_default(),
        };
        if resolved.is_empty() {
            return Err(OutgoingError::Unresolved(host()));
        }
        let allowed = |address: &SocketAddr| self.allowed.iter().any(|allow| allow.covers(&target.host, target.port, address.ip()));
        if !resolved.iter().all(|address| allowed(address) || address::is_public(address.ip())) {
            return Err(OutgoingError::Private(host()));
        }
        if !target.tls && !resolved.iter().all(allowed) {
            return Err(OutgoingError::Clear(host()));
        }
        Ok(resolved)
    }
}

impl Target {
    fn of(url: &Uri) -> Result<Self, OutgoingError> {
        let (Some(scheme), Some(authority)) = (url.scheme(), url.authority()) else {
            return Err(OutgoingError::Url);
        };
        let tls = *scheme == Scheme::HTTPS;
        if !(tls || *scheme == Scheme::HTTP) || authority.as_str().contains('@') {
            return Err(OutgoingError::Url);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        if host.is_empty() {
            return Err(OutgoingError::Url);
        }
        Ok(Self { host, port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }), tls })
    }
}

/// Connects to the first of a few addresses that answers.
async fn connect_to(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut failed = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses.iter().take(MOST_ADDRESSES) {
        match timeout(LONGEST_CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
}

/// Speaks HTTP/1.1 on a connection of its own, which ends with the answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let answered = async {
        let (parts, body) = sender.send_request(in_origin_form(request)?).await?.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(parts, body))
    };
    let answered = answered.await;
    connection.abort();
    answered
}

/// The request as it is said to the server itself: the path in its first line, the host in a header.
fn in_origin_form(request: Request<Bytes>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let (mut parts, body) = request.into_parts();
    if let Some(authority) = parts.uri.authority() {
        parts.headers.insert(HOST, HeaderValue::from_str(authority.as_str())?);
    }
    parts.uri = parts.uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    Ok(Request::from_parts(parts, Full::new(body)))
}

#[cfg(test)]
mod tests;
