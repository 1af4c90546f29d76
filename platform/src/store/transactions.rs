//! What a store's own callers read and change: transactions, decisions, outcomes.

use touchstone_schema::centra::Effect;
use touchstone_schema::checks::{Flag, Update};
use touchstone_schema::event::Event;
use touchstone_schema::fault::Fault;
use touchstone_schema::history::Happening;
use touchstone_schema::ids::{RequestId, TransactionId};
use touchstone_schema::limits::PAGE_ITEMS;
use touchstone_schema::money::Money;
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{Surface, Tenant};
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::TransactionStatus;
use touchstone_schema::wire_enum;

use super::accounts::{AuditLine, audit};
use super::history::Remembered;
use super::{StoreError, TenantStore};

pub(super) mod change;
mod children;
mod read;

wire_enum! {
    /// What a person decides on a review or hold.
    Decision {
        /// Let it through.
        Approve = "approve",
        /// Refuse it.
        Reject = "reject",
    }
}

wire_enum! {
    /// What became of an order, as the merchant reports it (contract: signed surface).
    OutcomeKind {
        /// The customer's bank opened a dispute.
        ChargebackOpened = "chargeback_opened",
        /// The customer's claim was upheld: the customer keeps the money.
        #[serde(alias = "chargeback_won")]
        ChargebackUpheld = "chargeback_upheld",
        /// The chargeback was reversed: the merchant keeps the money.
        #[serde(alias = "chargeback_lost")]
        ChargebackReversed = "chargeback_reversed",
        /// The merchant paid the money back.
        Refunded = "refunded",
        /// Shipped or delivered.
        Fulfilled = "fulfilled",
        /// Cancelled.
        Cancelled = "cancelled",
        /// Known to be fraud.
        FraudConfirmed = "fraud_confirmed",
        /// Known to be honest.
        Legitimate = "legitimate",
    }
}

impl Decision {
    /// Where it puts a transaction.
    pub const fn status(self) -> TransactionStatus {
        match self {
            Self::Approve => TransactionStatus::Approved,
            Self::Reject => TransactionStatus::Rejected,
        }
    }
}

impl From<Decision> for Happening {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Approve => Self::Approved,
            Decision::Reject => Self::Rejected,
        }
    }
}

impl From<Decision> for Effect {
    /// What a decision means for an order that a shop holds.
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Approve => Self::Resume,
            Decision::Reject => Self::Cancel,
        }
    }
}

impl OutcomeKind {
    /// Reads how much an outcome is about, in minor units of the order's currency.
    ///
    /// # Errors
    /// What was expected. No more than the order's total can be refunded; a chargeback may be more, by its fees.
    pub fn read_amount(self, text: &str, total: Money) -> Result<i64, String> {
        let amount = Money::parse(text, total.currency()).map_err(|error| error.to_string())?;
        if amount.minor() < 0 {
            return Err("expected an amount that is not negative".to_owned());
        }
        if self == Self::Refunded && amount.minor() > total.minor() {
            return Err(format!("expected a refund of at most the order's total, {total}"));
        }
        Ok(amount.minor())
    }
}

impl From<OutcomeKind> for Happening {
    fn from(kind: OutcomeKind) -> Self {
        match kind {
            OutcomeKind::ChargebackOpened => Self::ChargebackOpened,
            OutcomeKind::ChargebackUpheld => Self::ChargebackUpheld,
            OutcomeKind::ChargebackReversed => Self::ChargebackReversed,
            OutcomeKind::Refunded => Self::Refunded,
            OutcomeKind::Fulfilled => Self::Fulfilled,
            OutcomeKind::Cancelled => Self::Cancelled,
            OutcomeKind::FraudConfirmed => Self::FraudConfirmed,
            OutcomeKind::Legitimate => Self::Legitimate,
        }
    }
}

/// What a transaction is and where it stands.
#[derive(Debug, Clone)]
pub struct TransactionHead {
    /// Whether it has a verdict.
    pub is_scored: bool,
    /// The merchant's order id.
    pub order_id: String,
    /// How it came in.
    pub surface: Surface,
    /// Where it stands.
    pub status: TransactionStatus,
    /// The outcome that ended it.
    pub ended_by: Option<OutcomeKind>,
    /// When its newest submission was received.
    pub received_at: Timestamp,
}

