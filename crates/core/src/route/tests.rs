use super::*;

fn matcher(path: PathPattern) -> Matcher {
    Matcher { hosts: Box::new([]), methods: Box::new([]), path }
}

fn matches(matcher: &Matcher, path: &str) -> bool {
    matcher.matches(Target { method: b"GET", authority: b"api.example.com", path })
}

#[test]
fn a_prefix_matches_whole_segments() {
    let v1 = matcher(PathPattern::Prefix("/v1".to_owned()));
    assert!(matches(&v1, "/v1") && matches(&v1, "/v1/") && matches(&v1, "/v1/x"));
    assert!(!matches(&v1, "/v1beta") && !matches(&v1, "/"));
    let below = matcher(PathPattern::Prefix("/v1/".to_owned()));
    assert!(matches(&below, "/v1/x") && !matches(&below, "/v1"));
    assert!(matches(&matcher(PathPattern::Prefix("/".to_owned())), "/any"));
}

#[test]
fn a_template_matches_one_segment_a_name() {
    let mut router = matchit::Router::new();
    router.insert("/users/{id}/keys", ()).unwrap();
    let keys = matcher(PathPattern::Template(router));
    assert!(matches(&keys, "/users/7/keys"));
    assert!(!matches(&keys, "/users/7/8/keys") && !matches(&keys, "/users//keys"));
}

#[test]
fn hosts_ignore_case_port_and_trailing_dot() {
    let of = |host| Matcher { hosts: Box::new([host]), methods: Box::new([]), path: PathPattern::Any };
    let exact = of(HostPattern::Exact("api.example.com".to_owned()));
    let below = of(HostPattern::Below(".example.com".to_owned()));
    let on = |matcher: &Matcher, authority: &[u8]| matcher.matches(Target { method: b"GET", authority, path: "/" });
    for authority in [&b"api.example.com"[..], b"API.example.COM:8080", b"api.example.com."] {
        assert!(on(&exact, authority) && on(&below, authority));
    }
    assert!(!on(&exact, b"api.example.com.evil") && !on(&below, b"example.com") && !on(&below, b".example.com"));
    assert!(!on(&exact, b"") && !on(&exact, b"\xff\xfe"));
    assert!(on(&of(HostPattern::Exact("[::1]".to_owned())), b"[::1]:80"));
    assert!(on(&of(HostPattern::Exact("[::1]".to_owned())), b"[::1]"));
}

#[test]
fn methods_are_case_sensitive() {
    let get = Matcher { methods: Box::new(["GET".to_owned()]), ..matcher(PathPattern::Any) };
    let with = |method| get.matches(Target { method, authority: b"", path: "/" });
    assert!(with(b"GET") && !with(b"get") && !with(b"POST"));
}

#[test]
fn paths_are_decoded_and_lose_their_query() {
    for (target, path) in [
        (&b"/"[..], "/"),
        (b"/v1/a?b=/../c", "/v1/a"),
        (b"/%61dmin", "/admin"),
        (b"/a%20b/", "/a b/"),
        (b"/%25", "/%"),
        (b"/%c3%a9", "/\u{e9}"),
        (b"/admin;x=%201/users;y", "/admin/users"),
        (b"/...", "/..."),
        (b"/.well-known/x", "/.well-known/x"),
        (b"*", "*"),
    ] {
        assert_eq!(decode_path(target).as_deref(), Ok(path), "{}", target.escape_ascii());
    }
}

#[test]
fn ambiguous_paths_are_refused() {
    for target in [
        &b""[..],
        b"?x",
        b"v1",
        b"//",
        b"//admin",
        b"/v1//x",
        b"/.",
        b"/..",
        b"/docs/../admin",
        b"/docs/./admin",
        b"/docs/%2e%2E/admin",
        b"/docs/..;x=y/admin",
        b"/docs%2fadmin",
        b"/docs%5cadmin",
        b"/admin%3bx/users",
        b"/;/admin",
        b"/open;%2f..%2fadmin",
        b"/open;x=\\..",
        b"/open;%00",
        b"/open;%",
        b"/open;\xff",
        b"/open;a#b",
        b"/a/.;x/b",
        &[&b"/"[..], &[b'a'; LONGEST_PATH]].concat(),
        b"/docs\\admin",
        b"/a#b",
        b"/a%",
        b"/a%2",
        b"/a%zz",
        b"/a%00",
        b"/\x7f",
        b"/a\tb",
        b"/%ff",
        b"/\xff",
        b"http://x/",
    ] {
        assert_eq!(decode_path(target), Err(AmbiguousPath), "{}", target.escape_ascii());
    }
}

#[test]
fn statuses_are_inclusive_ranges() {
    let statuses = Statuses(Box::new([(200, 299), (404, 404)]));
    assert!(statuses.contain(200) && statuses.contain(299) && statuses.contain(404));
    assert!(!statuses.contain(199) && !statuses.contain(300) && !statuses.contain(403));
}

#[test]
fn authorities_are_one_host_and_perhaps_a_port() {
    for plain in [
        &b"api.example.com"[..],
        b"api.example.com:8080",
        b"API_x-1.",
        b"127.0.0.1:1",
        b"[::1]",
        b"[2001:db8::1]:443",
        b"[::ffff:192.0.2.1]",
        b"",
        b"a:",
    ] {
        assert!(is_plain_authority(plain), "{}", plain.escape_ascii());
    }
    for odd in [
        &b"a,b"[..],
        b"a@b",
        b"a b",
        b"a:1:2",
        b"a:x",
        b"a:123456",
        b"[::1",
        b"[::1]x",
        b"[::1]2",
        b"[]",
        b"[a,b]",
        b"a/b",
        b"a\\b",
        b"a?b",
        b"a#b",
        b"a%62",
        b"\xff",
        b"a\x00",
    ] {
        assert!(!is_plain_authority(odd), "{}", odd.escape_ascii());
    }
}
