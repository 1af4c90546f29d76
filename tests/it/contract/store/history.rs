//! History of outcomes and of declared keys, and all of it page by page.

use touchstone_platform::store::history::{HistoryCursor, Remembered};
use touchstone_platform::store::scoring::NewRevision;
use touchstone_platform::store::transactions::{Decided, Decision, NewDecision, NewOutcome, OutcomeKind, OutcomeTaken};
use touchstone_schema::history::{Happening, HistoryKey, HistoryKeyKind};
use touchstone_schema::ids::RequestId;
use touchstone_schema::limits::HISTORY_DEPTH;
use touchstone_schema::submission::Submission;
use touchstone_schema::tenant::{KeyMode, Tenant};
use touchstone_schema::verdict::Action;

use super::{Database, START, after, key_of, on_both_databases, submission, tenant, verdict};

on_both_databases!(
    orders_are_found_by_the_keys_that_a_policy_declares,
    decisions_and_outcomes_are_history_from_when_they_were_told,
    pages_of_history_have_no_gaps_and_no_repeats,
    of_the_entries_of_several_months_the_newest_are_found,
);

const DAY: u64 = 86_400;

fn held<'a>(order: &'a Submission, declared_keys: &[HistoryKey]) -> NewRevision<'a> {
    NewRevision { declared_keys: declared_keys.to_vec(), ..verdict(order, 1, 1, Action::Hold) }
}

fn declared(tenant: &Tenant) -> [HistoryKey; 2] {
    [key_of(tenant, "field:coupon", "x"), key_of(tenant, "field:gate", "y")]
}

async fn orders_are_found_by_the_keys_that_a_policy_declares(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let keys = declared(&tenant);
    let (first, second, loser) =
        (submission(&tenant, "one", 0), submission(&tenant, "two", 1), submission(&tenant, "one", 2));
    assert_eq!(database.system().record(&[held(&first, &keys), held(&second, &keys[..1])], &[]).await?, [true, true]);
    assert_eq!(database.system().record(&[held(&loser, &keys)], &[]).await?, [false]);

    let asked = [(None, keys[0]), (None, keys[1]), (Some(HistoryKeyKind::Card), key_of(&tenant, "card", "4111"))];
    let history = database.system().load_history(&asked, START).await?;
    let found = |key| history[&key].iter().map(|entry| &entry.transaction_id).collect::<Vec<_>>();
    assert_eq!(found(keys[0]), [&second.transaction_id, &first.transaction_id]);
    assert_eq!(found(keys[1]), [&first.transaction_id]);
    assert_eq!(*history[&keys[1]][0], verdict(&first, 1, 1, Action::Hold).history);
    assert_eq!(history.len(), 3);
    assert!(database.system().load_history(&[(Some(HistoryKeyKind::Ip), keys[0])], START).await?.is_empty());
    assert_eq!(database.system().load_history(&asked[..1], after(1)).await?[&keys[0]].len(), 1);
    Ok(())
}

/// Rejects the order, reports it as fraud, and returns what was remembered.
async fn settle(database: &Database, order: &Submission) -> anyhow::Result<[Remembered; 2]> {
    let (id, request_id) = (&order.transaction_id, RequestId::mint(START, [7; 10]));
    let orders = database.store.tenant(&order.tenant);
    let decision = NewDecision {
        decision: Decision::Reject,
        reviewer: "ann".to_owned(),
        note: None,
        now: after(60),
        request_id: request_id.clone(),
    };
    let Decided::Recorded(_, Some(rejected)) = orders.decide(id, &decision).await? else {
        anyhow::bail!("the decision is recorded and remembered");
    };
    let outcome = NewOutcome {
        kind: OutcomeKind::FraudConfirmed,
        occurred_at: after(30),
        amount_minor: Some(1),
        now: after(90),
        request_id,
    };
    let OutcomeTaken::Recorded(_, Some(fraud)) = orders.record_outcome(id, &outcome).await? else {
        anyhow::bail!("the outcome is recorded and remembered");
    };
    assert!(matches!(orders.record_outcome(id, &outcome).await?, OutcomeTaken::Already));
    Ok([rejected, fraud])
}

