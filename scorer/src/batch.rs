//! One batch in memory: which submissions are new, which repeat or contradict a verdict, and what scoring makes of the
//! new ones. Pure: the loop around it does the I/O.

mod attempt;
mod prepared;
mod test_order;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::value::RawValue;
use touchstone_platform::store::scoring::{LatestRevision, Loaded, NewFailedAttempt, NewRevision, verdict_event_data};
use touchstone_schema::enrichment::Enrichment;
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::history::{HistoryByKey, HistoryEntry, HistoryKey};
use touchstone_schema::ids::{EventId, TransactionId};
use touchstone_schema::limits;
use touchstone_schema::lists::{ListMatches, StoreLists};
use touchstone_schema::order::Order;
use touchstone_schema::submission::{Answer, Submission, SubmissionKind};
use touchstone_schema::tenant::{KeyMode, StoreMode, StoreProfile, Surface};
use touchstone_schema::test_order::asked;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::{Assessment, FinishedVerdict, Verdict, VerdictMode};

pub(crate) use prepared::{PolicyCache, Prepared, policy_of, read};

use crate::hearsay;
use crate::history_keys::OrderKeys;
use crate::score::history::History;
use crate::score::norms::{StoreNorms, largest_quantity};
use crate::score::policy::Policy;
use crate::score::{Facts, assess};

/// What is decided of a submission before anything is written.
#[derive(Debug)]
pub(crate) enum Plan<'a> {
    /// A new verdict, to be recorded.
    New(Box<NewRevision<'a>>),
    /// A payment that failed, to be recorded unless it was before.
    Attempt(Box<NewFailedAttempt>),
    /// Nothing to write: this is the answer.
    Settled(Answer),
    /// Cannot be scored, whatever is tried.
    Poison(String),
    /// The order that was to be scored again has just changed within this batch: load it and plan anew.
    Again,
}

/// The submissions whose transactions must be loaded: all but those that are fresh and share neither order nor key with
/// another of the batch. One that is planned as new and turns out to be known has then been seen by no other, so that
/// every verdict rests upon orders that were recorded.
pub(crate) fn perhaps_known<'a>(batch: &[Prepared<'a>]) -> Vec<&'a Submission> {
    let orders = submissions_of_each(batch);
    let mut keys: HashMap<HistoryKey, u32> = HashMap::new();
    for prepared in batch {
        for (_, key) in prepared.keys() {
            *keys.entry(key).or_default() += 1;
        }
    }
    let is_alone = |prepared: &Prepared<'a>| {
        orders.get(&prepared.submission.transaction_id) == Some(&1)
            && prepared.keys().all(|(_, key)| keys.get(&key) == Some(&1))
    };
    let known = batch.iter().filter(|prepared| !(prepared.is_fresh && is_alone(prepared)));
    known.map(|prepared| prepared.submission).collect()
}

/// How many submissions of a batch each transaction has.
fn submissions_of_each<'a>(batch: &[Prepared<'a>]) -> HashMap<&'a TransactionId, u32> {
    let mut count: HashMap<&TransactionId, u32> = HashMap::with_capacity(batch.len());
    for prepared in batch {
        *count.entry(&prepared.submission.transaction_id).or_default() += 1;
    }
    count
}

/// Plans a batch, which must be sorted by received-at: each order sees those before it.
pub(crate) fn plan<'a>(
    batch: &'a [Prepared<'a>],
    mut loaded: Loaded,
    mut history: HistoryByKey,
    now: Timestamp,
) -> Vec<Plan<'a>> {
    let mut plans = Vec::with_capacity(batch.len());
    let submissions = submissions_of_each(batch);
    for prepared in batch {
        let plan = catch_unwind(AssertUnwindSafe(|| plan_one(prepared, &loaded, &history, now)))
            .unwrap_or_else(|_| Plan::Poison("scoring this order panicked".to_owned()));
        match &plan {
            Plan::New(new) => {
                // Nobody else of the batch asks for an order that came once.
                if submissions.get(&new.submission.transaction_id).is_some_and(|count| *count > 1) {
                    remember_verdict(new, &mut loaded);
                }
                remember_history(&new.history, &new.declared_keys, &mut history);
            }
            Plan::Attempt(new) if !is_remembered(new, &history) => {
                remember_history(&new.history, &new.declared_keys, &mut history);
            }
            Plan::Attempt(_) | Plan::Settled(_) | Plan::Poison(_) | Plan::Again => {}
        }
        plans.push(plan);
    }
    plans
}

