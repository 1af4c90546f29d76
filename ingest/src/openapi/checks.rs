//! The checks surface in the document: its requests, its credentials and its refusals.

use serde_json::{Value, json};
use touchstone_schema::checks::{
    CancelledReason, ChargebackStatus, CheckStatus, FraudType, PaymentStatus, ReturnReason, Subject,
};
use touchstone_schema::limits;

/// Refusals that every operation may give: status and when.
const REFUSALS: &[(&str, &str)] = &[
    ("401", "The credentials are bad."),
    ("403", "The key may not use this surface: it lacks the scope `checks`."),
    ("406", "The body is no acceptable JSON document, or a field is at fault: `source` names it."),
    ("408", "The body came too slowly."),
    ("413", "The body is above 262 144 bytes."),
    ("415", "Expected application/json without Content-Encoding."),
    ("429", "Too many requests of this store; see Retry-After."),
    ("431", "The head of the request is too large."),
    ("500", "A fault of ours; retrying will not help."),
    ("503", "Nothing was promised; send the same request again after Retry-After."),
];
const CHECK_CONFLICT: (&str, &str) = ("409", "The id was checked before, with different data.");
const UPDATE_CONFLICT: (&str, &str) = ("409", "An update with this `updated_on` was applied before.");
const UPDATE_UNKNOWN: (&str, &str) = ("404", "Nothing was checked under this id.");

/// Whether a path is the surface's.
pub(super) fn is_of(path: &str) -> bool {
    path.starts_with("/v2/risk/")
}

/// The security scheme's name and form.
pub(super) fn security_scheme() -> (&'static str, Value) {
    ("checksBasic", json!({"type": "http", "scheme": "basic", "description": "The key's id, and its `secret`."}))
}

/// Puts the requests' schemas in their places.
pub(super) fn add_schemas(schemas: &mut Value) {
    schemas["CheckRefusal"] = refusal();
    schemas["OrderCheck"] = check(Subject::Transaction);
    schemas["CartCheck"] = check(Subject::Cart);
    schemas["OrderUpdate"] = update(Subject::Transaction);
    schemas["CartUpdate"] = update(Subject::Cart);
}

/// Adds security and refusals to one operation; headers are added as to all.
pub(super) fn complete(method: &str, operation: &mut Value, add_headers: impl Fn(&mut Value)) {
    let (scheme, _) = security_scheme();
    operation["security"] = json!([{ scheme: [] }]);
    let own: &[_] = if method == "patch" { &[UPDATE_UNKNOWN, UPDATE_CONFLICT] } else { &[CHECK_CONFLICT] };
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for response in responses.values_mut() {
        add_headers(response);
    }
    for (status, when) in REFUSALS.iter().chain(own) {
        let mut response = json!({
            "description": when,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CheckRefusal"}}},
        });
        add_headers(&mut response);
        if ["429", "503"].contains(status) {
            response["headers"]["Retry-After"] =
                json!({"description": "Seconds to wait.", "schema": {"type": "integer"}});
        }
        responses.insert((*status).to_owned(), response);
    }
}

fn refusal() -> Value {
    json!({"type": "object", "required": ["success", "code", "source", "message"], "properties": {
        "success": {"const": false}, "code": {"type": "integer", "description": "The status."},
        "source": {"type": "string", "description": "JSON pointer to the field, or the header, at fault."},
        "message": {"type": "string", "description": "What was expected."},
    }})
}

fn check(subject: Subject) -> Value {
    let id = subject.id_member();
    let mut transaction = json!({
        "ordered_on": time(),
        "type": described("sale, or left out: a refund or another payment that is no sale is refused.", text()), "order_is_digital": flag(),
        "order_total": amount(0), "order_currency": text(), "status": word(&statuses(subject)), "event": text(),
        "user_id": id_text(), "order_source": text(), "order_count": count(), "total_spent": number(),
        "session_id": id_text(), "coupon_code": id_text(), "order_subtotal": number(), "order_tax": number(),
        "order_shipping": amount(0), "order_discount": number(),
    });
    transaction[id] = check_id();
    if subject == Subject::Transaction {
        transaction["cart_id"] = cart_named();
        transaction["cart_token"] = cart_named();
    }
    json!({"type": "object", "required": ["transaction"], "properties": {
        "transaction": object(transaction, &[id, "ordered_on"]),
        "billing": optional(contact()), "shipping": optional(contact()), "payment": optional(payment()),
        "device": optional(device()),
        "delivery": optional(object(json!({"method": text()}), &[])), "campaign": optional(object(json!({}), &[])),
        "promotions": optional(list(object(json!({"code": id_text(), "promotion_id": id_text(), "amount": number()}), &[]))),
        "products": optional(list(object(json!({
            "product_id": id_text(), "title": text(), "price": number(), "quantity": count(), "category": text(),
            "is_digital": flag(),
        }), &["product_id", "title", "price", "quantity"]))),
    }, "example": {
        "transaction": {id: "1001", "ordered_on": "2026-01-02T03:04:05Z", "order_total": 129.90, "order_currency": "EUR"},
        "billing": {"first_name": "Ada", "last_name": "Byron", "country": "DE", "email": "ada@byron-boots.de"},
        "payment": {"method": "card", "bin": "424242", "last_4": "4242", "exp_date": "0930"},
        "device": {"ip_address": "93.200.11.4"},
        "products": [{"product_id": "B-1", "title": "Boots", "price": 129.90, "quantity": 1}],
    }})
}

