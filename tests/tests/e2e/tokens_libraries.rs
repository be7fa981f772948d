//! Tokens that other libraries mint, under keys as these export them: PyJWT, jwcrypto, and jose.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tollgate_tests::packages::packages;
use tollgate_tests::plugin::{claims, issuer, tier};
use tollgate_tests::signer::{base64, unbase64};
use tollgate_tests::{Call, Connection, Gate, Http, Setup, run};

const LIBRARIES: [&str; 3] = ["PyJWT", "jwcrypto", "jose"];
const ALGORITHMS: [&str; 13] =
    ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

/// What a library minted under one key.
struct Minted {
    algorithm: String,
    jwk: Value,
    tokens: Vec<String>,
}

fn is_shared(algorithm: &str) -> bool {
    algorithm.starts_with("HS")
}

fn issuer_of(library: &str) -> String {
    format!("https://{}.example", library.to_lowercase())
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Tokens of one library with each set of claims, under each of its keys.
fn mint(library: &str, claims: &[Value]) -> Vec<Minted> {
    let (libraries, programs) = (packages("TOKEN_LIBRARIES", "token_libraries.sh"), root().join("tests/mint"));
    let mut command = if library == "jose" {
        let mut command = Command::new("node");
        command.arg(programs.join("mint.mjs"));
        command
    } else {
        let mut command = Command::new("python3");
        command.arg(programs.join("mint.py")).arg(library.to_lowercase()).env("PYTHONPATH", libraries.join("python"));
        command
    };
    let mut child = command.env("TOKEN_LIBRARIES", &libraries).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect(library);
    serde_json::to_writer(child.stdin.take().unwrap(), &json!({"claims": claims})).unwrap();
    let minted = child.wait_with_output().unwrap();
    assert!(minted.status.success(), "{library} does not mint");
    let minted: Vec<Value> = serde_json::from_slice(&minted.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let read = |minted: Value| Minted {
        algorithm: text(&minted["algorithm"]),
        jwk: minted["jwk"].clone(),
        tokens: minted["tokens"].as_array().unwrap().iter().map(text).collect(),
    };
    minted.into_iter().map(read).collect()
}

/// Several forms of claims that mean the same: consumer `acme`, for this API, for an hour.
fn forms(issuer: &str) -> Vec<Value> {
    let more = [
        json!({"jti": "plain"}),
        json!({"jti": "list", "aud": ["other", "api"], "iat": 1_700_000_000, "nbf": 1_700_000_000}),
        json!({"jti": "fraction", "iat": 1_700_000_000.25, "scope": "a b c", "roles": ["x", "y"]}),
        json!({"jti": "letters", "name": "J\u{fc}rgen \u{1f511} \"quoted\" \\ \u{7f}", "deep": {"a": [{"b": [[1, 2.5, null, true]]}]}}),
    ];
    more.iter().map(|more| claims(issuer, "acme", more)).collect()
}

/// The gate that trusts the keys of all libraries: those that are public by a set, the others as secrets.
async fn start(minted: &BTreeMap<&str, Vec<Minted>>) -> Gate {
    let mut issuers = Vec::new();
    let mut environment = Vec::new();
    for (library, minted) in minted {
        let keys: Vec<&Value> = minted.iter().filter(|minted| !is_shared(&minted.algorithm)).map(|minted| &minted.jwk).collect();
        issuers.push(issuer(&issuer_of(library), &json!({"jwks": {"keys": keys}}), &json!({"algorithms": &ALGORITHMS[3..]})));
        let shared = minted.iter().filter(|minted| is_shared(&minted.algorithm)).map(|minted| {
            let variable = format!("{}_{}", library.to_uppercase(), minted.algorithm);
            environment.push((variable.clone(), minted.jwk["k"].as_str().unwrap().to_owned()));
            json!({"kid": minted.jwk["kid"], "secret": {"env": variable}, "encoding": "base64url"})
        });
        let secrets: Vec<Value> = shared.collect();
        issuers.push(issuer(&format!("{}/shared", issuer_of(library)), &json!({"secrets": secrets}), &json!({})));
    }
    let plugin = json!({
        "tiers": [tier("open", &[])],
        "tokens": {"failed_per_address": 1_000_000, "issuers": issuers},
    });
    let setup = Setup::new("tokens-libraries", &plugin);
    environment.iter().fold(setup, |setup, (name, value)| setup.secret(name, value)).start().await
}

/// The token in forms in which it must not pass, each with what was done to it.
fn tampered(token: &str) -> Vec<(&'static str, String)> {
    let [header, payload, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let changed = |part: &str, name: &str, value: Value| {
        let mut members: Value = serde_json::from_slice(&unbase64(part)).unwrap();
        members[name] = value;
        base64(members.to_string())
    };
    let bytes = unbase64(signature);
    let flipped = |position: usize| {
        let mut forged = bytes.clone();
        forged[position] ^= 1;
        base64(forged)
    };
    let members: Value = serde_json::from_slice(&unbase64(header)).unwrap();
    let algorithm = members["alg"].as_str().unwrap();
    let sibling = match algorithm {
        "EdDSA" => "ES256".to_owned(),
        known if known.ends_with("256") => known.replace("256", "384"),
        known => format!("{}256", &known[..2]),
    };
    vec![
        ("first bit of the signature", format!("{header}.{payload}.{}", flipped(0))),
        ("last bit of the signature", format!("{header}.{payload}.{}", flipped(bytes.len() - 1))),
        ("payload", format!("{header}.{}.{signature}", changed(payload, "sub", json!("root")))),
        ("algorithm", format!("{}.{payload}.{signature}", changed(header, "alg", json!(sibling)))),
        ("no algorithm", format!("{}.{payload}.{signature}", changed(header, "alg", json!("none")))),
        ("key id", format!("{}.{payload}.{signature}", changed(header, "kid", json!("another")))),
        ("truncated", token[..token.len() - 4].to_owned()),
        ("no signature", format!("{header}.{payload}.")),
    ]
}

#[test]
fn tokens_of_other_libraries_pass_and_none_that_was_tampered_with() {
    run(async {
        let mint_all = |library| {
            let both = |shared: bool| {
                let own = issuer_of(library);
                let minted = mint(library, &forms(&if shared { format!("{own}/shared") } else { own }));
                minted.into_iter().filter(move |minted| is_shared(&minted.algorithm) == shared)
            };
            (library, both(true).chain(both(false)).collect())
        };
        let minted: BTreeMap<&str, Vec<Minted>> = LIBRARIES.into_iter().map(mint_all).collect();
        let gate = start(&minted).await;
        let mut connections = Vec::new();
        for http in Http::BOTH {
            connections.push(Connection::open(gate.address(), http).await);
        }
        println!("{:10} {:>10} {:>9} {:>8}", "library", "algorithms", "accepted", "refused");
        for (library, minted) in &minted {
            let names: Vec<&str> = minted.iter().map(|minted| minted.algorithm.as_str()).collect();
            assert_eq!(names, ALGORITHMS, "{library}");
            let (mut accepted, mut refused) = (0, 0);
            for Minted { algorithm, tokens, .. } in minted {
                for (token, connection) in tokens.iter().zip((0..2).cycle()) {
                    let connection = &mut connections[connection];
                    let answer = connection.send(Call::get("/a").bearer(token)).await.unwrap();
                    assert!(answer.reached_upstream(), "{library} {algorithm} {token}: {answer:?}");
                    assert_eq!(answer.upstream_saw("x-consumer-id"), ["acme"]);
                    accepted += 1;
                    for (what, token) in tampered(token) {
                        let answer = connection.send(Call::get("/refused").bearer(&token)).await.unwrap();
                        assert!(!answer.reached_upstream(), "{library} {algorithm} {what} {token}");
                        answer.assert_denied(401, "invalid_token");
                        refused += 1;
                    }
                }
            }
            println!("{library:10} {:>10} {accepted:>9} {refused:>8}", names.len());
        }
        gate.assert_untrapped().await;
    });
}
