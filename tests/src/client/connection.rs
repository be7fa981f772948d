//! Owns one client connection, by either version of HTTP.
//!
//! It must not open another one by itself.

use std::net::{IpAddr, SocketAddr};

use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpSocket, TcpStream};

use super::{Answer, Body, Call, Http};

/// One client connection; requests go over it one after another.
#[derive(Debug)]
pub struct Connection(Sender);

#[derive(Debug)]
enum Sender {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

impl Connection {
    /// Connects to `gate`.
    pub async fn open(gate: SocketAddr, http: Http) -> Self {
        Self::open_from(None, gate, http).await
    }

    /// Connects from a local address of choice.
    pub async fn open_from(source: Option<IpAddr>, gate: SocketAddr, http: Http) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        if let Some(source) = source {
            socket.bind(SocketAddr::new(source, 0)).expect("a local address");
        }
        let stream = socket.connect(gate).await.expect("a connection to the gate");
        Self::over(stream, http).await
    }

    /// Connects to where something may not listen yet, or no longer.
    pub(crate) async fn try_open(address: SocketAddr, http: Http) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        Some(Self::over(stream, http).await)
    }

    async fn over(stream: TcpStream, http: Http) -> Self {
        let stream = TokioIo::new(stream);
        // A connection's failure reaches the request that waits on it, so the driver's result says nothing new.
        Self(match http {
            Http::One => {
                let (sender, driver) = http1::handshake(stream).await.expect("an HTTP/1.1 connection");
                tokio::spawn(async { drop(driver.await) });
                Sender::One(sender)
            }
            Http::Two => {
                let handshake = http2::handshake(TokioExecutor::new(), stream).await;
                let (sender, driver) = handshake.expect("an HTTP/2 connection");
                tokio::spawn(async { drop(driver.await) });
                Sender::Two(sender)
            }
        })
    }

    /// The same connection, for requests at the same time.
    ///
    /// # Panics
    /// By HTTP/1.1, which has no such thing.
    #[must_use]
    pub fn share(&self) -> Self {
        match &self.0 {
            Sender::Two(sender) => Self(Sender::Two(sender.clone())),
            Sender::One(_) => panic!("HTTP/1.1 sends one request after another"),
        }
    }

    /// Whether the proxy has ended it, or asked for its end.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match &self.0 {
            Sender::One(sender) => sender.is_closed(),
            Sender::Two(sender) => sender.is_closed(),
        }
    }

    /// Sends a request and reads its whole answer.
    ///
    /// # Errors
    /// When the connection or the stream ends before the answer does.
    pub async fn send(&mut self, call: Call) -> Result<Answer, hyper::Error> {
        let response = match &mut self.0 {
            Sender::One(sender) => {
                sender.ready().await?;
                sender.send_request(call.into_request(Http::One)).await?
            }
            Sender::Two(sender) => {
                sender.ready().await?;
                sender.send_request(call.into_request(Http::Two)).await?
            }
        };
        let (head, body) = response.into_parts();
        let collected = body.collect().await?;
        let mut headers = head.headers;
        headers.extend(collected.trailers().cloned().unwrap_or_default());
        Ok(Answer { status: head.status, headers, body: collected.to_bytes() })
    }
}
