//! Owns `tollgate tiers`: named sets of limits. Must not judge a limit: the server does.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use tollgate_core::config::document::{Algorithm, Limit, Scope};

use self::file::Wanted;
use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::consumers::changed;
use super::output::Output;
use super::table::{Cell, Column, plain};
use crate::tiers::{NewTier, Tier, TierBody};

pub(super) mod file;

/// See, apply and delete tiers.
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
    /// List tiers.
    List {
        #[command(flatten)]
        window: Window,
    },
    /// Show a tier.
    Show {
        /// The tier's name.
        name: String,
    },
    /// Make tiers what a file says; in force on every proxy at once. Tiers that no file names stay as they are.
    Apply {
        /// A tier or a list of tiers, in JSON or YAML; `-` is standard input.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Say what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete a tier that no consumer is in.
    Delete {
        /// The tier's name.
        name: String,
    },
}

const COLUMNS: &[Column<Tier>] = &[
    Column::listed("name", |tier| tier.name.as_str().into()),
    Column::listed("limits", |tier| Cell::Text(limits(&tier.limits))),
    Column::listed("self-service", |tier| if tier.self_service { "yes" } else { "no" }.into()),
    Column::alone("created", |tier| Cell::Time(tier.created_at)),
    Column::listed("updated", |tier| changed(tier.created_at, tier.updated_at)),
];

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, &arguments.command)))
}

fn execute(client: &Client, output: &Output, command: &Command) -> Result<(), ClientError> {
    match command {
        Command::List { window } => output.many(&client.list(&path(&["tiers"]), &[], window)?, COLUMNS),
        Command::Show { name } => output.one(&client.get(&path(&["tiers", name]), &[])?, COLUMNS),
        Command::Apply { files, dry_run } => apply(client, output, &file::read(files)?, *dry_run),
        Command::Delete { name } => {
            client.delete(&path(&["tiers", name]))?;
            output.done("deleted", name)
        }
    }
}

/// One after the other: where one is refused, those before it are in force, and it is said which.
fn apply(client: &Client, output: &Output, tiers: &[Wanted], dry_run: bool) -> Result<(), ClientError> {
    let mut done: Vec<(&str, &str)> = Vec::new();
    let mut refused = Ok(());
    for tier in tiers {
        match apply_one(client, tier, dry_run) {
            Ok(what) => done.push((what, &tier.name)),
            Err(error) => {
                refused = Err(ClientError::Tier { name: plain(&tier.name), error: Box::new(error) });
                break;
            }
        }
    }
    let document: Vec<Value> = done.iter().map(|(what, name)| json!({"tier": name, "done": what})).collect();
    output.print(&Value::Array(document), || Ok(done.iter().map(|(what, name)| format!("{what} {name}\n")).collect()))?;
    refused
}

fn apply_one(client: &Client, wanted: &Wanted, dry_run: bool) -> Result<&'static str, ClientError> {
    let place = path(&["tiers", &wanted.name]);
    let there = match client.get(&place, &[]) {
        Err(error) if error.is_not_found() => None,
        other => Some(other?),
    };
    let limits = wanted.limits.clone();
    let Some(there) = there else {
        if !dry_run {
            let new = NewTier { name: wanted.name.clone(), limits, self_service: wanted.self_service.unwrap_or_default() };
            client.post(&path(&["tiers"]), &new, None)?;
        }
        return Ok("created");
    };
    let known: Tier = there.read()?;
    let self_service = wanted.self_service.unwrap_or(known.self_service);
    if known.limits == limits && known.self_service == self_service {
        return Ok("unchanged");
    }
    if !dry_run {
        client.put(&place, &TierBody { limits, self_service }, there.etag()?)?;
    }
    Ok("changed")
}

/// Limits as a person would say them.
pub(super) fn limits(limits: &[Limit]) -> String {
    if limits.is_empty() { "unlimited".to_owned() } else { limits.iter().map(limit).collect::<Vec<_>>().join("; ") }
}

fn limit(limit: &Limit) -> String {
    let per = limit.per.strip_prefix('1').filter(|unit| unit.bytes().all(|byte| byte.is_ascii_alphabetic())).unwrap_or(&limit.per);
    let mut said = format!("{}/{per}", limit.rate);
    match limit.algorithm {
        Algorithm::TokenBucket => said.push_str(&format!(" burst {}", limit.burst.unwrap_or(limit.rate))),
        Algorithm::SlidingWindow => said.push_str(" sliding"),
        Algorithm::Quota => {
            if let Some(zone) = &limit.time_zone {
                said.push_str(&format!(" ({zone})"));
            }
        }
    }
    if limit.scope == Some(Scope::Global) && limit.algorithm != Algorithm::Quota {
        said.push_str(" global");
    }
    if let Some(routes) = &limit.routes {
        said.push_str(&format!(" on {}", routes.join(", ")));
    }
    if limit.shadow {
        said.push_str(" (shadow)");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_as_people_would() {
        let told = |text: &str| limits(&serde_json::from_str::<Vec<Limit>>(text).unwrap());
        assert_eq!(told("[]"), "unlimited");
        assert_eq!(
            told(
                r#"[{"name": "a", "algorithm": "token_bucket", "rate": 10, "per": "1s", "burst": 100},
                     {"name": "b", "algorithm": "sliding_window", "rate": 100, "per": "60s", "routes": ["x", "y"], "shadow": true}]"#
            ),
            "10/s burst 100; 100/60s sliding on x, y (shadow)"
        );
        assert_eq!(told(r#"[{"name": "a", "algorithm": "token_bucket", "rate": 5, "per": "100ms"}]"#), "5/100ms burst 5");
        assert_eq!(
            told(
                r#"[{"name": "a", "algorithm": "quota", "rate": 100000, "per": "month", "scope": "global"},
                     {"name": "b", "algorithm": "quota", "rate": 9, "per": "day", "time_zone": "Asia/Tokyo"},
                     {"name": "c", "algorithm": "token_bucket", "rate": 5, "per": "1s", "scope": "global"}]"#
            ),
            "100000/month; 9/day (Asia/Tokyo); 5/s burst 5 global"
        );
    }
}
