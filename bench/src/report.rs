//! The comparison as tables for people and as JSON for programs.

use serde_json::{Value, json};

use crate::{
    compare::{Comparison, Measured, Subject},
    load::Run,
    machine::STEAL_LIMIT,
};

/// At 64 connections the product should carry this share of the floor's throughput (issue "The spine", Speed).
const TARGET_THROUGHPUT: f64 = 0.6;

/// At 1 connection the product's median latency should be at most this multiple of the floor's (same place).
const TARGET_LATENCY: f64 = 1.7;

/// Columns of CPU time; the floor's door and worker stand beside the roles that they correspond to.
const CPU_COLUMNS: [(&str, &[&str]); 7] = [
    ("ingest", &["ingest", "door"]),
    ("scorer", &["scorer", "worker"]),
    ("notifier", &["notifier"]),
    ("rabbitmq", &["rabbitmq"]),
    ("postgres", &["postgres"]),
    ("redis", &["redis"]),
    ("bench", &["bench"]),
];

const SUBJECTS: [Subject; 4] = [Subject::Product, Subject::Floor, Subject::Hello, Subject::Echo];

/// Tables of medians and of ratios.
pub(crate) fn to_text(comparison: &Comparison) -> String {
    let mut text = String::from("Medians; latencies in ms, CPU time in µs per order\n\n");
    let mut header = vec!["connections", "", "orders/s", "p50", "p99", "p99.9"];
    header.extend(CPU_COLUMNS.iter().map(|(name, _)| *name));
    header.extend(["sum", "others %", "steal %", "answers"]);
    let mut rows = vec![header.iter().map(|word| (*word).to_owned()).collect()];
    for connections in connections(comparison) {
        for subject in SUBJECTS {
            let runs = select(comparison, connections, subject);
            if !runs.is_empty() {
                rows.push(row(connections, subject, &runs));
            }
        }
    }
    text.push_str(&align(&rows));
    if comparison.runs.iter().any(|measured| measured.run.usage.steal > STEAL_LIMIT) {
        text.push_str("* the host took more than 5 % of the CPU away, in spite of repetitions\n");
    }
    text.push('\n');
    let header = ["connections", "ratio of each round, median", "", "target", ""];
    let mut rows = vec![header.iter().map(|word| (*word).to_owned()).collect()];
    for ratio in ratios(comparison) {
        let target = ratio
            .target
            .map_or_else(String::new, |(least, limit)| format!("{} {limit}", if least { "≥" } else { "≤" }));
        let met = ratio.met().map_or("", |met| if met { "met" } else { "MISSED" });
        let value = format!("{:.3}", ratio.value);
        rows.push(vec![ratio.connections.to_string(), ratio.name.to_owned(), value, target, met.to_owned()]);
    }
    text.push_str(&align(&rows));
    for (role, lines) in &comparison.warnings {
        text.push_str(&format!("\n{role} logged {lines} lines of warnings"));
    }
    text
}

/// Everything, each run apart.
pub(crate) fn to_json(comparison: &Comparison) -> Value {
    let runs = comparison.runs.iter().map(|Measured { connections, subject, round, run }| {
        json!({
            "connections": connections,
            "subject": subject.name(),
            "round": round,
            "orders_per_second": run.rate(),
            "p50_ms": run.percentile(0.5),
            "p99_ms": run.percentile(0.99),
            "p999_ms": run.percentile(0.999),
            "cpu_us_per_order": run.cpu_per_answer().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "others": run.usage.others,
            "steal": run.usage.steal,
            "disturbed": run.usage.steal > STEAL_LIMIT,
            "answers": run.statuses,
        })
    });
    let ratios = ratios(comparison).into_iter().map(|ratio| {
        json!({
            "connections": ratio.connections,
            "name": ratio.name,
            "value": ratio.value,
            "target": ratio.target.map(|(_, limit)| limit),
            "met": ratio.met(),
        })
    });
    json!({"runs": runs.collect::<Vec<_>>(), "ratios": ratios.collect::<Vec<_>>()})
}

struct Ratio {
    connections: usize,
    name: &'static str,
    value: f64,
    /// Whether the limit is the least value, and the limit.
    target: Option<(bool, f64)>,
}

