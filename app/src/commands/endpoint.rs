//! `touchstone endpoint`: where webhooks go.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::{MasterKeys, SealContext, generate_webhook_secret};
use touchstone_platform::random;
use touchstone_platform::store::SystemStore;
use touchstone_platform::store::accounts::{EndpointRow, OFF_BY_OPERATOR, WEBHOOK_SECRET};
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::ids::{EndpointId, EventId, RequestId, StoreId};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{KeyMode, Tenant};
use url::Url;

use super::key::shown;
use super::{DEFAULT_GRACE, Since, parse_grace, parse_since, store};
use crate::compose::Operator;
use crate::output::{Output, fields};

mod listing;
pub(crate) mod recovery;
mod settings;

use settings::EndpointChanges;
pub(crate) use settings::EndpointSettings;

/// Webhook endpoints.
#[derive(Debug, Subcommand)]
pub(crate) enum EndpointCommand {
    /// Add an endpoint; its signing secret is shown this once.
    Create {
        /// The store whose events it receives.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        /// Where to deliver.
        #[arg(long, value_parser = parse_url)]
        url: Url,
        /// Types of events that it wants; all when not given.
        #[arg(long, value_delimiter = ',')]
        events: Vec<EventKind>,
        #[command(flatten)]
        settings: EndpointSettings,
    },
    /// Change settings of an endpoint; deliveries from then on follow them.
    Set {
        /// The endpoint.
        #[arg(long)]
        endpoint: EndpointId,
        #[command(flatten)]
        changes: EndpointChanges,
    },
    /// List the endpoints of a store.
    List {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
    },
    /// Show an endpoint; of its own headers only the names.
    Show {
        /// The endpoint.
        #[arg(long)]
        endpoint: EndpointId,
    },
    /// Stop delivering to an endpoint.
    Disable {
        /// The endpoint.
        #[arg(long)]
        endpoint: EndpointId,
    },
    /// Deliver to an endpoint again.
    Enable {
        /// The endpoint.
        #[arg(long)]
        endpoint: EndpointId,
    },
    /// Give an endpoint a fresh signing secret, shown this once; the old one signs along for a while.
    Rotate {
        /// The endpoint.
        #[arg(long)]
        endpoint: EndpointId,
        /// How long the old secret signs along; 0 ends it now.
        #[arg(long, default_value = DEFAULT_GRACE, value_parser = parse_grace)]
        grace: Duration,
    },
    /// Send what the endpoint wants and has not got: what died, what waits, and what happened while it was off.
    Recover {
        /// The endpoint.
        #[arg(long)]
        endpoint: EndpointId,
        /// Only what happened since then: a time within the last 14 days, or a span before now such as 24h.
        #[arg(long, value_parser = parse_since)]
        since: Since,
    },
    /// Follow recoveries and replays.
    #[command(subcommand)]
    Recovery(recovery::RecoveryCommand),
    /// Send an `endpoint.test` event to an endpoint.
    Test {
        /// The endpoint.
        #[arg(long)]
        endpoint: EndpointId,
    },
}

/// An address that webhooks can be sent to.
fn parse_url(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("not a URL: {error}"))?;
    let sound = matches!(url.scheme(), "http" | "https") && url.has_host();
    if !sound {
        return Err("expected http:// or https:// and a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not carry credentials: deliveries are signed instead".to_owned());
    }
    Ok(url)
}

pub(crate) async fn run(command: EndpointCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    match command {
        EndpointCommand::Create { store, url, events, settings } => {
            store::existing(operator, &store).await?;
            operator.check_egress(&url)?;
            let keys = operator.master_keys().await?;
            let headers = settings::given_headers(settings.headers, settings.header_file.as_deref(), output)?;
            let settings = EndpointSettings { headers, header_file: None, ..settings };
            let wanted = Wanted { url, events, settings };
            let made = create(operator.system(), &keys, &operator.clock, store, wanted).await?;
            output.show(&made, || {
                let told = fields(&[
                    ("endpoint_id", Some(made.endpoint_id.to_string())),
                    ("secret", Some(made.secret.clone())),
                ]);
                format!(
                    "Endpoint created. Keep the secret safe: it is not shown again.\n{told}\
                     Next: touchstone endpoint test --endpoint {}",
                    made.endpoint_id
                )
            })
        }
        EndpointCommand::Set { endpoint, changes } => settings::set(&endpoint, changes, operator, output).await,
        EndpointCommand::List { store } => listing::list(&store, operator, output).await,
        EndpointCommand::Show { endpoint } => listing::show(&endpoint, operator, output).await,
        EndpointCommand::Disable { endpoint } => switch(&endpoint, false, operator, output).await,
        EndpointCommand::Enable { endpoint } => switch(&endpoint, true, operator, output).await,
        EndpointCommand::Rotate { endpoint, grace } => rotate(&endpoint, grace, operator, output).await,
        EndpointCommand::Recover { endpoint, since } => recovery::recover(&endpoint, since, operator, output).await,
        EndpointCommand::Recovery(command) => recovery::run(command, operator, output).await,
        EndpointCommand::Test { endpoint } => test(&endpoint, operator, output).await,
    }
}

/// A new endpoint with its secret, told once.
#[derive(Serialize)]
pub(crate) struct NewEndpoint {
    pub(crate) endpoint_id: EndpointId,
    pub(crate) secret: String,
}

