//! Requests that are signed by the older draft.

use serde_json::json;
use sha2::{Digest, Sha256};
use tollgate_core::secret::Secret;
use tollgate_core::signature::{Request, Ticket, make_cavage};
use tollgate_tests::plugin::{self, ACME};
use tollgate_tests::{Call, EveryWorker, Http, Setup, Upstream, run};

use super::signatures::{Headers, SECRET, Signing, consumer};

const LEAST: &str = "(request-target) host (created)";

/// Signs a request; a body with its digest. It is created so many seconds from now.
fn signed(method: &str, target: &str, body: Option<&str>, headers: &str, created: i64) -> Vec<(&'static str, String)> {
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, Sha256::digest(body.unwrap_or_default()));
    let digest = format!("SHA-256={base64}");
    let known = [("digest", digest.as_str())];
    let request = Request {
        method: method.as_bytes(),
        scheme: b"http",
        authority: b"gate",
        target: target.as_bytes(),
        has_body: body.is_some(),
        fields: &Headers(&known),
    };
    let created = plugin::now().saturating_add_signed(created);
    let ticket = Ticket { created, keyid: "acme-key", ..Ticket::default() };
    let headers: Vec<&str> = headers.split(' ').collect();
    let authorization = make_cavage(&request, &headers, &ticket, &Secret::new(SECRET.as_bytes().to_vec())).unwrap();
    let digest = body.is_some().then_some(("digest", digest));
    [("authorization", authorization)].into_iter().chain(digest).collect()
}

fn onto(call: Call, headers: Vec<(&'static str, String)>) -> Call {
    headers.into_iter().fold(call.api_key(ACME), |call, (name, value)| call.header(name, value))
}

#[test]
fn the_older_draft_is_taken_on_routes_that_say_so_and_nowhere_else() {
    run(async {
        let plugin = json!({
            "consumers": [consumer(false)],
            "routes": [
                {"name": "draft", "match": {"prefix": "/draft"}, "signature": {"forms": ["rfc9421", "cavage"]}},
                {"name": "new", "match": {"prefix": "/new"}, "signature": {}},
            ],
        });
        let gate = Setup::new("draft", &plugin).secret("ACME_SIGNING", SECRET).start().await;
        for (number, http) in Http::BOTH.into_iter().enumerate() {
            let path = |name: &str| format!("/draft/{number}/{name}?x=%2F");
            let get = |name: &str, headers: &str, created: i64| {
                let path = path(name);
                onto(Call::get(&path), signed("GET", &path, None, headers, created))
            };
            let code = async |status: u16, code: &str, call: Call| call.send(&gate, http).await.assert_denied(status, code);
            let good = get("good", LEAST, 0);
            let answers = EveryWorker::of(&gate).await.send(&good).await;
            assert_eq!(answers.iter().filter(|answer| answer.reached_upstream()).count(), 1, "{answers:?}");
            let admitted = answers.iter().find(|answer| answer.reached_upstream()).unwrap();
            assert!(admitted.upstream_saw("x-api-key").is_empty());
            answers.iter().filter(|answer| !answer.reached_upstream()).for_each(|answer| answer.assert_denied(401, "replayed_signature"));
            for left_out in ["(request-target)", "host", "(created)"] {
                let rest: Vec<&str> = LEAST.split(' ').filter(|name| *name != left_out).collect();
                code(401, "invalid_signature", get("left-out", &rest.join(" "), 0)).await;
            }
            code(401, "expired_signature", get("late", LEAST, -330)).await;
            code(401, "expired_signature", get("early", LEAST, 60)).await;
            code(401, "signature_required", Call::get(&path("none")).api_key(ACME)).await;
            let other = path("other");
            code(401, "invalid_signature", onto(Call::get(&other), signed("GET", &path("signed"), None, LEAST, 0))).await;
            code(401, "invalid_signature", onto(Call::new("DELETE", &other), signed("GET", &other, None, LEAST, 0))).await;
            code(401, "invalid_signature", onto(Call::get(&other).host("other"), signed("GET", &other, None, LEAST, 0))).await;
            let covered = format!("{LEAST} digest");
            let post = |name: &str, body: &str, sent: &str, headers: &str| {
                let path = path(name);
                onto(Call::new("POST", &path).body(sent.to_owned()), signed("POST", &path, Some(body), headers, 0))
            };
            let answer = post("body", "body", "body", &covered).send(&gate, http).await;
            answer.assert_admitted();
            assert_eq!(answer.json()["body"], "body");
            code(400, "wrong_digest", post("altered", "body", "b0dy", &covered)).await;
            code(400, "wrong_digest", post("altered", "body", "body", LEAST)).await;
            code(400, "wrong_digest", post("trailers", "body", "b0dy", &covered).trailer("x", "1")).await;
            assert!(["altered", "trailers"].iter().all(|name| Upstream::shared().seen(&path(name)).is_empty()));
            Signing::get(&path("new-form")).call(ACME).send(&gate, http).await.assert_admitted();
            code(401, "signature_required", onto(Call::get("/new"), signed("GET", "/new", None, LEAST, 0))).await;
        }
        gate.assert_untrapped().await;
    });
}
