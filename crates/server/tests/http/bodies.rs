//! Bodies that are not what was asked for, sent to every operation that takes one.

use serde_json::{Value, json};

use crate::client::{Call, Reply};
use crate::operation::{Operation, Sample, operations};
use crate::service::Service;

/// A body that is wrong, and what is said of it: status, field (where that is the same for all), and what the reason has in it.
struct Wrong {
    name: &'static str,
    body: Vec<u8>,
    content_type: &'static str,
    status: u16,
    field: Option<String>,
}

fn wrong_bodies(sample: &Sample, required: &[String]) -> Vec<Wrong> {
    let right = sample.body.clone().unwrap();
    let json = "application/json";
    let wrong = |name, body: &[u8], status, field: Option<&str>| Wrong {
        name,
        body: body.to_vec(),
        content_type: json,
        status,
        field: field.map(ToOwned::to_owned),
    };
    let mut unknown = right.clone();
    unknown["surprise"] = json!(1);
    let mut wrongs = vec![
        wrong("no JSON", b"{", 400, Some("")),
        wrong("no UTF-8", b"{\"name\": \"\xff\xfe\"}", 400, None),
        wrong("words after it", format!("{right} x").as_bytes(), 400, Some("")),
        wrong("two documents", format!("{right}{right}").as_bytes(), 400, Some("")),
        wrong("an empty body", b"", 400, Some("")),
        wrong("an array", b"[]", 400, None),
        wrong("a text", b"\"text\"", 400, Some("")),
        wrong("null", b"null", 400, Some("")),
        wrong("an unknown field", unknown.to_string().as_bytes(), 400, Some("surprise")),
        wrong("deep nesting", format!("{{\"surprise\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000)).as_bytes(), 400, None),
        wrong("deep objects", format!("{{\"surprise\":{}1{}}}", "{\"a\":".repeat(5_000), "}".repeat(5_000)).as_bytes(), 400, None),
        wrong("too large", format!("{{\"surprise\":\"{}\"}}", "x".repeat(65_536)).as_bytes(), 413, Some("")),
    ];
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "multipart/form-data", ""] {
        wrongs.push(Wrong {
            name: "a wrong content type",
            body: right.to_string().into_bytes(),
            content_type,
            status: 415,
            field: Some(String::new()),
        });
    }
    for (field, value) in right.as_object().unwrap() {
        let with = |value: Value| {
            let mut body = right.clone();
            body[field] = value;
            body.to_string().into_bytes()
        };
        let other = if value.is_number() { json!("text") } else { json!(17) };
        wrongs.push(wrong("a wrong type", &with(other), 400, Some(field)));
        wrongs.push(wrong("null in a field", &with(Value::Null), 400, Some(field)));
        wrongs.push(wrong("an object in a field", &with(json!({"a": 1})), 400, None));
        if value.is_string() {
            for control in ["\u{0}", "\u{1}", "\u{7f}", "\u{85}", "\n"] {
                wrongs.push(wrong("a control character", &with(json!(format!("a{control}b"))), 400, Some(field)));
            }
            wrongs.push(wrong("a long text", &with(json!("x".repeat(60_000))), 400, Some(field)));
        }
    }
    for field in required {
        let mut body = right.clone();
        body.as_object_mut().unwrap().remove(field).unwrap();
        wrongs.push(wrong("a missing field", body.to_string().as_bytes(), 400, Some(field)));
    }
    wrongs
}

/// The fields that the description requires of an operation's body.
fn required(operation: &Operation) -> Vec<String> {
    let document = tollgate_server::http::openapi();
    let schema =
        &document["paths"][&operation.path][operation.method.to_ascii_lowercase()]["requestBody"]["content"]["application/json"]["schema"];
    let name = schema["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
    let required = document["components"]["schemas"][name]["required"].as_array().cloned().unwrap_or_default();
    required.iter().map(|field| field.as_str().unwrap().to_owned()).collect()
}

async fn caller(service: &Service, consumer: &str, operation: &Operation) -> Option<String> {
    match operation.permission.as_str() {
        "none" => None,
        permission if permission.starts_with("own_keys") => {
            Some(service.admin_key("developer", consumer).await["admin_key"].as_str().unwrap().to_owned())
        }
        _ => Some(service.admin.clone()),
    }
}

fn authorized(call: Call, credential: Option<&str>) -> Call {
    credential.into_iter().fold(call, Call::bearer)
}

#[track_caller]
fn assert_refused(operation: &Operation, wrong: &Wrong, reply: &Reply) {
    let what = format!("{} with {}: {} {}", operation.id, wrong.name, reply.status, reply.text());
    assert_eq!(reply.status, wrong.status, "{what}");
    let problem = reply.problem(wrong.status);
    let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("{what}"));
    assert!(
        !errors.is_empty() && errors.iter().all(|error| error["field"].is_string() && !error["reason"].as_str().unwrap().is_empty()),
        "{what}"
    );
    if let Some(field) = &wrong.field {
        assert!(errors.iter().any(|error| error["field"] == *field), "{what}");
    }
    assert!(reply.body.len() < 4_096, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_with_a_body_refuses_wrong_ones_and_names_field_and_reason() {
    let service = Service::start_with(&[("self_service", "true")]).await;
    let consumer = service.consumer().await;
    let mut cases = 0;
    for operation in operations().iter().filter(|operation| operation.has_body) {
        let credential = caller(&service, &consumer, operation).await;
        let sample = operation.sample(&service, &consumer).await;
        for wrong in wrong_bodies(&sample, &required(operation)) {
            let mut call = authorized(service.anonymous(&operation.method, &sample.path), credential.as_deref()).body(wrong.body.clone());
            if !wrong.content_type.is_empty() {
                call = call.header("content-type", wrong.content_type);
            }
            let reply = call.send().await;
            assert_refused(operation, &wrong, &reply);
            cases += 1;
        }
        // And what was refused a hundred times has changed nothing: the same request still succeeds.
        let reply =
            authorized(service.anonymous(&operation.method, &sample.path), credential.as_deref()).json(&sample.body.unwrap()).send().await;
        reply.expect(sample.status);
    }
    println!("{cases} wrong bodies refused");
}
