//! What the cache promises, on Redis and in process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use touchstone_platform::cache::{
    self, Admission, Admitted, Cache, CacheSettings, Finished, Holder, HotHistory, RateState, SignedRequest,
};
use touchstone_platform::clock::Clock;
use touchstone_schema::history::{Happening, HistoryByKey, HistoryEntry, HistoryKey, HistoryKeys, KeyedEntry};
use touchstone_schema::ids::{KeyId, StoreId, TransactionId};
use touchstone_schema::limits::{HISTORY_DEPTH, HISTORY_SPAN, IDEMPOTENCY_WINDOW, NONCE_TTL};
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{KeyMode, Surface, Tenant};
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::FinishedVerdict;
use touchstone_tests::eventually;
use touchstone_tests::process::TemporaryFolder;
use touchstone_tests::servers::Redis;

/// How long a cache that is down may take to say so: its promise of 250 ms, and a busy machine.
const SAID_WITHIN: Duration = Duration::from_millis(1_500);
const HEALS_WITHIN: Duration = Duration::from_secs(20);

struct Fixture {
    cache: Arc<dyn Cache>,
    clock: Clock,
    redis: Option<Redis>,
    folder: TemporaryFolder,
}

impl Fixture {
    async fn embedded() -> anyhow::Result<Self> {
        let clock = Clock::manual(Timestamp::from_millis(1_760_000_000_123));
        let folder = TemporaryFolder::new("cache")?;
        let cache = open_embedded(&folder, &clock).await?;
        Ok(Self { cache, clock, redis: None, folder })
    }

    async fn redis() -> anyhow::Result<Self> {
        let clock = Clock::manual(Timestamp::from_millis(1_760_000_000_123));
        let redis = Redis::start().await?;
        let cache = cache::open(&CacheSettings::Redis { url: Secret::new(redis.url()) }, &clock).await?;
        Ok(Self { cache, clock, redis: Some(redis), folder: TemporaryFolder::new("cache")? })
    }

    fn server(&mut self) -> anyhow::Result<&mut Redis> {
        self.redis.as_mut().ok_or_else(|| anyhow::anyhow!("only the Redis adapter has a server"))
    }

    async fn command(&self, words: &[&str]) -> anyhow::Result<redis::Value> {
        let url = self.redis.as_ref().ok_or_else(|| anyhow::anyhow!("no server"))?.url();
        let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        Ok(redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await?)
    }

    async fn admit(&self, request: &Request) -> anyhow::Result<Admitted> {
        let admission = Admission {
            tenant: &request.tenant,
            key: &request.key,
            limit_per_minute: request.limit,
            now: self.clock.now(),
            signed: request.is_signed.then_some(SignedRequest {
                nonce: &request.nonce,
                mark: &request.mark,
                order_id: request.order_id.as_deref(),
            }),
        };
        Ok(self.cache.admit(&admission).await?)
    }

    fn hot(&self) -> anyhow::Result<&dyn HotHistory> {
        self.cache.history().ok_or_else(|| anyhow::anyhow!("this cache keeps no history"))
    }

    async fn claim(&self) -> anyhow::Result<Holder> {
        self.hot()?.claim().await?.ok_or_else(|| anyhow::anyhow!("somebody else fills history"))
    }

    /// Declares that history is held in full, as whoever filled it does.
    async fn complete(&self) -> anyhow::Result<()> {
        let holder = self.claim().await?;
        anyhow::ensure!(self.hot()?.release(&holder, true).await?, "the right was lost");
        Ok(())
    }

    async fn remember(&self, entries: &[HistoryEntry]) -> anyhow::Result<()> {
        Ok(self.hot()?.remember(&keyed(entries), self.clock.now()).await?)
    }

    async fn load(&self, keys: &[i64]) -> anyhow::Result<Option<HistoryByKey>> {
        let keys: Vec<_> = keys.iter().copied().map(key).collect();
        Ok(self.hot()?.load(&keys, self.clock.now() - HISTORY_SPAN).await?)
    }

    async fn remember_verdict(&self, tenant: &Tenant, verdict: &FinishedVerdict) -> anyhow::Result<()> {
        let finished = [Finished { tenant, order_id: "order-1", verdict }];
        Ok(self.cache.remember(&finished, self.clock.now()).await?)
    }

