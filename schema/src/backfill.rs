//! Files of past orders, as they are read row by row: CSV, JSON lines, a JSON array and JSONP (contract section 3).
//!
//! Guarantee: the rows of a file are the same however its bytes arrive, memory is that of one row, and no bytes whatever
//! panic. Failure: a row that is too long or not text is a fault of that row, told with its line; those after it are read.

mod columns;
pub mod csv;
mod detect;
mod split;

#[cfg(test)]
mod tests;

use crate::tenant::wire_enum;

pub use detect::{Detected, detect};
pub use split::{RowFault, Splitter};

wire_enum! {
    /// How rows lie in a file.
    Format {
        /// A header of flattened names, then a record a row.
        Csv = "csv",
        /// One object on each line.
        Lines = "lines",
        /// One array of objects.
        Array = "array",
        /// An array of objects as the argument of a call: `callback([...]);`.
        Jsonp = "jsonp",
    }
}

wire_enum! {
    /// What the rows of a file are.
    RowKind {
        /// Transactions.
        Order = "order",
        /// Carts.
        Cart = "cart",
    }
}

/// One row, as it lies in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRow<'a> {
    /// The line that it begins on, from 1.
    pub line: u64,
    /// Where it ends, in bytes from the beginning of the file.
    pub end: u64,
    /// How it lies there.
    pub format: Format,
    /// Its text: a CSV record or a JSON value.
    pub text: Result<&'a str, RowFault>,
}
