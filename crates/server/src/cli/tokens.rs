//! Owns `tollgate tokens`: families of access tokens. Must not make a token.

use std::io;
use std::process::ExitCode;

use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::output::Output;
use super::table::{Cell, Column};
use crate::tokens::Family;

/// See and revoke families of tokens: what came from exchanges of API keys. Without a command: list.
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
    /// List families, until a week after their end.
    List {
        /// Those of one consumer.
        #[arg(long)]
        consumer: Option<String>,
        /// Those of one API key, by its id.
        #[arg(long)]
        credential: Option<String>,
        #[command(flatten)]
        window: Window,
    },
    /// Revoke a family: none of its tokens passes any longer, on any node.
    Revoke {
        /// The family's id: `sid` of its access tokens.
        id: String,
    },
}

const COLUMNS: &[Column<Family>] = &[
    Column::listed("id", |family| family.id.as_str().into()),
    Column::listed("consumer", |family| family.consumer.as_str().into()),
    Column::listed("credential", |family| family.credential.as_str().into()),
    Column::alone("organisation", |family| family.organisation.as_str().into()),
    Column::listed("scopes", |family| family.scopes.join(" ").as_str().into()),
    Column::listed("renewals", |family| family.renewals.to_string().as_str().into()),
    Column::listed("renewed", |family| Cell::Time(family.renewed_at)),
    Column::listed("ends", |family| Cell::Time(family.ends_at)),
    Column::listed("revoked", |family| family.revoked_at.into()),
    Column::listed("reused", |family| if family.reused { "yes" } else { "" }.into()),
];

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let list = Command::List { consumer: None, credential: None, window: Window::default() };
    let command = arguments.command.as_ref().unwrap_or(&list);
    finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, command)))
}

fn execute(client: &Client, output: &Output, command: &Command) -> Result<(), ClientError> {
    match command {
        Command::List { consumer, credential, window } => {
            let filter = [("consumer", consumer.as_deref()), ("credential", credential.as_deref())];
            output.many(&client.list(&path(&["token-families"]), &filter, window)?, COLUMNS)
        }
        Command::Revoke { id } => {
            client.delete(&path(&["token-families", id]))?;
            output.done("revoked", id)
        }
    }
}
