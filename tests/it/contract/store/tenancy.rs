//! No tenant sees another's transactions, and live and test orders never meet.

use touchstone_platform::store::transactions::{Decided, Decision, NewDecision, NewOutcome, OutcomeKind, OutcomeTaken};
use touchstone_schema::ids::RequestId;
use touchstone_schema::tenant::{KeyMode, Tenant};
use touchstone_schema::verdict::Action;

use super::{Database, START, on_both_databases, record_orders, submission, tenant, transaction_id};

on_both_databases!(foreign_transactions_are_not_found);

async fn foreign_transactions_are_not_found(database: &Database) -> anyhow::Result<()> {
    let owner = tenant(KeyMode::Live);
    record_orders(database, &owner, 1, Action::Review).await?;
    let waiting = submission(&owner, "waiting", 1);
    database.system().promise(&[&waiting], START).await?;
    let scored = transaction_id(&owner, "order-0");

    let request_id = RequestId::mint(START, [1; 10]);
    let decision = NewDecision {
        decision: Decision::Approve,
        reviewer: "eve".to_owned(),
        note: None,
        now: START,
        request_id: request_id.clone(),
    };
    let outcome =
        NewOutcome { kind: OutcomeKind::Refunded, occurred_at: START, amount_minor: None, now: START, request_id };
    let other_mode = Tenant { mode: KeyMode::Test, ..owner.clone() };
    for stranger in [tenant(KeyMode::Live), other_mode] {
        let orders = database.store.tenant(&stranger);
        for id in [&scored, &waiting.transaction_id] {
            assert!(orders.transaction(id).await?.is_none());
            assert!(orders.currency(id).await?.is_none());
            assert!(matches!(orders.decide(id, &decision).await?, Decided::NotFound));
            assert!(matches!(orders.record_outcome(id, &outcome).await?, OutcomeTaken::NotFound));
        }
        assert!(orders.transactions(None, None, 10).await?.is_empty());
    }
    let view = database.store.tenant(&owner).transaction(&scored).await?.expect("the owner sees it");
    assert!(view.decisions.is_empty() && view.outcomes.is_empty());
    Ok(())
}
