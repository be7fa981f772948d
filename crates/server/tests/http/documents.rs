//! What is written about the backend, held to the code.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use tollgate_server::permission::{Permission, Role};
use tollgate_server::settings::{Flags, SETTINGS, Settings};

use crate::client::call;
use crate::locked::wait_for;
use crate::operation::{Callers, operations};
use crate::service::Service;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document() -> String {
    std::fs::read_to_string(root().join("docs/backend.md")).unwrap()
}

/// The cells of each row of the table under this heading, without its head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let document = document();
    let (_, section) = document.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    rows.skip(2).map(cells).collect()
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

#[test]
fn the_committed_description_is_what_the_handlers_say() {
    let path = root().join("examples/openapi.json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(committed == tollgate_server::http::openapi(), "examples/openapi.json is old: tollgate openapi > examples/openapi.json");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_served_and_refers_to_nothing_it_does_not_hold() {
    let service = Service::start().await;
    let served = service.anonymous("GET", "/api/openapi.json").send().await.expect(200);
    assert_eq!(served, tollgate_server::http::openapi());
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1."), "{}", served["openapi"]);
    let mut references = BTreeSet::new();
    collect(&served, &mut references);
    let schemas: BTreeSet<_> = served["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(references.difference(&schemas).collect::<Vec<_>>(), Vec::<&String>::new());
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                references.insert(reference.strip_prefix("#/components/schemas/").unwrap().to_owned());
            }
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What is answered has the shape that is described: every sample is sent, and its answer judged by the schema of its status.
#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_described() {
    let service = Service::start_with(&[("self_service", "true"), ("registration", "true")]).await;
    let consumer = service.consumer().await;
    let callers = Callers::new(&service, &consumer).await;
    let description = tollgate_server::http::openapi();
    let mut judged = 0;
    for operation in operations() {
        let sample = operation.sample(&service, &consumer).await;
        // Some end the session they are asked in.
        let callers = if operation.permission == "own_account" { &Callers::new(&service, &consumer).await } else { &callers };
        let call = callers.call(&service, &operation, &sample.path);
        let reply = sample.fill(call).send().await;
        let refused = service.anonymous(&operation.method, &sample.path).bearer("wrong").body("{").send().await;
        for reply in [reply, refused] {
            let responses = &description["paths"][&operation.path][operation.method.to_ascii_lowercase()]["responses"];
            let response =
                responses.get(reply.status.to_string()).unwrap_or_else(|| panic!("{}: {} is not described", operation.id, reply.status));
            let Some(content) = response.get("content") else { continue };
            let schema = &content[reply.header("content-type")]["schema"];
            assert!(schema.is_object(), "{}: {} of {}", operation.id, reply.status, reply.header("content-type"));
            let lines = reply.header("content-type") == "application/x-ndjson";
            let documents = match lines {
                true => reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
                false => vec![reply.json()],
            };
            for document in documents {
                if let Err(error) = judge(&description, schema, &document) {
                    panic!("{} {}: {error}\n{}", operation.id, reply.status, reply.text());
                }
            }
            judged += 1;
        }
    }
    assert!(judged > 50, "{judged}");
}

fn judge(description: &Value, schema: &Value, answer: &Value) -> Result<(), String> {
    let mut whole = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "components": description["components"]});
    whole["allOf"] = json!([schema]);
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("schema:answer", whole).unwrap();
    let compiled = compiler.compile("schema:answer", &mut schemas).map_err(|error| format!("{error:#}"))?;
    schemas.validate(answer, compiled).map_err(|error| format!("{error:#}"))
}

#[test]
fn every_setting_is_documented_as_it_is() {
    let rows = table("## Settings");
    let expected: Vec<Vec<String>> = SETTINGS
        .iter()
        .map(|setting| {
            let default =
                setting.default.filter(|default| !default.is_empty()).map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
            vec![format!("`{}`", setting.name), default, setting.help.to_owned()]
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn the_example_of_settings_names_all_and_is_right() {
    let path = root().join("examples/tollgate.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let named: BTreeSet<_> =
        text.lines().filter_map(|line| line.trim_start_matches('#').trim().split_once(" = ")).map(|(name, _)| name.to_owned()).collect();
    let settings: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name.to_owned()).collect();
    assert_eq!(named, settings);
    let as_it_is = [("TOLLGATE_CONFIG".to_owned(), path.to_str().unwrap().to_owned())];
    Settings::read(&Flags::default(), as_it_is).unwrap();
    // And with everything in it switched on.
    let directory = tempfile::TempDir::new().unwrap();
    let all = directory.path().join("all.toml");
    let is_setting = |line: &str| settings.iter().any(|name| line.starts_with(&format!("# {name} = ")));
    let switched: String = text
        .lines()
        .map(|line| if is_setting(line) { line.trim_start_matches("# ") } else { line })
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&all, switched).unwrap();
    Settings::read(&Flags::default(), [("TOLLGATE_CONFIG".to_owned(), all.to_str().unwrap().to_owned())]).unwrap();
}

#[test]
fn roles_are_documented_as_they_are() {
    let rows = table("## Roles and permissions");
    let expected: Vec<Vec<String>> = Permission::ALL
        .iter()
        .map(|permission| {
            let grants = Role::ALL.iter().map(|role| if role.grants(*permission) { "yes" } else { "" }.to_owned());
            [format!("`{}`", permission.name())].into_iter().chain(grants).collect()
        })
        .collect();
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| (0..5).map(|column| row.get(column).cloned().unwrap_or_default()).collect()).collect();
    assert_eq!(rows, expected);
}

#[test]
fn every_operation_is_documented_with_its_permission() {
    let rows: BTreeSet<_> = table("## The public API").iter().map(|row| (code(&row[0]).to_owned(), code(&row[1]).to_owned())).collect();
    let expected: BTreeSet<_> =
        operations().iter().map(|operation| (format!("{} {}", operation.method, operation.path), operation.permission.clone())).collect();
    assert_eq!(rows, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_and_every_metric_is_documented() {
    let source: String =
        ["problem.rs"].iter().map(|name| std::fs::read_to_string(root().join("crates/server/src/http").join(name)).unwrap()).collect();
    let in_code: BTreeSet<_> = source
        .split("StatusCode::")
        .filter_map(|rest| rest.split_once(", \""))
        .filter(|(status, _)| status.len() < 30)
        .filter_map(|(_, rest)| rest.split_once('"'))
        .map(|(code, _)| code.to_owned())
        .collect();
    let documented: BTreeSet<_> = table("## Errors").iter().map(|row| code(&row[0]).to_owned()).collect();
    assert_eq!(documented, in_code);

    let service = Service::start().await;
    service.get("/api/v1/tiers").await.expect(200);
    service.anonymous("GET", "/api/v1/tiers").bearer("wrong").send().await.problem(401);
    let scrape = || call(service.at.operations, "GET", "/metrics").send();
    wait_for(async || scrape().await.text().contains("tollgate_ledger_over_admitted_units 0\n")).await;
    let scraped = scrape().await;
    assert_eq!(scraped.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let names: BTreeSet<_> = scraped
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    let documented: BTreeSet<_> = table("## Metrics").iter().map(|row| code(&row[0]).to_owned()).collect();
    assert!(names.len() >= 4 && names.is_subset(&documented), "{names:?} {documented:?}");
}
