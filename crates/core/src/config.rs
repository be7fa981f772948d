//! Owns the documents users write: their shape, their validation and their words for what is wrong. Must not know how a policy is applied.
//!
//! The filter compiles a document at load, `tollgate check` does the same beforehand, and the JSON Schema is made from the same types.

pub mod document;

mod compile;
mod place;
mod problem;
mod units;

pub use compile::{check_addresses, check_tier, compile, compile_tier, default_tiers, global_rate};
pub use problem::{Problem, Problems};

use serde::Deserialize as _;

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
    if json.trim_ascii().is_empty() {
        return Err(Problem::new("", "nothing", "a JSON object; `{}` would refuse every request").into());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let plugin = document::Plugin::deserialize(&mut deserializer).map_err(|error| problem::of_serde(json, &error))?;
    deserializer.end().map_err(|error| Problem::new("", error.to_string(), "one JSON object and nothing after it"))?;
    // serde reads an object's fields from an array too, in their order, and takes `null` for "not given". Nobody means the
    // first; the second is what a template with an empty variable writes, and `"path": null` would match every path.
    if let Ok(document) = serde_json::from_slice(json) {
        refuse_lax("", false, &document)?;
    }
    Ok(plugin)
}

/// The fields that hold lists; nothing else in a document does, and no list holds another one.
const LISTS: [&str; 27] = [
    "issuers",
    "audiences",
    "algorithms",
    "types",
    "secrets",
    "scopes",
    "roles",
    "all",
    "any",
    "values",
    "default",
    "sources",
    "issuer_keys",
    "tiers",
    "limits",
    "consumers",
    "keys",
    "routes",
    "hosts",
    "methods",
    "charge_when",
    "allow",
    "deny",
    "origins",
    "limit_headers",
    "components",
    "forms",
];

/// Refuses an array where no list belongs, and `null` anywhere.
fn refuse_lax(path: &str, may_be_list: bool, value: &serde_json::Value) -> Result<(), Problems> {
    use serde_json::Value::{Array, Bool, Null, Number, Object, String};
    match value {
        Null => Err(Problem::new(path, "null", "a value, or nothing: leave the field out").into()),
        Array(_) if !may_be_list => Err(Problem::new(path, "an array", "an object").into()),
        Array(elements) => {
            let mut elements = elements.iter().enumerate();
            elements.try_for_each(|(position, element)| refuse_lax(&format!("{path}[{position}]"), false, element))
        }
        // Somebody else's document.
        Object(members) => members.iter().filter(|(field, _)| *field != "jwks").try_for_each(|(field, value)| {
            let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
            refuse_lax(&path, LISTS.contains(&field.as_str()), value)
        }),
        Bool(_) | Number(_) | String(_) => Ok(()),
    }
}

/// The JSON Schema of a plugin configuration.
#[cfg(feature = "schema")]
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(document::Plugin).to_value();
    without_null(&mut schema);
    schema
}

/// Takes `null` out of a schema: an optional field may be left out, not be null.
#[cfg(feature = "schema")]
fn without_null(schema: &mut serde_json::Value) {
    use serde_json::Value;
    let null = serde_json::json!({"type": "null"});
    match schema {
        Value::Object(members) => {
            members.retain(|name, value| name != "default" || !value.is_null());
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(alternatives)) = members.get_mut("anyOf") {
                alternatives.retain(|alternative| *alternative != null);
                if let [Value::Object(only)] = alternatives.as_slice() {
                    let only = only.clone();
                    members.remove("anyOf");
                    members.extend(only);
                }
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;
