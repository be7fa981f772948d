#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]
