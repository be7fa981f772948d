//! Tollgate's vocabulary and arithmetic, shared by the filter, the backend and their tests.
//!
//! Everything here is a pure value or a pure function: no I/O, no clock, no async, no globals.
//! Time comes in as an argument, secrets come in through a lookup the caller passes.

pub mod abuse;
pub mod access;
pub mod bucket;
pub mod claims;
pub mod config;
pub mod credential;
mod der;
pub mod issuer;
pub mod json;
pub mod jwk;
pub mod jws;
pub mod ledger;
pub mod limit;
pub mod policy;
pub mod requirement;
pub mod route;
pub mod sabotage;
pub mod secret;
pub mod signature;
pub mod time;
pub mod verdict;
pub mod window;
pub mod wire;
