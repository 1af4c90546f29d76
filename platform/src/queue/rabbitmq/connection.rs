//! Keeps one connection to the broker alive.
//!
//! Guarantee: one supervisor per process connects, declares the topology and opens the shared channels, and does it all
//! again with backoff after any failure. lapin's own recovery stays off: it replays state that we cannot see.
//! Failure: while there is no session every caller gets [`QueueError::Unavailable`] at once and consumers wait; an
//! outage is logged when it begins and when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, ConfirmSelectOptions};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::{FieldTable, LongString};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, Event};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use touchstone_schema::secret::Secret;

use super::requester::Waiters;
use super::topology;
use crate::queue::QueueError;
use crate::retry::Backoff;
use crate::transport::Trust;

/// Longest that connecting and declaring the topology may take together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that a broker that is up may take to confirm, a leader election of a quorum queue included.
pub(super) const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that a single question to the broker may take.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Seconds of silence after which either side gives the connection up, unless the URL says otherwise.
const HEARTBEAT_SECS: u16 = 10;
/// Pseudo-queue of direct reply-to.
pub(super) const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// A living connection with its shared channels. Replaced as a whole when any part of it fails.
#[derive(Debug)]
pub(super) struct Session {
    /// Tells sessions apart.
    pub(super) number: u64,
    /// For the channels of consumers and of short questions.
    pub(super) connection: Connection,
    /// Confirmed publishing, shared by all callers.
    pub(super) publishing: Channel,
    /// Requests go out and replies come in on this one, as direct reply-to demands.
    pub(super) requesting: Channel,
    broken: Notify,
}

impl Session {
    /// Asks the supervisor for a new session.
    pub(super) fn give_up(&self) {
        self.broken.notify_one();
    }

    /// Whether silence can be explained by the broker's resource alarm, during which a new connection would not help.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }
}

/// What everyone sees of the supervisor.
pub(super) type Sessions = watch::Receiver<Option<Arc<Session>>>;

/// The session of right now.
pub(super) fn current(sessions: &Sessions) -> Result<Arc<Session>, QueueError> {
    sessions.borrow().clone().ok_or(QueueError::Unavailable(None))
}

/// Connects and reconnects until it is told to stop.
pub(super) struct Supervisor {
    uri: AMQPUri,
    name: String,
    trust: Trust,
    waiters: Arc<Waiters>,
    publish_session: watch::Sender<Option<Arc<Session>>>,
    stop: CancellationToken,
}

/// Numbers sessions across all supervisors of the process, so that a receipt never fits another queue's session.
static SESSIONS: AtomicU64 = AtomicU64::new(1);

