//! Owns the harness of the end-to-end tests: a real Envoy with the module that ships, a real upstream behind it, and clients before it.
//!
//! It must not know how the filter decides: it sees bytes, statuses, statistics and log lines, as an operator or a client does.
//! What it needs from outside comes by environment: `ENVOY` (the proxy's program), `TOLLGATE_WASM` (the module) and `TOLLGATE_BIN` (the
//! backend's program).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness reports what broke by failing the test at that line"
)]

pub mod backend;
pub mod client;
pub mod crowd;
pub mod every_worker;
pub mod fake_backend;
pub mod gate;
pub mod load;
pub mod mail_server;
pub mod network;
pub mod openid_provider;
pub mod packages;
pub mod plugin;
mod port;
pub mod publisher;
pub mod signer;
pub mod trap;
pub mod upstream;
pub mod wait;

pub use backend::{Backend, NewKey};
pub use client::raw::{RawAnswer, RawRequest};
pub use client::{Answer, Call, Connection, Http};
pub use crowd::{Crowd, send_all};
pub use every_worker::EveryWorker;
pub use fake_backend::{FakeBackend, Fault, Kind};
pub use gate::{Gate, Setup, Shared};
pub use load::Load;
pub use mail_server::MailServer;
pub use network::Network;
pub use openid_provider::{Browser, OpenIdProvider, Page};
pub use publisher::{Published, Publisher};
pub use signer::Signer;
pub use upstream::{Seen, Upstream};
pub use wait::{run, until};
