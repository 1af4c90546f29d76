//! What holds of the readers of request bodies whatever is sent. Property tests and fuzz targets call these functions, which
//! panic where it does not hold.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use touchstone_schema::card;
use touchstone_schema::checks::{State, Subject};
use touchstone_schema::ids::{MerchantId, StoreId};
use touchstone_schema::json::Json;
use touchstone_schema::limits::{ORDER_ID_CHARS, ORDER_WARNINGS};
use touchstone_schema::order::Order;
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{InputSettings, Product, RiskGroups, StoreMode, StoreProfile};
use touchstone_schema::time::Timestamp;

use crate::order_body::{handling, read_order};
use crate::problem::Problem;
use crate::surfaces::{centra, checks, orders};

fn headers() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))])
}

fn store(is_strict: bool) -> StoreProfile {
    let now = Timestamp::from_millis(1_777_900_000_000);
    StoreProfile {
        store_id: StoreId::mint(now, [1; 10]),
        merchant_id: MerchantId::mint(now, [1; 10]),
        name: String::new(),
        mode: StoreMode::Live,
        product: Product::Guaranteed,
        currency: "EUR".to_owned(),
        rate_limit_per_minute: 1,
        risk_groups: RiskGroups::default(),
        input: InputSettings { is_strict, own_domains: Vec::new() },
        data_key: Secret::new(*b"data key"),
    }
}

/// Reads a body leniently. What is read strictly is read leniently too, and a refusal blames the sender and names a field or
/// the whole document.
fn read<T>(read: impl Fn(&StoreProfile) -> Result<T, Problem>) -> Option<T> {
    let lenient = read(&store(false));
    match (&lenient, read(&store(true))) {
        (Err(problem), Ok(_)) => panic!("read strictly and refused leniently: {problem:?}"),
        (Err(problem), Err(_)) => {
            assert!(problem.status.is_client_error(), "{problem:?}");
            assert!(
                problem.faults().iter().all(|(_, message)| message.to_lowercase().contains("expected")),
                "{problem:?}"
            );
        }
        (Ok(_), _) => {}
    }
    lenient.ok()
}

/// What the scorer reads of a document that travels; it has no full card number.
fn travels(document: &str) -> Order {
    let mut json = Json::parse_text(document).expect("what was read can be read again");
    let order = Order::parse(&json).expect("the scorer reads what was accepted");
    assert!(order.warnings.len() <= ORDER_WARNINGS, "{}", order.warnings.len());
    assert!(!card::mask(&mut json), "a card number travels: {document}");
    order
}

/// A body of `POST /v1/analyze`.
///
/// # Panics
/// When something does not hold.
pub fn signed_order(body: &[u8]) {
    let order = read(|store| {
        let headers = headers();
        read_order(&headers, body, handling(&headers, store))
    });
    if let Some(order) = order {
        assert_eq!(travels(order.document.get()).order_id, order.order_id);
    }
}

/// A body of a check, of a transaction or of a cart.
///
/// # Panics
/// When something does not hold.
pub fn check(body: &[u8]) {
    for subject in [Subject::Transaction, Subject::Cart] {
        let Some((check, _)) = read(|store| checks::check::read(&headers(), body, store, subject)) else { continue };
        let order = travels(&check.document);
        // A longer id travels shortened, with its hash.
        if check.id.chars().count() <= ORDER_ID_CHARS {
            assert_eq!(order.order_id, check.id);
        }
        let stored = Json::parse_text(&check.document).expect("JSON");
        assert_eq!(State::of_order(&stored).expect("a check is kept with its state").subject, subject);
    }
}

/// A body of an update of a check.
///
/// # Panics
/// When something does not hold.
pub fn check_update(body: &[u8]) {
    for subject in [Subject::Transaction, Subject::Cart] {
        if let Some(update) = read(|store| checks::update::read(&headers(), body, store, subject)) {
            State::new(subject).apply(&update);
        }
    }
}

/// A body of `POST /v1/orders`.
///
/// # Panics
/// When something does not hold.
pub fn placed_order(body: &[u8]) {
    if let Some(order) = read(|store| orders::submit::read(&headers(), body, store)) {
        travels(order.document.get());
        let mut original = Json::parse_text(&order.original).expect("what is kept of it is JSON");
        assert!(!card::mask(&mut original), "a card number is kept: {}", order.original);
    }
}

/// A body that Centra sends.
///
/// # Panics
/// When something does not hold.
pub fn centra_notice(body: &[u8]) {
    if let Some(notice) = read(|_| centra::read::read_notice(&headers(), body)) {
        assert!(!notice.kind.is_empty() && !notice.reference.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use touchstone_hostile::{assert_holds, assert_mutations_within_budget, samples};

    use super::*;

    #[test]
    fn any_signed_order_is_read_or_refused_by_field() {
        assert_holds(samples::SIGNED_ORDERS, signed_order);
    }

    #[test]
    fn any_check_is_read_or_refused_by_field() {
        assert_holds(samples::CHECKS, check);
    }

    #[test]
    fn any_check_update_is_read_or_refused_by_field() {
        assert_holds(samples::CHECK_UPDATES, check_update);
    }

    #[test]
    fn any_placed_order_is_read_or_refused_by_field() {
        assert_holds(samples::PLACED_ORDERS, placed_order);
    }

    #[test]
    fn any_centra_notice_is_read_or_refused_by_field() {
        assert_holds(samples::CENTRA_NOTICES, centra_notice);
    }

    #[test]
    fn reading_mutations_costs_a_fixed_multiple_of_their_bytes_on_every_surface() {
        let (headers, store) = (headers(), store(false));
        let of = |samples| samples::first_document(samples);
        let strictness = handling(&headers, &store);
        assert_mutations_within_budget(&of(samples::SIGNED_ORDERS), |text| {
            read_order(&headers, text.as_bytes(), strictness)
        });
        assert_mutations_within_budget(&of(samples::CHECKS), |text| {
            checks::check::read(&headers, text.as_bytes(), &store, Subject::Transaction)
        });
        assert_mutations_within_budget(&of(samples::CHECK_UPDATES), |text| {
            checks::update::read(&headers, text.as_bytes(), &store, Subject::Transaction)
        });
        assert_mutations_within_budget(&of(samples::PLACED_ORDERS), |text| {
            orders::submit::read(&headers, text.as_bytes(), &store)
        });
        assert_mutations_within_budget(&of(samples::CENTRA_NOTICES), |text| {
            centra::read::read_notice(&headers, text.as_bytes())
        });
    }
}
