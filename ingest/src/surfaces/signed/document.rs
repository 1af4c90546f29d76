//! The documents of the signed surface, as they are on the wire and in the OpenAPI description.

use serde::Serialize;
use serde_json::value::RawValue;
use touchstone_platform::store::transactions::{
    DecisionView, EventView, OutcomeView, RevisionView, TransactionSummary, TransactionView,
};
use touchstone_schema::limits::PAGE_ITEMS;
use touchstone_schema::lists::ListEntry;
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::time::Timestamp;
use utoipa::ToSchema;

/// An order to screen. Members that are not named here are kept and never refused.
#[derive(Debug, ToSchema)]
#[schema(as = Order, example = json!({
    "order_id": "1001", "amount": 129.90, "currency": "EUR",
    "customer": {"email": "ada@byron-boots.de", "orders_count": 3},
    "billing_address": {"first_name": "Ada", "last_name": "Byron", "address1": "1 Main St", "city": "Berlin", "country": "DE"},
    "payment": {"method": "card", "card_bin": "424242", "card_last4": "4242", "avs_result": "Y", "cvv_result": "M"},
    "line_items": [{"sku": "A-1", "name": "Boots", "quantity": 1, "price": 129.90}],
    "ip_address": "91.12.34.5"
}))]
#[expect(dead_code, reason = "describes the document; schema::order::Order reads it")]
pub(crate) struct OrderDocument {
    /// The merchant's id of the order.
    #[schema(min_length = 1, max_length = 128)]
    order_id: String,
    /// Total, as a number or a numeric text, with at most the decimals of the currency.
    amount: f64,
    /// ISO 4217 code.
    #[schema(min_length = 3, max_length = 3)]
    currency: String,
    /// `{id, email, phone, first_name, last_name, created_at, orders_count, is_guest}`
    customer: Option<serde_json::Value>,
    /// `{first_name, last_name, company, address1, address2, city, region, postal_code, country, phone}`
    billing_address: Option<serde_json::Value>,
    /// As `billing_address`.
    shipping_address: Option<serde_json::Value>,
    /// `{method, gateway, transaction_id, avs_result, avs_street_result, avs_postal_result, cvv_result, eci, card_bin,
    /// card_last4, card_expiry, card_fingerprint, card_brand, card_funding, was_authorized, decline_count}`. Never a full card
    /// number.
    ///
    /// `avs_result` and `cvv_result` are the issuer's answers as the gateway gives them: letters of the schemes and of
    /// Authorize.Net, Braintree, CyberSource, PayPal and Worldpay, numbers with words of Adyen (`2 Doesn't Match`), words of
    /// Stripe (`pass`, `fail`, `unavailable`, `unchecked`), and plain words (`match`, `no_match`, `matched`, `not matched`,
    /// `true`, `false`, `yes`, `no`). `avs_street_result` and `avs_postal_result` are for gateways that answer for street and
    /// postal code apart. What is not understood counts as unavailable, never as a match. Send `gateway` and `card_brand`:
    /// the same letter means different things to them.
    payment: Option<serde_json::Value>,
    /// `[{sku, name, category, quantity, price, is_digital}]`
    line_items: Option<Vec<serde_json::Value>>,
    /// The customer's address on the Internet.
    ip_address: Option<String>,
    /// The customer's browser.
    user_agent: Option<String>,
    /// `{fingerprint_id, session_id, accept_language, time_zone}`
    device: Option<serde_json::Value>,
    /// RFC 3339.
    created_at: Option<String>,
    /// `[{code, amount}]`
    discount_codes: Option<Vec<serde_json::Value>>,
    /// web, mobile_app, phone, in_store or chat.
    source: Option<String>,
    /// Name of the shipping method.
    shipping_method: Option<String>,
    /// Price of the shipping.
    shipping_amount: Option<f64>,
    /// Texts by name.
    metadata: Option<serde_json::Value>,
}

