//! An order that comes in by the orders API, whose shop does not wait: its webhook tells what became of it.

use std::net::SocketAddr;

use anyhow::ensure;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::orders::DemoOrder;
use super::shopper::post;
use crate::commands::key::NewKey;

/// Its number.
pub(super) const NUMBER: &str = "API-8801";

/// The order, as the report shows it.
pub(super) fn order() -> DemoOrder {
    DemoOrder { story: "by the orders API, nobody waits", document: json!({ "order_id": NUMBER }) }
}

/// Places it.
pub(super) async fn place(door: SocketAddr, key: &NewKey) -> anyhow::Result<()> {
    let headers = [("x-api-key", key.api_key.clone())];
    let (status, text) = post(door, "/v1/orders", &headers, document().to_string()).await?;
    ensure!(status == StatusCode::ACCEPTED, "{status}: {}", String::from_utf8_lossy(&text));
    Ok(())
}

fn document() -> Value {
    let home = json!({
        "firstName": "Ines", "lastName": "Moreau", "address1": "4 Harbour Walk", "city": "Seattle", "state": "WA",
        "country": "US", "zip": "98101", "eveningPhone": "+12065550177", "email": "ines.moreau@moreau-books.com",
    });
    json!({
        "orderNumber": NUMBER, "siteName": "demobooks", "grandTotal": "38.40", "orderDate": "2026-05-04",
        "customerId": "c-512", "billing": home, "shipping": home, "shippingMethod": "Ground", "shippingFee": "3.40",
        "orderProducts": [{
            "sku": "BOOK-3", "name": "Novel", "sellingPrice": "35.00", "qty": 1, "stockNumber": "3", "brandName": "Moreau",
        }],
        "payments": [{
            "paymentType": "creditcard", "gatewayStatus": "approved", "bin": "411111", "lastFour": "8080",
            "expiration": "11/29", "avsCode": "Y", "cidResponse": "M",
        }],
        "ipAddress": "73.35.10.4", "repeatCustomer": true,
    })
}
