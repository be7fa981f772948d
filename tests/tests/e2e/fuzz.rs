//! Thousands of requests nobody would write: each gets an answer, none gets in without a key, and the filter goes on.
//!
//! `TOLLGATE_FUZZ_SEED` repeats a run; its seed is printed.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_tests::plugin::{ACME, bucket, consumer, tier};
use tollgate_tests::{Call, Gate, Http, RawRequest, Setup, run, until};

const CLIENTS: u64 = 8;
const RAW_REQUESTS: u64 = 800;
const FRAMED_REQUESTS: u64 = 400;
/// 426 is Envoy's to a version of HTTP before 1.1, 431 its to too many headers.
const EXPECTED: [u16; 9] = [200, 400, 401, 403, 404, 426, 429, 431, 503];

fn plugin() -> Value {
    json!({
        "tiers": [tier("narrow", &[bucket("narrow", 50, "1s", 50)])],
        "consumers": [consumer("acme", "narrow", ACME)],
        "credentials": {"sources": [
            {"header": "authorization", "scheme": "Bearer"}, {"header": "x-api-key"}, {"query": "api_key"},
        ]},
        "addresses": {"deny": ["192.0.2.0/24"]},
        "routes": [
            {"name": "template", "match": {"template": "/t/{id}/x"}, "cost": 3},
            {"name": "regex", "match": {"regex": "^/r/[^/]+$"}, "charge_when": ["2xx"]},
            {"name": "hosts", "match": {"prefix": "/h", "hosts": ["*.example.org"], "methods": ["GET", "POST"]},
             "cors": {"origins": ["https://app.example.com"], "credentials": true}},
        ],
    })
}

/// A request of random parts; it holds the one good key only where it says so.
struct Odd {
    method: &'static str,
    target: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    keyed: bool,
}

/// Who judged a request: an answer of the proxy's own says nothing about the filter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judge {
    Proxy,
    Filter,
}

impl Odd {
    fn draw(random: &mut Rng) -> Self {
        let keyed = random.bool();
        let key = if keyed { ACME } else { "acme-key" };
        let mut headers: Vec<_> = (0..random.usize(0..5)).map(|_| (name(random), value(random, key))).collect();
        if random.bool() {
            headers.push((b"x-api-key".to_vec(), key.as_bytes().to_vec()));
        }
        let method = pick(random, &["GET", "GET", "GET", "POST", "OPTIONS", "DELETE", "get", "X!#"]);
        Self { method, target: target(random, key), headers, keyed }
    }
}

