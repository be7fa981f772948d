//! Owns Envoy's configuration: a listener that answers by itself, so that nothing but the filters under test costs.
//!
//! The fault filter answers, at the end of the chain: with a `direct_response` route there is no route entry, and Envoy's
//! `ratelimit` filter would not ask its service at all.

use std::path::Path;

use serde_json::{Value, json};

/// What differs from row to row.
#[derive(Clone, Default)]
pub(crate) struct Listener {
    /// HTTP filters before the router.
    pub(crate) filters: Vec<Value>,
    /// What the `ratelimit` filter asks about.
    pub(crate) rate_limits: Vec<Value>,
    /// Upstream clusters.
    pub(crate) clusters: Vec<Value>,
    /// The client's address is the last one of `x-forwarded-for`, as behind one trusted load balancer.
    pub(crate) behind_balancer: bool,
}

/// The upstream of every route.
const NEVER_ASKED: &str = "never-asked";
/// The name of the rate limit service's cluster.
const RATELIMIT_CLUSTER: &str = "ratelimit";

// === impl Listener ===

impl Listener {
    /// A listener with one filter.
    pub(crate) fn with_filter(filter: Value) -> Self {
        Self { filters: vec![filter], ..Self::default() }
    }

    /// The whole bootstrap document.
    pub(crate) fn bootstrap(&self, port: u16, admin_port: u16) -> Value {
        let mut filters = self.filters.clone();
        let answer = json!({"abort": {"http_status": 200, "percentage": {"numerator": 100}}});
        filters.push(filter("envoy.filters.http.fault", "fault.v3.HTTPFault", answer));
        filters.push(filter("envoy.filters.http.router", "router.v3.Router", json!({})));
        let manager = typed(
            "filters.network.http_connection_manager.v3.HttpConnectionManager",
            json!({
                "stat_prefix": "bench",
                "generate_request_id": false,
                "use_remote_address": true,
                "xff_num_trusted_hops": u8::from(self.behind_balancer),
                "http_filters": filters,
                "route_config": {"virtual_hosts": [{
                    "name": "bench",
                    "domains": ["*"],
                    "rate_limits": self.rate_limits,
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": NEVER_ASKED}}],
                }]},
            }),
        );
        let mut clusters = self.clusters.clone();
        clusters.push(json!({"name": NEVER_ASKED, "type": "STATIC"}));
        json!({
            "node": {"id": "bench", "cluster": "bench"},
            "admin": {"address": address(admin_port)},
            "static_resources": {
                "clusters": clusters,
                "listeners": [{
                    "name": "bench",
                    "address": address(port),
                    "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
                }],
            },
        })
    }
}

/// A module as a filter. `configuration` is the plugin's.
pub(crate) fn wasm(module: &Path, configuration: &Value) -> Value {
    filter(
        "envoy.filters.http.wasm",
        "wasm.v3.Wasm",
        json!({"config": {
            "name": "tollgate",
            "root_id": "tollgate",
            "failure_policy": "FAIL_RELOAD",
            "allow_on_headers_stop_iteration": true,
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "vm_id": "tollgate",
                "code": {"local": {"filename": module}},
            },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": configuration.to_string(),
            },
        }}),
    )
}

/// Holds a request until its body is whole: without it the fault filter answers before that, and no filter sees the body.
pub(crate) fn buffer() -> Value {
    filter("envoy.filters.http.buffer", "buffer.v3.Buffer", json!({"max_request_bytes": 65_536}))
}

/// Envoy's own `api_key_auth` with one key; `forwarding` as its documentation has it.
pub(crate) fn api_key_auth(key: &str, forwarding: Value) -> Value {
    filter(
        "envoy.filters.http.api_key_auth",
        "api_key_auth.v3.ApiKeyAuth",
        json!({
            "credentials": [{"key": key, "client": "bench"}],
            "key_sources": [{"header": "x-api-key"}],
            "forwarding": forwarding,
        }),
    )
}

