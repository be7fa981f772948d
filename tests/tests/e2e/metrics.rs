//! What an operator sees in Envoy's statistics: every verdict, once.

use serde_json::json;
use tollgate_tests::plugin::{ACME, consumer, hourly, key, tier};
use tollgate_tests::{Call, Http, Setup, run};

#[test]
fn every_verdict_is_counted_once() {
    run(async {
        let plugin = json!({
            "tiers": [tier("open", &[]), tier("tight", &[hourly(1)])],
            "consumers": [consumer("acme", "open", ACME), consumer("tight", "tight", &key("tight"))],
            "routes": [{"name": "closed", "match": {"prefix": "/closed"}, "addresses": {"deny": ["127.0.0.0/8"]}}],
        });
        let gate = Setup::new("metrics", &plugin).start().await;
        Call::get("/a").bearer(&key("tight")).send(&gate, Http::One).await.assert_admitted();
        let verdicts = [
            ("admitted", Call::get("/a").bearer(ACME)),
            ("unauthenticated", Call::get("/a")),
            ("invalid_key", Call::get("/a").bearer("unknown")),
            ("duplicate_credentials", Call::get("/a").api_key(ACME).api_key(ACME)),
            ("conflicting_credentials", Call::get("/a").bearer(ACME).api_key("other")),
            ("ambiguous_path", Call::get("/a//b")),
            ("address_denied", Call::get("/closed")),
            ("rate_limited", Call::get("/a").bearer(&key("tight"))),
        ];
        for (turns, (_, call)) in verdicts.iter().enumerate() {
            for turn in 0..=turns {
                call.clone().send(&gate, Http::BOTH[turn % 2]).await;
            }
        }
        for (turns, (verdict, _)) in (1..).zip(&verdicts) {
            let counted = format!("tollgate_verdicts.{verdict}");
            let expected = turns + u64::from(*verdict == "admitted");
            gate.until_stat(&counted, expected).await;
            assert_eq!(gate.stat(&counted).await, expected, "{verdict}");
        }
    });
}
