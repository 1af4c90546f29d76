//! What commands print: one JSON document for programs, or aligned text for people.
//!
//! Guarantee: no text of others steers the terminal or begins a line: it passes [`visible`] in fields, tables and
//! [`visible_lines`] at the end. Sentences that contain such a text pass it through [`visible`] themselves. JSON is exact.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;
use touchstone_schema::visible::{visible, visible_lines};

/// Where and in which form results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read the result.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result, in the form that was asked for.
    pub(crate) fn show(self, document: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let mut printed = if self.json {
            serde_json::to_string(document).context("the result has no JSON form")?
        } else {
            visible_lines(&text()).into_owned()
        };
        if !printed.ends_with('\n') {
            printed.push('\n');
        }
        self.write(&printed)
    }

    /// Prints text for people; nothing when programs read.
    pub(crate) fn say(self, text: &str) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { self.write(&format!("{}\n", visible_lines(text))) }
    }

    /// Warns people and programs alike, on standard error.
    pub(crate) fn warn(self, text: &str) {
        // Without a standard error there is nowhere to warn.
        let _ = writeln!(std::io::stderr(), "warning: {}", visible_lines(text));
    }

    /// Says to programs why the command line is wrong.
    pub(crate) fn misuse(self, message: &str) {
        let message = message.trim().strip_prefix("error: ").unwrap_or(message.trim());
        let document = serde_json::json!({ "error": { "message": message, "causes": [] } });
        // The text for people is on standard error already.
        let _ = self.write(&format!("{document}\n"));
    }

    fn write(self, text: &str) -> anyhow::Result<()> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            // A reader that has seen enough, such as `head`, is no failure of ours.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("standard output cannot be written"),
        }
    }

    /// Tells why the command failed: people on standard error, programs also on standard output.
    pub(crate) fn failure(self, error: &anyhow::Error) -> ExitCode {
        let causes = distinct_causes(error);
        let mut text = format!("error: {}\n", causes.first().map_or("", String::as_str));
        for cause in causes.iter().skip(1) {
            let _ = writeln!(text, "  because: {cause}");
        }
        // With both streams gone there is nobody left to tell.
        let _ = std::io::stderr().write_all(visible_lines(&text).as_bytes());
        if self.json {
            let document = serde_json::json!({ "error": { "message": causes.first(), "causes": causes.get(1..) } });
            let _ = self.write(&format!("{document}\n"));
        }
        ExitCode::FAILURE
    }
}

/// The messages of an error and its causes, without those that only repeat the one before.
fn distinct_causes(error: &anyhow::Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !causes.last().is_some_and(|last| last.contains(&cause)) {
            causes.push(cause);
        }
    }
    causes
}

/// `name  value` lines with the values under each other; absent values are left out.
pub(crate) fn fields(pairs: &[(&str, Option<String>)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in pairs {
        if let Some(value) = value {
            let _ = writeln!(text, "  {name:<width$}  {}", visible(value));
        }
    }
    text
}

/// A cell of a table. Line breaks inside of a text are shown as such characters; a cell of several lines says so.
pub(crate) enum Cell {
    /// One line.
    Line(String),
    /// Several lines.
    Lines(Vec<String>),
}

impl Cell {
    fn shown(&self) -> String {
        match self {
            Self::Line(text) => visible(text).into_owned(),
            Self::Lines(lines) => lines.iter().map(|line| visible(line)).collect::<Vec<_>>().join("\n"),
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Line(text)
    }
}

/// A table, or `empty` when it would have no rows.
pub(crate) fn table<C: Into<Cell>>(header: &[&str], rows: Vec<Vec<C>>, empty: &str) -> String {
    if rows.is_empty() {
        return empty.to_owned();
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.to_vec());
    table.add_rows(rows.into_iter().map(|row| row.into_iter().map(|cell| cell.into().shown())));
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_aligned_and_absent_ones_left_out() {
        let text = fields(&[("id", Some("x".into())), ("previous", None), ("name", Some("y".into()))]);
        assert_eq!(text, "  id        x\n  name      y\n");
    }

    #[test]
    fn causes_that_repeat_their_effect_are_told_once() {
        let error = anyhow::anyhow!("no route").context("cannot connect: no route").context("start failed");
        assert_eq!(distinct_causes(&error), ["start failed", "cannot connect: no route"]);
    }

    #[test]
    fn empty_table_is_a_sentence() {
        assert_eq!(table::<String>(&["a"], vec![], "Nothing yet."), "Nothing yet.");
        assert!(table(&["a"], vec![vec!["b".to_owned()]], "").contains('b'));
    }

    #[test]
    fn texts_of_others_stay_on_their_line_and_steer_nothing() {
        const HOSTILE: &str = "1001\u{1b}[2J\r\n  status  approved\u{202e}\u{2066}\u{200b}";
        let told = fields(&[("order", Some(HOSTILE.to_owned()))])
            + &table(&["order"], vec![vec![HOSTILE.to_owned()]], "")
            + &table(&["order"], vec![vec![Cell::Lines(vec![HOSTILE.to_owned(), "second".to_owned()])]], "");
        let written = visible_lines(&told);
        assert_eq!(written, told, "nothing is left for the end");
        assert!(told.contains("1001\\u{1b}[2J\\u{d}\\u{a}  status"), "{told}");
        assert!(!told.lines().any(|line| line.trim_start_matches([' ', '│']).starts_with("status")), "{told}");
    }
}
