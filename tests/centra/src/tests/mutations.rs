use serde_json::{Value, json};

use super::{
    client::{CANCEL, RESUME, cancel_variables, data, resume},
    shop,
};
use crate::{Kind, Order};

#[tokio::test]
async fn order_is_resumed_once() {
    let order = Order::held(1);
    let shop = shop([order.clone()]).await;
    let variables = json!({ "id": order.id });

    let first = data(&shop, RESUME, variables.clone()).await;
    let expected = json!({ "order": { "id": order.id, "status": "PENDING" }, "userErrors": [], "userWarnings": [] });
    assert_eq!(first["resumeOrder"], expected);
    let second = data(&shop, RESUME, variables).await;
    let errors = json!([{ "message": "Order is not on hold", "path": ["order"] }]);
    assert_eq!(second["resumeOrder"], json!({ "order": null, "userErrors": errors, "userWarnings": [] }));

    let now = shop.order(&order.id).unwrap();
    assert!(!now.is_on_hold());
    assert!(now.hold_reasons.is_empty());
    let mutations = shop.mutations();
    assert_eq!(mutations.iter().map(|mutation| mutation.applied).collect::<Vec<_>>(), [true, false]);
    assert_eq!(mutations[0].order_id, order.id);
    assert_eq!(mutations[0].kind, Kind::Resume);
    assert_eq!(mutations[0].response_key, "resumeOrder");
    assert_eq!(mutations[0].arguments, json!({ "order": { "id": order.id } }));
    assert_eq!(mutations[1].errors, ["Order is not on hold"]);
    assert_eq!(shop.applied(&order.id).len(), 1);
}

#[tokio::test]
async fn order_is_cancelled_once_and_keeps_its_reasons() {
    let order = Order::held(2);
    let shop = shop([order.clone()]).await;

    let first = data(&shop, CANCEL, cancel_variables(&order.id)).await;
    assert_eq!(
        first["cancelOrder"]["order"],
        json!({
            "id": order.id, "status": "CANCELLED", "isOnHold": false, "orderHoldReason": ["WAITING_FOR_FRAUD_CHECK"],
        })
    );
    let second = data(&shop, CANCEL, cancel_variables(&order.id)).await;
    assert_eq!(second["cancelOrder"]["userErrors"].as_array().unwrap().len(), 1);
    let third = data(&shop, RESUME, json!({ "id": order.id })).await;
    assert_eq!(third["resumeOrder"]["userErrors"][0]["message"], "Order is CANCELLED");

    let applied = shop.applied(&order.id);
    assert_eq!(applied.len(), 1);
    assert_eq!(applied[0].kind, Kind::Cancel);
    assert_eq!(applied[0].arguments["input"]["reason"], "FRAUD_CHECK_REJECTED");
}

#[tokio::test]
async fn stock_action_takes_exactly_one_field() {
    let order = Order::held(3);
    let shop = shop([order.clone()]).await;
    let both = json!({ "releaseItemsBackToWarehouse": true, "removeItemsFromStock": true });

    for stock_action in [both, json!({}), json!({ "releaseItemsBackToWarehouse": null })] {
        let mut variables = cancel_variables(&order.id);
        variables["input"]["stockAction"] = stock_action;
        let answer = data(&shop, CANCEL, variables).await;
        assert_eq!(answer["cancelOrder"]["userErrors"][0]["path"], json!(["input", "stockAction"]));
    }
    assert_eq!(shop.applied(&order.id), []);
    assert_eq!(shop.order(&order.id), Some(order));
}

#[tokio::test]
async fn order_is_named_by_hash_number_or_erp_name_that_must_agree() {
    let shop = shop([Order::held(4).with_external_id("erp-4"), Order::held(5), Order::held(6)]).await;
    let mutation = |order: &str| {
        format!(
            "mutation {{ resumeDirectToConsumerOrder(order: {order}) {{ order {{ number }} userErrors {{ message }} }} }}"
        )
    };
    let resumed =
        async |order: &str| data(&shop, &mutation(order), Value::Null).await["resumeDirectToConsumerOrder"].take();

    assert_eq!(resumed("{ externalId: \"erp-4\" }").await["order"]["number"], 4);
    assert_eq!(resumed("{ number: 5 }").await["order"]["number"], 5);
    let conflict = format!("{{ id: \"{}\", number: 5 }}", Order::held(6).id);
    for unknown in ["{}", "{ number: 77 }", "{ id: \"5\" }", "{ id: null }", &conflict] {
        assert_eq!(resumed(unknown).await["userErrors"][0]["message"], "Order not found", "{unknown}");
    }
    assert_eq!(shop.mutations()[3].order_id, "77");
}

#[tokio::test]
async fn older_argument_of_cancelling_is_understood() {
    let order = Order::held(7);
    let shop = shop([order.clone()]).await;
    let cancel = format!(
        "mutation {{ cancelDirectToConsumerOrder(id: \"{}\", input: {{
            emailOptions: {{ sendEmail: true }}, stockAction: {{ sendItemsToDifferentWarehouse: {{ id: 3 }} }}
        }}) {{ order {{ status }} userErrors {{ message }} }} }}",
        order.id
    );

    assert_eq!(data(&shop, &cancel, Value::Null).await["cancelDirectToConsumerOrder"]["order"]["status"], "CANCELLED");
}

#[tokio::test]
async fn mutations_of_one_operation_are_executed_one_after_another() {
    let order = Order::held(8);
    let shop = shop([order.clone()]).await;
    let twice = "mutation($order: OrderInput!) {
        first: resumeDirectToConsumerOrder(order: $order) { ...payload }
        second: resumeDirectToConsumerOrder(order: $order) { ...payload }
    }
    fragment payload on Payload { userErrors { message } }";

    let answer = data(&shop, twice, json!({ "order": { "id": order.id } })).await;
    assert_eq!(answer["first"]["userErrors"], json!([]));
    assert_eq!(answer["second"]["userErrors"], json!([{ "message": "Order is not on hold" }]));
    let keys: Vec<_> = shop.mutations().into_iter().map(|mutation| mutation.response_key).collect();
    assert_eq!(keys, ["first", "second"]);
}

#[tokio::test]
async fn people_act_beside_the_connector_and_are_no_mutations() {
    let [resumed, cancelled] = [Order::held(9), Order::held(10)];
    let shop = shop([resumed.clone(), cancelled.clone()]).await;

    assert!(shop.resume_by_person(&resumed.id));
    assert!(!shop.resume_by_person(&resumed.id));
    assert!(shop.cancel_by_person(&cancelled.id));
    assert!(!shop.cancel_by_person("unknown"));
    assert!(shop.hold_again(&resumed.id, &["WAITING_FOR_FRAUD_CHECK"]));
    assert_eq!(shop.mutations(), []);

    resume(&shop, &resumed.id).await.unwrap();
    assert_eq!(shop.applied(&resumed.id).len(), 1);
    assert!(shop.change(&resumed.id, |order| order.status = "CONFIRMED".to_owned()));
    assert_eq!(shop.remove(&resumed.id).unwrap().status, "CONFIRMED");
    assert_eq!(shop.order(&resumed.id), None);
}
