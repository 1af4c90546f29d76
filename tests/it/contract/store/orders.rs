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
    every_outcome_that_ends_the_order_closes_its_review,
    a_decision_counts_as_repeated_while_it_is_what_stands,
    a_decision_and_an_outcome_at_once_leave_one_standing_state,
    outcome_before_the_verdict_closes_the_review_that_it_opens,
    outcome_and_first_verdict_at_once_leave_no_review_open,
    an_ended_order_is_opened_by_another_order_alone,
    an_order_cancelled_before_its_verdict_is_listed_as_cancelled,
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
            other => assert!(matches!(other, Decided::Already(_)), "{other:?}"),
        }
    }
    assert_eq!(events.len(), 1);
    let data: serde_json::Value = serde_json::from_str(events[0].data.get())?;
    let expected = serde_json::json!({
        "transaction_id": id.as_str(), "order_id": "order-0", "revision": 1, "sequence": 2, "mode": "test",
        "decision": "reject", "reviewer": "ann", "note": "ok", "decided_at": after(60).to_rfc3339(), "status": "rejected",
    });
    assert_eq!(data, expected);
    assert!(matches!(orders.decide(&id, &decision(Decision::Approve)).await?, Decided::Contrary(_)));
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
    assert!(matches!(decided, Decided::NotOpen(standing) if standing.status == TransactionStatus::Approved));
    let decided = orders.decide(&waiting.transaction_id, &decision).await?;
    assert!(matches!(decided, Decided::NotOpen(standing) if standing.status == TransactionStatus::Pending));
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

/// Where an outcome puts an order that waits for a person; none leaves it.
const fn closed_as(kind: OutcomeKind) -> Option<TransactionStatus> {
    match kind {
        OutcomeKind::Cancelled => Some(TransactionStatus::Cancelled),
        OutcomeKind::Fulfilled => Some(TransactionStatus::Approved),
        OutcomeKind::Legitimate => None,
        _ => Some(TransactionStatus::Closed),
    }
}

async fn every_outcome_that_ends_the_order_closes_its_review(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let orders = database.store.tenant(&tenant);
    for (action, open) in [(Action::Review, TransactionStatus::Review), (Action::Hold, TransactionStatus::Held)] {
        for kind in OutcomeKind::ALL {
            let order = submission(&tenant, &format!("{action}-{kind}"), 0);
            assert_eq!(database.system().record(&[verdict(&order, 1, 1, action)], &[]).await?, [true]);
            let id = &order.transaction_id;
            let taken = orders.record_outcome(id, &outcome(*kind, after(50))).await?;
            let OutcomeTaken::Recorded(Some(event), _) = taken else { anyhow::bail!("{kind}: {taken:?}") };
            let data: serde_json::Value = serde_json::from_str(event.data.get())?;
            let view = orders.transaction(id).await?.expect("it is recorded");
            let Some(closed) = closed_as(*kind) else {
                assert_eq!((view.status, view.ended_by), (open, None), "{kind}");
                continue;
            };
            assert_eq!((view.status, view.ended_by), (closed, Some(*kind)), "{kind}");
            assert_eq!(data["status"], closed.as_str(), "{kind}: the merchant is told");
            for wanted in [Decision::Approve, Decision::Reject] {
                let decided = orders.decide(id, &decision(wanted)).await?;
                let Decided::NotOpen(standing) = decided else { anyhow::bail!("{kind} {wanted}: {decided:?}") };
                assert_eq!((standing.status, standing.ended_by), (closed, Some(*kind)));
            }
            let queue = orders.transactions(Some(open), None, 50).await?;
            assert!(queue.iter().all(|line| line.id != *id), "{kind} is still listed");
        }
    }
    Ok(())
}

async fn a_decision_counts_as_repeated_while_it_is_what_stands(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    record_orders(database, &tenant, 1, Action::Review).await?;
    let (id, orders) = (transaction_id(&tenant, "order-0"), database.store.tenant(&tenant));
    assert!(matches!(orders.decide(&id, &decision(Decision::Approve)).await?, Decided::Recorded(..)));
    orders.record_outcome(&id, &outcome(OutcomeKind::Fulfilled, after(70))).await?;
    let again = orders.decide(&id, &decision(Decision::Approve)).await?;
    assert!(matches!(again, Decided::Already(standing) if standing.status == TransactionStatus::Approved), "{again:?}");
    orders.record_outcome(&id, &outcome(OutcomeKind::Cancelled, after(80))).await?;
    let again = orders.decide(&id, &decision(Decision::Approve)).await?;
    assert!(
        matches!(again, Decided::NotOpen(standing) if standing.status == TransactionStatus::Cancelled),
        "{again:?}"
    );
    let contrary = orders.decide(&id, &decision(Decision::Reject)).await?;
    assert!(matches!(contrary, Decided::Contrary(standing) if standing.status == TransactionStatus::Cancelled));
    Ok(())
}

async fn a_decision_and_an_outcome_at_once_leave_one_standing_state(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    record_orders(database, &tenant, 12, Action::Review).await?;
    for number in 0..12 {
        let id = transaction_id(&tenant, &format!("order-{number}"));
        let orders = database.store.tenant(&tenant);
        let (approve, cancelled) = (decision(Decision::Approve), outcome(OutcomeKind::Cancelled, after(50)));
        let (decided, taken) = tokio::join!(orders.decide(&id, &approve), orders.record_outcome(&id, &cancelled));
        assert!(matches!(taken?, OutcomeTaken::Recorded(Some(_), _)), "a report is never lost");
        let view = orders.transaction(&id).await?.expect("it is recorded");
        let events = match decided? {
            Decided::Recorded(..) => 3,
            Decided::NotOpen(standing) => {
                assert_eq!(standing.status, TransactionStatus::Cancelled);
                2
            }
            other => anyhow::bail!("{other:?}"),
        };
        assert_eq!((view.status, view.events.len()), (TransactionStatus::Cancelled, events));
        assert_eq!(view.decisions.len(), events - 2);
    }
    Ok(())
}

