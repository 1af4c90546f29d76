//! How long a whole assessment takes: an order that tells everything, with as much history as is ever looked at.
//!
//! Goal: below 20 µs (`cargo bench --package touchstone-scorer`).

use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, black_box};
use touchstone_schema::enrichment::Enrichment;
use touchstone_schema::history::{Happening, HistoryByKey, HistoryEntry, HistoryKey, HistoryKeyKind, HistoryKeys};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::json::Json;
use touchstone_schema::limits::HISTORY_DEPTH;
use touchstone_schema::lists::ListMatches;
use touchstone_schema::order::{CountryCode, Order};
use touchstone_schema::time::Timestamp;
use touchstone_scorer::score::history::History;
use touchstone_scorer::score::norms::Norms;
use touchstone_scorer::score::policy::Policy;
use touchstone_scorer::score::{Facts, assess};

const RECEIVED_AT: Timestamp = Timestamp::from_millis(1_777_900_000_000);
const ORDER: &str = r#"{
    "order_id": "A-1001", "amount": "84.50", "currency": "USD", "source": "web", "created_at": "2026-05-04T13:00:00Z",
    "customer": {"id": "c-7", "email": "maria@carter-family.com", "phone": "+1 512 555 0100", "first_name": "Maria",
        "last_name": "Carter", "created_at": "2024-01-05T10:00:00Z", "orders_count": 6, "is_guest": false},
    "billing_address": {"first_name": "Maria", "last_name": "Carter", "address1": "500 Oak Street", "city": "Austin",
        "region": "TX", "postal_code": "78701", "country": "US"},
    "shipping_address": {"first_name": "Maria", "last_name": "Carter", "address1": "9 Pine Street", "city": "Reno",
        "region": "NV", "postal_code": "89501", "country": "US"},
    "payment": {"method": "card", "avs_result": "N", "cvv_result": "M", "card_bin": "411111", "card_last4": "1111",
        "card_expiry": "12/29", "card_fingerprint": "fp-1", "card_funding": "credit", "decline_count": 0},
    "line_items": [{"sku": "MUG", "name": "Mug", "quantity": 2, "price": "42.25", "is_digital": false},
        {"sku": "CUP", "name": "Cup", "quantity": 1, "price": "10", "is_digital": false}],
    "ip_address": "24.28.1.1", "shipping_method": "Ground",
    "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/124.0 Safari/537.36",
    "device": {"fingerprint_id": "d-1", "accept_language": "en-US,en;q=0.9", "time_zone": "America/Chicago"}
}"#;

fn main() {
    divan::main();
}

/// An order and everything that is known when it is scored.
struct World {
    order: Order,
    own: HistoryKeys,
    known: HistoryByKey,
    policy: Policy,
    enrichment: Enrichment,
    norms: Norms,
    lists: ListMatches,
}

impl World {
    fn new(known: impl FnOnce(&HistoryKeys, &Order) -> HistoryByKey) -> Self {
        let json = Json::parse(ORDER.as_bytes()).expect("JSON");
        let order = Order::parse(&json).expect("an order");
        let key = |number| Some(HistoryKey::from_i64(number));
        let own = HistoryKeys {
            card: key(1),
            email: key(2),
            phone: key(3),
            device: key(4),
            ip: key(5),
            address: key(6),
            customer: key(7),
        };
        let mut enrichment = Enrichment::default();
        enrichment.ip.country = CountryCode::parse("US");
        enrichment.card.country = CountryCode::parse("US");
        Self {
            known: known(&own, &order),
            order,
            own,
            policy: Policy::built_in(),
            enrichment,
            norms: Norms { median_minor: 6_000, high_amounts_minor: [9_000, 12_000, 20_000], high_quantity: 7 },
            lists: ListMatches::default(),
        }
    }

    fn assess(&self) -> u8 {
        let transaction = transaction(u64::MAX);
        let mut history = History::of(&transaction, RECEIVED_AT, self.order.amount, self.own.clone(), &self.known);
        history.own_name = Some(HistoryKey::from_i64(8));
        let facts = Facts {
            order: &self.order,
            history: &history,
            policy: &self.policy,
            received_at: RECEIVED_AT,
            enrichment: &self.enrichment,
            norms: Some(&self.norms),
            lists: &self.lists,
        };
        assess(black_box(&facts)).risk_score
    }
}

fn transaction(number: u64) -> TransactionId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    TransactionId::mint(RECEIVED_AT, random)
}

/// Each key with as many entries as are looked at, of orders that share nothing else, the newest a minute old and each
/// `apart` older; what became of an order is every third entry.
fn full_history(own: &HistoryKeys, order: &Order, apart: Duration) -> HistoryByKey {
    let mut known = HistoryByKey::new();
    for (kind, key) in own.iter() {
        let entries: Vec<_> = (0..HISTORY_DEPTH as u64).map(|n| Arc::new(entry(kind, key, n, order, apart))).collect();
        known.insert(key, entries);
    }
    known
}

fn entry(kind: HistoryKeyKind, key: HistoryKey, nth: u64, order: &Order, apart: Duration) -> HistoryEntry {
    const OUTCOMES: [Happening; 4] =
        [Happening::Fulfilled, Happening::Refunded, Happening::Approved, Happening::Legitimate];
    let at = |nth: u64| RECEIVED_AT - Duration::from_secs(60) - apart * u32::try_from(nth).unwrap_or(u32::MAX);
    // Every third entry is an outcome of the order that comes two entries later.
    let is_outcome = nth.is_multiple_of(3);
    let of = if is_outcome { nth + 2 } else { nth };
    let number = of + 1_000 * (kind as u64 + 1);
    let other = |salt: i64| Some(HistoryKey::from_i64(salt * 1_000_003 + i64::try_from(number).unwrap_or(0)));
    let mut keys = HistoryKeys {
        card: other(11),
        email: other(12),
        phone: other(13),
        device: other(14),
        ip: other(15),
        address: other(16),
        customer: other(17),
    };
    match kind {
        HistoryKeyKind::Card => keys.card = Some(key),
        HistoryKeyKind::Email => keys.email = Some(key),
        HistoryKeyKind::Phone => keys.phone = Some(key),
        HistoryKeyKind::Device => keys.device = Some(key),
        HistoryKeyKind::Ip => keys.ip = Some(key),
        HistoryKeyKind::Address => keys.address = Some(key),
        HistoryKeyKind::Customer => keys.customer = Some(key),
    }
    HistoryEntry {
        what: if is_outcome { OUTCOMES[(nth / 3) as usize % OUTCOMES.len()] } else { Happening::Order },
        transaction_id: transaction(number),
        received_at: at(nth),
        ordered_at: at(of),
        amount: order.amount,
        keys,
        name: other(18),
        declines: 0,
    }
}

#[divan::bench]
fn without_history(bencher: Bencher<'_, '_>) {
    let world = World::new(|_, _| HistoryByKey::new());
    bencher.bench_local(|| world.assess());
}

/// Orders over the 90 days that history reaches back: a busy shop's office or a good customer.
#[divan::bench]
fn with_full_history(bencher: Bencher<'_, '_>) {
    let world = World::new(|own, order| full_history(own, order, Duration::from_secs(8 * 3_600)));
    bencher.bench_local(|| world.assess());
}

/// The same within a day, all of it with other cards and addresses: an attack.
#[divan::bench]
fn with_full_history_of_a_day(bencher: Bencher<'_, '_>) {
    let world = World::new(|own, order| full_history(own, order, Duration::from_secs(300)));
    bencher.bench_local(|| world.assess());
}