/// A verdict, as it is kept.
#[derive(Debug, ToSchema)]
#[schema(as = StoredVerdict, example = json!({
    "transaction_id": "tx_01ARZ3NDEKTSV4RRFFQ69G5FAV", "order_id": "1001", "risk_score": 12, "risk_level": "low",
    "recommended_action": "approve", "confidence": 0.82, "reason_codes": ["avs_match"],
    "reasons": [{"code": "avs_match", "points": -8, "detail": "The billing address matches the card's."}],
    "explanation": "Low risk.", "policy_version": 0, "warnings": [], "mode": "live", "scored_at": "2026-01-02T03:04:05.678Z"
}))]
#[expect(dead_code, reason = "describes the document; schema::verdict::Verdict writes it")]
pub(crate) struct StoredVerdictDocument {
    /// The same for the same order on every path.
    transaction_id: String,
    /// The merchant's id of the order.
    order_id: String,
    /// The reasons' sum, clamped.
    #[schema(minimum = 0, maximum = 100)]
    risk_score: u8,
    /// low, medium, high or critical.
    risk_level: String,
    /// approve, review or hold.
    recommended_action: String,
    /// Share of the scored inputs that were present.
    #[schema(minimum = 0.0, maximum = 1.0)]
    confidence: f64,
    /// Codes of the reasons, heaviest first.
    reason_codes: Vec<String>,
    /// The evidence; its points add up to the unclamped score.
    reasons: Vec<ReasonDocument>,
    /// One readable paragraph.
    explanation: String,
    /// The policy that was applied.
    policy_version: u32,
    /// Optional fields of the order that could not be used as they were sent; they counted as absent.
    #[schema(max_items = 32)]
    warnings: Vec<WarningDocument>,
    /// live, shadow or test.
    mode: String,
    /// RFC 3339.
    scored_at: String,
}

/// An optional field of an order that could not be used as it was sent.
#[derive(Debug, ToSchema)]
#[schema(as = Warning, example = json!({"code": "malformed", "field": "/created_at", "message": "expected an RFC 3339 time such as 2026-01-02T03:04:05Z"}))]
#[expect(dead_code, reason = "describes the document; schema::warning::Warning writes it")]
pub(crate) struct WarningDocument {
    /// malformed, too_long, too_many, incomplete, placeholder, private_ip, unknown_word, unknown_member or ambiguous.
    code: String,
    /// JSON pointer into the order as it was sent.
    field: String,
    /// What was expected.
    message: String,
}

/// A verdict, as it is given.
#[derive(Debug, ToSchema)]
#[schema(as = Verdict)]
#[expect(dead_code, reason = "describes the document; schema::verdict::with_duration writes it")]
pub(crate) struct VerdictDocument {
    #[schema(inline)]
    #[serde(flatten)]
    verdict: StoredVerdictDocument,
    /// How long this answer took.
    duration_ms: u64,
}

/// One piece of evidence.
#[derive(Debug, ToSchema)]
#[schema(as = Reason)]
#[expect(dead_code, reason = "describes the document; schema::verdict::Reason writes it")]
pub(crate) struct ReasonDocument {
    /// Stable code.
    code: String,
    /// Signed points.
    points: i32,
    /// One line of English.
    detail: String,
}

/// An order that was accepted and has no verdict yet.
#[derive(Debug, ToSchema)]
#[schema(as = Promise, example = json!({"transaction_id": "tx_01ARZ3NDEKTSV4RRFFQ69G5FAV", "status": "pending"}))]
#[expect(dead_code, reason = "describes the document; respond::promised writes it")]
pub(crate) struct PromiseDocument {
    /// The transaction.
    transaction_id: String,
    /// Always `pending`.
    status: String,
}

/// A decision.
#[derive(Debug, ToSchema)]
#[schema(as = NewDecision, example = json!({"decision": "approve", "reviewer": "ada", "note": "Called the customer."}))]
#[expect(dead_code, reason = "describes the document; decision.rs reads it")]
pub(crate) struct DecisionRequest {
    /// approve or reject.
    decision: String,
    /// Who decides.
    #[schema(min_length = 1, max_length = 256)]
    reviewer: String,
    /// Why.
    note: Option<String>,
}

/// A decision that stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decided)]
pub(crate) struct DecidedDocument {
    /// The transaction.
    pub(crate) transaction_id: String,
    /// approve or reject.
    pub(crate) decision: &'static str,
    /// Where the transaction stands now.
    pub(crate) status: &'static str,
}

/// An outcome.
#[derive(Debug, ToSchema)]
#[schema(as = NewOutcome, example = json!({"type": "chargeback_opened", "occurred_at": "2026-01-02T03:04:05Z", "amount": 129.90}))]
#[expect(dead_code, reason = "describes the document; outcome.rs reads it")]
pub(crate) struct OutcomeRequest {
    /// chargeback_opened, chargeback_upheld (the customer keeps the money), chargeback_reversed (you keep it), refunded,
    /// fulfilled, cancelled, fraud_confirmed or legitimate.
    r#type: String,
    /// RFC 3339.
    occurred_at: String,
    /// In the order's currency.
    amount: Option<f64>,
}

