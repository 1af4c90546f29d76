//! What a payment provider's own answer says of a card and of its issuer's checks.
//!
//! Read are the members that Adyen documents for payments (`additionalData`), Stripe for charges and payment intents
//! (`payment_method_details.card`), and PayPal for orders (`processor_response`, `payment_source.card`). What the
//! issuer's answers mean is in `schema/src/issuer/`. Of another provider, or of an answer that is no JSON, nothing is known.

use serde_json::{Value, json};
use touchstone_schema::json::Json;

use super::super::order::{members, text};

/// Largest answer of a provider that is looked into, in bytes.
const ANSWER_BYTES: usize = 262_144;
/// Longest answer of an issuer that is passed on, in bytes: the longest known one has 62.
const CHECK_BYTES: usize = 128;

/// What a provider's answer says of a card: members of a canonical `payment`.
pub(super) fn card(answer: &str) -> Value {
    if answer.len() > ANSWER_BYTES {
        return Value::Null;
    }
    let Ok(answer) = Json::parse_text(answer) else { return Value::Null };
    if let Some(card) = stripe_card(&answer) {
        return of_stripe(card);
    }
    if let Some(response) = paypal_response(&answer) {
        return of_paypal(&answer, response);
    }
    of_adyen(answer.get("additionalData").unwrap_or(&answer))
}

fn of_adyen(details: &Json<'_>) -> Value {
    let bin = digits(details, "cardBin", 6..=8);
    let last4 = digits(details, "cardSummary", 4..=4);
    let is_card = !bin.is_null() || !last4.is_null();
    // The answer in Adyen's words is the same for all schemes; the raw one is the scheme's letter.
    let either = |words: &str, raw: &str| match check(details, words) {
        Value::Null => code(details, raw),
        words => words,
    };
    members([
        ("method", if is_card { json!("card") } else { Value::Null }),
        ("card_bin", bin),
        ("card_last4", last4),
        ("card_expiry", month_of_year(details, "expiryDate")),
        ("card_brand", if is_card { text(details, "paymentMethod") } else { Value::Null }),
        ("card_funding", text(details, "fundingSource")),
        ("card_fingerprint", text(details, "alias")),
        ("avs_result", either("avsResult", "avsResultRaw")),
        ("cvv_result", either("cvcResult", "cvcResultRaw")),
        ("eci", code(details, "eci")),
    ])
}

/// The card of a charge, or of the newest charge of a payment intent.
fn stripe_card<'r, 'd>(answer: &'r Json<'d>) -> Option<&'r Json<'d>> {
    let first = |charges: &'r Json<'d>| charges.get("data").and_then(Json::as_array).and_then(<[_]>::first);
    let charge = answer.get("latest_charge").filter(|charge| charge.as_object().is_some());
    let charge = charge.or_else(|| answer.get("charges").and_then(first)).unwrap_or(answer);
    charge.get("payment_method_details")?.get("card").filter(|card| card.as_object().is_some())
}

fn of_stripe(card: &Json<'_>) -> Value {
    let of_check = |key: &str| card.get("checks").map_or(Value::Null, |checks| check(checks, key));
    members([
        ("method", json!("card")),
        ("card_bin", digits(card, "iin", 6..=8)),
        ("card_last4", digits(card, "last4", 4..=4)),
        ("card_expiry", month_and_year(card)),
        ("card_brand", text(card, "brand")),
        ("card_funding", text(card, "funding")),
        ("card_fingerprint", text(card, "fingerprint")),
        ("avs_street_result", of_check("address_line1_check")),
        ("avs_postal_result", of_check("address_postal_code_check")),
        ("cvv_result", of_check("cvc_check")),
    ])
}

/// The processor's answer of an authorization, of a capture, or of an order that has one of them.
fn paypal_response<'r, 'd>(answer: &'r Json<'d>) -> Option<&'r Json<'d>> {
    let of_order = || {
        let payments = answer.get("purchase_units")?.as_array()?.first()?.get("payments")?;
        let kinds = ["authorizations", "captures"].into_iter();
        let mut of_kind = kinds.filter_map(|kind| payments.get(kind)?.as_array()?.first()?.get("processor_response"));
        of_kind.next()
    };
    answer.get("processor_response").or_else(of_order).filter(|response| response.as_object().is_some())
}

