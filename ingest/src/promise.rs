//! Promises, made together: those that wait at the same moment are one commit and one round of confirms.
//!
//! Guarantee: a promise is kept when its pending row is committed and its message confirmed, whether or not its caller
//! still waits. When a scorer dies or is too slow, everyone who waits comes here at the same moment: one by one they
//! would be late, and the door would refuse what it could have promised.
//! Failure: whoever was in a commit that failed is told so; a row without its message is enqueued by the sweep.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use touchstone_platform::queue::{Lane, QueueError};
use touchstone_platform::store::{StoreError, SystemReason};
use touchstone_schema::submission::Submission;

use crate::Dependencies;

/// Most promises of one commit.
const TOGETHER: usize = 256;
/// Most promises that wait; more are refused at once.
const WAITING: usize = 8_192;
/// How long a commit and its confirms may take: what takes longer is too late for every caller in it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why an order could not be promised.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unkept {
    /// The database said no, or nothing.
    #[error("the pending row was not committed")]
    Store(#[source] StoreError),
    /// The broker said no, or nothing.
    #[error("the durable message was not confirmed")]
    Queue(#[source] QueueError),
    /// The caller's deadline came first.
    #[error("the time for a promise was over")]
    Late,
    /// More promises wait than ever could be kept in time.
    #[error("too many orders wait to be promised")]
    Crowded,
}

/// What those who were in one commit are told.
type Outcome = Result<(), Arc<Unkept>>;

struct Wanted {
    submission: Submission,
    body: Bytes,
    told: oneshot::Sender<Outcome>,
}

/// The handle of the one task that promises.
#[derive(Debug)]
pub(crate) struct Promises(mpsc::Sender<Wanted>);

impl Promises {
    /// Starts the task; it ends when the handle is dropped.
    pub(crate) fn start(dependencies: Dependencies) -> Self {
        let (sender, wanted) = mpsc::channel(WAITING);
        tokio::spawn(keep(dependencies, wanted));
        Self(sender)
    }

    /// Promises; `body` is the submission as the durable lane carries it.
    pub(crate) async fn promise(&self, submission: Submission, body: Bytes) -> Outcome {
        let (told, outcome) = oneshot::channel();
        self.0.try_send(Wanted { submission, body, told }).map_err(|_| Unkept::Crowded)?;
        outcome.await.unwrap_or(Err(Arc::new(Unkept::Late)))
    }
}

async fn keep(dependencies: Dependencies, mut wanted: mpsc::Receiver<Wanted>) {
    let mut together = Vec::with_capacity(TOGETHER);
    while wanted.recv_many(&mut together, TOGETHER).await > 0 {
        // Those who gave up have been refused: nothing may be promised for them any more.
        together.retain(|one: &Wanted| !one.told.is_closed());
        keep_together(&dependencies, std::mem::take(&mut together)).await;
    }
}

async fn keep_together(dependencies: &Dependencies, together: Vec<Wanted>) {
    let outcome = commit_and_confirm(dependencies, &together).await;
    match outcome {
        Err(Unkept::Store(error)) if !error.is_transient() && together.len() > 1 => {
            // One that the database refuses must not take the others along.
            for one in together {
                Box::pin(keep_together(dependencies, vec![one])).await;
            }
        }
        outcome => {
            let outcome = outcome.map_err(Arc::new);
            for one in together {
                let _gone = one.told.send(outcome.clone());
            }
        }
    }
}

async fn commit_and_confirm(dependencies: &Dependencies, together: &[Wanted]) -> Result<(), Unkept> {
    if together.is_empty() {
        return Ok(());
    }
    let submissions: Vec<_> = together.iter().map(|one| &one.submission).collect();
    let bodies = together.iter().map(|one| one.body.clone()).collect();
    let kept = timeout(PATIENCE, async {
        let store = dependencies.store.system(SystemReason::RoleLoop);
        store.promise(&submissions, dependencies.clock.now()).await.map_err(Unkept::Store)?;
        dependencies.queue.publish(Lane::Durable, bodies).await.map_err(Unkept::Queue)
    });
    kept.await.unwrap_or(Err(Unkept::Late))
}
