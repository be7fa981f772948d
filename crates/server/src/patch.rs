//! Owns how a field that is null is told from one that is not there: in a patch the one takes away, the other leaves. Must not know fields.

use serde::{Deserialize, Deserializer};

/// For `deserialize_with` of a field that is `Option<Option<T>>`, with `default`.
pub(crate) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
