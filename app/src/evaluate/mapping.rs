//! The mapping: which column of a file is which field of an order, which tells the truth, and from when it was known.
//!
//! Guarantee: a mapping that is accepted names only fields that an order has and columns that the file has.
//! Failure: what is wrong is told with the mapping's own words before the first row is read. Reference: docs/evaluate.md.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use touchstone_schema::time::Timestamp;

use super::cell::{Form, parse_time};

/// Fields of an order that a column can be; `metadata.NAME` besides. Those below `line_items` make one line.
pub(super) const FIELDS: &[&str] = &[
    "order_id",
    "amount",
    "currency",
    "created_at",
    "ip_address",
    "user_agent",
    "source",
    "shipping_method",
    "shipping_amount",
    "customer.id",
    "customer.email",
    "customer.phone",
    "customer.first_name",
    "customer.last_name",
    "customer.created_at",
    "customer.orders_count",
    "customer.is_guest",
    "billing_address.first_name",
    "billing_address.last_name",
    "billing_address.company",
    "billing_address.address1",
    "billing_address.address2",
    "billing_address.city",
    "billing_address.region",
    "billing_address.postal_code",
    "billing_address.country",
    "billing_address.phone",
    "shipping_address.first_name",
    "shipping_address.last_name",
    "shipping_address.company",
    "shipping_address.address1",
    "shipping_address.address2",
    "shipping_address.city",
    "shipping_address.region",
    "shipping_address.postal_code",
    "shipping_address.country",
    "shipping_address.phone",
    "payment.method",
    "payment.gateway",
    "payment.transaction_id",
    "payment.avs_result",
    "payment.avs_street_result",
    "payment.avs_postal_result",
    "payment.cvv_result",
    "payment.eci",
    "payment.card_bin",
    "payment.card_last4",
    "payment.card_expiry",
    "payment.card_fingerprint",
    "payment.card_brand",
    "payment.card_funding",
    "payment.was_authorized",
    "payment.decline_count",
    "line_items.sku",
    "line_items.name",
    "line_items.category",
    "line_items.quantity",
    "line_items.price",
    "line_items.is_digital",
    "device.fingerprint_id",
    "device.session_id",
    "device.accept_language",
    "device.time_zone",
];

/// Fields without which there is no order, or no place for it in time.
const REQUIRED: [&str; 4] = ["order_id", "amount", "currency", "created_at"];

/// A mapping file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapping {
    /// Where each field of the order comes from.
    pub(super) order: BTreeMap<String, Source>,
    /// Where the truth is told.
    pub(super) label: Label,
    /// What is measured unless the command line tells otherwise.
    #[serde(default)]
    pub(super) measure: Period,
    /// How the people who review would work.
    #[serde(default)]
    pub(super) review: Review,
    /// What separates the columns of a row; a comma unless told otherwise.
    #[serde(default = "comma")]
    pub(super) delimiter: char,
}

const fn comma() -> char {
    ','
}

/// Where a value comes from: the name of a column, or a description of it.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// The cell as it is.
    Column(String),
    /// Anything else.
    Described(Described),
}

/// A value that takes more words than the name of a column.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Described {
    /// The column that it is made of.
    pub(super) column: Option<String>,
    /// Several columns, joined by `/`; absent when one of them is.
    pub(super) columns: Option<Vec<String>>,
    /// The same value for every row.
    pub(super) value: Option<String>,
    /// How it is written in the file.
    #[serde(default)]
    pub(super) form: Form,
    /// The moment from which `seconds` and `milliseconds` count; 1970 unless told otherwise.
    pub(super) since: Option<String>,
}

/// Where the truth is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Label {
    /// The column.
    pub(super) column: String,
    /// What it says of a fraud.
    pub(super) fraud: Vec<String>,
    /// What it says of an order that was no fraud; a row that says neither has no label.
    pub(super) legitimate: Vec<String>,
    /// How long after the order its label became known.
    #[serde(default, with = "span")]
    pub(super) known_after: Option<Duration>,
    /// The column that tells when it became known, in place of `known_after`.
    pub(super) known_at: Option<Source>,
    /// Which labels the merchant tells, and so become history: of fraud only, unless told otherwise.
    #[serde(default)]
    pub(super) told: ToldLabels,
}

