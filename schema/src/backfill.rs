//! Files of past orders, as they are read row by row: CSV as spreadsheets write it, and JSON values in lists, calls or one
//! behind the other.
//!
//! Guarantee: the rows of a file are the same however its bytes arrive, memory is that of one row and of the sample that
//! the form is recognised by, and no bytes whatever panic. Every byte belongs to a row or is punctuation that is known.
//! Failure: a row that cannot be read is refused with its line, and those after it are read; a file whose form stays
//! ambiguous is an error that names the option which settles it.

mod columns;
pub mod csv;
mod detect;
mod documents;
mod encoding;
mod form;
mod numbers;
mod prologue;
mod records;
mod split;

#[cfg(test)]
mod tests;

use crate::tenant::wire_enum;

pub use form::{DecimalMark, Encoding, Form, FormError, Separator};
pub use split::{RowFault, Splitter};

wire_enum! {
    /// How rows lie in a file. The three of JSON are read by the same rules; they say how a file begins.
    Format {
        /// A header of flattened names, then a record a row.
        Csv = "csv",
        /// Objects one after the other, on a line each or over several.
        Lines = "lines",
        /// Arrays of objects.
        Array = "array",
        /// Arrays of objects as the arguments of calls: `callback([...]);`.
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
    /// The line that it ends on.
    pub last_line: u64,
    /// Where it begins, in bytes from the beginning of the file.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// How it lies there.
    pub format: Format,
    /// Its text: a CSV record or what should be a JSON value.
    pub text: Result<&'a str, RowFault>,
}
