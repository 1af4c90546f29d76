//! The right to pace: one process at a time makes the attempts of endpoints that have a limit.
//!
//! Guarantee: whoever takes the right up begins [`AFTER_ANOTHER`] after the one before had to stop, so that no second sees
//! attempts of both. The clocks of the machines must agree to a fraction of that. Failure: the right of a process that
//! died is taken up when its time is over.

use std::time::Duration;

use touchstone_schema::time::Timestamp;

use crate::store::database::execute;
use crate::store::{StoreError, SystemStore};

/// The longest that an attempt of the one before counts against a limit of so many a second.
const AFTER_ANOTHER: Duration = Duration::from_secs(1);

const HOLD: &str = "
UPDATE rights SET holder = $1, held_until = $2 WHERE name = 'pace' AND (holder = $1 OR held_until <= $3)";

const LEAVE: &str = "UPDATE rights SET held_until = $2 WHERE name = 'pace' AND holder = $1 AND held_until > $2";

impl SystemStore<'_> {
    /// Takes or keeps the right until `until`; false while another has it. The one process of the embedded default always
    /// has it.
    pub async fn hold_pace(&self, holder: &str, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        if self.store.is_embedded() {
            return Ok(true);
        }
        let values = [holder.into(), until.as_millis().into(), (now - AFTER_ANOTHER).as_millis().into()];
        Ok(execute(&self.store.database, HOLD, values).await? > 0)
    }

    /// Gives the right back at once.
    pub async fn leave_pace(&self, holder: &str, now: Timestamp) -> Result<(), StoreError> {
        if self.store.is_embedded() {
            return Ok(());
        }
        execute(&self.store.database, LEAVE, [holder.into(), now.as_millis().into()]).await.map(|_| ())
    }
}