/// An outcome that is recorded.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OutcomeTaken)]
pub(crate) struct OutcomeDocument {
    /// The transaction.
    pub(crate) transaction_id: String,
    /// What happened.
    pub(crate) r#type: &'static str,
    /// When, RFC 3339 in UTC.
    pub(crate) occurred_at: String,
    /// Whether it was recorded now; false when it had been reported before.
    pub(crate) recorded: bool,
    /// As what it counts for later orders of the same customer, card or device: fraud, honest or neither.
    pub(crate) counts_as: &'static str,
}

/// Something to put on a list.
#[derive(Debug, ToSchema)]
#[schema(as = NewListEntry, example = json!({"list": "block", "subject": "email", "value": "ann@example.com", "note": "chargeback of 2026-01-02"}))]
#[expect(dead_code, reason = "describes the document; lists.rs reads it")]
pub(crate) struct ListEntryRequest {
    /// block or allow.
    list: String,
    /// email, email_domain, ip, card, device, phone, address or customer.
    subject: String,
    /// `ann@example.com`, `example.com`, `203.0.113.0/24`, `10 High St; SW1A 1AA; GB`; of a card the gateway's fingerprint.
    /// One value without wildcards: list several by one call for each, and a whole domain with `email_domain`.
    value: String,
    /// Why it is listed.
    note: Option<String>,
    /// RFC 3339; for good when absent.
    expires_at: Option<String>,
}

/// An entry of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListEntry)]
pub(crate) struct ListEntryDocument {
    /// Names the entry.
    id: String,
    /// block or allow.
    list: &'static str,
    /// What it names.
    subject: &'static str,
    /// A hint to recognise it by; domains and addresses are whole.
    value: String,
    note: Option<String>,
    created_at: String,
    expires_at: Option<String>,
}

impl ListEntryDocument {
    pub(crate) fn new(entry: ListEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            list: entry.list.as_str(),
            subject: entry.subject.as_str(),
            value: entry.hint,
            note: entry.note,
            created_at: entry.created_at.to_rfc3339(),
            expires_at: entry.expires_at.map(Timestamp::to_rfc3339),
        }
    }
}

/// A page of list entries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListPage)]
pub(crate) struct ListPage {
    /// Oldest first.
    entries: Vec<ListEntryDocument>,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

impl ListPage {
    pub(crate) fn new(entries: Vec<ListEntry>) -> Self {
        let next = entries.last().filter(|_| entries.len() as u64 == PAGE_ITEMS).map(|entry| entry.id.to_string());
        Self { entries: entries.into_iter().map(ListEntryDocument::new).collect(), next_cursor: next }
    }
}

/// A page of transactions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TransactionPage)]
pub(crate) struct TransactionPage {
    /// Newest first.
    transactions: Vec<SummaryDocument>,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// A line of a page.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TransactionSummary)]
struct SummaryDocument {
    transaction_id: String,
    order_id: String,
    status: &'static str,
    risk_score: Option<u8>,
    risk_level: Option<String>,
    recommended_action: Option<String>,
    received_at: String,
}

/// A transaction with what is known of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Transaction)]
pub(crate) struct TransactionDocument {
    transaction_id: String,
    order_id: String,
    /// signed, orders, checks or centra.
    surface: &'static str,
    /// pending, approved, review, held, rejected, cancelled, closed or failed.
    status: &'static str,
    /// The reported outcome that ended the order: nothing is left to decide. Null while none has.
    ended_by: Option<&'static str>,
    received_at: String,
    /// The newest verdict; null while pending.
    #[schema(value_type = Option<StoredVerdictDocument>)]
    verdict: Option<Box<RawValue>>,
    /// The newest, oldest first.
    #[schema(max_items = 100)]
    revisions: Vec<RevisionDocument>,
    /// The newest, oldest first.
    #[schema(max_items = 100)]
    decisions: Vec<DecisionDocument>,
    /// The newest, oldest first.
    #[schema(max_items = 100)]
    outcomes: Vec<OutcomeLine>,
    /// The newest that were sent by webhook, oldest first.
    #[schema(max_items = 100)]
    events: Vec<EventDocument>,
    /// How many there are of all these.
    totals: TotalsDocument,
    /// Of an order of the checks surface, where its updates say that it stands; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    check: Option<Box<RawValue>>,
}

/// How many revisions, decisions, outcomes and events a transaction has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TransactionTotals)]
struct TotalsDocument {
    revisions: u64,
    decisions: u64,
    outcomes: u64,
    events: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Revision)]
pub(super) struct RevisionDocument {
    revision: u32,
    received_at: String,
    scored_at: String,
    #[schema(value_type = StoredVerdictDocument)]
    verdict: Option<Box<RawValue>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decision)]
