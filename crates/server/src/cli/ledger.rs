//! Owns `tollgate ledger`: what consumers have been granted of their quotas, the release of lost nodes, and the ways into and out of a ledger
//! that grants nothing. Must not know how units are granted.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use super::{UNUSABLE, WRONG};

use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::output::Output;
use super::table::{Cell, Column};
use crate::clock::SystemClock;
use crate::ledger::{self, LedgerRow, ReleaseNode, Released, Reopen, Reopened};

/// See what consumers have been granted of their quotas; let lost nodes go; freeze and reopen quotas after a restore. Without a command: list.
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
    #[command(flatten)]
    Asks(Ask),
    /// Say, before the backend is started, that the data directory given by --data was restored from a backup: no quota is granted from in a
    /// window that has begun, or begins within ten seconds, until it is reopened.
    Freeze,
}

/// What the backend is asked for.
#[derive(Debug, clap::Subcommand)]
enum Ask {
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
    /// Have quotas granted from again that are frozen. What was granted and forgotten is then granted a second time.
    Reopen {
        /// Those of this consumer. Default: all.
        #[arg(long, value_name = "ID")]
        consumer: Option<String>,
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
    Column::listed("frozen", |row| Cell::Text(if row.frozen { "yes" } else { "no" }.to_owned())),
    Column::listed("began", |row| Cell::Time(row.window_start)),
    Column::listed("ends", |row| Cell::Time(row.window_end)),
];

const RELEASED: &[Column<Released>] = &[
    Column::alone("released", |released| Cell::words(&released.incarnations)),
    Column::alone("leases", |released| number(released.leases)),
    Column::alone("units", |released| number(released.units)),
];

const REOPENED: &[Column<Reopened>] = &[Column::alone("reopened rows", |reopened| number(reopened.rows))];

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let ask = |ask: &Ask| finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, ask)));
    match &arguments.command {
        None => ask(&Ask::List { consumer: None, past: false, window: Window::default() }),
        Some(Command::Asks(asked)) => ask(asked),
        Some(Command::Freeze) => freeze(arguments),
    }
}

fn freeze(arguments: &Arguments) -> io::Result<ExitCode> {
    let Some(data) = arguments.connection.data() else {
        writeln!(io::stderr(), "error: no data directory: give --data DIR")?;
        return Ok(ExitCode::from(UNUSABLE));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Err(error) = runtime.block_on(ledger::freeze(&data, Arc::new(SystemClock))) {
        writeln!(io::stderr(), "error: {error}")?;
        return Ok(ExitCode::from(WRONG));
    }
    finish(arguments.output.done("frozen", &data.display().to_string()))
}

fn execute(client: &Client, output: &Output, ask: &Ask) -> Result<(), ClientError> {
    match ask {
        Ask::Reopen { consumer } => {
            let reopened = client.post(&path(&["ledger", "reopen"]), &Reopen { consumer: consumer.clone() }, None)?;
            output.one(&reopened, REOPENED)
        }
        Ask::List { consumer, past, window } => {
            let query = [("consumer", consumer.as_deref()), ("all", past.then_some("true"))];
            output.many(&client.list(&path(&["ledger"]), &query, window)?, ROWS)
        }
        Ask::Release { node, force } => {
            let released = client.post(&path(&["nodes", node, "release"]), &ReleaseNode { force: *force }, None)?;
            output.one(&released, RELEASED)
        }
    }
}

fn number(number: u64) -> Cell {
    Cell::Text(number.to_string())
}
