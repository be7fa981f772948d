//! Owns the judgement of how abuse is detected.

use super::Compiler;
use crate::abuse::{Act, Rules, Signal, Terms, Velocity};
use crate::config::document as doc;
use crate::time::SECOND;

const DAY: u64 = 86_400 * SECOND;

impl Compiler<'_> {
    /// `None`: nothing is looked at.
    pub(super) fn abuse(&mut self, abuse: &doc::Abuse) -> Option<Rules> {
        let default = Rules::default();
        let mut weights = default.weights;
        let given = &abuse.weights;
        let given = [
            given.unknown_key,
            given.forged_key,
            given.failed_token,
            given.wrong_signature,
            given.denial_storm,
            given.velocity,
            given.many_addresses,
        ];
        for ((own, given), signal) in weights.iter_mut().zip(given).zip(Signal::ALL) {
            *own = self.abuse_number(&format!("weights.{}", signal.code()), given, *own, 0, 100_000);
        }
        let act = |blocks: bool| if blocks { Act::Block } else { Act::Report };
        let (velocity, denials, addresses) = (&abuse.velocity, &abuse.denials, &abuse.many_addresses);
        let rules = Rules {
            act: act(abuse.mode == doc::AbuseMode::Enforce),
            weights,
            threshold: self.abuse_number("threshold", abuse.threshold, default.threshold, 1, 100_000),
            network_multiple: self.abuse_number("network_multiple", abuse.network_multiple, default.network_multiple, 0, 1_000),
            half_life: self.span("abuse.half_life", abuse.half_life.as_deref(), "5m", SECOND, DAY).unwrap_or(1),
            terms: Terms {
                first: self.span("abuse.first_block", abuse.first_block.as_deref(), "1m", SECOND, DAY).unwrap_or(1),
                longest: self.span("abuse.longest_block", abuse.longest_block.as_deref(), "1d", SECOND, 30 * DAY).unwrap_or(1),
                forgotten_after: self.span("abuse.forgotten_after", abuse.forgotten_after.as_deref(), "1d", SECOND, 30 * DAY).unwrap_or(1),
            },
            interval: self.span("abuse.interval", abuse.interval.as_deref(), "10s", SECOND, 600 * SECOND).unwrap_or(1),
            velocity: Velocity {
                multiple: self.abuse_number("velocity.multiple", velocity.multiple, default.velocity.multiple, 0, 1_000_000),
                intervals: self.abuse_number("velocity.intervals", velocity.intervals, default.velocity.intervals, 1, 1_000),
                least: self.abuse_number("velocity.least", velocity.least, default.velocity.least, 64, 10_000_000),
            },
            velocity_act: act(velocity.block),
            storm_least: self.abuse_number("denials.least", denials.least, default.storm_least, 0, 10_000_000),
            storm_multiple: self.abuse_number("denials.multiple", denials.multiple, default.storm_multiple, 1, 1_000),
            networks: self.abuse_number("many_addresses.most", addresses.most, default.networks, 0, 300),
            spread_window: self.span("abuse.many_addresses.window", addresses.window.as_deref(), "1h", SECOND, DAY).unwrap_or(1),
            spread_act: act(addresses.block),
            sets: self.abuse_number("subjects", abuse.subjects, 4 * default.sets, 256, 1_048_576) / 4,
        };
        if rules.terms.longest < rules.terms.first {
            self.problem("abuse.longest_block", "less than `first_block`", "at least as long as `first_block`");
        }
        (abuse.mode != doc::AbuseMode::Off).then_some(rules)
    }

    fn abuse_number(&mut self, field: &str, given: Option<u32>, default: u32, least: u32, most: u32) -> u32 {
        let value = given.unwrap_or(default);
        if !(least..=most).contains(&value) {
            self.problem(format!("abuse.{field}"), value.to_string(), format!("{least} to {most}"));
        }
        value
    }
}
