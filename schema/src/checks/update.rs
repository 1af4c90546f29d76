//! Reads the update of a checked transaction or cart.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Subject;
use super::check::{id, moment, payment, without_cards, word, word_by};
use super::words::{CancelledReason, ChargebackStatus, CheckStatus, FraudType, PaymentStatus, ReturnReason};
use crate::fault::Fault;
use crate::input::{Findings, Handling, Section, decimal};
use crate::json::{Json, Path};
use crate::limits::ORDER_WARNINGS;
use crate::money::{Currency, Money};
use crate::time::Timestamp;
use crate::warning::{Warning, WarningCode};

/// What an update says of a member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// Nothing: it stays what it is.
    #[default]
    Keep,
    /// It has no value any more.
    Clear,
    /// It has this value.
    Set(T),
}

impl<T> Change<T> {
    /// The value that is set.
    pub const fn value(&self) -> Option<&T> {
        if let Self::Set(value) = self { Some(value) } else { None }
    }
}

/// An update, read. Only the id is always there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// What it is about.
    pub subject: Subject,
    /// The merchant's `order_id` or `cart_id`.
    pub id: String,
    /// The member that the others lie within; none when they lie at the top.
    pub wrapper: Option<&'static str>,
    /// When the merchant made the change: two updates of one subject are not of the same time.
    pub updated_on: Option<Timestamp>,
    /// Where it stands.
    pub status: Change<CheckStatus>,
    /// Where the payment stands; of a cart also within the payment block.
    pub payment_status: Change<PaymentStatus>,
    /// Where a dispute stands.
    pub chargeback_status: Change<ChargebackStatus>,
    /// Why it was cancelled; one word or several.
    pub cancelled_reasons: Change<Vec<CancelledReason>>,
    /// Why goods came back.
    pub return_reason: Change<ReturnReason>,
    /// What sort of fraud it was.
    pub fraud_type: Change<FraudType>,
    /// Whether it was fraud.
    pub is_fraud: Change<bool>,
    /// Whether nobody may change it.
    pub is_locked: Change<bool>,
    /// What happened, in the merchant's words.
    pub event: Change<String>,
    /// A remark.
    pub note: Change<String>,
    /// What is still to be paid, in units of the order's currency.
    pub balance: Change<String>,
    /// The new total, in units of the order's currency.
    pub order_total: Change<String>,
    /// Who of the merchant's people did it.
    pub agent_code: Change<String>,
    /// Their department.
    pub agent_dept: Change<String>,
    /// When they did.
    pub agent_updated_on: Change<Timestamp>,
    /// Members of the payment block of a cart, as text; those without a value are cleared.
    pub payment: BTreeMap<String, Option<String>>,
    /// The update as it was sent, card numbers masked.
    pub document: String,
    /// Members that could not be used as they were sent; only of an update that was read leniently.
    pub warnings: Vec<Warning>,
    /// A warning for each member that is not read, such as one that is misspelt.
    pub unknown: Vec<Warning>,
}

/// Reads an update. Its members may be at the top, or within a member `transaction` or `cart`. A value that cannot be read is
/// refused unless `handling` is lenient: an update without it would say something else.
///
/// # Errors
/// All faults of the document, with pointers into it. A full card number in a payment field is the only fault that is told.
pub fn read_update(document: &Json<'_>, subject: Subject, handling: Handling) -> Result<Update, Vec<Fault>> {
    if document.as_object().is_none() {
        return Err(vec![Fault::new("", "expected an object")]);
    }
    let masked = without_cards(document)?;
    let mut findings = Findings::new(handling);
    let root = Section::new(Some(&masked), &Path::Root, &mut findings);
    let wrapper = Some(subject.as_str()).filter(|wrapper| root.member(wrapper).is_some());
    let update = match wrapper {
        Some(wrapper) => root.object(wrapper, &mut findings, |section, findings| read(section, subject, findings)),
        None => read(root, subject, &mut findings),
    };
    let (payment_status, payment) = match subject {
        Subject::Cart => payment_members(root, &mut findings),
        Subject::Transaction => (Change::Keep, BTreeMap::new()),
    };
    let (faults, warnings) = findings.into_parts();
    let Some(mut update) = update.filter(|_| faults.is_empty()) else { return Err(faults) };
    if update.payment_status == Change::Keep {
        update.payment_status = payment_status;
    }
    let unknown = unknown_members(&masked, wrapper, subject);
    Ok(Update { wrapper, payment, document: masked.to_json_string(), warnings, unknown, ..update })
}

