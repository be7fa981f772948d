//! Owns the command line: one module a command. Must not hold what a command does.

mod admin_keys;
mod audit;
mod blocks;
mod check;
mod client;
mod consumers;
mod hash;
mod identity_providers;
mod init;
mod keys;
mod ledger;
mod nodes;
mod openapi;
mod organisations;
mod outbox;
mod output;
mod rules;
mod schema;
mod secrets;
mod serve;
mod sign;
mod signing_keys;
mod table;
mod tiers;
mod times;
mod tokens;
mod users;

use std::io;
use std::process::ExitCode;

/// Exit status where something was judged and found wrong.
pub const WRONG: u8 = 1;
/// Exit status where nothing could be judged: a file that cannot be read or parsed, a missing variable, a wrong argument.
pub const UNUSABLE: u8 = 2;

/// API keys and rate limits inside Envoy.
#[derive(Debug, clap::Parser)]
#[command(name = "tollgate", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Init(init::Arguments),
    Check(check::Arguments),
    Hash(hash::Arguments),
    Sign(sign::Arguments),
    Openapi(openapi::Arguments),
    Schema(schema::Arguments),
    Keys(keys::Arguments),
    Consumers(consumers::Arguments),
    Tiers(tiers::Arguments),
    Nodes(nodes::Arguments),
    Ledger(ledger::Arguments),
    Blocks(blocks::Arguments),
    Tokens(tokens::Arguments),
    Secrets(secrets::Arguments),
    SigningKeys(signing_keys::Arguments),
    Organisations(organisations::Arguments),
    AdminKeys(admin_keys::Arguments),
    Users(users::Arguments),
    IdentityProviders(identity_providers::Arguments),
    Outbox(outbox::Arguments),
    Audit(audit::Arguments),
}

/// Runs a command on the process's standard streams.
///
/// # Errors
/// What went wrong with the standard streams themselves; everything else is an exit status.
pub fn run(cli: Cli) -> io::Result<ExitCode> {
    match cli.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Hash(arguments) => hash::run(&arguments),
        Command::Sign(arguments) => sign::run(&arguments),
        Command::Openapi(arguments) => openapi::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::Consumers(arguments) => consumers::run(&arguments),
        Command::Tiers(arguments) => tiers::run(&arguments),
        Command::Nodes(arguments) => nodes::run(&arguments),
        Command::Ledger(arguments) => ledger::run(&arguments),
        Command::Blocks(arguments) => blocks::run(&arguments),
        Command::Tokens(arguments) => tokens::run(&arguments),
        Command::Secrets(arguments) => secrets::run(&arguments),
        Command::SigningKeys(arguments) => signing_keys::run(&arguments),
        Command::Organisations(arguments) => organisations::run(&arguments),
        Command::AdminKeys(arguments) => admin_keys::run(&arguments),
        Command::Users(arguments) => users::run(&arguments),
        Command::IdentityProviders(arguments) => identity_providers::run(&arguments),
        Command::Outbox(arguments) => outbox::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
    }
}
