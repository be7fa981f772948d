//! Owns `tollgate keys`: API keys of consumers. Must not keep one: it is printed once.

mod import;

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::output::{Alone, Output};
use super::rules::{NewRules, Rules};
use super::table::{Cell, Column};
use super::tiers::{file, limits};
use super::times;
use crate::api_keys::{ApiKey, ApiKeyPatch, Created, Import, Leak, Leaked, NewApiKey, Rotate, Rotated, Status};
use crate::clock::{Clock, SystemClock, Time};
use crate::signing::Signing;

/// Make, see, rotate and revoke API keys.
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
    /// Make an API key. It is printed this once.
    Create(New),
    /// List API keys.
    List {
        /// Of this consumer.
        #[arg(long, value_name = "ID")]
        consumer: Option<String>,
        #[command(flatten)]
        window: Window,
    },
    /// Show what is known of an API key.
    Show {
        /// The key's id: the one inside it.
        id: String,
    },
    /// Change an API key's label, scopes, roles, address rules, limits, credits or end.
    Update(Update),
    /// Make an API key that replaces another, which goes on for a while.
    Rotate(Rotation),
    /// Revoke an API key: no proxy lets it pass any more.
    Revoke {
        /// The key's id.
        id: String,
    },
    /// Take over many API keys from elsewhere, from a file. Those that are there already are passed over.
    Import(import::Arguments),
    /// Report an API key that was found in public, read from standard input, one line: it is revoked. Whoever has it may.
    Leaked {
        /// Where it was found, for the audit log.
        #[arg(long, value_name = "PLACE")]
        found_at: Option<String>,
    },
}

/// When a key ends.
#[derive(Debug, clap::Args)]
pub(super) struct End {
    /// When it ends: `2027-01-31T12:00:00Z`, or a day, at whose beginning (UTC).
    #[arg(long, value_name = "TIME", value_parser = times::time)]
    expires_at: Option<Time>,
    /// How long from now it ends: `12h`, `90d`.
    #[arg(long, value_name = "SPAN", value_parser = times::duration, conflicts_with = "expires_at")]
    expires_in: Option<Duration>,
}

#[derive(Debug, clap::Args)]
struct New {
    /// The id of its consumer.
    #[arg(long, value_name = "ID")]
    consumer: String,
    /// What to call it.
    #[arg(long, default_value = "", hide_default_value = true)]
    label: String,
    /// What it may be used for, of its consumer's scopes; as often as needed.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    #[command(flatten)]
    rules: Rules,
    /// Make a signing secret with it, printed this once, and say when requests must be signed: `optional`, where a route asks for it, or
    /// `required`, always.
    #[arg(long, value_name = "WHEN", value_parser = signing)]
    signing: Option<Signing>,
    /// Limits of its own, beside those of its consumer's tier: a list of them, in JSON or YAML; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// How many units may be spent with it in all: as a rule one for each request.
    #[arg(long, value_name = "UNITS")]
    credits: Option<u64>,
    #[command(flatten)]
    end: End,
    /// Take over a key from elsewhere by its SHA-256, as `tollgate hash` prints it.
    #[arg(long, value_name = "SHA256")]
    import_hash: Option<String>,
    /// Take over a key from elsewhere: read it, one line, from standard input.
    #[arg(long, conflicts_with = "import_hash")]
    import: bool,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    alone: Alone,
}

/// How a repeated command is known for one.
#[derive(Debug, clap::Args)]
pub(super) struct Once {
    /// Do it once, however often the command is run with this text (for a day): the answer is the same, a new key with it.
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true)
    .args(["label", "scopes", "no_scopes", "roles", "no_roles", "allow", "deny", "no_addresses", "signing", "limits", "no_limits", "credits", "no_credits", "expires_at", "expires_in", "never_expires"]))]