impl Ratio {
    fn met(&self) -> Option<bool> {
        self.target.map(|(least, limit)| if least { self.value >= limit } else { self.value <= limit })
    }
}

/// The median over the rounds of each ratio inside one round.
fn ratios(comparison: &Comparison) -> Vec<Ratio> {
    let rate = |run: &Run| run.rate();
    let latency = |run: &Run| run.percentile(0.5);
    let mut ratios = Vec::new();
    for connections in connections(comparison) {
        let mut add = |name, of: Subject, to: Subject, figure: &dyn Fn(&Run) -> f64, target| {
            let (of, to) = (select(comparison, connections, of), select(comparison, connections, to));
            let rounds = of.iter().zip(&to).map(|(of, to)| figure(of) / figure(to).max(f64::MIN_POSITIVE));
            if let Some(value) = median(rounds.collect()) {
                ratios.push(Ratio { connections, name, value, target });
            }
        };
        let throughput_target = (connections == 64).then_some((true, TARGET_THROUGHPUT));
        let latency_target = (connections == 1).then_some((false, TARGET_LATENCY));
        add("throughput, product / floor", Subject::Product, Subject::Floor, &rate, throughput_target);
        add("p50, product / floor", Subject::Product, Subject::Floor, &latency, latency_target);
        add("throughput, floor / bare HTTP", Subject::Floor, Subject::Hello, &rate, None);
        add("throughput, floor / bare request-reply", Subject::Floor, Subject::Echo, &rate, None);
        add("p50, floor / bare request-reply", Subject::Floor, Subject::Echo, &latency, None);
    }
    ratios
}

fn row(connections: usize, subject: Subject, runs: &[&Run]) -> Vec<String> {
    let middle =
        |figure: &dyn Fn(&Run) -> f64| median(runs.iter().map(|run| figure(run)).collect()).unwrap_or_default();
    let mut row = vec![connections.to_string(), subject.name().to_owned(), format!("{:.0}", middle(&Run::rate))];
    row.extend([0.5, 0.99, 0.999].map(|share| format!("{:.2}", middle(&|run: &Run| run.percentile(share)))));
    let cpu = |run: &Run, names: &[&str]| -> f64 {
        run.cpu_per_answer().iter().filter(|(name, _)| names.contains(name)).map(|(_, time)| time).sum()
    };
    let mut sum = 0.0;
    for (_, names) in CPU_COLUMNS {
        let known = runs.iter().any(|run| run.usage.cpu.iter().any(|(name, _)| names.contains(name)));
        let time = middle(&|run: &Run| cpu(run, names));
        sum += time;
        row.push(if known { format!("{time:.0}") } else { "-".to_owned() });
    }
    row.push(format!("{sum:.0}"));
    row.push(format!("{:.0}", middle(&|run: &Run| run.usage.others * 100.0)));
    let disturbed = if runs.iter().any(|run| run.usage.steal > STEAL_LIMIT) { "*" } else { "" };
    row.push(format!("{:.1}{disturbed}", middle(&|run: &Run| run.usage.steal * 100.0)));
    let mut answers = std::collections::BTreeMap::new();
    for (status, count) in runs.iter().flat_map(|run| &run.statuses) {
        *answers.entry(*status).or_insert(0) += count;
    }
    row.push(answers_to_text(&answers));
    row
}

/// Such as `200: 31415, none: 2`.
pub(crate) fn answers_to_text(answers: &std::collections::BTreeMap<u16, u64>) -> String {
    let name = |status: &u16| if *status == 0 { "none".to_owned() } else { status.to_string() };
    answers.iter().map(|(status, count)| format!("{}: {count}", name(status))).collect::<Vec<_>>().join(", ")
}

fn connections(comparison: &Comparison) -> Vec<usize> {
    let mut all: Vec<_> = comparison.runs.iter().map(|measured| measured.connections).collect();
    all.dedup();
    all
}

fn select(comparison: &Comparison, connections: usize, subject: Subject) -> Vec<&Run> {
    let wanted = |measured: &&Measured| measured.connections == connections && measured.subject == subject;
    comparison.runs.iter().filter(wanted).map(|measured| &measured.run).collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Columns as wide as their widest cell; numbers to the right, words to the left.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = widths.get(column).copied().unwrap_or_default();
            let words = column == 1 || column + 1 == columns;
            if words { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
