//! Owns the server behind the proxy (HTTP/1.1 and HTTP/2): it echoes each request as JSON, remembers it, and holds back what it is told to.
//!
//! It must not know credentials or limits. A path with `/status/NNN` is answered with that status, one with `/slow/TAG`
//! only after [`Upstream::release`] of that tag.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// One request as the upstream received it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method, upper case.
    pub method: String,
    /// Path and query as they arrived.
    pub target: String,
    /// Names (lower case) and values, in order, duplicates kept.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Seen {
    /// Every value of a header, in order.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<String> {
        let named = self.headers.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }
}

/// A running upstream.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    seen: Mutex<Vec<Seen>>,
    released: watch::Sender<Vec<String>>,
}

impl Upstream {
    /// The one upstream that all proxies of the test run share; cases tell their requests apart by path.
    pub fn shared() -> &'static Arc<Self> {
        static SHARED: OnceLock<Arc<Upstream>> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Arc<Self> {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port for the upstream");
        socket.set_nonblocking(true).expect("a non-blocking socket");
        let upstream = Arc::new(Self {
            address: socket.local_addr().expect("the upstream's address"),
            seen: Mutex::default(),
            released: watch::Sender::default(),
        });
        crate::wait::spawn(accept(Arc::clone(&upstream), socket));
        upstream
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What arrived so far for a path (without its query) that is `path` exactly.
    #[must_use]
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().expect("the upstream's memory");
        seen.iter().filter(|seen| seen.target.split('?').next() == Some(path)).cloned().collect()
    }

    /// Lets requests to `/slow/TAG` be answered, those that wait and those to come.
    pub fn release(&self, tag: &str) {
        self.released.send_modify(|tags| tags.push(tag.to_owned()));
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let seen = Seen {
            method: head.method.to_string(),
            target: head.uri.to_string(),
            headers: (head.headers.iter()).map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect(),
        };
        let (trailers, body) = match body.collect().await {
            Ok(collected) => (collected.trailers().cloned().unwrap_or_default(), collected.to_bytes()),
            Err(_) => Default::default(),
        };
        let lossy = |(name, value): &(String, Vec<u8>)| json!([name, String::from_utf8_lossy(value)]);
        let echo = json!({
            "method": seen.method,
            "target": seen.target,
            "headers": seen.headers.iter().map(lossy).collect::<Vec<_>>(),
            "body": String::from_utf8_lossy(&body),
            "trailers": trailers.keys().map(ToString::to_string).collect::<Vec<_>>(),
        });
        let path = head.uri.path().to_owned();
        self.seen.lock().expect("the upstream's memory").push(seen);
        if let Some(tag) = after(&path, "/slow/") {
            let mut released = self.released.subscribe();
            let waited = released.wait_for(|tags| tags.iter().any(|known| known == tag));
            drop(waited.await);
        }
        let status = after(&path, "/status/").and_then(|code| code.parse().ok()).unwrap_or(200);
        Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("x-upstream", "reached")
            .body(Full::from(echo.to_string()))
            .expect("an echo")
    }
}

/// The segment behind `marker`.
fn after<'path>(path: &'path str, marker: &str) -> Option<&'path str> {
    path.split_once(marker)?.1.split('/').next()
}

async fn accept(upstream: Arc<Upstream>, socket: std::net::TcpListener) {
    let listener = TcpListener::from_std(socket).expect("the upstream's listener");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let upstream = Arc::clone(&upstream);
        tokio::spawn(async move {
            let echo = service_fn(|request| {
                let upstream = Arc::clone(&upstream);
                async move { Ok::<_, Infallible>(upstream.answer(request).await) }
            });
            // A proxy that goes away closes its connections: not this server's failure.
            drop(auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), echo).await);
        });
    }
}
