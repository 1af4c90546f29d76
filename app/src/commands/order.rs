//! `touchstone order`: orders, their verdicts, and a person's decisions.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use serde_json::value::RawValue;
use touchstone_platform::random;
use touchstone_platform::store::transactions::{
    Decided, Decision, NewDecision, PageCursor, TransactionSummary, TransactionView,
};
use touchstone_schema::ids::{RequestId, StoreId, TransactionId};
use touchstone_schema::limits::PAGE_ITEMS;
use touchstone_schema::money::Money;
use touchstone_schema::tenant::{Surface, Tenant};
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::{Assessment, TransactionStatus, Verdict};
use touchstone_schema::visible::visible;

use self::content::Content;
use super::store::{data_key, tenant_of};
use crate::compose::Operator;
use crate::output::{Output, fields, table};

mod content;
mod outcome;

/// Orders.
#[derive(Debug, Subcommand)]
pub(crate) enum OrderCommand {
    /// Show an order with its verdicts, decisions and webhooks.
    Show {
        #[command(flatten)]
        order: OrderArguments,
        /// Print the whole order with all personal data, which the audit log keeps.
        #[arg(long)]
        full: bool,
    },
    /// List orders, newest first, a page at a time.
    List {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        /// Only in this status: pending, approved, review, held, rejected, cancelled, closed or failed.
        #[arg(long)]
        status: Option<TransactionStatus>,
        /// Only those that wait for a person (review and held), the ones that wait longest first.
        #[arg(long, conflicts_with = "status")]
        waiting: bool,
        /// Look in the test world.
        #[arg(long)]
        test: bool,
        /// Continue where a page before ended.
        #[arg(long, value_parser = parse_cursor)]
        cursor: Option<PageCursor>,
        /// Most lines.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=PAGE_ITEMS))]
        limit: u64,
    },
    /// Settle an order that waits for a person.
    Decide {
        #[command(flatten)]
        order: OrderArguments,
        /// approve or reject.
        #[arg(long)]
        decision: Decision,
        /// Who decides.
        #[arg(long)]
        reviewer: String,
        /// Why.
        #[arg(long)]
        note: Option<String>,
    },
    /// Report what became of an order, such as a chargeback.
    Outcome(outcome::OutcomeArguments),
}

/// Which order is meant.
#[derive(Debug, Args)]
pub(crate) struct OrderArguments {
    /// The store.
    #[arg(long, env = "TOUCHSTONE_STORE")]
    store: StoreId,
    /// The merchant's order id or cart id, or the transaction id (`tx_…`).
    #[arg(long)]
    id: String,
    /// Only orders that came in by this surface: signed, orders, checks or centra.
    #[arg(long)]
    surface: Option<Surface>,
    /// Look in the test world.
    #[arg(long)]
    test: bool,
}

pub(crate) async fn run(command: OrderCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    match command {
        OrderCommand::Show { order, full } => {
            let Found { world, order } = find(operator, order).await?;
            let content = Content::read(operator, &world, &order.id, full).await?;
            let mut document = document(&order)?;
            document["order"] = content.document()?;
            output.show(&document, || format!("{}{}", content.described(), described(&order)))
        }
        OrderCommand::List { store, status, waiting, test, cursor, limit } => {
            let tenant = tenant_of(operator, store, test).await?;
            let orders = operator.store().tenant(&tenant);
            let page = match waiting {
                true => orders.waiting(cursor.as_ref(), limit).await?,
                false => orders.transactions(status, cursor.as_ref(), limit).await?,
            };
            let next = page.last().filter(|_| page.len() as u64 == limit).map(cursor_after);
            let orders: Vec<_> = page.iter().map(summary).collect();
            output.show(&json!({ "orders": orders, "next": next }), || listed(&page, next.as_deref()))
        }
        OrderCommand::Outcome(arguments) => outcome::run(arguments, operator, output).await,
        OrderCommand::Decide { order, decision, reviewer, note } => {
            let Found { world, order } = find(operator, order).await?;
            let now = operator.clock.now();
            let request_id = RequestId::mint(now, random::bytes());
            let taken = NewDecision { decision, reviewer, note, now, request_id };
            let decided = operator.store().tenant(&world).decide(&order.id, &taken).await?;
            settle(operator, &order, decision, decided, output).await
        }
    }
}

