//! Owns `tollgate blocks`: who is blocked, and who is never blocked automatically. Must not know how abuse is found.

use std::io;
use std::process::ExitCode;

use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::keys::{End, Once};
use super::output::Output;
use super::table::{Cell, Column};
use crate::blocks::{Block, BlockEffect, NewApproval, NewBlock};

/// See, make and lift blocks, and approve who is never to be blocked automatically. Without a command: list.
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
    /// List who is blocked, and who would be but for a shadow mode.
    List {
        #[command(flatten)]
        which: Which,
    },
    /// Block somebody, everywhere and at once.
    Create {
        #[command(flatten)]
        new: New,
        /// Only what has no credential that is known to be good; of an address.
        #[arg(long)]
        unknown_only: bool,
    },
    /// Lift a block. What was counted against its subject is forgotten.
    Lift {
        /// The block's id.
        id: String,
    },
    /// Approve somebody: no node blocks it, and an automatic block of it ends.
    Approve {
        #[command(flatten)]
        new: New,
    },
    /// List who is approved.
    Approvals {
        #[command(flatten)]
        which: Which,
    },
    /// Take an approval back.
    Unapprove {
        /// The approval's id.
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Also those that are over.
    #[arg(long)]
    past: bool,
    #[command(flatten)]
    window: Window,
}

#[derive(Debug, clap::Args)]
struct New {
    /// Who: `address:192.0.2.7`, `address:192.0.2.0/24`, `consumer:ID`, `credential:ID`.
    subject: String,
    /// Why.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    end: End,
    #[command(flatten)]
    once: Once,
}

const COLUMNS: &[Column<Block>] = &[
    Column::listed("id", |block| block.id.as_str().into()),
    Column::listed("subject", |block| block.subject.as_str().into()),
    Column::listed("effect", |block| if block.shadow { "shadow" } else { block.effect.as_str() }.into()),
    Column::listed("reason", |block| block.reason.as_str().into()),
    Column::alone("score", |block| block.score.to_string().as_str().into()),
    Column::listed("repeats", |block| block.repeats.to_string().as_str().into()),
    Column::listed("origin", |block| block.origin.as_str().into()),
    Column::alone("organisation", |block| Cell::perhaps(block.organisation.as_ref())),
    Column::listed("began", |block| Cell::Time(block.begins_at)),
    Column::listed("ends", |block| block.ends_at.into()),
    Column::listed("lifted", |block| block.lifted_at.into()),
];

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let list = Command::List { which: Which { past: false, window: Window::default() } };
    let command = arguments.command.as_ref().unwrap_or(&list);
    finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, command)))
}

fn execute(client: &Client, output: &Output, command: &Command) -> Result<(), ClientError> {
    let list = |kind: &str, which: &Which| {
        let past = which.past.then_some("true");
        output.many(&client.list(&path(&[kind]), &[("past", past)], &which.window)?, COLUMNS)
    };
    match command {
        Command::List { which } => list("blocks", which),
        Command::Approvals { which } => list("approvals", which),
        Command::Create { new, unknown_only } => {
            let document = NewBlock {
                subject: new.subject.clone(),
                effect: unknown_only.then_some(BlockEffect::Unknown),
                reason: new.reason.clone(),
                ends_at: new.end.time(),
            };
            output.one(&client.post(&path(&["blocks"]), &document, new.once.key())?, COLUMNS)
        }
        Command::Approve { new } => {
            let document = NewApproval { subject: new.subject.clone(), reason: new.reason.clone(), ends_at: new.end.time() };
            output.one(&client.post(&path(&["approvals"]), &document, new.once.key())?, COLUMNS)
        }
        Command::Lift { id } => {
            client.delete(&path(&["blocks", id]))?;
            output.done("lifted", id)
        }
        Command::Unapprove { id } => {
            client.delete(&path(&["approvals", id]))?;
            output.done("taken back", id)
        }
    }
}
