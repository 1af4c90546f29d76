//! What earlier orders that share a key with this one tell: counts, distinct counts and sums over windows.
//!
//! Excludes the order itself, whatever its revision, and everything received after it, so a verdict can be reproduced
//! later from the same store.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use touchstone_schema::history::{HistoryByKey, HistoryEntry, HistoryKey, HistoryKeyKind, HistoryKeys};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::limits::HISTORY_SPAN;
use touchstone_schema::time::Timestamp;
use touchstone_schema::wire_enum;

/// One hour.
pub const HOUR: Duration = Duration::from_secs(3_600);
/// One day.
pub const DAY: Duration = Duration::from_secs(86_400);
/// One week.
pub const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// Thirty days.
pub const MONTH: Duration = Duration::from_secs(30 * 86_400);

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
        match self {
            Self::Hour => HOUR,
            Self::Day => DAY,
            Self::Week => WEEK,
            Self::Month => MONTH,
            Self::Quarter => HISTORY_SPAN,
        }
    }
}

/// What is measured among the earlier orders that share a key, in the words of rules: `history.KEY.WINDOW.MEASURE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// `orders`: how many.
    Orders,
    /// `amount`: sum of their amounts, in major units.
    Amount,
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

/// The history of one order.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The order's own keys.
    pub own: HistoryKeys,
    /// The billing surname of the order, hashed.
    pub own_name: Option<HistoryKey>,
    /// The card key rests on BIN and last four alone, which strangers share: evidence counts half.
    pub card_is_weak: bool,
    received_at: Option<Timestamp>,
    by_kind: Vec<(HistoryKeyKind, Vec<Arc<HistoryEntry>>)>,
}

impl History {
    /// The part of `known` that is history to the order with these keys. Entries come newest first; of several
    /// revisions of one order only the newest counts.
    pub fn of(transaction: &TransactionId, received_at: Timestamp, own: HistoryKeys, known: &HistoryByKey) -> Self {
        let earlier = |key: HistoryKey| -> Vec<Arc<HistoryEntry>> {
            let mut seen = HashSet::new();
            known
                .get(&key)
                .into_iter()
                .flatten()
                .filter(|entry| entry.transaction_id != *transaction && entry.received_at <= received_at)
                .filter(|entry| seen.insert(entry.transaction_id.clone()))
                .cloned()
                .collect()
        };
        let by_kind = own.iter().map(|(kind, key)| (kind, earlier(key))).collect();
        Self { own, own_name: None, card_is_weak: false, received_at: Some(received_at), by_kind }
    }

    /// Earlier orders that share the key of this kind, within `window` before the order, newest first.
    pub fn within(&self, kind: HistoryKeyKind, window: Duration) -> impl Iterator<Item = &HistoryEntry> + '_ {
        let since = self.received_at.map(|at| at - window);
        self.by_kind
            .iter()
            .filter(move |(of, _)| *of == kind)
            .flat_map(|(_, entries)| entries)
            .map(Arc::as_ref)
            .filter(move |entry| since.is_some_and(|since| entry.received_at >= since))
    }

    /// How many earlier orders share the key of this kind within `window`.
    pub fn count(&self, kind: HistoryKeyKind, window: Duration) -> usize {
        self.within(kind, window).count()
    }

    /// How many different values `of` has among the earlier orders that share the key of this kind within `window` and
    /// this order itself.
    pub fn distinct(
        &self,
        kind: HistoryKeyKind,
        window: Duration,
        own: Option<HistoryKey>,
        of: impl Fn(&HistoryEntry) -> Option<HistoryKey>,
    ) -> usize {
        self.within(kind, window).filter_map(of).chain(own).collect::<HashSet<_>>().len()
    }

    /// Declined attempts that earlier orders sharing the key of this kind told of within `window`.
    pub fn declines(&self, kind: HistoryKeyKind, window: Duration) -> u64 {
        self.within(kind, window).map(|entry| u64::from(entry.declines)).sum()
    }
}

#[cfg(test)]
mod tests {
    use touchstone_schema::history::Happening;

    use super::*;
    use crate::score::fixture::{Case, key, usd};

    const EMAIL: HistoryKeyKind = HistoryKeyKind::Email;

    fn entry(number: u8, at: i64) -> Arc<HistoryEntry> {
        Arc::new(HistoryEntry {
            what: Happening::Order,
            ordered_at: Timestamp::from_millis(at),
            transaction_id: TransactionId::mint(Timestamp::from_millis(0), [number; 10]),
            received_at: Timestamp::from_millis(at),
            amount: usd(100),
            keys: HistoryKeys { email: Some(key(2)), card: Some(key(i64::from(number))), ..HistoryKeys::default() },
            name: None,
            declines: 1,
        })
    }

    fn history(entries: Vec<Arc<HistoryEntry>>) -> History {
        let own = HistoryKeys { email: Some(key(2)), ..HistoryKeys::default() };
        let known = HistoryByKey::from([(key(2), entries)]);
        History::of(
            &TransactionId::mint(Timestamp::from_millis(0), [0; 10]),
            Timestamp::from_millis(10_000_000),
            own,
            &known,
        )
    }

    #[test]
    fn an_order_counts_neither_itself_nor_what_came_after_it() {
        let history = history(vec![entry(1, 10_000_001), entry(0, 9_999_000), entry(2, 9_998_000)]);
        assert_eq!(history.count(EMAIL, HOUR), 1);
        assert_eq!(history.declines(EMAIL, HOUR), 1);
    }

    #[test]
    fn revisions_of_one_order_count_once() {
        assert_eq!(history(vec![entry(1, 9_999_000), entry(1, 9_998_000)]).count(EMAIL, HOUR), 1);
    }

    #[test]
    fn a_window_includes_its_beginning() {
        assert_eq!(
            history(vec![entry(1, 10_000_000 - 3_600_000), entry(2, 10_000_000 - 3_600_001)]).count(EMAIL, HOUR),
            1
        );
    }

    #[test]
    fn different_values_count_the_orders_own() {
        let history = history(vec![entry(1, 9_999_000), entry(2, 9_998_000)]);
        let cards = |own| history.distinct(EMAIL, HOUR, own, |entry| entry.keys.card);
        assert_eq!((cards(None), cards(Some(key(1))), cards(Some(key(9)))), (2, 2, 3));
    }

    #[test]
    fn keys_that_the_order_has_not_have_no_history() {
        let case =
            Case::ordinary().own(|keys| keys.email = None).earlier(5, |_, entry| entry.keys.email = Some(key(2)));
        assert_eq!(case.look(|facts| facts.history.count(EMAIL, HOUR)), 0);
    }
}