pub(super) struct DecisionDocument {
    revision: u32,
    decision: &'static str,
    reviewer: String,
    note: Option<String>,
    decided_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Outcome)]
pub(super) struct OutcomeLine {
    r#type: &'static str,
    occurred_at: String,
    /// In the order's currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    amount: Option<Box<RawValue>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventDocument {
    id: String,
    r#type: String,
    sequence: u32,
    deliveries: DeliveryCounts,
}

/// How many deliveries of an event are in which state.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryCounts {
    /// Waiting for an attempt.
    pending: u32,
    /// Arrived.
    delivered: u32,
    /// Given up.
    dead: u32,
}

impl TransactionPage {
    pub(crate) fn new(rows: Vec<TransactionSummary>, next_cursor: Option<String>) -> Self {
        Self { transactions: rows.into_iter().map(SummaryDocument::from).collect(), next_cursor }
    }
}

impl From<TransactionSummary> for SummaryDocument {
    fn from(row: TransactionSummary) -> Self {
        Self {
            transaction_id: row.id.to_string(),
            order_id: row.order_id,
            status: row.status.as_str(),
            risk_score: row.score,
            risk_level: row.level,
            recommended_action: row.action,
            received_at: row.received_at.to_rfc3339(),
        }
    }
}

impl TransactionDocument {
    /// `currency` is that of the outcomes' amounts.
    pub(crate) fn new(view: TransactionView, currency: Option<Currency>) -> Self {
        let revisions: Vec<_> = view.revisions.into_iter().map(RevisionDocument::from).collect();
        Self {
            transaction_id: view.id.to_string(),
            order_id: view.order_id,
            surface: view.surface.as_str(),
            status: view.status.as_str(),
            ended_by: view.ended_by.map(|outcome| outcome.as_str()),
            received_at: view.received_at.to_rfc3339(),
            verdict: revisions.last().and_then(|revision| revision.verdict.clone()),
            revisions,
            decisions: view.decisions.into_iter().map(DecisionDocument::from).collect(),
            outcomes: view.outcomes.into_iter().map(|outcome| OutcomeLine::new(&outcome, currency)).collect(),
            events: view.events.into_iter().map(EventDocument::from).collect(),
            totals: TotalsDocument {
                revisions: view.totals.revisions,
                decisions: view.totals.decisions,
                outcomes: view.totals.outcomes,
                events: view.totals.events,
            },
            check: view.check.and_then(|state| RawValue::from_string(state).ok()),
        }
    }
}

impl From<RevisionView> for RevisionDocument {
    fn from(view: RevisionView) -> Self {
        Self {
            revision: view.revision,
            received_at: view.received_at.to_rfc3339(),
            scored_at: view.scored_at.to_rfc3339(),
            verdict: RawValue::from_string(view.verdict).ok(),
        }
    }
}

impl From<DecisionView> for DecisionDocument {
    fn from(view: DecisionView) -> Self {
        Self {
            revision: view.revision,
            decision: view.decision.as_str(),
            reviewer: view.reviewer,
            note: view.note,
            decided_at: view.decided_at.to_rfc3339(),
        }
    }
}

impl OutcomeLine {
    pub(super) fn new(view: &OutcomeView, currency: Option<Currency>) -> Self {
        let amount =
            view.amount_minor.zip(currency).and_then(|(minor, currency)| Money::from_minor(minor, currency).ok());
        Self {
            r#type: view.kind.as_str(),
            occurred_at: view.occurred_at.to_rfc3339(),
            amount: amount.and_then(|money| RawValue::from_string(money.to_decimal_text()).ok()),
        }
    }
}

impl From<EventView> for EventDocument {
    fn from(view: EventView) -> Self {
        let deliveries = DeliveryCounts { pending: view.pending, delivered: view.delivered, dead: view.dead };
        Self { id: view.id, r#type: view.kind, sequence: view.sequence, deliveries }
    }
}
