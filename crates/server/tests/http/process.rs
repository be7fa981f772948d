//! The program `tollgate serve` as an operator runs it: settings, signals, log, and what must never be in it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::call;
use crate::locked::{sha256, wait_for};
use crate::operation::operations;
use crate::service::data;

/// How long a line of the log may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The running program. It is killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<Value>,
    log: Vec<Value>,
}

fn program(arguments: &[&str], variables: &[(&str, &str)], directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(arguments).env_clear().envs(variables.iter().copied()).current_dir(directory).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

fn read(stderr: ChildStderr) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines() {
            let line = line.unwrap();
            let line = serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON: {error}: {line}"));
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Process {
    /// Serves this data directory on any free ports.
    pub(crate) fn serve(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let usual = ["serve", "--listen=127.0.0.1:0", "--node-listen=127.0.0.1:0", "--operations-listen=127.0.0.1:0"];
        let data = format!("--data={}", data.display());
        let arguments: Vec<_> = usual.into_iter().chain([data.as_str()]).chain(arguments.iter().copied()).collect();
        let empty = tempfile::TempDir::new().unwrap();
        let mut child = program(&arguments, variables, empty.path()).spawn().unwrap();
        let lines = read(child.stderr.take().unwrap());
        Self { child, lines, log: Vec::new() }
    }

    /// The next line of the log that says this.
    fn until(&mut self, says: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{error}: {:#?}", self.log));
            self.log.push(line.clone());
            if says(&line) {
                return line;
            }
        }
    }

    pub(crate) fn address(&mut self, listener: &str) -> SocketAddr {
        let found = |line: &Value| line["message"] == "listening" && line["listener"] == listener;
        let line = self.log.iter().find(|line| found(line)).cloned().unwrap_or_else(|| self.until(found));
        line["address"].as_str().unwrap().parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Asks it to end; its status, and all it logged.
    fn end(mut self, signal: &str) -> (i32, Vec<Value>) {
        self.signal(signal);
        let status = self.child.wait().unwrap().code().unwrap();
        let rest: Vec<_> = self.lines.iter().collect();
        self.log.extend(rest);
        (status, std::mem::take(&mut self.log))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn secret(data: &Path, name: &str) -> String {
    std::fs::read_to_string(data.join(name)).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_and_sigint_end_it_in_order_and_with_status_0() {
    let data = data().await;
    for signal in ["TERM", "INT"] {
        let mut process = Process::serve(data.path(), &[], &[]);
        let operations = process.address("operations");
        assert_eq!(call(operations, "GET", "/readyz").send().await.status, 200);
        let (status, log) = process.end(signal);
        assert_eq!(status, 0);
        assert_eq!(log.last().unwrap()["message"], "ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_do_not_serve_one_data_directory() {
    let data = data().await;
    let mut first = Process::serve(data.path(), &[], &[]);
    first.address("operations");
    let mut second = Process::serve(data.path(), &[], &[]);
    let line = second.until(|line| line["level"] == "ERROR");
    assert!(line["error"].as_str().unwrap().contains("another process"), "{line}");
    assert_eq!(second.child.wait().unwrap().code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_certificates_again() {
    let data = data().await;
    let mut process = Process::serve(data.path(), &[], &[]);
    process.address("operations");
    process.signal("HUP");
    let line = process.until(|line| line["message"] == "certificates read again");
    assert_eq!(line["listener"], "node");
    std::fs::write(data.path().join("tls/server.pem"), "nonsense").unwrap();
    process.signal("HUP");
    let line = process.until(|line| line["level"] == "ERROR");
    assert!(line["error"].as_str().unwrap().contains("tls/server.pem"), "{line}");
    assert_eq!(process.end("TERM").0, 0);
}

#[test]
fn settings_that_cannot_be_are_refused_before_anything_is_opened() {
    let directory = tempfile::TempDir::new().unwrap();
    std::fs::write(directory.path().join("tollgate.toml"), "data = \"d\"\nkey_hash = \"md5\"\nsurprise = 1\n").unwrap();
    let output =
        program(&["serve"], &[("TOLLGATE_LISTEN", "nowhere"), ("TOLLGATE_SURPRISE", "hunter2")], directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    for place in ["tollgate.toml:2: key_hash: ", "tollgate.toml:3: surprise: ", "TOLLGATE_LISTEN: ", "TOLLGATE_SURPRISE: "] {
        assert!(told.contains(place), "{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
    assert!(!directory.path().join("d").exists());

    let output = program(&["serve", "--surprise"], &[], directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_taken_is_told_and_ends_it() {
    let data = data().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("--listen={}", taken.local_addr().unwrap());
    let empty = tempfile::TempDir::new().unwrap();
    let nowhere = empty.path().join("nowhere");
    for (directory, arguments, told) in [
        (data.path(), &[address.as_str()][..], "the public listener cannot have 127.0.0.1:"),
        (empty.path(), &[], "tollgate init"),
        (&nowhere, &[], "tollgate init"),
        (data.path(), &["--node-tls-certificate=/nowhere/c.pem", "--node-tls-key=/nowhere/k.pem"], "/nowhere/"),
        (data.path(), &["--key-prefix=tga"], "`tga`"),
    ] {
        let directory = format!("--data={}", directory.display());
        let all: Vec<_> = ["serve", "--node-listen=127.0.0.1:0", "--operations-listen=127.0.0.1:0", "--listen=127.0.0.1:0", &directory]
            .into_iter()
            .filter(|argument| !(argument.starts_with("--listen") && arguments.iter().any(|given| given.starts_with("--listen"))))
            .chain(arguments.iter().copied())
            .collect();
        let output = program(&all, &[], data.path()).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(1)), "{arguments:?}: {:?} {log}", output.status);
        assert!(log.contains(told), "{arguments:?}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_one_line_with_its_route_and_never_its_path() {
    let data = data().await;
    let mut process = Process::serve(data.path(), &["--node-tls=false"], &[]);
    let public = process.address("public");
    let admin = secret(data.path(), "admin.key");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let id = "2f1c6a6e-6a5e-4f0e-9f0e-0123456789ab";
    let reply = call(public, "GET", "/api/v1/tiers/free")
        .bearer(&admin)
        .header("traceparent", trace)
        .header("x-request-id", id)
        .header("x-secret", "hunter2hunter2")
        .send()
        .await;
    reply.expect(200);
    assert_eq!(reply.header("x-request-id"), id);
    let line = process.until(|line| line["target"] == "access");
    let expected = json!({"listener": "public", "method": "GET", "route": "/api/v1/tiers/{tier_name}", "status": 200, "request_id": id, "traceparent": trace});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(line[field], *value, "{line}");
    }
    assert!(line["ms"].is_number() && line["principal"].as_str().unwrap().starts_with("admin_key:"), "{line}");

    for (call, route, status) in [
        (call(public, "GET", "/hunter2hunter2?key=hunter2hunter2"), "none", 404),
        (call(public, "HUNTER2", "/api/v1/tiers"), "/api/v1/tiers", 405),
        (call(public, "GET", "/api/v1/tiers/hunter2hunter2?x=hunter2hunter2").bearer("hunter2hunter2"), "/api/v1/tiers/{tier_name}", 401),
        (
            call(public, "GET", "/api/v1/tiers")
                .header("x-request-id", "hunter2hunter2")
                .header("traceparent", "hunter2hunter2")
                .bearer(&admin),
            "/api/v1/tiers",
            200,
        ),
    ] {
        let reply = call.send().await;
        assert_eq!(reply.status, status);
        let line = process.until(|line| line["target"] == "access");
        assert_eq!((&line["route"], &line["status"]), (&json!(route), &json!(status)), "{line}");
        assert_eq!(reply.header("x-request-id"), line["request_id"].as_str().unwrap());
        assert!(line.get("traceparent").is_none(), "{line}");
        if status == 404 || status == 405 {
            reply.problem(status);
        }
        if status == 401 {
            assert!(line.get("principal").is_none(), "{line}");
        }
    }
    let node = process.address("node");
    let credential = secret(data.path(), "node.credential");
    let hello = json!({"wire": "tollgate-node/1", "incarnation_secret": "a".repeat(32), "node": "n", "module": "m"});
    let token = call(node, "POST", "/internal/v1/incarnations").bearer(&credential).json(&hello).send().await.expect(200)["token"].clone();
    let revision = call(node, "GET", "/internal/v1/changes").bearer(token.as_str().unwrap()).send().await.expect(200)["revision"].clone();
    let poll = call(node, "GET", &format!("/internal/v1/changes?after={revision}&wait_ms=25000")).bearer(token.as_str().unwrap());
    let gone = tokio::time::timeout(Duration::from_millis(300), poll.send()).await;
    assert!(gone.is_err());
    let line = process.until(|line| line["target"] == "access" && line["status"] == 499);
    assert_eq!(line["route"], "/internal/v1/changes", "{line}");
    assert!(line["ms"].as_f64().unwrap() > 100.0, "{line}");

    let (_, log) = process.end("TERM");
    let log = serde_json::to_string(&log).unwrap();
    assert!(!log.to_ascii_lowercase().contains("hunter2") && !log.contains(&admin), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log_the_metrics_or_the_data_directory() {
    let data = data().await;
    let mut process = Process::serve(data.path(), &["--self-service", "--log=trace", "--node-tls=false"], &[]);
    let (public, node, metrics) = (process.address("public"), process.address("node"), process.address("operations"));
    let (admin, credential) = (secret(data.path(), "admin.key"), secret(data.path(), "node.credential"));
    let mut secrets = vec![admin.clone(), credential.clone()];
    let shown = |document: &Value, field: &str| document[field].as_str().unwrap().to_owned();
    let post = |path: &str, document: Value| {
        call(public, "POST", path).bearer(&admin).header("idempotency-key", &format!("once-{path}")).json(&document).send()
    };
    let consumer = shown(&post("/api/v1/consumers", json!({"name": "Consumer", "tier": "free"})).await.expect(201), "id");
    let made = post("/api/v1/keys", json!({"consumer": consumer})).await.expect(201);
    secrets.push(shown(&made, "api_key"));
    let id = shown(&made, "id");
    secrets.push(shown(&post(&format!("/api/v1/keys/{id}/rotate"), json!({})).await.expect(201), "api_key"));
    let imported = "imported-key-of-somebody-else-0123456789";
    post("/api/v1/keys", json!({"consumer": consumer, "import": {"key": imported}})).await;
    call(public, "POST", "/api/v1/keys")
        .bearer(&admin)
        .json(&json!({"consumer": consumer, "import": {"key": imported}}))
        .send()
        .await
        .expect(201);
    secrets.push(imported.to_owned());
    let developer = post("/api/v1/admin-keys", json!({"role": "developer", "consumer": consumer})).await.expect(201);
    secrets.push(shown(&developer, "admin_key"));
    let own = call(public, "POST", "/api/v1/developer/keys").bearer(&secrets[5]).send().await;
    secrets.push(shown(&own.expect(201), "api_key"));
    secrets.push(shown(&post("/api/v1/node-credentials", json!({})).await.expect(201), "node_credential"));
    let taken = call(public, "POST", "/api/auth/keys").json(&json!({"tier": "free", "email": "user@example.com"})).send().await;
    secrets.push(shown(&taken.expect(201), "api_key"));
    let hello = json!({"wire": "tollgate-node/1", "incarnation_secret": "a".repeat(32), "node": "n", "module": "m"});
    let token = shown(&call(node, "POST", "/internal/v1/incarnations").bearer(&credential).json(&hello).send().await.expect(200), "token");
    secrets.push(token.clone());
    for key in secrets.clone() {
        let resolve = json!({"wire": "tollgate-node/1", "sha256": sha256(&key)});
        call(node, "POST", "/internal/v1/resolve").bearer(&token).json(&resolve).send_http2().await.expect(200);
        call(public, "GET", "/api/v1/keys").bearer(&key).header("x-api-key", &key).send_http2().await;
        // Where people put keys by mistake.
        call(public, "GET", &format!("/api/v1/keys/{key}?key={key}")).bearer(&key).header("x-request-id", &key).send().await;
        call(public, "POST", &format!("/{key}")).bearer(&admin).json(&json!({"label": key, key.as_str(): 1})).send().await;
        call(public, "PATCH", &format!("/api/v1/consumers/{consumer}")).bearer(&admin).json(&json!({key.as_str(): 1})).send().await;
        call(public, &key.replace('_', "-"), "/").send().await;
    }
    // Every operation once more with nonsense, so that every refusal has been logged.
    for operation in operations() {
        call(public, &operation.method, &operation.path.replace(['{', '}'], "")).bearer(&admin).body("{").send().await;
    }
    let scraped = call(metrics, "GET", "/metrics").send().await;
    let scraped = scraped.text().to_owned();
    assert!(scraped.contains("tollgate_http_requests_total"), "{scraped}");
    let (status, log) = process.end("TERM");
    assert_eq!(status, 0);
    let log = serde_json::to_string(&log).unwrap();
    assert!(log.matches("\"access\"").count() > 50);

    // The part of a key that makes it secret: neither it nor anything that holds it may show.
    let own_files = ["admin.key", "node.credential"];
    let mut searched = 0;
    for secret in &secrets {
        let needle = secret.get(secret.len() - 24..).unwrap();
        assert!(!log.contains(needle), "the log has {needle}");
        assert!(!scraped.contains(needle), "the metrics have {needle}");
        for file in std::fs::read_dir(data.path()).unwrap().map(Result::unwrap).filter(|file| file.file_type().unwrap().is_file()) {
            if own_files.contains(&file.file_name().to_str().unwrap()) {
                continue;
            }
            let bytes = std::fs::read(file.path()).unwrap();
            assert!(!bytes.windows(needle.len()).any(|window| window == needle.as_bytes()), "{} has {needle}", file.path().display());
            searched += 1;
        }
    }
    assert!(searched >= secrets.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait() {
    let data = data().await;
    let mut process = Process::serve(data.path(), &["--shutdown-seconds=300"], &[]);
    let public = process.address("public");
    let mut stream = tokio::net::TcpStream::connect(public).await.unwrap();
    let head = format!(
        "POST /api/v1/consumers HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{{",
        secret(data.path(), "admin.key")
    );
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    let operations = process.address("operations");
    let connections =
        || async { call(operations, "GET", "/metrics").send().await.text().contains("tollgate_connections{listener=\"public\"} 1") };
    wait_for(async || connections().await).await;
    process.signal("TERM");
    process.until(|line| line["message"] == "ending");
    let (status, _) = process.end("TERM");
    assert_eq!(status, 1);
}
