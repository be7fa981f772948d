//! What routes require of whoever has a credential: scopes, roles, claims; and what is told to those who lack them.

use serde_json::{Value, json};
use tollgate_tests::plugin::{claims, hash, inline, issuer, tier};
use tollgate_tests::{Call, Gate, Http, Setup, Signer, run};

const ISSUER: &str = "https://requirements.example";
const WRITER: &str = "writer-key-0123456789";
const READER: &str = "reader-key-0123456789";

fn signer() -> Signer {
    Signer::new("ES256", "one", 3)
}

fn plugin(body: &str) -> Value {
    let route = |name: &str, require: Value| json!({"name": name, "match": {"prefix": format!("/{name}")}, "require": require});
    let org =
        json!({"all": [{"claim": "/org/id", "values": ["7", "8"]}], "any": [{"claim": "mfa", "values": ["true"]}, {"claim": "device"}]});
    json!({
        "tiers": [tier("open", &[])],
        "consumers": [{"id": "acme", "tier": "open", "keys": [
            {"id": "writer", "hash": hash(WRITER), "scopes": ["tracks:read", "tracks:write"], "roles": ["admin"]},
            {"id": "reader", "hash": hash(READER), "scopes": ["tracks:read"]},
        ]}],
        "routes": [
            route("scopes", json!({"scopes": {"all": ["tracks:read"], "any": ["tracks:write", "tracks:admin"]}})),
            route("roles", json!({"roles": {"any": ["admin", "owner"]}})),
            route("claims", json!({"claims": org})),
        ],
        "tokens": {"issuers": [issuer(ISSUER, &inline(&[&signer()]), &json!({}))]},
        "answers": {"body": body},
    })
}

async fn start(body: &str) -> Gate {
    Setup::new(&format!("tokens-requirements-{body}"), &plugin(body)).start().await
}

fn token(more: &Value) -> String {
    signer().token(&claims(ISSUER, "acme", more))
}

#[test]
fn what_a_route_requires_a_token_or_a_key_must_grant() {
    run(async {
        let gate = start("coded").await;
        let good = [
            ("/scopes", token(&json!({"scope": "tracks:write tracks:read"}))),
            ("/scopes", token(&json!({"scp": ["tracks:read", "tracks:admin"]}))),
            ("/scopes", WRITER.to_owned()),
            ("/roles", token(&json!({"roles": ["user", "owner"]}))),
            ("/roles", token(&json!({"roles": "admin"}))),
            ("/roles", WRITER.to_owned()),
            ("/claims", token(&json!({"org": {"id": 7}, "mfa": true}))),
            ("/claims", token(&json!({"org": {"id": ["8", "9"]}, "device": "phone"}))),
            ("/other", token(&json!({}))),
        ];
        let bad = [
            ("/scopes", token(&json!({"scope": "tracks:read"}))),
            ("/scopes", token(&json!({"scope": "tracks:write"}))),
            ("/scopes", token(&json!({"scope": "TRACKS:READ TRACKS:WRITE"}))),
            ("/scopes", token(&json!({"scope": ["tracks:read tracks:write"]}))),
            ("/scopes", token(&json!({"scope": "", "scp": "tracks:read tracks:write"}))),
            ("/scopes", token(&json!({"roles": ["tracks:read", "tracks:write"]}))),
            ("/scopes", token(&json!({}))),
            ("/scopes", READER.to_owned()),
            ("/roles", token(&json!({"scope": "admin owner"}))),
            ("/roles", token(&json!({"roles": {"admin": true}}))),
            ("/roles", READER.to_owned()),
            ("/claims", token(&json!({"org": {"id": 9}, "mfa": true}))),
            ("/claims", token(&json!({"org": {"id": 7}, "mfa": false}))),
            ("/claims", token(&json!({"org": {"id": 7}, "device": null, "mfa": "yes"}))),
            ("/claims", token(&json!({"/org/id": "7", "mfa": true}))),
            ("/claims", WRITER.to_owned()),
        ];
        for http in Http::BOTH {
            for (path, credential) in &good {
                Call::get(path).bearer(credential).send(&gate, http).await.assert_admitted();
            }
            for (path, credential) in &bad {
                Call::get(path).bearer(credential).send(&gate, http).await.assert_denied(403, "insufficient_scope");
            }
            Call::get("/scopes").send(&gate, http).await.assert_denied(401, "unauthenticated");
        }
        gate.assert_untrapped().await;
    });
}

#[test]
fn whoever_lacks_a_scope_is_told_which_ones_are_required() {
    run(async {
        for body in ["coded-challenge", "simple", "problem"] {
            let style = body.split('-').next().unwrap();
            let gate = Setup::new(&format!("tokens-requirements-{body}"), &plugin(style)).start().await;
            for http in Http::BOTH {
                let call = |path: &str| Call::get(path).bearer(&token(&json!({})));
                let answer = call("/scopes").send(&gate, http).await;
                let message = "The credential lacks a scope, role or claim that this route requires";
                let challenge = format!("Bearer realm=\"tollgate\", error=\"insufficient_scope\", error_description=\"{message}\"");
                let scope = ", scope=\"tracks:read tracks:write tracks:admin\"";
                assert_eq!(answer.status, 403);
                assert_eq!(answer.header("www-authenticate"), Some(&*format!("{challenge}{scope}")));
                let expected = match style {
                    "coded" => json!({"error": {"code": "insufficient_scope", "message": message}}),
                    "simple" => json!({"error": message}),
                    _ => {
                        json!({"type": "about:blank", "title": "Forbidden", "status": 403, "detail": message, "code": "insufficient_scope"})
                    }
                };
                assert_eq!(answer.json(), expected);
                let answer = call("/roles").send(&gate, http).await;
                assert_eq!(answer.header("www-authenticate"), Some(&*challenge), "no scope is required there");
            }
        }
    });
}

#[test]
fn grpc_clients_are_told_by_a_grpc_status() {
    run(async {
        let gate = Setup::new("tokens-requirements-grpc", &plugin("coded")).start().await;
        let call = |path| Call::new("POST", path).header("content-type", "application/grpc").header("te", "trailers");
        let expired = token(&json!({"exp": 1_000_000_000}));
        for (status, path, token) in [("7", "/scopes/Method", token(&json!({}))), ("16", "/other/Method", expired)] {
            let answer = call(path).bearer(&token).send(&gate, Http::Two).await;
            assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, Some(status)), "{answer:?}");
            assert!(answer.headers.contains_key("www-authenticate"));
            assert!(answer.header("grpc-message").is_some_and(|message| !message.is_empty()));
        }
    });
}
