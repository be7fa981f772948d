//! Owns one GET over a connection of its own: for admin pages and metrics.
//!
//! It must not be used where time is measured.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

/// A page that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The body of the page `path` on `port` of the loopback address.
///
/// # Errors
/// When nothing answers there, or with another status than 200.
pub(crate) fn fetch(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    page(&String::from_utf8_lossy(&answer)).with_context(|| format!("{path} on port {port}"))
}

fn page(answer: &str) -> Result<String> {
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| anyhow!("no answer: {answer:?}"))?;
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("{}", head.lines().next().unwrap_or_default());
    }
    if head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked") {
        whole(body).ok_or_else(|| anyhow!("cut off"))
    } else {
        Ok(body.to_owned())
    }
}

/// What chunks hold together (RFC 9112, 7.1); `None` unless the last one is there.
fn whole(mut chunks: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (length, rest) = chunks.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.push_str(rest.get(..length)?);
        chunks = rest.get(length..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn chunks_are_put_together() {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(page(answer).unwrap(), "ab\r\n0123456789");
        assert!(page(answer.trim_end().trim_end_matches('0')).is_err(), "cut off");
    }

    #[test]
    fn other_statuses_are_errors() {
        assert_eq!(page("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap(), "ok");
        assert!(page("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno").is_err());
    }
}
