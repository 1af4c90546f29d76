//! From bytes to a notice: which order, what of it, and everything else as it came.
//!
//! Guarantee: what comes out holds no full card number outside identifiers; a notice is never refused for one. Nothing
//! beside the order's reference and the type can make a notice unacceptable.

use http::HeaderMap;
use serde_json::value::RawValue;
use touchstone_schema::card;
use touchstone_schema::centra::FAILED_NOTICE;
use touchstone_schema::fault::Fault;
use touchstone_schema::json::Json;
use touchstone_schema::limits;

use super::attempt::Attempt;
use crate::order_body::read_json;
use crate::problem::Problem;

/// Longest `notificationType`, in characters.
const KIND_CHARS: usize = 64;

/// A notice that may be handed on.
#[derive(Debug)]
pub(crate) struct TakenNotice {
    /// Its `notificationType`.
    pub(crate) kind: String,
    /// Its `order.order`, without blanks around it.
    pub(crate) reference: String,
    pub(super) content: Content,
}

/// What is handed on of a notice.
#[derive(Debug)]
pub(super) enum Content {
    /// Of a failed payment.
    Attempt(Attempt),
    /// Of any other: all of it, card numbers masked.
    Whole(Box<RawValue>),
}

/// A notice that was read.
#[derive(Debug)]
struct NoticeBody<'a> {
    kind: String,
    reference: String,
    /// All of it, card numbers masked.
    document: Json<'a>,
}

impl NoticeBody<'_> {
    /// The document as it travels: the same however it was spaced.
    fn raw(&self) -> Result<Box<RawValue>, Problem> {
        RawValue::from_string(self.document.to_json_string()).map_err(|error| {
            tracing::error!(%error, "a parsed notice could not be written");
            Problem::internal()
        })
    }
}

/// Reads a notice of an acceptable content type.
pub(crate) fn read_notice(headers: &HeaderMap, body: &[u8]) -> Result<TakenNotice, Problem> {
    let body = notice(read_json(headers, body)?).map_err(Problem::bad_fields)?;
    let content = if body.kind == FAILED_NOTICE {
        Content::Attempt(Attempt::of(&body.document))
    } else {
        Content::Whole(body.raw()?)
    };
    Ok(TakenNotice { kind: body.kind, reference: body.reference, content })
}

