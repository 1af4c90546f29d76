//! Recording and loading batches.

use touchstone_platform::store::scoring::{NewFailedAttempt, NewRevision};
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::history::{Happening, HistoryEntry, HistoryKeyKind};
use touchstone_schema::limits::HISTORY_DEPTH;
use touchstone_schema::submission::SubmissionKind;
use touchstone_schema::tenant::KeyMode;
use touchstone_schema::verdict::{Action, TransactionStatus};

use super::{Database, START, after, key_of, on_both_databases, record_orders, submission, tenant, verdict};

on_both_databases!(
    stored_documents_come_back_byte_for_byte,
    same_revision_from_sixteen_scorers_is_recorded_once,
    crossing_batches_of_many_scorers_all_end,
    same_failed_payment_from_sixteen_scorers_is_recorded_once,
    settled_submissions_are_no_longer_pending,
    revision_that_lost_keeps_its_promise_and_leaves_nothing,
    revision_is_left_out_when_its_event_number_was_taken,
    outcomes_and_a_scorer_that_meet_all_get_their_event,
    history_is_newest_first_limited_and_not_older_than_asked,
);

async fn stored_documents_come_back_byte_for_byte(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let order = submission(&tenant, "o\u{7f}\"\\ \u{1F600}", 0);
    let new = verdict(&order, 1, 1, Action::Review);
    assert_eq!(database.system().record(&[new], &[]).await?, [true]);

    let mut again = submission(&tenant, &order.order_id, 5);
    again.kind = SubmissionKind::Reanalyze;
    let loaded = database.system().load_for_scoring(&[&again, &order]).await?;
    let latest = &loaded.latest[&order.transaction_id];
    assert_eq!((latest.revision, latest.sequence, latest.received_at), (1, 1, START));
    assert_eq!(latest.document, order.document.get());
    assert_eq!(latest.body_hash, order.body_hash);
    assert_eq!(latest.verdict, verdict(&order, 1, 1, Action::Review).verdict);
    assert_eq!(loaded.scored[&order.id], latest.verdict);
    assert!(!loaded.scored.contains_key(&again.id));

    let other = super::tenant(KeyMode::Live);
    let mut foreign = again.clone();
    foreign.tenant = other;
    let loaded = database.system().load_for_scoring(&[&foreign]).await?;
    assert!(loaded.latest.is_empty() && loaded.scored.is_empty());
    Ok(())
}

async fn same_revision_from_sixteen_scorers_is_recorded_once(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let mut scorers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = database.store.clone();
        let order = submission(&tenant, "one", 0);
        scorers.spawn(async move {
            let system = store.system(touchstone_platform::store::SystemReason::RoleLoop);
            system.record(&[verdict(&order, 1, 1, Action::Hold)], &[]).await
        });
    }
    let mut recorded = 0;
    while let Some(done) = scorers.join_next().await {
        recorded += done??.into_iter().filter(|recorded| *recorded).count();
    }
    assert_eq!(recorded, 1);
    let id = super::transaction_id(&tenant, "one");
    let view = database.store.tenant(&tenant).transaction(&id).await?.expect("it is recorded");
    assert_eq!((view.revisions.len(), view.events.len()), (1, 1));
    assert_eq!(view.revisions[0].enrichment_version.as_deref(), Some("0123456789abcdef"));
    assert_eq!(view.status, TransactionStatus::Held);
    Ok(())
}

async fn crossing_batches_of_many_scorers_all_end(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let mut scorers = tokio::task::JoinSet::new();
    for scorer in 0..8 {
        let store = database.store.clone();
        let mut orders: Vec<_> = (0..32).map(|n| submission(&tenant, &format!("{n}"), n)).collect();
        if scorer % 2 == 1 {
            orders.reverse();
        }
        scorers.spawn(async move {
            let new: Vec<_> = orders.iter().map(|order| verdict(order, 1, 1, Action::Approve)).collect();
            store.system(touchstone_platform::store::SystemReason::RoleLoop).record(&new, &[]).await
        });
    }
    let mut recorded = 0;
    while let Some(done) = scorers.join_next().await {
        recorded += done??.into_iter().filter(|recorded| *recorded).count();
    }
    assert_eq!(recorded, 32);
    Ok(())
}

