//! Screening a batch: load → plan → commit, with bisection of batches that the database refuses and patience while it is
//! away.
//!
//! Nearly every order is new, so one that nothing says is known is planned as new without a look; the unique keys of the
//! commit tell when that was wrong, and then it is loaded and planned anew.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use touchstone_platform::directory::DirectoryError;
use touchstone_platform::queue::{Delivery, Disposition};
use touchstone_platform::retry::Backoff;
use touchstone_platform::store::scoring::{Loaded, NewFailedAttempt, NewRevision};
use touchstone_platform::store::{StoreError, SystemReason};
use touchstone_platform::telemetry::{Span, SpanKind, span_of_many};
use touchstone_schema::history::{HistoryByKey, HistoryKey, HistoryKeyKind, KeyedEntry};
use touchstone_schema::ids::{SubmissionId, TransactionId};
use touchstone_schema::limits;
use touchstone_schema::submission::{Answer, Submission, SubmissionKind};
use touchstone_schema::time::Timestamp;

use crate::announce::{Recorded, RecordedVerdict};
use crate::batch::{self, Plan, PolicyCache, Prepared};
use crate::consume::Dependencies;
use crate::history::HistorySource;
use crate::norms_source::NormsSource;

/// Times that a batch is planned anew because it was known or another scorer was quicker, before the rest is left to redelivery.
const RACE_ROUNDS: usize = 8;
/// How long a durable submission waits after it could not be finished.
const RACE_RETRY: Duration = Duration::from_secs(1);

/// A delivery whose work is committed.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) delivery: Delivery,
    pub(crate) disposition: Disposition,
    pub(crate) reply: Option<Bytes>,
}

/// A submission to settle.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    submission: &'a Submission,
    /// Nothing says that its order came before: it is planned as the first of its transaction, and loaded only when the
    /// commit finds that it is not.
    is_fresh: bool,
}

impl<'a> Asked<'a> {
    fn delivered(delivery: &Delivery, submission: &'a Submission) -> Self {
        let is_fresh =
            delivery.attempt <= 1 && submission.deadline.is_some() && submission.kind == SubmissionKind::Order;
        Self { submission, is_fresh }
    }
}

/// What became of one submission.
#[derive(Debug)]
enum Outcome {
    Answered(Answer),
    /// Recorded, now or before; there is nothing to answer.
    Noted,
    Poison(String),
    Retry,
}

/// Screens batches; owned by one loop.
#[derive(Debug)]
pub(crate) struct Screening {
    dependencies: Dependencies,
    shutdown: CancellationToken,
    policies: PolicyCache,
    recorded: Recorded,
    history: HistorySource,
    norms: Arc<NormsSource>,
}

impl Screening {
    pub(crate) fn new(
        dependencies: Dependencies,
        history: HistorySource,
        norms: Arc<NormsSource>,
        shutdown: CancellationToken,
    ) -> Self {
        Self { dependencies, shutdown, policies: PolicyCache::new(), recorded: Recorded::default(), history, norms }
    }

    /// Where history comes from and goes to.
    pub(crate) const fn history(&self) -> &HistorySource {
        &self.history
    }

    /// Screens what was taken from a lane. Returns when everything is committed, answered or given up; what the database
    /// kept waiting when shutdown came is left to another scorer.
    pub(crate) async fn screen(&mut self, accepted: Vec<(Delivery, Submission)>) -> Vec<Done> {
        let now = self.dependencies.clock.now();
        let (mut live, expired): (Vec<_>, Vec<_>) =
            accepted.into_iter().partition(|(_, submission)| is_awaited(submission, now));
        metrics::counter!("touchstone_scorer_expired_total").increment(expired.len() as u64);
        live.sort_by(|(_, a), (_, b)| a.received_at.cmp(&b.received_at).then_with(|| a.id.cmp(&b.id)));
        let began = Instant::now();
        let mut spans = begin_spans(&mut live, began);
        let outcomes = {
            let asked: Vec<_> =
                live.iter().map(|(delivery, submission)| Asked::delivered(delivery, submission)).collect();
            self.settle_all(&asked).await
        };
        for (span, outcome) in spans.iter_mut().zip(&outcomes) {
            if matches!(outcome, Outcome::Poison(_) | Outcome::Retry) {
                span.fail();
            }
        }
        drop(spans);
        let mut done: Vec<Done> = Vec::with_capacity(live.len() + expired.len());
        for ((delivery, submission), outcome) in live.into_iter().zip(outcomes) {
            done.push(self.conclude(delivery, &submission, outcome).await);
        }
        // Nobody waits for these any more, and nothing was promised: a promise travels the durable lane.
        done.extend(expired.into_iter().map(|(delivery, _)| Done {
            delivery,
            disposition: Disposition::Ack,
            reply: None,
        }));
        done
    }

