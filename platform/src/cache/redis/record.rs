//! The stored form of a history entry in Redis: a record that tells its own length, so that a key's records lie one
//! behind the other in a string.
//!
//! ```text
//! length 1 | version 1 | received_at 8 | transaction 16 | what 1 | present 2 | ordered_at 8? | amount 8 | currency 3
//!   | declines 4 | name 8? | keys 8 each
//! ```
//! What is absent takes no room, nor does an `ordered_at` that is the same as `received_at`. `append.lua` reads the
//! length and the time. Failure: records that cannot be read are taken for a cache that is not whole.

use std::collections::HashMap;
use std::sync::Arc;

use touchstone_schema::history::{Happening, HistoryEntry, HistoryKey, HistoryKeyKind, HistoryKeys};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::limits::HISTORY_DEPTH;
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::time::Timestamp;

/// Version of the form.
const VERSION: u8 = 1;
/// A record of an order with all keys.
pub(super) const FULL_RECORD: usize = 108;
/// Length, version, time, transaction and kind: what tells an entry from others and gives its place.
const HEAD: usize = 27;
/// Bit of `present` for an `ordered_at` of its own; the kinds of keys have the bits from 0 on.
const ORDERED_BEFORE: u16 = 1 << 15;
/// Bit of `present` for the name.
const NAMED: u16 = 1 << 14;

/// Bits of the kinds of keys.
const KINDS: u16 = (1 << HistoryKeyKind::ALL.len()) - 1;
const _: () = assert!(KINDS < NAMED, "kinds have the bits below those of other fields");

/// What happened, as it is stored: a number is never given to anything else.
const fn code(what: Happening) -> u8 {
    match what {
        Happening::Order => 1,
        Happening::FailedAttempt => 2,
        Happening::Approved => 3,
        Happening::Rejected => 4,
        Happening::ChargebackOpened => 5,
        Happening::ChargebackUpheld => 6,
        Happening::ChargebackReversed => 7,
        Happening::Refunded => 8,
        Happening::Fulfilled => 9,
        Happening::Cancelled => 10,
        Happening::FraudConfirmed => 11,
        Happening::Legitimate => 12,
    }
}

pub(super) fn encode(entry: &HistoryEntry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FULL_RECORD);
    bytes.extend_from_slice(&[0, VERSION]);
    bytes.extend_from_slice(&entry.received_at.as_millis().to_be_bytes());
    bytes.extend_from_slice(&entry.transaction_id.to_bits().to_be_bytes());
    bytes.push(code(entry.what));
    let keys = HistoryKeyKind::ALL.iter().enumerate().filter_map(|(bit, kind)| Some((bit, entry.keys.get(*kind)?)));
    let ordered_before = entry.ordered_at != entry.received_at;
    let mut present = keys.clone().fold(0, |present, (bit, _)| present | 1u16 << bit);
    present |= if ordered_before { ORDERED_BEFORE } else { 0 };
    present |= if entry.name.is_some() { NAMED } else { 0 };
    bytes.extend_from_slice(&present.to_be_bytes());
    if ordered_before {
        bytes.extend_from_slice(&entry.ordered_at.as_millis().to_be_bytes());
    }
    bytes.extend_from_slice(&entry.amount.minor().to_be_bytes());
    bytes.extend_from_slice(entry.amount.currency().code().as_bytes());
    bytes.extend_from_slice(&entry.declines.to_be_bytes());
    for key in entry.name.into_iter().chain(keys.map(|(_, key)| key)) {
        bytes.extend_from_slice(&key.as_i64().to_be_bytes());
    }
    bytes[0] = bytes.len() as u8;
    bytes
}

/// Reads the records of keys; entries that lie under several keys are read once.
#[derive(Default)]
pub(super) struct Reader(HashMap<Head, Arc<HistoryEntry>>);

/// Time, transaction and kind: in this order entries are sorted.
type Head = (i64, u128, u8);

impl Reader {
    /// The newest entries of a key from `since` on, newest first, each once; `None` when a record cannot be read.
    pub(super) fn newest(&mut self, mut stored: &[u8], since: Timestamp) -> Option<Vec<Arc<HistoryEntry>>> {
        let mut records = Vec::with_capacity(stored.len() / FULL_RECORD + 1);
        while let Some(length) = stored.first() {
            let (record, rest) = stored.split_at_checked(usize::from(*length))?;
            let head = head(record)?;
            if head.0 >= since.as_millis() {
                records.push((head, record));
            }
            stored = rest;
        }
        records.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        records.dedup_by(|(a, _), (b, _)| a == b);
        records.truncate(HISTORY_DEPTH);
        records.into_iter().map(|(head, record)| self.entry(head, record)).collect()
    }

    fn entry(&mut self, head: Head, record: &[u8]) -> Option<Arc<HistoryEntry>> {
        if let Some(known) = self.0.get(&head) {
            return Some(Arc::clone(known));
        }
        let entry = Arc::new(decode(head, record.get(HEAD..)?)?);
        self.0.insert(head, Arc::clone(&entry));
        Some(entry)
    }
}

