//! Tollgate's filter: judges requests inside a proxy-wasm host such as Envoy.
//!
//! Everything but `host` is plain Rust that runs natively: a request's head, the time and a node's shared data go in, a verdict
//! comes out. `host` is the thin layer between that and the proxy's ABI, and exists on WebAssembly only.

pub mod abuse;
pub mod admission;
pub mod authn;
pub mod backend;
pub mod call;
pub mod counters;
pub mod head;
pub mod identity;
pub mod introspection;
pub mod key_sets;
pub mod leases;
pub mod limits;
pub mod nonces;
pub mod outbox;
pub mod reply;
pub mod shared;
pub mod tiers;

#[cfg(target_family = "wasm")]
mod host;

// The ABI's numbers are checked natively, where the rest of `host` does not exist.
#[cfg(test)]
#[path = "host/abi/types.rs"]
mod abi_types;