impl Supervisor {
    /// Reads the URL. Refuses one that no broker could have.
    pub(super) fn new(
        url: &Secret,
        name: String,
        trust: Trust,
        waiters: Arc<Waiters>,
        stop: CancellationToken,
    ) -> Result<(Self, Sessions), QueueError> {
        let malformed = || {
            QueueError::Refused("AMQP_URL is not an AMQP URL, such as amqp://user:password@host:5672/%2f".to_owned())
        };
        let mut uri: AMQPUri = url.expose_text().and_then(|text| text.parse().ok()).ok_or_else(malformed)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECS);
        let (publish_session, sessions) = watch::channel(None);
        Ok((Self { uri, name, trust, waiters, publish_session, stop }, sessions))
    }

    /// The first attempt, in sight of the caller: a broker that refuses us stops the start, one that is away does not.
    pub(super) async fn start(self) -> Result<tokio::task::JoinHandle<()>, QueueError> {
        let first = match self.establish().await {
            Err(QueueError::Refused(reason)) => return Err(QueueError::Refused(reason)),
            other => other,
        };
        if let Ok((session, _)) = &first {
            self.publish_session.send_replace(Some(Arc::clone(session)));
        }
        Ok(tokio::spawn(self.run(first)))
    }

    async fn run(self, first: Result<(Arc<Session>, lapin::Consumer), QueueError>) {
        let mut backoff = Backoff::default();
        let mut is_outage = false;
        let mut attempt = first;
        loop {
            match attempt {
                Ok((session, replies)) => {
                    if std::mem::take(&mut is_outage) {
                        tracing::info!("the message broker is back");
                    }
                    self.publish_session.send_replace(Some(Arc::clone(&session)));
                    let connected_at = tokio::time::Instant::now();
                    self.watch_over(&session, replies).await;
                    self.publish_session.send_replace(None);
                    self.waiters.fail_session(session.number);
                    close(&session).await;
                    if connected_at.elapsed() > Backoff::LONGEST {
                        backoff.reset();
                    }
                }
                Err(error) if !is_outage => {
                    is_outage = true;
                    tracing::error!(error = %Causes(&error), "the message broker cannot be used, trying again until it can");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = backoff.wait() => {}
            }
            attempt = tokio::select! {
                () = self.stop.cancelled() => return,
                attempt = self.establish() => attempt,
            };
        }
    }

    async fn establish(&self) -> Result<(Arc<Session>, lapin::Consumer), QueueError> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.connect())
            .await
            .map_err(|elapsed| QueueError::Unavailable(Some(Box::new(elapsed))))?
    }

    async fn connect(&self) -> Result<(Arc<Session>, lapin::Consumer), QueueError> {
        let properties = ConnectionProperties::default().with_connection_name(LongString::from(self.name.as_str()));
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.trust.pem().map(str::to_owned) };
        let runtime = lapin::runtime::default_runtime().map_err(lapin_error)?;
        let connection = Connection::connect_uri_with_config(self.uri.clone(), properties, tls, runtime)
            .await
            .map_err(lapin_error)?;
        let publishing = connection.create_channel().await.map_err(lapin_error)?;
        topology::declare(&publishing).await?;
        publishing.confirm_select(ConfirmSelectOptions::default()).await.map_err(lapin_error)?;
        let requesting = connection.create_channel().await.map_err(lapin_error)?;
        requesting.confirm_select(ConfirmSelectOptions::default()).await.map_err(lapin_error)?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let replies = requesting
            .basic_consume(REPLY_TO.into(), "replies".into(), options, FieldTable::default())
            .await
            .map_err(lapin_error)?;
        let number = SESSIONS.fetch_add(1, Ordering::Relaxed);
        let session = Session { number, connection, publishing, requesting, broken: Notify::new() };
        Ok((Arc::new(session), replies))
    }

    /// Hands replies to their waiters until something breaks or we are told to stop.
    async fn watch_over(&self, session: &Session, mut replies: lapin::Consumer) {
        let mut events = std::pin::pin!(session.connection.events_listener());
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = session.broken.notified() => {
                    tracing::warn!("a channel to the message broker broke, connecting anew");
                    return;
                }
                reply = replies.next() => match reply {
                    Some(Ok(reply)) => self.waiters.receive(reply.data),
                    Some(Err(_)) | None => {
                        tracing::warn!("the connection to the message broker is lost, connecting anew");
                        return;
                    }
                },
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(reason, "the message broker accepts no messages for lack of memory or disk");
                    }
                    Some(Event::ConnectionUnblocked) => tracing::info!("the message broker accepts messages again"),
                    Some(Event::Error(_)) | None => {
                        tracing::warn!("the connection to the message broker is lost, connecting anew");
                        return;
                    }
                    Some(_) => {}
                },
            }
        }
    }
}

/// Says goodbye, as far as the other side still listens.
async fn close(session: &Session) {
    if session.connection.status().connected() {
        let goodbye = session.connection.close(200, "OK".into());
        if !matches!(tokio::time::timeout(PROBE_TIMEOUT, goodbye).await, Ok(Ok(()))) {
            tracing::debug!("the connection to the message broker did not close cleanly");
        }
    }
}

/// What the broker says about us is a refusal; everything else is an outage.
pub(super) fn lapin_error(error: lapin::Error) -> QueueError {
    match error.kind() {
        ErrorKind::ProtocolError(answer) if is_refusal(answer.get_id()) => {
            QueueError::Refused(answer.get_message().to_string())
        }
        _ => QueueError::Unavailable(Some(Box::new(error))),
    }
}

/// Reply codes of AMQP 0-9-1 that trying again does not cure.
const fn is_refusal(code: u16) -> bool {
    const ACCESS_REFUSED: u16 = 403;
    const PRECONDITION_FAILED: u16 = 406;
    const NOT_ALLOWED: u16 = 530;
    const NOT_IMPLEMENTED: u16 = 540;
    matches!(code, ACCESS_REFUSED | PRECONDITION_FAILED | NOT_ALLOWED | NOT_IMPLEMENTED)
}

/// An error with everything that caused it, on one line.
struct Causes<'a>(&'a QueueError);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = std::error::Error::source(self.0);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
