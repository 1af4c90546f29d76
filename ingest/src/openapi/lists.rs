//! How long the lists of answers can be: each by the limit that its handler keeps to.

use serde_json::{Value, json};
use touchstone_schema::event::EventKind;
use touchstone_schema::limits::{
    CHECK_FLAGS, ORDER_LIST_ITEMS, OWN_HEADERS, PAGE_ITEMS, TRANSACTION_LIST_ITEMS, VERDICT_REASONS,
};
use touchstone_schema::order::MAX_FAULTS;

/// Items of a page.
const PAGE: usize = PAGE_ITEMS as usize;
/// Entries of a transaction that are shown with it.
const SHOWN: usize = TRANSACTION_LIST_ITEMS as usize;
/// The lists that are not described with their limit: its place among the schemas, and the most it holds.
const LISTS: &[(&str, usize)] = &[
    ("/CheckedRisk/properties/tags", VERDICT_REASONS),
    ("/UpdatedCheck/properties/flagged", CHECK_FLAGS),
    ("/Backfill/properties/refusals", PAGE),
    ("/Backfill/properties/warnings", PAGE),
    ("/Order/properties/line_items", ORDER_LIST_ITEMS),
    ("/Order/properties/discount_codes", ORDER_LIST_ITEMS),
    ("/StoredVerdict/properties/reason_codes", VERDICT_REASONS),
    ("/StoredVerdict/properties/reasons", VERDICT_REASONS),
    ("/Verdict/allOf/0/properties/reason_codes", VERDICT_REASONS),
    ("/Verdict/allOf/0/properties/reasons", VERDICT_REASONS),
    ("/ListPage/properties/entries", PAGE),
    ("/TransactionPage/properties/transactions", PAGE),
    ("/Transaction/properties/revisions", SHOWN),
    ("/Transaction/properties/decisions", SHOWN),
    ("/Transaction/properties/outcomes", SHOWN),
    ("/Transaction/properties/events", SHOWN),
    ("/DeliveryPage/properties/deliveries", PAGE),
    ("/DeliveryWithAttempts/allOf/1/properties/attempt_log", PAGE),
    ("/Endpoint/properties/events", EventKind::ALL.len()),
    ("/Endpoint/properties/header_names", OWN_HEADERS),
    ("/EndpointPage/properties/endpoints", PAGE),
    ("/RecoveryPage/properties/recoveries", PAGE),
    ("/Problem/properties/errors", MAX_FAULTS),
    ("/OrderRefusal/properties/errors", MAX_FAULTS),
];

/// Describes the limits.
pub(super) fn add_limits(schemas: &mut Value) {
    for (place, most) in LISTS {
        let Some(list) = schemas.pointer_mut(place) else {
            tracing::error!(place, "a list of the description is not where its limit is named");
            continue;
        };
        list["maxItems"] = json!(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where arrays without a limit are, as JSON pointers.
    fn unlimited(value: &Value, place: &str, found: &mut Vec<String>) {
        let is_array =
            |kind: &Value| kind == "array" || kind.as_array().is_some_and(|kinds| kinds.contains(&json!("array")));
        if let Value::Object(members) = value {
            if members.get("type").is_some_and(is_array) && !members.get("maxItems").is_some_and(Value::is_u64) {
                found.push(place.to_owned());
            }
            for (name, member) in members.iter().filter(|(name, _)| !["example", "examples"].contains(&name.as_str())) {
                unlimited(member, &format!("{place}/{name}"), found);
            }
        } else if let Value::Array(items) = value {
            items.iter().enumerate().for_each(|(at, item)| unlimited(item, &format!("{place}/{at}"), found));
        }
    }

    #[test]
    fn every_list_of_every_request_answer_and_webhook_has_a_limit() {
        let document: Value = serde_json::from_str(&crate::openapi::openapi()).unwrap();
        let mut found = Vec::new();
        unlimited(&document, "", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn every_limit_that_is_named_is_described() {
        let document: Value = serde_json::from_str(&crate::openapi::openapi()).unwrap();
        for (place, most) in LISTS {
            let pointer = format!("/components/schemas{place}/maxItems");
            assert_eq!(document.pointer(&pointer), Some(&json!(most)), "{pointer}");
        }
    }
}
