//! Owns what a client command prints: tables for people, the server's own documents for programs, a secret once. Must not ask the server.

use std::io::{self, Write};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::{Answer, ClientError};
use super::table::{Column, list, plain, record};
use crate::clock::{Clock, SystemClock};
use crate::page::Listing;

/// How the answer is printed.
#[derive(Debug, clap::Args)]
pub(super) struct Output {
    /// Print the server's answer as JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// How a new secret is printed.
#[derive(Debug, clap::Args)]
pub(super) struct Alone {
    /// Print nothing but the new secret.
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
}

impl Output {
    /// One resource.
    pub(super) fn one<T: DeserializeOwned>(&self, answer: &Answer, columns: &[Column<T>]) -> Result<(), ClientError> {
        self.print(&answer.body, || Ok(record(None, columns, &answer.read()?, SystemClock.now())))
    }

    /// A page of resources.
    pub(super) fn many<T: DeserializeOwned>(&self, answer: &Answer, columns: &[Column<T>]) -> Result<(), ClientError> {
        let page: Listing<T> = answer.read()?;
        self.print(&answer.body, || Ok(list(columns, &page.items, SystemClock.now())))?;
        if let Some(next) = page.next.filter(|_| !self.json) {
            writeln!(io::stderr(), "there are more: --after '{}', or --all", plain(&next))?;
        }
        Ok(())
    }

    /// All resources of a kind of which there are few.
    pub(super) fn all<T: DeserializeOwned>(&self, answer: &Answer, items: &[T], columns: &[Column<T>]) -> Result<(), ClientError> {
        self.print(&answer.body, || Ok(list(columns, items, SystemClock.now())))
    }

    /// A resource just made, with the secret that is shown this once.
    pub(super) fn secret<T: DeserializeOwned>(
        &self,
        answer: &Answer,
        (title, secret): (&str, &str),
        columns: &[Column<T>],
        alone: &Alone,
    ) -> Result<(), ClientError> {
        if alone.quiet {
            return self.print(&Value::Null, || Ok(format!("{secret}\n")));
        }
        self.print(&answer.body, || Ok(record(Some((title, secret)), columns, &answer.read()?, SystemClock.now())))?;
        if !self.json {
            writeln!(io::stderr(), "keep the {title}: it is not shown again")?;
        }
        Ok(())
    }

    /// Something more, for people: a document holds it already.
    pub(super) fn line(&self, title: &str, text: &str) -> Result<(), ClientError> {
        if self.json { Ok(()) } else { self.print(&Value::Null, || Ok(format!("{title}: {}\n", plain(text)))) }
    }

    /// What was done to something of which nothing is left to show.
    pub(super) fn done(&self, done: &str, id: &str) -> Result<(), ClientError> {
        self.print(&json!({done: id}), || Ok(format!("{done} {}\n", plain(id))))
    }

    /// The document for programs, or what it is for people.
    pub(super) fn print(&self, document: &Value, people: impl FnOnce() -> Result<String, ClientError>) -> Result<(), ClientError> {
        let text = if self.json { format!("{document:#}\n") } else { people()? };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}
