//! The operations of the public API, as its description enumerates them, and for each of them a request that succeeds.

use serde_json::{Value, json};

use crate::client::Call;
use crate::people::{self, Browser, PASSWORD, newest_mail, word};
use crate::service::{Service, unique};

/// An operation of the description.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub id: String,
    pub method: String,
    pub path: String,
    pub permission: String,
    pub has_body: bool,
    /// Whether the body is a form.
    pub has_form: bool,
    /// Whether it takes an `Idempotency-Key`.
    pub once: bool,
    pub responses: Vec<u16>,
}

/// A request for an operation that must succeed for whoever may.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub path: String,
    pub body: Option<Value>,
    /// The body goes as a form.
    pub is_form: bool,
    pub status: u16,
}

impl Sample {
    /// A call with its body.
    pub(crate) fn fill(&self, call: Call) -> Call {
        match &self.body {
            None => call,
            Some(body) if self.is_form => call.form(body),
            Some(body) => call.json(body),
        }
    }
}

/// All operations.
pub(crate) fn operations() -> Vec<Operation> {
    let document = tollgate_server::http::openapi();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let text = |name: &str| operation[name].as_str().unwrap_or_else(|| panic!("{method} {path}: no {name}")).to_owned();
            operations.push(Operation {
                id: text("operationId"),
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                permission: text("x-permission"),
                has_body: operation.get("requestBody").is_some(),
                has_form: operation.pointer("/requestBody/content/application~1x-www-form-urlencoded").is_some(),
                once: operation["parameters"].as_array().is_some_and(|all| all.iter().any(|own| own["name"] == "Idempotency-Key")),
                responses: operation["responses"].as_object().unwrap().keys().map(|status| status.parse().unwrap()).collect(),
            });
        }
    }
    operations
}

/// Those who may do one or the other: an administrator, a developer, and a user who is signed in.
pub(crate) struct Callers {
    admin: String,
    developer: String,
    user: Browser,
}

impl Callers {
    /// The developer is bound to this consumer.
    pub(crate) async fn new(service: &Service, consumer: &str) -> Self {
        let developer = service.admin_key("developer", consumer).await["admin_key"].as_str().unwrap().to_owned();
        let user = service.browser(&service.user("viewer", consumer).await).await;
        Self { admin: service.admin.clone(), developer, user }
    }

    /// A call by somebody who may make it.
    pub(crate) fn call(&self, service: &Service, operation: &Operation, path: &str) -> Call {
        let call = service.anonymous(&operation.method, path);
        match operation.permission.as_str() {
            "none" => call,
            "own_account" => {
                self.user.call(service, &operation.method, &path.replace("/sessions/own", &format!("/sessions/{}", self.user.session)))
            }
            permission if permission.starts_with("own_keys") => call.bearer(&self.developer),
            _ => call.bearer(&self.admin),
        }
    }
}

