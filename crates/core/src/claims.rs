//! Owns what is read out of a token's claims: by which path, as which kind of value. Must not know what it is for.

use serde_json::{Map, Value};

/// The most names that are taken from one claim: scopes, roles.
pub const MOST_NAMES: usize = 256;

/// Where a claim is: a member's name, or a JSON pointer (RFC 6901) through objects, which starts with `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Box<[String]>);

/// Seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumericDate(pub u64);

/// A claim is there and is not what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl ClaimPath {
    /// Reads a path; `None` if it is none: empty, a `~` without `0` or `1` after it, or more than 8 levels.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let steps: Vec<String> = match text.strip_prefix('/') {
            None => vec![text.to_owned()],
            Some(pointer) => pointer.split('/').map(unescape).collect::<Option<_>>()?,
        };
        (!text.is_empty() && steps.len() <= 8 && text.len() <= 256).then(|| Self(steps.into()))
    }

    /// The claim's value; `None` where there is none, or `null`.
    #[must_use]
    pub fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let (last, steps) = self.0.split_last()?;
        let object = steps.iter().try_fold(claims, |object, step| object.get(step)?.as_object())?;
        object.get(last).filter(|value| !value.is_null())
    }
}

fn unescape(step: &str) -> Option<String> {
    let mut parts = step.split('~');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let rest = part.strip_prefix('0').map(|rest| ('~', rest)).or_else(|| part.strip_prefix('1').map(|rest| ('/', rest)));
        let (character, rest) = rest?;
        plain.push(character);
        plain.push_str(rest);
    }
    Some(plain)
}

/// A claim that says when (RFC 7519, section 2): a number that is not negative, of which fractions of a second are left out.
///
/// # Errors
/// [`Malformed`].
pub fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<NumericDate>, Malformed> {
    // Beyond the year 9999, and beyond what a float tells apart.
    const LATEST: u64 = 253_402_300_800;
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => {
            let float = || number.as_f64().filter(|seconds| (0.0..LATEST as f64).contains(seconds));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the range")]
            let seconds = number.as_u64().or_else(|| float().map(|seconds| seconds as u64));
            seconds.filter(|seconds| *seconds < LATEST).map(|seconds| Some(NumericDate(seconds))).ok_or(Malformed)
        }
        Some(_) => Err(Malformed),
    }
}

/// A claim that is text.
///
/// # Errors
/// [`Malformed`].
pub fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Malformed> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Malformed),
    }
}

/// Whether `aud` names one of `accepted` (RFC 7519, section 4.1.3).
///
/// # Errors
/// [`Malformed`].
pub fn is_meant_for(claims: &Map<String, Value>, accepted: &[String]) -> Result<bool, Malformed> {
    match claims.get("aud") {
        None => Ok(false),
        Some(Value::String(one)) => Ok(accepted.contains(one)),
        Some(Value::Array(many)) => {
            let names = many.iter().map(|name| name.as_str().ok_or(Malformed)).collect::<Result<Vec<&str>, _>>()?;
            Ok(names.iter().any(|name| accepted.iter().any(|own| own == name)))
        }
        Some(_) => Err(Malformed),
    }
}

/// A value as the text it is compared by: text itself, whole numbers and truth values as JSON writes them.
#[must_use]
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The names in a value: words with spaces between them (RFC 8693, section 4.2), or a list of text. Anything else names nothing.
#[must_use]
pub fn names(value: &Value) -> Vec<String> {
    let names: Vec<&str> = match value {
        Value::String(text) => text.split(' ').filter(|name| !name.is_empty()).take(MOST_NAMES).collect(),
        Value::Array(many) => many.iter().filter_map(Value::as_str).take(MOST_NAMES).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    names.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_path_is_a_name_or_a_pointer_through_objects() {
        let claims = claims(json!({"https://a.example/roles": ["x"], "a": {"b/c": {"~": 1}, "n": null}, "l": [1]}));
        let find = |path: &str| ClaimPath::parse(path).unwrap().find(&claims).cloned();
        assert_eq!(find("https://a.example/roles"), Some(json!(["x"])));
        assert_eq!(find("/a/b~1c/~0"), Some(json!(1)));
        for nothing in ["/a/n", "/a/x/y", "/l/0", "b", "/"] {
            assert_eq!(find(nothing), None, "{nothing}");
        }
        for wrong in ["", "/a~", "/a~2", "/1/2/3/4/5/6/7/8/9"] {
            assert_eq!(ClaimPath::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn dates_are_seconds_and_nothing_else() {
        let at = |value: Value| date(&claims(json!({"exp": value})), "exp");
        assert_eq!(at(json!(1_300_819_380)), Ok(Some(NumericDate(1_300_819_380))));
        assert_eq!(at(json!(1.9)), Ok(Some(NumericDate(1))));
        assert_eq!(date(&claims(json!({})), "exp"), Ok(None));
        for wrong in [json!(-1), json!("1300819380"), json!(null), json!(1e300), json!(u64::MAX), json!(-0.5), json!([1]), json!(true)] {
            assert_eq!(at(wrong.clone()), Err(Malformed), "{wrong}");
        }
    }

    #[test]
    fn an_audience_is_one_name_or_a_list_of_names() {
        let accepted = ["a".to_owned(), "b".to_owned()];
        let meant = |value: Value| is_meant_for(&claims(json!({"aud": value})), &accepted);
        assert_eq!(meant(json!("b")), Ok(true));
        assert_eq!(meant(json!(["c", "a"])), Ok(true));
        assert_eq!(
            (meant(json!("c")), meant(json!([])), meant(json!("A")), meant(json!("a b"))),
            (Ok(false), Ok(false), Ok(false), Ok(false))
        );
        assert_eq!(is_meant_for(&claims(json!({})), &accepted), Ok(false));
        for wrong in [json!(1), json!(["a", 1]), json!({"a": 1}), json!(null)] {
            assert_eq!(meant(wrong.clone()), Err(Malformed), "{wrong}");
        }
    }

    #[test]
    fn names_are_words_or_a_list() {
        assert_eq!(names(&json!("a  b")), ["a", "b"]);
        assert_eq!(names(&json!(["a b", 1, "c"])), ["a b", "c"]);
        assert!(names(&json!({"a": 1})).is_empty() && names(&json!(1)).is_empty());
        assert_eq!(names(&json!("x ".repeat(1_000))).len(), MOST_NAMES);
    }
}