async fn same_failed_payment_from_sixteen_scorers_is_recorded_once(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let declared = key_of(&tenant, "field:source", "web");
    let attempt = |order_id: &str, seconds| {
        let NewRevision { event, history, .. } = verdict(&submission(&tenant, order_id, seconds), 1, 1, Action::Hold);
        NewFailedAttempt {
            event: Event { transaction_id: None, kind: EventKind::PaymentFailed, ..event },
            history: HistoryEntry { what: Happening::FailedAttempt, ..history },
            declared_keys: vec![declared],
        }
    };
    let mut scorers = tokio::task::JoinSet::new();
    for scorer in 0..16 {
        let store = database.store.clone();
        // The same two crosswise and twice, each time received a little later.
        let mut new = vec![attempt("one", scorer), attempt("two", scorer), attempt("one", scorer + 100)];
        if scorer % 2 == 1 {
            new.reverse();
        }
        scorers.spawn(async move {
            let system = store.system(touchstone_platform::store::SystemReason::RoleLoop);
            system.record_failed_attempts(&new).await
        });
    }
    let mut recorded = 0;
    while let Some(done) = scorers.join_next().await {
        recorded += done??.into_iter().filter(|recorded| *recorded).count();
    }
    assert_eq!(recorded, 2);
    assert_eq!(database.system().unplanned(after(3_600), 100).await?.len(), 2);
    let keys = [(None, declared), (Some(HistoryKeyKind::Card), key_of(&tenant, "card", "4111"))];
    let history = database.system().load_history(&keys, START).await?;
    for (_, key) in keys {
        let found: Vec<_> = history[&key].iter().map(|entry| entry.what).collect();
        assert_eq!(found, [Happening::FailedAttempt; 2]);
    }
    Ok(())
}

async fn settled_submissions_are_no_longer_pending(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let (first, again) = (submission(&tenant, "one", 0), submission(&tenant, "one", 1));
    database.system().promise(&[&first], START).await?;
    database.system().promise(&[&first], START).await?;
    database.system().promise(&[&again], START).await?;
    let new = [verdict(&first, 1, 1, Action::Approve)];
    assert_eq!(database.system().record(&new, &[&first.id, &again.id]).await?, [true]);
    assert!(database.system().claim_overdue(after(3_600), 10).await?.is_empty());
    assert!(database.system().record(&[], &[&first.id]).await?.is_empty());
    Ok(())
}

async fn revision_that_lost_keeps_its_promise_and_leaves_nothing(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let (winner, loser, other) =
        (submission(&tenant, "one", 0), submission(&tenant, "one", 9), submission(&tenant, "two", 1));
    database.system().promise(&[&loser], START).await?;
    database.system().record(&[verdict(&winner, 1, 1, Action::Approve)], &[]).await?;
    let new = [verdict(&loser, 1, 1, Action::Hold), verdict(&other, 1, 1, Action::Hold)];
    assert_eq!(database.system().record(&new, &[&loser.id, &other.id]).await?, [false, true]);

    let view = database.store.tenant(&tenant).transaction(&winner.transaction_id).await?.expect("it is recorded");
    assert_eq!((view.revisions.len(), view.events.len(), view.status), (1, 1, TransactionStatus::Approved));
    assert_eq!(view.received_at, START);
    let keys = [(Some(HistoryKeyKind::Email), key_of(&tenant, "email", "one"))];
    assert_eq!(database.system().load_history(&keys, START).await?[&keys[0].1].len(), 1);
    assert_eq!(database.system().claim_overdue(after(3_600), 10).await?.len(), 1);
    Ok(())
}

