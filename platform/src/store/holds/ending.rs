//! Holds end, or are given to a person: each together with the event that tells of it.

use serde::Serialize;
use touchstone_schema::centra::{Effect, HoldOutcome, WantedBy};
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::ids::{ConnectionId, EventId, TransactionId};
use touchstone_schema::tenant::{KeyMode, Surface, Tenant};
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::{TransactionStatus, VerdictMode};

use super::{Hold, optional};
use crate::random;
use crate::store::database::{Change, execute, row};
use crate::store::events::insert_event;
use crate::store::transactions::change::{Open, lock};
use crate::store::{StoreError, SystemStore};

const CLOSE: &str = "UPDATE holds SET state = 'closed', outcome = $2, closed_at = $3, last_error = $4
  WHERE id = $1 AND closed_at IS NULL RETURNING wanted, wanted_by";

const GIVE_UP: &str = "UPDATE holds SET state = 'waiting', due_at = $4, wanted = NULL, wanted_by = NULL, attempts = 0,
    last_error = $5
  WHERE id = $1 AND closed_at IS NULL AND state = $2 AND due_at = $3";

/// Due never: only a decision moves it.
pub const NEVER: Timestamp = Timestamp::from_millis(i64::MAX / 2);

/// How a hold ends.
#[derive(Debug, Clone)]
pub struct Ending {
    /// What became of it.
    pub outcome: HoldOutcome,
    /// What the merchant is told; none when there is nothing to tell.
    pub tells: Option<EventKind>,
    /// Where it puts its transaction; none leaves it.
    pub status: Option<TransactionStatus>,
    /// More of it, for people.
    pub detail: Option<String>,
    /// What the shop warned of.
    pub warnings: Vec<String>,
}

/// The `data` of an event about a hold (contract: webhooks).
#[derive(Serialize)]
struct HoldData<'a> {
    transaction_id: Option<&'a TransactionId>,
    order_id: &'a str,
    revision: u32,
    sequence: u32,
    mode: VerdictMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<TransactionStatus>,
    connection_id: &'a ConnectionId,
    order_number: Option<i64>,
    wanted: Option<Effect>,
    wanted_by: Option<WantedBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_have: Option<Effect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<HoldOutcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

impl SystemStore<'_> {
    /// Closes a hold; the first to do so adds its event and gets it. None, too, when nothing is to be told.
    pub async fn end_hold(&self, hold: &Hold, ending: &Ending, now: Timestamp) -> Result<Option<Event>, StoreError> {
        let change = self.store.begin().await?;
        let values = [
            hold.id.as_str().into(),
            ending.outcome.as_str().into(),
            now.as_millis().into(),
            ending.detail.clone().into(),
        ];
        let Some(closed) = row(change.transaction(), CLOSE, values).await? else { return Ok(None) };
        let telling = Telling {
            hold,
            wanted: optional(&closed, "wanted")?.zip(optional(&closed, "wanted_by")?),
            outcome: Some(ending.outcome),
            status: ending.status,
            detail: ending.detail.as_deref(),
            warnings: &ending.warnings,
        };
        let event = match ending.tells {
            Some(kind) => Some(telling.tell(&change, kind, now).await?),
            None => None,
        };
        change.commit().await?;
        Ok(event)
    }

    /// Gives a hold to a person, with the event that tells so; it is looked at again at `due_at`. None when something came
    /// between.
    pub async fn give_up_hold(
        &self,
        hold: &Hold,
        detail: &str,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Event>, StoreError> {
        let change = self.store.begin().await?;
        let values = [
            hold.id.as_str().into(),
            hold.state.as_str().into(),
            hold.due_at.as_millis().into(),
            due_at.as_millis().into(),
            detail.into(),
        ];
        if execute(change.transaction(), GIVE_UP, values).await? == 0 {
            return Ok(None);
        }
        let telling =
            Telling { hold, wanted: hold.wanted, outcome: None, status: None, detail: Some(detail), warnings: &[] };
        let event = telling.tell(&change, EventKind::OrderActionFailed, now).await?;
        change.commit().await?;
        Ok(Some(event))
    }
}

/// What is told of a hold.
struct Telling<'a> {
    hold: &'a Hold,
    wanted: Option<(Effect, WantedBy)>,
    outcome: Option<HoldOutcome>,
    status: Option<TransactionStatus>,
    detail: Option<&'a str>,
    warnings: &'a [String],
}

impl Telling<'_> {
    /// Adds the event: to the order's transaction or, when the order has no verdict yet, by itself.
    async fn tell(&self, change: &Change, kind: EventKind, now: Timestamp) -> Result<Event, StoreError> {
        let tenant = Tenant { store_id: self.hold.store_id.clone(), mode: KeyMode::Live };
        let open = match &self.hold.transaction_id {
            Some(id) => lock(change, &tenant, id).await?,
            None => None,
        };
        let Some(open) = open else {
            let data = self.data(None);
            let event = Event {
                id: EventId::mint(now, random::bytes()),
                tenant,
                transaction_id: None,
                surface: Some(Surface::Centra),
                kind,
                sequence: 0,
                occurred_at: now,
                request_id: self.hold.request_id.clone(),
                trace: None,
                data: serde_json::value::to_raw_value(&data).map_err(|error| StoreError::corrupt("event", error))?,
            };
            insert_event(change.transaction(), &event).await?;
            return Ok(event);
        };
        let event = open.event(kind, now, &self.hold.request_id, &self.data(Some(&open)))?;
        open.tell(change, self.status.unwrap_or(open.status), &event).await?;
        Ok(event)
    }

    fn data<'a>(&'a self, open: Option<&'a Open<'_>>) -> HoldData<'a> {
        let hold = self.hold;
        let order_id = hold.centra_id.as_deref().unwrap_or(&hold.reference);
        HoldData {
            transaction_id: hold.transaction_id.as_ref(),
            order_id: open.map_or(order_id, |open| &open.order_id),
            revision: open.map_or(0, |open| open.revision),
            sequence: open.map_or(0, Open::next_sequence),
            mode: open.map_or(VerdictMode::Live, |open| open.mode),
            status: self.status.or(open.map(|open| open.status)),
            connection_id: &hold.connection_id,
            order_number: hold.number,
            wanted: self.wanted.map(|(effect, _)| effect),
            wanted_by: self.wanted.map(|(_, by)| by),
            would_have: hold.would_have,
            outcome: self.outcome,
            detail: self.detail,
            warnings: self.warnings,
        }
    }
}
