//! The side file of a file's rows that were refused or read with warnings: a JSON object on each line, with the kind, the
//! line, the field, what was expected, and the row.
//!
//! Guarantee: for its owner alone, and without full card numbers. After an interruption it holds each of them once: it
//! is cut to the length that was committed.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use touchstone_platform::store::backfill::{Refusal, RowWarning};
use touchstone_schema::card::{mask, mask_text};
use touchstone_schema::json::Json;

/// See the module. The file is made with its first line.
#[derive(Debug)]
pub struct SideFile {
    path: PathBuf,
    file: Option<File>,
}

impl SideFile {
    /// At this path.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// Where it is, or would be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes lines after the first `length` bytes; the new length.
    pub(super) fn write(&mut self, length: u64, lines: &[u8]) -> std::io::Result<u64> {
        if self.file.is_none() {
            let mut options = std::fs::OpenOptions::new();
            self.file = Some(options.create(true).truncate(false).write(true).mode(0o600).open(&self.path)?);
        }
        let Some(file) = &mut self.file else { return Ok(length) };
        // One that was moved away meanwhile begins anew.
        let length = length.min(file.metadata()?.len());
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        file.write_all(lines)?;
        Ok(length + lines.len() as u64)
    }
}

/// One line of the file.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    Refused { line: u64, field: &'a str, reason: &'a str, row: Cow<'a, str> },
    Warning { line: u64, code: &'static str, field: &'a str, message: &'a str, row: Cow<'a, str> },
}

/// The row with card numbers masked: of JSON by its fields, so that article numbers stay, of anything else wherever they are.
fn without_cards(row: &str) -> Cow<'_, str> {
    let masked = match Json::parse_text(row) {
        Ok(mut document @ Json::Object(_)) => mask(&mut document).then(|| document.to_json_string()),
        _ => mask_text(row),
    };
    masked.map_or(Cow::Borrowed(row), Cow::Owned)
}

/// Appends the line of a refused row.
pub(super) fn refused(refusal: &Refusal, row: &str, lines: &mut Vec<u8>) {
    let Refusal { line, field, reason, .. } = refusal;
    append(&Line::Refused { line: *line, field, reason, row: without_cards(row) }, lines);
}

/// Appends the line of a warning.
pub(super) fn warned(RowWarning { line, warning, .. }: &RowWarning, row: &str, lines: &mut Vec<u8>) {
    let (code, field, message) = (warning.code.as_str(), &warning.field, &warning.message);
    append(&Line::Warning { line: *line, code, field, message, row: without_cards(row) }, lines);
}

fn append(line: &Line<'_>, lines: &mut Vec<u8>) {
    if serde_json::to_writer(&mut *lines, line).is_ok() {
        lines.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_row_keeps_article_numbers_and_no_card_number() {
        for (row, kept) in [
            (r#"{"sku":"4006381300063", "note":1}"#, r#"{"sku":"4006381300063", "note":1}"#),
            (
                r#"{"sku": "4006381300063", "payment": {"number": "4111111111111111"}}"#,
                r#"{"sku":"4006381300063","payment":{"number":"************1111"}}"#,
            ),
            (r#"{"note":"4111111111111111""#, r#"{"note":"************1111""#),
            ("A-1,4111111111111111", "A-1,************1111"),
            ("4111111111111111", "************1111"),
        ] {
            assert_eq!(without_cards(row), kept);
        }
    }
}
