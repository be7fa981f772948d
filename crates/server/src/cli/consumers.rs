//! Owns `tollgate consumers`: who is billed, and by which tier. Must not know of keys.

use std::io;
use std::process::ExitCode;

use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::keys::Once;
use super::output::Output;
use super::rules::{NewRules, Rules};
use super::table::{Cell, Column};
use crate::clock::Time;
use crate::consumers::{Consumer, ConsumerPatch, NewConsumer};

/// Make, see, change and delete consumers.
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
    /// Make a consumer.
    Create(New),
    /// List consumers.
    List {
        /// Of this organisation.
        #[arg(long, value_name = "ID")]
        organisation: Option<String>,
        /// In this tier.
        #[arg(long, value_name = "NAME")]
        tier: Option<String>,
        #[command(flatten)]
        window: Window,
    },
    /// Show a consumer.
    Show {
        /// The consumer's id.
        id: String,
    },
    /// Change a consumer: its name, address, tier, scopes or quotas, or whether its keys pass.
    Update(Update),
    /// Delete a consumer: disable it for good and revoke its keys. The id is not given again.
    Delete {
        /// The consumer's id.
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct New {
    /// Its id: letters, digits, `.`, `_` and `-`. Default: a random one.
    id: Option<String>,
    /// Its name, for people. Default: its id.
    #[arg(long, required_unless_present = "id")]
    name: Option<String>,
    /// Where it can be written to.
    #[arg(long)]
    email: Option<String>,
    /// The name of its tier.
    #[arg(long, value_name = "NAME")]
    tier: String,
    /// What its keys may be used for at most; as often as needed.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    #[command(flatten)]
    rules: Rules,
    /// Units of a quota in place of what its tier says, by the limit's name; as often as needed.
    #[arg(long = "override", value_name = "LIMIT=UNITS", value_parser = override_)]
    overrides: Vec<(String, u64)>,
    /// The id of its organisation. Default: that of the admin key, else `default`.
    #[arg(long, value_name = "ID")]
    organisation: Option<String>,
    /// None of its keys pass, until it is enabled.
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    once: Once,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true)
    .args(["name", "email", "no_email", "tier", "scopes", "no_scopes", "roles", "no_roles", "allow", "deny", "no_addresses", "overrides", "no_overrides", "disable", "enable"]))]
struct Update {
    /// The consumer's id.
    id: String,
    /// Its name.
    #[arg(long)]
    name: Option<String>,
    /// Where it can be written to.
    #[arg(long)]
    email: Option<String>,
    /// It cannot be written to any more.
    #[arg(long, conflicts_with = "email")]
    no_email: bool,
    /// The name of its tier; in force on every proxy at once.
    #[arg(long, value_name = "NAME")]
    tier: Option<String>,
    /// What its keys may be used for at most, in place of what it was; as often as needed. In force on every proxy at once.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// No key of it has scopes any more.
    #[arg(long, conflicts_with = "scopes")]
    no_scopes: bool,
    #[command(flatten)]
    rules: NewRules,
    /// Units of a quota in place of what its tier says, by the limit's name, instead of all overrides it had; as often as needed. In force when
    /// proxies next ask for units.
    #[arg(long = "override", value_name = "LIMIT=UNITS", value_parser = override_)]
    overrides: Vec<(String, u64)>,
    /// Its quotas are those of its tier.
    #[arg(long, conflicts_with = "overrides")]
    no_overrides: bool,
    /// None of its keys pass any more.
    #[arg(long)]
    disable: bool,
    /// Its keys pass again.
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
}

const COLUMNS: &[Column<Consumer>] = &[
    Column::listed("id", |consumer| consumer.id.as_str().into()),
    Column::listed("name", |consumer| consumer.name.as_str().into()),
    Column::listed("tier", |consumer| consumer.tier.as_str().into()),
    Column::listed("scopes", |consumer| Cell::words(&consumer.scopes)),
    Column::alone("roles", |consumer| Cell::words(&consumer.roles)),
    Column::alone("addresses", |consumer| Cell::words(&consumer.addresses.words())),
    Column::alone("overrides", |consumer| {
        Cell::words(&consumer.overrides.iter().map(|(limit, units)| format!("{limit}={units}")).collect::<Vec<_>>())
    }),
    Column::listed("status", |consumer| if consumer.disabled { "disabled" } else { "active" }.into()),
    Column::listed("organisation", |consumer| consumer.organisation.as_str().into()),
    Column::alone("email", |consumer| Cell::perhaps(consumer.email.as_ref())),
    Column::listed("created", |consumer| Cell::Time(consumer.created_at)),
    Column::alone("updated", |consumer| changed(consumer.created_at, consumer.updated_at)),
];

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, &arguments.command)))
}

fn execute(client: &Client, output: &Output, command: &Command) -> Result<(), ClientError> {
    match command {
        Command::Create(new) => output.one(&client.post(&path(&["consumers"]), &new.document(), new.once.key())?, COLUMNS),
        Command::List { organisation, tier, window } => {
            let query = [("organisation", organisation.as_deref()), ("tier", tier.as_deref())];
            output.many(&client.list(&path(&["consumers"]), &query, window)?, COLUMNS)
        }
        Command::Show { id } => output.one(&client.get(&path(&["consumers", id]), &[])?, COLUMNS),
        Command::Update(update) => output.one(&client.patch(&path(&["consumers", &update.id]), &update.patch())?, COLUMNS),
        Command::Delete { id } => {
            client.delete(&path(&["consumers", id]))?;
            output.done("deleted", id)
        }
    }
}

/// When something was last changed, if it was.
pub(super) fn changed(created: Time, updated: Time) -> Cell {
    if updated > created { Cell::Time(updated) } else { Cell::Nothing }
}

/// Reads `monthly=500000`.
fn override_(text: &str) -> Result<(String, u64), String> {
    let (limit, units) = text.split_once('=').ok_or("a limit's name and units, such as `monthly=500000`")?;
    let units = units.parse().map_err(|_| "units are a whole number, such as in `monthly=500000`")?;
    Ok((limit.to_owned(), units))
}

impl New {
    fn document(&self) -> NewConsumer {
        NewConsumer {
            id: self.id.clone(),
            organisation: self.organisation.clone(),
            name: self.name.clone().or_else(|| self.id.clone()).unwrap_or_default(),
            email: self.email.clone(),
            tier: self.tier.clone(),
            scopes: self.scopes.clone(),
            roles: self.rules.roles.clone(),
            addresses: self.rules.addresses(),
            overrides: self.overrides.iter().cloned().collect(),
            disabled: self.disabled,
        }
    }
}

impl Update {
    fn patch(&self) -> ConsumerPatch {
        ConsumerPatch {
            name: self.name.clone(),
            email: (self.no_email || self.email.is_some()).then(|| self.email.clone()),
            tier: self.tier.clone(),
            scopes: (self.no_scopes || !self.scopes.is_empty()).then(|| self.scopes.clone()),
            roles: self.rules.roles(),
            addresses: self.rules.addresses(),
            overrides: (self.no_overrides || !self.overrides.is_empty()).then(|| self.overrides.iter().cloned().collect()),
            disabled: (self.disable || self.enable).then_some(self.disable),
        }
    }
}
