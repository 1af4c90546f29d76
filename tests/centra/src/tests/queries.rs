use serde_json::{Value, json};

use super::{
    client::{data, refusal, send, try_send_body},
    shop,
};
use crate::{Centra, Order};

async fn numbers(shop: &Centra, arguments: &str) -> Vec<i64> {
    let found = data(shop, &format!("{{ orders{arguments} {{ number }} }}"), Value::Null).await;
    let orders = found["orders"].as_array().unwrap();
    orders.iter().map(|order| order["number"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn everything_that_the_connector_needs_is_told() {
    let order = Order::suspicious(7);
    let shop = shop([order.clone()]).await;
    let query = "query Fetch($id: [String!]) {
        orders(where: { id: $id }) {
            __typename
            ...held
            userIP createdAt
            grandTotal { value currency { code } formattedValue }
            billingAddress { email country { code name } }
            shippingAddress { country { code } }
            lines { quantity lineValue { value } productSize { SKU } product { name } }
            paymentHistory { entryType status value { value } paramsJSON }
            failed: paymentHistory(where: { status: FAILED, entryType: [AUTH] }) { id }
            ... on DirectToConsumerOrder { customer { email } }
            ... on WholesaleOrder { wholesale: id }
        }
    }
    fragment held on Order { id isOnHold status ... on DirectToConsumerOrder { orderHoldReason } }";

    let found = data(&shop, query, json!({ "id": [order.id] })).await;
    let found = &found["orders"][0];

    assert_eq!(found["__typename"], "DirectToConsumerOrder");
    assert_eq!(found["id"], json!(order.id));
    assert_eq!(found["isOnHold"], true);
    assert_eq!(found["status"], "PENDING");
    assert_eq!(found["orderHoldReason"], json!(["WAITING_FOR_FRAUD_CHECK"]));
    assert_eq!(found["grandTotal"]["value"], 3786.0);
    assert_eq!(found["grandTotal"]["currency"]["code"], "EUR");
    assert_eq!(found["billingAddress"]["country"], json!({ "code": "SE", "name": "Sweden" }));
    assert_eq!(found["shippingAddress"]["country"]["code"], "NG");
    assert_eq!(found["billingAddress"]["email"], "x@mailinator.com");
    assert_eq!(found["lines"].as_array().unwrap().len(), 2);
    assert_eq!(found["lines"][0]["lineValue"]["value"], 3747.0);
    assert_eq!(found["paymentHistory"].as_array().unwrap().len(), 4);
    assert_eq!(found["failed"].as_array().unwrap().len(), 3);
    assert_eq!(found["customer"], Value::Null);
    assert_eq!(found.get("wholesale"), None);
}

#[tokio::test]
async fn one_order_is_found_by_its_hash_or_not_at_all() {
    let order = Order::held(8).with_total("125.00", "EUR");
    let shop = shop([order.clone()]).await;
    let query = r#"query($id: String!, $all: Boolean!) {
        order(id: $id) {
            number
            createdAt(format: "Y")
            grandTotal(includingTax: $all) { value }
            userIP @include(if: $all)
            id @skip(if: true)
        }
    }"#;

    let found = data(&shop, query, json!({ "id": order.id, "all": false })).await;
    let year = order.created_at.format("%Y").to_string();
    assert_eq!(found["order"], json!({ "number": 8, "createdAt": year, "grandTotal": { "value": 100.0 } }));
    assert_eq!(data(&shop, query, json!({ "id": "unknown", "all": true })).await["order"], Value::Null);
}

#[tokio::test]
async fn orders_are_selected_by_each_filter() {
    let shop = shop([
        Order::held(1),
        Order::held(2).with_hold(&[]).with_status("CONFIRMED"),
        Order::held(3).with_status("DELETED").with_on_hold(false),
        Order::held(4).with_hold(&["WAITING_FOR_FRAUD_CHECK", "WAITING_FOR_PAYMENT"]).with_external_id("erp-4"),
        Order::held(5).with_hold(&["PAYMENT_MISMATCH"]).with_store(2),
    ])
    .await;
    let hash = Order::held(2).id;

    assert_eq!(numbers(&shop, "").await, [1, 2, 3, 4, 5]);
    assert_eq!(numbers(&shop, "(where: { orderHoldReason: [WAITING_FOR_FRAUD_CHECK] })").await, [1, 3, 4]);
    assert_eq!(numbers(&shop, "(where: { orderHoldReason: WAITING_FOR_FRAUD_CHECK, isOnHold: true })").await, [1, 4]);
    assert_eq!(numbers(&shop, "(where: { isOnHold: false })").await, [2, 3]);
    assert_eq!(numbers(&shop, "(where: { number: [5, 1, 77] })").await, [1, 5]);
    assert_eq!(numbers(&shop, "(where: { status: [DELETED, CONFIRMED] })").await, [2, 3]);
    assert_eq!(numbers(&shop, "(where: { externalId: \"erp-4\" })").await, [4]);
    assert_eq!(numbers(&shop, "(where: { isWaitingForPayment: true, isLocked: false })").await, [4]);
    assert_eq!(numbers(&shop, "(where: { storeId: 2, customerId: 10005 })").await, [5]);
    assert_eq!(numbers(&shop, &format!("(where: {{ id: \"{hash}\" }})")).await, [2]);
    assert!(numbers(&shop, "(where: { id: [] })").await.is_empty());
}

#[tokio::test]
async fn pages_follow_one_another_and_end() {
    let shop = shop((1..=250).map(Order::held)).await;

    assert_eq!(numbers(&shop, "").await, (1..=20).collect::<Vec<_>>());
    assert_eq!(numbers(&shop, "(limit: 200)").await.len(), 200);
    assert_eq!(numbers(&shop, "(limit: 200, page: 2)").await, (201..=250).collect::<Vec<_>>());
    assert!(numbers(&shop, "(limit: 200, page: 3)").await.is_empty());
    assert!(refusal(&shop, "{ orders(limit: 201) { id } }", Value::Null).await.contains("between 1 and 200"));
    assert!(refusal(&shop, "{ orders(page: 0) { id } }", Value::Null).await.contains("page"));
}

#[tokio::test]
async fn examples_of_the_document_are_not_graphql() {
    let order = Order::held(1);
    let shop = shop([order.clone()]).await;
    let resume = r#"mutation resumeDirectToConsumerOrder(
        resumeOrder(order: { id: "HASH" }) { order, userErrors, userWarnings }
    )"#;
    let cancel = r#"mutation cancelDirectToConsumerOrder(
        cancelOrder(order: { id: "HASH" }, input: { cancelReason: "FRAUD_CHECK_REJECTED" }) {
            order, userErrors, userWarnings
        }
    )"#;
    let comment = "query orders { orders(where: { id: \"HASH\" }) { id // any additional fields\n } }";
    // `orderHoldReason` is no field of the interface.
    let fields = "query orders { orders(where: { id: \"HASH\" }) { id isOnHold status orderHoldReason } }";

    for example in [resume, cancel, comment, fields] {
        refusal(&shop, &example.replace("HASH", &order.id), Value::Null).await;
    }
    assert_eq!(shop.mutations(), []);
    assert_eq!(shop.requests().invalid, 4);
}

