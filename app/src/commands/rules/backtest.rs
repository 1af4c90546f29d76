//! `touchstone rules test`: runs a backtest and tells its figures.

use std::ops::Range;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use touchstone_schema::money::Currency;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::{Action, RiskLevel};
use touchstone_scorer::backtest::{Backtest, Changed, ChangedReason, Comparison, Figures, Labelled};

use crate::commands::policy::{Known, compiled};
use crate::commands::store;
use crate::compose::Operator;
use crate::output::{Cell, Output, fields, table};

pub(super) async fn run(
    operator: &Operator,
    current: &Known,
    document: &str,
    span: Range<Timestamp>,
    test: bool,
    output: Output,
) -> anyhow::Result<()> {
    if span.is_empty() {
        bail!("the span from {} to {} is empty", span.start.to_rfc3339(), span.end.to_rfc3339());
    }
    let tenant = store::tenant_of(operator, current.store.clone(), test).await?;
    let backtest = Backtest {
        store: operator.store(),
        tenant: &tenant,
        data_key: &store::data_key(operator, &current.store).await?,
        own_domains: &store::existing(operator, &current.store).await?.input.own_domains,
        current: &compiled(&current.store, current.version, &current.document)?,
        candidate: &compiled(&current.store, current.version + 1, document)?,
        enrichment: &*operator.enrichment().await,
    };
    let progress = bar()?;
    let mut begin = None;
    let comparison = backtest
        .run(span.start, span.end, |reached, orders| {
            // The bar begins at the first order: the store may be younger than the span.
            let begin = *begin.get_or_insert(reached);
            progress.set_length(span.end.since(begin).as_secs());
            progress.set_position(reached.since(begin).as_secs());
            progress.set_message(format!("{orders} orders, up to {}", reached.to_rfc3339()));
        })
        .await?;
    progress.finish_and_clear();
    let report = Report { current, span, comparison };
    output.show(&report.document(), || report.text())
}

/// On standard error, and only on a terminal.
fn bar() -> anyhow::Result<ProgressBar> {
    let progress = ProgressBar::new(0);
    progress.set_style(ProgressStyle::with_template("{spinner} {bar:32} {percent:>3} %  {msg}")?);
    Ok(progress)
}

struct Report<'a> {
    current: &'a Known,
    span: Range<Timestamp>,
    comparison: Comparison,
}

