//! A data directory is made once, and what is missing of it again; nobody else can read it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tollgate_server::clock::SystemClock;
use tollgate_server::init::{InitError, Initialised, init};
use tollgate_server::page::Page;
use tollgate_server::permission::{Principal, Role};
use tollgate_server::secrets::{KeyHashing, Secrets, SecretsError};
use tollgate_server::store::Store;
use tollgate_server::{admin_keys, nodes, tiers};

use crate::setup::{committed, environment};

const FILES: [&str; 12] = [
    "admin.key",
    "node.credential",
    "secrets/encryption.1",
    "secrets/issuer.1",
    "secrets/pepper.1",
    "secrets/token.key",
    "tls/ca.key",
    "tls/ca.pem",
    "tls/client.key",
    "tls/client.pem",
    "tls/server.key",
    "tls/server.pem",
];

async fn make(dir: &Path, names: &[&str]) -> Result<Initialised, InitError> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    init(dir, &names, &[], Arc::new(SystemClock)).await
}

/// All files below a directory and what is in them, but for the database's.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for below in ["", "secrets", "tls"] {
        for entry in std::fs::read_dir(dir.join(below)).unwrap().flatten() {
            let name = entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            if entry.file_type().unwrap().is_file() && !name.starts_with("tollgate.db") && !name.starts_with("ledger.db") {
                found.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

fn read(dir: &Path, file: &str) -> String {
    std::fs::read_to_string(dir.join(file)).unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn everything_is_there_and_only_its_owner_can_read_it() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let initialised = make(&dir, &[]).await.unwrap();
    assert_eq!(files(&dir).into_keys().collect::<Vec<_>>(), FILES);
    assert_eq!((initialised.made.len(), initialised.kept.len()), (FILES.len(), 0));
    let mode = |name: &str| dir.join(name).metadata().unwrap().permissions().mode() & 0o777;
    for file in FILES.iter().copied().chain(["tollgate.db", "ledger.db"]) {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    for directory in ["", "secrets", "tls"] {
        assert_eq!(mode(directory), 0o700, "{directory}");
    }
    let secrets = ["secrets/pepper.1", "secrets/issuer.1", "secrets/encryption.1", "secrets/token.key"].map(|file| read(&dir, file));
    assert!(secrets.iter().all(|secret| secret.len() == 43), "256 bits each");
    assert!(secrets[0] != secrets[1] && secrets[1] != secrets[2]);
}

#[tokio::test]
async fn a_second_time_makes_nothing_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[]).await.unwrap();
    let before = files(dir.path());
    let again = make(dir.path(), &["other.example"]).await.unwrap();
    assert_eq!((again.made.len(), again.kept.len()), (0, FILES.len()));
    assert_eq!(files(dir.path()), before);
}

#[tokio::test]
async fn the_first_credentials_work() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[]).await.unwrap();
    let store = Store::open(dir.path(), Arc::new(SystemClock)).await.unwrap();
    let secrets = Secrets::load(dir.path(), [], "foil", KeyHashing::default()).unwrap();
    let admin = admin_keys::authenticate(&store, &secrets, &read(dir.path(), "admin.key")).await.unwrap().unwrap();
    assert_eq!((admin.role, admin.organisation), (Role::Admin, None));
    assert!(nodes::authenticate(&store, &secrets, &read(dir.path(), "node.credential")).await.unwrap().is_some());
    assert_eq!(tiers::list(&store, &Principal::backend("test"), &Page::default()).await.unwrap().items.len(), 4);
}

#[tokio::test]
async fn what_was_taken_away_is_made_again_and_all_else_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[]).await.unwrap();
    let before = files(dir.path());
    for missing in ["admin.key", "tls/server.pem", "secrets/token.key"] {
        std::fs::remove_file(dir.path().join(missing)).unwrap();
        let again = make(dir.path(), &[]).await.unwrap();
        assert_eq!(again.made, [dir.path().join(missing)]);
    }
    for (file, content) in files(dir.path()) {
        let same = content == before[&file];
        assert_eq!(same, !["admin.key", "tls/server.pem", "secrets/token.key"].contains(&file.as_str()), "{file}");
    }
    let store = Store::open(dir.path(), Arc::new(SystemClock)).await.unwrap();
    let secrets = Secrets::load(dir.path(), [], "foil", KeyHashing::default()).unwrap();
    for key in [read(dir.path(), "admin.key"), String::from_utf8(before["admin.key"].clone()).unwrap().trim_end().to_owned()] {
        assert!(admin_keys::authenticate(&store, &secrets, &key).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[]).await.unwrap();
    std::fs::remove_file(dir.path().join("secrets/token.key")).unwrap();
    std::fs::write(dir.path().join("secrets/token.key.half"), "ab").unwrap();
    make(dir.path(), &[]).await.unwrap();
    assert_eq!(files(dir.path()).into_keys().collect::<Vec<_>>(), FILES);
    assert_eq!(read(dir.path(), "secrets/token.key").len(), 43);
}

