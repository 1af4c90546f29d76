//! Promises and their sweep.

use std::collections::HashSet;

use touchstone_platform::store::SystemReason;
use touchstone_schema::limits::{PENDING_ATTEMPTS, PENDING_SWEEP_AGE};
use touchstone_schema::tenant::KeyMode;
use touchstone_schema::verdict::TransactionStatus;

use super::{Database, START, on_both_databases, submission, tenant};

on_both_databases!(
    overdue_promises_are_claimed_once_by_many_sweepers,
    promise_is_claimed_again_until_its_attempts_are_used_up,
    promise_set_aside_reads_as_failed_and_is_left_alone,
);

async fn overdue_promises_are_claimed_once_by_many_sweepers(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    for n in 0..20 {
        database.system().promise(&[&submission(&tenant, &format!("{n}"), n)], START).await?;
    }
    assert!(database.system().claim_overdue(START, 100).await?.is_empty());
    let due = START + PENDING_SWEEP_AGE;
    let mut sweepers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = database.store.clone();
        sweepers.spawn(async move { store.system(SystemReason::RoleLoop).claim_overdue(due, 5).await });
    }
    let mut claimed = Vec::new();
    while let Some(done) = sweepers.join_next().await {
        claimed.extend(done??.into_iter().map(|submission| submission.id));
    }
    claimed.extend(database.system().claim_overdue(due, 20).await?.into_iter().map(|submission| submission.id));
    assert_eq!(claimed.len(), 20);
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>().len(), 20);
    Ok(())
}

async fn promise_is_claimed_again_until_its_attempts_are_used_up(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let order = submission(&tenant, "one", 0);
    database.system().promise(&[&order], START).await?;
    let mut now = START;
    for _ in 0..PENDING_ATTEMPTS {
        now = now + PENDING_SWEEP_AGE;
        let claimed = database.system().claim_overdue(now, 10).await?;
        assert_eq!(claimed.len(), 1);
        assert_eq!(claimed[0].document.get(), order.document.get());
    }
    for _ in 0..2 {
        now = now + PENDING_SWEEP_AGE;
        assert!(database.system().claim_overdue(now, 10).await?.is_empty());
    }
    let view = database.store.tenant(&tenant).transaction(&order.transaction_id).await?.expect("it was promised");
    assert_eq!(view.status, TransactionStatus::Failed);
    Ok(())
}

async fn promise_set_aside_reads_as_failed_and_is_left_alone(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let order = submission(&tenant, "one", 0);
    database.system().promise(&[&order], START).await?;
    let id = &order.transaction_id;
    let view = database.store.tenant(&tenant).transaction(id).await?.expect("it was promised");
    assert_eq!((view.status, view.received_at, view.revisions.len()), (TransactionStatus::Pending, START, 0));
    database.system().set_aside(&order.id, "poison").await?;
    let view = database.store.tenant(&tenant).transaction(id).await?.expect("it was promised");
    assert_eq!(view.status, TransactionStatus::Failed);
    assert!(database.system().claim_overdue(START + PENDING_SWEEP_AGE * 2, 10).await?.is_empty());
    Ok(())
}
