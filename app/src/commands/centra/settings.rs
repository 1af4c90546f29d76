//! What a connection does with verdicts, as flags.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use touchstone_schema::centra::{ConnectionSettings, Effect, StockAction};

use crate::commands::parse_span;
use crate::output::fields;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The flags' names, for the rule that one of them is given.
pub(super) const FLAGS: [&str; 12] = [
    "on_approve",
    "on_low",
    "on_medium",
    "on_high",
    "on_critical",
    "review_deadline",
    "on_deadline",
    "send_email",
    "stock",
    "warehouse",
    "cancel_authorization",
    "sweep_interval",
];

/// Settings to change; what is not given stays.
#[derive(Debug, Args)]
pub(crate) struct SettingFlags {
    /// What is done with an order that the verdict approves: resume, cancel or keep [default: resume].
    #[arg(long, value_name = "EFFECT")]
    on_approve: Option<Effect>,
    /// With any other of level low [default: keep].
    #[arg(long, value_name = "EFFECT")]
    on_low: Option<Effect>,
    /// With any other of level medium [default: keep].
    #[arg(long, value_name = "EFFECT")]
    on_medium: Option<Effect>,
    /// With any other of level high [default: keep].
    #[arg(long, value_name = "EFFECT")]
    on_high: Option<Effect>,
    /// With any other of level critical [default: cancel].
    #[arg(long, value_name = "EFFECT")]
    on_critical: Option<Effect>,
    /// How long an order may wait for a person, 5m to 90d; holds that are open keep theirs [default: 24h].
    #[arg(long, value_name = "SPAN", value_parser = parse_deadline)]
    review_deadline: Option<u32>,
    /// What is done then [default: keep].
    #[arg(long, value_name = "EFFECT")]
    on_deadline: Option<Effect>,
    /// Whether the shopper gets the shop's e-mail about a cancellation [default: false].
    #[arg(long, value_name = "BOOL")]
    send_email: Option<bool>,
    /// Where the articles of a cancelled order go: release (back to the warehouse) or remove [default: release].
    #[arg(long)]
    stock: Option<StockAction>,
    /// Number of another warehouse that they go to, or `none` [default: none].
    #[arg(long, value_name = "NUMBER", value_parser = parse_warehouse)]
    warehouse: Option<Warehouse>,
    /// Whether a cancellation also cancels the authorization of the payment [default: true].
    #[arg(long, value_name = "BOOL")]
    cancel_authorization: Option<bool>,
    /// Time between two looks for held orders that no notice announced, 1m to 1d [default: 10m].
    #[arg(long, value_name = "SPAN", value_parser = parse_sweep)]
    sweep_interval: Option<u32>,
}

/// A warehouse, or none.
#[derive(Debug, Clone, Copy)]
struct Warehouse(Option<i64>);

impl SettingFlags {
    /// These settings over the present ones.
    pub(super) fn over(self, present: &ConnectionSettings) -> anyhow::Result<ConnectionSettings> {
        let changed = ConnectionSettings {
            on_approve: self.on_approve.unwrap_or(present.on_approve),
            on_low: self.on_low.unwrap_or(present.on_low),
            on_medium: self.on_medium.unwrap_or(present.on_medium),
            on_high: self.on_high.unwrap_or(present.on_high),
            on_critical: self.on_critical.unwrap_or(present.on_critical),
            review_deadline_minutes: self.review_deadline.unwrap_or(present.review_deadline_minutes),
            on_deadline: self.on_deadline.unwrap_or(present.on_deadline),
            send_email: self.send_email.unwrap_or(present.send_email),
            stock: self.stock.unwrap_or(present.stock),
            warehouse: self.warehouse.map_or(present.warehouse, |warehouse| warehouse.0),
            cancel_authorization: self.cancel_authorization.unwrap_or(present.cancel_authorization),
            sweep_minutes: self.sweep_interval.unwrap_or(present.sweep_minutes),
        };
        if changed.stock == StockAction::Remove && changed.warehouse.is_some() {
            bail!(
                "--warehouse: articles that are removed from stock go to no warehouse; expected `--stock release` or \
                 `--warehouse none`"
            );
        }
        Ok(changed)
    }
}

