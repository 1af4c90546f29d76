//! Identifiers: newtypes over short ASCII strings with a prefix that tells what they name.
//!
//! A ULID after the prefix keeps identifiers sortable by creation time. Transaction identifiers are instead a keyed
//! hash, so that the same order has the same identifier on every path (contract: signed surface).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;
use ulid::Ulid;

use crate::secret::Secret;
use crate::tenant::{KeyMode, Surface};
use crate::time::Timestamp;

mod placed;

pub use placed::PlacedOrderId;

/// The text is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} identifier: expected `{prefix}` followed by 26 characters of Crockford base 32")]
pub struct InvalidId {
    kind: &'static str,
    prefix: &'static str,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// What every identifier of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Mints an identifier from the time of creation and ten random bytes.
            pub fn mint(at: Timestamp, random: [u8; 10]) -> Self {
                let mut bits = [0u8; 16];
                bits[6..].copy_from_slice(&random);
                let time = u128::from(at.as_millis().unsigned_abs()) & 0xFFFF_FFFF_FFFF;
                Self::from_bits((time << 80) | u128::from_be_bytes(bits))
            }

            fn from_bits(bits: u128) -> Self {
                Self(format!("{}{}", $prefix, Ulid::from(bits)).into())
            }

            /// The identifier as text, prefix included.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .and_then(|rest| Ulid::from_string(rest).ok())
                    .map(|ulid| Self::from_bits(ulid.into()))
                    .ok_or(InvalidId { kind: stringify!($name), prefix: $prefix })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

identifier!(/// A merchant: the account that owns stores.
    MerchantId, "mer_");
identifier!(/// A store: the tenant that every row and every query is scoped to.
    StoreId, "store_");
identifier!(/// An API key with its HMAC secret.
    KeyId, "key_");
identifier!(/// A merchant's webhook endpoint.
    EndpointId, "ep_");
identifier!(/// One order of one store, over all its revisions.
    TransactionId, "tx_");
identifier!(/// One act of sending an order; the same on every lane and on every redelivery.
    SubmissionId, "sub_");
identifier!(/// One event; the `webhook-id` of its deliveries.
    EventId, "evt_");
identifier!(/// One event on its way to one endpoint.
    DeliveryId, "dlv_");
identifier!(/// One recovery or replay of an endpoint's deliveries.
    RecoveryId, "rcv_");
identifier!(/// One entry of a store's lists.
    ListEntryId, "lst_");
identifier!(/// A connection between a store and a Centra shop.
    ConnectionId, "cen_");
identifier!(/// One time that a Centra shop held an order for us.
    HoldId, "hold_");
identifier!(/// One reading of one file of past orders.
    BackfillId, "bf_");

impl TransactionId {
    /// The identifier of an order: HMAC-SHA256 under the store's data key of (mode, surface, order id), cut to 128 bits.
    pub fn of_order(data_key: &Secret, mode: KeyMode, surface: Surface, order_id: &str) -> Self {
        Self::from_bits(keyed_bits(data_key, &["transaction", mode.as_str(), surface.as_str(), order_id]))
    }

    /// The identifier of a checked cart, which no order's equals, whatever their ids.
    pub fn of_cart(data_key: &Secret, mode: KeyMode, cart_id: &str) -> Self {
        Self::from_bits(keyed_bits(data_key, &["cart", mode.as_str(), Surface::Checks.as_str(), cart_id]))
    }

    /// What a failed payment is remembered under: the same however often a connection tells of it, and no order's.
    pub fn of_attempt(data_key: &Secret, mode: KeyMode, connection: &ConnectionId, body_hash: &str) -> Self {
        Self::from_bits(keyed_bits(data_key, &["attempt", mode.as_str(), connection.as_str(), body_hash]))
    }

    /// The 128 bits that the text stands for; they sort as the text does.
    pub fn to_bits(&self) -> u128 {
        Ulid::from_string(&self.0[Self::PREFIX.len()..]).map_or(0, u128::from)
    }

    /// The identifier of these bits.
    pub fn of_bits(bits: u128) -> Self {
        Self::from_bits(bits)
    }
}

impl TransactionId {
    /// The identifier of an order of the orders surface, where each site of a store numbers its own. `sent_in` is the world
    /// of the key, which a trial order leaves for the test world.
    pub fn of_placed(data_key: &Secret, mode: KeyMode, sent_in: KeyMode, site_name: &str, order_number: &str) -> Self {
        let surface = Surface::Orders.as_str();
        Self::from_bits(keyed_bits(
            data_key,
            &["transaction", mode.as_str(), surface, sent_in.as_str(), site_name, order_number],
        ))
    }
}

impl SubmissionId {
    /// The identifier of the failed payment that a connection tells of in a notice of this hash: the same however often it
    /// tells it.
    pub fn of_attempt(connection: &ConnectionId, body_hash: &str) -> Self {
        Self::from_bits(hashed_bits(connection.as_str(), body_hash.as_bytes()))
    }
}

impl EventId {
    /// The identifier of the `sequence`-th event of a transaction: the same however often its commit is attempted.
    pub fn of_change(transaction: &TransactionId, sequence: u32) -> Self {
        Self::from_bits(hashed_bits(transaction.as_str(), &sequence.to_be_bytes()))
    }
}

/// 128 bits of SHA-256 over an identifier and what tells apart what is made of it.
fn hashed_bits(identifier: &str, detail: &[u8]) -> u128 {
    use sha2::Digest;
    let digest = Sha256::new().chain_update(identifier).chain_update([0]).chain_update(detail).finalize();
    let mut bits = [0u8; 16];
    bits.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(bits)
}

/// 128 bits of HMAC-SHA256 over the parts, each ended by a zero byte so that no two part lists collide.
pub(crate) fn keyed_bits(key: &Secret, parts: &[&str]) -> u128 {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part.as_bytes());
        mac.update(&[0]);
    }
    let digest = mac.finalize().into_bytes();
    let mut bits = [0u8; 16];
    bits.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(bits)
}

