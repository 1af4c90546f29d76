//! Holds on their way. Each move names the state and the due time that it was decided upon: where a decision came
//! between, nothing moves and the hold is looked at anew.

use touchstone_schema::centra::{Effect, HoldState, WantedBy};
use touchstone_schema::ids::{StoreId, TransactionId};
use touchstone_schema::time::Timestamp;

use super::Hold;
use super::ending::NEVER;
use crate::store::accounts::{AuditLine, audit};
use crate::store::database::{Change, execute};
use crate::store::events::json;
use crate::store::transactions::OutcomeKind;
use crate::store::{StoreError, SystemStore};

const NAME: &str = "UPDATE holds SET centra_id = $2, number = $3, transaction_id = $4
  WHERE id = $1 AND closed_at IS NULL AND NOT EXISTS (SELECT 1 FROM holds other
    WHERE other.connection_id = holds.connection_id AND other.centra_id = $2 AND other.closed_at IS NULL
      AND other.id <> $1)";

const MOVE: &str = "UPDATE holds SET state = $4, due_at = $5, attempts = $6, last_error = $7
  WHERE id = $1 AND closed_at IS NULL AND state = $2 AND due_at = $3";

const WANT: &str = "UPDATE holds SET state = 'acting', due_at = $6, attempts = 0, last_error = NULL, wanted = $4,
    wanted_by = $5, would_have = COALESCE($7, would_have)
  WHERE id = $1 AND closed_at IS NULL AND state = $2 AND due_at = $3";

const SEND: &str = "UPDATE holds SET sent = $2, sent_at = $3
  WHERE id = $1 AND closed_at IS NULL AND state = 'acting' AND wanted = $2";

const SETTLED: &str = "UPDATE holds SET sent = NULL, sent_at = NULL WHERE id = $1 AND closed_at IS NULL";

const TOLD: &str = "UPDATE holds SET state = 'acting', due_at = $3, attempts = 0, last_error = NULL, wanted = $2,
    wanted_by = $4
  WHERE transaction_id = $1 AND closed_at IS NULL";

/// What a person, the operator or an earlier report wanted is still wanted, and so is what may have been sent already.
const LEFT: &str = "UPDATE holds SET state = 'waiting', due_at = $2, attempts = 0, last_error = $3, wanted = NULL,
    wanted_by = NULL
  WHERE transaction_id = $1 AND closed_at IS NULL AND state IN ('waiting', 'acting') AND sent IS NULL
    AND (wanted_by IS NULL OR wanted_by IN ('verdict', 'review_deadline'))";

/// One that was never read is read first, and then resumed without a verdict.
const RELEASE: &str = "UPDATE holds SET state = CASE WHEN centra_id IS NULL THEN state ELSE 'acting' END, due_at = $2,
    attempts = 0, last_error = NULL, wanted = 'resume', wanted_by = 'release'
  WHERE store_id = $1 AND closed_at IS NULL
    AND connection_id IN (SELECT id FROM centra_connections WHERE disconnected_at IS NULL)";

/// An order that was scored again while it waits is judged again.
const WAKE: &str = "UPDATE holds SET due_at = $2, state = 'screening'
  WHERE transaction_id {among} AND closed_at IS NULL
    AND (state = 'screening' AND due_at > $2 OR state = 'waiting' AND $3 = 1)";

const RELEASING: &str = "UPDATE centra_connections SET releasing = 1, sweep_due_at = $2
  WHERE store_id = $1 AND disconnected_at IS NULL";

/// Where a hold goes, and when it is looked at again.
#[derive(Debug, Clone)]
pub struct HoldMove {
    /// State that it goes to.
    pub state: HoldState,
    /// When it is due there.
    pub due_at: Timestamp,
    /// Attempts there that failed.
    pub attempts: u32,
    /// What went wrong.
    pub error: Option<String>,
}

