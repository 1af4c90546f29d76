//! Trial orders: numbers that begin `TEST-`, with totals that give an answer of the table instead of a verdict's.
//!
//! They are screened like any other, so that webhooks can be tried, but in the test world: the store's history and norms
//! never see them.

use touchstone_schema::money::Money;

use super::standing::{EfraudClass, Status};

/// What the number of a trial order begins with.
const PREFIX: &str = "TEST-";

/// One line of the table: hundredths of the total, and what is answered. 0.12 is no line: it is scored like any other.
const ANSWERS: [(i64, Status, Option<EfraudClass>); 8] = [
    (11, Status::ScoreOnly, None),
    (13, Status::Allowed, None),
    (14, Status::Rejected, None),
    (15, Status::Fraud, Some(EfraudClass::Probable)),
    (16, Status::Fraud, Some(EfraudClass::Missed)),
    (17, Status::Cancelled, None),
    (18, Status::Safe, None),
    (19, Status::Review, None),
];

/// What the table answers to an order, if it is a trial order.
pub(super) fn answer(order_number: &str, total: Money) -> Option<(Status, Option<EfraudClass>)> {
    if !order_number.starts_with(PREFIX) {
        return None;
    }
    let unit = 10_i64.pow(total.currency().exponent());
    let line = ANSWERS.iter().find(|(hundredths, ..)| hundredths * unit == total.minor() * 100)?;
    Some((line.1, line.2))
}

#[cfg(test)]
mod tests {
    use touchstone_schema::money::Currency;

    use super::*;

    fn money(text: &str, code: &str) -> Money {
        Money::parse(text, Currency::from_code(code).expect("a currency")).expect("an amount")
    }

    #[test]
    fn number_and_total_make_a_trial_order_in_every_currency_that_has_cents() {
        for code in ["USD", "EUR", "KWD"] {
            assert_eq!(answer("TEST-1", money("0.13", code)), Some((Status::Allowed, None)), "{code}");
        }
        assert_eq!(answer("TEST-", money("0.16", "USD")), Some((Status::Fraud, Some(EfraudClass::Missed))));
    }

    #[test]
    fn all_other_orders_are_scored() {
        for (number, total) in [("TEST-1", "0.12"), ("TEST-1", "0.10"), ("TEST-1", "0.20"), ("TEST-1", "13")] {
            assert_eq!(answer(number, money(total, "USD")), None, "{number} {total}");
        }
        for number in ["test-1", "TEST1", " TEST-1", "A-TEST-1"] {
            assert_eq!(answer(number, money("0.13", "USD")), None, "{number}");
        }
        assert_eq!(answer("TEST-1", money("13", "JPY")), None);
    }
}
