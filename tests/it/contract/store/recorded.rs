//! Orders as they were recorded, and the history that they had.

use touchstone_platform::store::history::AsOf;
use touchstone_platform::store::recorded::Span;
use touchstone_platform::store::transactions::{NewOutcome, OutcomeKind};
use touchstone_schema::history::{HistoryEntry, HistoryKeyKind};
use touchstone_schema::ids::RequestId;
use touchstone_schema::limits::{HISTORY_DEPTH, HISTORY_SPAN, PAGE_ITEMS};
use touchstone_schema::tenant::{KeyMode, Tenant};
use touchstone_schema::verdict::Action;

use super::{
    Database, START, after, key_of, on_both_databases, record_orders, submission, tenant, transaction_id, verdict,
};

on_both_databases!(
    pages_of_recorded_orders_have_no_gaps_and_no_strangers,
    newest_revision_is_what_is_read,
    newest_outcome_that_tells_is_the_label,
    history_as_of_an_order_has_nothing_later_and_as_much_as_scoring_had,
    newest_amounts_before_a_moment_are_the_tenants_own,
);

async fn pages_of_recorded_orders_have_no_gaps_and_no_strangers(database: &Database) -> anyhow::Result<()> {
    let owner = tenant(KeyMode::Live);
    let count = PAGE_ITEMS + 20;
    record_orders(database, &owner, count, Action::Approve).await?;
    record_orders(database, &tenant(KeyMode::Live), 3, Action::Approve).await?;
    record_orders(database, &Tenant { mode: KeyMode::Test, ..owner.clone() }, 3, Action::Approve).await?;
    // Two at the same moment, on both sides of a page's end.
    let twins = [submission(&owner, "twin-1", PAGE_ITEMS), submission(&owner, "twin-2", PAGE_ITEMS)];
    let new: Vec<_> = twins.iter().map(|twin| verdict(twin, 1, 1, Action::Approve)).collect();
    database.system().record(&new, &[]).await?;

    let mut span = Span::new(after(1), after(count - 1));
    let mut read = Vec::new();
    loop {
        let page = database.store.tenant(&owner).recorded_orders(&span).await?;
        let Some(last) = page.last() else { break };
        span = span.rest(last);
        read.extend(page);
    }
    assert!(read.is_sorted_by_key(|order| (order.received_at, order.transaction_id.clone())));
    let mut ids: Vec<_> = read.into_iter().map(|order| order.order_id).collect();
    ids.sort_unstable();
    let expected = (1..count - 1).map(|number| format!("order-{number}"));
    let mut expected: Vec<_> = expected.chain(["twin-1".to_owned(), "twin-2".to_owned()]).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    Ok(())
}

async fn newest_revision_is_what_is_read(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let first = submission(&tenant, "order-1", 0);
    let mut second = submission(&tenant, "order-1", 4_000);
    second.document = super::raw(r#"{"order_id":"order-1","second":true}"#);
    for (revision, order) in [(1, &first), (2, &second)] {
        let recorded = database.system().record(&[verdict(order, revision, revision, Action::Review)], &[]).await?;
        assert_eq!(recorded, [true]);
    }
    let read = database.store.tenant(&tenant).recorded_orders(&Span::new(START, after(5_000))).await?;
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].received_at, read[0].document.as_str()), (after(4_000), second.document.get()));
    Ok(())
}

async fn newest_outcome_that_tells_is_the_label(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    record_orders(database, &tenant, 4, Action::Approve).await?;
    let told = [
        (0, OutcomeKind::ChargebackOpened, 10),
        (0, OutcomeKind::ChargebackReversed, 20),
        (0, OutcomeKind::Refunded, 30),
        (1, OutcomeKind::Legitimate, 10),
        (1, OutcomeKind::FraudConfirmed, 20),
        (2, OutcomeKind::Refunded, 10),
    ];
    for (order, kind, seconds) in told {
        let outcome = NewOutcome {
            kind,
            occurred_at: after(seconds),
            amount_minor: None,
            now: after(seconds),
            request_id: RequestId::mint(START, [1; 10]),
        };
        let id = transaction_id(&tenant, &format!("order-{order}"));
        database.store.tenant(&tenant).record_outcome(&id, &outcome).await?;
    }
    let read = database.store.tenant(&tenant).recorded_orders(&Span::new(START, after(10))).await?;
    let labels: Vec<_> = read.iter().map(|order| order.label).collect();
    assert_eq!(labels, [Some(false), Some(true), None, None]);
    Ok(())
}

