//! Recording attempts, and the endpoints' failure clocks.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, QueryResult, Value};
use serde_json::value::RawValue;
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::ids::{EndpointId, EventId, RequestId, StoreId};
use touchstone_schema::tenant::{KeyMode, Tenant};
use touchstone_schema::time::Timestamp;

use super::{AttemptRecord, DisabledEndpoint, NextStep};
use crate::random;
use crate::store::accounts::count_change;
use crate::store::database::{column, execute, parsed, rows};
use crate::store::events::{insert_event, json};
use crate::store::{StoreError, SystemStore};

/// An endpoint that has only failed for this long is switched off (contract section 5).
pub const DISABLE_AFTER: Duration = Duration::from_secs(5 * 86_400);

const GONE: &str = "the endpoint answered 410 Gone";
const FAILING: &str = "every attempt of the last 5 days failed";

/// One round trip for the rows of a batch. A delivery is moved on only by the attempt that comes next, or by one that
/// arrived: a late record of a lease that ran out changes nothing else. Arrays hold no nulls: 0 and '' stand for them.
///
/// What is pending is told here and in other statements by what it is not: told by what it is, the planner would take
/// the index of what waits, whose size it knows only by hearsay, and compare each row that waits with each that is given.
const RECORD_POSTGRES: &str = "
WITH given AS (
    SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[],
        $8::text[], $9::text[], $10::bigint[])
    AS t (delivery_id, number, store_id, started_at, duration_ms, status, error, response_start, state, due_at)
), logged AS (
    INSERT INTO attempts (delivery_id, number, store_id, started_at, duration_ms, status, error, response_start)
    SELECT delivery_id, number, store_id, started_at, duration_ms, NULLIF(status, 0), NULLIF(error, ''), response_start
    FROM given
    ON CONFLICT DO NOTHING
)
UPDATE deliveries d
SET state = given.state, attempts = given.number, due_at = given.due_at, leased_until = 0,
    last_error = NULLIF(given.error, '')
FROM given
WHERE d.id = given.delivery_id AND d.state NOT IN ('delivered', 'dead')
    AND (d.attempts = given.number - 1 OR given.state = 'delivered')";

const LOG_SQLITE: &str = "
INSERT INTO attempts (delivery_id, number, store_id, started_at, duration_ms, status, error, response_start)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, NULLIF(value ->> 5, 0),
    NULLIF(value ->> 6, ''), value ->> 7
FROM json_each($1) WHERE TRUE
ON CONFLICT DO NOTHING";

const SETTLE_SQLITE: &str = "
UPDATE deliveries
SET state = given.state, attempts = given.number, due_at = given.due_at, leased_until = 0,
    last_error = NULLIF(given.error, '')
FROM (SELECT value ->> 0 AS delivery_id, value ->> 1 AS number, value ->> 6 AS error, value ->> 8 AS state,
    value ->> 9 AS due_at FROM json_each($1)) AS given
WHERE deliveries.id = given.delivery_id AND deliveries.state = 'pending'
    AND (deliveries.attempts = given.number - 1 OR given.state = 'delivered')";

/// Stops the clocks of endpoints that were reached. Writes nothing where none runs. Here and below rows are locked in the
/// order of their ids, so that two recorders cannot wait for each other.
const CLEAR_POSTGRES: &str = "
UPDATE endpoints SET failing_since = NULL WHERE id = ANY(ARRAY(
    SELECT id FROM endpoints WHERE id = ANY($1) AND failing_since IS NOT NULL ORDER BY id FOR UPDATE))";
const CLEAR_SQLITE: &str = "
UPDATE endpoints SET failing_since = NULL
WHERE failing_since IS NOT NULL AND id IN (SELECT value FROM json_each($1))";

/// Starts the clocks, where they do not run yet.
const START_POSTGRES: &str = "
UPDATE endpoints SET failing_since = given.since
FROM (SELECT * FROM UNNEST($1::text[], $2::bigint[]) AS t (id, since) ORDER BY id) AS given
WHERE endpoints.id = given.id AND failing_since IS NULL";
const START_SQLITE: &str = "
UPDATE endpoints SET failing_since = given.since
FROM (SELECT value ->> 0 AS id, value ->> 1 AS since FROM json_each($1)) AS given
WHERE endpoints.id = given.id AND failing_since IS NULL";