    async fn finished(&self, tenant: &Tenant, order_id: &str) -> anyhow::Result<Option<FinishedVerdict>> {
        let request = Request { order_id: Some(order_id.into()), tenant: tenant.clone(), ..Request::new() };
        match self.admit(&request).await? {
            Admitted::Yes { finished, .. } => Ok(finished),
            refused => anyhow::bail!("{refused:?}"),
        }
    }

    /// Transactions of the history of one key; `None` when the cache does not hold history in full.
    async fn transactions(&self, of: i64) -> anyhow::Result<Option<Vec<TransactionId>>> {
        let history = self.load(&[of]).await?;
        Ok(history.map(|by_key| by_key[&key(of)].iter().map(|entry| entry.transaction_id.clone()).collect()))
    }
}

async fn open_embedded(folder: &TemporaryFolder, clock: &Clock) -> anyhow::Result<Arc<dyn Cache>> {
    Ok(cache::open(&CacheSettings::Embedded { path: Some(folder.path().join("nonces")) }, clock).await?)
}

#[derive(Clone)]
struct Request {
    tenant: Tenant,
    key: KeyId,
    nonce: String,
    mark: String,
    limit: u32,
    order_id: Option<String>,
    is_signed: bool,
}

impl Request {
    /// A request of its own, with room for a hundred a minute.
    fn new() -> Self {
        let text = || hex::encode(touchstone_platform::random::bytes::<8>());
        let (nonce, mark) = (text(), text());
        Self { tenant: live(1), key: key_id(1), nonce, mark, limit: 100, order_id: None, is_signed: true }
    }
}

fn live(store: u8) -> Tenant {
    Tenant { store_id: StoreId::mint(Timestamp::from_millis(0), [store; 10]), mode: KeyMode::Live }
}

fn test(store: u8) -> Tenant {
    Tenant { mode: KeyMode::Test, ..live(store) }
}

fn key_id(number: u8) -> KeyId {
    KeyId::mint(Timestamp::from_millis(0), [number; 10])
}

fn key(number: i64) -> HistoryKey {
    HistoryKey::from_i64(number)
}

fn transaction(number: u64) -> TransactionId {
    TransactionId::of_order(&Secret::new(*b"data key"), KeyMode::Live, Surface::Signed, &number.to_string())
}

fn usd(cents: i64) -> Money {
    Currency::from_code("USD").and_then(|usd| Money::from_minor(cents, usd).ok()).expect("an amount")
}

fn entry(number: u64, received_at: Timestamp, keys: HistoryKeys) -> HistoryEntry {
    HistoryEntry {
        what: Happening::Order,
        transaction_id: transaction(number),
        received_at,
        ordered_at: received_at,
        amount: usd(12_345),
        keys,
        name: Some(key(99)),
        declines: 2,
    }
}

fn keyed(entries: &[HistoryEntry]) -> Vec<KeyedEntry> {
    entries.iter().cloned().map(KeyedEntry::from).collect()
}

fn card(number: i64) -> HistoryKeys {
    HistoryKeys { card: Some(key(number)), ..HistoryKeys::default() }
}

fn verdict(received_at: Timestamp, document: &str) -> FinishedVerdict {
    FinishedVerdict { body_hash: "ab".repeat(32), received_at, verdict: document.into() }
}

fn is_let_in(outcome: &Admitted) -> bool {
    matches!(outcome, Admitted::Yes { .. })
}

fn is_limited(outcome: &Admitted) -> bool {
    matches!(outcome, Admitted::RateLimited { .. })
}

/// Makes each behaviour a test on both adapters.
macro_rules! on_both_adapters {
    ($($behaviour:ident),+ $(,)?) => {
        mod on_redis {
            $(#[tokio::test]
            async fn $behaviour() -> anyhow::Result<()> {
                super::$behaviour(super::Fixture::redis().await?).await
            })+
        }

        mod embedded {
            $(#[tokio::test]
            async fn $behaviour() -> anyhow::Result<()> {
                super::$behaviour(super::Fixture::embedded().await?).await
            })+
        }
    };
}