fn parse_deadline(text: &str) -> Result<u32, String> {
    minutes(text, 5 * MINUTE, 90 * DAY, "5m to 90d")
}

fn parse_sweep(text: &str) -> Result<u32, String> {
    minutes(text, MINUTE, DAY, "1m to 1d")
}

fn minutes(text: &str, least: Duration, most: Duration, bounds: &str) -> Result<u32, String> {
    let span = parse_span(text)?;
    let whole = span.as_secs().is_multiple_of(60);
    if !whole || span < least || span > most {
        return Err(format!("`{text}` is out of bounds: expected whole minutes from {bounds}"));
    }
    u32::try_from(span.as_secs() / 60).map_err(|_| format!("`{text}` is too long: expected {bounds}"))
}

fn parse_warehouse(text: &str) -> Result<Warehouse, String> {
    if text == "none" {
        return Ok(Warehouse(None));
    }
    let number = text.parse().ok().filter(|number: &i32| *number > 0);
    let number = number.ok_or_else(|| format!("`{text}` is no warehouse: expected its number in Centra, or none"))?;
    Ok(Warehouse(Some(i64::from(number))))
}

/// The settings for people.
pub(super) fn described(settings: &ConnectionSettings) -> String {
    let cancelling = [
        if settings.send_email { "e-mail to the shopper" } else { "no e-mail" },
        match (settings.stock, settings.warehouse) {
            (StockAction::Remove, _) => "articles out of stock",
            (StockAction::Release, Some(_)) => "articles to another warehouse",
            (StockAction::Release, None) => "articles back to the warehouse",
        },
        if settings.cancel_authorization { "authorization cancelled" } else { "authorization left" },
    ];
    let deadline = span(settings.review_deadline_minutes);
    fields(&[
        ("on approve", Some(settings.on_approve.to_string())),
        (
            "on the others",
            Some(format!(
                "low {}, medium {}, high {}, critical {}",
                settings.on_low, settings.on_medium, settings.on_high, settings.on_critical
            )),
        ),
        ("review deadline", Some(format!("{deadline}, then {}", settings.on_deadline))),
        ("cancelling", Some(cancelling.join(", "))),
        ("warehouse", settings.warehouse.map(|number| number.to_string())),
        ("sweep", Some(format!("every {}", span(settings.sweep_minutes)))),
    ])
}

/// Minutes as they are given on the command line.
pub(super) fn span(minutes: u32) -> String {
    match minutes {
        whole if whole.is_multiple_of(24 * 60) => format!("{}d", whole / (24 * 60)),
        whole if whole.is_multiple_of(60) => format!("{}h", whole / 60),
        other => format!("{other}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_bounds_and_say_so() {
        assert_eq!((parse_deadline("5m"), parse_deadline("90d")), (Ok(5), Ok(90 * 24 * 60)));
        assert_eq!((parse_sweep("1m"), parse_sweep("1d")), (Ok(1), Ok(24 * 60)));
        for wrong in ["4m", "91d", "301s", "0", "soon"] {
            assert!(parse_deadline(wrong).unwrap_err().contains("expected"), "{wrong}");
        }
        for wrong in ["59s", "25h", "90s"] {
            assert!(parse_sweep(wrong).unwrap_err().contains("1m to 1d"), "{wrong}");
        }
    }

    #[test]
    fn spans_are_shown_as_they_are_given() {
        assert_eq!([span(5), span(120), span(2880), span(61)], ["5m", "2h", "2d", "61m"]);
    }

    #[test]
    fn a_warehouse_is_a_number_or_none() {
        assert_eq!(parse_warehouse("7").unwrap().0, Some(7));
        assert_eq!(parse_warehouse("none").unwrap().0, None);
        for wrong in ["0", "-1", "main", "99999999999"] {
            assert!(parse_warehouse(wrong).is_err(), "{wrong}");
        }
    }
}
