//! Owns what a gate asks of Envoy's admin interface.
//!
//! It must not keep what it was told: the next answer may differ.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use crate::client::{Call, Connection, Http};

/// The admin interface and the listener, once both serve.
pub(super) async fn serving(directory: &Path) -> Option<(SocketAddr, SocketAddr)> {
    let admin: SocketAddr = fs::read_to_string(directory.join("admin")).ok()?.parse().ok()?;
    let server = ask(admin, "/server_info").await?;
    let listeners = ask(admin, "/listeners?format=json").await?;
    let socket = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
    let port = u16::try_from(socket["port_value"].as_u64()?).ok()?;
    (server["state"] == "LIVE").then_some((admin, SocketAddr::from(([127, 0, 0, 1], port))))
}

pub(super) async fn ask(admin: SocketAddr, target: &str) -> Option<Value> {
    serde_json::from_str(&page(admin, target).await?).ok()
}

pub(super) async fn page(admin: SocketAddr, target: &str) -> Option<String> {
    let mut connection = Connection::try_open(admin, Http::One).await?;
    let answer = connection.send(Call::get(target)).await.ok()?;
    String::from_utf8(answer.body.to_vec()).ok()
}