on_both_adapters! {
    a_minutes_requests_may_come_at_once_and_then_one_per_interval,
    rate_state_tells_what_remains_and_when_it_is_back,
    limits_are_apart_by_store_and_mode,
    lagging_clock_gives_no_extra_requests,
    replay_is_refused_within_its_key_only,
    replays_of_a_captured_request_take_no_slot,
    replay_is_told_from_a_request_too_many,
    request_over_the_limit_stores_no_nonce_however_often_it_comes,
    revoked_key_is_refused_first_and_takes_no_slot,
    a_request_without_signature_may_come_again,
    nonce_is_released_by_its_own_mark_only,
    one_of_a_hundred_identical_requests_is_let_in,
    finished_verdict_is_given_within_its_hour,
    finished_verdict_is_given_to_its_own_order_only,
    later_verdict_replaces_the_earlier,
    check_passes_when_the_cache_answers,
}

async fn a_minutes_requests_may_come_at_once_and_then_one_per_interval(fixture: Fixture) -> anyhow::Result<()> {
    let request = || Request { limit: 7, ..Request::new() };
    for number in 1..=7 {
        assert!(is_let_in(&fixture.admit(&request()).await?), "request {number} of the burst");
    }
    assert!(is_limited(&fixture.admit(&request()).await?));
    // An interval is 60 000 / 7 = 8 571.43 ms: three of them end at 8 572, 17 143 and 25 715 ms after the burst.
    for wait_ms in [8_572, 8_571, 8_572] {
        fixture.clock.advance(Duration::from_millis(wait_ms - 1));
        assert!(is_limited(&fixture.admit(&request()).await?), "too early by a millisecond");
        fixture.clock.advance(Duration::from_millis(1));
        assert!(is_let_in(&fixture.admit(&request()).await?), "due");
        assert!(is_limited(&fixture.admit(&request()).await?), "a second one");
    }
    fixture.clock.advance(Duration::from_secs(60));
    for number in 1..=7 {
        assert!(is_let_in(&fixture.admit(&request()).await?), "request {number} a minute later");
    }
    assert!(is_limited(&fixture.admit(&request()).await?));
    Ok(())
}

async fn rate_state_tells_what_remains_and_when_it_is_back(fixture: Fixture) -> anyhow::Result<()> {
    let request = || Request { limit: 3, ..Request::new() };
    for (remaining, reset_s) in [(2, 20), (1, 40), (0, 20)] {
        let rate = RateState { limit: 3, remaining, reset_s };
        assert_eq!(fixture.admit(&request()).await?, Admitted::Yes { rate, finished: None });
    }
    let rate = RateState { limit: 3, remaining: 0, reset_s: 20 };
    assert_eq!(fixture.admit(&request()).await?, Admitted::RateLimited { rate });
    fixture.clock.advance(Duration::from_millis(18_500));
    let rate = RateState { limit: 3, remaining: 0, reset_s: 2 };
    assert_eq!(fixture.admit(&request()).await?, Admitted::RateLimited { rate });
    Ok(())
}

async fn limits_are_apart_by_store_and_mode(fixture: Fixture) -> anyhow::Result<()> {
    for tenant in [live(1), test(1), live(2)] {
        let request = || Request { tenant: tenant.clone(), limit: 1, ..Request::new() };
        assert!(is_let_in(&fixture.admit(&request()).await?));
        assert!(is_limited(&fixture.admit(&request()).await?));
    }
    Ok(())
}

async fn lagging_clock_gives_no_extra_requests(fixture: Fixture) -> anyhow::Result<()> {
    let request = || Request { limit: 1, ..Request::new() };
    assert!(is_let_in(&fixture.admit(&request()).await?));
    let behind = Fixture { clock: Clock::manual(fixture.clock.now() - Duration::from_secs(120)), ..fixture };
    assert!(is_limited(&behind.admit(&request()).await?));
    behind.clock.advance(Duration::from_secs(179));
    assert!(is_limited(&behind.admit(&request()).await?));
    behind.clock.advance(Duration::from_secs(1));
    assert!(is_let_in(&behind.admit(&request()).await?));
    Ok(())
}

