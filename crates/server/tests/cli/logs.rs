use serde_json::{Value, json};

use crate::envoy::{MANAGER_PLACE, said};

/// What is said of a manager with this access logger, below a plugin with a credential in the query.
fn with(logger: &Value) -> Vec<String> {
    with_sources(&json!([{"header": "x-api-key"}, {"query": "api_key"}]), logger)
}

fn with_sources(sources: &Value, logger: &Value) -> Vec<String> {
    let (status, mut lines) = said(&json!({"credentials": {"sources": sources}}), |_, manager| {
        manager["access_log"] = json!([{"name": "l", "typed_config": logger}]);
    });
    assert_eq!(status, 0, "{lines:?}");
    assert!(lines.pop().unwrap().starts_with("-: ok "));
    lines
}

fn logger(kind: &str, mut fields: Value) -> Value {
    fields["@type"] = json!(format!("type.googleapis.com/envoy.extensions.access_loggers.{kind}"));
    fields
}

fn text(format: &str) -> Value {
    logger("stream.v3.StdoutAccessLog", json!({"log_format": {"text_format_source": {"inline_string": format}}}))
}

#[test]
fn formats_that_show_a_credential_in_the_query_are_a_warning() {
    for operator in [
        "%REQ(:PATH)%",
        "%REQ(:path):100%",
        "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        "%REQ(X-OTHER?X-Envoy-Original-Path)%",
        "%REQUEST_HEADER(:PATH)%",
        "%PATH%",
        "%PATH()%",
        "%PATH(WQ)%",
        "%PATH(WQ:ORIG)%",
        "%PATH(:ORIG)%",
        "%QUERY_PARAM(api_key)%",
        "%QUERY_PARAMS%",
        "%QUERY_PARAMS(ORIG)%",
        "%CEL(request.path)%",
        "%CEL(request.headers[':path'])%",
    ] {
        let lines = with(&text(&format!("%START_TIME(%Y/%m)% 100%% {operator} %PROTOCOL%\n")));
        assert_eq!(lines.len(), 1, "{operator}: {lines:?}");
        let place = format!("{MANAGER_PLACE}.access_log[0].typed_config.log_format.text_format_source.inline_string");
        let shown = operator.replace(":100", "");
        assert!(lines[0].starts_with(&format!("-: warning: {place}: found `{shown}`: ")), "{lines:?}");
        assert!(lines[0].ends_with("; allowed: `%PATH(NQ)%`"), "{lines:?}");
    }
}

#[test]
fn formats_without_the_query_are_fine() {
    let fine = "%PATH(NQ)% %PATH(NQ:ORIG)% %REQ(:METHOD)% %REQ(X-PATH?Y)% %REQ_WITHOUT_QUERY(:PATH)% %QUERY_PARAM(page)% %%PATH(WQ)%% \
                %CEL(request.url_path)% %REQUEST_HEADERS_BYTES% PATH REQ(:PATH) %REQ(:PATH)";
    assert_eq!(with(&text(fine)), Vec::<String>::new());
}

#[test]
fn formats_are_found_in_every_form() {
    for fields in [
        json!({"log_format": {"json_format": {"request": {"paths": ["%PATH(NQ)%", "%PATH%"]}}}}),
        json!({"logFormat": {"textFormat": "%PATH%"}}),
        json!({"format": "%PATH%"}),
        json!({"json_format": {"p": "%PATH%"}}),
        json!({"typed_json_format": {"p": "%PATH%"}}),
    ] {
        let lines = with(&logger("file.v3.FileAccessLog", fields));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(": found `%PATH%`: "), "{lines:?}");
    }
    let body = json!({"body": {"string_value": "%PATH%"}});
    assert_eq!(with(&logger("open_telemetry.v3.OpenTelemetryAccessLogConfig", body)).len(), 1);
}

#[test]
fn loggers_with_formats_of_their_own_that_show_the_query_are_a_warning() {
    let place = format!("-: warning: {MANAGER_PLACE}.access_log[0].typed_config: found ");
    for kind in ["file.v3.FileAccessLog", "stream.v3.StdoutAccessLog", "stream.v3.StderrAccessLog"] {
        let lines = with(&logger(kind, json!({"path": "/dev/stdout", "format": ""})));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(&format!("{place}no format, and the default one shows whole paths: ")), "{lines:?}");
    }
    let lines = with(&logger("grpc.v3.HttpGrpcAccessLogConfig", json!({})));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with(&format!("{place}an HttpGrpcAccessLogConfig, ")), "{lines:?}");
    let packed = json!({"@type": "type.googleapis.com/xds.type.v3.TypedStruct",
        "type_url": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "value": {"path": "/dev/stdout"}});
    assert_eq!(with(&packed).len(), 1);
}

#[test]
fn formats_are_free_where_no_credential_is_in_the_query() {
    assert_eq!(with_sources(&json!([{"header": "x-api-key"}]), &text("%REQ(:PATH)%")), Vec::<String>::new());
}
