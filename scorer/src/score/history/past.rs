//! What is remembered under one key, gathered in one pass over its entries.

use std::sync::Arc;

use touchstone_schema::history::{Happening, HistoryEntry};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::limits::HISTORY_DEPTH;
use touchstone_schema::time::Timestamp;

use super::field::Window;
use super::seen::scattered;

/// Windows, and one more for what is older than all of them.
const RANKS: usize = Window::ALL.len() + 1;
/// Twice as many places as a key has entries: look-ups seldom collide.
const PLACES: usize = (2 * HISTORY_DEPTH).next_power_of_two();

/// What may have become of an earlier order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its newest label says fraud.
    Fraud,
    /// The money was given back, as was told within a window.
    Refunded(Window),
    /// A person rejected it, as was told within a window, and no person approved it afterwards.
    Rejected(Window),
}

/// One earlier order, with what became of it as far as it was known.
#[derive(Debug, Clone)]
pub struct Earlier<'a> {
    /// The order's newest revision; or an outcome of it, when the order itself is out of reach.
    pub entry: &'a HistoryEntry,
    /// The newest label: fraud, or not.
    pub is_fraud: Option<bool>,
    /// There was a chargeback or fraud, whatever came of it.
    pub was_disputed: bool,
    /// The goods were sent.
    pub was_fulfilled: bool,
    is_order: bool,
    was_decided: bool,
    /// The smallest window that holds when it was received; when a refund was told; when a rejection was.
    rank: u8,
    refund_rank: Option<u8>,
    rejection_rank: Option<u8>,
    hash: u64,
}

/// What is remembered under one key.
#[derive(Debug, Clone, Default)]
pub(super) struct Past<'a> {
    earlier: Vec<Earlier<'a>>,
    failed: Vec<(u8, &'a HistoryEntry)>,
    /// How many of `earlier` were told of within each window: the later ones are all older.
    told: [usize; RANKS],
    orders: [u32; RANKS],
    declines: [u64; RANKS],
    any_fraud: bool,
    any_refund: bool,
    any_rejection: bool,
}

/// Whose past it is: an order never counts itself, nor what was learnt after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Viewer {
    hash: u64,
    received_at: Timestamp,
}

impl Viewer {
    pub(super) fn new(transaction: &TransactionId, received_at: Timestamp) -> Self {
        Self { hash: hash_of(transaction), received_at }
    }

    pub(super) const fn received_at(self) -> Timestamp {
        self.received_at
    }

    /// The rank of the smallest window that holds a moment, where it is known to be `least` at least.
    fn rank_from(self, least: u8, at: Timestamp) -> u8 {
        let age = self.received_at.as_millis().saturating_sub(at.as_millis());
        let longer = LENGTHS.iter().skip(usize::from(least)).take_while(|length| age > **length);
        longer.fold(least, |rank, _| rank + 1)
    }
}

/// Lengths of the windows in milliseconds, in the order of [`Window::ALL`].
const LENGTHS: [i64; Window::ALL.len()] = {
    let mut lengths = [0; Window::ALL.len()];
    let mut at = 0;
    while at < lengths.len() {
        lengths[at] = Window::ALL[at].length().as_millis() as i64; // at most 90 days
        at += 1;
    }
    lengths
};

impl<'a> Past<'a> {
    /// The part of a key's entries, which come newest first, that is past to the viewer.
    pub(super) fn of(viewer: Viewer, entries: &'a [Arc<HistoryEntry>]) -> Self {
        let entries = entries.get(..HISTORY_DEPTH).unwrap_or(entries);
        // First all identifiers, in a loop without branches: waiting for memory is most of the work here.
        let mut hashes = [0; HISTORY_DEPTH];
        for (hash, entry) in hashes.iter_mut().zip(entries) {
            *hash = hash_of(&entry.transaction_id);
        }
        let mut past = Self { earlier: Vec::with_capacity(entries.len()), ..Self::default() };
        let mut places = [0u16; PLACES];
        let mut told_rank = 0;
        for (entry, hash) in entries.iter().zip(hashes) {
            if entry.received_at <= viewer.received_at && hash != viewer.hash {
                while told_rank < viewer.rank_from(told_rank, entry.received_at) {
                    past.told[usize::from(told_rank)] = past.earlier.len();
                    told_rank += 1;
                }
                past.take(viewer, entry, told_rank, hash, &mut places);
            }
        }
        past.told[usize::from(told_rank)..].fill(past.earlier.len());
        for rank in 1..RANKS {
            past.orders[rank] += past.orders[rank - 1];
            past.declines[rank] += past.declines[rank - 1];
        }
        past
    }

