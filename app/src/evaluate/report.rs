//! What an evaluation tells: one document for programs, tables for people.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::RiskLevel;
use touchstone_schema::visible::visible;

use super::metrics::{Curve, Measured, Rank, Recall, TopOfDay, ratio, top_entities, top_orders};
use super::{Given, Tally};
use crate::output::{fields, table};

/// Points of the score that one line of the reliability table covers.
const DECILE: u8 = 10;

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Evaluation {
    orders: Orders,
    points: Figures,
    score: Figures,
    levels: Vec<LevelLine>,
    reliability: Vec<ScoreLine>,
    signals: Vec<SignalLine>,
    seconds: f64,
    /// For the plots: what was measured.
    #[serde(skip)]
    pub(super) measured: Vec<Measured>,
}

/// Which orders were measured, and which were not and why.
#[derive(Debug, Serialize)]
struct Orders {
    measured: u64,
    frauds: u64,
    fraud_share: f64,
    first: Option<String>,
    last: Option<String>,
    history_only: u64,
    left_out_of_known_entities: u64,
    left_out_without_label: u64,
    refused: u64,
    refusals: Vec<String>,
}

/// How well one ranking finds the frauds.
#[derive(Debug, Serialize)]
struct Figures {
    auc_roc: Option<f64>,
    auc_roc_standard_error: Option<f64>,
    average_precision: Option<f64>,
    recall_at_1_percent: Option<Recall>,
    recall_at_5_percent: Option<Recall>,
    top_orders_a_day: Option<TopOfDay>,
    top_entities_a_day: Option<TopOfDay>,
}

/// What came of the orders of one level.
#[derive(Debug, Serialize)]
struct LevelLine {
    level: RiskLevel,
    orders: u64,
    frauds: u64,
    fraud_share: f64,
    share_of_frauds: f64,
}

/// What came of the orders of some scores.
#[derive(Debug, Serialize)]
struct ScoreLine {
    from: u8,
    to: u8,
    orders: u64,
    frauds: u64,
    fraud_share: f64,
}

/// What one reason is worth.
#[derive(Debug, Serialize)]
struct SignalLine {
    code: String,
    fired: u64,
    frauds: u64,
    fraud_share: f64,
    lift: f64,
    mean_points: f64,
}

/// What was evaluated, for the heading of the report.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The file.
    pub(crate) file: String,
    /// The policy.
    pub(crate) policy: String,
}

impl Evaluation {
    pub(super) fn of(tally: Tally, top: usize, took: Duration) -> Self {
        let frauds = tally.measured.iter().filter(|order| order.is_fraud).count() as u64;
        let measured = tally.measured.len() as u64;
        let share = ratio(frauds, measured);
        let mut signals: Vec<SignalLine> =
            tally.reasons.into_iter().map(|(code, given)| SignalLine::of(code, given, share)).collect();
        signals.sort_by(|a, b| b.lift.total_cmp(&a.lift).then_with(|| a.code.cmp(&b.code)));
        let levels = tally.levels.into_iter().map(|(level, given)| LevelLine {
            level,
            orders: given.orders,
            frauds: given.frauds,
            fraud_share: ratio(given.frauds, given.orders),
            share_of_frauds: ratio(given.frauds, frauds),
        });
        Self {
            orders: Orders {
                measured,
                frauds,
                fraud_share: share,
                first: tally.first_measured.map(Timestamp::to_rfc3339),
                last: tally.last_measured.map(Timestamp::to_rfc3339),
                history_only: tally.history_orders,
                left_out_of_known_entities: tally.of_known_entities,
                left_out_without_label: tally.unlabelled,
                refused: tally.refused,
                refusals: tally.refusals,
            },
            points: Figures::of(&tally.measured, Rank::Points, top),
            score: Figures::of(&tally.measured, Rank::Score, top),
            levels: levels.collect(),
            reliability: reliability(&tally.measured),
            signals,
            seconds: took.as_secs_f64(),
            measured: tally.measured,
        }
    }