async fn outcome_before_the_verdict_closes_the_review_that_it_opens(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let orders = database.store.tenant(&tenant);
    for kind in OutcomeKind::ALL {
        let order = submission(&tenant, kind.as_str(), 0);
        database.system().promise(&[&order], START).await?;
        let taken = orders.record_outcome(&order.transaction_id, &outcome(*kind, after(1))).await?;
        assert!(matches!(taken, OutcomeTaken::Recorded(None, None)), "{kind}");
        assert_eq!(database.system().record(&[verdict(&order, 1, 1, Action::Review)], &[]).await?, [true]);
        let view = orders.transaction(&order.transaction_id).await?.expect("it is recorded");
        assert_eq!(view.status, closed_as(*kind).unwrap_or(TransactionStatus::Review), "{kind}");
        assert_eq!(view.ended_by, kind.is_ending().then_some(*kind), "{kind}");
        // A submission that is delivered again finds its verdict.
        database.system().record(&[], &[&order.id]).await?;
        let found = orders.transaction(&order.transaction_id).await?.expect("it is recorded");
        assert_eq!(found.status, view.status, "{kind}");
    }
    Ok(())
}

async fn outcome_and_first_verdict_at_once_leave_no_review_open(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let orders = database.store.tenant(&tenant);
    for number in 0..24 {
        let order = submission(&tenant, &format!("race-{number}"), 0);
        database.system().promise(&[&order], START).await?;
        let (new, cancelled) = ([verdict(&order, 1, 1, Action::Review)], outcome(OutcomeKind::Cancelled, after(1)));
        let system = database.system();
        let (recorded, taken) =
            tokio::join!(system.record(&new, &[]), orders.record_outcome(&order.transaction_id, &cancelled));
        assert_eq!(recorded?, [true]);
        assert!(matches!(taken?, OutcomeTaken::Recorded(..)));
        let view = orders.transaction(&order.transaction_id).await?.expect("it is recorded");
        assert_eq!((view.status, view.ended_by), (TransactionStatus::Cancelled, Some(OutcomeKind::Cancelled)));
    }
    Ok(())
}

async fn an_ended_order_is_opened_by_another_order_alone(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    record_orders(database, &tenant, 1, Action::Review).await?;
    let (id, orders) = (transaction_id(&tenant, "order-0"), database.store.tenant(&tenant));
    orders.record_outcome(&id, &outcome(OutcomeKind::Fulfilled, after(80))).await?;
    let status = async || anyhow::Ok(orders.transaction(&id).await?.map(|view| (view.status, view.ended_by)));
    let ended = Some((TransactionStatus::Approved, Some(OutcomeKind::Fulfilled)));
    // Scored again, and sent late: the report is of this order.
    for (revision, seconds, reopens) in [(2, 4_000, false), (3, 10, true)] {
        let again = submission(&tenant, "order-0", seconds);
        let mut new = verdict(&again, revision, revision + 1, Action::Review);
        new.reopens = reopens;
        assert_eq!(database.system().record(&[new], &[]).await?, [true]);
        assert_eq!(status().await?, ended, "revision {revision}");
    }
    // Its number is used again.
    let other = submission(&tenant, "order-0", 90_000);
    let mut new = verdict(&other, 4, 5, Action::Hold);
    new.reopens = true;
    assert_eq!(database.system().record(&[new], &[]).await?, [true]);
    assert_eq!(status().await?, Some((TransactionStatus::Held, None)));
    assert!(matches!(orders.decide(&id, &decision(Decision::Reject)).await?, Decided::Recorded(..)));
    Ok(())
}

async fn an_order_cancelled_before_its_verdict_is_listed_as_cancelled(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let orders = database.store.tenant(&tenant);
    let waiting = [submission(&tenant, "cancelled", 0), submission(&tenant, "waiting", 1)];
    database.system().promise(&[&waiting[0], &waiting[1]], START).await?;
    orders.record_outcome(&waiting[0].transaction_id, &outcome(OutcomeKind::Cancelled, after(1))).await?;
    let listed = async |status| -> anyhow::Result<Vec<(String, TransactionStatus)>> {
        let page = orders.transactions(status, None, 9).await?;
        Ok(page.into_iter().map(|line| (line.order_id, line.status)).collect())
    };
    let (cancelled, pending) =
        (("cancelled".to_owned(), TransactionStatus::Cancelled), ("waiting".to_owned(), TransactionStatus::Pending));
    assert_eq!(listed(Some(TransactionStatus::Cancelled)).await?, std::slice::from_ref(&cancelled));
    assert_eq!(listed(Some(TransactionStatus::Pending)).await?, std::slice::from_ref(&pending));
    assert_eq!(listed(None).await?, [pending, cancelled]);
    let view = orders.transaction(&waiting[0].transaction_id).await?.expect("it was promised");
    assert_eq!((view.status, view.ended_by), (TransactionStatus::Cancelled, Some(OutcomeKind::Cancelled)));
    let decided = orders.decide(&waiting[0].transaction_id, &decision(Decision::Approve)).await?;
    assert!(matches!(decided, Decided::NotOpen(standing) if standing.status == TransactionStatus::Cancelled));
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