/// Warns of members that say nothing to us: whoever misspelt one believes that it was applied.
fn unknown_members(document: &Json<'_>, wrapper: Option<&str>, subject: Subject) -> Vec<Warning> {
    let payment = (subject == Subject::Cart).then_some("payment");
    let is_read = |name: &str| match wrapper {
        _ if payment == Some(name) => true,
        Some(wrapper) => wrapper == name,
        None => MEMBERS.contains(&name),
    };
    let top = document.as_object().unwrap_or_default().iter().filter(|(name, _)| !is_read(name));
    let mut pointers: Vec<_> = top.map(|(name, _)| Path::Root.key(name).pointer()).collect();
    if let Some(wrapper) = wrapper {
        let within = document.get(wrapper).and_then(Json::as_object).unwrap_or_default().iter();
        let within = within.filter(|(name, _)| !MEMBERS.contains(&name.as_ref()));
        pointers.extend(within.map(|(name, _)| Path::Root.key(wrapper).key(name).pointer()));
    }
    let warning = |field| Warning {
        code: WarningCode::UnknownMember,
        field,
        message: "expected a member that updates have: this one is kept and changes nothing".into(),
    };
    pointers.into_iter().take(ORDER_WARNINGS).map(warning).collect()
}

impl Update {
    /// An update that says no more than that a cart became a transaction.
    pub fn conversion(cart_id: &str, order_id: &str) -> Self {
        let document = Json::Object(vec![
            ("cart_id".into(), Json::String(cart_id.into())),
            ("status".into(), Json::String(CheckStatus::Converted.as_str().into())),
            ("order_id".into(), Json::String(order_id.into())),
        ]);
        let status = Change::Set(CheckStatus::Converted);
        Self { status, document: document.to_json_string(), ..Self::empty(Subject::Cart, cart_id) }
    }

    fn empty(subject: Subject, id: &str) -> Self {
        Self {
            subject,
            id: id.to_owned(),
            wrapper: None,
            updated_on: None,
            status: Change::Keep,
            payment_status: Change::Keep,
            chargeback_status: Change::Keep,
            cancelled_reasons: Change::Keep,
            return_reason: Change::Keep,
            fraud_type: Change::Keep,
            is_fraud: Change::Keep,
            is_locked: Change::Keep,
            event: Change::Keep,
            note: Change::Keep,
            balance: Change::Keep,
            order_total: Change::Keep,
            agent_code: Change::Keep,
            agent_dept: Change::Keep,
            agent_updated_on: Change::Keep,
            payment: BTreeMap::new(),
            document: String::new(),
            warnings: Vec::new(),
            unknown: Vec::new(),
        }
    }

    /// JSON pointer to a member of the update as it was sent.
    pub fn pointer(&self, member: &str) -> String {
        self.wrapper.map_or_else(|| format!("/{member}"), |wrapper| format!("/{wrapper}/{member}"))
    }

