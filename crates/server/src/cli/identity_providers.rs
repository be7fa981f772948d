//! Owns `tollgate identity-providers`: whom the backend lets say who somebody is. Must not take a secret as an argument, or show it.

use std::io::{self, Read};
use std::process::ExitCode;

use zeroize::Zeroizing;

use super::admin_keys::role;
use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::keys::Once;
use super::output::Output;
use super::table::{Cell, Column};
use crate::openid::{IdentityProvider, IdentityProviderPatch, NewIdentityProvider};
use crate::permission::Role;
use crate::secrets::Shown;

/// Longer than any secret.
const LONGEST_SECRET: u64 = 1_024;

/// Make, see, change and delete OpenID providers.
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
    /// Make a provider.
    Create(New),
    /// List providers.
    List {
        #[command(flatten)]
        window: Window,
    },
    /// Show a provider.
    Show {
        /// The provider's id.
        id: String,
    },
    /// Change a provider.
    Update(Update),
    /// Delete a provider.
    Delete {
        /// The provider's id.
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct New {
    /// Its id, which is part of the redirect URI: URL/api/v1/auth/openid/ID/callback.
    id: String,
    /// Its issuer, exactly as its tokens have it.
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// What the backend is called there.
    #[arg(long)]
    client_id: String,
    /// The backend has a secret with it, which is read from standard input.
    #[arg(long)]
    client_secret_stdin: bool,
    /// What is asked for, `openid` among it; as often as needed. Default: openid, profile and email.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The role of people who have no account yet: `operator`, `developer` or `viewer`. Default: they get none.
    #[arg(long, value_name = "ROLE", value_parser = role)]
    new_users: Option<Role>,
    /// The organisation of new users. Default: `default`.
    #[arg(long, value_name = "ID")]
    organisation: Option<String>,
    /// What people read where they choose it. Default: its id.
    #[arg(long)]
    label: Option<String>,
    #[command(flatten)]
    once: Once,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true)
    .args(["label", "client_id", "client_secret_stdin", "scopes", "new_users", "no_new_users", "disable", "enable"]))]
struct Update {
    /// The provider's id.
    id: String,
    /// What people read.
    #[arg(long)]
    label: Option<String>,
    /// What the backend is called there.
    #[arg(long)]
    client_id: Option<String>,
    /// The backend has another secret with it, which is read from standard input.
    #[arg(long)]
    client_secret_stdin: bool,
    /// What is asked for, in place of what it was; as often as needed.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The role of people who have no account yet.
    #[arg(long, value_name = "ROLE", value_parser = role)]
    new_users: Option<Role>,
    /// People who have no account get none.
    #[arg(long, conflicts_with = "new_users")]
    no_new_users: bool,
    /// Nobody signs in with it any more.
    #[arg(long)]
    disable: bool,
    /// People sign in with it again.
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
}

const COLUMNS: &[Column<IdentityProvider>] = &[
    Column::listed("id", |provider| provider.id.as_str().into()),
    Column::listed("label", |provider| provider.label.as_str().into()),
    Column::listed("issuer", |provider| provider.issuer.as_str().into()),
    Column::listed("client id", |provider| provider.client_id.as_str().into()),
    Column::alone("client secret", |provider| if provider.has_client_secret { "kept" } else { "none" }.into()),
    Column::alone("scopes", |provider| Cell::words(&provider.scopes)),
    Column::listed("new users", |provider| provider.new_users.map_or("none", Role::name).into()),
    Column::alone("organisation", |provider| Cell::perhaps(provider.organisation.as_ref())),
    Column::listed("status", |provider| if provider.disabled { "disabled" } else { "active" }.into()),
];

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, &arguments.command)))
}

fn execute(client: &Client, output: &Output, command: &Command) -> Result<(), ClientError> {
    match command {
        Command::Create(new) => {
            let document = NewIdentityProvider {
                id: new.id.clone(),
                label: new.label.clone(),
                issuer: new.issuer.clone(),
                client_id: new.client_id.clone(),
                client_secret: secret(new.client_secret_stdin)?,
                scopes: (!new.scopes.is_empty()).then(|| new.scopes.clone()),
                new_users: new.new_users,
                organisation: new.organisation.clone(),
            };
            output.one(&client.post(&path(&["identity-providers"]), &document, new.once.key())?, COLUMNS)
        }
        Command::List { window } => output.many(&client.list(&path(&["identity-providers"]), &[], window)?, COLUMNS),
        Command::Show { id } => output.one(&client.get(&path(&["identity-providers", id]), &[])?, COLUMNS),
        Command::Update(update) => {
            let patch = IdentityProviderPatch {
                label: update.label.clone(),
                client_id: update.client_id.clone(),
                client_secret: secret(update.client_secret_stdin)?.map(Some),
                scopes: (!update.scopes.is_empty()).then(|| update.scopes.clone()),
                new_users: if update.no_new_users { Some(None) } else { update.new_users.map(Some) },
                disabled: (update.disable || update.enable).then_some(update.disable),
            };
            output.one(&client.patch(&path(&["identity-providers", &update.id]), &patch)?, COLUMNS)
        }
        Command::Delete { id } => {
            client.delete(&path(&["identity-providers", id]))?;
            output.done("deleted", id)
        }
    }
}

/// A secret from standard input, without the line's end.
fn secret(wanted: bool) -> Result<Option<Shown>, ClientError> {
    if !wanted {
        return Ok(None);
    }
    let mut text = Zeroizing::new(String::new());
    io::stdin().take(LONGEST_SECRET).read_to_string(&mut text).map_err(ClientError::Output)?;
    Ok(Some(Shown::new(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))))
}
