//! Owns `tollgate ledger`: what consumers have been granted of their quotas, and the release of lost nodes. Must not know how units are
//! granted.

use std::io;
use std::process::ExitCode;

use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::output::Output;
use super::table::{Cell, Column};
use crate::ledger::{LedgerRow, ReleaseNode, Released};

/// See what consumers have been granted of their quotas; let lost nodes go. Without a command: list.
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
    /// List quotas with what was granted of them: those of the windows in force.
    List {
        /// Of this consumer.
        #[arg(long, value_name = "ID")]
        consumer: Option<String>,
        /// Also those of windows that are over.
        #[arg(long)]
        past: bool,
        #[command(flatten)]
        window: Window,
    },
    /// Let a lost node go: what it held when it last spoke can be granted again, and nothing is granted to it any more. Only for processes that
    /// are gone for good.
    Release {
        /// The id of an incarnation, or the node's name: then all incarnations of that name that were not heard of for a minute.
        node: String,
        /// Although it was heard of in the last minute; only with the id of an incarnation.
        #[arg(long)]
        force: bool,
    },
}

const ROWS: &[Column<LedgerRow>] = &[
    Column::listed("consumer", |row| row.consumer.as_str().into()),
    Column::listed("limit", |row| row.limit.as_str().into()),
    Column::listed("units", |row| number(row.units)),
    Column::listed("charged", |row| number(row.charged)),
    Column::listed("outstanding", |row| number(row.outstanding)),
    Column::listed("silent", |row| number(row.silent)),
    Column::listed("overage", |row| number(row.overage)),
    Column::listed("began", |row| Cell::Time(row.window_start)),
    Column::listed("ends", |row| Cell::Time(row.window_end)),
];

const RELEASED: &[Column<Released>] = &[
    Column::alone("released", |released| Cell::words(&released.incarnations)),
    Column::alone("leases", |released| number(released.leases)),
    Column::alone("units", |released| number(released.units)),
];

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let default = Command::List { consumer: None, past: false, window: Window::default() };
    let command = arguments.command.as_ref().unwrap_or(&default);
    finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, command)))
}

fn execute(client: &Client, output: &Output, command: &Command) -> Result<(), ClientError> {
    match command {
        Command::List { consumer, past, window } => {
            let query = [("consumer", consumer.as_deref()), ("all", past.then_some("true"))];
            output.many(&client.list(&path(&["ledger"]), &query, window)?, ROWS)
        }
        Command::Release { node, force } => {
            let released = client.post(&path(&["nodes", node, "release"]), &ReleaseNode { force: *force }, None)?;
            output.one(&released, RELEASED)
        }
    }
}

fn number(number: u64) -> Cell {
    Cell::Text(number.to_string())
}