/// Finds the one order that is meant: by its transaction id, or by the merchant's order or cart id on any surface.
///
/// # Errors
/// When there is none, and when there are several: which of them was meant would be a guess.
async fn find(operator: &Operator, arguments: OrderArguments) -> anyhow::Result<Found> {
    let OrderArguments { store, id, surface, test } = arguments;
    let tenant = tenant_of(operator, store, test).await?;
    let mut found = Vec::new();
    for (world, candidate) in candidates(operator, &tenant, &id).await? {
        let order = operator.store().tenant(&world).transaction(&candidate).await?;
        found.extend(order.map(|order| Found { world, order }));
    }
    found.retain(|found| surface.is_none_or(|surface| found.order.surface == surface));
    if found.len() > 1 {
        let mut text = format!("{} orders of {} have the id {}:\n", found.len(), tenant.store_id, visible(&id));
        for Found { order, .. } in &found {
            let (id, surface, status) = (&order.id, order.surface, order.status);
            text.push_str(&format!("  {id}  {surface}, {status}, received {}\n", order.received_at.to_rfc3339()));
        }
        bail!("{text}Name one by its transaction, such as --id {}, or by --surface", found[0].order.id);
    }
    let by = surface.map(|surface| format!(" of the {surface} surface")).unwrap_or_default();
    found.pop().with_context(|| {
        let (world, store) = (tenant.mode, &tenant.store_id);
        format!(
            "there is no {world} order {}{by} in {store}; see `touchstone order list --store {store}`",
            visible(&id)
        )
    })
}

/// The transactions that an id may be of, and the worlds that they lie in.
async fn candidates(operator: &Operator, tenant: &Tenant, id: &str) -> anyhow::Result<Vec<(Tenant, TransactionId)>> {
    if let Ok(transaction) = id.parse() {
        return Ok(vec![(tenant.clone(), transaction)]);
    }
    let data_key = data_key(operator, &tenant.store_id).await?;
    Ok(operator.store().tenant(tenant).candidates(&data_key, id).await?)
}

/// An order, and the world that it lies in: trial orders of a live key are screened in the test world.
struct Found {
    world: Tenant,
    order: TransactionView,
}

async fn settle(
    operator: &Operator,
    order: &TransactionView,
    decision: Decision,
    decided: Decided,
    output: Output,
) -> anyhow::Result<()> {
    let repeated = match decided {
        Decided::Recorded(event, learnt) => {
            operator.announce(*event).await;
            operator.remember(learnt).await.context(
                "the decision stands and its webhook follows, but hot history does not know of it: run \
                 `touchstone history rebuild`",
            )?;
            false
        }
        Decided::Already(_) => true,
        Decided::Contrary(standing) => {
            let id = &order.order_id;
            bail!("order {id} was decided the other way before and is {standing}; decisions are final")
        }
        Decided::NotOpen(standing) => {
            bail!("order {} is {standing} and needs no decision; only orders in review or held do", order.order_id)
        }
        Decided::NotFound => bail!("order {} is gone", order.order_id),
    };
    let document = json!({
        "transaction_id": order.id, "order_id": order.order_id, "decision": decision, "repeated": repeated,
    });
    output.show(&document, || {
        let already = if repeated { " already" } else { "" };
        let held = match (order.surface, decision) {
            (Surface::Centra, Decision::Approve) => " If the shop holds it, it is resumed.",
            (Surface::Centra, Decision::Reject) => " If the shop holds it, it is cancelled.",
            _ => "",
        };
        let order = visible(&order.order_id);
        format!("Order {order}{already}: {decision}. The merchant is told by webhook (order.decided).{held}")
    })
}

fn summary(order: &TransactionSummary) -> serde_json::Value {
    json!({
        "transaction_id": order.id,
        "order_id": order.order_id,
        "status": order.status,
        "risk_score": order.score,
        "risk_level": order.level,
        "recommended_action": order.action,
        "amount": order.amount.map(Money::to_decimal_text),
        "currency": order.amount.map(|amount| amount.currency().code()),
        "received_at": order.received_at.to_rfc3339(),
    })
}

fn listed(page: &[TransactionSummary], next: Option<&str>) -> String {
    let rows = page.iter().map(|order| {
        vec![
            order.order_id.clone(),
            order.status.to_string(),
            order.score.map(|score| score.to_string()).unwrap_or_default(),
            order.level.clone().unwrap_or_default(),
            order.amount.map(|amount| amount.to_string()).unwrap_or_default(),
            order.received_at.to_rfc3339(),
            order.id.to_string(),
        ]
    });
    let mut text = table(
        &["order", "status", "score", "level", "amount", "received", "transaction"],
        rows.collect(),
        "No orders.",
    );
    if let Some(next) = next {
        text.push_str(&format!("\nMore: --cursor {next}"));
    }
    text
}

