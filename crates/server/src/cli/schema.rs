//! Owns `tollgate schema`. Must not describe a field: the document's types do.

use std::io::{self, Write};
use std::process::ExitCode;

/// Print the JSON Schema of the plugin configuration, or of the backend's settings.
///
/// Editors complete and check documents with it while they are written; `tollgate check`
/// also judges what a schema cannot say.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// That of `tollgate.toml`.
    #[arg(long)]
    settings: bool,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let schema = if arguments.settings { crate::settings::schema() } else { tollgate_core::config::schema() };
    let mut out = io::stdout().lock();
    writeln!(out, "{schema:#}")?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