    /// For people.
    pub(crate) fn text(&self, origin: &Origin) -> String {
        let orders = &self.orders;
        let replayed = orders.measured + orders.history_only + orders.left_out_of_known_entities;
        let rate = (replayed + orders.left_out_without_label) as f64 / self.seconds.max(1e-9);
        let period = orders.first.as_deref().zip(orders.last.as_deref());
        let left_out = |count: u64| (count > 0).then(|| count.to_string());
        let mut text = fields(&[
            ("file", Some(origin.file.clone())),
            ("policy", Some(origin.policy.clone())),
            ("measured", period.map(|(first, last)| format!("{} orders, {first} to {last}", orders.measured))),
            ("frauds", Some(format!("{} ({})", orders.frauds, percent(orders.fraud_share)))),
            ("history only", left_out(orders.history_only)),
            ("known entities", left_out(orders.left_out_of_known_entities).map(|count| format!("{count} left out"))),
            ("without label", left_out(orders.left_out_without_label).map(|count| format!("{count} left out"))),
            ("refused", left_out(orders.refused)),
            ("replayed in", Some(format!("{:.1} s, {rate:.0} orders a second", self.seconds))),
        ]);
        for refusal in &orders.refusals {
            let _ = writeln!(text, "    {}", visible(&refusal.to_string()));
        }
        text.push('\n');
        text.push_str(&table(&["", "by points", "by score"], self.figure_rows(), ""));
        let levels = self.levels.iter().map(|line| {
            let share = percent(line.share_of_frauds);
            vec![
                line.level.to_string(),
                line.orders.to_string(),
                line.frauds.to_string(),
                percent(line.fraud_share),
                share,
            ]
        });
        let header = ["level", "orders", "frauds", "fraud share", "of all frauds"];
        let _ = write!(text, "\n\n{}", table(&header, levels.collect(), ""));
        let scores = self.reliability.iter().map(|line| {
            let span = format!("{}-{}", line.from, line.to);
            let share = if line.orders == 0 { "-".to_owned() } else { percent(line.fraud_share) };
            vec![span, line.orders.to_string(), line.frauds.to_string(), share]
        });
        let _ = write!(text, "\n\n{}", table(&["score", "orders", "frauds", "fraud share"], scores.collect(), ""));
        let signals = self.signals.iter().map(|line| {
            let (share, points) = (percent(line.fraud_share), format!("{:+.1}", line.mean_points));
            let lift = format!("{:.2}", line.lift);
            vec![line.code.clone(), line.fired.to_string(), line.frauds.to_string(), share, lift, points]
        });
        let header = ["reason", "fired", "frauds", "fraud share", "lift", "mean points"];
        let _ = write!(text, "\n\n{}", table(&header, signals.collect(), "No signal or rule fired."));
        text
    }

    fn figure_rows(&self) -> Vec<Vec<String>> {
        let both = |name: &str, show: &dyn Fn(&Figures) -> Option<String>| {
            let shown = |figures| show(figures).unwrap_or_else(|| "-".to_owned());
            vec![name.to_owned(), shown(&self.points), shown(&self.score)]
        };
        let recall =
            |at: Option<Recall>| at.map(|at| format!("{:.3} (at {})", at.recall, percent(at.false_positive_rate)));
        let top = |top: Option<TopOfDay>| top.map(|top| format!("{:.3} of {:.3}", top.precision, top.attainable));
        let looked_at = self.points.top_orders_a_day.map_or(0, |top| top.looked_at);
        let mut rows = vec![
            both("AUC-ROC", &|f| {
                let auc = f.auc_roc?;
                Some(format!("{auc:.3} ± {:.3}", f.auc_roc_standard_error?))
            }),
            both("average precision", &|f| f.average_precision.map(|value| format!("{value:.3}"))),
            both("recall at 1 % false positives", &|f| recall(f.recall_at_1_percent)),
            both("recall at 5 % false positives", &|f| recall(f.recall_at_5_percent)),
            both(&format!("precision, top {looked_at} orders a day"), &|f| top(f.top_orders_a_day)),
        ];
        if self.points.top_entities_a_day.is_some() {
            rows.push(both(&format!("precision, top {looked_at} entities a day"), &|f| top(f.top_entities_a_day)));
        }
        rows
    }
}

impl Figures {
    fn of(measured: &[Measured], rank: Rank, top: usize) -> Self {
        let curve = Curve::of(measured.iter().map(|order| (rank.of(order), order.is_fraud)));
        Self {
            auc_roc: curve.auc(),
            auc_roc_standard_error: curve.auc_error(),
            average_precision: curve.average_precision(),
            recall_at_1_percent: curve.recall_at(0.01),
            recall_at_5_percent: curve.recall_at(0.05),
            top_orders_a_day: top_orders(measured, rank, top),
            top_entities_a_day: top_entities(measured, rank, top),
        }
    }
}

impl SignalLine {
    fn of(code: String, given: Given, share_of_all: f64) -> Self {
        let fraud_share = ratio(given.frauds, given.orders);
        Self {
            code,
            fired: given.orders,
            frauds: given.frauds,
            fraud_share,
            lift: if share_of_all > 0.0 { fraud_share / share_of_all } else { 0.0 },
            mean_points: given.points as f64 / given.orders.max(1) as f64,
        }
    }
}

/// Fraud share by tens of the score; the last ten ends with 100.
fn reliability(measured: &[Measured]) -> Vec<ScoreLine> {
    let mut lines: Vec<(u64, u64)> = vec![(0, 0); 10];
    for order in measured {
        let line = usize::from(order.score / DECILE).min(lines.len() - 1);
        lines[line].0 += 1;
        lines[line].1 += u64::from(order.is_fraud);
    }
    let lines = (0u8..).zip(lines).map(|(decile, (orders, frauds))| ScoreLine {
        from: decile * DECILE,
        to: if decile == 9 { 100 } else { decile * DECILE + DECILE - 1 },
        orders,
        frauds,
        fraud_share: ratio(frauds, orders),
    });
    lines.collect()
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
