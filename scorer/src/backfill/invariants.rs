//! What holds of the reader of past orders whatever the file is. Property tests and fuzz targets call these functions, which
//! panic where it does not hold.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use touchstone_platform::store::backfill::{Backfill, BackfillState, Progress};
use touchstone_schema::backfill::{Form, Format};
use touchstone_schema::ids::{BackfillId, StoreId};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{KeyMode, Tenant};
use touchstone_schema::time::Timestamp;

use super::BackfillError;
use super::parse::{Batch, Parser};
use crate::score::policy::Policy;

const NOW: Timestamp = Timestamp::from_millis(1_767_323_045_000);
/// Bytes of a piece of a file that comes in pieces.
const PIECE: usize = 61;

/// Reads a file of this form, given in pieces.
pub(super) fn read(
    policy: &Arc<Policy>,
    format: Option<Format>,
    pieces: &[&[u8]],
) -> Result<Vec<Batch>, BackfillError> {
    let backfill = Backfill {
        id: BackfillId::mint(NOW, [1; 10]),
        tenant: Tenant { store_id: StoreId::mint(NOW, [1; 10]), mode: KeyMode::Live },
        source: String::new(),
        kind: None,
        form: Form { format, ..Default::default() },
        state: BackfillState::Running,
        progress: Progress::default(),
        unshared: false,
        size: 0,
        failure: None,
        leased_until: NOW,
        created_at: NOW,
        finished_at: None,
    };
    let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
    let (sender, source) = mpsc::channel(pieces.len() + 1);
    for piece in pieces {
        sender.try_send(Ok(Bytes::copy_from_slice(piece))).expect("there is room for every piece");
    }
    drop(sender);
    let (batches, mut read) = mpsc::channel(bytes + 1);
    let size = Parser::new(&backfill, Secret::new(*b"data key"), Arc::clone(policy), source).run(&batches)?;
    assert_eq!(size, Some(bytes as u64), "every byte is read or refused");
    Ok(std::iter::from_fn(|| read.try_recv().ok()).collect())
}

/// What is to be the same however a file comes: its rows, its warnings, where it ends, or why it is not read.
fn outcome(policy: &Arc<Policy>, format: Option<Format>, pieces: &[&[u8]]) -> String {
    match read(policy, format, pieces) {
        Ok(batches) => {
            let end = batches.last().map(|batch| (batch.end, batch.hash.clone(), batch.form));
            let rows: Vec<_> = batches.into_iter().flat_map(|batch| batch.rows).collect();
            for row in &rows {
                if let Err(refused) = &row.read {
                    assert!(!refused.reason.is_empty(), "{row:?}");
                }
            }
            format!("{rows:?} {end:?}")
        }
        Err(BackfillError::Form(reason)) => {
            assert!(!reason.is_empty());
            reason
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn is_read_alike_in_pieces(file: &[u8], format: Option<Format>) {
    thread_local! {
        static POLICY: Arc<Policy> = Arc::new(Policy::built_in());
    }
    POLICY.with(|policy| {
        let pieces: Vec<_> = file.chunks(PIECE).collect();
        assert_eq!(outcome(policy, format, &[file]), outcome(policy, format, &pieces));
    });
}

/// A file that is said to be CSV.
///
/// # Panics
/// When something does not hold.
pub fn csv_file(file: &[u8]) {
    is_read_alike_in_pieces(file, Some(Format::Csv));
}

/// A file that is said to be JSONP, and the same when its form is recognised.
///
/// # Panics
/// When something does not hold.
pub fn jsonp_file(file: &[u8]) {
    is_read_alike_in_pieces(file, Some(Format::Jsonp));
    is_read_alike_in_pieces(file, None);
}

#[cfg(test)]
mod tests {
    use touchstone_hostile::{assert_holds, samples};

    use super::*;

    #[test]
    fn any_csv_file_is_read_or_refused_by_line_alike_in_pieces() {
        assert_holds(samples::CSV_FILES, csv_file);
    }

    #[test]
    fn any_jsonp_file_is_read_or_refused_by_line_alike_in_pieces() {
        assert_holds(samples::JSONP_FILES, jsonp_file);
    }
}
