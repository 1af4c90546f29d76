//! Takes event batches from the queue.
//!
//! Guarantee: a message is acknowledged after its events have been planned, in a committed transaction. Failure: while
//! the database is away the messages are held, so an outage sends nothing to the dead letters; what cannot be read, or
//! comes in a format that this build does not know, goes there at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use touchstone_platform::queue::{Consumer, Delivery, Disposition, Lane, Queue};
use touchstone_platform::retry::Backoff;
use touchstone_schema::event::{Event, EventBatch, EventKind};
use touchstone_schema::fault::place_in_text;
use touchstone_schema::ids::{EventId, TransactionId};
use touchstone_schema::tenant::Surface;

use crate::plan::{PlanError, Planner};

/// Unacknowledged messages held.
const PREFETCH: u16 = 64;
/// Messages planned together; each carries the events of one scored batch.
const MESSAGES_TOGETHER: usize = 16;
/// Wait before events that the database refused are tried again.
const REFUSED_RETRY: Duration = Duration::from_secs(30);

/// Consumes until shutdown.
pub(crate) async fn run(queue: Arc<dyn Queue>, planner: Planner, held: Arc<Notify>, shutdown: CancellationToken) {
    let Some(mut consumer) = open(queue.as_ref(), Lane::Events, PREFETCH, &shutdown).await else { return };
    loop {
        let messages = tokio::select! {
            () = shutdown.cancelled() => return,
            messages = consumer.next(MESSAGES_TOGETHER) => messages,
        };
        if take(consumer.as_mut(), messages, &planner, &held, &shutdown).await.is_none() {
            return;
        }
    }
}

/// Opens a consumer of a lane, waiting for the broker as long as it takes.
pub(crate) async fn open(
    queue: &dyn Queue,
    lane: Lane,
    prefetch: u16,
    shutdown: &CancellationToken,
) -> Option<Box<dyn Consumer>> {
    let mut backoff = Backoff::default();
    loop {
        match queue.consume(lane, prefetch).await {
            Ok(consumer) => return Some(consumer),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot consume yet"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return None,
            () = backoff.wait() => {}
        }
    }
}

/// Plans the events of `messages` and settles them; `None` when shutdown came first and they are left to come back.
async fn take(
    consumer: &mut dyn Consumer,
    messages: Vec<Delivery>,
    planner: &Planner,
    held: &Notify,
    shutdown: &CancellationToken,
) -> Option<()> {
    let mut events: Vec<EventId> = Vec::new();
    let (mut scored, mut rescored): (Vec<TransactionId>, Vec<_>) = Default::default();
    let mut settled = Vec::with_capacity(messages.len());
    for message in messages {
        match read(&message.body) {
            Ok(told) => {
                for event in told {
                    if let Some(order) = event.transaction_id.filter(|_| event.surface == Some(Surface::Centra)) {
                        let held = if event.kind == EventKind::OrderRescored { &mut rescored } else { &mut scored };
                        held.push(order);
                    }
                    events.push(event.id);
                }
                settled.push((message, Disposition::Ack));
            }
            Err(reason) => settled.push((message, Disposition::DeadLetter { reason })),
        }
    }
    let planned = match planner.plan(&events, shutdown).await {
        Ok(planned) => planned,
        Err(PlanError::Shutdown) => return None,
        Err(PlanError::Refused) => {
            for (_, disposition) in &mut settled {
                if *disposition == Disposition::Ack {
                    *disposition = Disposition::Retry { after: REFUSED_RETRY };
                }
            }
            Vec::new()
        }
    };
    if let Err(error) = consumer.settle(settled).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "event messages will come again");
    }
    planner.hand_over(planned).await;
    if !scored.is_empty() || !rescored.is_empty() {
        planner.wake_held(&scored, false).await;
        planner.wake_held(&rescored, true).await;
        held.notify_one();
    }
    Some(())
}

fn read(body: &[u8]) -> Result<Vec<Event>, String> {
    /// What is read before the rest: an unknown format is told from garbage.
    #[derive(serde::Deserialize)]
    struct Format {
        version: u8,
    }
    let unreadable = |error: serde_json::Error| format!("not an event batch: {}", place_in_text(&error));
    let format: Format = serde_json::from_slice(body).map_err(unreadable)?;
    if format.version != EventBatch::VERSION {
        return Err(format!("event batch of format {}: this build reads {}", format.version, EventBatch::VERSION));
    }
    let batch: EventBatch = serde_json::from_slice(body).map_err(unreadable)?;
    Ok(batch.events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_dead_lettered_without_quoting_it() {
        let reason = read(b"{\"version\":1,\"events\":[\"jane@example.com\"]}").unwrap_err();
        assert!(reason.starts_with("not an event batch") && !reason.contains("jane"), "{reason}");
        assert!(read(b"\xff\x00").is_err());
    }

    #[test]
    fn unknown_format_is_named() {
        assert_eq!(read(b"{\"version\":9,\"novel\":[]}").unwrap_err(), "event batch of format 9: this build reads 1");
    }

    #[test]
    fn empty_batch_is_fine() {
        assert!(read(b"{\"version\":1,\"events\":[]}").unwrap().is_empty());
    }
}
