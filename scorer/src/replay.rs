//! Replays orders of the past, in memory and in time order, through the functions that score live orders: what would
//! the verdicts have been, with history building up and every label known only from the moment it was told?
//!
//! Guarantee: an assessment is the one that the pipeline would have given with the same orders and outcomes before it;
//! no order sees itself, what came later, or a label before it was known.
//! Failure: orders that do not come in time order are refused, since their history could not be told any more. Memory is
//! bounded by [`limits::HISTORY_DEPTH`] entries a key, [`limits::HISTORY_SPAN`] of keys, [`limits::NORMS_ORDERS`] totals and the
//! labels yet to be told.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use touchstone_platform::enrichment::{self, Enricher};
use touchstone_schema::history::{Happening, HistoryByKey, HistoryEntry, HistoryKey};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::limits;
use touchstone_schema::money::Money;
use touchstone_schema::order::Order;
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{KeyMode, Surface};
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::Assessment;

use crate::batch::{Circumstances, assessed};
use crate::history_keys::OrderKeys;
use crate::score::norms::{StoreNorms, largest_quantity};
use crate::score::policy::Policy;

/// Keys beyond which those without recent history are looked for.
const LEAST_SWEPT_KEYS: usize = 10_000;

/// An order came after a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("orders must come in time order: one of {} came after one of {}", .received_at.to_rfc3339(), .latest.to_rfc3339())]
pub struct OutOfOrder {
    /// When the order was received.
    pub received_at: Timestamp,
    /// When the latest order before it was received.
    pub latest: Timestamp,
}

/// What became of an order, and from when on that was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// What became of it.
    pub what: Happening,
    /// When it was told; not before the order was received.
    pub at: Timestamp,
}

/// Something that will be history from its `received_at` on. Earliest first; of the same time in the order it came.
#[derive(Debug)]
struct Later {
    number: u64,
    entry: Arc<HistoryEntry>,
    keys: Vec<HistoryKey>,
}

impl Ord for Later {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.entry.received_at, self.number).cmp(&(other.entry.received_at, other.number))
    }
}

impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Later {}

/// An order that is about to be replayed.
struct Known<'a> {
    order: &'a Order,
    transaction_id: TransactionId,
    received_at: Timestamp,
    keys: OrderKeys,
}

/// A store's past, replayed under one policy.
#[derive(Debug)]
pub struct Replay {
    policy: Policy,
    /// What comes with the build: files of another day would know of the past what was not known then.
    enrichment: Arc<enrichment::Snapshot>,
    data_key: Secret,
    history: HistoryByKey,
    /// Totals and largest quantities of the newest orders, oldest first.
    sizes: VecDeque<(Money, u32)>,
    /// What the orders before the day of `latest` tell.
    norms: StoreNorms,
    untold: BinaryHeap<Reverse<Later>>,
    told: u64,
    latest: Timestamp,
    swept_keys: usize,
}