fn pick(random: &mut Rng, all: &[&'static str]) -> &'static str {
    all[random.usize(0..all.len())]
}

/// Bytes a header value may hold, or, once in a while, any.
fn noise(random: &mut Rng, longest: usize) -> Vec<u8> {
    let any = random.u8(0..30) == 0;
    let allowed = |byte: u8| any || (byte >= b' ' && byte != 0x7f);
    let length = random.usize(0..=longest);
    std::iter::repeat_with(|| random.u8(..)).filter(|&byte| allowed(byte)).take(length).collect()
}

fn target(random: &mut Rng, key: &str) -> Vec<u8> {
    let plain = [
        "/",
        "a",
        "b",
        "t",
        "/t/1/x",
        "/r/",
        "/h",
        "%61",
        "%ff",
        "%C3%A9",
        ":",
        "@",
        "*",
        ";",
        "?",
        "?",
        "&",
        "=",
        "+",
        "api_key=",
        "api_key",
        "%61pi_key=",
    ];
    let nasty = ["..", ".", "%2e", "%2F", "%5c", "%00", "\\", "#", "%", "%f", "//", " ", "http://gate/"];
    let mut target = b"/".to_vec();
    for _ in 0..random.usize(0..9) {
        match random.u8(0..40) {
            0 => target.extend(noise(random, 4)),
            1..=3 => target.extend_from_slice(pick(random, &nasty).as_bytes()),
            4 | 5 => target.extend_from_slice(key.as_bytes()),
            _ => target.extend_from_slice(pick(random, &plain).as_bytes()),
        }
    }
    target
}

fn name(random: &mut Rng) -> Vec<u8> {
    let names = [
        "authorization",
        "Authorization",
        "x-api-key",
        "X-API-KEY",
        "x_api_key",
        "x-consumer-id",
        "x_consumer_id",
        "origin",
        "access-control-request-method",
        "content-type",
        "cookie",
        "x-forwarded-for",
        "te",
        "accept",
        "x-request-id",
        "a",
    ];
    match random.u8(0..100) {
        0 => noise(random, 12),
        1 => b"host".to_vec(),
        _ => pick(random, &names).as_bytes().to_vec(),
    }
}

fn value(random: &mut Rng, key: &str) -> Vec<u8> {
    let parts = [
        "Bearer ",
        "bearer",
        "Basic ",
        " ",
        ",",
        ";",
        "\t",
        "=",
        "sha256:",
        "foil_",
        "https://app.example.com",
        "application/grpc",
        "192.0.2.7",
        "::1",
        "GET",
        "null",
    ];
    let mut value = Vec::new();
    for _ in 0..random.usize(0..6) {
        match random.u8(0..10) {
            0 | 1 => value.extend(noise(random, 20)),
            2 => value.extend(noise(random, 1200)),
            3 | 4 => value.extend_from_slice(key.as_bytes()),
            _ => value.extend_from_slice(pick(random, &parts).as_bytes()),
        }
    }
    value
}

/// What an answer says of who judged, or what is wrong with it.
fn judged(odd: &Odd, status: u16, admitted: bool, code: &str) -> Result<Judge, String> {
    if !EXPECTED.contains(&status) {
        return Err(format!("answered with {status}"));
    }
    if admitted && !odd.keyed {
        return Err("let in without a key".to_owned());
    }
    Ok(if admitted || !code.is_empty() { Judge::Filter } else { Judge::Proxy })
}

/// As bytes on a socket, however broken. A proxy may close on such a request without a word.
async fn send_raw(gate: &Gate, odd: &Odd) -> Result<Judge, String> {
    let mut request = RawRequest::start(&[odd.method.as_bytes(), b" ", &odd.target, b" HTTP/1.1"].concat()).line("host: gate");
    for (name, value) in &odd.headers {
        request = request.line([name, b": ".as_slice(), value].concat());
    }
    let Some(answer) = request.try_send(gate).await else { return Ok(Judge::Proxy) };
    judged(odd, answer.status, answer.reached_upstream(), &answer.code()).map_err(|wrong| format!("{wrong}: {request:?}"))
}

/// As a well-formed request over HTTP/2: what a library would not send is left out.
async fn send_framed(gate: &Gate, odd: &Odd) -> Result<Judge, String> {
    let keep = |bytes: &[u8], allowed: fn(u8) -> bool| -> String {
        bytes.iter().filter(|&&byte| allowed(byte)).map(|&byte| char::from(byte)).collect()
    };
    let target = keep(&odd.target, |byte| byte.is_ascii_alphanumeric() || b"/.%\\;:@&=?_-*+".contains(&byte));
    let mut call = Call::new(&odd.method.to_uppercase(), &target);
    for (name, value) in &odd.headers {
        let name = keep(name, |byte| byte.is_ascii_alphabetic() || b"-_".contains(&byte));
        let value: Vec<u8> = value.iter().copied().filter(|&byte| byte >= b' ' && byte != 0x7f).collect();
        if !name.is_empty() && !["host", "te"].contains(&&*name.to_lowercase()) {
            call = call.header(&name, value);
        }
    }
    let Ok(answer) = call.clone().try_send(gate, Http::Two).await else { return Ok(Judge::Proxy) };
    let code = match answer.header("grpc-status") {
        Some(status) => status.to_owned(),
        None => serde_json::from_slice(&answer.body).map_or(String::new(), |body: Value| body["error"]["code"].to_string()),
    };
    judged(odd, answer.status.as_u16(), answer.reached_upstream(), &code).map_err(|wrong| format!("{wrong}: {call:?}"))
}

/// One client's requests, up to the first wrong answer; returns how many the filter judged.
async fn drive(gate: Arc<Gate>, seed: u64) -> Result<u64, String> {
    let mut random = Rng::with_seed(seed);
    let mut by_filter = 0;
    for _ in 0..RAW_REQUESTS {
        by_filter += u64::from(send_raw(&gate, &Odd::draw(&mut random)).await? == Judge::Filter);
    }
    for _ in 0..FRAMED_REQUESTS {
        by_filter += u64::from(send_framed(&gate, &Odd::draw(&mut random)).await? == Judge::Filter);
    }
    Ok(by_filter)
}

#[test]
fn odd_requests_get_an_answer_and_leave_the_gate_as_it_was() {
    run(async {
        let seed = std::env::var("TOLLGATE_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("TOLLGATE_FUZZ_SEED={seed}");
        let gate = Arc::new(Setup::new("fuzz", &plugin()).trusting_one_hop().start().await);
        let clients: JoinSet<_> = (0..CLIENTS).map(|client| drive(Arc::clone(&gate), seed.wrapping_add(client))).collect();
        let outcomes = clients.join_all().await;
        let by_filter: u64 = outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|wrong| panic!("{wrong}"))).sum();
        assert!(by_filter > CLIENTS * (RAW_REQUESTS + FRAMED_REQUESTS) / 3, "only {by_filter} requests got as far as the filter");
        gate.assert_untrapped().await;
        for http in Http::BOTH {
            Call::get("/well").send(&gate, http).await.assert_denied(401, "unauthenticated");
            until("units to refill", Duration::from_secs(20), async || {
                Call::get("/well").bearer(ACME).send(&gate, http).await.reached_upstream().then_some(())
            })
            .await;
        }
    });
}
