//! Owns whether a cluster's TLS tells who answers. Must not know what is said there.

use serde_json::Value;

use super::envoy::unpack;
use super::finding::Finding;
use super::tree::{Path, descend, is_true, member, text};

const TLS: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

/// What a cluster must be protected from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Danger {
    /// What happens without TLS.
    pub(super) in_the_clear: &'static str,
    /// What becomes of somebody else who answers.
    pub(super) another: &'static str,
    /// Whether the other side may have certificates for several hosts.
    pub(super) several_hosts: bool,
}

/// What is missing in a cluster's TLS; `options` are its HttpProtocolOptions.
pub(super) fn of_cluster(cluster: &Value, path: &Path, options: &[&Value], danger: &Danger) -> Vec<Finding> {
    let path = path.member("transport_socket");
    let socket = descend(cluster, &["transport_socket", "typed_config"]);
    let Some((_, context, place)) =
        socket.and_then(|socket| unpack(socket, &path.member("typed_config"))).filter(|(name, ..)| *name == TLS)
    else {
        let found = format!("no TLS: {}", danger.in_the_clear);
        return vec![Finding::warning(path, found, "an UpstreamTlsContext with `trusted_ca` and `match_typed_subject_alt_names`")];
    };
    let automatic = |name| options.iter().any(|options| is_true(options, &["upstream_http_protocol_options", name]));
    let sni = text(context, &["sni"]).is_some_and(|sni| !sni.is_empty()) || is_true(context, &["auto_host_sni"]) || automatic("auto_sni");
    let name_by_sni = sni && is_true(context, &["auto_sni_san_validation"]) || automatic("auto_san_validation");
    let mut findings = Vec::from_iter(unchecked(context, &place, name_by_sni, danger));
    if danger.several_hosts && !sni {
        findings.push(Finding::warning(
            place.member("sni"),
            "nothing: a server of several hosts cannot tell whose certificate to show",
            "the host's name, or `auto_sni` in HttpProtocolOptions",
        ));
    }
    findings
}

/// Why it is not certain who answers.
fn unchecked(context: &Value, place: &Path, name_by_sni: bool, danger: &Danger) -> Option<Finding> {
    let place = place.member("common_tls_context");
    let common = |names: &[&str]| descend(member(context, "common_tls_context")?, names);
    let combined = ["combined_validation_context", "default_validation_context"];
    let (validation, place) = if common(&combined[..1]).is_some() {
        (common(&combined), place.member(combined[0]).member(combined[1]))
    } else {
        (common(&["validation_context"]), place.member("validation_context"))
    };
    let another = danger.another;
    let untrusted = validation.and_then(|validation| member(validation, "trust_chain_verification"));
    // Protobuf's JSON allows an enum's number too.
    if untrusted.is_some_and(|untrusted| untrusted == "ACCEPT_UNTRUSTED" || untrusted == 1) {
        let found = format!("ACCEPT_UNTRUSTED: whoever answers {another}");
        return Some(Finding::warning(place.member("trust_chain_verification"), found, "VERIFY_TRUST_CHAIN"));
    }
    // What secrets from elsewhere (SDS) say is not seen here.
    let elsewhere = [&combined[..1], &["validation_context_sds_secret_config"]].into_iter().any(|names| common(names).is_some());
    let says = |name: &&str| validation.and_then(|validation| member(validation, name)).is_some_and(is_something);
    // A certificate that is known says who it is, and other validators than Envoy's own are not judged.
    if elsewhere || ["verify_certificate_spki", "verify_certificate_hash", "custom_validator_config"].iter().any(says) {
        return None;
    }
    if !["trusted_ca", "ca_certificate_provider_instance"].iter().any(says) {
        let found = format!("no `trusted_ca`: whoever answers {another}");
        let allowed = "`trusted_ca`, the authorities its certificate may be from, and `match_typed_subject_alt_names`";
        return Some(Finding::warning(place, found, allowed));
    }
    if !(name_by_sni || ["match_typed_subject_alt_names", "match_subject_alt_names"].iter().any(says)) {
        let found = format!("no name that its certificate must bear: whoever has one of the same authorities {another}");
        let allowed = "`match_typed_subject_alt_names` with the host's name, or `sni` and `auto_sni_san_validation`";
        return Some(Finding::warning(place, found, allowed));
    }
    None
}

/// Whether a member says anything: protobuf takes an empty list for none, and an empty message here holds nothing.
fn is_something(value: &Value) -> bool {
    match value {
        Value::Array(elements) => !elements.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}
