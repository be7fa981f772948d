//! Owns requests no library would send: the bytes go onto the socket as a case wrote them.
//!
//! It must not judge the request, and of the answer it reads only head and body.

use std::fmt;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gate::Gate;

/// An HTTP/1.1 request, line by line.
#[derive(Clone)]
pub struct RawRequest(Vec<u8>);

/// The proxy's answer to it.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// Names (lower case) and values.
    pub headers: Vec<(String, String)>,
    /// The body, as far as its length was announced.
    pub body: Bytes,
}

impl RawRequest {
    /// `GET target` to the host `gate`.
    #[must_use]
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::start(&[b"GET ", target.as_ref(), b" HTTP/1.1"].concat()).line("host: gate")
    }

    /// Any first line.
    #[must_use]
    pub fn start(line: &[u8]) -> Self {
        Self([line, b"\r\n"].concat())
    }

    /// A further line of the head, without its end.
    #[must_use]
    pub fn line(mut self, line: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(line.as_ref());
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// Sends it over a connection of its own; `None` where the proxy closes without an answer.
    pub async fn try_send(&self, gate: &Gate) -> Option<RawAnswer> {
        let mut stream = TcpStream::connect(gate.address()).await.expect("a connection to the gate");
        // A proxy that has judged the first bytes may close before it has read the last ones.
        drop(stream.write_all(&[&self.0[..], b"\r\n"].concat()).await);
        let mut received = BytesMut::new();
        loop {
            if let Some(answer) = parse(&received) {
                return Some(answer);
            }
            match stream.read_buf(&mut received).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// Sends it and expects an answer.
    pub async fn send(&self, gate: &Gate) -> RawAnswer {
        self.try_send(gate).await.unwrap_or_else(|| {
            panic!("no answer to {self:?}");
        })
    }
}

impl fmt::Debug for RawRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.escape_ascii())
    }
}

impl RawAnswer {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(known, _)| known == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// The body as JSON, `null` where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The reason code of a denial in the `coded` style, empty where there is none.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether the upstream made it.
    #[must_use]
    pub fn reached_upstream(&self) -> bool {
        self.header("x-upstream").is_some()
    }
}

/// The answer once all of it is there. Both the upstream and the proxy's own answers announce a length.
fn parse(received: &[u8]) -> Option<RawAnswer> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(received).expect("an HTTP/1.1 answer") {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return None,
    };
    let headers: Vec<_> =
        (response.headers.iter()).map(|header| (header.name.to_lowercase(), String::from_utf8_lossy(header.value).into_owned())).collect();
    let announced = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = announced.map_or(0, |(_, length)| length.parse().expect("a length"));
    let body = received.get(head..head + length)?;
    Some(RawAnswer { status: response.code.expect("a status"), headers, body: Bytes::copy_from_slice(body) })
}
