//! History that was committed by a process which died before it could hand it on.

use anyhow::{Context, Result};
use serde_json::json;
use touchstone_platform::random;
use touchstone_platform::store::backfill::{Conclusion, NewBackfill, PastOrder, Read};
use touchstone_schema::backfill::Form;
use touchstone_schema::history::{Happening, HistoryEntry, HistoryKey, HistoryKeys};
use touchstone_schema::ids::{BackfillId, TransactionId};
use touchstone_schema::limits::HISTORY_SPAN;
use touchstone_schema::money::{Currency, Money};
use touchstone_tests::eventually;

use super::fixture::PATIENCE;
use crate::pipeline::fixture::Pipeline;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_that_a_dead_process_did_not_hand_on_reaches_redis() -> Result<()> {
    let mut pipeline = Box::pin(Pipeline::production()).await?;
    // Redis forgets entries by the time of its machine.
    pipeline.catch_up();
    pipeline.score();
    let now = pipeline.door.clock.now();
    let hot = pipeline.door.cache.history().context("production keeps hot history")?;
    let key = HistoryKey::from_i64(77);
    let held = async || hot.load(&[key], now - HISTORY_SPAN).await.ok().flatten();
    eventually(PATIENCE, "history to be filled", async || held().await.map(drop)).await?;

    let ordered_at = now - HISTORY_SPAN / 3;
    let id = TransactionId::mint(ordered_at, random::bytes());
    let entry = HistoryEntry {
        what: Happening::Order,
        transaction_id: id.clone(),
        received_at: ordered_at,
        ordered_at,
        amount: Money::from_minor(2_050, Currency::from_code("EUR").context("a currency")?)?,
        keys: HistoryKeys { email: Some(key), ..HistoryKeys::default() },
        name: None,
        declines: 0,
    };
    let past = PastOrder { id, elsewhere: vec![], digest: 1, entry, declared_keys: vec![], quantity: 1, told: vec![] };
    let (tenant, backfill) = (&pipeline.door.keys.mine.tenant, BackfillId::mint(now, random::bytes()));
    let source = "orders.csv";
    let form = Form::default();
    let new = NewBackfill { id: &backfill, source, kind: None, form, now, leased_until: now, actor: "operator" };
    pipeline.door.store.tenant(tenant).begin_backfill(&new).await?;
    let orders = std::slice::from_ref(&past);
    let read = Read { id: &backfill, tenant, leased_until: now, lease_until: now, form, orders };
    let committed = pipeline.system().commit_backfill(&read, |_| Ok(Conclusion::default())).await?;
    anyhow::ensure!(committed.is_some_and(|committed| committed.entries.len() == 1));

    eventually(PATIENCE, "hot history to be distrusted", async || {
        hot.load(&[key], now - HISTORY_SPAN).await.ok().filter(Option::is_none)
    })
    .await?;
    // The next order finds that it has to be filled.
    let order = json!({"order_id": "next", "amount": 1, "currency": "EUR", "customer": {"email": "jo@example.com"}});
    pipeline.enqueue(&[pipeline.submission(&order)?]).await?;
    let found = eventually(PATIENCE, "the entry to be in Redis", async || {
        held().await.filter(|history| history.get(&key).is_some_and(|entries| !entries.is_empty()))
    })
    .await?;
    assert_eq!(*found[&key][0], past.entry);
    Ok(())
}
