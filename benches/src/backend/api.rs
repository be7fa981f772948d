//! Owns a client of the public API over one kept connection, so that what is timed is the backend and not the connecting.
//!
//! It knows the few calls that runs need.

use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::json;
use tollgate_core::credential::issued_id;

use super::Backend;
use crate::connection::Connection;

/// A connection to the public API.
pub(crate) struct Api {
    connection: Connection,
    authorization: String,
}

// === impl Api ===

impl Api {
    /// Connects as the administrator whom `tollgate init` made.
    ///
    /// # Errors
    /// When nothing listens there.
    pub(crate) fn open(backend: &Backend) -> Result<Self> {
        Ok(Self { connection: Connection::open(backend.public_port)?, authorization: backend.secret("admin.key")? })
    }

    /// Revokes a key. When the request was sent, and when its answer was there.
    ///
    /// # Errors
    /// When it is not acknowledged.
    pub(crate) fn revoke(&mut self, key: &str) -> Result<(Instant, Instant)> {
        let request = self.request("DELETE", key, "")?;
        let sent = Instant::now();
        self.ask(&request, 204).context("revoking a key")?;
        Ok((sent, Instant::now()))
    }

    /// Changes when a key ends, which nodes are told of.
    ///
    /// # Errors
    /// When it is not acknowledged.
    pub(crate) fn set_end(&mut self, key: &str, expires_at: &str) -> Result<()> {
        let request = self.request("PATCH", key, &json!({"expires_at": expires_at}).to_string())?;
        self.ask(&request, 200).context("changing a key")
    }

    fn request(&self, method: &str, key: &str, body: &str) -> Result<Vec<u8>> {
        let id = issued_id(key.as_bytes()).ok_or_else(|| anyhow!("a key without an id"))?;
        let content =
            if body.is_empty() { String::new() } else { format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()) };
        let head = format!("{method} /api/v1/keys/{id} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n", self.authorization);
        Ok(format!("{head}{content}\r\n{body}").into_bytes())
    }

    fn ask(&mut self, request: &[u8], expected: u16) -> Result<()> {
        self.connection.send(request)?;
        let (status, answer) = self.connection.receive_text()?;
        if status != expected {
            bail!("answered {status}, expected {expected}: {answer}");
        }
        Ok(())
    }
}
