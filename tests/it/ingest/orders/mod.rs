//! The orders surface: what it takes and refuses, what it answers of an order later, and that none is lost or taken twice.

mod standing;
mod tables;

use anyhow::ensure;
use futures_util::future::try_join_all;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use touchstone_ingest::Settings;
use touchstone_platform::store::SystemReason;
use touchstone_schema::tenant::{KeyMode, KeyScope};
use touchstone_tests::{Answer, Backend, HttpClient};

use super::fixture::{Door, Key};

const PATH: &str = "/v1/orders";

/// A shop that knows its key.
pub(crate) struct Shop {
    url: String,
    key: String,
    http: HttpClient,
    is_strict: bool,
}

impl Shop {
    pub(super) fn new(door: &Door, key: &Key) -> Self {
        Self::at(&door.url, &key.credentials.api_key)
    }

    /// A shop that knows this key and sends to this door.
    pub(crate) fn at(url: &str, key: &str) -> Self {
        Self { url: url.to_owned(), key: key.to_owned(), http: HttpClient::new(), is_strict: false }
    }

    /// The same, whose orders are read strictly.
    pub(super) fn strictly(self) -> Self {
        Self { is_strict: true, ..self }
    }

    pub(crate) async fn submit(&self, order: &Value) -> anyhow::Result<Answer> {
        self.submit_text(order.to_string()).await
    }

    async fn submit_text(&self, order: String) -> anyhow::Result<Answer> {
        let request = Request::post(format!("{}{PATH}", self.url)).header("x-api-key", &self.key);
        let handling = if self.is_strict { "handling=strict" } else { "handling=lenient" };
        let request = request.header("Content-Type", "application/json").header("Prefer", handling);
        self.http.send(request.body(Full::from(order))?).await
    }

    /// Submits an order that is taken; gives its path.
    pub(super) async fn place(&self, order: &Value) -> anyhow::Result<String> {
        let answer = self.submit(order).await?;
        ensure!(answer.status == 202 && answer.body.is_empty(), "{answer:?}");
        Ok(answer.header("location").to_owned())
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        let request = Request::get(format!("{}{path}", self.url)).header("x-api-key", &self.key);
        self.http.send(request.body(Full::default())?).await
    }

    pub(super) async fn shown(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.get(path).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        answer.json()
    }
}

fn address() -> Value {
    json!({
        "firstName": "Maria", "middleName": "B", "lastName": "Keller", "company": "Keller Garden",
        "address1": "12 Elm Street", "address2": "Floor 2", "city": "Portland", "state": "OR", "country": "US",
        "zip": "97205", "eveningPhone": "+15035550142", "dayPhone": "+15035550143", "cellPhone": "+15035550144",
        "email": "maria.keller@keller-garden.com",
    })
}

/// The document's example with its texts filled in.
pub(crate) fn order(number: &str) -> Value {
    json!({
        "orderNumber": number, "siteName": "abcdiscounts", "grandTotal": "49.99",
        "orderDate": "2020-04-22T20:40:35.664Z", "customerId": "c-204", "billing": address(), "shipping": address(),
        "orderProducts": [{
            "sku": "GARDEN-7", "name": "Shears", "description": "For roses", "sellingPrice": 0, "qty": 0,
            "stockNumber": "7", "brandname": "Keller", "costPrice": 0, "custom1": "a", "custom2": "b", "custom3": "c",
            "custom4": "d", "custom5": "e",
        }],
        "payments": [{
            "paymentType": "creditcard", "gatewayTransactionId": "4111111111111111", "gatewayStatus": "approved",
            "cavvResultCode": "2", "bin": "411111", "cardType": "visa", "lastFour": "4242", "expiration": "0528",
            "avsCode": "Y", "cidResponse": "M", "eciCode": "05",
        }],
        "shippingMethod": "Ground", "shippingFee": 0, "referringCode": "r-1", "consumerReferral": "friend",
        "cookie": "c=1", "promoCode": "SPRING", "deviceFingerprintId": "dev-1", "customerComments": "Thanks",
        "mirScore": 0, "highRiskDeliveryMethod": true, "shippingDeadline": "2020-03-26", "custom1": 0, "custom2": "2",
        "custom3": "3", "custom4": "4", "custom5": "5", "salesRep": "AB", "salesRepComments": "By phone",
        "inboundCallerId": "+15035550142", "outboundCallerID": "+15035550100", "ipAddress": "67.160.12.9",
        "repeatCustomer": true,
    })
}

