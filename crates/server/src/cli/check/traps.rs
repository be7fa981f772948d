//! Owns what Envoy's configuration must say around the filter so that it protects. Must not judge the plugin configuration.

use serde_json::Value;
use tollgate_core::policy::Policy;

use super::envoy::Manager;
use super::finding::Finding;
use super::tree::{Path, descend, is_true, list, text};

/// What is dangerous in a `PluginConfig`.
pub(super) fn of_plugin(config: &Value, path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    if is_true(config, &["fail_open"]) {
        let found = "true: when the filter cannot run, everything passes";
        findings.push(Finding::error(path.member("fail_open"), found, "`failure_policy: FAIL_RELOAD` instead"));
    }
    findings.extend(failure_policy(config, path));
    if text(config, &["vm_config", "vm_id"]).is_none_or(str::is_empty) {
        findings.push(Finding::warning(
            path.member("vm_config").member("vm_id"),
            "nothing",
            "an id such as `tollgate`, so that what the node counts is not shared with other modules",
        ));
    }
    findings
}

fn failure_policy(config: &Value, path: &Path) -> Option<Finding> {
    let path = path.member("failure_policy");
    let open =
        |found: &str| Some(Finding::error(path.clone(), format!("{found}: when the filter cannot run, everything passes"), "FAIL_RELOAD"));
    let other = |found: &str| {
        Some(Finding::warning(
            path.clone(),
            found,
            "FAIL_RELOAD: after a trap a worker's filter starts again, instead of answering 503 for good",
        ))
    };
    // Protobuf's JSON allows an enum's number too.
    match descend(config, &["failure_policy"]) {
        None => other("nothing (FAIL_CLOSED)"),
        Some(Value::String(name)) => match name.as_str() {
            "FAIL_RELOAD" => None,
            "FAIL_OPEN" => open(name),
            _ => other(name),
        },
        Some(number) => match number.as_u64() {
            Some(1) => None,
            Some(3) => open("3 (FAIL_OPEN)"),
            _ => other(&number.to_string()),
        },
    }
}

/// What is dangerous in the HttpConnectionManager around the filter.
pub(super) fn of_manager(manager: &Manager<'_>, policy: Option<&Policy>) -> Vec<Finding> {
    let (config, path) = (manager.config, &manager.path);
    let mut findings = Vec::new();
    let mut warn = |name: &str, found: &str, allowed: &str| findings.push(Finding::warning(path.member(name), found, allowed));
    let detected = !list(config, &["original_ip_detection_extensions"]).is_empty();
    if policy.is_some_and(judges_addresses) && !detected && !is_true(config, &["use_remote_address"]) {
        warn(
            "use_remote_address",
            "not true: clients choose their address in X-Forwarded-For",
            "true, as address rules, anonymous tiers or bounds on unknown keys and failed tokens are used",
        );
    }
    for (name, allowed) in [("normalize_path", "true, so that routes see the path the upstream sees"), ("merge_slashes", "true")] {
        if !is_true(config, &[name]) {
            warn(name, "not true", allowed);
        }
    }
    let slashes = text(config, &["path_with_escaped_slashes_action"]).unwrap_or("nothing");
    if !["REJECT_REQUEST", "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD"].contains(&slashes) {
        warn("path_with_escaped_slashes_action", slashes, "REJECT_REQUEST: Tollgate refuses such paths anyway");
    }
    for (name, reason) in [
        ("stream_idle_timeout", "a short time such as `30s`: requests that wait in a filter that trapped end with it"),
        ("request_timeout", "a time such as `30s`: what a client may take to send a request"),
    ] {
        match descend(config, &[name]).map(|value| (value, seconds(value))) {
            Some((_, Some(seconds))) if seconds > 0.0 => {}
            Some((value, _)) => warn(name, &value.to_string(), reason),
            None => warn(name, "nothing", reason),
        }
    }
    findings
}

/// Whether anything is decided by the client's address.
fn judges_addresses(policy: &Policy) -> bool {
    let limited = |tier: usize| policy.tiers.get(tier).is_some_and(|tier| !tier.limits.is_empty());
    !policy.addresses.is_empty()
        || policy.backend.is_some()
        || policy.tokens.per_address.is_some()
        || policy.routes.iter().any(|route| !route.addresses.is_empty() || route.anonymous_tier.is_some_and(limited))
}

/// Protobuf's form of a duration: `1.5s`.
fn seconds(value: &Value) -> Option<f64> {
    value.as_str()?.strip_suffix('s')?.parse().ok()
}
