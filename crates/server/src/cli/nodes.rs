//! Owns `tollgate nodes`: proxies that ask the backend, and the credentials they do it with. Must not know what they ask.

use std::io;
use std::process::ExitCode;

use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::keys::Once;
use super::output::{Alone, Output};
use super::table::{Cell, Column};
use crate::nodes::{CreatedNodeCredential, NewNodeCredential, Node, NodeCredential};

/// See nodes (proxies with the filter); make, see and revoke their credentials.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List nodes.
    List {
        #[command(flatten)]
        window: Window,
    },
    /// What nodes present themselves with.
    #[command(subcommand)]
    Credentials(Credentials),
}

#[derive(Debug, clap::Subcommand)]
enum Credentials {
    /// Make a node credential. It is printed this once.
    Create {
        /// What to call it.
        #[arg(long, default_value = "", hide_default_value = true)]
        label: String,
        #[command(flatten)]
        once: Once,
        #[command(flatten)]
        alone: Alone,
    },
    /// List node credentials.
    List {
        #[command(flatten)]
        window: Window,
    },
    /// Revoke a node credential: nodes that have it are told nothing more.
    Revoke {
        /// The credential's id: the one inside it.
        id: String,
    },
}

const NODES: &[Column<Node>] = &[
    Column::listed("node", |node| node.node.as_str().into()),
    Column::listed("incarnation", |node| node.incarnation.as_str().into()),
    Column::listed("credential", |node| node.credential.as_str().into()),
    Column::listed("module", |node| node.module.as_str().into()),
    Column::listed("first seen", |node| Cell::Time(node.first_seen_at)),
    Column::listed("last seen", |node| Cell::Time(node.last_seen_at)),
];

const CREDENTIALS: &[Column<NodeCredential>] = &[
    Column::listed("id", |credential| credential.id.as_str().into()),
    Column::listed("label", |credential| credential.label.as_str().into()),
    Column::listed("created", |credential| Cell::Time(credential.created_at)),
    Column::listed("revoked", |credential| credential.revoked_at.into()),
];

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    finish(arguments.connection.open().and_then(|client| match &arguments.command {
        Command::List { window } => arguments.output.many(&client.list(&path(&["nodes"]), &[], window)?, NODES),
        Command::Credentials(command) => credentials(&client, &arguments.output, command),
    }))
}

fn credentials(client: &Client, output: &Output, command: &Credentials) -> Result<(), ClientError> {
    match command {
        Credentials::Create { label, once, alone } => {
            let document = NewNodeCredential { label: label.clone() };
            let answer = client.post(&path(&["node-credentials"]), &document, once.key())?;
            let made: CreatedNodeCredential = answer.read()?;
            output.secret(&answer, ("node credential", made.node_credential.expose()), CREDENTIALS, alone)
        }
        Credentials::List { window } => output.many(&client.list(&path(&["node-credentials"]), &[], window)?, CREDENTIALS),
        Credentials::Revoke { id } => {
            client.delete(&path(&["node-credentials", id]))?;
            output.done("revoked", id)
        }
    }
}
