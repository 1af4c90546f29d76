//! Updates of checked transactions and carts (contract section 3).
//!
//! Guarantee: an update that is applied is kept as it was sent, changes the state, adds one event and what history learns,
//! all in one transaction under the row's lock. One that was not to be expected is applied like any other and has a line in
//! the audit log. Failure: nothing of an update is kept when any part of it fails.

use serde::Serialize;
use touchstone_schema::checks::{Change as Told, CheckStatus, Flag, Meaning, PaymentStatus, State, Update};
use touchstone_schema::event::Event;
use touchstone_schema::ids::TransactionId;
use touchstone_schema::json::Json;
use touchstone_schema::money::Currency;
use touchstone_schema::tenant::Tenant;
use touchstone_schema::verdict::{TransactionStatus, VerdictMode};

use super::super::super::accounts::{AuditLine, audit};
use super::super::super::database::{Change, column, execute, row};
use super::super::super::history::{Remembered, remember};
use super::super::super::{Store, StoreError};
use super::super::{CheckUpdated, NewCheckUpdate, OutcomeKind};
use super::{OUTCOME, Open, is_open, lock};

const STATE: &str = "SELECT state FROM check_states WHERE transaction_id = $1 AND store_id = $2";

const DOCUMENT: &str = "SELECT document FROM revisions WHERE transaction_id = $1 AND store_id = $2 AND revision = $3";

const KEEP: &str =
    "INSERT INTO check_updates (transaction_id, sequence, store_id, updated_on, received_at, document, flags)
  VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";

const SET_STATE: &str = "INSERT INTO check_states (transaction_id, store_id, state) VALUES ($1, $2, $3)
  ON CONFLICT (transaction_id) DO UPDATE SET state = excluded.state WHERE check_states.store_id = excluded.store_id";

/// The `data` of an update's event (contract: webhooks).
#[derive(Serialize)]
struct UpdateData<'a> {
    transaction_id: &'a TransactionId,
    order_id: &'a str,
    revision: u32,
    sequence: u32,
    mode: VerdictMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<OutcomeKind>,
    occurred_at: String,
    currency: &'a str,
    status: TransactionStatus,
    check: &'a State,
    flags: &'a [Flag],
}

pub(in crate::store::transactions) async fn update(
    store: &Store,
    tenant: &Tenant,
    id: &TransactionId,
    new: &NewCheckUpdate<'_>,
) -> Result<CheckUpdated, StoreError> {
    let change = store.begin().await?;
    let Some(open) = lock(&change, tenant, id).await? else { return Ok(CheckUpdated::NotFound) };
    let Some(mut state) = state_of(&change, &open).await? else { return Ok(CheckUpdated::NotFound) };
    if new.is_conversion && state.status == CheckStatus::Converted {
        return Ok(CheckUpdated::Already);
    }
    let currency =
        Currency::from_code(&open.currency).ok_or_else(|| StoreError::corrupt("currency", "not an ISO 4217 code"))?;
    if let Err(faults) = new.update.check_amounts(currency) {
        return Ok(CheckUpdated::Invalid(faults));
    }
    let mut meaning = state.apply(new.update);
    if new.is_conversion {
        // That a transaction names its cart is how carts are converted, wherever they stood.
        meaning.flags.clear();
    }
    if !keep(&change, &open, new, &meaning).await? {
        return Ok(CheckUpdated::Duplicate);
    }
    let values = [id.as_str().into(), tenant.store_id.as_str().into(), written(&state)?.into()];
    execute(change.transaction(), SET_STATE, values).await?;
    let ends = endings(new.update, &state, &meaning);
    let status = standing(&open, new.update, &state, &ends);
    let event = event_of(&open, new, &state, &meaning, status)?;
    open.tell(&change, status, &event).await?;
    if let Some(first) = ends.first() {
        open.end(&change, *first, new.now).await?;
    }
    let learnt = learn(&change, &open, new, &meaning).await?;
    change.commit().await?;
    Ok(CheckUpdated::Applied(Box::new(event), learnt, meaning.flags))
}

/// What is known so far: by the last update, else by the check itself. None of an order that was no check.
async fn state_of(change: &Change, open: &Open<'_>) -> Result<Option<State>, StoreError> {
    let of_store = || [open.id.as_str().into(), open.tenant.store_id.as_str().into()];
    if let Some(found) = row(change.transaction(), STATE, of_store()).await? {
        let text: String = column(&found, "state")?;
        return serde_json::from_str(&text).map(Some).map_err(|error| StoreError::corrupt("state", error));
    }
    let [id, store] = of_store();
    let Some(found) = row(change.transaction(), DOCUMENT, [id, store, i64::from(open.revision).into()]).await? else {
        return Ok(None);
    };
    let text: String = column(&found, "document")?;
    let order = Json::parse_text(&text).map_err(|error| StoreError::corrupt("document", error))?;
    Ok(State::of_order(&order))
}

