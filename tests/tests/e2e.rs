//! The cases, by what they are about.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a case fails where it does not hold"
)]

mod e2e {
    mod abuse;
    mod addresses;
    mod anonymous;
    mod answers;
    mod audit;
    mod backend_bodies;
    mod backend_bounds;
    mod backend_changes;
    mod backend_faults;
    mod backend_feed;
    mod backend_keys;
    mod backend_outage;
    mod backend_reports;
    mod backend_revocation;
    mod backend_rules;
    mod backend_secrets;
    mod backend_server;
    mod backend_shared;
    mod backend_updates;
    mod backend_waiting;
    mod bytes;
    mod cors;
    mod credentials;
    mod exactness;
    mod fast;
    mod fuzz;
    mod identity;
    mod key_limits;
    mod leases;
    mod leases_first;
    mod leases_network;
    mod leases_rates;
    mod limit_headers;
    mod limits;
    mod mail;
    mod metrics;
    mod network;
    mod opaque;
    mod openid;
    mod own_tokens;
    mod paths;
    mod query;
    mod refused;
    mod routes;
    mod secrets;
    mod signatures;
    mod signatures_draft;
    mod signatures_mesh;
    mod signatures_portable;
    mod tokens;
    mod tokens_backend;
    mod tokens_bad;
    mod tokens_bound;
    mod tokens_keys;
    mod tokens_libraries;
    mod tokens_requirements;
    mod traps;
    mod updates;
}
