//! Owns the schemas of the public API's description where they say more than the types do. Must not describe a type that describes itself.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::super::super::problem::ProblemDetails;
use super::super::oauth::OAuthError;

/// Where `null` means something. Everywhere else a field that may be missing is left out.
const NULLABLE: [(&str, &str); 2] = [("ConsumerPatch", "email"), ("ApiKeyPatch", "expires_at")];

/// Adds the schemas that no handler names, and corrects those that say too little or too much.
pub(super) fn complete(schemas: &mut Map<String, Value>) {
    let mut own = vec![(ProblemDetails::name().into_owned(), ProblemDetails::schema())];
    ProblemDetails::schemas(&mut own);
    own.push((OAuthError::name().into_owned(), OAuthError::schema()));
    schemas.extend(own.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default())));
    add_limits(schemas);
    for (name, schema) in schemas.iter_mut() {
        if let Some(listed) = name.strip_prefix("Listing_") {
            // The next page's cursor stays nullable: its null is the end of the list.
            if let Some(items) = schema.pointer_mut("/properties/items/items") {
                *items = json!({"$ref": format!("#/components/schemas/{listed}")});
            }
            continue;
        }
        let kept: Vec<_> = NULLABLE
            .iter()
            .filter(|(nullable, _)| nullable == name)
            .filter_map(|(_, field)| Some((*field, schema.get("properties")?.get(*field)?.clone())))
            .collect();
        without_null(Some(&mut *schema));
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.extend(kept.into_iter().map(|(field, mut schema)| {
                schema.as_object_mut().map(|schema| schema.remove("default"));
                (field.to_owned(), schema)
            }));
        }
    }
}

/// Takes `null` out of a schema.
pub(super) fn without_null(schema: Option<&mut Value>) {
    match schema {
        Some(Value::Object(members)) => {
            members.retain(|name, value| name != "default" || !value.is_null());
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(alternatives)) = members.get_mut("oneOf") {
                alternatives.retain(|alternative| *alternative != json!({"type": "null"}));
                if let [Value::Object(only)] = alternatives.as_slice() {
                    let only = only.clone();
                    members.remove("oneOf");
                    members.extend(only);
                }
            }
            members.values_mut().for_each(|member| without_null(Some(member)));
        }
        Some(Value::Array(elements)) => elements.iter_mut().for_each(|element| without_null(Some(element))),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => {}
    }
}

/// Puts in the schema of limits, which the configuration's documents own.
fn add_limits(schemas: &mut Map<String, Value>) {
    let mut limit = schemars::schema_for!(tollgate_core::config::document::Limit).to_value();
    relocate(&mut limit);
    let parts = limit.as_object_mut().and_then(|limit| {
        limit.remove("$schema");
        limit.remove("$defs")
    });
    if let Some(Value::Object(parts)) = parts {
        schemas.extend(parts);
    }
    schemas.insert("Limit".to_owned(), limit);
    for tier in ["Tier", "NewTier", "TierBody"] {
        if let Some(items) = schemas.get_mut(tier).and_then(|schema| schema.pointer_mut("/properties/limits/items")) {
            *items = json!({"$ref": "#/components/schemas/Limit"});
        }
    }
}

/// Points references of a JSON Schema to where OpenAPI keeps its schemas.
fn relocate(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref") {
                *reference = reference.replace("#/$defs/", "#/components/schemas/");
            }
            members.values_mut().for_each(relocate);
        }
        Value::Array(elements) => elements.iter_mut().for_each(relocate),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