/// Which labels a merchant tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ToldLabels {
    /// Frauds and chargebacks, as most do.
    #[default]
    Fraud,
    /// Also that an order was no fraud.
    All,
    /// Nothing: what scoring is worth without any feedback.
    None,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Period {
    /// Its beginning, which belongs to it.
    #[serde(default, with = "moment")]
    pub(super) from: Option<Timestamp>,
    /// Its end, which does not.
    #[serde(default, with = "moment")]
    pub(super) to: Option<Timestamp>,
}

/// How the people who review would work.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Review {
    /// What they look at as a whole, such as a card or a customer.
    pub(super) entity: Option<Source>,
    /// Entities known for a fraud since this long before the measured period are left out: they are blocked already.
    #[serde(default, with = "span")]
    pub(super) known_since: Option<Duration>,
}

impl Mapping {
    /// Reads a mapping file: JSON when its name ends so, else TOML.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("the mapping {shown} cannot be read"))?;
        let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let parsed = if is_json { Self::from_json(&text) } else { Self::from_toml(&text) };
        parsed.with_context(|| format!("the mapping {shown} is not valid"))
    }

    fn from_json(text: &str) -> anyhow::Result<Self> {
        serde_json::from_str::<Self>(text)?.checked()
    }

    pub(super) fn from_toml(text: &str) -> anyhow::Result<Self> {
        toml::from_str::<Self>(text)?.checked()
    }

    fn checked(self) -> anyhow::Result<Self> {
        for field in REQUIRED {
            ensure!(self.order.contains_key(field), "order.{field}: expected a column or a value; it is required");
        }
        for (field, source) in &self.order {
            let known = FIELDS.contains(&field.as_str())
                || field.strip_prefix("metadata.").is_some_and(|name| !name.is_empty() && !name.contains('.'));
            ensure!(known, "order.{field}: no field of an order has this name");
            source.check().with_context(|| format!("order.{field}"))?;
        }
        ensure!(self.delimiter.is_ascii(), "delimiter: expected an ASCII character");
        ensure!(!self.label.fraud.is_empty(), "label.fraud: expected at least one value");
        if let Some(both) = self.label.fraud.iter().find(|value| self.label.legitimate.contains(value)) {
            bail!("label: `{both}` cannot mean both fraud and legitimate");
        }
        if let Some(known_at) = &self.label.known_at {
            ensure!(self.label.known_after.is_none(), "label: expected known_after or known_at, not both");
            known_at.check().context("label.known_at")?;
        }
        if let Some(entity) = &self.review.entity {
            entity.check().context("review.entity")?;
        }
        if let (Some(from), Some(to)) = (self.measure.from, self.measure.to) {
            ensure!(from < to, "measure: expected `from` before `to`");
        }
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Source;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a column or a table with `column`, `columns` or `value`")
            }

            fn visit_str<E>(self, column: &str) -> Result<Source, E> {
                Ok(Source::Column(column.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
                Described::deserialize(MapAccessDeserializer::new(map)).map(Source::Described)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Source {
    fn check(&self) -> anyhow::Result<()> {
        let Self::Described(described) = self else { return Ok(()) };
        let Described { column, columns, value, form, since } = described;
        let given = [column.is_some(), columns.is_some(), value.is_some()].into_iter().filter(|given| *given).count();
        ensure!(given == 1, "expected one of `column`, `columns` and `value`");
        ensure!(columns.as_ref().is_none_or(|columns| !columns.is_empty()), "expected at least one column");
        let counts = matches!(form, Form::Seconds | Form::Milliseconds);
        ensure!(since.is_none() || counts, "`since` is for the forms seconds and milliseconds");
        if let Some(since) = since {
            ensure!(parse_time(since).is_some(), "since: expected a time such as 2018-04-01T00:00:00Z");
        }
        Ok(())
    }
}

/// Spans as text: `7d`.
mod span {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, de};

    use crate::commands::parse_span;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_span(&text).map(Some).map_err(de::Error::custom)
    }
}

/// Points in time as text.
mod moment {
    use serde::{Deserialize as _, Deserializer, de};
    use touchstone_schema::time::Timestamp;

    use super::parse_time;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_time(&text).map(Some).ok_or_else(|| de::Error::custom("expected a time such as 2018-07-18T00:00:00Z"))
    }
}
