//! Owns what a gate takes from the machine: programs, directories, processes.
//!
//! It must not decide what a gate's configuration says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

/// How many lines of a log a failure shows.
const TAIL: usize = 40;

/// The repository's root.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace around the tests")
}

/// Envoy's program: `ENVOY`, or what `make -s envoy` prints.
pub(super) fn envoy() -> &'static Path {
    static ENVOY: LazyLock<PathBuf> = LazyLock::new(|| {
        from_environment("ENVOY").unwrap_or_else(|| {
            let made = Command::new("make").args(["-s", "envoy"]).current_dir(root()).output();
            let made = made.expect("ENVOY is not set, and make, which could fetch Envoy, does not start");
            let printed = String::from_utf8_lossy(&made.stdout).into_owned();
            let path = printed.lines().last().map(|line| root().join(line.trim()));
            path.filter(|path| path.is_file()).unwrap_or_else(|| {
                let said = String::from_utf8_lossy(&made.stderr);
                panic!("ENVOY is not set, and `make -s envoy` gave no program: {said}")
            })
        })
    });
    &ENVOY
}

/// The module that ships: `TOLLGATE_WASM`, or `dist/tollgate.wasm`.
pub(crate) fn module() -> PathBuf {
    let module = from_environment("TOLLGATE_WASM").unwrap_or_else(|| root().join("dist/tollgate.wasm"));
    assert!(module.is_file(), "no module at {}: run `make build`, or set TOLLGATE_WASM", module.display());
    module
}

/// The backend's program: `TOLLGATE_BIN`, or `dist/tollgate`.
pub(crate) fn tollgate() -> PathBuf {
    let program = from_environment("TOLLGATE_BIN").unwrap_or_else(|| root().join("dist/tollgate"));
    assert!(program.is_file(), "no program at {}: run `make build`, or set TOLLGATE_BIN", program.display());
    program
}

fn from_environment(name: &str) -> Option<PathBuf> {
    let path = root().join(std::env::var_os(name).filter(|value| !value.is_empty())?);
    assert!(path.is_file(), "{name} names {}, which is no file", path.display());
    Some(path)
}

/// An empty directory below `target/e2e/<process>`; the first call sweeps those of processes that are gone.
pub(crate) fn fresh_directory(name: &str) -> PathBuf {
    static RUN: LazyLock<PathBuf> = LazyLock::new(|| {
        let all = root().join("target/e2e");
        for entry in fs::read_dir(&all).into_iter().flatten().flatten() {
            if !Path::new("/proc").join(entry.file_name()).exists() {
                // Another run may sweep at the same time.
                drop(fs::remove_dir_all(entry.path()));
            }
        }
        all.join(std::process::id().to_string())
    });
    let directory = RUN.join(name);
    assert!(!directory.exists(), "two gates are named {name}");
    fs::create_dir_all(&directory).expect("a directory for the gate");
    directory
}

/// Writes a document beside its place and moves it there, which is what Envoy's file watch looks for.
pub(super) fn replace(path: &Path, document: &Value) {
    let aside = path.with_extension("next");
    fs::write(&aside, document.to_string()).expect("a configuration file");
    fs::rename(aside, path).expect("the configuration in its place");
}

/// A process that ends `process` as soon as the test run is gone, however that ended: then the pipe it reads from closes.
pub(crate) fn leash(process: &Child) -> Child {
    Command::new("sh")
        .args(["-c", r#"read _; kill -KILL "$0""#, &process.id().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a leash for Envoy")
}

/// Lets a process stand still, until the answer is dropped.
pub(crate) fn stop(process: u32) -> Stopped {
    signal(process, "STOP");
    Stopped(process)
}

/// A process that stands still; it goes on when this is dropped.
#[derive(Debug)]
pub struct Stopped(u32);

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.expect("kill to run").success(), "no process {process}");
}

/// Ends a process and waits for it; one that has ended by itself is fine.
pub(crate) fn end(process: &mut Child) {
    drop(process.kill());
    drop(process.wait());
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
