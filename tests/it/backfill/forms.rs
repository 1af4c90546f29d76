//! Files as shops and spreadsheets write them: several documents in one, separators, decimal marks, encodings.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use touchstone_hostile::{mutated, samples};
use touchstone_schema::time::Timestamp;
use touchstone_tests::{Backend, touchstone};

use super::fixture::{Shop, ago, counts, csv, order, sheet};
use crate::cli_policy::on_both_ways_to_run;

on_both_ways_to_run![
    several_documents_in_one_file_are_all_read_and_the_rest_is_refused_by_line,
    spreadsheets_of_any_form_tell_the_same_orders_and_the_form_is_reported,
    what_stays_ambiguous_is_refused_and_an_option_settles_it,
    mutated_rows_are_read_or_refused_by_a_required_field,
    rows_with_warnings_are_read_counted_and_listed_beside_those_refused,
    an_interrupted_reading_with_other_options_begins_again,
];

fn past(orders: Range<usize>) -> Vec<Value> {
    orders.map(|number| order(number, Timestamp::from_millis(*BEGIN + number as i64 * 1_000))).collect()
}

/// When the first order was placed, in milliseconds.
static BEGIN: LazyLock<i64> = LazyLock::new(|| ago(Duration::from_secs(86_400)).as_millis());

