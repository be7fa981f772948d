use super::*;

fn sign(base: &[u8], secret: &Secret) -> String {
    STANDARD.encode(mac(secret, &[base]))
}

const NOW: u64 = 1_700_000_000;
const SECRET: &str = "a signing secret of a key, long enough";

#[derive(Clone)]
struct Sent {
    method: String,
    authority: String,
    target: String,
    headers: Vec<(String, String)>,
    has_body: bool,
}

impl Fields for Vec<(String, String)> {
    fn each(&self, name: &str, take: &mut dyn FnMut(&[u8])) {
        self.iter().filter(|(own, _)| own == name).for_each(|(_, value)| take(value.as_bytes()));
    }
}

impl Sent {
    fn get(target: &str) -> Self {
        let (method, authority, target) = ("GET".to_owned(), "api.example.com".to_owned(), target.to_owned());
        Self { method, authority, target, headers: Vec::new(), has_body: false }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn request(&self) -> Request<'_> {
        Request {
            method: self.method.as_bytes(),
            scheme: b"https",
            authority: self.authority.as_bytes(),
            target: self.target.as_bytes(),
            has_body: self.has_body,
            fields: &self.headers,
        }
    }

    /// Signs components, with these parameters.
    fn signed(self, components: &[&str], params: &str) -> Self {
        let listed: Vec<String> = components.iter().map(|name| format!("\"{name}\"")).collect();
        let params = format!("({}){params}", listed.join(" "));
        let base = signature_base(&self.request(), components.iter().copied(), &params).unwrap();
        let signature = sign(&base, &secret());
        self.with("signature-input", &format!("sig1={params}")).with("signature", &format!("sig1=:{signature}:"))
    }

    fn check(&self, rules: &Rules) -> Result<Signed, Wrong> {
        check(&self.request(), rules, "key-1", &secret(), NOW)
    }

    fn verdict(&self) -> Result<(), Wrong> {
        self.check(&rules()).map(|_| ())
    }

    fn set(mut self, name: &str, change: impl Fn(&str) -> String) -> Self {
        for (own, value) in &mut self.headers {
            if own == name {
                *value = change(value);
            }
        }
        self
    }
}

fn secret() -> Secret {
    Secret::new(SECRET.as_bytes().to_vec())
}

fn rules() -> Rules {
    Rules { components: Box::new([]), max_age: 300, clock_skew: 10, tag: None, nonce: false, checks_body: true, mesh: false, cavage: false }
}

const LEAST: [&str; 4] = ["@method", "@authority", "@path", "@query"];

fn params(created: u64) -> String {
    format!(";created={created};nonce=\"abcdefgh\";keyid=\"key-1\";alg=\"hmac-sha256\"")
}

fn good() -> Sent {
    Sent::get("/orders?limit=5").with("date", "Tue, 14 Nov 2023 22:13:20 GMT").signed(&LEAST, &params(NOW))
}

