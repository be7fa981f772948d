//! Owns one running backend, the real one: its data directory, its process, calls to its public API, and its end.
//!
//! It must not retry calls or forgive a process that died: that is what the cases are there to see.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, Call, Connection, Http};
use crate::gate::parts;
use crate::wait::until;

/// Longer than it takes to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running backend; it ends when this is dropped, or with the test run.
#[derive(Debug)]
pub struct Backend {
    directory: PathBuf,
    public: SocketAddr,
    nodes: SocketAddr,
    operations: SocketAddr,
    admin_key: String,
    settings: Vec<String>,
    process: Option<(Child, Child)>,
}

/// Begins to write and writes nothing, until its input ends.
const HOLD_LOCK: &str = "
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute('BEGIN IMMEDIATE')
print('locked', flush=True)
sys.stdin.read()
";

/// Starts a program that outlives a write beyond its limit of file sizes, as it would one to a full disk.
const SURVIVE_LIMITS: &str = "trap '' XFSZ; exec \"$@\"";

/// A lock on the database; it ends when this is dropped.
#[derive(Debug)]
pub struct Lock(Child);

/// A disk that takes nothing more from a process; it ends when this is dropped.
#[derive(Debug)]
pub struct FullDisk(u32);

/// An API key as it was shown once.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its id.
    pub id: String,
    /// The key itself.
    pub key: String,
}

// === impl Backend ===

impl Backend {
    /// Makes a data directory and serves it, the node API by TLS.
    pub async fn start(name: &str) -> Self {
        Self::start_with(name, &[]).await
    }

    /// The same with flags of its own.
    pub async fn start_with(name: &str, settings: &[&str]) -> Self {
        Self::start_prepared(name, settings, |_| ()).await
    }

    /// The same with a secret of this file's name.
    pub async fn start_with_secret(name: &str, (file, secret): (&str, &str), settings: &[&str]) -> Self {
        Self::start_prepared(name, settings, |data| {
            let path = data.join("secrets").join(file);
            fs::write(&path, secret).expect("a secret");
            fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("a mode");
        })
        .await
    }

    async fn start_prepared(name: &str, settings: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let directory = parts::fresh_directory(name);
        let made = command(&parts::tollgate(), &directory).args(["init", "--data", "kept"]).output().expect("tollgate init to run");
        assert!(made.status.success(), "tollgate init: {}", String::from_utf8_lossy(&made.stderr));
        prepare(&directory.join("kept"));
        let admin_key = fs::read_to_string(directory.join("kept/admin.key")).expect("an admin key").trim().to_owned();
        let [public, nodes, operations] = [free_port(), free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut backend = Self {
            directory,
            public,
            nodes,
            operations,
            admin_key,
            settings: settings.iter().map(ToString::to_string).collect(),
            process: None,
        };
        backend.restart().await;
        backend
    }

    /// Serves again what a process before has left; returns when it is ready.
    pub async fn restart(&mut self) {
        self.kill();
        let log = File::options().append(true).create(true).open(self.directory.join("backend.log")).expect("a log file");
        let mut serve = command(Path::new("sh"), &self.directory);
        serve.args(["-c", SURVIVE_LIMITS, "sh"]).arg(parts::tollgate()).args(["serve", "--data", "kept", "--log", "debug"]);
        for (flag, address) in [("--listen", self.public), ("--node-listen", self.nodes), ("--operations-listen", self.operations)] {
            serve.args([flag, &address.to_string()]);
        }
        serve.args(&self.settings);
        let process = serve.stdout(log.try_clone().expect("a log file")).stderr(log).spawn().expect("tollgate serve to start");
        let leash = parts::leash(&process);
        let (process, _) = self.process.insert((process, leash));
        let operations = self.operations;
        let log = self.directory.join("backend.log");
        until("the backend to be ready", START_LIMIT, async || {
            if let Some(status) = process.try_wait().expect("the state of the backend") {
                panic!("the backend ended with {status}:\n{}", parts::tail(&log));
            }
            let answer = Connection::try_open(operations, Http::One).await?.send(Call::get("/readyz")).await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// Ends it as a power failure would: without asking.
    pub fn kill(&mut self) {
        if let Some((mut process, mut leash)) = self.process.take() {
            parts::end(&mut process);
            parts::end(&mut leash);
        }
    }

    /// Lets it stand still, until the answer is dropped.
    #[must_use]
    pub fn stop(&self) -> parts::Stopped {
        parts::stop(self.process_id())
    }

    /// The number of its process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.as_ref().expect("a backend that runs").0.id()
    }

    /// Where people and programs connect.
    #[must_use]
    pub fn public_address(&self) -> SocketAddr {
        self.public
    }

    /// The directory of everything it keeps.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.join("kept")
    }

    /// Where nodes connect.
    #[must_use]
    pub fn node_address(&self) -> SocketAddr {
        self.nodes
    }

    /// The certificate authority of its node API.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.directory.join("kept/tls/ca.pem")
    }

    /// What nodes present themselves with.
    #[must_use]
    pub fn node_credential(&self) -> String {
        fs::read_to_string(self.directory.join("kept/node.credential")).expect("a node credential").trim().to_owned()
    }

    /// What the public API is asked with.
    #[must_use]
    pub fn admin_key(&self) -> &str {
        &self.admin_key
    }

    /// Holds the database's only place for a writer, from another process, until the answer is dropped.
    #[must_use]
    pub fn lock_database(&self) -> Lock {
        let mut holder = Command::new("python3")
            .args(["-c", HOLD_LOCK, "kept/tollgate.db"])
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3, which brings SQLite");
        let mut said = String::new();
        let out = holder.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut said).expect("a line");
        assert_eq!(said, "locked\n");
        Lock(holder)
    }

