//! Thousands of orders that look real but for one or a few fields: each is screened, or refused with a required field.
//!
//! The changes are what integrations do by mistake: a field is dropped, emptied, given another type or another encoding.
//! They are drawn by a generator of a fixed seed, so a failure can be repeated.

use anyhow::{Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use touchstone_schema::tenant::{KeyMode, KeyScope};
use touchstone_tests::Answer;

use crate::ingest::orders::{Shop, order as placed_order};
use crate::pipeline::checks::client as checks_client;
use crate::pipeline::fixture::Pipeline;

/// Mutated orders of each surface.
const ORDERS: usize = 10_000;
/// Requests that are under way at once.
const AT_ONCE: usize = 32;
/// Orders after which the clock moves on by a minute, so that the store's rate limit is never the reason of a refusal.
const BETWEEN_MINUTES: usize = 4_000;

/// A generator of pseudo-random numbers (xorshift64*), seeded by the number of the order.
struct Draw(u64);

impl Draw {
    fn of(seed: usize) -> Self {
        Self((seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(bits).unwrap_or(0) % bound
    }
}

fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => return,
    };
    for (name, value) in members {
        let pointer = format!("{at}/{name}");
        found.push(pointer.clone());
        pointers(value, &pointer, found);
    }
}

fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => drop(members.remove(name)),
        Some(Value::Array(items)) => {
            drop(name.parse().ok().filter(|at| *at < items.len()).map(|at: usize| items.remove(at)));
        }
        _ => {}
    }
}

/// The value as another type has it.
fn retyped(value: &Value, draw: &mut Draw) -> Value {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match draw.below(8) {
        0 => text.parse::<f64>().map_or_else(|_| json!(7), Value::from),
        1 => json!(text),
        2 => json!(true),
        3 => json!(false),
        4 => json!([value]),
        5 => json!({"value": value}),
        6 => json!(-1),
        _ => json!("1e400"),
    }
}

/// The value as a program writes it that does not know its encoding or country.
fn reencoded(value: &Value, draw: &mut Draw) -> Value {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    json!(match draw.below(8) {
        0 => text.bytes().map(char::from).collect::<String>(),
        1 => text.replace('.', ","),
        2 =>
            text.chars().map(|c| c.to_digit(10).and_then(|digit| char::from_u32(0x660 + digit)).unwrap_or(c)).collect(),
        3 => text.replace(['-', ':'], "/"),
        4 => format!("{text}\u{0}").replace('\u{0}', "\u{FEFF}"),
        5 => text.to_uppercase(),
        6 => format!(" {text}\t"),
        _ => format!("{text}{}", "é".repeat(5_000)),
    })
}

fn emptied(draw: &mut Draw) -> Value {
    let empty = [json!(null), json!(""), json!(" "), json!([]), json!({}), json!("n/a"), json!(0), json!("undefined")];
    empty[draw.below(empty.len())].clone()
}

/// The order with one to three of its fields changed; `keep` names what stays, so that every order is another.
fn mutated(mut order: Value, keep: &str, draw: &mut Draw) -> Value {
    for _ in 0..=draw.below(3) {
        let mut places = Vec::new();
        pointers(&order, "", &mut places);
        places.retain(|place| !keep.starts_with(place.as_str()));
        let place = places[draw.below(places.len())].clone();
        let Some(value) = order.pointer_mut(&place) else { continue };
        match draw.below(4) {
            0 => remove(&mut order, &place),
            1 => *value = emptied(draw),
            2 => *value = retyped(&value.clone(), draw),
            _ => *value = reencoded(&value.clone(), draw),
        }
    }
    order
}

/// Whether the answer is a verdict, or a refusal that names only required fields.
fn is_screened_or_refused_by_a_required_field(
    answer: &Answer,
    order: &Value,
    fields: &[Value],
    required: &[&str],
) -> Result<()> {
    if answer.status == 200 || answer.status == 202 {
        return Ok(());
    }
    ensure!([400, 406, 422].contains(&answer.status.as_u16()), "{answer:?} of {order}");
    let is_required = |field: &Value| {
        let field = field.as_str().unwrap_or_default();
        let plain: Vec<_> = field.split('/').map(|part| if part.parse::<u32>().is_ok() { "*" } else { part }).collect();
        required.contains(&plain.join("/").as_str())
    };
    ensure!(!fields.is_empty() && fields.iter().all(is_required), "{answer:?} of {order}");
    Ok(())
}

/// Sends mutated orders, each under its own number, and looks at every answer.
async fn send_all(pipeline: &Pipeline, send: impl AsyncFn(usize) -> Result<()>) -> Result<()> {
    for minute in 0..ORDERS.div_ceil(BETWEEN_MINUTES) {
        pipeline.door.clock.advance(std::time::Duration::from_secs(60));
        let numbers = minute * BETWEEN_MINUTES..ORDERS.min((minute + 1) * BETWEEN_MINUTES);
        stream::iter(numbers).map(|number| Ok(send(number))).try_buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    }
    Ok(())
}

