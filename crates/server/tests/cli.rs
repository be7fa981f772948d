//! The command line from outside: arguments, standard input, output and exit status.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test, also in its functions without an attribute")]

#[path = "cli/backend.rs"]
mod backend;
#[path = "cli/bypass.rs"]
mod bypass;
#[path = "cli/check.rs"]
mod check;
#[path = "cli/client.rs"]
mod client;
#[path = "cli/clusters.rs"]
mod clusters;
#[path = "cli/command.rs"]
mod command;
#[path = "cli/documented.rs"]
mod documented;
#[path = "cli/double.rs"]
mod double;
#[path = "cli/envoy.rs"]
mod envoy;
#[path = "cli/hash.rs"]
mod hash;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/logs.rs"]
mod logs;
#[path = "cli/served.rs"]
mod served;
#[path = "cli/sign.rs"]
mod sign;
#[path = "cli/tiers.rs"]
mod tiers;

use command::tollgate;

#[test]
fn says_its_version() {
    let run = tollgate(&["--version"], &[], b"");
    assert_eq!((run.status, run.out.as_str()), (0, concat!("tollgate ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn without_a_command_it_explains_itself_and_fails() {
    let run = tollgate(&[], &[], b"");
    assert_eq!(run.status, 2);
    assert!(run.err.contains("check") && run.err.contains("hash") && run.err.contains("schema"), "{}", run.err);
}

#[test]
fn prints_the_schema() {
    let run = tollgate(&["schema"], &[], b"");
    let schema: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(schema, tollgate_core::config::schema());
}
