//! Measures the production path of Touchstone against a floor of the same run.
//!
//! `touchstone-bench` alternates product, floor and two controls at each number of connections and prints medians and
//! ratios; `touchstone-bench overload` offers twice what is carried, `touchstone-bench webhooks` measures deliveries, `touchstone-bench
//! backfill` files of past orders. All need the servers of `with-servers`, or start
//! their own, and the release binary `touchstone` beside them. Absolute figures drift from machine to machine and from
//! minute to minute: the ratios are the result.

mod backfill;
mod compare;
mod floor;
mod load;
mod machine;
mod order;
mod overload;
mod report;
mod subject;
mod webhooks;

use std::{io::Write, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::floor::Part;

#[derive(Parser)]
#[command(about = "Measures Touchstone against a floor of the same run")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    /// Delivers a backlog of webhooks, and webhooks beside endpoints that hang.
    Webhooks {
        /// Which parts are measured.
        #[arg(long, value_delimiter = ',', default_values_t = webhooks::Part::value_variants().to_vec(), value_enum)]
        parts: Vec<webhooks::Part>,
    },
    /// Reads a file of past orders, alone and beside orders that arrive.
    Backfill,
    /// Offers twice the carried load for a minute and counts what becomes of it.
    Overload,
    /// One of the floor's processes; started by the bench itself.
    #[command(hide = true)]
    Floor {
        /// Which.
        part: Part,
    },
}

#[derive(Args)]
struct Options {
    /// Length of a run, in seconds.
    #[arg(long, default_value_t = 8, global = true, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Times that each run is made; medians are printed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    connections: Vec<usize>,
    /// Times that a run is repeated when the host took more than 5 % of the CPU away.
    #[arg(long, default_value_t = 2)]
    repeat: u32,
    /// Deliver webhooks to a receiver in the bench, which costs the machine too.
    #[arg(long, global = true)]
    webhooks: bool,
    /// Only the floor and the controls.
    #[arg(long)]
    floor_only: bool,
    /// Length of an overload, in seconds.
    #[arg(long, default_value_t = 60, global = true)]
    overload_seconds: u64,
    /// Rows of the file of past orders.
    #[arg(long, default_value_t = 1_000_000, global = true)]
    rows: usize,
    /// Print one JSON document instead of tables.
    #[arg(long, global = true)]
    json: bool,
}

impl Options {
    fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { command, options } = Arguments::parse();
    match command {
        Some(Command::Floor { part }) => Box::pin(floor::serve(part)).await,
        Some(Command::Webhooks { parts }) => {
            let outcome = Box::pin(webhooks::run(&options, &parts)).await?;
            print(if options.json { outcome.to_json() } else { outcome.to_text() })
        }
        Some(Command::Backfill) => {
            let outcome = Box::pin(backfill::run(&options)).await?;
            print(if options.json { outcome.to_json() } else { outcome.to_text() })
        }
        Some(Command::Overload) => {
            let outcome = Box::pin(overload::run(&options)).await?;
            print(if options.json { outcome.to_json() } else { outcome.to_text() })?;
            outcome.verdict()
        }
        None => {
            let comparison = Box::pin(compare::run(&options)).await?;
            print(if options.json { report::to_json(&comparison).to_string() } else { report::to_text(&comparison) })
        }
    }
}

/// Writes a result to standard output.
fn print(text: impl std::fmt::Display) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

/// Tells on standard error how far it is; a closed standard error is no reason to stop.
fn progress(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
