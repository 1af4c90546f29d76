//! Settings of an endpoint, given when it is made or changed later.

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use touchstone_platform::crypto::{MasterKeys, SealContext};
use touchstone_platform::store::accounts::{EndpointChange, SealedHeaders, WEBHOOK_HEADERS};
use touchstone_schema::event::EventKind;
use touchstone_schema::ids::{EndpointId, StoreId};
use touchstone_schema::limits::{ENDPOINT_DESCRIPTION_CHARS, ENDPOINT_RATE_MOST};
use touchstone_schema::own_headers::OwnHeaders;
use touchstone_schema::secret::Secret;
use url::Url;

use super::{existing, parse_url};
use crate::compose::Operator;
use crate::output::Output;

/// Settings that an endpoint may be made with.
#[derive(Debug, Default, Args)]
pub(crate) struct EndpointSettings {
    /// What it is for.
    #[arg(long, value_parser = parse_description)]
    pub(super) description: Option<String>,
    /// A header that each delivery carries, such as 'Authorization: Bearer …'; may be given up to 10 times. The values
    /// are not shown again.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = secret_line)]
    pub(super) headers: Vec<Secret>,
    /// Most deliveries a second; 0, and when not given: no limit.
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate)]
    pub(super) rate_limit: Option<u32>,
    /// true: one delivery after the other, in the order of the events.
    #[arg(long, value_name = "TRUE|FALSE")]
    pub(super) ordered: Option<bool>,
}

/// Settings to change.
#[derive(Debug, Args)]
#[group(id = "changes", required = true, multiple = true)]
pub(crate) struct EndpointChanges {
    /// Where to deliver from now on.
    #[arg(long, value_parser = parse_url)]
    url: Option<Url>,
    /// Types of events that it wants.
    #[arg(long, value_delimiter = ',')]
    events: Vec<EventKind>,
    /// It wants events of all types.
    #[arg(long, conflicts_with = "events")]
    all_events: bool,
    /// What it is for.
    #[arg(long = "description", value_parser = parse_description)]
    description: Option<String>,
    /// Headers in the place of all that it has; may be given up to 10 times.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = secret_line)]
    headers: Vec<Secret>,
    /// Take away all headers that it has.
    #[arg(long, conflicts_with = "headers")]
    clear_headers: bool,
    /// Most deliveries a second; 0: no limit.
    #[arg(long = "rate-limit", value_name = "PER_SECOND", value_parser = parse_rate)]
    rate_limit: Option<u32>,
    /// true: one delivery after the other, in the order of the events.
    #[arg(long = "ordered", value_name = "TRUE|FALSE")]
    ordered: Option<bool>,
}

/// Takes any text, so that no message of the command line quotes a secret; [`OwnHeaders`] judges it.
fn secret_line(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

fn parse_description(text: &str) -> Result<String, String> {
    let sound = text.chars().count() <= ENDPOINT_DESCRIPTION_CHARS && !text.chars().any(char::is_control);
    let refused = || format!("a description is one line of at most {ENDPOINT_DESCRIPTION_CHARS} characters");
    sound.then(|| text.to_owned()).ok_or_else(refused)
}

fn parse_rate(text: &str) -> Result<u32, String> {
    let rate = text.parse().ok().filter(|rate| *rate <= ENDPOINT_RATE_MOST);
    rate.ok_or_else(|| format!("expected a number of deliveries a second from 0 (no limit) to {ENDPOINT_RATE_MOST}"))
}

/// The limit that a flag stands for.
pub(super) fn limit(rate: u32) -> Option<u32> {
    (rate > 0).then_some(rate)
}

/// The headers sealed for their endpoint; none when none are given.
pub(super) fn sealed_headers(
    given: &[Secret],
    keys: &MasterKeys,
    store: &StoreId,
    endpoint: &EndpointId,
) -> anyhow::Result<Option<SealedHeaders>> {
    if given.is_empty() {
        return Ok(None);
    }
    let headers = OwnHeaders::parse(given.iter().map(Secret::expose))?;
    let context = SealContext { store: store.as_str(), record: endpoint.as_str(), purpose: WEBHOOK_HEADERS };
    let sealed = keys.seal(headers.write().expose(), &context)?;
    Ok(Some(SealedHeaders { names: headers.names(), sealed }))
}

/// Changes the settings that are given.
pub(super) async fn set(
    id: &EndpointId,
    changes: EndpointChanges,
    operator: &Operator,
    output: Output,
) -> anyhow::Result<()> {
    let endpoint = existing(id, operator).await?;
    if let Some(url) = &changes.url {
        operator.check_egress(url)?;
    }
    let headers = if changes.headers.is_empty() {
        changes.clear_headers.then_some(None)
    } else {
        Some(sealed_headers(&changes.headers, &*operator.master_keys()?, &endpoint.store_id, id)?)
    };
    let change = EndpointChange {
        url: changes.url.map(String::from),
        events: (changes.all_events || !changes.events.is_empty()).then_some(changes.events),
        description: changes.description,
        headers,
        rate_limit: changes.rate_limit.map(limit),
        ordered: changes.ordered,
    };
    operator
        .system()
        .set_endpoint(id, &change, operator.clock.now())
        .await
        .context("the endpoint cannot be changed")?;
    output.show(&json!({ "endpoint_id": id, "changed": true }), || {
        format!("Endpoint {id} is changed.\nNext: touchstone endpoint show --endpoint {id}")
    })
}
