//! Owns how a proxy's documents are walked: members by protobuf's names, and paths to show. Must not know any particular message.

use std::fmt;

use serde_json::Value;

/// A place in a document, as it is shown: `static_resources.listeners[0]`.
#[derive(Clone, Debug)]
pub(super) struct Path(String);

impl Path {
    /// The document itself, numbered if its file has several.
    pub(super) fn root(number: Option<usize>) -> Self {
        Self(number.map_or_else(String::new, |number| format!("document {number}")))
    }

    pub(super) fn member(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    pub(super) fn element(&self, position: usize) -> Self {
        Self(format!("{}[{position}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<Path> for String {
    fn from(path: Path) -> Self {
        path.0
    }
}

/// A member by its protobuf name; protobuf's JSON also allows the name in camel case.
pub(super) fn member<'a>(node: &'a Value, name: &str) -> Option<&'a Value> {
    let members = node.as_object()?;
    members.get(name).or_else(|| members.get(&camel_case(name))).filter(|value| !value.is_null())
}

/// The member at the end of a chain of names.
pub(super) fn descend<'a>(node: &'a Value, names: &[&str]) -> Option<&'a Value> {
    names.iter().try_fold(node, |node, name| member(node, name))
}

/// The text of a member.
pub(super) fn text<'a>(node: &'a Value, names: &[&str]) -> Option<&'a str> {
    descend(node, names)?.as_str()
}

/// Whether a member is set to true. Envoy's reader of YAML takes `yes` and `on` for true, ours takes them for text.
pub(super) fn is_true(node: &Value, names: &[&str]) -> bool {
    match descend(node, names) {
        Some(Value::Bool(value)) => *value,
        Some(Value::String(text)) => ["true", "yes", "on", "y"].contains(&text.to_ascii_lowercase().as_str()),
        _ => false,
    }
}

/// The elements of a repeated member.
pub(super) fn list<'a>(node: &'a Value, names: &[&str]) -> &'a [Value] {
    descend(node, names).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        camel.push_str(&first.to_ascii_uppercase());
        camel.push_str(rest);
    }
    camel
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_found_by_either_of_protobufs_names() {
        let node = json!({"vmConfig": {"vm_id": "a"}, "failOpen": "yes", "absent": null});
        assert_eq!(text(&node, &["vm_config", "vm_id"]), Some("a"));
        assert!(is_true(&node, &["fail_open"]));
        assert!(member(&node, "absent").is_none());
    }
}