/// How much of everything a transaction has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Verdicts.
    pub revisions: u64,
    /// Decisions.
    pub decisions: u64,
    /// Outcomes.
    pub outcomes: u64,
    /// Events.
    pub events: u64,
}

/// How often a transaction was scored lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentRevisions {
    /// How often, promised ones included.
    pub made: u64,
    /// When the first of them was received.
    pub oldest: Option<Timestamp>,
}

/// Where a page of outcomes begins: just before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutcomeCursor {
    /// When it happened.
    pub occurred_at: Timestamp,
    /// What happened.
    pub kind: OutcomeKind,
}

/// A transaction with what is known of it: the newest [`TRANSACTION_LIST_ITEMS`] of each list.
///
/// [`TRANSACTION_LIST_ITEMS`]: touchstone_schema::limits::TRANSACTION_LIST_ITEMS
#[derive(Debug, Clone)]
pub struct TransactionView {
    /// Its id.
    pub id: TransactionId,
    /// The merchant's order id.
    pub order_id: String,
    /// How it came in.
    pub surface: Surface,
    /// Where it stands.
    pub status: TransactionStatus,
    /// The report that ended it, where one did: nothing is left to decide.
    pub ended_by: Option<OutcomeKind>,
    /// When its newest submission was received.
    pub received_at: Timestamp,
    /// Revisions, oldest first; empty while pending.
    pub revisions: Vec<RevisionView>,
    /// Decisions, oldest first.
    pub decisions: Vec<DecisionView>,
    /// Outcomes, oldest first.
    pub outcomes: Vec<OutcomeView>,
    /// Events with the state of their deliveries.
    pub events: Vec<EventView>,
    /// How many there are of all these.
    pub totals: Totals,
    /// What the updates of a checked order told, as JSON; none before the first.
    pub check: Option<String>,
}

/// One verdict of a transaction.
#[derive(Debug, Clone)]
pub struct RevisionView {
    /// From 1.
    pub revision: u32,
    /// When its order was received.
    pub received_at: Timestamp,
    /// When it was scored.
    pub scored_at: Timestamp,
    /// Names the outside data that it was scored with.
    pub enrichment_version: Option<String>,
    /// Verdict document without `duration_ms`.
    pub verdict: String,
}

/// One decision.
#[derive(Debug, Clone)]
pub struct DecisionView {
    /// The revision that it settles.
    pub revision: u32,
    /// What was decided.
    pub decision: Decision,
    /// By whom.
    pub reviewer: String,
    /// Why.
    pub note: Option<String>,
    /// When.
    pub decided_at: Timestamp,
}

/// One outcome.
#[derive(Debug, Clone)]
pub struct OutcomeView {
    /// What happened.
    pub kind: OutcomeKind,
    /// When.
    pub occurred_at: Timestamp,
    /// Amount in minor units of the order's currency, where one was told.
    pub amount_minor: Option<i64>,
    /// When it was told to us.
    pub recorded_at: Timestamp,
}

/// One event and how far its deliveries are.
#[derive(Debug, Clone)]
pub struct EventView {
    /// Its id, as text.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Its place in the transaction.
    pub sequence: u32,
    /// Deliveries that wait for an attempt.
    pub pending: u32,
    /// Deliveries that arrived.
    pub delivered: u32,
    /// Deliveries that were given up.
    pub dead: u32,
}

/// A line of a listing.
#[derive(Debug, Clone)]
pub struct TransactionSummary {
    /// Its id.
    pub id: TransactionId,
    /// The merchant's order id.
    pub order_id: String,
    /// Where it stands.
    pub status: TransactionStatus,
    /// 0-100; none while pending.
    pub score: Option<u8>,
    /// Band; none while pending.
    pub level: Option<String>,
    /// Recommended action; none while pending.
    pub action: Option<String>,
    /// Its total; none while pending.
    pub amount: Option<Money>,
    /// When its newest submission was received.
    pub received_at: Timestamp,
}

