//! What earlier orders that share a key with this one tell: counts, distinct counts and sums over windows, and what
//! became of them.
//!
//! Excludes the order itself, whatever its revision, and everything that was learnt after it, so a verdict can be
//! reproduced later from the same store. A window looks at when orders were received, not at when an outcome was told.
//! Each key's entries are walked once, whatever is asked of them afterwards.

mod field;
mod past;
mod seen;
#[cfg(test)]
mod tests;

use touchstone_schema::history::{HistoryByKey, HistoryEntry, HistoryKey, HistoryKeyKind, HistoryKeys};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::limits::HISTORY_DEPTH;
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::time::Timestamp;

pub use field::{HistoryField, HistoryFieldError, Measure, Window};
pub use past::{Earlier, Fate};

use past::{Past, Viewer};
use seen::Seen;

/// One, in the unit of [`History::measure`].
const MILLIONTHS: i128 = 1_000_000;
/// Room for every entry of one key and the order's own value.
const VALUES: usize = (2 * HISTORY_DEPTH).next_power_of_two();
/// Room for every order of every kind of key.
const ORDERS: usize = (HISTORY_DEPTH * HistoryKeyKind::ALL.len()).next_power_of_two();

/// The history of one order.
#[derive(Debug, Clone)]
pub struct History<'a> {
    /// The order's own keys.
    pub own: HistoryKeys,
    /// The billing surname of the order, hashed.
    pub own_name: Option<HistoryKey>,
    /// The card key rests on BIN and last four alone, which strangers share: evidence counts half.
    pub card_is_weak: bool,
    viewer: Viewer,
    amount: Money,
    by_kind: [Past<'a>; HistoryKeyKind::ALL.len()],
    declared: Vec<(String, Past<'a>)>,
}

impl<'a> History<'a> {
    /// The part of `known` that is history to the order with these keys, whose total is `amount`.
    pub fn of(
        transaction: &TransactionId,
        received_at: Timestamp,
        amount: Money,
        own: HistoryKeys,
        known: &'a HistoryByKey,
    ) -> Self {
        let viewer = Viewer::new(transaction, received_at);
        let by_kind = std::array::from_fn(|at| {
            let key = HistoryKeyKind::ALL.get(at).and_then(|kind| own.get(*kind));
            key.and_then(|key| known.get(&key)).map(|entries| Past::of(viewer, entries)).unwrap_or_default()
        });
        Self { own, own_name: None, card_is_weak: false, viewer, amount, by_kind, declared: Vec::new() }
    }

    /// Adds the past of a key that the policy declares, by its name. An order that lacks the key has none.
    pub fn declare(&mut self, name: &str, key: HistoryKey, known: &'a HistoryByKey) {
        let past = known.get(&key).map(|entries| Past::of(self.viewer, entries)).unwrap_or_default();
        self.declared.push((name.to_owned(), past));
    }

    const fn past(&self, kind: HistoryKeyKind) -> &Past<'a> {
        &self.by_kind[kind as usize]
    }

    /// How many earlier orders share the key of this kind within `window`.
    pub const fn orders(&self, kind: HistoryKeyKind, window: Window) -> u32 {
        self.past(kind).orders(window)
    }

    /// Attempts that failed with the key of this kind within `window`, those that earlier orders told of included.
    pub const fn declines(&self, kind: HistoryKeyKind, window: Window) -> u64 {
        self.past(kind).declines(window)
    }

    /// How many different keys `of` a kind were tried with the key of this kind within `window`, in orders or in
    /// attempts that failed, this order's own among them.
    pub fn distinct(&self, kind: HistoryKeyKind, window: Window, of: HistoryKeyKind) -> usize {
        distinct(self.past(kind), window, self.own.get(of), |entry| entry.keys.get(of))
    }

    /// How many different surnames were given with the key of this kind within `window`, this order's own among them.
    pub fn names(&self, kind: HistoryKeyKind, window: Window) -> usize {
        distinct(self.past(kind), window, self.own_name, |entry| entry.name)
    }

    /// Sum of the earlier orders that share the key of this kind within `window`, in minor units of the order's
    /// currency; those of other currencies are left out.
    pub fn spent_minor(&self, kind: HistoryKeyKind, window: Window) -> i128 {
        amounts_minor(self.past(kind), window, self.amount.currency()).sum()
    }

    /// Every earlier order that shares the key of this kind, with what became of it.
    pub fn earlier(&self, kind: HistoryKeyKind) -> impl Iterator<Item = &Earlier<'a>> {
        self.past(kind).all()
    }

    /// How many different earlier orders that share a key of one of these kinds met a fate.
    pub fn count(&self, kinds: &[HistoryKeyKind], fate: Fate) -> usize {
        let pasts = kinds.iter().map(|kind| self.past(*kind)).filter(|past| past.any_met(fate));
        let mut met = pasts.flat_map(Past::all).filter(|earlier| earlier.met(fate)).peekable();
        if met.peek().is_none() {
            return 0;
        }
        let mut seen = Seen::<ORDERS>::new();
        met.for_each(|earlier| seen.insert(earlier.hash()));
        seen.len()
    }

    /// When the order was received.
    pub const fn received_at(&self) -> Timestamp {
        self.viewer.received_at()
    }

    /// A measure that a rule asks for, in millionths; none when the order lacks the key, or when there is nothing to
    /// compare with.
    pub fn measure(&self, field: &HistoryField) -> Option<i128> {
        let past = match HistoryKeyKind::parse(&field.key) {
            Some(kind) => self.own.get(kind).map(|_| self.past(kind)),
            None => self.declared.iter().find(|(name, _)| *name == field.key).map(|(_, past)| past),
        }?;
        let window = field.window;
        let matching =
            |is: fn(&Earlier<'_>) -> bool| past.earlier(window).map(|earlier| i128::from(is(earlier))).sum::<i128>();
        Some(match field.measure {
            Measure::Orders => i128::from(past.orders(window)) * MILLIONTHS,
            Measure::Amount => {
                let currency = self.amount.currency();
                amounts_minor(past, window, currency).sum::<i128>() * MILLIONTHS / 10i128.pow(currency.exponent())
            }
            Measure::AmountRatio => return amount_ratio(past, window, self.amount),
            Measure::Declines => i128::from(past.declines(window)) * MILLIONTHS,
            Measure::Distinct(of) => {
                let count = distinct(past, window, self.own.get(of), |entry| entry.keys.get(of));
                i128::try_from(count).unwrap_or(i128::MAX / MILLIONTHS) * MILLIONTHS
            }
            Measure::Fraud => matching(|earlier| earlier.met(Fate::Fraud)) * MILLIONTHS,
            Measure::FraudShare => {
                matching(|earlier| earlier.met(Fate::Fraud)) * MILLIONTHS / matching(|_| true).max(1)
            }
            Measure::Refunds => matching(|earlier| earlier.is_refunded()) * MILLIONTHS,
            Measure::Rejected => matching(|earlier| earlier.is_rejected()) * MILLIONTHS,
        })
    }
}

