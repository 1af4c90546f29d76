//! `touchstone evaluate`: how well would the frauds of a labelled file have been found?

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use touchstone_schema::ids::StoreId;
use touchstone_schema::policy::StoredPolicy;
use touchstone_schema::time::Timestamp;
use touchstone_scorer::score::policy::Policy;

use crate::evaluate::{Evaluation, Origin, Rank, Request, draw, evaluate};
use crate::output::Output;

/// What to evaluate, and how.
#[derive(Debug, Args)]
pub(crate) struct EvaluateArguments {
    /// A CSV file with a header, or one compressed by gzip (.gz).
    file: PathBuf,
    /// What its columns are (TOML, or JSON by its ending); see docs/evaluate.md and examples/evaluate/.
    #[arg(long)]
    mapping: PathBuf,
    /// A policy as JSON; the built-in one unless given.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Measure from this moment on, such as 2026-03-01T00:00:00Z; earlier orders are history only.
    #[arg(long, value_parser = parse_moment)]
    from: Option<Timestamp>,
    /// Measure up to this moment; later orders are not read.
    #[arg(long, value_parser = parse_moment)]
    to: Option<Timestamp>,
    /// How many orders, cards or customers people can look at on a day.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Write ROC, precision-recall and score plots as SVG into this folder.
    #[arg(long)]
    plots: Option<PathBuf>,
    /// What the plots rank orders by.
    #[arg(long, default_value = "points")]
    rank: Rank,
}

pub(crate) async fn run(arguments: EvaluateArguments, output: Output) -> anyhow::Result<()> {
    let evaluation = tokio::task::spawn_blocking(move || measure(&arguments, output.is_json()));
    let (evaluation, origin) = evaluation.await.context("the evaluation broke off")??;
    output.show(&evaluation, || evaluation.text(&origin))
}

fn measure(arguments: &EvaluateArguments, is_json: bool) -> anyhow::Result<(Evaluation, Origin)> {
    let evaluation = evaluate(Request {
        file: &arguments.file,
        mapping: &arguments.mapping,
        policy: policy(arguments)?,
        from: arguments.from,
        to: arguments.to,
        top: usize::try_from(arguments.top)?,
        shows_progress: !is_json,
    })?;
    if let Some(folder) = &arguments.plots {
        draw(&evaluation, arguments.rank, folder)?;
    }
    let policy = arguments.policy.as_ref().map_or("built-in".to_owned(), |policy| policy.display().to_string());
    Ok((evaluation, Origin { file: arguments.file.display().to_string(), policy }))
}

fn policy(arguments: &EvaluateArguments) -> anyhow::Result<Policy> {
    let Some(path) = &arguments.policy else { return Ok(Policy::built_in()) };
    let document =
        std::fs::read_to_string(path).with_context(|| format!("the policy {} cannot be read", path.display()))?;
    // No store: the policy is used here and nowhere kept.
    let store_id = StoreId::mint(Timestamp::from_millis(0), [0; 10]);
    Policy::from_stored(&StoredPolicy { store_id, version: 1, document })
        .with_context(|| format!("the policy {} cannot be used", path.display()))
}

fn parse_moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| format!("`{text}` is no time: expected 2026-03-01T00:00:00Z"))
}
