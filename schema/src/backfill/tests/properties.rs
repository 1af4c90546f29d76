//! Properties of any file.

use proptest::prelude::*;

use super::*;

/// Bytes that mean something to one of the forms.
const SIGNS: &[u8] = b"\xEF\xBB\xBF\xff\xFE\0{}[](),;:\"'\\\r\n\t| a1./*_=&sep";

/// Bytes between rows that no row holds: punctuation, comments and openings of calls, which are checked by themselves.
fn is_punctuation(gap: &[u8], form: Form) -> bool {
    if form.format == Some(Format::Csv) {
        let separator = form.separator.unwrap().byte();
        return gap.split(|byte| matches!(byte, b'\r' | b'\n')).all(|line| {
            let is_blank = |byte: &u8| *byte == separator || b" \t\"".contains(byte);
            line.iter().all(is_blank) || super::super::records::separator_line(line).is_some()
        });
    }
    let text = String::from_utf8_lossy(gap);
    let signs = |text: &str| text.chars().all(|sign| " \t\r\n,;[]()\u{1e}\u{feff}".contains(sign));
    // What is left without comments is punctuation, or the opening of a call or of an assignment.
    signs(&text) || text.contains("//") || text.contains("/*") || text.contains(['(', '=']) || text.contains(")]}")
}

fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| *cut.min(&bytes.len())).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

fn forms() -> impl Strategy<Value = Form> {
    let of = |format| proptest::option::of(proptest::sample::select(format));
    (
        of(Format::ALL.to_vec()),
        proptest::option::of(proptest::sample::select(Encoding::ALL.to_vec())),
        proptest::option::of(proptest::sample::select(Separator::ALL.to_vec())),
    )
        .prop_map(|(format, encoding, separator)| Form { format, encoding, separator, decimal: None })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_of_the_same_bytes_gives_the_same_rows_and_every_byte_has_its_place(
        bytes in proptest::collection::vec(proptest::sample::select(SIGNS.to_vec()), 0..200),
        cuts in proptest::collection::vec(0usize..200, 0..12),
        said in forms(),
        sample in prop_oneof![0usize..64, Just(1 << 20)],
    ) {
        let whole = sampled(said, sample, &[&bytes]);
        prop_assert_eq!(&whole, &sampled(said, sample, &cut(&bytes, &cuts)));
        let Ok(size) = whole.size else { return Ok(()) };
        prop_assert_eq!(size, bytes.len() as u64);
        let form = whole.form.unwrap();
        let mark = super::super::encoding::mark(&bytes, form.encoding.unwrap()) as u64;
        let mut at = mark;
        for (_, start, end, _) in &whole.rows {
            prop_assert!(at <= *start && start <= end && *end <= size, "{whole:?}");
            if matches!(form.encoding, Some(Encoding::Utf8 | Encoding::Windows1252)) {
                let gap = &bytes[at as usize..*start as usize];
                prop_assert!(is_punctuation(gap, form), "{:?} in {whole:?}", String::from_utf8_lossy(gap));
            }
            at = *end;
        }
        if matches!(form.encoding, Some(Encoding::Utf8 | Encoding::Windows1252)) {
            prop_assert!(is_punctuation(&bytes[at as usize..], form), "the end of {whole:?}");
        }
    }

    #[test]
    fn documents_in_any_mixture_are_all_read(
        pages in proptest::collection::vec((0usize..4, 0usize..6, 0usize..5), 0..8),
        cuts in proptest::collection::vec(0usize..400, 0..6),
    ) {
        let (mut file, mut expected) = (" {\"a\":0}".to_owned(), vec![0]);
        for (rows, form, between) in pages {
            let rows: Vec<_> = (0..rows).map(|_| { expected.push(expected.len()); expected.len() - 1 }).collect();
            let texts: Vec<_> = rows.iter().map(|number| format!("{{\"a\":\n {number} }}")).collect();
            let listed = texts.join(",");
            file.push_str(["\n", " , ", ";\n", "// [a] {b\n", "/* } */"][between]);
            file.push_str(&match form {
                0 => format!("[{listed}]"),
                1 => format!("callback([{listed}]);"),
                2 => texts.join("\n"),
                3 => format!("typeof a.b === 'function' && a.b([{listed}])"),
                4 => format!("[[{listed}],[]]"),
                _ => format!("x = [\n{listed}\n];"),
            });
        }
        let outcome = sampled(Form::default(), 1 << 20, &cut(file.as_bytes(), &cuts));
        let read: Vec<_> = outcome.rows.iter().map(|row| {
            let text = row.3.as_ref().unwrap();
            text[5..text.len() - 1].trim().parse::<usize>().unwrap()
        }).collect();
        prop_assert_eq!(read, expected, "{}", file);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in any::<String>(), said in forms()) {
        let _ = sampled(Form::default(), 1 << 20, &[&bytes]);
        let _ = sampled(said, 1 << 20, &[&bytes]);
        let _ = super::super::prologue::read(&text);
        let _ = super::super::numbers::Number::of(&text);
        for separator in Separator::ALL {
            if let Ok(header) = Header::parse(&text, *separator) {
                let _ = header.document(&text, &said);
            }
            fields(&text, *separator);
        }
    }

    #[test]
    fn numbers_of_any_form_are_read_as_what_was_written(
        whole in 0u64..100_000_000_000,
        cents in 0u64..100,
        group in proptest::sample::select(vec!["", ".", ",", " ", "'"]),
        mark in proptest::sample::select(vec![DecimalMark::Point, DecimalMark::Comma]),
    ) {
        let decimal = if mark == DecimalMark::Point { "." } else { "," };
        prop_assume!(group != decimal);
        let digits = whole.to_string();
        let grouped: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|some| std::str::from_utf8(some).unwrap()).collect();
        let header = Header::parse("order_total\tid", Separator::Tab).unwrap();
        let record = format!("{}{decimal}{cents:02}\t1", grouped.join(group));
        let form = Form { decimal: Some(mark), ..Form::default() };
        let (document, warnings) = header.document(&record, &form).unwrap();
        prop_assert_eq!(document.get("order_total").unwrap().as_str().unwrap(), format!("{whole}.{cents:02}"));
        prop_assert!(warnings.is_empty());
    }

    #[test]
    fn records_are_those_that_the_csv_crate_reads(
        rows in proptest::collection::vec(proptest::collection::vec("[a-c\"\r\n,;|\té ]{0,6}", 3), 0..6),
        separator in proptest::sample::select(Separator::ALL.to_vec()),
        ends_with_return in any::<bool>(),
    ) {
        let terminator = if ends_with_return { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
        let mut writer =
            ::csv::WriterBuilder::new().delimiter(separator.byte()).terminator(terminator).from_writer(Vec::new());
        for row in &rows {
            // A record of which nothing is written is none.
            writer.write_record(std::iter::once("x").chain(row.iter().map(String::as_str))).unwrap();
        }
        let file = writer.into_inner().unwrap();
        let said = Form { separator: Some(separator), encoding: Some(Encoding::Utf8), ..of_format(Format::Csv) };
        let outcome = sampled(said, 1 << 20, &[&file]);
        let ours: Vec<Vec<String>> = outcome.rows.iter().map(|row| {
            fields(row.3.as_deref().unwrap(), separator).into_iter().map(|field| field.into_owned()).collect()
        }).collect();
        let mut reader = ::csv::ReaderBuilder::new().delimiter(separator.byte()).has_headers(false).from_reader(&file[..]);
        let theirs: Vec<Vec<String>> =
            reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        prop_assert_eq!(&ours, &theirs);
        prop_assert_eq!(ours.len(), rows.len());
    }
}
