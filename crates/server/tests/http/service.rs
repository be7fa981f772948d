//! A backend in this process, on a data directory and ports of its own.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tollgate_server::clock::{Clock, SystemClock};
use tollgate_server::init::init;
use tollgate_server::settings::{Flags, Settings};
use tollgate_server::startup::{Addresses, Control, Server};

use crate::client::{Call, Reply, call};

/// A running backend.
pub(crate) struct Service {
    pub at: Addresses,
    pub admin: String,
    pub node_credential: String,
    pub control: Control,
    pub data: TempDir,
    running: JoinHandle<()>,
}

/// A data directory as `tollgate init` leaves it.
pub(crate) async fn data() -> TempDir {
    let data = TempDir::new().unwrap();
    init(data.path(), &[], &[], Arc::new(SystemClock)).await.unwrap();
    data
}

/// Settings on this data directory, with any free ports, the node API without TLS, and these over them.
pub(crate) fn settings(data: &Path, given: &[(&'static str, &str)]) -> Settings {
    let data = data.to_str().unwrap();
    let usual = [
        ("data", data),
        ("listen", "127.0.0.1:0"),
        ("node_listen", "127.0.0.1:0"),
        ("operations_listen", "127.0.0.1:0"),
        ("node_tls", "false"),
    ];
    let kept = usual
        .into_iter()
        .filter(|(name, _)| !given.iter().any(|(given, _)| given == name || (*name == "node_tls" && given.starts_with("node_tls"))));
    let flags: Vec<_> = kept.chain(given.iter().copied()).collect();
    Settings::read(&Flags::of(&flags), []).unwrap()
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(given: &[(&'static str, &str)]) -> Self {
        Self::start_on(data().await, given).await
    }

    pub(crate) async fn start_on(data: TempDir, given: &[(&'static str, &str)]) -> Self {
        Self::start_by(Arc::new(SystemClock), data, given).await
    }

    pub(crate) async fn start_by(clock: Arc<dyn Clock>, data: TempDir, given: &[(&'static str, &str)]) -> Self {
        let server = Server::open(&settings(data.path(), given), [], clock).await.unwrap();
        let secret = |name: &str| std::fs::read_to_string(data.path().join(name)).unwrap().trim().to_owned();
        Self {
            at: server.addresses(),
            admin: secret("admin.key"),
            node_credential: secret("node.credential"),
            control: server.control(),
            running: tokio::spawn(server.run()),
            data,
        }
    }

    /// Ends it and gives its data back.
    pub(crate) async fn end(self) -> TempDir {
        self.control.end();
        self.running.await.unwrap();
        self.data
    }

    /// A call to the public API, by nobody.
    pub(crate) fn anonymous(&self, method: &str, path: &str) -> Call {
        call(self.at.public, method, path)
    }

    /// A call to the public API, by the administrator.
    pub(crate) fn call(&self, method: &str, path: &str) -> Call {
        self.anonymous(method, path).bearer(&self.admin)
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path).send().await
    }

    pub(crate) async fn post(&self, path: &str, document: &Value) -> Reply {
        self.call("POST", path).json(document).send().await
    }

    /// A consumer in tier `free` with scopes `read` and `write`; its id.
    pub(crate) async fn consumer(&self) -> String {
        let made =
            self.post("/api/v1/consumers", &json!({"name": "Consumer", "tier": "free", "scopes": ["read", "write"]})).await.expect(201);
        made["id"].as_str().unwrap().to_owned()
    }

    /// A key for a consumer: the document with the key in it.
    pub(crate) async fn key(&self, consumer: &str) -> Value {
        self.post("/api/v1/keys", &json!({"consumer": consumer})).await.expect(201)
    }

    /// Exchanges an API key for tokens.
    pub(crate) async fn exchange(&self, key: &str) -> Reply {
        let form = json!({
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": key,
            "subject_token_type": "urn:tollgate:params:oauth:token-type:api_key",
        });
        self.anonymous("POST", "/oauth/token").form(&form).send().await
    }

    /// An admin key of a role; a developer's is for this consumer.
    pub(crate) async fn admin_key(&self, role: &str, consumer: &str) -> Value {
        let mut new = json!({"role": role});
        if role == "developer" {
            new["consumer"] = json!(consumer);
        }
        self.post("/api/v1/admin-keys", &new).await.expect(201)
    }

    /// A token for the node API.
    pub(crate) async fn token(&self) -> String {
        let incarnation = unique().to_owned() + "0000000000000000";
        let hello = json!({"wire": "tollgate-node/1", "incarnation_secret": incarnation, "node": "test", "module": "0.1.0"});
        let welcome = call(self.at.node, "POST", "/internal/v1/incarnations").bearer(&self.node_credential).json(&hello).send().await;
        welcome.expect(200)["token"].as_str().unwrap().to_owned()
    }

    /// A call to the node API with this token.
    pub(crate) fn node(&self, token: &str, method: &str, path: &str) -> Call {
        call(self.at.node, method, path).bearer(token)
    }
}

/// Sixteen hexadecimal digits that nobody else has.
pub(crate) fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNTED: AtomicU64 = AtomicU64::new(1);
    format!("{:016x}", COUNTED.fetch_add(1, Ordering::Relaxed))
}