async fn revision_is_left_out_when_its_event_number_was_taken(database: &Database) -> anyhow::Result<()> {
    use touchstone_platform::store::transactions::{Decision, NewDecision};
    let tenant = tenant(KeyMode::Live);
    let (first, second) = (submission(&tenant, "one", 0), submission(&tenant, "one", 4_000));
    database.system().record(&[verdict(&first, 1, 1, Action::Review)], &[]).await?;
    let decision = NewDecision {
        decision: Decision::Approve,
        reviewer: "ann".to_owned(),
        note: None,
        now: after(10),
        request_id: first.request_id.clone(),
    };
    database.store.tenant(&tenant).decide(&first.transaction_id, &decision).await?;
    assert_eq!(database.system().record(&[verdict(&second, 2, 2, Action::Hold)], &[]).await?, [false]);
    let loaded = database.system().load_for_scoring(&[&second]).await?;
    let latest = &loaded.latest[&first.transaction_id];
    assert_eq!((latest.revision, latest.sequence), (1, 2));
    assert_eq!(database.system().record(&[verdict(&second, 2, 3, Action::Hold)], &[]).await?, [true]);
    let view = database.store.tenant(&tenant).transaction(&first.transaction_id).await?.expect("it is recorded");
    let told: Vec<_> = view.events.iter().map(|event| (event.sequence, event.kind.as_str())).collect();
    assert_eq!(told, [(1, "order.scored"), (2, "order.decided"), (3, "order.rescored")]);
    assert_eq!(view.status, TransactionStatus::Held);
    Ok(())
}

/// Each waits for the others' locks, on the transaction and on the number of the next event.
async fn outcomes_and_a_scorer_that_meet_all_get_their_event(database: &Database) -> anyhow::Result<()> {
    use touchstone_platform::store::transactions::{NewOutcome, OutcomeKind, OutcomeTaken};
    const OUTCOMES: u32 = 12;
    const REVISIONS: u32 = 6;
    let tenant = tenant(KeyMode::Live);
    let first = submission(&tenant, "one", 0);
    database.system().record(&[verdict(&first, 1, 1, Action::Review)], &[]).await?;
    let mut changes = tokio::task::JoinSet::new();
    for number in 0..OUTCOMES {
        let (store, tenant, id) = (database.store.clone(), tenant.clone(), first.transaction_id.clone());
        let request_id = first.request_id.clone();
        changes.spawn(async move {
            let at = after(u64::from(number));
            let outcome =
                NewOutcome { kind: OutcomeKind::Refunded, occurred_at: at, amount_minor: None, now: at, request_id };
            let taken = store.tenant(&tenant).record_outcome(&id, &outcome).await?;
            anyhow::ensure!(matches!(taken, OutcomeTaken::Recorded(Some(_), _)), "{taken:?}");
            Ok(())
        });
    }
    let (store, scored) = (database.store.clone(), tenant.clone());
    changes.spawn(async move {
        let system = store.system(touchstone_platform::store::SystemReason::RoleLoop);
        let mut recorded = 1;
        while recorded <= REVISIONS {
            let again = submission(&scored, "one", u64::from(recorded) * 4_000);
            let latest = system.load_for_scoring(&[&again]).await?;
            let sequence = latest.latest[&again.transaction_id].sequence + 1;
            recorded += u32::from(
                system.record(&[verdict(&again, recorded + 1, sequence, Action::Review)], &[]).await? == [true],
            );
        }
        Ok(())
    });
    while let Some(done) = changes.join_next().await {
        done??;
    }
    let view = database.store.tenant(&tenant).transaction(&first.transaction_id).await?.expect("it is recorded");
    let told: Vec<_> = view.events.iter().map(|event| event.sequence).collect();
    assert_eq!(told, (1..=1 + OUTCOMES + REVISIONS).collect::<Vec<_>>());
    Ok(())
}

async fn history_is_newest_first_limited_and_not_older_than_asked(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let count = HISTORY_DEPTH as u64 + 10;
    record_orders(database, &tenant, count, Action::Approve).await?;
    let card = key_of(&tenant, "card", "4111");
    let email = key_of(&tenant, "email", "order-3");
    let keys =
        [(Some(HistoryKeyKind::Card), card), (Some(HistoryKeyKind::Email), email), (Some(HistoryKeyKind::Ip), card)];

    let history = database.system().load_history(&keys, START).await?;
    let times: Vec<_> = history[&card].iter().map(|entry| entry.received_at).collect();
    let expected: Vec<_> = (10..count).rev().map(after).collect();
    assert_eq!(times, expected);
    let expected = verdict(&submission(&tenant, "order-3", 3), 1, 1, Action::Approve).history;
    assert_eq!(*history[&email][0], expected);
    assert_eq!(history.len(), 2);

    let history = database.system().load_history(&keys, after(count - 5)).await?;
    assert_eq!(history[&card].len(), 5);
    assert!(!history.contains_key(&email));
    Ok(())
}
