//! What reading rows costs.

use bytes::Bytes;
use touchstone_hostile::{Form, Shape, assert_within_budget, csv_rows, documents};
use touchstone_platform::store::backfill::{BackfillState, Progress};
use touchstone_schema::ids::{BackfillId, StoreId};
use touchstone_schema::tenant::{KeyMode, Tenant};
use touchstone_schema::time::Timestamp;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_767_323_045_000);

fn backfill(format: Format) -> Backfill {
    Backfill {
        id: BackfillId::mint(NOW, [1; 10]),
        tenant: Tenant { store_id: StoreId::mint(NOW, [1; 10]), mode: KeyMode::Live },
        source: String::new(),
        kind: None,
        form: touchstone_schema::backfill::Form { format: Some(format), ..Default::default() },
        state: BackfillState::Running,
        progress: Progress::default(),
        unshared: false,
        size: 0,
        failure: None,
        leased_until: NOW,
        created_at: NOW,
        finished_at: None,
    }
}

/// Reads a file of a few rows.
fn read(shape: &Shape, format: Format) -> Result<Vec<Batch>, BackfillError> {
    let (pieces, source) = mpsc::channel(1);
    let (batches, mut read) = mpsc::channel(16);
    let sent = pieces.try_send(Ok(Bytes::copy_from_slice(shape.text.as_bytes())));
    assert!(sent.is_ok());
    drop(pieces);
    let policy = Arc::new(Policy::built_in());
    Parser::new(&backfill(format), Secret::new(*b"data key"), policy, source).run(&batches)?;
    Ok(std::iter::from_fn(|| read.try_recv().ok()).collect())
}

#[test]
fn reading_a_row_of_json_costs_a_fixed_multiple_of_its_bytes_whatever_its_shape() {
    let form = Form {
        members: r#""transaction":{"order_id":"A-1","ordered_on":"2026-01-02 03:04:05","order_total":"129.90"}"#,
        list: "products",
        item: r#"{"product_id":7,"title":"Shoe","price":62.5,"quantity":2}"#,
    };
    assert_within_budget(&documents(form), |shape| read(shape, Format::Lines));
}

#[test]
fn reading_a_row_of_csv_costs_a_fixed_multiple_of_its_bytes_whatever_its_shape() {
    let members = [
        ("transaction.order_id", "A-1"),
        ("transaction.ordered_on", "2026-01-02 03:04:05"),
        ("transaction.order_total", "129.90"),
    ];
    let shapes = csv_rows(&members);
    assert!(shapes.iter().all(|shape| read(shape, Format::Csv).is_ok_and(|batches| batches.len() == 1)));
    assert_within_budget(&shapes, |shape| read(shape, Format::Csv));
}