fn head(record: &[u8]) -> Option<Head> {
    let (&[_, version], rest) = record.split_first_chunk::<2>()?;
    let (received_at, rest) = rest.split_first_chunk::<8>()?;
    let (transaction, rest) = rest.split_first_chunk::<16>()?;
    let head = (i64::from_be_bytes(*received_at), u128::from_be_bytes(*transaction), *rest.first()?);
    (version == VERSION).then_some(head)
}

fn decode((received_at, transaction, what): Head, rest: &[u8]) -> Option<HistoryEntry> {
    let mut rest = Fields(rest);
    let present = u16::from_be_bytes(rest.take()?);
    if present & !(ORDERED_BEFORE | NAMED | KINDS) != 0 {
        return None;
    }
    let ordered_at = if present & ORDERED_BEFORE == 0 { received_at } else { i64::from_be_bytes(rest.take()?) };
    let amount_minor = i64::from_be_bytes(rest.take()?);
    let currency = Currency::from_code(std::str::from_utf8(&rest.take::<3>()?).ok()?)?;
    let declines = u32::from_be_bytes(rest.take()?);
    let name = if present & NAMED == 0 { None } else { Some(rest.key()?) };
    let mut keys = HistoryKeys::default();
    for (_, kind) in HistoryKeyKind::ALL.iter().enumerate().filter(|(bit, _)| present & 1 << bit != 0) {
        *place(&mut keys, *kind) = Some(rest.key()?);
    }
    rest.0.is_empty().then_some(HistoryEntry {
        what: Happening::ALL.iter().copied().find(|known| code(*known) == what)?,
        transaction_id: TransactionId::of_bits(transaction),
        received_at: Timestamp::from_millis(received_at),
        ordered_at: Timestamp::from_millis(ordered_at),
        amount: Money::from_minor(amount_minor, currency).ok()?,
        keys,
        name,
        declines,
    })
}

const fn place(keys: &mut HistoryKeys, kind: HistoryKeyKind) -> &mut Option<HistoryKey> {
    match kind {
        HistoryKeyKind::Card => &mut keys.card,
        HistoryKeyKind::Email => &mut keys.email,
        HistoryKeyKind::Phone => &mut keys.phone,
        HistoryKeyKind::Device => &mut keys.device,
        HistoryKeyKind::Ip => &mut keys.ip,
        HistoryKeyKind::Address => &mut keys.address,
        HistoryKeyKind::Customer => &mut keys.customer,
    }
}

/// What is left of a record.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn key(&mut self) -> Option<HistoryKey> {
        self.take().map(|stored| HistoryKey::from_i64(i64::from_be_bytes(stored)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG_AGO: Timestamp = Timestamp::from_millis(0);

    fn entry(what: Happening, received_at: i64) -> HistoryEntry {
        let key = |stored| Some(HistoryKey::from_i64(stored));
        HistoryEntry {
            what,
            transaction_id: "tx_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            received_at: Timestamp::from_millis(received_at),
            ordered_at: Timestamp::from_millis(1_700_000_000_123),
            amount: Money::from_minor(-5, Currency::from_code("EUR").unwrap()).unwrap(),
            keys: HistoryKeys {
                card: key(1),
                email: key(i64::MAX),
                phone: key(3),
                device: key(4),
                ip: key(5),
                address: key(6),
                customer: key(7),
            },
            name: key(8),
            declines: 3,
        }
    }

    fn read(stored: &[u8]) -> Option<Vec<HistoryEntry>> {
        let entries = Reader::default().newest(stored, LONG_AGO)?;
        Some(entries.iter().map(|entry| HistoryEntry::clone(entry)).collect())
    }

    #[test]
    fn entries_of_every_kind_survive_their_stored_form() {
        for what in Happening::ALL {
            let later = entry(*what, 1_700_000_009_999);
            assert_eq!(read(&encode(&later)), Some(vec![later]));
        }
        let order = entry(Happening::Order, 1_700_000_000_123);
        assert_eq!(encode(&order).len(), FULL_RECORD);
        let bare = HistoryEntry { keys: HistoryKeys::default(), name: None, ..order };
        assert_eq!(encode(&bare).len(), FULL_RECORD - 8 * 8);
        assert_eq!(read(&encode(&bare)), Some(vec![bare]));
    }

    #[test]
    fn entries_are_given_once_and_newest_first() {
        let [old, new] = [1_700_000_000_123, 1_700_000_000_124].map(|at| entry(Happening::Order, at));
        let outcome = entry(Happening::Refunded, 1_700_000_000_124);
        let stored = [&old, &outcome, &old, &new, &outcome].map(encode).concat();
        let mut expected = vec![old, new, outcome];
        expected.sort_by(HistoryEntry::newest_first);
        assert_eq!(read(&stored), Some(expected.clone()));
        let since = Timestamp::from_millis(1_700_000_000_124);
        let recent = Reader::default().newest(&stored, since).unwrap();
        assert_eq!(recent.iter().map(|entry| HistoryEntry::clone(entry)).collect::<Vec<_>>(), expected[..2]);
    }

    #[test]
    fn damage_is_noticed() {
        let bytes = encode(&entry(Happening::Order, 1_700_000_000_123));
        for length in 1..bytes.len() {
            assert_eq!(read(&bytes[..length]), None, "{length}");
        }
        for (at, value) in [(0, 0), (0, 60), (1, 2), (26, 99), (27, 0x7f)] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            assert_eq!(read(&damaged), None, "{at}");
        }
    }
}
