use serde_json::{Value, json};
use touchstone_schema::centra::OrderArgument;

use super::{
    client::{data, refusal},
    shop,
};
use crate::{Centra, Order, SDL, Settings, StartError};

/// What tools ask of a server before all else.
const INTROSPECTION: &str = "{
    __schema {
        queryType { name }
        mutationType { name }
        types {
            kind name
            fields { name args { name defaultValue type { ...type } } type { ...type } }
            inputFields { name type { ...type } }
            enumValues { name }
            possibleTypes { name }
        }
        directives { name }
    }
}
fragment type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

fn named<'a>(all: &'a Value, name: &str) -> Option<&'a Value> {
    all.as_array().unwrap().iter().find(|one| one["name"] == name)
}

async fn types(shop: &Centra) -> Value {
    data(shop, INTROSPECTION, Value::Null).await["__schema"]["types"].take()
}

#[tokio::test]
async fn introspection_tells_what_clients_rely_on() {
    let shop = shop([]).await;
    let schema = data(&shop, INTROSPECTION, Value::Null).await;
    let types = &schema["__schema"]["types"];

    assert_eq!(schema["__schema"]["mutationType"]["name"], "Mutation");
    let orders = named(&named(types, "Query").unwrap()["fields"], "orders").unwrap();
    assert_eq!(named(&orders["args"], "limit").unwrap()["defaultValue"], "20");
    let reasons = &named(types, "OrderHoldReason").unwrap()["enumValues"];
    assert_eq!(reasons.as_array().unwrap().len(), 5);
    let kinds = named(types, "Order").unwrap()["possibleTypes"].as_array().unwrap();
    assert_eq!(kinds.len(), 2);
    let cancel = named(&named(types, "Mutation").unwrap()["fields"], "cancelDirectToConsumerOrder").unwrap();
    assert_eq!(named(&cancel["args"], "input").unwrap()["type"]["kind"], "NON_NULL");
    let one = data(&shop, r#"{ __type(name: "CancelOrderReason") { enumValues { name } } }"#, Value::Null).await;
    assert_eq!(one["__type"]["enumValues"], json!([{ "name": "FRAUD_CHECK_REJECTED" }]));
}

#[tokio::test]
async fn rate_limits_can_be_missing() {
    let settings = Settings { tells_rate_limits: false, ..Settings::default() };
    let shop = Centra::start(settings).await.unwrap();

    assert!(named(&named(&types(&shop).await, "Query").unwrap()["fields"], "rateLimits").is_none());
    assert!(refusal(&shop, "{ rateLimits { quota } }", Value::Null).await.contains("rateLimits"));
}

#[tokio::test]
async fn mutations_take_their_order_by_one_argument_or_by_either() {
    const BY_ORDER: &str = "mutation { resumeDirectToConsumerOrder(order: { id: \"1\" }) { userErrors { message } } }";
    const BY_ID: &str = "mutation { resumeDirectToConsumerOrder(id: \"1\") { userErrors { message } } }";
    const BY_NONE: &str = "mutation { resumeDirectToConsumerOrder { userErrors { message } } }";
    for (argument, taken, refused) in [
        (Some(OrderArgument::Order), vec![BY_ORDER], vec![BY_ID, BY_NONE]),
        (Some(OrderArgument::Id), vec![BY_ID], vec![BY_ORDER, BY_NONE]),
        (None, vec![BY_ORDER, BY_ID], vec![]),
    ] {
        let shop = Centra::start(Settings { order_argument: argument, ..Settings::default() }).await.unwrap();
        for mutation in taken {
            data(&shop, mutation, Value::Null).await;
        }
        for mutation in refused {
            assert!(refusal(&shop, mutation, Value::Null).await.contains("argument"), "{argument:?}: {mutation}");
        }
    }
}

#[tokio::test]
async fn a_shop_that_hides_its_schema_refuses_introspection_alone() {
    let shop = Centra::start(Settings { hides_schema: true, ..Settings::default() }).await.unwrap();
    assert!(refusal(&shop, INTROSPECTION, Value::Null).await.contains("introspection"));
    data(&shop, "{ rateLimits { quota } }", Value::Null).await;
}

#[tokio::test]
async fn changed_schema_is_served_and_lived_by() {
    let sdl = SDL.replace("isOnHold: Boolean!", "onHold: Boolean").replace("  FRAUD_CHECK_REJECTED", "  FRAUD");
    let shop = Centra::start(Settings { sdl: Some(sdl), ..Settings::default() }).await.unwrap();
    shop.put(Order::held(1));

    let types = types(&shop).await;
    assert!(named(&named(&types, "Order").unwrap()["fields"], "onHold").is_some());
    assert!(named(&named(&types, "CancelOrderReason").unwrap()["enumValues"], "FRAUD").is_some());
    assert!(refusal(&shop, "{ orders { isOnHold } }", Value::Null).await.contains("isOnHold"));
}

#[tokio::test]
async fn invalid_schema_does_not_open_a_shop() {
    let settings = Settings { sdl: Some("type Query { orders: [Order!]! }".to_owned()), ..Settings::default() };
    let wrong = Centra::start(settings).await.unwrap_err();
    assert!(matches!(&wrong, StartError::Schema(message) if message.contains("Order")), "{wrong}");
}

#[tokio::test]
async fn introspection_that_nests_too_deep_is_refused() {
    let shop = shop([]).await;
    let nest = "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }";
    refusal(&shop, nest, Value::Null).await;
}
