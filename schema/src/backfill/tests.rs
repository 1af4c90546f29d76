//! Rows however a file is cut into pieces, and headers and fields of whatever form.

use proptest::prelude::*;

use super::csv::{Header, fields};
use super::*;
use crate::limits::BACKFILL_ROW_BYTES;

type Row = (u64, u64, Result<String, RowFault>);

/// The rows of a file whose bytes come in these pieces.
fn rows(format: Option<Format>, pieces: &[&[u8]]) -> (Option<Format>, Vec<Row>) {
    let mut splitter = Splitter::new(format);
    let mut found = Vec::new();
    let mut each = |row: RawRow<'_>| found.push((row.line, row.end, row.text.map(str::to_owned)));
    for piece in pieces {
        splitter.feed(piece, &mut each);
    }
    splitter.finish(&mut each);
    (splitter.format(), found)
}

fn texts(file: &str) -> (Format, Vec<(u64, String)>) {
    let (format, rows) = rows(None, &[file.as_bytes()]);
    let rows = rows.into_iter().map(|(line, _, text)| (line, text.unwrap_or_else(|fault| format!("! {fault:?}"))));
    (format.unwrap(), rows.collect())
}

fn told(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
    rows.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
}

#[test]
fn each_format_is_told_by_how_it_begins_and_gives_its_rows() {
    let listed = told(&[(1, r#"{"a":1}"#), (2, r#"{"b":"],\"{"}"#)]);
    for (file, format) in [
        ("{\"a\":1}\n{\"b\":\"],\\\"{\"}\n", Format::Lines),
        ("[{\"a\":1},\n{\"b\":\"],\\\"{\"}]", Format::Array),
        ("callback([{\"a\":1},\n{\"b\":\"],\\\"{\"}]);", Format::Jsonp),
        ("/**/my.call_back$1 ([{\"a\":1},\n{\"b\":\"],\\\"{\"}\n]\n)", Format::Jsonp),
        ("\u{feff}[{\"a\":1},\n{\"b\":\"],\\\"{\"}]", Format::Array),
    ] {
        assert_eq!(texts(file), (format, listed.clone()), "{file}");
    }
    assert_eq!(texts("a.b,c\n1,2\n"), (Format::Csv, told(&[(1, "a.b,c"), (2, "1,2")])));
    assert_eq!(texts(""), (Format::Csv, Vec::new()));
}

#[test]
fn csv_records_may_hold_lines_and_quotes() {
    let file = "\u{feff}a,b\r\n\r\n\"x\ny\",\"say \"\"hi\"\"\"\r\n5\" screen,2\r\n3,4";
    let (_, records) = texts(file);
    assert_eq!(records, told(&[(1, "a,b"), (3, "\"x\ny\",\"say \"\"hi\"\"\""), (5, "5\" screen,2"), (6, "3,4")]));
    assert_eq!(fields(&records[1].1), ["x\ny", "say \"hi\""]);
    assert_eq!(fields(&records[2].1), ["5\" screen", "2"]);
    assert_eq!(fields(",\"\","), ["", "", ""]);
}

#[test]
fn headers_name_paths_and_records_become_documents() {
    let header = Header::parse("transaction.order_id,products.0.sku,products.1.sku,products.0.price,note").unwrap();
    let document = header.document("7,a,b,\"1,50\",").unwrap();
    assert_eq!(
        document.to_string(),
        r#"{"transaction":{"order_id":"7"},"products":[{"sku":"a","price":"1,50"},{"sku":"b"}]}"#
    );
    assert_eq!(header.document("7,a").unwrap_err().message, "expected 5 values, one for each column; found 2");
}

#[test]
fn headers_that_cannot_be_meant_are_refused_by_name() {
    for (header, name) in [
        ("a,b,a", "a"),
        ("a,a.b", "a.b"),
        ("a.b.c,a.b", "a.b"),
        ("a.0.b,a.c", "a.c"),
        ("a,", ""),
        ("0.a", "0.a"),
        ("a..b", "a..b"),
        ("a.1000", "a.1000"),
    ] {
        let faults = Header::parse(header).unwrap_err();
        assert!(faults[0].message.starts_with(&format!("column `{name}`")), "{header}: {faults:?}");
    }
}

#[test]
fn a_row_that_is_too_long_or_no_text_spoils_no_other() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(BACKFILL_ROW_BYTES));
    let just = format!("{{\"a\":\"{}\"}}", "x".repeat(BACKFILL_ROW_BYTES - 8));
    let file = format!("{long}\n{just}\n{{}}\n");
    let (_, found) = rows(None, &[file.as_bytes()]);
    let lengths: Vec<_> = found.iter().map(|(line, _, text)| (*line, text.as_ref().map(String::len))).collect();
    assert_eq!(lengths, [(1, Err(&RowFault::TooLong)), (2, Ok(BACKFILL_ROW_BYTES)), (3, Ok(2))]);
    let (_, found) = rows(None, &[b"[{\"a\":1},{\"\xff\":2},{}]"]);
    assert_eq!(found[1].2, Err(RowFault::Encoding));
    assert_eq!(found[2].2.as_deref(), Ok("{}"));
}

#[test]
fn a_file_that_breaks_off_says_so() {
    for file in ["[{\"a\":1}", "[{\"a\":1},", "callback([{\"a\":1},{\"b\"", "[", "callback("] {
        let (_, found) = rows(None, &[file.as_bytes()]);
        assert_eq!(found.last().map(|row| &row.2), Some(&Err(RowFault::Unfinished)), "{file}");
    }
    let (_, found) = rows(Some(Format::Csv), &[b"a\n\"x\n1\n2\n"]);
    assert_eq!(found[1].2, Err(RowFault::Unfinished));
}

proptest! {
    #[test]
    fn any_chunking_of_the_same_bytes_gives_the_same_rows(
        bytes in proptest::collection::vec(proptest::sample::select(b"\xEF\xBB\xBF\xff{}[](),;\"\\\r\n a1./*_".to_vec()), 0..200),
        cuts in proptest::collection::vec(0usize..200, 0..12),
        format in proptest::option::of(proptest::sample::select(Format::ALL.to_vec())),
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
        let whole = rows(format, &[&bytes]);
        prop_assert_eq!(&whole, &rows(format, &pieces));
        let ends: Vec<_> = whole.1.iter().map(|row| row.1).collect();
        prop_assert!(ends.is_sorted() && ends.last().is_none_or(|end| *end <= bytes.len() as u64));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in any::<String>()) {
        rows(None, &[&bytes]);
        for format in Format::ALL {
            rows(Some(*format), &[&bytes]);
        }
        if let Ok(header) = Header::parse(&text) {
            let _ = header.document(&text);
        }
        fields(&text);
    }

    #[test]
    fn records_have_the_fields_that_were_written(
        values in proptest::collection::vec("[a-c\"\n,é ]{0,6}", 1..5),
    ) {
        let quoted: Vec<_> = values.iter().map(|value| format!("\"{}\"", value.replace('"', "\"\""))).collect();
        let file = format!("{}\r\n", quoted.join(","));
        let (_, found) = rows(Some(Format::Csv), &[file.as_bytes()]);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(fields(found[0].2.as_deref().unwrap()), values);
    }
}
