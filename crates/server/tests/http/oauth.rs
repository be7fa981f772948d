//! The token service as a client sees it: forms, codes and headers of the RFCs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{Call, Reply};
use crate::service::Service;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const API_KEY: &str = "urn:tollgate:params:oauth:token-type:api_key";

struct Client {
    id: String,
    key: String,
}

async fn client(service: &Service) -> Client {
    let key = service.key(&service.consumer().await).await;
    Client { id: key["id"].as_str().unwrap().to_owned(), key: key["api_key"].as_str().unwrap().to_owned() }
}

fn basic(call: Call, id: &str, key: &str) -> Call {
    call.header("authorization", &format!("Basic {}", STANDARD.encode(format!("{id}:{key}"))))
}

async fn ask(service: &Service, path: &str, form: &Value) -> Reply {
    service.anonymous("POST", path).form(form).send().await
}

#[track_caller]
fn refused(reply: &Reply, status: u16, error: &str) {
    assert_eq!(reply.expect(status)["error"], error, "{}", reply.text());
    assert_eq!((reply.header("content-type"), reply.header("cache-control")), ("application/json", "no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn client_credentials_give_an_access_token_and_no_refresh_token() {
    let service = Service::start().await;
    let client = client(&service).await;
    let form = json!({"grant_type": "client_credentials"});
    let by_header = basic(service.anonymous("POST", "/oauth/token"), &client.id, &client.key).form(&form).send().await;
    let body = json!({"grant_type": "client_credentials", "client_id": client.id, "client_secret": client.key});
    for reply in [by_header, ask(&service, "/oauth/token", &body).await] {
        let granted = reply.expect(200);
        assert_eq!((&granted["token_type"], &granted["expires_in"]), (&json!("Bearer"), &json!(600)), "{granted}");
        assert!(granted["access_token"].as_str().unwrap().starts_with("ey") && granted.get("refresh_token").is_none(), "{granted}");
        assert_eq!((reply.header("content-type"), reply.header("cache-control")), ("application/json", "no-store"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_exchanged_renewed_introspected_and_revoked() {
    let service = Service::start().await;
    let client = client(&service).await;
    let first = service.exchange(&client.key).await.expect(200);
    assert_eq!(first["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    let renew = async |token: &Value| ask(&service, "/oauth/token", &json!({"grant_type": "refresh_token", "refresh_token": token})).await;
    let second = renew(&first["refresh_token"]).await.expect(200);
    assert_ne!(second["access_token"], first["access_token"]);
    let introspect = async |token: &Value| {
        let call = service.call("POST", "/oauth/introspect").form(&json!({"token": token}));
        call.send().await.expect(200)
    };
    let told = introspect(&second["access_token"]).await;
    assert_eq!((&told["active"], &told["client_id"], &told["token_type"]), (&json!(true), &json!(client.id), &json!("Bearer")), "{told}");
    let own = json!({"token": second["access_token"], "client_id": client.id, "client_secret": client.key});
    assert_eq!(ask(&service, "/oauth/introspect", &own).await.expect(200), told);
    let revoked = ask(&service, "/oauth/revoke", &json!({"token": second["refresh_token"], "token_type_hint": "refresh_token"})).await;
    assert_eq!((revoked.status, revoked.text()), (200, ""));
    for token in [&first["access_token"], &second["access_token"], &second["refresh_token"]] {
        assert_eq!(introspect(token).await, json!({"active": false}));
    }
    refused(&renew(&second["refresh_token"]).await, 400, "invalid_grant");
    let listed = service.get("/api/v1/token-families").await.expect(200);
    assert!(listed["items"][0]["revoked_at"].is_string() && listed["items"][0]["reused"] == false, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_by_the_codes_of_the_rfcs() {
    let service = Service::start().await;
    let client = client(&service).await;
    let other = self::client(&service).await;
    let token = |form: &Value| service.anonymous("POST", "/oauth/token").form(form);
    let credentials = json!({"grant_type": "client_credentials"});
    let secret = json!({"grant_type": "client_credentials", "client_id": client.id, "client_secret": client.key});
    let with = |name: &str, value: &str| {
        let mut form = secret.clone();
        form[name] = json!(value);
        form
    };

    // Nobody, and wrong ones; who tried by the header is told how.
    refused(&token(&credentials).send().await, 401, "invalid_client");
    for (id, key) in [(&client.id, &other.key), (&other.id, &client.key), (&client.id, &client.id), (&String::new(), &String::new())] {
        let reply = basic(token(&credentials), id, key).send().await;
        refused(&reply, 401, "invalid_client");
        assert_eq!(reply.header("www-authenticate"), "Basic realm=\"tollgate\"");
    }
    refused(&token(&with("client_id", &other.id)).send().await, 401, "invalid_client");
    refused(&token(&with("client_secret", "wrong")).send().await, 401, "invalid_client");
    for header in ["Basic", "Basic %%%", "Basic Og==", "Bearer x", "Digest a=b"] {
        refused(&token(&credentials).header("authorization", header).send().await, 401, "invalid_client");
    }

    // No request that can be read in one way.
    refused(&basic(token(&secret), &client.id, &client.key).send().await, 400, "invalid_request");
    let twice = basic(basic(token(&credentials), &client.id, &client.key), &client.id, &client.key).send().await;
    refused(&twice, 400, "invalid_request");
    let repeated =
        format!("grant_type=client_credentials&client_id={0}&client_secret={1}&grant_type=client_credentials", client.id, client.key);
    let form = "application/x-www-form-urlencoded";
    let raw = |path: &str, kind: &str, body: String| service.anonymous("POST", path).header("content-type", kind).body(body);
    refused(&raw("/oauth/token", form, repeated).send().await, 400, "invalid_request");
    let plain = format!("grant_type=client_credentials&client_id={}&client_secret={}", client.id, client.key);
    refused(&raw("/oauth/token?a=b", form, plain.clone()).send().await, 400, "invalid_request");
    refused(&raw("/oauth/token", "application/json", plain.clone()).send().await, 400, "invalid_request");
    refused(&raw("/oauth/token", form, plain.clone()).header("content-encoding", "gzip").send().await, 400, "invalid_request");
    refused(&raw("/oauth/token", form, plain.clone()).header("content-type", form).send().await, 400, "invalid_request");
    refused(&raw("/oauth/token", form, String::new()).send().await, 400, "invalid_request");
    raw("/oauth/token", form, format!("{plain}&a={}", "x".repeat(70_000))).send().await.problem(413);
    raw("/oauth/token", form, plain).send().await.expect(200);

    // Another grant, scope or target than there is.
    refused(&token(&with("grant_type", "password")).send().await, 400, "unsupported_grant_type");
    refused(&token(&with("grant_type", "")).send().await, 400, "invalid_request");
    let scope = token(&with("scope", "a\"dmin\\\u{e9}")).send().await;
    refused(&scope, 400, "invalid_scope");
    assert!(!scope.expect(400)["error_description"].as_str().unwrap().contains(['"', '\\', '\u{e9}']), "{}", scope.text());
    refused(&token(&with("audience", "elsewhere")).send().await, 400, "invalid_target");
    refused(&token(&with("resource", "https://elsewhere.example")).send().await, 400, "invalid_target");
    token(&with("audience", "api")).send().await.expect(200);

    // An exchange of something else, or for somebody else.
    let exchange = json!({"grant_type": EXCHANGE, "subject_token": client.key, "subject_token_type": API_KEY});
    for (name, value, error) in [
        ("subject_token", "wrong", "invalid_grant"),
        ("subject_token", "", "invalid_request"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt", "invalid_request"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:id_token", "invalid_request"),
        ("actor_token", "a", "invalid_request"),
        ("audience", "elsewhere", "invalid_target"),
    ] {
        let mut form = exchange.clone();
        form[name] = json!(value);
        refused(&token(&form).send().await, 400, error);
    }
    refused(&basic(token(&exchange), &other.id, &other.key).send().await, 400, "invalid_grant");
    let granted = basic(token(&exchange), &client.id, &client.key).send().await.expect(200);
    // A client renews its own alone.
    let renew = json!({"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]});
    refused(&basic(token(&renew), &other.id, &other.key).send().await, 400, "invalid_grant");
    basic(token(&renew), &client.id, &client.key).send().await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_is_told_to_wait_and_who_is_right_is_not() {
    let service = Service::start().await;
    let client = client(&service).await;
    let wrong = json!({"grant_type": "refresh_token", "refresh_token": "tgr_wrong"});
    let mut seen = 0;
    while ask(&service, "/oauth/token", &wrong).await.status == 400 {
        seen += 1;
        assert!(seen < 100);
    }
    let reply = ask(&service, "/oauth/token", &wrong).await;
    refused(&reply, 429, "temporarily_unavailable");
    assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0 && seen >= 20, "{seen}");
    service.exchange(&client.key).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gets_so_many_tokens_a_minute_and_its_neighbour_is_not_held_up() {
    let service = Service::start().await;
    let (client, other) = (client(&service).await, self::client(&service).await);
    let mut granted = 0;
    while service.exchange(&client.key).await.status == 200 {
        granted += 1;
        assert!(granted < 1_000);
    }
    refused(&service.exchange(&client.key).await, 429, "temporarily_unavailable");
    assert!(granted >= 120, "{granted}");
    service.exchange(&other.key).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_says_what_it_is_and_where() {
    let service = Service::start_with(&[("public_url", "https://us.example"), ("token_algorithm", "EdDSA")]).await;
    let told = service.anonymous("GET", "/.well-known/oauth-authorization-server").send().await;
    assert_eq!(told.header("cache-control"), "public, max-age=300");
    let told = told.expect(200);
    assert_eq!((&told["issuer"], &told["token_endpoint"]), (&json!("https://us.example"), &json!("https://us.example/oauth/token")));
    let operations = crate::operation::operations();
    for endpoint in ["token_endpoint", "revocation_endpoint", "introspection_endpoint", "jwks_uri"] {
        let path = told[endpoint].as_str().unwrap().strip_prefix("https://us.example").unwrap();
        assert!(operations.iter().any(|operation| operation.path == path), "{endpoint}");
    }
    let keys = service.anonymous("GET", "/.well-known/jwks.json").send().await.expect(200);
    let key = keys["keys"][0].as_object().unwrap();
    assert_eq!(key.keys().collect::<Vec<_>>(), ["alg", "crv", "kid", "kty", "use", "x"], "and nothing private");
    assert_eq!((&key["alg"], &key["use"]), (&json!("EdDSA"), &json!("sig")));
}

#[tokio::test(flavor = "multi_thread")]
async fn introspection_asks_who_asks() {
    let service = Service::start().await;
    let client = client(&service).await;
    let token = service.exchange(&client.key).await.expect(200)["access_token"].clone();
    service.anonymous("POST", "/oauth/introspect").form(&json!({"token": token})).send().await.problem(401);
    service.anonymous("POST", "/oauth/introspect").bearer(&client.key).form(&json!({"token": token})).send().await.problem(401);
    let developer = service.admin_key("developer", &service.consumer().await).await["admin_key"].as_str().unwrap().to_owned();
    service.anonymous("POST", "/oauth/introspect").bearer(&developer).form(&json!({"token": token})).send().await.problem(403);
    let stranger = self::client(&service).await;
    let form = json!({"token": token, "client_id": stranger.id, "client_secret": stranger.key});
    assert_eq!(ask(&service, "/oauth/introspect", &form).await.expect(200), json!({"active": false}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_was_tampered_with_is_nobodys() {
    let service = Service::start().await;
    let client = client(&service).await;
    let token = service.exchange(&client.key).await.expect(200)["access_token"].as_str().unwrap().to_owned();
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else { panic!("{token}") };
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let none = encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    let hs = encode(r#"{"alg":"HS256","typ":"at+jwt"}"#);
    for wrong in [
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{hs}.{payload}.{signature}"),
        format!("{header}.{payload}.{}", encode(&"\0".repeat(64))),
        format!("{header}.{}.{signature}", encode("{}")),
        format!("{token}A"),
        "a.".repeat(10_000),
    ] {
        let reply = service.call("POST", "/oauth/introspect").form(&json!({"token": wrong})).send().await;
        assert_eq!(reply.expect(200), json!({"active": false}));
        assert_eq!(ask(&service, "/oauth/revoke", &json!({"token": wrong})).await.status, 200);
    }
    let told = service.call("POST", "/oauth/introspect").form(&json!({"token": token})).send().await;
    assert_eq!(told.expect(200)["active"], true);
}