async fn replay_is_refused_within_its_key_only(fixture: Fixture) -> anyhow::Result<()> {
    let request = Request::new();
    assert!(is_let_in(&fixture.admit(&request).await?));
    let replay = Request { mark: "another".into(), ..request.clone() };
    assert_eq!(fixture.admit(&replay).await?, Admitted::Replayed);
    assert_eq!(fixture.admit(&Request { tenant: live(2), ..replay.clone() }).await?, Admitted::Replayed);
    assert!(is_let_in(&fixture.admit(&Request { key: key_id(2), ..replay }).await?));
    Ok(())
}

async fn replays_of_a_captured_request_take_no_slot(fixture: Fixture) -> anyhow::Result<()> {
    let captured = Request { limit: 3, ..Request::new() };
    assert!(is_let_in(&fixture.admit(&captured).await?));
    for replay in 1..=10 {
        assert_eq!(fixture.admit(&captured).await?, Admitted::Replayed, "replay {replay}");
    }
    for number in 2..=3 {
        assert!(is_let_in(&fixture.admit(&Request { limit: 3, ..Request::new() }).await?), "request {number}");
    }
    assert!(is_limited(&fixture.admit(&Request { limit: 3, ..Request::new() }).await?));
    Ok(())
}

async fn replay_is_told_from_a_request_too_many(fixture: Fixture) -> anyhow::Result<()> {
    let request = Request { limit: 1, ..Request::new() };
    assert!(is_let_in(&fixture.admit(&request).await?));
    assert!(is_limited(&fixture.admit(&Request { limit: 1, ..Request::new() }).await?));
    assert_eq!(fixture.admit(&request).await?, Admitted::Replayed, "whether or not a slot is left");
    Ok(())
}

async fn request_over_the_limit_stores_no_nonce_however_often_it_comes(fixture: Fixture) -> anyhow::Result<()> {
    assert!(is_let_in(&fixture.admit(&Request { limit: 1, ..Request::new() }).await?));
    let request = Request { limit: 1, ..Request::new() };
    for _ in 0..3 {
        assert!(is_limited(&fixture.admit(&request).await?));
    }
    fixture.clock.advance(Duration::from_secs(60));
    assert!(is_let_in(&fixture.admit(&request).await?));
    assert_eq!(fixture.admit(&request).await?, Admitted::Replayed);
    Ok(())
}

async fn revoked_key_is_refused_first_and_takes_no_slot(fixture: Fixture) -> anyhow::Result<()> {
    let request = Request { limit: 2, ..Request::new() };
    assert!(is_let_in(&fixture.admit(&request).await?));
    fixture.cache.revoke(&request.key).await?;
    for _ in 0..5 {
        assert_eq!(fixture.admit(&request).await?, Admitted::Revoked);
    }
    assert!(is_let_in(&fixture.admit(&Request { key: key_id(2), ..request.clone() }).await?));
    assert_eq!(fixture.admit(&request).await?, Admitted::Revoked, "also when no slot is left");
    Ok(())
}

async fn a_request_without_signature_may_come_again(fixture: Fixture) -> anyhow::Result<()> {
    let request = Request { limit: 3, is_signed: false, ..Request::new() };
    assert!(is_let_in(&fixture.admit(&request).await?));
    assert!(is_let_in(&fixture.admit(&request).await?));
    assert!(is_let_in(&fixture.admit(&Request { is_signed: true, ..request.clone() }).await?), "no nonce was stored");
    assert!(is_limited(&fixture.admit(&request).await?), "each took a slot");
    fixture.clock.advance(Duration::from_secs(60));
    fixture.cache.revoke(&request.key).await?;
    assert_eq!(fixture.admit(&request).await?, Admitted::Revoked);
    Ok(())
}

async fn nonce_is_released_by_its_own_mark_only(fixture: Fixture) -> anyhow::Result<()> {
    let request = Request::new();
    assert!(is_let_in(&fixture.admit(&request).await?));
    fixture.cache.release_nonce(&request.key, &request.nonce, "another").await?;
    fixture.cache.release_nonce(&key_id(2), &request.nonce, &request.mark).await?;
    assert_eq!(fixture.admit(&request).await?, Admitted::Replayed);
    fixture.cache.release_nonce(&request.key, &request.nonce, &request.mark).await?;
    assert!(is_let_in(&fixture.admit(&request).await?));
    Ok(())
}

