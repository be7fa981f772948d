//! Owns address rules as callers give them: networks that may or may not use something. Must not judge an address: the nodes do.

use serde::{Deserialize, Serialize};
use tollgate_core::config::{check_addresses, document};

use crate::failure::{Failure, Problem, Problems};

/// The most networks of one set of rules: an answer about a key carries two.
const MOST: usize = 1_000;

/// From where something may be used: networks such as `10.0.0.0/8`, or single addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AddressRules {
    /// If any is given, all others are refused.
    #[schema(examples(json!(["192.0.2.0/24"])))]
    pub allow: Vec<String>,
    /// Refused, also when allowed.
    pub deny: Vec<String>,
}

impl AddressRules {
    /// Whether there are none.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// As nodes are told them.
    pub(crate) fn document(self) -> document::Addresses {
        document::Addresses { allow: self.allow, deny: self.deny }
    }

    /// All of them, for people: what is denied has a `!` before it.
    pub(crate) fn words(&self) -> Vec<String> {
        self.allow.iter().cloned().chain(self.deny.iter().map(|denied| format!("!{denied}"))).collect()
    }
}

impl Problems {
    /// From where something may be used.
    pub(crate) fn addresses(&mut self, field: &str, rules: &AddressRules) {
        let count = rules.allow.len() + rules.deny.len();
        self.check(count <= MOST, field, format!("{count} networks; at most {MOST}"));
        if count > MOST {
            return;
        }
        if let Err(Failure::Invalid { problems }) = check_addresses(&rules.clone().document()).map_err(Failure::from) {
            for Problem { field: place, reason } in problems {
                self.check(false, &format!("{field}.{place}"), reason);
            }
        }
    }
}
