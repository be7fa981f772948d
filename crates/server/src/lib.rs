//! Owns what runs beside the proxy: the backend and the command line. Must not judge documents itself: `tollgate_core::config` does.
//!
//! `http -> operations -> store`: an operation is a whole, knows nothing of HTTP, and looks at the principal itself: it touches nothing
//! outside of what the principal is bound to. Operations that write take a [`store::Write`], so that a caller can do more in the same
//! transaction.

pub mod accounts;
pub mod addresses;
pub mod admin_keys;
pub mod api_keys;
pub mod audit;
pub mod blocks;
pub mod calendar;
pub mod changes;
pub mod cli;
pub mod clock;
pub mod consumers;
pub mod ending;
pub mod failure;
pub mod http;
pub mod idempotency;
pub mod init;
pub mod ledger;
pub mod mail;
pub mod nodes;
pub mod nonces;
pub mod openid;
pub mod organisations;
pub mod outbox;
pub mod outgoing;
pub mod page;
mod patch;
pub mod permission;
pub mod reports;
pub mod resolve;
pub mod rotation;
pub mod secrets;
pub mod self_service;
pub mod sessions;
pub mod settings;
pub mod signing;
pub mod signing_keys;
pub mod startup;
pub mod store;
pub mod telemetry;
pub mod tiers;
pub mod tls;
pub mod tokens;
pub mod users;
mod words;