struct Update {
    /// The key's id.
    id: String,
    /// What to call it.
    #[arg(long)]
    label: Option<String>,
    /// What it may be used for, of its consumer's scopes, in place of what it was; as often as needed.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// No scopes any more.
    #[arg(long, conflicts_with = "scopes")]
    no_scopes: bool,
    #[command(flatten)]
    rules: NewRules,
    /// When requests with it must be signed: `optional` or `required`; `none` ends its signing secret.
    #[arg(long, value_name = "WHEN", value_parser = signing)]
    signing: Option<Signing>,
    /// Limits of its own in place of all it had: a list of them, in JSON or YAML; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// No limits of its own any more.
    #[arg(long, conflicts_with = "limits")]
    no_limits: bool,
    /// How many units may be spent with it in all, those that were spent included.
    #[arg(long, value_name = "UNITS")]
    credits: Option<u64>,
    /// As many as its limits allow.
    #[arg(long, conflicts_with = "credits")]
    no_credits: bool,
    #[command(flatten)]
    end: End,
    /// It does not end any more.
    #[arg(long, conflicts_with_all = ["expires_at", "expires_in"])]
    never_expires: bool,
}

#[derive(Debug, clap::Args)]
struct Rotation {
    /// The id of the key to replace.
    id: String,
    /// How long the old key goes on: `0s` to `30d`. Default: a day.
    #[arg(long, value_name = "SPAN", value_parser = times::duration)]
    overlap: Option<Duration>,
    #[command(flatten)]
    end: End,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    alone: Alone,
}

const COLUMNS: &[Column<ApiKey>] = &[
    Column::listed("id", |key| key.id.as_str().into()),
    Column::listed("consumer", |key| key.consumer.as_str().into()),
    Column::listed("label", |key| key.label.as_str().into()),
    Column::listed("scopes", |key| Cell::words(&key.scopes)),
    Column::alone("roles", |key| Cell::words(&key.roles)),
    Column::alone("addresses", |key| Cell::words(&key.addresses.words())),
    Column::alone("signing", |key| match key.signing {
        Signing::None => "".into(),
        Signing::Optional => "optional".into(),
        Signing::Required => "required".into(),
    }),
    Column::alone("limits", |key| Cell::Text(if key.limits.is_empty() { String::new() } else { limits(&key.limits) })),
    Column::alone("credits", |key| Cell::perhaps(key.credits.map(|credits| credits.to_string()).as_ref())),
    Column::alone("credits left", |key| Cell::perhaps(key.credits_left.map(|left| left.to_string()).as_ref())),
    Column::listed("status", |key| status(key.status).into()),
    Column::listed("created", |key| Cell::Time(key.created_at)),
    Column::listed("expires", |key| key.expires_at.into()),
    Column::alone("revoked", |key| key.revoked_at.into()),
    Column::listed("last used", |key| key.last_used_at.into()),
    Column::alone("replaces", |key| Cell::perhaps(key.replaces.as_ref())),
    Column::alone("replaced by", |key| Cell::perhaps(key.replaced_by.as_ref())),
];

pub(super) fn run(arguments: &Arguments) -> io::Result<std::process::ExitCode> {
    finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, &arguments.command)))
}

fn execute(client: &Client, output: &Output, command: &Command) -> Result<(), ClientError> {
    match command {
        Command::Create(new) => create(client, output, new),
        Command::List { consumer, window } => {
            output.many(&client.list(&path(&["keys"]), &[("consumer", consumer.as_deref())], window)?, COLUMNS)
        }
        Command::Show { id } => output.one(&client.get(&path(&["keys", id]), &[])?, COLUMNS),
        Command::Update(update) => output.one(&client.patch(&path(&["keys", &update.id]), &update.patch()?)?, COLUMNS),
        Command::Rotate(rotation) => rotate(client, output, rotation),
        Command::Revoke { id } => {
            client.delete(&path(&["keys", id]))?;
            output.done("revoked", id)
        }
        Command::Import(arguments) => import::run(client, output, arguments),
        Command::Leaked { found_at } => {
            let leak = Leak { key: line()?, found_at: found_at.clone() };
            let leaked: Leaked = client.post(&path(&["leaks"]), &leak, None)?.read()?;
            match leaked.revoked {
                Some(id) => output.done("revoked", &id),
                None => Err(ClientError::document("standard input", "no API key that passes")),
            }
        }
    }
}

