//! Owns how a file of keys from elsewhere is read and sent, list by list. Must not judge a key: the server does.
//!
//! A list is taken whole or not at all, and what was taken before is passed over. So a file that broke off is sent again as it is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::json;

use crate::api_keys::{Import, MOST_TAKEN_OVER, NewApiKey, TakeOver, TakenOver};
use crate::cli::client::{Client, ClientError, path};
use crate::cli::output::Output;
use crate::cli::times;

/// The most bytes of a list as JSON: some less than the server reads.
const LARGEST_LIST: usize = 60_000;
/// The longest line: many times what a key can need.
const LONGEST_LINE: u64 = 64 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Keys in CSV, with a line of column names first: `consumer`, `sha256` or `key`, and if wanted `label`, `scopes`, `roles` (with spaces
    /// between them), `expires_at`, `credits`. Or a JSON object on each line, as `POST /api/v1/keys` takes them. `-` is standard input.
    file: PathBuf,
    /// The consumer of all keys whose line names none.
    #[arg(long, value_name = "ID")]
    consumer: Option<String>,
    /// What the file is. Default: `jsonl` if its name ends so, or in `.ndjson`; else `csv`.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Csv,
    Jsonl,
}

/// A line of CSV.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    consumer: String,
    #[serde(default)]
    sha256: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    scopes: String,
    #[serde(default)]
    roles: String,
    #[serde(default)]
    expires_at: String,
    #[serde(default)]
    credits: String,
}

/// Keys that go together, with their lines.
#[derive(Default)]
struct List {
    keys: Vec<NewApiKey>,
    lines: Vec<u64>,
    bytes: usize,
}

/// What is sent, and what became of it.
struct Sender<'a> {
    client: &'a Client,
    file: &'a Path,
    list: List,
    taken: TakenOver,
    bar: ProgressBar,
}

/// Sends a whole file.
pub(super) fn run(client: &Client, output: &Output, arguments: &Arguments) -> Result<(), ClientError> {
    let file = arguments.file.as_path();
    let unread = |error| ClientError::File { path: file.to_owned(), error };
    let (source, size): (Box<dyn Read>, Option<u64>) = if file.as_os_str() == "-" {
        (Box::new(io::stdin().lock()), None)
    } else {
        let opened = File::open(file).map_err(unread)?;
        let size = opened.metadata().map_err(unread)?.len();
        (Box::new(opened), Some(size))
    };
    let bar = bar(size);
    let source = BufReader::new(bar.wrap_read(source));
    let is_lines = file.extension().is_some_and(|extension| extension == "jsonl" || extension == "ndjson");
    let mut sender = Sender { client, file, list: List::default(), taken: TakenOver::default(), bar };
    let sent = match arguments.format.unwrap_or(if is_lines { Format::Jsonl } else { Format::Csv }) {
        Format::Csv => csv(source, arguments, &mut sender),
        Format::Jsonl => jsonl(source, arguments, &mut sender),
    };
    let sent = sent.and_then(|()| sender.flush());
    sender.bar.finish_and_clear();
    let TakenOver { imported, known } = sender.taken;
    if sent.is_err() && imported + known > 0 {
        writeln!(io::stderr(), "{imported} keys were imported, {known} were there already; run it again once the file is mended")?;
    }
    sent?;
    output.print(&json!(sender.taken), || Ok(format!("imported {imported}, there already {known}\n")))
}

/// Shown where people look on.
fn bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{wide_bar} {percent:>3} % {msg} {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn csv(source: impl Read, arguments: &Arguments, sender: &mut Sender<'_>) -> Result<(), ClientError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source);
    let wrong = |error: &csv::Error, line: u64| {
        let reason = if let csv::ErrorKind::Deserialize { err, .. } = error.kind() {
            err.kind().to_string()
        } else if let csv::ErrorKind::UnequalLengths { expected_len, len, .. } = error.kind() {
            format!("{len} fields; the first line names {expected_len} columns")
        } else if let csv::ErrorKind::Utf8 { .. } = error.kind() {
            "not UTF-8".to_owned()
        } else {
            error.to_string()
        };
        (error.position().map_or(line, csv::Position::line), reason)
    };
    let mut record = csv::StringRecord::new();
    let headers = reader.headers().map_err(|error| sender.at(1, &wrong(&error, 1).1))?.clone();
    loop {
        let more = reader.read_record(&mut record).map_err(|error| {
            let (line, reason) = wrong(&error, 0);
            sender.at(line, &reason)
        })?;
        if !more {
            return Ok(());
        }
        let line = record.position().map_or(0, csv::Position::line);
        let read: Line = record.deserialize(Some(&headers)).map_err(|error| sender.at(line, &wrong(&error, line).1))?;
        let key = read.key(arguments.consumer.as_deref()).map_err(|reason| sender.at(line, &reason))?;
        sender.add(line, key)?;
    }
}

fn jsonl(mut source: impl BufRead, arguments: &Arguments, sender: &mut Sender<'_>) -> Result<(), ClientError> {
    let mut text = String::new();
    for line in 1.. {
        text.clear();
        let read = (&mut source).take(LONGEST_LINE).read_line(&mut text);
        let read = read.map_err(|error| ClientError::File { path: sender.file.to_owned(), error })?;
        if read == 0 {
            break;
        }
        if read as u64 == LONGEST_LINE {
            return Err(sender.at(line, "longer than 64 KiB"));
        }
        if text.trim().is_empty() {
            continue;
        }
        let mut document: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| sender.at(line, &format!("not JSON: {error}")))?;
        if let (Some(members), Some(consumer)) = (document.as_object_mut(), &arguments.consumer) {
            members.entry("consumer").or_insert_with(|| json!(consumer));
        }
        let key = serde_path_to_error::deserialize(document);
        sender.add(line, key.map_err(|error| sender.at(line, &format!("{}: {}", error.path(), error.inner())))?)?;
    }
    Ok(())
}

