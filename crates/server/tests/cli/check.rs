use serde_json::{Value, json};

use crate::command::{Run, tollgate};
use crate::envoy::{issuer, public_key};

fn check(document: &str) -> Run {
    tollgate(&["check", "-"], &[], document.as_bytes())
}

#[test]
fn what_the_repository_ships_is_clean() {
    let run = tollgate(&["check", "--strict", "envoy.yaml", "examples/envoy-tokens.yaml", "examples/plugin.json"], &[], b"");
    let expected = "envoy.yaml: ok (3 routes, 4 tiers, 0 consumers)\n\
                    examples/envoy-tokens.yaml: ok (3 routes, 1 tier, 0 consumers)\n\
                    examples/plugin.json: ok (6 routes, 3 tiers, 2 consumers)\n";
    assert_eq!((run.out.as_str(), run.err.as_str(), run.status), (expected, "", 0));
}

#[test]
fn all_problems_of_a_plugin_configuration_are_listed() {
    let run = check(r#"{"realm": "", "anonymous_tier": "gold", "node": {"slots": 1}}"#);
    assert_eq!(run.status, 1);
    assert_eq!(
        run.out.lines().collect::<Vec<_>>(),
        [
            "-: anonymous_tier: found `gold`; allowed: one of `free`, `basic`, `pro`, `enterprise`",
            "-: realm: found ``; allowed: 1 to 128 visible ASCII characters, none of them `\"` or `\\`",
            "-: node.slots: found 1; allowed: 64 to 1048576",
        ]
    );
}

#[test]
fn problems_outrank_success_and_unusable_files_outrank_problems() {
    let run = tollgate(&["check", "envoy.yaml", "-"], &[], br#"{"realm": ""}"#);
    assert_eq!(run.status, 1);
    let run = tollgate(&["check", "absent.yaml", "-", "envoy.yaml"], &[], br#"{"realm": ""}"#);
    assert_eq!(run.status, 2);
    assert!(run.err.starts_with("error: absent.yaml cannot be read: "), "{}", run.err);
    assert!(run.out.contains("-: realm: ") && run.out.contains("envoy.yaml: ok"), "the others are still checked: {}", run.out);
}

#[test]
fn what_cannot_be_parsed_exits_with_2() {
    for document in
        ["{", "", "{\"realm\": \"a\"} {}", "a: [", "a: 1\na: 2\n", "\u{feff}{", "{\"static_resources\":1,\"static_resources\":2}"]
    {
        let run = check(document);
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{document}");
        assert!(run.err.starts_with("error: - is "), "{}", run.err);
    }
}

#[test]
fn a_member_given_twice_in_a_plugin_configuration_is_a_problem() {
    let run = check(r#"{"realm": "a", "realm": "b"}"#);
    assert_eq!(run.status, 1);
    assert!(run.out.contains("found duplicate field `realm`"), "{}", run.out);
}

#[test]
fn variables_are_judged_only_where_they_are_set() {
    let document = json!({"credentials": {"pepper": {"env": "A_PEPPER"}}}).to_string();
    assert_eq!(check(&document).status, 0);
    assert_eq!(tollgate(&["check", "-"], &[("A_PEPPER", "0123456789abcdef")], document.as_bytes()).status, 0);
    let run = tollgate(&["check", "-"], &[("A_PEPPER", "tooshort")], document.as_bytes());
    assert_eq!((run.status, run.out.as_str()), (1, "-: credentials.pepper: found 8 bytes; allowed: at least 16 bytes\n"));
}

#[test]
fn token_secrets_are_judged_only_where_they_are_set() {
    let document = |encoding: &str, algorithm: &str| {
        let secrets = json!([{"secret": {"env": "A_TOKEN_SECRET"}, "encoding": encoding}]);
        let mut issuer = issuer(&json!({"secrets": secrets}));
        issuer["algorithms"] = json!([algorithm]);
        json!({"tokens": {"issuers": [issuer]}}).to_string()
    };
    for encoding in ["text", "base64url"] {
        for algorithm in ["HS256", "HS384", "HS512"] {
            let run = check(&document(encoding, algorithm));
            assert_eq!((run.status, run.out.lines().count()), (0, 1), "{encoding} {algorithm}: {}", run.out);
        }
    }
    for (encoding, value, found) in [
        ("text", "0123456789abcdef", "16 bytes; allowed: at least 32 bytes"),
        ("base64url", "0123456789abcdef0123456789abcdef", "24 bytes; allowed: at least 32 bytes"),
        ("base64url", "not base64url, but long enough to be a secret", "another text; allowed: base64url without padding"),
    ] {
        let run = tollgate(&["check", "-"], &[("A_TOKEN_SECRET", value)], document(encoding, "HS256").as_bytes());
        let place = "-: tokens.issuers[0].keys.secrets[0].secret: found ";
        assert!(run.status == 1 && run.out.starts_with(&format!("{place}{found}")) && !run.out.contains(value), "{}", run.out);
    }
}

#[test]
fn tokens_that_are_meant_for_anybody_are_a_warning() {
    let mut open = issuer(&json!({"jwks": {"keys": [public_key()]}}));
    open["issuer"] = json!("https://other.example");
    open["audiences"] = json!([]);
    open["consumer"] = json!({"prefix": "other:"});
    let document = json!({"tokens": {"issuers": [issuer(&json!({"jwks": {"keys": [public_key()]}})), open]}}).to_string();
    let run = check(&document);
    assert_eq!((run.status, run.out.lines().count()), (0, 2), "{}", run.out);
    assert!(
        run.out.starts_with("-: warning: tokens.issuers[1].audiences: found an empty list: a token that was issued for"),
        "{}",
        run.out
    );
    assert_eq!(tollgate(&["check", "--strict", "-"], &[], document.as_bytes()).status, 1);
}

/// What is said of a document with an issuer for each of these members `consumer`, and more.
fn said_of_issuers(consumers: &[Value], more: &Value) -> Vec<String> {
    let of = |(position, consumer): (usize, &Value)| {
        let mut issuer = issuer(&json!({"jwks": {"keys": [public_key()]}}));
        issuer["issuer"] = json!(format!("https://issuer-{position}.example"));
        issuer["consumer"] = consumer.clone();
        if consumer.get("known_by").is_some_and(|known_by| known_by != "token") {
            issuer.as_object_mut().unwrap().remove("tier");
        }
        issuer
    };
    let mut document = more.clone();
    document["tokens"] = json!({"issuers": consumers.iter().enumerate().map(of).collect::<Value>()});
    let run = check(&document.to_string());
    assert_eq!((run.status, run.err.as_str()), (0, ""), "{}", run.out);
    let strict = tollgate(&["check", "--strict", "-"], &[], document.to_string().as_bytes());
    let said: Vec<String> = run.out.lines().filter(|line| !line.starts_with("-: ok (")).map(str::to_owned).collect();
    assert_eq!(strict.status, i32::from(!said.is_empty()), "{}", strict.out);
    said
}

#[test]
fn consumers_that_only_limits_tell_apart_are_a_warning() {
    let bare = || json!({});
    let with = |prefix: &str| json!({"prefix": prefix, "known_by": "token"});
    let consumers = json!({"consumers": [{"id": "acme", "tier": "free"}, {"id": "login:acme", "tier": "free"}]});
    let backend = json!({"backend": {"cluster": "backend", "credential": {"env": "NODE"}}});
    let line = |position: usize, found: &str, other: &str| {
        format!(
            "-: warning: tokens.issuers[{position}].consumer.prefix: found {found}: a token may give its consumer the id of {other}, and the \
             upstream is told the id alone; allowed: a prefix that no other id starts with"
        )
    };
    let issuer = |position: usize| format!("a consumer of `tokens.issuers[{position}]`");
    for (issuers, more, expected) in [
        (vec![bare(), with("b:")], &json!({}), vec![line(0, "nothing", &issuer(1))]),
        (vec![bare(), bare()], &json!({}), vec![line(0, "nothing", &issuer(1)), line(1, "nothing", &issuer(0))]),
        (vec![with("a:b:"), with("a:")], &json!({}), vec![line(1, "`a:`", &issuer(0))]),
        (vec![bare()], &consumers, vec![line(0, "nothing", "`consumers[0]`")]),
        (vec![with("login:")], &consumers, vec![line(0, "`login:`", "`consumers[1]`")]),
        (vec![bare()], &backend, vec![line(0, "nothing", "a consumer of the backend")]),
        (vec![json!({"known_by": "backend"}), bare()], &backend, vec![line(1, "nothing", "a consumer of the backend")]),
    ] {
        assert_eq!(said_of_issuers(&issuers, more), expected);
    }
    for (issuers, more) in [
        (vec![bare()], &json!({})),
        (vec![with("a:"), with("b:")], &json!({})),
        (vec![with("acme"), with("b:")], &consumers),
        (vec![json!({"known_by": "configuration"}), with("a:")], &consumers),
        (vec![json!({"known_by": "backend"}), with("a:")], &backend),
    ] {
        assert_eq!(said_of_issuers(&issuers, more), [""; 0]);
    }
}

#[test]
fn secrets_in_the_document_need_dev_and_are_never_shown() {
    let document = json!({"credentials": {"pepper": {"inline": "hunter2-hunter2-hunter2"}}}).to_string();
    let run = check(&document);
    assert_eq!(run.status, 1);
    assert!(run.out.starts_with("-: credentials.pepper.inline: found a secret in the document; "), "{}", run.out);
    assert!(!run.out.contains("hunter2"));
    assert_eq!(tollgate(&["check", "--dev", "-"], &[], document.as_bytes()).status, 0);

    let secrets = json!([{"secret": {"inline": "hunter2-hunter2-hunter2-hunter2-hunter2"}}]);
    let document = json!({"tokens": {"issuers": [issuer(&json!({"secrets": secrets}))]}}).to_string();
    let run = check(&document);
    let said = "-: tokens.issuers[0].keys.secrets[0].secret.inline: found a secret in the document; ";
    assert!(run.status == 1 && run.out.starts_with(said) && !run.out.contains("hunter2"), "{}", run.out);
    assert_eq!(tollgate(&["check", "--dev", "-"], &[], document.as_bytes()).status, 0);
}

#[test]
fn a_route_that_no_tier_can_ever_pay_is_a_warning() {
    let limit = json!({"name": "l", "algorithm": "token_bucket", "rate": 1, "per": "1s", "burst": 4});
    let document = json!({"tiers": [{"name": "a", "limits": [limit]}], "default_route": {"cost": 5}}).to_string();
    let run = check(&document);
    assert_eq!(run.status, 0);
    assert!(
        run.out.starts_with("-: warning: default_route.cost: found 5, more than limit `l` of tier `a` ever has at once;"),
        "{}",
        run.out
    );
    assert_eq!(tollgate(&["check", "--strict", "-"], &[], document.as_bytes()).status, 1);
}

#[test]
fn routes_that_let_every_request_pass_are_a_warning() {
    for (document, place, found) in [
        (json!({"routes": [{"name": "a", "match": {}, "exempt": true}]}), "routes[0].match", "nothing, on a route that is `exempt`"),
        (json!({"routes": [{"name": "a", "match": {"prefix": "/"}, "auth": "none"}]}), "routes[0].match", "every path, on a route with"),
        (json!({"default_route": {"exempt": true}}), "default_route.exempt", "true: every request that no route matches passes"),
        (json!({"default_route": {"auth": "none"}}), "default_route.auth", "`none`: every request that no route matches passes"),
    ] {
        let run = check(&document.to_string());
        assert_eq!((run.status, run.out.lines().count()), (0, 2), "{}", run.out);
        assert!(run.out.starts_with(&format!("-: warning: {place}: found {found}")), "{}", run.out);
    }
    for narrower in [json!({"path": "/"}), json!({"methods": ["GET"]}), json!({"hosts": ["a.example"]}), json!({"prefix": "/docs"})] {
        let document = json!({"routes": [{"name": "a", "match": narrower, "exempt": true}, {"name": "b", "match": {}}]});
        assert_eq!(check(&document.to_string()).out.lines().count(), 1, "{document}");
    }
}

#[test]
fn json_holds_the_same() {
    let run = tollgate(&["check", "--json", "envoy.yaml", "-", "absent"], &[], br#"{"realm": ""}"#);
    assert_eq!((run.status, run.err.as_str()), (2, ""));
    let answer: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(answer["ok"], false);
    let [envoy, wrong, absent] = answer["files"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!((&envoy["ok"], &envoy["configurations"][0]["routes"]), (&json!(true), &json!(3)));
    assert_eq!(wrong["findings"][0]["path"], "realm");
    assert_eq!(wrong["findings"][0]["severity"], "error");
    assert!(absent["error"].as_str().unwrap().starts_with("cannot be read"));
}

#[test]
fn the_backend_s_settings_are_judged_by_their_own_rules() {
    let directory = std::env::temp_dir().join(format!("tollgate-check-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = |name: &str, text: &[u8]| {
        std::fs::write(directory.join(name), text).unwrap();
        directory.join(name).display().to_string()
    };
    let good = file("good.toml", b"self_service = true\ntrusted_proxies = [\"10.0.0.0/8\"]\n");
    let wrong = file("wrong.toml", b"listen = \"nowhere\"\nnode_lissten = 5\nself_service = \"yes\"\n");
    let broken = file("broken.toml", b"listen = \n");
    let unread = file("unread.toml", b"\xff\xfe");
    let run = tollgate(&["check", &good], &[], b"");
    assert_eq!((run.status, run.out), (0, format!("{good}: ok\n")));
    let run = tollgate(&["check", &wrong, &broken], &[], b"");
    assert_eq!(run.status, 1);
    let lines: Vec<&str> = run.out.lines().collect();
    let expected = [
        format!("{wrong}: line 2: node_lissten: found no setting; "),
        format!("{wrong}: line 3: self_service: found text; allowed: true or false"),
        format!("{wrong}: line 1: listen: found `nowhere`; "),
        format!("{broken}: line 1: document: found "),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, expected) in lines.iter().zip(&expected) {
        assert!(line.starts_with(expected), "{line}");
    }
    assert_eq!(tollgate(&["check", &unread], &[], b"").status, 2);
    std::fs::remove_dir_all(directory).unwrap();
}
