//! Differences between a shop and the samples below.

use apollo_compiler::request::coerce_variable_values;
use serde_json::json;
use touchstone_schema::centra::{OrderArgument, OrderArguments, SDL};

use super::*;
use crate::introspect::INTROSPECTION;

const OURS: &str = "
    type Query { orders(where: OrderFilter, page: Int = 1): [Order!]! }
    type Mutation { cancel(id: String!, input: Cancel!): Payload! }
    input OrderFilter { id: [String!] onlyHeld: Boolean }
    input Cancel { reason: Reason comment: String }
    enum Reason { FRAUD_CHECK_REJECTED }
    interface Order { id: String! number: Int! held: Boolean! }
    type ShopOrder implements Order { id: String! number: Int! held: Boolean! orderHoldReason: [OrderHoldReason!] }
    enum OrderHoldReason { WAITING_FOR_FRAUD_CHECK PAYMENT_MISMATCH }
    type Payload { errors: [String!]! }";

const SAMPLES: &[Operation] = &[
    Operation {
        name: "held_orders",
        text: "query Held($page: Int!, $where: OrderFilter) { orders(where: $where, page: $page) {
            ...Names ... on ShopOrder { orderHoldReason } } }
            fragment Names on Order { id number held }",
        purpose: "orders that no notice announced are found",
    },
    Operation {
        name: "cancel_order",
        text: "mutation Cancel($id: String!, $comment: String) {
            cancel(id: $id, input: { reason: FRAUD_CHECK_REJECTED, comment: $comment }) { errors } }",
        purpose: "fraudulent orders are cancelled",
    },
];

/// The answer of a shop with this schema.
fn introspection_of(sdl: &str) -> Value {
    let schema = Schema::parse_and_validate(sdl, "shop").unwrap();
    let document = ExecutableDocument::parse_and_validate(&schema, INTROSPECTION.text, "introspection").unwrap();
    let operation = document.operations.get(None).unwrap();
    let variables = coerce_variable_values(&schema, operation, &Default::default()).unwrap();
    let implementers = schema.implementers_map();
    let answer =
        apollo_compiler::introspection::partial_execute(&schema, &implementers, &document, operation, &variables);
    serde_json::to_value(answer.unwrap()).unwrap()
}

/// What differs in a shop whose schema is ours with `from` replaced by `to`.
fn found(from: &str, to: &str) -> Vec<Difference> {
    assert!(OURS.contains(from), "{from}");
    differences(&introspection_of(&OURS.replace(from, to)), SAMPLES, OURS).unwrap()
}

/// The one difference of such a shop, which is serious.
fn refused(from: &str, to: &str) -> Difference {
    let found = found(from, to);
    let [one] = found.as_slice() else { panic!("{found:#?}") };
    assert!(one.serious, "{one:?}");
    one.clone()
}

/// The one remark.
fn remarked(from: &str, to: &str) -> Difference {
    let found = found(from, to);
    let [one] = found.as_slice() else { panic!("{found:#?}") };
    assert!(!one.serious, "{one:?}");
    one.clone()
}

#[test]
fn a_shop_that_serves_what_we_know_and_more_has_no_difference() {
    assert_eq!(found("id: String! number", "id: String! number"), []);
    assert_eq!(found("onlyHeld: Boolean", "onlyHeld: Boolean, other: [[Int!]!] = [[1]]"), []);
    assert_eq!(
        found(
            "{ errors:",
            "{ more(of: String = \"a\\\"b\"): Shape errors: [String!]! } union Shape = ShopOrder | Payload
        scalar Money type Empty { money: Money errors:"
        ),
        []
    );
}

#[test]
fn a_renamed_field_is_told_with_what_it_breaks() {
    let sdl = OURS.replace("held: Boolean!", "isHeld: Boolean!");
    let found = differences(&introspection_of(&sdl), SAMPLES, OURS).unwrap();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].operation, "held_orders");
    assert!(found[0].what.contains("`Order` does not have a field `held`"), "{found:?}");
    assert!(found[0].what.contains("(line 3)"), "{found:?}");
    assert!(found[0].breaks.contains("orders that no notice announced are found"), "{found:?}");
}

#[test]
fn a_missing_argument_is_told() {
    let told = refused("where: OrderFilter, page: Int = 1", "where: OrderFilter");
    assert!(told.what.contains("`page`") && told.what.contains("Query.orders"), "{told:?}");
    let told = refused("where: OrderFilter,", "where: OrderFilter, market: Int!,");
    assert!(told.what.contains("market") && told.what.contains("required"), "{told:?}");
}

