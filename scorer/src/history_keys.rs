//! The history keys of an order: what identifies its card, e-mail, phone, device, address and customer, normalised and
//! then hashed under the store's data key.

use touchstone_schema::history::{Happening, HistoryEntry, HistoryKey, HistoryKeyKind, HistoryKeys};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::order::{Address, Order, Payment};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::KeyMode;
use touchstone_schema::time::Timestamp;

/// Fewest digits that make a phone number worth comparing.
const PHONE_DIGITS: usize = 7;
/// Last digits of a phone number that are compared: national and international spellings of one number meet.
const PHONE_SUFFIX: usize = 9;

/// The keys of an order, the hashed surname, and whether the card is known by BIN and last four only.
#[derive(Debug)]
pub(crate) struct OrderKeys {
    pub(crate) keys: HistoryKeys,
    pub(crate) name: Option<HistoryKey>,
    pub(crate) card_is_weak: bool,
}

impl OrderKeys {
    /// Derives the keys.
    pub(crate) fn of(order: &Order, data_key: &Secret, mode: KeyMode) -> Self {
        let hash = |kind: HistoryKeyKind, value: String| HistoryKey::of(data_key, mode, kind.as_str(), &value);
        let card = card(&order.payment);
        let address = order.shipping_address.as_ref().or(order.billing_address.as_ref());
        let keys = HistoryKeys {
            card: card.as_ref().map(|(value, _)| hash(HistoryKeyKind::Card, value.clone())),
            email: order.customer.email.as_deref().and_then(email).map(|value| hash(HistoryKeyKind::Email, value)),
            phone: phone_of(order).map(|value| hash(HistoryKeyKind::Phone, value)),
            device: order.device.fingerprint_id.clone().map(|value| hash(HistoryKeyKind::Device, value)),
            ip: order.ip_address.map(|value| hash(HistoryKeyKind::Ip, value.to_string())),
            address: address.and_then(place).map(|value| hash(HistoryKeyKind::Address, value)),
            customer: order.customer.id.clone().map(|value| hash(HistoryKeyKind::Customer, value)),
        };
        let name = surname(order).map(|value| HistoryKey::of(data_key, mode, "name", &value));
        Self { keys, name, card_is_weak: card.is_some_and(|(_, weak)| weak) }
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
        return Some((format!("fingerprint {fingerprint}"), false));
    }
    let (bin, last4) = (payment.card_bin.as_deref()?, payment.card_last4.as_deref()?);
    let bin = bin.get(..6)?;
    Some(match payment.card_expiry {
        Some(expiry) => (format!("card {bin} {last4} {expiry}"), false),
        None => (format!("card {bin} {last4}"), true),
    })
}

/// Lower case, without the tag after a plus sign; dots of the local part are dropped where the provider ignores them.
pub(crate) fn email(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let (local, domain) = lower.rsplit_once('@')?;
    let local = local.split('+').next().unwrap_or(local);
    let (local, domain) = match domain {
        "gmail.com" | "googlemail.com" => (local.replace('.', ""), "gmail.com"),
        _ => (local.to_owned(), domain),
    };
    (!local.is_empty() && !domain.is_empty()).then(|| format!("{local}@{domain}"))
}

fn phone_of(order: &Order) -> Option<String> {
    let billing = order.billing_address.as_ref().and_then(|address| address.phone.as_deref());
    let text = order.customer.phone.as_deref().or(billing)?;
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    (digits.len() >= PHONE_DIGITS).then(|| digits[digits.len().saturating_sub(PHONE_SUFFIX)..].to_owned())
}

fn place(address: &Address) -> Option<String> {
    let street = folded(address.address1.as_deref()?);
    let postal_code = folded(address.postal_code.as_deref().or(address.city.as_deref())?);
    let second = address.address2.as_deref().map(folded).unwrap_or_default();
    let country = address.country.map(|country| country.to_string()).unwrap_or_default();
    (!street.is_empty()).then(|| format!("{street}/{second}/{postal_code}/{country}"))
}

fn surname(order: &Order) -> Option<String> {
    let billing = order.billing_address.as_ref().and_then(|address| address.last_name.as_deref());
    billing.or(order.customer.last_name.as_deref()).map(folded).filter(|name| !name.is_empty())
}

/// Letters and digits in lower case, nothing else: spelling, spacing and punctuation do not tell places apart.
fn folded(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_mailbox_meet() {
        assert_eq!(email("Ann.Lee+shop@Gmail.com"), email("annlee@googlemail.com"));
        assert_ne!(email("ann.lee@example.com"), email("annlee@example.com"));
        assert_eq!(email("no-at-sign"), None);
    }

    #[test]
    fn a_card_without_fingerprint_and_expiry_is_weak() {
        let payment =
            Payment { card_bin: Some("41111111".into()), card_last4: Some("1111".into()), ..Payment::default() };
        assert_eq!(card(&payment), Some(("card 411111 1111".to_owned(), true)));
    }

    #[test]
    fn addresses_meet_whatever_their_spacing_and_case() {
        let address = |street: &str| Address {
            address1: Some(street.into()),
            postal_code: Some("SW1A 1AA".into()),
            ..Address::default()
        };
        assert_eq!(place(&address("10, Downing St.")), place(&address("10 DOWNING ST")));
    }
}
