//! Owns `tollgate sign`: the headers that make a request a signed one. Must not send it, nor take a secret as an argument or show one.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Map, Value};
use tollgate_core::policy::is_id;
use tollgate_core::secret::{LEAST_SECRET_LEN, Secret};
use tollgate_core::signature::{Fields, Request, Rules, Ticket, check, content_digest, make, make_cavage};

use super::UNUSABLE;
use crate::clock::{Clock, SystemClock};
use crate::secrets::random_id;

/// Characters of a nonce: more than 128 bits.
const NONCE: usize = 22;
/// The longest secret that is read.
const LONGEST_SECRET: u64 = 4_096;

/// Print the headers that sign a request.
///
/// The secret is read from standard input, one line, unless it is in a file or an environment variable; an argument would show in the process
/// list and in the shell's history.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where the request goes, as it is sent: `https://api.example.com/orders?limit=5`.
    url: String,
    /// The id of the API key whose signing secret it is.
    #[arg(long, value_name = "ID")]
    key_id: String,
    /// The environment variable with the signing secret.
    #[arg(long, value_name = "NAME", conflicts_with = "secret_file")]
    secret_env: Option<String>,
    /// The file with the signing secret.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The request's method.
    #[arg(long, short = 'X', default_value = "GET")]
    method: String,
    /// A header of the request, `Name: value`; several may be given. It is signed where `--component` says so, and printed with the others.
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    headers: Vec<String>,
    /// The file with the request's body, whose digest is signed.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// Something more to sign: a header's name, or `@target-uri` and the like. Signed anyway: method, host, path, query, and the body's digest.
    #[arg(long = "component", value_name = "NAME")]
    components: Vec<String>,
    /// What the signature is for, where the API asks for a `tag`.
    #[arg(long)]
    tag: Option<String>,
    /// Seconds after which the signature ends; without, the API's own rules say.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    expires_in: Option<u64>,
    /// The form of the signature: RFC 9421, or the older draft-cavage-http-signatures-12.
    #[arg(long, value_enum, default_value_t = Form::Rfc9421)]
    form: Form,
    /// How the headers are printed: for `curl -H @FILE`, as a whole command for a shell, or as a JSON object.
    #[arg(long, value_enum, default_value_t = Format::Headers)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Rfc9421,
    Cavage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Headers,
    Curl,
    Json,
}

/// Why nothing is signed. Never carries the secret.
#[derive(Debug, thiserror::Error)]
enum SignError {
    #[error("the URL must be http://HOST/… or https://HOST/…, of visible ASCII, without a user or a fragment")]
    Url,
    #[error("the key's id must be 1 to 128 visible ASCII characters, none of them `\"` or `\\`")]
    KeyId,
    #[error("the method must be upper-case letters")]
    Method,
    #[error("`{0}` is no header: `Name: value`, visible ASCII")]
    Header(String),
    #[error("`{0}` is sent by the command itself: leave it out")]
    OwnHeader(String),
    #[error("`{0}` cannot be signed: no header of this name is given, or the form has no such component")]
    Component(String),
    #[error("the older draft has no tag")]
    Tag,
    #[error("the tag must be 1 to 128 printable ASCII characters, none of them `\"` or `\\`")]
    WrongTag,
    #[error("the environment variable {0} is not set to text")]
    Unset(String),
    #[error("the secret has {0} bytes; at least {LEAST_SECRET_LEN}, in one line")]
    Secret(usize),
    #[error("cannot read {0}: {1}")]
    Read(String, io::Error),
    #[error("a clock before 1970, or no randomness")]
    Surroundings,
    #[error("the signature would not be taken: it signs the same thing twice, or more than can be signed")]
    Refused,
}

/// The headers of a request, in order, with names in lower case.
struct Headers(Vec<(String, String)>);

impl Fields for Headers {
    fn each(&self, name: &str, take: &mut dyn FnMut(&[u8])) {
        self.0.iter().filter(|(own, _)| own == name).for_each(|(_, value)| take(value.as_bytes()));
    }
}

