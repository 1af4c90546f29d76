//! How rules name a measure of history: `history.KEY.WINDOW.MEASURE`, such as `history.card.24h.orders`.

use std::time::Duration;

use touchstone_schema::history::HistoryKeyKind;
use touchstone_schema::limits::HISTORY_SPAN;
use touchstone_schema::wire_enum;

wire_enum! {
    /// How far back is looked, as rules name it.
    Window {
        /// One hour.
        Hour = "1h",
        /// One day.
        Day = "24h",
        /// One week.
        Week = "7d",
        /// Thirty days.
        Month = "30d",
        /// Ninety days.
        Quarter = "90d",
    }
}

impl Window {
    /// Its length.
    pub const fn length(self) -> Duration {
        const HOUR: u64 = 3_600;
        match self {
            Self::Hour => Duration::from_secs(HOUR),
            Self::Day => Duration::from_secs(24 * HOUR),
            Self::Week => Duration::from_secs(7 * 24 * HOUR),
            Self::Month => Duration::from_secs(30 * 24 * HOUR),
            Self::Quarter => HISTORY_SPAN,
        }
    }

    /// Its length in words: "within …".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Hour => "an hour",
            Self::Day => "a day",
            Self::Week => "a week",
            Self::Month => "30 days",
            Self::Quarter => "90 days",
        }
    }
}

/// What is measured among the earlier orders that share a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// `orders`: how many.
    Orders,
    /// `amount`: sum of their amounts, in major units, as far as they are of the order's currency.
    Amount,
    /// `amount_ratio`: this order's amount over the mean of their amounts, as far as they are of the order's currency.
    AmountRatio,
    /// `declines`: attempts that failed.
    Declines,
    /// `distinct_cards`, `distinct_emails` …: how many different keys of a kind, this order's own among them.
    Distinct(HistoryKeyKind),
    /// `fraud`: how many were labelled fraud since.
    Fraud,
    /// `fraud_share`: share of them that was labelled fraud since, 0 to 1.
    FraudShare,
    /// `refunds`: how many were refunded since.
    Refunds,
    /// `rejected`: how many a person rejected.
    Rejected,
}

impl Measure {
    /// Every measure, by name.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("orders", Self::Orders),
        ("amount", Self::Amount),
        ("amount_ratio", Self::AmountRatio),
        ("declines", Self::Declines),
        ("distinct_cards", Self::Distinct(HistoryKeyKind::Card)),
        ("distinct_emails", Self::Distinct(HistoryKeyKind::Email)),
        ("distinct_phones", Self::Distinct(HistoryKeyKind::Phone)),
        ("distinct_devices", Self::Distinct(HistoryKeyKind::Device)),
        ("distinct_ips", Self::Distinct(HistoryKeyKind::Ip)),
        ("distinct_addresses", Self::Distinct(HistoryKeyKind::Address)),
        ("distinct_customers", Self::Distinct(HistoryKeyKind::Customer)),
        ("fraud", Self::Fraud),
        ("fraud_share", Self::FraudShare),
        ("refunds", Self::Refunds),
        ("rejected", Self::Rejected),
    ];

    /// The measure of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, measure)| *measure)
    }
}

/// A measure of history that a rule asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HistoryField {
    /// `card`, `email` … or a key that the policy declares.
    pub key: String,
    /// How far back.
    pub window: Window,
    /// What of it.
    pub measure: Measure,
}

/// Why a path is no measure of history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryFieldError {
    /// Not of the form.
    #[error("expected history.KEY.WINDOW.MEASURE, such as history.card.24h.orders")]
    Form,
    /// No such window.
    #[error("`{name}` is no window: expected one of {}", listed(Window::ALL.iter().map(|window| window.as_str())))]
    Window {
        /// What was given.
        name: String,
    },
    /// No such measure.
    #[error("`{name}` is no measure: expected one of {}", listed(Measure::ALL.iter().map(|(known, _)| *known)))]
    Measure {
        /// What was given.
        name: String,
    },
}

fn listed(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

impl HistoryField {
    /// What every path begins with.
    pub const PREFIX: &'static str = "history.";

    /// Reads `history.KEY.WINDOW.MEASURE`. Whether there is such a key is for the policy to say: it may be the name of
    /// a field, dots included.
    ///
    /// # Errors
    /// When the path is of another form, or names an unknown window or measure.
    pub fn parse(path: &str) -> Result<Self, HistoryFieldError> {
        let rest = path.strip_prefix(Self::PREFIX).ok_or(HistoryFieldError::Form)?;
        let (rest, measure) = rest.rsplit_once('.').ok_or(HistoryFieldError::Form)?;
        let (key, window) = rest.rsplit_once('.').ok_or(HistoryFieldError::Form)?;
        if key.is_empty() {
            return Err(HistoryFieldError::Form);
        }
        Ok(Self {
            key: key.to_owned(),
            window: Window::parse(window).ok_or_else(|| HistoryFieldError::Window { name: window.to_owned() })?,
            measure: Measure::parse(measure).ok_or_else(|| HistoryFieldError::Measure { name: measure.to_owned() })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_and_window_is_read_and_a_key_may_have_dots() {
        for (name, measure) in Measure::ALL {
            for window in Window::ALL {
                let field = HistoryField::parse(&format!("history.metadata.loyalty.{window}.{name}"));
                let expected = HistoryField { key: "metadata.loyalty".to_owned(), window: *window, measure: *measure };
                assert_eq!(field, Ok(expected), "{name} {window}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_answered_with_what_was_expected() {
        let refusal = |path: &str| HistoryField::parse(path).expect_err("a refused path").to_string();
        for path in ["", "card.24h.orders", "history.", "history.card", "history.card.24h", "history..24h.orders"] {
            assert_eq!(refusal(path), "expected history.KEY.WINDOW.MEASURE, such as history.card.24h.orders", "{path}");
        }
        assert_eq!(refusal("history.card.2h.orders"), "`2h` is no window: expected one of 1h, 24h, 7d, 30d, 90d");
        assert!(
            refusal("history.card.24h.order").starts_with("`order` is no measure: expected one of orders, amount,")
        );
    }
}
