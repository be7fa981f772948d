//! Owns the requests: the bytes that a real client would send, with the key or token that the row asks for.

use std::fmt::Write;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use tollgate_core::secret::Secret;
use tollgate_core::signature::{self, Fields, Ticket, content_digest};

use crate::random::Random;

/// An endless sequence of requests.
pub(crate) enum Requests {
    /// One request, for ever.
    Same(Vec<u8>),
    /// Keys or tokens of one length in turn, all at the same place.
    Turns {
        /// The request.
        request: Vec<u8>,
        /// Where the key goes.
        place: Range<usize>,
        /// The keys, one behind the other: many requests would take the processor's caches away from Envoy.
        keys: Vec<u8>,
        /// Where the next one begins.
        next: usize,
    },
    /// Each with bytes never used before at one place.
    Fresh {
        /// The request.
        request: Vec<u8>,
        /// Where the fresh bytes go.
        place: Range<usize>,
        /// Where they come from.
        random: Random,
    },
    /// Each signed as it is sent, with a nonce never used before.
    Signed {
        /// The last one.
        request: Vec<u8>,
        /// What each carries.
        body: &'static [u8],
    },
}

/// As long as a key that Tollgate issues: 16 of id, 33 of secret, 8 of tag.
const KEY_LENGTH: usize = 57;
/// The next nonce, of all sequences: a row's probe and its load must not meet.
static NONCE: AtomicU64 = AtomicU64::new(0);
const KEY_PREFIX: &str = "foil_";
/// What signed requests are signed with.
pub(crate) const SIGNING_SECRET: &str = "a secret of the benchmark's alone, longer than 32 bytes";
/// The body of requests with one.
pub(crate) const BODY: &[u8] = &[b'x'; 1_024];
const HOST: &str = "api.example.com";
const TARGET: &str = "/v1/search?q=abc";

// === impl Requests ===

impl Requests {
    /// The same key each time.
    pub(crate) fn with_key(key: &str) -> Self {
        Self::Same(get(TARGET, &[("x-api-key", key)]))
    }

    /// These keys, in turn. All have the first one's length.
    pub(crate) fn with_keys(keys: impl IntoIterator<Item = String>) -> Self {
        Self::in_turn(keys, |key| get(TARGET, &[("x-api-key", key)]))
    }

    /// The same token each time.
    pub(crate) fn with_token(token: &str) -> Self {
        Self::Same(with_token(token))
    }

    /// These tokens, in turn. All have the first one's length.
    pub(crate) fn with_tokens(tokens: impl IntoIterator<Item = String>) -> Self {
        Self::in_turn(tokens, with_token)
    }

    /// The same key each time, and a body.
    pub(crate) fn with_body(key: &str) -> Self {
        Self::Same(request("POST", TARGET, &[("x-api-key", key)], BODY))
    }

    /// The same key each time, each request signed anew.
    pub(crate) fn signed(body: &'static [u8]) -> Self {
        Self::Signed { request: Vec::new(), body }
    }

    fn in_turn(keys: impl IntoIterator<Item = String>, request: impl Fn(&str) -> Vec<u8>) -> Self {
        let mut keys = keys.into_iter().peekable();
        let first = keys.peek().cloned().unwrap_or_default();
        let request = request(&first);
        let start = memchr::memmem::find(&request, first.as_bytes()).unwrap_or(0);
        let keys = keys.filter(|key| key.len() == first.len()).flat_map(String::into_bytes).collect();
        Self::Turns { request, place: start..start + first.len(), keys, next: 0 }
    }

    /// A key never used before each time.
    pub(crate) fn with_fresh_keys(seed: u64) -> Self {
        let random = Random::new(seed);
        let request = get(TARGET, &[("x-api-key", &key(0))]);
        let key_end = memchr::memmem::find(&request, KEY_PREFIX.as_bytes()).map_or(0, |at| at + KEY_PREFIX.len());
        Self::Fresh { request, place: key_end..key_end + KEY_LENGTH, random }
    }

    /// No key, and another path.
    pub(crate) fn without_key(path: &str) -> Self {
        Self::Same(get(path, &[]))
    }

    /// The next request.
    pub(crate) fn next(&mut self) -> &[u8] {
        match self {
            Self::Same(request) => request,
            Self::Turns { request, place, keys, next } => {
                let end = *next + place.len();
                if let (Some(place), Some(key)) = (request.get_mut(place.clone()), keys.get(*next..end)) {
                    place.copy_from_slice(key);
                }
                *next = if end < keys.len() { end } else { 0 };
                request
            }
            Self::Fresh { request, place, random } => {
                random.fill_base62(request.get_mut(place.clone()).unwrap_or_default());
                request
            }
            Self::Signed { request, body } => {
                *request = signed(&format!("{:016x}", NONCE.fetch_add(1, Ordering::Relaxed)), body);
                request
            }
        }
    }
}

