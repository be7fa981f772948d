//! Paths that two readers could read differently are refused before anything is decided on them.

use serde_json::{Value, json};
use tollgate_tests::plugin::{ACME, consumer, tier};
use tollgate_tests::{Call, Http, RawRequest, Setup, Shared, Upstream, run};

fn plugin() -> Value {
    json!({
        "tiers": [tier("open", &[])],
        "consumers": [consumer("acme", "open", ACME)],
        "routes": [
            {"name": "public", "match": {"prefix": "/public"}, "exempt": true},
            {"name": "free", "match": {"prefix": "/free"}, "auth": "none"},
        ],
    })
}

static GATE: Shared = Shared::new(|| Setup::new("paths", &plugin()));

/// Each ends the path of a request; `/a` before it makes the path whole.
const AMBIGUOUS: [&str; 24] = [
    "/..",
    "/.",
    "/../b",
    "/./b",
    "//b",
    "//",
    "/b//",
    "\\b",
    "/b\\..\\c",
    "%2fb",
    "%2Fb",
    "/b%2F..%2Fc",
    "%5cb",
    "%5Cb",
    "%00",
    "/b%00.txt",
    "/%2e%2e/b",
    "/%2E/b",
    "/.%2e/b",
    "/%2e.",
    "/%2e",
    "/%2E%2E",
    "/..?x=1",
    "//?x=1",
];

#[test]
fn refuses_ambiguous_paths_with_and_without_a_key() {
    run(async {
        for end in AMBIGUOUS {
            let path = format!("/a{end}");
            for http in Http::BOTH {
                let keyed = Call::get(&path).bearer(ACME).send(GATE.get().await, http).await;
                assert_eq!((keyed.status.as_u16(), keyed.code()), (400, "ambiguous_path".to_owned()), "{path}");
                Call::get(&path).send(GATE.get().await, http).await.assert_denied(400, "ambiguous_path");
            }
        }
    });
}

#[test]
fn refuses_ambiguous_paths_below_routes_without_authentication() {
    run(async {
        for end in AMBIGUOUS {
            for http in Http::BOTH {
                for prefix in ["/public", "/free"] {
                    let answer = Call::get(&format!("{prefix}{end}")).send(GATE.get().await, http).await;
                    assert_eq!(answer.status, 400, "{prefix}{end}: {answer:?}");
                    assert_eq!(answer.code(), "ambiguous_path", "{prefix}{end}");
                }
            }
        }
    });
}

#[test]
fn refuses_a_path_that_starts_with_two_slashes() {
    run(async {
        let answer = RawRequest::get("//public/x").send(GATE.get().await).await;
        assert_eq!((answer.status, answer.code()), (400, "ambiguous_path".to_owned()), "{answer:?}");
    });
}

#[test]
fn a_fragment_or_a_raw_control_byte_never_reaches_the_upstream() {
    run(async {
        for target in ["/public/x#y", "/public/#/../x", "/public/x\u{1}", "/public/\u{7f}"] {
            let answer = RawRequest::get(target).send(GATE.get().await).await;
            assert_eq!(answer.status, 400, "{target:?}: {answer:?}");
        }
    });
}

#[test]
fn admits_unusual_paths_that_have_one_reading() {
    run(async {
        let paths = [
            "/",
            "/a/",
            "/a/b.c",
            "/.well-known/x",
            "/..a",
            "/a..",
            "/a...",
            "/.../a",
            "/a%2eb",
            "/%61",
            "/a%20b",
            "/a+b",
            "/a;v=1/b",
            "/a:b@c",
            "/%C3%A9",
            "/~a/$b/!c/*d/(e)",
            "/a?x=//../%2f%00\\",
            "/a?",
            "/?..",
        ];
        for path in paths {
            for http in Http::BOTH {
                let answer = Call::get(path).bearer(ACME).send(GATE.get().await, http).await;
                assert!(answer.reached_upstream(), "{path}: {answer:?}");
                assert_eq!(answer.json()["target"], path, "the path is passed on as it came");
            }
        }
    });
}

#[test]
fn matches_the_decoded_path() {
    run(async {
        for path in ["/%66%72%65%65/x", "/fre%65", "/%46ree/../x"] {
            let answer = Call::get(path).send(GATE.get().await, Http::One).await;
            match path.contains("..") {
                true => answer.assert_denied(400, "ambiguous_path"),
                false => answer.assert_admitted(),
            }
        }
        // Decoded once: `%2566` is the text `%66`.
        Call::get("/%2566ree").send(GATE.get().await, Http::Two).await.assert_denied(401, "unauthenticated");
    });
}

#[test]
fn refused_paths_never_reach_the_upstream() {
    run(async {
        let answer = Call::get("/public/../secret-of-paths").send(GATE.get().await, Http::Two).await;
        answer.assert_denied(400, "ambiguous_path");
        assert!(Upstream::shared().seen("/secret-of-paths").is_empty());
        assert!(Upstream::shared().seen("/public/../secret-of-paths").is_empty());
    });
}
