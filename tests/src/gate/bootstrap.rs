//! Owns the configuration that a gate's Envoy runs with.
//!
//! It must not contain anything a deployment would not also need: one listener, the filter, the router, an upstream.

use std::path::Path;

use serde_json::{Value, json};

use super::setup::BackendCluster;
use super::{Setup, parts};
use crate::upstream::Upstream;

/// What the access log shows of each request; `case` finds it again.
const LOGGED: [(&str, &str); 10] = [
    ("case", "%REQ(X-CASE)%"),
    ("path", "%REQ(:PATH)%"),
    ("status", "%RESPONSE_CODE%"),
    ("flags", "%RESPONSE_FLAGS%"),
    ("details", "%RESPONSE_CODE_DETAILS%"),
    ("consumer", "%FILTER_STATE(wasm.tollgate.consumer:PLAIN)%"),
    ("credential", "%FILTER_STATE(wasm.tollgate.credential:PLAIN)%"),
    ("tier", "%FILTER_STATE(wasm.tollgate.tier:PLAIN)%"),
    ("route", "%FILTER_STATE(wasm.tollgate.route:PLAIN)%"),
    ("verdict", "%FILTER_STATE(wasm.tollgate.verdict:PLAIN)%"),
];

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The whole bootstrap; an updatable gate's listener is in [`discovery`] instead.
pub(super) fn document(setup: &Setup, directory: &Path) -> Value {
    let admin = json!({"address": socket_address("127.0.0.1", 0)});
    let upstream = Upstream::shared().address();
    let mut clusters = vec![
        cluster("upstream", upstream.port()),
        // Trailers pass over HTTP/2 only.
        over_http2(cluster("upstream-http2", upstream.port())),
        // Nothing listens on port 1: the router answers 503 itself.
        cluster("dead", 1),
    ];
    clusters.extend(setup.backend.as_ref().map(backend));
    clusters.extend(setup.issuer.map(|issuer| cluster("issuer", issuer.port())));
    if setup.updatable {
        let path = directory.join("listeners.json");
        let source = json!({"path_config_source": {"path": path}, "resource_api_version": "V3"});
        json!({"admin": admin, "dynamic_resources": {"lds_config": source}, "static_resources": {"clusters": clusters}})
    } else {
        let listeners = json!([listener(setup, directory)]);
        json!({"admin": admin, "static_resources": {"listeners": listeners, "clusters": clusters}})
    }
}

/// The watched file of listeners.
pub(super) fn discovery(setup: &Setup, directory: &Path) -> Value {
    let mut listener = listener(setup, directory);
    listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
    json!({"resources": [listener]})
}

fn listener(setup: &Setup, directory: &Path) -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gate",
        "codec_type": "AUTO",
        "use_remote_address": true,
        "xff_num_trusted_hops": setup.trusted_hops,
        "stream_idle_timeout": "5s",
        "http_filters": [filter(setup), {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/dead"}, "route": {"cluster": "dead"}},
            {"match": {"prefix": "/h2/"}, "route": {"cluster": "upstream-http2", "timeout": "30s"}},
            {"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "30s"}},
        ]}]},
        "access_log": [access_log(directory)],
    });
    json!({
        "name": "gate",
        "address": socket_address("127.0.0.1", 0),
        "filter_chains": [{"filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
        ]}],
    })
}

fn filter(setup: &Setup) -> Value {
    let module = setup.module.clone().unwrap_or_else(parts::module);
    let environment: serde_json::Map<_, _> = setup.environment.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let secrets: Vec<_> = setup.secrets.iter().map(|(name, _)| name).collect();
    json!({
        "name": "tollgate",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "tollgate",
                "root_id": "tollgate",
                "failure_policy": "FAIL_RELOAD",
                "allow_on_headers_stop_iteration": setup.stop_iteration,
                "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": setup.plugin},
                "vm_config": {
                    "vm_id": "tollgate",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module}},
                    "environment_variables": {"key_values": environment, "host_env_keys": secrets},
                },
            },
        },
    })
}

fn access_log(directory: &Path) -> Value {
    let format: serde_json::Map<_, _> = LOGGED.iter().map(|(name, operator)| ((*name).to_owned(), json!(operator))).collect();
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": directory.join("access.log"),
            "log_format": {"json_format": format},
        },
    })
}

fn cluster(name: &str, port: u16) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": socket_address("127.0.0.1", port)}},
        ]}]},
        // The tests open hundreds of requests at once: the breaker's default would answer some of them.
        "circuit_breakers": {"thresholds": [
            {"max_connections": 10_000, "max_pending_requests": 10_000, "max_requests": 10_000},
        ]},
    })
}

fn backend(backend: &BackendCluster) -> Value {
    let mut cluster = over_http2(cluster("backend", backend.address.port()));
    if let Some(authority) = &backend.authority {
        let name = json!({"san_type": "DNS", "matcher": {"exact": "localhost"}});
        cluster["transport_socket"] = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": "localhost",
            "common_tls_context": {
                "validation_context": {"trusted_ca": {"filename": authority}, "match_typed_subject_alt_names": [name]},
            },
        }});
        let options = &mut cluster["typed_extension_protocol_options"][HTTP_OPTIONS]["explicit_http_config"]["http2_protocol_options"];
        // As `envoy.yaml` has it: without it a connection that carries nothing any more is used on and on.
        options["connection_keepalive"] = json!({"interval": "5s", "timeout": "2s"});
    }
    cluster
}

fn over_http2(mut cluster: Value) -> Value {
    cluster["typed_extension_protocol_options"] = json!({HTTP_OPTIONS: {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }});
    cluster
}

fn socket_address(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}
