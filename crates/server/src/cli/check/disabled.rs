//! Owns where an Envoy configuration switches the filter off. Must not judge what the filter does where it is on.

use serde_json::Value;

use super::envoy::{HttpFilter, MANAGER, message};
use super::finding::Finding;
use super::tree::{Path, is_true, member};

const FILTER_CONFIG: &str = "envoy.config.route.v3.FilterConfig";

/// Whether the filter is off wherever no route enables it.
pub(super) fn everywhere(filter: &HttpFilter<'_>) -> Option<Finding> {
    is_true(filter.entry, &["disabled"]).then(|| {
        let found = "true: requests pass without any check unless their route enables the filter";
        Finding::error(filter.path.member("disabled"), found, "false, or nothing")
    })
}

/// Each place in a connection manager that disables the filter of this name: routes, virtual hosts and the like.
pub(super) fn in_manager(config: &Value, path: &Path, name: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    children(config, path, &[name], &mut findings);
    findings
}

/// Each place outside any connection manager that disables a filter of these names: routes may be resources of their own.
pub(super) fn in_resources(tree: &Value, root: &Path, names: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    walk(tree, root, names, &mut findings);
    findings
}

fn walk(node: &Value, path: &Path, names: &[&str], findings: &mut Vec<Finding>) {
    // Another manager's filters may have the same names.
    if message(node, path, MANAGER).is_some() {
        return;
    }
    if let Some(configs) = member(node, "typed_per_filter_config") {
        for name in names {
            let place = path.member("typed_per_filter_config").member(name);
            let config = configs.get(name).and_then(|config| message(config, &place, FILTER_CONFIG));
            if let Some((_, place)) = config.filter(|(config, _)| is_true(config, &["disabled"])) {
                findings.push(Finding::warning(
                    place.member("disabled"),
                    "true: requests here pass without any check",
                    "a route with `exempt` in the plugin configuration instead",
                ));
            }
        }
    }
    children(node, path, names, findings);
}

fn children(node: &Value, path: &Path, names: &[&str], findings: &mut Vec<Finding>) {
    match node {
        Value::Array(elements) => {
            for (position, element) in elements.iter().enumerate() {
                walk(element, &path.element(position), names, findings);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                walk(value, &path.member(name), names, findings);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
