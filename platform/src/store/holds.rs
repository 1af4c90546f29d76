//! Holds: the orders that Centra shops hold for us, each from the notice to what became of it.
//!
//! Guarantee: an order has one open hold, whatever it is called and however often it was announced. What is wanted of it
//! is committed before it is asked of the shop, and that it was asked, too; how it ended commits together with its event.
//! A decision that comes meanwhile is never overwritten by anything but a later decision, or a report of the order's end
//! that says what becomes of the goods.
//! Failure: whoever worked on a hold and died leaves a lease on its connection that runs out.

use sea_orm::QueryResult;
use touchstone_schema::centra::{Effect, HoldOutcome, HoldState, WantedBy};
use touchstone_schema::ids::{ConnectionId, HoldId, RequestId, StoreId, SubmissionId, TransactionId};
use touchstone_schema::time::Timestamp;

use super::StoreError;
use super::database::{column, count, parsed};
use super::transactions::OutcomeKind;

/// What [`hold_of`] reads; what follows narrows `h`.
macro_rules! holds {
    ($rest:literal) => {
        concat!(
            "SELECT h.*, CASE WHEN t.ended_at >= h.opened_at THEN t.ended_by END AS ended_by
  FROM holds h LEFT JOIN transactions t ON t.id = h.transaction_id ",
            $rest
        )
    };
}

mod claiming;
mod ending;
mod forgetting;
mod listing;
mod moving;
mod opening;

pub use claiming::DueSweep;
pub use ending::{Ending, NEVER};
pub use listing::HoldCount;
pub(super) use listing::waits_for_a_person;
pub use moving::{HoldMove, left_to_a_person};
pub(super) use moving::{follow_decision, follow_outcome};
pub use opening::HeldOrder;

/// A row of `holds`.
#[derive(Debug, Clone)]
pub struct Hold {
    /// The hold.
    pub id: HoldId,
    /// The connection to the shop.
    pub connection_id: ConnectionId,
    /// The store.
    pub store_id: StoreId,
    /// What the order was called when it was heard of.
    pub reference: String,
    /// The shop's id of the order, once it was read.
    pub centra_id: Option<String>,
    /// The shop's number of the order, once it was read.
    pub number: Option<i64>,
    /// The one submission of this hold to the scorer.
    pub submission_id: SubmissionId,
    /// The order's transaction, once it was read.
    pub transaction_id: Option<TransactionId>,
    /// The request that brought the notice, or the sweep that found the order.
    pub request_id: RequestId,
    /// How far it is.
    pub state: HoldState,
    /// What is wanted: resume or cancel, never keep.
    pub wanted: Option<(Effect, WantedBy)>,
    /// What the verdict would have done at a store in shadow mode.
    pub would_have: Option<Effect>,
    /// A mutation whose effect is not known, and when it was sent last.
    pub sent: Option<(Effect, Timestamp)>,
    /// Attempts of the present state that failed.
    pub attempts: u32,
    /// The outcome that the merchant reported of the order since it was held, where it ends the order.
    pub ended_by: Option<OutcomeKind>,
    /// How it ended.
    pub outcome: Option<HoldOutcome>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it was heard of.
    pub opened_at: Timestamp,
    /// Until when it may wait for a decision.
    pub deadline_at: Timestamp,
    /// When it is looked at next.
    pub due_at: Timestamp,
    /// When it ended.
    pub closed_at: Option<Timestamp>,
}

fn hold_of(row: &QueryResult) -> Result<Hold, StoreError> {
    let time = |name| column::<i64>(row, name).map(Timestamp::from_millis);
    let optional_time = |name| Ok::<_, StoreError>(column::<Option<i64>>(row, name)?.map(Timestamp::from_millis));
    Ok(Hold {
        id: parsed(row, "id")?,
        connection_id: parsed(row, "connection_id")?,
        store_id: parsed(row, "store_id")?,
        reference: column(row, "reference")?,
        centra_id: column(row, "centra_id")?,
        number: column(row, "number")?,
        submission_id: parsed(row, "submission_id")?,
        transaction_id: optional(row, "transaction_id")?,
        request_id: request_id(row)?,
        state: parsed(row, "state")?,
        wanted: optional(row, "wanted")?.zip(optional(row, "wanted_by")?),
        would_have: optional(row, "would_have")?,
        sent: optional(row, "sent")?.zip(optional_time("sent_at")?),
        attempts: count(row, "attempts")?,
        ended_by: optional(row, "ended_by")?,
        outcome: optional(row, "outcome")?,
        last_error: column(row, "last_error")?,
        opened_at: time("opened_at")?,
        deadline_at: time("deadline_at")?,
        due_at: time("due_at")?,
        closed_at: optional_time("closed_at")?,
    })
}

fn request_id(row: &QueryResult) -> Result<RequestId, StoreError> {
    let text: String = column(row, "request_id")?;
    RequestId::from_caller(&text).ok_or_else(|| StoreError::corrupt("request_id", "not a request id"))
}

/// A column that is NULL or parses.
fn optional<T>(row: &QueryResult, name: &'static str) -> Result<Option<T>, StoreError>
where
    T: std::str::FromStr,
    T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let text: Option<String> = column(row, name)?;
    text.map(|text| text.parse().map_err(|error| StoreError::corrupt(name, error))).transpose()
}
