//! What is known of a checked transaction or cart, by the check and its updates.
//!
//! Guarantee: applying is pure. What an update leaves out stays; whatever it says is taken, drawn or not. Labels are told
//! once: saying again what was known means nothing new.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::transitions::{is_dispute_drawn, is_drawn};
use super::update::{Change, Update};
use super::words::{CancelledReason, ChargebackStatus, CheckStatus, FraudType, PaymentStatus, ReturnReason};
use super::{Flag, ORIGINAL, SUBJECT, Subject};
use crate::event::EventKind;
use crate::history::Happening;
use crate::json::Json;

/// The current state. It is also how it is stored and shown: members without a value are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What it is about.
    pub subject: Subject,
    /// Where it stands.
    pub status: CheckStatus,
    /// Where the payment stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_status: Option<PaymentStatus>,
    /// Where a dispute stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chargeback_status: Option<ChargebackStatus>,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancelled_reasons: Vec<CancelledReason>,
    /// Why goods came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_reason: Option<ReturnReason>,
    /// What sort of fraud it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraud_type: Option<FraudType>,
    /// Whether it was fraud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_fraud: Option<bool>,
    /// Whether nobody may change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_locked: Option<bool>,
    /// What happened last, in the merchant's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What is still to be paid, as decimal text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<String>,
    /// The total, as decimal text, where an update changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_total: Option<String>,
    /// Who of the merchant's people did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_code: Option<String>,
    /// Their department.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_dept: Option<String>,
    /// When they did, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_updated_on: Option<String>,
    /// When the merchant made the newest change, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_on: Option<String>,
    /// The payment of a cart, where updates told of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub payment: BTreeMap<String, String>,
}

/// What applying an update means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meaning {
    /// What history remembers, labels among it.
    pub happenings: Vec<Happening>,
    /// What was not to be expected.
    pub flags: Vec<Flag>,
}

impl Meaning {
    /// The kind of the update's event.
    pub fn event_kind(&self) -> EventKind {
        let dispute = self.happenings.iter().find_map(|what| match what {
            Happening::ChargebackOpened => Some(EventKind::ChargebackOpened),
            Happening::ChargebackUpheld => Some(EventKind::ChargebackUpheld),
            Happening::ChargebackReversed => Some(EventKind::ChargebackReversed),
            _ => None,
        });
        dispute.unwrap_or(EventKind::OrderStatusChanged)
    }
}

impl State {
    /// Of a subject of which nothing else is known.
    pub const fn new(subject: Subject) -> Self {
        Self {
            subject,
            status: CheckStatus::New,
            payment_status: None,
            chargeback_status: None,
            cancelled_reasons: Vec::new(),
            return_reason: None,
            fraud_type: None,
            is_fraud: None,
            is_locked: None,
            event: None,
            note: None,
            balance: None,
            order_total: None,
            agent_code: None,
            agent_dept: None,
            agent_updated_on: None,
            updated_on: None,
            payment: BTreeMap::new(),
        }
    }

    /// As a check tells it, by its canonical order; none when that is no check's.
    pub fn of_order(order: &Json<'_>) -> Option<Self> {
        let subject = Subject::parse(order.get(SUBJECT)?.as_str()?)?;
        let check = order.get(ORIGINAL)?;
        let word = |section: &str, key: &str| Some(check.get(section)?.get(key)?.as_str()?.trim().to_lowercase());
        let status = word("transaction", "status").and_then(|text| CheckStatus::parse_of(subject, &text).ok());
        let payment_status = word("payment", "payment_status").and_then(|text| PaymentStatus::parse(&text));
        Some(Self { status: status.unwrap_or(CheckStatus::New), payment_status, ..Self::new(subject) })
    }

