use serde_json::{Value, json};

use crate::command::{Run, tollgate};

const FILTER: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
pub(crate) const MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
pub(crate) const MANAGER_PLACE: &str = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";
pub(crate) const FILTER_PLACE: &str =
    "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.config";

/// A filter without faults, around a plugin configuration.
pub(crate) fn filter(plugin: &Value) -> Value {
    json!({"@type": FILTER, "config": {
        "name": "tollgate", "root_id": "tollgate", "failure_policy": "FAIL_RELOAD",
        "vm_config": {"vm_id": "tollgate", "runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": "tollgate.wasm"}}},
        "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": plugin.to_string()},
    }})
}

/// A connection manager without faults, around a filter.
pub(crate) fn manager(filter: &Value) -> Value {
    json!({"@type": MANAGER, "http_filters": [{"name": "t", "typed_config": filter}],
        "use_remote_address": true, "normalize_path": true, "merge_slashes": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST", "stream_idle_timeout": "30s", "request_timeout": "30s"})
}

/// An issuer of access tokens with these keys.
pub(crate) fn issuer(keys: &Value) -> Value {
    json!({"issuer": "https://issuer.example", "audiences": ["api"], "keys": keys, "consumer": {"prefix": "a:"}, "tier": {"default": "free"}})
}

pub(crate) fn public_key() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "Ikzgi78EuhELWTVB6MDOi0997xadH53ojvEPR7vl4sE"})
}

pub(crate) fn bootstrap(manager: &Value) -> String {
    json!({"static_resources": {"listeners": [{"filter_chains": [{"filters": [{"name": "n", "typed_config": manager}]}]}]}}).to_string()
}

pub(crate) fn check(document: &str) -> Run {
    tollgate(&["check", "-"], &[], document.as_bytes())
}

/// All that is said of a bootstrap that [`filter`] and [`manager`] make, after a change.
pub(crate) fn said(plugin: &Value, change: impl Fn(&mut Value, &mut Value)) -> (i32, Vec<String>) {
    let mut filter = filter(plugin);
    let mut outer = manager(&Value::Null);
    change(&mut filter["config"], &mut outer);
    outer["http_filters"][0]["typed_config"] = filter;
    let run = check(&bootstrap(&outer));
    assert_eq!(run.err, "");
    (run.status, run.out.lines().map(str::to_owned).collect())
}

fn unset(node: &mut Value, name: &str) {
    node.as_object_mut().unwrap().remove(name);
}

#[test]
fn a_filter_without_faults_is_ok() {
    assert_eq!(said(&json!({}), |_, _| {}), (0, vec!["-: ok (0 routes, 4 tiers, 0 consumers)".to_owned()]));
}

#[test]
fn problems_name_both_paths() {
    let (status, lines) = said(&json!({"routes": [{"name": "a", "match": {}, "cost": 2_000_000}]}), |_, _| {});
    assert_eq!(status, 1);
    assert_eq!(lines, [format!("-: {FILTER_PLACE}.configuration.value / routes[0].cost: found 2000000; allowed: 0 to 1000000")]);
}

#[test]
fn failing_open_is_an_error() {
    for (name, value) in [
        ("fail_open", json!(true)),
        ("failOpen", json!("yes")),
        ("failure_policy", json!("FAIL_OPEN")),
        ("failure_policy", json!(3)),
        ("failurePolicy", json!("FAIL_OPEN")),
    ] {
        let (status, lines) = said(&json!({}), |config, _| {
            if name == "failurePolicy" {
                unset(config, "failure_policy");
            }
            config[name] = value.clone();
        });
        assert_eq!((status, lines.len()), (1, 1), "{lines:?}");
        assert!(lines[0].contains("everything passes; allowed: "), "{lines:?}");
    }
}

