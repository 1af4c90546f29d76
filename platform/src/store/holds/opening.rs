//! Holds begin: announced by a notice, or found by the sweep.

use std::time::Duration;

use touchstone_schema::centra::{Effect, HoldState, Notice, WAITING_NOTICE, WantedBy};
use touchstone_schema::ids::{HoldId, RequestId, SubmissionId};
use touchstone_schema::time::Timestamp;

use crate::crypto::sha256_hex;
use crate::random;
use crate::store::accounts::ConnectionRow;
use crate::store::database::{Change, execute, row};
use crate::store::{StoreError, SystemStore};

const NOTICE: &str = "INSERT INTO centra_notices (id, connection_id, store_id, kind, reference, document, received_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";

const OPEN: &str =
    "INSERT INTO holds (id, connection_id, store_id, reference, centra_id, number, submission_id, request_id,
    state, wanted, wanted_by, attempts, opened_at, deadline_at, due_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12, $13, $12) ON CONFLICT DO NOTHING";

/// A notice that comes again says that now is the time to look.
const LOOK_AGAIN: &str = "UPDATE holds SET due_at = $3
  WHERE connection_id = $1 AND reference = $2 AND closed_at IS NULL AND state = 'reading' AND due_at > $3";

const KNOWN: &str = "SELECT id FROM holds
  WHERE connection_id = $1 AND closed_at IS NULL AND (centra_id = $2 OR reference IN ($2, $3, $4)) LIMIT 1";

/// An order that the sweep found held.
#[derive(Debug, Clone)]
pub struct HeldOrder {
    /// The shop's id of it.
    pub centra_id: String,
    /// The shop's number of it.
    pub number: i64,
}

/// A hold that is to be opened.
struct NewHold<'a> {
    connection: &'a ConnectionRow,
    reference: &'a str,
    found: Option<&'a HeldOrder>,
    /// It is to be resumed without a verdict.
    releasing: bool,
    request_id: &'a RequestId,
    at: Timestamp,
}

impl SystemStore<'_> {
    /// Keeps a notice and opens a hold for it, when it says that an order waits. The same notice again, and another of an
    /// order whose hold is open, open none.
    pub async fn take_notice(&self, notice: &Notice, connection: &ConnectionRow) -> Result<(), StoreError> {
        let change = self.store.begin().await?;
        let document = notice.document.get();
        let values = [
            sha256_hex(format!("{} {document}", notice.connection_id).as_bytes()).into(),
            notice.connection_id.as_str().into(),
            notice.tenant.store_id.as_str().into(),
            notice.kind.as_str().into(),
            notice.reference.as_str().into(),
            document.into(),
            notice.received_at.as_millis().into(),
        ];
        execute(change.transaction(), NOTICE, values).await?;
        if notice.kind == WAITING_NOTICE {
            let hold = NewHold {
                connection,
                reference: &notice.reference,
                found: None,
                releasing: false,
                request_id: &notice.request_id,
                at: notice.received_at,
            };
            if !hold.open(&change).await? {
                let values = [
                    notice.connection_id.as_str().into(),
                    notice.reference.as_str().into(),
                    notice.received_at.as_millis().into(),
                ];
                execute(change.transaction(), LOOK_AGAIN, values).await?;
            }
        }
        change.commit().await
    }

    /// Opens holds for orders that the sweep found held and that have none; `releasing` ones are to be resumed without a
    /// verdict. Returns how many were opened.
    pub async fn open_found(
        &self,
        connection: &ConnectionRow,
        orders: &[HeldOrder],
        releasing: bool,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut opened = 0;
        let change = self.store.begin().await?;
        for order in orders {
            let request_id = RequestId::mint(now, random::bytes());
            let hold = NewHold {
                connection,
                reference: &order.centra_id,
                found: Some(order),
                releasing,
                request_id: &request_id,
                at: now,
            };
            opened += u64::from(!is_known(&change, connection, order).await? && hold.open(&change).await?);
        }
        change.commit().await?;
        Ok(opened)
    }
}

impl NewHold<'_> {
    /// Opens it, unless the order has an open one.
    async fn open(&self, change: &Change) -> Result<bool, StoreError> {
        let state = if self.releasing { HoldState::Acting } else { HoldState::Reading };
        let wanted = self.releasing.then_some(Effect::Resume.as_str());
        let wanted_by = self.releasing.then_some(WantedBy::Release.as_str());
        let patience = Duration::from_secs(60 * u64::from(self.connection.settings.review_deadline_minutes));
        let values = [
            HoldId::mint(self.at, random::bytes()).as_str().into(),
            self.connection.id.as_str().into(),
            self.connection.store_id.as_str().into(),
            self.reference.into(),
            self.found.map(|order| order.centra_id.as_str()).into(),
            self.found.map(|order| order.number).into(),
            SubmissionId::mint(self.at, random::bytes()).as_str().into(),
            self.request_id.as_str().into(),
            state.as_str().into(),
            wanted.into(),
            wanted_by.into(),
            self.at.as_millis().into(),
            (self.at + patience).as_millis().into(),
        ];
        Ok(execute(change.transaction(), OPEN, values).await? > 0)
    }
}

/// Whether an order has an open hold, by any name that a notice may have called it.
async fn is_known(change: &Change, connection: &ConnectionRow, order: &HeldOrder) -> Result<bool, StoreError> {
    let values = [
        connection.id.as_str().into(),
        order.centra_id.as_str().into(),
        order.number.to_string().into(),
        format!("#{}", order.number).into(),
    ];
    Ok(row(change.transaction(), KNOWN, values).await?.is_some())
}
