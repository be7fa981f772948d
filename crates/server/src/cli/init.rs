//! Owns `tollgate init`: telling what was made. Must not make anything itself, nor print a secret.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::WRONG;
use super::serve::environment;
use crate::clock::SystemClock;
use crate::init::{Initialised, init};

/// Make a data directory: secrets, the database, certificates for the API of nodes, the first credentials.
///
/// What is there already stays as it is, so it can be run again. Credentials are written to files that only their owner can read.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The directory to make.
    #[arg(long, value_name = "DIR", env = "TOLLGATE_DATA")]
    data: PathBuf,
    /// A name or address that nodes reach this backend by, beside localhost and 127.0.0.1; repeatable.
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let environment: Vec<_> = environment().collect();
    match runtime.block_on(init(&arguments.data, &arguments.name, &environment, Arc::new(SystemClock))) {
        Ok(initialised) => {
            tell(&initialised, arguments.json)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            writeln!(io::stderr(), "error: {error}")?;
            Ok(ExitCode::from(WRONG))
        }
    }
}

fn tell(initialised: &Initialised, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(initialised)?)?;
    } else {
        for (what, paths) in [("made", &initialised.made), ("kept", &initialised.kept)] {
            for path in paths {
                writeln!(out, "{what}  {}", path.display())?;
            }
        }
    }
    out.flush()
}