/// Switches off those of $1 that are gone ($2), or have failed since before $3.
const DISABLE_POSTGRES: &str = "
UPDATE endpoints SET enabled = 0, disabled_reason = CASE WHEN id = ANY($2) THEN $4 ELSE $5 END
WHERE id = ANY(ARRAY(
    SELECT id FROM endpoints WHERE id = ANY($1) AND enabled = 1 AND (id = ANY($2) OR failing_since <= $3)
    ORDER BY id FOR UPDATE))
RETURNING id, store_id, failing_since, disabled_reason";
const DISABLE_SQLITE: &str = "
UPDATE endpoints SET enabled = 0,
    disabled_reason = CASE WHEN id IN (SELECT value FROM json_each($2)) THEN $4 ELSE $5 END
WHERE id IN (SELECT value FROM json_each($1)) AND enabled = 1
    AND (id IN (SELECT value FROM json_each($2)) OR failing_since <= $3)
RETURNING id, store_id, failing_since, disabled_reason";

/// What a batch says of one endpoint, its records taken in order.
#[derive(Debug, Default)]
struct EndpointNews {
    reached: bool,
    failing_since: Option<Timestamp>,
    gone: bool,
}

impl SystemStore<'_> {
    /// Records attempts and what follows from them in one transaction, releases the leases, and keeps the endpoints'
    /// failing-since marks. An endpoint that is gone, or has failed for [`DISABLE_AFTER`], is switched off, and the event
    /// that tells so is added in the same transaction. Returns the endpoints that this call disabled.
    pub async fn record_attempts(
        &self,
        attempts: &[AttemptRecord],
        now: Timestamp,
    ) -> Result<Vec<DisabledEndpoint>, StoreError> {
        if attempts.is_empty() {
            return Ok(Vec::new());
        }
        let change = self.store.begin().await?;
        if self.store.is_embedded() {
            let given = json(&attempts.iter().map(as_json).collect::<Vec<_>>());
            execute(change.transaction(), LOG_SQLITE, [given.clone().into()]).await?;
            execute(change.transaction(), SETTLE_SQLITE, [given.into()]).await?;
        } else {
            execute(change.transaction(), RECORD_POSTGRES, as_arrays(attempts)).await?;
        }
        let disabled = keep_clocks(change.transaction(), attempts, now).await?;
        for endpoint in &disabled {
            count_change(change.transaction(), &endpoint.id).await?;
        }
        change.commit().await?;
        Ok(disabled)
    }
}

/// What a batch says of its endpoints, in the order of their ids.
fn news(attempts: &[AttemptRecord]) -> BTreeMap<&EndpointId, EndpointNews> {
    let mut endpoints: BTreeMap<&EndpointId, EndpointNews> = BTreeMap::new();
    for attempt in attempts {
        let news = endpoints.entry(&attempt.endpoint).or_default();
        if attempt.next == NextStep::Delivered {
            *news = EndpointNews { reached: true, ..EndpointNews::default() };
        } else {
            news.failing_since.get_or_insert(attempt.started_at);
            news.gone |= attempt.next == NextStep::DisableEndpoint;
        }
    }
    endpoints
}

async fn keep_clocks(
    transaction: &DatabaseTransaction,
    attempts: &[AttemptRecord],
    now: Timestamp,
) -> Result<Vec<DisabledEndpoint>, StoreError> {
    let embedded = transaction.get_database_backend() == DbBackend::Sqlite;
    let ids = |chosen: Vec<&EndpointId>| {
        if embedded {
            return Value::from(json(&chosen));
        }
        Value::from(chosen.into_iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>())
    };
    let endpoints = news(attempts);
    let that = |is: fn(&EndpointNews) -> bool| {
        let chosen: Vec<_> = endpoints.iter().filter(|(_, news)| is(news)).map(|(id, _)| *id).collect();
        chosen
    };
    let reached = that(|news| news.reached);
    if !reached.is_empty() {
        execute(transaction, if embedded { CLEAR_SQLITE } else { CLEAR_POSTGRES }, [ids(reached)]).await?;
    }
    let failing = that(|news| news.failing_since.is_some());
    if failing.is_empty() {
        return Ok(Vec::new());
    }
    let since = endpoints.iter().filter_map(|(id, news)| Some((*id, news.failing_since?.as_millis())));
    if embedded {
        execute(transaction, START_SQLITE, [json(&since.collect::<Vec<_>>()).into()]).await?;
    } else {
        let since = since.map(|(_, since)| since).collect::<Vec<_>>();
        execute(transaction, START_POSTGRES, [ids(failing.clone()), since.into()]).await?;
    }
    let values = [
        ids(failing),
        ids(that(|news| news.gone)),
        (now - DISABLE_AFTER).as_millis().into(),
        GONE.into(),
        FAILING.into(),
    ];
    let mut disabled = Vec::new();
    for switched in rows(transaction, if embedded { DISABLE_SQLITE } else { DISABLE_POSTGRES }, values).await? {
        disabled.push(tell(transaction, &switched, now).await?);
    }
    Ok(disabled)
}

