//! `touchstone delivery`: what became of webhooks, and sending them again.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;
use touchstone_platform::store::deliveries::{AttemptView, DeliveryFilter, DeliveryView};
use touchstone_schema::ids::{DeliveryId, EndpointId, StoreId};
use touchstone_schema::limits::PAGE_ITEMS;
use touchstone_schema::tenant::wire_enum;

use super::{Since, parse_since};
use crate::compose::Operator;
use crate::output::{Output, fields, table};

wire_enum! {
    /// Where a delivery stands.
    DeliveryState {
        /// Waits for an attempt.
        Pending = "pending",
        /// Arrived.
        Delivered = "delivered",
        /// Given up.
        Dead = "dead",
    }
}

/// Which deliveries.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only of this store.
    #[arg(long)]
    store: Option<StoreId>,
    /// Only to this endpoint.
    #[arg(long)]
    endpoint: Option<EndpointId>,
    /// Only in this state: pending, delivered or dead.
    #[arg(long)]
    state: Option<DeliveryState>,
    /// Only planned since then: a time, or a span before now such as 2h.
    #[arg(long, value_parser = parse_since)]
    since: Option<Since>,
}

/// Webhook deliveries.
#[derive(Debug, Subcommand)]
pub(crate) enum DeliveryCommand {
    /// List deliveries, oldest first, a page at a time.
    List {
        #[command(flatten)]
        filter: Filter,
        /// Continue after this delivery.
        #[arg(long)]
        after: Option<DeliveryId>,
        /// Most lines.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=PAGE_ITEMS))]
        limit: u64,
    },
    /// Show one delivery with its attempts.
    Show {
        /// The delivery.
        #[arg(long)]
        id: DeliveryId,
    },
    /// Send delivered or dead deliveries again.
    #[command(group(clap::ArgGroup::new("which").required(true).multiple(true).args(["id", "store", "endpoint", "since"])))]
    Replay {
        /// Only this delivery.
        #[arg(long)]
        id: Option<DeliveryId>,
        #[command(flatten)]
        filter: Filter,
    },
}

pub(crate) async fn run(command: DeliveryCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    match command {
        DeliveryCommand::List { filter, after, limit } => {
            let filter = DeliveryFilter { after, ..filter_of(filter, operator) };
            let found = operator.system().deliveries(&filter, limit).await?;
            let next = found.last().filter(|_| found.len() as u64 == limit).map(|last| last.id.clone());
            output.show(&json!({ "deliveries": found, "next": next }), || listed(&found, next.as_ref()))
        }
        DeliveryCommand::Show { id } => {
            let found = operator.system().delivery(&id).await?;
            let (delivery, attempts) = found.with_context(|| format!("there is no delivery {id}"))?;
            output.show(&json!({ "delivery": delivery, "attempts": attempts }), || described(&delivery, &attempts))
        }
        DeliveryCommand::Replay { id, filter } => {
            let filter = filter_of(filter, operator);
            let replayed = operator.system().replay(&filter, id.as_ref(), operator.clock.now()).await?;
            output.show(&json!({ "replayed": replayed }), || {
                format!("{replayed} deliveries are due again.\nNext: touchstone delivery list --state pending")
            })
        }
    }
}

fn filter_of(filter: Filter, operator: &Operator) -> DeliveryFilter {
    DeliveryFilter {
        store_id: filter.store,
        endpoint_id: filter.endpoint,
        state: filter.state.map(|state| state.to_string()),
        since: filter.since.map(|since| since.at(operator.clock.now())),
        after: None,
    }
}

fn listed(found: &[DeliveryView], next: Option<&DeliveryId>) -> String {
    let rows = found.iter().map(|delivery| {
        vec![
            delivery.id.to_string(),
            delivery.kind.clone(),
            delivery.state.clone(),
            delivery.attempts.to_string(),
            delivery.last_error.clone().unwrap_or_default(),
            delivery.created_at.clone(),
        ]
    });
    let header = ["delivery", "event", "state", "attempts", "last error", "planned"];
    let mut text = table(&header, rows.collect(), "No deliveries.");
    if let Some(next) = next {
        text.push_str(&format!("\nMore: --after {next}"));
    }
    text
}

fn described(delivery: &DeliveryView, attempts: &[AttemptView]) -> String {
    let told = fields(&[
        ("delivery", Some(delivery.id.to_string())),
        ("event", Some(format!("{} {}", delivery.event_id, delivery.kind))),
        ("endpoint", Some(delivery.endpoint_id.to_string())),
        ("state", Some(delivery.state.clone())),
        ("next attempt", delivery.next_attempt_at.clone()),
    ]);
    let rows = attempts.iter().map(|attempt| {
        let outcome = match (&attempt.error, attempt.status) {
            (Some(error), Some(status)) => format!("{error} ({status})"),
            (Some(error), None) => error.clone(),
            (None, status) => status.map_or_else(String::new, |status| status.to_string()),
        };
        vec![
            attempt.number.to_string(),
            attempt.started_at.clone(),
            format!("{} ms", attempt.duration_ms),
            outcome,
            attempt.response_start.clone(),
        ]
    });
    let header = ["attempt", "at", "took", "outcome", "answer began"];
    let again = format!("Send it again: touchstone delivery replay --id {}", delivery.id);
    format!("{told}{}\n{again}", table(&header, rows.collect(), "No attempts yet."))
}
