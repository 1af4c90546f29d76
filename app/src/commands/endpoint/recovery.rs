//! Recoveries and replays from the command line: begun here, and gone on with here and by the notifier, whoever is first.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use tokio::time::Instant;
use touchstone_platform::store::deliveries::{Begun, DeliveryState, NewRecovery, Recovery, RecoveryKind};
use touchstone_schema::ids::{EndpointId, RecoveryId};
use touchstone_schema::limits::PAGE_ITEMS;
use touchstone_schema::time::Timestamp;

use super::existing;
use crate::commands::Since;
use crate::compose::Operator;
use crate::output::{Output, fields, table};

/// How long a command itself goes on with what it began; then the notifier does.
const OWN_SHARE: Duration = Duration::from_secs(10);
/// Pause while a notifier works on it.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Recoveries and replays of an endpoint.
#[derive(Debug, Subcommand)]
pub(crate) enum RecoveryCommand {
    /// List the recoveries and replays of an endpoint, newest first, and how far they are.
    List {
        /// The endpoint.
        #[arg(long)]
        endpoint: EndpointId,
        /// Continue after this one: `next_cursor` of the page before.
        #[arg(long)]
        cursor: Option<RecoveryId>,
        /// Most lines.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=PAGE_ITEMS))]
        limit: u64,
    },
    /// Show one.
    Show {
        /// The recovery or replay.
        #[arg(long)]
        id: RecoveryId,
    },
}

pub(crate) async fn run(command: RecoveryCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    match command {
        RecoveryCommand::List { endpoint, cursor, limit } => {
            existing(&endpoint, operator).await?;
            let found = operator.system().recoveries(&endpoint, cursor.as_ref(), limit).await?;
            let next = found.last().filter(|_| found.len() as u64 == limit).map(|last| &last.id);
            let documents: Vec<_> = found.iter().map(document).collect();
            output.show(&json!({ "recoveries": documents, "next_cursor": next }), || listed(&found, next))
        }
        RecoveryCommand::Show { id } => {
            let found = operator.system().recovery(&id).await?;
            let recovery = found.with_context(|| format!("there is no recovery {id}"))?;
            output.show(&document(&recovery), || described(&recovery))
        }
    }
}

/// Recovers an endpoint.
pub(super) async fn recover(
    endpoint: &EndpointId,
    since: Since,
    operator: &Operator,
    output: Output,
) -> anyhow::Result<()> {
    super::enabled(endpoint, operator).await?;
    let since = since.at(operator.clock.now());
    let new = NewRecovery { endpoint: endpoint.clone(), kind: RecoveryKind::Recover, only: None, since };
    let recovery = go_on(begin(&new, operator).await?, Instant::now() + OWN_SHARE, operator).await?;
    let mut document = document(&recovery);
    // What the document had before recoveries could be followed.
    document["recovered"] = json!(recovery.planned + recovery.revived + recovery.hastened);
    document["dead"] = json!(recovery.revived);
    document["waiting"] = json!(recovery.hastened);
    output.show(&document, || {
        format!(
            "{} events that had no delivery have one, {} dead deliveries begin anew, {} that waited are due now.\n{}{}",
            recovery.planned,
            recovery.revived,
            recovery.hastened,
            described(&recovery),
            next_step(&recovery),
        )
    })
}

/// Replays settled deliveries of endpoints; what each came to within the command's share.
pub(crate) async fn replay(
    endpoints: &[EndpointId],
    only: Option<DeliveryState>,
    since: Timestamp,
    operator: &Operator,
) -> anyhow::Result<Vec<Recovery>> {
    let mut begun = Vec::new();
    for endpoint in endpoints {
        let new = NewRecovery { endpoint: endpoint.clone(), kind: RecoveryKind::Replay, only, since };
        begun.push(begin(&new, operator).await?);
    }
    let until = Instant::now() + OWN_SHARE;
    let mut replayed = Vec::new();
    for recovery in begun {
        replayed.push(go_on(recovery, until, operator).await?);
    }
    Ok(replayed)
}

