//! Owns `tollgate users`: people who sign in. Must not know how they do.

use std::io;
use std::process::ExitCode;

use super::admin_keys::role;
use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::keys::Once;
use super::output::Output;
use super::table::{Cell, Column};
use crate::permission::Role;
use crate::users::{NewUser, User, UserPatch};

/// Make, see, change and delete users.
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
    /// Make a user. They are sent a word with which they choose a password.
    Create(New),
    /// List users.
    List {
        #[command(flatten)]
        window: Window,
    },
    /// Show a user.
    Show {
        /// The user's id.
        id: String,
    },
    /// Change a user. Who may do something else from now on, or nothing, signs in anew.
    Update(Update),
    /// Delete a user. Their sessions end, and who they were is forgotten.
    Delete {
        /// The user's id.
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct New {
    /// Where they can be written to.
    email: String,
    /// What they are called. Default: their address.
    #[arg(long)]
    name: Option<String>,
    /// What they may do: `admin`, `operator`, `viewer` or `developer`, as with admin keys.
    #[arg(long, value_parser = role)]
    role: Role,
    /// The organisation an operator or a viewer is bound to. Default: all.
    #[arg(long, value_name = "ID")]
    organisation: Option<String>,
    /// The consumer a developer is bound to.
    #[arg(long, value_name = "ID")]
    consumer: Option<String>,
    #[command(flatten)]
    once: Once,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true).args(["name", "role", "disable", "enable"]))]
struct Update {
    /// The user's id.
    id: String,
    /// What they are called.
    #[arg(long)]
    name: Option<String>,
    /// What they may do.
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// The organisation an operator or a viewer is bound to.
    #[arg(long, value_name = "ID", requires = "role")]
    organisation: Option<String>,
    /// The consumer a developer is bound to.
    #[arg(long, value_name = "ID", requires = "role")]
    consumer: Option<String>,
    /// They can no longer sign in.
    #[arg(long)]
    disable: bool,
    /// They can sign in again.
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
}

const COLUMNS: &[Column<User>] = &[
    Column::listed("id", |user| user.id.as_str().into()),
    Column::listed("name", |user| user.name.as_str().into()),
    Column::listed("email", |user| Cell::perhaps(user.email.as_ref())),
    Column::listed("role", |user| user.role.name().into()),
    Column::listed("organisation", |user| Cell::perhaps(user.organisation.as_ref())),
    Column::listed("consumer", |user| Cell::perhaps(user.consumer.as_ref())),
    Column::listed("status", |user| status(user).into()),
    Column::listed("created", |user| Cell::Time(user.created_at)),
];

const fn status(user: &User) -> &'static str {
    match (user.disabled, user.verified) {
        (true, _) => "disabled",
        (false, true) => "active",
        (false, false) => "unverified",
    }
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, &arguments.command)))
}

fn execute(client: &Client, output: &Output, command: &Command) -> Result<(), ClientError> {
    match command {
        Command::Create(new) => {
            let document = NewUser {
                name: new.name.clone().unwrap_or_else(|| new.email.clone()),
                email: new.email.clone(),
                role: new.role,
                organisation: new.organisation.clone(),
                consumer: new.consumer.clone(),
            };
            output.one(&client.post(&path(&["users"]), &document, new.once.key())?, COLUMNS)
        }
        Command::List { window } => output.many(&client.list(&path(&["users"]), &[], window)?, COLUMNS),
        Command::Show { id } => output.one(&client.get(&path(&["users", id]), &[])?, COLUMNS),
        Command::Update(update) => {
            let patch = UserPatch {
                name: update.name.clone(),
                role: update.role,
                organisation: update.organisation.clone(),
                consumer: update.consumer.clone(),
                disabled: (update.disable || update.enable).then_some(update.disable),
            };
            output.one(&client.patch(&path(&["users", &update.id]), &patch)?, COLUMNS)
        }
        Command::Delete { id } => {
            client.delete(&path(&["users", id]))?;
            output.done("deleted", id)
        }
    }
}