/// Where a page begins: just before this row, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageCursor {
    /// Received-at of the last row of the page before.
    pub received_at: Timestamp,
    /// Its id.
    pub id: TransactionId,
}

/// What a person decided.
#[derive(Debug, Clone)]
pub struct NewDecision {
    /// The decision.
    pub decision: Decision,
    /// Who decided.
    pub reviewer: String,
    /// Why.
    pub note: Option<String>,
    /// When.
    pub now: Timestamp,
    /// The request that brought it.
    pub request_id: RequestId,
}

/// Where a transaction stands, and the report that ended it, where one did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its status.
    pub status: TransactionStatus,
    /// What the merchant reported.
    pub ended_by: Option<OutcomeKind>,
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.ended_by {
            Some(outcome) if outcome.as_str() != self.status.as_str() => {
                write!(f, "{}, ended by the reported outcome {outcome}", self.status)
            }
            _ => write!(f, "{}", self.status),
        }
    }
}

/// How a decision was taken.
#[derive(Debug)]
pub enum Decided {
    /// Recorded; here are its event and its entry of history.
    Recorded(Box<Event>, Option<Remembered>),
    /// The same decision was recorded before, and still is what stands.
    Already(Standing),
    /// The contrary decision was recorded before.
    Contrary(Standing),
    /// The transaction does not wait for a decision: it has no verdict yet, its verdict approved it, or an outcome that was
    /// reported has ended it. Expected a review or hold.
    NotOpen(Standing),
    /// No such transaction of this tenant.
    NotFound,
}

/// What the merchant reported.
#[derive(Debug, Clone)]
pub struct NewOutcome {
    /// What happened.
    pub kind: OutcomeKind,
    /// When.
    pub occurred_at: Timestamp,
    /// Amount in minor units.
    pub amount_minor: Option<i64>,
    /// Now.
    pub now: Timestamp,
    /// The request that brought it.
    pub request_id: RequestId,
}

/// How an outcome was taken.
#[derive(Debug)]
pub enum OutcomeTaken {
    /// Recorded, with the event that it makes, where its kind makes one (`chargeback.*`, else `order.status_changed`), and
    /// the entry of history. Neither while the order has no verdict.
    Recorded(Option<Box<Event>>, Option<Remembered>),
    /// Recorded before.
    Already,
    /// No such transaction of this tenant.
    NotFound,
}

/// An update of a checked transaction or cart.
#[derive(Debug, Clone)]
pub struct NewCheckUpdate<'a> {
    /// What it says.
    pub update: &'a Update,
    /// Whether a transaction that names the cart says it, once however often it comes.
    pub is_conversion: bool,
    /// Now.
    pub now: Timestamp,
    /// The request that brought it.
    pub request_id: RequestId,
}

/// How an update was taken.
#[derive(Debug)]
pub enum CheckUpdated {
    /// Applied, with its event, its entries of history, and the members that changed in a way not to be expected.
    Applied(Box<Event>, Vec<Remembered>, Vec<Flag>),
    /// The cart was converted before.
    Already,
    /// An update of the same time was applied before.
    Duplicate,
    /// Its amounts do not suit the currency of the order.
    Invalid(Vec<Fault>),
    /// Nothing was checked under this id.
    NotFound,
}

