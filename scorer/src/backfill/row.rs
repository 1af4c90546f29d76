//! One row: the document of a check, with what became of the order, as an order of history.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use touchstone_platform::store::backfill::{Backfill, PastOrder};
use touchstone_schema::backfill::RowKind;
use touchstone_schema::checks::{State, Subject, read_check, read_update};
use touchstone_schema::fault::Fault;
use touchstone_schema::history::{Happening, HistoryEntry, HistoryKey};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::input::Handling;
use touchstone_schema::json::Json;
use touchstone_schema::limits::{ORDER_WARNINGS, TIMESTAMP_SKEW};
use touchstone_schema::order::Order;
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{KeyMode, Surface};
use touchstone_schema::time::Timestamp;
use touchstone_schema::warning::Warning;

use crate::history_keys::OrderKeys;
use crate::score::norms::largest_quantity;
use crate::score::policy::Policy;

/// Sections of a check, which say nothing of what became of it.
const SECTIONS: [&str; 9] =
    ["transaction", "billing", "shipping", "payment", "device", "delivery", "campaign", "promotions", "products"];
/// Other surfaces, by which the same order may have been screened. Not the orders surface: its numbers are those of a site,
/// which no row names.
const ELSEWHERE: [Surface; 2] = [Surface::Signed, Surface::Centra];

/// What became of an order, and when it was known.
type Happenings = Vec<(Happening, Timestamp)>;

/// Reads the rows of one store.
pub(super) struct Reader {
    data_key: Secret,
    policy: Arc<Policy>,
    mode: KeyMode,
    kind: Option<RowKind>,
    /// When the backfill began.
    begun_at: Timestamp,
}

impl Reader {
    pub(super) fn new(backfill: &Backfill, data_key: Secret, policy: Arc<Policy>) -> Self {
        let Backfill { kind, created_at, .. } = *backfill;
        Self { data_key, policy, mode: backfill.tenant.mode, kind, begun_at: created_at }
    }

    /// The order that a row is of, and the warnings of the row: those of its file, and those of its fields.
    pub(super) fn read(
        &self,
        document: Json<'_>,
        warnings: Vec<Warning>,
    ) -> Result<(PastOrder, Vec<Warning>), Vec<Fault>> {
        let subject = self.subject(&document);
        let check = read_check(&document, subject, Handling::Lenient)?;
        if check.ordered_on > self.begun_at + TIMESTAMP_SKEW {
            return Err(vec![Fault::new("/transaction/ordered_on", "expected a time that is not in the future")]);
        }
        let (told, told_warnings) = self.told(document, subject, check.ordered_on)?;
        let canonical = Json::parse_text(&check.document).map_err(|error| vec![Fault::from(&error)])?;
        let order = Order::parse(&canonical)?;
        let keys = OrderKeys::of(&order, &self.data_key, self.mode, &self.policy);
        let id = subject.transaction_id(&self.data_key, self.mode, &check.id);
        let entry = keys.entry(&id, check.ordered_on, &order);
        let quantity = largest_quantity(&order);
        // Of the address as the row has it: one that is no key any more must not make a row contradict itself.
        let ip = order.ip_address.map(|ip| HistoryKey::of(&self.data_key, self.mode, "ip", &ip.to_string()));
        let past = PastOrder {
            elsewhere: self.elsewhere(subject, &check.id),
            digest: digest(&entry, ip, quantity),
            id,
            entry,
            declared_keys: keys.declared.iter().map(|(_, key)| *key).collect(),
            quantity,
            told,
        };
        let warnings = warnings.into_iter().chain(check.warnings).chain(told_warnings).take(ORDER_WARNINGS).collect();
        Ok((past, warnings))
    }

    /// As was said of the file, or as the row says: one that names a cart and no order is a cart.
    fn subject(&self, document: &Json<'_>) -> Subject {
        let names = |key: &str| {
            document.get("transaction").and_then(|section| section.get(key)).is_some_and(|id| !id.is_absent())
        };
        match self.kind {
            Some(RowKind::Order) => Subject::Transaction,
            Some(RowKind::Cart) => Subject::Cart,
            None if names("cart_id") && !names("order_id") => Subject::Cart,
            None => Subject::Transaction,
        }
    }