async fn history_as_of_an_order_has_nothing_later_and_as_much_as_scoring_had(
    database: &Database,
) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let count = HISTORY_DEPTH as u64 + 10;
    record_orders(database, &tenant, count, Action::Approve).await?;
    let (card, email) = (key_of(&tenant, "card", "4111"), key_of(&tenant, "email", "order-3"));
    let keys = vec![(Some(HistoryKeyKind::Card), card), (Some(HistoryKeyKind::Email), email)];
    let as_of = |received_at| AsOf { received_at, keys: keys.clone() };
    let long_after = after(2) + HISTORY_SPAN;
    let orders = [as_of(after(2)), as_of(after(count)), as_of(long_after), AsOf { keys: Vec::new(), ..as_of(START) }];

    let found = database.system().load_history_as_of(&orders).await?;
    let times = |at: usize| found[at][&card].iter().map(|entry| entry.received_at).collect::<Vec<_>>();
    assert_eq!(times(0), [2, 1, 0].map(after));
    assert!(!found[0].contains_key(&email), "it came later");
    assert_eq!(times(1).len(), HISTORY_DEPTH + 1, "its own entry takes no other's place");
    assert_eq!(times(1)[0], after(count - 1));
    assert_eq!(found[1][&email].len(), 1);
    assert!(found[2][&card].iter().all(|entry| entry.received_at >= after(2)));
    assert!(found[3].is_empty());

    let scored = database.system().load_history(&keys, START).await?;
    let newest: Vec<HistoryEntry> = found[1][&card].iter().take(HISTORY_DEPTH).map(|entry| (**entry).clone()).collect();
    assert_eq!(newest, scored[&card].iter().map(|entry| (**entry).clone()).collect::<Vec<_>>());
    Ok(())
}

async fn newest_amounts_before_a_moment_are_the_tenants_own(database: &Database) -> anyhow::Result<()> {
    let owner = tenant(KeyMode::Live);
    let orders: Vec<_> = (0..6).map(|n| submission(&owner, &format!("order-{n}"), n)).collect();
    let mut new: Vec<_> = orders.iter().map(|order| verdict(order, 1, 1, Action::Approve)).collect();
    for (one, minor) in new.iter_mut().zip(100..) {
        one.amount_minor = minor;
        one.quantity = u32::try_from(minor)? - 100;
    }
    new[4].currency = "JPY".to_owned();
    database.system().record(&new, &[]).await?;
    record_orders(database, &tenant(KeyMode::Live), 3, Action::Approve).await?;
    record_orders(database, &Tenant { mode: KeyMode::Test, ..owner.clone() }, 3, Action::Approve).await?;

    let store = database.store.tenant(&owner);
    let amounts = async |before, most| {
        let sizes = store.amounts_before(before, most).await?.into_iter();
        anyhow::Ok(sizes.map(|size| (size.amount.to_string(), size.quantity)).collect::<Vec<_>>())
    };
    let expected = [("104 JPY", 4), ("1.03 EUR", 3), ("1.02 EUR", 2)].map(|(amount, of)| (amount.to_owned(), of));
    assert_eq!(amounts(after(5), 3).await?, expected);
    assert_eq!(amounts(after(5), 100).await?.len(), 5);
    assert!(amounts(START, 100).await?.is_empty());

    // Scored again, an order is as large as it is now, and as new.
    let larger = submission(&owner, "order-0", 9);
    let rescored = super::NewRevision { amount_minor: 777, quantity: 7, ..verdict(&larger, 2, 2, Action::Approve) };
    database.system().record(&[rescored], &[]).await?;
    assert_eq!(amounts(after(10), 1).await?, [("7.77 EUR".to_owned(), 7)]);
    assert_eq!(amounts(after(5), 100).await?.len(), 4);
    Ok(())
}
