//! Owns the judgement of what routes ask of an identity. Equal requirements are one.

use super::{Compiler, quoted};
use crate::config::document as doc;
use crate::requirement::{ClaimRule, Names, Requirement};

/// The most names or rules in one list.
const MOST: usize = 64;
/// A scope as RFC 6749, section 3.3, writes it; roles too, so that both may stand in a challenge and a log.
const NAME: &str = "1 to 128 visible ASCII characters, none of them `\"` or `\\`";

impl Compiler<'_> {
    /// The position of a route's requirement.
    pub(super) fn requirement(&mut self, path: &str, route: &doc::Route) -> Option<u16> {
        let asked = route.require.as_ref()?;
        let path = format!("{path}.require");
        if route.exempt || route.auth != doc::Auth::Required {
            self.problem(path.clone(), "a requirement where no credential is needed", "`auth` `required`, and no `exempt`");
        }
        let mut names = |list: &str, names: &doc::Names| {
            self.names(&format!("{path}.{list}.all"), &names.all);
            self.names(&format!("{path}.{list}.any"), &names.any);
            Names { all: names.all.clone().into(), any: names.any.clone().into() }
        };
        let (scopes, roles) = (names("scopes", &asked.scopes), names("roles", &asked.roles));
        let all_claims = self.claim_rules(&format!("{path}.claims.all"), &asked.claims.all);
        let any_claims = self.claim_rules(&format!("{path}.claims.any"), &asked.claims.any);
        let requirement = Requirement { scopes, roles, all_claims: all_claims?, any_claims: any_claims? };
        if requirement == Requirement::default() {
            self.problem(path, "nothing that is required", "`scopes`, `roles` or `claims`");
            return None;
        }
        let known = self.requirements.iter().position(|own| *own == requirement);
        let position = known.unwrap_or_else(|| {
            self.requirements.push(requirement);
            self.requirements.len() - 1
        });
        u16::try_from(position).ok()
    }

    fn claim_rules(&mut self, path: &str, rules: &[doc::ClaimRule]) -> Option<Box<[ClaimRule]>> {
        self.few(path, rules.len());
        let mut compiled = Vec::with_capacity(rules.len());
        for (position, rule) in rules.iter().enumerate() {
            let path = format!("{path}[{position}]");
            if rule.values.as_ref().is_some_and(Vec::is_empty) {
                self.problem(format!("{path}.values"), "an empty list", "values; without the field anything but `null`");
            }
            self.few(&format!("{path}.values"), rule.values.as_ref().map_or(0, Vec::len));
            let claim = self.claim(&format!("{path}.claim"), &rule.claim);
            compiled.push(claim.map(|claim| ClaimRule { claim, values: rule.values.clone().map(Into::into) }));
        }
        compiled.into_iter().collect()
    }

    /// Scopes or roles.
    pub(super) fn names(&mut self, path: &str, names: &[String]) {
        self.few(path, names.len());
        for (position, name) in names.iter().enumerate() {
            if !super::is_id(name) {
                self.problem(format!("{path}[{position}]"), quoted(name), NAME);
            }
        }
    }

    fn few(&mut self, path: &str, count: usize) {
        if count > MOST {
            self.problem(path, format!("{count} entries"), format!("at most {MOST}"));
        }
    }
}
