//! `touchstone centra`: shops that hold orders until they are screened (docs/centra.md).
//!
//! Guarantee: the path that a shop's notices come in by is shown once and kept as a hash; the access token is never
//! shown. What changes orders in the shop, or leaves them on hold, is told before it is done and asked for.

use std::io::{BufRead, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Subcommand};
use serde::Serialize;
use serde_json::json;
use touchstone_notifier::introspect_arguments;
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::{MasterKeys, SealContext, generate_path_token, sha256_hex};
use touchstone_platform::random;
use touchstone_platform::store::SystemStore;
use touchstone_platform::store::accounts::{CENTRA_TOKEN, ConnectionRow};
use touchstone_schema::centra::{ConnectionSettings, OrderArguments};
use touchstone_schema::ids::{ConnectionId, StoreId};
use touchstone_schema::secret::Secret;
use touchstone_schema::time::Timestamp;
use url::Url;

use super::key::shown;
use super::{DEFAULT_GRACE, parse_grace, store};
use crate::compose::Operator;
use crate::output::{Output, fields};

mod access;
mod settings;
pub(crate) mod status;

use settings::SettingFlags;

/// Where the door takes notices; the path token follows.
const NOTICE_PATH: &str = "/v1/centra/";

/// Centra shops.
#[derive(Debug, Subcommand)]
pub(crate) enum CentraCommand {
    /// Connect a store to its Centra shop; the path for the shop's plugin is shown this once.
    Connect {
        /// The store whose policy judges the shop's orders.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        /// The shop's Integration API, such as `https://brand.centra.com/graphql`.
        #[arg(long, value_parser = access::parse_api_url)]
        api_url: Url,
        /// File that holds the Integration API token; `-` reads it from standard input.
        #[arg(long, value_name = "FILE")]
        token_file: PathBuf,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Show the connections of a store, what they hold and what became of it.
    Status {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        /// Only this connection.
        #[arg(long)]
        connection: Option<ConnectionId>,
    },
    /// Change what is done with verdicts; every process follows within two seconds.
    #[command(group(ArgGroup::new("change").args(settings::FLAGS).required(true).multiple(true)))]
    Set {
        /// The connection.
        #[arg(long)]
        connection: ConnectionId,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Give a connection a fresh access token; a connection that was stopped goes on with it.
    SetToken {
        /// The connection.
        #[arg(long)]
        connection: ConnectionId,
        /// File that holds the Integration API token; `-` reads it from standard input.
        #[arg(long, value_name = "FILE")]
        token_file: PathBuf,
    },
    /// Give a connection a fresh path, shown this once; the old one is taken for a while.
    RotatePath {
        /// The connection.
        #[arg(long)]
        connection: ConnectionId,
        /// How long the old path is taken; 0 ends it now.
        #[arg(long, default_value = DEFAULT_GRACE, value_parser = parse_grace)]
        grace: Duration,
    },
    /// The emergency switch: resume every order that a store's shops hold for us.
    Release {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        /// All of them; there is no release of some.
        #[arg(long, required = true)]
        all: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// End a connection; orders that are on hold stay so until a person in the shop acts.
    Disconnect {
        /// The connection.
        #[arg(long)]
        connection: ConnectionId,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) async fn run(command: CentraCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    match command {
        CentraCommand::Connect { store, api_url, token_file, settings } => {
            let settings = settings.over(&ConnectionSettings::default())?;
            connect(store, &api_url, &token_file, settings, operator, output).await
        }
        CentraCommand::Status { store, connection } => status::show(&store, connection, operator, output).await,
        CentraCommand::Set { connection, settings } => set(&connection, settings, operator, output).await,
        CentraCommand::SetToken { connection, token_file } => {
            let row = live(&connection, operator).await?;
            let token = access::read_token(&token_file)?;
            let sealed = seal(&*operator.master_keys().await?, &token, &row.store_id, &connection)?;
            if !operator.system().set_connection_token(&connection, &sealed, operator.clock.now()).await? {
                return Err(ended(&connection));
            }
            let document = json!({ "connection_id": connection, "token_set": true, "was_stopped": row.stopped_reason });
            output.show(&document, || {
                let again = if row.stopped_reason.is_some() { " The connection was stopped and goes on." } else { "" };
                format!("Token replaced.{again}\nNext: touchstone doctor")
            })
        }
        CentraCommand::RotatePath { connection, grace } => rotate_path(&connection, grace, operator, output).await,
        CentraCommand::Release { store, all: _, yes } => release(&store, yes, operator, output).await,
        CentraCommand::Disconnect { connection, yes } => disconnect(&connection, yes, operator, output).await,
    }
}

/// A new connection with the path for the shop's plugin, told once.
#[derive(Serialize)]
pub(crate) struct NewConnection {
    pub(crate) connection_id: ConnectionId,
    pub(crate) connector_path: String,
}

/// Adds a connection.
#[expect(clippy::too_many_arguments, reason = "each is one column of the connection")]
pub(crate) async fn create(
    system: SystemStore<'_>,
    master_keys: &MasterKeys,
    clock: &Clock,
    store_id: StoreId,
    api_url: &Url,
    token: &Secret,
    settings: ConnectionSettings,
    arguments: Option<OrderArguments>,
) -> anyhow::Result<NewConnection> {
    let now = clock.now();
    let id = ConnectionId::mint(now, random::bytes());
    let path_token = generate_path_token();
    let row = ConnectionRow {
        sealed_token: seal(master_keys, token, &store_id, &id)?,
        id,
        store_id,
        api_url: api_url.to_string(),
        token_set_at: now,
        path_hash: sha256_hex(path_token.expose()),
        previous_path: None,
        settings,
        created_at: now,
        disconnected_at: None,
        stopped_reason: None,
        paused_until: Timestamp::from_millis(0),
        swept_at: None,
        arguments,
    };
    system.add_connection(&row).await.context("the connection cannot be added")?;
    Ok(NewConnection { connection_id: row.id, connector_path: path_of(&path_token) })
}

fn path_of(token: &Secret) -> String {
    format!("{NOTICE_PATH}{}", shown(token))
}

fn seal(keys: &MasterKeys, token: &Secret, store: &StoreId, connection: &ConnectionId) -> anyhow::Result<Vec<u8>> {
    let context = SealContext { store: store.as_str(), record: connection.as_str(), purpose: CENTRA_TOKEN };
    Ok(keys.seal(token.expose(), &context)?)
}

async fn connect(
    store: StoreId,
    api_url: &Url,
    token_file: &std::path::Path,
    settings: ConnectionSettings,
    operator: &Operator,
    output: Output,
) -> anyhow::Result<()> {
    store::existing(operator, &store).await?;
    access::check_api_url(api_url, operator).await?;
    let same = |row: &&ConnectionRow| row.disconnected_at.is_none() && row.api_url == api_url.as_str();
    if let Some(same) = operator.system().connections(Some(&store)).await?.iter().find(same) {
        bail!(
            "--api-url: the store is connected to {api_url} already, by {}; expected another shop. \
             `touchstone centra set`, `set-token` and `rotate-path` change a connection",
            same.id
        );
    }
    let token = access::read_token(token_file)?;
    let keys = operator.master_keys().await?;
    let shown = introspect_arguments(api_url.as_str(), &token, Arc::new(operator.egress())).await;
    let kept = shown.as_ref().ok().copied();
    let made = create(operator.system(), &keys, &operator.clock, store, api_url, &token, settings, kept).await?;
    let problem = shown.err().map(|error| format!("{:#}", anyhow::Error::new(error)));
    let mut document = told(&made, operator)?;
    document["order_arguments"] = serde_json::to_value(kept)?;
    document["order_arguments_problem"] = problem.clone().into();
    output.show(&document, || {
        let told = described(&made, operator) + &fields(&[("order argument", Some(arguments_told(kept, problem)))]);
        format!(
            "Connected. Keep the path secret: it is not shown again.\n{told}\
             Enter the URL as the `Connector url` of the External Fraud Prevention plugin in Centra.\n\
             Next: touchstone doctor, which compares what the shop serves with what is asked of it"
        )
    })
}

/// Which argument the shop's mutations take, or why that is not known yet.
fn arguments_told(shown: Option<OrderArguments>, problem: Option<String>) -> String {
    match (shown, problem) {
        (Some(shown), _) => shown.to_string(),
        (None, Some(problem)) => {
            format!("not known yet: {problem}. The notifier asks the shop before its first mutation")
        }
        (None, None) => "not known yet: the notifier asks the shop before its first mutation".to_owned(),
    }
}

/// The members of a new path, with its full URL.
fn told(made: &NewConnection, operator: &Operator) -> anyhow::Result<serde_json::Value> {
    let mut document = serde_json::to_value(made)?;
    document["connector_url"] = format!("{}{}", operator.public_url(), made.connector_path).into();
    Ok(document)
}

fn described(made: &NewConnection, operator: &Operator) -> String {
    fields(&[
        ("connection_id", Some(made.connection_id.to_string())),
        ("connector_path", Some(made.connector_path.clone())),
        ("url", Some(format!("{}{}", operator.public_url(), made.connector_path))),
    ])
}

/// The connection, which has not ended.
async fn live(id: &ConnectionId, operator: &Operator) -> anyhow::Result<ConnectionRow> {
    let row = operator.system().connection(id).await?;
    let row =
        row.with_context(|| format!("there is no connection {id}; see `touchstone centra status --store STORE`"))?;
    if row.disconnected_at.is_some() { Err(ended(id)) } else { Ok(row) }
}

fn ended(id: &ConnectionId) -> anyhow::Error {
    anyhow::anyhow!("connection {id} has ended; make a new one with `touchstone centra connect`")
}

async fn set(id: &ConnectionId, flags: SettingFlags, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let settings = flags.over(&live(id, operator).await?.settings)?;
    if !operator.system().set_connection(id, &settings, operator.clock.now()).await? {
        return Err(ended(id));
    }
    output.show(&json!({ "connection_id": id, "settings": settings }), || {
        format!("Settings changed.\n{}", settings::described(&settings))
    })
}

async fn rotate_path(id: &ConnectionId, grace: Duration, operator: &Operator, output: Output) -> anyhow::Result<()> {
    live(id, operator).await?;
    let token = generate_path_token();
    let now = operator.clock.now();
    let until = now + grace;
    if !operator.system().rotate_connection_path(id, &sha256_hex(token.expose()), until, now).await? {
        return Err(ended(id));
    }
    let made = NewConnection { connection_id: id.clone(), connector_path: path_of(&token) };
    let until = (!grace.is_zero()).then(|| until.to_rfc3339());
    let mut document = told(&made, operator)?;
    document["previous_valid_until"] = until.clone().into();
    output.show(&document, || {
        let old = until.map_or("refused now".to_owned(), |until| format!("taken until {until}"));
        let told = described(&made, operator) + &fields(&[("old path      ", Some(old))]);
        format!(
            "Path rotated; the new one is not shown again.\n{told}\
             Next: enter the URL as the `Connector url` of the External Fraud Prevention plugin in Centra"
        )
    })
}

async fn release(store: &StoreId, yes: bool, operator: &Operator, output: Output) -> anyhow::Result<()> {
    store::existing(operator, store).await?;
    let connections = operator.system().connections(Some(store)).await?;
    let connections: Vec<_> = connections.iter().filter(|row| row.disconnected_at.is_none()).collect();
    if connections.is_empty() {
        bail!("{store} has no connection to a shop, so nothing can be released from here");
    }
    let mut open = 0;
    for row in &connections {
        open += open_holds(row, operator).await?;
    }
    let warning = format!(
        "Every order that {} shop(s) of {store} hold for a fraud check will be RESUMED, {open} known of and any other that \
         is found, those included that a verdict wanted cancelled. Later orders are screened as usual.",
        connections.len()
    );
    confirm("release", &warning, yes)?;
    let released = operator.system().release_holds(store, operator.clock.now()).await?;
    let stopped: Vec<_> = connections.iter().filter(|row| row.stopped_reason.is_some()).map(|row| &row.id).collect();
    let document = json!({ "store_id": store, "releasing": released, "stopped_connections": stopped });
    output.show(&document, || {
        let mut told = format!(
            "{released} orders are to be resumed. The notifiers do the rest, as fast as the shop allows, and look \
             for more."
        );
        for id in stopped {
            told.push_str(&format!(
                "\n{id} is stopped: nothing is released by it before `touchstone centra set-token`."
            ));
        }
        told + &format!("\nNext: touchstone centra status --store {store}")
    })
}

async fn disconnect(id: &ConnectionId, yes: bool, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let row = live(id, operator).await?;
    let open = open_holds(&row, operator).await?;
    let held = match open {
        0 => "No order is known to be on hold.".to_owned(),
        _ => format!(
            "{open} order(s) are still on hold in the shop, and stay so until a person there acts; \
             `touchstone centra release --all --store {}` resumes them first.",
            row.store_id
        ),
    };
    let warning =
        format!("The shop's notices will be refused and nothing will be asked of {} any more. {held}", row.api_url);
    confirm("disconnect", &warning, yes)?;
    if !operator.system().end_connection(id, operator.clock.now()).await? {
        return Err(ended(id));
    }
    output.show(&json!({ "connection_id": id, "disconnected": true, "still_on_hold": open }), || {
        format!(
            "Disconnected. {held}\nNext: switch the External Fraud Prevention plugin off in Centra, or it goes on holding \
             orders."
        )
    })
}

async fn open_holds(row: &ConnectionRow, operator: &Operator) -> anyhow::Result<i64> {
    let counts = operator.system().hold_counts(&row.id).await?;
    Ok(counts.iter().map(|count| count.holds).sum())
}

/// Goes on only when the operator has typed the word, or said so on the command line.
fn confirm(word: &str, warning: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{warning}\nType `{word}` to go on: ").and_then(|()| stderr.flush())?;
    typed(word, std::io::stdin().lock())
}

fn typed(word: &str, mut input: impl BufRead) -> anyhow::Result<()> {
    let mut line = String::new();
    input.read_line(&mut line).context("no answer can be read")?;
    if line.trim() == word {
        return Ok(());
    }
    bail!("nothing was changed: `{word}` was not typed; `--yes` goes on without asking")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_word_goes_on() {
        assert!(typed("release", "release\n".as_bytes()).is_ok());
        for other in ["", "\n", "y\n", "yes\n", "RELEASE\n", "release all\n"] {
            assert!(typed("release", other.as_bytes()).unwrap_err().to_string().contains("nothing was changed"));
        }
    }
}
