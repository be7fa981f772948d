//! Owns what nodes report: each report is applied once, however often it comes. Must not know how it came.

use tollgate_core::wire::{Acknowledged, Report};

use crate::failure::Failure;
use crate::nodes::Incarnation;
use crate::store::Write;

/// Applies a report, unless it was applied before.
///
/// # Errors
/// [`Failure::Invalid`] for number 0 or too many entries; [`Failure::NotFound`] for an incarnation that never said hello.
pub async fn apply(_write: &mut Write, _incarnation: &Incarnation, _report: &Report) -> Result<Acknowledged, Failure> {
    Err(Failure::Unavailable { private: String::new() })
}
