//! Owns which words callers may give: ids, names, labels, scopes, addresses to write to. Must not know what they are given for.

use std::collections::BTreeMap;

use crate::clock::Time;
use crate::failure::Problems;

/// The most characters of a name or label.
const LONGEST_NAME: usize = 128;
/// The most scopes of a key or consumer.
const MOST_SCOPES: usize = 32;
/// The most overrides of a consumer: as many as a tier has limits.
const MOST_OVERRIDES: usize = 8;
/// The most units of a quota: what every reader of JSON takes for the same number.
const MOST_UNITS: u64 = (1 << 53) - 1;

impl Problems {
    /// An id that people choose.
    pub(crate) fn id(&mut self, field: &str, id: &str) {
        self.check(is_id(id), field, "1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first");
    }

    /// A name for people, which may be empty or not.
    pub(crate) fn name(&mut self, field: &str, name: &str) {
        self.check(!name.trim().is_empty() && is_line(name), field, "1 to 128 characters, none of them a control character");
    }

    /// What somebody calls something; may be empty.
    pub(crate) fn label(&mut self, field: &str, label: &str) {
        self.check(is_line(label), field, "at most 128 characters, none of them a control character");
    }

    /// Where somebody can be written to. Whether anybody reads it is not known before a message has been answered.
    pub(crate) fn email(&mut self, field: &str, email: &str) {
        let parts = email.rsplit_once('@').filter(|(local, domain)| !local.is_empty() && domain.contains('.'));
        let allowed = |character: char| !character.is_control() && !character.is_whitespace() && !"<>(),;:\\\"[]".contains(character);
        let dots = parts.is_some_and(|(_, domain)| domain.split('.').all(|label| !label.is_empty()));
        let right = email.len() <= 254 && dots && email.chars().all(allowed) && email.matches('@').count() == 1;
        self.check(right, field, "an address such as `user@example.com`, at most 254 bytes");
    }

    /// What a key may be used for, or those of a consumer.
    pub(crate) fn scopes(&mut self, field: &str, scopes: &[String]) {
        self.check(scopes.len() <= MOST_SCOPES, field, format!("{} entries; at most {MOST_SCOPES}", scopes.len()));
        for (position, scope) in scopes.iter().enumerate().take(MOST_SCOPES) {
            self.check(is_scope(scope), &format!("{field}[{position}]"), "1 to 64 letters, digits, `:`, `.`, `_`, `/`, `*` and `-`");
            let first = scopes.iter().take(position).all(|other| other != scope);
            self.check(first, &format!("{field}[{position}]"), "each once");
        }
    }

    /// What a key may be used for, which is nothing that its consumer may not.
    pub(crate) fn scopes_of(&mut self, field: &str, scopes: &[String], granted: &[String]) {
        self.scopes(field, scopes);
        let allowed = match granted {
            [] => "none: its consumer has no scopes".to_owned(),
            granted => format!("what its consumer has: `{}`", granted.join("`, `")),
        };
        for (position, scope) in scopes.iter().enumerate().take(MOST_SCOPES).filter(|(_, scope)| is_scope(scope)) {
            self.check(granted.contains(scope), &format!("{field}[{position}]"), allowed.as_str());
        }
    }

    /// Roles that routes may ask for.
    pub(crate) fn roles(&mut self, field: &str, roles: &[String]) {
        self.scopes(field, roles);
    }

    /// Roles of a key, which are some of its consumer's.
    pub(crate) fn roles_of(&mut self, field: &str, roles: &[String], granted: &[String]) {
        self.roles(field, roles);
        for (position, role) in roles.iter().enumerate().take(MOST_SCOPES).filter(|(_, role)| is_scope(role)) {
            self.check(granted.contains(role), &format!("{field}[{position}]"), "a role that its consumer has");
        }
    }

    /// What a consumer may spend of quotas, by their names, in place of what its tier says. The tier need not have them: it may be another one
    /// tomorrow.
    pub(crate) fn overrides(&mut self, field: &str, overrides: &BTreeMap<String, u64>) {
        self.check(overrides.len() <= MOST_OVERRIDES, field, format!("{} overrides; at most {MOST_OVERRIDES}", overrides.len()));
        for (name, units) in overrides.iter().take(MOST_OVERRIDES) {
            let shown: String = name.chars().take(64).collect();
            self.check(is_limit(name), &format!("{field}.{shown}"), "a limit's name: 1 to 64 lower-case letters, digits, `-` and `_`");
            self.check((1..=MOST_UNITS).contains(units), &format!("{field}.{shown}"), format!("{units}; 1 to {MOST_UNITS}"));
        }
    }

    /// When something ends.
    pub(crate) fn expiry(&mut self, field: &str, expiry: Option<Time>, now: Time) {
        self.check(expiry.is_none_or(|expiry| expiry > now), field, "a time that is not over");
    }
}

