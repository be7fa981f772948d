//! The client commands where the server fails, refuses or talks nonsense.

use serde_json::{Value, json};

use crate::command::{Run, tollgate};
use crate::double::{Answer, Double, json as good, problem};

const ADMIN_KEY: &str = "tga_0123456789abcdefAAAABBBBCCCC";

fn run(double: &Double, arguments: &[&str]) -> Run {
    tollgate(arguments, &[("TOLLGATE_URL", &double.url), ("TOLLGATE_ADMIN_KEY", ADMIN_KEY)], b"")
}

fn key() -> Value {
    json!({"id": "0123456789abcdef", "consumer": "acme", "label": "ci", "scopes": ["read", "write"], "status": "active",
        "created_at": "2026-01-14T00:00:00Z", "last_used_at": "2026-01-15T00:00:00Z", "version": 1})
}

fn created() -> Value {
    let mut key = key();
    key["api_key"] = json!("foil_the_key_itself");
    key
}

const CREATE: [&str; 6] = ["keys", "create", "--consumer", "acme", "--label", "ci"];

#[test]
fn a_request_is_authorized_and_says_what_was_asked() {
    let double = Double::answering(vec![good(201, &created())]);
    let run = run(&double, &[&CREATE[..], &["--scope", "read", "--scope", "write", "--expires-at", "2027-01-31"]].concat());
    assert_eq!(run.status, 0, "{}", run.err);
    let [asked] = &double.asked()[..] else { panic!() };
    assert_eq!(asked.line, "POST /api/v1/keys");
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {ADMIN_KEY}").as_str()));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body, json!({"consumer": "acme", "label": "ci", "scopes": ["read", "write"], "expires_at": "2027-01-31T00:00:00Z"}));
}

#[test]
fn a_new_key_is_alone_on_standard_output_where_that_is_asked() {
    let answer = || Double::answering(vec![good(201, &created())]);
    let quiet = run(&answer(), &[&CREATE[..], &["--quiet"]].concat());
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("foil_the_key_itself\n", ""));
    let json = run(&answer(), &[&CREATE[..], &["--json"]].concat());
    assert_eq!((serde_json::from_str::<Value>(&json.out).unwrap(), json.err.as_str()), (created(), ""));
    let people = run(&answer(), &CREATE);
    assert!(people.out.starts_with("api key:    foil_the_key_itself\nid:         0123456789abcdef\n"), "{}", people.out);
    assert!(people.out.contains("scopes:     read write\n") && people.out.contains("created:    2026-01-14T00:00:00Z ("), "{}", people.out);
    assert_eq!(people.err, "keep the api key: it is not shown again\n");
}

#[test]
fn what_failed_on_the_way_is_sent_again_under_the_same_idempotency_key() {
    let double = Double::answering(vec![Answer::Hang, problem(503, &json!({"title": "temporarily unavailable"})), good(201, &created())]);
    let run = run(&double, &CREATE);
    assert_eq!(run.status, 0, "{}", run.err);
    let asked = double.asked();
    let keys: Vec<_> = asked.iter().map(|one| one.header("idempotency-key").unwrap()).collect();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0] && key.len() == 32), "{keys:?}");
    assert!(asked.iter().all(|one| one.body == asked[0].body));
}

#[test]
fn an_idempotency_key_of_the_user_is_taken() {
    let double = Double::answering(vec![good(201, &created())]);
    run(&double, &[&CREATE[..], &["--idempotency-key", "ticket-17"]].concat());
    assert_eq!(double.asked()[0].header("idempotency-key"), Some("ticket-17"));
}

#[test]
fn a_server_that_stays_unavailable_is_asked_three_times() {
    let double = Double::answering((0..4).map(|_| problem(503, &json!({"detail": "temporarily unavailable"}))).collect());
    let run = run(&double, &["consumers", "list"]);
    assert_eq!((run.status, run.err.as_str()), (2, "error: temporarily unavailable (503)\n"));
    assert_eq!(double.asked().len(), 3);
}

#[test]
fn nobody_waits_longer_than_is_bearable() {
    let later = || Answer::Say(429, &["retry-after: 3600"], json!({"detail": "too many requests"}).to_string());
    let double = Double::answering(vec![later(), later()]);
    let run = run(&double, &["consumers", "list"]);
    assert_eq!((run.status, run.err.as_str()), (2, "error: too many requests (429); again in 3600 s\n"));
    assert_eq!(double.asked().len(), 1);
}

#[test]
fn a_refusal_names_the_fields_and_is_not_sent_again() {
    let document = json!({"title": "Bad Request", "detail": "the request is not valid",
        "errors": [{"field": "consumer", "reason": "there is no `acme`"}, {"field": "scopes[1]", "reason": "`a b`; allowed: …"}]});
    let double = Double::answering(vec![problem(400, &document), good(201, &created())]);
    let run = run(&double, &CREATE);
    assert_eq!((run.status, run.out.as_str()), (1, ""));
    assert_eq!(run.err, "error: the request is not valid (400)\n  consumer: there is no `acme`\n  scopes[1]: `a b`; allowed: …\n");
    assert_eq!(double.asked().len(), 1);
}

#[test]
fn a_redirect_is_not_followed_with_the_admin_key() {
    let elsewhere = Double::answering(vec![good(200, &key())]);
    let location: &'static str = Box::leak(format!("location: {}/api/v1/keys/x", elsewhere.url).into_boxed_str());
    let double = Double::answering(vec![Answer::Say(307, Box::leak(Box::new([location])), String::new())]);
    let run = run(&double, &["keys", "show", "x"]);
    assert_eq!((run.status, run.err.as_str()), (2, "error: the server gave no reason (307)\n"));
    assert!(elsewhere.asked().is_empty());
}

