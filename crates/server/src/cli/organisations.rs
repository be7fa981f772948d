//! Owns `tollgate organisations`. Must not know of consumers.

use std::io;
use std::process::ExitCode;

use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::keys::Once;
use super::output::Output;
use super::table::{Cell, Column};
use crate::organisations::{NewOrganisation, Organisation, OrganisationPatch};

/// Make, see and rename organisations.
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
    /// Make an organisation.
    Create {
        /// Its id: letters, digits, `.`, `_` and `-`. Default: a random one.
        id: Option<String>,
        /// Its name, for people. Default: its id.
        #[arg(long, required_unless_present = "id")]
        name: Option<String>,
        #[command(flatten)]
        once: Once,
    },
    /// List organisations.
    List {
        #[command(flatten)]
        window: Window,
    },
    /// Show an organisation.
    Show {
        /// The organisation's id.
        id: String,
    },
    /// Rename an organisation.
    Update {
        /// The organisation's id.
        id: String,
        /// Its name.
        #[arg(long)]
        name: String,
    },
}

const COLUMNS: &[Column<Organisation>] = &[
    Column::listed("id", |organisation| organisation.id.as_str().into()),
    Column::listed("name", |organisation| organisation.name.as_str().into()),
    Column::listed("created", |organisation| Cell::Time(organisation.created_at)),
];

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, &arguments.command)))
}

fn execute(client: &Client, output: &Output, command: &Command) -> Result<(), ClientError> {
    match command {
        Command::Create { id, name, once } => {
            let document = NewOrganisation { id: id.clone(), name: name.clone().or_else(|| id.clone()).unwrap_or_default() };
            output.one(&client.post(&path(&["organisations"]), &document, once.key())?, COLUMNS)
        }
        Command::List { window } => output.many(&client.list(&path(&["organisations"]), &[], window)?, COLUMNS),
        Command::Show { id } => output.one(&client.get(&path(&["organisations", id]), &[])?, COLUMNS),
        Command::Update { id, name } => {
            let patch = OrganisationPatch { name: Some(name.clone()) };
            output.one(&client.patch(&path(&["organisations", id]), &patch)?, COLUMNS)
        }
    }
}
