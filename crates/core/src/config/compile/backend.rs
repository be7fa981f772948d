//! Owns the judgement of where the backend is and what a node may ask of it.

use super::{Compiler, is_id, quoted};
use crate::config::{document as doc, units};
use crate::policy::{Backend, Tier};
use crate::time::SECOND;

const CLUSTER: &str = "the name of a cluster of the proxy: 1 to 256 visible ASCII characters";
pub(super) const MILLISECOND: u64 = SECOND / 1_000;

impl Compiler<'_> {
    pub(super) fn backend(&mut self, backend: &doc::Backend) -> Option<Backend> {
        let authority = self.authority("backend", &backend.cluster, backend.authority.as_deref());
        let timeout = self.span("backend.timeout", backend.timeout.as_deref(), "1s", 50 * MILLISECOND, 30 * SECOND);
        let max_staleness = self.span("backend.max_staleness", backend.max_staleness.as_deref(), "60s", SECOND, 3_600 * SECOND);
        let in_flight = backend.resolves_in_flight.unwrap_or(64);
        if !(1..=1_024).contains(&in_flight) {
            self.problem("backend.resolves_in_flight", in_flight.to_string(), "1 to 1024");
        }
        let per_address = self.bound("backend.unknown_per_address", backend.unknown_per_address.unwrap_or(60), 1, "60s");
        let per_node = self.bound("backend.unknown_per_node", backend.unknown_per_node.unwrap_or(2_000), 1, "1s");
        Some(Backend {
            cluster: backend.cluster.clone(),
            authority,
            credential: self.secret("backend.credential", &backend.credential)?,
            timeout: timeout?,
            max_staleness: max_staleness?,
            resolves_in_flight: in_flight,
            per_address: per_address?,
            per_node: per_node?,
        })
    }

    /// The host named in requests to a cluster: the one given, or the cluster's name.
    pub(super) fn authority(&mut self, path: &str, cluster: &str, given: Option<&str>) -> String {
        if !((1..=256).contains(&cluster.len()) && cluster.bytes().all(|byte| byte.is_ascii_graphic())) {
            self.problem(format!("{path}.cluster"), quoted(cluster), CLUSTER);
        }
        // What Istio calls `outbound|8443||host` is a cluster but no host.
        let authority = given.unwrap_or_else(|| cluster.rsplit('|').next().unwrap_or_default());
        if !is_id(authority) {
            let field = if given.is_some() { "authority" } else { "cluster" };
            self.problem(format!("{path}.{field}"), quoted(authority), "a host, with or without a port");
        }
        authority.to_owned()
    }

    pub(super) fn span(&mut self, path: &str, given: Option<&str>, default: &str, least: u64, most: u64) -> Option<u64> {
        let text = given.unwrap_or(default);
        let nanos = units::duration(text).filter(|nanos| (least..=most).contains(nanos));
        if nanos.is_none() {
            let shown = |nanos: u64| if nanos < SECOND { format!("{}ms", nanos / MILLISECOND) } else { format!("{}s", nanos / SECOND) };
            self.problem(path, quoted(text), format!("a duration from `{}` to `{}`", shown(least), shown(most)));
        }
        nanos
    }

    /// A tier of one bucket, of `least` units or more.
    pub(super) fn bound(&mut self, path: &str, rate: u32, least: u32, per: &str) -> Option<Tier> {
        if !(least..=1_000_000).contains(&rate) {
            self.problem(path, rate.to_string(), format!("{least} to 1000000"));
            return None;
        }
        let limit = doc::Limit::new("unknown", doc::Algorithm::TokenBucket, u64::from(rate), per);
        Some(self.tier(path, &doc::Tier { name: "unknown".to_owned(), limits: vec![limit] }, &[]))
    }
}
