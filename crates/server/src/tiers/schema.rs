//! Owns how a limit is described in OpenAPI: by the same schema as in the plugin configuration. Must not describe it a second time.

use serde_json::Value;
use tollgate_core::config::document::Limit;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema};

/// The schema of a limit.
#[derive(Clone, Copy, Debug)]
pub struct LimitSchema;

impl utoipa::PartialSchema for LimitSchema {
    fn schema() -> RefOr<Schema> {
        let generator = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let mut schema = generator.into_generator().into_root_schema_for::<Limit>().to_value();
        without_const(&mut schema);
        // Any object, where the OpenAPI types do not take the schema; a test holds that they do.
        serde_json::from_value(schema).unwrap_or_else(|_| ObjectBuilder::new().into())
    }
}

impl utoipa::ToSchema for LimitSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }
}

/// Says `enum` of one value where a schema says `const`, which the OpenAPI types do not know and would drop.
fn without_const(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(only) = members.remove("const") {
                members.insert("enum".to_owned(), Value::Array(vec![only]));
            }
            members.values_mut().for_each(without_const);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_const),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn a_limit_is_described_with_its_fields_and_their_values() {
        let schema = serde_json::to_value(LimitSchema::schema()).unwrap();
        for field in ["name", "algorithm", "rate", "per", "burst", "scope", "routes", "shadow", "failure_mode"] {
            assert!(schema["properties"][field].is_object(), "{field}: {schema}");
        }
        assert_eq!(schema["required"], serde_json::json!(["name", "algorithm", "rate", "per"]));
        assert!(schema["properties"]["algorithm"].to_string().contains("sliding_window"), "{schema}");
    }
}
