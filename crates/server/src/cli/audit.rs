//! Owns `tollgate audit`: who did what, and whether the log of it is whole. Must not believe a backend that says it is: it follows the chain
//! itself.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, ClientError, Connection, Window, finish, path};
use super::output::Output;
use super::table::{Cell, Column};
use super::times::time;
use super::{UNUSABLE, WRONG};
use crate::audit::{self, Chain, Entry, Head, LastEntry};
use crate::clock::Time;

/// Entries of one request: an export of any length is made of requests that each end soon.
const AT_ONCE: u64 = 5_000;

/// See who did what, verify that nothing of it was changed, export it, and have it forget who somebody was. Without a command: list.
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
    #[command(flatten)]
    Asks(Ask),
    /// Follow the log from its beginning: is each entry as it was written, in its place, and after the one before? Asks the backend for all
    /// entries, unless --offline or --file is given.
    Verify {
        /// A head that was kept: the log must still have it. May be given more than once.
        #[arg(long = "head", value_name = "HEAD", value_parser = clap::value_parser!(Head))]
        heads: Vec<Head>,
        /// A file with heads that were kept, one a line.
        #[arg(long, value_name = "FILE")]
        heads_file: Option<PathBuf>,
        /// Read the data directory given by --data, with or without a backend that serves it.
        #[arg(long, conflicts_with = "file")]
        offline: bool,
        /// Read an export of all entries; `-` is standard input.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// What the backend is asked for.
#[derive(Debug, clap::Subcommand)]
enum Ask {
    /// List entries, the newest first.
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        window: Window,
    },
    /// Write entries as JSON, one a line, the oldest first.
    Export {
        #[command(flatten)]
        which: Which,
        /// After the entry of this number: where an earlier export ended.
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: u64,
        /// The file to write, which must not be there yet. Default: standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Print the last entry's number and hash. Kept where nobody writes who may write to the database, it later proves that nothing before it
    /// was changed or taken away.
    Head,
    /// Have the log forget who somebody was. What they did stays, and the log still verifies.
    Erase {
        /// `user:ID`, `consumer:ID`, `address:192.0.2.7`, or what an entry has as `person`.
        person: String,
    },
}

#[derive(Clone, Debug, Default, clap::Args)]
struct Which {
    /// Not before this time: `2027-01-31T12:00:00Z`, or `2027-01-31`.
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Time>,
    /// Before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Time>,
    /// By whom: `admin_key:ID`, `user:ID`, `node:ID`, `address:192.0.2.7`.
    #[arg(long)]
    actor: Option<String>,
    /// To whom or what: an id, `consumer:ID`, `address:192.0.2.7`.
    #[arg(long)]
    subject: Option<String>,
    /// What: `keys`, `blocks`, `authentication`, or one action, as `keys:create`.
    #[arg(long)]
    kind: Option<String>,
}

/// An entry, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Shown {
    seq: u64,
    at: Time,
    actor: String,
    action: String,
    subject: String,
    organisation: Option<String>,
    #[serde(default)]
    detail: Value,
    #[serde(default)]
    personal: Value,
    #[serde(default)]
    erased: bool,
}

const COLUMNS: &[Column<Shown>] = &[
    Column::listed("seq", |entry| entry.seq.to_string().as_str().into()),
    Column::listed("at", |entry| Cell::Text(entry.at.to_string())),
    Column::listed("actor", |entry| Cell::Text(entry.named(&entry.actor))),
    Column::listed("action", |entry| entry.action.as_str().into()),
    Column::listed("subject", |entry| Cell::Text(entry.named(&entry.subject))),
    Column::listed("organisation", |entry| Cell::perhaps(entry.organisation.as_ref())),
    Column::listed("what", |entry| Cell::Text(entry.what())),
];

