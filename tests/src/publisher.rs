//! Owns a server on which issuers publish their keys, over HTTP/1.1: each path answers as a case tells it, and is counted.
//!
//! It must not know what is a set of keys.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::sleep;

use crate::port::Port;

/// What a path answers.
#[derive(Clone, Debug)]
pub enum Published {
    /// 200 with this body.
    Body(Vec<u8>),
    /// This status with a body that would be good.
    Status(u16, Vec<u8>),
    /// The body after this time.
    After(Duration, Vec<u8>),
    /// Nothing, ever.
    Never,
}

/// A running server.
#[derive(Debug)]
pub struct Publisher {
    port: Port,
    /// By path: what it answers, and how often it was asked.
    paths: Mutex<HashMap<String, (Published, usize)>>,
}

// === impl Published ===

impl From<Value> for Published {
    fn from(document: Value) -> Self {
        Self::Body(document.to_string().into_bytes())
    }
}

// === impl Publisher ===

impl Publisher {
    /// Starts one whose every path is 404.
    pub fn start() -> Arc<Self> {
        let publisher = Self::start_down();
        publisher.up();
        publisher
    }

    /// Has an address, but nobody listens there.
    pub fn start_down() -> Arc<Self> {
        Arc::new(Self { port: Port::reserve(), paths: Mutex::default() })
    }

    /// Where it listens, when it does.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// From now on a path answers so.
    pub fn publish(&self, path: &str, published: impl Into<Published>) {
        let mut paths = self.paths.lock().expect("what is published");
        let count = paths.get(path).map_or(0, |(_, count)| *count);
        paths.insert(path.to_owned(), (published.into(), count));
    }

    /// How often a path was asked for.
    #[must_use]
    pub fn fetches(&self, path: &str) -> usize {
        self.paths.lock().expect("what is published").get(path).map_or(0, |(_, count)| *count)
    }

    /// Listens, again or for the first time.
    pub fn up(self: &Arc<Self>) {
        let publisher = Arc::clone(self);
        self.port.open(move |stream| {
            let own = Arc::clone(&publisher);
            async move {
                let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
                    let own = Arc::clone(&own);
                    async move { Ok::<_, Infallible>(own.answer(request.uri().path()).await) }
                });
                // A proxy that goes away closes its connections: not this server's failure.
                drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            }
        });
    }

    /// Closes the port and cuts every connection.
    pub fn down(&self) {
        self.port.close();
    }

    async fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let published = self.paths.lock().expect("what is published").get_mut(path).map(|(published, count)| {
            *count += 1;
            published.clone()
        });
        let (status, body) = match published {
            None => (404, Vec::new()),
            Some(Published::Body(body)) => (200, body),
            Some(Published::Status(status, body)) => (status, body),
            Some(Published::After(delay, body)) => {
                sleep(delay).await;
                (200, body)
            }
            Some(Published::Never) => std::future::pending().await,
        };
        let response = Response::builder().status(status).header("content-type", "application/json");
        response.body(Full::from(body)).expect("a response")
    }
}