async fn example_goes_through(door: &Door) -> anyhow::Result<()> {
    let shop = Shop::new(door, &door.keys.no_scope);
    let path = shop.place(&order("1001")).await?;
    let number = path.strip_prefix("/v1/orders/").unwrap_or_default();
    assert!(number.len() == 16 && number.bytes().all(|byte| byte.is_ascii_digit()), "{path}");
    let shown = shop.shown(&path).await?;
    let expected = json!({
        "siteName": "abcdiscounts", "orderNumber": "1001", "customerId": "c-204", "status": "pending",
        "timeInQueue": shown["timeInQueue"], "grandTotal": 49.99, "usaAddress": true, "efraudClass": null, "avsCode": "Y",
        "shippingMethod": "Ground", "resolvedDate": null, "isShippedEqualsBilled": true,
        "lastModified": shown["lastModified"], "declineReason": null, "scoreonly": null,
    });
    assert_eq!(shown, expected);
    let again = shop.submit(&order("1001")).await?;
    assert_eq!((again.status.as_u16(), again.header("location")), (409, path.as_str()));
    assert_eq!(again.json()?["errors"][0]["field"], "/orderNumber");
    assert_eq!(
        (&again.json()?["orderId"], &again.json()?["sameOrder"]),
        (&json!(number.parse::<i64>()?), &json!(true))
    );
    let mut reordered = String::from("{");
    for (name, value) in order("1001").as_object().into_iter().flatten().rev() {
        reordered.push_str(&format!("{}\n{}: {value}", if reordered.len() > 1 { "," } else { "" }, json!(name)));
    }
    let same = shop.submit_text(reordered + "}").await?;
    assert_eq!((same.status.as_u16(), &same.json()?["sameOrder"]), (409, &json!(true)), "it says the same");
    let mut another = order("1001");
    another["customerId"] = json!("c-205");
    let another = shop.submit(&another).await?;
    assert_eq!((another.status.as_u16(), another.header("location")), (409, path.as_str()));
    let told = another.json()?;
    assert_eq!((&told["orderId"], &told["sameOrder"]), (&json!(number.parse::<i64>()?), &json!(false)));
    let message = told["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("was not kept"), "{message}");
    let mut elsewhere = order("1001");
    elsewhere["siteName"] = json!("xyzdiscounts");
    assert_ne!(shop.place(&elsewhere).await?, path, "each site numbers its own");
    Ok(())
}

#[tokio::test]
async fn the_documents_example_goes_through_on_the_embedded_default() -> anyhow::Result<()> {
    example_goes_through(&Door::embedded(Settings::default()).await?).await
}

#[tokio::test]
async fn the_documents_example_goes_through_in_production() -> anyhow::Result<()> {
    example_goes_through(&Door::production(Settings::default()).await?).await
}

async fn sixteen_at_once_are_one_order(backend: Backend) -> anyhow::Result<()> {
    let door = Door::open(backend, Settings::default()).await?;
    let shop = Shop::new(&door, &door.keys.no_scope);
    let body = order("RACE-1");
    let answers = try_join_all((0..16).map(|_| shop.submit(&body))).await?;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(202), count(409)), (1, 15), "{answers:?}");
    let places: std::collections::HashSet<_> = answers.iter().map(|answer| answer.header("location")).collect();
    assert_eq!(places.len(), 1, "{places:?}");
    let far = door.clock.now() + std::time::Duration::from_secs(86_400);
    let promised = door.store.system(SystemReason::RoleLoop).claim_overdue(far, 100).await?;
    assert_eq!(promised.len(), 1, "one promise");
    Ok(())
}