/// The benchmark's key number `index`.
pub(crate) fn key(index: u64) -> String {
    forged_key(&mut Random::new(index.wrapping_mul(0x1_0001)))
}

/// A key of the form of issued ones that nobody has issued.
pub(crate) fn forged_key(random: &mut Random) -> String {
    let mut bytes = [0; KEY_LENGTH];
    random.fill_base62(&mut bytes);
    format!("{KEY_PREFIX}{}", String::from_utf8_lossy(&bytes))
}

/// The SHA-256 of a key as the plugin configuration writes it.
pub(crate) fn hash(key: &str) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(key) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The usual request, with a token.
pub(crate) fn with_token(token: &str) -> Vec<u8> {
    get(TARGET, &[("authorization", &format!("Bearer {token}"))])
}

/// The usual request, signed; one with a body is a POST.
fn signed(nonce: &str, body: &[u8]) -> Vec<u8> {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let digest = content_digest(body);
    let mut headers = Headers(vec![("x-api-key", key(0))]);
    let mut components = vec!["@method", "@authority", "@path", "@query"];
    if !body.is_empty() {
        headers.0.push(("content-digest", digest));
        components.push("content-digest");
    }
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let ticket = Ticket { created, nonce: Some(nonce), keyid: "key-0", ..Ticket::default() };
    let unsigned = signature::Request {
        method: method.as_bytes(),
        scheme: b"http",
        authority: HOST.as_bytes(),
        target: TARGET.as_bytes(),
        has_body: !body.is_empty(),
        fields: &headers,
    };
    let made = signature::make(&unsigned, &components, &ticket, &Secret::new(SIGNING_SECRET.as_bytes().to_vec()));
    if let Ok((input, signature)) = made {
        headers.0.extend([("signature-input", input), ("signature", signature)]);
    }
    let headers: Vec<(&str, &str)> = headers.0.iter().map(|(name, value)| (*name, value.as_str())).collect();
    request(method, TARGET, &headers, body)
}

struct Headers(Vec<(&'static str, String)>);

impl Fields for Headers {
    fn each(&self, name: &str, take: &mut dyn FnMut(&[u8])) {
        self.0.iter().filter(|(own, _)| *own == name).for_each(|(_, value)| take(value.as_bytes()));
    }
}

/// A GET with what a browser or a client library sends, and `extra`.
pub(crate) fn get(path: &str, extra: &[(&str, &str)]) -> Vec<u8> {
    request("GET", path, extra, b"")
}

fn request(method: &str, path: &str, extra: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {HOST}\r\nuser-agent: example-client/4.2 (linux; x86_64)\r\naccept: application/json\r\n\
         accept-encoding: gzip, deflate, br\r\naccept-language: en-GB,en;q=0.9\r\ncache-control: no-cache\r\nx-request-source: benchmark\r\n"
    );
    for (name, value) in extra {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(request, "content-length: {}\r\n", body.len());
    }
    request.push_str("\r\n");
    [request.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_keys_differ_and_leave_the_rest_alone() {
        let mut requests = Requests::with_fresh_keys(7);
        let first = String::from_utf8(requests.next().to_vec()).unwrap();
        let second = String::from_utf8(requests.next().to_vec()).unwrap();
        assert_ne!(first, second);
        assert_eq!(first.len(), second.len());
        let shape = |text: &str| text.replace(text.split("foil_").nth(1).unwrap(), "");
        assert_eq!(shape(&first), shape(&second));
        assert!(first.ends_with("\r\n\r\n"));
    }

    #[test]
    fn turns_come_round() {
        let mut requests = Requests::with_keys((0..3).map(key));
        let seen: Vec<Vec<u8>> = (0..4).map(|_| requests.next().to_vec()).collect();
        assert!(seen.iter().zip(0..3).all(|(request, number)| *request == get(TARGET, &[("x-api-key", &key(number))])));
        assert_eq!(seen[0], seen[3]);
    }

    #[test]
    fn tokens_come_in_turn_too() {
        let mut requests = Requests::with_tokens(["a.b.c", "d.e.f"].map(str::to_owned));
        assert_eq!(requests.next(), with_token("a.b.c"));
        assert_eq!(requests.next(), with_token("d.e.f"));
        assert_eq!(requests.next(), with_token("a.b.c"));
    }

    #[test]
    fn hashes_as_sha256_does() {
        assert_eq!(hash("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