impl TenantStore<'_> {
    /// One transaction of the tenant, pending ones included. Where one has revisions and also a newer pending row, the
    /// status is that of its newest revision until the pending one is scored.
    pub async fn transaction(&self, id: &TransactionId) -> Result<Option<TransactionView>, StoreError> {
        read::transaction(self.store, self.tenant, id).await
    }

    /// What a transaction of the tenant is and where it stands, without its lists.
    pub async fn transaction_head(&self, id: &TransactionId) -> Result<Option<TransactionHead>, StoreError> {
        read::head(self.store, self.tenant, id).await
    }

    /// A page of the tenant's transactions, newest first, pending ones included when `status` is `None`, `Pending` or
    /// `Failed`. At most one more than [`PAGE_ITEMS`], so that a caller can tell whether another page follows.
    pub async fn transactions(
        &self,
        status: Option<TransactionStatus>,
        before: Option<&PageCursor>,
        most: u64,
    ) -> Result<Vec<TransactionSummary>, StoreError> {
        read::page(self.store, self.tenant, status, None, before, most.min(PAGE_ITEMS + 1)).await
    }

    /// The same of these transactions only, of which there are few.
    pub async fn transactions_among(
        &self,
        ids: &[TransactionId],
        status: Option<TransactionStatus>,
        before: Option<&PageCursor>,
        most: u64,
    ) -> Result<Vec<TransactionSummary>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        read::page(self.store, self.tenant, status, Some(ids), before, most.min(PAGE_ITEMS + 1)).await
    }

    /// A page of the tenant's orders that wait for a person, those that wait longest first.
    pub async fn waiting(&self, after: Option<&PageCursor>, most: u64) -> Result<Vec<TransactionSummary>, StoreError> {
        read::waiting(self.store, self.tenant, after, most.min(PAGE_ITEMS + 1)).await
    }

    /// The transactions that an id of the merchant's may be of: one of each surface, the cart, one of each site of the orders
    /// surface; and the worlds that they lie in. Which of them exist is not asked.
    pub async fn candidates(&self, data_key: &Secret, id: &str) -> Result<Vec<(Tenant, TransactionId)>, StoreError> {
        let (tenant, mode) = (self.tenant, self.tenant.mode);
        let surfaces = Surface::ALL.iter().map(|surface| TransactionId::of_order(data_key, mode, *surface, id));
        let named = surfaces.chain([TransactionId::of_cart(data_key, mode, id)]);
        let named = named.map(|transaction| (tenant.clone(), transaction));
        Ok(named.chain(self.placed_as(id).await?).collect())
    }

    /// The canonical document of a transaction's newest revision; none while it has none.
    pub async fn order_document(&self, id: &TransactionId) -> Result<Option<String>, StoreError> {
        read::order_document(self.store, self.tenant, id).await
    }

    /// The same for a person who asks for all of it, personal data included. Audited.
    pub async fn order_document_in_full(
        &self,
        id: &TransactionId,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let change = self.store.begin().await?;
        let (store, action) = (Some(&self.tenant.store_id), "order.read_in_full");
        audit(&change, AuditLine { actor: "operator", store, action, detail: id.as_str(), at: now }).await?;
        change.commit().await?;
        self.order_document(id).await
    }

    /// The total of a transaction's newest revision; none while it has none.
    pub async fn amount(&self, id: &TransactionId) -> Result<Option<Money>, StoreError> {
        read::total(self.store, self.tenant, id).await
    }

    /// The currency of a transaction's newest revision, to read an outcome's amount with.
    pub async fn currency(&self, id: &TransactionId) -> Result<Option<String>, StoreError> {
        read::currency(self.store, self.tenant, id).await
    }

    /// Settles a review or hold, or an order that a Centra shop holds until a person decides, and adds its event and its entry of history, in one transaction.
    pub async fn decide(&self, id: &TransactionId, decision: &NewDecision) -> Result<Decided, StoreError> {
        change::meeting(|| change::decide(self.store, self.tenant, id, decision)).await
    }

    /// Applies an update to what is known of a checked transaction or cart, and adds its event and its entries of history,
    /// in one transaction under the row's lock: of two at once, the second is applied upon the first.
    pub async fn update_check(&self, id: &TransactionId, new: &NewCheckUpdate<'_>) -> Result<CheckUpdated, StoreError> {
        change::meeting(|| change::checks::update(self.store, self.tenant, id, new)).await
    }

    /// Records an outcome once, closes the review that it ends, says so to a Centra shop that still holds the order, and adds
    /// its event and its entry of history, in one transaction. An outcome of a transaction that has no verdict yet is
    /// recorded without them: the first event of a transaction is its verdict, which then closes at once.
    pub async fn record_outcome(&self, id: &TransactionId, outcome: &NewOutcome) -> Result<OutcomeTaken, StoreError> {
        change::meeting(|| change::record_outcome(self.store, self.tenant, id, outcome)).await
    }
}
