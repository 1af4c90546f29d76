//! Encodings, separators and decimal marks, recognised by the beginning of a file.

use super::*;

const HEAD: [&str; 4] =
    ["transaction.order_id", "transaction.ordered_on", "transaction.order_total", "billing.last_name"];

fn file(separator: char, total: &str, name: &str) -> String {
    let quoted = if total.contains(separator) { format!("\"{total}\"") } else { total.to_owned() };
    let record = ["b1", "2026-03-01", &quoted, name].map(str::to_owned);
    let head = HEAD.map(str::to_owned);
    [head, record].map(|values| values.join(&separator.to_string()) + "\r\n").concat()
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn recognised(bytes: &[u8]) -> (Form, Vec<(u64, String)>) {
    texts(bytes)
}

#[test]
fn each_separator_and_decimal_mark_is_recognised() {
    for separator in Separator::ALL {
        for (total, decimal) in [
            ("129,90", Some(DecimalMark::Comma)),
            ("1.234,56", Some(DecimalMark::Comma)),
            ("1,234.56", Some(DecimalMark::Point)),
            ("129.90", Some(DecimalMark::Point)),
            ("129", None),
            ("1,234", None),
        ] {
            let (form, rows) = recognised(file(char::from(separator.byte()), total, "Keller").as_bytes());
            assert_eq!((form.separator, form.decimal), (Some(*separator), decimal), "{total}");
            assert_eq!(rows.len(), 2);
        }
    }
    let mixed = format!("{}b2;2026-03-01;129.90;Keller\r\n", file(';', "129,90", "Keller"));
    assert_eq!(
        recognised(mixed.as_bytes()).0.decimal,
        None,
        "where numbers disagree none of the marks is that of the file"
    );
}

#[test]
fn the_line_that_spreadsheets_write_names_the_separator() {
    for line in ["sep=;", "SEP=;", "\"sep=;\""] {
        // Without it the header could be divided at the commas.
        let (form, rows) = recognised(format!("{line}\r\na,b;c,d\r\n1;2\r\n").as_bytes());
        assert_eq!((form.separator, rows), (Some(Separator::Semicolon), told(&[(2, "a,b;c,d"), (3, "1;2")])), "{line}");
    }
}

#[test]
fn a_separator_that_stays_ambiguous_is_an_error_that_names_the_option() {
    // By the columns that every file has, and by names that can be none.
    for (head, separator) in [
        ("transaction.ordered_on;note, inner;transaction.order_id", Separator::Semicolon),
        ("transaction.ordered_on,note;inner,transaction.order_id", Separator::Comma),
        ("a;b (x, y);c", Separator::Comma),
    ] {
        let outcome = sampled(of_format(Format::Csv), 1 << 20, &[head.as_bytes()]);
        if head.starts_with('a') {
            let error = outcome.size.unwrap_err();
            assert_eq!(error, FormError::Separator(Separator::Comma, Separator::Semicolon));
            assert!(error.to_string().contains("--separator"), "{error}");
        } else {
            assert_eq!(outcome.form.unwrap().separator, Some(separator), "{head}");
        }
    }
    let said = Form { separator: Some(Separator::Semicolon), ..of_format(Format::Csv) };
    let outcome = sampled(said, 1 << 20, &[b"a;b (x, y);c"]);
    assert_eq!(outcome.form.unwrap().separator, Some(Separator::Semicolon));
}

#[test]
fn each_encoding_is_recognised_and_its_rows_are_the_same() {
    let text = file(';', "129,90", "Müller – 😀");
    let western = file(';', "129,90", "M\u{fc}ller");
    let windows: Vec<u8> = western.chars().map(|letter| u32::from(letter) as u8).collect();
    let marked = |mark: &[u8], bytes: Vec<u8>| [mark, &bytes].concat();
    for (bytes, encoding, expected) in [
        (text.clone().into_bytes(), Encoding::Utf8, &text),
        (marked(b"\xEF\xBB\xBF", text.clone().into_bytes()), Encoding::Utf8, &text),
        (marked(b"\xFF\xFE", utf16(&text, u16::to_le_bytes)), Encoding::Utf16Le, &text),
        (marked(b"\xFE\xFF", utf16(&text, u16::to_be_bytes)), Encoding::Utf16Be, &text),
        (utf16(&text, u16::to_le_bytes), Encoding::Utf16Le, &text),
        (utf16(&text, u16::to_be_bytes), Encoding::Utf16Be, &text),
        (windows, Encoding::Windows1252, &western),
    ] {
        let (form, rows) = recognised(&bytes);
        assert_eq!((form.encoding, form.decimal), (Some(encoding), Some(DecimalMark::Comma)));
        let lines: Vec<_> = expected.lines().collect();
        assert_eq!(rows.iter().map(|row| row.1.as_str()).collect::<Vec<_>>(), lines, "{encoding}");
    }
    let json = utf16("\u{feff}[{\"a\":\"ü\"}]", u16::to_le_bytes);
    assert_eq!(recognised(&json).1, told(&[(1, "{\"a\":\"ü\"}")]));
}

#[test]
fn letters_of_windows_1252_are_those_of_the_standard() {
    let bytes = b"transaction.ordered_on;x\n\x80\x85\x91\x92\x99\x9f\xa0\xdf\xff;1\n\x81;1\n";
    let said = Form { encoding: Some(Encoding::Windows1252), ..of_format(Format::Csv) };
    let rows = sampled(said, 1 << 20, &[bytes]).rows;
    assert_eq!(rows[1].3.as_deref(), Ok("€…‘’™Ÿ\u{a0}ßÿ;1"));
    assert_eq!(rows[2].3, Err(RowFault::Encoding), "a byte without a character");
}

#[test]
fn an_encoding_that_stays_ambiguous_is_an_error_and_a_few_damaged_rows_are_none() {
    let both = [file(';', "1", "Müller").as_bytes(), b"b2;2026-03-01;1;M\xfcller\r\n"].concat();
    let error = sampled(Form::default(), 1 << 20, &[&both]).size.unwrap_err();
    assert!(error.to_string().contains("--encoding"), "{error}");
    let many = [file(';', "1", &"ü".repeat(20)).as_bytes(), b"b2;2026-03-01;1;M\xfcller\r\n"].concat();
    let outcome = sampled(Form::default(), 1 << 20, &[&many]);
    assert_eq!(outcome.form.unwrap().encoding, Some(Encoding::Utf8));
    assert_eq!(outcome.rows[2].3, Err(RowFault::Encoding));
}

#[test]
fn units_of_utf16_that_are_no_character_spoil_their_row_only() {
    let mut bytes = utf16("\u{feff}{\"a\":1}\n{\"a\":\"", u16::to_le_bytes);
    bytes.extend_from_slice(&0xD800u16.to_le_bytes());
    bytes.extend(utf16("\"}\n{\"a\":2}\n", u16::to_le_bytes));
    bytes.push(7);
    let (_, rows) = recognised(&bytes);
    assert_eq!(rows, told(&[(1, "{\"a\":1}"), (2, "! Encoding"), (3, "{\"a\":2}"), (4, "! Encoding")]));
}

#[test]
fn names_and_signs_of_options_are_taken() {
    assert_eq!([";", "semicolon", "SEMICOLON"].map(Separator::named), [(); 3].map(|()| Ok(Separator::Semicolon)));
    assert_eq!(["\t", "\\t", "tab"].map(Separator::named), [(); 3].map(|()| Ok(Separator::Tab)));
    assert_eq!([",", "comma"].map(DecimalMark::named), [(); 2].map(|()| Ok(DecimalMark::Comma)));
    assert_eq!(["latin1", "Windows-1252"].map(Encoding::named), [(); 2].map(|()| Ok(Encoding::Windows1252)));
    assert!(Separator::named(":").is_err() && DecimalMark::named("").is_err() && Encoding::named("ebcdic").is_err());
}
