use std::os::unix::fs::PermissionsExt;

use super::*;

fn environment(names: &[&str]) -> Vec<(String, String)> {
    names.iter().map(|name| ((*name).to_owned(), format!("the secret of {name}"))).collect()
}

fn load(dir: &Path, names: &[&str]) -> Result<Secrets, SecretsError> {
    Secrets::load(dir, environment(names), "foil", KeyHashing::default())
}

const ALL: [&str; 4] = ["TOLLGATE_PEPPER_1", "TOLLGATE_ISSUER_KEY_1", "TOLLGATE_TOKEN_KEY", "TOLLGATE_ENCRYPTION_KEY_1"];

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("secrets")).unwrap();
    for (name, content) in files {
        let path = dir.path().join("secrets").join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    dir
}

#[test]
fn each_kind_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    assert!(load(dir.path(), &ALL).is_ok());
    for (missing, kind) in [(0, "pepper"), (1, "issuer key"), (2, "token key"), (3, "encryption key")] {
        let mut names = ALL.to_vec();
        names.remove(missing);
        let error = load(dir.path(), &names).unwrap_err();
        assert!(matches!(error, SecretsError::Missing(named) if named == kind), "{error}");
    }
}

#[test]
fn files_and_environment_are_one_and_the_environment_counts() {
    let dir = directory(&[
        ("pepper.1", "pepper one of the file\n"),
        ("pepper.2", "pepper two of the file\r\n"),
        ("pepper.2~", "x"),
        ("pepper.02", "x"),
        ("issuer.1", "issuer key of the file"),
        ("token.key", "token key of the file"),
        ("encryption.1", "encryption key of the file"),
        ("README", "x"),
    ]);
    let secrets = load(dir.path(), &["TOLLGATE_PEPPER_1", "TOLLGATE_PEPPER_10", "TOLLGATE_LISTEN", "PATH"]).unwrap();
    let texts: Vec<_> =
        secrets.held().peppers.iter().map(|(version, pepper)| (*version, String::from_utf8_lossy(pepper.expose()).into_owned())).collect();
    let expected = [(1, "the secret of TOLLGATE_PEPPER_1"), (2, "pepper two of the file"), (10, "the secret of TOLLGATE_PEPPER_10")];
    assert_eq!(texts, expected.map(|(version, text)| (version, text.to_owned())));
    assert_eq!(secrets.newest_pepper().unwrap().0, 10);
    assert_eq!(secrets.held().tokens[&0].expose(), b"token key of the file");
}

#[test]
fn a_secret_that_others_can_read_or_that_is_short_is_refused_by_name() {
    let dir = directory(&[("pepper.1", "fifteen bytes..\n")]);
    let error = load(dir.path(), &ALL[1..]).unwrap_err();
    assert!(matches!(&error, SecretsError::Short { name, length: 15, least: 16 } if name.ends_with("secrets/pepper.1")), "{error}");
    let path = dir.path().join("secrets/pepper.1");
    std::fs::write(&path, "long enough for a secret").unwrap();
    for (mode, taken) in [(0o600, true), (0o400, true), (0o440, true), (0o604, false), (0o620, false), (0o601, false)] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(load(dir.path(), &ALL[1..]).is_ok(), taken, "{mode:o}");
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(load(dir.path(), &ALL[1..]).unwrap_err(), SecretsError::Open(_) | SecretsError::Read { .. }));
    let short = [("TOLLGATE_PEPPER_1".to_owned(), "short".to_owned())];
    let error = Secrets::load(Path::new("/nonexistent"), short, "foil", KeyHashing::default()).unwrap_err();
    assert!(matches!(&error, SecretsError::Short { name, length: 5, least: 16 } if name == "TOLLGATE_PEPPER_1"), "{error}");
}

#[test]
fn a_variable_without_a_version_is_refused_by_name() {
    for name in [
        "TOLLGATE_PEPPER_",
        "TOLLGATE_PEPPER_X",
        "TOLLGATE_PEPPER_0",
        "TOLLGATE_ISSUER_KEY_01",
        "TOLLGATE_ISSUER_KEY_-1",
        "TOLLGATE_ENCRYPTION_KEY_",
    ] {
        let error = load(Path::new("/nonexistent"), &[name]).unwrap_err();
        assert!(matches!(&error, SecretsError::Version(named) if named == name), "{error}");
    }
}

#[test]
fn a_prefix_that_cannot_be_or_is_taken_is_refused() {
    for prefix in ["", "f", "Foil", "1foil", "foil_", "tga", "tgn", "seventeenletterss"] {
        let error = Secrets::load(Path::new("/nonexistent"), environment(&ALL), prefix, KeyHashing::default()).unwrap_err();
        assert!(matches!(error, SecretsError::Prefix(_)), "{prefix}: {error}");
    }
}

#[test]
fn no_secret_shows() {
    let secrets = load(Path::new("/nonexistent"), &ALL).unwrap();
    let issued = secrets.issue(Purpose::Admin).unwrap();
    let shown = format!("{secrets:?} {issued:?}");
    assert!(!shown.contains("the secret of") && !shown.contains(issued.shown.expose()), "{shown}");
}

#[test]
fn a_credential_is_recognised_for_its_purpose_alone() {
    let secrets = load(Path::new("/nonexistent"), &ALL).unwrap();
    let purposes = [Purpose::Api, Purpose::Admin, Purpose::Node];
    for purpose in purposes {
        let issued = secrets.issue(purpose).unwrap();
        for other in purposes {
            let id = secrets.recognise(other, issued.shown.expose());
            assert_eq!(id, (purpose == other).then_some(issued.id.as_str()), "{purpose:?} {other:?}");
        }
    }
}

#[test]
fn what_is_sealed_opens_with_the_same_word_and_pepper_alone() {
    let secrets = load(Path::new("/nonexistent"), &ALL).unwrap();
    let sealed = secrets.seal(&[b"word"], b"bound", b"answer").unwrap();
    assert_eq!(secrets.open(&[b"word"], b"bound", &sealed).unwrap(), b"answer");
    assert!(!sealed.windows(6).any(|window| window == b"answer"));
    assert_ne!(secrets.seal(&[b"word"], b"bound", b"answer").unwrap(), sealed, "a new nonce each time");
    assert!(secrets.open(&[b"wor", b"d"], b"bound", &sealed).is_err(), "parts do not run into each other");
    assert!(secrets.open(&[b"word"], b"other", &sealed).is_err());
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(secrets.open(&[b"word"], b"bound", &changed).is_err(), "{at}");
    }
    assert!(secrets.open(&[b"word"], b"bound", &sealed[..5]).is_err());
    let others = load(Path::new("/nonexistent"), &["TOLLGATE_PEPPER_2", ALL[1], ALL[2], ALL[3]]).unwrap();
    assert!(others.open(&[b"word"], b"bound", &sealed).is_err());
}

#[test]
fn random_ids_are_base62_of_the_length_asked_for() {
    let ids: Vec<String> = (0..100).map(|_| random_id(16).unwrap()).collect();
    assert!(ids.iter().all(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())));
    assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), 100);
}
