//! Wrong documents and what is said of each: at least one for every check of `compile` and of the document's shape.

mod tokens;

pub(super) use tokens::{REQUIREMENTS, TOKENS};

/// A document and all that is said of it.
pub(super) type Wrong = (&'static str, &'static [&'static str]);

/// Realm, sources and secrets.
pub(super) const BACKEND: &[Wrong] = &[
    (r#"{"backend":{"cluster":"backend"}}"#, &["backend: found nothing (line 1, column 32); allowed: the field `credential` is required"]),
    (
        r#"{"backend":{"cluster":"back end","credential":{"env":"LONG"}}}"#,
        &[
            "backend.cluster: found `back end`; allowed: the name of a cluster of the proxy: 1 to 256 visible ASCII characters",
            "backend.cluster: found `back end`; allowed: a host, with or without a port",
        ],
    ),
    (
        r#"{"backend":{"cluster":"b","authority":"a b","credential":{"env":"SHORT"}}}"#,
        &[
            "backend.authority: found `a b`; allowed: a host, with or without a port",
            "backend.credential: found 4 bytes; allowed: at least 16 bytes",
        ],
    ),
    (
        r#"{"backend":{"cluster":"b","credential":{"env":"LONG"},"timeout":"49ms","max_staleness":"61m"}}"#,
        &[
            "backend.timeout: found `49ms`; allowed: a duration from `50ms` to `30s`",
            "backend.max_staleness: found `61m`; allowed: a duration from `1s` to `3600s`",
        ],
    ),
    (
        r#"{"backend":{"cluster":"b","credential":{"env":"LONG"},"resolves_in_flight":0,"unknown_per_address":0,"unknown_per_node":1000001}}"#,
        &[
            "backend.resolves_in_flight: found 0; allowed: 1 to 1024",
            "backend.unknown_per_address: found 0; allowed: 1 to 1000000",
            "backend.unknown_per_node: found 1000001; allowed: 1 to 1000000",
        ],
    ),
];

/// Abuse.
pub(super) const ABUSE: &[Wrong] = &[
    (
        r#"{"abuse":{"mode":"block"}}"#,
        &["abuse.mode: found unknown variant `block` (line 1, column 24); allowed: one of `off`, `shadow`, `enforce`"],
    ),
    (
        r#"{"abuse":{"threshold":0,"network_multiple":1001,"half_life":"0s","weights":{"forged_key":100001}}}"#,
        &[
            "abuse.weights.forged_key: found 100001; allowed: 0 to 100000",
            "abuse.threshold: found 0; allowed: 1 to 100000",
            "abuse.network_multiple: found 1001; allowed: 0 to 1000",
            "abuse.half_life: found `0s`; allowed: a duration from `1s` to `86400s`",
        ],
    ),
    (
        r#"{"abuse":{"first_block":"2m","longest_block":"1m","interval":"11m","subjects":255}}"#,
        &[
            "abuse.interval: found `11m`; allowed: a duration from `1s` to `600s`",
            "abuse.subjects: found 255; allowed: 256 to 1048576",
            "abuse.longest_block: found less than `first_block`; allowed: at least as long as `first_block`",
        ],
    ),
    (
        r#"{"abuse":{"velocity":{"least":63,"intervals":0},"denials":{"multiple":0},"many_addresses":{"most":301,"window":"2d"}}}"#,
        &[
            "abuse.velocity.intervals: found 0; allowed: 1 to 1000",
            "abuse.velocity.least: found 63; allowed: 64 to 10000000",
            "abuse.denials.multiple: found 0; allowed: 1 to 1000",
            "abuse.many_addresses.most: found 301; allowed: 0 to 300",
            "abuse.many_addresses.window: found `2d`; allowed: a duration from `1s` to `86400s`",
        ],
    ),
];

pub(super) const CREDENTIALS: &[Wrong] = &[
    (
        r#"{"identity_headers":{"tier":"X-API-Key"}}"#,
        &["identity_headers.tier: found `x-api-key`; allowed: a header that no credential is taken from"],
    ),
    (
        r#"{"credentials":{"issuer_keys":[{"version":1,"prefix":"ab","secret":{"env":"LONG"}},{"version":1,"prefix":"ab","secret":{"env":"LONG"}}]}}"#,
        &["credentials.issuer_keys[1].version: found 1; allowed: a version of its own for each prefix"],
    ),
    (r#"{"realm":""}"#, &[r#"realm: found ``; allowed: 1 to 128 visible ASCII characters, none of them `"` or `\`"#]),
    (r#"{"realm":"a \"b"}"#, &[r#"realm: found `a \"b`; allowed: 1 to 128 visible ASCII characters, none of them `"` or `\`"#]),
    (r#"{"credentials":{"sources":[]}}"#, &["credentials.sources: found 0 sources; allowed: 1 to 8"]),
    (
        r#"{"credentials":{"sources":[{"query":"q0"},{"query":"q1"},{"query":"q2"},{"query":"q3"},{"query":"q4"},{"query":"q5"},{"query":"q6"},{"query":"q7"},{"query":"q8"}]}}"#,
        &["credentials.sources: found 9 sources; allowed: 1 to 8"],
    ),
    (
        r#"{"credentials":{"sources":[{"header":"x y"}]}}"#,
        &[
            "credentials.sources[0].header: found `x y`; allowed: a header name of at most 64 characters that means nothing else to HTTP or the proxy",
        ],
    ),
    (
        r#"{"credentials":{"sources":[{"header":"Content-Length"}]}}"#,
        &[
            "credentials.sources[0].header: found `Content-Length`; allowed: a header name of at most 64 characters that means nothing else to HTTP or the proxy",
        ],
    ),
    (
        r#"{"credentials":{"sources":[{"header":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}]}}"#,
        &[
            "credentials.sources[0].header: found `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`; allowed: a header name of at most 64 characters that means nothing else to HTTP or the proxy",
        ],
    ),
    (
        r#"{"credentials":{"sources":[{"header":"authorization","scheme":"Bea rer"}]}}"#,
        &["credentials.sources[0].scheme: found `Bea rer`; allowed: an authentication scheme such as `Bearer`"],
    ),
    (
        r#"{"credentials":{"sources":[{"query":"a&b"}]}}"#,
        &["credentials.sources[0].query: found `a&b`; allowed: letters, digits and `-._~!$'*+`, written without escapes"],
    ),
    (
        r#"{"credentials":{"sources":[{"query":"key","scheme":"Bearer"}]}}"#,
        &["credentials.sources[0]: found another combination; allowed: `header` with or without `scheme`, or `query` alone"],
    ),
    (
        r#"{"credentials":{"sources":[{"header":"x-key","query":"key"}]}}"#,
        &["credentials.sources[0]: found another combination; allowed: `header` with or without `scheme`, or `query` alone"],
    ),
    (
        r#"{"credentials":{"sources":[{}]}}"#,
        &["credentials.sources[0]: found another combination; allowed: `header` with or without `scheme`, or `query` alone"],
    ),
    (
        r#"{"credentials":{"sources":[{"header":"x-key"},{"header":"X-Key","scheme":"Bearer"}]}}"#,
        &["credentials.sources[1]: found a place given before; allowed: each place once"],
    ),
    (
        r#"{"credentials":{"sources":[{"query":"key"},{"query":"key"}]}}"#,
        &["credentials.sources[1]: found a place given before; allowed: each place once"],
    ),
    (
        r#"{"credentials":{"issuer_keys":[{"version":1,"prefix":"F","secret":{"env":"LONG"}}]}}"#,
        &["credentials.issuer_keys[0].prefix: found `F`; allowed: 2 to 16 lower-case letters and digits, a letter first"],
    ),
    (
        r#"{"credentials":{"issuer_keys":[{"version":1,"prefix":"foil","secret":{"env":"SHORT"}}]}}"#,
        &["credentials.issuer_keys[0].secret: found 4 bytes; allowed: at least 16 bytes"],
    ),
    (
        r#"{"credentials":{"pepper":{"env":"ABSENT"}}}"#,
        &["credentials.pepper.env: found `ABSENT`, which is not set; allowed: a variable of the VM's environment (`host_env_keys`)"],
    ),
    (r#"{"credentials":{"pepper":{}}}"#, &["credentials.pepper: found both or neither of `env` and `inline`; allowed: one of them"]),
    (
        r#"{"credentials":{"pepper":{"env":"LONG","inline":"0123456789abcdef"}}}"#,
        &["credentials.pepper: found both or neither of `env` and `inline`; allowed: one of them"],
    ),
    (r#"{"credentials":{"pepper":{"inline":"0123456789abcde"}}}"#, &["credentials.pepper: found 15 bytes; allowed: at least 16 bytes"]),
];

/// Tiers, limits, references to tiers, and consumers.
pub(super) const TIERS_AND_CONSUMERS: &[Wrong] = &[
    (
        r#"{"consumers":[{"id":"a","tier":"free","keys":[{"id":"k","hash":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}]},{"id":"b","tier":"free","keys":[{"id":"k","hash":"sha256:1111111111111111111111111111111111111111111111111111111111111111"}]}]}"#,
        &["consumers[1].keys[0].id: found `k`; allowed: an id of its own: another key has this one"],
    ),
    (r#"{"tiers":[{"name":"Free"}]}"#, &["tiers[0].name: found `Free`; allowed: 1 to 64 lower-case letters, digits, `-` and `_`"]),
    (
        r#"{"tiers":[{"name":"a"},{"name":"b"},{"name":"a"}]}"#,
        &["tiers[2].name: found `a`; allowed: a name of its own (tiers[0] has this one)"],
    ),
    (
        r#"{"tiers":[{"name":"a","limits":[{"name":"l","algorithm":"token_bucket","rate":1,"per":"1s"},{"name":"l","algorithm":"token_bucket","rate":2,"per":"1s"}]}]}"#,
        &["tiers[0].limits[1].name: found `l`; allowed: a name of its own (tiers[0].limits[0] has this one)"],
    ),
    (
        r#"{"tiers":[{"name":"a","limits":[{"name":"","algorithm":"token_bucket","rate":1,"per":"1s"}]}]}"#,
        &["tiers[0].limits[0].name: found ``; allowed: 1 to 64 lower-case letters, digits, `-` and `_`"],
    ),
    (
        r#"{"tiers":[{"name":"a","limits":[{"name":"l","algorithm":"token_bucket","rate":0,"per":"1s","burst":1}]}]}"#,
        &["tiers[0].limits[0].rate: found 0; allowed: 1 to 1000000000"],
    ),
    (
        r#"{"tiers":[{"name":"a","limits":[{"name":"l","algorithm":"token_bucket","rate":1,"per":"1s","burst":0}]}]}"#,
        &["tiers[0].limits[0].burst: found 0; allowed: 1 to 1000000000"],
    ),
    (
        r#"{"tiers":[{"name":"a","limits":[{"name":"l","algorithm":"sliding_window","rate":1000000001,"per":"1s"}]}]}"#,
        &["tiers[0].limits[0].rate: found 1000000001; allowed: 1 to 1000000000"],
    ),
    (
        r#"{"tiers":[{"name":"a","limits":[{"name":"l","algorithm":"sliding_window","rate":5,"per":"1s","burst":6}]}]}"#,
        &["tiers[0].limits[0].burst: found 6; allowed: no burst with `sliding_window`: `rate` units may come at once"],
    ),
    (
        r#"{"tiers":[{"name":"a","limits":[{"name":"l","algorithm":"token_bucket","rate":1,"per":"0s"}]}]}"#,
        &["tiers[0].limits[0].per: found `0s`; allowed: a duration such as `100ms`, `1s`, `60s`, `1h`, at most `1d`"],
    ),
    (
        r#"{"tiers":[{"name":"a","limits":[{"name":"l","algorithm":"token_bucket","rate":1,"per":"25h"}]}]}"#,
        &["tiers[0].limits[0].per: found `25h`; allowed: a duration such as `100ms`, `1s`, `60s`, `1h`, at most `1d`"],
    ),
    (
        r#"{"tiers":[{"name":"a","limits":[{"name":"l","algorithm":"token_bucket","rate":1,"per":"1s","routes":["default","x"]}]}]}"#,
        &["tiers[0].limits[0].routes[1]: found `x`; allowed: one of `default`"],
    ),
    (
        r#"{"tiers":[{"name":"a","limits":[{"name":"l","algorithm":"quota","rate":1,"per":"day"},{"name":"m","algorithm":"token_bucket","rate":1,"per":"1s","scope":"global"}]}]}"#,
        &[
            "tiers[0].limits[0].algorithm: found `quota`; allowed: in tiers of the backend alone: what is counted over all nodes needs its ledger",
            "tiers[0].limits[1].scope: found `global`; allowed: in tiers of the backend alone: what is counted over all nodes needs its ledger",
        ],
    ),
    (
        r#"{"tiers":[{"name":"a","limits":[{"name":"l","algorithm":"token_bucket","rate":1,"per":"1s","time_zone":"UTC","degrade_to":{"rate":1,"per":"1s"}}]}]}"#,
        &[
            "tiers[0].limits[0].time_zone: found a value; allowed: none for a limit that each node counts by itself",
            "tiers[0].limits[0].degrade_to: found a value; allowed: none for a limit that each node counts by itself",
        ],
    ),
    (r#"{"tiers":[],"anonymous_tier":"free"}"#, &["anonymous_tier: found `free`; allowed: none: there are no names to choose from"]),
    (r#"{"anonymous_tier":"gold"}"#, &["anonymous_tier: found `gold`; allowed: one of `free`, `basic`, `pro`, `enterprise`"]),
    (
        r#"{"default_route":{"anonymous_tier":"gold"}}"#,
        &["default_route.anonymous_tier: found `gold`; allowed: one of `free`, `basic`, `pro`, `enterprise`"],
    ),
    (
        r#"{"consumers":[{"id":"a","tier":"gold"}]}"#,
        &["consumers[0].tier: found `gold`; allowed: one of `free`, `basic`, `pro`, `enterprise`"],
    ),
    (
        r#"{"consumers":[{"id":"a b","tier":"free"}]}"#,
        &[r#"consumers[0].id: found `a b`; allowed: 1 to 128 visible ASCII characters, none of them `"` or `\`"#],
    ),
    (
        r#"{"consumers":[{"id":"a","tier":"free"},{"id":"a","tier":"free"}]}"#,
        &["consumers[1].id: found `a`; allowed: a name of its own (consumers[0] has this one)"],
    ),
    (
        r#"{"consumers":[{"id":"a","tier":"free","keys":[{"id":"","hash":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}]}]}"#,
        &[r#"consumers[0].keys[0].id: found ``; allowed: 1 to 128 visible ASCII characters, none of them `"` or `\`"#],
    ),
    (
        r#"{"consumers":[{"id":"a","tier":"free","keys":[{"id":"k","hash":"sha256:00000000000000000000000000000000000000000000000000000000000000000"}]}]}"#,
        &[
            "consumers[0].keys[0].hash: found something else; allowed: a key hash is `sha256:` or `hmac-sha256:` and 64 lower-case hexadecimal digits",
        ],
    ),
    (
        r#"{"consumers":[{"id":"a","tier":"free","keys":[{"id":"k","hash":"hmac-sha256:0000000000000000000000000000000000000000000000000000000000000000"}]}]}"#,
        &["consumers[0].keys[0].hash: found `hmac-sha256:…` without a pepper; allowed: `sha256:…`, or set `credentials.pepper`"],
    ),
    (
        r#"{"consumers":[{"id":"a","tier":"free","keys":[{"id":"k","hash":"sha256:0000000000000000000000000000000000000000000000000000000000000000"},{"id":"l","hash":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}]}]}"#,
        &["consumers[0].keys[1].hash: found a hash given before; allowed: each key once"],
    ),
];

/// Routes, addresses, CORS, headers and sizes.
pub(super) const ROUTES_AND_ANSWERS: &[Wrong] = &[
    (
        r#"{"signatures":{"components":["Date"],"max_age":"2h","clock_skew":"6m","tag":"a\"b","forms":["cavage"]}}"#,
        &[
            "signatures.components[0]: found `Date`; allowed: a header's name in lower case, or one of `@method`, `@target-uri`, `@authority`, `@scheme`, `@request-target`, `@path`, `@query`",
            "signatures.tag: found `a\\\"b`; allowed: 1 to 128 printable ASCII characters, none of them `\"` or `\\`",
            "signatures.forms: found a list without `rfc9421`; allowed: `rfc9421`, alone or with `cavage`",
            "signatures.forms: found `cavage` where a `tag` is asked for; allowed: `rfc9421` alone: the draft has no tag",
            "signatures.max_age: found `2h`; allowed: a duration from `1s` to `3600s`",
            "signatures.clock_skew: found `6m`; allowed: a duration from `0ms` to `300s`",
        ],
    ),
    (
        r#"{"signatures":{"replay":"mesh"},"routes":[{"name":"a","match":{},"signature":{"replay":"mesh"}}]}"#,
        &[
            "routes[0].signature.replay: found `mesh` without a `backend`; allowed: `node`, or a `backend` that knows what was used elsewhere",
            "signatures.replay: found `mesh` without a `backend`; allowed: `node`, or a `backend` that knows what was used elsewhere",
        ],
    ),
    (
        r#"{"routes":[{"name":"a","match":{},"auth":"optional","signature":{}}]}"#,
        &["routes[0].signature: found a route without `auth` `required`; allowed: none there: a signature is that of a credential"],
    ),
    (
        r#"{"consumers":[{"id":"a","tier":"free","keys":[{"id":"b","hash":"sha256:ca57acb00c3619b9c0d9b708773aec973bc30ab3271901c90a53476f2c5738e3","signing":{"secret":{"env":"SHORT"}}}]}]}"#,
        &["consumers[0].keys[0].signing.secret: found 4 bytes; allowed: at least 16 bytes"],
    ),
    (
        r#"{"default_route":{"charge_when":[]}}"#,
        &["default_route.charge_when: found an empty list; allowed: statuses; without the field all are charged"],
    ),
    (
        r#"{"tiers":[{"name":"a","limits":[{"name":"l","algorithm":"token_bucket","rate":1,"per":"1s","routes":[]}]}]}"#,
        &["tiers[0].limits[0].routes: found an empty list; allowed: names of routes; without the field the limit applies to all"],
    ),
    (
        r#"{"identity_headers":{"tier":"x_user","consumer":"X-User"}}"#,
        &["identity_headers: found one name for two headers; allowed: three names that differ in more than `-` and `_`"],
    ),
    (
        r#"{"routes":[{"name":"a","match":{"hosts":["example.com.","[::1]:80"]}}]}"#,
        &[
            "routes[0].match.hosts[0]: found `example.com.`; allowed: a host without port and final dot, such as `api.example.com` or `*.example.com`",
            "routes[0].match.hosts[1]: found `[::1]:80`; allowed: a host without port and final dot, such as `api.example.com` or `*.example.com`",
        ],
    ),
    (r#"{"routes":[{"match":{}}]}"#, &["routes[0].name: found nothing; allowed: 1 to 64 lower-case letters, digits, `-` and `_`"]),
    (r#"{"routes":[{"name":"a"}]}"#, &["routes[0].match: found nothing; allowed: an object: `{}` matches every request"]),
    (
        r#"{"routes":[{"name":"default","match":{}}]}"#,
        &["routes[0].name: found `default`; allowed: another name: this one means what no route matches"],
    ),
    (
        r#"{"routes":[{"name":"a","match":{}},{"name":"a","match":{}}]}"#,
        &["routes[1].name: found `a`; allowed: a name of its own (routes[0] has this one)"],
    ),
    (
        r#"{"default_route":{"name":"a"}}"#,
        &["default_route: found `name` or `match`; allowed: neither: it is named `default` and takes what no route matches"],
    ),
    (
        r#"{"default_route":{"match":{}}}"#,
        &["default_route: found `name` or `match`; allowed: neither: it is named `default` and takes what no route matches"],
    ),
    (r#"{"default_route":{"cost":1000001}}"#, &["default_route.cost: found 1000001; allowed: 0 to 1000000"]),
    (
        r#"{"default_route":{"charge_when":["2xx","600"]}}"#,
        &["default_route.charge_when: found `600`; allowed: statuses such as `404` (100 to 599) or classes such as `2xx`"],
    ),
    (
        r#"{"routes":[{"name":"a","match":{"hosts":["example.com:80","*","*example.com","*.example.com"]}}]}"#,
        &[
            "routes[0].match.hosts[0]: found `example.com:80`; allowed: a host without port and final dot, such as `api.example.com` or `*.example.com`",
            "routes[0].match.hosts[1]: found `*`; allowed: a host without port and final dot, such as `api.example.com` or `*.example.com`",
            "routes[0].match.hosts[2]: found `*example.com`; allowed: a host without port and final dot, such as `api.example.com` or `*.example.com`",
        ],
    ),
    (
        r#"{"routes":[{"name":"a","match":{"methods":["get"]}}]}"#,
        &["routes[0].match.methods[0]: found `get`; allowed: a method in capitals, such as `GET`"],
    ),
    (
        r#"{"routes":[{"name":"a","match":{"path":"/a","regex":"/a"}}]}"#,
        &["routes[0].match: found 2 of `path`, `prefix`, `template` and `regex`; allowed: at most one of them"],
    ),
    (
        r#"{"routes":[{"name":"a","match":{"path":"a"}}]}"#,
        &["routes[0].match.path: found `a`; allowed: a decoded path: a `/` first, no empty or dot segments, no query, no escapes"],
    ),
    (
        r#"{"routes":[{"name":"a","match":{"path":"/a?b"}}]}"#,
        &["routes[0].match.path: found `/a?b`; allowed: a decoded path: a `/` first, no empty or dot segments, no query, no escapes"],
    ),
    (
        r#"{"routes":[{"name":"a","match":{"prefix":"/a//b"}}]}"#,
        &["routes[0].match.prefix: found `/a//b`; allowed: a decoded path: a `/` first, no empty or dot segments, no query, no escapes"],
    ),
    (
        r#"{"routes":[{"name":"a","match":{"prefix":"/a%20b"}}]}"#,
        &["routes[0].match.prefix: found `/a%20b`; allowed: a decoded path: a `/` first, no empty or dot segments, no query, no escapes"],
    ),
    (
        r#"{"routes":[{"name":"a","match":{"template":"/a/../{id}"}}]}"#,
        &[
            "routes[0].match.template: found `/a/../{id}`; allowed: a decoded path: a `/` first, no empty or dot segments, no query, no escapes",
        ],
    ),
    (
        r#"{"routes":[{"name":"a","match":{"template":"/a/{id"}}]}"#,
        &[
            "routes[0].match.template: found `/a/{id` (Parameters must be registered with a valid name); allowed: a template such as `/users/{id}` or `/files/{*rest}`",
        ],
    ),
    (
        r#"{"routes":[{"name":"a","match":{"regex":"/a["}}]}"#,
        &["routes[0].match.regex: found `/a[` (found unclosed character class); allowed: a regular expression (syntax of regex-lite)"],
    ),
    (
        r#"{"routes":[{"name":"a","match":{"regex":"/a)|(?:/b"}}]}"#,
        &[
            "routes[0].match.regex: found `/a)|(?:/b` (found closing ')' without matching '('); allowed: a regular expression (syntax of regex-lite)",
        ],
    ),
    (
        r#"{"addresses":{"allow":["10.0.0.0/33"]}}"#,
        &["addresses.allow[0]: found `10.0.0.0/33`; allowed: an address or a network such as `10.0.0.0/8` or `2001:db8::/32`"],
    ),
    (
        r#"{"addresses":{"deny":["10.0.0.1/8"]}}"#,
        &["addresses.deny[0]: found `10.0.0.1/8`; allowed: no bits beyond the prefix: `10.0.0.0/8`"],
    ),
    (
        r#"{"default_route":{"addresses":{"allow":["localhost"]}}}"#,
        &["default_route.addresses.allow[0]: found `localhost`; allowed: an address or a network such as `10.0.0.0/8` or `2001:db8::/32`"],
    ),
    (
        r#"{"default_route":{"cors":{"origins":["*","https://a.example"]}}}"#,
        &[
            "default_route.cors.origins: found `*` with other origins or with `credentials`; allowed: `*` alone and without `credentials`, or exact origins",
        ],
    ),
    (
        r#"{"default_route":{"cors":{"origins":["*"],"credentials":true}}}"#,
        &[
            "default_route.cors.origins: found `*` with other origins or with `credentials`; allowed: `*` alone and without `credentials`, or exact origins",
        ],
    ),
    (
        r#"{"default_route":{"cors":{"origins":["a.example","https://a.example/","https://A.example","https://*.example","https://a.example"]}}}"#,
        &[
            "default_route.cors.origins[0]: found `a.example`; allowed: an origin in lower case, such as `https://app.example.com`, or `*`",
            "default_route.cors.origins[1]: found `https://a.example/`; allowed: an origin in lower case, such as `https://app.example.com`, or `*`",
            "default_route.cors.origins[2]: found `https://A.example`; allowed: an origin in lower case, such as `https://app.example.com`, or `*`",
            "default_route.cors.origins[3]: found `https://*.example`; allowed: an origin in lower case, such as `https://app.example.com`, or `*`",
        ],
    ),
    (
        r#"{"identity_headers":{"consumer":"x-id","tier":"X-ID"}}"#,
        &["identity_headers: found one name for two headers; allowed: three names that differ in more than `-` and `_`"],
    ),
    (
        r#"{"identity_headers":{"credential":"host"}}"#,
        &[
            "identity_headers.credential: found `host`; allowed: a header name of at most 64 characters that means nothing else to HTTP or the proxy",
        ],
    ),
    (
        r#"{"node":{"slots":63,"known_keys":15,"unknown_keys":15,"ipv6_prefix":31}}"#,
        &[
            "node.slots: found 63; allowed: 64 to 1048576",
            "node.known_keys: found 15; allowed: 16 to 1000000",
            "node.unknown_keys: found 15; allowed: 16 to 1000000",
            "node.ipv6_prefix: found 31; allowed: 32 to 128",
        ],
    ),
    (
        r#"{"node":{"slots":4194305,"known_keys":1000001,"unknown_keys":1000001,"ipv6_prefix":129}}"#,
        &[
            "node.slots: found 4194305; allowed: 64 to 1048576",
            "node.known_keys: found 1000001; allowed: 16 to 1000000",
            "node.unknown_keys: found 1000001; allowed: 16 to 1000000",
            "node.ipv6_prefix: found 129; allowed: 32 to 128",
        ],
    ),
];

/// Documents of another shape: one problem each, for a reader stops at the first.
pub(super) const SHAPES: &[Wrong] = &[
    ("", &["document: found nothing; allowed: a JSON object; `{}` would refuse every request"]),
    (
        r#"{"routes":[{"name":"a","match":{"path":null},"exempt":true}]}"#,
        &["routes[0].match.path: found null; allowed: a value, or nothing: leave the field out"],
    ),
    (r#"{"routes":null}"#, &["routes: found invalid type: null (line 1, column 14); allowed: a sequence"]),
    ("[]", &["document: found an array; allowed: an object"]),
    (r#"{"routes":[{"name":"a","match":{}},["b",{},true]]}"#, &["routes[1]: found an array; allowed: an object"]),
    (r#"{"node":{},"default_route":{"addresses":[["10.0.0.0/8"]]}}"#, &["default_route.addresses: found an array; allowed: an object"]),
    ("[", &["[0]: found EOF while parsing a list (line 1, column 1); allowed: JSON as in the schema"]),
    ("null", &["document: found invalid type: null (line 1, column 4); allowed: an object"]),
    (
        r#"{"realms":"a"}"#,
        &[
            "realms: found unknown field `realms` (line 1, column 9); allowed: one of `realm`, `credentials`, `tokens`, `tiers`, `consumers`, `routes`, `default_route`, `anonymous_tier`, `addresses`, `answers`, `identity_headers`, `filter_state`, `node`, `backend`, `abuse`, `signatures`",
        ],
    ),
    ("{} {}", &["document: found trailing characters at line 1 column 4; allowed: one JSON object and nothing after it"]),
    ("{}x", &["document: found trailing characters at line 1 column 3; allowed: one JSON object and nothing after it"]),
    (r#"{"realm":"a","realm":"b"}"#, &["document: found duplicate field `realm` (line 1, column 20); allowed: JSON as in the schema"]),
    (r#"{"node":{"slots":1,"slots":2}}"#, &["node: found duplicate field `slots` (line 1, column 26); allowed: JSON as in the schema"]),
    (r#"{"node":{"slots":-1}}"#, &["node.slots: found invalid value: integer `-1` (line 1, column 19); allowed: u32"]),
    (r#"{"node":{"slots":1e9999}}"#, &["node.slots: found number out of range (line 1, column 23); allowed: JSON as in the schema"]),
    (
        r#"{"node":{"slots":99999999999999999999999999}}"#,
        &["node.slots: found invalid type: floating point (line 1, column 43); allowed: u32"],
    ),
    (r#"{"node":{"slots":64.5}}"#, &["node.slots: found invalid type: floating point (line 1, column 21); allowed: u32"]),
    (
        r#"{"default_route":{"cost":4294967296}}"#,
        &["default_route.cost: found invalid value: integer `4294967296` (line 1, column 35); allowed: u32"],
    ),
    (
        r#"{"default_route":{"auth":"maybe"}}"#,
        &["default_route.auth: found unknown variant `maybe` (line 1, column 32); allowed: one of `required`, `optional`, `none`"],
    ),
    (
        r#"{"answers":{"limit_headers":["x"]}}"#,
        &["answers.limit_headers[0]: found unknown variant `x` (line 1, column 32); allowed: `x-ratelimit` or `ratelimit`"],
    ),
    (r#"{"tiers":[{"limits":[]}]}"#, &["tiers[0]: found nothing (line 1, column 23); allowed: the field `name` is required"]),
    (
        r#"{"tiers":[{"name":"a","limits":[{"name":"l"}]}]}"#,
        &["tiers[0].limits[0]: found nothing (line 1, column 44); allowed: the field `algorithm` is required"],
    ),
    (
        r#"{"routes":[{"name":"a","match":{"paths":"/"}}]}"#,
        &[
            "routes[0].match.paths: found unknown field `paths` (line 1, column 39); allowed: one of `hosts`, `methods`, `path`, `prefix`, `template`, `regex`",
        ],
    ),
    (r#"{"consumers":{}}"#, &["consumers: found invalid type: map (line 1, column 13); allowed: a sequence"]),
];
