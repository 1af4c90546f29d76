//! The orders surface in the document: its request by the field tables that it is checked with, its refusals in their own
//! form.

use serde_json::{Map, Value, json};
use touchstone_schema::limits;

use super::add_headers;
use crate::surfaces::orders::tables::{ALL, Field, Kind, ORDER, Table};

/// What the paths of the surface begin with.
const ROOT: &str = "/v1/orders";
/// What its key is sent in.
const SCHEME: &str = "orderKey";

/// The order of the examples and of the guide.
const EXAMPLE: &str = include_str!("../../../examples/orders-api-order.json");

/// Refusals: a method or none for both, status, field of the example, when.
const REFUSALS: &[(Option<&str>, &str, &str, &str)] = &[
    (Some("post"), "400", "/billing/zip", "The document is at fault; all faults are listed, each by JSON pointer."),
    (Some("get"), "400", "", "The body broke off or was framed wrongly."),
    (None, "401", "x-api-key", "No valid API key with the scope `orders`."),
    (Some("get"), "404", "", "The store has no such order."),
    (None, "408", "", "The body came too slowly."),
    (
        Some("post"),
        "409",
        "/orderNumber",
        "The siteName has used this orderNumber; `Location` says where that order is, `sameOrder` whether it is this one.",
    ),
    (None, "413", "", "The body is above 262 144 bytes."),
    (Some("post"), "415", "", "Expected application/json without Content-Encoding."),
    (None, "429", "", "Too many requests of this store; see Retry-After."),
    (None, "431", "", "The head of the request is too large."),
    (None, "500", "", "A fault of ours; retrying will not help."),
    (None, "503", "", "A service is away; send the same again after Retry-After."),
];

/// Whether the surface's own rules hold for a path.
pub(super) fn is_own(path: &str) -> bool {
    path.starts_with(ROOT)
}

/// Adds security, refusals and headers to one operation.
pub(super) fn complete(method: &str, operation: &mut Value) {
    operation["security"] = json!([{ SCHEME: [] }]);
    if method == "post" {
        operation["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {
                "schema": {"$ref": format!("#/components/schemas/{}", ORDER.name)},
                "example": serde_json::from_str::<Value>(EXAMPLE).unwrap_or_default(),
            }},
        });
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (_, status, field, when) in REFUSALS.iter().filter(|(only, ..)| only.is_none_or(|only| only == method)) {
        let mut response = json!({
            "description": when,
            "content": {"application/json": {
                "schema": {"$ref": "#/components/schemas/OrderRefusal"},
                "example": {"errors": [{"field": field, "message": when}]},
            }},
        });
        if *status == "409" {
            response["content"]["application/json"] = json!({
                "schema": {"$ref": "#/components/schemas/OrderDuplicate"},
                "example": {
                    "orderId": 4_718_305_926_611_847_i64, "sameOrder": true,
                    "errors": [{"field": field, "message": when}],
                },
            });
            response["headers"]["Location"] =
                json!({"description": "The order that has the number.", "schema": {"type": "string"}});
        }
        responses.insert((*status).to_owned(), response);
    }
    for response in responses.values_mut() {
        add_headers(response, true);
    }
}

/// Adds the surface's schemas and its security scheme.
pub(super) fn add_components(components: &mut Value) {
    components["securitySchemes"][SCHEME] = json!({"type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key with the scope `orders`."});
    for table in ALL {
        components["schemas"][table.name] = table_schema(table);
    }
    components["schemas"][ORDER.name]["dependentRequired"] =
        json!({"shipping": ["shippingMethod", "shippingFee"], "shippingMethod": ["shipping", "shippingFee"]});
    components["schemas"]["OrderDuplicate"] = json!({
        "type": "object", "required": ["orderId", "sameOrder", "errors"],
        "properties": {
            "orderId": {"type": "integer", "description": "The number of the order that was placed before, as in `Location`."},
            "sameOrder": {"type": "boolean", "description": "true: that order says what was sent now, so this is a repetition. \
                false: it is another order, and what was sent now was not kept."},
            "errors": {"$ref": "#/components/schemas/OrderRefusal/properties/errors"},
        },
    });
    components["schemas"]["OrderRefusal"] = json!({
        "type": "object", "required": ["errors"],
        "properties": {"errors": {"type": "array", "minItems": 1, "items": {
            "type": "object", "required": ["field", "message"],
            "properties": {
                "field": {"type": "string", "description": "JSON pointer, or the name of a header; empty for the whole request."},
                "message": {"type": "string", "description": "What was expected."},
            },
        }}},
    });
}

