//! Which changes of status the surface's description draws. Any other is taken too, and flagged.

use serde::{Deserialize, Serialize};

use super::Subject;
use super::words::{ChargebackStatus, CheckStatus};

/// A change that is known to exist and was not to be expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flag {
    /// The member that changed.
    pub member: String,
    /// What it was; none when nothing was known.
    pub from: Option<String>,
    /// What it became; none when it was cleared.
    pub to: Option<String>,
}

/// Whether a subject's status may change so, by the description. Staying what it is, is no change.
pub fn is_drawn(subject: Subject, from: CheckStatus, to: CheckStatus) -> bool {
    use CheckStatus::{Approved, Cancelled, Converted, Fulfilled, Hold, New, Queued, Returned, Verified};
    let drawn: &[CheckStatus] = match (subject, from) {
        (Subject::Transaction, New) => &[Hold, Queued, Approved, Cancelled],
        (Subject::Transaction, Hold) => &[Queued, Approved, Cancelled],
        (Subject::Transaction, Queued) => &[Hold, Approved, Cancelled],
        (Subject::Transaction, Approved) => &[Fulfilled, Cancelled],
        (Subject::Transaction, Fulfilled) => &[Returned],
        (Subject::Cart, New) => &[Verified],
        (Subject::Cart, Verified) => &[Approved, Converted],
        _ => &[],
    };
    from == to || drawn.contains(&to)
}

/// The same of a dispute: it is opened, and then won or lost.
pub(super) fn is_dispute_drawn(from: Option<ChargebackStatus>, to: Option<ChargebackStatus>) -> bool {
    use ChargebackStatus::{Lost, Opened, Won};
    from == to || matches!((from, to), (None, Some(Opened)) | (Some(Opened), Some(Won | Lost)))
}
