//! Putting many rows in a table: as arrays on PostgreSQL, as one parameter for each value on SQLite.
//!
//! Guarantee: rows that are there already stay as they are. On SQLite the values are not taken out of a document, which
//! would cost more than putting them in, and a statement needs no journal of its own to be undone by.

use sea_orm::{ConnectionTrait as _, DbBackend, Value};

use super::StoreError;
use super::database::{Change, execute};
use super::table::{Cell, Columns, Kind, expression, parameters};

/// Rows of a statement on SQLite: as many as there are of the first size, then of the next.
const SIZES: [usize; 3] = [64, 8, 1];

/// The statements that put rows in a table.
pub(super) struct Insert {
    columns: &'static Columns,
    postgres: String,
    sqlite: [(usize, String); 3],
}

impl Insert {
    /// Statements for this table and these columns of it.
    pub(super) fn into(table: &str, columns: &'static Columns) -> Self {
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let asked = expression(DbBackend::Postgres, "asked", columns, 1);
        let values = columns.iter().map(|(name, kind)| match kind {
            Kind::Key => format!("NULLIF({name}, 0)"),
            Kind::Text | Kind::Number => (*name).to_owned(),
        });
        let values: Vec<_> = values.collect();
        let values = values.join(", ");
        let postgres =
            format!("WITH {asked} INSERT INTO {table} ({names}) SELECT {values} FROM asked ON CONFLICT DO NOTHING");
        let row = format!("({})", vec!["?"; columns.len()].join(", "));
        let sqlite = SIZES.map(|size| {
            let rows = vec![row.as_str(); size].join(", ");
            (size, format!("INSERT OR IGNORE INTO {table} ({names}) VALUES {rows}"))
        });
        Self { columns, postgres, sqlite }
    }

    /// Puts the rows, whose cells are those of the columns, in the table. Returns how many were not there.
    pub(super) async fn run(&self, change: &Change, rows: &[Vec<Cell<'_>>]) -> Result<u64, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let backend = change.transaction().get_database_backend();
        if backend == DbBackend::Postgres {
            return execute(change.transaction(), &self.postgres, parameters(backend, self.columns, rows)).await;
        }
        let (mut rest, mut put) = (rows, 0);
        for (size, text) in &self.sqlite {
            while let Some((some, others)) = rest.split_at_checked(*size) {
                let values = some.iter().flat_map(|row| row.iter().zip(self.columns).map(value));
                put += execute(change.transaction(), text, values).await?;
                rest = others;
            }
        }
        Ok(put)
    }
}

fn value((cell, (_, kind)): (&Cell<'_>, &(&str, Kind))) -> Value {
    match (cell, kind) {
        (Cell::Number(0), Kind::Key) => Value::BigInt(None),
        (Cell::Number(number), _) => (*number).into(),
        (Cell::Text(text), _) => (*text).into(),
    }
}
