//! `touchstone order outcome`: what became of an order.

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;
use touchstone_platform::random;
use touchstone_platform::store::transactions::{NewOutcome, OutcomeKind, OutcomeTaken};
use touchstone_schema::history::Happening;
use touchstone_schema::ids::RequestId;
use touchstone_schema::limits::TIMESTAMP_SKEW;
use touchstone_schema::visible::visible;

use super::{Found, OrderArguments, find};
use crate::commands::{Since, parse_since};
use crate::compose::Operator;
use crate::output::Output;

/// Arguments of `touchstone order outcome`.
#[derive(Debug, Args)]
pub(crate) struct OutcomeArguments {
    #[command(flatten)]
    order: OrderArguments,
    /// chargeback_opened, chargeback_upheld (the customer keeps the money), chargeback_reversed (the merchant keeps it),
    /// refunded, fulfilled, cancelled, fraud_confirmed or legitimate.
    #[arg(long = "type", value_name = "TYPE")]
    kind: OutcomeKind,
    /// When it happened: a time, or a span before now such as 2d.
    #[arg(long, value_name = "TIME", value_parser = parse_since, default_value = "0")]
    occurred_at: Since,
    /// How much, in the order's currency.
    #[arg(long)]
    amount: Option<String>,
}

pub(super) async fn run(arguments: OutcomeArguments, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let OutcomeArguments { order, kind, occurred_at, amount } = arguments;
    let Found { world, order } = find(operator, order).await?;
    let now = operator.clock.now();
    let occurred_at = occurred_at.at(now);
    if occurred_at > now + TIMESTAMP_SKEW {
        bail!("--occurred-at: expected a time that is not in the future");
    }
    let store = operator.store().tenant(&world);
    let amount_minor = match amount {
        None => None,
        Some(text) => {
            let total = store.amount(&order.id).await?;
            let total =
                total.with_context(|| format!("order {} has no verdict yet, so no amount is known", order.id))?;
            Some(kind.read_amount(&text, total).map_err(|expected| anyhow::anyhow!("--amount: {expected}"))?)
        }
    };
    let request_id = RequestId::mint(now, random::bytes());
    let new = NewOutcome { kind, occurred_at, amount_minor, now, request_id };
    let recorded = match store.record_outcome(&order.id, &new).await? {
        OutcomeTaken::Recorded(event, learnt) => {
            if let Some(event) = event {
                operator.announce(*event).await;
            }
            operator.remember(learnt).await.context(
                "the outcome is recorded and its webhook follows, but hot history does not know of it: run \
                 `touchstone history rebuild`",
            )?;
            true
        }
        OutcomeTaken::Already => false,
        OutcomeTaken::NotFound => bail!("order {} is gone", order.id),
    };
    let counts_as = Happening::from(kind).counts_as();
    let document = json!({
        "transaction_id": order.id, "order_id": order.order_id, "type": kind,
        "occurred_at": occurred_at.to_rfc3339(), "recorded": recorded, "counts_as": counts_as,
    });
    output.show(&document, || {
        let order = visible(&order.order_id);
        let how = if recorded { "recorded" } else { "was recorded before" };
        format!("Order {order}: {kind} {how}. For later orders it counts as {counts_as}.")
    })
}
