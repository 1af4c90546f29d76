//! The rows of a file, in time order, each read into an order and its label.
//!
//! Guarantee: a row becomes an order through the reader of live orders, so a field means the same as on the wire.
//! Failure: a row that is no order is refused with its line and field, never its values, and the rest goes on.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use csv::StringRecord;
use flate2::read::MultiGzDecoder;
use touchstone_schema::json::Json;
use touchstone_schema::order::Order;
use touchstone_schema::time::Timestamp;

use super::cell::{Form, parse_time};
use super::mapping::{Described, Mapping, Source};

/// Bytes that are read from the file at once.
const READ_AHEAD: usize = 1 << 20;

/// A row that could be read.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) order: Order,
    /// When the order was placed, and so received.
    pub(super) at: Timestamp,
    /// Whether it was fraud, where the label says so.
    pub(super) fraud: Option<bool>,
    /// When the label became known.
    pub(super) known_at: Timestamp,
    /// What a person would look at as a whole.
    pub(super) entity: Option<String>,
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) line: u64,
    pub(super) problem: String,
}

/// What a first look at the whole file tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Survey {
    /// Rows that have a time.
    pub(super) rows: u64,
    /// Whether each is as late as the one before or later.
    is_sorted: bool,
}

/// A file whose columns are known.
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    delimiter: u8,
    time: Cell,
    document: Vec<Segment>,
    label: usize,
    meaning: BTreeMap<String, bool>,
    known_after: std::time::Duration,
    known_at: Option<Cell>,
    entity: Option<Cell>,
}

/// Where a value is found in a row.
#[derive(Debug, Clone)]
struct Cell {
    /// What it is, to say which is at fault.
    name: String,
    columns: Vec<usize>,
    constant: Option<String>,
    form: Form,
    since: Timestamp,
}

/// A piece of the document that a row becomes.
#[derive(Debug)]
enum Segment {
    Text(String),
    Value(Cell),
}

impl Table {
    /// Finds the columns of a mapping in a file.
    pub(super) fn open(path: &Path, mapping: &Mapping) -> anyhow::Result<Self> {
        let delimiter = mapping.delimiter as u8;
        let mut reader = reader(path, delimiter)?;
        let header = reader.headers().with_context(|| format!("{} has no line of column names", path.display()))?;
        let find = Header(header);
        let cell = |name: &str, source: &Source, form| find.cell(name, source, form);
        let created_at = mapping.order.get("created_at").context("order.created_at is required")?;
        let label = &mapping.label;
        let meaning = |values: &[String], is_fraud| {
            values.iter().map(|value| (value.trim().to_owned(), is_fraud)).collect::<Vec<_>>()
        };
        Ok(Self {
            path: path.to_owned(),
            delimiter,
            time: cell("order.created_at", created_at, Form::Time)?,
            document: find.document(&mapping.order)?,
            label: find.column(&label.column).context("label.column")?,
            meaning: meaning(&label.fraud, true).into_iter().chain(meaning(&label.legitimate, false)).collect(),
            known_after: label.known_after.unwrap_or_default(),
            known_at: label.known_at.as_ref().map(|at| cell("label.known_at", at, Form::Time)).transpose()?,
            entity: mapping.review.entity.as_ref().map(|of| cell("review.entity", of, Form::Text)).transpose()?,
        })
    }

    /// Reads the times of all rows.
    pub(super) fn survey(&self) -> anyhow::Result<Survey> {
        let mut survey = Survey { rows: 0, is_sorted: true };
        let mut latest = None;
        let mut reader = reader(&self.path, self.delimiter)?;
        let mut record = StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(false) => return Ok(survey),
                Ok(true) => {}
                Err(error) if is_of_one_row(&error) => continue,
                Err(error) => return Err(error).with_context(|| format!("{} cannot be read", self.path.display())),
            }
            let Some(at) = self.time.moment(&record) else { continue };
            survey.rows += 1;
            survey.is_sorted &= latest.is_none_or(|latest| latest <= at);
            latest = Some(at);
        }
    }

    /// The rows in time order; a file that is not in time order is sorted in memory.
    pub(super) fn rows(
        &self,
        survey: Survey,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Result<Row, Refused>>> + '_> {
        let records = reader(&self.path, self.delimiter)?.into_records();
        let records: Box<dyn Iterator<Item = csv::Result<StringRecord>>> = if survey.is_sorted {
            Box::new(records)
        } else {
            let mut all: Vec<_> = records.collect();
            all.sort_by_cached_key(|record| record.as_ref().ok().and_then(|record| self.time.moment(record)));
            Box::new(all.into_iter())
        };
        Ok(records.map(|record| match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                Ok(self.row(&record).map_err(|problem| Refused { line, problem }))
            }
            Err(error) if is_of_one_row(&error) => {
                let line = error.position().map_or(0, csv::Position::line);
                Ok(Err(Refused { line, problem: "expected as many cells as there are columns, in UTF-8".to_owned() }))
            }
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", self.path.display())),
        }))
    }

    fn row(&self, record: &StringRecord) -> Result<Row, String> {
        let mut text = String::with_capacity(512);
        for segment in &self.document {
            match segment {
                Segment::Text(fixed) => text.push_str(fixed),
                Segment::Value(cell) => text.push_str(&quoted(cell.value(record)?.as_deref())),
            }
        }
        let json = Json::parse_text(&text).map_err(|error| error.to_string())?;
        let order =
            Order::parse(&json).map_err(|faults| faults.first().map(ToString::to_string).unwrap_or_default())?;
        let at = order.created_at.ok_or("order.created_at: expected a time; it is required")?;
        let told_at = match &self.known_at {
            Some(cell) => cell.moment(record),
            None => Some(at + self.known_after),
        };
        let entity = self.entity.as_ref().map(|cell| cell.value(record)).transpose()?.flatten();
        Ok(Row {
            order,
            at,
            // A label that nobody knows the time of was not known.
            fraud: told_at.and(self.meaning.get(record.get(self.label).unwrap_or_default().trim()).copied()),
            known_at: told_at.unwrap_or(at),
            entity: entity.map(Cow::into_owned),
        })
    }
}