fn notice(mut document: Json<'_>) -> Result<NoticeBody<'_>, Vec<Fault>> {
    let mut faults = Vec::new();
    let sent = reference(&document);
    card::mask(&mut document);
    // Ids are hashes, in which a run of digits may look like a card; what is nothing but digits is masked like the rest.
    let reference =
        sent.filter(|sent| sent.bytes().any(|byte| byte.is_ascii_alphabetic())).or_else(|| reference(&document));
    if reference.is_none() {
        let expected =
            format!("expected a text or a number of 1 to {} characters; it is required", limits::ORDER_ID_CHARS);
        faults.push(Fault::new("/order/order", expected));
    }
    let kind = document.get("notificationType").and_then(Json::as_str).map(str::trim);
    let kind = kind.filter(|kind| is_plain(kind, KIND_CHARS)).map(str::to_owned);
    if kind.is_none() {
        let expected = format!("expected a text of 1 to {KIND_CHARS} printable characters; it is required");
        faults.push(Fault::new("/notificationType", expected));
    }
    match (kind, reference) {
        (Some(kind), Some(reference)) => Ok(NoticeBody { kind, reference, document }),
        _ => Err(faults),
    }
}

/// A number is taken as it is written.
fn reference(document: &Json<'_>) -> Option<String> {
    let reference = match document.get("order")?.get("order")? {
        Json::String(text) => text.trim(),
        Json::Number(raw) => raw,
        _ => return None,
    };
    is_plain(reference, limits::ORDER_ID_CHARS).then(|| reference.to_owned())
}

/// Whether it has between one and `most` characters, none of them a control character.
fn is_plain(text: &str, most: usize) -> bool {
    !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use touchstone_hostile::{Form, assert_within_budget, documents};

    use super::*;

    fn read(text: &str) -> Result<NoticeBody<'_>, Vec<String>> {
        let document = Json::parse_text(text).expect("the test sends JSON");
        notice(document).map_err(|faults| faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn reference_and_type_are_all_that_is_needed() {
        for (order, reference) in [
            (json!("#1001"), "#1001"),
            (json!(" 1015bd448795c9df7f7bf369ddef09d3 "), "1015bd448795c9df7f7bf369ddef09d3"),
            (json!(1001), "1001"),
            (json!("x".repeat(128)), &"x".repeat(128)),
        ] {
            let text =
                json!({"order": {"order": order}, "notificationType": " news ", "paymentDetails": 7}).to_string();
            let body = read(&text).expect("a notice");
            assert_eq!((body.reference.as_str(), body.kind.as_str()), (reference, "news"));
        }
    }

    #[test]
    fn what_is_needed_and_wrong_is_named_by_its_pointer() {
        let kind = json!("orderWaitingForFraudCheck");
        for order in
            [json!(null), json!(""), json!("  "), json!("a\tb"), json!(["1"]), json!("x".repeat(129)), json!(true)]
        {
            let text = json!({"order": {"order": order}, "notificationType": kind}).to_string();
            assert_eq!(read(&text).expect_err("refused"), ["/order/order"], "{text}");
        }
        for kind in [json!(null), json!(""), json!(7), json!("a\nb"), json!("x".repeat(65))] {
            let text = json!({"order": {"order": "1"}, "notificationType": kind}).to_string();
            assert_eq!(read(&text).expect_err("refused"), ["/notificationType"], "{text}");
        }
        for text in ["{}", "[]", "7", r#"{"order": "1"}"#, r#"{"order": [], "notificationType": {}}"#] {
            assert_eq!(read(text).expect_err("refused"), ["/order/order", "/notificationType"], "{text}");
        }
    }

    #[test]
    fn card_numbers_are_masked_and_ids_stay_as_they_are() {
        let id = "4111111111111111bd448795c9df4111";
        let text = json!({
            "order": {"order": id}, "notificationType": "failedPaymentAttempt",
            "paymentDetails": {"pspResponse": ["4111 1111 1111 1111", {"card": {"number": 4_111_111_111_111_111_u64}}]},
        });
        let text = text.to_string();
        let body = read(&text).expect("a notice");
        assert_eq!(body.reference, id);
        let raw = body.raw().expect("JSON");
        assert!(!raw.get().contains("411111111111") && !raw.get().contains("4111 1111"), "{raw}");

        let text =
            json!({"order": {"order": "4111 1111 1111 1111"}, "notificationType": "4111111111111111"}).to_string();
        let body = read(&text).expect("a notice");
        assert!(!format!("{body:?}").contains("1111 1111") && !body.kind.contains("11111"), "{body:?}");
    }

    #[test]
    fn reading_a_notice_costs_a_fixed_multiple_of_its_bytes_whatever_its_shape() {
        let headers = [(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))];
        let headers = HeaderMap::from_iter(headers);
        for members in [
            r#""order":{"order":"1001"},"notificationType":"orderWaitingForFraudCheck""#,
            r#""order":{"order":"1001"},"notificationType":"failedPaymentAttempt""#,
        ] {
            let form = Form { members, list: "orderLines", item: r#"{"sku":"A","name":"T-shirt","quantity":1}"# };
            assert_within_budget(&documents(form), |shape| read_notice(&headers, shape.text.as_bytes()));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(document) = Json::parse(&body) {
                let _ = notice(document);
            }
        }

        #[test]
        fn whatever_is_beside_the_two_is_kept(order in "[0-9a-f]{1,12}", other in "[a-z]{1,9}", value in any::<i32>()) {
            let text = json!({"order": {"order": order}, "notificationType": "news", "else": {&other: value}}).to_string();
            let body = read(&text).expect("a notice");
            let raw: serde_json::Value = serde_json::from_str(body.raw().expect("JSON").get()).expect("JSON");
            prop_assert_eq!(&raw["else"][&other], value);
        }
    }
}
