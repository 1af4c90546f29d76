//! The floor: the smallest programs that make the same round trips as the product, in processes of their own.
//!
//! Door: HTTP, HMAC over the body, nonce in Redis, transient message to a classic queue, direct reply-to. Worker:
//! takes whatever is waiting, one multi-row commit, replies, one acknowledgement. No parsing, no scoring, no history,
//! no event messages. The controls beside it are a bare HTTP answer and a bare request-reply.
//! Failure: every error ends the process, which shows as failed answers.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, ensure};
use futures_util::{FutureExt, StreamExt, future::try_join_all};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions},
    types::FieldTable,
};
use redis::aio::MultiplexedConnection;
use sha2::Sha256;
use sqlx::{Connection as _, PgConnection};
use tokio::{net::TcpListener, sync::oneshot};
use touchstone_platform::clock::Clock;

use crate::order;

/// The orders' queue.
const ORDERS: &str = "floor.orders";

/// The queue of the bare request-reply.
const ECHO: &str = "floor.echo";

/// RabbitMQ's name for "reply on the channel that asked".
const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// As many messages as a worker holds, and therefore its largest batch (floor.md).
const PREFETCH: u16 = 256;

/// An answer of the product's size.
const VERDICT: &str = r#"{"transaction_id":"tx_01hv3n5q7d8k2m4p6r8t0w2y4z","order_id":"floor","risk_score":12,"risk_level":"low","recommended_action":"approve","confidence":0.93,"reason_codes":["email_new","amount_above_usual"],"reasons":[{"code":"email_new","points":7,"detail":"first order with this e-mail address"},{"code":"amount_above_usual","points":5,"detail":"amount is above the usual"}],"explanation":"Low risk: 12 of 100 points.","policy_version":1,"mode":"live","scored_at":"2026-11-20T14:03:27.123Z","duration_ms":3}"#;

/// One of the floor's processes.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Part {
    /// Takes orders by HTTP.
    Door,
    /// Stores orders and replies.
    Worker,
    /// Answers HTTP at once.
    Hello,
    /// Replies at once.
    Echo,
}

/// Runs one part until it is killed. Its addresses come from `AMQP_URL`, `DATABASE_URL`, `REDIS_URL`, `BENCH_LISTEN`
/// and its secret from `BENCH_SECRET`.
pub(crate) async fn serve(part: Part) -> anyhow::Result<()> {
    match part {
        Part::Door => serve_door().await,
        Part::Worker => serve_worker().await,
        Part::Hello => {
            serve_http(|request| async move {
                drop(request.into_body().collect().await?);
                anyhow::Ok(Some(Bytes::from_static(VERDICT.as_bytes())))
            })
            .await
        }
        Part::Echo => serve_echo().await,
    }
}

/// Asks over one channel and hands each reply to the one who waits for it.
#[derive(Clone)]
pub(crate) struct Requests(Arc<RequestsState>);

struct RequestsState {
    channel: Channel,
    _connection: Connection,
    queue: &'static str,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Vec<u8>>>>,
}

impl Requests {
    /// Requests to the bare replier.
    pub(crate) async fn to_echo(amqp_url: &str) -> anyhow::Result<Self> {
        Self::open(amqp_url, ECHO).await
    }

    async fn open(amqp_url: &str, queue: &'static str) -> anyhow::Result<Self> {
        let (connection, channel) = open_queue(amqp_url, queue).await?;
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let replies = channel.basic_consume(REPLY_TO.into(), "replies".into(), options, FieldTable::default()).await?;
        let (next, waiting) = (AtomicU64::new(0), Mutex::default());
        let requests = Self(Arc::new(RequestsState { channel, _connection: connection, queue, next, waiting }));
        tokio::spawn(requests.clone().hand_out(replies));
        Ok(requests)
    }

    /// Sends `payload` and waits for the reply.
    pub(crate) async fn ask(&self, payload: &[u8]) -> anyhow::Result<Vec<u8>> {
        let state = &self.0;
        let id = state.next.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        state.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        let properties = BasicProperties::default()
            .with_delivery_mode(1)
            .with_reply_to(REPLY_TO.into())
            .with_correlation_id(id.to_string().into());
        let options = BasicPublishOptions::default();
        state.channel.basic_publish("".into(), state.queue.into(), options, payload, properties).await?;
        Ok(reply.await?)
    }

    async fn hand_out(self, mut replies: Consumer) {
        while let Some(Ok(reply)) = replies.next().await {
            let id = reply.properties.correlation_id().as_ref().and_then(|id| id.as_str().parse().ok());
            let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sender) = id.and_then(|id: u64| waiting.remove(&id)) {
                // The asker may have gone away.
                let _ = sender.send(reply.data);
            }
        }
    }
}

async fn open_queue(amqp_url: &str, queue: &'static str) -> anyhow::Result<(Connection, Channel)> {
    let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), FieldTable::default()).await?;
    Ok((connection, channel))
}

