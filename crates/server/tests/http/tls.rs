//! TLS and mutual TLS on the listeners.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version};

use crate::client::{call, tls};
use crate::service::{Service, data};

/// An authority of this test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, as PEM.
struct Leaf {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    fn leaf(&self) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        Leaf { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

/// A client that trusts `authority` and shows `leaf`, if it has one.
fn client(authority: &str, leaf: Option<&Leaf>, protocols: &[&[u8]], versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match leaf {
        None => builder.with_no_client_auth(),
        Some(leaf) => {
            let chain = CertificateDer::pem_slice_iter(leaf.certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The node API's answer over this client, or that there is none. With TLS 1.3 a refused client hears of it only when it reads.
async fn node_status(service: &Service, config: ClientConfig) -> Result<u16, String> {
    let stream = tls(service.at.node, config).await.map_err(|error| error.to_string())?;
    let reply = call(service.at.node, "GET", "/internal/v1/changes").send_over(stream).await;
    reply.map(|reply| reply.status).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_are_spoken_by_alpn_on_every_listener() {
    let (authority, files) = (Authority::new(), data().await);
    let leaf = authority.leaf();
    let certificate = write(files.path(), "c.pem", &leaf.certificate);
    let key = write(files.path(), "k.pem", &leaf.key);
    let given = [
        ("tls_certificate", certificate.as_str()),
        ("tls_key", &key),
        ("node_tls_certificate", &certificate),
        ("node_tls_key", &key),
        ("operations_tls_certificate", &certificate),
        ("operations_tls_key", &key),
    ];
    let service = Service::start_on(files, &given).await;
    for (address, path, status) in [
        (service.at.public, "/api/openapi.json", 200),
        (service.at.node, "/internal/v1/changes", 401),
        (service.at.operations, "/healthz", 200),
    ] {
        for versions in [&BOTH[..1], &BOTH[1..]] {
            let config = |protocols: &[&[u8]]| client(&authority.pem(), None, protocols, versions);
            let stream = tls(address, config(&[b"h2", b"http/1.1"])).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let expected = if versions[0] == &version::TLS13 { ProtocolVersion::TLSv1_3 } else { ProtocolVersion::TLSv1_2 };
            assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
            assert_eq!(call(address, "GET", path).send_http2_over(stream).await.unwrap().status, status, "{path}");
            for protocols in [&[&b"http/1.1"[..]][..], &[]] {
                let stream = tls(address, config(protocols)).await.unwrap();
                assert_eq!(call(address, "GET", path).send_over(stream).await.unwrap().status, status, "{path}");
            }
        }
        // Without TLS there is no HTTP: what comes back is an alert, or nothing.
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_api_speaks_tls_by_itself_with_the_certificate_of_init() {
    let data = data().await;
    let authority = std::fs::read_to_string(data.path().join("tls/ca.pem")).unwrap();
    let service = Service::start_on(data, &[("node_tls", "true")]).await;
    assert_eq!(node_status(&service, client(&authority, None, &[b"http/1.1"], BOTH)).await, Ok(401));
    let stranger = Authority::new();
    let error = node_status(&service, client(&stranger.pem(), None, &[b"http/1.1"], BOTH)).await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_client_authority_only_its_certificates_get_through() {
    let data = data().await;
    let read = |name: &str| std::fs::read_to_string(data.path().join("tls").join(name)).unwrap();
    let (authority, ours) = (read("ca.pem"), Leaf { certificate: read("client.pem"), key: read("client.key") });
    let client_ca = data.path().join("tls/ca.pem").to_str().unwrap().to_owned();
    let service = Service::start_on(data, &[("node_tls_client_ca", &client_ca)]).await;
    let theirs = Authority::new().leaf();
    for versions in [&BOTH[..1], &BOTH[1..]] {
        let with = |leaf: Option<&Leaf>| node_status(&service, client(&authority, leaf, &[b"http/1.1"], versions));
        assert_eq!(with(Some(&ours)).await, Ok(401), "let through, and asked for its credential");
        assert!(with(None).await.is_err(), "without a certificate");
        assert!(with(Some(&theirs)).await.is_err(), "with a stranger's certificate");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_again_when_asked_and_kept_if_they_are_wrong() {
    let (before, after, files) = (Authority::new(), Authority::new(), data().await);
    let leaf = before.leaf();
    let certificate = write(files.path(), "c.pem", &leaf.certificate);
    let key = write(files.path(), "k.pem", &leaf.key);
    let service = Service::start_on(files, &[("node_tls_certificate", &certificate), ("node_tls_key", &key)]).await;
    let trusts = async |authority: &Authority| node_status(&service, client(&authority.pem(), None, &[b"http/1.1"], BOTH)).await.is_ok();
    assert!(trusts(&before).await && !trusts(&after).await);
    let open = tls(service.at.node, client(&before.pem(), None, &[b"h2"], BOTH)).await.unwrap();

    let other = after.leaf();
    std::fs::write(&certificate, &other.certificate).unwrap();
    service.control.reload();
    assert!(trusts(&before).await && !trusts(&after).await, "the key does not fit yet, so both stay as they were");

    std::fs::write(&key, &other.key).unwrap();
    service.control.reload();
    assert!(trusts(&after).await && !trusts(&before).await);
    let reply = call(service.at.node, "GET", "/internal/v1/changes").send_http2_over(open).await.unwrap();
    assert_eq!(reply.status, 401, "a connection that was open goes on");
}