#[test]
fn other_failure_policies_and_an_absent_vm_id_are_warnings() {
    let (status, lines) = said(&json!({}), |config, _| {
        config["failure_policy"] = json!("FAIL_CLOSED");
        unset(&mut config["vm_config"], "vm_id");
    });
    assert_eq!((status, lines.len()), (0, 3), "{lines:?}");
    assert!(lines[0].starts_with(&format!("-: warning: {FILTER_PLACE}.failure_policy: found FAIL_CLOSED; allowed: FAIL_RELOAD")));
    assert!(lines[1].starts_with(&format!("-: warning: {FILTER_PLACE}.vm_config.vm_id: found nothing; ")));
    let (_, lines) = said(&json!({}), |config, _| unset(config, "failure_policy"));
    assert!(lines[0].contains("failure_policy: found nothing (FAIL_CLOSED); "), "{lines:?}");
}

#[test]
fn what_the_connection_manager_lacks_is_a_warning_each() {
    let names = ["normalize_path", "merge_slashes", "path_with_escaped_slashes_action", "stream_idle_timeout", "request_timeout"];
    for name in names {
        let (status, lines) = said(&json!({}), |_, manager| unset(manager, name));
        assert_eq!((status, lines.len()), (0, 2), "{lines:?}");
        assert!(lines[0].starts_with(&format!("-: warning: {MANAGER_PLACE}.{name}: found no")), "{lines:?}");
    }
    let (_, lines) = said(&json!({}), |_, manager| manager["stream_idle_timeout"] = json!("0s"));
    assert!(lines[0].contains("stream_idle_timeout: found \"0s\"; "), "{lines:?}");
    let (_, lines) = said(&json!({}), |_, manager| manager["path_with_escaped_slashes_action"] = json!("KEEP_UNCHANGED"));
    assert!(lines[0].contains("path_with_escaped_slashes_action: found KEEP_UNCHANGED; "), "{lines:?}");
}

#[test]
fn addresses_that_clients_choose_are_a_warning_where_they_decide() {
    let without = |_: &mut Value, manager: &mut Value| unset(manager, "use_remote_address");
    assert_eq!(said(&json!({}), without).1.len(), 1, "nothing depends on the address");
    for plugin in [
        json!({"addresses": {"deny": ["192.0.2.1"]}}),
        json!({"routes": [{"name": "a", "match": {}, "addresses": {"allow": ["192.0.2.1"]}}]}),
        json!({"anonymous_tier": "free"}),
        json!({"default_route": {"anonymous_tier": "free"}}),
        json!({"tokens": {"issuers": [issuer(&json!({"jwks": {"keys": [public_key()]}}))]}}),
    ] {
        let (status, lines) = said(&plugin, without);
        assert_eq!((status, lines.len()), (0, 2), "{lines:?}");
        assert!(lines[0].contains(&format!("{MANAGER_PLACE}.use_remote_address: found not true")), "{lines:?}");
    }
    let other_way = |_: &mut Value, manager: &mut Value| {
        unset(manager, "use_remote_address");
        manager["original_ip_detection_extensions"] = json!([{"name": "a"}]);
    };
    assert_eq!(said(&json!({"anonymous_tier": "free"}), other_way).1.len(), 1);
    assert_eq!(said(&json!({"anonymous_tier": "enterprise"}), without).1.len(), 1, "no limits, so the address decides nothing");
}

#[test]
fn variables_must_reach_the_vm() {
    let plugin = json!({"credentials": {"pepper": {"env": "A_PEPPER"}, "issuer_keys": [
        {"version": 1, "prefix": "foil", "secret": {"env": "AN_ISSUER_KEY"}},
    ]}});
    let (status, lines) = said(&plugin, |_, _| {});
    assert_eq!((status, lines.len()), (1, 2), "{lines:?}");
    assert!(lines[0].contains("/ credentials.issuer_keys[0].secret.env: found `AN_ISSUER_KEY`, which the VM does not get; "));
    assert!(lines[1].contains("/ credentials.pepper.env: found `A_PEPPER`, which the VM does not get; "));
    let plugin_of_tokens = json!({"tokens": {"issuers": [
        issuer(&json!({"jwks": {"keys": [public_key()]}})),
        {"issuer": "b", "audiences": ["api"], "consumer": {"prefix": "b:"}, "tier": {"default": "free"}, "keys": {"secrets": [
            {"kid": "1", "secret": {"env": "GIVEN"}}, {"kid": "2", "secret": {"env": "A_TOKEN_SECRET"}},
        ]}},
    ]}});
    let given = json!({"environment_variables": {"host_env_keys": ["GIVEN"]}, "vm_id": "tollgate"});
    let (status, lines) = said(&plugin_of_tokens, |config, _| config["vm_config"] = given.clone());
    assert_eq!((status, lines.len()), (1, 1), "{lines:?}");
    let place = "/ tokens.issuers[1].keys.secrets[1].secret.env: found `A_TOKEN_SECRET`, which the VM does not get; ";
    assert!(lines[0].contains(place), "{lines:?}");
    let names = json!({"host_env_keys": ["A_PEPPER", "AN_ISSUER_KEY"]});
    assert_eq!(said(&plugin, |config, _| config["vm_config"]["environment_variables"] = names.clone()).0, 0);
}

