//! The stored form of finished verdicts in Redis: `received_at`, body hash and document, one a line.

use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::FinishedVerdict;

pub(super) fn encode(finished: &FinishedVerdict) -> String {
    format!("{}\n{}\n{}", finished.received_at.as_millis(), finished.body_hash, finished.verdict)
}

pub(super) fn decode(stored: &str) -> Option<FinishedVerdict> {
    let mut lines = stored.splitn(3, '\n');
    Some(FinishedVerdict {
        received_at: Timestamp::from_millis(lines.next()?.parse().ok()?),
        body_hash: lines.next()?.to_owned(),
        verdict: lines.next()?.to_owned(),
    })
}
