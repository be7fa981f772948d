use tollgate_core::credential::{IssuerKey, KeyHash, Provenance, digest};
use tollgate_core::secret::Secret;

use crate::command::tollgate;

const KEY: &str = "foil_f3rvHOhRpHDD569KuBIC7uB98AYhopsL6R7otm9sS65K06wVHzUF0OY6q";
const SECRET: &str = "0123456789abcdef";

fn secret() -> Secret {
    Secret::new(SECRET.as_bytes().to_vec())
}

#[test]
fn hashes_the_key_on_standard_input() {
    let run = tollgate(&["hash"], &[], format!("{KEY}\n").as_bytes());
    assert_eq!((run.status, run.out), (0, format!("{}\n", KeyHash::of(&digest(KEY.as_bytes()), None))));
    assert!(!run.err.contains(KEY));
}

#[test]
fn hashes_under_a_pepper() {
    let run = tollgate(&["hash", "--pepper-env", "PEPPER", "--json"], &[("PEPPER", SECRET)], KEY.as_bytes());
    let answer: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let expected = KeyHash::of(&digest(KEY.as_bytes()), Some(&secret())).to_string();
    assert_eq!(answer, serde_json::json!({"hash": expected}));
}

#[test]
fn refuses_keys_that_cannot_work_without_showing_them() {
    for (input, said) in [("short-key", "9 characters"), ("a key with spaces and more", "byte 2 "), ("", "no key")] {
        let run = tollgate(&["hash"], &[], input.as_bytes());
        assert_eq!((run.status, run.out.as_str()), (1, ""), "{input}");
        assert!(run.err.contains(said), "{}", run.err);
        assert!(input.is_empty() || !run.err.contains(input), "{}", run.err);
    }
    assert_eq!(tollgate(&["hash"], &[], &[b'k'; 10_000]).status, 1);
    assert_eq!(tollgate(&["hash", "--weak-key"], &[], b"short-key").status, 0);
}

#[test]
fn never_takes_a_key_as_an_argument() {
    assert_eq!(tollgate(&["hash", KEY], &[], b"").status, 2);
}

#[test]
fn refuses_secrets_that_are_not_set_or_too_short() {
    for variables in [&[][..], &[("PEPPER", "short")]] {
        let run = tollgate(&["hash", "--pepper-env", "PEPPER"], variables, KEY.as_bytes());
        assert_eq!((run.status, run.out.as_str()), (2, ""));
        assert!(run.err.contains("PEPPER") && !run.err.contains("short\n"), "{}", run.err);
    }
}

#[test]
fn makes_a_key_that_its_issuer_recognises() {
    let arguments = ["hash", "--generate", "--prefix", "acme", "--issuer-key-env", "ISSUER", "--issuer-key-version", "3", "--json"];
    let run = tollgate(&arguments, &[("ISSUER", SECRET)], b"");
    let answer: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let key = answer["key"].as_str().unwrap();
    assert_eq!(answer["hash"], KeyHash::of(&digest(key.as_bytes()), None).to_string());
    assert_eq!(IssuerKey::new(3, "acme", secret()).unwrap().judge(key.as_bytes()), Provenance::Issued);
    assert_eq!(IssuerKey::new(2, "acme", secret()).unwrap().judge(key.as_bytes()), Provenance::Forged);
}

#[test]
fn makes_another_key_each_time_and_labels_it() {
    let made: Vec<String> = (0..3).map(|_| tollgate(&["hash", "--generate"], &[], b"").out).collect();
    for lines in &made {
        let (key, hash) = lines.strip_prefix("key:  ").unwrap().trim_end().split_once("\nhash: ").unwrap();
        assert!(key.starts_with("foil_") && key.len() == 62, "{key}");
        assert_eq!(hash, KeyHash::of(&digest(key.as_bytes()), None).to_string());
    }
    // The tags differ anyhow, as each has an issuer key of its own: what counts is id and secret before them.
    let random = |lines: &String| lines.chars().skip("key:  foil_".len()).take(49).collect::<String>();
    assert!(random(&made[0]) != random(&made[1]) && random(&made[1]) != random(&made[2]));
    assert_eq!(tollgate(&["hash", "--generate", "--prefix", "Bad"], &[], b"").status, 2);
    assert_eq!(tollgate(&["hash", "--generate", "--issuer-key-env", "ISSUER"], &[], b"").status, 2, "a version is missing");
}