    /// Lets the disk take nothing more from the backend, its log included, until the answer is dropped.
    #[must_use]
    pub fn fill_disk(&self) -> FullDisk {
        let full = FullDisk(self.process_id());
        full.limit("0");
        full
    }

    /// Calls the public API; `None` where nobody answers.
    pub async fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Answer> {
        let mut call = Call::new(method, path).bearer(&self.admin_key);
        if let Some(body) = body {
            call = call.header("content-type", "application/json").body(body.to_string());
        }
        Connection::try_open(self.public, Http::One).await?.send(call).await.ok()
    }

    /// Calls the public API and expects success; answers the body.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.try_call(method, path, body).await.expect("an answer from the backend");
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// Sends a form to its token service, as nobody in particular.
    pub async fn form(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let call = Call::new("POST", path).header("content-type", "application/x-www-form-urlencoded").body(body);
        let mut connection = Connection::try_open(self.public, Http::One).await.expect("the public listener");
        connection.send(call).await.expect("an answer from the token service")
    }

    /// What a key is exchanged for.
    pub async fn exchange(&self, key: &str) -> Value {
        let exchanged = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:tollgate:params:oauth:token-type:api_key"),
            ("subject_token", key),
        ];
        let answer = self.form("/oauth/token", &exchanged).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Makes a consumer.
    pub async fn new_consumer(&self, id: &str, tier: &str) {
        self.call("POST", "/api/v1/consumers", Some(&json!({"id": id, "name": id, "tier": tier}))).await;
    }

    /// Makes a key of a consumer.
    pub async fn new_key(&self, consumer: &str) -> NewKey {
        NewKey::shown(&self.call("POST", "/api/v1/keys", Some(&json!({"consumer": consumer}))).await)
    }

    /// Everything it has logged, through all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("backend.log")).expect("the backend's log")
    }

    /// Its metrics.
    pub async fn metrics(&self) -> String {
        let mut connection = Connection::try_open(self.operations, Http::One).await.expect("the operations listener");
        let answer = connection.send(Call::get("/metrics")).await.expect("metrics");
        String::from_utf8(answer.body.to_vec()).expect("metrics as text")
    }

    /// Every file it keeps, but for those that are there to hold a secret.
    #[must_use]
    pub fn kept(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let is_file = |path: &PathBuf| path.is_file();
        let entries = fs::read_dir(self.directory.join("kept")).expect("the data directory").flatten().map(|entry| entry.path());
        let kept = entries.filter(is_file).filter(|path| !path.ends_with("admin.key") && !path.ends_with("node.credential"));
        kept.map(|path| (path.clone(), fs::read(path).expect("a file of the data directory"))).collect()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the backend's files: {}\n{}", self.directory.display(), parts::tail(&self.directory.join("backend.log")));
        } else {
            // Left behind at worst, and swept by the next run.
            drop(fs::remove_dir_all(&self.directory));
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        parts::end(&mut self.0);
    }
}

impl FullDisk {
    /// Sets how large the process may make a file, in bytes.
    fn limit(&self, bytes: &str) {
        let set = Command::new("prlimit").args(["--pid", &self.0.to_string(), &format!("--fsize={bytes}:")]).status();
        assert!(set.expect("prlimit, of util-linux").success(), "no limit of {bytes}");
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        self.limit("unlimited");
    }
}

// === impl NewKey ===

impl NewKey {
    /// Reads it from the answer that shows it.
    #[must_use]
    pub fn shown(answer: &Value) -> Self {
        let text = |field: &str| answer[field].as_str().unwrap_or_else(|| panic!("no {field} in {answer}")).to_owned();
        Self { id: text("id"), key: text("api_key") }
    }
}

/// The program, without settings from the test run's own environment.
fn command(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(directory).stdin(Stdio::null());
    command
}

/// A port that nobody listens on, below those that the kernel gives to connections: it is still free after a restart.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id() % 10_000;
    (0..1_000)
        .map(|_| 15_000 + (start as u16 + NEXT.fetch_add(1, Ordering::Relaxed)) % 15_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