impl SystemStore<'_> {
    /// Gives a hold the names of its order. False when another open hold has them: then this one is a duplicate.
    pub async fn name_hold(
        &self,
        hold: &Hold,
        centra_id: &str,
        number: i64,
        transaction: &TransactionId,
    ) -> Result<bool, StoreError> {
        let values = [hold.id.as_str().into(), centra_id.into(), number.into(), transaction.as_str().into()];
        self.changed(NAME, values).await
    }

    /// Moves a hold on; false when something came between.
    pub async fn move_hold(&self, hold: &Hold, to: &HoldMove) -> Result<bool, StoreError> {
        let [id, state, due] = version(hold);
        let values = [
            id,
            state,
            due,
            to.state.as_str().into(),
            to.due_at.as_millis().into(),
            i64::from(to.attempts).into(),
            to.error.clone().into(),
        ];
        self.changed(MOVE, values).await
    }

    /// Wants a hold resumed or cancelled, at once; false when something came between.
    pub async fn want(
        &self,
        hold: &Hold,
        effect: Effect,
        by: WantedBy,
        would_have: Option<Effect>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let [id, state, due] = version(hold);
        let would_have = would_have.map(Effect::as_str);
        let values =
            [id, state, due, effect.as_str().into(), by.as_str().into(), now.as_millis().into(), would_have.into()];
        self.changed(WANT, values).await
    }

    /// Makes holds due whose orders have a verdict now; `again` says that they had one before.
    pub async fn wake_holds(&self, orders: &[TransactionId], again: bool, now: Timestamp) -> Result<(), StoreError> {
        let ids: Vec<String> = orders.iter().map(|id| id.as_str().to_owned()).collect();
        let (among, ids) = if self.store.is_embedded() {
            ("IN (SELECT value FROM json_each($1))", sea_orm::Value::from(json(&ids)))
        } else {
            ("= ANY($1)", sea_orm::Value::from(ids))
        };
        let values = [ids, now.as_millis().into(), i64::from(again).into()];
        self.changed(&WAKE.replace("{among}", among), values).await.map(|_| ())
    }

    /// Records that a mutation is about to be sent; false when something else is wanted by now.
    pub async fn send_hold(&self, hold: &Hold, effect: Effect, now: Timestamp) -> Result<bool, StoreError> {
        self.changed(SEND, [hold.id.as_str().into(), effect.as_str().into(), now.as_millis().into()]).await
    }

    /// Records that the shop answered and changed nothing.
    pub async fn settle_hold(&self, hold: &Hold) -> Result<(), StoreError> {
        self.changed(SETTLED, [hold.id.as_str().into()]).await.map(|_| ())
    }

    /// The emergency release: wants every open hold of the store resumed, and has its shops looked through for more.
    /// Returns the number of open holds. Audited.
    pub async fn release_holds(&self, store: &StoreId, now: Timestamp) -> Result<u64, StoreError> {
        let change = self.store.begin().await?;
        let values = [store.as_str().into(), now.as_millis().into()];
        let released = execute(change.transaction(), RELEASE, values.clone()).await?;
        execute(change.transaction(), RELEASING, values).await?;
        let detail = format!("{released} open holds");
        let line =
            AuditLine { actor: self.actor(), store: Some(store), action: "centra.release", detail: &detail, at: now };
        audit(&change, line).await?;
        change.commit().await?;
        Ok(released)
    }
}

/// What a decision means for the hold of its order, in the decision's transaction.
pub(in crate::store) async fn follow_decision(
    change: &Change,
    transaction: &TransactionId,
    effect: Effect,
    now: Timestamp,
) -> Result<(), StoreError> {
    tell(change, transaction, (effect, WantedBy::Decision), now).await
}

/// What a report of the order's end means for its hold, in the report's transaction. One that does not say what becomes of
/// the goods leaves the order to a person at the shop: neither the verdict nor the deadline moves it any more.
pub(in crate::store) async fn follow_outcome(
    change: &Change,
    transaction: &TransactionId,
    kind: OutcomeKind,
    now: Timestamp,
) -> Result<(), StoreError> {
    match kind.asks_of_shop() {
        Effect::Keep => {
            let why = left_to_a_person(kind);
            let values = [transaction.as_str().into(), NEVER.as_millis().into(), why.into()];
            execute(change.transaction(), LEFT, values).await.map(|_| ())
        }
        effect => tell(change, transaction, (effect, WantedBy::Outcome), now).await,
    }
}

/// Why a hold waits whose order ended by such a report.
pub fn left_to_a_person(kind: OutcomeKind) -> String {
    format!("the merchant reported {kind}: a person at the shop settles it")
}

async fn tell(
    change: &Change,
    transaction: &TransactionId,
    (effect, by): (Effect, WantedBy),
    now: Timestamp,
) -> Result<(), StoreError> {
    let values = [transaction.as_str().into(), effect.as_str().into(), now.as_millis().into(), by.as_str().into()];
    execute(change.transaction(), TOLD, values).await.map(|_| ())
}

fn version(hold: &Hold) -> [sea_orm::Value; 3] {
    [hold.id.as_str().into(), hold.state.as_str().into(), hold.due_at.as_millis().into()]
}
