//! A store's endpoints as its own callers see and switch them: no secret is read, not even a sealed one.
//!
//! Guarantee: an endpoint of another store is not found. A change commits with its line in the audit log.

use sea_orm::QueryResult;
use serde_json::value::RawValue;
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::ids::{EndpointId, EventId, RequestId, StoreId};
use touchstone_schema::limits::PAGE_ITEMS;
use touchstone_schema::time::Timestamp;
use url::Url;

use super::{AuditLine, audit, list, optional_time, time};
use crate::random;
use crate::store::database::{column, count, execute, parsed, row, rows};
use crate::store::events::insert_event;
use crate::store::{StoreError, SystemStore, TenantStore};

/// `disabled_reason` of an endpoint that an operator switched off.
pub const OFF_BY_OPERATOR: &str = "switched off by an operator";
/// `disabled_reason` of one that was switched off through the API.
pub const OFF_BY_API: &str = "switched off through the API";

/// Stands for what is not shown.
const HIDDEN: &str = "***";
/// Endpoints that a warning names.
const NAMED: i64 = 20;

const COLUMNS: &str = "id, store_id, url, events, description, header_names, rate_limit, ordered, enabled,
    disabled_reason, failing_since, created_at";

/// Those that nobody switched off on purpose, and whether any other endpoint of the store could have been told.
const GIVEN_UP: &str = "
SELECT p.id, p.store_id, p.disabled_reason,
    CAST(CASE WHEN EXISTS (SELECT 1 FROM endpoints o WHERE o.store_id = p.store_id AND o.enabled = 1)
        THEN 1 ELSE 0 END AS BIGINT) AS is_told
FROM endpoints p WHERE p.enabled = 0 AND COALESCE(p.disabled_reason, '') NOT IN ($1, $2)
ORDER BY p.id LIMIT $3";

const COUNT_OFF: &str = "
SELECT COUNT(*) AS given_up,
    COUNT(CASE WHEN NOT EXISTS (SELECT 1 FROM endpoints o WHERE o.store_id = p.store_id AND o.enabled = 1) THEN 1 END)
        AS untold
FROM endpoints p WHERE p.enabled = 0 AND COALESCE(p.disabled_reason, '') NOT IN ($1, $2)";

/// An endpoint without its secrets.
#[derive(Debug, Clone)]
pub struct EndpointView {
    /// The endpoint.
    pub id: EndpointId,
    /// Where to deliver, without credentials and values of the query.
    pub url: String,
    /// Which events it wants; empty means all.
    pub events: Vec<EventKind>,
    /// What it is for.
    pub description: String,
    /// Names of its own headers.
    pub header_names: Vec<String>,
    /// Most deliveries a second.
    pub rate_limit: Option<u32>,
    /// Whether its deliveries keep the order of their events.
    pub ordered: bool,
    /// Whether it receives.
    pub enabled: bool,
    /// Why it was switched off.
    pub disabled_reason: Option<String>,
    /// When its present run of failures began.
    pub failing_since: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An endpoint that was switched off because of its failures.
#[derive(Debug, Clone)]
pub struct GivenUp {
    /// The endpoint.
    pub id: EndpointId,
    /// Its store.
    pub store_id: StoreId,
    /// Why.
    pub reason: String,
    /// Whether the store has another endpoint that receives, which was told.
    pub is_told: bool,
}

/// How many endpoints were switched off because of their failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUpCounts {
    /// All of them.
    pub given_up: u64,
    /// Those whose store has no endpoint left that receives, so that nobody could be told.
    pub untold: u64,
}

/// What became of a test that was asked for.
#[derive(Debug)]
pub enum Tested {
    /// Its event is in the outbox.
    Sent(Box<Event>),
    /// The endpoint is switched off.
    Disabled,
    /// The store has no such endpoint.
    NotFound,
}