#[tokio::test]
async fn operations_outside_the_schema_are_refused() {
    let shop = shop([Order::held(1)]).await;
    let refused = [
        "{ orders { unknown } }",
        "{ orders(first: 3) { id } }",
        "{ orders(where: { number: \"1\" }) { id } }",
        "{ orders(where: { colour: \"red\" }) { id } }",
        "{ orders(where: { status: SHIPPED }) { id } }",
        "{ orders }",
        "mutation { resumeDirectToConsumerOrder(order: { id: \"1\" }, reason: \"fine\") { userErrors { message } } }",
        "mutation { resumeDirectToConsumerOrder(order: { id: \"1\" }) { order userErrors userWarnings } }",
        "mutation { cancelDirectToConsumerOrder(order: { id: \"1\" }) { userErrors { message } } }",
        "mutation { cancelDirectToConsumerOrder(order: { id: \"1\" }, input: { emailOptions: {}, stockAction: {}, \
         reason: \"FRAUD_CHECK_REJECTED\" }) { userErrors { message } } }",
        // A list may be given as one value, but not as a variable of one value.
        "query($id: String!) { orders(where: { id: $id }) { id } }",
    ];

    for operation in refused {
        refusal(&shop, operation, Value::Null).await;
    }
    assert_eq!(shop.mutations(), []);
}

#[tokio::test]
async fn variables_are_checked() {
    let shop = shop([Order::held(1)]).await;
    let query = "query($number: [Int!]!) { orders(where: { number: $number }) { number } }";

    assert_eq!(data(&shop, query, json!({ "number": 1 })).await["orders"], json!([{ "number": 1 }]));
    assert_eq!(data(&shop, query, json!({ "number": [2] })).await["orders"], json!([]));
    for variables in [json!({}), json!({ "number": null }), json!({ "number": "1" }), json!({ "number": [1.5] })] {
        refusal(&shop, query, variables).await;
    }
}

#[tokio::test]
async fn named_operation_is_executed_among_several() {
    let shop = shop([Order::held(1)]).await;
    let operations = "query One { orders { number } } query Two { centraIPs }";
    let body = |name: Value| json!({ "query": operations, "operationName": name }).to_string();

    let answer = try_send_body(&shop, &shop.token(), body(json!("Two"))).await.unwrap();
    assert_eq!(answer.json(), json!({ "data": { "centraIPs": ["127.0.0.1"] } }));
    let answer = try_send_body(&shop, &shop.token(), body(Value::Null)).await.unwrap();
    assert_eq!(answer.json()["errors"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn wrong_or_expired_token_is_forbidden_until_a_new_one_is_set() {
    let shop = shop([]).await;
    let query = "{ centraIPs }";
    let body = json!({ "query": query }).to_string();

    assert_eq!(try_send_body(&shop, "wrong", body.clone()).await.unwrap().status, 403);
    let old = shop.token();
    shop.expire_token();
    assert_eq!(send(&shop, query, Value::Null).await.status, 403);
    shop.set_token("fresh");
    assert_eq!(try_send_body(&shop, &old, body).await.unwrap().status, 403);
    assert_eq!(send(&shop, query, Value::Null).await.status, 200);
    assert_eq!(shop.requests().refused_for_token, 3);
}

#[tokio::test]
async fn body_that_is_no_request_is_bad() {
    let shop = shop([]).await;
    for body in ["", "[]", "{}", r#"{"query": 1}"#, r#"{"query": "{ centraIPs }", "variables": []}"#] {
        assert_eq!(try_send_body(&shop, &shop.token(), body.to_owned()).await.unwrap().status, 400, "{body}");
    }
}
