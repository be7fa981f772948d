//! Owns the reading of JSON that somebody else may read too: what could be understood in two ways is refused. Must not know what it means.

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Map;
pub use serde_json::Value;

/// The members of an object.
pub type Object = Map<String, Value>;

/// A JSON value in which no object has a member twice, at any depth (RFC 8259, section 4, leaves it open which one counts).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Unambiguous(pub Value);

/// Reads one JSON object and nothing after it; `None` for anything else, for a repeated member, and for more than 128 levels.
#[must_use]
pub fn object(json: &[u8]) -> Option<Object> {
    match serde_json::from_slice::<Unambiguous>(json) {
        Ok(Unambiguous(Value::Object(members))) => Some(members),
        Ok(_) | Err(_) => None,
    }
}

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnambiguousVisitor).map(Self)
    }
}

struct UnambiguousVisitor;

impl<'de> Visitor<'de> for UnambiguousVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON with each member once")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Unambiguous(element)) = elements.next_element()? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Unambiguous(value))) = members.next_entry::<String, Unambiguous>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is there twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_with_all_it_holds() {
        let members = object(br#" {"a": [1, -2, 2.5, "x", null, true, {"b": {}}]} "#).unwrap();
        assert_eq!(Value::Object(members), serde_json::json!({"a": [1, -2, 2.5, "x", null, true, {"b": {}}]}));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        for wrong in [
            &br#"{"a":1,"a":1}"#[..],
            br#"{"a":1,"\u0061":2}"#,
            br#"{"a":{"b":1,"b":2}}"#,
            br#"[{"a":1}]"#,
            br#""a""#,
            br#"{"a":1}x"#,
            br#"{"a":1}{}"#,
            br#"{"a":1,}"#,
            b"{'a':1}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":NaN}",
            b"",
            b"\xef\xbb\xbf{}",
        ] {
            assert_eq!(object(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn deep_json_is_refused_and_not_recursed_into() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth: usize| format!("{{\"a\":{}1{}}}", open.repeat(depth), close.repeat(depth));
            assert!(object(nested(100).as_bytes()).is_some());
            assert_eq!(object(nested(100_000).as_bytes()), None);
        }
    }
}
