//! History: what is remembered of orders, and of what became of them, so that later orders can be compared with them.
//! No raw personal data.
//!
//! An entry is never changed: an order, an attempt that failed and everything that is learnt later are entries of their
//! own, each with the moment from which it was known. What an order's history was can so be told at any later time.

pub mod normal;

use serde::{Deserialize, Serialize};

use crate::ids::{TransactionId, keyed_bits};
use crate::money::Money;
use crate::secret::Secret;
use crate::tenant::{KeyMode, wire_enum};
use crate::time::Timestamp;

wire_enum! {
    /// What kind of thing a history key identifies.
    HistoryKeyKind {
        /// The card: fingerprint, else BIN + last four + expiry, else BIN + last four.
        Card = "card",
        /// Normalised e-mail address.
        Email = "email",
        /// Normalised phone number.
        Phone = "phone",
        /// Device fingerprint.
        Device = "device",
        /// IP address.
        Ip = "ip",
        /// Shipping address, else billing address.
        Address = "address",
        /// The merchant's customer id.
        Customer = "customer",
    }
}

/// A value under the store's key: 63 bits, never zero, that tell equal values and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HistoryKey(i64);

impl HistoryKey {
    /// Hashes a normalised value under the store's data key. Live and test worlds and kinds never share a key.
    pub fn of(data_key: &Secret, mode: KeyMode, kind: &str, value: &str) -> Self {
        let bits = keyed_bits(data_key, &["history", mode.as_str(), kind, value]);
        let folded = (bits >> 65) as i64; // the top 63 bits
        Self(folded.max(1))
    }

    /// From its stored form.
    pub const fn from_i64(stored: i64) -> Self {
        Self(stored)
    }

    /// Its stored form.
    pub const fn as_i64(self) -> i64 {
        self.0
    }
}

/// The history keys of one order, by kind; what the order did not tell is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryKeys {
    /// See [`HistoryKeyKind::Card`].
    pub card: Option<HistoryKey>,
    /// See [`HistoryKeyKind::Email`].
    pub email: Option<HistoryKey>,
    /// See [`HistoryKeyKind::Phone`].
    pub phone: Option<HistoryKey>,
    /// See [`HistoryKeyKind::Device`].
    pub device: Option<HistoryKey>,
    /// See [`HistoryKeyKind::Ip`].
    pub ip: Option<HistoryKey>,
    /// See [`HistoryKeyKind::Address`].
    pub address: Option<HistoryKey>,
    /// See [`HistoryKeyKind::Customer`].
    pub customer: Option<HistoryKey>,
}

impl HistoryKeys {
    /// The key of one kind.
    pub const fn get(&self, kind: HistoryKeyKind) -> Option<HistoryKey> {
        match kind {
            HistoryKeyKind::Card => self.card,
            HistoryKeyKind::Email => self.email,
            HistoryKeyKind::Phone => self.phone,
            HistoryKeyKind::Device => self.device,
            HistoryKeyKind::Ip => self.ip,
            HistoryKeyKind::Address => self.address,
            HistoryKeyKind::Customer => self.customer,
        }
    }

    /// The keys that are present, with their kinds.
    pub fn iter(&self) -> impl Iterator<Item = (HistoryKeyKind, HistoryKey)> + '_ {
        HistoryKeyKind::ALL.iter().filter_map(|kind| self.get(*kind).map(|key| (*kind, key)))
    }
}

wire_enum! {
    /// What an entry of history tells.
    Happening {
        /// An order was received and scored.
        Order = "order",
        /// A payment was tried and failed, and no order was made of it.
        FailedAttempt = "failed_attempt",
        /// A person approved the order.
        Approved = "approved",
        /// A person rejected the order.
        Rejected = "rejected",
        /// The cardholder disputes the payment.
        ChargebackOpened = "chargeback_opened",
        /// The cardholder's claim was upheld: the cardholder keeps the money.
        #[serde(alias = "chargeback_won")]
        ChargebackUpheld = "chargeback_upheld",
        /// The chargeback was reversed: the merchant keeps the money.
        #[serde(alias = "chargeback_lost")]
        ChargebackReversed = "chargeback_reversed",
        /// The money was given back.
        Refunded = "refunded",
        /// The goods were sent.
        Fulfilled = "fulfilled",
        /// The order was cancelled.
        Cancelled = "cancelled",
        /// The merchant knows it was fraud.
        FraudConfirmed = "fraud_confirmed",
        /// The merchant knows it was not fraud.
        Legitimate = "legitimate",
    }
}