#[tokio::test]
async fn newer_secrets_and_those_of_the_environment_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[]).await.unwrap();
    std::fs::rename(dir.path().join("secrets/pepper.1"), dir.path().join("secrets/pepper.2")).unwrap();
    assert_eq!(make(dir.path(), &[]).await.unwrap().made, [""; 0].map(std::path::PathBuf::from));
    let other = tempfile::tempdir().unwrap();
    init(other.path(), &[], &environment(&[1]), Arc::new(SystemClock)).await.unwrap();
    assert!(files(other.path()).keys().all(|file| !file.starts_with("secrets/")));
    let store = Store::open(other.path(), Arc::new(SystemClock)).await.unwrap();
    let secrets = Secrets::load(other.path(), environment(&[1]), "foil", KeyHashing::default()).unwrap();
    assert!(admin_keys::authenticate(&store, &secrets, &read(other.path(), "admin.key")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_certificate_without_its_key_or_its_authority_is_not_guessed_at() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[]).await.unwrap();
    for (missing, named) in [(&["tls/server.key"][..], "tls/server.key"), (&["tls/ca.key", "tls/ca.pem"], "tls/ca.key")] {
        let away: Vec<_> = missing.iter().map(|file| (dir.path().join(file), std::fs::read(dir.path().join(file)).unwrap())).collect();
        away.iter().for_each(|(path, _)| std::fs::remove_file(path).unwrap());
        let error = make(dir.path(), &[]).await.unwrap_err();
        assert!(matches!(&error, InitError::Torn(path) if *path == dir.path().join(named)), "{error}");
        away.iter().for_each(|(path, content)| std::fs::write(path, content).unwrap());
    }
    std::fs::remove_file(dir.path().join("tls/ca.key")).unwrap();
    assert!(make(dir.path(), &[]).await.is_ok(), "the authority's key may be put away");
}

#[tokio::test]
async fn an_open_secret_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[]).await.unwrap();
    let path = dir.path().join("secrets/pepper.1");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let error = make(dir.path(), &[]).await.unwrap_err();
    assert!(matches!(&error, InitError::Secrets(SecretsError::Open(open)) if *open == path), "{error}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("data"), "").unwrap();
    let error = make(&dir.path().join("data/below"), &[]).await.unwrap_err();
    assert!(error.to_string().contains("data/below"), "{error}");
}

/// Both sides show their certificates and trust only the directory's authority.
async fn shakes_hands(dir: &Path, name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = |name: &str| CertificateDer::pem_file_iter(dir.join(name)).unwrap().map(Result::unwrap).collect::<Vec<_>>();
    let key = |name: &str| PrivateKeyDer::from_pem_file(dir.join(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(chain("tls/ca.pem").remove(0))?;
    let roots = Arc::new(roots);
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let server = server.with_client_cert_verifier(verifier).with_single_cert(chain("tls/server.pem"), key("tls/server.key"))?;
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let client = client.with_root_certificates(roots).with_client_auth_cert(chain("tls/client.pem"), key("tls/client.key"))?;
    let (near, far) = tokio::io::duplex(16 * 1024);
    let serve = async {
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(far).await?;
        stream.write_all(b"hello").await?;
        stream.shutdown().await
    };
    let ask = async {
        let mut stream = TlsConnector::from(Arc::new(client)).connect(ServerName::try_from(name.to_owned()).unwrap(), near).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        Ok::<_, std::io::Error>(said)
    };
    let (served, asked) = tokio::join!(serve, ask);
    assert_eq!(asked?, "hello");
    served?;
    Ok(())
}

#[tokio::test]
async fn a_node_and_the_backend_trust_each_other_by_the_names_that_were_given() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &["tollgate.example", "10.0.0.7"]).await.unwrap();
    for name in ["localhost", "127.0.0.1", "tollgate.example", "10.0.0.7"] {
        shakes_hands(dir.path(), name).await.unwrap();
    }
    assert!(shakes_hands(dir.path(), "other.example").await.is_err());
    for remade in ["tls/server.pem", "tls/client.pem"] {
        std::fs::remove_file(dir.path().join(remade)).unwrap();
    }
    make(dir.path(), &["other.example"]).await.unwrap();
    shakes_hands(dir.path(), "other.example").await.unwrap();
}

#[tokio::test]
async fn an_organisation_and_tiers_that_were_changed_are_not_made_again() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[]).await.unwrap();
    let store = Store::open(dir.path(), Arc::new(SystemClock)).await.unwrap();
    let principal = Principal::backend("test");
    let backend = Stored { store };
    committed!(backend, |write| tiers::delete(write, &principal, "basic", None)).unwrap();
    make(dir.path(), &[]).await.unwrap();
    assert_eq!(tiers::list(&backend.store, &principal, &Page::default()).await.unwrap().items.len(), 3);
}

struct Stored {
    store: Store,
}