/// A text as JSON; what is absent or empty is `null`.
fn quoted(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty())
        .map_or_else(|| "null".to_owned(), |text| serde_json::Value::from(text).to_string())
}

/// Errors that spoil one row and not the file.
fn is_of_one_row(error: &csv::Error) -> bool {
    matches!(error.kind(), csv::ErrorKind::UnequalLengths { .. } | csv::ErrorKind::Utf8 { .. })
}

fn reader(path: &Path, delimiter: u8) -> anyhow::Result<csv::Reader<Box<dyn Read>>> {
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let file = BufReader::with_capacity(READ_AHEAD, file);
    let is_gzip = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let bytes: Box<dyn Read> = if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::Headers).from_reader(bytes))
}

impl Cell {
    /// The value in this row, in the form that orders have; none when it is empty.
    fn value<'a>(&'a self, record: &'a StringRecord) -> Result<Option<Cow<'a, str>>, String> {
        let Some(raw) = self.raw(record) else { return Ok(None) };
        let read = |raw: &str| self.form.read(raw, self.since).map(|value| Some(Cow::Owned(value.into_owned())));
        let value = match &raw {
            Cow::Borrowed(raw) => self.form.read(raw, self.since).map(Some),
            Cow::Owned(raw) => read(raw),
        };
        value.ok_or_else(|| format!("{}: expected {}", self.name, self.form.expected()))
    }

    fn raw<'a>(&'a self, record: &'a StringRecord) -> Option<Cow<'a, str>> {
        if let Some(constant) = &self.constant {
            return Some(Cow::Borrowed(constant));
        }
        let mut cells = self.columns.iter().map(|column| record.get(*column).unwrap_or_default().trim());
        let first = cells.next().filter(|cell| !cell.is_empty())?;
        if self.columns.len() == 1 {
            return Some(Cow::Borrowed(first));
        }
        cells.try_fold(first.to_owned(), |joined, cell| (!cell.is_empty()).then(|| joined + "/" + cell)).map(Cow::Owned)
    }

    fn moment(&self, record: &StringRecord) -> Option<Timestamp> {
        self.value(record).ok().flatten().and_then(|text| parse_time(&text))
    }
}

/// The column names of a file.
struct Header<'a>(&'a StringRecord);

impl Header<'_> {
    fn column(&self, name: &str) -> anyhow::Result<usize> {
        let mut found = self.0.iter().enumerate().filter(|(_, column)| *column == name.trim());
        let Some((index, _)) = found.next() else {
            let known: Vec<_> = self.0.iter().collect();
            bail!("the file has no column `{name}`; it has {}", known.join(", "));
        };
        ensure!(found.next().is_none(), "the file has more than one column `{name}`");
        Ok(index)
    }

    /// Finds a source; times that are named by column alone have the form of times.
    fn cell(&self, name: &str, source: &Source, form: Form) -> anyhow::Result<Cell> {
        let described = match source {
            Source::Column(column) => &Described { column: Some(column.clone()), ..Described::default() },
            Source::Described(described) => described,
        };
        let names = described.columns.iter().flatten().chain(&described.column);
        let columns = names.map(|column| self.column(column)).collect::<anyhow::Result<_>>();
        let form = if described.form == Form::Text { form } else { described.form };
        Ok(Cell {
            name: name.to_owned(),
            columns: columns.with_context(|| name.to_owned())?,
            constant: described.value.clone(),
            form,
            since: described.since.as_deref().and_then(parse_time).unwrap_or(Timestamp::from_millis(0)),
        })
    }

    /// The document that a row becomes, with gaps for its values.
    fn document(&self, order: &BTreeMap<String, Source>) -> anyhow::Result<Vec<Segment>> {
        let mut sections: BTreeMap<&str, Vec<(&str, Cell)>> = BTreeMap::new();
        for (field, source) in order {
            let (section, member) = field.split_once('.').unwrap_or(("", field));
            let form = if member == "created_at" { Form::Time } else { Form::Text };
            let cell = self.cell(&format!("order.{field}"), source, form)?;
            sections.entry(section).or_default().push((member, cell));
        }
        let mut document = Vec::new();
        let mut opening = "{".to_owned();
        for (section, members) in sections {
            if !section.is_empty() {
                let bracket = if section == "line_items" { "[{" } else { "{" };
                opening.push_str(&format!("{}:{bracket}", quoted(Some(section))));
            }
            for (index, (member, cell)) in members.into_iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                opening.push_str(&format!("{comma}{}:", quoted(Some(member))));
                document.push(Segment::Text(std::mem::take(&mut opening)));
                document.push(Segment::Value(cell));
            }
            opening = match section {
                "" => ",".to_owned(),
                "line_items" => "}],".to_owned(),
                _ => "},".to_owned(),
            };
        }
        // The last section needs no comma after it, but the end of the document.
        opening.pop();
        opening.push('}');
        document.push(Segment::Text(opening));
        Ok(document)
    }
}