fn of_paypal(answer: &Json<'_>, response: &Json<'_>) -> Value {
    let card = answer.get("payment_source").and_then(|source| source.get("card"));
    let of_card = |read: &dyn Fn(&Json<'_>) -> Value| card.map_or(Value::Null, read);
    members([
        ("method", if card.is_some() { json!("card") } else { Value::Null }),
        ("card_last4", of_card(&|card| digits(card, "last_digits", 4..=4))),
        ("card_expiry", of_card(&|card| year_and_month(card, "expiry"))),
        ("card_brand", of_card(&|card| text(card, "brand"))),
        ("card_funding", of_card(&|card| text(card, "type"))),
        ("avs_result", check(response, "avs_code")),
        ("cvv_result", check(response, "cvv_code")),
    ])
}

fn digits(details: &Json<'_>, key: &str, span: std::ops::RangeInclusive<usize>) -> Value {
    let text = text(details, key);
    let fits = |text: &str| span.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if text.as_str().is_some_and(fits) { text } else { Value::Null }
}

/// An answer of the issuer in a provider's words, as it is.
fn check(details: &Json<'_>, key: &str) -> Value {
    let text = text(details, key);
    if text.as_str().is_some_and(|text| text.len() <= CHECK_BYTES) { text } else { Value::Null }
}

/// A code of a card scheme: one or two characters. `N/A` and the like say nothing.
fn code(details: &Json<'_>, key: &str) -> Value {
    let text = text(details, key);
    let fits = |text: &str| text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if text.as_str().is_some_and(fits) { text } else { Value::Null }
}

/// `3/2030` as `03/30`.
fn month_of_year(details: &Json<'_>, key: &str) -> Value {
    let text = text(details, key);
    expiry(text.as_str().and_then(|text| text.split_once('/')))
}

/// `2030-03` as `03/30`.
fn year_and_month(details: &Json<'_>, key: &str) -> Value {
    let text = text(details, key);
    expiry(text.as_str().and_then(|text| text.split_once('-')).map(|(year, month)| (month, year)))
}

/// `{"exp_month": 3, "exp_year": 2030}` as `03/30`.
fn month_and_year(card: &Json<'_>) -> Value {
    let number = |key: &str| match card.get(key) {
        Some(Json::Number(raw)) => Some(*raw),
        _ => None,
    };
    expiry(number("exp_month").zip(number("exp_year")))
}

fn expiry(parts: Option<(&str, &str)>) -> Value {
    let month = parts.and_then(|(month, _)| month.parse::<u8>().ok()).filter(|month| (1..=12).contains(month));
    let year = parts.and_then(|(_, year)| year.parse::<u16>().ok()).filter(|year| (2000..2100).contains(year));
    month.zip(year).map_or(Value::Null, |(month, year)| format!("{month:02}/{:02}", year % 100).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_of_adyen_are_taken_before_the_letters_of_the_scheme() {
        let answer = json!({"additionalData": {"cardBin": "411111", "avsResult": "2 Neither postal code nor address match",
            "avsResultRaw": "N", "cvcResult": "1 Matches", "cvcResultRaw": "M"}});
        let card = card(&answer.to_string());
        let expected = json!(["2 Neither postal code nor address match", "1 Matches"]);
        assert_eq!(json!([card["avs_result"], card["cvv_result"]]), expected);
    }

    #[test]
    fn checks_of_a_stripe_charge_are_read_wherever_the_charge_is() {
        let charge = json!({"payment_method_details": {"card": {"brand": "visa", "last4": "4242", "exp_month": 3,
            "exp_year": 2030, "fingerprint": "fp", "funding": "credit", "checks": {"address_line1_check": "pass",
            "address_postal_code_check": "fail", "cvc_check": "unavailable"}}}});
        let expected = json!({
            "method": "card", "card_last4": "4242", "card_expiry": "03/30", "card_brand": "visa", "card_funding": "credit",
            "card_fingerprint": "fp", "avs_street_result": "pass", "avs_postal_result": "fail", "cvv_result": "unavailable",
        });
        for answer in [charge.clone(), json!({"latest_charge": charge}), json!({"charges": {"data": [charge]}})] {
            assert_eq!(card(&answer.to_string()), expected, "{answer}");
        }
    }

    #[test]
    fn codes_of_a_paypal_order_are_read() {
        let response = json!({"avs_code": "A", "cvv_code": "M"});
        let order = json!({
            "payment_source": {"card": {"brand": "AMEX", "last_digits": "1008", "expiry": "2030-03", "type": "CREDIT"}},
            "purchase_units": [{"payments": {"captures": [{"processor_response": response}]}}],
        });
        let expected = json!({
            "method": "card", "card_last4": "1008", "card_expiry": "03/30", "card_brand": "AMEX", "card_funding": "CREDIT",
            "avs_result": "A", "cvv_result": "M",
        });
        assert_eq!(card(&order.to_string()), expected);
        let alone = json!({"processor_response": response});
        assert_eq!(card(&alone.to_string()), json!({"avs_result": "A", "cvv_result": "M"}));
    }

    proptest! {
        #[test]
        fn no_answer_of_a_provider_panics(answer in ".{0,200}") {
            card(&answer);
            let details = json!({"additionalData": {"expiryDate": answer, "cardBin": answer, "avsResultRaw": answer}});
            card(&details.to_string());
            let charge = json!({"payment_method_details": {"card": {"checks": answer, "last4": answer}}});
            card(&charge.to_string());
            let order = json!({"processor_response": {"avs_code": answer}, "payment_source": {"card": {"expiry": answer}}});
            card(&order.to_string());
        }
    }
}
