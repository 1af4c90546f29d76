//! A submission made ready: its order read, its keys derived, and all that it will be judged by but history.

use std::collections::HashMap;
use std::sync::Arc;

use touchstone_platform::directory::Snapshot;
use touchstone_platform::enrichment;
use touchstone_platform::store::scoring::Loaded;
use touchstone_schema::fault::Fault;
use touchstone_schema::history::{HistoryKey, HistoryKeyKind, normal};
use touchstone_schema::ids::StoreId;
use touchstone_schema::input::is_own_mailbox;
use touchstone_schema::issuer;
use touchstone_schema::json::Json;
use touchstone_schema::limits;
use touchstone_schema::lists::StoreLists;
use touchstone_schema::order::Order;
use touchstone_schema::secret::Secret;
use touchstone_schema::submission::{Submission, SubmissionKind};
use touchstone_schema::tenant::{KeyMode, StoreProfile, Surface, Tenant};
use touchstone_schema::time::Timestamp;
use touchstone_schema::warning::{Warning, WarningCode};

use crate::hearsay::Vouched;
use crate::history_keys::OrderKeys;
use crate::norms_source::NormsByDay;
use crate::score::norms::StoreNorms;
use crate::score::policy::Policy;

/// A submission with its order read and its keys derived.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub(crate) submission: &'a Submission,
    pub(super) profile: Arc<StoreProfile>,
    pub(super) policy: Arc<Policy>,
    pub(super) lists: Option<Arc<StoreLists>>,
    pub(super) enrichment: Arc<enrichment::Snapshot>,
    /// What was usual at the store before the day of the submission.
    pub(super) norms: Arc<StoreNorms>,
    pub(super) order: Option<(Order, OrderKeys)>,
    /// The same without what is hearsay, if anything of it is.
    pub(super) vouched: Option<Box<Vouched>>,
    /// Nothing says that its order came before.
    pub(super) is_fresh: bool,
    /// Hash of the stored order that a reanalysis read.
    pub(super) stored_hash: Option<String>,
}

/// Compiled policies by store and version.
pub(crate) type PolicyCache = HashMap<(StoreId, u32), Arc<Policy>>;

impl<'a> Prepared<'a> {
    /// Reads the order and finds the store's profile and policy. A batch shares one state of the outside data.
    pub(crate) fn new(
        submission: &'a Submission,
        is_fresh: bool,
        directory: &Snapshot,
        enrichment: &Arc<enrichment::Snapshot>,
        policies: &mut PolicyCache,
    ) -> Result<Self, String> {
        let store = &submission.tenant.store_id;
        let profile = directory.store(store).ok_or("the store is not known")?.clone();
        let policy = policy_of(directory, store, policies)?;
        let order = match submission.kind {
            SubmissionKind::Order | SubmissionKind::Held | SubmissionKind::FailedAttempt => {
                Some(reading(submission, &profile, &policy).order(submission.document.get(), submission.surface)?)
            }
            SubmissionKind::Reanalyze => None,
        };
        let lists = directory.lists(&submission.tenant).cloned();
        let enrichment = Arc::clone(enrichment);
        let mut prepared = Self {
            submission,
            profile,
            policy,
            lists,
            enrichment,
            norms: Arc::default(),
            order,
            vouched: None,
            is_fresh,
            stored_hash: None,
        };
        prepared.tell_hearsay();
        Ok(prepared)
    }

    /// Finds out what of the order is vouched for.
    pub(super) fn tell_hearsay(&mut self) {
        let mode = self.submission.tenant.mode;
        let order = self.order.as_ref().map(|(order, _)| order);
        self.vouched = order.and_then(|order| Vouched::of(order, &self.profile.data_key, mode, &self.policy));
    }

    /// Reads the stored order of a reanalysis, once it has been loaded.
    pub(crate) fn read_stored(&mut self, loaded: &Loaded) -> Result<(), String> {
        if self.order.is_none()
            && let Some(latest) = loaded.latest.get(&self.submission.transaction_id)
        {
            self.stored_hash = Some(latest.body_hash.clone());
            let reading = reading(self.submission, &self.profile, &self.policy);
            self.order = Some(reading.order(&latest.document, self.submission.surface)?);
            self.tell_hearsay();
        }
        Ok(())
    }

    /// Whose it is and when it was received: what its norms are found by.
    pub(crate) const fn received(&self) -> (&'a Tenant, Timestamp) {
        (&self.submission.tenant, self.submission.received_at)
    }

