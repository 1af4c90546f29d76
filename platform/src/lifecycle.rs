//! The life of a process: tasks that run until shutdown, and what happens when one of them dies.
//!
//! Guarantee: SIGTERM or SIGINT asks every task to drain; a task that ends before that, or fails, ends the process
//! loudly, because half a pipeline that looks alive is worse than none. A second signal, or a drain that takes longer
//! than [`DRAIN_LIMIT`], aborts.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Longest time that tasks may take to finish what they hold.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(25);

/// Lets the process open as many files and connections as the system allows it: the limit that a shell sets at first is
/// often 1 024, fewer than the door takes connections and the notifier makes. Where that fails the limit stays as it is.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, limit = limit.current, "the limit of open files stays as it is");
    }
}

type TaskResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Why the process ended otherwise than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// A task failed.
    #[error("{task} failed")]
    Failed {
        /// Its name.
        task: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A task ended although nobody had asked it to, or panicked.
    #[error("a task of this process died: {0}")]
    Died(String),
    /// Tasks did not finish in time.
    #[error("{0} task(s) did not finish within {DRAIN_LIMIT:?} and were aborted")]
    DrainExpired(usize),
}

/// The tasks of a process. Made before any of them starts: from then on a signal ends the process in order.
#[derive(Debug)]
pub struct Lifecycle {
    tasks: JoinSet<(&'static str, TaskResult)>,
    shutdown: CancellationToken,
    signals: Signals,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { tasks: JoinSet::new(), shutdown: CancellationToken::new(), signals: Signals::catch() }
    }
}

impl Lifecycle {
    /// Cancelled when the process is to end; give a clone to everything that runs.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Runs a task that is to end only after shutdown was asked for.
    pub fn spawn<E>(&mut self, name: &'static str, task: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.tasks.spawn(async move { (name, task.await.map_err(Into::into)) });
    }

    /// Waits for a signal or for a task's end, then drains the others.
    pub async fn run(mut self) -> Result<(), LifecycleError> {
        let first = tokio::select! {
            // In this order: a task that ended because shutdown was asked for did as it should.
            biased;
            () = self.shutdown.cancelled() => Ok(()),
            () = self.signals.next() => Ok(()),
            Some(ended) = self.tasks.join_next() => Err(untimely(ended)),
        };
        tracing::info!("shutting down: finishing what is in flight");
        self.shutdown.cancel();
        let drained = tokio::select! {
            result = drain(&mut self.tasks) => result,
            () = self.signals.next() => Err(LifecycleError::Died("a second signal came while draining".to_owned())),
        };
        first.and(drained)
    }
}

async fn drain(tasks: &mut JoinSet<(&'static str, TaskResult)>) -> Result<(), LifecycleError> {
    let mut outcome = Ok(());
    let finished = tokio::time::timeout(DRAIN_LIMIT, async {
        while let Some(ended) = tasks.join_next().await {
            outcome = std::mem::replace(&mut outcome, Ok(())).and(timely(ended));
        }
    })
    .await;
    if finished.is_err() {
        return Err(LifecycleError::DrainExpired(tasks.len()));
    }
    outcome
}

fn timely(ended: Result<(&'static str, TaskResult), tokio::task::JoinError>) -> Result<(), LifecycleError> {
    match ended {
        Ok((_, Ok(()))) => Ok(()),
        Ok((task, Err(source))) => Err(LifecycleError::Failed { task, source }),
        Err(error) => Err(LifecycleError::Died(error.to_string())),
    }
}

fn untimely(ended: Result<(&'static str, TaskResult), tokio::task::JoinError>) -> LifecycleError {
    match ended {
        Ok((task, Ok(()))) => LifecycleError::Died(format!("{task} ended by itself")),
        other => timely(other).err().unwrap_or_else(|| LifecycleError::Died("unknown".to_owned())),
    }
}

/// SIGTERM and SIGINT, caught from the moment that this is made; `None` when the operating system refuses.
#[derive(Debug)]
struct Signals(Option<(Signal, Signal)>);

impl Signals {
    fn catch() -> Self {
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => Self(Some((terminate, interrupt))),
            _ => {
                tracing::warn!("signals cannot be caught: the process will end without draining");
                Self(None)
            }
        }
    }

    /// Returns at the next of either.
    async fn next(&mut self) {
        let Some((terminate, interrupt)) = &mut self.0 else { return std::future::pending().await };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_fails_ends_the_process_and_the_others_drain() {
        let mut lifecycle = Lifecycle::default();
        let token = lifecycle.shutdown();
        let (drained, was_drained) = tokio::sync::oneshot::channel();
        lifecycle.spawn("steady", async move {
            token.cancelled().await;
            let _ = drained.send(());
            Ok::<_, std::io::Error>(())
        });
        lifecycle.spawn("broken", async { Err(std::io::Error::other("no disk")) });
        let error = lifecycle.run().await.unwrap_err();
        assert_eq!(error.to_string(), "broken failed");
        was_drained.await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_ends_at_shutdown_is_no_failure() {
        for _ in 0..64 {
            let mut lifecycle = Lifecycle::default();
            let shutdown = lifecycle.shutdown();
            let token = lifecycle.shutdown();
            lifecycle.spawn("obedient", async move {
                token.cancelled().await;
                Ok::<_, std::io::Error>(())
            });
            shutdown.cancel();
            tokio::task::yield_now().await;
            lifecycle.run().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_is_a_failure() {
        let mut lifecycle = Lifecycle::default();
        lifecycle.spawn("short", async { Ok::<_, std::io::Error>(()) });
        assert!(lifecycle.run().await.unwrap_err().to_string().contains("short ended by itself"));
    }
}
