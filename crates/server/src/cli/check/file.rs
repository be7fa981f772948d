//! Owns how a file becomes documents: JSON or YAML, one or several, each member once; or the text of settings. Must not know what they mean.

use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{envoy, istio};

/// What a file holds.
#[derive(Debug)]
pub(super) enum Content {
    /// A plugin configuration: JSON text.
    Plugin(Vec<u8>),
    /// Documents of a proxy's configuration.
    Trees(Vec<Value>),
    /// The backend's settings: TOML text.
    Settings(String),
}

/// Why a file holds nothing that can be judged.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("is not YAML: {0}")]
    Yaml(#[from] serde_norway::Error),
    #[error("is not TOML: {0}")]
    Toml(#[from] std::string::FromUtf8Error),
    #[error("is empty")]
    Empty,
}

/// Reads a file; `-` is standard input.
pub(super) fn read(name: &Path) -> Result<Content, FileError> {
    let mut bytes = Vec::new();
    if name.as_os_str() == "-" {
        io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(name)?;
    }
    if name.extension().is_some_and(|extension| extension == "toml") {
        return Ok(Content::Settings(String::from_utf8(bytes)?));
    }
    parse(bytes, name.extension().is_some_and(|extension| extension == "json"))
}

fn parse(bytes: Vec<u8>, named_json: bool) -> Result<Content, FileError> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first.is_none() {
        return Err(FileError::Empty);
    }
    if !named_json && !matches!(first, Some(b'{' | b'[')) {
        return Ok(Content::Trees(yaml(&bytes)?));
    }
    match serde_json::from_slice::<Value>(&bytes) {
        // The filter's own reader says best what is wrong with a plugin configuration.
        Ok(value) if is_plugin(&value) => Ok(Content::Plugin(bytes)),
        // Read again: the first reader lets the last of two equal members win, this one refuses them.
        Ok(_) => Ok(Content::Trees(vec![serde_json::to_value(serde_json::from_slice::<serde_norway::Value>(&bytes)?)?])),
        // YAML may start with a bracket too.
        Err(error) => yaml(&bytes).ok().filter(|_| !named_json).map(Content::Trees).ok_or(FileError::Json(error)),
    }
}

fn yaml(bytes: &[u8]) -> Result<Vec<Value>, FileError> {
    let mut trees = Vec::new();
    for document in serde_norway::Deserializer::from_slice(bytes) {
        let tree = serde_norway::Value::deserialize(document)?;
        if !tree.is_null() {
            trees.push(serde_json::to_value(tree)?);
        }
    }
    if trees.is_empty() { Err(FileError::Empty) } else { Ok(trees) }
}

/// Whether JSON is a plugin configuration rather than a proxy's.
fn is_plugin(value: &Value) -> bool {
    const PROXYS: [&str; 9] =
        ["@type", "apiVersion", "configs", "dynamic_resources", "filter_chains", "http_filters", "items", "resources", "static_resources"];
    let proxys = value.as_object().is_some_and(|members| PROXYS.iter().any(|name| members.contains_key(*name)));
    let root = super::tree::Path::root(None);
    !proxys && envoy::filters(value, &root).is_empty() && istio::plugin(value, &root).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trees(text: &str) -> Result<Vec<Value>, String> {
        match parse(text.as_bytes().to_vec(), false).map_err(|error| error.to_string())? {
            Content::Trees(trees) => Ok(trees),
            Content::Plugin(_) | Content::Settings(_) => Err("no trees".to_owned()),
        }
    }

    #[test]
    fn a_member_given_twice_is_an_error_in_yaml_and_in_json() {
        assert!(trees("static_resources: {}\nadmin: {a: 1, a: 2}\n").unwrap_err().contains("duplicate"));
        assert!(trees(r#"{"static_resources": {"a": 1, "a": 2}}"#).unwrap_err().contains("duplicate"));
    }

    #[test]
    fn several_documents_are_read_and_empty_ones_skipped() {
        assert_eq!(trees("---\na: 1\n---\n---\nb: 2\n").unwrap().len(), 2);
        assert!(trees("---\n").is_err() && trees(" \n").is_err());
    }

    #[test]
    fn json_without_a_proxys_members_is_a_plugin_configuration() {
        assert!(matches!(parse(b" {\"tiers\": []}".to_vec(), false), Ok(Content::Plugin(_))));
        assert!(matches!(parse(b"[]".to_vec(), false), Ok(Content::Plugin(_))));
        assert_eq!(trees("{static_resources: {}}").unwrap().len(), 1, "YAML in flow style");
        assert!(matches!(parse(b"{static_resources: {}}".to_vec(), true), Err(FileError::Json(_))));
    }

    #[test]
    fn endless_yaml_is_an_error() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                    d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
                    g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n";
        assert!(trees(bomb).is_err());
        assert!(trees(&"[".repeat(2_000)).is_err());
        assert!(trees(&format!("a: {}", "[".repeat(2_000))).is_err());
    }
}
