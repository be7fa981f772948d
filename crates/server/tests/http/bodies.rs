//! Bodies that are not what was asked for, sent to every operation that takes one.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Reply;
use crate::operation::{Callers, Operation, Sample, limit, operations};
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
    let service = Service::start_with(&[("self_service", "true"), ("registration", "true")]).await;
    let consumer = service.consumer().await;
    let callers = Callers::new(&service, &consumer).await;
    let mut cases = 0;
    for operation in operations().iter().filter(|operation| operation.has_body && !operation.has_form) {
        let sample = operation.sample(&service, &consumer).await;
        for wrong in wrong_bodies(&sample, &required(operation)) {
            let mut call = callers.call(&service, operation, &sample.path).body(wrong.body.clone());
            if !wrong.content_type.is_empty() {
                call = call.header("content-type", wrong.content_type);
            }
            let reply = call.send().await;
            assert_refused(operation, &wrong, &reply);
            cases += 1;
        }
        // And what was refused a hundred times has changed nothing: the same request still succeeds.
        let reply = callers.call(&service, operation, &sample.path).json(&sample.body.unwrap()).send().await;
        reply.expect(sample.status);
    }
    println!("{cases} wrong bodies refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_limit_is_named_by_its_place() {
    let service = Service::start().await;
    let with = |field: &str, value: Value| {
        let mut wrong = limit();
        wrong[field] = value;
        json!({"name": "t", "limits": [limit(), wrong]})
    };
    let mut unnamed = limit();
    unnamed.as_object_mut().unwrap().remove("name");
    for (body, field) in [
        (with("rate", json!("10")), "limits[1].rate"),
        (with("rate", json!(0)), "limits[1].rate"),
        (with("rate", json!(-1)), "limits[1].rate"),
        (with("rate", json!(1.5)), "limits[1].rate"),
        (with("rate", json!(1e30)), "limits[1].rate"),
        (with("per", json!("1y")), "limits[1].per"),
        (with("algorithm", json!("leaky")), "limits[1].algorithm"),
        (with("burst", Value::Null), "limits[1].burst"),
        (with("surprise", json!(1)), "limits[1].surprise"),
        (with("name", json!("A b")), "limits[1].name"),
        (json!({"name": "t", "limits": [unnamed]}), "limits[0].name"),
        (json!({"name": "t", "limits": [["n", "token_bucket", 1, "1s"]]}), "limits[0]"),
        (json!({"name": "t", "limits": vec![limit(); 9]}), "limits"),
        (json!({"name": "T", "limits": []}), "name"),
    ] {
        let reply = service.call("POST", "/api/v1/tiers").json(&body).send().await;
        let problem = reply.problem(400);
        let fields: Vec<_> =
            problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect();
        assert!(fields.iter().any(|named| named == field), "{body}: {problem}");
    }
    service.get("/api/v1/tiers/t").await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_unknown_length_is_refused_as_soon_as_it_is_too_large() {
    let service = Service::start().await;
    let mut stream = TcpStream::connect(service.at.public).await.unwrap();
    let head = format!(
        "POST /api/v1/consumers HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        service.admin
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Never ended: the answer must come before that.
    stream.write_all(format!("{:x}\r\n{}\r\n", 66_000, "x".repeat(66_000)).as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_does_nothing() {
    let service = Service::start().await;
    let body = r#"{"id":"broken","name":"Broken off","tier":"free"}"#;
    let mut stream = TcpStream::connect(service.at.public).await.unwrap();
    let head = format!(
        "POST /api/v1/consumers HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        service.admin,
        body.len() + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{answer:?}");
    service.get("/api/v1/consumers/broken").await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_are_refused_and_charset_utf8_is_not() {
    let service = Service::start().await;
    let body = json!({"name": "Consumer", "tier": "free"});
    let post = || service.call("POST", "/api/v1/consumers").body(body.to_string());
    post().header("content-type", "application/json").header("content-encoding", "gzip").send().await.problem(415);
    post().header("content-type", "application/json").header("content-type", "application/json").send().await.problem(415);
    post().header("content-type", "Application/JSON; charset=UTF-8").send().await.expect(201);
}
