//! Owns `tollgate schema`. Must not describe a field: the document's types do.

use std::io::{self, Write};
use std::process::ExitCode;

/// Print the JSON Schema of the plugin configuration.
///
/// Editors complete and check documents with it while they are written; `tollgate check`
/// also judges what a schema cannot say.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

pub(super) fn run(Arguments {}: &Arguments) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    writeln!(out, "{:#}", tollgate_core::config::schema())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
