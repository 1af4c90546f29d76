//! `touchstone history`: the copy of history that the cache holds, and the keys that history is found by.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;
use touchstone_platform::directory::Directory;
use touchstone_platform::refill;
use touchstone_schema::ids::StoreId;
use touchstone_scorer::rekey::Rekey;

use crate::compose::Operator;
use crate::output::Output;

/// History in the cache.
#[derive(Debug, Subcommand)]
pub(crate) enum HistoryCommand {
    /// Fill the cache's history anew from the database. Scorers do this by themselves when the cache lost it; orders go on
    /// being scored meanwhile, with history from the database.
    Rebuild,
    /// Compute the keys of existing history again from the stored orders, after an upgrade that makes keys differently.
    /// Entries without a stored order lose the key of their IP address. Orders go on being scored meanwhile; a run that was
    /// stopped goes on where it was. At its end the cache's history is filled from the database.
    Rekey(RekeyArguments),
}

/// What to do again.
#[derive(Debug, clap::Args)]
pub(crate) struct RekeyArguments {
    /// Only the history of this store.
    #[arg(long, value_name = "ID")]
    store: Option<StoreId>,
    /// Count what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(command: HistoryCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    match command {
        HistoryCommand::Rebuild => rebuild(operator, output).await,
        HistoryCommand::Rekey(arguments) => rekey(arguments, operator, output).await,
    }
}

async fn rebuild(operator: &Operator, output: Output) -> anyhow::Result<()> {
    let cache = operator.shared_cache().await?;
    let hot = cache.as_deref().and_then(touchstone_platform::cache::Cache::history);
    let hot = hot.context("in embedded mode history is read from the store; there is nothing to rebuild")?;
    let started = Instant::now();
    let progress = Line::new(output);
    let tell = |entries: u64| progress.show(&format!("{entries} entries written"));
    let rebuilt = refill::rebuild(operator.system(), hot, &operator.clock, tell).await;
    progress.end();
    let entries = rebuilt.context("history was not rebuilt, and is read from the database until it is")?;
    let took_ms = elapsed_ms(started);
    output.show(&json!({ "entries": entries, "complete": true, "duration_ms": took_ms }), || {
        format!("{entries} entries of history are in the cache, which is complete.")
    })
}

async fn rekey(arguments: RekeyArguments, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let RekeyArguments { store, dry_run } = arguments;
    if let Some(store) = &store {
        crate::commands::store::existing(operator, store).await?;
    }
    let keys = operator.master_keys().await?;
    let directory = Directory::open(operator.store().clone(), Some(keys), operator.clock.clone()).await?;
    let started = Instant::now();
    let mut rekey = Rekey::begin(operator.store(), directory.snapshot(), store, dry_run, operator.clock.now()).await?;
    let is_resumed = rekey.is_resumed();
    let progress = Line::new(output);
    while rekey.step(operator.clock.now()).await? {
        let reached = rekey.reached().map(|reached| reached.to_rfc3339()).unwrap_or_default();
        progress.show(&format!("{} entries looked at, up to {reached}", rekey.counts().looked_at));
    }
    progress.end();
    let cached = if dry_run { None } else { fill_cache(operator).await? };
    let counts = rekey.counts();
    let document = json!({
        "looked_at": counts.looked_at,
        "changed": counts.changed,
        "without_document": counts.without_document,
        "unreadable": counts.unreadable,
        "dry_run": dry_run,
        "resumed": is_resumed,
        "entries_in_cache": cached,
        "duration_ms": elapsed_ms(started),
    });
    output.show(&document, || {
        let (verb, end) = if dry_run { ("would get", "; nothing was changed") } else { ("got", "") };
        let mut text = format!(
            "{} of {} entries of history {verb} other keys{end}. {} have no stored order, {} have one that cannot be read.",
            counts.changed, counts.looked_at, counts.without_document, counts.unreadable
        );
        if let Some(entries) = cached {
            text.push_str(&format!("\n{entries} entries of history are in the cache, which is complete."));
        }
        text
    })
}

/// Fills the cache's history from the database, where there is one: how many entries it has.
async fn fill_cache(operator: &Operator) -> anyhow::Result<Option<u64>> {
    let cache = operator.shared_cache().await?;
    let Some(hot) = cache.as_deref().and_then(touchstone_platform::cache::Cache::history) else { return Ok(None) };
    let filled = refill::rebuild(operator.system(), hot, &operator.clock, |_| ()).await;
    let help =
        "the keys in the database are new, but the cache still has the old ones: run `touchstone history rebuild`";
    filled.map(Some).context(help)
}

fn elapsed_ms(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A line of progress on standard error, where that is a terminal.
struct Line {
    is_watched: bool,
}

impl Line {
    fn new(output: Output) -> Self {
        Self { is_watched: std::io::stderr().is_terminal() && !output.is_json() }
    }

    fn show(&self, text: &str) {
        if self.is_watched {
            // A terminal that is gone is no reason to stop.
            let _ = write!(std::io::stderr().lock(), "\r{text}");
        }
    }

    fn end(&self) {
        if self.is_watched {
            let _ = writeln!(std::io::stderr().lock());
        }
    }
}
