use serde_json::{Value, json};

use crate::envoy::{bootstrap, check, filter, issuer, manager};

const TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const HTTP: &str = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const CLUSTERS: &str = "static_resources.clusters";

/// Where a transport socket says what certificates must be.
const VALIDATION: &str = ".typed_config.common_tls_context.validation_context";

/// A transport socket that speaks TLS.
fn socket(common: &Value) -> Value {
    json!({"name": "tls", "typed_config": {"@type": TLS, "sni": "a.example", "common_tls_context": common}})
}

/// One that asks this of certificates.
fn validated(validation: &Value) -> Value {
    socket(&json!({"validation_context": validation}))
}

/// A cluster without faults.
fn cluster(name: &str) -> Value {
    json!({
        "name": name,
        "typed_extension_protocol_options": {"o": {"@type": HTTP, "explicit_http_config": {"http2_protocol_options": {}}}},
        "transport_socket": validated(&json!({
            "trusted_ca": {"filename": "ca.pem"},
            "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "a.example"}}],
        })),
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
    let faults: [(&str, &str, &str, Value); 3] = [
        ("transport_socket", "", "no TLS: the node's credential and token pass in the clear", Value::Null),
        ("transport_socket", VALIDATION, "no `trusted_ca`: whoever answers is taken for the backend", socket(&json!({}))),
        (
            "typed_extension_protocol_options",
            "",
            "HTTP/1.1",
            json!({"o": {"@type": HTTP, "explicit_http_config": {"http_protocol_options": {}}}}),
        ),
    ];
    for (member, below, words, value) in faults {
        let (status, lines) = said(|cluster, _| cluster[member] = value.clone());
        assert_eq!((status, lines.len()), (0, 1), "{lines:?}");
        assert!(lines[0].starts_with(&format!("-: warning: {CLUSTERS}[1].{member}{below}: found {words}")), "{lines:?}");
    }
}

#[test]
fn whoever_has_a_certificate_of_the_backend_s_authority_is_not_the_backend() {
    let (status, lines) = said(|cluster, _| {
        cluster["transport_socket"] = validated(&json!({"trusted_ca": {"filename": "ca.pem"}}));
        cluster["transport_socket"]["typed_config"]["sni"] = Value::Null;
    });
    let place = format!("{CLUSTERS}[1].transport_socket{VALIDATION}");
    let expected = format!(
        "-: warning: {place}: found no name that its certificate must bear: whoever has one of the same authorities is taken for the backend; \
         allowed: `match_typed_subject_alt_names` with the host's name, or `sni` and `auto_sni_san_validation`"
    );
    assert_eq!((status, lines), (0, vec![expected]), "and it has one certificate, so it need not be told whose is wanted");
}

/// What is said of a bootstrap whose filter gets the keys of two issuers behind the cluster `issuer`, after a change to that cluster and to
/// the whole.
fn said_of_issuer(change: impl Fn(&mut Value, &mut Value)) -> (i32, Vec<String>) {
    let mut issuers = [issuer(&json!({"jwks": {"keys": [crate::envoy::public_key()]}})), Value::Null, Value::Null];
    for (position, issuer) in issuers.iter_mut().enumerate().skip(1) {
        *issuer = crate::envoy::issuer(&json!({"remote": {"cluster": "issuer", "path": "/keys"}}));
        issuer["issuer"] = json!(format!("https://issuer-{position}.example"));
        issuer["consumer"] = json!({"prefix": format!("{position}:")});
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
    let (status, lines) = said_of_issuer(|cluster, _| cluster["transport_socket"] = Value::Null);
    let found = "no TLS: whoever is in between chooses the keys that tokens are checked with";
    assert_eq!((status, lines.len()), (0, 1), "{lines:?}");
    assert!(lines[0].starts_with(&format!("-: warning: {CLUSTERS}[1].transport_socket: found {found}; allowed: ")), "{lines:?}");
}

/// What is said of an issuer's cluster with this UpstreamTlsContext and these `upstream_http_protocol_options`: places in the socket's
/// configuration, and what was found there.
fn said_of_tls(context: &Value, automatic: &Value) -> Vec<String> {
    let (status, lines) = said_of_issuer(|cluster, _| {
        cluster["transport_socket"]["typed_config"] = context.clone();
        cluster["transport_socket"]["typed_config"]["@type"] = json!(TLS);
        cluster["typed_extension_protocol_options"] = json!({"o": {"@type": HTTP, "upstream_http_protocol_options": automatic}});
    });
    assert_eq!(status, 0, "{lines:?}");
    let place = format!("-: warning: {CLUSTERS}[1].transport_socket.typed_config.");
    lines.iter().map(|line| line.strip_prefix(&place).unwrap().split_once("; allowed: ").unwrap().0.to_owned()).collect()
}

#[test]
fn an_issuer_s_certificate_must_be_asked_for_trusted_and_named() {
    let ca = || json!({"trusted_ca": {"filename": "ca.pem"}});
    let named =
        || json!({"trusted_ca": {"filename": "ca.pem"}, "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "a"}}]});
    let validation = |validation: Value| json!({"validation_context": validation});
    let combined = |default: Value| json!({"combined_validation_context": {"default_validation_context": default, "validation_context_sds_secret_config": {"name": "s"}}});
    let trust = "validation_context: found no `trusted_ca`: whoever answers chooses the keys that tokens are checked with";
    let name = "validation_context: found no name that its certificate must bear: whoever has one of the same authorities chooses the keys \
                that tokens are checked with";
    let untrusted = "validation_context.trust_chain_verification: found ACCEPT_UNTRUSTED: whoever answers chooses the keys that tokens are \
                     checked with";
    let with = |mut one: Value, member: &str, value: Value| {
        one[member] = value;
        one
    };
    let sds = "combined_validation_context.default_";
    for (common, expected) in [
        (json!({}), Some(trust.to_owned())),
        (validation(json!({})), Some(trust.to_owned())),
        (validation(with(named(), "trusted_ca", json!({}))), Some(trust.to_owned())),
        (validation(ca()), Some(name.to_owned())),
        (validation(with(ca(), "match_typed_subject_alt_names", json!([]))), Some(name.to_owned())),
        (validation(named()), None),
        (validation(with(ca(), "match_subject_alt_names", json!([{"exact": "a"}]))), None),
        (validation(with(named(), "trust_chain_verification", json!("ACCEPT_UNTRUSTED"))), Some(untrusted.to_owned())),
        (validation(with(named(), "trust_chain_verification", json!(1))), Some(untrusted.to_owned())),
        (validation(with(named(), "trust_chain_verification", json!("VERIFY_TRUST_CHAIN"))), None),
        (validation(json!({"verify_certificate_spki": ["s"]})), None),
        (validation(json!({"verifyCertificateHash": ["h"]})), None),
        (validation(json!({"custom_validator_config": {"name": "n"}})), None),
        (json!({"validation_context_sds_secret_config": {"name": "s"}}), None),
        (combined(json!({})), None),
        (combined(json!({"trust_chain_verification": "ACCEPT_UNTRUSTED"})), Some(format!("{sds}{untrusted}"))),
    ] {
        let expected: Vec<String> = expected.into_iter().map(|expected| format!("common_tls_context.{expected}")).collect();
        assert_eq!(said_of_tls(&json!({"sni": "a", "common_tls_context": common}), &json!({})), expected, "{common}");
    }
}

#[test]
fn an_issuer_s_server_must_be_told_whose_certificate_is_wanted() {
    let trusted = json!({"validation_context": {"trusted_ca": {"filename": "ca.pem"}}});
    let sni = "sni: found nothing: a server of several hosts cannot tell whose certificate to show";
    let name = "common_tls_context.validation_context: found no name that its certificate must bear: whoever has one of the same \
                authorities chooses the keys that tokens are checked with";
    for (context, automatic, expected) in [
        (json!({}), json!({}), &[name, sni][..]),
        (json!({"sni": ""}), json!({}), &[name, sni]),
        (json!({"auto_sni_san_validation": true}), json!({}), &[name, sni]),
        (json!({"sni": "a"}), json!({}), &[name]),
        (json!({"sni": "a", "auto_sni_san_validation": true}), json!({}), &[]),
        (json!({"autoHostSni": true, "autoSniSanValidation": true}), json!({}), &[]),
        (json!({}), json!({"auto_sni": true}), &[name]),
        (json!({}), json!({"auto_sni": true, "auto_san_validation": true}), &[]),
        (json!({"auto_sni_san_validation": true}), json!({"auto_sni": true}), &[]),
    ] {
        let mut context = context.clone();
        context["common_tls_context"] = trusted.clone();
        assert_eq!(said_of_tls(&context, &automatic), expected, "{context} {automatic}");
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