/// What a new endpoint shall be.
pub(crate) struct Wanted {
    pub(crate) url: Url,
    pub(crate) events: Vec<EventKind>,
    pub(crate) settings: EndpointSettings,
}

/// Adds an endpoint.
pub(crate) async fn create(
    system: SystemStore<'_>,
    master_keys: &MasterKeys,
    clock: &Clock,
    store_id: StoreId,
    wanted: Wanted,
) -> anyhow::Result<NewEndpoint> {
    let now = clock.now();
    let id = EndpointId::mint(now, random::bytes());
    let secret = generate_webhook_secret();
    let sealed_secret = seal(master_keys, &secret, &store_id, &id)?;
    let settings = wanted.settings;
    let headers = settings::sealed_headers(&settings.headers, master_keys, &store_id, &id)?;
    let row = EndpointRow {
        events: wanted.events,
        description: settings.description.unwrap_or_default(),
        headers,
        rate_limit: settings.rate_limit.and_then(settings::limit),
        ordered: settings.ordered.unwrap_or(false),
        ..EndpointRow::new(id, store_id, wanted.url.as_str(), sealed_secret, now)
    };
    system.add_endpoint(&row).await.context("the endpoint cannot be added")?;
    Ok(NewEndpoint { endpoint_id: row.id, secret: shown(&secret) })
}

fn seal(keys: &MasterKeys, secret: &Secret, store: &StoreId, endpoint: &EndpointId) -> anyhow::Result<Vec<u8>> {
    let context = SealContext { store: store.as_str(), record: endpoint.as_str(), purpose: WEBHOOK_SECRET };
    Ok(keys.seal(secret.expose(), &context)?)
}

async fn existing(id: &EndpointId, operator: &Operator) -> anyhow::Result<EndpointRow> {
    let endpoint = operator.system().endpoint(id).await?;
    endpoint.with_context(|| format!("there is no endpoint {id}; see `touchstone endpoint list --store STORE`"))
}

async fn enabled(id: &EndpointId, operator: &Operator) -> anyhow::Result<EndpointRow> {
    let endpoint = existing(id, operator).await?;
    if !endpoint.enabled {
        bail!("endpoint {id} is disabled; first `touchstone endpoint enable --endpoint {id}`");
    }
    Ok(endpoint)
}

async fn switch(id: &EndpointId, enabled: bool, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let reason = Some(OFF_BY_OPERATOR);
    if !operator.system().set_endpoint_enabled(id, enabled, reason, operator.clock.now()).await? {
        existing(id, operator).await?;
    }
    output.show(&json!({ "endpoint_id": id, "enabled": enabled }), || {
        if enabled {
            format!("Endpoint {id} is enabled.\nNext: touchstone endpoint recover --endpoint {id} --since 24h")
        } else {
            format!("Endpoint {id} is disabled: new events are not planned for it.")
        }
    })
}

async fn rotate(id: &EndpointId, grace: Duration, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let endpoint = existing(id, operator).await?;
    let secret = generate_webhook_secret();
    let sealed = seal(&*operator.master_keys().await?, &secret, &endpoint.store_id, id)?;
    let now = operator.clock.now();
    let until = (!grace.is_zero()).then(|| now + grace);
    operator.system().rotate_endpoint(id, &sealed, until, now).await?;
    let until = until.map(|until| until.to_rfc3339());
    let document = json!({ "endpoint_id": id, "secret": shown(&secret), "previous_signs_until": until });
    output.show(&document, || {
        let told = fields(&[
            ("endpoint_id", Some(id.to_string())),
            ("secret", Some(shown(&secret))),
            (
                "old secret",
                Some(until.map_or("signs no more".to_owned(), |until| format!("signs along until {until}"))),
            ),
        ]);
        format!("Signing secret rotated; the new one is not shown again.\n{told}Next: give it to the receiver.")
    })
}

async fn test(id: &EndpointId, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let endpoint = enabled(id, operator).await?;
    let now = operator.clock.now();
    let event = Event {
        id: EventId::mint(now, random::bytes()),
        tenant: Tenant { store_id: endpoint.store_id, mode: KeyMode::Test },
        transaction_id: None,
        surface: None,
        kind: EventKind::EndpointTest,
        sequence: 0,
        occurred_at: now,
        request_id: RequestId::mint(now, random::bytes()),
        trace: None,
        data: serde_json::value::to_raw_value(&json!({ "endpoint_id": id, "message": "Hello from Touchstone." }))?,
    };
    operator.system().add_event(&event).await?;
    let event_id = event.id.clone();
    let announced = operator.announce(event).await;
    output.show(&json!({ "event_id": event_id, "announced": announced }), || {
        let when = if announced { "now" } else { "within seconds of the notifier's next look" };
        format!(
            "Test event {event_id} is on its way, {when}, if `touchstone serve` runs.\n\
             Next: touchstone delivery list --endpoint {id}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_addresses_are_http_without_credentials() {
        assert!(parse_url("https://shop.example/hook?a=1").is_ok());
        for wrong in
            ["shop.example/hook", "ftp://shop.example", "https://user:pw@shop.example", "http://", "mailto:a@b.c"]
        {
            assert!(parse_url(wrong).is_err(), "{wrong}");
        }
    }
}