async fn begin(new: &NewRecovery, operator: &Operator) -> anyhow::Result<Recovery> {
    let endpoint = &new.endpoint;
    match operator.system().begin_recovery(new, operator.clock.now()).await? {
        Begun::Started(recovery) | Begun::Joined(recovery) => Ok(recovery),
        Begun::Busy(running) => bail!(
            "{} of endpoint {endpoint} is under way and has to end first; see `touchstone endpoint recovery show --id {}`",
            running.id,
            running.id
        ),
        Begun::Disabled => {
            bail!("endpoint {endpoint} is disabled; first `touchstone endpoint enable --endpoint {endpoint}`")
        }
        Begun::OutOfReach => bail!("--since has to lie within the last 14 days"),
        Begun::NotFound => bail!("there is no endpoint {endpoint}"),
    }
}

/// Steps with the notifier, until it is done or the command has done its share.
async fn go_on(recovery: Recovery, until: Instant, operator: &Operator) -> anyhow::Result<Recovery> {
    let id = recovery.id.clone();
    let mut recovery = recovery;
    while recovery.finished_at.is_none() && Instant::now() < until {
        if operator.system().step_recovery(Some(&id), operator.clock.now()).await?.is_none() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        recovery = operator.system().recovery(&id).await?.context("the recovery is gone")?;
    }
    Ok(recovery)
}

/// A recovery as scripts read it.
pub(crate) fn document(recovery: &Recovery) -> Value {
    json!({
        "recovery_id": recovery.id,
        "endpoint_id": recovery.endpoint,
        "kind": recovery.kind,
        "state": recovery.state(),
        "mode": recovery.mode,
        "only": recovery.only,
        "since": recovery.since.to_rfc3339(),
        "until": recovery.until.to_rfc3339(),
        "reached": recovery.reached.to_rfc3339(),
        "looked_at": recovery.looked_at,
        "planned": recovery.planned,
        "revived": recovery.revived,
        "hastened": recovery.hastened,
        "created_at": recovery.created_at.to_rfc3339(),
        "finished_at": recovery.finished_at.map(Timestamp::to_rfc3339),
        "stopped_reason": recovery.stopped_reason,
    })
}

fn described(recovery: &Recovery) -> String {
    let progress = match recovery.finished_at {
        None => format!("events until {} of {}", recovery.reached.to_rfc3339(), recovery.until.to_rfc3339()),
        Some(at) => format!("ended {}", at.to_rfc3339()),
    };
    fields(&[
        (recovery.kind.as_str(), Some(recovery.id.to_string())),
        ("endpoint", Some(recovery.endpoint.to_string())),
        ("state", Some(recovery.state().to_owned())),
        ("stopped", recovery.stopped_reason.clone()),
        ("since", Some(recovery.since.to_rfc3339())),
        ("progress", Some(progress)),
        ("events looked at", Some(recovery.looked_at.to_string())),
        ("planned", Some(recovery.planned.to_string())),
        ("begun anew", Some(recovery.revived.to_string())),
        ("due earlier", Some(recovery.hastened.to_string())),
    ])
}

/// What to do after a command that began a recovery or replay.
pub(crate) fn next_step(recovery: &Recovery) -> String {
    match recovery.finished_at {
        Some(_) => format!("Next: touchstone delivery list --endpoint {} --state pending", recovery.endpoint),
        None => format!(
            "It goes on in the notifier (`touchstone serve`).\nNext: touchstone endpoint recovery show --id {}",
            recovery.id
        ),
    }
}

fn listed(found: &[Recovery], next: Option<&RecoveryId>) -> String {
    let rows = found.iter().map(|recovery| {
        vec![
            recovery.id.to_string(),
            recovery.kind.to_string(),
            recovery.state().to_owned(),
            recovery.since.to_rfc3339(),
            recovery.reached.to_rfc3339(),
            recovery.looked_at.to_string(),
            (recovery.planned + recovery.revived + recovery.hastened).to_string(),
        ]
    });
    let header = ["recovery", "kind", "state", "since", "reached", "looked at", "sent"];
    let mut text = table(&header, rows.collect(), "Nothing was recovered or replayed.");
    if let Some(next) = next {
        text.push_str(&format!("\nMore: --cursor {next}"));
    }
    text
}
