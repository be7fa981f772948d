//! `tollgate sign`: what it prints is taken, and its secret is seen nowhere.

use std::process::Command;

use serde_json::Value;
use tollgate_core::secret::Secret;
use tollgate_core::signature::{Fields, Request, Rules, check};
use tollgate_server::clock::{Clock, SystemClock};

use crate::command::{Run, tollgate};

const SECRET: &str = "a signing secret, of the tests alone";
const URL: &str = "https://api.example.com:443/orders?limit=5&x=%2F";

struct Headers(Vec<(String, String)>);

impl Fields for Headers {
    fn each(&self, name: &str, take: &mut dyn FnMut(&[u8])) {
        self.0.iter().filter(|(own, _)| own == name).for_each(|(_, value)| take(value.as_bytes()));
    }
}

fn sign(arguments: &[&str]) -> Run {
    let all: Vec<&str> = ["sign", "--key-id", "acme-1", "--secret-env", "SECRET"].iter().chain(arguments).copied().collect();
    tollgate(&all, &[("SECRET", SECRET)], b"")
}

fn headers(run: &Run) -> Headers {
    assert_eq!((run.status, run.err.as_str()), (0, ""));
    let pairs = run.out.lines().map(|line| line.split_once(": ").unwrap());
    Headers(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Whether a gate would take these headers on a request, with what a route asks beside the least.
fn is_taken(headers: &Headers, method: &str, target: &str, body: Option<&[u8]>, components: &[&str], cavage: bool) -> bool {
    let request = Request {
        method: method.as_bytes(),
        scheme: b"https",
        authority: b"api.example.com",
        target: target.as_bytes(),
        has_body: body.is_some(),
        fields: headers,
    };
    let components = components.iter().map(|name| (*name).to_owned()).collect();
    let rules = Rules { components, max_age: 300, clock_skew: 10, tag: None, nonce: !cavage, checks_body: true, mesh: false, cavage };
    let now = u64::try_from(SystemClock.now().millis() / 1_000).unwrap();
    let signed = check(&request, &rules, "acme-1", &Secret::new(SECRET.as_bytes().to_vec()), now);
    signed.is_ok_and(|signed| body.is_none_or(|body| signed.body.is(body)))
}

#[test]
fn what_it_prints_is_taken_for_that_request_alone() {
    let body = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(body.path(), "{\"a\":1}").unwrap();
    let file = body.path().to_str().unwrap();
    let target = "/orders?limit=5&x=%2F";
    for form in ["rfc9421", "cavage"] {
        let cavage = form == "cavage";
        let get = headers(&sign(&["--form", form, URL]));
        assert!(is_taken(&get, "GET", target, None, &[], cavage), "{form}");
        assert!(!is_taken(&get, "POST", target, None, &[], cavage) && !is_taken(&get, "GET", "/orders", None, &[], cavage), "{form}");
        let more = ["--form", form, "-X", "POST", "--body", file, "-H", "Content-Type: application/json", "--component", "content-type"];
        let post = headers(&sign(&[&more[..], &["--expires-in", "60", URL]].concat()));
        assert!(is_taken(&post, "POST", target, Some(b"{\"a\":1}"), &["content-type"], cavage), "{form}");
        assert!(!is_taken(&post, "POST", target, Some(b"{\"a\":2}"), &["content-type"], cavage), "{form}");
        assert!(!is_taken(&get, "GET", target, None, &["content-type"], cavage), "{form}");
    }
    let twice = [sign(&[URL]).out, sign(&[URL]).out];
    assert_ne!(twice[0], twice[1], "each has a nonce of its own");
    assert!(sign(&["--tag", "orders", URL]).out.contains(";tag=\"orders\""));
}

#[test]
fn the_forms_of_its_output_say_the_same() {
    let body = tempfile::NamedTempFile::with_prefix("it's ").unwrap();
    std::fs::write(body.path(), "x").unwrap();
    let file = body.path().to_str().unwrap();
    let json: Value = serde_json::from_str(&sign(&["--format", "json", "-X", "PUT", "--body", file, URL]).out).unwrap();
    let all = json.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
    assert!(is_taken(&Headers(all.collect()), "PUT", "/orders?limit=5&x=%2F", Some(b"x"), &[], false));
    // The shell hands curl what was signed.
    let run = sign(&["--format", "curl", "-X", "PUT", "--body", file, "-H", "X-Note: it's", "--component", "x-note", URL]);
    let command = run.out.strip_prefix("curl ").unwrap();
    let shown = Command::new("sh").arg("-c").arg(format!("printf '%s\\n' {command}")).output().unwrap();
    let words: Vec<String> = String::from_utf8(shown.stdout).unwrap().lines().map(str::to_owned).collect();
    let given = words.windows(2).filter(|two| two[0] == "-H").map(|two| two[1].split_once(": ").unwrap());
    let headers = Headers(given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
    assert!(is_taken(&headers, "PUT", "/orders?limit=5&x=%2F", Some(b"x"), &["x-note"], false), "{words:?}");
    assert!(words.contains(&format!("@{file}")) && words.last().unwrap() == URL, "{words:?}");
}

#[test]
fn the_secret_comes_from_a_file_or_standard_input_too_and_is_never_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{SECRET}\r\n")).unwrap();
    let from_file = tollgate(&["sign", "--key-id", "acme-1", "--secret-file", file.path().to_str().unwrap(), URL], &[], b"");
    let from_input = tollgate(&["sign", "--key-id", "acme-1", URL], &[], format!("{SECRET}\n").as_bytes());
    for run in [from_file, from_input] {
        assert!(is_taken(&headers(&run), "GET", "/orders?limit=5&x=%2F", None, &[], false));
        assert!(!run.out.contains(SECRET));
    }
    for secret in ["", "short", "two lines of a\nsigning secret"] {
        let run = tollgate(&["sign", "--key-id", "acme-1", URL], &[], secret.as_bytes());
        assert_eq!((run.status, run.out.as_str()), (2, ""));
        assert!(run.err.contains("at least 16") && (secret.is_empty() || !run.err.contains(secret)), "{}", run.err);
    }
    assert_eq!(tollgate(&["sign", "--key-id", "a", "--secret-env", "UNSET", URL], &[], b"").status, 2);
    assert_eq!(tollgate(&["sign", "--key-id", "a", "--secret-file", "/nonexistent", URL], &[], b"").status, 2);
    assert_eq!(tollgate(&["sign", "--key-id", "a", URL, SECRET], &[], b"").status, 2, "there is no place for one");
}

#[test]
fn what_would_not_be_taken_is_not_signed() {
    let cases: [(&[&str], &str); 13] = [
        (&["api.example.com/a"], "http://HOST"),
        (&["https://me@api.example.com/a"], "http://HOST"),
        (&["-X", "get", URL], "upper-case"),
        (&["-H", "no header", URL], "`no header` is no header"),
        (&["-H", "a: b\nc: d", URL], "is no header"),
        (&["-H", "Signature: x", URL], "`signature` is sent by the command"),
        (&["-H", "Host: x", URL], "`host` is sent by the command"),
        (&["--component", "x-absent", URL], "`x-absent` cannot be signed"),
        (&["--component", "@nonsense", URL], "`@nonsense` cannot be signed"),
        (&["--component", "@method", URL], "twice"),
        (&["--form", "cavage", "--tag", "a", URL], "no tag"),
        (&["--tag", "a\"b", URL], "tag"),
        (&["--body", "/nonexistent", URL], "cannot read /nonexistent"),
    ];
    for (arguments, said) in cases {
        let run = sign(arguments);
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{arguments:?}");
        assert!(run.err.contains(said) && !run.err.contains(SECRET), "{arguments:?}: {}", run.err);
    }
    assert_eq!(tollgate(&["sign", "--key-id", "a\"b", URL], &[], SECRET.as_bytes()).status, 2);
    assert_eq!(sign(&["--expires-in", "0", URL]).status, 2);
}