#[test]
fn a_missing_enum_value_is_told() {
    let told = refused("enum Reason { FRAUD_CHECK_REJECTED }", "enum Reason { FRAUD }");
    assert!(told.what.contains("FRAUD_CHECK_REJECTED") && told.operation == "cancel_order", "{told:?}");
}

#[test]
fn a_changed_type_is_told_also_where_the_document_stays_valid() {
    let told = found("number: Int!", "number: String!");
    assert!(told.iter().all(|one| one.serious && one.what.ends_with("is `String!`, expected `Int!`")), "{told:?}");
    assert_eq!(told.len(), 1);
    let told = refused("[OrderHoldReason!] }", "OrderHoldReason }");
    assert!(told.breaks.contains("cannot be read"), "{told:?}");
    let told = refused("id: String!, input", "id: Int!, input");
    assert!(told.what.contains("$id") && told.what.contains("Int!"), "{told:?}");
    let told = remarked("held: Boolean!", "held: Boolean");
    assert!(told.breaks.contains("missing"), "{told:?}");
}

#[test]
fn what_is_sent_in_a_variable_is_looked_into() {
    let told = refused("onlyHeld: Boolean", "held: Boolean");
    assert_eq!(told.what, "there is no `OrderFilter.onlyHeld`");
    let told = refused("onlyHeld: Boolean", "onlyHeld: Int");
    assert_eq!(told.what, "`OrderFilter.onlyHeld` is `Int`, expected `Boolean`");
    let told = refused("onlyHeld: Boolean", "onlyHeld: Boolean, market: Int!");
    assert_eq!(told.what, "`OrderFilter.market` is required, and not known here");
    remarked("onlyHeld: Boolean", "onlyHeld: Boolean!");
}

#[test]
fn hold_reasons_that_one_side_does_not_know_are_remarked() {
    let told = remarked("PAYMENT_MISMATCH }", "PAYMENT_MISMATCH WAITING_FOR_STOCK }");
    assert!(told.what.contains("`WAITING_FOR_STOCK`") && told.breaks.contains("left to a person"), "{told:?}");
    let told = remarked("WAITING_FOR_FRAUD_CHECK PAYMENT_MISMATCH", "WAITING_FOR_FRAUD_CHECK");
    assert!(told.what.contains("no value `PAYMENT_MISMATCH`"), "{told:?}");
}

#[test]
fn what_concerns_several_operations_alike_is_told_once() {
    let twice = [SAMPLES[0], Operation { name: "held_again", ..SAMPLES[0] }];
    let shop = OURS.replace("PAYMENT_MISMATCH }", "PAYMENT_MISMATCH WAITING_FOR_STOCK }");
    let told = differences(&introspection_of(&shop), &twice, OURS).unwrap();
    assert_eq!(told.iter().map(|one| one.operation.as_str()).collect::<Vec<_>>(), ["held_again, held_orders"]);
}

#[test]
fn a_field_that_will_go_is_remarked() {
    let told = remarked(
        "orderHoldReason: [OrderHoldReason!]",
        "orderHoldReason: [OrderHoldReason!] @deprecated(reason: \"ask \\\"holds\\\"\")",
    );
    assert!(told.what.ends_with("is deprecated: ask \"holds\""), "{told:?}");
}

#[test]
fn what_is_no_introspection_is_an_error() {
    let name = |name: &str| json!({"__schema": {"queryType": {"name": name}, "types": []}});
    for wrong in [
        json!(null),
        json!({}),
        json!({"data": null}),
        json!({"__schema": {"types": 1}}),
        name("a b"),
        name(""),
        name("1"),
    ] {
        let error = differences(&wrong, SAMPLES, OURS).unwrap_err();
        assert!(matches!(error, CompareError::Introspection(_)), "{wrong}: {error}");
    }
    let hostile = json!({"__schema": {"queryType": {"name": "Query"}, "types": [
        {"kind": "OBJECT", "name": "Query } type Mutation", "fields": []}]}});
    assert!(differences(&hostile, SAMPLES, OURS).is_err());
}

#[test]
fn every_operation_that_is_sent_fits_the_schema_that_we_know() {
    for argument in OrderArgument::ALL {
        let arguments = OrderArguments { resume: Some(*argument), cancel: Some(*argument) };
        assert_eq!(differences(&introspection_of(SDL), &crate::operations(arguments), SDL).unwrap(), []);
    }
}

#[test]
fn our_own_mistakes_are_told_as_ours() {
    let wrong = Operation { name: "wrong", text: "{ nothing }", purpose: "nothing" };
    let error = differences(&introspection_of(OURS), &[wrong], OURS).unwrap_err();
    assert!(matches!(&error, CompareError::Ours { what, .. } if what == "wrong"), "{error}");
}
