//! What tests of scoring start from: an order that fires nothing, and ways to change it and to give it a past.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::{Value, json};
use touchstone_platform::enrichment::Enricher;
use touchstone_schema::enrichment::{Enrichment, Location};
use touchstone_schema::history::{Happening, HistoryByKey, HistoryEntry, HistoryKey, HistoryKeys};
use touchstone_schema::ids::StoreId;
use touchstone_schema::ids::TransactionId;
use touchstone_schema::json::Json;
use touchstone_schema::lists::ListMatches;
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::order::{CountryCode, Order};
use touchstone_schema::policy::StoredPolicy;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::Assessment;

use super::history::History;
use super::norms::Norms;
use super::policy::Policy;
use super::{Facts, Finding, assess, signals};

/// A history key of a test.
pub(crate) const fn key(number: i64) -> HistoryKey {
    HistoryKey::from_i64(number)
}

/// An amount of US dollars, in cents.
pub(crate) fn usd(cents: i64) -> Money {
    Currency::from_code("USD").and_then(|usd| Money::from_minor(cents, usd).ok()).expect("an amount")
}

/// A place of whole degrees.
pub(crate) const fn place(latitude: i32, longitude: i32) -> Location {
    Location { latitude_microdegrees: latitude * 1_000_000, longitude_microdegrees: longitude * 1_000_000 }
}
/// The lists that come with the build.
static BUILT_IN: LazyLock<Arc<Enricher>> = LazyLock::new(Enricher::built_in);

/// An order, its past and its store's policy.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    document: Value,
    own: HistoryKeys,
    own_name: Option<HistoryKey>,
    card_is_weak: bool,
    past: Vec<HistoryEntry>,
    policy: Policy,
    enrichment: Enrichment,
    norms: Option<Norms>,
    lists: ListMatches,
}

impl Case {
    /// When every order of a case was received.
    pub(crate) const RECEIVED_AT: Timestamp = Timestamp::from_millis(1_777_900_000_000);

    /// An order that fires nothing: a known customer buys for a usual amount, everything fits.
    pub(crate) fn ordinary() -> Self {
        let address = json!({
            "first_name": "Maria", "last_name": "Carter", "address1": "500 Oak Street", "city": "Austin",
            "region": "TX", "postal_code": "78701", "country": "US",
        });
        let document = json!({
            "order_id": "A-1001", "amount": "84.50", "currency": "USD", "source": "web",
            "created_at": "2026-05-04T13:00:00Z",
            "customer": {
                "id": "c-7", "email": "maria@carter-family.com", "phone": "+1 512 555 0100", "first_name": "Maria",
                "last_name": "Carter", "created_at": "2024-01-05T10:00:00Z", "orders_count": 6, "is_guest": false,
            },
            "billing_address": address, "shipping_address": address,
            "payment": {
                "method": "card", "avs_result": "Y", "cvv_result": "M", "card_bin": "411111", "card_last4": "1111",
                "card_expiry": "12/29", "card_fingerprint": "fp-1", "card_funding": "credit", "decline_count": 0,
            },
            "line_items": [{"sku": "MUG", "name": "Mug", "quantity": 2, "price": "42.25", "is_digital": false}],
            "ip_address": "24.28.1.1",
            "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/124.0 Safari/537.36",
            "device": {"fingerprint_id": "d-1", "accept_language": "en-US,en;q=0.9", "time_zone": "America/Chicago"},
            "shipping_method": "Ground",
        });
        let own = HistoryKeys {
            card: Some(key(1)),
            email: Some(key(2)),
            phone: Some(key(3)),
            device: Some(key(4)),
            ip: Some(key(5)),
            address: Some(key(6)),
            customer: Some(key(7)),
        };
        let country = CountryCode::parse("US");
        let mut enrichment = Enrichment::default();
        enrichment.ip.country = country;
        enrichment.card.country = country;
        Self {
            document,
            own,
            own_name: Some(key(8)),
            card_is_weak: false,
            past: Vec::new(),
            policy: Policy::built_in(),
            enrichment,
            norms: None,
            lists: ListMatches::default(),
        }
    }

    /// The same, from another document.
    pub(crate) fn of(document: Value) -> Self {
        Self { document, ..Self::ordinary() }
    }

    /// Sets the member at a JSON pointer, whose parent must exist.
    pub(crate) fn with(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let (parent, member) = pointer.rsplit_once('/').expect("a JSON pointer");
        self.document.pointer_mut(parent).expect("the parent exists")[member] = value.into();
        self
    }

    /// Takes the member at a JSON pointer away.
    pub(crate) fn without(self, pointer: &str) -> Self {
        self.with(pointer, Value::Null)
    }

    /// Changes the order's own history keys.
    pub(crate) fn own(mut self, change: impl FnOnce(&mut HistoryKeys)) -> Self {
        change(&mut self.own);
        self
    }