async fn decisions_and_outcomes_are_history_from_when_they_were_told(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let keys = declared(&tenant);
    let order = submission(&tenant, "one", 5);
    database.system().record(&[held(&order, &keys)], &[]).await?;
    let told = settle(database, &order).await?;
    let entry = verdict(&order, 1, 1, Action::Hold).history;
    for (remembered, what, at) in
        [(&told[0], Happening::Rejected, after(60)), (&told[1], Happening::FraudConfirmed, after(90))]
    {
        let expected = touchstone_schema::history::HistoryEntry { what, received_at: at, declines: 0, ..entry.clone() };
        assert_eq!((&*remembered.entry, remembered.declared_keys.len()), (&expected, 2));
    }
    let email = key_of(&tenant, "email", "one");
    let asked = [(Some(HistoryKeyKind::Email), email), (None, keys[1])];
    let history = database.system().load_history(&asked, START).await?;
    for key in [email, keys[1]] {
        let found: Vec<_> = history[&key].iter().map(|entry| (entry.what, entry.ordered_at)).collect();
        let expected = [Happening::FraudConfirmed, Happening::Rejected, Happening::Order].map(|what| (what, after(5)));
        assert_eq!(found, expected);
    }
    Ok(())
}

async fn pages_of_history_have_no_gaps_and_no_repeats(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let keys = declared(&tenant);
    // Three at each instant, so that the order among equals is tried too.
    let orders: Vec<_> = (0..30).map(|n| submission(&tenant, &format!("order-{n}"), n / 3)).collect();
    let new: Vec<_> = orders.iter().map(|order| held(order, &keys)).collect();
    database.system().record(&new, &[]).await?;
    settle(database, &orders[0]).await?;
    for (since, expected) in [(START, 32), (after(5), 17), (after(100), 0)] {
        let mut seen: Vec<Remembered> = Vec::new();
        loop {
            let cursor = seen.last().map(|last| HistoryCursor::from(&*last.entry));
            let page = database.system().history_page(cursor.as_ref(), since, 7).await?;
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        assert_eq!(seen.len(), expected);
        let places = seen.iter().map(|one| (one.entry.received_at, &one.entry.transaction_id, one.entry.what.as_str()));
        assert!(places.collect::<Vec<_>>().is_sorted_by(|a, b| a < b), "oldest first, each once");
        assert!(seen.iter().all(|one| one.declared_keys.len() == 2));
    }
    Ok(())
}

async fn of_the_entries_of_several_months_the_newest_are_found(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    let card = key_of(&tenant, "card", "4111");
    let found = async |since| {
        let asked = [(Some(HistoryKeyKind::Card), card)];
        let mut history = database.system().load_history(&asked, since).await?;
        let entries = history.remove(&card).unwrap_or_default();
        anyhow::Ok(entries.iter().map(|entry| entry.received_at).collect::<Vec<_>>())
    };
    let orders: Vec<_> = (0..6).map(|at| submission(&tenant, &format!("early-{at}"), at * 17 * DAY)).collect();
    let verdicts: Vec<_> = orders.iter().map(|order| verdict(order, 1, 1, Action::Approve)).collect();
    database.system().record(&verdicts, &[]).await?;
    let newest_first = |days: &[u64]| days.iter().map(|day| after(day * DAY)).collect::<Vec<_>>();
    assert_eq!(found(START).await?, newest_first(&[85, 68, 51, 34, 17, 0]));
    assert_eq!(found(after(34 * DAY)).await?, newest_first(&[85, 68, 51, 34]));

    // More than are looked at, over some months: the newest of all are found.
    let many = HISTORY_DEPTH as u64 / 2;
    let orders: Vec<_> = (0..HISTORY_DEPTH as u64 * 2)
        .map(|at| submission(&tenant, &format!("late-{at}"), 52 * DAY + at % many + at / many * 10 * DAY))
        .collect();
    let verdicts: Vec<_> = orders.iter().map(|order| verdict(order, 1, 1, Action::Approve)).collect();
    database.system().record(&verdicts, &[]).await?;
    let times = found(START).await?;
    let mut expected: Vec<_> =
        orders.iter().map(|order| order.received_at).chain([after(68 * DAY), after(85 * DAY)]).collect();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    expected.truncate(HISTORY_DEPTH);
    assert_eq!(times, expected);
    Ok(())
}
