//! Whether a check is of a sale. Other payments have the same form, and would be scored as purchases of their own.

use super::Subject;
use crate::input::{Findings, Section};

/// What shops and gateways call a payment that is no sale, letters and digits alone.
const NO_SALES: [&str; 22] = [
    "refund",
    "refunds",
    "refunded",
    "partialrefund",
    "partiallyrefunded",
    "return",
    "returned",
    "exchange",
    "credit",
    "creditmemo",
    "creditnote",
    "payout",
    "void",
    "voided",
    "reversal",
    "reversed",
    "cancel",
    "cancelled",
    "canceled",
    "cancellation",
    "chargeback",
    "dispute",
];

/// Refuses a check whose type says that it is no sale. A word that is not known is no reason to leave an order unscreened.
pub(super) fn refuse_other_than_sale(transaction: Section<'_>, subject: Subject, findings: &mut Findings) {
    let Some(word) = transaction.member("type").and_then(|kind| kind.as_str()) else { return };
    let plain: String = word.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    if NO_SALES.contains(&plain.as_str()) {
        let path = match subject {
            Subject::Transaction => "/v2/risk/order",
            Subject::Cart => "/v2/risk/cart",
        };
        let told = instead_of(&plain, subject);
        let expected = format!("expected sale: a {plain} is not scored; send PATCH {path} with {told} instead");
        transaction.refuse("type", expected, findings);
    }
}

/// The members of an update that say what the word means.
fn instead_of(word: &str, subject: Subject) -> &'static str {
    match (word, subject) {
        ("return" | "returned" | "exchange", Subject::Transaction) => "status returned",
        ("void" | "voided", _) => "payment_status void",
        ("cancel" | "cancelled" | "canceled" | "cancellation", _) => "status cancelled",
        ("chargeback" | "dispute", _) => "chargeback_status opened, won or lost",
        ("partialrefund" | "partiallyrefunded", _) => "payment_status partially refunded",
        _ => "payment_status refunded",
    }
}
