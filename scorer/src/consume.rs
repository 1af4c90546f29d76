//! The loops of the role: one per lane, taking what is already waiting and never waiting for company.

use std::convert::Infallible;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use touchstone_platform::cache::Cache;
use touchstone_platform::clock::Clock;
use touchstone_platform::directory::Directory;
use touchstone_platform::enrichment::Enricher;
use touchstone_platform::queue::{Consumer, Delivery, Disposition, Lane, Queue, QueueError};
use touchstone_platform::store::Store;
use touchstone_schema::fault::place_in_text;
use touchstone_schema::limits;
use touchstone_schema::submission::Submission;

use crate::announce::Announcer;
use crate::backfill;
use crate::history::HistoryKeeper;
use crate::norms_source::NormsSource;
use crate::record::Screening;
use crate::sweep;

/// What the role works with.
#[derive(Clone)]
pub struct Dependencies {
    /// The truth.
    pub store: Store,
    /// Submissions in, events out.
    pub queue: Arc<dyn Queue>,
    /// Finished verdicts for the door.
    pub cache: Arc<dyn Cache>,
    /// Stores and policies.
    pub directory: Arc<Directory>,
    /// What outside data tells of an order; the role keeps it fresh.
    pub enricher: Arc<Enricher>,
    /// The time.
    pub clock: Clock,
}

impl std::fmt::Debug for Dependencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dependencies")
    }
}

/// Why the role ended.
#[derive(Debug, thiserror::Error)]
pub enum ScorerError {
    /// A lane could not be opened.
    #[error("the {lane} lane cannot be consumed")]
    Consume {
        /// Which.
        lane: &'static str,
        /// Why.
        #[source]
        source: QueueError,
    },
    /// A loop panicked.
    #[error("a loop of the scorer died")]
    Died(#[from] tokio::task::JoinError),
}

/// Lanes that carry submissions.
const LANES: [Lane; 2] = [Lane::Interactive, Lane::Durable];

/// Runs the role until shutdown, then finishes the batches in hand.
pub async fn run(dependencies: Dependencies, shutdown: CancellationToken) -> Result<(), ScorerError> {
    let mut loops = tokio::task::JoinSet::new();
    // Before the first order: a restart must not forget what the files tell.
    dependencies.enricher.refresh().await;
    loops.spawn(Arc::clone(&dependencies.enricher).poll(shutdown.clone()));
    let (announcer, announcing) = Announcer::new(dependencies.clone());
    loops.spawn(async {
        announcing.await;
        Ok(())
    });
    let keeper = HistoryKeeper::new(dependencies.clone());
    let norms = Arc::new(NormsSource::new(dependencies.store.clone()));
    for lane in LANES {
        let consumer = dependencies
            .queue
            .consume(lane, limits::PREFETCH)
            .await
            .map_err(|source| ScorerError::Consume { lane: lane.as_str(), source })?;
        let screening = Screening::new(dependencies.clone(), keeper.source(), Arc::clone(&norms), shutdown.clone());
        loops.spawn(consume(consumer, lane, screening, announcer.clone(), shutdown.clone()));
    }
    drop(announcer);
    loops.spawn(keeper.run(shutdown.clone()));
    loops.spawn(backfill::run_jobs(dependencies.clone(), shutdown.clone()));
    loops.spawn(sweep::run(dependencies, shutdown));
    while let Some(ended) = loops.join_next().await {
        match ended? {
            Ok(()) => {}
        }
    }
    Ok(())
}

async fn consume(
    mut consumer: Box<dyn Consumer>,
    lane: Lane,
    mut screening: Screening,
    announcer: Announcer,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    loop {
        let batch = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            batch = consumer.next(limits::SCORING_BATCH) => batch,
        };
        metrics::histogram!("touchstone_scorer_batch_orders", "lane" => lane.as_str()).record(batch.len() as f64);
        let (accepted, refused) = decode(lane, batch);
        if !refused.is_empty() {
            settle(consumer.as_mut(), refused).await;
        }
        let returned = accepted.iter().filter(|(delivery, _)| delivery.attempt > 1);
        if let Some(oldest) = returned.map(|(_, submission)| submission.received_at).min() {
            screening.history().catch_up(oldest);
        }
        let finished = screening.screen(accepted).await;
        let replies = finished
            .iter()
            .filter_map(|done| done.reply.as_ref().map(|reply| (&done.delivery, reply.clone())))
            .collect::<Vec<_>>();
        if !replies.is_empty()
            && let Err(error) = consumer.reply(replies).await
        {
            // The callers time out and ask again; they are answered from the store.
            tracing::debug!(%error, "replies could not be sent");
        }
        // No caller waits for it; and should this process die before, the deliveries come back and tell of it.
        screening.history().written().await;
        settle(consumer.as_mut(), finished.into_iter().map(|done| (done.delivery, done.disposition)).collect()).await;
        announcer.announce(screening.take_recorded());
    }
}

async fn settle(consumer: &mut dyn Consumer, settled: Vec<(Delivery, Disposition)>) {
    if let Err(error) = consumer.settle(settled).await {
        // They come back, and are found scored.
        tracing::debug!(%error, "deliveries could not be settled");
    }
}

/// Deliveries that carry a submission, and those that are set aside.
type Decoded = (Vec<(Delivery, Submission)>, Vec<(Delivery, Disposition)>);

/// Whoever waited for a dead letter that is replayed is gone, but the order is still to be screened: off the interactive
/// lane no deadline counts.
fn decode(lane: Lane, batch: Vec<Delivery>) -> Decoded {
    let mut accepted = Vec::with_capacity(batch.len());
    let mut refused = Vec::new();
    for delivery in batch {
        match serde_json::from_slice::<Submission>(&delivery.body) {
            Ok(mut submission) if submission.version == Submission::VERSION => {
                submission.deadline = submission.deadline.filter(|_| lane == Lane::Interactive);
                accepted.push((delivery, submission));
            }
            Ok(submission) => {
                let reason = format!("submission format {} is not known to this build", submission.version);
                refused.push((delivery, Disposition::DeadLetter { reason }));
            }
            Err(error) => {
                let reason = format!("not a submission: {}", place_in_text(&error));
                refused.push((delivery, Disposition::DeadLetter { reason }));
            }
        }
    }
    (accepted, refused)
}
