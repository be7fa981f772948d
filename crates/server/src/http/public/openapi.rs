//! Owns the description of the public API (OpenAPI 3.1): what the handlers say of themselves, and what is the same for all of them. Must not describe
//! a single route: its handler does.

use std::sync::OnceLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

mod schemas;

/// What the token service takes.
const FORM: &str = "application/x-www-form-urlencoded";

/// The parameter of everything that makes something.
#[derive(utoipa::IntoParams)]
#[into_params(names("Idempotency-Key"), parameter_in = Header)]
#[expect(dead_code, reason = "read by `once`; here it is described")]
pub(super) struct IdempotencyKey(
    /// 1 to 128 visible ASCII characters. A request that comes again with the same key, within 24 hours, gets the same answer and does nothing.
    #[param(min_length = 1, max_length = 128)]
    Option<String>,
);

/// The parameter of everything that changes something.
#[derive(utoipa::IntoParams)]
#[into_params(names("If-Match"), parameter_in = Header)]
#[expect(dead_code, reason = "read by `parameters`; here it is described")]
pub(super) struct IfMatch(
    /// The `ETag` of what is to be changed, such as `"v3"`: refused with 412 if it was changed since.
    Option<String>,
);

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "openapi", operation_id = "get_openapi",
    responses((status = 200, body = Object)), security(()), extensions(("x-permission" = json!("none"))))]
pub(super) async fn get() -> Response {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| openapi().to_string());
    ([(CONTENT_TYPE, "application/json")], document.as_str()).into_response()
}

/// The description of the public API.
#[must_use]
pub fn openapi() -> Value {
    let described = super::described().into_openapi();
    let mut document = serde_json::to_value(described).unwrap_or_default();
    for item in document.pointer_mut("/paths").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            complete(method, operation);
        }
    }
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas::complete(schemas);
    }
    schemas::without_null(document.get_mut("paths"));
    let description = "An admin key, `tga_…`: its role says what it permits.";
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        components
            .insert("securitySchemes".to_owned(), json!({"admin_key": {"type": "http", "scheme": "bearer", "description": description}}));
    }
    if let Some(document) = document.as_object_mut() {
        document.insert("security".to_owned(), json!([{"admin_key": []}]));
    }
    document
}

/// Adds the refusals that follow from what an operation takes.
fn complete(method: &str, operation: &mut Value) {
    let takes = |name: &str| {
        let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
        parameters.filter_map(|parameter| parameter.get("name")).any(|given| given == name)
    };
    let takes_in = |place: &str| {
        let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
        parameters.filter_map(|parameter| parameter.get("in")).any(|given| given == place)
    };
    let has_path = takes_in("path");
    let has_body = operation.get("requestBody").is_some();
    let has_form = operation.pointer("/requestBody/content").and_then(|content| content.get(FORM)).is_some();
    let is_protected = operation.get("x-permission").is_some_and(|permission| permission != "none");
    let is_own = operation.get("x-permission").is_some_and(|permission| permission == "own_account");
    let writes = method != "get";
    let is_judged = takes_in("query") || takes_in("header") || has_body;
    let has_version = method == "patch" || method == "put" || method == "get" && has_path;
    let works = is_protected || writes || has_path;
    let refusals = [
        (400, is_judged, "Something given is not valid; `errors` names each field."),
        (401, is_protected || has_form, "There is no credential, or it is unknown, revoked or expired."),
        (403, is_protected, "The credential does not permit it."),
        (404, has_path || !is_protected && writes && !has_form, "There is nothing here, or nothing this credential may know of."),
        (408, has_body, "The body came too slowly."),
        (409, writes && is_protected || is_own, "It contradicts what there is; `errors` names the field."),
        (412, takes("If-Match"), "It was changed since the version of `If-Match`."),
        (413, has_body, "The body is larger than 65,536 bytes."),
        (415, has_body && !has_form, "The body is not `application/json`."),
        (429, works, "Too many requests of this kind from this address; `Retry-After` says when to come back."),
        (500, works, "Something went wrong on our side."),
        (503, works, "Not possible at the moment; `Retry-After` says when to come back."),
    ];
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (status, response) in responses.iter_mut() {
        if let Some(response) = response.as_object_mut() {
            response.insert("description".to_owned(), json!(success(status)));
            if has_version {
                let tag = json!({"description": "Its version, for `If-Match`.", "schema": {"type": "string"}});
                response.insert("headers".to_owned(), json!({"ETag": tag}));
            }
        }
    }
    for (status, applies, description) in refusals {
        if applies {
            let schema = json!({"$ref": "#/components/schemas/ProblemDetails"});
            let mut response = json!({"description": description, "content": {"application/problem+json": {"schema": schema}}});
            if has_form && [400, 401, 429].contains(&status) {
                let schema = json!({"schema": {"$ref": "#/components/schemas/OAuthError"}});
                let content = response.get_mut("content").and_then(Value::as_object_mut);
                content.map(|content| content.insert("application/json".to_owned(), schema));
            }
            responses.insert(status.to_string(), response);
        }
    }
}

fn success(status: &str) -> &'static str {
    match status {
        "201" => "Made.",
        "202" => "Will be done.",
        "303" => "Go there.",
        "204" => "Done.",
        _ => "Here it is.",
    }
}
