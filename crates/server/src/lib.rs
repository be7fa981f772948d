//! Owns what runs beside the proxy: today the command line. Must not judge documents itself: `tollgate_core::config` does.

pub mod cli;
