//! The history keys of an order: what identifies its card, e-mail, phone, device, address and customer, in one spelling
//! and then hashed under the store's data key. An IP address that many share (private, loopback, reserved, documentation)
//! identifies no customer and never becomes a key.

use touchstone_schema::address_class::is_reserved;
use touchstone_schema::history::{Happening, HistoryEntry, HistoryKey, HistoryKeyKind, HistoryKeys, normal};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::order::{Order, Payment};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::KeyMode;
use touchstone_schema::time::Timestamp;

use crate::score::policy::Policy;
use crate::score::rules::field::key_text;

/// The field of rules that holds the IP address.
const IP_FIELD: &str = "ip_address";

/// The keys of an order, the hashed surname, and whether the card is known by BIN and last four only.
#[derive(Debug)]
pub(crate) struct OrderKeys {
    pub(crate) keys: HistoryKeys,
    pub(crate) name: Option<HistoryKey>,
    pub(crate) card_is_weak: bool,
    /// Keys that the policy declares, by its names for them.
    pub(crate) declared: Vec<(String, HistoryKey)>,
}

impl OrderKeys {
    /// Derives the keys.
    pub(crate) fn of(order: &Order, data_key: &Secret, mode: KeyMode, policy: &Policy) -> Self {
        let hash = |kind: HistoryKeyKind, value: String| HistoryKey::of(data_key, mode, kind.as_str(), &value);
        let card = card(&order.payment);
        let address = order.shipping_address.as_ref().or(order.billing_address.as_ref());
        let keys = HistoryKeys {
            card: card.as_ref().map(|(value, _)| hash(HistoryKeyKind::Card, value.clone())),
            email: order
                .customer
                .email
                .as_deref()
                .and_then(normal::email)
                .map(|value| hash(HistoryKeyKind::Email, value)),
            phone: phone_of(order).map(|value| hash(HistoryKeyKind::Phone, value)),
            device: order.device.fingerprint_id.clone().map(|value| hash(HistoryKeyKind::Device, value)),
            ip: order
                .ip_address
                .filter(|ip| !is_reserved(*ip))
                .map(|value| hash(HistoryKeyKind::Ip, value.to_string())),
            address: address.and_then(normal::place).map(|value| hash(HistoryKeyKind::Address, value)),
            customer: order.customer.id.clone().map(|value| hash(HistoryKeyKind::Customer, value)),
        };
        let name = surname(order).map(|value| HistoryKey::of(data_key, mode, "name", &value));
        let is_identity = |field: &str| field != IP_FIELD || !order.ip_address.is_some_and(is_reserved);
        let declared = policy.history_keys().filter(|(_, field)| is_identity(field)).filter_map(|(name, field)| {
            let value = key_text(field, order)?;
            Some((name.to_owned(), HistoryKey::of(data_key, mode, &format!("field:{field}"), &value)))
        });
        let declared = declared.collect();
        Self { keys, name, card_is_weak: card.is_some_and(|(_, weak)| weak), declared }
    }

    /// All keys; those without a kind are declared by the policy.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Option<HistoryKeyKind>, HistoryKey)> + '_ {
        let declared = self.declared.iter().map(|(_, key)| (None, *key));
        self.keys.iter().map(|(kind, key)| (Some(kind), key)).chain(declared)
    }

    /// What is remembered of the order.
    pub(crate) fn entry(&self, transaction: &TransactionId, received_at: Timestamp, order: &Order) -> HistoryEntry {
        HistoryEntry {
            what: Happening::Order,
            transaction_id: transaction.clone(),
            received_at,
            ordered_at: received_at,
            amount: order.amount,
            keys: self.keys.clone(),
            name: self.name,
            declines: order.payment.decline_count.unwrap_or(0),
        }
    }
}

/// The card's identity and whether it is weak (signal catalogue: "card identity").
fn card(payment: &Payment) -> Option<(String, bool)> {
    if let Some(fingerprint) = &payment.card_fingerprint {
        return Some((normal::card_fingerprint(fingerprint), false));
    }
    let (bin, last4) = (payment.card_bin.as_deref()?, payment.card_last4.as_deref()?);
    let bin = bin.get(..6)?;
    Some(match payment.card_expiry {
        Some(expiry) => (format!("card {bin} {last4} {expiry}"), false),
        None => (format!("card {bin} {last4}"), true),
    })
}

fn phone_of(order: &Order) -> Option<String> {
    let billing = order.billing_address.as_ref().and_then(|address| address.phone.as_deref());
    order.customer.phone.as_deref().or(billing).and_then(normal::phone)
}