fn update(subject: Subject) -> Value {
    let id = subject.id_member();
    let mut members = json!({
        "updated_on": time(), "status": word(&statuses(subject)),
        "payment_status": word(&words(PaymentStatus::ALL, |word| word.as_str())), "chargeback_status": word(&words(ChargebackStatus::ALL, |word| word.as_str())),
        "cancelled_reasons": word(&words(CancelledReason::ALL, |word| word.as_str())), "return_reason": word(&words(ReturnReason::ALL, |word| word.as_str())),
        "fraud_type": word(&words(FraudType::ALL, |word| word.as_str())), "is_fraud": flag(), "is_locked": flag(), "event": text(),
        "note": text(), "balance": number(), "order_total": number(), "agent_code": id_text(), "agent_dept": id_text(),
        "agent_updated_on": time(),
    });
    members[id] = check_id();
    if subject == Subject::Cart {
        members["payment"] = optional(payment());
    }
    let mut schema = object(members, &[id]);
    schema["example"] = json!({id: "1001", "status": "approved", "updated_on": "2026-01-02T04:00:00Z"});
    schema
}

fn contact() -> Value {
    object(
        json!({
            "first_name": text(), "last_name": text(), "company": text(), "address1": text(), "address2": id_text(),
            "city": text(), "region": text(), "postal_code": id_text(), "country": text(), "phone": id_text(),
            "email": text(),
        }),
        &[],
    )
}

fn payment() -> Value {
    object(
        json!({
            "method": text(), "type": text(),
            "bin": described("Up to 11 digits, never the whole number.", id_text()), "last_4": id_text(),
            "exp_date": described("MMYY.", id_text()),
            "avs_result_code": described("Answer of the address verification: letter, number or word of gateway or scheme.", id_text()),
            "cvv_result_code": described("Answer of the security code check: letter, number or word of gateway or scheme.", id_text()),
            "auth_attempts": count(), "eci": id_text(), "payment_status": word(&words(PaymentStatus::ALL, |word| word.as_str())),
        }),
        &[],
    )
}

fn device() -> Value {
    object(
        json!({
            "ip_address": text(), "user_agent": text(), "fingerprint_id": id_text(), "session_id": id_text(),
            "language": text(), "time_zone": text(), "is_proxy": flag(), "is_tor": flag(),
        }),
        &[],
    )
}

fn object(properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({"type": "object", "required": required});
    schema["properties"] = properties;
    schema
}

fn list(items: Value) -> Value {
    let mut schema = json!({"type": "array", "maxItems": limits::ORDER_LIST_ITEMS});
    schema["items"] = items;
    schema
}

/// What is empty is the same as what is left out.
fn optional(schema: Value) -> Value {
    let mut either = json!({"anyOf": [null, {"enum": [null, ""]}]});
    either["anyOf"][0] = schema;
    either
}

fn described(description: &str, mut schema: Value) -> Value {
    schema["description"] = json!(description);
    schema
}

fn text() -> Value {
    json!({"type": ["string", "null"], "maxLength": limits::FIELD_CHARS})
}

/// A text, or a whole number that is taken as written.
fn id_text() -> Value {
    json!({"anyOf": [text(), {"type": "integer", "minimum": 0}]})
}

/// A cart that a transaction came of; an empty text names none.
fn cart_named() -> Value {
    json!({"anyOf": [check_id(), {"enum": [null, ""]}]})
}

fn check_id() -> Value {
    json!({"anyOf": [{"type": "string", "minLength": 1, "maxLength": limits::CHECK_ID_CHARS}, {"type": "integer", "minimum": 0}]})
}

fn time() -> Value {
    described("RFC 3339; a time without an offset, or a date alone, is in UTC.", json!({"type": ["string", "null"]}))
}

fn number() -> Value {
    described(
        "A number or a numeric text, with at most the decimals of the currency.",
        json!({"type": ["number", "string", "null"]}),
    )
}

fn amount(least: i64) -> Value {
    let mut schema = number();
    schema["minimum"] = json!(least);
    schema
}

fn count() -> Value {
    json!({"type": ["integer", "string", "null"], "minimum": 0, "maximum": u32::MAX})
}

fn flag() -> Value {
    json!({"type": ["boolean", "string", "null"]})
}

/// One of these words, in any case; an empty text clears.
fn word(words: &[&str]) -> Value {
    let words: Vec<_> = words.iter().copied().chain([""]).collect();
    json!({"anyOf": [{"enum": words}, {"type": "null"}]})
}

fn statuses(subject: Subject) -> Vec<&'static str> {
    CheckStatus::of(subject).iter().map(|status| status.as_str()).collect()
}

fn words<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|word| name(*word)).collect()
}
