//! Owns where an Istio WasmPlugin holds Tollgate's configuration. Must not know Envoy's own messages: an EnvoyFilter holds those.

use serde_json::{Number, Value};

use super::Checked;
use super::envoy::is_tollgates_module;
use super::finding::Finding;
use super::judge::Judge;
use super::tree::{Path, list, member, text};
use super::variables::Variables;

/// A WasmPlugin that runs Tollgate.
#[derive(Debug)]
pub(super) struct Plugin<'a> {
    spec: &'a Value,
    path: Path,
}

/// The document's WasmPlugin, if it is one and Tollgate's.
pub(super) fn plugin<'a>(tree: &'a Value, root: &Path) -> Option<Plugin<'a>> {
    let spec = member(tree, "spec").filter(|_| text(tree, &["kind"]) == Some("WasmPlugin"))?;
    let named = text(spec, &["plugin_name"]).is_some_and(|name| name.starts_with("tollgate"));
    let module = text(spec, &["url"]).is_some_and(is_tollgates_module);
    (named || module).then(|| Plugin { spec, path: root.member("spec") })
}

impl Plugin<'_> {
    pub(super) fn check(&self, judge: Judge) -> Checked {
        let place = self.path.member("pluginConfig");
        let empty = Value::Object(serde_json::Map::new());
        let plugin = struct_json(member(self.spec, "plugin_config").unwrap_or(&empty)).to_string();
        let judged = judge.document(plugin.as_bytes(), &self.variables());
        let size = judged.size();
        let place = String::from(place);
        let mut findings: Vec<Finding> = judged.findings.into_iter().map(|finding| finding.at(&place)).collect();
        findings.extend(self.fail_strategy());
        Checked { place, size, findings }
    }

    fn fail_strategy(&self) -> Option<Finding> {
        let path = self.path.member("failStrategy");
        match text(self.spec, &["fail_strategy"]) {
            Some("FAIL_RELOAD") => None,
            Some("FAIL_OPEN") => Some(Finding::error(path, "FAIL_OPEN: without the filter everything passes", "FAIL_RELOAD")),
            other => {
                let found = other.unwrap_or("nothing (FAIL_CLOSE)");
                Some(Finding::warning(path, found, "FAIL_RELOAD, which restarts a worker's filter after a trap; Istio 1.27 has it"))
            }
        }
    }

    fn variables(&self) -> Variables {
        let mut host = std::collections::BTreeSet::new();
        let mut literal = std::collections::BTreeMap::new();
        for variable in list(self.spec, &["vm_config", "env"]) {
            let Some(name) = text(variable, &["name"]) else {
                continue;
            };
            match (text(variable, &["value_from"]), text(variable, &["value"])) {
                (Some("HOST"), _) => {
                    host.insert(name.to_owned());
                }
                (_, value) => {
                    literal.insert(name.to_owned(), value.unwrap_or_default().to_owned());
                }
            }
        }
        Variables::Declared { host, literal }
    }
}

/// The Struct as Istio writes it for the VM: its numbers are doubles, and protobuf writes whole ones without a fraction.
fn struct_json(value: &Value) -> Value {
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
