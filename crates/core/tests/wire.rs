//! Holds the wire format to its golden files: version 1 is written and read as they say, for as long as there are nodes that speak it.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test, also in its functions without an attribute")]

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_core::abuse::Subject;
use tollgate_core::config::check_tier;
use tollgate_core::credential::digest;
use tollgate_core::wire::{
    Acknowledged, Blocks, Changes, Effect, Either, Hello, Report, Resolve, ResolveConsumer, ResolveCredential, Resolved, ResolvedConsumer,
    Revocations, Settle, Settled, TakeNonces, TakenNonces, Welcome, WireError, decode, encode,
};

fn golden(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/1").join(name)).unwrap()
}

/// Reads a golden file and writes the same again.
fn agrees<T: DeserializeOwned + Serialize>(name: &str, seen: &mut BTreeSet<String>) -> T {
    let text = golden(name);
    let message: T = decode(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(String::from_utf8(encode(&message).unwrap()).unwrap(), text.trim_end(), "{name}");
    seen.insert(name.to_owned());
    message
}

#[test]
fn version_1_is_as_the_golden_files_say() {
    let mut seen = BTreeSet::new();
    let hello: Hello = agrees("hello.json", &mut seen);
    assert_eq!(hello.incarnation(), "5947d7c33d783f94b3b4c1a96ebc8991");
    agrees::<Welcome>("welcome.json", &mut seen);
    assert!(agrees::<Resolve>("resolve-able.json", &mut seen).limits_credentials);
    assert!(agrees::<ResolveCredential>("resolve-credential-able.json", &mut seen).checks_signatures);
    assert!(!agrees::<Resolve>("resolve.json", &mut seen).checks_signatures, "an older node");
    assert_eq!(agrees::<Resolve>("resolve-imported.json", &mut seen).id, None);
    let resolved: Resolved = agrees("resolved.json", &mut seen);
    assert_eq!(check_tier(&resolved.known.unwrap().tier), Ok(()));
    agrees::<Resolved>("resolved-unlimited.json", &mut seen);
    let ruled = agrees::<Resolved>("resolved-rules.json", &mut seen).known.unwrap();
    assert_eq!((ruled.roles[0].as_str(), ruled.addresses.deny[0].as_str()), ("editor", "192.0.2.7"));
    assert_eq!(ruled.consumer_addresses.deny, ["2001:db8::/32"]);
    let signing = agrees::<Resolved>("resolved-signing.json", &mut seen).known.unwrap().signing.unwrap();
    assert!(signing.required && !format!("{signing:?}").contains(&signing.secret), "{signing:?}");
    let limited = agrees::<Resolved>("resolved-limits.json", &mut seen).known.unwrap();
    assert_eq!(limited.account.as_deref(), Some("acme/fedcba9876543210"));
    assert_eq!(check_tier(&limited.own.unwrap()), Ok(()));
    let either: Either = decode(golden("resolved-consumer-rules.json").as_bytes()).unwrap();
    assert_eq!(either.addresses, agrees::<ResolvedConsumer>("resolved-consumer-rules.json", &mut seen).addresses);
    let asked = agrees::<Resolve>("resolve-leases.json", &mut seen).leases.unwrap();
    assert_eq!((asked.lease, asked.need, asked.route.as_str()), (17, 2, "search"));
    let first = agrees::<Resolved>("resolved-leases.json", &mut seen);
    assert_eq!((first.limits[0].as_str(), first.settled.as_ref().unwrap().answers[0].granted), ("monthly", 15));
    let unsettled = agrees::<Resolved>("resolved-unsettled.json", &mut seen);
    assert_eq!((unsettled.limits, unsettled.settled), (first.limits.clone(), None));
    assert_eq!(agrees::<ResolveConsumer>("resolve-consumer-leases.json", &mut seen).leases, Some(asked));
    assert_eq!(agrees::<ResolvedConsumer>("resolved-consumer-leases.json", &mut seen).settled, first.settled);
    let either: Either = decode(golden("resolved-leases.json").as_bytes()).unwrap();
    assert_eq!((either.known, either.limits, either.settled), (first.known, first.limits, first.settled));
    let either: Either = decode(golden("resolved-consumer.json").as_bytes()).unwrap();
    assert_eq!((either.known, either.tier.map(|tier| tier.name)), (None, Some("enterprise".to_owned())));
    assert_eq!(agrees::<Resolved>("resolved-unknown.json", &mut seen).known, None);
    assert_eq!(agrees::<ResolveConsumer>("resolve-consumer.json", &mut seen).consumer, "acme");
    assert_eq!(agrees::<ResolveCredential>("resolve-credential.json", &mut seen).credential, "0123456789abcdef");
    let revocations: Revocations = agrees("revocations.json", &mut seen);
    assert_eq!((revocations.revoked[0].ends_in_ms, revocations.next), (900_000, Some(12)));
    assert_eq!(agrees::<Changes>("changes-revoked.json", &mut seen).changes[0].revoked, revocations.revoked.first().cloned());
    let consumer: ResolvedConsumer = agrees("resolved-consumer.json", &mut seen);
    assert_eq!((consumer.revision, consumer.tier.map(|tier| tier.name)), (41, Some("enterprise".to_owned())));
    assert_eq!(agrees::<ResolvedConsumer>("resolved-consumer-unknown.json", &mut seen).tier, None);
    let changes: Changes = agrees("changes.json", &mut seen);
    let gone = |position: usize| changes.changes[position].credential.as_ref().unwrap().gone;
    assert!(gone(0) && !gone(1) && !changes.reset && !changes.more);
    assert!(agrees::<Changes>("changes-more.json", &mut seen).more);
    assert_eq!(changes.changes[3].consumer.as_ref().unwrap().tier, None);
    agrees::<Changes>("changes-tier.json", &mut seen);
    agrees::<Changes>("changes-none.json", &mut seen);
    assert!(agrees::<Changes>("changes-reset.json", &mut seen).reset);
    agrees::<Report>("report.json", &mut seen);
    agrees::<Report>("report-empty.json", &mut seen);
    agrees::<Acknowledged>("acknowledged.json", &mut seen);
    let report: Report = agrees("report-leases.json", &mut seen);
    assert_eq!((report.leases.len(), report.overages[0].units), (1, 250));
    assert!(agrees::<Acknowledged>("acknowledged-leases.json", &mut seen).leases[0].closed);
    assert_eq!(agrees::<Settle>("settle.json", &mut seen).asks[1].own, 11);
    assert_eq!(agrees::<Settle>("settle-ahead.json", &mut seen).asks[0].after, 1_795_824_000_000);
    assert_eq!(agrees::<Settled>("settled-ahead.json", &mut seen).answers[0].opens_in_ms, 6_500);
    assert_eq!(agrees::<Settled>("settled.json", &mut seen).answers[1].retry_ms, 1_000);
    assert_eq!(agrees::<Changes>("changes-recall.json", &mut seen).changes[0].recall.as_ref().unwrap().limit, "monthly");
    let changes: Changes = agrees("changes-block.json", &mut seen);
    let blocks: Vec<_> = changes.changes.iter().map(|change| change.block.as_ref().unwrap()).collect();
    assert_eq!(blocks[0].subject.parse(), Ok(Subject::Address("192.0.2.7/32".parse().unwrap())));
    assert_eq!((blocks[0].effect, blocks[1].effect, blocks[2].effect), (Effect::Unknown, Effect::All, Effect::Approve));
    assert!(agrees::<Report>("report-abuse.json", &mut seen).abuse[1].shadow);
    assert_eq!(agrees::<Acknowledged>("acknowledged-abuse.json", &mut seen).unblocked, ["address:192.0.2.7/32"]);
    let refused = agrees::<Report>("report-refused.json", &mut seen).refused;
    assert_eq!((refused[0].count, refused[1].consumer.as_deref(), refused[2].address.as_deref()), (3, Some("acme"), None));
    assert_eq!(agrees::<Blocks>("blocks.json", &mut seen).next, Some(17));
    let sha256: [u8; 32] = digest(b"abc");
    let taken: TakeNonces = agrees("take-nonces.json", &mut seen);
    assert_eq!(TakeNonces::write([(sha256, 331_000)].into_iter()), golden("take-nonces.json").trim_end().as_bytes());
    let two = TakeNonces { nonces: vec![taken.nonces[0].clone(), taken.nonces[0].clone()] };
    assert_eq!(TakeNonces::write([(sha256, 331_000); 2].into_iter()), encode(&two).unwrap());
    let taken: TakenNonces = agrees("taken-nonces.json", &mut seen);
    assert_eq!(
        (taken.first.as_slice(), TakenNonces::read(golden("taken-nonces.json").as_bytes())),
        (&[true, false][..], Some(taken.clone()))
    );
    for wrong in ["", "{}", r#"{"wire":"tollgate-node/2","first":[]}"#, r#"{"wire":"tollgate-node/1","first":[1]}"#] {
        assert_eq!(TakenNonces::read(wrong.as_bytes()), None, "{wrong}");
    }
    let there = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/1")).unwrap();
    let there: BTreeSet<String> = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(seen, there, "golden files that nothing reads, or the other way round");
}

#[test]
fn tokens_secrets_and_hashes_of_keys_are_not_shown() {
    let (welcome, resolve): (Welcome, Resolve) =
        (decode(golden("welcome.json").as_bytes()).unwrap(), decode(golden("resolve.json").as_bytes()).unwrap());
    let hello: Hello = decode(golden("hello.json").as_bytes()).unwrap();
    let shown = format!("{hello:?} {welcome:?} {resolve:?}");
    assert!(!shown.contains(&hello.incarnation_secret) && shown.contains("gateway-7"), "{shown}");
    assert!(!shown.contains(&welcome.token) && !shown.contains(&resolve.sha256) && shown.contains("expires_in_ms"), "{shown}");
}

#[test]
fn members_of_a_later_minor_form_are_ignored() {
    let later = golden("resolved-unknown.json").replace('}', r#","dues":[{"id":1}]}"#);
    assert_eq!(decode::<Resolved>(later.as_bytes()).unwrap(), Resolved { revision: 41, ..Resolved::default() });
}

#[test]
fn other_formats_and_versions_are_refused_by_name() {
    for wire in [r#""tollgate-node/0""#, r#""tollgate-node/2""#, r#""tollgate-node""#, r#""other/1""#, r#""tollgate-node/01x""#, "null"] {
        let message = golden("acknowledged.json").replace(r#""tollgate-node/1""#, wire);
        assert!(matches!(decode::<Acknowledged>(message.as_bytes()), Err(WireError::Version(_))), "{wire}");
    }
    assert!(matches!(decode::<Acknowledged>(br#"{"sequence":3}"#), Err(WireError::Version(said)) if said.is_empty()));
    for malformed in [&b""[..], b"{", b"[]", br#"{"wire":1}"#, br#"{"wire":"tollgate-node/1"}"#, b"<html>"] {
        assert!(matches!(decode::<Acknowledged>(malformed), Err(WireError::Malformed(_))), "{malformed:?}");
    }
}

#[test]
fn a_limit_that_a_node_cannot_enforce_is_never_overlooked() {
    let newer = golden("resolved-unlimited.json").replace(r#""limits":[]"#, r#""limits":[],"quotas":[{"units":5}]"#);
    assert!(matches!(decode::<Resolved>(newer.as_bytes()), Err(WireError::Malformed(_))));
    let newer = golden("resolved-consumer.json").replace(r#""limits":[]"#, r#""limits":[],"quotas":[{"units":5}]"#);
    assert!(matches!(decode::<ResolvedConsumer>(newer.as_bytes()), Err(WireError::Malformed(_))));
}
