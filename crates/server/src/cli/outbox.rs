//! Owns `tollgate outbox`: what is to be sent. Must not show what is in it.

use std::io;
use std::process::ExitCode;

use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::output::Output;
use super::table::{Cell, Column};
use crate::outbox::{Message, State};

/// See what is to be sent, try it anew, or take it away.
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
    /// List messages.
    List {
        /// Those that stand so: `waiting`, `sent` or `dead`.
        #[arg(long, value_parser = state)]
        state: Option<State>,
        #[command(flatten)]
        window: Window,
    },
    /// Try a message anew, at once and as often as at first.
    Retry {
        /// The message's id.
        id: String,
    },
    /// Take a message away, sent or not.
    Drop {
        /// The message's id.
        id: String,
    },
}

const COLUMNS: &[Column<Message>] = &[
    Column::listed("id", |message| message.id.as_str().into()),
    Column::listed("kind", |message| message.kind.as_str().into()),
    Column::listed("state", |message| message.state.name().into()),
    Column::listed("attempts", |message| message.attempts.to_string().as_str().into()),
    Column::listed("due", |message| Cell::Time(message.due_at)),
    Column::listed("error", |message| Cell::perhaps(message.error.as_ref())),
];

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, &arguments.command)))
}

fn execute(client: &Client, output: &Output, command: &Command) -> Result<(), ClientError> {
    match command {
        Command::List { state, window } => {
            output.many(&client.list(&path(&["outbox"]), &[("state", state.map(State::name))], window)?, COLUMNS)
        }
        Command::Retry { id } => output.one(&client.post(&path(&["outbox", id, "retry"]), &serde_json::Value::Null, None)?, COLUMNS),
        Command::Drop { id } => {
            client.delete(&path(&["outbox", id]))?;
            output.done("dropped", id)
        }
    }
}

fn state(text: &str) -> Result<State, String> {
    State::try_from(text.to_owned()).map_err(|_| format!("one of {}", State::ALL.map(State::name).join(", ")))
}
