//! CSV records as the documents that they flatten: the header's names are paths (`transaction.order_id`,
//! `products.0.sku`), and a record's values stand at their ends.
//!
//! Guarantee: a header is read once and reports each name that is no path, that is there twice, or that lies within another.
//! An empty value is absent. Numbers have a decimal point afterwards, whatever they had in the file.

use std::borrow::Cow;

use super::columns::{Columns, Step};
use super::form::{DecimalMark, Form, Separator};
use super::numbers::Number;
use crate::fault::Fault;
use crate::json::Json;
use crate::limits::{BACKFILL_COLUMNS, BACKFILL_LIST_ITEMS, JSON_DEPTH};
use crate::warning::{Warning, WarningCode};

/// Ends of columns whose values are numbers that may have decimals.
const NUMBERS: [&str; 9] = [
    "order_total",
    "order_subtotal",
    "order_tax",
    "order_shipping",
    "order_discount",
    "total_spent",
    "price",
    "amount",
    "quantity",
];

/// The fields of a record, without the quotes around them.
pub fn fields(record: &str, separator: Separator) -> Vec<Cow<'_, str>> {
    let separator = char::from(separator.byte());
    let mut fields = Vec::new();
    let mut rest = Some(record);
    while let Some(text) = rest {
        let (field, after) = field(text, separator);
        fields.push(field);
        rest = after;
    }
    fields
}

/// The first field, and what is behind its separator.
fn field(text: &str, separator: char) -> (Cow<'_, str>, Option<&str>) {
    let Some(quoted) = text.strip_prefix('"') else {
        return match text.split_once(separator) {
            Some((field, after)) => (Cow::Borrowed(field), Some(after)),
            None => (Cow::Borrowed(text), None),
        };
    };
    let mut unquoted = Cow::Borrowed("");
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('"').unwrap_or((rest, ""));
        unquoted += part;
        match after.strip_prefix('"') {
            Some(more) => {
                unquoted += "\"";
                rest = more;
            }
            None => {
                // Whatever stands behind the closing quote belongs to the field, as spreadsheets have it.
                let (tail, after) =
                    after.split_once(separator).map_or((after, None), |(tail, more)| (tail, Some(more)));
                unquoted += tail;
                return (unquoted, after);
            }
        }
    }
}

/// A column of a file.
#[derive(Debug, Clone)]
struct Column {
    path: Vec<Step>,
    is_number: bool,
}

/// The header of a file.
#[derive(Debug, Clone)]
pub struct Header {
    columns: Vec<Column>,
    tree: Columns,
    separator: Separator,
}

impl Header {
    /// Reads a header, or reports what is wrong with each of its names. Columns without a name at its end are none.
    ///
    /// # Errors
    /// When a name is no path, or two name the same.
    pub fn parse(record: &str, separator: Separator) -> Result<Self, Vec<Fault>> {
        let mut names = fields(record, separator);
        while names.len() > 1 && names.last().is_some_and(|name| name.trim().is_empty()) {
            names.pop();
        }
        if names.len() > BACKFILL_COLUMNS {
            return Err(vec![Fault::new("", format!("expected at most {BACKFILL_COLUMNS} columns"))]);
        }
        let mut faults = Vec::new();
        let mut columns: Vec<Column> = Vec::with_capacity(names.len());
        let mut tree = Columns::default();
        for (number, name) in names.iter().enumerate() {
            let name = name.trim();
            match path(name) {
                None => faults.push(Fault::new("", format!("column `{name}`: expected names with dots between them, such as transaction.order_id or products.0.sku, with at most {BACKFILL_LIST_ITEMS} products"))),
                Some(path) if !tree.add(&path, number) => {
                    faults.push(Fault::new("", format!("column `{name}`: expected each value once; another column has it, or a part of it")));
                }
                Some(path) => {
                    let is_number = matches!(path.last(), Some(Step::Key(key)) if NUMBERS.contains(&key.as_str()));
                    columns.push(Column { path, is_number });
                }
            }
        }
        if tree.elements() > BACKFILL_COLUMNS {
            let expected = format!("expected lists of at most {BACKFILL_COLUMNS} elements together, numbered from 0");
            faults.push(Fault::new("", expected));
        }
        if faults.is_empty() { Ok(Self { columns, tree, separator }) } else { Err(faults) }
    }