    /// The card is known by BIN and last four alone.
    pub(crate) fn weak_card(mut self) -> Self {
        self.card_is_weak = true;
        self
    }

    /// Adds an earlier order, which shares nothing until `describe` gives it keys.
    pub(crate) fn earlier(self, minutes: u64, describe: impl FnOnce(&HistoryKeys, &mut HistoryEntry)) -> Self {
        self.earlier_with(minutes, &[], describe)
    }

    /// The same, and what became of it, told in turn from the next minute on.
    pub(crate) fn earlier_with(
        mut self,
        minutes: u64,
        became: &[Happening],
        describe: impl FnOnce(&HistoryKeys, &mut HistoryEntry),
    ) -> Self {
        let received_at = Self::RECEIVED_AT - Duration::from_secs(minutes * 60);
        let number = u8::try_from(self.past.len() + 1).expect("few earlier orders");
        let mut entry = HistoryEntry {
            what: Happening::Order,
            ordered_at: received_at,
            transaction_id: transaction(number),
            received_at,
            amount: usd(5_000),
            keys: HistoryKeys::default(),
            name: None,
            declines: 0,
        };
        describe(&self.own, &mut entry);
        self.past.push(entry.clone());
        for (what, minute) in became.iter().zip(1..) {
            let received_at = entry.received_at + Duration::from_secs(minute * 60);
            self.past.push(HistoryEntry { what: *what, received_at, ..entry.clone() });
        }
        self
    }

    /// What is usual at the stores of tests: 30 dollars.
    pub(crate) const NORMS: Norms =
        Norms { median_minor: 3_000, high_amounts_minor: [6_000, 9_000, 15_000], high_quantity: 12 };

    /// Sets what is usual at the store.
    pub(crate) fn norms(mut self, norms: Norms) -> Self {
        self.norms = Some(norms);
        self
    }

    /// Sets which of the store's list entries it matches.
    pub(crate) fn listed(mut self, list: impl FnOnce(&mut ListMatches)) -> Self {
        list(&mut self.lists);
        self
    }

    /// Tells what outside data knows of the order.
    pub(crate) fn enriched(mut self, tell: impl FnOnce(&mut Enrichment)) -> Self {
        tell(&mut self.enrichment);
        self
    }

    /// Sets the store's policy.
    pub(crate) fn policy(mut self, document: &str) -> Self {
        let store_id = StoreId::mint(Self::RECEIVED_AT, [0; 10]);
        let stored = StoredPolicy { store_id, version: 3, document: document.to_owned() };
        self.policy = Policy::from_stored(&stored).expect("a valid policy");
        self
    }

    /// The store's policy.
    pub(crate) const fn current_policy(&self) -> &Policy {
        &self.policy
    }

    /// The order that the document is, if it is one.
    pub(crate) fn order(&self) -> Option<Order> {
        let text = self.document.to_string();
        Order::parse(&Json::parse(text.as_bytes()).ok()?).ok()
    }

    /// What the signal with this code finds, whatever the policy.
    pub(crate) fn finding(&self, code: &str) -> Option<Finding> {
        let signal = signals::find(code).expect("a signal of the catalogue");
        self.look(|facts| signal.finding(facts))
    }

    /// Whether the signal with this code fires.
    pub(crate) fn fires(&self, code: &str) -> bool {
        self.finding(code).is_some()
    }

    /// The whole assessment.
    pub(crate) fn assess(&self) -> Assessment {
        self.look(assess)
    }

    /// Points of one reason of the assessment.
    pub(crate) fn points(&self, code: &str) -> Option<i32> {
        self.assess().reasons.iter().find(|reason| reason.code == code).map(|reason| reason.points)
    }

    /// Looks at the facts of the case.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Facts<'_>) -> T) -> T {
        let order = self.order().expect("a valid order");
        let mut enrichment = self.enrichment.clone();
        let listed = BUILT_IN.snapshot().look_up(&order).email;
        enrichment.email.is_disposable |= listed.is_disposable;
        enrichment.email.is_free |= listed.is_free;
        let mut known = HistoryByKey::new();
        for entry in &self.past {
            for (_, key) in entry.keys.iter() {
                known.entry(key).or_default().push(Arc::new(entry.clone()));
            }
        }
        known.values_mut().for_each(|entries| entries.sort_by(|a, b| HistoryEntry::newest_first(a, b)));
        let mut history = History::of(&transaction(0), Self::RECEIVED_AT, order.amount, self.own.clone(), &known);
        history.own_name = self.own_name;
        history.card_is_weak = self.card_is_weak;
        look(&Facts {
            order: &order,
            history: &history,
            policy: &self.policy,
            received_at: Self::RECEIVED_AT,
            enrichment: &enrichment,
            norms: self.norms.as_ref(),
            lists: &self.lists,
        })
    }
}

fn transaction(number: u8) -> TransactionId {
    TransactionId::mint(Timestamp::from_millis(0), [number; 10])
}
