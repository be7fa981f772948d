//! Taking an account, signing in, and what nobody learns or does by it.

use serde_json::json;

use crate::client::Reply;
use crate::locked::wait_for;
use crate::people::{Browser, PASSWORD, cookie, login, mail, message, newest_mail, word};
use crate::service::Service;

const EMAIL: &str = "ada@example.com";

async fn register(service: &Service, email: &str) -> Reply {
    service.anonymous("POST", "/api/v1/auth/register").json(&json!({"name": "Ada", "email": email})).send().await
}

async fn forgot(service: &Service, email: &str) -> Reply {
    service.anonymous("POST", "/api/v1/auth/password/forgot").json(&json!({"email": email})).send().await
}

async fn choose(service: &Service, token: &str, password: &str) -> Reply {
    service.anonymous("POST", "/api/v1/auth/password/choose").json(&json!({"token": token, "password": password})).send().await
}

async fn open() -> Service {
    Service::start_with(&[("registration", "true")]).await
}

/// Somebody who has taken an account and signed in.
async fn ada(service: &Service) -> Browser {
    assert_eq!(register(service, EMAIL).await.status, 202);
    choose(service, &word(&newest_mail(service, EMAIL, 1).await), PASSWORD).await.expect(204);
    Browser::of(&login(service, EMAIL, PASSWORD).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_an_account_proves_the_address_and_gets_keys_for_a_consumer_of_their_own() {
    let service = open().await;
    let browser = ada(&service).await;
    let own = browser.bare(&service, "GET", "/api/v1/auth/session").send().await.expect(200);
    assert_eq!((&own["user"]["role"], &own["user"]["email"], &own["user"]["verified"]), (&json!("developer"), &json!(EMAIL), &json!(true)));
    let made = browser.call(&service, "POST", "/api/v1/developer/keys").json(&json!({"label": "mine"})).send().await.expect(201);
    assert_eq!(made["consumer"], own["user"]["consumer"]);
    browser.bare(&service, "GET", "/api/v1/keys").send().await.problem(403);
    let consumer = service.get(&format!("/api/v1/consumers/{}", own["user"]["consumer"].as_str().unwrap())).await.expect(200);
    assert_eq!((&consumer["tier"], &consumer["email"]), (&json!("free"), &json!(EMAIL)));
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_is_off_unless_it_is_switched_on() {
    let service = Service::start().await;
    register(&service, EMAIL).await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_whether_an_address_is_known() {
    let service = open().await;
    ada(&service).await;
    let shape = |reply: &Reply| (reply.status, reply.text().to_owned(), reply.headers.keys().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(shape(&register(&service, EMAIL).await), shape(&register(&service, "new@example.com").await));
    assert_eq!(shape(&forgot(&service, EMAIL).await), shape(&forgot(&service, "unknown@example.com").await));
    let (known, unknown) =
        (login(&service, EMAIL, "another sentence").await, login(&service, "unknown@example.com", "another sentence").await);
    known.problem(401);
    assert_eq!(shape(&known), shape(&unknown));
    // One who has not proven the address has no password, and one who is disabled has: neither is told.
    assert_eq!(shape(&login(&service, "new@example.com", PASSWORD).await), shape(&unknown));
    let id = service.get("/api/v1/users").await.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    service.call("PATCH", &format!("/api/v1/users/{id}")).json(&json!({"disabled": true})).send().await.expect(200);
    assert_eq!(shape(&login(&service, EMAIL, PASSWORD).await), shape(&unknown));
    // Whoever has the address is told what happened, by mail.
    newest_mail(&service, EMAIL, 3).await;
    newest_mail(&service, "new@example.com", 1).await;
    assert!(mail(service.data.path()).iter().all(|(to, _)| to != "unknown@example.com"));
}

/// Medians of interleaved attempts: a password is hashed, which takes longer than all else, whether or not there is anybody to have it.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_takes_as_long_for_nobody_as_for_somebody() {
    let service = Service::start_with(&[("registration", "true"), ("trusted_proxies", "127.0.0.1")]).await;
    ada(&service).await;
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..15 {
        for (position, email) in [EMAIL, "unknown@example.com"].into_iter().enumerate() {
            let call = service.anonymous("POST", "/api/v1/auth/login").header("x-forwarded-for", &format!("192.0.2.{round}"));
            let began = tokio::time::Instant::now();
            call.json(&json!({"email": email, "password": "another sentence"})).send().await.problem(401);
            times[position].push(began.elapsed());
        }
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    assert!(unknown > known / 2 && known > unknown / 2, "known {known:?}, unknown {unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_is_good_once_and_only_the_newest() {
    let service = open().await;
    register(&service, EMAIL).await;
    let first = word(&newest_mail(&service, EMAIL, 1).await);
    register(&service, EMAIL).await;
    let second = word(&newest_mail(&service, EMAIL, 2).await);
    for wrong in [first.as_str(), "", "x", first.get(1..).unwrap()] {
        assert_eq!(choose(&service, wrong, PASSWORD).await.wrong_field(400).0, "token", "{wrong}");
    }
    assert_eq!(choose(&service, &second, "short").await.wrong_field(400).0, "password");
    choose(&service, &second, PASSWORD).await.expect(204);
    assert_eq!(choose(&service, &second, "and another sentence").await.wrong_field(400).0, "token");
    login(&service, EMAIL, PASSWORD).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_bring_the_same_word_at_once_one_chooses() {
    let service = open().await;
    register(&service, EMAIL).await;
    let token = word(&newest_mail(&service, EMAIL, 1).await);
    let (one, other) = ("the first of two sentences", "the second of two sentences");
    let (first, second) = tokio::join!(choose(&service, &token, one), choose(&service, &token, other));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 400]);
    let chosen = if first.status == 204 { one } else { other };
    login(&service, EMAIL, chosen).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_registered_somebody_elses_address_has_nothing_that_opens_the_account() {
    let service = open().await;
    register(&service, EMAIL).await;
    // There is no password to register with, so whoever came first knows none.
    let reply =
        service.anonymous("POST", "/api/v1/auth/register").json(&json!({"name": "A", "email": EMAIL, "password": PASSWORD})).send().await;
    assert_eq!(reply.wrong_field(400).0, "password");
    login(&service, EMAIL, PASSWORD).await.problem(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_register_an_address_at_once_there_is_one_account() {
    let service = open().await;
    tokio::join!(register(&service, EMAIL), register(&service, "ADA@example.com"), register(&service, EMAIL));
    // All three have been served once three mails are there: each sends one.
    wait_for(async || mail(service.data.path()).len() == 3).await;
    assert_eq!(service.get("/api/v1/users").await.expect(200)["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_ends_all_sessions_and_a_changed_one_all_others() {
    let service = open().await;
    let first = ada(&service).await;
    let second = Browser::of(&login(&service, EMAIL, PASSWORD).await);
    let change = |current: &str, password: &str| json!({"current": current, "password": password});
    let reply =
        first.call(&service, "POST", "/api/v1/auth/password").json(&change("not the password", "a sentence for later")).send().await;
    assert_eq!(reply.wrong_field(400).0, "current");
    first.call(&service, "POST", "/api/v1/auth/password").json(&change(PASSWORD, "a sentence for later")).send().await.expect(204);
    assert!(first.is_signed_in(&service).await && !second.is_signed_in(&service).await);
    login(&service, EMAIL, PASSWORD).await.problem(401);
    forgot(&service, EMAIL).await.expect(202);
    choose(&service, &word(&newest_mail(&service, EMAIL, 2).await), "yet another sentence").await.expect(204);
    assert!(!first.is_signed_in(&service).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_new_with_each_login_and_ends_with_logout() {
    let service = open().await;
    let first = ada(&service).await;
    // A word that somebody else has put into the browser becomes nobody's session.
    let planted = service.anonymous("POST", "/api/v1/auth/login").header("cookie", "__Host-tollgate_session=planted");
    let second = Browser::of(&planted.json(&json!({"email": EMAIL, "password": PASSWORD})).send().await);
    assert!(second.cookie != "planted" && second.cookie != first.cookie);
    let sessions = second.bare(&service, "GET", "/api/v1/auth/sessions").send().await.expect(200);
    assert_eq!(sessions["items"].as_array().unwrap().len(), 2);
    let reply = second.call(&service, "POST", "/api/v1/auth/logout").send().await;
    reply.expect(204);
    assert_eq!(cookie(&reply, "__Host-tollgate_session").as_deref(), Some(""));
    assert!(!second.is_signed_in(&service).await && first.is_signed_in(&service).await);
    second.call(&service, "POST", "/api/v1/auth/logout").send().await.problem(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_ends_the_sessions_of_others() {
    let service = open().await;
    let (first, other) = (ada(&service).await, service.user("viewer", "").await);
    let other = service.browser(&other).await;
    other.call(&service, "DELETE", &format!("/api/v1/auth/sessions/{}", first.session)).send().await.problem(404);
    assert!(first.is_signed_in(&service).await);
    first.call(&service, "DELETE", &format!("/api/v1/auth/sessions/{}", first.session)).send().await.expect(204);
    assert!(!first.is_signed_in(&service).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_changes_nothing() {
    let service = open().await;
    let (browser, other) = (ada(&service).await, service.user("viewer", "").await);
    let other = service.browser(&other).await;
    let make = |call: crate::client::Call| async { call.json(&json!({"label": "mine"})).send().await };
    let path = "/api/v1/developer/keys";
    assert_eq!(make(browser.bare(&service, "POST", path)).await.problem(403)["code"], "csrf");
    for token in ["", "x", other.csrf.as_str()] {
        assert_eq!(make(browser.bare(&service, "POST", path).header("x-csrf-token", token)).await.problem(403)["code"], "csrf", "{token}");
    }
    let twice = browser.call(&service, "POST", path).header("x-csrf-token", &browser.csrf);
    assert_eq!(make(twice).await.problem(403)["code"], "csrf");
    for (name, value) in
        [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")]
    {
        let call = browser.call(&service, "POST", path).header(name, value);
        assert_eq!(make(call).await.problem(403)["code"], "csrf", "{name}: {value}");
    }
    let here = format!("http://{}", service.at.public);
    make(browser.call(&service, "POST", path).header("origin", &here).header("sec-fetch-site", "same-origin")).await.expect(201);
    // Nor does it sign anybody in: that would have them work in an account that is not theirs.
    let login = service.anonymous("POST", "/api/v1/auth/login").header("origin", "https://evil.example");
    assert_eq!(login.json(&json!({"email": EMAIL, "password": PASSWORD})).send().await.problem(403)["code"], "csrf");
    let form = service.anonymous("POST", "/api/v1/auth/login").header("content-type", "text/plain");
    form.body(json!({"email": EMAIL, "password": PASSWORD}).to_string()).send().await.problem(415);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_speaks_for_one() {
    let service = open().await;
    let browser = ada(&service).await;
    browser.bare(&service, "GET", "/api/v1/auth/session").bearer(&service.admin).send().await.problem(401);
    browser.bare(&service, "GET", "/api/v1/auth/session").header("cookie", "__Host-tollgate_session=x").send().await.problem(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_something_else_signs_in_anew_and_who_is_deleted_never_again() {
    let service = open().await;
    let browser = ada(&service).await;
    let user = browser.bare(&service, "GET", "/api/v1/auth/session").send().await.expect(200)["user"].clone();
    let path = format!("/api/v1/users/{}", user["id"].as_str().unwrap());
    service.call("PATCH", &path).json(&json!({"name": "Ada King"})).send().await.expect(200);
    assert!(browser.is_signed_in(&service).await, "a name is nothing that one may do");
    service.call("PATCH", &path).json(&json!({"role": "viewer"})).send().await.expect(200);
    assert!(!browser.is_signed_in(&service).await);
    let browser = Browser::of(&login(&service, EMAIL, PASSWORD).await);
    browser.bare(&service, "GET", "/api/v1/keys").send().await.expect(200);
    service.call("DELETE", &path).send().await.expect(204);
    assert!(!browser.is_signed_in(&service).await);
    login(&service, EMAIL, PASSWORD).await.problem(401);
    service.get(&path).await.problem(404);
    // The address is free again.
    assert_eq!(register(&service, EMAIL).await.status, 202);
    newest_mail(&service, EMAIL, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_do_not_lock_themselves_out() {
    let service = Service::start().await;
    let user = service.user("admin", "").await;
    let browser = service.browser(&user).await;
    let path = format!("/api/v1/users/{}", user["id"].as_str().unwrap());
    for patch in [json!({"disabled": true}), json!({"role": "viewer"})] {
        browser.call(&service, "PATCH", &path).json(&patch).send().await.problem(403);
    }
    browser.call(&service, "DELETE", &path).send().await.problem(403);
    browser.call(&service, "PATCH", &path).json(&json!({"name": "Root"})).send().await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_consumer_takes_its_developers_along() {
    let service = open().await;
    let browser = ada(&service).await;
    let own = browser.bare(&service, "GET", "/api/v1/auth/session").send().await.expect(200);
    service.call("DELETE", &format!("/api/v1/consumers/{}", own["user"]["consumer"].as_str().unwrap())).send().await.expect(204);
    assert!(!browser.is_signed_in(&service).await);
    assert_eq!(service.get("/api/v1/users").await.expect(200)["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_at_a_password_ends_soon_and_does_not_keep_its_owner_out() {
    let service = Service::start_with(&[("registration", "true"), ("trusted_proxies", "127.0.0.1")]).await;
    assert_eq!(register(&service, EMAIL).await.status, 202);
    choose(&service, &word(&newest_mail(&service, EMAIL, 1).await), PASSWORD).await.expect(204);
    let reply = login(&service, EMAIL, PASSWORD).await;
    let device = cookie(&reply, "__Host-tollgate_device").unwrap();
    let attempt = |address: String, password: &'static str, cookie: String| {
        let call = service.anonymous("POST", "/api/v1/auth/login").header("x-forwarded-for", &address).header("cookie", &cookie);
        call.json(&json!({"email": EMAIL, "password": password})).send()
    };
    let mut refused = 0;
    for guess in 0..100 {
        let reply = attempt(format!("198.51.100.{guess}"), "a wrong sentence", "a=b".to_owned()).await;
        assert!([401, 429].contains(&reply.status), "{}", reply.text());
        refused += usize::from(reply.status == 429);
    }
    assert!((40..=52).contains(&refused), "{refused} of 100 from 100 addresses");
    attempt("192.0.2.1".to_owned(), PASSWORD, "a=b".to_owned()).await.problem(429);
    attempt("192.0.2.1".to_owned(), PASSWORD, format!("__Host-tollgate_device={device}")).await.expect(200);
    // Somebody else's browser is none of this account's.
    let forged = format!("__Host-tollgate_device={}x.{}", device.get(1..20).unwrap(), device.split_once('.').unwrap().1);
    attempt("192.0.2.1".to_owned(), PASSWORD, forged).await.problem(429);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_flooded_with_mail() {
    let service = Service::start_with(&[("registration", "true"), ("trusted_proxies", "127.0.0.1")]).await;
    ada(&service).await;
    for number in 0..30 {
        let call = service.anonymous("POST", "/api/v1/auth/password/forgot").header("x-forwarded-for", &format!("192.0.2.{number}"));
        call.json(&json!({"email": EMAIL})).send().await.expect(202);
    }
    // What came before this one has left before it.
    register(&service, "last@example.com").await;
    newest_mail(&service, "last@example.com", 1).await;
    let count = mail(service.data.path()).iter().filter(|(to, _)| to == EMAIL).count();
    assert!((1..=3).contains(&count), "{count}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_is_in_the_log_or_the_database() {
    let service = open().await;
    register(&service, EMAIL).await;
    let token = word(&newest_mail(&service, EMAIL, 1).await);
    let browser = {
        choose(&service, &token, PASSWORD).await.expect(204);
        Browser::of(&login(&service, EMAIL, PASSWORD).await)
    };
    let data = service.end().await;
    for entry in std::fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap();
        for secret in [token.as_str(), PASSWORD, &browser.cookie, &browser.csrf] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{}", entry.path().display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_tried_again_and_listed() {
    let service = open().await;
    // A file where the directory should be.
    std::fs::write(service.data.path().join("mail"), "").unwrap();
    register(&service, EMAIL).await;
    let message = message(&service, "waiting", |message| message["attempts"] == 1).await;
    assert!(message["error"].as_str().unwrap().contains("mail"), "{message}");
    std::fs::remove_file(service.data.path().join("mail")).unwrap();
    let path = format!("/api/v1/outbox/{}", message["id"].as_str().unwrap());
    service.call("POST", &format!("{path}/retry")).send().await.expect(200);
    let token = word(&newest_mail(&service, EMAIL, 1).await);
    choose(&service, &token, PASSWORD).await.expect(204);
    let sent = self::message(&service, "sent", |_| true).await;
    assert_eq!(sent["id"], message["id"]);
    assert_eq!(service.call("POST", &format!("{path}/retry")).send().await.wrong_field(409).0, "state");
    service.call("DELETE", &path).send().await.expect(204);
    service.call("DELETE", &path).send().await.problem(404);
}