#[test]
fn values_in_the_proxys_configuration_are_judged_and_warned_of_but_not_shown() {
    let plugin = json!({"credentials": {"pepper": {"env": "A_PEPPER"}}});
    let with = |value: &str| {
        let value = value.to_owned();
        said(&plugin, move |config, _| config["vm_config"]["environment_variables"] = json!({"key_values": {"A_PEPPER": value}}))
    };
    let (status, lines) = with("hunter2-hunter2-hunter2");
    assert_eq!((status, lines.len()), (0, 2), "{lines:?}");
    assert!(lines[0].contains("warning: ") && !lines[0].contains("hunter2"), "{lines:?}");
    let (status, lines) = with("hunter2");
    assert_eq!(status, 1);
    assert!(lines[1].contains("credentials.pepper: found 7 bytes; ") && !lines.concat().contains("hunter2"), "{lines:?}");
}

#[test]
fn a_struct_is_a_problem_because_envoy_does_not_make_json_of_it() {
    let plugin = json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"default_route": {"cost": 5.0}}});
    let (status, lines) = said(&json!({}), |config, _| config["configuration"] = plugin.clone());
    assert_eq!((status, lines.len()), (1, 1), "{lines:?}");
    assert!(lines[0].starts_with(&format!("-: {FILTER_PLACE}.configuration: found a Struct, ")), "{lines:?}");
    assert!(lines[0].contains("; allowed: a google.protobuf.StringValue with the JSON text in `value`"), "{lines:?}");
}

#[test]
fn bytes_are_judged_as_envoy_hands_them_over() {
    let with = |value: &str| {
        let configuration = json!({"@type": "type.googleapis.com/google.protobuf.BytesValue", "value": value});
        said(&json!({}), move |config, _| config["configuration"] = configuration.clone())
    };
    for value in ["eyJyZWFsbSI6ImFfYn4ifQ==", "eyJyZWFsbSI6ImFfYn4ifQ"] {
        assert_eq!(with(value), (0, vec!["-: ok (0 routes, 4 tiers, 0 consumers)".to_owned()]));
    }
    let (status, lines) = with("eyJyZWFsbSI6IiJ9");
    assert_eq!((status, lines.len()), (1, 1), "{lines:?}");
    assert!(lines[0].starts_with(&format!("-: {FILTER_PLACE}.configuration.value / realm: found ``; ")), "{lines:?}");
    // Protobuf's JSON also takes the alphabet for URLs: here `?>` twice, as `_` and `-`.
    assert!(with("eyJyZWFsbSI6Ij8-Pz4_PiJ9").1[0].ends_with("ok (0 routes, 4 tiers, 0 consumers)"));
    let (status, lines) = with("!");
    assert_eq!(status, 1);
    assert!(lines[0].starts_with(&format!("-: {FILTER_PLACE}.configuration: found no base64 in `value`; ")), "{lines:?}");
}

#[test]
fn configurations_of_another_kind_are_problems() {
    for (configuration, found) in [
        (json!(null), "nothing"),
        (json!({"value": "{}"}), "no `@type`"),
        (json!({"@type": "type.googleapis.com/google.protobuf.StringValue"}), "no such `value`"),
        (json!({"@type": "type.googleapis.com/google.protobuf.Value", "value": {}}), "a google.protobuf.Value"),
    ] {
        let (status, lines) = said(&json!({}), |config, _| config["configuration"] = configuration.clone());
        assert_eq!(status, 1);
        assert!(lines[0].starts_with(&format!("-: {FILTER_PLACE}.configuration: found {found}; ")), "{lines:?}");
    }
}

