//! Holds the schema, the examples and the reference in `docs/configuration.md` to the types they describe.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test, also in its functions without an attribute")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tollgate_core::config;
use tollgate_server::settings::{Flags, Listening, Settings, Tls};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn read_json(name: &str) -> Value {
    serde_json::from_str(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn tiers(name: &str) -> Value {
    json!({"tiers": read_json(name)})
}

fn assert_valid(document: &Value) {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("plugin.schema.json", read_json("examples/plugin.schema.json")).unwrap();
    let index = compiler.compile("plugin.schema.json", &mut schemas).unwrap();
    schemas.validate(document, index).unwrap_or_else(|error| panic!("{error}"));
}

fn compile(document: &Value) -> tollgate_core::policy::Policy {
    let secret = |_: &str| Some("0123456789abcdef".repeat(4));
    config::load(document.to_string().as_bytes(), &secret).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_schema_is_that_of_the_types() {
    let made = format!("{:#}\n", config::schema());
    assert!(
        read("examples/plugin.schema.json") == made,
        "examples/plugin.schema.json is out of date; run: cargo run -p tollgate-server -- schema > examples/plugin.schema.json"
    );
}

#[test]
fn the_settings_schema_is_that_of_the_table() {
    let made = format!("{:#}\n", tollgate_server::settings::schema());
    assert!(
        read("examples/tollgate.schema.json") == made,
        "examples/tollgate.schema.json is out of date; run: cargo run -p tollgate-server -- schema --settings > examples/tollgate.schema.json"
    );
}

#[test]
fn the_examples_follow_the_schema_and_compile() {
    for document in
        [read_json("examples/plugin.json"), tiers("examples/tiers/per-minute.json"), tiers("examples/tiers/per-second.json"), json!({})]
    {
        assert_valid(&document);
        compile(&document);
    }
}

#[test]
fn the_schema_refuses_what_the_types_refuse() {
    for document in [json!({"realms": 1}), json!({"tiers": [{"limits": []}]}), json!({"default_route": {"auth": "maybe"}}), json!([])] {
        let refused = std::panic::catch_unwind(|| assert_valid(&document));
        assert!(refused.is_err(), "{document}");
    }
}

#[test]
fn the_tiers_per_minute_are_the_default_ones() {
    let shipped: Vec<config::document::Tier> = serde_json::from_value(read_json("examples/tiers/per-minute.json")).unwrap();
    assert_eq!(shipped, config::default_tiers());
}

#[test]
fn the_tiers_per_second_have_their_rates_and_bursts() {
    let policy = compile(&tiers("examples/tiers/per-second.json"));
    let one_second = 1_000_000_000;
    let found: Vec<_> = policy
        .tiers
        .iter()
        .map(|tier| (tier.name.as_str(), tier.limits[0].rate.capacity(), tier.limits[0].rate.refill(one_second)))
        .collect();
    assert_eq!(found, [("free", 100, 10), ("premium", 1_000, 100), ("enterprise", 10_000, 1_000)]);
}

#[test]
fn the_example_uses_every_field() {
    let mut used = BTreeSet::new();
    collect_paths(&read_json("examples/plugin.json"), "", &mut used);
    for (property, paths) in fields() {
        // Secrets are references in what is shipped, and only the backend's tiers have limits over all nodes.
        let elsewhere = [("Secret", "inline"), ("Limit", "time_zone"), ("Limit", "degrade_to")];
        let elsewhere = property.0 == "DegradeTo" || elsewhere.contains(&(property.0.as_str(), property.1.as_str()));
        assert!(elsewhere || paths.iter().any(|path| used.contains(path)), "examples/plugin.json lacks {property:?}, one of {paths:?}");
    }
}

#[test]
fn the_reference_has_a_row_for_every_field_and_no_other() {
    let reference = read("docs/configuration.md");
    let rows: BTreeSet<&str> =
        reference.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |").map(|(path, _)| path)).collect();
    let fields = fields();
    for (property, paths) in &fields {
        assert!(
            paths.iter().any(|path| rows.contains(path.as_str())),
            "docs/configuration.md lacks a row for {property:?}, one of {paths:?}"
        );
    }
    let known: BTreeSet<&str> = fields.values().flatten().map(String::as_str).collect();
    let stale: Vec<_> = rows.difference(&known).collect();
    assert!(stale.is_empty(), "docs/configuration.md has rows for what is no field: {stale:?}");
}

/// The properties of the schema's types, by type and name, with the paths at which documents have them.
fn fields() -> BTreeMap<(String, String), Vec<String>> {
    let schema = config::schema();
    let mut fields = BTreeMap::new();
    collect_fields(&schema, &schema, "Plugin", "", &mut fields);
    fields
}

fn collect_fields(schema: &Value, node: &Value, name: &str, path: &str, fields: &mut BTreeMap<(String, String), Vec<String>>) {
    if let Some(reference) = node["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return collect_fields(schema, &schema["$defs"][name], name, path, fields);
    }
    for (property, node) in node["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { property.clone() } else { format!("{path}.{property}") };
        fields.entry((name.to_owned(), property.clone())).or_default().push(path.clone());
        collect_fields(schema, node, name, &path, fields);
    }
    if !node["items"].is_null() {
        collect_fields(schema, &node["items"], name, &format!("{path}[]"), fields);
    }
    for alternative in node["anyOf"].as_array().into_iter().flatten() {
        collect_fields(schema, alternative, name, path, fields);
    }
}

fn collect_paths(node: &Value, path: &str, paths: &mut BTreeSet<String>) {
    match node {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect_paths(value, &path, paths);
                paths.insert(path);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect_paths(element, &format!("{path}[]"), paths)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The settings that a manifest carries are judged where its backend would read them.
#[test]
fn the_settings_in_the_manifests_are_settings() {
    let manifest = read("examples/istio/backend.yaml");
    let documents: Vec<Value> =
        serde_norway::Deserializer::from_str(&manifest).map(|document| serde::Deserialize::deserialize(document).unwrap()).collect();
    let of = |kind: &str| documents.iter().find(|document| document["kind"] == kind).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tollgate.toml");
    std::fs::write(&file, of("ConfigMap")["data"]["tollgate.toml"].as_str().unwrap()).unwrap();
    let pod = &of("Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mut variables: Vec<(String, String)> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| (variable["name"].as_str().unwrap().to_owned(), variable["value"].as_str().unwrap().to_owned()))
        .collect();
    variables.push(("TOLLGATE_CONFIG".to_owned(), file.display().to_string()));
    let settings = Settings::read(&Flags::default(), variables).unwrap_or_else(|error| panic!("{error}"));

    let ports: Vec<_> = container["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| (port["name"].as_str().unwrap(), port["containerPort"].as_u64().unwrap()))
        .collect();
    let own = |listening: &Listening| u64::from(listening.address.port());
    assert_eq!(ports, [("public", own(&settings.public)), ("node", own(&settings.node)), ("operations", own(&settings.operations))]);
    assert!(matches!(settings.public.tls, Tls::Files(_)), "admin keys travel over it");
    assert!(matches!(&settings.node.tls, Tls::Files(files) if files.client_ca.is_some()), "as the README says");
    let data = format!("--data={}", settings.data.display());
    assert!(pod["initContainers"][0]["args"].as_array().unwrap().iter().any(|argument| *argument == *data), "init makes what serve reads");
    assert!(settings.shutdown.as_secs() < pod["terminationGracePeriodSeconds"].as_u64().unwrap(), "requests in flight may end");
}