    /// Whether its amounts are amounts of the order's currency, which an update does not tell.
    ///
    /// # Errors
    /// The amounts that are not.
    pub fn check_amounts(&self, currency: Currency) -> Result<(), Vec<Fault>> {
        let amounts = [("balance", &self.balance), ("order_total", &self.order_total)];
        let faults: Vec<_> = amounts
            .into_iter()
            .filter_map(|(member, change)| Some((member, Money::parse(change.value()?, currency).err()?)))
            .map(|(member, error)| Fault::new(self.pointer(member), error.to_string()))
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

fn read(section: Section<'_>, subject: Subject, findings: &mut Findings) -> Option<Update> {
    let id = id(section, subject.id_member(), true, findings);
    let updated_on = moment(section, "updated_on", findings);
    let status = changed(section, "status", findings, |section, key, findings| {
        word_by(section, key, |text| CheckStatus::parse_of(subject, text), findings)
    });
    Some(Update {
        subject,
        wrapper: None,
        updated_on,
        status,
        payment_status: changed(section, "payment_status", findings, word),
        chargeback_status: changed(section, "chargeback_status", findings, word),
        cancelled_reasons: changed(section, "cancelled_reasons", findings, reasons),
        return_reason: changed(section, "return_reason", findings, word),
        fraud_type: changed(section, "fraud_type", findings, word),
        is_fraud: changed(section, "is_fraud", findings, |section, key, findings| section.flag(key, findings)),
        is_locked: changed(section, "is_locked", findings, |section, key, findings| section.flag(key, findings)),
        event: changed(section, "event", findings, |section, key, findings| section.text(key, findings)),
        note: changed(section, "note", findings, |section, key, findings| section.text(key, findings)),
        balance: changed(section, "balance", findings, amount),
        order_total: changed(section, "order_total", findings, amount),
        agent_code: changed(section, "agent_code", findings, |section, key, findings| {
            section.text_or_number(key, findings)
        }),
        agent_dept: changed(section, "agent_dept", findings, |section, key, findings| {
            section.text_or_number(key, findings)
        }),
        agent_updated_on: changed(section, "agent_updated_on", findings, moment),
        payment: BTreeMap::new(),
        document: String::new(),
        warnings: Vec::new(),
        unknown: Vec::new(),
        id: id?,
    })
}

/// A member that may be set, cleared or left out; `null` is as good as left out.
fn changed<T>(
    section: Section<'_>,
    key: &str,
    findings: &mut Findings,
    read: impl FnOnce(Section<'_>, &str, &mut Findings) -> Option<T>,
) -> Change<T> {
    if section.is_cleared(key) {
        return Change::Clear;
    }
    read(section, key, findings).map_or(Change::Keep, Change::Set)
}

const AMOUNT: &str = "expected a decimal number such as 12.50";

/// Decimal text; whether it suits the currency is for who knows that.
fn amount(section: Section<'_>, key: &str, findings: &mut Findings) -> Option<String> {
    let text = section.numeric_text(key)?;
    let number = decimal(text);
    match &number {
        None => section.unreadable(key, WarningCode::Malformed, AMOUNT, findings),
        Some(number) if number != text => section.tolerated(key, AMOUNT, findings),
        Some(_) => {}
    }
    number.map(Cow::into_owned)
}

/// One word, or a list of words.
fn reasons(section: Section<'_>, key: &str, findings: &mut Findings) -> Option<Vec<CancelledReason>> {
    let Some(items) = section.member(key)?.as_array() else {
        return word(section, key, findings).map(|reason| vec![reason]);
    };
    let parsed: Result<Vec<CancelledReason>, String> =
        items.iter().map(|item| item.as_str().unwrap_or_default().trim().to_lowercase().parse()).collect();
    parsed.map_err(|expected| section.unreadable(key, WarningCode::UnknownWord, expected, findings)).ok()
}

/// What the payment block of a cart says, member by member.
fn payment_members(
    root: Section<'_>,
    findings: &mut Findings,
) -> (Change<PaymentStatus>, BTreeMap<String, Option<String>>) {
    root.object("payment", findings, |section, findings| {
        payment(section, findings);
        let status = changed(section, "payment_status", findings, |section, key, _| {
            // Its fault is told by the block's reading above.
            section.member(key)?.as_str()?.trim().to_lowercase().parse().ok()
        });
        let known = PAYMENT.iter().filter_map(|key| {
            let text = match section.member(key) {
                Some(Json::String(text)) => Some(text.trim().to_owned()),
                Some(Json::Number(raw)) => Some((*raw).to_owned()),
                _ if section.is_cleared(key) => None,
                _ => return None,
            };
            Some(((*key).to_owned(), text))
        });
        (status, known.collect())
    })
}

/// Members of an update that are read.
const MEMBERS: &[&str] = &[
    "order_id",
    "cart_id",
    "updated_on",
    "status",
    "payment_status",
    "chargeback_status",
    "cancelled_reasons",
    "return_reason",
    "fraud_type",
    "is_fraud",
    "is_locked",
    "event",
    "note",
    "balance",
    "order_total",
    "agent_code",
    "agent_dept",
    "agent_updated_on",
];

/// Members of a payment block that a cart's state keeps.
const PAYMENT: &[&str] =
    &["method", "type", "bin", "last_4", "exp_date", "avs_result_code", "cvv_result_code", "auth_attempts", "eci"];