    /// Applies an update and tells what it means.
    pub fn apply(&mut self, update: &Update) -> Meaning {
        let before = self.clone();
        self.status = match &update.status {
            Change::Keep => self.status,
            // A status that is taken back is that of the beginning.
            Change::Clear => CheckStatus::New,
            Change::Set(status) => *status,
        };
        put(&mut self.payment_status, &update.payment_status);
        put(&mut self.chargeback_status, &update.chargeback_status);
        put(&mut self.return_reason, &update.return_reason);
        put(&mut self.fraud_type, &update.fraud_type);
        put(&mut self.is_fraud, &update.is_fraud);
        put(&mut self.is_locked, &update.is_locked);
        put(&mut self.event, &update.event);
        put(&mut self.note, &update.note);
        put(&mut self.balance, &update.balance);
        put(&mut self.order_total, &update.order_total);
        put(&mut self.agent_code, &update.agent_code);
        put(&mut self.agent_dept, &update.agent_dept);
        match &update.cancelled_reasons {
            Change::Keep => {}
            Change::Clear => self.cancelled_reasons.clear(),
            Change::Set(reasons) => self.cancelled_reasons.clone_from(reasons),
        }
        match &update.agent_updated_on {
            Change::Keep => {}
            Change::Clear => self.agent_updated_on = None,
            Change::Set(at) => self.agent_updated_on = Some(at.to_rfc3339()),
        }
        if let Some(at) = update.updated_on {
            self.updated_on = Some(at.to_rfc3339());
        }
        for (key, text) in &update.payment {
            match text {
                Some(text) => drop(self.payment.insert(key.clone(), text.clone())),
                None => drop(self.payment.remove(key)),
            }
        }
        Meaning { happenings: self.happenings_since(&before), flags: self.flags_since(&before) }
    }

    /// What became of the order between two states.
    fn happenings_since(&self, before: &Self) -> Vec<Happening> {
        let status = (self.status != before.status).then_some(self.status).and_then(|status| match status {
            CheckStatus::Fulfilled => Some(Happening::Fulfilled),
            CheckStatus::Cancelled => Some(Happening::Cancelled),
            _ => None,
        });
        let dispute = self.chargeback_status.filter(|_| self.chargeback_status != before.chargeback_status);
        let payment = self.payment_status.filter(|_| self.payment_status != before.payment_status);
        let payment = payment.and_then(|status| match status {
            PaymentStatus::Refunded | PaymentStatus::PartiallyRefunded => Some(Happening::Refunded),
            PaymentStatus::Declined => Some(Happening::FailedAttempt),
            // Where the dispute itself is told, that says more.
            PaymentStatus::Chargeback if self.chargeback_status.is_none() => Some(Happening::ChargebackOpened),
            _ => None,
        });
        let dispute = dispute.map(|status| match status {
            ChargebackStatus::Opened => Happening::ChargebackOpened,
            ChargebackStatus::Won => Happening::ChargebackUpheld,
            ChargebackStatus::Lost => Happening::ChargebackReversed,
        });
        let fraud = (self.known_fraud() != before.known_fraud()).then(|| self.known_fraud()).flatten();
        let fraud = fraud.map(|is_fraud| if is_fraud { Happening::FraudConfirmed } else { Happening::Legitimate });
        [status, payment, dispute, fraud].into_iter().flatten().collect()
    }

    /// Whether the merchant says that it was fraud. A sort of fraud says so too, unless it is denied.
    fn known_fraud(&self) -> Option<bool> {
        self.is_fraud.or(self.fraud_type.map(|_| true))
    }

    fn flags_since(&self, before: &Self) -> Vec<Flag> {
        let mut flags = Vec::new();
        if !is_drawn(self.subject, before.status, self.status) {
            let (from, to) = (before.status.to_string(), self.status.to_string());
            flags.push(Flag { member: "status".to_owned(), from: Some(from), to: Some(to) });
        }
        if !is_dispute_drawn(before.chargeback_status, self.chargeback_status) {
            let text = |status: Option<ChargebackStatus>| status.map(|status| status.to_string());
            let (from, to) = (text(before.chargeback_status), text(self.chargeback_status));
            flags.push(Flag { member: "chargeback_status".to_owned(), from, to });
        }
        flags
    }
}

fn put<T: Clone>(member: &mut Option<T>, change: &Change<T>) {
    match change {
        Change::Keep => {}
        Change::Clear => *member = None,
        Change::Set(value) => *member = Some(value.clone()),
    }
}
