//! What files may look like, and what is said of rows that are none.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use touchstone_tests::Backend;

use super::fixture::{Shop, ago, counts, csv, lines, order};
use crate::cli_policy::on_both_ways_to_run;

on_both_ways_to_run![
    every_format_tells_the_same_orders,
    refused_rows_are_told_by_line_and_stop_no_other,
    an_order_comes_in_once_and_what_is_new_of_it_is_added,
    dry_run_judges_everything_and_writes_nothing,
    files_that_cannot_be_read_are_failures,
];

fn past(orders: usize) -> Vec<Value> {
    (0..orders).map(|number| order(number, ago(Duration::from_secs(86_400 + number as u64)))).collect()
}

async fn every_format_tells_the_same_orders(backend: &Backend) -> Result<()> {
    let shop = Box::pin(Shop::open(backend)).await?;
    let orders = past(7);
    let array = Value::from(orders.clone()).to_string();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(csv(&orders).as_bytes())?;
    let files = [
        shop.write("orders.csv", csv(&orders))?,
        shop.write("orders.txt", csv(&orders))?,
        shop.write("orders.jsonl", lines(&orders))?,
        shop.write("orders.json", &array)?,
        shop.write("orders.js", format!("callback({array});\n"))?,
        shop.write("orders.csv.gz", gzip.finish()?)?,
    ];
    for (index, file) in files.iter().enumerate() {
        let expected = if index == 0 { [7, 0, 0] } else { [0, 7, 0] };
        assert_eq!(counts(&shop.backfill(&[file]).await?), expected, "{file}");
    }
    // An order and what became of it.
    assert_eq!(shop.count("history").await?, 14);
    assert_eq!(shop.count("backfilled").await?, 7);
    Ok(())
}

async fn refused_rows_are_told_by_line_and_stop_no_other(backend: &Backend) -> Result<()> {
    let shop = Box::pin(Shop::open(backend)).await?;
    let orders = past(2);
    let mut card = orders[1].clone();
    card["payment"]["number"] = json!("4111 1111 1111 1111");
    let mut undated = orders[1].clone();
    undated["transaction"]["ordered_on"] = json!("yesterday");
    let mut future = orders[1].clone();
    future["transaction"]["ordered_on"] = json!("2999-01-01T00:00:00Z");
    let mut file = format!("{}\n{card}\nno JSON\n\n{undated}\n{future}\n", orders[0]).into_bytes();
    file.extend_from_slice(b"{\"a\":\"\xff\"}\n");
    let mut refund = order(9, ago(Duration::from_secs(86_400)));
    refund["transaction"]["type"] = json!("refund");
    file.extend_from_slice(lines(&[refund]).as_bytes());
    file.extend_from_slice(orders[1].to_string().as_bytes());
    let answer = shop.backfill(&[&shop.write("orders.jsonl", file)?]).await?;
    assert_eq!(counts(&answer), [2, 0, 6]);
    let path = answer["refused_file"].as_str().context("there are refused rows")?;
    assert_eq!(std::fs::metadata(path)?.permissions().mode() & 0o777, 0o600);
    let written = std::fs::read_to_string(path)?;
    let refused: Vec<Value> = written.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let told: Vec<_> = refused.iter().map(|row| (row["line"].as_u64(), row["field"].as_str())).collect();
    let at = |line, field| (Some(line), Some(field));
    let expected = [
        at(2, "/payment/number"),
        at(3, ""),
        at(5, "/transaction/ordered_on"),
        at(6, "/transaction/ordered_on"),
        at(7, ""),
        at(8, "/transaction/type"),
    ];
    assert_eq!(told, expected);
    assert!(written.contains("**** **** **** 1111") && !written.contains("4111 1111"), "{written}");
    Ok(())
}

async fn an_order_comes_in_once_and_what_is_new_of_it_is_added(backend: &Backend) -> Result<()> {
    let shop = Box::pin(Shop::open(backend)).await?;
    let mut row = order(1, ago(Duration::from_secs(86_400)));
    assert_eq!(
        counts(&shop.backfill(&[&shop.write("1.jsonl", lines(&[row.clone(), row.clone()]))?]).await?),
        [1, 1, 0]
    );
    row["transaction"]["chargeback_status"] = json!("opened");
    let file = shop.write("2.jsonl", lines(&[row.clone()]))?;
    assert_eq!(counts(&shop.backfill(&[&file]).await?), [1, 0, 0]);
    assert_eq!(counts(&shop.backfill(&[&file]).await?), [0, 1, 0]);
    assert_eq!(shop.count("history WHERE what = 'order'").await?, 1);
    assert_eq!(shop.count("history WHERE what = 'chargeback_opened'").await?, 1);
    // Other facts under the same id.
    row["transaction"]["order_total"] = json!("99.00");
    let (code, answer) = shop.attempt(&[&shop.write("3.jsonl", lines(&[row]))?]).await?;
    assert_eq!((code, counts(&answer)), (Some(1), [0, 0, 1]), "a file of which nothing could be used is a failure");
    assert_eq!(shop.count("history").await?, 3);
    Ok(())
}

async fn dry_run_judges_everything_and_writes_nothing(backend: &Backend) -> Result<()> {
    let shop = Box::pin(Shop::open(backend)).await?;
    let file = shop.write("orders.jsonl", format!("{}nonsense\n", lines(&past(3))))?;
    let answer = shop.backfill(&[&file, "--dry-run"]).await?;
    assert_eq!(counts(&answer), [3, 0, 1]);
    assert_eq!(answer["sources"][0]["refusals"][0]["line"], 4);
    assert_eq!(answer["refused_file"], Value::Null);
    for table in ["history", "backfilled", "backfills", "backfill_refusals"] {
        assert_eq!(shop.count(table).await?, 0, "{table}");
    }
    assert_eq!(counts(&shop.backfill(&[&file]).await?), [3, 0, 1]);
    assert_eq!(counts(&shop.backfill(&[&file, "--dry-run"]).await?), [0, 3, 1]);
    Ok(())
}

async fn files_that_cannot_be_read_are_failures(backend: &Backend) -> Result<()> {
    let shop = Box::pin(Shop::open(backend)).await?;
    for (name, content) in [("header.csv", "a,a\n1,2\n"), ("path.csv", "a..b\n1\n")] {
        let (code, answer) = shop.attempt(&[&shop.write(name, content)?]).await?;
        assert_eq!(code, Some(1), "{answer}");
        assert!(answer["error"]["causes"].to_string().contains("column `a"), "{answer}");
    }
    let (code, _) = shop.attempt(&["nowhere.csv"]).await?;
    assert_eq!(code, Some(1));
    Ok(())
}