#[test]
fn a_file_without_the_filter_is_a_problem() {
    let other =
        json!({"@type": FILTER, "config": {"name": "other", "vm_config": {"code": {"local": {"filename": "tollgate/other.wasm"}}}}});
    for document in [bootstrap(&manager(&other)), "static_resources: {}\n".to_owned(), "just text\n".to_owned()] {
        let run = check(&document);
        assert_eq!(run.status, 1, "{document}");
        assert!(run.out.starts_with("-: document: found no Wasm filter of Tollgate's; "), "{}", run.out);
    }
}

#[test]
fn the_filter_is_found_by_name_root_id_or_module_in_any_document() {
    let by = |config: Value| json!({"@type": FILTER, "config": config}).to_string();
    let listeners = [
        by(json!({"name": "tollgate-2"})),
        by(json!({"root_id": "tollgate"})),
        by(json!({"vmConfig": {"code": {"local": {"filename": "/etc/my-tollgate.wasm"}}}})),
        by(json!({"vm_config": {"code": {"remote": {"http_uri": {"uri": "https://example.com/tollgate-1.wasm"}}}}})),
        json!({"@type": "type.googleapis.com/udpa.type.v1.TypedStruct", "type_url": FILTER, "value": {"config": {"name": "tollgate"}}})
            .to_string(),
    ];
    for (position, listener) in listeners.iter().enumerate() {
        let run = check(&format!("resources:\n- {listener}\n---\nother: document\n"));
        let value = if position == 4 { ".value" } else { "" };
        assert!(run.out.starts_with(&format!("-: document 1.resources[0]{value}.config.configuration: found nothing; ")), "{}", run.out);
    }
    let two = format!("[{}, {}]", filter(&json!({})), filter(&json!({"routes": [{"name": "a", "match": {}}]})));
    let run = check(&two);
    let expected = "-: [0].config.configuration.value: ok (0 routes, 4 tiers, 0 consumers)\n\
                    -: [1].config.configuration.value: ok (1 route, 4 tiers, 0 consumers)\n";
    assert_eq!(run.out, expected);
}

#[test]
fn an_istio_plugin_is_checked() {
    let plugin = "apiVersion: v1\nkind: Service\n---\napiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nspec:\n  \
                  url: oci://registry.example/tollgate:1\n  failStrategy: FAIL_OPEN\n  pluginConfig:\n    realm: ''\n    \
                  credentials: {pepper: {env: A_PEPPER}}\n";
    let run = check(plugin);
    assert_eq!(run.status, 1);
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].contains("document 2.spec.pluginConfig / credentials.pepper.env: found `A_PEPPER`, which the VM does not get"));
    assert!(lines[1].contains("document 2.spec.pluginConfig / realm: found ``"));
    assert!(lines[2].contains("document 2.spec.failStrategy: found FAIL_OPEN"));
    let good = plugin.replace("FAIL_OPEN", "FAIL_RELOAD").replace("realm: ''", "realm: a")
        + "  vmConfig: {env: [{name: A_PEPPER, valueFrom: HOST}]}\n";
    assert_eq!(check(&good).out, "-: ok (0 routes, 4 tiers, 0 consumers)\n");
}

#[test]
fn an_istio_plugins_struct_is_judged_as_istio_writes_it() {
    let with = |cost: &str| {
        check(&format!(
            "kind: WasmPlugin\nspec:\n  url: oci://registry.example/tollgate:1\n  failStrategy: FAIL_RELOAD\n  \
             pluginConfig: {{default_route: {{cost: {cost}}}}}\n"
        ))
    };
    assert_eq!(with("5.0").out, "-: ok (0 routes, 4 tiers, 0 consumers)\n");
    let run = with("5.5");
    assert_eq!(run.status, 1);
    assert!(run.out.contains("spec.pluginConfig / default_route.cost: found "), "{}", run.out);
}
