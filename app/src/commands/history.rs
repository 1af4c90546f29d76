//! `touchstone history`: the copy of history that the cache holds.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;
use touchstone_platform::refill;

use crate::compose::Operator;
use crate::output::Output;

/// History in the cache.
#[derive(Debug, Subcommand)]
pub(crate) enum HistoryCommand {
    /// Fill the cache's history anew from the database. Scorers do this by themselves when the cache lost it; orders go on
    /// being scored meanwhile, with history from the database.
    Rebuild,
}

pub(crate) async fn run(command: HistoryCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    match command {
        HistoryCommand::Rebuild => rebuild(operator, output).await,
    }
}

async fn rebuild(operator: &Operator, output: Output) -> anyhow::Result<()> {
    let cache = operator.shared_cache().await?;
    let hot = cache.as_deref().and_then(touchstone_platform::cache::Cache::history);
    let hot = hot.context("in embedded mode history is read from the store; there is nothing to rebuild")?;
    let started = Instant::now();
    let watched = std::io::stderr().is_terminal() && !output.is_json();
    let tell = |entries: u64| {
        if watched {
            // A terminal that is gone is no reason to stop.
            let _ = write!(std::io::stderr().lock(), "\r{entries} entries written");
        }
    };
    let rebuilt = refill::rebuild(operator.system(), hot, &operator.clock, tell).await;
    if watched {
        let _ = writeln!(std::io::stderr().lock());
    }
    let entries = rebuilt.context("history was not rebuilt, and is read from the database until it is")?;
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    output.show(&json!({ "entries": entries, "complete": true, "duration_ms": took_ms }), || {
        format!("{entries} entries of history are in the cache, which is complete.")
    })
}
