//! Rows however a file is cut into pieces, and files of whatever form.

mod documents;
mod forms;
mod properties;
mod records;

use super::csv::{Header, fields};
use super::*;

/// Line, start, end and text of a row.
type Row = (u64, u64, u64, Result<String, RowFault>);

/// What came of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    form: Option<Form>,
    rows: Vec<Row>,
    size: Result<u64, FormError>,
}

/// The rows of a file whose bytes come in these pieces, its form recognised by that many bytes.
fn sampled(said: Form, sample: usize, pieces: &[&[u8]]) -> Outcome {
    let mut splitter = Splitter::sampling(said, sample);
    let mut rows = Vec::new();
    let mut each = |row: RawRow<'_>| rows.push((row.line, row.start, row.end, row.text.map(str::to_owned)));
    let fed: Result<(), FormError> = pieces.iter().try_for_each(|piece| splitter.feed(piece, &mut each));
    let size = fed.and_then(|()| splitter.finish(&mut each));
    Outcome { form: splitter.form(), rows, size }
}

fn of_format(format: Format) -> Form {
    Form { format: Some(format), ..Form::default() }
}

/// The form of a file, and the lines and texts of its rows.
fn texts(file: impl AsRef<[u8]>) -> (Form, Vec<(u64, String)>) {
    let Outcome { form, rows, size } = sampled(Form::default(), 1 << 20, &[file.as_ref()]);
    assert_eq!(size, Ok(file.as_ref().len() as u64));
    let rows = rows.into_iter().map(|(line, _, _, text)| (line, text.unwrap_or_else(|fault| format!("! {fault:?}"))));
    (form.unwrap(), rows.collect())
}

fn told(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
    rows.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
}