impl Replay {
    /// Nothing has happened yet.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            enrichment: Enricher::built_in().snapshot(),
            // Nothing leaves this memory, so that the hashes need no secret of their own.
            data_key: Secret::new("replay"),
            history: HistoryByKey::new(),
            sizes: VecDeque::new(),
            norms: StoreNorms::default(),
            untold: BinaryHeap::new(),
            told: 0,
            latest: Timestamp::from_millis(i64::MIN),
            swept_keys: LEAST_SWEPT_KEYS,
        }
    }

    /// Assesses an order as if it were received now, then remembers it, and in due time what became of it.
    pub fn screen(
        &mut self,
        order: &Order,
        received_at: Timestamp,
        told: Option<Told>,
    ) -> Result<Assessment, OutOfOrder> {
        let known = self.receive(order, received_at)?;
        let enrichment = self.enrichment.look_up(order);
        let circumstances =
            Circumstances { policy: &self.policy, enrichment: &enrichment, norms: &self.norms, lists: None };
        let subject = (order, &known.keys);
        let assessment = assessed(subject, &known.transaction_id, received_at, &circumstances, &self.history);
        self.keep(&known, told);
        Ok(assessment)
    }

    /// Remembers an order, and in due time what became of it, without assessing it: what happened before the orders
    /// that are of interest.
    pub fn remember(&mut self, order: &Order, received_at: Timestamp, told: Option<Told>) -> Result<(), OutOfOrder> {
        let known = self.receive(order, received_at)?;
        self.keep(&known, told);
        Ok(())
    }

    /// Time moves on to the order: what was told meanwhile is history.
    fn receive<'a>(&mut self, order: &'a Order, received_at: Timestamp) -> Result<Known<'a>, OutOfOrder> {
        if received_at < self.latest {
            return Err(OutOfOrder { received_at, latest: self.latest });
        }
        if received_at.day() > self.latest.day() {
            self.norms = StoreNorms::of(self.sizes.iter().copied());
        }
        self.latest = received_at;
        while self.untold.peek().is_some_and(|Reverse(later)| later.entry.received_at <= received_at) {
            if let Some(Reverse(later)) = self.untold.pop() {
                self.insert(&later.keys, &later.entry);
            }
        }
        let transaction_id = TransactionId::of_order(&self.data_key, KeyMode::Test, Surface::Signed, &order.order_id);
        let keys = OrderKeys::of(order, &self.data_key, KeyMode::Test, &self.policy);
        Ok(Known { order, transaction_id, received_at, keys })
    }

    fn keep(&mut self, known: &Known<'_>, told: Option<Told>) {
        if self.sizes.len() >= limits::NORMS_ORDERS {
            self.sizes.pop_front();
        }
        self.sizes.push_back((known.order.amount, largest_quantity(known.order)));
        let entry = Arc::new(known.keys.entry(&known.transaction_id, known.received_at, known.order));
        let keys: Vec<HistoryKey> = known.keys.all().map(|(_, key)| key).collect();
        self.insert(&keys, &entry);
        if let Some(Told { what, at }) = told {
            let entry = HistoryEntry { what, received_at: at.max(known.received_at), declines: 0, ..(*entry).clone() };
            self.told += 1;
            self.untold.push(Reverse(Later { number: self.told, entry: Arc::new(entry), keys }));
        }
    }

    fn insert(&mut self, keys: &[HistoryKey], entry: &Arc<HistoryEntry>) {
        let horizon = entry.received_at - limits::HISTORY_SPAN;
        for key in keys {
            let entries = self.history.entry(*key).or_default();
            // What is inserted is among the newest, so its place is found sooner from the front than by halving.
            let is_older = |other: &Arc<HistoryEntry>| HistoryEntry::newest_first(entry, other).is_lt();
            let place = entries.iter().position(is_older).unwrap_or(entries.len());
            entries.insert(place, Arc::clone(entry));
            entries.truncate(limits::HISTORY_DEPTH);
            while entries.last().is_some_and(|oldest| oldest.received_at < horizon) {
                entries.pop();
            }
        }
        if self.history.len() > self.swept_keys {
            self.history.retain(|_, entries| entries.first().is_some_and(|newest| newest.received_at >= horizon));
            self.swept_keys = LEAST_SWEPT_KEYS.max(self.history.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use touchstone_schema::json::Json;

    use super::*;
    use crate::score::history::Window;

    const HOUR: Duration = Window::Hour.length();
    const DAY: Duration = Window::Day.length();

    const BEGIN: Timestamp = Timestamp::from_millis(1_777_900_000_000);

    fn order(number: u64, email: &str) -> Order {
        let document =
            format!(r#"{{"order_id":"{number}","amount":20,"currency":"EUR","customer":{{"email":"{email}"}}}}"#);
        Order::parse(&Json::parse_text(&document).expect("JSON")).expect("an order")
    }

    fn replay() -> Replay {
        Replay::new(Policy::built_in())
    }

    fn remember(replay: &mut Replay, number: u64, after: Duration, told: Option<Told>) {
        replay.remember(&order(number, "ann@example.com"), BEGIN + after, told).expect("in time order");
    }

    /// What the history of the one e-mail address tells, newest first.
    fn happened(replay: &Replay) -> Vec<Happening> {
        replay.history.values().flatten().map(|entry| entry.what).collect()
    }

    #[test]
    fn an_order_sees_those_before_it_whether_assessed_or_not() {
        let mut replay = replay();
        let mut fired = Vec::new();
        for number in 0..4 {
            let at = BEGIN + Duration::from_secs(60) * u32::try_from(number).expect("a small number");
            let order = order(number, "ann@example.com");
            if number < 2 {
                replay.remember(&order, at, None).expect("in time order");
            } else {
                let assessment = replay.screen(&order, at, None).expect("in time order");
                fired.push(assessment.reason_codes.contains(&"email_velocity".to_owned()));
            }
        }
        assert_eq!(fired, [false, true]);
        let other = replay.screen(&order(9, "bob@example.com"), BEGIN + HOUR, None);
        assert!(!other.expect("in time order").reason_codes.contains(&"email_velocity".to_owned()));
    }

    #[test]
    fn an_order_is_judged_by_the_orders_before_its_day() {
        let mut replay = replay();
        let midnight = BEGIN.day() + DAY;
        for number in 0..200 {
            let order = order(number, &format!("customer{number}@example.com"));
            replay.remember(&order, BEGIN, None).expect("in time order");
        }
        let mut fires = |at, number| {
            let document = format!(r#"{{"order_id":"{number}","amount":81,"currency":"EUR"}}"#);
            let order = Order::parse(&Json::parse_text(&document).expect("JSON")).expect("an order");
            let assessment = replay.screen(&order, at, None).expect("in time order");
            assessment.reason_codes.contains(&"amount_outlier".to_owned())
        };
        assert!(!fires(midnight - Duration::from_millis(1), 200));
        assert!(fires(midnight, 201));
    }

    #[test]
    fn a_label_is_history_from_when_it_was_told() {
        let mut replay = replay();
        let told = |days| Some(Told { what: Happening::FraudConfirmed, at: BEGIN + DAY * days });
        remember(&mut replay, 1, Duration::ZERO, told(7));
        remember(&mut replay, 2, DAY * 6, None);
        assert_eq!(happened(&replay), [Happening::Order, Happening::Order]);
        remember(&mut replay, 3, DAY * 7, None);
        assert_eq!(happened(&replay).iter().filter(|what| **what == Happening::FraudConfirmed).count(), 1);
        assert_eq!(happened(&replay).len(), 4);
    }

    #[test]
    fn a_label_that_claims_to_be_older_than_its_order_is_as_old_as_it() {
        let mut replay = replay();
        remember(&mut replay, 1, DAY, Some(Told { what: Happening::Legitimate, at: BEGIN }));
        assert_eq!(happened(&replay), [Happening::Order]);
        remember(&mut replay, 2, DAY, None);
        assert_eq!(happened(&replay).len(), 3);
    }

    #[test]
    fn orders_out_of_time_order_are_refused() {
        let mut replay = replay();
        remember(&mut replay, 1, HOUR, None);
        let refused = replay.remember(&order(2, "ann@example.com"), BEGIN, None);
        assert_eq!(refused, Err(OutOfOrder { received_at: BEGIN, latest: BEGIN + HOUR }));
        assert_eq!(happened(&replay).len(), 1);
    }

    #[test]
    fn memory_is_bounded_by_depth_and_span() {
        let mut replay = replay();
        for number in 0..300 {
            remember(&mut replay, number, HOUR, None);
        }
        assert_eq!(happened(&replay).len(), limits::HISTORY_DEPTH);
        remember(&mut replay, 300, HOUR + limits::HISTORY_SPAN + DAY, None);
        assert_eq!(happened(&replay).len(), 1);
    }

    #[test]
    fn keys_that_nobody_uses_any_more_are_dropped() {
        let mut replay = replay();
        let last = LEAST_SWEPT_KEYS as u64;
        for number in 0..=last {
            let at = if number == last { BEGIN + limits::HISTORY_SPAN + DAY } else { BEGIN };
            replay.remember(&order(number, &format!("customer{number}@example.com")), at, None).expect("in order");
        }
        assert_eq!(replay.history.len(), 1);
    }
}