fn refused_lines(answer: &Value) -> Result<Vec<Value>> {
    let path = answer["refused_file"].as_str().context("there is a side file")?;
    let written = std::fs::read_to_string(path)?;
    Ok(written.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

async fn several_documents_in_one_file_are_all_read_and_the_rest_is_refused_by_line(backend: &Backend) -> Result<()> {
    let shop = Box::pin(Shop::open(backend)).await?;
    let page = |orders| Value::from(past(orders)).to_string();
    let pretty = past(9..12).iter().map(|order| format!("{order:#}\n")).collect::<String>();
    let guarded = format!("/**/ typeof callback === 'function' && callback({});", page(12..14));
    for (name, content, expected) in [
        ("pages.js", format!("callback({});\ncallback({});\n", page(0..3), page(3..6)), [6, 0, 0]),
        ("arrays.json", format!("{}\n{}\n", page(3..6), page(6..9)), [3, 3, 0]),
        ("pretty.json", pretty, [3, 0, 0]),
        ("express.js", guarded, [2, 0, 0]),
    ] {
        let answer = shop.backfill(&[&shop.write(name, content)?]).await?;
        assert_eq!(counts(&answer), expected, "{name}: {answer}");
    }
    let broken = format!("{}\nand more\ncallback({});\n/* to be", page(0..2), page(14..15));
    let answer = shop.backfill(&[&shop.write("broken.json", broken)?]).await?;
    assert_eq!(counts(&answer), [1, 2, 2], "{answer}");
    let lines: Vec<_> = refused_lines(&answer)?.iter().map(|row| row["line"].as_u64()).collect();
    assert_eq!(lines, [Some(2), Some(4)]);
    // Of each file that is done, every byte was read or refused.
    assert_eq!(shop.count("backfills WHERE state = 'done' AND position = size AND size > 0").await?, 5);
    Ok(())
}

async fn spreadsheets_of_any_form_tell_the_same_orders_and_the_form_is_reported(backend: &Backend) -> Result<()> {
    let shop = Box::pin(Shop::open(backend)).await?;
    let mut orders = past(0..4);
    orders[0]["billing"]["last_name"] = json!("Müller");
    let (plain, sheet) = (csv(&orders), sheet(&orders));
    let windows: Vec<u8> = sheet.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?')).collect();
    let wide = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
    };
    let mut first = true;
    for (name, content, form) in [
        ("plain.csv", plain.clone().into_bytes(), ["utf-8", "comma", "point"]),
        ("sheet.csv", sheet.clone().into_bytes(), ["utf-8", "semicolon", "comma"]),
        ("sep.csv", format!("sep=;\r\n{sheet}").into_bytes(), ["utf-8", "semicolon", "comma"]),
        ("windows.csv", windows, ["windows-1252", "semicolon", "comma"]),
        ("unicode.txt", wide(&sheet.replace(';', "\t"), u16::to_le_bytes), ["utf-16le", "tab", "comma"]),
        ("big.csv", wide(&sheet.replace(';', "|"), u16::to_be_bytes), ["utf-16be", "pipe", "comma"]),
    ] {
        let answer = shop.backfill(&[&shop.write(name, content)?]).await?;
        assert_eq!(counts(&answer), if first { [4, 0, 0] } else { [0, 4, 0] }, "{name}: {answer}");
        let source = &answer["sources"][0];
        let reported = [&source["encoding"], &source["separator"], &source["decimal"]];
        assert_eq!((reported, &source["format"]), (form.map(Value::from).each_ref(), &json!("csv")), "{name}");
        first = false;
    }
    assert_eq!(shop.count("history WHERE what = 'order' AND amount_minor = 2050").await?, 4);
    let printed = touchstone(backend, &shop.call(&[shop.path("sheet.csv").to_str().context("a path")?])).await?;
    anyhow::ensure!(printed.stdout.contains("csv, utf-8, separator semicolon, decimal comma"), "{printed:?}");
    Ok(())
}

async fn what_stays_ambiguous_is_refused_and_an_option_settles_it(backend: &Backend) -> Result<()> {
    let shop = Box::pin(Shop::open(backend)).await?;
    let file = "transaction.order_id;transaction.ordered_on;transaction.order_total\nA-1;2026-03-01;1,234\nA-2;2026-03-01;50\n";
    let file = shop.write("ambiguous.csv", file)?;
    let answer = shop.backfill(&[&file]).await?;
    assert_eq!((counts(&answer), &answer["sources"][0]["decimal"]), ([1, 0, 1], &Value::Null));
    let refused = refused_lines(&answer)?;
    assert_eq!((&refused[0]["kind"], &refused[0]["field"]), (&json!("refused"), &json!("/transaction/order_total")));
    anyhow::ensure!(refused[0]["reason"].to_string().contains("--decimal"), "{refused:?}");
    let answer = shop.backfill(&[&file, "--decimal", "point"]).await?;
    assert_eq!((counts(&answer), &answer["sources"][0]["decimal"]), ([1, 1, 0], &json!("point")));
    assert_eq!(shop.count("backfilled WHERE amount_minor = 123400").await?, 1);

    let file = shop.write("both.csv", "a;b (x, y);c\n1;2;3\n")?;
    let (code, answer) = shop.attempt(&[&file]).await?;
    anyhow::ensure!(code == Some(1) && answer.to_string().contains("--separator"), "{answer}");
    let (_, answer) = shop.attempt(&[&file, "--separator", ";"]).await?;
    assert_eq!(counts(&answer), [0, 0, 1], "{answer}");
    assert_eq!(shop.count("backfills WHERE state = 'failed'").await?, 1);
    let printed = touchstone(backend, &shop.call(&[&file, "--separator", ":"])).await?;
    assert_eq!(printed.code, Some(2), "{printed:?}");
    Ok(())
}

async fn mutated_rows_are_read_or_refused_by_a_required_field(backend: &Backend) -> Result<()> {
    const ROWS: u64 = 10_000;
    let shop = Box::pin(Shop::open(backend)).await?;
    let mut file = String::new();
    for number in 0..ROWS {
        let mut row = samples::first_document(samples::CHECKS);
        row["transaction"]["order_id"] = json!(format!("M-{number}"));
        writeln!(file, "{}", mutated(row, "/transaction/order_id", number))?;
    }
    let answer = shop.backfill(&[&shop.write("mutated.json", file)?]).await?;
    let [accepted, unchanged, refused] = counts(&answer);
    assert_eq!((accepted + refused, unchanged), (ROWS, 0), "{answer}");
    ensure!(refused < ROWS / 5, "{answer}");
    let required = [
        "/transaction/ordered_on",
        "/transaction/order_total",
        "/transaction/order_currency",
        "/transaction/type",
        "/products/*/product_id",
        "/products/*/title",
        "/products/*/price",
        "/products/*/quantity",
        "/products/product_id",
        "/products/title",
        "/products/price",
        "/products/quantity",
    ];
    for row in refused_lines(&answer)?.iter().filter(|row| row["kind"] == "refused") {
        let field = row["field"].as_str().unwrap_or_default();
        let plain: Vec<_> = field.split('/').map(|part| if part.parse::<u32>().is_ok() { "*" } else { part }).collect();
        ensure!(required.contains(&plain.join("/").as_str()), "{row}");
    }
    Ok(())
}

async fn rows_with_warnings_are_read_counted_and_listed_beside_those_refused(backend: &Backend) -> Result<()> {
    let shop = Box::pin(Shop::open(backend)).await?;
    let file = "transaction.order_id;transaction.ordered_on;transaction.order_total\n\
        W-1;2026-03-01;12,50\nW-2;2026-03-01;12.50\nW-3;never;12,50\n";
    let file = shop.write("warned.csv", file)?;
    let answer = shop.backfill(&[&file, "--decimal", "comma"]).await?;
    assert_eq!((counts(&answer), &answer["warned"]), ([2, 0, 1], &json!(1)));
    assert_eq!(answer["sources"][0]["warnings"][0]["line"], 3);
    let lines = refused_lines(&answer)?;
    let warning = &lines[0];
    assert_eq!(
        ["kind", "code", "field", "row"].map(|name| &warning[name]),
        ["warning", "malformed", "/transaction/order_total", "W-2;2026-03-01;12.50"].map(Value::from).each_ref()
    );
    assert_eq!((&lines[1]["kind"], &lines[1]["line"]), (&json!("refused"), &json!(4)));
    assert_eq!(shop.count("backfilled WHERE amount_minor = 1250").await?, 2);
    assert_eq!(shop.count("backfill_warnings WHERE number = 1 AND line = 3").await?, 1);
    Ok(())
}

async fn an_interrupted_reading_with_other_options_begins_again(backend: &Backend) -> Result<()> {
    let shop = Box::pin(Shop::open(backend)).await?;
    let file = shop.write("orders.csv", sheet(&past(0..3)))?;
    shop.refuse("backfilled").await?;
    let (code, _) = shop.attempt(&[&file, "--decimal", "point"]).await?;
    assert_eq!(code, Some(1));
    shop.accept("backfilled").await?;
    let answer = shop.backfill(&[&file, "--decimal", "comma"]).await?;
    assert_eq!((counts(&answer), &answer["warned"]), ([3, 0, 0], &json!(0)));
    assert_eq!(shop.count("backfills").await?, 2);
    assert_eq!(shop.count("backfills WHERE state = 'failed'").await?, 1);
    Ok(())
}