fn table_schema(table: &Table) -> Value {
    let mut properties = Map::new();
    for field in table.fields {
        properties.insert(field.name.to_owned(), field_schema(field));
        if let Some(alias) = field.alias {
            properties.insert(alias.to_owned(), field_schema(field));
        }
    }
    let plain = table.fields.iter().filter(|field| field.is_required && field.alias.is_none());
    let required: Vec<_> = plain.map(|field| field.name).collect();
    let either = table.fields.iter().filter(|field| field.is_required).filter_map(|field| {
        field.alias.map(|alias| json!({"anyOf": [{"required": [field.name]}, {"required": [alias]}]}))
    });
    let either: Vec<_> = either.collect();
    let mut schema = json!({"type": "object", "required": required, "properties": properties});
    if !either.is_empty() {
        schema["allOf"] = json!(either);
    }
    schema
}

/// A field that is not required may be left empty, which is the same as leaving it out.
fn field_schema(field: &Field) -> Value {
    let schema = kind_schema(field.kind);
    let mut schema = if field.is_required { schema } else { json!({"anyOf": [schema, {"enum": [null, ""]}]}) };
    schema["description"] = json!(field.about);
    schema
}

fn kind_schema(kind: Kind) -> Value {
    let reference = |table: &Table| json!({"$ref": format!("#/components/schemas/{}", table.name)});
    match kind {
        Kind::Text(most) => json!({"type": "string", "minLength": 1, "maxLength": most}),
        Kind::State | Kind::Identity(_) => json!({"type": "string", "minLength": 1, "maxLength": limits::FIELD_CHARS}),
        Kind::Choice(choices) => json!({"type": "string", "enum": choices}),
        Kind::Digits(least, most) => json!({"type": "string", "pattern": format!("^[0-9]{{{least},{most}}}$")}),
        Kind::Money | Kind::Number | Kind::Score => json!({"type": ["number", "string"]}),
        Kind::Total => json!({"type": ["number", "string"], "minimum": 0}),
        Kind::Count => json!({"type": ["integer", "string"], "minimum": 0, "maximum": u32::MAX}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::FlagOrText => json!({"enum": [true, false, "true", "false"]}),
        Kind::Date => json!({"type": "string", "examples": ["2026-01-02", "2026-01-02T03:04:05Z"]}),
        Kind::IpAddress => json!({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
        Kind::Country => json!({"type": "string", "pattern": "^[A-Za-z]{2}$"}),
        Kind::Expiration => json!({"type": "string", "pattern": "^(0[1-9]|1[0-2])/?[0-9]{2}$"}),
        Kind::Object(table) => reference(table),
        Kind::Objects(table) => {
            json!({"type": "array", "minItems": 1, "maxItems": limits::ORDER_LIST_ITEMS, "items": reference(table)})
        }
        Kind::Payments => {
            let payments = ALL[3..].iter().map(|table| reference(table));
            json!({"type": "array", "minItems": 1, "maxItems": 1, "items": {"oneOf": payments.collect::<Vec<_>>()}})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_operations_are_described_with_all_tables() {
        let document: Value = serde_json::from_str(&crate::openapi()).unwrap();
        let (submit, show) =
            (&document["paths"]["/v1/orders"]["post"], &document["paths"]["/v1/orders/{orderId}"]["get"]);
        for status in ["202", "400", "401", "409", "413", "415", "429", "503"] {
            assert!(submit["responses"][status].is_object(), "{status}");
        }
        assert!(submit["responses"]["422"].is_null() && show["responses"]["404"].is_object());
        assert_eq!(show["security"], json!([{"orderKey": []}]));
        assert_eq!(submit["requestBody"]["content"]["application/json"]["example"]["orderNumber"], "1001");
        for table in ALL {
            let schema = &document["components"]["schemas"][table.name];
            for field in table.fields {
                assert!(schema["properties"][field.name].is_object(), "{} {}", table.name, field.name);
            }
        }
    }
}
