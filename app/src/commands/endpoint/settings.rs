//! Settings of an endpoint, given when it is made or changed later.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;
use touchstone_platform::crypto::{MasterKeys, SealContext};
use touchstone_platform::settings::require_private;
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

/// Largest file of headers: as many as there may be, each as long as it may be, fit.
const MOST_HEADER_BYTES: u64 = 64 * 1024;

/// Settings that an endpoint may be made with.
#[derive(Debug, Default, Args)]
pub(crate) struct EndpointSettings {
    /// What it is for.
    #[arg(long, value_parser = parse_description)]
    pub(super) description: Option<String>,
    /// A header that each delivery carries, such as 'X-Shop: 7'; may be given up to 10 times. Other users of this machine
    /// can see it while the command runs: give secret ones with --header-file.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = secret_line)]
    pub(super) headers: Vec<Secret>,
    /// File of headers that each delivery carries, one a line, such as 'Authorization: Bearer …'; `-` reads standard
    /// input. The values are not shown again.
    #[arg(long, value_name = "FILE")]
    pub(super) header_file: Option<PathBuf>,
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
    /// A header in the place of all that it has; may be given up to 10 times. Other users of this machine can see it while
    /// the command runs: give secret ones with --header-file.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = secret_line)]
    headers: Vec<Secret>,
    /// File of headers in the place of all that it has, one a line; `-` reads standard input.
    #[arg(long = "header-file", value_name = "FILE")]
    header_file: Option<PathBuf>,
    /// Take away all headers that it has.
    #[arg(long, conflicts_with_all = ["headers", "header_file"])]
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

/// The headers of the command line and of the file, whose owner alone may read it.
pub(super) fn given_headers(
    mut headers: Vec<Secret>,
    file: Option<&Path>,
    output: Output,
) -> anyhow::Result<Vec<Secret>> {
    if !headers.is_empty() {
        output.warn(
            "--header shows its value to every user of this machine while the command runs; --header-file does not",
        );
    }
    let Some(file) = file else { return Ok(headers) };
    let mut text = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MOST_HEADER_BYTES + 1).read_to_end(&mut text)
    } else {
        require_private("--header-file", file)?;
        std::fs::File::open(file).and_then(|open| open.take(MOST_HEADER_BYTES + 1).read_to_end(&mut text))
    };
    read.with_context(|| format!("--header-file: {} cannot be read", file.display()))?;
    let text = Secret::new(text);
    ensure!(text.expose().len() as u64 <= MOST_HEADER_BYTES, "--header-file: is longer than headers may be");
    let lines = text.expose().split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    headers.extend(lines.map(Secret::new));
    ensure!(!headers.is_empty(), "--header-file: holds no header, expected lines of `Name: value`");
    Ok(headers)
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
    let given = given_headers(changes.headers, changes.header_file.as_deref(), output)?;
    let headers = if given.is_empty() {
        changes.clear_headers.then_some(None)
    } else {
        Some(sealed_headers(&given, &*operator.master_keys().await?, &endpoint.store_id, id)?)
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