impl Operation {
    /// A request that succeeds once; `consumer` is the one developers are bound to. What it touches is made here.
    pub(crate) async fn sample(&self, service: &Service, consumer: &str) -> Sample {
        let (parameter, body, status) = match self.id.as_str() {
            "list_organisations"
            | "list_consumers"
            | "list_tiers"
            | "list_keys"
            | "list_own_keys"
            | "list_admin_keys"
            | "list_nodes"
            | "list_node_credentials"
            | "list_ledger"
            | "list_users"
            | "list_sessions"
            | "get_session"
            | "list_identity_providers"
            | "list_messages"
            | "list_blocks"
            | "list_approvals"
            | "list_token_families"
            | "list_signing_keys"
            | "get_keys"
            | "get_token_service"
            | "list_secrets"
            | "list_audit"
            | "export_audit"
            | "get_audit_head"
            | "get_openapi" => (None, None, 200),
            "create_organisation" => (None, Some(json!({"name": "Organisation"})), 201),
            "get_organisation" => (Some("default".to_owned()), None, 200),
            "update_organisation" => (Some("default".to_owned()), Some(json!({"name": "Renamed"})), 200),
            "create_consumer" => (None, Some(json!({"name": "Consumer", "tier": "free", "scopes": ["read"]})), 201),
            "get_consumer" => (Some(consumer.to_owned()), None, 200),
            "update_consumer" => (Some(consumer.to_owned()), Some(json!({"name": "Renamed"})), 200),
            "delete_consumer" => (Some(service.consumer().await), None, 204),
            "create_tier" => (None, Some(json!({"name": format!("t{}", unique()), "limits": [limit()]})), 201),
            "get_tier" => (Some("free".to_owned()), None, 200),
            "put_tier" => (Some("pro".to_owned()), Some(json!({"limits": [limit()]})), 200),
            "delete_tier" => {
                let name = format!("t{}", unique());
                service.post("/api/v1/tiers", &json!({"name": name, "limits": []})).await.expect(201);
                (Some(name), None, 204)
            }
            "create_key" => (None, Some(json!({"consumer": consumer, "label": "a label", "scopes": ["read"]})), 201),
            "get_key" => (Some(key(service, consumer).await), None, 200),
            "update_key" => (Some(key(service, consumer).await), Some(json!({"label": "renamed", "scopes": ["write"]})), 200),
            "revoke_key" | "revoke_own_key" => (Some(key(service, consumer).await), None, 204),
            "rotate_key" | "rotate_own_key" => (Some(key(service, consumer).await), Some(json!({"overlap_seconds": 60})), 201),
            "create_own_key" => (None, Some(json!({"label": "mine", "scopes": ["read"]})), 201),
            "create_admin_key" => (None, Some(json!({"label": "another", "role": "viewer"})), 201),
            "revoke_admin_key" => (Some(service.admin_key("viewer", consumer).await["id"].as_str().unwrap().to_owned()), None, 204),
            "create_node_credential" => (None, Some(json!({"label": "another"})), 201),
            "revoke_node_credential" => {
                let made = service.post("/api/v1/node-credentials", &json!({})).await.expect(201);
                (Some(made["id"].as_str().unwrap().to_owned()), None, 204)
            }
            "release_node" => {
                service.token().await;
                let nodes = service.get("/api/v1/nodes?limit=200").await.expect(200);
                let newest = nodes["items"].as_array().unwrap().last().unwrap();
                (Some(newest["incarnation"].as_str().unwrap().to_owned()), Some(json!({"force": true})), 200)
            }
            "create_block" => (None, Some(json!({"subject": "address:192.0.2.7", "reason": "a test"})), 201),
            "create_approval" => (None, Some(json!({"subject": format!("consumer:{consumer}")})), 201),
            "lift_block" => {
                let made = service.post("/api/v1/blocks", &json!({"subject": format!("consumer:{consumer}")})).await.expect(201);
                (Some(made["id"].as_str().unwrap().to_owned()), None, 204)
            }
            "delete_approval" => {
                let made = service.post("/api/v1/approvals", &json!({"subject": "address:192.0.2.0/24"})).await.expect(201);
                (Some(made["id"].as_str().unwrap().to_owned()), None, 204)
            }
            "erase_from_audit" => (Some(format!("user:{}", user(service).await)), None, 204),
            "reopen_ledger" => (None, Some(json!({"consumer": consumer})), 200),
            "prepare_secret" => {
                // One at a time.
                let listed = service.get("/api/v1/secrets").await.expect(200);
                for prepared in listed["items"].as_array().unwrap().iter().filter(|version| version["use"] == "prepared") {
                    service.call("DELETE", &format!("/api/v1/secrets/issuer.{}", prepared["version"])).send().await.expect(204);
                }
                (Some("issuer".to_owned()), Some(json!({})), 201)
            }
            "rotate_secret" => (Some("token".to_owned()), Some(json!({})), 201),
            "retire_secret" => {
                let made = [
                    service.post("/api/v1/secrets/token/rotate", &json!({})).await,
                    service.post("/api/v1/secrets/token/rotate", &json!({})).await,
                ];
                (Some(format!("token.{}", made[0].expect(201)["version"])), None, 204)
            }
            "import_keys" => {
                let key = json!({"consumer": consumer, "import": {"key": format!("a-key-of-elsewhere-{}", unique())}});
                (None, Some(json!({"keys": [key]})), 200)
            }
            "report_leak" => {
                let key = service.post("/api/v1/keys", &json!({"consumer": consumer})).await.expect(201);
                (None, Some(json!({"key": key["api_key"], "found_at": "https://git.example/acme"})), 200)
            }
            "take_key" => (None, Some(json!({"tier": "free", "email": "user@example.com"})), 201),
            "create_user" => (None, Some(json!({"name": "Another", "email": format!("u{}@example.com", unique()), "role": "viewer"})), 201),
            "get_user" => (Some(user(service).await), None, 200),
            "update_user" => (Some(user(service).await), Some(json!({"name": "Renamed", "disabled": true})), 200),
            "delete_user" => (Some(user(service).await), None, 204),
            "register" => (None, Some(json!({"name": "Another", "email": format!("r{}@example.com", unique())})), 202),
            "forgot_password" => (None, Some(json!({"email": "nobody@example.com"})), 202),
            "choose_password" => {
                let email = format!("c{}@example.com", unique());
                service.post("/api/v1/users", &json!({"name": "Another", "email": email, "role": "viewer"})).await.expect(201);
                let token = word(&newest_mail(service, &email, 1).await);
                (None, Some(json!({"token": token, "password": PASSWORD})), 204)
            }
            "login" => {
                let user = service.user("viewer", consumer).await;
                (None, Some(json!({"email": user["email"], "password": PASSWORD})), 200)
            }
            "logout" => (None, None, 204),
            "change_password" => (None, Some(json!({"current": PASSWORD, "password": PASSWORD})), 204),
            // Whose it is the caller knows.
            "end_session" => (Some("own".to_owned()), None, 204),
            "create_identity_provider" => (None, Some(provider()), 201),
            "get_identity_provider" => (Some(made_provider(service).await), None, 200),
            "update_identity_provider" => (Some(made_provider(service).await), Some(json!({"label": "Renamed"})), 200),
            "delete_identity_provider" => (Some(made_provider(service).await), None, 204),
            // What succeeds needs a provider that answers: see openid.rs. Here it is that anybody gets as far as that.
            "openid_login" | "openid_link" => (Some(made_provider(service).await), None, 503),
            "openid_callback" => (Some(made_provider(service).await), None, 400),
            "token" => (None, Some(client(service, consumer, &[("grant_type", "client_credentials")]).await), 200),
            "revoke_token" | "introspect_token" => (None, Some(client(service, consumer, &[("token", "a.b.c")]).await), 200),
            "revoke_token_family" => {
                let key = service.key(consumer).await;
                let made = service.exchange(key["api_key"].as_str().unwrap()).await.expect(200);
                (made["refresh_token"].as_str().unwrap().split('_').nth(1).map(ToOwned::to_owned), None, 204)
            }
            "rotate_signing_key" => (None, Some(json!({"begins_in_seconds": 0})), 201),
            "revoke_signing_key" => {
                let made = service.call("POST", "/api/v1/signing-keys/rotate").send().await.expect(201);
                (Some(made["id"].as_str().unwrap().to_owned()), None, 204)
            }
            "retry_message" | "drop_message" => {
                let status = if self.id == "retry_message" { 200 } else { 204 };
                (Some(message(service).await), None, status)
            }
            other => panic!("the operation {other} ({} {}) has no case here: give it one", self.method, self.path),
        };
        assert!(self.responses.contains(&status), "{} does not describe {status}", self.id);
        assert_eq!(self.has_body, body.is_some(), "{}", self.id);
        let path = match (&parameter, self.path.split_once('{')) {
            (Some(value), Some((before, rest))) => format!("{before}{value}{}", rest.split_once('}').unwrap().1),
            (None, None) => self.path.clone(),
            (..) => panic!("{}: the path and its case do not fit together", self.id),
        };
        Sample { path, body, is_form: self.has_form, status }
    }
}