impl TenantStore<'_> {
    /// A page of the store's endpoints, oldest first.
    pub async fn endpoints(&self, after: Option<&EndpointId>, most: u64) -> Result<Vec<EndpointView>, StoreError> {
        let statement = format!("SELECT {COLUMNS} FROM endpoints WHERE store_id = $1 AND id > $2 ORDER BY id LIMIT $3");
        let most = i64::try_from(most.min(PAGE_ITEMS)).unwrap_or(i64::MAX);
        let values = [self.tenant.store_id.as_str().into(), after.map_or("", EndpointId::as_str).into(), most.into()];
        rows(&self.store.database, &statement, values).await?.iter().map(view).collect()
    }

    /// One endpoint of the store.
    pub async fn endpoint(&self, id: &EndpointId) -> Result<Option<EndpointView>, StoreError> {
        let statement = format!("SELECT {COLUMNS} FROM endpoints WHERE id = $1 AND store_id = $2");
        let values = [id.as_str().into(), self.tenant.store_id.as_str().into()];
        row(&self.store.database, &statement, values).await?.as_ref().map(view).transpose()
    }

    /// Switches an endpoint of the store on or off; false when there is none. Switching it on forgets its failures; one that
    /// is off already keeps its reason. Audited.
    pub async fn switch_endpoint(
        &self,
        id: &EndpointId,
        enabled: bool,
        actor: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE endpoints SET enabled = $3,
            disabled_reason = CASE WHEN $3 = 1 THEN NULL WHEN enabled = 0 THEN disabled_reason ELSE $4 END,
            failing_since = CASE WHEN $3 = 1 THEN NULL ELSE failing_since END WHERE id = $1 AND store_id = $2";
        let values =
            [id.as_str().into(), self.tenant.store_id.as_str().into(), i64::from(enabled).into(), OFF_BY_API.into()];
        let change = self.store.begin().await?;
        if execute(change.transaction(), sql, values).await? == 0 {
            return Ok(false);
        }
        let action = if enabled { "endpoint.enable" } else { "endpoint.disable" };
        let store = Some(&self.tenant.store_id);
        audit(&change, AuditLine { actor, store, action, detail: id.as_str(), at: now }).await?;
        change.commit().await?;
        Ok(true)
    }

    /// Puts an `endpoint.test` event of the tenant's world in the outbox, for this endpoint alone; or an example of another
    /// type with these data, for all endpoints that want it.
    pub async fn test_endpoint(
        &self,
        id: &EndpointId,
        example: Option<(EventKind, serde_json::Value)>,
        request_id: &RequestId,
        now: Timestamp,
    ) -> Result<Tested, StoreError> {
        match self.endpoint(id).await? {
            None => return Ok(Tested::NotFound),
            Some(endpoint) if !endpoint.enabled => return Ok(Tested::Disabled),
            Some(_) => {}
        }
        let greeting = || serde_json::json!({ "endpoint_id": id, "message": "Hello from Touchstone." });
        let (kind, data) = example.unwrap_or_else(|| (EventKind::EndpointTest, greeting()));
        let event = Event {
            id: EventId::mint(now, random::bytes()),
            tenant: self.tenant.clone(),
            transaction_id: None,
            surface: None,
            kind,
            sequence: 0,
            occurred_at: now,
            request_id: request_id.clone(),
            trace: None,
            data: RawValue::from_string(data.to_string()).map_err(|error| StoreError::corrupt("event", error))?,
        };
        let change = self.store.begin().await?;
        insert_event(change.transaction(), &event).await?;
        change.commit().await?;
        Ok(Tested::Sent(Box::new(event)))
    }
}

