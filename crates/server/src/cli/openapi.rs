//! Owns `tollgate openapi`: printing the description of the public API. Must not describe anything itself.

use std::io::{self, Write};
use std::process::ExitCode;

/// Print the description of the public API (OpenAPI 3.1).
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

pub(super) fn run(_arguments: &Arguments) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string_pretty(&crate::http::openapi())?)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