fn plan_one<'a>(prepared: &'a Prepared<'a>, loaded: &Loaded, history: &HistoryByKey, now: Timestamp) -> Plan<'a> {
    let submission = prepared.submission;
    if let (SubmissionKind::FailedAttempt, Some((order, keys))) = (submission.kind, &prepared.order) {
        return attempt::plan(prepared, order, keys, now);
    }
    if let Some(verdict) = loaded.scored.get(&submission.id) {
        return answered(verdict, |verdict| Answer::Verdict { verdict });
    }
    let latest = loaded.latest.get(&submission.transaction_id);
    match (submission.kind, latest) {
        (SubmissionKind::Reanalyze, None) => Plan::Settled(Answer::NotFound),
        (SubmissionKind::Reanalyze, Some(latest)) if prepared.stored_hash.as_ref() != Some(&latest.body_hash) => {
            Plan::Again
        }
        (SubmissionKind::Order, Some(latest)) if is_the_same_order(submission, latest) => {
            if latest.body_hash == submission.body_hash {
                answered(&latest.verdict, |verdict| Answer::Verdict { verdict })
            } else {
                answered(&latest.verdict, |verdict| Answer::Conflict { verdict })
            }
        }
        _ => score(prepared, latest, history, now),
    }
}

/// Whether a submission is about the order of the newest revision, so that it repeats or contradicts it. An order of the
/// checks surface is checked once: its id never means another.
fn is_the_same_order(submission: &Submission, latest: &LatestRevision) -> bool {
    // One that was received before the revision and arrives late, however late, must not become the newest state.
    submission.surface == Surface::Checks
        || submission.received_at.since(latest.received_at) < limits::IDEMPOTENCY_WINDOW
}

fn answered<'a>(stored: &str, answer: impl FnOnce(Box<RawValue>) -> Answer) -> Plan<'a> {
    match RawValue::from_string(stored.to_owned()) {
        Ok(verdict) => Plan::Settled(answer(verdict)),
        Err(error) => Plan::Poison(format!("the stored verdict is not JSON: {error}")),
    }
}

fn score<'a>(
    prepared: &'a Prepared<'a>,
    latest: Option<&LatestRevision>,
    history: &HistoryByKey,
    now: Timestamp,
) -> Plan<'a> {
    let Some((order, keys)) = &prepared.order else {
        return Plan::Poison("the order to score again has no document".to_owned());
    };
    let submission = prepared.submission;
    let asked = (submission.tenant.mode == KeyMode::Test).then(|| asked(order)).flatten();
    let assessment = match asked {
        Some(asked) => test_order::assessment(asked, &prepared.policy),
        None => hearsay::stricter((order, keys), prepared.vouched.as_deref(), |order, keys| {
            let enrichment = prepared.enrichment.look_up(order);
            let (policy, lists) = (&prepared.policy, prepared.lists.as_deref());
            let circumstances = Circumstances { policy, enrichment: &enrichment, norms: &prepared.norms, lists };
            assessed((order, keys), &submission.transaction_id, submission.received_at, &circumstances, history)
        }),
    };
    let verdict = Verdict {
        transaction_id: submission.transaction_id.clone(),
        order_id: submission.order_id.clone(),
        assessment,
        mode: verdict_mode(submission, &prepared.profile),
        scored_at: now.to_rfc3339(),
    };
    match new_revision(prepared, order, keys, latest, &verdict, now) {
        Ok(new) => Plan::New(Box::new(new)),
        Err(error) => Plan::Poison(format!("the verdict cannot be written as JSON: {error}")),
    }
}

/// What an order is looked at with, beside its history.
#[derive(Debug)]
pub(crate) struct Circumstances<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) enrichment: &'a Enrichment,
    pub(crate) norms: &'a StoreNorms,
    pub(crate) lists: Option<&'a StoreLists>,
}

/// Assesses an order that was received at this time, among what is known of others.
pub(crate) fn assessed(
    (order, keys): (&Order, &OrderKeys),
    transaction: &TransactionId,
    received_at: Timestamp,
    circumstances: &Circumstances<'_>,
    known: &HistoryByKey,
) -> Assessment {
    let mut history = History::of(transaction, received_at, order.amount, keys.keys.clone(), known);
    history.own_name = keys.name;
    history.card_is_weak = keys.card_is_weak;
    for (name, key) in &keys.declared {
        history.declare(name, *key, known);
    }
    let lists = circumstances.lists;
    let lists = lists.map_or_else(ListMatches::default, |lists| lists.matches(order, &keys.keys, received_at));
    assess(&Facts {
        order,
        history: &history,
        policy: circumstances.policy,
        received_at,
        enrichment: circumstances.enrichment,
        norms: circumstances.norms.in_currency(order.currency()),
        lists: &lists,
    })
}

