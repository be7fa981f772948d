//! Runs a backend as an operator would: `tollgate init`, then `tollgate serve` on ports of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A backend that ends with the test.
pub(crate) struct Backend {
    /// Its data directory.
    pub(crate) data: PathBuf,
    /// Where its public API is.
    pub(crate) url: String,
    child: Child,
    _directory: tempfile::TempDir,
}

impl Backend {
    /// A new one, with these flags beside.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let made = bare().args(["init", "--data"]).arg(&data).stdout(Stdio::null()).status().unwrap();
        assert!(made.success());
        let any = "127.0.0.1:0";
        let mut child = bare()
            .args(["serve", "--listen", any, "--node-listen", any, "--operations-listen", any, "--data"])
            .arg(&data)
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut lines = log.lines().map(Result::unwrap);
        let mut said = Vec::new();
        let line = lines.find_map(|line| {
            let value: Value = serde_json::from_str(&line).unwrap_or_default();
            said.push(line);
            listening(&value)
        });
        let Some((address, tls)) = line else {
            let _ = child.kill();
            panic!("no public listener: {said:#?}");
        };
        // What it says from now on must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        let url = format!("{}://{address}", if tls { "https" } else { "http" });
        Self { data, url, child, _directory: directory }
    }

    /// What the client commands are told by the environment.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 2] {
        [("TOLLGATE_URL", &self.url), ("TOLLGATE_DATA", self.data.to_str().unwrap())]
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.env_clear().current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    command
}

/// The address of the public listener, and whether it speaks TLS, where a line of the log tells them.
fn listening(line: &Value) -> Option<(String, bool)> {
    let fields = if line["fields"].is_object() { &line["fields"] } else { line };
    let public = fields["message"] == "listening" && fields["listener"] == "public";
    public.then(|| (fields["address"].as_str().unwrap().to_owned(), fields["tls"].as_bool().unwrap()))
}