#[tokio::test]
async fn sixteen_at_once_are_one_order_on_the_embedded_default() -> anyhow::Result<()> {
    sixteen_at_once_are_one_order(Backend::embedded()?).await
}

#[tokio::test]
async fn sixteen_at_once_are_one_order_in_production() -> anyhow::Result<()> {
    sixteen_at_once_are_one_order(Backend::production().await?).await
}

#[tokio::test]
async fn foreign_and_malformed_numbers_are_404() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let theirs = door.add_key(&door.keys.theirs, KeyMode::Live, KeyScope::Orders).await?;
    let test = door.add_key(&door.keys.mine, KeyMode::Test, KeyScope::Orders).await?;
    let mine = Shop::new(&door, &door.keys.no_scope);
    let path = mine.place(&order("1")).await?;
    for foreign in [&theirs, &test] {
        assert_eq!(Shop::new(&door, foreign).get(&path).await?.status, 404);
    }
    let number = path.strip_prefix("/v1/orders/").unwrap_or_default();
    for malformed in
        ["1", "0", "-1", "x", "1e15", "9007199254740993", "99999999999999999999", &format!("0{number}"), "..%2f.."]
    {
        let answer = mine.get(&format!("{PATH}/{malformed}")).await?;
        assert_eq!(answer.status, 404, "{malformed}");
        assert!(answer.json()?["errors"][0]["message"].is_string(), "{malformed}");
    }
    assert_eq!(mine.get(&path).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn every_refusal_of_a_key_is_the_same_bytes() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let good = &door.keys.no_scope.credentials.api_key;
    let revoked = door.add_key(&door.keys.mine, KeyMode::Live, KeyScope::Orders).await?;
    let shop = Shop::new(&door, &revoked);
    let path = shop.place(&order("1")).await?;
    door.store.system(SystemReason::Operator).revoke_key(&revoked.id, door.clock.now()).await?;
    door.cache.revoke(&revoked.id).await?;
    let unknown = format!("fcc_live_{}", "a".repeat(32));
    let wrong = format!("{}{}", &good[..17], "a".repeat(24));
    let signed = &door.keys.mine.credentials.api_key;
    let presented: [&[&str]; 8] =
        [&[], &[""], &["nonsense"], &[&unknown], &[&wrong], &[signed], &[good, good], &[&revoked.credentials.api_key]];
    let http = HttpClient::new();
    let mut bodies = std::collections::HashSet::new();
    for keys in presented {
        let mut request = Request::get(format!("{}{path}", door.url));
        for key in keys {
            request = request.header("x-api-key", *key);
        }
        let answer = http.send(request.body(Full::default())?).await?;
        assert_eq!(answer.status, 401, "{keys:?}");
        assert_eq!(answer.json()?["errors"][0]["field"], "x-api-key");
        bodies.insert(answer.body);
    }
    assert_eq!(bodies.len(), 1);
    Ok(())
}

#[tokio::test]
async fn card_numbers_are_refused_in_payments_and_masked_elsewhere() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let shop = Shop::new(&door, &door.keys.no_scope);
    let mut refused = order("1");
    refused["payments"][0]["bin"] = json!("4111 1111 1111 1111");
    let answer = shop.submit(&refused).await?;
    assert_eq!((answer.status.as_u16(), &answer.json()?["errors"][0]["field"]), (400, &json!("/payments/0/bin")));
    let mut masked = order("2");
    masked["customerComments"] = json!("my card is 4111 1111 1111 1111");
    masked["custom2"] = json!("4111111111111111");
    shop.place(&masked).await?;
    let far = door.clock.now() + std::time::Duration::from_secs(86_400);
    let promised = door.store.system(SystemReason::RoleLoop).claim_overdue(far, 100).await?;
    let document = promised[0].document.get();
    assert!(document.contains("************1111") && !document.contains("\"custom2\":\"4111"), "{document}");
    Ok(())
}
