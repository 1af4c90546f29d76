//! Commits what became of attempts: those that wait, together, in one transaction.
//!
//! Guarantee: a record is given up only when the database refuses that very record. Failure: while the database is away
//! records are held and attempts stop for lack of room; at shutdown the database has [`LAST_TRIES`] to come back, after
//! which the leases run out and the attempts are made again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_platform::clock::Clock;
use touchstone_platform::retry::Backoff;
use touchstone_platform::store::deliveries::{AttemptRecord, GivenBack, NextStep};
use touchstone_platform::store::{Store, StoreError, SystemReason};
use touchstone_schema::ids::EndpointId;
use touchstone_schema::time::Timestamp;

/// Most attempts committed together.
const RECORDED_TOGETHER: usize = 128;
/// How long records are tried after shutdown was asked for.
const LAST_TRIES: Duration = Duration::from_secs(5);

/// What the dispatcher wants committed.
#[derive(Debug)]
pub(crate) enum Record {
    /// An attempt that was made.
    Attempt(AttemptRecord),
    /// A lease given back unused.
    GiveBack(GivenBack),
    /// What is due of an endpoint shall be due later.
    Postpone {
        /// The endpoint.
        endpoint: EndpointId,
        /// When.
        due: Timestamp,
    },
}

/// Records until the dispatcher has ended.
///
/// `due` is told when the next delivery of an ordered endpoint is due.
pub(crate) async fn run(
    store: Store,
    clock: Clock,
    mut records: mpsc::Receiver<Record>,
    due: Arc<Notify>,
    shutdown: CancellationToken,
) {
    let mut waiting = Vec::with_capacity(RECORDED_TOGETHER);
    while records.recv_many(&mut waiting, RECORDED_TOGETHER).await > 0 {
        let mut attempts = Vec::with_capacity(waiting.len());
        let (mut given_back, mut postponed) = (Vec::new(), Vec::new());
        for record in waiting.drain(..) {
            match record {
                Record::Attempt(attempt) => attempts.push(attempt),
                Record::GiveBack(lease) => given_back.push(lease),
                Record::Postpone { endpoint, due } => postponed.push((endpoint, due)),
            }
        }
        let recorder = Recorder { store: &store, clock: &clock, shutdown: &shutdown };
        recorder.attempts(&attempts).await;
        if recorder.move_lines(&attempts).await {
            due.notify_one();
        }
        recorder.give_back(&given_back).await;
        for (endpoint, due) in postponed {
            recorder.postpone(&endpoint, due).await;
        }
    }
}

struct Recorder<'a> {
    store: &'a Store,
    clock: &'a Clock,
    shutdown: &'a CancellationToken,
}

impl Recorder<'_> {
    /// When the database refuses a batch, its records are tried one by one, so that one cannot spoil the others.
    async fn attempts(&self, attempts: &[AttemptRecord]) {
        match self.commit(attempts).await {
            Ok(()) => {}
            Err(_) if attempts.len() > 1 => {
                for attempt in attempts {
                    if let Err(error) = self.commit(std::slice::from_ref(attempt)).await {
                        not_recorded(attempt, &error);
                    }
                }
            }
            Err(error) => attempts.iter().for_each(|attempt| not_recorded(attempt, &error)),
        }
    }

    async fn commit(&self, attempts: &[AttemptRecord]) -> Result<(), StoreError> {
        let mut backoff = Backoff::default();
        let mut give_up = None;
        loop {
            let recorded = self.store.system(SystemReason::RoleLoop).record_attempts(attempts, self.clock.now()).await;
            match recorded {
                Ok(disabled) => {
                    for endpoint in disabled {
                        metrics::counter!("touchstone_webhook_endpoints_disabled_total").increment(1);
                        tracing::warn!(
                            endpoint = %endpoint.id,
                            store = %endpoint.store_id,
                            event = %endpoint.event,
                            reason = endpoint.reason,
                            "endpoint switched off"
                        );
                    }
                    return Ok(());
                }
                Err(error) if error.is_transient() => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        attempts = attempts.len(),
                        "waiting for the database to record attempts"
                    );
                    if !self.wait(&mut backoff, &mut give_up).await {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One try: a line that does not move here is found by the sweep. True when something is due now.
    async fn move_lines(&self, attempts: &[AttemptRecord]) -> bool {
        let over = |attempt: &&AttemptRecord| attempt.ordered && !matches!(attempt.next, NextStep::RetryAt(_));
        let mut lines: Vec<_> = attempts.iter().filter(over).map(|attempt| attempt.endpoint.clone()).collect();
        if lines.is_empty() {
            return false;
        }
        lines.sort_unstable();
        lines.dedup();
        match self.store.system(SystemReason::RoleLoop).release(&lines, self.clock.now(), None).await {
            Ok(released) => !released.is_empty(),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "lines move later");
                false
            }
        }
    }

    /// One try: what is not given back falls due when its lease ends.
    async fn give_back(&self, leases: &[GivenBack]) {
        if leases.is_empty() {
            return;
        }
        if let Err(error) = self.store.system(SystemReason::RoleLoop).give_back(leases).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "leases are left to run out");
        }
    }

    /// One try: what is not postponed is taken up and given back by the dispatcher.
    async fn postpone(&self, endpoint: &EndpointId, due: Timestamp) {
        let postponed = self.store.system(SystemReason::RoleLoop).postpone(endpoint, self.clock.now(), due).await;
        if let Err(error) = postponed {
            tracing::warn!(error = &error as &dyn std::error::Error, %endpoint, "deliveries are not postponed");
        }
    }

    /// Waits before another try; false when shutdown has left no time for one.
    async fn wait(&self, backoff: &mut Backoff, give_up: &mut Option<Instant>) -> bool {
        if self.shutdown.is_cancelled() {
            let give_up = *give_up.get_or_insert_with(|| Instant::now() + LAST_TRIES);
            backoff.wait().await;
            return Instant::now() < give_up;
        }
        tokio::select! {
            () = self.shutdown.cancelled() => backoff.reset(),
            () = backoff.wait() => {}
        }
        true
    }
}

fn not_recorded(attempt: &AttemptRecord, error: &StoreError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        delivery = %attempt.delivery,
        endpoint = %attempt.endpoint,
        store = %attempt.store_id,
        "an attempt could not be recorded: it is made again when its lease ends"
    );
}
