//! Endpoints as operators see them: of secrets only the names.

use serde_json::{Value, json};
use touchstone_platform::store::accounts::EndpointRow;
use touchstone_schema::ids::{EndpointId, StoreId};

use super::{existing, store};
use crate::compose::Operator;
use crate::output::{Output, fields, table};

fn document(endpoint: &EndpointRow) -> Value {
    json!({
        "endpoint_id": endpoint.id,
        "url": endpoint.url,
        "description": endpoint.description,
        "events": endpoint.events,
        "headers": names(endpoint),
        "rate_limit": endpoint.rate_limit,
        "ordered": endpoint.ordered,
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": endpoint.failing_since.map(|at| at.to_rfc3339()),
        "previous_secret_until": endpoint.previous_secret.as_ref().map(|(_, until)| until.to_rfc3339()),
        "created_at": endpoint.created_at.to_rfc3339(),
    })
}

fn names(endpoint: &EndpointRow) -> &[String] {
    endpoint.headers.as_ref().map_or(&[], |headers| &headers.names)
}

fn events_of(endpoint: &EndpointRow) -> String {
    let events: Vec<_> = endpoint.events.iter().map(|kind| kind.as_str()).collect();
    if events.is_empty() { "all".to_owned() } else { events.join(", ") }
}

fn state_of(endpoint: &EndpointRow) -> String {
    match (endpoint.enabled, &endpoint.failing_since) {
        (false, _) => format!("disabled: {}", endpoint.disabled_reason.as_deref().unwrap_or("by an operator")),
        (true, Some(since)) => format!("enabled; failing since {}", since.to_rfc3339()),
        (true, None) => "enabled".to_owned(),
    }
}

/// Shows the endpoints of a store.
pub(super) async fn list(store: &StoreId, operator: &Operator, output: Output) -> anyhow::Result<()> {
    store::existing(operator, store).await?;
    let endpoints = operator.system().endpoints(store).await?;
    let documents: Vec<_> = endpoints.iter().map(document).collect();
    output.show(&json!({ "endpoints": documents }), || {
        let rows = endpoints.iter().map(|endpoint| {
            vec![
                endpoint.id.to_string(),
                endpoint.url.clone(),
                endpoint.description.clone(),
                events_of(endpoint),
                state_of(endpoint),
            ]
        });
        let empty = format!("No endpoints yet.\nNext: touchstone endpoint create --store {store} --url https://…");
        let mut text = table(&["endpoint", "url", "for", "events", "state"], rows.collect(), &empty);
        if !endpoints.is_empty() && endpoints.iter().all(|endpoint| !endpoint.enabled) {
            text.push_str(
                "\nNo endpoint receives: nobody is told of anything.\n\
                 Next: touchstone endpoint enable --endpoint …, then touchstone endpoint recover",
            );
        }
        text
    })
}

/// Shows one endpoint.
pub(super) async fn show(id: &EndpointId, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let endpoint = existing(id, operator).await?;
    output.show(&document(&endpoint), || {
        fields(&[
            ("endpoint", Some(endpoint.id.to_string())),
            ("store", Some(endpoint.store_id.to_string())),
            ("url", Some(endpoint.url.clone())),
            ("for", Some(endpoint.description.clone()).filter(|text| !text.is_empty())),
            ("events", Some(events_of(&endpoint))),
            ("own headers", Some(names(&endpoint).join(", ")).filter(|text| !text.is_empty())),
            ("rate limit", endpoint.rate_limit.map(|limit| format!("{limit} a second"))),
            ("ordered", endpoint.ordered.then(|| "one after the other".to_owned())),
            ("state", Some(state_of(&endpoint))),
        ])
    })
}
