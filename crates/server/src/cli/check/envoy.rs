//! Owns where Envoy's configuration holds Tollgate's filter. Must not judge: plugin configurations are `judge`'s, the rest is `traps`'.

use serde_json::{Number, Value};

use super::Checked;
use super::finding::Finding;
use super::judge::{Judge, Judged};
use super::traps;
use super::tree::{Path, member, text};
use super::variables::Variables;

const FILTER: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";
const MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TYPED_STRUCT: [&str; 2] = ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"];
const STRING: &str = "google.protobuf.StringValue";
const STRUCT: &str = "google.protobuf.Struct";

/// One of Tollgate's filters in a document.
#[derive(Clone, Debug)]
pub(super) struct Filter<'a> {
    /// The `PluginConfig`.
    config: &'a Value,
    path: Path,
    manager: Option<Manager<'a>>,
}

/// The HttpConnectionManager around a filter.
#[derive(Clone, Debug)]
pub(super) struct Manager<'a> {
    pub(super) config: &'a Value,
    pub(super) path: Path,
}

/// All of Tollgate's filters, wherever they are.
pub(super) fn filters<'a>(tree: &'a Value, root: &Path) -> Vec<Filter<'a>> {
    let mut found = Vec::new();
    walk(tree, root, None, &mut found);
    found
}

impl Filter<'_> {
    pub(super) fn check(&self, judge: Judge) -> Checked {
        let place: String = self.path.member("configuration").member("value").into();
        let judged = match self.plugin() {
            Ok(json) => judge.document(&json, &Variables::of_envoy(self.config)),
            Err(finding) => Judged { policy: None, findings: vec![finding] },
        };
        let size = judged.size();
        let mut findings: Vec<Finding> =
            judged.findings.into_iter().map(|finding| if finding.path.is_some() { finding.at(&place) } else { finding }).collect();
        findings.extend(traps::of_plugin(self.config, &self.path));
        findings.extend(self.manager.iter().flat_map(|manager| traps::of_manager(manager, judged.policy.as_ref())));
        Checked { place, size, findings }
    }

    /// The plugin configuration as the filter gets it.
    fn plugin(&self) -> Result<Vec<u8>, Finding> {
        let path = self.path.member("configuration");
        let wrong = |found: String| Finding::error(path.clone(), found, "a StringValue with JSON in `value`, or a Struct with `value`");
        let configuration = member(self.config, "configuration").ok_or_else(|| wrong("nothing".to_owned()))?;
        let url = text(configuration, &["@type"]).unwrap_or_default();
        match (name_of(url), member(configuration, "value")) {
            (STRING, Some(Value::String(json))) => Ok(json.clone().into_bytes()),
            (STRUCT, Some(value @ Value::Object(_))) => Ok(struct_json(value).to_string().into_bytes()),
            (STRING | STRUCT, _) => Err(wrong("no such `value`".to_owned())),
            ("", _) => Err(wrong("no `@type`".to_owned())),
            (other, _) => Err(wrong(format!("a {other}"))),
        }
    }
}

fn walk<'a>(node: &'a Value, path: &Path, manager: Option<&Manager<'a>>, found: &mut Vec<Filter<'a>>) {
    match node {
        Value::Array(elements) => {
            for (position, element) in elements.iter().enumerate() {
                walk(element, &path.element(position), manager, found);
            }
        }
        Value::Object(members) => {
            if let Some((config, path)) = message(node, path, FILTER)
                && let Some(config) = member(config, "config")
                && is_tollgates(config)
            {
                found.push(Filter { config, path: path.member("config"), manager: manager.cloned() });
                return;
            }
            let own = message(node, path, MANAGER).map(|(config, path)| Manager { config, path });
            for (name, value) in members {
                walk(value, &path.member(name), own.as_ref().or(manager), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The body of a message of this type: packed directly or in a TypedStruct.
fn message<'a>(node: &'a Value, path: &Path, name: &str) -> Option<(&'a Value, Path)> {
    let own = name_of(text(node, &["@type"])?);
    if own == name {
        return Some((node, path.clone()));
    }
    let packed = TYPED_STRUCT.contains(&own) && name_of(text(node, &["type_url"])?) == name;
    packed.then(|| member(node, "value").map(|body| (body, path.member("value")))).flatten()
}

/// The message's name in a type URL.
fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

fn is_tollgates(config: &Value) -> bool {
    let named = |field| text(config, &[field]).is_some_and(|name| name.starts_with("tollgate"));
    let code = ["vm_config", "code"];
    let files = [["local", "filename"].as_slice(), &["remote", "http_uri", "uri"]];
    let module = |file: &&[&str]| text(config, &[&code[..], file].concat()).is_some_and(is_tollgates_module);
    named("name") || named("root_id") || files.iter().any(module)
}

/// Whether a module's path or address names Tollgate in its last part.
pub(super) fn is_tollgates_module(file: &str) -> bool {
    file.rsplit('/').next().is_some_and(|name| name.contains("tollgate"))
}

/// A Struct's numbers are doubles, and protobuf writes whole ones without a fraction.
pub(super) fn struct_json(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(as_double(number).unwrap_or_else(|| number.clone())),
        Value::Array(elements) => elements.iter().map(struct_json).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), struct_json(value))).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

/// 2^63: whole doubles below it are printed digit by digit.
const WHOLE: f64 = 9_223_372_036_854_775_808.0;

fn as_double(number: &Number) -> Option<Number> {
    let double = number.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "whole and smaller than 2^63")]
    if double.fract() == 0.0 && double.abs() < WHOLE { Some(Number::from(double as i64)) } else { Number::from_f64(double) }
}
