//! Owns one connection: TLS, which HTTP it speaks, and how long it may do nothing. Must not look at requests.
//!
//! Without TLS both HTTP/1.1 and HTTP/2 with prior knowledge are spoken: Envoy's clusters use the latter.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::Extensions;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tower::Service;

use super::prefixed::Prefixed;
use crate::ending::Ending;

/// What every HTTP/2 connection starts with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest request head over HTTP/1.1, and the largest list of headers over HTTP/2, in bytes.
const LARGEST_HEAD: u32 = 32 * 1024;
/// Streams that were refused or reset and are not yet forgotten: more of them end the connection (rapid reset).
const MOST_RESETS: usize = 64;

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many there may be at once.
    pub connections: usize,
    /// How many of them one address may have.
    pub share: usize,
    /// HTTP/2: requests at once on one.
    pub streams: u32,
    /// For the TLS handshake, and then for the head of a request; over HTTP/1.1 also between requests.
    pub head: Duration,
    /// Without a request; at most twice that.
    pub idle: Duration,
}

/// The other end of a connection, in each of its requests.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Peer {
    /// Its address, from the extensions of a request; unspecified where no connection put it there.
    pub(super) fn address(extensions: &Extensions) -> IpAddr {
        extensions.get::<Self>().map_or(IpAddr::from([0, 0, 0, 0]), |Self(peer)| peer.ip())
    }
}

/// Whether requests are under way on a connection.
#[derive(Debug, Default)]
struct Activity {
    open: AtomicUsize,
    since_last_look: AtomicBool,
}

struct Open(Arc<Activity>);

impl Open {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.since_last_look.store(true, Ordering::Relaxed);
        activity.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.since_last_look.store(true, Ordering::Relaxed);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Activity {
    fn is_quiet(&self) -> bool {
        !self.since_last_look.swap(false, Ordering::Relaxed) && self.open.load(Ordering::Relaxed) == 0
    }
}

/// A connection that can be asked to end.
trait Connection: Future<Output = hyper::Result<()>> {
    /// Takes no more requests and ends after those there are.
    fn end(self: Pin<&mut Self>);
}

impl<I, S> Connection for http1::Connection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = axum::body::Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: Read + Write + Unpin,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Connection for http2::Connection<I, S, TokioExecutor>
where
    S: hyper::service::HttpService<Incoming, ResBody = axum::body::Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
    I: Read + Write + Unpin + Send + 'static,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    ending: Ending,
    bounds: Bounds,
) {
    // Answers are small and written whole: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return choose(stream, peer, router, ending, bounds).await;
    };
    match tokio::time::timeout(bounds.head, TlsAcceptor::from(tls).accept(stream)).await {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => speak_http2(stream, peer, router, ending, bounds).await,
        Ok(Ok(stream)) => speak_http1(stream, peer, router, ending, bounds).await,
        Ok(Err(error)) => {
            metrics::counter!("tollgate_tls_handshake_failures_total").increment(1);
            tracing::debug!(peer = %peer.ip(), %error, "no TLS");
        }
        Err(_elapsed) => metrics::counter!("tollgate_tls_handshake_failures_total").increment(1),
    }
}

/// Reads as much as it takes to tell which HTTP a client without TLS speaks.
async fn choose(mut stream: TcpStream, peer: SocketAddr, router: Router, ending: Ending, bounds: Bounds) {
    let mut read = Vec::with_capacity(PREFACE.len());
    let deciding = async {
        while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
            let wanted = (PREFACE.len() - read.len()) as u64;
            if (&mut stream).take(wanted).read_buf(&mut read).await.unwrap_or(0) == 0 {
                return false;
            }
        }
        true
    };
    let mut asked_to_end = ending.clone();
    let decided = tokio::select! {
        decided = tokio::time::timeout(bounds.head, deciding) => decided.unwrap_or(false),
        () = asked_to_end.begun() => false,
    };
    if !decided {
        return;
    }
    let is_http2 = read == PREFACE;
    let stream = Prefixed::new(read, stream);
    if is_http2 { speak_http2(stream, peer, router, ending, bounds).await } else { speak_http1(stream, peer, router, ending, bounds).await }
}

async fn speak_http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    ending: Ending,
    bounds: Bounds,
) {
    let activity = Arc::<Activity>::default();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_header_size(LARGEST_HEAD as usize)
        .serve_connection(TokioIo::new(stream), service(peer, router, &activity));
    drive(connection, &activity, ending, bounds).await;
}

async fn speak_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    ending: Ending,
    bounds: Bounds,
) {
    let activity = Arc::<Activity>::default();
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(LARGEST_HEAD)
        .max_pending_accept_reset_streams(MOST_RESETS)
        .max_local_error_reset_streams(MOST_RESETS)
        // A peer that has silently gone is noticed, also while its poll for changes is held.
        .keep_alive_interval(bounds.head)
        .keep_alive_timeout(bounds.head)
        .serve_connection(TokioIo::new(stream), service(peer, router, &activity));
    drive(connection, &activity, ending, bounds).await;
}

fn service(
    peer: SocketAddr,
    router: Router,
    activity: &Arc<Activity>,
) -> impl hyper::service::HttpService<
    Incoming,
    ResBody = axum::body::Body,
    Error = std::convert::Infallible,
    Future = impl Future<Output = Result<axum::response::Response, std::convert::Infallible>> + Send + 'static,
> {
    let activity = Arc::clone(activity);
    service_fn(move |mut request: hyper::Request<Incoming>| {
        let open = Open::new(&activity);
        request.extensions_mut().insert(Peer(peer));
        let answering = router.clone().call(request);
        async move {
            let answer = answering.await;
            drop(open);
            answer
        }
    })
}

/// Drives a connection until it ends, is asked to, or has had no request for too long.
async fn drive(connection: impl Connection, activity: &Activity, mut ending: Ending, bounds: Bounds) {
    let mut connection = pin!(connection);
    let mut look = tokio::time::interval(bounds.idle);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first look is at once, and finds this.
    activity.since_last_look.store(true, Ordering::Relaxed);
    loop {
        tokio::select! {
            // What a client does wrong on its connection is nobody else's matter.
            _ = connection.as_mut() => return,
            () = ending.begun() => {
                connection.as_mut().end();
                // The listener cuts it off if it takes too long.
                let _ = connection.await;
                return;
            }
            _ = look.tick() => if activity.is_quiet() { break },
        }
    }
    connection.as_mut().end();
    let _ = tokio::time::timeout(bounds.head, connection).await;
}
