//! A door and a scorer in this process on real adapters, under a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use touchstone_ingest::Settings;
use touchstone_platform::clock::Clock;
use touchstone_platform::directory::Directory;
use touchstone_platform::enrichment::Enricher;
use touchstone_platform::queue::Lane;
use touchstone_platform::random;
use touchstone_platform::store::accounts::StoreChange;
use touchstone_platform::store::policies::NewPolicy;
use touchstone_platform::store::{SystemReason, SystemStore};
use touchstone_schema::ids::{RequestId, SubmissionId, TransactionId};
use touchstone_schema::json::Json;
use touchstone_schema::submission::{Submission, SubmissionKind};
use touchstone_schema::tenant::Surface;
use touchstone_schema::time::Timestamp;
use touchstone_scorer::{Dependencies, ScorerError};
use touchstone_tests::{Answer, Backend, SignedClient, eventually};

use crate::ingest::fixture::{Door, Key};

/// Longest that anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// When every test begins: 2026-05-04T13:06:40Z.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_777_900_000_000);

/// Door, ports and a scorer that runs on demand.
pub(crate) struct Pipeline {
    pub(crate) door: Door,
    scorer: Option<(CancellationToken, JoinHandle<Result<(), ScorerError>>)>,
}

impl Pipeline {
    pub(crate) async fn embedded() -> Result<Self> {
        Self::open(Backend::embedded()?).await
    }

    pub(crate) async fn production() -> Result<Self> {
        Self::open(Backend::production().await?).await
    }

    pub(crate) async fn open(backend: Backend) -> Result<Self> {
        Self::open_at(backend, Clock::manual(START)).await
    }

    /// Under another clock.
    pub(crate) async fn open_at(backend: Backend, clock: Clock) -> Result<Self> {
        let door = Door::open_at(backend, Settings::default(), clock).await?;
        Ok(Self { door, scorer: None })
    }

    /// Starts the scorer.
    pub(crate) fn score(&mut self) {
        self.score_with(Arc::clone(&self.door.directory));
    }

    /// Starts the scorer with a directory of its own, as in a process of its own.
    pub(crate) fn score_with(&mut self, directory: Arc<Directory>) {
        let dependencies = Dependencies {
            store: self.door.store.clone(),
            queue: Arc::clone(&self.door.queue),
            cache: Arc::clone(&self.door.cache),
            directory,
            enricher: Enricher::built_in(),
            clock: self.door.clock.clone(),
        };
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(touchstone_scorer::run(dependencies, shutdown.clone()));
        self.scorer = Some((shutdown, running));
    }

    /// Stops the scorer, which finishes what it has in hand.
    pub(crate) async fn stop_scoring(&mut self) -> Result<()> {
        let (shutdown, running) = self.scorer.take().context("the scorer does not run")?;
        shutdown.cancel();
        Ok(running.await??)
    }

    /// Moves the time to the machine's, which commands live by.
    pub(crate) fn catch_up(&self) {
        self.door.clock.advance(Clock::system().now().since(self.door.clock.now()));
    }

    /// A client of the first store.
    pub(crate) fn client(&self) -> SignedClient {
        self.door.client(&self.door.keys.mine)
    }