impl Happening {
    /// What it says of the order: fraud, or not fraud; nothing when it is no label.
    pub const fn label(self) -> Option<bool> {
        match self {
            Self::ChargebackOpened | Self::ChargebackUpheld | Self::FraudConfirmed => Some(true),
            Self::ChargebackReversed | Self::Legitimate => Some(false),
            Self::Order | Self::FailedAttempt | Self::Approved | Self::Rejected => None,
            Self::Refunded | Self::Fulfilled | Self::Cancelled => None,
        }
    }

    /// As what it counts for later orders: `fraud`, `honest` or `neither`.
    pub const fn counts_as(self) -> &'static str {
        match self.label() {
            Some(true) => "fraud",
            Some(false) => "honest",
            None => "neither",
        }
    }
}

/// One thing that is remembered: an order, or what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// What happened.
    pub what: Happening,
    /// The order's transaction: an order never counts itself, whatever its revision.
    pub transaction_id: TransactionId,
    /// When this was learnt: an order's `received_at`; of an outcome, when it was told to us, not when it happened.
    pub received_at: Timestamp,
    /// When the order that it is about was received; the same as `received_at` for the order itself.
    pub ordered_at: Timestamp,
    /// Amount of the order.
    pub amount: Money,
    /// What it can be found by.
    pub keys: HistoryKeys,
    /// The billing surname, hashed like a key.
    pub name: Option<HistoryKey>,
    /// Declined attempts that the order told of.
    pub declines: u32,
}

impl HistoryEntry {
    /// The order of lists of history: newest first, and of what was learnt at the same time always the same.
    pub fn newest_first(a: &Self, b: &Self) -> std::cmp::Ordering {
        (b.received_at, &b.transaction_id, b.what).cmp(&(a.received_at, &a.transaction_id, a.what))
    }
}

/// An entry with everything that it is found under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedEntry {
    /// The entry.
    pub entry: HistoryEntry,
    /// Its keys of every kind, those that a policy declares among them.
    pub keys: Vec<HistoryKey>,
}

impl KeyedEntry {
    /// Under the entry's own keys and those that a policy declares.
    pub fn found_by(entry: HistoryEntry, declared: &[HistoryKey]) -> Self {
        let keys = entry.keys.iter().map(|(_, key)| key).chain(declared.iter().copied()).collect();
        Self { entry, keys }
    }
}

impl From<HistoryEntry> for KeyedEntry {
    /// Under the keys that every order has.
    fn from(entry: HistoryEntry) -> Self {
        Self::found_by(entry, &[])
    }
}

/// The history of a batch of orders: for each asked key its most recent entries, newest first, at most
/// [`crate::limits::HISTORY_DEPTH`] of them.
pub type HistoryByKey = std::collections::HashMap<HistoryKey, Vec<std::sync::Arc<HistoryEntry>>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_equal_values_of_one_kind_and_world() {
        let secret = Secret::new("data key");
        let email = HistoryKey::of(&secret, KeyMode::Live, "email", "ann@example.com");
        assert!(email.as_i64() > 0);
        assert_eq!(email, HistoryKey::of(&secret, KeyMode::Live, "email", "ann@example.com"));
        assert_eq!(email, HistoryKey::from_i64(email.as_i64()));
        assert_ne!(email, HistoryKey::of(&secret, KeyMode::Test, "email", "ann@example.com"));
        assert_ne!(email, HistoryKey::of(&secret, KeyMode::Live, "phone", "ann@example.com"));
        assert_ne!(email, HistoryKey::of(&Secret::new("other"), KeyMode::Live, "email", "ann@example.com"));
    }

    #[test]
    fn only_present_keys_are_listed() {
        let keys = HistoryKeys { ip: Some(HistoryKey::from_i64(7)), ..HistoryKeys::default() };
        assert_eq!(keys.iter().collect::<Vec<_>>(), [(HistoryKeyKind::Ip, HistoryKey::from_i64(7))]);
    }
}