    /// What has been recorded since this was asked last.
    pub(crate) fn take_recorded(&mut self) -> Recorded {
        std::mem::take(&mut self.recorded)
    }

    async fn settle_all(&mut self, asked: &[Asked<'_>]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = asked.iter().map(|_| Outcome::Retry).collect();
        for round in 0..RACE_ROUNDS {
            if round > 0 && self.shutdown.is_cancelled() {
                break;
            }
            let now = self.dependencies.clock.now();
            let open: Vec<usize> = (0..asked.len())
                .filter(|i| matches!(outcomes[*i], Outcome::Retry) && is_awaited(asked[*i].submission, now))
                .collect();
            if open.is_empty() {
                break;
            }
            let still = open.iter().map(|i| Asked { is_fresh: round == 0 && asked[*i].is_fresh, ..asked[*i] });
            let still: Vec<_> = still.collect();
            for (index, outcome) in open.into_iter().zip(self.patiently(&still).await) {
                outcomes[index] = outcome;
            }
        }
        outcomes
    }

    /// Screens submissions, waiting while the database is away and bisecting what it refuses.
    async fn patiently(&mut self, asked: &[Asked<'_>]) -> Vec<Outcome> {
        let mut backoff = Backoff::default();
        let mut told = false;
        loop {
            let error = match self.attempt(asked).await {
                Ok(outcomes) => return outcomes,
                Err(error) => error,
            };
            if !error.is_transient() {
                return self.bisect(asked, &error).await;
            }
            // The commit may have come about all the same, and nobody else remembers it.
            if let Some(oldest) = asked.first() {
                self.history.catch_up(oldest.submission.received_at);
            }
            if !std::mem::replace(&mut told, true) {
                let orders = asked.len();
                tracing::warn!(error = &error as &dyn std::error::Error, orders, "waiting for the database");
            }
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = backoff.wait() => {}
            }
            let now = self.dependencies.clock.now();
            let is_awaited = asked.iter().any(|one| is_awaited(one.submission, now));
            if self.shutdown.is_cancelled() || !is_awaited {
                return asked.iter().map(|_| Outcome::Retry).collect();
            }
        }
    }

    async fn bisect(&mut self, asked: &[Asked<'_>], error: &StoreError) -> Vec<Outcome> {
        if let [Asked { submission, .. }] = asked {
            tracing::error!(
                error = error as &dyn std::error::Error,
                order = %submission.order_id, store = %submission.tenant.store_id, request_id = %submission.request_id,
                "the database refuses this order"
            );
            return vec![Outcome::Poison("the database refuses this order".to_owned())];
        }
        let (left, right) = asked.split_at(asked.len() / 2);
        let mut outcomes = Box::pin(self.patiently(left)).await;
        outcomes.extend(Box::pin(self.patiently(right)).await);
        outcomes
    }

    async fn attempt(&mut self, asked: &[Asked<'_>]) -> Result<Vec<Outcome>, StoreError> {
        let mut outcomes: Vec<Outcome> = asked.iter().map(|_| Outcome::Retry).collect();
        let (indexes, prepared) = self.prepare(asked, &mut outcomes).await?;
        if prepared.is_empty() {
            return Ok(outcomes);
        }
        let (prepared, loaded, history) = self.load(prepared).await?;
        let plans = batch::plan(&prepared, loaded, history, self.dependencies.clock.now());
        let mut attempts = Vec::new();
        let mut new = Vec::new();
        let mut new_indexes = Vec::new();
        let mut settled = Vec::new();
        for (index, plan) in indexes.into_iter().zip(plans) {
            let submission = asked[index].submission;
            if submission.deadline.is_none() && !matches!(plan, Plan::Poison(_) | Plan::Again | Plan::Attempt(_)) {
                settled.push(&submission.id);
            }
            match plan {
                Plan::New(revision) => {
                    new.push(*revision);
                    new_indexes.push(index);
                }
                Plan::Attempt(attempt) => {
                    attempts.push(*attempt);
                    outcomes[index] = Outcome::Noted;
                }
                Plan::Settled(answer) => outcomes[index] = Outcome::Answered(answer),
                Plan::Poison(reason) => outcomes[index] = Outcome::Poison(reason),
                Plan::Again => outcomes[index] = Outcome::Retry,
            }
        }
        // Verdicts rest upon them, so they come first.
        self.commit_attempts(attempts).await?;
        self.commit(asked, new, new_indexes, &settled, &mut outcomes).await?;
        Ok(outcomes)
    }

    async fn prepare<'a>(
        &mut self,
        asked: &[Asked<'a>],
        outcomes: &mut [Outcome],
    ) -> Result<(Vec<usize>, Vec<Prepared<'a>>), StoreError> {
        let mut snapshot = self.dependencies.directory.snapshot();
        if asked.iter().any(|one| snapshot.store(&one.submission.tenant.store_id).is_none()) {
            // A store that was made a moment ago; if it is still unknown afterwards its orders are set aside.
            match self.dependencies.directory.refresh_now().await {
                Ok(()) => {}
                Err(DirectoryError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the directory of stores does not open");
                }
            }
            snapshot = self.dependencies.directory.snapshot();
        }
        let enrichment = self.dependencies.enricher.snapshot();
        let mut indexes = Vec::with_capacity(asked.len());
        let mut prepared = Vec::with_capacity(asked.len());
        for (index, one) in asked.iter().enumerate() {
            match Prepared::new(one.submission, one.is_fresh, &snapshot, &enrichment, &mut self.policies) {
                Ok(ready) => {
                    indexes.push(index);
                    prepared.push(ready);
                }
                Err(reason) => outcomes[index] = Outcome::Poison(reason),
            }
        }
        Ok((indexes, prepared))
    }
}

/// A span for each that ends with the batch; what follows from a submission belongs to its span.
fn begin_spans(live: &mut [(Delivery, Submission)], began: Instant) -> Vec<Span> {
    let orders = live.len();
    let begin = |(_, submission): &mut (Delivery, Submission)| {
        let mut span = Span::begun_at("score", SpanKind::Consumer, submission.trace.as_ref(), began);
        span.set("request_id", &submission.request_id);
        span.set("batch_orders", &orders);
        submission.trace = span.context().cloned();
        span
    };
    live.iter_mut().map(begin).collect()
}

/// Whether anybody still waits for it, or it was promised.
fn is_awaited(submission: &Submission, now: Timestamp) -> bool {
    submission.deadline.is_none_or(|deadline| now < deadline)
}

/// Reading before and writing after scoring.
impl Screening {
    async fn load<'a>(
        &self,
        mut prepared: Vec<Prepared<'a>>,
    ) -> Result<(Vec<Prepared<'a>>, Loaded, HistoryByKey), StoreError> {
        let store = self.dependencies.store.system(SystemReason::RoleLoop);
        let submissions = batch::perhaps_known(&prepared);
        let since = self.dependencies.clock.now() - limits::HISTORY_SPAN;
        if prepared.iter().all(|ready| ready.submission.kind != SubmissionKind::Reanalyze) {
            let keys = distinct_keys(&prepared);
            let (loaded, history, norms) = tokio::try_join!(
                store.load_for_scoring(&submissions),
                self.history.load(&keys, since),
                self.norms.load(prepared.iter().map(Prepared::received).collect()),
            )?;
            prepared.iter_mut().for_each(|ready| ready.judge_by(&norms));
            return Ok((prepared, loaded, history));
        }
        // Orders that are scored again bring their history keys with their stored documents.
        let (loaded, norms) = tokio::try_join!(
            store.load_for_scoring(&submissions),
            self.norms.load(prepared.iter().map(Prepared::received).collect()),
        )?;
        for ready in &mut prepared {
            ready.judge_by(&norms);
            if let Err(problem) = ready.read_stored(&loaded) {
                tracing::error!(order = %ready.submission.order_id, store = %ready.submission.tenant.store_id, problem, "a stored order cannot be read");
            }
        }
        let history = self.history.load(&distinct_keys(&prepared), since).await?;
        Ok((prepared, loaded, history))
    }

    /// Records payments that failed. Those that were recorded before are nobody's news.
    async fn commit_attempts(&mut self, attempts: Vec<NewFailedAttempt>) -> Result<(), StoreError> {
        if attempts.is_empty() {
            return Ok(());
        }
        let recorded = self.dependencies.store.system(SystemReason::RoleLoop).record_failed_attempts(&attempts).await?;
        let mut entries = Vec::with_capacity(attempts.len());
        for (attempt, _) in attempts.into_iter().zip(recorded).filter(|(_, is_new)| *is_new) {
            metrics::counter!("touchstone_failed_attempts_total").increment(1);
            self.recorded.events.push(attempt.event);
            entries.push(KeyedEntry::found_by(attempt.history, &attempt.declared_keys));
        }
        self.history.remember(entries).await;
        Ok(())
    }

    async fn commit(
        &mut self,
        asked: &[Asked<'_>],
        new: Vec<NewRevision<'_>>,
        new_indexes: Vec<usize>,
        settled: &[&SubmissionId],
        outcomes: &mut [Outcome],
    ) -> Result<(), StoreError> {
        if new.is_empty() && settled.is_empty() {
            return Ok(());
        }
        let traces = new.iter().filter_map(|one| one.submission.trace.as_ref());
        let mut span = span_of_many("commit", SpanKind::Internal, Instant::now(), traces);
        let recorded = self.dependencies.store.system(SystemReason::RoleLoop).record(&new, settled).await;
        if let (Some(span), Err(_)) = (&mut span, &recorded) {
            span.fail();
        }
        drop(span);
        let recorded = recorded?;
        let mut lost: HashSet<&TransactionId> = HashSet::new();
        let mut entries = Vec::with_capacity(new.len());
        for ((revision, index), won) in new.into_iter().zip(new_indexes).zip(recorded) {
            if !won {
                lost.insert(&asked[index].submission.transaction_id);
                continue;
            }
            count_verdict(&revision);
            self.recorded.verdicts.push(RecordedVerdict {
                tenant: revision.submission.tenant.clone(),
                surface: revision.submission.surface,
                order_id: revision.submission.order_id.clone(),
                verdict: batch::finished(&revision),
            });
            self.recorded.events.push(revision.event);
            entries.push(KeyedEntry::found_by(revision.history, &revision.declared_keys));
            outcomes[index] = match RawValue::from_string(revision.verdict) {
                Ok(verdict) => Outcome::Answered(Answer::Verdict { verdict }),
                Err(error) => Outcome::Poison(format!("the verdict is not JSON: {error}")),
            };
        }
        self.history.remember(entries).await;
        // Answers that were planned on a revision which another scorer took are planned anew.
        for (outcome, one) in outcomes.iter_mut().zip(asked) {
            if lost.contains(&one.submission.transaction_id) && matches!(outcome, Outcome::Answered(_)) {
                *outcome = Outcome::Retry;
            }
        }
        Ok(())
    }

    async fn conclude(&self, delivery: Delivery, submission: &Submission, outcome: Outcome) -> Done {
        let (answer, disposition) = match outcome {
            Outcome::Answered(answer) => (Some(answer), Disposition::Ack),
            Outcome::Noted => (None, Disposition::Ack),
            Outcome::Retry if submission.deadline.is_some() => (None, Disposition::Ack),
            Outcome::Retry => (None, Disposition::Retry { after: RACE_RETRY }),
            Outcome::Poison(reason) => self.give_up(submission, reason).await,
        };
        let reply = answer.filter(|_| delivery.wants_reply).and_then(|answer| serde_json::to_vec(&answer).ok());
        Done { delivery, disposition, reply: reply.map(Bytes::from) }
    }

    /// Dead-letters a submission; its promise, if there was one, is marked failed first, so that the sweep leaves it.
    async fn give_up(&self, submission: &Submission, reason: String) -> (Option<Answer>, Disposition) {
        metrics::counter!("touchstone_scorer_dead_lettered_total").increment(1);
        if submission.deadline.is_none() {
            let store = self.dependencies.store.system(SystemReason::RoleLoop);
            if let Err(error) = store.set_aside(&submission.id, &reason).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a failed order could not be marked; it is tried again"
                );
                return (None, Disposition::Retry { after: RACE_RETRY });
            }
        }
        tracing::error!(
            order = %submission.order_id, store = %submission.tenant.store_id, request_id = %submission.request_id,
            reason, "this order goes to the dead letters"
        );
        (Some(Answer::Failed), Disposition::DeadLetter { reason })
    }
}

fn distinct_keys(prepared: &[Prepared<'_>]) -> Vec<(Option<HistoryKeyKind>, HistoryKey)> {
    let keys: HashSet<_> = prepared.iter().flat_map(Prepared::keys).collect();
    keys.into_iter().collect()
}

fn count_verdict(revision: &NewRevision<'_>) {
    metrics::counter!("touchstone_verdicts_total", "level" => revision.level.as_str(), "action" => revision.action.as_str())
        .increment(1);
    let surface = revision.submission.surface.as_str();
    for code in &revision.warnings {
        metrics::counter!("touchstone_input_warnings_total", "code" => code.as_str(), "surface" => surface)
            .increment(1);
    }
}