    /// All rows.
    pub(crate) fn system(&self) -> SystemStore<'_> {
        self.door.store.system(SystemReason::RoleLoop)
    }

    /// Sets the mail domains of the first store itself, which door and scorer know at once.
    pub(crate) async fn set_own_domains(&self, domains: &[&str]) -> Result<()> {
        let own_domains = Some(domains.iter().map(|domain| (*domain).to_owned()).collect());
        self.set_input(StoreChange { own_domains, ..StoreChange::default() }).await
    }

    /// Has the first store's orders read strictly, or leniently.
    pub(crate) async fn set_strict_input(&self, is_strict: bool) -> Result<()> {
        self.set_input(StoreChange { strict_input: Some(is_strict), ..StoreChange::default() }).await
    }

    async fn set_input(&self, change: StoreChange) -> Result<()> {
        let store = &self.door.keys.mine.tenant.store_id;
        ensure!(self.system().change_store(store, &change, self.door.clock.now()).await?, "the store is there");
        Ok(self.door.directory.refresh_now().await?)
    }

    /// Gives the first store a policy, which the scorer knows at once. Returns its version.
    pub(crate) async fn apply_policy(&self, document: &Value) -> Result<u32> {
        let policies = self.door.store.tenant(&self.door.keys.mine.tenant);
        let document = document.to_string();
        let new = NewPolicy {
            after: policies.newest_policy_version().await?,
            document: &document,
            author: "test",
            note: None,
            rolls_back_to: None,
            now: self.door.clock.now(),
        };
        let version = policies.add_policy(&new).await?.context("nobody else changes the policy")?;
        self.door.directory.refresh_now().await?;
        Ok(version)
    }

    /// A submission of the first store as the door makes it, received now, for the lane where nobody waits.
    pub(crate) fn submission(&self, order: &Value) -> Result<Submission> {
        self.submission_of(&self.door.keys.mine, order)
    }

    pub(crate) fn submission_of(&self, key: &Key, order: &Value) -> Result<Submission> {
        let now = self.door.clock.now();
        let text = order.to_string();
        let order_id = order["order_id"].as_str().context("the order has an id")?;
        let snapshot = self.door.directory.snapshot();
        let profile = snapshot.store(&key.tenant.store_id).context("the directory knows the store")?;
        Ok(Submission {
            version: Submission::VERSION,
            id: SubmissionId::mint(now, random::bytes()),
            tenant: key.tenant.clone(),
            surface: Surface::Signed,
            kind: SubmissionKind::Order,
            transaction_id: TransactionId::of_order(&profile.data_key, key.tenant.mode, Surface::Signed, order_id),
            order_id: order_id.to_owned(),
            body_hash: Json::parse_text(&text)?.canonical_hash(),
            received_at: now,
            deadline: None,
            request_id: RequestId::mint(now, random::bytes()),
            trace: None,
            document: RawValue::from_string(text)?,
        })
    }

    /// Puts submissions on the lane where nobody waits.
    pub(crate) async fn enqueue(&self, submissions: &[Submission]) -> Result<()> {
        let bodies = submissions.iter().map(|one| Ok(Bytes::from(serde_json::to_vec(one)?)));
        Ok(self.door.queue.publish(Lane::Durable, bodies.collect::<Result<_>>()?).await?)
    }

    /// Waits until everything that is on the durable lane by now was taken and dealt with: an order behind it is scored.
    pub(crate) async fn pass_durable_lane(&self, marker: &str) -> Result<()> {
        let last = self.submission(&json!({"order_id": marker, "amount": 1, "currency": "EUR"}))?;
        self.enqueue(std::slice::from_ref(&last)).await?;
        self.settled(&self.client(), last.transaction_id.as_str()).await.map(|_| ())
    }

    /// Waits until a transaction is there and no longer pending.
    pub(crate) async fn settled(&self, client: &SignedClient, id: &str) -> Result<Value> {
        eventually(PATIENCE, "the transaction to be settled", async || {
            let shown = client.get(&format!("/v1/transactions/{id}")).await.ok()?;
            let document = shown.json().ok()?;
            (shown.status == 200 && document["status"] != "pending").then_some(document)
        })
        .await
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Some((shutdown, _)) = &self.scorer {
            shutdown.cancel();
        }
    }
}

/// The document of an answer that must have this status.
pub(crate) fn told(answer: &Answer, status: u16) -> Result<Value> {
    ensure!(answer.status == status, "expected {status}: {answer:?}");
    answer.json()
}

/// The stored bytes in an answer with a verdict: all but its duration.
pub(crate) fn stored_bytes(answer: &Answer) -> Result<String> {
    ensure!(answer.status == 200, "{answer:?}");
    let text = std::str::from_utf8(&answer.body)?;
    let (stored, duration) = text.rsplit_once(",\"duration_ms\":").context("it tells its duration")?;
    duration.strip_suffix('}').context("it is an object")?.parse::<u64>()?;
    Ok(stored.to_owned())
}

/// A transaction as its owner sees it.
pub(crate) async fn shown(client: &SignedClient, id: &Value) -> Result<Value> {
    let id = id.as_str().context("a transaction has an id")?;
    told(&client.get(&format!("/v1/transactions/{id}")).await?, 200)
}

/// The types of a transaction's events, in their order.
pub(crate) fn events(transaction: &Value) -> Vec<&str> {
    transaction["events"].as_array().into_iter().flatten().filter_map(|event| event["type"].as_str()).collect()
}

/// How many revisions a transaction has.
pub(crate) fn revisions(transaction: &Value) -> usize {
    transaction["revisions"].as_array().map_or(0, Vec::len)
}

/// The codes of a verdict's reasons.
pub(crate) fn codes(verdict: &Value) -> Vec<&str> {
    verdict["reason_codes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
