//! Whether this process can answer safely right now, asked at most once a second however often the probe comes.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use touchstone_platform::store::Store;

use crate::Dependencies;

/// How long an answer is given again.
const FRESH: Duration = Duration::from_secs(1);
/// How long a dependency may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// The last answer and when it was found. The lock also lets one probe at a time ask.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    /// Whether queue, cache and store answer.
    pub(crate) async fn check(&self, dependencies: &Dependencies) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, ready)) = *last
            && at.elapsed() < FRESH
        {
            return ready;
        }
        let ready = ask(dependencies).await;
        *last = Some((Instant::now(), ready));
        ready
    }
}

async fn ask(dependencies: &Dependencies) -> bool {
    let (queue, cache, store) = tokio::join!(
        timeout(PATIENCE, dependencies.queue.check()),
        timeout(PATIENCE, dependencies.cache.check()),
        timeout(PATIENCE, check_store(&dependencies.store)),
    );
    let ready = [matches!(queue, Ok(Ok(()))), matches!(cache, Ok(Ok(()))), matches!(store, Ok(true))];
    if ready.contains(&false) {
        tracing::debug!(queue = ready[0], cache = ready[1], store = ready[2], "not ready");
    }
    ready == [true; 3]
}

async fn check_store(store: &Store) -> bool {
    store.check().await.is_ok()
}
