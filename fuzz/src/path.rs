//! Owns the targets for paths: what a decoded path may hold, and that writing it differently changes nothing.

use bolero::{check, produce};
use tollgate_core::route::{Target, decode_path};

use crate::fixture::POLICY;
use crate::input::{numbers, text, words};
use crate::{BRIEFLY, plain};

fn words_of_paths() -> Vec<Vec<u8>> {
    words(
        "/|/|/|a|..|.|%2e|%2E|%2f|%5c|%3b|%25|%252e|%00|%7f|%c3%a9|%c3|%|%e|%+1|;|;x=1|\\|#|?|*|//|\u{e9}|\u{ff0e}|/open|\
         /healthz",
    )
}

/// Each byte of `path` escaped if `escape` says so; slashes never.
fn escaped(path: &[u8], mut escape: impl FnMut(usize, u8) -> bool) -> Vec<u8> {
    let write = |(place, byte): (usize, &u8)| match *byte != b'/' && escape(place, *byte) {
        true if place % 2 == 0 => format!("%{byte:02x}").into_bytes(),
        true => format!("%{byte:02X}").into_bytes(),
        false => vec![*byte],
    };
    path.iter().enumerate().flat_map(write).collect()
}

fn is_harmless(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f && byte != b'\\'
}

/// Holds a decoded path to what `decode_path` promises.
fn check_decoded(target: &[u8]) {
    let Ok(path) = decode_path(target) else { return };
    if path == "*" {
        assert!(target == b"*" || target.starts_with(b"*?"));
        return;
    }
    let segments: Vec<&str> = path.strip_prefix('/').expect("absolute").split('/').collect();
    for (place, segment) in segments.iter().enumerate() {
        assert!(*segment != "." && *segment != "..", "{path:?}");
        assert!(!segment.is_empty() || place + 1 == segments.len(), "an empty segment: {path:?}");
    }
    assert!(path.bytes().all(|byte| is_harmless(byte) && byte != b';'), "{path:?}");
    let again = escaped(path.as_bytes(), |_, _| true);
    assert_eq!(decode_path(&again).as_deref(), Ok(&*path), "written in full");
    let raw = target.split(|byte| *byte == b'?').next().unwrap();
    let slashes = |path: &[u8]| path.iter().filter(|byte| **byte == b'/').count();
    assert_eq!(slashes(raw), segments.len(), "{}", raw.escape_ascii());
    // Also in parameters, which some servers read and others do not.
    let plain = plain::unescape(raw);
    assert!(!raw.contains(&b'#') && plain.iter().copied().all(is_harmless), "{}", raw.escape_ascii());
    assert_eq!(slashes(&plain), segments.len(), "{}", raw.escape_ascii());
}

#[test]
fn any_bytes_decode_to_an_unambiguous_path_or_are_refused() {
    check!().with_test_time(BRIEFLY).with_max_len(128).for_each(check_decoded);
}

#[test]
fn any_words_decode_to_an_unambiguous_path_or_are_refused() {
    check!().with_test_time(BRIEFLY).with_generator(numbers(8)).for_each(|path| {
        check_decoded(&text(path, &words_of_paths()));
        check_decoded(&[b"/".to_vec(), text(path, &words_of_paths())].concat());
    });
}

#[test]
fn escapes_of_unreserved_characters_change_no_route() {
    let route = |target: &[u8]| {
        let path = decode_path(target).ok()?;
        POLICY.route(Target { method: b"GET", authority: b"", path: &path }).map(|(position, _)| position)
    };
    let parts = words("/|/|/open|/healthz|/either/|/users/|open|x|..|.|~|-7|;");
    check!().with_test_time(BRIEFLY).with_generator((numbers(6), produce::<u64>())).for_each(|(path, mask)| {
        let path = [b"/".to_vec(), text(path, &parts)].concat();
        let path = if path.starts_with(b"//") { &path[1..] } else { &path };
        // The digits of an escape are no characters of the path.
        if path.contains(&b'%') || path.contains(&b'?') {
            return;
        }
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let other = escaped(path, |place, byte| unreserved(byte) && mask >> (place % 64) & 1 == 1);
        assert_eq!(route(path), route(&other), "{} and {}", path.escape_ascii(), other.escape_ascii());
    });
}