    /// Takes its norms, once they have been loaded.
    pub(crate) fn judge_by(&mut self, norms: &NormsByDay<'_>) {
        let (tenant, received_at) = self.received();
        self.norms = norms.of(tenant, received_at);
    }

    /// The history keys to load: those of what is vouched for are among those of the whole.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (Option<HistoryKeyKind>, HistoryKey)> + '_ {
        self.order.iter().flat_map(|(_, keys)| keys.all())
    }
}

pub(crate) fn policy_of(
    directory: &Snapshot,
    store: &StoreId,
    policies: &mut PolicyCache,
) -> Result<Arc<Policy>, String> {
    let stored = directory.policy(store);
    let version = stored.map_or(0, |stored| stored.version);
    if let Some(policy) = policies.get(&(store.clone(), version)) {
        return Ok(policy.clone());
    }
    let policy = match stored {
        Some(stored) => Policy::from_stored(stored)
            .map_err(|error| format!("the stored policy cannot be used: {}", first_place(&error.0)))?,
        None => Policy::built_in(),
    };
    policies.retain(|(of, _), _| of != store);
    let policy = Arc::new(policy);
    policies.insert((store.clone(), version), policy.clone());
    Ok(policy)
}

fn reading<'a>(submission: &Submission, profile: &'a StoreProfile, policy: &'a Policy) -> Reading<'a> {
    let (data_key, mode) = (&profile.data_key, submission.tenant.mode);
    Reading { data_key, mode, policy, own_domains: &profile.input.own_domains }
}

/// What a store's orders are read with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) data_key: &'a Secret,
    pub(crate) mode: KeyMode,
    pub(crate) policy: &'a Policy,
    /// Mail domains of the store itself.
    pub(crate) own_domains: &'a [String],
}

impl Reading<'_> {
    /// Reads an order and derives its history keys, those that the policy declares among them.
    pub(crate) fn order(&self, document: &str, surface: Surface) -> Result<(Order, OrderKeys), String> {
        let order = read(document, surface, self.own_domains)?;
        let keys = OrderKeys::of(&order, self.data_key, self.mode, self.policy);
        Ok((order, keys))
    }
}

fn read(document: &str, surface: Surface, own_domains: &[String]) -> Result<Order, String> {
    let json = Json::parse_text(document)
        .map_err(|error| format!("the order is not JSON: {}", Fault::from(&error).place()))?;
    let mut order =
        Order::parse(&json).map_err(|faults| format!("the order is not valid: {}", first_place(&faults)))?;
    if let Some(carried) = carried_warnings(surface, &json) {
        order.warnings = carried;
    }
    warn_of_issuer_answers(&mut order, surface);
    drop_own_mailbox(&mut order, surface, own_domains);
    Ok(order)
}

/// The warnings of a document that its surface made into a canonical order: their fields are those that the shop sent. An
/// order of the signed surface is what the shop sent, and a Centra shop's is read where it is made into one.
fn carried_warnings(surface: Surface, order: &Json<'_>) -> Option<Vec<Warning>> {
    match surface {
        Surface::Orders | Surface::Checks => Warning::carried_by(order),
        Surface::Signed | Surface::Centra => None,
    }
}

fn warn_of_issuer_answers(order: &mut Order, surface: Surface) {
    let fields: Vec<_> = issuer::not_understood(&order.payment).collect();
    for field in fields {
        add_warning(
            order,
            WarningCode::UnknownWord,
            field.pointer_of(surface),
            "expected a known answer of an issuer or gateway",
        );
    }
}

fn add_warning(order: &mut Order, code: WarningCode, field: &str, message: &str) {
    if order.warnings.len() < limits::ORDER_WARNINGS {
        order.warnings.push(Warning { code, field: field.to_owned(), message: message.to_owned() });
    }
}

/// Counts `noreply@` and its like of the store's own domains as absent: every customer without a mailbox has it.
fn drop_own_mailbox(order: &mut Order, surface: Surface, own_domains: &[String]) {
    let email = order.customer.email.as_deref().filter(|_| !own_domains.is_empty()).and_then(normal::email);
    if !email.is_some_and(|email| is_own_mailbox(&email, own_domains)) {
        return;
    }
    order.customer.email = None;
    let field = match surface {
        Surface::Signed | Surface::Centra => "/customer/email",
        Surface::Orders | Surface::Checks => "/billing/email",
    };
    add_warning(order, WarningCode::Placeholder, field, "expected the customer's own mailbox; this one is the store's");
}

/// Where the first of several faults is. A reason is kept with the dead letter and logged, so it has no values.
fn first_place(faults: &[Fault]) -> String {
    faults.first().map(Fault::place).unwrap_or_default()
}
