//! Wrong documents of access tokens, and of what routes ask of them.

use super::Wrong;

/// A document with one issuer of these members.
macro_rules! issuer {
    ($members:literal) => {
        concat!(r#"{"tokens":{"issuers":[{"issuer":"https://a.example","audiences":["api"],"#, $members, "}]}}")
    };
}

/// A document with one issuer that publishes its keys so.
macro_rules! remote {
    ($members:literal) => {
        concat!(
            r#"{"tokens":{"issuers":[{"issuer":"https://a.example","audiences":["api"],"tier":{"default":"free"},"keys":{"remote":{"#,
            $members,
            "}}}]}}"
        )
    };
}

/// A document with one route of these members.
macro_rules! route {
    ($members:literal) => {
        concat!(r#"{"routes":[{"name":"a","match":{},"#, $members, "}]}")
    };
}

/// Issuers, their keys and claims.
pub(in super::super) const TOKENS: &[Wrong] = &[
    (r#"{"tokens":{}}"#, &["tokens.issuers: found 0 issuers; allowed: 1 to 32"]),
    (
        r#"{"tokens":{"issuers":[],"longest":511,"failed_per_address":0}}"#,
        &[
            "tokens.issuers: found 0 issuers; allowed: 1 to 32",
            "tokens.longest: found 511; allowed: 512 to 65536",
            "tokens.failed_per_address: found 0; allowed: 4 to 1000000",
        ],
    ),
    (
        r#"{"tokens":{"issuers":[{"issuer":"a","audiences":[],"keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"}},{"issuer":"b","audiences":[],"keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"}},{"issuer":"a","audiences":[],"keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"}}],"longest":65537,"failed_per_address":1000001}}"#,
        &[
            "tokens.issuers[2].issuer: found `a`; allowed: a name of its own (tokens.issuers[0] has this one)",
            "tokens.longest: found 65537; allowed: 512 to 65536",
            "tokens.failed_per_address: found 1000001; allowed: 4 to 1000000",
        ],
    ),
    (
        r#"{"tokens":{"issuers":[{"issuer":"","audiences":["","a\nb"],"keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"}}]}}"#,
        &[
            "tokens.issuers[0].issuer: found ``; allowed: 1 to 1024 bytes of text without control characters",
            "tokens.issuers[0].audiences[0]: found ``; allowed: 1 to 1024 bytes of text without control characters",
            r#"tokens.issuers[0].audiences[1]: found `a\nb`; allowed: 1 to 1024 bytes of text without control characters"#,
        ],
    ),
    (
        issuer!(r#""types":[],"keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"}"#),
        &["tokens.issuers[0].types: found an empty list; allowed: types; without the field `JWT`, `at+jwt` or none"],
    ),
    (
        issuer!(r#""types":["at+jwt","","a\tb"],"keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"}"#),
        &[
            "tokens.issuers[0].types[1]: found ``; allowed: 1 to 256 bytes of text without control characters",
            r#"tokens.issuers[0].types[2]: found `a\tb`; allowed: 1 to 256 bytes of text without control characters"#,
        ],
    ),
    (
        issuer!(r#""leeway":"301s","longest_life":"366d","keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"}"#),
        &[
            "tokens.issuers[0].leeway: found `301s`; allowed: a duration of whole seconds, from `0s` to `300s`",
            "tokens.issuers[0].longest_life: found `366d`; allowed: a duration of whole seconds, from `1s` to `31536000s`",
        ],
    ),
    (
        issuer!(r#""leeway":"1500ms","longest_life":"999ms","keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"}"#),
        &[
            "tokens.issuers[0].leeway: found `1500ms`; allowed: a duration of whole seconds, from `0s` to `300s`",
            "tokens.issuers[0].longest_life: found `999ms`; allowed: a duration of whole seconds, from `1s` to `31536000s`",
        ],
    ),
    (
        issuer!(r#""leeway":"1ms","longest_life":"0s","keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"}"#),
        &[
            "tokens.issuers[0].leeway: found `1ms`; allowed: a duration of whole seconds, from `0s` to `300s`",
            "tokens.issuers[0].longest_life: found `0s`; allowed: a duration of whole seconds, from `1s` to `31536000s`",
        ],
    ),
    (
        issuer!(r#""algorithms":[],"keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"}"#),
        &["tokens.issuers[0].algorithms: found an empty list; allowed: algorithms; without the field all that the keys fit"],
    ),
    (
        issuer!(
            r#""algorithms":["RS256","none","HS256","rs256"],"keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"}"#
        ),
        &[
            "tokens.issuers[0].algorithms[1]: found `none`; allowed: one of `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `ES512`, `EdDSA`, which fit its keys",
            "tokens.issuers[0].algorithms[2]: found `HS256`; allowed: one of `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `ES512`, `EdDSA`, which fit its keys",
            "tokens.issuers[0].algorithms[3]: found `rs256`; allowed: one of `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `ES512`, `EdDSA`, which fit its keys",
        ],
    ),
    (
        r#"{"tokens":{"issuers":[{"issuer":"i","audiences":[],"keys":{"introspection":{"cluster":"c","path":"x","client_id":"","client_secret":{"inline":"short"},"timeout":"1ms","cache":"2h","cache_refused":"0s"}},"tier":{"default":"free"}}]}}"#,
        &[
            "tokens.issuers[0].keys.introspection.client_id: found ``; allowed: 1 to 1024 bytes of text without control characters",
            "tokens.issuers[0].keys.introspection.path: found `x`; allowed: a path such as `/token/introspection`, at most 1024 visible ASCII characters",
            "tokens.issuers[0].keys.introspection.client_secret: found 5 bytes; allowed: at least 16 bytes",
            "tokens.issuers[0].keys.introspection.timeout: found `1ms`; allowed: a duration from `50ms` to `30s`",
            "tokens.issuers[0].keys.introspection.cache: found `2h`; allowed: a duration from `1s` to `3600s`",
            "tokens.issuers[0].keys.introspection.cache_refused: found `0s`; allowed: a duration from `1s` to `600s`",
        ],
    ),
    (
        r#"{"backend":{"cluster":"b","credential":{"inline":"a credential of some length"}},"tokens":{"issuers":[
            {"issuer":"i","audiences":[],"keys":{"introspection":{"cluster":"c","path":"/x","client_id":"a","client_secret":{"inline":"a secret of some length"}}},"consumer":{"known_by":"credential"}},
            {"issuer":"j","audiences":[],"keys":{"introspection":{"cluster":"c","path":"/x","client_id":"a","client_secret":{"inline":"a secret of some length"}}},"tier":{"default":"free"}}]}}"#,
        &[
            "tokens.issuers[0].consumer.known_by: found `credential` with opaque tokens; allowed: another: the backend's own tokens are signed",
            "tokens.issuers: found several with `keys.introspection`; allowed: one: an opaque token does not say whose it is",
        ],
    ),
    (
        issuer!(r#""keys":{},"tier":{"default":"free"}"#),
        &["tokens.issuers[0].keys: found none or several of `jwks`, `remote`, `secrets` and `introspection`; allowed: one of them"],
    ),
    (
        issuer!(r#""keys":{"jwks":{"keys":[]},"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"}"#),
        &["tokens.issuers[0].keys: found none or several of `jwks`, `remote`, `secrets` and `introspection`; allowed: one of them"],
    ),
    (
        issuer!(r#""keys":{"secrets":[],"jwks":{"keys":[]}},"consumer":{"claim":"/~"}"#),
        &[
            "tokens.issuers[0].keys: found none or several of `jwks`, `remote`, `secrets` and `introspection`; allowed: one of them",
            "tokens.issuers[0].consumer.claim: found `/~`; allowed: a claim's name, or a JSON pointer that starts with `/`, at most 256 characters and 8 levels",
            "tokens.issuers[0].tier: found nothing; allowed: `claim`, `default`, or both: the token's consumer needs a tier",
        ],
    ),
    (
        issuer!(r#""keys":{"jwks":{"keys":[]}},"tier":{"default":"free"}"#),
        &["tokens.issuers[0].keys.jwks: found no key; allowed: a set of keys (RFC 7517)"],
    ),
    (
        issuer!(r#""keys":{"jwks":[]},"tier":{"default":"free"}"#),
        &[
            "tokens.issuers[0].keys.jwks: found something else; allowed: a set of keys (RFC 7517), but it is not a JSON object with a list `keys` of objects, each member once",
        ],
    ),
    (
        issuer!(r#""keys":{"jwks":{"keys":[1]}},"tier":{"default":"free"}"#),
        &[
            "tokens.issuers[0].keys.jwks: found something else; allowed: a set of keys (RFC 7517), but it is not a JSON object with a list `keys` of objects, each member once",
        ],
    ),
    (
        issuer!(
            r#""keys":{"jwks":{"keys":[{"kty":"oct","k":"AAAA"},{},{"kty":"RSA","n":"AQ","e":"AQAB"},{"kty":"x"},{"kty":"EC","use":"enc"},{"kty":"EC","d":"AA"},{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}},"tier":{"default":"free"}"#
        ),
        &[
            "tokens.issuers[0].keys.jwks.keys[0]: found a key that cannot be used; allowed: a public key, but it is a secret, and a set is public",
            "tokens.issuers[0].keys.jwks.keys[1]: found a key that cannot be used; allowed: a public key, but `kty` is missing or malformed",
            "tokens.issuers[0].keys.jwks.keys[2]: found a key that cannot be used; allowed: a public key, but it is not a key of its kind that is strong enough (RSA: 2048 to 4096 bits, exponent 65537)",
            "tokens.issuers[0].keys.jwks.keys[3]: found a key that cannot be used; allowed: a public key, but `kty` names a kind that verifies no token here",
            "tokens.issuers[0].keys.jwks.keys[4]: found a key that cannot be used; allowed: a public key, but it is not for verifying signatures",
            "tokens.issuers[0].keys.jwks.keys[5]: found a key that cannot be used; allowed: a public key, but it holds a private key (`d`)",
        ],
    ),
    (
        issuer!(
            r#""algorithms":["ES256","EdDSA"],"keys":{"jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}},"tier":{"default":"free"}"#
        ),
        &["tokens.issuers[0].algorithms[0]: found `ES256`; allowed: one of `EdDSA`, which fit its keys"],
    ),
    (issuer!(r#""keys":{"secrets":[]},"tier":{"default":"free"}"#), &["tokens.issuers[0].keys.secrets: found 0 secrets; allowed: 1 to 8"]),
    (
        issuer!(
            r#""keys":{"secrets":[{"secret":{"inline":"0123456789abcdef0123456789abcde"}},{"secret":{"env":"SHORT"}},{"secret":{"env":"UNSET"}},{"secret":{}}]},"tier":{"default":"free"}"#
        ),
        &[
            "tokens.issuers[0].keys.secrets[0].secret: found 31 bytes; allowed: at least 32 bytes (48 for HS384, 64 for HS512)",
            "tokens.issuers[0].keys.secrets[1].secret: found 4 bytes; allowed: at least 16 bytes",
            "tokens.issuers[0].keys.secrets[2].secret.env: found `UNSET`, which is not set; allowed: a variable of the VM's environment (`host_env_keys`)",
            "tokens.issuers[0].keys.secrets[3].secret: found both or neither of `env` and `inline`; allowed: one of them",
        ],
    ),
    (
        issuer!(
            r#""keys":{"secrets":[{"kid":"","secret":{"inline":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZQ"},"encoding":"base64url"},{"secret":{"inline":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="},"encoding":"base64url"}]},"tier":{"default":"free"}"#
        ),
        &[
            "tokens.issuers[0].keys.secrets[0].kid: found ``; allowed: 1 to 256 bytes of text without control characters",
            "tokens.issuers[0].keys.secrets[0].secret: found 31 bytes; allowed: at least 32 bytes (48 for HS384, 64 for HS512)",
            "tokens.issuers[0].keys.secrets[1].secret: found another text; allowed: base64url without padding",
        ],
    ),
    (
        issuer!(
            r#""algorithms":["HS384","RS256"],"keys":{"secrets":[{"secret":{"inline":"0123456789abcdef0123456789abcdef"}}]},"tier":{"default":"free"}"#
        ),
        &[
            "tokens.issuers[0].algorithms[0]: found `HS384`; allowed: one of `HS256`, which fit its keys",
            "tokens.issuers[0].algorithms[1]: found `RS256`; allowed: one of `HS256`, which fit its keys",
        ],
    ),
    (
        remote!(r#""cluster":"","path":"""#),
        &[
            "tokens.issuers[0].keys.remote.cluster: found ``; allowed: the name of a cluster of the proxy: 1 to 256 visible ASCII characters",
            "tokens.issuers[0].keys.remote.cluster: found ``; allowed: a host, with or without a port",
            "tokens.issuers[0].keys.remote.path: found ``; allowed: a path such as `/.well-known/jwks.json`, at most 1024 visible ASCII characters",
        ],
    ),
    (
        remote!(r#""cluster":"a b","path":"jwks""#),
        &[
            "tokens.issuers[0].keys.remote.cluster: found `a b`; allowed: the name of a cluster of the proxy: 1 to 256 visible ASCII characters",
            "tokens.issuers[0].keys.remote.cluster: found `a b`; allowed: a host, with or without a port",
            "tokens.issuers[0].keys.remote.path: found `jwks`; allowed: a path such as `/.well-known/jwks.json`, at most 1024 visible ASCII characters",
        ],
    ),
    (
        remote!(r#""cluster":"idp","authority":"a b","path":"/a#b""#),
        &[
            "tokens.issuers[0].keys.remote.authority: found `a b`; allowed: a host, with or without a port",
            "tokens.issuers[0].keys.remote.path: found `/a#b`; allowed: a path such as `/.well-known/jwks.json`, at most 1024 visible ASCII characters",
        ],
    ),
    (
        remote!(r#""cluster":"outbound|443||a\"b","path":"/a b""#),
        &[
            r#"tokens.issuers[0].keys.remote.cluster: found `a\"b`; allowed: a host, with or without a port"#,
            "tokens.issuers[0].keys.remote.path: found `/a b`; allowed: a path such as `/.well-known/jwks.json`, at most 1024 visible ASCII characters",
        ],
    ),
    (
        remote!(r#""cluster":"idp","path":"/a","timeout":"49ms","refresh":"9s","pause":"99ms","max_staleness":"59s""#),
        &[
            "tokens.issuers[0].keys.remote.timeout: found `49ms`; allowed: a duration from `50ms` to `30s`",
            "tokens.issuers[0].keys.remote.refresh: found `9s`; allowed: a duration from `10s` to `86400s`",
            "tokens.issuers[0].keys.remote.pause: found `99ms`; allowed: a duration from `100ms` to `600s`",
            "tokens.issuers[0].keys.remote.max_staleness: found `59s`; allowed: a duration from `60s` to `2592000s`",
        ],
    ),
    (
        remote!(r#""cluster":"idp","path":"/a","timeout":"31s","refresh":"25h","pause":"601s","max_staleness":"31d""#),
        &[
            "tokens.issuers[0].keys.remote.timeout: found `31s`; allowed: a duration from `50ms` to `30s`",
            "tokens.issuers[0].keys.remote.refresh: found `25h`; allowed: a duration from `10s` to `86400s`",
            "tokens.issuers[0].keys.remote.pause: found `601s`; allowed: a duration from `100ms` to `600s`",
            "tokens.issuers[0].keys.remote.max_staleness: found `31d`; allowed: a duration from `60s` to `2592000s`",
        ],
    ),
    (
        remote!(r#""cluster":"idp","path":"/a","refresh":"1h","max_staleness":"59m""#),
        &[
            "tokens.issuers[0].keys.remote.max_staleness: found less than `refresh`; allowed: at least `refresh`: keys would not be trusted before they are due",
        ],
    ),
    (
        issuer!(r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}}"#),
        &["tokens.issuers[0].tier: found nothing; allowed: `claim`, `default`, or both: the token's consumer needs a tier"],
    ),
    (
        issuer!(r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{}"#),
        &["tokens.issuers[0].tier: found nothing; allowed: `claim`, `default`, or both: the token's consumer needs a tier"],
    ),
    (
        issuer!(r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"values":{"gold":"free"}}"#),
        &["tokens.issuers[0].tier: found nothing; allowed: `claim`, `default`, or both: the token's consumer needs a tier"],
    ),
    (
        issuer!(r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free","values":{"gold":"free"}}"#),
        &["tokens.issuers[0].tier.values: found values without a claim; allowed: also `claim`"],
    ),
    (
        issuer!(r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"gold"}"#),
        &["tokens.issuers[0].tier.default: found `gold`; allowed: one of `free`, `basic`, `pro`, `enterprise`"],
    ),
    (
        issuer!(r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"claim":"","default":"free"}"#),
        &[
            "tokens.issuers[0].tier.claim: found ``; allowed: a claim's name, or a JSON pointer that starts with `/`, at most 256 characters and 8 levels",
        ],
    ),
    (
        issuer!(r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"claim":"plan","values":{"a":"free","b":"gold"}}"#),
        &["tokens.issuers[0].tier.values.b: found `gold`; allowed: one of `free`, `basic`, `pro`, `enterprise`"],
    ),
    (
        issuer!(r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}},"consumer":{"known_by":"configuration"},"tier":{"default":"free"}"#),
        &[
            "tokens.issuers[0].tier: found a tier for a consumer that others know; allowed: nothing: whoever knows the consumer knows its tier",
        ],
    ),
    (
        issuer!(r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}},"consumer":{"known_by":"backend"}"#),
        &["tokens.issuers[0].consumer.known_by: found `backend` without a backend; allowed: set `backend`, or name another"],
    ),
    (
        issuer!(r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}},"consumer":{"known_by":"credential","prefix":"own:"}"#),
        &[
            "tokens.issuers[0].consumer.known_by: found `credential` without a backend; allowed: set `backend`, or name another",
            "tokens.issuers[0].consumer.prefix: found a prefix; allowed: nothing: the backend's tokens name its consumers as they are",
        ],
    ),
    (
        issuer!(r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}},"consumer":{"known_by":"nobody"}"#),
        &[
            "tokens.issuers[0].consumer.known_by: found unknown variant `nobody` (line 1, column 154); allowed: one of `token`, `configuration`, `backend`, `credential`",
        ],
    ),
    (
        issuer!(
            r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"},"consumer":{"claim":"/1/2/3/4/5/6/7/8/9","prefix":"a b"}"#
        ),
        &[
            "tokens.issuers[0].consumer.claim: found `/1/2/3/4/5/6/7/8/9`; allowed: a claim's name, or a JSON pointer that starts with `/`, at most 256 characters and 8 levels",
            r#"tokens.issuers[0].consumer.prefix: found `a b`; allowed: at most 64 visible ASCII characters, none of them `"` or `\`"#,
        ],
    ),
    (
        issuer!(
            r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"},"consumer":{"prefix":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#
        ),
        &[
            r#"tokens.issuers[0].consumer.prefix: found `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`; allowed: at most 64 visible ASCII characters, none of them `"` or `\`"#,
        ],
    ),
    (
        issuer!(
            r#""keys":{"remote":{"cluster":"idp","path":"/jwks"}},"tier":{"default":"free"},"scopes":{"claim":"/~2","default":["a b"]},"roles":{"claim":"","strip_prefix":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","default":["ok","\""]}"#
        ),
        &[
            r#"tokens.issuers[0].scopes.default[0]: found `a b`; allowed: 1 to 128 visible ASCII characters, none of them `"` or `\`"#,
            "tokens.issuers[0].scopes.claim: found `/~2`; allowed: a claim's name, or a JSON pointer that starts with `/`, at most 256 characters and 8 levels",
            r#"tokens.issuers[0].roles.default[1]: found `\"`; allowed: 1 to 128 visible ASCII characters, none of them `"` or `\`"#,
            "tokens.issuers[0].roles.claim: found ``; allowed: a claim's name, or a JSON pointer that starts with `/`, at most 256 characters and 8 levels",
            "tokens.issuers[0].roles.strip_prefix: found 257 bytes; allowed: at most 256 bytes",
        ],
    ),
    (
        r#"{"tokens":{"issuers":[{"issuer":"a","keys":{}}]}}"#,
        &["tokens.issuers[0]: found nothing (line 1, column 46); allowed: the field `audiences` is required"],
    ),
    (
        r#"{"tokens":{"issuers":[{"issuer":"a","audiences":[],"keys":{"remote":{"path":"/a"}}}]}}"#,
        &["tokens.issuers[0].keys.remote: found nothing (line 1, column 81); allowed: the field `cluster` is required"],
    ),
    (
        r#"{"tokens":{"issuers":[{"issuer":"a","audiences":[],"keys":{"jwks":{"keys":[],"keys":[]}}}]}}"#,
        &["tokens.issuers[0].keys.jwks: found a member is there twice (line 1, column 87); allowed: JSON as in the schema"],
    ),
    (
        r#"{"tokens":{"issuers":[{"issuer":"a","audiences":[],"keys":{"secrets":[{"secret":{"inline":"x"},"encoding":"hex"}]}}]}}"#,
        &["tokens.issuers[0].keys.secrets[0].encoding: found unknown variant `hex` (line 1, column 111); allowed: `text` or `base64url`"],
    ),
    (
        r#"{"tokens":{"issuer":[]}}"#,
        &["tokens.issuer: found unknown field `issuer` (line 1, column 19); allowed: one of `issuers`, `longest`, `failed_per_address`"],
    ),
];

/// What routes require, and what keys are granted.
pub(in super::super) const REQUIREMENTS: &[Wrong] = &[
    (
        route!(r#""exempt":true,"require":{"scopes":{"all":["a"]}}"#),
        &["routes[0].require: found a requirement where no credential is needed; allowed: `auth` `required`, and no `exempt`"],
    ),
    (
        route!(r#""auth":"optional","require":{"roles":{"any":["a"]}}"#),
        &["routes[0].require: found a requirement where no credential is needed; allowed: `auth` `required`, and no `exempt`"],
    ),
    (
        route!(r#""auth":"none","require":{"claims":{"all":[{"claim":"a"}]}}"#),
        &["routes[0].require: found a requirement where no credential is needed; allowed: `auth` `required`, and no `exempt`"],
    ),
    (route!(r#""require":{}"#), &["routes[0].require: found nothing that is required; allowed: `scopes`, `roles` or `claims`"]),
    (
        route!(r#""require":{"scopes":{"all":[],"any":[]},"roles":{},"claims":{"all":[],"any":[]}}"#),
        &["routes[0].require: found nothing that is required; allowed: `scopes`, `roles` or `claims`"],
    ),
    (
        route!(r#""require":{"scopes":{"all":["a b"],"any":["","ok"]},"roles":{"all":["ä"],"any":["\\"]}}"#),
        &[
            r#"routes[0].require.scopes.all[0]: found `a b`; allowed: 1 to 128 visible ASCII characters, none of them `"` or `\`"#,
            r#"routes[0].require.scopes.any[0]: found ``; allowed: 1 to 128 visible ASCII characters, none of them `"` or `\`"#,
            r#"routes[0].require.roles.all[0]: found `ä`; allowed: 1 to 128 visible ASCII characters, none of them `"` or `\`"#,
            r#"routes[0].require.roles.any[0]: found `\\`; allowed: 1 to 128 visible ASCII characters, none of them `"` or `\`"#,
        ],
    ),
    (
        route!(
            r#""require":{"claims":{"all":[{"claim":"","values":[]},{"claim":"ok"}],"any":[{"claim":"/~"},{"claim":"x","values":[]}]}}"#
        ),
        &[
            "routes[0].require.claims.all[0].values: found an empty list; allowed: values; without the field anything but `null`",
            "routes[0].require.claims.all[0].claim: found ``; allowed: a claim's name, or a JSON pointer that starts with `/`, at most 256 characters and 8 levels",
            "routes[0].require.claims.any[0].claim: found `/~`; allowed: a claim's name, or a JSON pointer that starts with `/`, at most 256 characters and 8 levels",
            "routes[0].require.claims.any[1].values: found an empty list; allowed: values; without the field anything but `null`",
        ],
    ),
    (
        route!(r#""require":{"claims":{"all":[{"claim":"/~x"}]},"scopes":{"all":["a b"]}}"#),
        &[
            r#"routes[0].require.scopes.all[0]: found `a b`; allowed: 1 to 128 visible ASCII characters, none of them `"` or `\`"#,
            "routes[0].require.claims.all[0].claim: found `/~x`; allowed: a claim's name, or a JSON pointer that starts with `/`, at most 256 characters and 8 levels",
        ],
    ),
    (
        r#"{"consumers":[{"id":"a","tier":"free","keys":[{"id":"k","hash":"sha256:0000000000000000000000000000000000000000000000000000000000000000","scopes":["a b"],"roles":[""]}]}]}"#,
        &[
            r#"consumers[0].keys[0].scopes[0]: found `a b`; allowed: 1 to 128 visible ASCII characters, none of them `"` or `\`"#,
            r#"consumers[0].keys[0].roles[0]: found ``; allowed: 1 to 128 visible ASCII characters, none of them `"` or `\`"#,
        ],
    ),
];