/// What was found.
const VERIFIED: &[Column<LastEntry>] = &[
    Column::alone("entries", |last| last.seq.to_string().as_str().into()),
    Column::alone("head", |last| Cell::Text(format!("{}:{}", last.seq, last.hash))),
];

impl Shown {
    /// The address where the entry has a name for one that is known still.
    fn named(&self, name: &str) -> String {
        match self.personal.get("address").and_then(Value::as_str) {
            Some(address) if name.starts_with("address:~") => format!("address:{address}"),
            _ => name.to_owned(),
        }
    }

    /// In few words, what changed.
    fn what(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for whole in [&self.detail, &self.personal] {
            let (before, after) = (whole.get("before"), whole.get("after"));
            if let (Some(before), Some(Value::Object(after))) = (before, after) {
                let changed = after.iter().filter(|(name, value)| before.get(name) != Some(value));
                words.extend(changed.map(|(name, _)| name.clone()).filter(|name| !["version", "updated_at"].contains(&name.as_str())));
            }
        }
        for name in ["reason", "count", "reporter"] {
            words.extend(
                self.detail.get(name).map(|value| format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))),
            );
        }
        if self.erased {
            words.push("(erased)".to_owned());
        }
        words.join(" ")
    }
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let ask = |ask: &Ask| finish(arguments.connection.open().and_then(|client| execute(&client, &arguments.output, ask)));
    match &arguments.command {
        None => ask(&Ask::List { which: Which::default(), window: Window::default() }),
        Some(Command::Asks(asked)) => ask(asked),
        Some(Command::Verify { heads, heads_file, offline, file }) => {
            let mut kept = heads.clone();
            if let Some(path) = heads_file {
                match read_heads(path) {
                    Ok(heads) => kept.extend(heads),
                    Err(error) => return unusable(&format!("{}: {error}", path.display())),
                }
            }
            match (offline, file) {
                (true, _) => offline_verify(arguments, kept),
                (false, Some(path)) => match open(path) {
                    Ok(from) => verified(&arguments.output, follow(Chain::new(kept), from)),
                    Err(error) => unusable(&format!("cannot read {}: {error}", path.display())),
                },
                (false, None) => match arguments.connection.open() {
                    Ok(client) => verified(&arguments.output, ask_all(&client, Chain::new(kept))),
                    Err(error) => finish(Err(error)),
                },
            }
        }
    }
}

fn execute(client: &Client, output: &Output, ask: &Ask) -> Result<(), ClientError> {
    match ask {
        Ask::List { which, window } => {
            let texts = which.texts();
            output.many(&client.list(&path(&["audit"]), &texts.query(), window)?, COLUMNS)
        }
        Ask::Export { which, after, output: file } => {
            let mut out: Box<dyn Write> = match file {
                None => Box::new(io::stdout().lock()),
                Some(file) => Box::new(OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?),
            };
            export(client, which, *after, &mut |line| Ok(writeln!(out, "{line}")?))?;
            Ok(out.flush()?)
        }
        Ask::Head => {
            let answer = client.get(&path(&["audit", "head"]), &[])?;
            let LastEntry { seq, hash } = answer.read()?;
            output.print(&answer.body, || Ok(format!("{seq}:{hash}\n")))
        }
        Ask::Erase { person } => {
            client.delete(&path(&["audit", "persons", person]))?;
            output.done("erased", person)
        }
    }
}

/// Gives each line of an export.
fn export(client: &Client, which: &Which, after: u64, each: &mut dyn FnMut(&str) -> Result<(), ClientError>) -> Result<(), ClientError> {
    #[derive(Deserialize)]
    struct Numbered {
        seq: u64,
    }
    let (texts, mut after) = (which.texts(), after);
    loop {
        let (limit, from) = (AT_ONCE.to_string(), after.to_string());
        let query = [texts.query().as_slice(), &[("limit", Some(limit.as_str())), ("after", Some(from.as_str()))]].concat();
        let mut lines = 0;
        client.lines(&path(&["audit", "export"]), &query, &mut |line| {
            after = serde_json::from_str::<Numbered>(line)?.seq;
            lines += 1;
            each(line)
        })?;
        if lines < AT_ONCE {
            return Ok(());
        }
    }
}

