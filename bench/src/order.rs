//! The orders that the load consists of, and their signatures.
//!
//! Guarantee: no two orders of a run share an id, a customer, a card or an address; each is about 2 KB, has most known
//! members and is signed with a nonce of its own, as the integrator's Python example does (contracts.md §1).

use std::sync::atomic::{AtomicU64, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper::{Method, Request, body::Bytes};
use sha2::Sha256;
use touchstone_platform::{clock::Clock, random};

/// Where orders are sent to.
pub(crate) const PATH: &str = "/v1/analyze";

const FIRST_NAMES: [&str; 8] = ["Ada", "Bruno", "Carla", "David", "Elena", "Farid", "Greta", "Hugo"];
const LAST_NAMES: [&str; 8] = ["Adler", "Brandt", "Castillo", "Dupont", "Eriksen", "Ferrari", "Gruber", "Hansen"];
const MAIL_HOSTS: [&str; 4] = ["gmail.com", "outlook.com", "icloud.com", "proton.me"];
const CITIES: [(&str, &str, &str); 4] =
    [("Chicago", "IL", "60614"), ("Austin", "TX", "78701"), ("Denver", "CO", "80202"), ("Seattle", "WA", "98101")];
const CARDS: [(&str, &str); 4] =
    [("424242", "visa"), ("555555", "mastercard"), ("378282", "amex"), ("601111", "discover")];

/// Makes signed orders. Cheap: about 15 µs each.
pub(crate) struct Orders {
    api_key: String,
    keyed: Hmac<Sha256>,
    run: String,
    next: AtomicU64,
}

impl Orders {
    /// Orders of one store.
    pub(crate) fn new(api_key: &str, hmac_secret: &str) -> anyhow::Result<Self> {
        let keyed = Hmac::<Sha256>::new_from_slice(hmac_secret.as_bytes())?;
        let run = hex::encode(random::bytes::<4>());
        Ok(Self { api_key: api_key.to_owned(), keyed, run, next: AtomicU64::new(1) })
    }

    /// The next order, signed at this moment, to be sent to `host`.
    pub(crate) fn request(&self, host: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        let body = self.document();
        let timestamp = Clock::system().now().as_millis().div_euclid(1_000).to_string();
        let nonce = hex::encode(random::bytes::<16>());
        let request = Request::builder()
            .method(Method::POST)
            .uri(PATH)
            .header("Host", host)
            .header("Content-Type", "application/json")
            .header("Authorization", format!("Bearer {}", self.api_key))
            .header("X-Fraudshield-Key", &self.api_key)
            .header("X-Fraudshield-Signature", sign(&self.keyed, &timestamp, &nonce, body.as_bytes()))
            .header("X-Fraudshield-Timestamp", timestamp)
            .header("X-Fraudshield-Nonce", nonce);
        Ok(request.body(Full::new(Bytes::from(body)))?)
    }

    /// The next order's document.
    pub(crate) fn document(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let pick = |salt: u64, length: usize| (spread(number ^ (salt << 56)) % length as u64) as usize;
        let (first, last) = (FIRST_NAMES[pick(1, 8)], LAST_NAMES[pick(2, 8)]);
        let (city, region, postal_code) = CITIES[pick(3, 4)];
        let (bin, brand) = CARDS[pick(4, 4)];
        let host = MAIL_HOSTS[pick(5, 4)];
        let run = &self.run;
        let (token, ip) = (spread(number), spread(number).to_be_bytes());
        let (price, quantity) = (19 + pick(6, 180), 1 + pick(7, 3));
        let amount = price * quantity + 24 + 6;
        let last4 = token % 10_000;
        let street = 1 + number;
        let address = format!(
            r#"{{"first_name":"{first}","last_name":"{last}","company":null,"address1":"{street} North Clark Street","address2":"Apartment {run}","city":"{city}","region":"{region}","postal_code":"{postal_code}","country":"US","phone":"+1312{number:07}"}}"#
        );
        format!(
            r#"{{"order_id":"{run}-{number}","amount":"{amount}.90","currency":"USD","customer":{{"id":"customer-{run}-{number}","email":"{first}.{last}.{run}{number}@{host}","phone":"+1312{number:07}","first_name":"{first}","last_name":"{last}","created_at":"2024-03-11T09:26:53Z","orders_count":7,"is_guest":false}},"billing_address":{address},"shipping_address":{address},"payment":{{"method":"card","gateway":"stripe","transaction_id":"pi_{token:016x}{run}","avs_result":"Y","cvv_result":"M","eci":"05","card_bin":"{bin}","card_last4":"{last4:04}","card_expiry":"11/29","card_fingerprint":"fp_{token:016x}{run}","card_brand":"{brand}","card_funding":"credit","was_authorized":true,"decline_count":0}},"line_items":[{{"sku":"TENT-2P-GREEN","name":"Two-person tent, three seasons, forest green","category":"outdoor","quantity":{quantity},"price":"{price}.90","is_digital":false}},{{"sku":"LAMP-HEAD-400","name":"Head lamp, 400 lumen, rechargeable","category":"outdoor","quantity":1,"price":"24.00","is_digital":false}}],"ip_address":"{}.{}.{}.{}","user_agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15","device":{{"fingerprint_id":"device-{token:016x}{run}","session_id":"session-{token:016x}","accept_language":"en-US,en;q=0.9","time_zone":"America/Chicago"}},"created_at":"2026-11-20T14:03:27Z","discount_codes":[{{"code":"AUTUMN-{run}","amount":"5.00"}}],"source":"web","shipping_method":"UPS Ground","shipping_amount":"6.00","metadata":{{"warehouse":"chicago-2","campaign":"autumn-camping-newsletter","basket":"{token:016x}","gift_message":"none","loyalty_tier":"silver"}}}}"#,
            60 + ip[0] % 30,
            ip[1],
            ip[2],
            1 + ip[3] % 250,
        )
    }
}

/// The signature of `{timestamp}.{nonce}.{body}` in hexadecimal digits.
pub(crate) fn sign(keyed: &Hmac<Sha256>, timestamp: &str, nonce: &str, body: &[u8]) -> String {
    hex::encode(mac(keyed, timestamp, nonce, body).finalize().into_bytes())
}

/// The message authentication code before it is read or compared.
pub(crate) fn mac(keyed: &Hmac<Sha256>, timestamp: &str, nonce: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = keyed.clone();
    for part in [timestamp.as_bytes(), b".", nonce.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac
}

/// Spreads consecutive numbers over all 64 bits, each to a number of its own (the finalizer of SplitMix64).
fn spread(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_distinct_json_of_about_two_kilobytes() {
        let orders = Orders::new("fcc_live_x", "secret").unwrap();
        let documents: Vec<serde_json::Value> =
            (0..50).map(|_| serde_json::from_str(&orders.document()).unwrap()).collect();

        for member in ["/order_id", "/customer/email", "/payment/card_fingerprint", "/device/fingerprint_id"] {
            let mut values: Vec<_> = documents.iter().map(|order| order.pointer(member).unwrap().to_string()).collect();
            values.sort();
            values.dedup();
            assert_eq!(values.len(), documents.len(), "{member}");
        }
        let size = orders.document().len();
        assert!((1_800..2_600).contains(&size), "{size} bytes");
    }
}