/// A form by a client of its own.
async fn client(service: &Service, consumer: &str, parameters: &[(&str, &str)]) -> Value {
    let key = service.key(consumer).await;
    let mut form = json!({"client_id": key["id"], "client_secret": key["api_key"]});
    for (name, value) in parameters {
        form[name] = json!(value);
    }
    form
}

async fn user(service: &Service) -> String {
    let new = json!({"name": "Another", "email": format!("u{}@example.com", unique()), "role": "viewer"});
    service.post("/api/v1/users", &new).await.expect(201)["id"].as_str().unwrap().to_owned()
}

fn provider() -> Value {
    json!({"id": format!("p{}", unique()), "issuer": "http://127.0.0.1:1", "client_id": "tollgate", "client_secret": "a secret"})
}

async fn made_provider(service: &Service) -> String {
    service.post("/api/v1/identity-providers", &provider()).await.expect(201)["id"].as_str().unwrap().to_owned()
}

/// A message that can never be sent: mail knows no such address.
async fn message(service: &Service) -> String {
    let new = json!({"name": "Another", "email": format!("u..{}@example.com", unique()), "role": "viewer"});
    service.post("/api/v1/users", &new).await.expect(201);
    people::message(service, "waiting", |message| message["error"].is_string()).await["id"].as_str().unwrap().to_owned()
}

async fn key(service: &Service, consumer: &str) -> String {
    service.key(consumer).await["id"].as_str().unwrap().to_owned()
}

/// A limit with all it may have.
pub(crate) fn limit() -> Value {
    json!({"name": "rate", "algorithm": "token_bucket", "rate": 10, "per": "1s", "burst": 20})
}
