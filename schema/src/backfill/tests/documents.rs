//! Files of JSON: several documents in one, what stands around them, and what is broken.

use super::*;
use crate::limits::BACKFILL_ROW_BYTES;

fn format_and_rows(file: impl AsRef<[u8]>) -> (Format, Vec<(u64, String)>) {
    let (form, rows) = texts(file);
    (form.format.unwrap(), rows)
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
        assert_eq!(format_and_rows(file), (format, listed.clone()), "{file}");
    }
    assert_eq!(format_and_rows("a.b,c\n1,2\n"), (Format::Csv, told(&[(1, "a.b,c"), (2, "1,2")])));
    assert_eq!(format_and_rows(""), (Format::Csv, Vec::new()));
}

#[test]
fn several_documents_in_one_file_are_all_read() {
    let three = told(&[(1, r#"{"a":1}"#), (2, r#"{"a":2}"#), (2, r#"{"a":3}"#), (3, r#"{"a":4}"#)]);
    for (file, format) in [
        ("callback([{\"a\":1}]);\ncallback([{\"a\":2},{\"a\":3}]);\ncallback([{\"a\":4}]);\n", Format::Jsonp),
        ("[{\"a\":1}]\n[{\"a\":2},{\"a\":3}]\n[{\"a\":4}]", Format::Array),
        ("[{\"a\":1}],\n[{\"a\":2};{\"a\":3}];\n,[{\"a\":4}],", Format::Array),
        ("[[{\"a\":1}],\n[{\"a\":2},{\"a\":3}],\n[{\"a\":4}]]", Format::Array),
        ("{\"a\":1}\n{\"a\":2}{\"a\":3}\n{\"a\":4}", Format::Lines),
        ("{\"a\":1}\n[{\"a\":2}]callback({\"a\":3});\n\u{1e}{\"a\":4}", Format::Lines),
        ("callback([{\"a\":1}])\ncallback([{\"a\":2}]); other.name({\"a\":3})\ncallback([{\"a\":4}])", Format::Jsonp),
        ("var a = [{\"a\":1}];\nb = [{\"a\":2},{\"a\":3}];\nconst c = [{\"a\":4}]", Format::Array),
        ("[{\"a\":1}] // page [2] of {3}\n[{\"a\":2},/* , [ */{\"a\":3}]\n[{\"a\":4}]/***/", Format::Array),
        ("[{\"a\":1}]\n\u{feff}[{\"a\":2},{\"a\":3}]\n\u{feff}[{\"a\":4}]", Format::Array),
    ] {
        assert_eq!(format_and_rows(file), (format, three.clone()), "{file}");
    }
}

#[test]
fn objects_over_several_lines_are_read_one_behind_the_other() {
    let file = "{\n  \"a\": {\n    \"b\": [\n      1\n    ]\n  }\n}\n{\n\"c\":\n{\n\"d\": [\n{\n}\n]\n}\n}\n";
    let (format, rows) = format_and_rows(file);
    assert_eq!(format, Format::Lines);
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 8]);
    for (_, row) in rows {
        crate::json::Json::parse_text(&row).unwrap();
    }
}

#[test]
fn openings_of_calls_may_have_checks_comments_and_prefixes_before_them() {
    for opening in [
        "/**/ typeof callback === 'function' && callback(",
        "typeof callback === \"function\" &&\n  callback(",
        "window.cb && window.cb(",
        "window.cb&&window.cb(",
        ";callback(",
        "if (typeof callback === 'function') callback(",
        "// page 1\n/* of [2] */ callback(",
        "(",
        ")]}',\n",
        ")]}'",
        "while(1);",
        "for (;;);",
        "for(;;);callback(",
        "var orders = ",
    ] {
        let close = if opening.contains("callback(") || opening.contains("cb(") || opening == "(" { ")" } else { "" };
        let file = format!("{opening}[{{\"a\":1}}]{close};\n");
        let (format, rows) = format_and_rows(&file);
        assert_ne!(format, Format::Csv, "{file}");
        assert_eq!(rows.iter().map(|row| row.1.as_str()).collect::<Vec<_>>(), [r#"{"a":1}"#], "{file}");
    }
}

#[test]
fn what_stands_between_documents_and_is_no_punctuation_is_a_row_that_was_refused() {
    for (file, rows) in [
        ("[{\"a\":1}]\nand more\n[{\"a\":2}]", vec![(1, "{\"a\":1}"), (2, "and more"), (3, "{\"a\":2}")]),
        ("{\"a\":1}\noops\n{\"a\":2}\n", vec![(1, "{\"a\":1}"), (2, "oops"), (3, "{\"a\":2}")]),
        ("{\"a\":1} x {\"a\":2}", vec![(1, "{\"a\":1}"), (1, "x"), (1, "{\"a\":2}")]),
        ("[{\"a\":1}]]\n}", vec![(1, "{\"a\":1}"), (1, "]"), (2, "}")]),
        ("callback([{\"a\":1}]);\n<html>", vec![(1, "{\"a\":1}"), (2, "<html>")]),
        ("[{\"a\":1},oops,{\"a\":2}]", vec![(1, "{\"a\":1}"), (1, "oops"), (1, "{\"a\":2}")]),
        ("[{\"a\":1} oops {\"a\":2}]", vec![(1, "{\"a\":1}"), (1, "oops"), (1, "{\"a\":2}")]),
        ("[{\"a\":1},null]", vec![(1, "{\"a\":1}"), (1, "null")]),
        ("{\"a\":1}\nvar next =", vec![(1, "{\"a\":1}"), (2, "var next =")]),
        ("{\"a\":1}\n/* never closed", vec![(1, "{\"a\":1}"), (2, "! Unfinished")]),
        ("[{\"a\":1}]\n/", vec![(1, "{\"a\":1}"), (2, "! Unfinished")]),
    ] {
        assert_eq!(format_and_rows(file).1, told(&rows), "{file}");
    }
}

#[test]
fn a_broken_value_takes_no_other_with_it() {
    for (file, lines) in [
        // A text that is not closed, a brace that is missing, a list that is not closed.
        ("{\"a\":1}\n{\"a\":\"x\n{\"a\":2}\n", [1, 2, 3]),
        ("{\"a\":1}\n{\"a\":{\"b\":1}\n{\"a\":2}\n", [1, 2, 3]),
        ("{\"a\":1}\n{\"a\":1,\n{\"a\":2}\n", [1, 2, 3]),
        ("[{\"a\":1},\n{\"a\":{\"b\":1},\n{\"a\":2}]", [1, 2, 3]),
    ] {
        let (_, rows) = format_and_rows(file);
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), lines, "{file}");
        let is_json = |place: usize| crate::json::Json::parse_text(&rows[place].1).is_ok();
        assert_eq!([is_json(0), is_json(1), is_json(2)], [true, false, true], "{file}");
    }
}

#[test]
fn a_row_that_is_too_long_or_no_text_spoils_no_other() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(BACKFILL_ROW_BYTES));
    let just = format!("{{\"a\":\"{}\"}}", "x".repeat(BACKFILL_ROW_BYTES - 8));
    let lengths = |file: &[u8]| -> Vec<(u64, Result<usize, RowFault>)> {
        let rows = sampled(Form::default(), 1 << 20, &[file]).rows;
        rows.into_iter().map(|(line, _, _, text)| (line, text.map(|text| text.len()))).collect()
    };
    let file = format!("{long}\n{just}\n{{}}\n");
    assert_eq!(lengths(file.as_bytes()), [(1, Err(RowFault::TooLong)), (2, Ok(BACKFILL_ROW_BYTES)), (3, Ok(2))]);
    // Brackets that are never closed again, in a list whose rows begin lines.
    let rows = "{\"a\":[1,[2]]},\n".repeat(BACKFILL_ROW_BYTES / 14);
    let open = format!("[\n{{\"a\":[[\n{rows}{rows}{{}}]");
    let found = lengths(open.as_bytes());
    assert_eq!(found[0], (2, Err(RowFault::TooLong)));
    assert!(found.len() > BACKFILL_ROW_BYTES / 14 && found[1..].iter().all(|row| row.1.is_ok()), "{}", found.len());
    assert_eq!(
        lengths(b"[{\"a\":1},{\"\xff\":2},{}]").into_iter().map(|row| row.1).collect::<Vec<_>>(),
        [Ok(7), Err(RowFault::Encoding), Ok(2)]
    );
}

#[test]
fn a_file_that_breaks_off_says_so() {
    for file in ["[{\"a\":1}", "[{\"a\":1},", "callback([{\"a\":1},{\"b\"", "[", "callback([", "callback([{\"a\":1}]"] {
        let rows = sampled(Form::default(), 1 << 20, &[file.as_bytes()]).rows;
        assert_eq!(rows.last().map(|row| &row.3), Some(&Err(RowFault::Unfinished)), "{file}");
    }
}
