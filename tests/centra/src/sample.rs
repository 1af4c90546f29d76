//! Orders to begin with. Everything but the time follows from the number, and differs between numbers.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{Address, Customer, Device, Line, Money, Order, Payment, PaymentMethod, faults::spread};

const FIRST_NAMES: &[&str] = &["Anna", "Elin", "Jonas", "Karin", "Lars", "Maria", "Nils", "Sven"];
const LAST_NAMES: &[&str] = &["Berg", "Dahl", "Ek", "Holm", "Lindqvist", "Nilsson", "Sand"];
const STREETS: &[&str] = &["Roslagsgatan", "Storgatan", "Kungsgatan", "Odengatan", "Vasagatan"];
/// Towns with the first three digits of their postal codes.
const TOWNS: &[(&str, &str)] = &[("Stockholm", "113"), ("Uppsala", "753"), ("Lund", "222")];
const GOODS: &[(&str, &str)] = &[("T-shirt", "TEE"), ("Linen shirt", "SHI"), ("Wool scarf", "SCA"), ("Jeans", "JEA")];

const FIREFOX: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 14.4; rv:123.0) Gecko/20100101 Firefox/123.0";
const HELD: &str = "WAITING_FOR_FRAUD_CHECK";

pub(crate) fn held(number: i32) -> Order {
    let created_at = now();
    let home = home(number);
    let price = Money::from_minor_units(3_900 + i64::from(number.rem_euclid(9)) * 1_000, "EUR");
    let reference = psp_reference(number, 0);
    Order {
        id: id(number),
        number,
        external_id: None,
        status: "PENDING".to_owned(),
        hold_reasons: vec![HELD.to_owned()],
        on_hold: None,
        locked: false,
        store_id: 1,
        created_at,
        updated_at: created_at,
        user_ip: Some(swedish_ip(number)),
        customer: Some(Customer {
            id: 10_000 + number,
            email: home.email.clone(),
            first_name: home.first_name.clone(),
            last_name: home.last_name.clone(),
        }),
        billing: Some(home.clone()),
        shipping: Some(home),
        lines: vec![line(number, 1, price.clone())],
        payments: vec![Payment::authorization("SUCCESS", price.clone(), created_at, &reference)],
        grand_total: price,
        payment_method: Some(PaymentMethod::adyen_drop_in()),
        psp_response: authorised(&reference, number, "SE"),
        device: None,
    }
}

pub(crate) fn ordinary(number: i32) -> Order {
    let order = held(number);
    let device = device("sv-sv", &swedish_ip(number));
    order.with_device(device)
}

pub(crate) fn suspicious(number: i32) -> Order {
    let order = held(number);
    let price = Money::new("1249.00", "EUR");
    let express = Line { name: "Express delivery".to_owned(), ..line(number, 1, Money::new("39.00", "EUR")) };
    let total = Money::new("3786.00", "EUR");
    let created_at = order.created_at;
    let attempt = |status: &str, attempt: u8| {
        let at = created_at - TimeDelta::seconds(i64::from(4 - attempt) * 20);
        Payment::authorization(status, total.clone(), at, &psp_reference(number, attempt))
    };
    let attempts = vec![attempt("FAILED", 1), attempt("FAILED", 2), attempt("FAILED", 3), attempt("SUCCESS", 4)];
    let address = format!("91.219.{}.{}", byte(number, 0), byte(number, 1));
    let home = home(number);
    let abroad = Address { first_name: "Ivan".to_owned(), last_name: "Petrov".to_owned(), ..home.clone() };
    Order {
        lines: vec![Line { name: "Leather jacket".to_owned(), ..line(number, 3, price) }, express],
        grand_total: total.clone(),
        payments: attempts,
        psp_response: authorised(&psp_reference(number, 4), number, "US"),
        customer: None,
        device: Some(device("ru-ru", &address)),
        ..order
    }
    .with_billing(home)
    .with_shipping(abroad.moved_to("12 Marina Road", "Lagos", "101241", "NG"))
    .with_email("x@mailinator.com")
    .with_user_ip(&address)
}

/// The time, in whole seconds, as the shop tells it.
#[expect(clippy::disallowed_methods, reason = "a shop has its own clock, which no test of the product holds")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(0)
}

/// The hash of the order with this number.
fn id(number: i32) -> String {
    let number = i64::from(number).cast_unsigned();
    format!("{:016x}{:016x}", spread(number), spread(number ^ u64::MAX))
}

fn home(number: i32) -> Address {
    let first_name = pick(FIRST_NAMES, number, 1);
    let last_name = pick(LAST_NAMES, number, 2);
    let (city, zip_start) = *pick(TOWNS, number, 3);
    let mail_name = format!("{first_name}.{last_name}").to_lowercase();
    Address {
        first_name: (*first_name).to_owned(),
        last_name: (*last_name).to_owned(),
        address1: format!("{} {}", pick(STREETS, number, 4), number.rem_euclid(90) + 1),
        city: city.to_owned(),
        zip_code: format!("{zip_start} {:02}", number.rem_euclid(90) + 10),
        country: "SE".to_owned(),
        phone_number: format!("+46 70 {:03} {:04}", number.rem_euclid(900) + 100, number.rem_euclid(10_000)),
        email: format!("{mail_name}{number}@example.com"),
        ..Address::default()
    }
}

fn line(number: i32, quantity: i32, unit_price: Money) -> Line {
    let (name, code) = *pick(GOODS, number, 5);
    Line {
        sku: format!("{code}-{}", number.rem_euclid(500)),
        ean: format!("73{:010}", number.rem_euclid(1_000_000)),
        brand: "Norrsken".to_owned(),
        name: name.to_owned(),
        quantity,
        unit_price,
    }
}

fn device(browser_language: &str, ip_address: &str) -> Device {
    Device {
        browser_language: browser_language.to_owned(),
        ip_address: ip_address.to_owned(),
        user_agent: FIREFOX.to_owned(),
    }
}

/// What Adyen says of a card that it has let through.
fn authorised(psp_reference: &str, number: i32, issuer_country: &str) -> Value {
    json!([{
        "pspReference": psp_reference,
        "resultCode": "Authorised",
        "merchantReference": number.to_string(),
        "additionalData": {
            "paymentMethod": "visa",
            "cardBin": "453978",
            "cardSummary": format!("{:04}", number.rem_euclid(10_000)),
            "cardIssuingCountry": issuer_country,
            "expiryDate": "3/2030",
        },
    }])
}

/// Begins with letters, so that it cannot pass for a card number.
fn psp_reference(number: i32, attempt: u8) -> String {
    format!("NC{:012X}{attempt:02}", spread(i64::from(number).cast_unsigned()) >> 16)
}

fn swedish_ip(number: i32) -> String {
    format!("81.230.{}.{}", byte(number, 0), byte(number, 1))
}

/// One to 250, by number.
fn byte(number: i32, place: u32) -> i32 {
    number.rem_euclid(62_500) / 250_i32.pow(place) % 250 + 1
}

fn pick<T>(all: &[T], number: i32, salt: u64) -> &T {
    let place = spread(i64::from(number).cast_unsigned().wrapping_mul(8).wrapping_add(salt)) % all.len() as u64;
    &all[place as usize]
}
