//! Every operation that is sent to a shop fits what is known of its schema.

use anyhow::{Result, ensure};
use hyper::{Method, Request};
use serde_json::{Value, json};
use touchstone_centra_double::{Centra, Settings};
use touchstone_notifier::OPERATIONS;
use touchstone_tests::HttpClient;

/// The double validates before it looks at variables, so what is asked for is told from what is given.
#[tokio::test]
async fn every_operation_fits_the_schema() -> Result<()> {
    let centra = Centra::start(Settings::default()).await?;
    let http = HttpClient::new();
    for operation in OPERATIONS {
        let variables = json!({
            "ids": ["1015bd448795c9df7f7bf369ddef09d3"], "numbers": [7], "byId": true, "byNumber": true, "limit": 5,
            "page": 1, "order": {"id": "1015bd448795c9df7f7bf369ddef09d3"},
            "input": {
                "reason": "FRAUD_CHECK_REJECTED", "emailOptions": {"sendEmail": false},
                "stockAction": {"sendItemsToDifferentWarehouse": {"id": 7}}, "cancelAuthorization": true, "comment": "no",
            },
        });
        let body = json!({"operationName": operation.name, "query": operation.text, "variables": variables});
        let request = Request::builder()
            .method(Method::POST)
            .uri(centra.api_url())
            .header("Authorization", format!("Bearer {}", centra.token()))
            .header("Content-Type", "application/json")
            .body(body.to_string().into())?;
        let answer = http.send(request).await?.json()?;
        ensure!(answer.get("errors").is_none_or(Value::is_null), "{}: {answer}", operation.name);
    }
    ensure!(centra.requests().invalid == 0, "{:?}", centra.requests());
    Ok(())
}
