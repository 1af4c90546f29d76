//! One file per group of commands.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use touchstone_platform::store::DatabaseRole;
use touchstone_schema::time::Timestamp;

use crate::cli::Command;
use crate::compose::{self, Operator};
use crate::output::Output;

pub(crate) mod backfill;
pub(crate) mod backup;
pub(crate) mod centra;
pub(crate) mod dead_letter;
pub(crate) mod delivery;
pub(crate) mod doctor;
pub(crate) mod endpoint;
pub(crate) mod evaluate;
pub(crate) mod history;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod merchant;
pub(crate) mod order;
pub(crate) mod policy;
pub(crate) mod probe;
pub(crate) mod rules;
pub(crate) mod serve;
pub(crate) mod shell;
pub(crate) mod store;

/// How long a secret that was rotated stays valid unless told otherwise (contract section 1).
const DEFAULT_GRACE: &str = "24h";
/// Longest grace of a rotated secret.
const LONGEST_GRACE: Duration = Duration::from_secs(7 * 86_400);

/// Runs a command. An error is a failure to be told; the code is for commands that report failures in their result.
pub(crate) async fn run(command: Command, output: &Output) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(arguments) => return Box::pin(crate::demo::run(arguments, *output)).await,
        Command::Backfill(arguments) => return Box::pin(backfill::run(arguments, *output)).await,
        Command::Doctor(arguments) => return Box::pin(doctor::run(arguments, *output)).await,
        Command::Serve(arguments) => Box::pin(serve::run(arguments, *output)).await,
        Command::Migrate(arguments) => migrate(arguments, *output).await,
        Command::Openapi => openapi(*output),
        Command::Completion(arguments) => shell::completion(&arguments, *output),
        Command::Man(arguments) => shell::man(&arguments, *output),
        Command::Probe(arguments) => probe::run(&arguments, *output).await,
        Command::Merchant(command) => Box::pin(merchant::run(command, *output)).await,
        Command::Store(command) => store::run(command, &Operator::open().await?, *output).await,
        Command::Key(command) => key::run(command, &Operator::open().await?, *output).await,
        Command::Endpoint(command) => endpoint::run(command, &Operator::open().await?, *output).await,
        Command::Delivery(command) => delivery::run(command, &Operator::open().await?, *output).await,
        Command::Centra(command) => Box::pin(centra::run(command, &Operator::open().await?, *output)).await,
        Command::Policy(command) => policy::run(command, &Operator::open().await?, *output).await,
        Command::List(command) => list::run(command, &Operator::open().await?, *output).await,
        Command::Rules(command) => rules::run(command, &Operator::open().await?, *output).await,
        Command::Order(command) => order::run(command, &Operator::open().await?, *output).await,
        Command::History(command) => history::run(command, &Operator::open().await?, *output).await,
        Command::Backup(arguments) => backup::run(arguments, &Operator::open().await?, *output).await,
        Command::Evaluate(arguments) => evaluate::run(arguments, *output).await,
        Command::DeadLetter(command) => dead_letter::run(command, &Operator::open().await?, *output).await,
    }
    .map(|()| ExitCode::SUCCESS)
}

/// How to migrate.
#[derive(Debug, Args)]
pub(crate) struct MigrateArguments {
    /// Let this PostgreSQL role read and change rows afterwards, and no more: it owns no table and cannot change the audit
    /// log. `touchstone serve` then connects as that role.
    #[arg(long, value_name = "ROLE")]
    grant_to: Option<DatabaseRole>,
}

async fn migrate(arguments: MigrateArguments, output: Output) -> anyhow::Result<()> {
    let settings = compose::load_for_command()?;
    let is_new = settings.is_embedded() && !settings.database_path().exists();
    compose::prepare_data_dir(&settings)?;
    if settings.is_embedded() && arguments.grant_to.is_some() {
        anyhow::bail!("--grant-to: a SQLite file has no roles; expected DATABASE_URL to name a PostgreSQL database");
    }
    let store = compose::connect(&settings, 1).await?;
    store.migrate().await?;
    if is_new {
        compose::say_created(&settings);
    }
    if let Some(role) = &arguments.grant_to {
        store.grant(role).await.with_context(|| {
            format!("--grant-to: the role `{role}` gets no rights; expected a role that exists, and to own the tables")
        })?;
    }
    let granted = arguments.grant_to.map(|role| role.to_string());
    output.show(&serde_json::json!({ "migrated": true, "granted_to": granted }), || {
        "The database schema is current.\nNext: `touchstone doctor` checks the rest.".to_owned()
    })
}

fn openapi(output: Output) -> anyhow::Result<()> {
    let document: serde_json::Value = serde_json::from_str(&touchstone_ingest::openapi())?;
    let pretty = serde_json::to_string_pretty(&document)?;
    output.show(&document, || pretty)
}

/// `30s`, `15m`, `24h`, `7d` or `0`.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let expected = || format!("`{text}` is not a span of time: expected a number and s, m, h or d, such as 24h");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let unit_at = text.len() - text.chars().last().map_or(0, char::len_utf8);
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(expected)
}

/// A span that a rotated secret may stay valid for.
fn parse_grace(text: &str) -> Result<Duration, String> {
    let grace = parse_span(text)?;
    if grace > LONGEST_GRACE {
        return Err(format!("`{text}` is too long: a rotated secret stays valid for at most 7d"));
    }
    Ok(grace)
}

/// When something is to begin: a point in time or a span before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    At(Timestamp),
    Ago(Duration),
}

impl Since {
    fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(span) => now - span,
        }
    }
}

fn parse_since(text: &str) -> Result<Since, String> {
    if let Some(at) = Timestamp::parse_rfc3339(text) {
        return Ok(Since::At(at));
    }
    parse_span(text)
        .map(Since::Ago)
        .map_err(|_| format!("`{text}` is no time: expected 2026-01-31T12:00:00Z or a span before now, such as 2h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        assert_eq!(parse_span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_span("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(parse_span("0"), Ok(Duration::ZERO));
        for wrong in ["", "h", "24", "-1h", "1.5h", "1w", "é", "99999999999999999999d"] {
            assert!(parse_span(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn grace_has_a_limit() {
        assert!(parse_grace("7d").is_ok());
        assert!(parse_grace("8d").unwrap_err().contains("at most 7d"));
    }

    #[test]
    fn since_is_a_time_or_a_span_before_now() {
        let now = Timestamp::from_millis(10_000_000);
        assert_eq!(parse_since("1h").unwrap().at(now), Timestamp::from_millis(6_400_000));
        assert_eq!(parse_since("1970-01-01T01:00:00Z").unwrap().at(now), Timestamp::from_millis(3_600_000));
        assert!(parse_since("yesterday").is_err());
    }
}
