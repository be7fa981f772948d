//! Owns where foreign programs of the tests are found: where a variable says, or where the script that installs them does. Must not know what they are.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The directory that the environment variable names, else what the script in `tools/` prints.
///
/// # Panics
/// If neither says where.
#[must_use]
pub fn packages(variable: &str, script: &str) -> PathBuf {
    if let Some(given) = std::env::var_os(variable).filter(|given| !given.is_empty()) {
        return given.into();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools").join(script);
    let made = Command::new(path).stderr(Stdio::inherit()).output().unwrap_or_else(|error| panic!("tools/{script}: {error}"));
    assert!(made.status.success(), "{variable} is not set, and tools/{script} could not install what it is to name");
    String::from_utf8(made.stdout).expect("a path").trim().into()
}
