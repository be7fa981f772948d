//! Owns the process `tollgate`: its arguments and its exit status. Must not decide anything itself.

use std::process::ExitCode;

use clap::Parser;
use tollgate_server::cli::{self, Cli};

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(status) => status,
        // Whoever reads the output has gone: nobody is left to be told.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(cli::UNUSABLE)
        }
    }
}
