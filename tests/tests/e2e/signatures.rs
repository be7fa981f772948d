//! Signed requests, with keys of the configuration.

use serde_json::{Value, json};
use tollgate_core::secret::Secret;
use tollgate_core::signature::{Fields, Request, Ticket, content_digest, make};
use tollgate_tests::plugin::{self, ACME};
use tollgate_tests::{Answer, Backend, Call, Connection, EveryWorker, Gate, Http, Setup, Upstream, run};

pub(super) const SECRET: &str = "a secret that signs requests";

pub(super) struct Headers<'a>(pub(super) &'a [(&'a str, &'a str)]);

impl Fields for Headers<'_> {
    fn each(&self, name: &str, take: &mut dyn FnMut(&[u8])) {
        self.0.iter().filter(|(own, _)| *own == name).for_each(|(_, value)| take(value.as_bytes()));
    }
}

/// A request that is signed, and then perhaps altered.
#[derive(Clone)]
pub(super) struct Signing<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) keyid: &'a str,
    pub(super) secret: &'a str,
    pub(super) nonce: String,
    /// Seconds from now.
    pub(super) created: i64,
    pub(super) body: Option<&'a str>,
    pub(super) components: Vec<&'a str>,
}

pub(super) fn nonce() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("nonce-{:06}", COUNT.fetch_add(1, Ordering::Relaxed))
}

impl<'a> Signing<'a> {
    pub(super) fn get(target: &'a str) -> Self {
        let components = vec!["@method", "@authority", "@path", "@query"];
        Self { method: "GET", target, keyid: "acme-key", secret: SECRET, nonce: nonce(), created: 0, body: None, components }
    }

    pub(super) fn post(target: &'a str, body: &'a str) -> Self {
        let mut signing = Self { method: "POST", body: Some(body), ..Self::get(target) };
        signing.components.push("content-digest");
        signing
    }

    /// The headers that make another request a signed one.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let digest = content_digest(self.body.unwrap_or_default().as_bytes());
        let headers = [("content-digest", digest.as_str())];
        let now = plugin::now();
        let request = Request {
            method: self.method.as_bytes(),
            scheme: b"http",
            authority: b"gate",
            target: self.target.as_bytes(),
            has_body: self.body.is_some(),
            fields: &Headers(&headers),
        };
        let created = now.saturating_add_signed(self.created);
        let ticket = Ticket { created, nonce: Some(&self.nonce), keyid: self.keyid, ..Ticket::default() };
        let (input, signature) = make(&request, &self.components, &ticket, &Secret::new(self.secret.as_bytes().to_vec())).unwrap();
        let digest = self.body.is_some().then_some(("content-digest", digest));
        [("signature-input", input), ("signature", signature)].into_iter().chain(digest).collect()
    }

    pub(super) fn call(&self, key: &str) -> Call {
        self.onto(Call::new(self.method, self.target).body(self.body.unwrap_or_default().to_owned()), key)
    }

    /// Puts the signature onto a request that may be another one.
    pub(super) fn onto(&self, call: Call, key: &str) -> Call {
        self.headers().into_iter().fold(call.bearer(key), |call, (name, value)| call.header(name, value))
    }
}

pub(super) fn consumer(required: bool) -> Value {
    let keys = json!([{
        "id": "acme-key", "hash": plugin::hash(ACME), "signing": {"secret": {"env": "ACME_SIGNING"}, "required": required},
    }]);
    json!({"id": "acme", "tier": "enterprise", "keys": keys})
}

async fn gate(name: &str, more: &Value) -> Gate {
    let mut plugin = json!({
        "consumers": [consumer(false)],
        "routes": [{"name": "signed", "match": {"prefix": format!("/{name}")}, "signature": {}}],
    });
    for (field, value) in more.as_object().unwrap() {
        plugin[field] = value.clone();
    }
    Setup::new(name, &plugin).secret("ACME_SIGNING", SECRET).start().await
}