async fn one_of_a_hundred_identical_requests_is_let_in(fixture: Fixture) -> anyhow::Result<()> {
    let request = Request { limit: 1_000, ..Request::new() };
    let requests: Vec<_> = (0..100).map(|mark| Request { mark: mark.to_string(), ..request.clone() }).collect();
    let outcomes = join_all(requests.iter().map(|request| fixture.admit(request))).await;
    let outcomes = outcomes.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    assert_eq!(outcomes.iter().filter(|outcome| is_let_in(outcome)).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Admitted::Replayed).count(), 99);
    Ok(())
}

async fn finished_verdict_is_given_within_its_hour(fixture: Fixture) -> anyhow::Result<()> {
    let finished = verdict(fixture.clock.now(), "{\"order_id\":\"zwölf\n\"}");
    fixture.clock.advance(Duration::from_secs(5));
    fixture.remember_verdict(&live(1), &finished).await?;
    assert_eq!(fixture.finished(&live(1), "order-1").await?, Some(finished.clone()));
    fixture.clock.advance(IDEMPOTENCY_WINDOW - Duration::from_millis(5_001));
    assert_eq!(fixture.finished(&live(1), "order-1").await?, Some(finished.clone()));
    fixture.clock.advance(Duration::from_millis(1));
    assert_eq!(fixture.finished(&live(1), "order-1").await?, None);
    fixture.remember_verdict(&live(1), &finished).await?;
    assert_eq!(fixture.finished(&live(1), "order-1").await?, None);
    Ok(())
}

async fn finished_verdict_is_given_to_its_own_order_only(fixture: Fixture) -> anyhow::Result<()> {
    fixture.remember_verdict(&live(1), &verdict(fixture.clock.now(), "{}")).await?;
    assert_eq!(fixture.finished(&test(1), "order-1").await?, None);
    assert_eq!(fixture.finished(&live(2), "order-1").await?, None);
    assert_eq!(fixture.finished(&live(1), "order-2").await?, None);
    let unasked = Request::new();
    assert!(matches!(fixture.admit(&unasked).await?, Admitted::Yes { finished: None, .. }));
    Ok(())
}

async fn later_verdict_replaces_the_earlier(fixture: Fixture) -> anyhow::Result<()> {
    fixture.remember_verdict(&live(1), &verdict(fixture.clock.now(), "{\"revision\":1}")).await?;
    fixture.clock.advance(IDEMPOTENCY_WINDOW);
    let second = verdict(fixture.clock.now(), "{\"revision\":2}");
    fixture.remember_verdict(&live(1), &second).await?;
    assert_eq!(fixture.finished(&live(1), "order-1").await?, Some(second));
    Ok(())
}

async fn check_passes_when_the_cache_answers(fixture: Fixture) -> anyhow::Result<()> {
    Ok(fixture.cache.check().await?)
}

#[tokio::test]
async fn nonces_and_verdicts_leave_redis_by_themselves() -> anyhow::Result<()> {
    let fixture = Fixture::redis().await?;
    fixture.admit(&Request { nonce: "once".into(), ..Request::new() }).await?;
    fixture.clock.advance(Duration::from_secs(600));
    let received_at = fixture.clock.now() - Duration::from_secs(600);
    fixture.remember_verdict(&live(1), &verdict(received_at, "{}")).await?;
    fixture.remember(&[entry(1, fixture.clock.now(), card(1))]).await?;
    for (pattern, life) in [
        ("*:nonce:once", NONCE_TTL),
        ("*:verdict:order-1", IDEMPOTENCY_WINDOW - Duration::from_secs(600)),
        ("*:backlog", Duration::from_secs(120)),
        ("hist:*", HISTORY_SPAN),
    ] {
        let names: Vec<String> = redis::from_redis_value(fixture.command(&["KEYS", pattern]).await?)?;
        assert_eq!(names.len(), 1, "{pattern}");
        let left_ms: u64 = redis::from_redis_value(fixture.command(&["PTTL", &names[0]]).await?)?;
        let left = Duration::from_millis(left_ms);
        assert!(left <= life && left + Duration::from_secs(60) > life, "{pattern}: {left:?} of {life:?}");
    }
    Ok(())
}