/// The parts of a URL as a client sends them.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    scheme: &'a str,
    authority: &'a str,
    target: String,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let headers = match sign(arguments) {
        Ok(headers) => headers,
        Err(error) => {
            writeln!(io::stderr(), "error: {error}")?;
            return Ok(ExitCode::from(UNUSABLE));
        }
    };
    let mut out = io::stdout().lock();
    match arguments.format {
        Format::Headers => headers.0.iter().try_for_each(|(name, value)| writeln!(out, "{name}: {value}"))?,
        Format::Curl => writeln!(out, "{}", curl(arguments, &headers))?,
        Format::Json => {
            let all: Map<String, Value> = headers.0.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
            writeln!(out, "{}", Value::Object(all))?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The headers to send: those that were given, the digest, and the signature.
fn sign(arguments: &Arguments) -> Result<Headers, SignError> {
    let url = parse(&arguments.url).ok_or(SignError::Url)?;
    if !is_id(&arguments.key_id) {
        return Err(SignError::KeyId);
    }
    if arguments.method.is_empty() || !arguments.method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(SignError::Method);
    }
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    match &arguments.tag {
        Some(_) if arguments.form == Form::Cavage => return Err(SignError::Tag),
        Some(tag) if !(1..=128).contains(&tag.len()) || !tag.bytes().all(is_plain) => return Err(SignError::WrongTag),
        Some(_) | None => {}
    }
    let mut headers = Headers(arguments.headers.iter().map(|header| read_header(header)).collect::<Result<_, _>>()?);
    let (mut components, digest) = match arguments.form {
        Form::Rfc9421 => (vec!["@method", "@authority", "@path", "@query"], "content-digest"),
        Form::Cavage => (vec!["(request-target)", "host", "(created)"], "digest"),
    };
    if arguments.form == Form::Cavage && arguments.expires_in.is_some() {
        components.push("(expires)");
    }
    let own = [digest, "signature", "signature-input", "authorization", "host"];
    let own = own.into_iter().filter(|name| *name != "authorization" || arguments.form == Form::Cavage);
    if let Some(name) = own.into_iter().find(|name| headers.0.iter().any(|(given, _)| given == name)) {
        return Err(SignError::OwnHeader(name.to_owned()));
    }
    if let Some(path) = &arguments.body {
        let body = fs::read(path).map_err(|error| SignError::Read(path.display().to_string(), error))?;
        let value = content_digest(&body);
        let base64 = value.trim_start_matches("sha-256=:").trim_end_matches(':');
        headers.0.push((digest.to_owned(), if digest == "digest" { format!("SHA-256={base64}") } else { value.clone() }));
        components.push(digest);
    }
    components.extend(arguments.components.iter().map(String::as_str).filter(|name| *name != digest || arguments.body.is_none()));
    let secret = secret(arguments)?;
    let created = u64::try_from(SystemClock.now().millis() / 1_000).map_err(|_| SignError::Surroundings)?;
    let nonce = random_id(NONCE).map_err(|_| SignError::Surroundings)?;
    let ticket = Ticket {
        created,
        expires: arguments.expires_in.map(|seconds| created.saturating_add(seconds)),
        nonce: Some(&nonce),
        keyid: &arguments.key_id,
        tag: arguments.tag.as_deref(),
    };
    let made = match arguments.form {
        Form::Rfc9421 => make(&request(arguments, &url, &headers), &components, &ticket, &secret)
            .map(|(input, signature)| vec![("signature-input".to_owned(), input), ("signature".to_owned(), signature)]),
        Form::Cavage => make_cavage(&request(arguments, &url, &headers), &components, &ticket, &secret)
            .map(|value| vec![("authorization".to_owned(), value)]),
    };
    let made = made.map_err(|_| {
        let mut unknown = arguments.components.iter().filter(|name| !headers.0.iter().any(|(own, _)| own == *name));
        SignError::Component(unknown.next().or(arguments.components.first()).cloned().unwrap_or_default())
    })?;
    headers.0.extend(made);
    // By the strictest rules that every gate has: what is printed is taken.
    let cavage = arguments.form == Form::Cavage;
    let rules =
        Rules { components: Box::new([]), max_age: 1, clock_skew: 0, tag: None, nonce: !cavage, checks_body: false, mesh: false, cavage };
    check(&request(arguments, &url, &headers), &rules, &arguments.key_id, &secret, created).map_err(|_| SignError::Refused)?;
    Ok(headers)
}

fn request<'a>(arguments: &'a Arguments, url: &'a Url<'_>, headers: &'a Headers) -> Request<'a> {
    Request {
        method: arguments.method.as_bytes(),
        scheme: url.scheme.as_bytes(),
        authority: url.authority.as_bytes(),
        target: url.target.as_bytes(),
        has_body: arguments.body.is_some(),
        fields: headers,
    }
}

fn secret(arguments: &Arguments) -> Result<Secret, SignError> {
    let mut bytes = Vec::new();
    match (&arguments.secret_env, &arguments.secret_file) {
        (Some(name), _) => bytes = std::env::var(name).map_err(|_| SignError::Unset(name.clone()))?.into_bytes(),
        (None, Some(path)) => {
            let file = fs::File::open(path).map_err(|error| SignError::Read(path.display().to_string(), error))?;
            file.take(LONGEST_SECRET).read_to_end(&mut bytes).map_err(|error| SignError::Read(path.display().to_string(), error))?;
        }
        (None, None) => {
            let read = io::stdin().lock().take(LONGEST_SECRET).read_to_end(&mut bytes);
            read.map_err(|error| SignError::Read("standard input".to_owned(), error))?;
        }
    }
    let line = bytes.strip_suffix(b"\n").map_or(bytes.as_slice(), |line| line.strip_suffix(b"\r").unwrap_or(line));
    if line.len() < LEAST_SECRET_LEN || line.contains(&b'\n') {
        return Err(SignError::Secret(line.len()));
    }
    Ok(Secret::new(line.to_vec()))
}

fn parse(url: &str) -> Option<Url<'_>> {
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(end)?;
    if authority.is_empty() || authority.contains('@') || !url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\')
    {
        return None;
    }
    // As clients name the host: without a port that goes without saying.
    let authority = authority.strip_suffix(if scheme == "https" { ":443" } else { ":80" }).unwrap_or(authority);
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    Some(Url { scheme, authority, target })
}

