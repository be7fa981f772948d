//! Owns the arguments by which roles and address rules are given, to consumers as to keys. Must not judge them.

use crate::addresses::AddressRules;

/// Those of something new.
#[derive(Debug, clap::Args)]
pub(super) struct Rules {
    /// A role that routes may ask for; as often as needed.
    #[arg(long = "role", value_name = "ROLE")]
    pub(super) roles: Vec<String>,
    /// A network or address from where it may be used, and from no others; as often as needed.
    #[arg(long, value_name = "NETWORK")]
    allow: Vec<String>,
    /// A network or address from where it may not; as often as needed.
    #[arg(long, value_name = "NETWORK")]
    deny: Vec<String>,
}

/// Those of something that is there, in force on every proxy at once.
#[derive(Debug, clap::Args)]
pub(super) struct NewRules {
    #[command(flatten)]
    rules: Rules,
    /// No roles any more.
    #[arg(long, conflicts_with = "roles")]
    no_roles: bool,
    /// It may be used from everywhere.
    #[arg(long, conflicts_with_all = ["allow", "deny"])]
    no_addresses: bool,
}

impl Rules {
    pub(super) fn addresses(&self) -> AddressRules {
        AddressRules { allow: self.allow.clone(), deny: self.deny.clone() }
    }
}

impl NewRules {
    /// The roles in place of those it had, if they are to change.
    pub(super) fn roles(&self) -> Option<Vec<String>> {
        (self.no_roles || !self.rules.roles.is_empty()).then(|| self.rules.roles.clone())
    }

    /// The rules in place of all it had, if they are to change.
    pub(super) fn addresses(&self) -> Option<AddressRules> {
        let rules = self.rules.addresses();
        (self.no_addresses || rules != AddressRules::default()).then_some(rules)
    }
}