impl Line {
    /// The key that a line says.
    fn key(self, consumer: Option<&str>) -> Result<NewApiKey, String> {
        let import = match (self.sha256.as_str(), self.key.as_str()) {
            ("", "") => return Err("`sha256` or `key` is needed".to_owned()),
            (hash, "") => Import::Sha256(digits(hash).ok_or("sha256: allowed: 64 hexadecimal digits, or base64 of 32 bytes")?),
            ("", key) => Import::Key(key.to_owned()),
            (_, _) => return Err("`sha256` and `key` are both given".to_owned()),
        };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(NewApiKey {
            label: self.label,
            scopes: words(&self.scopes),
            roles: words(&self.roles),
            credits: given(&self.credits).map(|text| text.parse().map_err(|_| "credits: allowed: a whole number")).transpose()?,
            expires_at: given(&self.expires_at)
                .map(|text| times::time(&text).map_err(|allowed| format!("expires_at: allowed: {allowed}")))
                .transpose()?,
            import: Some(import),
            ..NewApiKey::new(given(&self.consumer).or_else(|| consumer.map(str::to_owned)).ok_or("`consumer` is needed")?)
        })
    }
}

/// A SHA-256 as the server reads it, from hexadecimal digits of either case or base64.
fn digits(hash: &str) -> Option<String> {
    let hash = hash.strip_prefix("sha256:").unwrap_or(hash);
    if hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(hash.to_ascii_lowercase());
    }
    let bytes = STANDARD.decode(hash).or_else(|_| URL_SAFE.decode(hash)).ok().filter(|bytes| bytes.len() == 32)?;
    Some(bytes.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}")))
}

impl Sender<'_> {
    fn add(&mut self, line: u64, key: NewApiKey) -> Result<(), ClientError> {
        let bytes = serde_json::to_vec(&key)?.len() + 1;
        if self.list.keys.len() == MOST_TAKEN_OVER || self.list.bytes + bytes > LARGEST_LIST {
            self.flush()?;
        }
        self.list.bytes += bytes;
        self.list.keys.push(key);
        self.list.lines.push(line);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ClientError> {
        let List { keys, lines, bytes: _ } = std::mem::take(&mut self.list);
        if keys.is_empty() {
            return Ok(());
        }
        let answer = self.client.post(&path(&["keys", "import"]), &TakeOver { keys }, None);
        let taken: TakenOver = answer.map_err(|error| self.with_lines(error, &lines))?.read()?;
        self.taken.imported += taken.imported;
        self.taken.known += taken.known;
        self.bar.set_message(format!("{} keys", self.taken.imported + self.taken.known));
        Ok(())
    }

    /// What the server said of places in a list, said of lines of the file.
    fn with_lines(&self, error: ClientError, lines: &[u64]) -> ClientError {
        let said: Vec<String> = error
            .problems()
            .iter()
            .filter_map(|problem| {
                let (position, field) = problem.field.strip_prefix("keys[")?.split_once(']')?;
                let line = lines.get(position.parse::<usize>().ok()?)?;
                Some(format!("line {line}: {}: {}", field.trim_start_matches('.'), problem.reason))
            })
            .collect();
        if said.is_empty() { error } else { ClientError::lines(self.file.display(), &said) }
    }

    fn at(&self, line: u64, reason: &str) -> ClientError {
        ClientError::document(format_args!("{}: line {line}", self.file.display()), reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_come_in_hexadecimal_digits_or_base64() {
        let hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        for hash in [
            hex,
            &hex.to_uppercase(),
            &format!("sha256:{hex}"),
            "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
            "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg=",
        ] {
            assert_eq!(digits(hash).as_deref(), Some(hex), "{hash}");
        }
        for wrong in [
            "",
            "9f86",
            "n4bQ",
            hex.trim_end_matches('8'),
            &format!("{hex}00"),
            "zz86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ] {
            assert_eq!(digits(wrong), None, "{wrong}");
        }
    }
}