#[test]
fn an_answer_of_something_else_is_unusable() {
    for (answer, said) in [
        (Answer::Say(200, &[], "<html>".to_owned()), "not what the public API of Tollgate's backend says"),
        (good(200, &json!({"id": 5})), "not what the public API of Tollgate's backend says"),
        (Answer::Say(404, &[], "<html>".to_owned()), "the server gave no reason (404)"),
    ] {
        let double = Double::answering(vec![answer]);
        let run = run(&double, &["keys", "show", "x"]);
        assert!(run.err.contains(said) && run.out.is_empty(), "{}", run.err);
        assert_eq!(run.status, if said.contains("404") { 1 } else { 2 });
    }
}

#[test]
fn lists_are_walked_as_far_as_is_asked() {
    let page = |from: usize, to: usize, next: Option<&str>| {
        let items: Vec<_> = (from..to)
            .map(|number| json!({"id": format!("o{number}"), "name": "n", "version": 1, "created_at": "2026-01-14T00:00:00Z"}))
            .collect();
        good(200, &json!({"items": items, "next": next}))
    };
    let double = Double::answering(vec![page(0, 200, Some("a b")), page(200, 250, Some("c"))]);
    let run = run(&double, &["organisations", "list", "--limit", "250"]);
    assert_eq!((run.status, run.out.lines().count()), (0, 251), "{}", run.err);
    assert_eq!(run.err, "there are more: --after 'c', or --all\n");
    let lines: Vec<_> = double.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines, ["GET /api/v1/organisations?limit=200", "GET /api/v1/organisations?limit=50&after=a%20b"]);

    let double = Double::answering(vec![page(0, 200, Some("a")), page(200, 201, Some("b")), page(0, 0, Some("c"))]);
    let run = crate::client::run(&double, &["organisations", "list", "--all", "--json"]);
    let answer: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(answer["items"].as_array().unwrap().len(), 201);
    assert_eq!(double.asked().len(), 3, "an empty page ends the walk");
}

#[test]
fn what_the_user_gave_cannot_reach_another_path() {
    let double = Double::answering(vec![good(200, &key())]);
    run(&double, &["keys", "show", "../consumers?x=1"]);
    assert_eq!(double.asked()[0].line, "GET /api/v1/keys/..%2Fconsumers%3Fx%3D1");
}

#[test]
fn only_what_was_named_is_changed() {
    for (arguments, body) in [
        (&["keys", "update", "x", "--label", "new"][..], json!({"label": "new"})),
        (&["keys", "update", "x", "--no-scopes", "--never-expires"], json!({"scopes": [], "expires_at": null})),
        (&["consumers", "update", "x", "--tier", "pro", "--no-email"], json!({"tier": "pro", "email": null})),
        (&["consumers", "update", "x", "--enable"], json!({"disabled": false})),
        (&["consumers", "update", "x", "--scope", "read", "--scope", "write"], json!({"scopes": ["read", "write"]})),
        (&["consumers", "update", "x", "--no-scopes"], json!({"scopes": []})),
    ] {
        let double = Double::answering(vec![good(200, &json!({}))]);
        run(&double, arguments);
        let asked = double.asked();
        assert_eq!(serde_json::from_str::<Value>(&asked[0].body).unwrap(), body);
        assert_eq!(asked[0].line, format!("PATCH /api/v1/{}/x", arguments[0]));
    }
    for arguments in [["keys", "update", "x"], ["consumers", "update", "x"]] {
        let double = Double::answering(vec![good(200, &json!({}))]);
        assert_ne!(run(&double, &arguments).status, 0);
        assert!(double.asked().is_empty());
    }
}

#[test]
fn the_admin_key_comes_by_file_or_variable_and_shows_nowhere() {
    let nobody = "http://127.0.0.1:9";
    let shows = |run: &Run| [&run.out, &run.err].iter().any(|text| text.contains("AAAABBBB"));
    let run = tollgate(&["keys", "list", "--url", nobody], &[("TOLLGATE_ADMIN_KEY", ADMIN_KEY)], b"");
    assert_eq!(run.status, 2);
    assert!(run.err.starts_with("error: cannot ask http://127.0.0.1:9: ") && !shows(&run), "{}", run.err);

    let run = tollgate(&["keys", "list", "--url", nobody], &[], b"");
    assert_eq!(run.status, 2);
    assert!(run.err.contains("--admin-key-file") && run.err.contains("--data") && run.err.contains("TOLLGATE_ADMIN_KEY"), "{}", run.err);

    for arguments in
        [&["keys", "list", "--admin-key", ADMIN_KEY][..], &["keys", "list", &format!("--admin-key={ADMIN_KEY}")], &["keys", ADMIN_KEY]]
    {
        let run = tollgate(arguments, &[], b"");
        assert_eq!(run.status, 2, "no argument takes the key");
    }
    let double = Double::answering(vec![good(200, &json!({"items": [], "next": null}))]);
    let run = tollgate(&["keys", "list", "--url", &double.url, "--admin-key-file", "-"], &[], format!("{ADMIN_KEY}\n").as_bytes());
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(double.asked()[0].header("authorization").unwrap().ends_with(ADMIN_KEY));

    let run = tollgate(&["keys", "list", "--help"], &[("TOLLGATE_ADMIN_KEY", ADMIN_KEY), ("TOLLGATE_URL", "http://hidden.example")], b"");
    assert!(!shows(&run) && !run.out.contains("hidden.example"), "{}", run.out);
}