impl SystemStore<'_> {
    /// The endpoints that receive, of a store or of all.
    pub async fn enabled_endpoints(&self, store: Option<&StoreId>) -> Result<Vec<EndpointId>, StoreError> {
        let of_store = "SELECT id FROM endpoints WHERE store_id = $1 AND enabled = 1 ORDER BY id";
        let all = "SELECT id FROM endpoints WHERE enabled = 1 ORDER BY id";
        let found = match store {
            Some(store) => rows(&self.store.database, of_store, [store.as_str().into()]).await?,
            None => rows(&self.store.database, all, []).await?,
        };
        found.iter().map(|row| parsed(row, "id")).collect()
    }

    /// Endpoints that were switched off because of their failures, the oldest of them.
    pub async fn given_up_endpoints(&self) -> Result<Vec<GivenUp>, StoreError> {
        let values = [OFF_BY_OPERATOR.into(), OFF_BY_API.into(), NAMED.into()];
        let given_up = |row: &QueryResult| -> Result<_, StoreError> {
            Ok(GivenUp {
                id: parsed(row, "id")?,
                store_id: parsed(row, "store_id")?,
                reason: column::<Option<String>>(row, "disabled_reason")?.unwrap_or_default(),
                is_told: column::<i64>(row, "is_told")? != 0,
            })
        };
        rows(&self.store.database, GIVEN_UP, values).await?.iter().map(given_up).collect()
    }

    /// How many there are.
    pub async fn count_given_up_endpoints(&self) -> Result<GivenUpCounts, StoreError> {
        let values = [OFF_BY_OPERATOR.into(), OFF_BY_API.into()];
        let found = row(&self.store.database, COUNT_OFF, values).await?;
        let of = |row: QueryResult| -> Result<_, StoreError> {
            Ok(GivenUpCounts { given_up: count(&row, "given_up")?, untold: count(&row, "untold")? })
        };
        found.map_or(Ok(GivenUpCounts { given_up: 0, untold: 0 }), of)
    }
}

fn view(row: &QueryResult) -> Result<EndpointView, StoreError> {
    let names: String = column(row, "header_names")?;
    Ok(EndpointView {
        id: parsed(row, "id")?,
        url: shown_url(&column::<String>(row, "url")?),
        events: list(row, "events")?,
        description: column(row, "description")?,
        header_names: names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        rate_limit: column::<Option<i64>>(row, "rate_limit")?.and_then(|limit| u32::try_from(limit).ok()),
        ordered: column::<i64>(row, "ordered")? != 0,
        enabled: column::<i64>(row, "enabled")? != 0,
        disabled_reason: column(row, "disabled_reason")?,
        failing_since: optional_time(row, "failing_since")?,
        created_at: time(row, "created_at")?,
    })
}

/// An address to recognise an endpoint by: whoever may read the log need not learn what opens the receiver.
fn shown_url(text: &str) -> String {
    let Ok(mut url) = text.parse::<Url>() else { return HIDDEN.to_owned() };
    if !url.username().is_empty() || url.password().is_some() {
        // An address that cannot carry credentials has none.
        let _ = url.set_password(None);
        let _ = url.set_username(HIDDEN);
    }
    let names: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    if url.query().is_some() {
        let bare = url.query().is_some_and(|query| !query.contains('='));
        url.set_query(None);
        if bare {
            url.set_query(Some(HIDDEN));
        } else {
            for name in &names {
                url.query_pairs_mut().append_pair(name, HIDDEN);
            }
        }
    }
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_show_where_and_not_with_what() {
        for (url, shown) in [
            ("https://shop.example/hook", "https://shop.example/hook"),
            ("https://shop.example/hook?token=s3cret&v=2", "https://shop.example/hook?token=***&v=***"),
            ("https://shop.example/hook?s3cret", "https://shop.example/hook?***"),
            ("https://user:s3cret@shop.example/", "https://***@shop.example/"),
            ("https://shop.example/#s3cret", "https://shop.example/"),
            ("no address at all", "***"),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }

    proptest! {
        #[test]
        fn no_value_of_a_query_is_shown(names in proptest::collection::vec("[a-z]{1,8}", 1..5), value in "[A-Z]{5,20}") {
            let pairs: Vec<_> = names.iter().map(|name| format!("{name}={value}")).collect();
            let shown = shown_url(&format!("https://shop.example/?{}", pairs.join("&")));
            prop_assert!(!shown.contains(&value), "{}", shown);
        }

        #[test]
        fn any_text_is_shown_without_a_panic(text in ".{0,200}") {
            shown_url(&text);
        }
    }
}