async fn serve_door() -> anyhow::Result<()> {
    let keyed = Hmac::<Sha256>::new_from_slice(setting("BENCH_SECRET")?.as_bytes())?;
    let redis = redis::Client::open(setting("REDIS_URL")?)?.get_multiplexed_async_connection().await?;
    let requests = Requests::open(&setting("AMQP_URL")?, ORDERS).await?;
    serve_http(move |request| screen(request, keyed.clone(), redis.clone(), requests.clone())).await
}

/// The reply to an order, or nothing for one that is forged or replayed.
async fn screen(
    request: Request<Incoming>,
    keyed: Hmac<Sha256>,
    mut redis: MultiplexedConnection,
    requests: Requests,
) -> anyhow::Result<Option<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let nonce = header("x-fraudshield-nonce");
    let signature = hex::decode(header("x-fraudshield-signature"))?;
    let mac = order::mac(&keyed, header("x-fraudshield-timestamp"), nonce, &body);
    if mac.verify_slice(&signature).is_err() {
        return Ok(None);
    }
    let mut command = redis::cmd("SET");
    command.arg(format!("floor:{nonce}")).arg(1).arg("NX").arg("EX").arg(660);
    if command.query_async::<Option<String>>(&mut redis).await?.is_none() {
        return Ok(None);
    }
    Ok(Some(requests.ask(&body).await?.into()))
}

/// Answers what `respond` says: 200 with a body, 401 without, a closed connection on an error.
async fn serve_http<F>(respond: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Option<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind(setting("BENCH_LISTEN")?).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let respond = respond.clone();
        let service = service_fn(move |request| {
            let answer = respond(request);
            async move {
                let body = answer.await?;
                let status = if body.is_some() { 200 } else { 401 };
                let answer = Response::builder().status(status).header("Content-Type", "application/json");
                anyhow::Ok(answer.body(Full::<Bytes>::new(body.unwrap_or_default()))?)
            }
        });
        // An error is a caller that went away.
        tokio::spawn(
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).map(|_| Ok::<_, Infallible>(())),
        );
    }
}

async fn serve_worker() -> anyhow::Result<()> {
    let (_connection, channel) = open_queue(&setting("AMQP_URL")?, ORDERS).await?;
    let mut database = PgConnection::connect(&setting("DATABASE_URL")?).await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS floor_orders (id bigint PRIMARY KEY, document bytea NOT NULL)")
        .execute(&mut database)
        .await?;
    let mut next_id = Clock::system().now().as_millis() * 1_000;
    let mut orders = consume(&channel, ORDERS).await?;
    while let Some(order) = orders.next().await {
        let mut batch = vec![order?];
        while batch.len() < usize::from(PREFETCH)
            && let Some(Some(order)) = orders.next().now_or_never()
        {
            batch.push(order?);
        }
        let ids: Vec<i64> = (next_id..).take(batch.len()).collect();
        next_id += i64::try_from(batch.len())?;
        let documents: Vec<&[u8]> = batch.iter().map(|order| order.data.as_slice()).collect();
        let stored = sqlx::query("INSERT INTO floor_orders SELECT * FROM UNNEST($1::bigint[], $2::bytea[])")
            .bind(ids)
            .bind(documents)
            .execute(&mut database)
            .await?;
        ensure!(stored.rows_affected() == batch.len() as u64, "not every order was stored");
        try_join_all(batch.iter().map(|order| reply(&channel, &order.properties))).await?;
        let last = batch.last().context("a batch has an order")?;
        channel.basic_ack(last.delivery_tag, BasicAckOptions { multiple: true }).await?;
    }
    Ok(())
}

async fn serve_echo() -> anyhow::Result<()> {
    let (_connection, channel) = open_queue(&setting("AMQP_URL")?, ECHO).await?;
    let mut requests = consume(&channel, ECHO).await?;
    while let Some(request) = requests.next().await {
        let mut batch = vec![request?];
        while let Some(Some(request)) = requests.next().now_or_never() {
            batch.push(request?);
        }
        try_join_all(batch.iter().map(|request| reply(&channel, &request.properties))).await?;
        let last = batch.last().context("a batch has a request")?;
        channel.basic_ack(last.delivery_tag, BasicAckOptions { multiple: true }).await?;
    }
    Ok(())
}

async fn consume(channel: &Channel, queue: &'static str) -> anyhow::Result<Consumer> {
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    Ok(channel.basic_consume(queue.into(), "worker".into(), options, FieldTable::default()).await?)
}

async fn reply(channel: &Channel, request: &BasicProperties) -> anyhow::Result<()> {
    let to = request.reply_to().clone().context("a request says where to reply")?;
    let id = request.correlation_id().clone().context("a request has an id")?;
    let properties = BasicProperties::default().with_delivery_mode(1).with_correlation_id(id);
    channel.basic_publish("".into(), to, BasicPublishOptions::default(), VERDICT.as_bytes(), properties).await?;
    Ok(())
}

fn setting(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: the floor is started by the bench itself"))
}
