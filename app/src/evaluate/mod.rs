//! Evaluation: replays a labelled file through the real scoring code and measures how well it finds the frauds.
//!
//! Guarantee: an order is scored with what was known when it was placed: earlier orders, and labels from the moment they
//! were told. The same file, mapping and policy give the same figures.
//! Failure: rows that are no orders are counted and the first of them shown by line; a file without anything to measure is
//! refused. Reference: docs/evaluate.md.

mod cell;
mod mapping;
mod metrics;
mod plots;
mod report;
mod rows;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use touchstone_schema::history::Happening;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::{Assessment, RiskLevel};
use touchstone_scorer::replay::{Replay, Told};
use touchstone_scorer::score::policy::Policy;

use mapping::{Mapping, Period, ToldLabels};
use metrics::Measured;
use rows::{Row, Table};

pub(crate) use metrics::Rank;
pub(crate) use plots::draw;
pub(crate) use report::{Evaluation, Origin};

/// Refused rows that are shown.
const SHOWN_REFUSALS: usize = 5;
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The labelled file.
    pub(crate) file: &'a Path,
    /// What its columns are.
    pub(crate) mapping: &'a Path,
    /// The policy to score under.
    pub(crate) policy: Policy,
    /// Beginning of the measured period; the mapping's own when absent.
    pub(crate) from: Option<Timestamp>,
    /// Its end, which does not belong to it.
    pub(crate) to: Option<Timestamp>,
    /// How many are looked at on a day.
    pub(crate) top: usize,
    /// Whether progress is to be shown on standard error.
    pub(crate) shows_progress: bool,
}

/// How often a reason was given.
#[derive(Debug, Clone, Copy, Default)]
struct Given {
    orders: u64,
    frauds: u64,
    points: i64,
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Tally {
    measured: Vec<Measured>,
    reasons: BTreeMap<String, Given>,
    levels: BTreeMap<RiskLevel, Given>,
    history_orders: u64,
    unlabelled: u64,
    of_known_entities: u64,
    refused: u64,
    refusals: Vec<String>,
    first_measured: Option<Timestamp>,
    last_measured: Option<Timestamp>,
}

/// Replays the file and measures.
pub(crate) fn evaluate(request: Request<'_>) -> anyhow::Result<Evaluation> {
    let mapping = Mapping::read(request.mapping)?;
    let table = Table::open(request.file, &mapping)?;
    let survey = table.survey()?;
    let progress = if request.shows_progress { ProgressBar::new(survey.rows) } else { ProgressBar::hidden() };
    progress.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} orders, {per_sec}, {eta} left")?);
    let period = Period { from: request.from.or(mapping.measure.from), to: request.to.or(mapping.measure.to) };
    let mut run = Run::new(request.policy, &mapping, period);
    let begun = std::time::Instant::now();
    for row in table.rows(survey)? {
        match row? {
            Err(refused) => run.tally.refuse(&format!("line {}: {}", refused.line, refused.problem)),
            Ok(row) if period.to.is_some_and(|to| row.at >= to) => break,
            Ok(row) => run.take(&row)?,
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    let tally = run.tally;
    ensure!(
        !tally.measured.is_empty(),
        "nothing was measured: {} orders before the period, {} without label, {} refused{}",
        tally.history_orders,
        tally.unlabelled,
        tally.refused,
        tally.refusals.first().map(|first| format!(" (first: {first})")).unwrap_or_default(),
    );
    Ok(Evaluation::of(tally, request.top, begun.elapsed()))
}

/// A replay and what it has to know of the file.
struct Run {
    replay: Replay,
    told: ToldLabels,
    period: Period,
    known_since: Option<Duration>,
    /// Numbers of the entities, and when the first of their frauds became known.
    entities: HashMap<String, (u32, Option<Timestamp>)>,
    tally: Tally,
}

impl Run {
    fn new(policy: Policy, mapping: &Mapping, period: Period) -> Self {
        Self {
            replay: Replay::new(policy),
            told: mapping.label.told,
            period,
            known_since: mapping.review.known_since,
            entities: HashMap::new(),
            tally: Tally::default(),
        }
    }

    fn take(&mut self, row: &Row) -> anyhow::Result<()> {
        let what = match (row.fraud, self.told) {
            (Some(true), ToldLabels::Fraud | ToldLabels::All) => Some(Happening::FraudConfirmed),
            (Some(false), ToldLabels::All) => Some(Happening::Legitimate),
            _ => None,
        };
        let told = what.map(|what| Told { what, at: row.known_at });
        let day = row.at.as_millis().div_euclid(DAY_MS);
        let (entity, is_known) = self.look_at_entity(row, day);
        let is_measured = self.period.from.is_none_or(|from| row.at >= from);
        let Some(is_fraud) = row.fraud.filter(|_| is_measured && !is_known) else {
            let counter = match (is_measured, is_known) {
                (false, _) => &mut self.tally.history_orders,
                (true, true) => &mut self.tally.of_known_entities,
                (true, false) => &mut self.tally.unlabelled,
            };
            *counter += 1;
            return self.replay.remember(&row.order, row.at, told).context("the file cannot be replayed");
        };
        let assessment = self.replay.screen(&row.order, row.at, told).context("the file cannot be replayed")?;
        self.tally.first_measured.get_or_insert(row.at);
        self.tally.last_measured = Some(row.at);
        self.tally.measure(&assessment, is_fraud, day, entity);
        Ok(())
    }

    /// The entity's number, and whether the day began with it known for a fraud.
    fn look_at_entity(&mut self, row: &Row, day: i64) -> (Option<u32>, bool) {
        let Some(name) = &row.entity else { return (None, false) };
        let next = u32::try_from(self.entities.len()).unwrap_or(u32::MAX);
        if !self.entities.contains_key(name) {
            self.entities.insert(name.clone(), (next, None));
        }
        let Some((number, known_at)) = self.entities.get_mut(name) else { return (None, false) };
        let day_begins = Timestamp::from_millis(day.saturating_mul(DAY_MS));
        let is_known = known_at.is_some_and(|known_at| known_at < day_begins);
        let counts = self.known_since.is_some_and(|span| self.period.from.is_none_or(|from| row.at >= from - span));
        if row.fraud == Some(true) && counts {
            *known_at = Some(known_at.map_or(row.known_at, |earlier| earlier.min(row.known_at)));
        }
        (Some(*number), is_known)
    }
}

impl Tally {
    fn refuse(&mut self, problem: &str) {
        self.refused += 1;
        if self.refusals.len() < SHOWN_REFUSALS {
            self.refusals.push(problem.to_owned());
        }
    }

    fn measure(&mut self, assessment: &Assessment, is_fraud: bool, day: i64, entity: Option<u32>) {
        let frauds = u64::from(is_fraud);
        let points = assessment.reasons.iter().map(|reason| reason.points).fold(0, i32::saturating_add);
        for reason in &assessment.reasons {
            if !self.reasons.contains_key(&reason.code) {
                self.reasons.insert(reason.code.clone(), Given::default());
            }
            if let Some(given) = self.reasons.get_mut(&reason.code) {
                given.add(frauds, reason.points);
            }
        }
        self.levels.entry(assessment.risk_level).or_default().add(frauds, points);
        self.measured.push(Measured { points, score: assessment.risk_score, is_fraud, day, entity });
    }
}

impl Given {
    fn add(&mut self, frauds: u64, points: i32) {
        self.orders += 1;
        self.frauds += frauds;
        self.points += i64::from(points);
    }
}

#[cfg(test)]
mod tests;