fn distinct(
    past: &Past<'_>,
    window: Window,
    own: Option<HistoryKey>,
    of: impl Fn(&HistoryEntry) -> Option<HistoryKey>,
) -> usize {
    let mut tried = past.tried(window).filter_map(of).filter(|key| Some(*key) != own).peekable();
    if tried.peek().is_none() {
        return usize::from(own.is_some());
    }
    let mut seen = Seen::<VALUES>::new();
    own.into_iter().chain(tried).for_each(|key| seen.insert(key.as_i64().unsigned_abs()));
    seen.len()
}

/// The order's amount over the mean of the earlier ones, in millionths; none without earlier ones that cost anything.
fn amount_ratio(past: &Past<'_>, window: Window, amount: Money) -> Option<i128> {
    let (count, sum) = amounts_minor(past, window, amount.currency())
        .fold((0i128, 0i128), |(count, sum), earlier_minor| (count + 1, sum + earlier_minor));
    (i128::from(amount.minor()) * count * MILLIONTHS).checked_div(sum)
}

/// Amounts of the earlier orders within `window`, in minor units; those of other currencies are left out.
fn amounts_minor(past: &Past<'_>, window: Window, currency: Currency) -> impl Iterator<Item = i128> {
    past.earlier(window)
        .filter(move |earlier| earlier.is_order() && earlier.entry.amount.currency() == currency)
        .map(|earlier| i128::from(earlier.entry.amount.minor()))
}
