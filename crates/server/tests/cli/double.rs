//! Stands for the public API where the real one cannot be made to answer so: gives scripted answers, and tells what it was asked.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

/// One answer, or none.
pub(crate) enum Answer {
    /// This status, these headers and this body.
    Say(u16, &'static [&'static str], String),
    /// The connection is closed without an answer.
    Hang,
}

/// What was asked.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Method and target: `GET /api/v1/keys`.
    pub(crate) line: String,
    /// Headers, names in lower case.
    headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: String,
}

/// Answers once for each of a list, then no more.
pub(crate) struct Double {
    pub(crate) url: String,
    thread: JoinHandle<Vec<Asked>>,
}

pub(crate) fn json(status: u16, body: &serde_json::Value) -> Answer {
    Answer::Say(status, &["content-type: application/json", "etag: \"v1\""], body.to_string())
}

pub(crate) fn problem(status: u16, body: &serde_json::Value) -> Answer {
    Answer::Say(status, &["content-type: application/problem+json", "retry-after: 0"], body.to_string())
}

impl Double {
    pub(crate) fn answering(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let request = read(&mut stream);
                if request.line == "END" {
                    break;
                }
                asked.push(request);
                if let Answer::Say(status, headers, body) = answer {
                    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
                    let length = body.len();
                    write!(stream, "HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
                }
            }
            asked
        });
        Self { url, thread }
    }

    /// What was asked; answers that nobody came for are left.
    pub(crate) fn asked(self) -> Vec<Asked> {
        // It may wait for a request still; if it has ended, nobody listens.
        if let Ok(mut stream) = TcpStream::connect(self.url.trim_start_matches("http://")) {
            let _ = stream.write_all(b"END\r\n\r\n");
        }
        self.thread.join().unwrap()
    }
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

fn read(stream: &mut TcpStream) -> Asked {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        assert!(more(stream, &mut bytes), "a request that ends before its head does");
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<_> =
        lines.map(|line| line.split_once(':').unwrap()).map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    while bytes.len() < head + 4 + length {
        assert!(more(stream, &mut bytes), "a request that ends before its body does");
    }
    Asked { line, headers, body: String::from_utf8(bytes[head + 4..].to_vec()).unwrap() }
}

fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> bool {
    let mut part = [0; 4_096];
    let length = stream.read(&mut part).unwrap();
    bytes.extend_from_slice(&part[..length]);
    length > 0
}
