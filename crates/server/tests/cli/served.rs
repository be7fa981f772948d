//! The client commands against a real backend, where an example would not show it.

use serde_json::Value;

use crate::backend::Backend;
use crate::command::{Run, tollgate};

fn run(backend: &Backend, arguments: &[&str]) -> Run {
    tollgate(arguments, &backend.variables(), b"")
}

fn ok(backend: &Backend, arguments: &[&str]) -> String {
    let run = run(backend, arguments);
    assert_eq!(run.status, 0, "{arguments:?}: {}", run.err);
    run.out
}

#[test]
fn over_tls_the_backends_authority_is_trusted_and_no_other() {
    // The certificate is that of the API of nodes: any with the name would do.
    let directory = tempfile::tempdir().unwrap();
    let made = tollgate(&["init", "--data", directory.path().join("other").to_str().unwrap()], &[], b"");
    assert_eq!(made.status, 0, "{}", made.err);
    let (certificate, key) = (directory.path().join("other/tls/server.pem"), directory.path().join("other/tls/server.key"));
    let backend = Backend::start(&["--tls-certificate", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    assert!(backend.url.starts_with("https://"), "{}", backend.url);

    let trusted = directory.path().join("other/tls/ca.pem");
    assert!(ok(&backend, &["tiers", "list", "--ca", trusted.to_str().unwrap()]).contains("enterprise"));
    let own = backend.data.join("tls/ca.pem");
    let said = |arguments: &[&str]| {
        let run = run(&backend, &[&["tiers", "list"], arguments].concat());
        assert_eq!((run.status, run.out.as_str()), (2, ""));
        run.err
    };
    assert!(said(&["--ca", own.to_str().unwrap()]).ends_with("; --ca FILE must be the authority of this backend\n"));
    assert!(said(&[]).ends_with("; --ca FILE names the authority to trust\n"), "the web's authorities do not know it");
    assert!(said(&["--ca", key.to_str().unwrap()]).ends_with(": no certificate in it\n"));
    assert!(said(&["--url", &backend.url.replace("https", "http")]).ends_with("; does it speak https?\n"));
}

#[test]
fn the_same_command_under_an_idempotency_key_gives_the_same_key_once() {
    let backend = Backend::start(&[]);
    ok(&backend, &["consumers", "create", "acme", "--tier", "free"]);
    let create = |label: &str| {
        run(&backend, &["keys", "create", "--consumer", "acme", "--label", label, "--quiet", "--idempotency-key", "ticket-17"])
    };
    let (first, second) = (create("ci"), create("ci"));
    assert!(first.out.starts_with("foil_") && first.out == second.out, "{} {}", first.err, second.err);
    let other = create("another");
    assert_eq!((other.status, other.out.as_str()), (1, ""), "{}", other.err);
    let list: Value = serde_json::from_str(&ok(&backend, &["keys", "list", "--json"])).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_taken_over_key_is_known_by_its_hash_as_by_itself() {
    let backend = Backend::start(&[]);
    ok(&backend, &["consumers", "create", "acme", "--tier", "free"]);
    let key = b"a-key-of-the-old-gateway-7d1f\n";
    let hash = tollgate(&["hash"], &[], key).out;
    ok(&backend, &["keys", "create", "--consumer", "acme", "--import-hash", hash.trim()]);
    let again = tollgate(&["keys", "create", "--consumer", "acme", "--import"], &backend.variables(), key);
    assert_eq!(again.status, 1, "it is there already: {}", again.err);
}

#[test]
fn every_item_of_a_long_list_comes_once() {
    let backend = Backend::start(&[]);
    for number in 0..7 {
        ok(&backend, &["organisations", "create", &format!("o{number}")]);
    }
    let first = run(&backend, &["organisations", "list", "--limit", "5"]);
    let cursor = first.err.split('\'').nth(1).unwrap();
    let rest = ok(&backend, &["organisations", "list", "--after", cursor]);
    let ids = |text: &str| text.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
    let all = ids(&ok(&backend, &["organisations", "list", "--all"]));
    assert_eq!([ids(&first.out), ids(&rest)].concat(), all);
    assert_eq!(all.len(), 8);
}

#[test]
fn a_key_is_not_in_what_commands_say_afterwards() {
    let backend = Backend::start(&[]);
    ok(&backend, &["consumers", "create", "acme", "--tier", "free"]);
    let key = ok(&backend, &["keys", "create", "--consumer", "acme", "--quiet"]);
    let secret = key.trim().rsplit('_').next().unwrap().get(16..).unwrap().to_owned();
    for arguments in [["keys", "list", "--json"], ["consumers", "list", "--json"], ["keys", "list", "--all"]] {
        assert!(!ok(&backend, &arguments).contains(&secret));
    }
}
