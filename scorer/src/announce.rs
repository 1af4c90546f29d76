//! What follows a commit: the event message to the notifier and the verdicts in the cache.
//!
//! Neither is the truth, so no caller and no batch waits for them: a task of its own sends what has come up meanwhile as
//! one message. Failure: what could not be sent is dropped; the notifier's sweep finds the events in the store, and the
//! store answers for the verdicts.

use bytes::Bytes;
use tokio::sync::mpsc;
use touchstone_platform::cache::Finished;
use touchstone_platform::queue::Lane;
use touchstone_schema::event::{Event, EventBatch};
use touchstone_schema::tenant::{Surface, Tenant};
use touchstone_schema::verdict::FinishedVerdict;

use crate::consume::Dependencies;

/// Batches that may wait to be announced.
const WAITING_BATCHES: usize = 256;
/// Most batches announced in one message.
const BATCHES_TOGETHER: usize = 8;

/// What one commit recorded.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) events: Vec<Event>,
    pub(crate) verdicts: Vec<RecordedVerdict>,
}

/// A verdict on its way into the cache.
#[derive(Debug)]
pub(crate) struct RecordedVerdict {
    pub(crate) tenant: Tenant,
    pub(crate) surface: Surface,
    pub(crate) order_id: String,
    pub(crate) verdict: FinishedVerdict,
}

/// Hands commits to the task; cloned by every loop. The task ends when all clones are gone.
#[derive(Debug, Clone)]
pub(crate) struct Announcer(mpsc::Sender<Recorded>);

impl Announcer {
    /// The handle, and the task to run.
    pub(crate) fn new(dependencies: Dependencies) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, inbox) = mpsc::channel(WAITING_BATCHES);
        (Self(sender), run(dependencies, inbox))
    }

    /// Announces a commit; never waits.
    pub(crate) fn announce(&self, recorded: Recorded) {
        if !recorded.events.is_empty() && self.0.try_send(recorded).is_err() {
            metrics::counter!("touchstone_scorer_unannounced_total").increment(1);
        }
    }
}

async fn run(dependencies: Dependencies, mut inbox: mpsc::Receiver<Recorded>) {
    let mut waiting = Vec::with_capacity(BATCHES_TOGETHER);
    while inbox.recv_many(&mut waiting, BATCHES_TOGETHER).await > 0 {
        let mut together = Recorded::default();
        for recorded in waiting.drain(..) {
            together.events.extend(recorded.events);
            together.verdicts.extend(recorded.verdicts);
        }
        tokio::join!(publish(&dependencies, together.events), remember(&dependencies, &together.verdicts));
    }
}

async fn publish(dependencies: &Dependencies, events: Vec<Event>) {
    let body = match serde_json::to_vec(&EventBatch::new(events)) {
        Ok(body) => Bytes::from(body),
        Err(error) => {
            tracing::error!(%error, "events could not be written as JSON; the sweep will find them");
            return;
        }
    };
    if let Err(error) = dependencies.queue.publish(Lane::Events, vec![body]).await {
        tracing::debug!(%error, "the event message could not be published; the sweep will find the rows");
    }
}

async fn remember(dependencies: &Dependencies, verdicts: &[RecordedVerdict]) {
    let finished: Vec<Finished<'_>> = verdicts
        .iter()
        .filter(|order| order.surface == Surface::Signed)
        .map(|order| Finished { tenant: &order.tenant, order_id: &order.order_id, verdict: &order.verdict })
        .collect();
    if let Err(error) = dependencies.cache.remember(&finished, dependencies.clock.now()).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "verdicts could not be cached; the store has them");
    }
}
