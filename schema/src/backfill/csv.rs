//! CSV records as the documents that they flatten: the header's names are paths (`transaction.order_id`,
//! `products.0.sku`), and a record's values stand at their ends.
//!
//! Guarantee: a header is read once and tells each name that is no path, that is there twice, or that lies within another.
//! An empty value is absent.

use std::borrow::Cow;

use super::columns::{Columns, Step};
use crate::fault::Fault;
use crate::json::Json;
use crate::limits::{BACKFILL_COLUMNS, BACKFILL_LIST_ITEMS, JSON_DEPTH};

/// The fields of a record, without the quotes around them.
pub fn fields(record: &str) -> Vec<Cow<'_, str>> {
    let mut fields = Vec::new();
    let mut rest = Some(record);
    while let Some(text) = rest {
        let (field, after) = field(text);
        fields.push(field);
        rest = after;
    }
    fields
}

/// The first field, and what is behind its comma.
fn field(text: &str) -> (Cow<'_, str>, Option<&str>) {
    let Some(quoted) = text.strip_prefix('"') else {
        return match text.split_once(',') {
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
                let (tail, after) = after.split_once(',').map_or((after, None), |(tail, more)| (tail, Some(more)));
                unquoted += tail.trim_end_matches('\r');
                return (unquoted, after);
            }
        }
    }
}

/// The header of a file.
#[derive(Debug, Clone)]
pub struct Header {
    count: usize,
    columns: Columns,
}

impl Header {
    /// Reads a header, or tells what is wrong with each of its names.
    pub fn parse(record: &str) -> Result<Self, Vec<Fault>> {
        let names = fields(record);
        if names.len() > BACKFILL_COLUMNS {
            return Err(vec![Fault::new("", format!("expected at most {BACKFILL_COLUMNS} columns"))]);
        }
        let mut faults = Vec::new();
        let mut columns = Columns::default();
        for (column, name) in names.iter().enumerate() {
            let name = name.trim();
            match path(name) {
                None => faults.push(Fault::new("", format!("column `{name}`: expected names with dots between them, such as transaction.order_id or products.0.sku, with at most {BACKFILL_LIST_ITEMS} products"))),
                Some(path) if !columns.add(&path, column) => {
                    faults.push(Fault::new("", format!("column `{name}`: expected each value once; another column has it, or a part of it")));
                }
                Some(_) => {}
            }
        }
        if columns.elements() > BACKFILL_COLUMNS {
            let expected = format!("expected lists of at most {BACKFILL_COLUMNS} elements together, numbered from 0");
            faults.push(Fault::new("", expected));
        }
        if faults.is_empty() { Ok(Self { count: names.len(), columns }) } else { Err(faults) }
    }

    /// The document of a record.
    ///
    /// # Errors
    /// When it has more or fewer values than the header has names.
    pub fn document<'a>(&self, record: &'a str) -> Result<Json<'a>, Fault> {
        let mut values = fields(record);
        if values.len() != self.count {
            let (has, wants) = (values.len(), self.count);
            return Err(Fault::new("", format!("expected {wants} values, one for each column; found {has}")));
        }
        if record.contains('\0') {
            return Err(Fault::new("", "expected text without NUL characters"));
        }
        Ok(self.columns.object(&mut values).unwrap_or(Json::Object(Vec::new())))
    }
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
