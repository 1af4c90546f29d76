//! The Centra surface: `POST /v1/centra/{connector_token}` takes a shop's notices (contract: Centra connector).
//!
//! Guarantee: the path is the only credential and gives nothing away: it is never logged, unknown and ended ones get the
//! same bytes after the same work, and the body is looked at only afterwards. A 202 is a message that the broker has
//! confirmed. Neither the cache nor the database is asked about a path that is known, so notices are taken while both are down.
//! Failure: a broker that is away, or more notices at once than there is room for, is 503, and more than a connection may
//! send ([`Pace`]) is 429; for orders on hold the notifier's sweep finds what no notice announced.

mod attempt;
mod document;
mod pace;
pub(crate) mod read;
mod room;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::timeout;
use touchstone_platform::crypto::sha256_hex;
use touchstone_platform::directory::Snapshot;
use touchstone_platform::queue::Lane;
use touchstone_platform::store::accounts::ConnectionRow;
use touchstone_schema::centra::{FAILED_NOTICE, Notice, WAITING_NOTICE};
use touchstone_schema::tenant::{KeyMode, StoreProfile, Tenant};
use touchstone_schema::time::Timestamp;

use self::document::{NoticeRequest, TakenDocument};
pub(crate) use self::pace::Pace;
use self::read::{Content, TakenNotice, read_notice};
pub(crate) use self::room::Room;
use crate::door::{Door, SharedDoor};
use crate::http::service::Arrival;
use crate::problem::Problem;
use crate::respond::json_text;
use crate::surfaces::Knock;

/// What stands before the token in the path.
const BEFORE_TOKEN: &str = "/v1/centra/";

/// How long the broker may take to confirm a notice.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(4);

/// Where a notice came in.
struct Connector {
    connection: Arc<ConnectionRow>,
    store: Arc<StoreProfile>,
}

impl Connector {
    /// A shop's orders are real ones.
    fn tenant(&self) -> Tenant {
        Tenant { store_id: self.store.store_id.clone(), mode: KeyMode::Live }
    }
}

/// Take a notice of a Centra shop
///
/// The address that the External Fraud Prevention plugin is given. A notice is a hint: the order is fetched from the shop
/// before anything is done to it. The same notice any number of times is one screening, or one failed payment attempt.
#[utoipa::path(post, path = "/v1/centra/{connector_token}", tag = "Centra", request_body = NoticeRequest,
    params(("connector_token" = String, Path, description = "The connection's own token, its only credential.")),
    responses((status = 202, description = "Taken.", body = TakenDocument)))]
pub(crate) async fn take(State(door): State<SharedDoor>, knock: Knock) -> Result<Response, Problem> {
    let arrival = &knock.arrival;
    let connector = connector(&door, &knock.uri, arrival.at).await.ok_or_else(Problem::unknown_connector)?;
    door.notice_pace.enter(&connector.connection.id, arrival.body.len(), arrival.at).map_err(|wait| {
        tracing::warn!(connection = %connector.connection.id, "more notices than one connection may send");
        Problem::too_many_notices(wait)
    })?;
    let _place = door.notices.enter(&connector.connection.id).ok_or_else(|| {
        tracing::warn!(connection = %connector.connection.id, "more notices at once than there is room for");
        Problem::not_taken()
    })?;
    let TakenNotice { kind, reference, content } = knock.read(&door, read_notice).await?;
    count(&kind);
    match content {
        Content::Attempt(attempt) => {
            let submission = attempt::submission(&connector, reference, attempt, arrival)?;
            hand_on(&door, arrival, &connector, Lane::Durable, &submission).await?;
        }
        Content::Whole(document) => {
            let notice = notice(&connector, kind, reference, document, arrival);
            hand_on(&door, arrival, &connector, Lane::Notices, &notice).await?;
        }
    }
    Ok(json_text(StatusCode::ACCEPTED, r#"{"status":"accepted"}"#.to_owned()))
}

/// The connection that the path belongs to. The token is hashed whatever it is, and looked up by the hash.
async fn connector(door: &Door, uri: &Uri, now: Timestamp) -> Option<Connector> {
    let token = uri.path().strip_prefix(BEFORE_TOKEN).unwrap_or_default();
    let path_hash = sha256_hex(token.as_bytes());
    let directory = &door.dependencies.directory;
    let snapshot = directory.snapshot();
    match known_connector(&snapshot, &path_hash, now) {
        Some(connector) => Some(connector),
        None => known_connector(&*directory.look_again(&snapshot, &path_hash).await?, &path_hash, now),
    }
}

fn known_connector(snapshot: &Snapshot, path_hash: &str, now: Timestamp) -> Option<Connector> {
    let connection = Arc::clone(snapshot.connection_of_path(path_hash, now)?);
    let store = Arc::clone(snapshot.store(&connection.store_id)?);
    Some(Connector { connection, store })
}

fn notice(
    connector: &Connector,
    kind: String,
    reference: String,
    document: Box<RawValue>,
    arrival: &Arrival,
) -> Notice {
    Notice {
        version: Notice::VERSION,
        connection_id: connector.connection.id.clone(),
        tenant: connector.tenant(),
        document,
        kind,
        reference,
        received_at: arrival.at,
        request_id: arrival.request_id.clone(),
    }
}

/// Puts the message on its lane; returns when the broker has it for good.
async fn hand_on<T: Serialize>(
    door: &Door,
    arrival: &Arrival,
    connector: &Connector,
    lane: Lane,
    message: &T,
) -> Result<(), Problem> {
    let (request_id, connection) = (&arrival.request_id, &connector.connection.id);
    let body = serde_json::to_vec(message).map_err(|error| {
        tracing::error!(%error, %request_id, "a notice could not be written");
        Problem::internal()
    })?;
    let published = door.dependencies.queue.publish(lane, vec![Bytes::from(body)]);
    match timeout(CONFIRM_PATIENCE, published).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(%request_id, %connection, error, "a notice was not taken");
            Err(Problem::not_taken())
        }
        Err(_) => {
            tracing::warn!(%request_id, %connection, "the broker took too long to confirm a notice");
            Err(Problem::not_taken())
        }
    }
}

/// Counts by what is known: a shop cannot make new series.
fn count(kind: &str) {
    let kind = match kind {
        WAITING_NOTICE => "waiting",
        FAILED_NOTICE => "failed",
        _ => "other",
    };
    metrics::counter!("touchstone_centra_notices_total", "kind" => kind).increment(1);
}