fn surname(order: &Order) -> Option<String> {
    let billing = order.billing_address.as_ref().and_then(|address| address.last_name.as_deref());
    billing.or(order.customer.last_name.as_deref()).map(normal::folded).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use touchstone_schema::json::Json;
    use touchstone_schema::lists::{ListEntry, ListKind, ListMatcher, ListSubject, StoreLists};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_777_900_000_000);

    /// The order that a list entry describes, as a shop sends it.
    fn described(subject: ListSubject, value: &str) -> Order {
        let value = value.trim();
        let mut order = json!({"order_id": "A-1", "amount": "10.00", "currency": "USD"});
        match subject {
            ListSubject::Email => order["customer"] = json!({"email": value}),
            ListSubject::EmailDomain => {
                order["customer"] = json!({"email": format!("ann@mail.{}", value.trim_start_matches('@'))});
            }
            ListSubject::Ip => order["ip_address"] = json!(value.split('/').next()),
            ListSubject::Card => order["payment"] = json!({"card_fingerprint": value}),
            ListSubject::Device => order["device"] = json!({"fingerprint_id": value}),
            ListSubject::Phone => order["customer"] = json!({"phone": value}),
            ListSubject::Customer => order["customer"] = json!({"id": value}),
            ListSubject::Address => {
                let parts: Vec<_> = value.split(';').map(str::trim).collect();
                let member = |at: usize| parts.get(at).map_or(Value::Null, |part| json!(part));
                order["shipping_address"] =
                    json!({"address1": member(0), "postal_code": member(1), "country": member(2)});
            }
        }
        let text = order.to_string();
        Order::parse(&Json::parse(text.as_bytes()).expect("JSON")).expect("an order")
    }

    fn typed() -> impl Strategy<Value = (ListSubject, String)> {
        let email = "[ *]?[a-zA-Z0-9.+ü*]{0,6}@{0,2}[a-zA-Z0-9ü_.-]{1,8}\\.[a-zA-Zü]{0,4}[.,; ]?";
        let domain = "[*@]{0,2}\\.?[a-zA-Z0-9ü_.-]{1,8}\\.[a-zA-Zß]{0,4}\\.?";
        let ip = "(::ffff:)?[0-9]{1,3}\\.[0-9]{1,3}\\.0\\.0(/[0-9]{1,3})?|2001:db8:[0-9a-f]{0,4}::(/[0-9]{1,3})?";
        prop_oneof![
            email.prop_map(|value| (ListSubject::Email, value)),
            domain.prop_map(|value| (ListSubject::EmailDomain, value)),
            ip.prop_map(|value| (ListSubject::Ip, value)),
            "[+]?[0-9 ()/-]{0,22}".prop_map(|value| (ListSubject::Phone, value)),
            "[a-zA-Z0-9 .,ß-]{0,12};[ A-Z0-9-]{0,8}(; ?[A-Za-z]{1,3})?".prop_map(|value| (ListSubject::Address, value)),
            (0..ListSubject::ALL.len(), "\\PC{0,30}").prop_map(|(at, value)| (ListSubject::ALL[at], value)),
        ]
    }

    proptest! {
        #[test]
        fn every_entry_that_is_accepted_matches_the_order_it_describes((subject, value) in typed()) {
            let key = Secret::new("data key");
            let Ok(matcher) = ListMatcher::read(subject, &value, &key, KeyMode::Live) else { return Ok(()) };
            let mut lists = StoreLists::default();
            lists.add(ListEntry {
                id: touchstone_schema::ids::ListEntryId::mint(NOW, [7; 10]),
                list: ListKind::Block,
                subject,
                matcher,
                hint: String::new(),
                note: None,
                created_at: NOW,
                expires_at: None,
            });
            let order = described(subject, &value);
            let keys = OrderKeys::of(&order, &key, KeyMode::Live, &Policy::built_in()).keys;
            prop_assert_eq!(lists.matches(&order, &keys, NOW).blocked, [subject], "{:?}", value);
        }
    }

    #[test]
    fn a_card_without_fingerprint_and_expiry_is_weak() {
        let payment =
            Payment { card_bin: Some("41111111".into()), card_last4: Some("1111".into()), ..Payment::default() };
        assert_eq!(card(&payment), Some(("card 411111 1111".to_owned(), true)));
    }

    fn keys_of_ip(address: &str) -> (Option<HistoryKey>, usize) {
        let document = format!(r#"{{"order_id":"1","amount":1,"currency":"EUR","ip_address":"{address}"}}"#);
        let order = Order::parse(&Json::parse_text(&document).unwrap()).unwrap();
        let policy = Policy::of(1, Policy::parse(r#"{"history_keys": {"network": "ip_address"}}"#).unwrap());
        let keys = OrderKeys::of(&order, &Secret::new("data key"), KeyMode::Live, &policy);
        (keys.keys.ip, keys.declared.len())
    }

    #[test]
    fn an_address_that_many_share_is_no_history_key() {
        for address in
            ["10.1.2.3", "127.0.0.1", "192.168.1.1", "100.64.0.9", "203.0.113.7", "::1", "fd00::7", "2001:db8::1"]
        {
            assert_eq!(keys_of_ip(address), (None, 0), "{address}");
        }
        let (key, declared) = keys_of_ip("81.2.69.142");
        assert_eq!((key.is_some(), declared), (true, 1));
    }
}
