//! Thousands of requests nobody would write: each gets an answer, none gets in without a key, and the filter goes on.
//!
//! `TOLLGATE_FUZZ_SEED` repeats a run; its seed is printed.

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_tests::plugin::{ACME, bucket, consumer, tier};
use tollgate_tests::{Call, Gate, Http, RawRequest, Setup, run};

const CLIENTS: u64 = 8;
const RAW_REQUESTS: u64 = 400;
const FRAMED_REQUESTS: u64 = 150;
const EXPECTED: [u16; 8] = [200, 400, 401, 403, 404, 429, 431, 503];

fn plugin() -> Value {
    json!({
        "tiers": [tier("wide", &[bucket("wide", 100, "1s", 500)])],
        "consumers": [consumer("acme", "wide", ACME)],
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
    method: &'static [u8],
    target: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    keyed: bool,
}

impl Odd {
    fn draw(random: &mut Rng) -> Self {
        let keyed = random.bool();
        let key = if keyed { ACME } else { "acme-key" };
        let count = random.usize(0..6);
        let mut headers: Vec<_> = (0..count).map(|_| (name(random), value(random, key))).collect();
        if random.u8(0..4) == 0 {
            headers.push((b"x-api-key".to_vec(), key.as_bytes().to_vec()));
        }
        let methods: [&[u8]; 6] = [b"GET", b"POST", b"OPTIONS", b"DELETE", b"get", b"X!#"];
        Self { method: methods[random.usize(0..methods.len())], target: target(random, key), headers, keyed }
    }
}

fn pick<'all>(random: &mut Rng, all: &[&'all str]) -> &'all str {
    all[random.usize(0..all.len())]
}

fn noise(random: &mut Rng, longest: usize) -> Vec<u8> {
    let length = random.usize(0..=longest);
    (0..length).map(|_| random.u8(..)).collect()
}

fn target(random: &mut Rng, key: &str) -> Vec<u8> {
    let parts = [
        "/",
        "a",
        "..",
        ".",
        "%2e",
        "%2F",
        "%5c",
        "%00",
        "\\",
        "?",
        "&",
        "=",
        "#",
        "api_key",
        "api_key=",
        "%",
        "%f",
        "%ff",
        ";",
        "t",
        "/t/1/x",
        "/r/",
        "/h",
        "//",
        "*",
        "http://gate/",
        ":",
        "@",
        " ",
        "%61pi_key=",
        key,
    ];
    let mut target = b"/".to_vec();
    for _ in 0..random.usize(0..12) {
        match random.u8(0..8) {
            0 => target.extend(noise(random, 4)),
            _ => target.extend_from_slice(pick(random, &parts).as_bytes()),
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
        "host",
        "x-forwarded-for",
        "te",
        "accept",
        "x-request-id",
        "a",
    ];
    match random.u8(0..10) {
        0 => noise(random, 12),
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
        key,
    ];
    let mut value = Vec::new();
    for _ in 0..random.usize(0..6) {
        match random.u8(0..5) {
            0 => value.extend(noise(random, 20)),
            1 => value.extend(std::iter::repeat_n(random.u8(..), random.usize(0..1200))),
            _ => value.extend_from_slice(pick(random, &parts).as_bytes()),
        }
    }
    value
}

/// As bytes on a socket, however broken. A proxy may close on such a request without a word.
async fn send_raw(gate: &Gate, odd: &Odd) {
    let mut request = RawRequest::start(&[odd.method, b" ", &odd.target, b" HTTP/1.1"].concat()).line("host: gate");
    for (name, value) in &odd.headers {
        request = request.line([name, b": ".as_slice(), value].concat());
    }
    if let Some(answer) = request.try_send(gate).await {
        assert!(EXPECTED.contains(&answer.status), "{answer:?} to {request:?}");
        assert!(odd.keyed || !answer.reached_upstream(), "let in without a key: {request:?}");
    }
}

/// As a well-formed request over HTTP/2: what a library would not send is left out.
async fn send_framed(gate: &Gate, odd: &Odd) {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"/.%\\;:@&=?_-*".contains(byte);
    let target: String = odd.target.iter().filter(|byte| allowed(byte)).map(|&byte| char::from(byte)).collect();
    let method = if odd.method == b"get" { "GET" } else { std::str::from_utf8(odd.method).unwrap() };
    let mut call = Call::new(method, &target);
    for (name, value) in &odd.headers {
        let name: String =
            name.iter().filter(|byte| byte.is_ascii_alphabetic() || b"-_".contains(byte)).map(|&byte| char::from(byte)).collect();
        let value: Vec<u8> = value.iter().copied().filter(|&byte| byte >= b' ' && byte != 0x7f).collect();
        if !name.is_empty() && !name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case("te") {
            call = call.header(&name, value);
        }
    }
    if let Ok(answer) = call.clone().try_send(gate, Http::Two).await {
        let grpc = answer.status == 200 && answer.headers.contains_key("grpc-status");
        assert!(grpc || EXPECTED.contains(&answer.status.as_u16()), "{answer:?} to {call:?}");
        assert!(odd.keyed || !answer.reached_upstream(), "let in without a key: {call:?}");
    }
}

#[test]
fn odd_requests_get_an_answer_and_leave_the_gate_as_it_was() {
    run(async {
        let seed = std::env::var("TOLLGATE_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("TOLLGATE_FUZZ_SEED={seed}");
        let gate = std::sync::Arc::new(Setup::new("fuzz", &plugin()).start().await);
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let gate = std::sync::Arc::clone(&gate);
            clients.spawn(async move {
                let mut random = Rng::with_seed(seed.wrapping_add(client));
                for _ in 0..RAW_REQUESTS {
                    send_raw(&gate, &Odd::draw(&mut random)).await;
                }
                for _ in 0..FRAMED_REQUESTS {
                    send_framed(&gate, &Odd::draw(&mut random)).await;
                }
            });
        }
        clients.join_all().await;
        gate.assert_untrapped().await;
        for http in Http::BOTH {
            Call::get("/well").send(&gate, http).await.assert_denied(401, "unauthenticated");
            tollgate_tests::until("units to refill", std::time::Duration::from_secs(20), async || {
                Call::get("/well").bearer(ACME).send(&gate, http).await.reached_upstream().then_some(())
            })
            .await;
        }
    });
}
