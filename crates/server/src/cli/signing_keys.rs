//! Owns `tollgate signing-keys`: the keys that access tokens are signed with. Must not see a private key.

use std::io;
use std::process::ExitCode;

use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::keys::Once;
use super::output::Output;
use super::table::{Cell, Column};
use crate::signing_keys::{RotateSigningKey, SigningKey, SigningKeyState};

/// See, replace and forget the keys that access tokens are signed with. Without a command: list.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the keys that sign, signed or will sign.
    List {
        #[command(flatten)]
        window: Window,
    },
    /// Make another key that signs from now on. Tokens that were signed before pass until they end.
    Rotate {
        /// In so many seconds, and not at once.
        #[arg(long = "in", value_name = "SECONDS")]
        begins_in: Option<u32>,
        #[command(flatten)]
        once: Once,
    },
    /// Forget a key that others may have. If it signs, another takes its place.
    Revoke {
        /// The key's id: `kid` of its tokens.
        id: String,
    },
}

const COLUMNS: &[Column<SigningKey>] = &[
    Column::listed("id", |key| key.id.as_str().into()),
    Column::listed("algorithm", |key| key.algorithm.as_str().into()),
    Column::listed("state", |key| {
        match key.state {
            SigningKeyState::Next => "next",
            SigningKeyState::Signing => "signing",
            SigningKeyState::Retired => "retired",
        }
        .into()
    }),
    Column::listed("created", |key| Cell::Time(key.created_at)),
    Column::listed("begins", |key| Cell::Time(key.begins_at)),
    Column::listed("ends", |key| key.ends_at.into()),
];

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let list = Command::List { window: Window::default() };
    let command = arguments.command.as_ref().unwrap_or(&list);
    finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, command)))
}

fn execute(client: &Client, output: &Output, command: &Command) -> Result<(), ClientError> {
    match command {
        Command::List { window } => output.many(&client.list(&path(&["signing-keys"]), &[], window)?, COLUMNS),
        Command::Rotate { begins_in, once } => {
            let document = RotateSigningKey { begins_in_seconds: *begins_in };
            output.one(&client.post(&path(&["signing-keys", "rotate"]), &document, once.key())?, COLUMNS)
        }
        Command::Revoke { id } => {
            client.delete(&path(&["signing-keys", id]))?;
            output.done("revoked", id)
        }
    }
}
