//! Owns a foreign mail server. Must not know what the backend sends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::backend::free_port;
use crate::packages::packages;

/// A running mail server, `smtp-server`, that takes the mail of `tollgate`; it ends when this is dropped.
#[derive(Debug)]
pub struct MailServer {
    port: u16,
    process: Child,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl MailServer {
    /// Starts one that puts off so many mails before it takes one. With a certificate and its key it takes none before STARTTLS.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(puts_off: u32, identity: Option<&[PathBuf; 2]>) -> Self {
        let port = free_port();
        let mut command = Command::new("node");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("mail/server.mjs")).arg(port.to_string()).arg(puts_off.to_string());
        command.args(identity.into_iter().flatten()).env("MAIL_SERVER", packages("MAIL_SERVER", "mail_server.sh"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("node");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        assert_eq!(lines.next().expect("a line").expect("text"), "listening", "the mail server");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mail = serde_json::from_str(&line).expect("a mail");
                told.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
            }
        });
        Self { port, process, seen }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The mails it was brought, those it put off included: `to`, `from`, `secure`, `taken`, `text`.
    #[must_use]
    pub fn seen(&self) -> Vec<Value> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