fn listed_fields(answer: &Answer) -> Vec<Value> {
    let Ok(document) = answer.json() else { return Vec::new() };
    let listed =
        document["errors"].as_array().into_iter().flatten().map(|one| one["field"].clone()).collect::<Vec<_>>();
    if listed.is_empty() { vec![document["field"].clone()] } else { listed }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_signed_orders_are_screened_or_refused_by_a_required_field() -> Result<()> {
    let mut pipeline = Pipeline::embedded().await?;
    pipeline.score();
    let client = pipeline.client();
    let send = async |number: usize| {
        let id = format!("M-{number}");
        let order = mutated(super::warnings::order(&id), "/order_id", &mut Draw::of(number));
        let answer = client.analyze(&order).await?;
        let fields = listed_fields(&answer);
        is_screened_or_refused_by_a_required_field(&answer, &order, &fields, &["/amount", "/currency"])
    };
    send_all(&pipeline, send).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_checks_are_screened_or_refused_by_a_required_field() -> Result<()> {
    let mut pipeline = Pipeline::embedded().await?;
    pipeline.score();
    let client = checks_client(&pipeline);
    let required = [
        "/transaction/ordered_on",
        "/transaction/order_total",
        "/transaction/order_currency",
        "/products/*/product_id",
        "/products/*/title",
        "/products/*/price",
        "/products/*/quantity",
        "/products/product_id",
        "/products/title",
        "/products/price",
        "/products/quantity",
        "/transaction/type",
    ];
    let send = async |number: usize| {
        let check = mutated(check(&format!("M-{number}")), "/transaction/order_id", &mut Draw::of(number));
        let answer = client.check(&check).await?;
        let fields = [answer.json().unwrap_or_default()["source"].clone()];
        is_screened_or_refused_by_a_required_field(&answer, &check, &fields, &required)
    };
    send_all(&pipeline, send).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_placed_orders_are_taken_or_refused_by_a_required_field() -> Result<()> {
    let mut pipeline = Pipeline::embedded().await?;
    let key = pipeline.door.add_key(&pipeline.door.keys.mine, KeyMode::Live, KeyScope::Orders).await?;
    pipeline.score();
    let shop = Shop::at(&pipeline.door.url, &key.credentials.api_key);
    let address = ["firstName", "lastName", "address1", "city", "state", "country", "zip", "eveningPhone", "email"];
    let product = ["sku", "name", "sellingPrice", "qty", "stockNumber", "brandName", "brandname"];
    let payment = ["paymentType", "bin", "lastFour", "avsCode", "cidResponse"];
    let order =
        ["siteName", "grandTotal", "orderDate", "billing", "orderProducts", "payments"].map(|name| format!("/{name}"));
    let mut required: Vec<String> = order.into();
    required.extend(address.iter().map(|name| format!("/billing/{name}")));
    for name in product {
        required.extend([
            format!("/orderProducts/*/{name}"),
            format!("/orderProducts/{name}"),
            "/orderProducts/*".to_owned(),
        ]);
    }
    for name in payment {
        required.extend([format!("/payments/*/{name}"), format!("/payments/{name}"), "/payments/*".to_owned()]);
    }
    let required: Vec<&str> = required.iter().map(String::as_str).collect();
    let send = async |number: usize| {
        let mut order = placed_order(&format!("M-{number}"));
        // Moved to another field it would be a card number, and rightly refused.
        order["payments"][0]["gatewayTransactionId"] = json!(format!("ch_{number}"));
        let order = mutated(order, "/orderNumber", &mut Draw::of(number));
        let answer = shop.submit(&order).await?;
        let fields = listed_fields(&answer);
        is_screened_or_refused_by_a_required_field(&answer, &order, &fields, &required)
    };
    send_all(&pipeline, send).await
}

fn check(id: &str) -> Value {
    json!({
        "transaction": {"type": "sale", "order_id": id, "ordered_on": "2026-05-04 12:00:00", "order_is_digital": false,
            "order_total": "129.90", "order_currency": "EUR", "status": "new", "user_id": format!("u-{id}"), "order_count": 3,
            "total_spent": 812.5, "session_id": format!("s-{id}"), "coupon_code": "TEN", "order_subtotal": 125, "order_tax": 0,
            "order_shipping": 4.9, "order_discount": 10},
        "billing": {"first_name": "Ann", "last_name": "Lee", "address1": "Street 1", "city": "Berlin", "postal_code": 10115,
            "country": "DE", "email": format!("ann.{id}@keller-garden.com"), "phone": "+49 30 123456"},
        "shipping": {"city": "Potsdam", "country": "DE"},
        "payment": {"method": "card", "type": "visa", "bin": "411111", "last_4": "4242", "exp_date": "0928",
            "avs_result_code": "Y", "cvv_result_code": "M", "auth_attempts": 1, "eci": "05", "payment_status": "auth"},
        "device": {"ip_address": "73.138.111.54", "user_agent": "Mozilla/5.0", "fingerprint_id": format!("d-{id}"), "language": "de",
            "time_zone": "Europe/Berlin", "is_proxy": false},
        "delivery": {"method": "Express"}, "promotions": [{"code": "SPRING", "amount": "1.50"}],
        "products": [{"product_id": "A-7", "title": "Shoe", "price": 62.5, "quantity": 2}],
    })
}
