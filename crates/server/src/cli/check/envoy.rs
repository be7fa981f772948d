//! Owns where Envoy's configuration holds Tollgate's filter. Must not judge: plugin configurations are `judge`'s, the rest is `traps`'.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::finding::Finding;
use super::judge::{Judge, Judged};
use super::traps;
use super::tree::{Path, member, text};
use super::variables::Variables;
use super::{Checked, capabilities, clusters, disabled, logs};

const FILTER: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";
pub(super) const MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TYPED_STRUCT: [&str; 2] = ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"];
const STRING: &str = "google.protobuf.StringValue";
const BYTES: &str = "google.protobuf.BytesValue";
const STRUCT: &str = "google.protobuf.Struct";

/// Protobuf's JSON may leave the padding out.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// One of Tollgate's filters in a document.
#[derive(Clone, Debug)]
pub(super) struct Filter<'a> {
    /// The `PluginConfig`.
    config: &'a Value,
    path: Path,
    around: Around<'a>,
}

/// What is around a place in a document.
#[derive(Clone, Debug, Default)]
struct Around<'a> {
    /// The whole document, and where it is.
    document: Option<(&'a Value, Path)>,
    manager: Option<Manager<'a>>,
    http_filter: Option<HttpFilter<'a>>,
}

/// The HttpConnectionManager around a filter.
#[derive(Clone, Debug)]
pub(super) struct Manager<'a> {
    pub(super) config: &'a Value,
    pub(super) path: Path,
}

/// An entry of `http_filters`, or what stands for one outside a manager: a resource, a patch.
#[derive(Clone, Debug)]
pub(super) struct HttpFilter<'a> {
    pub(super) entry: &'a Value,
    pub(super) path: Path,
    /// The name by which routes refer to it.
    name: &'a str,
}

/// All of Tollgate's filters, wherever they are.
pub(super) fn filters<'a>(tree: &'a Value, root: &Path) -> Vec<Filter<'a>> {
    let mut found = Vec::new();
    walk(tree, root, &Around { document: Some((tree, root.clone())), ..Around::default() }, &mut found);
    found
}

impl<'a> Filter<'a> {
    /// The name by which routes refer to it.
    pub(super) fn name(&self) -> Option<&'a str> {
        self.around.http_filter.as_ref().map(|filter| filter.name)
    }

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
        findings.extend(capabilities::of_plugin(self.config, &self.path));
        findings.extend(self.around.http_filter.as_ref().and_then(disabled::everywhere));
        if let (Some(policy), Some((document, root))) = (&judged.policy, &self.around.document) {
            findings.extend(policy.backend.iter().flat_map(|backend| clusters::of_backend(document, root, backend)));
            findings.extend(clusters::of_issuers(document, root, &policy.tokens.issuers));
        }
        if let Some(manager) = &self.around.manager {
            findings.extend(traps::of_manager(manager, judged.policy.as_ref()));
            findings.extend(self.name().into_iter().flat_map(|name| disabled::in_manager(manager.config, &manager.path, name)));
            findings.extend(judged.policy.iter().flat_map(|policy| logs::of_manager(manager, policy)));
        }
        Checked { place, size, findings }
    }

    /// The plugin configuration as the filter gets it: Envoy takes the value out of a StringValue or a BytesValue, and hands any
    /// other message over as protobuf encodes it, whatever its own reference says of a Struct.
    fn plugin(&self) -> Result<Vec<u8>, Finding> {
        let path = self.path.member("configuration");
        let wrong = |found: String| Finding::error(path.clone(), found, "a google.protobuf.StringValue with the JSON text in `value`");
        let configuration = member(self.config, "configuration").ok_or_else(|| wrong("nothing".to_owned()))?;
        let url = text(configuration, &["@type"]).unwrap_or_default();
        match (name_of(url), member(configuration, "value")) {
            (STRING, Some(Value::String(json))) => Ok(json.clone().into_bytes()),
            (BYTES, Some(Value::String(base64))) => {
                BASE64.decode(base64.replace('-', "+").replace('_', "/")).map_err(|_| wrong("no base64 in `value`".to_owned()))
            }
            (STRUCT, _) => Err(wrong("a Struct, which Envoy does not hand over as JSON: the filter would not start".to_owned())),
            (STRING | BYTES, _) => Err(wrong("no such `value`".to_owned())),
            ("", _) => Err(wrong("no `@type`".to_owned())),
            (other, _) => Err(wrong(format!("a {other}"))),
        }
    }
}

fn walk<'a>(node: &'a Value, path: &Path, around: &Around<'a>, found: &mut Vec<Filter<'a>>) {
    match node {
        Value::Array(elements) => {
            for (position, element) in elements.iter().enumerate() {
                walk(element, &path.element(position), around, found);
            }
        }
        Value::Object(members) => {
            if let Some((config, path)) = message(node, path, FILTER)
                && let Some(config) = member(config, "config")
                && is_tollgates(config)
            {
                found.push(Filter { config, path: path.member("config"), around: around.clone() });
                return;
            }
            let mut around = around.clone();
            if let Some((config, path)) = message(node, path, MANAGER) {
                around = Around { manager: Some(Manager { config, path }), http_filter: None, ..around };
            } else if around.http_filter.is_none()
                && let (Some(name), Some(_)) = (text(node, &["name"]), member(node, "typed_config"))
            {
                around.http_filter = Some(HttpFilter { entry: node, path: path.clone(), name });
            }
            for (name, value) in members {
                walk(value, &path.member(name), &around, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The body of a message of this type.
pub(super) fn message<'a>(node: &'a Value, path: &Path, name: &str) -> Option<(&'a Value, Path)> {
    unpack(node, path).filter(|(own, ..)| *own == name).map(|(_, body, path)| (body, path))
}

/// A message's type and body: packed directly or in a TypedStruct.
pub(super) fn unpack<'a>(node: &'a Value, path: &Path) -> Option<(&'a str, &'a Value, Path)> {
    let own = name_of(text(node, &["@type"])?);
    if TYPED_STRUCT.contains(&own) {
        return Some((name_of(text(node, &["type_url"])?), member(node, "value")?, path.member("value")));
    }
    Some((own, node, path.clone()))
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