#[test]
fn the_standard_s_own_signature_is_made_and_recognised() {
    // RFC 9421, appendix B.2.5.
    let key = STANDARD.decode("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==").unwrap();
    let sent = Sent { authority: "example.com".to_owned(), ..Sent::get("/foo?param=Value&Pet=dog") }
        .with("date", "Tue, 20 Apr 2021 02:07:55 GMT")
        .with("content-type", "application/json");
    let params = "(\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\"";
    let base = signature_base(&sent.request(), ["date", "@authority", "content-type"].into_iter(), params).unwrap();
    assert_eq!(sign(&base, &Secret::new(key)), "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
}

#[test]
fn what_a_client_makes_is_taken() {
    let ticket = Ticket { created: NOW, expires: Some(NOW + 5), nonce: Some("abcdefgh"), keyid: "key-1", tag: Some("orders") };
    let sent = Sent::get("/a?b=c").with("x-a", "1");
    let (input, signature) = make(&sent.request(), &["@method", "@target-uri", "x-a"], &ticket, &secret()).unwrap();
    let sent = sent.with("signature-input", &input).with("signature", &signature);
    let signed = sent.check(&Rules { tag: Some("orders".to_owned()), nonce: true, ..rules() }).unwrap();
    assert_eq!(signed.until, NOW + 15);
}

#[test]
fn derived_components_are_those_of_the_standard() {
    let base = |target: &str, authority: &str, component: &str| {
        let sent = Sent { authority: authority.to_owned(), ..Sent::get(target) };
        let base = signature_base(&sent.request(), [component].into_iter(), "()").unwrap();
        String::from_utf8(base).unwrap().lines().next().unwrap().split_once(": ").unwrap().1.to_owned()
    };
    for (component, value) in [
        ("@method", "GET"),
        ("@target-uri", "https://api.example.com/a%2Fb?x=1&y="),
        ("@authority", "api.example.com"),
        ("@scheme", "https"),
        ("@request-target", "/a%2Fb?x=1&y="),
        ("@path", "/a%2Fb"),
        ("@query", "?x=1&y="),
    ] {
        assert_eq!(base("/a%2Fb?x=1&y=", "API.example.com:443", component), value, "{component}");
    }
    assert_eq!(base("/", "a:8443", "@query"), "?");
    assert_eq!(base("/?", "a:8443", "@query"), "?");
    assert_eq!(base("/", "a:8443", "@authority"), "a:8443");
    let sent = Sent::get("/");
    for unknown in ["@status", "@query-param", "@signature-params", "@", "absent"] {
        assert_eq!(signature_base(&sent.request(), [unknown].into_iter(), "()"), Err(Wrong::Invalid), "{unknown}");
    }
}

#[test]
fn a_signed_request_passes_and_one_that_was_altered_does_not() {
    let signed = good().check(&rules()).unwrap();
    assert_eq!((signed.once.as_slice(), signed.until, signed.body), (&b"abcdefgh"[..], NOW + 310, Body::Empty));
    let altered: [Sent; 6] = [
        Sent { method: "POST".to_owned(), ..good() },
        Sent { authority: "other.example.com".to_owned(), ..good() },
        Sent { target: "/orders?limit=50".to_owned(), ..good() },
        Sent { target: "/orders".to_owned(), ..good() },
        Sent { target: "/order?limit=5".to_owned(), ..good() },
        good().set("signature-input", |value| value.replace("abcdefgh", "abcdefgi")),
    ];
    for sent in altered {
        assert_eq!(sent.verdict(), Err(Wrong::Invalid), "{} {}", sent.method, sent.target);
    }
    assert_eq!(check(&good().request(), &rules(), "key-1", &Secret::new(b"another".to_vec()), NOW), Err(Wrong::Invalid));
    assert_eq!(check(&good().request(), &rules(), "key-2", &secret(), NOW), Err(Wrong::Missing), "somebody else's");
    assert_eq!(Sent::get("/").verdict(), Err(Wrong::Missing));
}

#[test]
fn what_must_be_signed_cannot_be_left_out() {
    let uri = Sent::get("/a?b").signed(&["@method", "@target-uri"], &params(NOW));
    assert_eq!(uri.verdict(), Ok(()));
    let sent = Sent::get("/a?b").with("x-account", "7");
    for some in
        [&["@method", "@path", "@query"][..], &["@method", "@authority", "@path"], &["@target-uri"], &["@authority", "@path", "@query"]]
    {
        assert_eq!(sent.clone().signed(some, &params(NOW)).verdict(), Err(Wrong::Invalid), "{some:?}");
    }
    let more = Rules { components: Box::new(["x-account".to_owned()]), ..rules() };
    assert_eq!(sent.clone().signed(&LEAST, &params(NOW)).check(&more), Err(Wrong::Invalid));
    let covered = sent.signed(&["@method", "@target-uri", "x-account"], &params(NOW));
    assert!(covered.check(&more).is_ok());
    assert_eq!(covered.with("x-account", "8").check(&more), Err(Wrong::Invalid), "a second value");
    let nonce = Rules { nonce: true, ..rules() };
    let plain = format!(";created={NOW};keyid=\"key-1\"");
    assert_eq!(Sent::get("/").signed(&LEAST, &plain).check(&nonce), Err(Wrong::Invalid));
    let once = Sent::get("/").signed(&LEAST, &plain).check(&rules()).unwrap().once;
    assert_eq!(once.len(), 32, "without a nonce a signature is told from others by itself");
    assert_eq!(Sent::get("/").signed(&LEAST, ";keyid=\"key-1\"").verdict(), Err(Wrong::Invalid), "no time");
}

#[test]
fn a_signature_is_good_for_its_time_and_the_clocks_skew() {
    let at = |created: u64, expires: Option<u64>| {
        let expires = expires.map(|at| format!(";expires={at}")).unwrap_or_default();
        Sent::get("/").signed(&LEAST, &format!("{}{expires}", params(created))).verdict()
    };
    for (created, expires) in [(NOW - 310, None), (NOW + 10, None), (NOW - 60, Some(NOW - 10)), (NOW - 1, Some(NOW + 1_000))] {
        assert_eq!(at(created, expires), Ok(()), "{created} {expires:?}");
    }
    for (created, expires) in
        [(NOW - 311, None), (NOW + 11, None), (NOW - 60, Some(NOW - 11)), (NOW - 400, Some(NOW + 1_000)), (NOW, Some(NOW - 1))]
    {
        assert_eq!(at(created, expires), Err(Wrong::Outdated), "{created} {expires:?}");
    }
    let wrong = Sent::get("/").signed(&LEAST, &params(1)).set("signature-input", |value| value.replace("created=1", "created=2"));
    assert_eq!(wrong.verdict(), Err(Wrong::Invalid), "nothing is said of the time of what is not signed");
}

#[test]
fn a_body_is_held_to_its_digest() {
    let post = |digest: &str, components: &[&str]| {
        Sent { method: "POST".to_owned(), has_body: true, ..Sent::get("/") }.with("content-digest", digest).signed(components, &params(NOW))
    };
    let covered = ["@method", "@target-uri", "content-digest"];
    let digest = content_digest(b"hello");
    let body = post(&digest, &covered).check(&rules()).unwrap().body;
    assert!(body.is(b"hello") && !body.is(b"hell") && !body.is(b""));
    let not_signed = post(&digest, &LEAST).check(&rules()).unwrap().body;
    assert!(not_signed == Body::Empty && !not_signed.is(b"hello"));
    let uncheckable = Rules { checks_body: false, ..rules() };
    assert_eq!(post(&digest, &LEAST).check(&uncheckable), Err(Wrong::Invalid));
    assert!(post(&digest, &covered).check(&uncheckable).is_ok());
    assert!(post(&format!("sha-512=:AAAA:, {digest}"), &covered).check(&rules()).is_ok());
    for wrong in ["", "sha-256=::", "sha-256=:AAAA:", "sha-512=:AAAA:", &format!("{digest}, {digest}"), &digest.replace(":", "")] {
        assert_eq!(post(wrong, &covered).check(&rules()), Err(Wrong::Invalid), "{wrong}");
    }
    let bodyless = Sent { has_body: false, ..post(&digest, &covered) };
    assert_eq!(bodyless.verdict(), Err(Wrong::Invalid), "the body was taken away");
    assert_eq!(Sent { has_body: false, ..post(&content_digest(b""), &covered) }.verdict(), Ok(()));
}

#[test]
fn only_what_has_one_meaning_is_read() {
    let list = "(\"@method\" \"@authority\" \"@path\" \"@query\")";
    let inputs: [(&str, &str); 20] = [
        (list, "(\"@method\" \"@authority\" \"@path\" \"@query\" \"@method\")"),
        (list, "(\"@method\"  \"@authority\" \"@path\" \"@query\")"),
        (list, "( \"@method\" \"@authority\" \"@path\" \"@query\")"),
        (list, "(\"@method\" \"@authority\" \"@path\" \"@query\";req)"),
        (list, "(\"@method\" \"@authority\" \"@path\" \"@query\" \"date\";sf)"),
        (list, "(\"@method\" \"@authority\" \"@path\" \"@query\" \"date\";bs)"),
        (list, "(\"@method\" \"@authority\" \"@path\" \"@query\" \"date\";key=\"a\")"),
        (list, "(\"@method\" \"@authority\" \"@path\" \"@query\" \"date\";tr)"),
        (list, "(\"@method\" \"@authority\" \"@path\" \"@query\" \"Date\")"),
        (list, "(\"@method\" \"@authority\" \"@path\" \"@query\" \"da\\\"te\")"),
        (list, "()"),
        ("sig1=", "sig1=(\"@method\");keyid=\"x\", sig1="),
        (";keyid", "; keyid"),
        (";keyid", ";unknown=1;keyid"),
        (";keyid", ";keyid=\"key-1\";keyid"),
        (";created=", ";created=0"),
        (";created=", ";created=-"),
        ("hmac-sha256", "ed25519"),
        ("abcdefgh", "short"),
        ("\"abcdefgh\"", "abcdefgh"),
    ];
    for (old, new) in inputs {
        let sent = good().set("signature-input", |value| value.replacen(old, new, 1));
        assert!(matches!(sent.verdict(), Err(Wrong::Invalid)), "{new}");
    }
    // As they stand, those that a signer might have meant are refused even if they are signed.
    for signed in [";created=1700000000;keyid=\"key-1\";x=1", "; created=1700000000;keyid=\"key-1\""] {
        assert_eq!(Sent::get("/").signed(&LEAST, signed).verdict(), Err(Wrong::Invalid), "{signed}");
    }
    assert_eq!(good().set("signature", |value| format!("{value}, {value}")).verdict(), Err(Wrong::Invalid));
    assert_eq!(good().set("signature", |value| value.replace("sig1", "sig2")).verdict(), Err(Wrong::Invalid));
    assert_eq!(good().set("signature", |value| value.replace("=:", "=")).verdict(), Err(Wrong::Invalid));
    assert_eq!(good().with("signature", "sig1=:AAAA:").verdict(), Err(Wrong::Invalid));
    assert_eq!(good().with("signature-input", "sig1=()").verdict(), Err(Wrong::Invalid));
    assert_eq!(good().set("signature-input", |value| format!("{value}{}", " ".repeat(5_000))).verdict(), Ok(()), "trimmed");
    assert_eq!(good().set("signature-input", |value| format!("{value}, {}", "a".repeat(5_000))).verdict(), Err(Wrong::Invalid));
}

#[test]
fn a_value_cannot_pretend_to_be_another_component() {
    let smuggled = good().with("x", "1\n\"@path\": /admin");
    assert_eq!(signature_base(&smuggled.request(), ["x"].into_iter(), "()"), Err(Wrong::Invalid));
    assert!(signature_base(&Sent::get("/").with("x", "a\u{7f}").request(), ["x"].into_iter(), "()").is_err());
    let base = signature_base(&Sent::get("/").with("x", " a ").with("x", "b\t").request(), ["x"].into_iter(), "()").unwrap();
    assert_eq!(base, b"\"x\": a, b\n\"@signature-params\": ()");
}

#[test]
fn of_several_signatures_the_credential_s_own_counts_and_there_is_one() {
    let other = format!("proxy=(\"@method\");created={NOW};keyid=\"proxy\"");
    let both =
        good().set("signature-input", |value| format!("{other}, {value}")).set("signature", |value| format!("proxy=:AAAA:, {value}"));
    assert_eq!(both.verdict(), Ok(()));
    let twice = good().set("signature-input", |value| format!("{value}, {}", value.replace("sig1", "sig2")));
    assert_eq!(twice.verdict(), Err(Wrong::Invalid));
    let tagged = Rules { tag: Some("orders".to_owned()), ..rules() };
    assert_eq!(good().check(&tagged), Err(Wrong::Missing));
    assert!(Sent::get("/").signed(&LEAST, &format!("{};tag=\"orders\"", params(NOW))).check(&tagged).is_ok());
}

fn draft(sent: Sent, headers: &str, more: &str) -> Sent {
    let mut base = Vec::new();
    for name in headers.split(' ') {
        let value = match name {
            "(request-target)" => format!("{} {}", sent.method.to_lowercase(), sent.target),
            "(created)" => NOW.to_string(),
            "host" => sent.authority.clone(),
            name => sent.headers.iter().find(|(own, _)| own == name).unwrap().1.clone(),
        };
        base.push(format!("{name}: {value}"));
    }
    let signature = sign(base.join("\n").as_bytes(), &secret());
    let value =
        format!("Signature keyId=\"key-1\",algorithm=\"hs2019\",created={NOW}{more},headers=\"{headers}\",signature=\"{signature}\"");
    sent.with("authorization", &value)
}

#[test]
fn what_a_client_of_the_older_draft_makes_is_taken() {
    let rules = Rules { cavage: true, ..rules() };
    let ticket = Ticket { created: NOW, expires: Some(NOW + 5), keyid: "key-1", ..Ticket::default() };
    let sent = Sent::get("/a?b=c").with("x-a", "1");
    let value = make_cavage(&sent.request(), &["(request-target)", "host", "(created)", "(expires)", "x-a"], &ticket, &secret()).unwrap();
    assert_eq!(sent.clone().with("authorization", &value).check(&rules).unwrap().until, NOW + 15);
    assert_eq!(make_cavage(&sent.request(), &["x-b"], &ticket, &secret()), Err(Wrong::Invalid), "it is not there");
}

#[test]
fn the_older_draft_is_taken_where_the_policy_says_so() {
    let rules = Rules { cavage: true, ..rules() };
    let least = "(request-target) host (created)";
    let sent = draft(Sent::get("/a?b"), least, "");
    assert_eq!(sent.check(&rules).unwrap().once.len(), 32);
    assert_eq!(sent.verdict(), Err(Wrong::Missing));
    assert_eq!(Sent { target: "/a?c".to_owned(), ..sent.clone() }.check(&rules), Err(Wrong::Invalid));
    assert_eq!(check(&sent.request(), &rules, "key-1", &secret(), NOW + 311), Err(Wrong::Outdated));
    for headers in ["(request-target) host", "host (created)", "(request-target) (created)", "(request-target) host (created) host"] {
        assert_eq!(draft(Sent::get("/"), headers, "").check(&rules), Err(Wrong::Invalid), "{headers}");
    }
    for more in [",expires=1800000000", ",created=1", ",unknown=\"1\""] {
        assert_eq!(draft(Sent::get("/"), least, more).check(&rules), Err(Wrong::Invalid), "{more}");
    }
    let digest = format!("SHA-256={}", content_digest(b"x").trim_start_matches("sha-256=:").trim_end_matches(':'));
    let post = Sent { has_body: true, ..Sent::get("/") }.with("digest", &digest);
    let body = draft(post.clone(), &format!("{least} digest"), "").check(&rules).unwrap().body;
    assert!(body.is(b"x") && !body.is(b"y"));
    assert_eq!(draft(post, least, "").check(&rules).unwrap().body, Body::Empty);
}