#[test]
fn a_signed_request_passes_and_any_other_does_not() {
    run(async {
        let gate = gate("signed", &json!({})).await;
        for http in Http::BOTH {
            let get = || Signing::get("/signed/orders?limit=5&x=%2F");
            get().call(ACME).send(&gate, http).await.assert_admitted();
            let code = async |status: u16, code: &str, call: Call| call.send(&gate, http).await.assert_denied(status, code);
            code(401, "signature_required", Call::get("/signed/orders").bearer(ACME)).await;
            code(401, "signature_required", Signing { keyid: "another", ..get() }.call(ACME)).await;
            code(401, "invalid_signature", Signing { secret: "another secret of some length", ..get() }.call(ACME)).await;
            code(401, "expired_signature", Signing { created: -330, ..get() }.call(ACME)).await;
            code(401, "expired_signature", Signing { created: 60, ..get() }.call(ACME)).await;
            code(401, "invalid_signature", Signing { nonce: "short".to_owned(), ..get() }.call(ACME)).await;
            for left_out in ["@method", "@authority", "@path", "@query"] {
                let mut signing = get();
                signing.components.retain(|name| *name != left_out);
                code(401, "invalid_signature", signing.call(ACME)).await;
            }
            // Put onto other requests.
            for target in
                ["/signed/orders?limit=50&x=%2F", "/signed/orders", "/signed/Orders?limit=5&x=%2F", "/signed/orders?limit=5&x=%2f"]
            {
                code(401, "invalid_signature", get().onto(Call::get(target), ACME)).await;
            }
            code(401, "invalid_signature", get().onto(Call::new("DELETE", "/signed/orders?limit=5&x=%2F"), ACME)).await;
            code(401, "invalid_signature", get().onto(Call::get("/signed/orders?limit=5&x=%2F").host("other"), ACME)).await;
            code(401, "invalid_signature", get().call(ACME).header("signature", "sig1=:AAAA:")).await;
            Call::get("/elsewhere").bearer(ACME).send(&gate, http).await.assert_admitted();
        }
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_signature_passes_once_whichever_worker_sees_it_first() {
    run(async {
        let gate = gate("replayed", &json!({})).await;
        let call = Signing::get("/replayed").call(ACME);
        let answers = EveryWorker::of(&gate).await.send(&call).await;
        let admitted = answers.iter().filter(|answer| answer.reached_upstream()).count();
        assert_eq!(admitted, 1, "{answers:?}");
        answers.iter().filter(|answer| !answer.reached_upstream()).for_each(|answer| answer.assert_denied(401, "replayed_signature"));
        // Also all at once.
        let call = Signing::get("/replayed").call(ACME);
        let mut sent = Vec::new();
        for _ in 0..12 {
            let (mut connection, call) = (Connection::open(gate.address(), Http::One).await, call.clone());
            sent.push(tokio::spawn(async move { connection.send(call).await.unwrap() }));
        }
        let mut answers = Vec::new();
        for task in sent {
            answers.push(task.await.unwrap());
        }
        assert_eq!(answers.iter().filter(|answer| answer.reached_upstream()).count(), 1, "{answers:?}");
        gate.assert_untrapped().await;
    });
}

#[test]
fn no_path_means_another_one_after_it_was_signed() {
    run(async {
        let gate = gate("normal", &json!({})).await;
        for target in ["/normal/%61", "/normal/a%20b", "/normal/a?x=/../b", "/normal/a;b=c", "/normal/..", "/normal//a", "/normal/%2e%2e/b"]
        {
            let answer = Signing::get(target).call(ACME).send(&gate, Http::One).await;
            if answer.reached_upstream() {
                assert_eq!(answer.json()["target"], *target, "{answer:?}");
            } else {
                assert!([400, 401].contains(&answer.status.as_u16()), "{target}: {answer:?}");
            }
        }
        Signing::get("/normal/a%20b?x=/../b").call(ACME).send(&gate, Http::Two).await.assert_admitted();
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_body_that_was_altered_never_reaches_the_upstream() {
    run(async {
        let gate = gate("bodies", &json!({})).await;
        let large = "0123456789".repeat(20_000);
        for http in Http::BOTH {
            for (number, body) in ["", "x", "a=1&b=2", &large].into_iter().enumerate() {
                let path = format!("/bodies/{http:?}/{number}");
                let answer = Signing::post(&path, body).call(ACME).send(&gate, http).await;
                answer.assert_admitted();
                assert!(answer.json()["body"].as_str() == Some(body), "{path} arrived changed");
                let altered = format!("/bodies/{http:?}/{number}/altered");
                let longer = format!("{body}!");
                let signing = Signing::post(&altered, body);
                let answer = signing.onto(Call::new("POST", &altered).body(longer.clone()), ACME).send(&gate, http).await;
                answer.assert_denied(400, "wrong_digest");
                // With trailers, which end the body in another way.
                let signing = Signing::post(&altered, body);
                let call = Call::new("POST", &altered).body(longer).trailer("x-checksum", "1");
                signing.onto(call, ACME).send(&gate, http).await.assert_denied(400, "wrong_digest");
                // With the digest of the altered body, which is not the signed one.
                let signing = Signing { components: vec!["@method", "@target-uri"], ..Signing::post(&altered, body) };
                if !body.is_empty() {
                    signing.call(ACME).send(&gate, http).await.assert_denied(400, "wrong_digest");
                }
                assert!(Upstream::shared().seen(&altered).is_empty(), "{altered} reached the upstream");
                let path = format!("/bodies/{http:?}/{number}/trailers");
                let signing = Signing::post(&path, body);
                let call = Call::new("POST", &path).body(body.to_owned()).trailer("x-checksum", "1");
                signing.onto(call, ACME).send(&gate, http).await.assert_admitted();
            }
            let taken = Signing::post("/bodies/taken", "x").onto(Call::new("POST", "/bodies/taken"), ACME).send(&gate, http).await;
            assert!(!taken.reached_upstream() && [400, 401].contains(&taken.status.as_u16()), "{taken:?}");
        }
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_body_may_be_left_to_the_upstream_if_its_digest_is_signed() {
    run(async {
        let routes = json!([{"name": "signed", "match": {"prefix": "/left"}, "signature": {"body": "upstream"}}]);
        let gate = gate("left", &json!({"routes": routes})).await;
        Signing::post("/left", "x").call(ACME).send(&gate, Http::One).await.assert_admitted();
        let unsigned = Signing { components: vec!["@method", "@target-uri"], ..Signing::post("/left", "x") };
        unsigned.call(ACME).send(&gate, Http::One).await.assert_denied(401, "invalid_signature");
    });
}

#[test]
fn a_key_that_must_sign_is_of_no_use_without() {
    run(async {
        let gate = gate("required", &json!({"consumers": [consumer(true)], "signatures": {}, "routes": []})).await;
        Call::get("/a").bearer(ACME).send(&gate, Http::One).await.assert_denied(401, "signature_required");
        Signing::get("/a").call(ACME).send(&gate, Http::One).await.assert_admitted();
        Signing::post("/a", "b").call(ACME).send(&gate, Http::Two).await.assert_admitted();
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_key_of_the_backend_signs_with_the_secret_that_was_shown_with_it() {
    run(async {
        let backend = Backend::start("signing").await;
        backend.new_consumer("acme", "enterprise").await;
        let made = backend.call("POST", "/api/v1/keys", Some(&json!({"consumer": "acme", "signing": "required"}))).await;
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let (id, key, secret) = (text("id"), text("api_key"), text("signing_secret"));
        let plugin = json!({"backend": plugin::backend(&json!({})), "signatures": {}});
        let gate = Setup::new("signing-gate", &plugin).real_backend(&backend).start().await;
        let signed = |body: Option<&'static str>| {
            let signing = body.map_or_else(|| Signing::get("/a"), |body| Signing::post("/a", body));
            Signing { keyid: &id, secret: &secret, ..signing }
        };
        let mut workers = EveryWorker::of(&gate).await;
        workers.until("the key", &Call::get("/a").bearer(&key), |answer| answer.code() == "signature_required").await;
        for http in Http::BOTH {
            signed(None).call(&key).send(&gate, http).await.assert_admitted();
            signed(Some("body")).call(&key).send(&gate, http).await.assert_admitted();
            let altered = signed(Some("body")).onto(Call::new("POST", "/a").body("b0dy"), &key);
            altered.send(&gate, http).await.assert_denied(400, "wrong_digest");
            Signing { secret: SECRET, ..signed(None) }.call(&key).send(&gate, http).await.assert_denied(401, "invalid_signature");
        }
        // A key that no worker knows yet, with a body that came whole while it was asked about.
        for http in Http::BOTH {
            let made = backend.call("POST", "/api/v1/keys", Some(&json!({"consumer": "acme", "signing": "required"}))).await;
            let text = |name: &str| made[name].as_str().unwrap().to_owned();
            let (id, key, secret) = (text("id"), text("api_key"), text("signing_secret"));
            let signing = Signing { keyid: &id, secret: &secret, ..Signing::post("/first", "body") };
            signing.onto(Call::new("POST", "/first").body("b0dy"), &key).send(&gate, http).await.assert_denied(400, "wrong_digest");
            assert!(Upstream::shared().seen("/first").is_empty(), "it reached the upstream");
        }
        backend.call("PATCH", &format!("/api/v1/keys/{id}"), Some(&json!({"signing": "none"}))).await;
        workers.until("no signature to be asked for", &Call::get("/a").bearer(&key), Answer::reached_upstream).await;
        gate.assert_untrapped().await;
    });
}

#[test]
fn what_the_command_line_signs_is_taken_once() {
    run(async {
        let routes = json!([{"name": "signed", "match": {"prefix": "/"}, "signature": {"forms": ["rfc9421", "cavage"]}}]);
        let gate = gate("command", &json!({"routes": routes})).await;
        let body = std::env::temp_dir().join(format!("tollgate-sign-{}", std::process::id()));
        std::fs::write(&body, "a body").unwrap();
        let url = format!("http://{}/command/a?b=c&d=%2F", gate.address());
        for form in ["rfc9421", "cavage"] {
            let mut command = std::process::Command::new(std::env::var("TOLLGATE_BIN").unwrap());
            command.args(["sign", "--key-id", "acme-key", "--secret-env", "ACME_SIGNING", "--form", form, "-X", "POST", "--body"]);
            let output = command.arg(&body).arg(&url).env("ACME_SIGNING", SECRET).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let printed = String::from_utf8(output.stdout).unwrap();
            let signed = |call: Call| {
                let headers = printed.lines().map(|line| line.split_once(": ").unwrap());
                headers.fold(call.api_key(ACME).host(&gate.address().to_string()), |call, (name, value)| call.header(name, value))
            };
            let post = || signed(Call::new("POST", "/command/a?b=c&d=%2F").body("a body"));
            post().send(&gate, Http::One).await.assert_admitted();
            post().send(&gate, Http::Two).await.assert_denied(401, "replayed_signature");
            signed(Call::get("/command/a?b=c&d=%2F")).send(&gate, Http::One).await.assert_denied(401, "invalid_signature");
        }
        std::fs::remove_file(body).unwrap();
    });
}
