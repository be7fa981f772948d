//! Owns what targets leave out because the code under test does not yet do what they ask. Nothing would be best.

/// Windows whose newest part is at the end of time: `window.rs` adds to its number.
pub(crate) const END_OF_TIME: bool = true;

/// What `;parameters` hold: `decode_path` accepts there what it accepts nowhere else.
pub(crate) const PARAMETERS: bool = true;

/// Ports that follow a bracket without a colon, as in `[::1]443`: `is_plain_authority` takes them for plain.
pub(crate) const PORT_WITHOUT_COLON: bool = true;