fn read_header(header: &str) -> Result<(String, String), SignError> {
    let wrong = || SignError::Header(header.to_owned());
    let (name, value) = header.split_once(':').ok_or_else(wrong)?;
    let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !is_name || value.bytes().any(|byte| !matches!(byte, b' '..=b'~')) {
        return Err(wrong());
    }
    Ok((name, value))
}

/// The request as a command for a shell.
fn curl(arguments: &Arguments, headers: &Headers) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let mut command = format!("curl --path-as-is -X {}", arguments.method);
    for (name, value) in &headers.0 {
        command.push_str(&format!(" -H {}", quoted(&format!("{name}: {value}"))));
    }
    if let Some(body) = &arguments.body {
        command.push_str(&format!(" --data-binary {}", quoted(&format!("@{}", body.display()))));
    }
    format!("{command} {}", quoted(&arguments.url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_as_clients_send_it() {
        let is = |url: &'static str, scheme: &str, authority: &str, target: &str| {
            let found = parse(url).unwrap();
            assert_eq!((found.scheme, found.authority, found.target.as_str()), (scheme, authority, target), "{url}");
        };
        is("https://api.example.com", "https", "api.example.com", "/");
        is("https://api.example.com:443/a?b=/c", "https", "api.example.com", "/a?b=/c");
        is("http://[::1]:8443?x", "http", "[::1]:8443", "/?x");
        for wrong in [
            "",
            "api.example.com/a",
            "ftp://a/",
            "https://",
            "https:///a",
            "https://me@a/",
            "https://a/#b",
            "https://a/ b",
            "https://ä/",
            "HTTPS://a/",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
