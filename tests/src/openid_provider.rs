//! Owns a foreign OpenID provider and a browser that people use with it. Must not know what the backend makes of what they bring.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::backend::free_port;
use crate::gate::parts;
use crate::packages::packages;
use crate::{Answer, Call, Connection, Http};

/// Pages that one may lead to the next before somebody has gone in circles.
const MOST_PAGES: usize = 20;

/// A running provider, `oidc-provider`, that knows one client; it ends when this is dropped.
#[derive(Debug)]
pub struct OpenIdProvider {
    port: u16,
    process: Child,
}

/// A browser: it keeps cookies by port, as real ones do by host, and goes nowhere unless told to.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    cookies: BTreeMap<u16, BTreeMap<String, String>>,
}

/// A page, and where it is.
#[derive(Debug)]
pub struct Page {
    /// Its URL.
    pub url: String,
    /// What came.
    pub answer: Answer,
}

impl OpenIdProvider {
    /// Starts one that sends browsers back to these URLs alone.
    pub fn start(redirect_uris: &[String]) -> Self {
        let port = free_port();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new("node")
            .arg(root.join("oidc/provider.mjs"))
            .arg(port.to_string())
            .args(redirect_uris)
            .env("OPENID_PROVIDER", packages("OPENID_PROVIDER", "openid_provider.sh"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node");
        let mut said = String::new();
        BufReader::new(process.stdout.take().expect("its output")).read_line(&mut said).expect("a line");
        assert_eq!(said, "listening\n", "the OpenID provider");
        Self { port, process }
    }

    /// Its issuer.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Posts a form as a client with this id and secret, which hold nothing that a URL escapes.
    pub async fn form(&self, path: &str, form: &str, client: &str, secret: &str) -> Answer {
        use base64::Engine;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{client}:{}", secret.replace(' ', "+")));
        let call = Call::new("POST", path).header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        let call = call.header("authorization", format!("Basic {pair}")).host(&format!("127.0.0.1:{}", self.port));
        Connection::open(self.address(), Http::One).await.send(call).await.expect("an answer")
    }

    /// Takes a browser through its pages as this person, from where the backend has sent it to the URL it is sent back with.
    pub async fn sign_in(&self, browser: &mut Browser, from: &str, person: &str) -> String {
        let mut page = browser.get(from).await;
        for _ in 0..MOST_PAGES {
            if let Some(to) = page.answer.header("location").map(|to| absolute(&page.url, to)) {
                if !to.starts_with(&self.issuer()) {
                    return to;
                }
                page = browser.get(&to).await;
                continue;
            }
            let text = String::from_utf8_lossy(&page.answer.body).into_owned();
            let action = between(&text, "action=\"", "\"").unwrap_or_else(|| panic!("no form: {text}"));
            let form = match between(&text, "name=\"prompt\" value=\"", "\"") {
                Some("login") => format!("prompt=login&login={person}&password=any"),
                prompt => format!("prompt={}", prompt.unwrap_or_default()),
            };
            page = browser.post(&absolute(&page.url, action), &form).await;
        }
        panic!("no way back from {}", page.url)
    }
}

impl Drop for OpenIdProvider {
    fn drop(&mut self) {
        parts::end(&mut self.process);
    }
}

impl Browser {
    /// Opens a page.
    pub async fn get(&mut self, url: &str) -> Page {
        self.go(Call::new("GET", path(url)), url).await
    }

    async fn post(&mut self, url: &str, form: &str) -> Page {
        let call = Call::new("POST", path(url)).header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        self.go(call, url).await
    }

    /// Sends a request with the cookies it has for its host.
    pub async fn go(&mut self, mut call: Call, url: &str) -> Page {
        let port = port(url);
        let kept = self.cookies.entry(port).or_default();
        if !kept.is_empty() {
            let line: Vec<_> = kept.iter().map(|(name, value)| format!("{name}={value}")).collect();
            call = call.header("cookie", line.join("; "));
        }
        let address = ([127, 0, 0, 1], port).into();
        let answer = Connection::open(address, Http::One).await.send(call.host(&format!("127.0.0.1:{port}"))).await.expect("an answer");
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().expect("a cookie in ASCII");
            let (name, value) = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            let gone = value.is_empty() || line.to_ascii_lowercase().contains("max-age=0") || line.contains("1970");
            if gone {
                kept.remove(name);
            } else {
                kept.insert(name.to_owned(), value.to_owned());
            }
        }
        Page { url: url.to_owned(), answer }
    }

    /// Forgets the cookies of a host.
    pub fn forget(&mut self, url: &str) {
        self.cookies.remove(&port(url));
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

fn absolute(base: &str, to: &str) -> String {
    if to.starts_with("http") { to.to_owned() } else { format!("http://127.0.0.1:{}{to}", port(base)) }
}

fn port(url: &str) -> u16 {
    let authority = url.split('/').nth(2).unwrap_or_else(|| panic!("no URL: {url}"));
    authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_else(|| panic!("no port: {url}"))
}

fn path(url: &str) -> &str {
    let start = url.match_indices('/').nth(2).map_or(url.len(), |(start, _)| start);
    match url.get(start..).unwrap_or_default() {
        "" => "/",
        path => path,
    }
}