fn create(client: &Client, output: &Output, new: &New) -> Result<(), ClientError> {
    let document = NewApiKey {
        consumer: new.consumer.clone(),
        label: new.label.clone(),
        scopes: new.scopes.clone(),
        roles: new.rules.roles.clone(),
        addresses: new.rules.addresses(),
        signing: new.signing.unwrap_or_default(),
        limits: new.limits.as_deref().map(file::limits).transpose()?.unwrap_or_default(),
        credits: new.credits,
        expires_at: new.end.time(),
        import: taken_over(new)?,
    };
    let answer = client.post(&path(&["keys"]), &document, new.once.key())?;
    let created: Created = answer.read()?;
    match &created.api_key {
        Some(key) => output.secret(&answer, ("api key", key.expose()), COLUMNS, &new.alone)?,
        None => output.one(&answer, COLUMNS)?,
    }
    signing_secret(output, &created)
}

fn rotate(client: &Client, output: &Output, rotation: &Rotation) -> Result<(), ClientError> {
    let seconds = |overlap: Duration| u32::try_from(overlap.as_secs()).unwrap_or(u32::MAX);
    let document = Rotate { overlap_seconds: rotation.overlap.map(seconds), expires_at: rotation.end.time() };
    let answer = client.post(&path(&["keys", &rotation.id, "rotate"]), &document, rotation.once.key())?;
    let rotated: Rotated = answer.read()?;
    let key = rotated.created.api_key.as_ref().map_or("", |key| key.expose());
    output.secret(&answer, ("api key", key), COLUMNS, &rotation.alone)?;
    signing_secret(output, &rotated.created)
}

/// A line of its own for the signing secret; a document has it already.
fn signing_secret(output: &Output, created: &Created) -> Result<(), ClientError> {
    match &created.signing_secret {
        Some(secret) => output.line("signing secret", secret.expose()),
        None => Ok(()),
    }
}

fn signing(text: &str) -> Result<Signing, String> {
    match text {
        "none" => Ok(Signing::None),
        "optional" => Ok(Signing::Optional),
        "required" => Ok(Signing::Required),
        _ => Err("allowed: `none`, `optional`, `required`".to_owned()),
    }
}

/// The key to take over, if it is one.
fn taken_over(new: &New) -> Result<Option<Import>, ClientError> {
    if let Some(hash) = &new.import_hash {
        return Ok(Some(Import::Sha256(hash.strip_prefix("sha256:").unwrap_or(hash).to_owned())));
    }
    if !new.import {
        return Ok(None);
    }
    Ok(Some(Import::Key(line()?)))
}

/// A key from standard input.
fn line() -> Result<String, ClientError> {
    let mut line = String::new();
    // More than any key has, so that a longer one is seen to be longer by the server.
    io::stdin().lock().take(4_096).read_to_string(&mut line)?;
    let key = line.strip_suffix('\n').map_or(line.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(key.to_owned())
}

pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Expired => "expired",
        Status::Revoked => "revoked",
    }
}

impl End {
    pub(super) fn time(&self) -> Option<Time> {
        self.expires_at.or_else(|| self.expires_in.map(|span| SystemClock.now().after(span)))
    }
}

impl Once {
    pub(super) fn key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }
}

impl Update {
    fn patch(&self) -> Result<ApiKeyPatch, ClientError> {
        let scopes = (self.no_scopes || !self.scopes.is_empty()).then(|| self.scopes.clone());
        let end = self.end.time();
        let limits = match &self.limits {
            Some(path) => Some(file::limits(path)?),
            None => self.no_limits.then(Vec::new),
        };
        Ok(ApiKeyPatch {
            label: self.label.clone(),
            scopes,
            roles: self.rules.roles(),
            addresses: self.rules.addresses(),
            signing: self.signing,
            limits,
            credits: (self.no_credits || self.credits.is_some()).then_some(self.credits),
            expires_at: (self.never_expires || end.is_some()).then_some(end),
        })
    }
}