    fn take(&mut self, viewer: Viewer, entry: &'a HistoryEntry, told_rank: u8, hash: u64, places: &mut [u16; PLACES]) {
        // An order is received before anything is told of it.
        let rank = || viewer.rank_from(told_rank, entry.ordered_at);
        if entry.what == Happening::FailedAttempt {
            let rank = rank();
            self.declines[usize::from(rank)] += u64::from(entry.declines.max(1));
            self.failed.push((rank, entry));
            return;
        }
        let mut place = scattered(hash, PLACES);
        let known = loop {
            match self.earlier.get_mut(usize::from(places[place]).wrapping_sub(1)) {
                None => break None,
                Some(earlier) if earlier.hash == hash => break Some(earlier),
                Some(_) => place = (place + 1) & (PLACES - 1),
            }
        };
        let earlier = match known {
            Some(earlier) => earlier,
            None => {
                self.earlier.push(Earlier::new(entry, rank(), hash));
                places[place] = self.earlier.len() as u16; // at most HISTORY_DEPTH
                let Some(earlier) = self.earlier.last_mut() else { return };
                earlier
            }
        };
        if entry.what == Happening::Order {
            // Of several revisions the newest counts, which comes first.
            if !earlier.is_order {
                earlier.entry = entry;
                earlier.is_order = true;
                earlier.rank = rank();
                self.orders[usize::from(earlier.rank)] += 1;
                self.declines[usize::from(earlier.rank)] += u64::from(entry.declines);
            }
        } else {
            earlier.became(entry.what, told_rank);
            self.any_fraud |= earlier.is_fraud == Some(true);
            self.any_refund |= earlier.refund_rank.is_some();
            self.any_rejection |= earlier.rejection_rank.is_some();
        }
    }

    /// How many orders are within `window`.
    pub(super) const fn orders(&self, window: Window) -> u32 {
        self.orders[window as usize]
    }

    /// How many attempts that failed are within `window`, those that orders told of included.
    pub(super) const fn declines(&self, window: Window) -> u64 {
        self.declines[window as usize]
    }

    /// The orders within `window`; and those that are known by what became of them only.
    pub(super) fn earlier(&self, window: Window) -> impl Iterator<Item = &Earlier<'a>> {
        let told = self.earlier.get(..self.told[window as usize]).unwrap_or_default();
        told.iter().filter(move |earlier| earlier.rank <= window as u8)
    }

    /// Whether this became of any of them, by what was told within any window.
    pub(super) const fn any_met(&self, fate: Fate) -> bool {
        match fate {
            Fate::Fraud => self.any_fraud,
            Fate::Refunded(_) => self.any_refund,
            Fate::Rejected(_) => self.any_rejection,
        }
    }

    /// Every order of which anything is remembered.
    pub(super) fn all(&self) -> impl Iterator<Item = &Earlier<'a>> {
        self.earlier.iter()
    }

    /// Orders and failed attempts within `window`.
    pub(super) fn tried(&self, window: Window) -> impl Iterator<Item = &'a HistoryEntry> {
        let orders = self.earlier(window).filter(|earlier| earlier.is_order).map(|earlier| earlier.entry);
        orders.chain(self.failed.iter().filter(move |(rank, _)| *rank <= window as u8).map(|(_, entry)| *entry))
    }
}

impl<'a> Earlier<'a> {
    const fn new(entry: &'a HistoryEntry, rank: u8, hash: u64) -> Self {
        Self {
            entry,
            is_fraud: None,
            was_disputed: false,
            was_fulfilled: false,
            is_order: false,
            was_decided: false,
            rank,
            refund_rank: None,
            rejection_rank: None,
            hash,
        }
    }

    /// Takes in an outcome. The newest comes first and stands.
    fn became(&mut self, what: Happening, told_rank: u8) {
        use Happening::{
            Approved, Cancelled, ChargebackOpened, ChargebackReversed, ChargebackUpheld, FailedAttempt, FraudConfirmed,
            Fulfilled, Legitimate, Order, Refunded, Rejected,
        };
        self.is_fraud = self.is_fraud.or(what.label());
        match what {
            ChargebackOpened | ChargebackUpheld | ChargebackReversed | FraudConfirmed => self.was_disputed = true,
            Fulfilled => self.was_fulfilled = true,
            Refunded => self.refund_rank = self.refund_rank.or(Some(told_rank)),
            Rejected if !self.was_decided => self.rejection_rank = Some(told_rank),
            Approved | Rejected | Cancelled | Legitimate | Order | FailedAttempt => {}
        }
        self.was_decided |= matches!(what, Approved | Rejected);
    }

    /// Whether this became of it.
    pub fn met(&self, fate: Fate) -> bool {
        let within = |rank: Option<u8>, window: Window| rank.is_some_and(|rank| rank <= window as u8);
        match fate {
            Fate::Fraud => self.is_fraud == Some(true),
            Fate::Refunded(window) => within(self.refund_rank, window),
            Fate::Rejected(window) => within(self.rejection_rank, window),
        }
    }

    /// The money was given back, whenever.
    pub(super) const fn is_refunded(&self) -> bool {
        self.refund_rank.is_some()
    }

    /// A person rejected it, whenever, and no person approved it afterwards.
    pub(super) const fn is_rejected(&self) -> bool {
        self.rejection_rank.is_some()
    }

    /// Its transaction, as 64 bits of the identifier's own hash.
    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }

    /// The order itself is remembered, not only what became of it.
    pub(super) const fn is_order(&self) -> bool {
        self.is_order
    }
}

/// A transaction, as 64 bits of its identifier. That is a keyed hash itself, so nobody can aim at a collision, and two of
/// a key's few hundred orders are taken for one less than once in 10^13 lists. Never zero.
fn hash_of(transaction: &TransactionId) -> u64 {
    let text = transaction.as_str().as_bytes();
    let last = text.last_chunk::<16>().copied().unwrap_or_default();
    let bits = u128::from_le_bytes(last);
    let (low, high) = (bits as u64, (bits >> 64) as u64);
    (low.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ high).wrapping_mul(0xD6E8_FEB8_6659_FD93) | 1
}
