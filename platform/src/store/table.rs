//! Many rows as parameters of one statement of fixed text: arrays on PostgreSQL, one JSON document on SQLite.

use std::fmt::Write as _;

use sea_orm::sea_query::ArrayType;
use sea_orm::{DbBackend, Value};

/// What a column of a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, never NULL.
    Text,
    /// A 64-bit integer, never NULL.
    Number,
    /// The same; 0 is put in a table as NULL.
    Key,
}

/// One value of a table.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
pub(super) enum Cell<'a> {
    /// See [`Kind::Text`].
    Text(&'a str),
    /// See [`Kind::Number`].
    Number(i64),
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// The columns of a table that is passed in as parameters.
pub(super) type Columns = [(&'static str, Kind)];

/// The head of a common table expression, `name AS (...)`, that reads rows of `columns` from the parameters beginning
/// with number `first`.
pub(super) fn expression(backend: DbBackend, name: &str, columns: &Columns, first: usize) -> String {
    let mut text = format!("{name} AS (SELECT ");
    if backend == DbBackend::Postgres {
        text.push_str("* FROM UNNEST(");
        for (at, (_, kind)) in columns.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let sort = if *kind == Kind::Text { "text" } else { "bigint" };
            let _ = write!(text, "{comma}${}::{sort}[]", first + at);
        }
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let _ = write!(text, ") AS given ({}))", names.join(", "));
    } else {
        for (at, (column, _)) in columns.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let _ = write!(text, "{comma}value ->> {at} AS {column}");
        }
        let _ = write!(text, " FROM json_each(${first}))");
    }
    text
}

/// The parameters that [`expression`] reads.
pub(super) fn parameters(backend: DbBackend, columns: &Columns, rows: &[Vec<Cell<'_>>]) -> Vec<Value> {
    if backend != DbBackend::Postgres {
        // Neither texts nor numbers can fail to be written.
        return vec![serde_json::to_string(rows).unwrap_or_default().into()];
    }
    let array = |at: usize, kind: Kind| {
        let values = rows.iter().filter_map(|row| row.get(at)).map(|cell| match cell {
            Cell::Text(text) => Value::from(*text),
            Cell::Number(number) => Value::from(*number),
        });
        let sort = if kind == Kind::Text { ArrayType::String } else { ArrayType::BigInt };
        Value::Array(sort, Some(Box::new(values.collect())))
    };
    columns.iter().enumerate().map(|(at, (_, kind))| array(at, *kind)).collect()
}