fn verdict_mode(submission: &Submission, profile: &StoreProfile) -> VerdictMode {
    match (submission.tenant.mode, profile.mode) {
        (KeyMode::Test, _) => VerdictMode::Test,
        (KeyMode::Live, StoreMode::Shadow) => VerdictMode::Shadow,
        (KeyMode::Live, StoreMode::Live) => VerdictMode::Live,
    }
}

fn new_revision<'a>(
    prepared: &'a Prepared<'a>,
    order: &Order,
    keys: &OrderKeys,
    latest: Option<&LatestRevision>,
    verdict: &Verdict,
    now: Timestamp,
) -> Result<NewRevision<'a>, serde_json::Error> {
    let submission = prepared.submission;
    let assessment = &verdict.assessment;
    let revision = latest.map_or(0, |latest| latest.revision) + 1;
    let sequence = latest.map_or(0, |latest| latest.sequence) + 1;
    let document = serde_json::to_string(verdict)?;
    let event = Event {
        id: EventId::of_change(&submission.transaction_id, sequence),
        tenant: submission.tenant.clone(),
        transaction_id: Some(submission.transaction_id.clone()),
        surface: Some(submission.surface),
        kind: if revision == 1 { EventKind::OrderScored } else { EventKind::OrderRescored },
        sequence,
        occurred_at: now,
        request_id: submission.request_id.clone(),
        trace: submission.trace.clone(),
        data: RawValue::from_string(verdict_event_data(revision, sequence, &document))?,
    };
    Ok(NewRevision {
        submission,
        revision,
        document: match submission.kind {
            SubmissionKind::Order | SubmissionKind::Held | SubmissionKind::FailedAttempt => {
                submission.document.get().into()
            }
            SubmissionKind::Reanalyze => latest.map(|latest| latest.document.clone()).unwrap_or_default().into(),
        },
        body_hash: match submission.kind {
            SubmissionKind::Order | SubmissionKind::Held | SubmissionKind::FailedAttempt => {
                submission.body_hash.clone()
            }
            SubmissionKind::Reanalyze => latest.map(|latest| latest.body_hash.clone()).unwrap_or_default(),
        },
        verdict: document,
        score: assessment.risk_score,
        level: assessment.risk_level,
        action: assessment.recommended_action,
        policy_version: assessment.policy_version,
        enrichment_version: Some(Arc::clone(prepared.enrichment.version())),
        amount_minor: order.amount.minor(),
        currency: order.currency().code().to_owned(),
        quantity: largest_quantity(order),
        scored_at: now,
        event,
        history: keys.entry(&submission.transaction_id, submission.received_at, order),
        declared_keys: keys.declared.iter().map(|(_, key)| *key).collect(),
    })
}

/// Lets later submissions of the same order be answered with the verdict that was just given.
fn remember_verdict(new: &NewRevision<'_>, loaded: &mut Loaded) {
    let submission = new.submission;
    loaded.scored.insert(submission.id.clone(), new.verdict.clone());
    loaded.latest.insert(
        submission.transaction_id.clone(),
        LatestRevision {
            revision: new.revision,
            sequence: new.event.sequence,
            body_hash: new.body_hash.clone(),
            received_at: submission.received_at,
            verdict: new.verdict.clone(),
            document: new.document.clone().into_owned(),
        },
    );
}

/// Lets the rest of the batch see what was just planned in its history.
fn remember_history(entry: &HistoryEntry, declared_keys: &[HistoryKey], history: &mut HistoryByKey) {
    let entry = Arc::new(entry.clone());
    for key in entry.keys.iter().map(|(_, key)| key).chain(declared_keys.iter().copied()) {
        let entries = history.entry(key).or_default();
        entries.insert(0, entry.clone());
        // As deep as it is loaded: an order is assessed the same in a batch and alone.
        entries.truncate(limits::HISTORY_DEPTH);
    }
}

/// Whether an attempt that came before is in the history of the batch.
fn is_remembered(new: &NewFailedAttempt, history: &HistoryByKey) -> bool {
    let keys = new.history.keys.iter().map(|(_, key)| key).chain(new.declared_keys.iter().copied());
    let mut known = keys.filter_map(|key| history.get(&key)).flatten();
    known.any(|entry| entry.transaction_id == new.history.transaction_id)
}

/// What identical submissions are answered with from the cache.
pub(crate) fn finished(new: &NewRevision<'_>) -> FinishedVerdict {
    FinishedVerdict {
        body_hash: new.body_hash.clone(),
        received_at: new.submission.received_at,
        verdict: new.verdict.clone(),
    }
}

#[cfg(test)]
mod tests;
