//! What operations promise, over a real database in a directory of its own and a clock that the tests move.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "what the tests share is of the tests"
)]

#[path = "backend/setup.rs"]
mod setup;

#[path = "backend/accounts.rs"]
mod accounts;

#[path = "backend/admin_keys.rs"]
mod admin_keys;
#[path = "backend/api_keys.rs"]
mod api_keys;
#[path = "backend/audit.rs"]
mod audit;
#[path = "backend/blocks.rs"]
mod blocks;
#[path = "backend/boundary.rs"]
mod boundary;
#[path = "backend/changes.rs"]
mod changes;
#[path = "backend/consumers.rs"]
mod consumers;
#[path = "backend/first_leases.rs"]
mod first_leases;
#[path = "backend/frozen.rs"]
mod frozen;
#[path = "backend/hashing.rs"]
mod hashing;
#[path = "backend/idempotency.rs"]
mod idempotency;
#[path = "backend/init.rs"]
mod init;
#[path = "backend/leases.rs"]
mod leases;
#[path = "backend/ledger.rs"]
mod ledger;
#[path = "backend/nodes.rs"]
mod nodes;
#[path = "backend/nonces.rs"]
mod nonces;
#[path = "backend/organisations.rs"]
mod organisations;
#[path = "backend/own_limits.rs"]
mod own_limits;
#[path = "backend/pages.rs"]
mod pages;
#[path = "backend/reports.rs"]
mod reports;
#[path = "backend/rotation.rs"]
mod rotation;
#[path = "backend/scopes.rs"]
mod scopes;
#[path = "backend/secrets_rotated.rs"]
mod secrets_rotated;
#[path = "backend/self_service.rs"]
mod self_service;
#[path = "backend/signing.rs"]
mod signing;
#[path = "backend/taken_over.rs"]
mod taken_over;
#[path = "backend/tenants.rs"]
mod tenants;
#[path = "backend/tiers.rs"]
mod tiers;
#[path = "backend/tokens.rs"]
mod tokens;
