//! Owns one keep-alive HTTP/1.1 connection: bytes out, statuses in.
//!
//! It parses only what it needs to find the end of an answer: status and `content-length`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use memchr::memmem;

/// A connection to the loopback address. Requests may be pipelined.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Unread bytes of `buffer`.
    start: usize,
    end: usize,
    awaited: usize,
}

/// An answer that takes longer than this means that Envoy hangs: fail instead of hanging too.
const PATIENCE: Duration = Duration::from_secs(10);

const BUFFER: usize = 64 * 1024;

// === impl Connection ===

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nothing listens there.
    pub(crate) fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).with_context(|| format!("connecting to port {port}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: vec![0; BUFFER], start: 0, end: 0, awaited: 0 })
    }

    /// Sends one request.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<()> {
        self.send_many(request, 1)
    }

    /// Sends bytes that hold `count` requests.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) fn send_many(&mut self, requests: &[u8], count: usize) -> Result<()> {
        self.stream.write_all(requests).context("sending a request")?;
        self.awaited += count;
        Ok(())
    }

    /// Whether an answer is outstanding.
    pub(crate) fn awaits(&self) -> bool {
        self.awaited > 0
    }

    /// Waits for the next answer and gives its status.
    ///
    /// # Errors
    /// When the connection breaks or the answer cannot be parsed.
    pub(crate) fn receive(&mut self) -> Result<u16> {
        self.take().map(|(status, _)| status)
    }

    /// As [`Connection::receive`], and the whole answer as text.
    pub(crate) fn receive_text(&mut self) -> Result<(u16, String)> {
        let (status, place) = self.take()?;
        Ok((status, String::from_utf8_lossy(self.buffer.get(place).unwrap_or_default()).into_owned()))
    }

    fn take(&mut self) -> Result<(u16, Range<usize>)> {
        loop {
            let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some((status, length)) = parse(unread)?
                && length <= unread.len()
            {
                let place = self.start..self.start + length;
                self.start = place.end;
                self.awaited = self.awaited.saturating_sub(1);
                return Ok((status, place));
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<()> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        if room.is_empty() {
            bail!("an answer larger than {BUFFER} bytes");
        }
        let read = self.stream.read(room).context("waiting for an answer")?;
        if read == 0 {
            bail!("the connection was closed with {} answers outstanding", self.awaited);
        }
        self.end += read;
        Ok(())
    }
}

/// Status and whole length of the answer that `bytes` starts with; `None` while its head is incomplete.
fn parse(bytes: &[u8]) -> Result<Option<(u16, usize)>> {
    let Some(head_end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = bytes.get(..head_end).unwrap_or_default();
    let status = head.strip_prefix(b"HTTP/1.1 ").and_then(|rest| number(rest.get(..3)?));
    let status = status.ok_or_else(|| anyhow!("not an answer: {}", String::from_utf8_lossy(head)))?;
    // Envoy writes header names in lower case.
    const LENGTH: &[u8] = b"\r\ncontent-length: ";
    let body = memmem::find(head, LENGTH).and_then(|at| head.get(at + LENGTH.len()..)).and_then(number);
    // 204 has no body, and need not say so (RFC 9110, 8.6).
    let body = body.or((status == 204).then_some(0)).ok_or_else(|| anyhow!("no content-length: {}", String::from_utf8_lossy(head)))?;
    Ok(Some((u16::try_from(status)?, head_end + 4 + body)))
}

fn number(bytes: &[u8]) -> Option<usize> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(bytes.get(..digits)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn finds_status_and_length_and_leaves_the_next_answer() {
        let two = b"HTTP/1.1 429 Too Many Requests\r\nserver: envoy\r\ncontent-length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\n";
        assert_eq!(parse(two).unwrap(), Some((429, 70)));
        assert_eq!(parse(&two[70..]).unwrap(), None);
    }

    #[test]
    fn an_answer_without_content_ends_with_its_head() {
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\ndate: now\r\n\r\nHTTP").unwrap(), Some((204, 38)));
    }

    #[test]
    fn an_answer_of_unknown_length_is_refused() {
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.0 200 OK\r\n\r\n").is_err());
    }
}
