//! Runs core where the filter runs it: on 32 bits, without an operating system. `tools/wasm_test.sh` starts it under Node.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, reason = "wasm_bindgen_test makes no functions that clippy knows as tests")]

use tollgate_core::bucket::{BucketState, TokenBucket};
use tollgate_core::config;
use tollgate_core::credential::{IssuerKey, KeyHash, Provenance, digest};
use tollgate_core::route::{Target, decode_path};
use tollgate_core::secret::Secret;
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::window::{SlidingWindow, WindowState};
use wasm_bindgen_test::wasm_bindgen_test;

const EXAMPLE: &[u8] = include_bytes!("../../../examples/plugin.json");

fn at(seconds: u64) -> Instant {
    Instant(seconds * SECOND)
}

#[wasm_bindgen_test]
fn a_bucket_throttles_after_its_burst_and_recovers_after_one_refill() {
    let bucket = TokenBucket::new(10, SECOND, 3).unwrap();
    let mut state = BucketState::default();
    for _ in 0..3 {
        state = bucket.spend(state, at(1), at(1), 1).unwrap();
    }
    assert_eq!(bucket.spend(state, at(1), at(1), 1), None);
    let refilled = at(1).after(SECOND / 10);
    assert_eq!(bucket.until_admitted(state, at(1), 1), Some(SECOND / 10));
    assert!(bucket.spend(state, refilled, refilled, 1).is_some());
}

#[wasm_bindgen_test]
fn a_bucket_of_the_largest_numbers_does_not_overflow() {
    let bucket = TokenBucket::new(999_999_937, 86_400 * SECOND, 1_000_000_000).unwrap();
    let late = Instant(u64::MAX - 1);
    let state = bucket.spend(BucketState::default(), late, late, 1_000_000_000).unwrap();
    assert_eq!(bucket.remaining(state, late), 0);
    assert_eq!(bucket.spend(state, late, late, 1), None);
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    assert_eq!(BucketState::decode(&bytes), Some(state));
}

#[wasm_bindgen_test]
fn a_window_admits_its_limit_and_no_more() {
    let window = SlidingWindow::new(100, 60 * SECOND).unwrap();
    let state = window.spend(WindowState::default(), at(1_000), at(1_000), 100).unwrap();
    assert_eq!(window.remaining(state, at(1_000)), 0);
    assert_eq!(window.spend(state, at(1_059), at(1_059), 1), None);
    assert!(window.spend(state, at(1_062), at(1_062), 100).is_some());
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    assert_eq!(WindowState::decode(&bytes), Some(state));
}

#[wasm_bindgen_test]
fn paths_are_decoded_and_ambiguous_ones_refused() {
    assert_eq!(decode_path(b"/a%20b/c?d=%2e").as_deref(), Ok("/a b/c"));
    for path in [&b"/a/../b"[..], b"/a/%2e%2e/b", b"/a%2fb", b"//a", b"/a\\b", b"/a%00", b"/%ff", b"a"] {
        assert!(decode_path(path).is_err(), "{}", path.escape_ascii());
    }
}

#[wasm_bindgen_test]
fn keys_are_hashed_and_judged_as_elsewhere() {
    // FIPS 180-4, the example of one block; HMAC-SHA-256 over it from another implementation.
    let plain = KeyHash::of(&digest(b"abc"), None).to_string();
    assert_eq!(plain, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    let pepper = Secret::new(b"0123456789abcdef".to_vec());
    let peppered = KeyHash::of(&digest(b"abc"), Some(&pepper)).to_string();
    assert_eq!(peppered, "hmac-sha256:077f330df0c40e5da552d0b17a2e3df628fba72938255b2393af50747010031d");
    let issuer_key = IssuerKey::new(1, "foil", Secret::new(vec![7; 32])).unwrap();
    let mut next = 0_u8;
    let key = issuer_key.issue(&mut |bytes| {
        for byte in bytes {
            *byte = next;
            next = next.wrapping_mul(5).wrapping_add(3);
        }
    });
    assert_eq!(issuer_key.judge(key.as_bytes()), Provenance::Issued);
    assert_eq!(issuer_key.judge(key.replace("foil_0", "foil_1").as_bytes()), Provenance::Forged);
    assert_eq!(issuer_key.judge(format!("{key}x").as_bytes()), Provenance::Foreign);
}

#[wasm_bindgen_test]
fn the_example_compiles_and_routes() {
    let secret = |_: &str| Some("0123456789abcdef".repeat(2));
    let policy = config::load(EXAMPLE, &secret).unwrap();
    let route = |path| policy.route(Target { method: b"GET", authority: b"api.example.com", path }).unwrap().1;
    assert_eq!(route("/v1/search/tracks").cost, 5);
    assert_eq!(route("/v1/users/7").name, "user");
    assert_eq!(route("/v1/reports/12").name, "report");
    assert_eq!(route("/").name, "default");
    assert!(route("/healthz").exempt);
}

#[wasm_bindgen_test]
fn a_wrong_document_is_a_problem_and_no_trap() {
    let nothing = |_: &str| None;
    let problems = config::load(br#"{"realm":"","node":{"slots":1}}"#, &nothing).unwrap_err();
    assert_eq!(problems.0.len(), 2);
    assert!(config::load("[".repeat(100_000).as_bytes(), &nothing).is_err());
}
