//! Owns what an entry says beside who did what to whom: the document before and after. Must not let through what says who somebody is.

use serde::Serialize;
use serde_json::{Map, Value};

use super::personal::{Personal, take};

/// What was changed: the document before, and after. Whoever calls passes what the API shows: no secret is in that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    before: Option<Value>,
    after: Option<Value>,
    more: Map<String, Value>,
    whose: Option<Option<String>>,
    person: Option<(String, &'static [&'static str])>,
}

/// What is kept of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parts {
    pub(crate) organisation: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) personal: Option<Personal>,
}

impl Noted {
    /// Something was made.
    pub(crate) fn made(after: &impl Serialize) -> Self {
        Self { after: document(after), ..Self::default() }
    }

    /// Something was changed.
    pub(crate) fn changed(before: &impl Serialize, after: &impl Serialize) -> Self {
        Self { before: document(before), after: document(after), ..Self::default() }
    }

    /// Something was ended.
    pub(crate) fn ended(before: &impl Serialize) -> Self {
        Self { before: document(before), ..Self::default() }
    }

    /// What was there, if anything, and what is.
    pub(crate) fn between(before: Option<&impl Serialize>, after: Option<&impl Serialize>) -> Self {
        Self { before: before.and_then(document), after: after.and_then(document), ..Self::default() }
    }

    /// The documents, but for a member.
    pub(crate) fn without(mut self, name: &'static str) -> Self {
        for document in [&mut self.before, &mut self.after].into_iter().flatten() {
            take(document, &[name]);
        }
        self
    }

    /// Whose affair it is, where the documents do not say.
    pub(crate) fn whose(self, organisation: Option<&str>) -> Self {
        Self { whose: Some(organisation.map(ToOwned::to_owned)), ..self }
    }

    /// Something more to say.
    pub(crate) fn with(mut self, name: &str, value: &impl Serialize) -> Self {
        self.more.extend(document(value).map(|value| (name.to_owned(), value)));
        self
    }

    /// These members say who somebody is.
    pub(crate) fn of(self, person: String, members: &'static [&'static str]) -> Self {
        Self { person: Some((person, members)), ..self }
    }

    /// What is kept. Whose affair it is the documents say; where both say different things it is nobody's alone.
    pub(crate) fn parts(mut self, bound_to: Option<&str>) -> Parts {
        let organisation = |document: &Option<Value>| {
            document.as_ref().map(|document| document.get("organisation").and_then(Value::as_str).map(ToOwned::to_owned))
        };
        let organisation = match (organisation(&self.before), organisation(&self.after)) {
            _ if self.whose.is_some() => self.whose.flatten(),
            (Some(before), Some(after)) => before.filter(|before| after.as_ref() == Some(before)),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => bound_to.map(ToOwned::to_owned),
        };
        let mut members = Map::new();
        if let Some((_, names)) = &self.person {
            for (name, document) in [("before", &mut self.before), ("after", &mut self.after)] {
                members.extend(document.as_mut().map(|document| (name.to_owned(), take(document, names))));
            }
        }
        let personal = self.person.map(|(person, _)| Personal { person, members: Value::Object(members) });
        let documents = [("before", self.before), ("after", self.after)];
        let mut detail: Map<String, Value> = documents.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        detail.extend(self.more);
        let detail = (!detail.is_empty()).then(|| Value::Object(detail).to_string());
        Parts { organisation, detail, personal }
    }
}

/// Ours are all JSON.
fn document(of: &impl Serialize) -> Option<Value> {
    serde_json::to_value(of).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn before_and_after_are_kept_apart_from_who_it_is() {
        let (before, after) = (
            json!({"name": "A", "email": "a@example.com", "role": "viewer", "organisation": "o"}),
            json!({"name": "B", "email": "a@example.com", "role": "operator", "organisation": "o"}),
        );
        let parts = Noted::changed(&before, &after).of("user:u".to_owned(), &["name", "email"]).parts(Some("another"));
        assert_eq!(parts.organisation.as_deref(), Some("o"));
        let detail: Value = serde_json::from_str(&parts.detail.unwrap()).unwrap();
        assert_eq!(detail, json!({"before": {"role": "viewer", "organisation": "o"}, "after": {"role": "operator", "organisation": "o"}}));
        let personal = parts.personal.unwrap();
        assert_eq!(personal.person, "user:u");
        assert_eq!(personal.members["before"], json!({"name": "A", "email": "a@example.com"}));
        assert_eq!(personal.members["after"], json!({"name": "B", "email": "a@example.com"}));
    }

    #[test]
    fn what_concerns_two_organisations_is_no_affair_of_either() {
        let of = |organisation: &str| json!({"organisation": organisation});
        assert_eq!(Noted::changed(&of("a"), &of("b")).parts(Some("a")).organisation, None);
        assert_eq!(Noted::changed(&json!({}), &of("b")).parts(Some("b")).organisation, None);
        assert_eq!(Noted::made(&of("b")).parts(None).organisation.as_deref(), Some("b"));
        assert_eq!(Noted::ended(&json!({})).parts(Some("b")).organisation, None, "a document of all organisations is told to none");
        let simple = Noted::default().parts(Some("b"));
        assert_eq!((simple.organisation.as_deref(), simple.detail, simple.personal), (Some("b"), None, None));
    }
}