    /// What became of the order. It is known from when the merchant says that he changed it, else from now on.
    fn told(
        &self,
        document: Json<'_>,
        subject: Subject,
        ordered_on: Timestamp,
    ) -> Result<(Happenings, Vec<Warning>), Vec<Fault>> {
        let update = read_update(&flattened(document), subject, Handling::Lenient)
            .map_err(|faults| faults.into_iter().map(placed_fault).collect::<Vec<_>>())?;
        let meaning = State::new(subject).apply(&update);
        let at = update.updated_on.unwrap_or(self.begun_at).min(self.begun_at).max(ordered_on);
        let mut told: Vec<_> = meaning.happenings.into_iter().map(|what| (what, at)).collect();
        told.dedup();
        let warnings = update.warnings.into_iter().map(|warning| Warning { field: placed(warning.field), ..warning });
        Ok((told, warnings.collect()))
    }

    fn elsewhere(&self, subject: Subject, id: &str) -> Vec<TransactionId> {
        if subject == Subject::Cart {
            return Vec::new();
        }
        ELSEWHERE.iter().map(|surface| TransactionId::of_order(&self.data_key, self.mode, *surface, id)).collect()
    }
}

/// The update that a row is beside a check: its transaction, its payment's status, and what stands beside the sections.
fn flattened(document: Json<'_>) -> Json<'_> {
    let Json::Object(sections) = document else { return document };
    let mut members: Vec<(Cow<'_, str>, Json<'_>)> = Vec::new();
    let mut known = HashSet::new();
    let mut add = |name: Cow<'_, str>, value| {
        let name = name.into_owned();
        if known.insert(name.clone()) {
            members.push((Cow::Owned(name), value));
        }
    };
    for (name, value) in sections {
        match (name.as_ref(), value) {
            ("transaction", Json::Object(transaction)) => {
                transaction.into_iter().for_each(|(name, value)| add(name, value));
            }
            ("payment", Json::Object(payment)) => {
                payment
                    .into_iter()
                    .filter(|(name, _)| name == "payment_status")
                    .for_each(|(name, value)| add(name, value));
            }
            (section, _) if SECTIONS.contains(&section) => {}
            (_, value) => add(name, value),
        }
    }
    // An empty value of a file says nothing: only an update clears.
    members.retain(|(name, value)| !value.is_absent() && name != "transaction" && name != "cart");
    Json::Object(members)
}

fn placed_fault(fault: Fault) -> Fault {
    Fault { pointer: placed(fault.pointer), message: fault.message }
}

/// The pointer of a member of the update where most files have it.
fn placed(pointer: String) -> String {
    let section = if pointer == "/payment_status" { "/payment" } else { "/transaction" };
    if pointer.is_empty() { pointer } else { format!("{section}{pointer}") }
}

/// 63 bits that tell equal facts: what is remembered of the order, without what a policy declares, which may change.
fn digest(entry: &HistoryEntry, ip: Option<HistoryKey>, quantity: u32) -> i64 {
    let key = |key: Option<HistoryKey>| key.map_or(0, HistoryKey::as_i64).to_be_bytes();
    let keys = &entry.keys;
    let mut hash = Sha256::new();
    hash.update(entry.received_at.as_millis().to_be_bytes());
    hash.update(entry.amount.minor().to_be_bytes());
    hash.update(entry.amount.currency().code());
    for one in [keys.card, keys.email, keys.phone, keys.device, ip, keys.address, keys.customer, entry.name] {
        hash.update(key(one));
    }
    hash.update(entry.declines.to_be_bytes());
    hash.update(quantity.to_be_bytes());
    let bytes = hash.finalize();
    i64::from_be_bytes(*bytes.first_chunk().unwrap_or(&[0; 8])) & i64::MAX
}