#[tokio::test]
async fn redis_that_may_forget_nonces_is_found_wanting() -> anyhow::Result<()> {
    let fixture = Fixture::redis().await?;
    assert_eq!(fixture.cache.shortcomings().await?, Vec::<String>::new());
    fixture.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await?;
    fixture.command(&["CONFIG", "SET", "appendonly", "no"]).await?;
    let found = fixture.cache.shortcomings().await?;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("appendonly yes") && found[1].contains("maxmemory-policy noeviction"), "{found:?}");
    Ok(())
}

#[tokio::test]
async fn redis_that_is_down_is_an_error_soon_and_heals_by_itself() -> anyhow::Result<()> {
    let mut fixture = Fixture::redis().await?;
    let request = Request::new();
    assert!(is_let_in(&fixture.admit(&request).await?));
    fixture.server()?.stop().await?;
    for _ in 0..3 {
        let asked = Instant::now();
        assert!(fixture.admit(&Request::new()).await.is_err());
        assert!(fixture.cache.check().await.is_err());
        assert!(asked.elapsed() < SAID_WITHIN, "{:?}", asked.elapsed());
    }
    fixture.server()?.restart().await?;
    eventually(HEALS_WITHIN, "the cache to answer", async || fixture.cache.check().await.ok()).await?;
    assert_eq!(fixture.admit(&request).await?, Admitted::Replayed, "nonces survive the restart");
    Ok(())
}

#[tokio::test]
async fn redis_that_is_silent_is_an_error_soon() -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("redis://{}", listener.local_addr()?);
    let cache = cache::open(&CacheSettings::Redis { url: Secret::new(url) }, &Clock::system()).await?;
    for _ in 0..2 {
        let asked = Instant::now();
        assert!(cache.check().await.is_err());
        assert!(asked.elapsed() < SAID_WITHIN, "{:?}", asked.elapsed());
    }
    Ok(())
}

#[tokio::test]
async fn malformed_redis_url_is_refused_without_showing_it() -> anyhow::Result<()> {
    let url = Secret::new("http://user:hunter2@localhost");
    let refusal = cache::open(&CacheSettings::Redis { url }, &Clock::system()).await.err();
    let refusal = refusal.ok_or_else(|| anyhow::anyhow!("it was taken"))?;
    assert!(!format!("{:?}", anyhow::Error::from(refusal)).contains("hunter2"));
    Ok(())
}

#[tokio::test]
async fn embedded_nonces_and_their_release_survive_a_restart() -> anyhow::Result<()> {
    let Fixture { cache, clock, redis, folder } = Fixture::embedded().await?;
    let (used, released) = (Request::new(), Request::new());
    let fixture = Fixture { cache, clock: clock.clone(), redis, folder };
    assert!(is_let_in(&fixture.admit(&used).await?));
    assert!(is_let_in(&fixture.admit(&released).await?));
    fixture.cache.release_nonce(&released.key, &released.nonce, &released.mark).await?;
    let Fixture { cache, folder, .. } = fixture;
    drop(cache);

    let cache = open_embedded(&folder, &clock).await?;
    let fixture = Fixture { cache, clock, redis: None, folder };
    assert_eq!(fixture.admit(&used).await?, Admitted::Replayed);
    assert!(is_let_in(&fixture.admit(&released).await?));
    fixture.clock.advance(NONCE_TTL - Duration::from_millis(1));
    assert_eq!(fixture.admit(&used).await?, Admitted::Replayed);
    fixture.clock.advance(Duration::from_millis(1));
    assert!(is_let_in(&fixture.admit(&used).await?), "it has expired");
    Ok(())
}

#[tokio::test]
async fn embedded_cache_keeps_no_history() -> anyhow::Result<()> {
    assert!(Fixture::embedded().await?.cache.history().is_none(), "the store is in the same process");
    Ok(())
}

mod history;
