//! Owns the documents users write: their shape, their validation and their words for what is wrong. Must not know how a policy is applied.
//!
//! The filter compiles a document at load, `tollgate check` does the same beforehand, and the JSON Schema is made from the same types.

pub mod document;

mod compile;
mod problem;
mod units;

pub use compile::{compile, default_tiers};
pub use problem::{Problem, Problems};

use crate::policy::Policy;

/// The largest document that is read, in bytes: about 30,000 static keys.
pub const LARGEST_DOCUMENT: usize = 8 * 1024 * 1024;

/// What a document may refer to but never holds itself.
pub trait Environment {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;
}

impl<F: Fn(&str) -> Option<String>> Environment for F {
    fn variable(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// Reads and compiles a plugin configuration (JSON).
///
/// # Errors
/// Every [`Problem`] found: one if the document's shape is wrong, else all that are wrong with its values.
pub fn load(json: &[u8], environment: &dyn Environment) -> Result<Policy, Problems> {
    compile(&parse(json)?, environment)
}

/// Reads a plugin configuration without judging its values.
///
/// # Errors
/// The first [`Problem`] with the document's shape.
pub fn parse(json: &[u8]) -> Result<document::Plugin, Problems> {
    if json.len() > LARGEST_DOCUMENT {
        return Err(Problem::new("", format!("{} bytes", json.len()), format!("at most {LARGEST_DOCUMENT} bytes")).into());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let plugin = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| problem::of_serde(&error))?;
    deserializer.end().map_err(|error| Problem::new("", error.to_string(), "one JSON object and nothing after it"))?;
    Ok(plugin)
}

/// The JSON Schema of a plugin configuration.
#[cfg(feature = "schema")]
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(document::Plugin).to_value()
}

#[cfg(test)]
mod tests;