fn document(order: &TransactionView) -> anyhow::Result<serde_json::Value> {
    let mut revisions = Vec::with_capacity(order.revisions.len());
    for revision in &order.revisions {
        let verdict: Box<RawValue> = serde_json::from_str(&revision.verdict)?;
        revisions.push(json!({
            "revision": revision.revision,
            "received_at": revision.received_at.to_rfc3339(),
            "scored_at": revision.scored_at.to_rfc3339(),
            "enrichment_version": revision.enrichment_version,
            "verdict": verdict,
        }));
    }
    let decisions: Vec<_> = order
        .decisions
        .iter()
        .map(|decision| {
            json!({
                "revision": decision.revision,
                "decision": decision.decision,
                "reviewer": decision.reviewer,
                "note": decision.note,
                "decided_at": decision.decided_at.to_rfc3339(),
            })
        })
        .collect();
    let outcomes: Vec<_> = order
        .outcomes
        .iter()
        .map(|outcome| json!({ "type": outcome.kind, "occurred_at": outcome.occurred_at.to_rfc3339(), "amount_minor": outcome.amount_minor }))
        .collect();
    let events: Vec<_> = order
        .events
        .iter()
        .map(|event| {
            json!({
                "event_id": event.id, "type": event.kind, "sequence": event.sequence,
                "deliveries": { "pending": event.pending, "delivered": event.delivered, "dead": event.dead },
            })
        })
        .collect();
    Ok(json!({
        "transaction_id": order.id,
        "order_id": order.order_id,
        "surface": order.surface,
        "status": order.status,
        "ended_by": order.ended_by,
        "received_at": order.received_at.to_rfc3339(),
        "revisions": revisions,
        "decisions": decisions,
        "outcomes": outcomes,
        "events": events,
        "totals": {
            "revisions": order.totals.revisions,
            "decisions": order.totals.decisions,
            "outcomes": order.totals.outcomes,
            "events": order.totals.events,
        },
    }))
}

fn described(order: &TransactionView) -> String {
    let newest = order.revisions.last().and_then(|newest| serde_json::from_str::<Verdict>(&newest.verdict).ok());
    let assessment = newest.as_ref().map(|verdict| &verdict.assessment);
    let scored = |of: &Assessment| format!("{} ({}) → {}", of.risk_score, of.risk_level, of.recommended_action);
    let mut text = fields(&[
        ("order", Some(order.order_id.clone())),
        ("transaction", Some(order.id.to_string())),
        ("status", Some(order.status.to_string())),
        ("ended by", order.ended_by.map(|outcome| outcome.to_string())),
        ("received", Some(order.received_at.to_rfc3339())),
        ("score", assessment.map(scored)),
        ("revisions", Some(order.revisions.len().to_string())),
    ]);
    if let Some(assessment) = assessment {
        let reasons = assessment.reasons.iter();
        let rows =
            reasons.map(|reason| vec![format!("{:+}", reason.points), reason.code.clone(), reason.detail.clone()]);
        text.push_str(&table(&["points", "reason", "because"], rows.collect(), "Nothing spoke for or against it."));
        text.push('\n');
    }
    for decision in &order.decisions {
        let note = decision.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
        let at = decision.decided_at.to_rfc3339();
        let said = format!("{at}  {} by {}{note}", decision.decision, decision.reviewer);
        text.push_str(&format!("{}\n", visible(&said)));
    }
    for event in &order.events {
        let (pending, delivered, dead) = (event.pending, event.delivered, event.dead);
        text.push_str(&format!("webhook {}: {delivered} delivered, {pending} pending, {dead} dead\n", event.kind));
    }
    if matches!(order.status, TransactionStatus::Review | TransactionStatus::Held) {
        text.push_str("Next: touchstone order decide --store STORE --id ID --decision approve|reject --reviewer YOU\n");
    }
    text
}

fn cursor_after(last: &TransactionSummary) -> String {
    format!("{}.{}", last.received_at.as_millis(), last.id)
}

fn parse_cursor(text: &str) -> Result<PageCursor, String> {
    let parts = text.split_once('.').and_then(|(millis, id)| {
        Some(PageCursor { received_at: Timestamp::from_millis(millis.parse().ok()?), id: id.parse().ok()? })
    });
    parts.ok_or_else(|| "not a cursor: expected the `next` of the page before".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_comes_back_as_it_was_given() {
        let id: TransactionId = "tx_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        let last = TransactionSummary {
            id: id.clone(),
            order_id: "1".into(),
            status: TransactionStatus::Review,
            score: None,
            level: None,
            action: None,
            amount: None,
            received_at: Timestamp::from_millis(1_700_000_000_123),
        };
        let cursor = parse_cursor(&cursor_after(&last)).unwrap();
        assert_eq!(cursor, PageCursor { received_at: last.received_at, id });
        assert!(parse_cursor("page2").is_err());
    }
}
