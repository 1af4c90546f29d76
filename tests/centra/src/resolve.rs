//! Gives the GraphQL executor the fields that it asks for: root fields from the shop, all others from what was rendered.

use std::cell::RefCell;

use apollo_compiler::{
    Schema,
    ast::Type,
    resolvers::{FieldError, ObjectValue, ResolveInfo, ResolvedValue},
    response::JsonMap,
};
use serde_json::{Map, Value};

use crate::{
    filter::selects_payment,
    render::{TOTAL_WITHOUT_TAX, formatted},
    shop::{Forced, Kind, Shop},
};

/// The object that an operation begins at.
pub(crate) struct Root<'a> {
    type_name: &'a str,
    // The executor shares its objects, and resolves one field after another.
    shop: RefCell<&'a mut Shop>,
    forced: Forced,
}

impl<'a> Root<'a> {
    pub(crate) fn new(type_name: &'a str, shop: &'a mut Shop, forced: Forced) -> Self {
        Self { type_name, shop: RefCell::new(shop), forced }
    }

    fn mutate(&self, kind: Kind, info: &ResolveInfo<'_>, arguments: Value) -> Value {
        let response_key = info.field_selections().first().map_or("", |field| field.response_key().as_str());
        self.shop.borrow_mut().mutate(kind, response_key, arguments, self.forced)
    }
}

impl ObjectValue for Root<'_> {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Result<ResolvedValue<'a>, FieldError> {
        let arguments = plain(info.arguments())?;
        let value = match info.field_name() {
            "orders" => self.shop.borrow().list(&arguments).map_err(|message| FieldError { message })?,
            "order" => self.shop.borrow().one(&arguments),
            "rateLimits" => self.shop.borrow().ledger.render(),
            "centraIPs" => self.shop.borrow().centra_ips(),
            "resumeDirectToConsumerOrder" => self.mutate(Kind::Resume, info, arguments),
            "cancelDirectToConsumerOrder" => self.mutate(Kind::Cancel, info, arguments),
            _ => return Err(self.unknown_field_error(info)),
        };
        Ok(shaped(info.schema(), &info.field_definition().ty, value))
    }
}

/// An object below the root, with all its fields at hand.
struct Record {
    type_name: String,
    fields: Map<String, Value>,
}

impl Record {
    /// The value of a field for the arguments that change it; others are as rendered.
    fn value(&self, name: &str, arguments: &Value) -> Option<Value> {
        let value = self.fields.get(name)?;
        let value = match name {
            "createdAt" | "updatedAt" => match (value.as_str(), arguments["format"].as_str()) {
                (Some(time), Some(format)) => formatted(time, format).into(),
                _ => value.clone(),
            },
            "grandTotal" if arguments["includingTax"] == false => self.fields.get(TOTAL_WITHOUT_TAX)?.clone(),
            "paymentHistory" => {
                let payments = value.as_array().into_iter().flatten();
                let order_id = &self.fields["id"];
                payments.filter(|payment| selects_payment(&arguments["where"], order_id, payment)).cloned().collect()
            }
            _ => value.clone(),
        };
        Some(value)
    }
}

impl ObjectValue for Record {
    fn type_name(&self) -> &str {
        &self.type_name
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Result<ResolvedValue<'a>, FieldError> {
        let value = self.value(info.field_name(), &plain(info.arguments())?);
        // Only a changed schema has fields that were not rendered.
        let value = value.ok_or_else(|| self.unknown_field_error(info))?;
        Ok(shaped(info.schema(), &info.field_definition().ty, value))
    }
}

/// A rendered value as what its type in the schema wants: a leaf, an object or a list.
fn shaped<'a>(schema: &'a Schema, wanted: &'a Type, value: Value) -> ResolvedValue<'a> {
    match (wanted, value) {
        (Type::List(item) | Type::NonNullList(item), Value::Array(values)) => {
            ResolvedValue::list(values.into_iter().map(|value| shaped(schema, item, value)))
        }
        (Type::Named(name) | Type::NonNullNamed(name), Value::Object(fields))
            if schema.types.get(name).is_some_and(|definition| !definition.is_leaf()) =>
        {
            // Only objects that an interface may stand for name their type.
            let type_name = fields.get("__typename").and_then(Value::as_str).unwrap_or(name).to_owned();
            ResolvedValue::object(Record { type_name, fields })
        }
        (_, value) => ResolvedValue::leaf(value),
    }
}

fn plain(arguments: &JsonMap) -> Result<Value, FieldError> {
    serde_json::to_value(arguments).map_err(|error| FieldError { message: error.to_string() })
}
