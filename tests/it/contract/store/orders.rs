//! Decisions, outcomes and listings.

use std::collections::HashSet;

use touchstone_platform::store::transactions::{
    Decided, Decision, NewDecision, NewOutcome, OutcomeKind, OutcomeTaken, PageCursor,
};
use touchstone_schema::event::EventKind;
use touchstone_schema::ids::RequestId;
use touchstone_schema::tenant::KeyMode;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::{Action, TransactionStatus};

use super::{Database, START, after, on_both_databases, record_orders, submission, tenant, transaction_id, verdict};

on_both_databases!(
    decision_is_taken_once_and_a_contrary_one_is_told,
    approved_and_pending_transactions_need_no_decision,
    outcome_is_recorded_once_with_one_event,
    outcome_before_the_verdict_is_kept_without_an_event,
    pages_have_no_gaps_and_no_repeats,
);

fn decision(decision: Decision) -> NewDecision {
    let request_id = RequestId::mint(START, [7; 10]);
    NewDecision { decision, reviewer: "ann".to_owned(), note: Some("ok".to_owned()), now: after(60), request_id }
}

fn outcome(kind: OutcomeKind, occurred_at: Timestamp) -> NewOutcome {
    let request_id = RequestId::mint(START, [8; 10]);
    NewOutcome { kind, occurred_at, amount_minor: Some(1_205), now: after(90), request_id }
}

async fn decision_is_taken_once_and_a_contrary_one_is_told(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Test);
    record_orders(database, &tenant, 1, Action::Hold).await?;
    let id = transaction_id(&tenant, "order-0");
    let orders = database.store.tenant(&tenant);
    let mut reviewers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, tenant, id) = (database.store.clone(), tenant.clone(), id.clone());
        reviewers.spawn(async move { store.tenant(&tenant).decide(&id, &decision(Decision::Reject)).await });
    }
    let mut events = Vec::new();
    while let Some(done) = reviewers.join_next().await {
        match done?? {
            Decided::Recorded(event, _) => events.push(event),
            other => assert!(matches!(other, Decided::Already), "{other:?}"),
        }
    }
    assert_eq!(events.len(), 1);
    let data: serde_json::Value = serde_json::from_str(events[0].data.get())?;
    let expected = serde_json::json!({
        "transaction_id": id.as_str(), "order_id": "order-0", "revision": 1, "sequence": 2, "mode": "test",
        "decision": "reject", "reviewer": "ann", "note": "ok", "decided_at": after(60).to_rfc3339(), "status": "rejected",
    });
    assert_eq!(data, expected);
    assert!(matches!(orders.decide(&id, &decision(Decision::Approve)).await?, Decided::Contrary));
    let view = orders.transaction(&id).await?.expect("it is recorded");
    assert_eq!((view.status, view.decisions.len(), view.events.len()), (TransactionStatus::Rejected, 1, 2));
    Ok(())
}

async fn approved_and_pending_transactions_need_no_decision(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    record_orders(database, &tenant, 1, Action::Approve).await?;
    let waiting = submission(&tenant, "waiting", 5);
    database.system().promise(&[&waiting], START).await?;
    let orders = database.store.tenant(&tenant);
    let decision = decision(Decision::Approve);
    let decided = orders.decide(&transaction_id(&tenant, "order-0"), &decision).await?;
    assert!(matches!(decided, Decided::NotOpen(TransactionStatus::Approved)));
    let decided = orders.decide(&waiting.transaction_id, &decision).await?;
    assert!(matches!(decided, Decided::NotOpen(TransactionStatus::Pending)));
    let decided = orders.decide(&transaction_id(&tenant, "unknown"), &decision).await?;
    assert!(matches!(decided, Decided::NotFound));
    Ok(())
}

async fn outcome_is_recorded_once_with_one_event(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    record_orders(database, &tenant, 1, Action::Approve).await?;
    let id = transaction_id(&tenant, "order-0");
    let orders = database.store.tenant(&tenant);
    let reversed = outcome(OutcomeKind::ChargebackReversed, after(50));
    let OutcomeTaken::Recorded(Some(event), _) = orders.record_outcome(&id, &reversed).await? else {
        anyhow::bail!("the first report is recorded");
    };
    assert_eq!((event.kind, event.sequence), (EventKind::ChargebackReversed, 2));
    let data: serde_json::Value = serde_json::from_str(event.data.get())?;
    assert_eq!((&data["outcome"], &data["amount"]), (&"chargeback_reversed".into(), &12.05.into()));
    assert!(matches!(orders.record_outcome(&id, &reversed).await?, OutcomeTaken::Already));
    let shipped = outcome(OutcomeKind::Fulfilled, after(50));
    let OutcomeTaken::Recorded(Some(event), _) = orders.record_outcome(&id, &shipped).await? else {
        anyhow::bail!("another kind is another outcome");
    };
    assert_eq!((event.kind, event.sequence), (EventKind::OrderStatusChanged, 3));
    let view = orders.transaction(&id).await?.expect("it is recorded");
    assert_eq!((view.outcomes.len(), view.events.len(), view.status), (2, 3, TransactionStatus::Approved));
    assert_eq!(orders.currency(&id).await?.as_deref(), Some("EUR"));
    Ok(())
}

async fn outcome_before_the_verdict_is_kept_without_an_event(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let order = submission(&tenant, "waiting", 0);
    database.system().promise(&[&order], START).await?;
    let orders = database.store.tenant(&tenant);
    let taken = orders.record_outcome(&order.transaction_id, &outcome(OutcomeKind::Cancelled, after(1))).await?;
    assert!(matches!(taken, OutcomeTaken::Recorded(None, None)));
    assert_eq!(database.system().record(&[verdict(&order, 1, 1, Action::Approve)], &[]).await?, [true]);
    let view = orders.transaction(&order.transaction_id).await?.expect("it is recorded");
    assert_eq!((view.outcomes.len(), view.events.len()), (1, 1));
    Ok(())
}

async fn pages_have_no_gaps_and_no_repeats(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    record_orders(database, &tenant, 20, Action::Review).await?;
    for n in 0..10 {
        // The same instants as those scored above, so that the order among equals is tried too.
        let waiting = submission(&tenant, &format!("waiting-{n}"), n);
        database.system().promise(&[&waiting], START).await?;
        database.system().promise(&[&submission(&tenant, &format!("waiting-{n}"), n)], START).await?;
    }
    for (status, expected) in
        [(None, 30), (Some(TransactionStatus::Review), 20), (Some(TransactionStatus::Pending), 10)]
    {
        let mut seen = Vec::new();
        let mut before: Option<PageCursor> = None;
        loop {
            let page = database.store.tenant(&tenant).transactions(status, before.as_ref(), 7).await?;
            let Some(last) = page.last() else { break };
            before = Some(PageCursor { received_at: last.received_at, id: last.id.clone() });
            seen.extend(page);
        }
        assert!(seen.is_sorted_by_key(|line| std::cmp::Reverse((line.received_at, line.id.clone()))), "newest first");
        assert_eq!(seen.len(), expected, "{status:?}");
        assert_eq!(seen.iter().map(|line| &line.id).collect::<HashSet<_>>().len(), expected, "{status:?}");
        assert!(status.is_none() || seen.iter().all(|line| Some(line.status) == status));
    }
    let failed = database.store.tenant(&tenant).transactions(Some(TransactionStatus::Failed), None, 7).await?;
    assert!(failed.is_empty());
    Ok(())
}
