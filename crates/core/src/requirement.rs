//! Owns what a route asks of an identity beyond being one: scopes, roles, claims. Must not know how the identity was verified.

use serde_json::{Map, Value};

use crate::claims::{ClaimPath, scalar};

/// What a route asks: all of it must be met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirement {
    /// Scopes.
    pub scopes: Names,
    /// Roles.
    pub roles: Names,
    /// Claims of which each must be met.
    pub all_claims: Box<[ClaimRule]>,
    /// Claims of which one must be met; empty asks nothing.
    pub any_claims: Box<[ClaimRule]>,
}

/// Names an identity must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Each of these.
    pub all: Box<[String]>,
    /// One of these; empty asks nothing.
    pub any: Box<[String]>,
}

/// What a claim must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRule {
    /// Which claim.
    pub claim: ClaimPath,
    /// One of these, or a list that holds one of them; `None`: anything but `null`.
    pub values: Option<Box<[String]>>,
}

/// What an identity brings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Granted<'a> {
    /// Its scopes.
    pub scopes: &'a [String],
    /// Its roles.
    pub roles: &'a [String],
    /// Its token's claims.
    pub claims: Option<&'a Map<String, Value>>,
}

/// Which of a policy's requirements an identity meets, by position: found out once, when it is verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Met(Box<[u64]>);

impl Met {
    /// Which of `requirements` are met by what was granted.
    #[must_use]
    pub fn of(requirements: &[Requirement], granted: Granted<'_>) -> Self {
        Self::those(requirements, |own| own.is_met(granted))
    }

    /// The same, whatever the requirements ask of claims: for who has none, beside somebody who does.
    #[must_use]
    pub fn without_claims(requirements: &[Requirement], granted: Granted<'_>) -> Self {
        Self::those(requirements, |own| own.scopes.are_among(granted.scopes) && own.roles.are_among(granted.roles))
    }

    fn those(requirements: &[Requirement], met: impl Fn(&Requirement) -> bool) -> Self {
        let bits =
            |some: &[Requirement]| some.iter().enumerate().filter(|(_, own)| met(own)).fold(0, |bits, (position, _)| bits | 1 << position);
        Self(requirements.chunks(64).map(bits).collect())
    }

    /// Those that both meet.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one & other).collect())
    }

    /// Whether the requirement at a position is met.
    #[must_use]
    pub fn meets(&self, position: u16) -> bool {
        self.0.get(usize::from(position / 64)).is_some_and(|bits| bits >> (position % 64) & 1 == 1)
    }
}

impl Requirement {
    /// Whether what was granted is enough.
    #[must_use]
    pub fn is_met(&self, granted: Granted<'_>) -> bool {
        let claim = |rule: &ClaimRule| granted.claims.is_some_and(|claims| rule.is_met(claims));
        self.scopes.are_among(granted.scopes)
            && self.roles.are_among(granted.roles)
            && self.all_claims.iter().all(claim)
            && (self.any_claims.is_empty() || self.any_claims.iter().any(claim))
    }

    /// The scopes it names, as `WWW-Authenticate` lists them (RFC 6750, section 3); empty if it names none.
    #[must_use]
    pub fn scope_text(&self) -> String {
        let scopes: Vec<&str> = self.scopes.all.iter().chain(&self.scopes.any).map(String::as_str).collect();
        scopes.join(" ")
    }
}

impl Names {
    fn are_among(&self, names: &[String]) -> bool {
        self.all.iter().all(|name| names.contains(name)) && (self.any.is_empty() || self.any.iter().any(|name| names.contains(name)))
    }
}

impl ClaimRule {
    fn is_met(&self, claims: &Map<String, Value>) -> bool {
        let Some(value) = self.claim.find(claims) else {
            return false;
        };
        let Some(values) = &self.values else {
            return true;
        };
        let is_one = |value: &Value| scalar(value).is_some_and(|own| values.contains(&own));
        match value {
            Value::Array(many) => many.iter().any(is_one),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => is_one(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(names: &[&str]) -> Box<[String]> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn scopes(all: &[&str], any: &[&str]) -> Requirement {
        Requirement { scopes: Names { all: texts(all), any: texts(any) }, ..Requirement::default() }
    }

    #[test]
    fn all_and_any_are_asked_for_together() {
        let met = |requirement: &Requirement, own: &[&str]| requirement.is_met(Granted { scopes: &texts(own), ..Granted::default() });
        let both = scopes(&["a", "b"], &["c", "d"]);
        assert!(met(&both, &["d", "b", "a"]));
        for own in [&["a", "b"][..], &["a", "c"], &["c", "d"], &[], &["A", "b", "c"]] {
            assert!(!met(&both, own), "{own:?}");
        }
        assert!(met(&scopes(&[], &[]), &[]));
        assert!(!both.is_met(Granted { roles: &texts(&["a", "b", "c"]), ..Granted::default() }), "a role is no scope");
        assert_eq!(both.scope_text(), "a b c d");
    }

    #[test]
    fn claims_are_compared_as_text_and_lists_by_what_they_hold() {
        let rule = |claim: &str, values: Option<&[&str]>| ClaimRule { claim: ClaimPath::parse(claim).unwrap(), values: values.map(texts) };
        let claims = json!({"org": {"id": 7}, "groups": ["x", "y"], "mfa": true, "n": null, "f": 1.5, "o": {"x": 1}});
        let met = |all: &[ClaimRule], any: &[ClaimRule]| {
            let requirement = Requirement { all_claims: all.into(), any_claims: any.into(), ..Requirement::default() };
            requirement.is_met(Granted { claims: claims.as_object(), ..Granted::default() })
        };
        assert!(met(
            &[rule("/org/id", Some(&["6", "7"])), rule("groups", Some(&["y"])), rule("mfa", Some(&["true"])), rule("o", None)],
            &[]
        ));
        assert!(met(&[], &[rule("groups", Some(&["z"])), rule("mfa", None)]));
        for wrong in
            [rule("/org/id", Some(&["8"])), rule("n", None), rule("f", Some(&["1.5"])), rule("o", Some(&["x"])), rule("none", None)]
        {
            assert!(!met(std::slice::from_ref(&wrong), &[]), "{wrong:?}");
            assert!(!met(&[], &[wrong]));
        }
        let requirement = Requirement { all_claims: Box::new([rule("mfa", None)]), ..Requirement::default() };
        assert!(!requirement.is_met(Granted::default()), "a key has no claims");
    }

    #[test]
    fn what_is_met_is_kept_by_position() {
        let requirements: Vec<Requirement> = (0..130).map(|number| scopes(&[if number % 3 == 0 { "a" } else { "b" }], &[])).collect();
        let met = Met::of(&requirements, Granted { scopes: &texts(&["a"]), ..Granted::default() });
        for position in 0..200 {
            assert_eq!(met.meets(position), position < 130 && position % 3 == 0, "{position}");
        }
        assert!(!Met::default().meets(0));
    }
}
