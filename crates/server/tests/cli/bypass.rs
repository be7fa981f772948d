use serde_json::{Value, json};

use crate::command::tollgate;
use crate::envoy::{FILTER_PLACE, MANAGER_PLACE, bootstrap, check, filter, manager, said};

const FILTER_CONFIG: &str = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

/// Capabilities that leave the filter everything it uses, except these.
fn all_but(absent: &[&str]) -> Value {
    let (_, lines) =
        said(&json!({}), |config, _| config["capability_restriction_config"] = json!({"allowed_capabilities": {"none_of_them": {}}}));
    let line = lines.first().unwrap();
    let names = line.split_once(": found no ").unwrap().1.split_once(':').unwrap().0;
    let names = names.split(", ").map(|name| name.trim_matches('`')).filter(|name| !absent.contains(name));
    let allowed: serde_json::Map<String, Value> = names.map(|name| (name.to_owned(), json!({}))).collect();
    json!({"allowed_capabilities": allowed})
}

#[test]
fn capabilities_that_the_filter_uses_and_lacks_are_an_error() {
    for absent in ["proxy_on_request_headers", "proxy_on_request_trailers", "proxy_send_local_response", "clock_time_get", "environ_get"] {
        let (status, lines) = said(&json!({}), |config, _| config["capability_restriction_config"] = all_but(&[absent]));
        assert_eq!((status, lines.len()), (1, 1), "{lines:?}");
        let place = format!("{FILTER_PLACE}.capability_restriction_config.allowed_capabilities");
        assert!(lines[0].starts_with(&format!("-: {place}: found no `{absent}`: ")), "{lines:?}");
    }
}

#[test]
fn the_vms_capabilities_are_judged_too() {
    let (status, lines) =
        said(&json!({}), |config, _| config["vm_config"]["capabilityRestrictionConfig"] = all_but(&["proxy_on_request_headers"]));
    assert_eq!((status, lines.len()), (1, 1), "{lines:?}");
    assert!(lines[0].contains(".config.vm_config.capability_restriction_config.allowed_capabilities: found no `"), "{lines:?}");
}

#[test]
fn capabilities_may_be_restricted_to_what_the_filter_uses_or_not_at_all() {
    for restriction in [all_but(&[]), json!({"allowed_capabilities": {}}), json!({})] {
        assert_eq!(said(&json!({}), |config, _| config["capability_restriction_config"] = restriction.clone()).0, 0, "{restriction}");
    }
}

#[test]
fn a_disabled_filter_is_an_error() {
    let (status, lines) = said(&json!({}), |_, manager| manager["http_filters"][0]["disabled"] = json!(true));
    assert_eq!((status, lines.len()), (1, 1), "{lines:?}");
    assert!(lines[0].starts_with(&format!("-: {MANAGER_PLACE}.http_filters[0].disabled: found true: requests pass without")), "{lines:?}");
    assert_eq!(said(&json!({}), |_, manager| manager["http_filters"][0]["disabled"] = json!(false)).0, 0);
}

#[test]
fn a_filter_disabled_around_a_matcher_is_an_error() {
    let mut outer = manager(&json!({"extension_config": {"name": "inner", "typed_config": filter(&json!({}))}}));
    assert_eq!(check(&bootstrap(&outer)).status, 0);
    outer["http_filters"][0]["disabled"] = json!(true);
    let run = check(&bootstrap(&outer));
    assert_eq!(run.status, 1);
    assert!(run.out.starts_with(&format!("-: {MANAGER_PLACE}.http_filters[0].disabled: found true: ")), "{}", run.out);
}

/// Disables the filter of this name.
fn off(name: &str) -> Value {
    json!({name: {"@type": FILTER_CONFIG, "disabled": true}})
}

#[test]
fn each_place_in_the_routes_that_disables_the_filter_is_a_warning() {
    let cluster = json!({"name": "c", "weight": 1, "typed_per_filter_config": off("t")});
    let routes = json!([
        {"match": {"prefix": "/a"}, "typedPerFilterConfig": off("t")},
        {"match": {"prefix": "/b"}, "route": {"weighted_clusters": {"clusters": [cluster]}}},
    ]);
    let host = json!({"name": "v", "domains": ["*"], "typed_per_filter_config": off("t"), "routes": routes});
    let all = json!({"typed_per_filter_config": off("t"), "virtual_hosts": [host]});
    let (status, mut lines) = said(&json!({}), |_, manager| manager["route_config"] = all.clone());
    assert_eq!((status, lines.len()), (0, 5), "{lines:?}");
    lines.sort();
    let routes = format!("-: warning: {MANAGER_PLACE}.route_config");
    let rest = "typed_per_filter_config.t.disabled: found true: requests here pass without any check; \
                allowed: a route with `exempt` in the plugin configuration instead";
    for place in ["", ".virtual_hosts[0]", ".virtual_hosts[0].routes[0]", ".virtual_hosts[0].routes[1].route.weighted_clusters.clusters[0]"]
    {
        assert!(lines.contains(&format!("{routes}{place}.{rest}")), "{place} in {lines:#?}");
    }
}

#[test]
fn routes_that_leave_the_filter_on_are_fine() {
    for entry in
        [off("other"), json!({"t": {"@type": FILTER_CONFIG, "disabled": false}}), json!({"t": {"@type": "a.b/C", "disabled": true}})]
    {
        let (_, lines) = said(&json!({}), |_, manager| manager["route_config"] = json!({"typed_per_filter_config": entry}));
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
}

#[test]
fn routes_in_resources_of_their_own_are_searched_too() {
    let own = |name: &str| {
        let routes = json!({"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "virtual_hosts": [{"routes": [{"typed_per_filter_config": off(name)}]}]});
        let text = format!("{}\n---\nresources: [{routes}]\n", bootstrap(&manager(&filter(&json!({})))));
        tollgate(&["check", "-"], &[], format!("---\n{text}").as_bytes())
    };
    let run = own("t");
    assert_eq!(run.status, 0);
    let place = "document 2.resources[0].virtual_hosts[0].routes[0].typed_per_filter_config.t.disabled";
    assert!(run.out.contains(&format!("-: warning: {place}: found true: ")), "{}", run.out);
    assert!(!own("other").out.contains("warning"));
}
