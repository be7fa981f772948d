//! Owns what clients send and get: well-formed requests by either version of HTTP, and, in [`raw`], bytes that no library sends.
//!
//! It must not repair or retry anything.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;

mod answer;
mod call;
mod connection;
pub(crate) mod raw;

pub use answer::Answer;
pub use call::Call;
pub use connection::Connection;

type Body = BoxBody<Bytes, std::convert::Infallible>;

/// The version of HTTP a request goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1.
    One,
    /// HTTP/2 in the clear, with prior knowledge.
    Two,
}

impl Http {
    /// Both, for cases that must hold for either.
    pub const BOTH: [Self; 2] = [Self::One, Self::Two];
}
