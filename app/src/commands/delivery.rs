//! `touchstone delivery`: what became of webhooks, and sending them again.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use touchstone_platform::store::deliveries::{
    AttemptView, DeliveryFilter, DeliveryState, DeliveryView, Recovery, Replayed,
};
use touchstone_schema::event::EventKind;
use touchstone_schema::ids::{DeliveryId, EndpointId, EventId, StoreId, TransactionId};
use touchstone_schema::limits::{PAGE_ITEMS, RECOVERY_SPAN};

use super::endpoint::recovery;
use super::{Since, parse_since};
use crate::compose::Operator;
use crate::output::{Output, fields, table};

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

/// Of which events.
#[derive(Debug, Args)]
pub(crate) struct Told {
    /// Only of this event (`evt_…`), or of events of this type (`order.scored`).
    #[arg(long, value_parser = parse_event)]
    event: Option<OfEvents>,
    /// Only of events of this transaction.
    #[arg(long)]
    transaction: Option<TransactionId>,
}

/// An event, or a type of events.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OfEvents {
    Kind(EventKind),
    One(EventId),
}

fn parse_event(text: &str) -> Result<OfEvents, String> {
    text.parse().map(OfEvents::One).or_else(|_| text.parse().map(OfEvents::Kind))
}

/// Webhook deliveries.
#[derive(Debug, Subcommand)]
pub(crate) enum DeliveryCommand {
    /// List deliveries, oldest first, a page at a time.
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        told: Told,
        /// Newest first.
        #[arg(long)]
        newest: bool,
        /// Continue after this delivery: `next_cursor` of the page before.
        #[arg(long, alias = "after")]
        cursor: Option<DeliveryId>,
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
    /// Send delivered or dead deliveries again: one, or those of endpoints since a time within the last 14 days.
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
        DeliveryCommand::List { filter, told, newest, cursor, limit } => {
            let (kind, event_id) = match told.event {
                Some(OfEvents::Kind(kind)) => (Some(kind), None),
                Some(OfEvents::One(event)) => (None, Some(event)),
                None => (None, None),
            };
            let filter = DeliveryFilter {
                kind,
                event_id,
                transaction_id: told.transaction,
                after: cursor,
                newest_first: newest,
                ..filter_of(filter, operator)
            };
            let page = operator.system().delivery_log(&filter, limit).await?;
            let (found, next) = (page.deliveries, page.next);
            let document = json!({ "deliveries": found, "next": next, "next_cursor": next });
            output.show(&document, || listed(&found, next.as_ref()))
        }
        DeliveryCommand::Show { id } => {
            let found = operator.system().delivery(&id).await?;
            let (delivery, attempts) = found.with_context(|| format!("there is no delivery {id}"))?;
            output.show(&json!({ "delivery": delivery, "attempts": attempts }), || described(&delivery, &attempts))
        }
        DeliveryCommand::Replay { id: Some(id), .. } => replay_one(&id, operator, output).await,
        DeliveryCommand::Replay { id: None, filter } => replay_many(filter, operator, output).await,
    }
}

async fn replay_one(id: &DeliveryId, operator: &Operator, output: Output) -> anyhow::Result<()> {
    match operator.system().replay_delivery(id, operator.clock.now()).await? {
        Replayed::Due(delivery) => output.show(&json!({ "replayed": 1, "delivery": delivery }), || {
            format!(
                "It is due again.
Next: touchstone delivery show --id {id}"
            )
        }),
        Replayed::Disabled => {
            bail!("its endpoint is disabled; first `touchstone endpoint enable --endpoint ENDPOINT_ID`")
        }
        Replayed::NotFound => bail!("there is no delivery {id}"),
    }
}

/// Each endpoint has a replay of its own, which outlives this command.
async fn replay_many(filter: Filter, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let now = operator.clock.now();
    let since = filter.since.map_or(now - RECOVERY_SPAN, |since| since.at(now));
    if filter.state == Some(DeliveryState::Pending) {
        bail!("what is pending is under way; expected --state delivered or dead");
    }
    let endpoints = match &filter.endpoint {
        Some(endpoint) => vec![endpoint.clone()],
        None => operator.system().enabled_endpoints(filter.store.as_ref()).await?,
    };
    let replays = recovery::replay(&endpoints, filter.state, since, operator).await?;
    let replayed: u64 = replays.iter().map(|replay| replay.revived).sum();
    let documents: Vec<_> = replays.iter().map(recovery::document).collect();
    output.show(&json!({ "replayed": replayed, "recoveries": documents }), || told(replayed, &replays))
}

fn told(replayed: u64, replays: &[Recovery]) -> String {
    let unfinished = replays.iter().find(|replay| replay.finished_at.is_none());
    let next = unfinished.map_or("Next: touchstone delivery list --state pending".to_owned(), recovery::next_step);
    format!(
        "{replayed} deliveries are due again.
{next}"
    )
}

fn filter_of(filter: Filter, operator: &Operator) -> DeliveryFilter {
    DeliveryFilter {
        store_id: filter.store,
        endpoint_id: filter.endpoint,
        state: filter.state,
        since: filter.since.map(|since| since.at(operator.clock.now())),
        ..DeliveryFilter::default()
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
        text.push_str(&format!("\nMore: --cursor {next}"));
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