/// Adds the event that tells of an endpoint which was switched off.
async fn tell<C: ConnectionTrait>(
    connection: &C,
    switched: &QueryResult,
    now: Timestamp,
) -> Result<DisabledEndpoint, StoreError> {
    let (id, store_id): (EndpointId, StoreId) = (parsed(switched, "id")?, parsed(switched, "store_id")?);
    let reason: String = column(switched, "disabled_reason")?;
    let failing_since = column::<Option<i64>>(switched, "failing_since")?.map(Timestamp::from_millis);
    let data = serde_json::json!({
        "endpoint_id": id,
        "reason": reason,
        "failing_since": failing_since.map(Timestamp::to_rfc3339),
        "disabled_at": now.to_rfc3339(),
    });
    let event = Event {
        id: EventId::mint(now, random::bytes()),
        tenant: Tenant { store_id: store_id.clone(), mode: KeyMode::Live },
        transaction_id: None,
        surface: None,
        kind: EventKind::EndpointDisabled,
        sequence: 0,
        occurred_at: now,
        request_id: RequestId::mint(now, random::bytes()),
        trace: None,
        data: RawValue::from_string(data.to_string()).map_err(|error| StoreError::corrupt("event", error))?,
    };
    insert_event(connection, &event).await?;
    Ok(DisabledEndpoint { id, store_id, reason, event: event.id })
}

/// State and due time that follow from an attempt.
fn settled(attempt: &AttemptRecord) -> (&'static str, i64) {
    match attempt.next {
        NextStep::Delivered => ("delivered", attempt.started_at.as_millis()),
        NextStep::RetryAt(due) => ("pending", due.as_millis()),
        NextStep::Dead | NextStep::DisableEndpoint => ("dead", attempt.started_at.as_millis()),
    }
}

fn as_arrays(attempts: &[AttemptRecord]) -> [Value; 10] {
    let texts = |of: &dyn Fn(&AttemptRecord) -> String| Value::from(attempts.iter().map(of).collect::<Vec<String>>());
    let numbers = |of: &dyn Fn(&AttemptRecord) -> i64| Value::from(attempts.iter().map(of).collect::<Vec<i64>>());
    [
        texts(&|attempt| attempt.delivery.as_str().to_owned()),
        numbers(&|attempt| attempt.number.into()),
        texts(&|attempt| attempt.store_id.as_str().to_owned()),
        numbers(&|attempt| attempt.started_at.as_millis()),
        numbers(&|attempt| attempt.duration_ms.into()),
        numbers(&|attempt| attempt.status.unwrap_or(0).into()),
        texts(&|attempt| attempt.error.clone().unwrap_or_default()),
        texts(&|attempt| attempt.response_start.clone()),
        texts(&|attempt| settled(attempt).0.to_owned()),
        numbers(&|attempt| settled(attempt).1),
    ]
}

fn as_json(attempt: &AttemptRecord) -> serde_json::Value {
    let (state, due_at) = settled(attempt);
    serde_json::json!([
        attempt.delivery,
        attempt.number,
        attempt.store_id,
        attempt.started_at,
        attempt.duration_ms,
        attempt.status.unwrap_or(0),
        attempt.error.as_deref().unwrap_or(""),
        attempt.response_start,
        state,
        due_at,
    ])
}