/// Keeps the update as it was sent; false when one of the same time was kept before.
async fn keep(
    change: &Change,
    open: &Open<'_>,
    new: &NewCheckUpdate<'_>,
    meaning: &Meaning,
) -> Result<bool, StoreError> {
    let flags = written(&meaning.flags)?;
    let values = [
        open.id.as_str().into(),
        i64::from(open.next_sequence()).into(),
        open.tenant.store_id.as_str().into(),
        new.update.updated_on.map(|at| at.as_millis()).into(),
        new.now.as_millis().into(),
        new.update.document.as_str().into(),
        flags.as_str().into(),
    ];
    if execute(change.transaction(), KEEP, values).await? == 0 {
        return Ok(false);
    }
    if !meaning.flags.is_empty() {
        let detail = format!("{} {flags}", open.id);
        let line = AuditLine {
            actor: "merchant",
            store: Some(&open.tenant.store_id),
            action: "check.unusual_update",
            detail: &detail,
            at: new.now,
        };
        audit(change, line).await?;
    }
    Ok(true)
}

fn event_of(
    open: &Open<'_>,
    new: &NewCheckUpdate<'_>,
    state: &State,
    meaning: &Meaning,
    status: TransactionStatus,
) -> Result<Event, StoreError> {
    let data = UpdateData {
        transaction_id: open.id,
        order_id: &open.order_id,
        revision: open.revision,
        sequence: open.next_sequence(),
        mode: open.mode,
        outcome: outcomes(meaning).next(),
        occurred_at: new.update.updated_on.unwrap_or(new.now).to_rfc3339(),
        currency: &open.currency,
        status,
        check: state,
        flags: &meaning.flags,
    };
    open.event(meaning.event_kind(), new.now, &new.request_id, &data)
}

/// What became of the order by the update, as outcomes have it.
fn outcomes(meaning: &Meaning) -> impl Iterator<Item = OutcomeKind> + '_ {
    meaning.happenings.iter().filter_map(|what| OutcomeKind::parse(what.as_str()))
}

/// Records the outcomes, and lets history know what was learnt.
async fn learn(
    change: &Change,
    open: &Open<'_>,
    new: &NewCheckUpdate<'_>,
    meaning: &Meaning,
) -> Result<Vec<Remembered>, StoreError> {
    let occurred_at = new.update.updated_on.unwrap_or(new.now);
    for kind in outcomes(meaning) {
        let values = [
            open.id.as_str().into(),
            kind.as_str().into(),
            occurred_at.as_millis().into(),
            open.tenant.store_id.as_str().into(),
            None::<i64>.into(),
            new.now.as_millis().into(),
        ];
        execute(change.transaction(), OUTCOME, values).await?;
    }
    let mut learnt = Vec::new();
    for what in &meaning.happenings {
        learnt.extend(remember(change, open.id, open.received_at, new.now, *what).await?);
    }
    Ok(learnt)
}

/// The outcomes by which an update ends the order, the weightiest first. A part of the money that is paid back ends nothing;
/// goods that came back were sent.
fn endings(update: &Update, state: &State, meaning: &Meaning) -> Vec<OutcomeKind> {
    let is_partial = state.payment_status == Some(PaymentStatus::PartiallyRefunded);
    let told = outcomes(meaning).filter(|kind| kind.is_ending() && !(is_partial && *kind == OutcomeKind::Refunded));
    let returned = update.status == Told::Set(CheckStatus::Returned);
    told.chain(returned.then_some(OutcomeKind::Fulfilled)).collect()
}

/// Where the transaction stands with us after an update: by the status that it names, else by how it ends the order. One
/// that says neither leaves it, whatever the merchant said before: a person may have decided since.
fn standing(open: &Open<'_>, update: &Update, state: &State, ends: &[OutcomeKind]) -> TransactionStatus {
    if matches!(update.status, Told::Set(_)) {
        match state.status {
            CheckStatus::Approved | CheckStatus::Converted | CheckStatus::Fulfilled => {
                return TransactionStatus::Approved;
            }
            CheckStatus::Cancelled => return TransactionStatus::Cancelled,
            CheckStatus::New
            | CheckStatus::Hold
            | CheckStatus::Queued
            | CheckStatus::Verified
            | CheckStatus::Returned => {}
        }
    }
    ends.iter().fold(open.status, |status, kind| kind.status_after(status, is_open(status)))
}

fn written(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::corrupt("state", error))
}