/// The id of one HTTP request: echoed when the caller sent a sane one, else generated. It travels with the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Longest request id that is echoed.
    pub const MAX_LEN: usize = 128;

    /// Takes a caller's id when it is 1-128 characters of `[A-Za-z0-9._-]`.
    pub fn from_caller(text: &str) -> Option<Self> {
        let sane = (1..=Self::MAX_LEN).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        sane.then(|| Self(text.into()))
    }

    /// Mints an id from the time and ten random bytes.
    pub fn mint(at: Timestamp, random: [u8; 10]) -> Self {
        let id = SubmissionId::mint(at, random);
        Self(id.as_str().replacen(SubmissionId::PREFIX, "req_", 1).into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_is_read_as_an_identifier_is_written_as_the_same_one(
            text in prop_oneof![any::<String>(), "(tx|store|lst)_[0-9A-Za-z]{24,28}", "tx_[0-9A-HJKMNP-TV-Z]{26}"],
        ) {
            if let Ok(id) = text.parse::<TransactionId>() {
                prop_assert_eq!(id.as_str().len(), TransactionId::PREFIX.len() + 26);
                prop_assert_eq!(id.as_str().parse::<TransactionId>(), Ok(id.clone()));
                prop_assert_eq!(TransactionId::of_bits(id.to_bits()), id);
            }
        }

        #[test]
        fn request_ids_that_are_echoed_fit_into_a_header(text in any::<String>()) {
            if let Some(id) = RequestId::from_caller(&text) {
                prop_assert_eq!(id.as_str(), &text);
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }

    fn key() -> Secret {
        Secret::new("data key")
    }

    #[test]
    fn identifiers_survive_their_text_and_sort_by_time() {
        let early = StoreId::mint(Timestamp::from_millis(1_000), [0xff; 10]);
        let late = StoreId::mint(Timestamp::from_millis(1_001), [0; 10]);
        assert!(early < late, "{early} {late}");
        assert_eq!(early.as_str().parse::<StoreId>().as_ref(), Ok(&early));
        assert_eq!(early.as_str().len(), StoreId::PREFIX.len() + 26);
        let text = serde_json::to_string(&early).unwrap();
        assert_eq!(serde_json::from_str::<StoreId>(&text).unwrap(), early);
        let transaction = TransactionId::of_order(&key(), KeyMode::Live, Surface::Signed, "1");
        assert_eq!(TransactionId::of_bits(transaction.to_bits()), transaction);
    }

    #[test]
    fn what_is_no_identifier_of_the_kind_is_refused() {
        let store = StoreId::mint(Timestamp::from_millis(1), [1; 10]).to_string();
        assert!(store.parse::<MerchantId>().is_err());
        for text in ["", "store_", "store_short", &store[..store.len() - 1], &format!("{store}0"), &store[6..]] {
            assert!(text.parse::<StoreId>().is_err(), "{text}");
        }
        assert!(format!("store_{}", "U".repeat(26)).parse::<StoreId>().is_err());
        assert!(serde_json::from_str::<StoreId>("\"nonsense\"").is_err());
    }

    #[test]
    fn an_order_has_one_transaction_per_store_mode_and_surface() {
        let of = |key: &Secret, mode, surface, order| TransactionId::of_order(key, mode, surface, order);
        let plain = of(&key(), KeyMode::Live, Surface::Signed, "1");
        assert_eq!(plain, of(&key(), KeyMode::Live, Surface::Signed, "1"));
        assert_ne!(plain, of(&Secret::new("other"), KeyMode::Live, Surface::Signed, "1"));
        assert_ne!(plain, of(&key(), KeyMode::Test, Surface::Signed, "1"));
        assert_ne!(plain, of(&key(), KeyMode::Live, Surface::Orders, "1"));
        assert_ne!(plain, of(&key(), KeyMode::Live, Surface::Signed, "2"));
    }

    #[test]
    fn an_event_has_one_id_however_often_it_is_made() {
        let transaction = TransactionId::of_order(&key(), KeyMode::Live, Surface::Signed, "1");
        assert_eq!(EventId::of_change(&transaction, 1), EventId::of_change(&transaction, 1));
        assert_ne!(EventId::of_change(&transaction, 1), EventId::of_change(&transaction, 2));
    }

    #[test]
    fn only_sane_request_ids_are_echoed() {
        assert_eq!(RequestId::from_caller("a-B_9.z").unwrap().as_str(), "a-B_9.z");
        assert!(RequestId::from_caller(&"a".repeat(RequestId::MAX_LEN)).is_some());
        for text in ["", "a b", "a\nb", "\u{e9}", &"a".repeat(RequestId::MAX_LEN + 1)] {
            assert!(RequestId::from_caller(text).is_none(), "{text:?}");
        }
        assert!(RequestId::mint(Timestamp::from_millis(1), [1; 10]).as_str().starts_with("req_0"));
    }
}
