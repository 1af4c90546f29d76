//! The stored form of history entries and verdicts in Redis.

use touchstone_schema::history::{Happening, HistoryEntry, HistoryKey, HistoryKeyKind, HistoryKeys};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::FinishedVerdict;

/// Version of the entry's form, its first byte. Entries of another version are taken for a cache that is not whole.
const ENTRY_VERSION: u8 = 1;

/// An entry without its transaction, which is the field that it is stored under. `remember.lua` reads the time.
pub(super) fn encode_entry(entry: &HistoryEntry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(88);
    bytes.push(ENTRY_VERSION);
    bytes.extend_from_slice(&entry.received_at.as_millis().to_be_bytes());
    bytes.extend_from_slice(&entry.amount.minor().to_be_bytes());
    bytes.extend_from_slice(entry.amount.currency().code().as_bytes());
    bytes.extend_from_slice(&entry.declines.to_be_bytes());
    let keys = HistoryKeyKind::ALL.iter().map(|kind| entry.keys.get(*kind));
    for key in std::iter::once(entry.name).chain(keys) {
        bytes.extend_from_slice(&key.map_or(0, HistoryKey::as_i64).to_be_bytes()); // a key is never zero
    }
    bytes
}

pub(super) fn decode_entry(transaction: &str, bytes: &[u8]) -> Option<HistoryEntry> {
    let (&[version], rest) = bytes.split_first_chunk::<1>()?;
    let (received_at, rest) = rest.split_first_chunk::<8>()?;
    let (amount_minor, rest) = rest.split_first_chunk::<8>()?;
    let (currency, rest) = rest.split_first_chunk::<3>()?;
    let currency = Currency::from_code(std::str::from_utf8(currency).ok()?)?;
    let (declines, rest) = rest.split_first_chunk::<4>()?;
    let (keys, []) = rest.as_chunks::<8>() else { return None };
    let key = |index: usize| keys.get(index).map(|key| i64::from_be_bytes(*key));
    let [name, card, email, phone, device, ip, address, customer] =
        [key(0)?, key(1)?, key(2)?, key(3)?, key(4)?, key(5)?, key(6)?, key(7)?]
            .map(|stored| (stored != 0).then(|| HistoryKey::from_i64(stored)));
    (version == ENTRY_VERSION && keys.len() == 8).then_some(HistoryEntry {
        what: Happening::Order,
        transaction_id: transaction.parse::<TransactionId>().ok()?,
        received_at: Timestamp::from_millis(i64::from_be_bytes(*received_at)),
        ordered_at: Timestamp::from_millis(i64::from_be_bytes(*received_at)),
        amount: Money::from_minor(i64::from_be_bytes(*amount_minor), currency).ok()?,
        keys: HistoryKeys { card, email, phone, device, ip, address, customer },
        name,
        declines: u32::from_be_bytes(*declines),
    })
}

/// `received_at`, body hash and document, one a line.
pub(super) fn encode_verdict(finished: &FinishedVerdict) -> String {
    format!("{}\n{}\n{}", finished.received_at.as_millis(), finished.body_hash, finished.verdict)
}

pub(super) fn decode_verdict(stored: &str) -> Option<FinishedVerdict> {
    let mut lines = stored.splitn(3, '\n');
    Some(FinishedVerdict {
        received_at: Timestamp::from_millis(lines.next()?.parse().ok()?),
        body_hash: lines.next()?.to_owned(),
        verdict: lines.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_survives_its_stored_form_and_damage_is_noticed() {
        let transaction: TransactionId = "tx_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        let key = |stored| Some(HistoryKey::from_i64(stored));
        let entry = HistoryEntry {
            what: Happening::Order,
            transaction_id: transaction.clone(),
            received_at: Timestamp::from_millis(1_700_000_000_123),
            ordered_at: Timestamp::from_millis(1_700_000_000_123),
            amount: Money::from_minor(-5, Currency::from_code("EUR").unwrap()).unwrap(),
            keys: HistoryKeys {
                card: key(1),
                email: key(i64::MAX),
                phone: None,
                device: key(4),
                ip: key(5),
                address: key(6),
                customer: key(7),
            },
            name: key(8),
            declines: 3,
        };
        let bytes = encode_entry(&entry);
        assert_eq!(decode_entry(transaction.as_str(), &bytes), Some(entry));
        for length in 0..bytes.len() {
            assert_eq!(decode_entry(transaction.as_str(), &bytes[..length]), None);
        }
        assert_eq!(decode_entry(transaction.as_str(), &[bytes.as_slice(), &[0; 8]].concat()), None);
        assert_eq!(decode_entry("tx_1", &bytes), None);
    }
}