/// Why there is no verdict, or a bad one.
enum Unverified {
    Asked(ClientError),
    Broken(String),
}

/// Follows the backend's whole log.
fn ask_all(client: &Client, mut chain: Chain) -> Result<Head, Unverified> {
    let mut broken = None;
    let followed = export(client, &Which::default(), 0, &mut |line| {
        if broken.is_none() {
            broken = chain.entry(&serde_json::from_str::<Entry>(line)?).err();
        }
        Ok(())
    });
    followed.map_err(Unverified::Asked)?;
    broken.map_or_else(|| chain.end(), Err).map_err(|broken| Unverified::Broken(broken.to_string()))
}

/// Follows an export.
fn follow(mut chain: Chain, from: Box<dyn BufRead>) -> Result<Head, Unverified> {
    for (number, line) in from.lines().enumerate() {
        let line = line.map_err(|error| Unverified::Asked(error.into()))?;
        let entry =
            serde_json::from_str::<Entry>(&line).map_err(|error| Unverified::Broken(format!("line {}: no entry: {error}", number + 1)))?;
        chain.entry(&entry).map_err(|broken| Unverified::Broken(format!("line {}: {broken}", number + 1)))?;
    }
    chain.end().map_err(|broken| Unverified::Broken(broken.to_string()))
}

fn offline_verify(arguments: &Arguments, kept: Vec<Head>) -> io::Result<ExitCode> {
    let Some(data) = arguments.connection.data() else {
        return unusable("no data directory: give --data DIR");
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(audit::verify(&data, kept)) {
        Ok(found) => verified(&arguments.output, found.map_err(|broken| Unverified::Broken(broken.to_string()))),
        Err(failure) => unusable(failure.private().unwrap_or("it cannot be read")),
    }
}

fn verified(output: &Output, found: Result<Head, Unverified>) -> io::Result<ExitCode> {
    match found {
        Ok(Head { seq, hash }) => {
            let last = LastEntry { seq, hash: hash.to_string() };
            finish(output.one(&super::client::Answer::local(json!(last)), VERIFIED))
        }
        Err(Unverified::Broken(broken)) => {
            writeln!(io::stderr(), "error: the audit log is not whole: {broken}")?;
            Ok(ExitCode::from(WRONG))
        }
        Err(Unverified::Asked(error)) => finish(Err(error)),
    }
}

fn unusable(error: &str) -> io::Result<ExitCode> {
    writeln!(io::stderr(), "error: {error}")?;
    Ok(ExitCode::from(UNUSABLE))
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    Ok(if path == Path::new("-") { Box::new(BufReader::new(io::stdin())) } else { Box::new(BufReader::new(File::open(path)?)) })
}

fn read_heads(path: &Path) -> Result<Vec<Head>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let heads: Vec<Head> =
        lines.map(|(number, line)| line.parse().map_err(|error| format!("line {}: {error}", number + 1))).collect::<Result<_, _>>()?;
    // It would prove nothing, and look as if it did: as when the backend could not be asked for one.
    if heads.is_empty() { Err("no head in it".to_owned()) } else { Ok(heads) }
}

/// What is asked for, as texts.
struct Texts([(&'static str, Option<String>); 5]);

impl Texts {
    fn query(&self) -> Vec<(&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (*name, value.as_deref())).collect()
    }
}

impl Which {
    fn texts(&self) -> Texts {
        let Self { from, until, actor, subject, kind } = self.clone();
        let text = |time: Option<Time>| time.map(|time| time.to_string());
        Texts([("from", text(from)), ("until", text(until)), ("actor", actor), ("subject", subject), ("kind", kind)])
    }
}
