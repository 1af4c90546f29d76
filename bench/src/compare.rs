//! Runs product, floor and controls in turns, so that each sees the same minutes of the machine.
//!
//! Guarantee: a run from which the host stole too much is repeated, and marked if that did not help. Between two runs
//! everything comes to rest, so that nobody works off its backlog in another's window.

use std::time::{Duration, Instant};

use crate::{
    Options,
    load::Run,
    machine::{Processes, STEAL_LIMIT},
    progress,
    subject::{Floor, Product},
};

/// A machine that is busy for less than this share is at rest.
const REST: f64 = 0.05;

/// How long one look at the machine's rest takes.
const REST_LOOK: Duration = Duration::from_millis(250);

/// The longest wait for rest: other programs may never leave the machine alone.
const REST_WITHIN: Duration = Duration::from_secs(5);

/// Who was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Touchstone.
    Product,
    /// The smallest program with the same round trips.
    Floor,
    /// A bare HTTP answer.
    Hello,
    /// A bare request-reply over the broker.
    Echo,
}

impl Subject {
    /// Its name in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Floor => "floor",
            Self::Hello => "bare HTTP",
            Self::Echo => "bare request-reply",
        }
    }
}

/// All runs.
pub(crate) struct Comparison {
    /// By number of connections, subject and round.
    pub(crate) runs: Vec<Measured>,
    /// Roles of the product that logged warnings, with the number of lines.
    pub(crate) warnings: Vec<(&'static str, usize)>,
}

/// One run and its place.
pub(crate) struct Measured {
    /// How many callers at once.
    pub(crate) connections: usize,
    /// Who.
    pub(crate) subject: Subject,
    /// From 0.
    pub(crate) round: u32,
    /// What it showed.
    pub(crate) run: Run,
}

/// Makes all runs.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Comparison> {
    let floor = Box::pin(Floor::start()).await?;
    let product = if options.floor_only { None } else { Some(Box::pin(Product::start(options.webhooks)).await?) };
    let mut runs = Vec::new();
    for &connections in &options.connections {
        for round in 0..options.rounds {
            for subject in [Subject::Product, Subject::Floor, Subject::Hello, Subject::Echo] {
                let mut left = options.repeat;
                let run = loop {
                    rest().await?;
                    let window = options.window();
                    let run = match (subject, &product) {
                        (Subject::Product, Some(product)) => product.run(connections, window).await?,
                        (Subject::Product, None) => break None,
                        (Subject::Floor, _) => floor.run(connections, window).await?,
                        (Subject::Hello, _) => floor.run_hello(connections, window / 2).await?,
                        (Subject::Echo, _) => floor.run_echo(connections, window / 2).await?,
                    };
                    tell(connections, subject, &run);
                    if run.usage.steal <= STEAL_LIMIT || left == 0 {
                        break Some(run);
                    }
                    left -= 1;
                };
                runs.extend(run.map(|run| Measured { connections, subject, round, run }));
            }
        }
    }
    let warnings = product.as_ref().map(Product::warnings).unwrap_or_default();
    Ok(Comparison { runs, warnings })
}

/// Waits until the machine is idle, for a few seconds at most.
pub(crate) async fn rest() -> anyhow::Result<()> {
    let started = Instant::now();
    let nobody = Processes::default();
    while started.elapsed() < REST_WITHIN {
        let before = nobody.reading()?;
        tokio::time::sleep(REST_LOOK).await;
        if nobody.reading()?.since(&before).others < REST {
            break;
        }
    }
    Ok(())
}

fn tell(connections: usize, subject: Subject, run: &Run) {
    let (name, rate, p50) = (subject.name(), run.rate(), run.percentile(0.5));
    let (steal, others) = (run.usage.steal * 100.0, run.usage.others * 100.0);
    progress(format_args!(
        "{connections:>4} connections  {name:<18} {rate:>8.0}/s  p50 {p50:>7.2} ms  steal {steal:.0} %  others {others:.0} %"
    ));
}