impl Report<'_> {
    fn document(&self) -> Value {
        let comparison = &self.comparison;
        let moves = |moves: Vec<(String, String, u64)>| -> Vec<Value> {
            moves.into_iter().map(|(from, to, orders)| json!({ "from": from, "to": to, "orders": orders })).collect()
        };
        let levels = comparison.levels.iter().map(|((from, to), orders)| (from.to_string(), to.to_string(), *orders));
        let actions = comparison.actions.iter().map(|((from, to), orders)| (from.to_string(), to.to_string(), *orders));
        json!({
            "store_id": self.current.store,
            "policy_version": self.current.version,
            "since": self.span.start.to_rfc3339(),
            "until": self.span.end.to_rfc3339(),
            "orders": comparison.orders,
            "unreadable": comparison.unreadable,
            "changed_levels": comparison.changed_levels(),
            "changed_actions": comparison.changed_actions(),
            "levels": moves(levels.collect()),
            "actions": moves(actions.collect()),
            "current": figures(&comparison.current),
            "candidate": figures(&comparison.candidate),
            "most_changed": comparison.most_changed.iter().map(changed).collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let comparison = &self.comparison;
        let share = |orders: u64| format!("{orders} of {} orders", comparison.orders);
        let unreadable = comparison.unreadable;
        let told = fields(&[
            ("received", Some(format!("{} to {}", self.span.start.to_rfc3339(), self.span.end.to_rfc3339()))),
            ("orders", Some(comparison.orders.to_string())),
            ("left out", (unreadable > 0).then(|| format!("{unreadable} that cannot be read"))),
            ("change band", Some(share(comparison.changed_levels()))),
            ("change action", Some(share(comparison.changed_actions()))),
        ]);
        let (store, version) = (&self.current.store, self.current.version);
        let title = format!("The file against version {version} of the policy of {store}; nothing was changed.");
        if comparison.orders == 0 {
            return format!("{title}\n{told}No orders were received in that time.");
        }
        [
            format!("{title}\n{}", told.trim_end()),
            format!("Orders by band, now (down) and under the file (across)\n{}", self.bands()),
            format!("Against known outcomes: stopped is what is not approved\n{}", self.labelled()),
            format!("Money by what becomes of it\n{}", self.money()),
            format!("Most changed orders\n{}", self.most_changed()),
        ]
        .join("\n\n")
    }

    fn bands(&self) -> String {
        let all = RiskLevel::ALL.iter();
        let header: Vec<_> = std::iter::once("").chain(all.clone().map(|level| level.as_str())).collect();
        let orders = |from: RiskLevel, to: RiskLevel| {
            let orders = self.comparison.levels.get(&(from, to)).copied().unwrap_or_default();
            if orders == 0 { "·".to_owned() } else { orders.to_string() }
        };
        let row = |from: &RiskLevel| {
            let cells = RiskLevel::ALL.iter().map(|to| orders(*from, *to));
            std::iter::once(from.to_string()).chain(cells).collect()
        };
        table(&header, all.map(row).collect(), "")
    }

    fn labelled(&self) -> String {
        let row = |name: &str, labelled: Labelled| {
            let Labelled { fraud_stopped, fraud_approved, honest_stopped, honest_approved } = labelled;
            vec![
                name.to_owned(),
                percent(labelled.precision()),
                percent(labelled.recall()),
                format!("{fraud_stopped} of {}", fraud_stopped + fraud_approved),
                format!("{honest_stopped} of {}", honest_stopped + honest_approved),
            ]
        };
        let Comparison { current, candidate, .. } = &self.comparison;
        let rows = vec![row("now", current.labelled), row("under the file", candidate.labelled)];
        table(&["", "precision", "recall", "fraud stopped", "honest orders stopped"], rows, "")
    }

    fn money(&self) -> String {
        let Comparison { current, candidate, .. } = &self.comparison;
        let places: std::collections::BTreeSet<_> = current.money.keys().chain(candidate.money.keys()).collect();
        let row = |(currency, action): &&(&'static str, Action)| {
            let of = |figures: &Figures| figures.money.get(&(*currency, *action)).copied().unwrap_or_default();
            let (before, after) = (of(current), of(candidate));
            let told = |minor: i128, orders: u64| format!("{} ({orders})", decimal(minor, currency));
            let difference = after.minor - before.minor;
            let sign = if difference > 0 { "+" } else { "" };
            vec![
                (*currency).to_owned(),
                action.to_string(),
                told(before.minor, before.orders),
                told(after.minor, after.orders),
                format!("{sign}{}", decimal(difference, currency)),
            ]
        };
        let rows = places.iter().map(row).collect();
        table(&["currency", "action", "now (orders)", "under the file (orders)", "difference"], rows, "")
    }

    fn most_changed(&self) -> String {
        let row = |order: &Changed| {
            let (before, after) = (order.current, order.candidate);
            let label = match order.label {
                Some(true) => "fraud",
                Some(false) => "honest",
                None => "",
            };
            let reasons: Vec<_> = order.reasons.iter().map(reason_line).collect();
            vec![
                order.order_id.clone().into(),
                order.amount.to_string().into(),
                label.to_owned().into(),
                format!("{} → {}", before.0, after.0).into(),
                format!("{} → {}", before.1, after.1).into(),
                format!("{} → {}", before.2, after.2).into(),
                Cell::Lines(reasons),
            ]
        };
        let rows = self.comparison.most_changed.iter().map(row).collect();
        let header = ["order", "amount", "known as", "score", "band", "action", "reasons that changed"];
        table(&header, rows, "No order's score, band or action changes.")
    }
}

fn reason_line(reason: &ChangedReason) -> String {
    let points = |points: Option<i32>| points.map_or_else(|| "–".to_owned(), |points| format!("{points:+}"));
    format!("{} {} → {}", reason.code, points(reason.current), points(reason.candidate))
}

fn figures(figures: &Figures) -> Value {
    let labelled = figures.labelled;
    let money: Vec<_> = figures
        .money
        .iter()
        .map(|((currency, action), total)| {
            json!({
                "currency": currency, "action": action, "orders": total.orders,
                "amount": decimal(total.minor, currency),
            })
        })
        .collect();
    json!({
        "precision": labelled.precision(),
        "recall": labelled.recall(),
        "fraud_stopped": labelled.fraud_stopped,
        "fraud_approved": labelled.fraud_approved,
        "honest_stopped": labelled.honest_stopped,
        "honest_approved": labelled.honest_approved,
        "money": money,
    })
}

fn changed(order: &Changed) -> Value {
    let outcome = |(score, level, action): (u8, RiskLevel, Action)| json!({ "risk_score": score, "risk_level": level, "recommended_action": action });
    let reasons = order.reasons.iter().map(|reason| {
        json!({ "code": reason.code, "detail": reason.detail, "from": reason.current, "to": reason.candidate })
    });
    json!({
        "transaction_id": order.transaction_id,
        "order_id": order.order_id,
        "received_at": order.received_at.to_rfc3339(),
        "amount": order.amount.to_decimal_text(),
        "currency": order.amount.currency().code(),
        "is_fraud": order.label,
        "current": outcome(order.current),
        "candidate": outcome(order.candidate),
        "reasons": reasons.collect::<Vec<_>>(),
    })
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// A sum as decimal text. Sums go beyond the amounts that one order may have.
fn decimal(minor: i128, currency: &str) -> String {
    let decimals = Currency::from_code(currency).map_or(0, Currency::exponent);
    let sign = if minor < 0 { "-" } else { "" };
    let (magnitude, unit) = (minor.unsigned_abs(), 10u128.pow(decimals));
    match decimals {
        0 => format!("{sign}{magnitude}"),
        _ => format!("{sign}{}.{:0width$}", magnitude / unit, magnitude % unit, width = decimals as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_in_the_currencys_decimals() {
        assert_eq!(decimal(123_456, "EUR"), "1234.56");
        assert_eq!(decimal(-5, "EUR"), "-0.05");
        assert_eq!(decimal(1_000, "JPY"), "1000");
        assert_eq!(decimal(1_001, "KWD"), "1.001");
        assert_eq!(decimal(i128::from(i64::MAX) * 100, "EUR"), format!("{}.00", i64::MAX));
    }
}
