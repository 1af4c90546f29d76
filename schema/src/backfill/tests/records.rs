//! Files of CSV: records, headers, and the numbers in them.

use super::*;
use crate::limits::BACKFILL_ROW_BYTES;

const COMMA: Separator = Separator::Comma;

fn csv(decimal: Option<DecimalMark>) -> Form {
    Form { decimal, ..of_format(Format::Csv) }
}

#[test]
fn csv_records_may_hold_lines_and_quotes() {
    let file = "\u{feff}a,b\r\n\r\n\"x\ny\",\"say \"\"hi\"\"\"\r\n5\" screen,2\r\n3,4";
    let (_, records) = texts(file);
    assert_eq!(records, told(&[(1, "a,b"), (3, "\"x\ny\",\"say \"\"hi\"\"\""), (5, "5\" screen,2"), (6, "3,4")]));
    assert_eq!(fields(&records[1].1, COMMA), ["x\ny", "say \"hi\""]);
    assert_eq!(fields(&records[2].1, COMMA), ["5\" screen", "2"]);
    assert_eq!(fields(",\"\",", COMMA), ["", "", ""]);
}

#[test]
fn lines_may_end_as_on_any_machine_and_empty_ones_are_none() {
    for file in ["a;b\n1;2\n3;4\n", "a;b\r\n1;2\r\n3;4", "a;b\r1;2\r3;4\r"] {
        assert_eq!(texts(file).1, told(&[(1, "a;b"), (2, "1;2"), (3, "3;4")]), "{file:?}");
    }
    assert_eq!(texts("sep=;\r\na;b\r\n;\r\n\"\"; ;\r\n1;2\r\n;;;;").1, told(&[(2, "a;b"), (5, "1;2")]));
}

#[test]
fn a_record_whose_quotes_are_not_closed_is_refused_and_those_far_behind_it_are_read() {
    let rows = sampled(of_format(Format::Csv), 1 << 20, &[b"a\n\"x\n1\n2\n"]).rows;
    assert_eq!(rows[1].3, Err(RowFault::Unfinished));
    let file = format!("a,b\n\"x,1\n{}2,3\n", "y,1\n".repeat(BACKFILL_ROW_BYTES / 4));
    let rows = sampled(of_format(Format::Csv), 1 << 20, &[file.as_bytes()]).rows;
    assert_eq!((rows[1].0, &rows[1].3), (2, &Err(RowFault::TooLong)));
    assert_eq!(rows.last().unwrap().3.as_deref(), Ok("2,3"));
}

#[test]
fn headers_name_paths_and_records_become_documents() {
    let header =
        Header::parse("transaction.order_id,products.0.sku,products.1.sku,products.0.price,note,,", COMMA).unwrap();
    let (document, warnings) = header.document("7,a,b,\"1,50\",,,", &csv(None)).unwrap();
    assert_eq!(
        document.to_string(),
        r#"{"transaction":{"order_id":"7"},"products":[{"sku":"a","price":"1.50"},{"sku":"b"}]}"#
    );
    assert_eq!(warnings, []);
    for (record, has) in [("7,a", 2), ("7,a,b,1,2,3", 6)] {
        let fault = header.document(record, &csv(None)).unwrap_err();
        assert_eq!(fault.message, format!("expected 5 values, one for each column; found {has}"));
    }
}

#[test]
fn headers_that_cannot_be_meant_are_refused_by_name() {
    for (header, name) in [
        ("a,b,a", "a"),
        ("a,a.b", "a.b"),
        ("a.b.c,a.b", "a.b"),
        ("a.0.b,a.c", "a.c"),
        ("a,,b", ""),
        ("0.a", "0.a"),
        ("a..b", "a..b"),
        ("a.1000", "a.1000"),
    ] {
        let faults = Header::parse(header, COMMA).unwrap_err();
        assert!(faults[0].message.starts_with(&format!("column `{name}`")), "{header}: {faults:?}");
    }
}

/// A number as it is read where the file has this decimal mark: with `!` where it was accepted with a warning, and `?` where
/// it is refused.
fn number(text: &str, decimal: Option<DecimalMark>) -> String {
    let header = Header::parse("order_total\tid", Separator::Tab).unwrap();
    let record = format!("{text}\t1");
    match header.document(&record, &csv(decimal)) {
        Ok((document, warnings)) => {
            let read = document.get("order_total").and_then(crate::json::Json::as_str).unwrap_or_default();
            format!("{read}{}", if warnings.is_empty() { "" } else { "!" })
        }
        Err(fault) => {
            assert_eq!(fault.pointer, "/order_total");
            assert!(fault.message.contains("--decimal"), "{fault}");
            "?".to_owned()
        }
    }
}

#[test]
fn numbers_are_read_by_the_decimal_mark_of_the_file() {
    let (comma, point) = (Some(DecimalMark::Comma), Some(DecimalMark::Point));
    for (text, with_comma, with_point, with_none) in [
        ("129,90", "129.90", "129.90!", "129.90"),
        ("129.90", "129.90!", "129.90", "129.90"),
        ("1.234,56", "1234.56", "1234.56!", "1234.56"),
        ("1,234.56", "1234.56!", "1234.56", "1234.56"),
        ("1.234.567", "1234567", "1234567!", "1234567"),
        ("1 234,56", "1234.56", "1234.56!", "1234.56"),
        ("1\u{202f}234\u{a0}567,8", "1234567.8", "1234567.8!", "1234567.8"),
        ("1'234.50", "1234.50!", "1234.50", "1234.50"),
        ("1 234", "1234", "1234", "1234"),
        ("-0,125", "-0.125", "-0.125!", "-0.125"),
        (",5", "0.5", "0.5!", "0.5"),
        ("1,234", "1.234", "1234", "?"),
        ("1.234", "1234", "1.234", "?"),
        ("-12.345", "-12345", "-12.345", "?"),
        // What is no number of these is left to the reader of the field.
        ("1234", "1234", "1234", "1234"),
        ("1,2,3", "1,2,3", "1,2,3", "1,2,3"),
        ("12,34.5", "12,34.5", "12,34.5", "12,34.5"),
        ("12 €", "12 €", "12 €", "12 €"),
        ("1e3", "1e3", "1e3", "1e3"),
        ("5,", "5,", "5,", "5,"),
        (",", ",", ",", ","),
        (".", ".", ".", "."),
    ] {
        let read = [number(text, comma), number(text, point), number(text, None)];
        assert_eq!(read, [with_comma, with_point, with_none], "{text}");
    }
    let header = Header::parse("products.0.price;note", Separator::Semicolon).unwrap();
    let (document, warnings) = header.document("1.5;1,5", &csv(comma)).unwrap();
    assert_eq!(document.to_string(), r#"{"products":[{"price":"1.5"}],"note":"1,5"}"#, "other columns are left alone");
    assert_eq!(warnings[0].field, "/products/0/price");
}
