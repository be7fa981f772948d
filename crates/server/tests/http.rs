//! The backend over real sockets: what clients, nodes and operators see.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test, also in its functions without an attribute")]

#[path = "http/bodies.rs"]
mod bodies;
#[path = "http/client.rs"]
mod client;
#[path = "http/operation.rs"]
mod operation;
#[path = "http/permissions.rs"]
mod permissions;
#[path = "http/service.rs"]
mod service;