    /// The decimal marks of the numbers of a record that can be read in one way only.
    pub(super) fn marks(&self, record: &str) -> impl Iterator<Item = DecimalMark> {
        let values = fields(record, self.separator);
        let numbers = self.columns.iter().zip(&values).filter(|(column, _)| column.is_number);
        let marks = numbers.filter_map(|(_, value)| match Number::of(value) {
            Number::Clear(mark, _) => Some(mark),
            Number::Other | Number::Whole(_) | Number::Either { .. } => None,
        });
        marks.collect::<Vec<_>>().into_iter()
    }

    /// The document of a record, and what was accepted of it although the file lets expect something else.
    ///
    /// # Errors
    /// When it has more or fewer values than the header has names, or a number that can be read in two ways.
    pub fn document<'a>(&self, record: &'a str, form: &Form) -> Result<(Json<'a>, Vec<Warning>), Fault> {
        let mut values = fields(record, self.separator);
        let (has, wants) = (values.len(), self.columns.len());
        let is_surplus_empty = values.iter().skip(wants).all(|value| value.trim().is_empty());
        if has < wants || !is_surplus_empty {
            return Err(Fault::new("", format!("expected {wants} values, one for each column; found {has}")));
        }
        if record.contains('\0') {
            return Err(Fault::new("", "expected text without NUL characters"));
        }
        let mut warnings = Vec::new();
        for (column, value) in self.columns.iter().zip(&mut values).filter(|(column, _)| column.is_number) {
            if !value.trim().is_empty() {
                *value = number(column, std::mem::take(value), form.decimal, &mut warnings)?;
            }
        }
        let document = self.tree.object(&mut values).unwrap_or(Json::Object(Vec::new()));
        Ok((document, warnings))
    }
}

/// A number with a decimal point; what is no number is left as it is.
fn number<'a>(
    column: &Column,
    value: Cow<'a, str>,
    mark: Option<DecimalMark>,
    warnings: &mut Vec<Warning>,
) -> Result<Cow<'a, str>, Fault> {
    let number = match (Number::of(&value), mark) {
        (Number::Other, _) => return Ok(value),
        (Number::Whole(number), _) => number,
        (Number::Clear(own, number), mark) => {
            if mark.is_some_and(|mark| mark != own) {
                warnings.push(Warning {
                    code: WarningCode::Malformed,
                    field: pointer(&column.path),
                    message: format!(
                        "expected a decimal {} as in the other numbers of the file; this one can only be read with a \
                         decimal {own}, and was",
                        own.other()
                    ),
                });
            }
            number.into_owned()
        }
        (Number::Either { mark: own, decimal, thousands }, Some(mark)) => {
            if own == mark {
                decimal.into_owned()
            } else {
                thousands
            }
        }
        (Number::Either { .. }, None) => {
            return Err(Fault::new(
                pointer(&column.path),
                "ambiguous: the mark of this number may stand before decimals or between thousands, and the beginning of \
                 the file does not settle which; expected point or comma in --decimal (`decimal` of an upload)",
            ));
        }
    };
    Ok(Cow::Owned(number))
}

/// A path as JSON pointer.
fn pointer(path: &[Step]) -> String {
    let steps = path.iter().map(|step| match step {
        Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Step::Index(index) => format!("/{index}"),
    });
    steps.collect()
}

fn path(name: &str) -> Option<Vec<Step>> {
    let steps: Option<Vec<_>> = name.split('.').map(step).collect();
    steps.filter(|steps| steps.len() < JSON_DEPTH && matches!(steps.first(), Some(Step::Key(_))))
}

fn step(text: &str) -> Option<Step> {
    if text.is_empty() || text.trim() != text {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|index| *index < BACKFILL_LIST_ITEMS).map(Step::Index);
    }
    Some(Step::Key(text.to_owned()))
}