/// Envoy's own `jwt_authn` with these keys in its configuration; `cached` lets it remember tokens.
pub(crate) fn jwt_authn(issuer: &str, audience: &str, jwks: &Value, cached: bool) -> Value {
    let mut provider = json!({
        "issuer": issuer,
        "audiences": [audience],
        "local_jwks": {"inline_string": jwks.to_string()},
    });
    if let Some(fields) = provider.as_object_mut().filter(|_| cached) {
        fields.insert("jwt_cache_config".to_owned(), json!({"jwt_cache_size": 8_192}));
    }
    filter(
        "envoy.filters.http.jwt_authn",
        "jwt_authn.v3.JwtAuthentication",
        json!({
            "providers": {"bench": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
        }),
    )
}

/// Envoy's own `local_ratelimit`, with a limit that is never reached; `headers` is its `enable_x_ratelimit_headers`.
pub(crate) fn local_ratelimit(headers: &str) -> Value {
    let always = json!({"default_value": {"numerator": 100, "denominator": "HUNDRED"}});
    filter(
        "envoy.filters.http.local_ratelimit",
        "local_ratelimit.v3.LocalRateLimit",
        json!({
            "stat_prefix": "bench",
            "token_bucket": {"max_tokens": 1_000_000, "tokens_per_fill": 1_000_000, "fill_interval": "1s"},
            "filter_enabled": always,
            "filter_enforced": always,
            "enable_x_ratelimit_headers": headers,
        }),
    )
}

/// Envoy's `ratelimit` filter: it asks a service on `port` about each key, and refuses where that does not answer.
pub(crate) fn ratelimit_service(port: u16) -> Listener {
    let ask = filter(
        "envoy.filters.http.ratelimit",
        "ratelimit.v3.RateLimit",
        json!({
            "domain": "bench",
            "failure_mode_deny": true,
            "timeout": "2s",
            "rate_limit_service": {
                "transport_api_version": "V3",
                "grpc_service": {"envoy_grpc": {"cluster_name": RATELIMIT_CLUSTER}},
            },
        }),
    );
    let cluster = cluster_over_http2(RATELIMIT_CLUSTER, port, json!({}));
    let by_key = json!({"actions": [{"request_headers": {"header_name": "x-api-key", "descriptor_key": "key"}}]});
    Listener { rate_limits: vec![by_key], clusters: vec![cluster], ..Listener::with_filter(ask) }
}

/// A backend's node API on `port`, as `envoy.yaml` has it: HTTP/2 over TLS, its certificate by `authority`.
pub(crate) fn backend_cluster(name: &str, port: u16, authority: &Path) -> Value {
    let validation = json!({
        "trusted_ca": {"filename": authority},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "localhost"}}],
    });
    let tls = json!({"sni": "localhost", "common_tls_context": {"validation_context": validation}});
    let http2 = json!({"connection_keepalive": {"interval": "5s", "timeout": "2s"}});
    let mut cluster = cluster_over_http2(name, port, http2);
    if let Some(fields) = cluster.as_object_mut() {
        let socket =
            json!({"name": "envoy.transport_sockets.tls", "typed_config": typed("transport_sockets.tls.v3.UpstreamTlsContext", tls)});
        fields.insert("transport_socket".to_owned(), socket);
    }
    cluster
}

fn cluster_over_http2(name: &str, port: u16, http2: Value) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions":
                typed("upstreams.http.v3.HttpProtocolOptions", json!({"explicit_http_config": {"http2_protocol_options": http2}})),
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    })
}

fn filter(name: &str, kind: &str, configuration: Value) -> Value {
    json!({"name": name, "typed_config": typed(&format!("filters.http.{kind}"), configuration)})
}

fn typed(kind: &str, mut configuration: Value) -> Value {
    if let Some(fields) = configuration.as_object_mut() {
        fields.insert("@type".to_owned(), format!("type.googleapis.com/envoy.extensions.{kind}").into());
    }
    configuration
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}
