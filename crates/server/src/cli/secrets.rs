//! Owns `tollgate secrets`: which versions of the backend's own secrets there are, and their rotation. Must not read one: the backend has them.

use std::io;
use std::process::ExitCode;

use serde_json::json;

use super::client::{Client, ClientError, Connection, finish, path};
use super::keys::Once;
use super::output::{Alone, Output};
use super::table::{Cell, Column};
use crate::rotation::{SecretVersion, SecretVersions};
use crate::secrets::{Kind, Origin, Use};

/// See and rotate the backend's own secrets, without an interruption. Without a command: list.
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
    /// List the versions there are, with what was made with each. No secret is shown.
    List,
    /// Make a version that is not used yet, for others to know before `rotate`: an issuer key, which is printed this once, for the proxies; the
    /// file of any secret for other backends.
    Prepare {
        /// `pepper`, `issuer`, `encryption`, `token` or `signing`.
        #[arg(value_parser = kind)]
        kind: Kind,
        #[command(flatten)]
        once: Once,
        #[command(flatten)]
        alone: Alone,
    },
    /// Have another version used from now on. What was made with those before goes on.
    Rotate {
        /// `pepper`, `issuer`, `encryption`, `token` or `signing`.
        #[arg(value_parser = kind)]
        kind: Kind,
        #[command(flatten)]
        once: Once,
    },
    /// Take a former version away for good. Refused while something needs it.
    Retire {
        /// Kind and version: `pepper.1`.
        secret: String,
        /// Although something was made with it, which is of no use any more then.
        #[arg(long)]
        force: bool,
    },
}

const COLUMNS: &[Column<SecretVersion>] = &[
    Column::listed("secret", |version| Cell::Text(format!("{}.{}", version.kind.name(), version.version))),
    Column::listed("use", |version| {
        match version.used {
            Use::Current => "current",
            Use::Former => "former",
            Use::Prepared => "prepared",
        }
        .into()
    }),
    Column::listed("from", |version| {
        match version.origin {
            Origin::File => "file",
            Origin::Environment => "environment",
        }
        .into()
    }),
    Column::listed("since", |version| version.first_used_at.into()),
    Column::listed("holds", |version| Cell::perhaps(version.holds.map(|holds| holds.to_string()).as_ref())),
    Column::listed("needed until", |version| version.needed_until.into()),
];

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let command = arguments.command.as_ref().unwrap_or(&Command::List);
    finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, command)))
}

fn execute(client: &Client, output: &Output, command: &Command) -> Result<(), ClientError> {
    match command {
        Command::List => {
            let answer = client.get(&path(&["secrets"]), &[])?;
            let versions: SecretVersions = answer.read()?;
            output.all(&answer, &versions.items, COLUMNS)
        }
        Command::Prepare { kind, once, alone } => {
            let answer = client.post(&path(&["secrets", kind.name(), "prepare"]), &json!({}), once.key())?;
            let made: SecretVersion = answer.read()?;
            match &made.secret {
                Some(secret) => output.secret(&answer, ("issuer key", secret.expose()), COLUMNS, alone),
                None => output.one(&answer, COLUMNS),
            }
        }
        Command::Rotate { kind, once } => {
            output.one(&client.post(&path(&["secrets", kind.name(), "rotate"]), &json!({}), once.key())?, COLUMNS)
        }
        Command::Retire { secret, force } => {
            let place = path(&["secrets", secret]);
            client.delete(&if *force { format!("{place}?force=true") } else { place })?;
            output.done("retired", secret)
        }
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    let known = Kind::ALL.into_iter().find(|kind| kind.name() == text);
    known.ok_or_else(|| "allowed: `pepper`, `issuer`, `encryption`, `token`, `signing`".to_owned())
}
