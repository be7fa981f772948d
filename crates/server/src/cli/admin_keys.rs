//! Owns `tollgate admin-keys`: what the public API itself is used with. Must not know what a role may do.

use std::io;
use std::process::ExitCode;

use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::keys::{End, Once};
use super::output::{Alone, Output};
use super::table::{Cell, Column};
use crate::admin_keys::{AdminKey, CreatedAdminKey, NewAdminKey};
use crate::permission::Role;

/// Make, see and revoke admin keys.
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
    /// Make an admin key. It is printed this once.
    Create(New),
    /// List admin keys.
    List {
        #[command(flatten)]
        window: Window,
    },
    /// Revoke an admin key.
    Revoke {
        /// The key's id: the one inside it.
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct New {
    /// What it may do: `admin` all, `operator` see all and write consumers and keys, `viewer` see all but admin keys, `developer` the
    /// keys of one consumer.
    #[arg(long, value_parser = role)]
    role: Role,
    /// What to call it.
    #[arg(long, default_value = "", hide_default_value = true)]
    label: String,
    /// The organisation an operator or a viewer is bound to. Default: all.
    #[arg(long, value_name = "ID")]
    organisation: Option<String>,
    /// The consumer a developer is bound to.
    #[arg(long, value_name = "ID")]
    consumer: Option<String>,
    #[command(flatten)]
    end: End,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    alone: Alone,
}

const COLUMNS: &[Column<AdminKey>] = &[
    Column::listed("id", |key| key.id.as_str().into()),
    Column::listed("label", |key| key.label.as_str().into()),
    Column::listed("role", |key| key.role.name().into()),
    Column::listed("organisation", |key| Cell::perhaps(key.organisation.as_ref())),
    Column::listed("consumer", |key| Cell::perhaps(key.consumer.as_ref())),
    Column::listed("created", |key| Cell::Time(key.created_at)),
    Column::listed("expires", |key| key.expires_at.into()),
    Column::listed("revoked", |key| key.revoked_at.into()),
];

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, &arguments.command)))
}

fn execute(client: &Client, output: &Output, command: &Command) -> Result<(), ClientError> {
    match command {
        Command::Create(new) => {
            let document = NewAdminKey {
                label: new.label.clone(),
                role: new.role,
                organisation: new.organisation.clone(),
                consumer: new.consumer.clone(),
                expires_at: new.end.time(),
            };
            let answer = client.post(&path(&["admin-keys"]), &document, new.once.key())?;
            let made: CreatedAdminKey = answer.read()?;
            output.secret(&answer, ("admin key", made.admin_key.expose()), COLUMNS, &new.alone)
        }
        Command::List { window } => output.many(&client.list(&path(&["admin-keys"]), &[], window)?, COLUMNS),
        Command::Revoke { id } => {
            client.delete(&path(&["admin-keys", id]))?;
            output.done("revoked", id)
        }
    }
}

pub(super) fn role(text: &str) -> Result<Role, String> {
    let names = || Role::ALL.map(Role::name).join(", ");
    Role::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| format!("one of {}", names()))
}