/// Whether this can be an id that people choose.
pub(crate) fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    id.len() <= 64 && id.bytes().all(allowed) && id.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Whether this can be the name of a limit.
pub(crate) fn is_limit(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

fn is_scope(scope: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.' | b'_' | b'/' | b'*' | b'-');
    (1..=64).contains(&scope.len()) && scope.bytes().all(allowed)
}

fn is_line(text: &str) -> bool {
    text.chars().count() <= LONGEST_NAME && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn wrong(check: impl FnOnce(&mut Problems)) -> Vec<String> {
        let mut problems = Problems::default();
        check(&mut problems);
        match problems.finish() {
            Ok(()) => Vec::new(),
            Err(Failure::Invalid { problems }) => problems.into_iter().map(|problem| problem.field).collect(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn ids_are_short_words_that_need_no_quoting() {
        for id in ["a", "0", "con_1", "Acme.Corp-2", &"x".repeat(64)] {
            assert!(wrong(|problems| problems.id("id", id)).is_empty(), "{id}");
        }
        for id in ["", ".a", "-a", "_a", "a b", "a/b", "ä", "a\n", &"x".repeat(65)] {
            assert_eq!(wrong(|problems| problems.id("id", id)), ["id"], "{id:?}");
        }
    }

    #[test]
    fn names_are_not_empty_and_labels_may_be() {
        assert!(wrong(|problems| problems.name("name", "Ärzte & Söhne")).is_empty());
        assert!(wrong(|problems| problems.label("label", "")).is_empty());
        for name in ["", " ", "a\u{7}", &"ä".repeat(129)] {
            assert_eq!(wrong(|problems| problems.name("name", name)), ["name"], "{name:?}");
        }
        for label in ["a\nb", &"ä".repeat(129)] {
            assert_eq!(wrong(|problems| problems.label("label", label)), ["label"], "{label:?}");
        }
    }

    #[test]
    fn addresses_have_one_at_and_a_domain() {
        for email in ["user@example.com", "a.b+c@sub.example.org", "käse@bücher.example"] {
            assert!(wrong(|problems| problems.email("email", email)).is_empty(), "{email}");
        }
        let long = format!("{}@example.com", "x".repeat(250));
        for email in ["", "user", "@example.com", "user@", "user@host", "a@b@c.d", "a b@c.d", "a@c..d", "a\r\nBcc: x@c.d", "<a@c.d>", &long]
        {
            assert_eq!(wrong(|problems| problems.email("email", email)), ["email"], "{email:?}");
        }
    }

    #[test]
    fn scopes_are_few_words_each_given_once() {
        let scopes = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>();
        assert!(wrong(|problems| problems.scopes("scopes", &scopes(&["tracks:read", "a/b.*", "-_"]))).is_empty());
        assert_eq!(wrong(|problems| problems.scopes("scopes", &scopes(&["a", "", "a b", "a"]))), ["scopes[1]", "scopes[2]", "scopes[3]"]);
        let many: Vec<String> = (0..33).map(|number| format!("s{number}")).collect();
        assert_eq!(wrong(|problems| problems.scopes("scopes", &many)), ["scopes"]);
    }

    #[test]
    fn overrides_are_few_units_of_limits_by_their_names() {
        let of = |overrides: &[(&str, u64)]| {
            let overrides = overrides.iter().map(|(name, units)| ((*name).to_owned(), *units)).collect();
            wrong(|problems| problems.overrides("overrides", &overrides))
        };
        assert!(of(&[("monthly", 1), ("per-day_2", (1 << 53) - 1)]).is_empty());
        assert_eq!(of(&[("a", 0), ("b", 1 << 53)]), ["overrides.a", "overrides.b"]);
        assert_eq!(of(&[("Monthly", 1), ("", 1)]), ["overrides.", "overrides.Monthly"]);
        let names: Vec<String> = (0..9).map(|number| format!("l{number}")).collect();
        assert_eq!(of(&names.iter().map(|name| (name.as_str(), 1)).collect::<Vec<_>>()), ["overrides"]);
    }

    #[test]
    fn a_keys_scopes_are_some_of_its_consumers() {
        let scopes = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>();
        let of = |asked: &[&str], granted: &[&str]| wrong(|problems| problems.scopes_of("scopes", &scopes(asked), &scopes(granted)));
        assert!(of(&[], &[]).is_empty() && of(&["b"], &["a", "b"]).is_empty() && of(&["a", "b"], &["b", "a"]).is_empty());
        assert_eq!(of(&["a", "c", ""], &["a", "b"]), ["scopes[2]", "scopes[1]"]);
        // No scope stands for others, and case counts.
        assert_eq!(of(&["*", "A", "a:b"], &["a", "a:*"]), ["scopes[0]", "scopes[1]", "scopes[2]"]);
        assert_eq!(of(&["a"], &[]), ["scopes[0]"]);
    }
}
