use serde_json::{Value, json};

use crate::envoy::{bootstrap, check, filter, issuer, manager};

const TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const HTTP: &str = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const CLUSTERS: &str = "static_resources.clusters";

/// A cluster without faults.
fn cluster(name: &str) -> Value {
    json!({
        "name": name,
        "typed_extension_protocol_options": {"o": {"@type": HTTP, "explicit_http_config": {"http2_protocol_options": {}}}},
        "transport_socket": {"name": "tls", "typed_config": {"@type": TLS, "common_tls_context": {"validation_context": {"trusted_ca": {"filename": "ca.pem"}}}}},
    })
}

/// What is said of a bootstrap whose filter asks the cluster `backend`, after a change to that cluster and to the whole.
fn said(change: impl Fn(&mut Value, &mut Value)) -> (i32, Vec<String>) {
    let mut filter = filter(&json!({"backend": {"cluster": "backend", "credential": {"env": "NODE"}}}));
    filter["config"]["vm_config"]["environment_variables"] = json!({"host_env_keys": ["NODE"]});
    said_of(&filter, cluster("backend"), change)
}

/// What is said of a bootstrap with this filter, whose second cluster is `own`, after a change to that and to the whole.
fn said_of(filter: &Value, mut own: Value, change: impl Fn(&mut Value, &mut Value)) -> (i32, Vec<String>) {
    let mut document: Value = serde_json::from_str(&bootstrap(&manager(filter))).unwrap();
    change(&mut own, &mut document);
    document["static_resources"]["clusters"] = json!([cluster("upstream"), own]);
    let run = check(&document.to_string());
    assert_eq!(run.err, "");
    (run.status, run.out.lines().map(str::to_owned).filter(|line| !line.contains(": ok (")).collect())
}

#[test]
fn a_cluster_without_faults_is_ok() {
    assert_eq!(said(|_, _| {}), (0, vec![]));
}

#[test]
fn a_backend_without_its_cluster_is_an_error_where_all_clusters_are_seen() {
    let (status, lines) = said(|cluster, _| cluster["name"] = json!("other"));
    assert_eq!(status, 1);
    assert!(lines[0].starts_with(&format!("-: {CLUSTERS}: found no cluster `backend`")), "{lines:?}");
    let discovered = said(|cluster, document| {
        cluster["name"] = json!("other");
        document["dynamic_resources"] = json!({"cds_config": {"path_config_source": {"path": "c"}}});
    });
    assert_eq!(discovered, (0, vec![]));
}

#[test]
fn a_cluster_that_gives_the_token_away_is_warned_of() {
    let faults: [(&str, &str, Value); 3] = [
        ("transport_socket", "no TLS", Value::Null),
        ("transport_socket", "whoever answers", json!({"typed_config": {"@type": TLS, "common_tls_context": {}}})),
        (
            "typed_extension_protocol_options",
            "HTTP/1.1",
            json!({"o": {"@type": HTTP, "explicit_http_config": {"http_protocol_options": {}}}}),
        ),
    ];
    for (member, words, value) in faults {
        let (status, lines) = said(|cluster, _| cluster[member] = value.clone());
        assert_eq!((status, lines.len()), (0, 1), "{lines:?}");
        assert!(lines[0].contains(&format!("{CLUSTERS}[1].{member}: ")) && lines[0].contains(words), "{lines:?}");
    }
}

/// What is said of a bootstrap whose filter gets the keys of two issuers behind the cluster `issuer`, after a change to that cluster and to
/// the whole.
fn said_of_issuer(change: impl Fn(&mut Value, &mut Value)) -> (i32, Vec<String>) {
    let mut issuers = [issuer(&json!({"jwks": {"keys": [crate::envoy::public_key()]}})), Value::Null, Value::Null];
    for (position, issuer) in issuers.iter_mut().enumerate().skip(1) {
        *issuer = crate::envoy::issuer(&json!({"remote": {"cluster": "issuer", "path": "/keys"}}));
        issuer["issuer"] = json!(format!("https://issuer-{position}.example"));
    }
    let filter = filter(&json!({"tokens": {"issuers": issuers}}));
    let mut own = cluster("issuer");
    own.as_object_mut().unwrap().remove("typed_extension_protocol_options");
    said_of(&filter, own, change)
}

#[test]
fn an_issuer_s_cluster_must_be_there_and_tell_who_answers() {
    assert_eq!(said_of_issuer(|_, _| {}), (0, vec![]), "a few calls need no HTTP/2");
    let (status, lines) = said_of_issuer(|cluster, _| cluster["name"] = json!("other"));
    assert_eq!((status, lines.len()), (1, 1), "{lines:?}");
    let missing = format!("-: {CLUSTERS}: found no cluster `issuer`, which `tokens.issuers[1].keys.remote.cluster` names");
    assert!(lines[0].starts_with(&missing), "{lines:?}");
    let discovered = said_of_issuer(|cluster, document| {
        cluster["name"] = json!("other");
        document["dynamic_resources"] = json!({"ads_config": {}});
    });
    assert_eq!(discovered, (0, vec![]));
    for (socket, words) in [
        (Value::Null, "no TLS: whoever is in between chooses the keys"),
        (json!({"typed_config": {"@type": TLS, "common_tls_context": {}}}), "no `validation_context`: whoever answers chooses the keys"),
    ] {
        let (status, lines) = said_of_issuer(|cluster, _| cluster["transport_socket"] = socket.clone());
        assert_eq!((status, lines.len()), (0, 1), "{lines:?}");
        assert!(lines[0].starts_with(&format!("-: warning: {CLUSTERS}[1].transport_socket: found {words}")), "{lines:?}");
    }
}

#[test]
fn bounds_on_unknown_keys_need_the_client_s_true_address() {
    let (status, lines) = said(|_, document| {
        document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["use_remote_address"] = json!(false);
    });
    assert_eq!((status, lines.len()), (0, 1), "{lines:?}");
    assert!(lines[0].contains("use_remote_address"), "{lines:?}");
}
