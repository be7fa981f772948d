//! The backend over real sockets: what clients, nodes and operators see.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test, also in its functions without an attribute")]

#[path = "http/accounts.rs"]
mod accounts;
#[path = "http/audit.rs"]
mod audit;
#[path = "http/bodies.rs"]
mod bodies;
#[path = "http/client.rs"]
mod client;
#[path = "http/connections.rs"]
mod connections;
#[path = "http/documents.rs"]
mod documents;
#[path = "http/guessing.rs"]
mod guessing;
#[path = "http/leaks.rs"]
mod leaks;
#[path = "http/leases.rs"]
mod leases;
#[path = "http/locked.rs"]
mod locked;
#[path = "http/node.rs"]
mod node;
#[path = "http/oauth.rs"]
mod oauth;
#[path = "http/operation.rs"]
mod operation;
#[path = "http/pages.rs"]
mod pages;
#[path = "http/paths.rs"]
mod paths;
#[path = "http/people.rs"]
mod people;
#[path = "http/permissions.rs"]
mod permissions;
#[path = "http/process.rs"]
mod process;
#[path = "http/revoked.rs"]
mod revoked;
#[path = "http/self_service.rs"]
mod self_service;
#[path = "http/service.rs"]
mod service;
#[path = "http/shares.rs"]
mod shares;
#[path = "http/shutdown.rs"]
mod shutdown;
#[path = "http/tls.rs"]
mod tls;
#[path = "http/twice.rs"]
mod twice;
#[path = "http/versions.rs"]
mod versions;
