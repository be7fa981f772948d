//! Owns a client of the node API, as a worker of Envoy is one: HTTP/2 over TLS, many calls at once on one connection.
//!
//! It must not reuse what it was told: every call reaches the backend.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tollgate_core::credential::{digest, issued_id};
use tollgate_core::wire::{Hello, Resolve, Resolved, Welcome, decode, encode};

use crate::backend::Backend;

/// A node that said hello.
#[derive(Clone)]
pub(crate) struct NodeApi {
    send: SendRequest<Bytes>,
    authorization: String,
}

// === impl NodeApi ===

impl NodeApi {
    /// Connects, and says hello. To be called within a runtime, which carries the connection.
    ///
    /// # Errors
    /// When the backend cannot be reached, or does not take the node in.
    pub(crate) async fn open(backend: &Backend, number: u64) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, backend.node_port)).await.context("connecting to the node API")?;
        stream.set_nodelay(true)?;
        let stream = connector(backend)?.connect(ServerName::try_from("localhost")?, stream).await?;
        let (send, connection) = h2::client::Builder::new().initial_connection_window_size(1 << 20).handshake(stream).await?;
        tokio::spawn(async move {
            // Its end is seen by the calls on it.
            let _ = connection.await;
        });
        let mut node = Self { send: send.ready().await?, authorization: format!("Bearer {}", backend.node_credential()?) };
        let hello =
            Hello { incarnation_secret: format!("{number:032x}"), node: "bench".to_owned(), module: env!("CARGO_PKG_VERSION").to_owned() };
        let welcome: Welcome = decode(&node.post("/internal/v1/incarnations", encode(&hello)?).await.context("saying hello")?)?;
        node.authorization = format!("Bearer {}", welcome.token);
        Ok(node)
    }

    /// Asks whose a key is; whether it is anybody's.
    ///
    /// # Errors
    /// When there is no answer to that.
    pub(crate) async fn resolve(&mut self, key: &str) -> Result<bool> {
        let sha256 = digest(key.as_bytes()).iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"));
        let question = Resolve {
            id: issued_id(key.as_bytes()).map(ToOwned::to_owned),
            sha256,
            checks_signatures: true,
            limits_credentials: true,
            leases: None,
        };
        let answer = self.post("/internal/v1/resolve", encode(&question)?).await?;
        Ok(decode::<Resolved>(&answer)?.known.is_some())
    }

    async fn post(&mut self, path: &str, body: Vec<u8>) -> Result<Vec<u8>> {
        let request = Request::post(format!("https://localhost{path}"))
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .header("content-length", body.len())
            .body(())?;
        let (answer, mut stream) = self.send.send_request(request, false)?;
        stream.send_data(body.into(), true)?;
        let answer = answer.await?;
        if answer.status() != 200 {
            bail!("{path}: answered {}", answer.status());
        }
        let mut received = Vec::new();
        let mut body = answer.into_body();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            received.extend_from_slice(&chunk);
        }
        Ok(received)
    }
}

fn connector(backend: &Backend) -> Result<TlsConnector> {
    let authority = fs::read(backend.data.join("tls/ca.pem"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&authority) {
        roots.add(certificate.map_err(|error| anyhow!("the backend's authority: {error}"))?)?;
    }
    let mut settings = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    settings.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(settings)))
}
