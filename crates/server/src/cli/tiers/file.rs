//! Owns how files become tiers: JSON or YAML, one or a list, each name once. Must not judge a limit.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_norway::Value;

use tollgate_core::config::document::Limit;

use crate::cli::client::ClientError;

/// A tier as a file says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    pub(super) name: String,
    #[serde(default)]
    pub(super) limits: Vec<Limit>,
    /// Files that plugin configurations share do not have it: then it stays as it is.
    pub(super) self_service: Option<bool>,
}

/// Far more than all tiers one could want.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// The tiers of all files, in their order. Nothing is applied unless all can be read.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Wanted>, ClientError> {
    let mut tiers = Vec::new();
    let mut names = BTreeSet::new();
    for file in files {
        let text = text(file).map_err(|error| ClientError::File { path: file.clone(), error })?;
        for tier in parse(&text).map_err(|reason| ClientError::document(file.display(), reason))? {
            if !names.insert(tier.name.clone()) {
                return Err(ClientError::document(file.display(), format_args!("tier `{}` is there twice", tier.name)));
            }
            tiers.push(tier);
        }
    }
    Ok(tiers)
}

/// A list of limits, in JSON or YAML.
pub(in crate::cli) fn limits(file: &Path) -> Result<Vec<Limit>, ClientError> {
    let text = text(file).map_err(|error| ClientError::File { path: file.to_owned(), error })?;
    let read = serde_path_to_error::deserialize(serde_norway::Deserializer::from_str(&text));
    read.map_err(|error| ClientError::document(file.display(), format_args!("{}: {}", error.path(), error.inner())))
}

fn text(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        io::stdin().lock().take(LARGEST_FILE + 1).read_to_string(&mut text)?
    } else {
        std::fs::File::open(file)?.take(LARGEST_FILE + 1).read_to_string(&mut text)?
    };
    if read as u64 > LARGEST_FILE { Err(io::Error::other("more than 4 MiB")) } else { Ok(text) }
}

/// JSON is read as the YAML it is. One reader refuses a member that is there twice in both.
fn parse(text: &str) -> Result<Vec<Wanted>, String> {
    let mut tiers = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        let value = Value::deserialize(document).map_err(|error| error.to_string())?;
        if let Value::Sequence(elements) = value {
            for (position, element) in elements.into_iter().enumerate() {
                tiers.push(tier(element).map_err(|reason| format!("[{position}]: {reason}"))?);
            }
        } else if !value.is_null() {
            tiers.push(tier(value)?);
        }
    }
    if tiers.is_empty() { Err("no tier in it".to_owned()) } else { Ok(tiers) }
}

fn tier(value: Value) -> Result<Wanted, String> {
    serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string().as_str() {
        "." => error.inner().to_string(),
        place => format!("{place}: {}", error.inner()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<String>, String> {
        Ok(parse(text)?.into_iter().map(|tier| tier.name).collect())
    }

    #[test]
    fn one_or_many_tiers_in_json_or_yaml() {
        assert_eq!(names(r#"{"name": "a", "limits": [], "self_service": true}"#).unwrap(), ["a"]);
        assert_eq!(names(r#"[{"name": "a"}, {"name": "b"}]"#).unwrap(), ["a", "b"]);
        assert_eq!(names("name: a\nlimits:\n  - {name: l, algorithm: token_bucket, rate: 1, per: 1s}\n").unwrap(), ["a"]);
        assert_eq!(names("- name: a\n- name: b\n---\nname: c\n---\n").unwrap(), ["a", "b", "c"]);
        for file in ["per-minute", "per-second"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../examples/tiers/{file}.json"));
            assert!(read(&[path]).unwrap().len() >= 3);
        }
    }

    #[test]
    fn what_is_no_tier_is_named_with_its_place() {
        for (text, said) in [
            ("", "no tier in it"),
            ("[]", "no tier in it"),
            ("5", "invalid type"),
            (r#"{"name": "a", "name": "b"}"#, "duplicate"),
            (r#"[{"name": "a"}, {"name": "b", "limit": []}]"#, "[1]: limit: unknown field `limit`"),
            (r#"[{"name": "a", "limits": [{"name": "l", "algorithm": "bucket", "rate": 1, "per": "1s"}]}]"#, "[0]: limits[0].algorithm: "),
            ("[{]", "did not find expected"),
        ] {
            let error = names(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_tier_that_is_there_twice_is_refused_before_any_is_applied() {
        let directory = tempfile::tempdir().unwrap();
        let files = ["one.json", "other.yaml"].map(|name| directory.path().join(name));
        for file in &files {
            std::fs::write(file, "[{name: a}]").unwrap();
        }
        let error = read(&files).unwrap_err().to_string();
        assert!(error.contains("other.yaml: tier `a` is there twice"), "{error}");
    }
}
