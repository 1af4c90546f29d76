//! What past orders do: they are what later orders are compared with, and nothing else.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use touchstone_schema::limits::HISTORY_SPAN;
use touchstone_tests::{Backend, Touchstone};

use super::fixture::{Shop, ago, counts, lines, order};
use crate::cli_policy::on_both_ways_to_run;

on_both_ways_to_run![
    past_orders_and_labels_change_the_next_verdict_and_cause_no_event,
    an_order_that_was_screened_is_not_remembered_twice,
    past_orders_tell_what_is_usual_at_the_store,
    what_is_out_of_reach_enters_no_history_but_what_becomes_of_it_does,
];

const MINUTE: Duration = Duration::from_secs(60);

/// An order of this customer, to be screened.
fn live(id: &str, email: &str, card: usize) -> Value {
    json!({"order_id": id, "amount": "20.50", "currency": "USD", "customer": {"email": email},
        "payment": {"method": "card", "card_bin": "411111", "card_last4": format!("{card:04}"), "card_expiry": "12/30"}})
}

async fn codes(client: &touchstone_tests::SignedClient, order: &Value) -> Result<Vec<String>> {
    let answer = client.analyze(order).await?;
    anyhow::ensure!(answer.status == 200, "{answer:?}");
    let verdict = answer.json()?;
    let codes = verdict["reason_codes"].as_array().context("a verdict has reasons")?;
    Ok(codes.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

async fn past_orders_and_labels_change_the_next_verdict_and_cause_no_event(backend: &Backend) -> Result<()> {
    let server = Touchstone::new("all", backend)?.start().await?;
    let shop = Box::pin(Shop::open(backend)).await?;
    let client = shop.client(&server).await?;
    let before = codes(&client, &live("L-1", "ann@example.com", 7)).await?;
    assert!(!before.contains(&"cards_per_email".to_owned()), "{before:?}");
    let events = shop.count("events").await?;
    let transactions = shop.count("transactions").await?;
    let mut rows = Vec::new();
    for card in 0..5usize {
        let mut row = order(card, ago(MINUTE * 30));
        row["billing"]["email"] = json!("ann@example.com");
        row["payment"]["exp_date"] = json!("1230");
        rows.push(row);
    }
    assert_eq!(counts(&shop.backfill(&[&shop.write("1.jsonl", lines(&rows))?]).await?), [5, 0, 0]);
    let after = codes(&client, &live("L-2", "ann@example.com", 8)).await?;
    assert!(after.contains(&"cards_per_email".to_owned()), "{after:?}");

    let mut fraud = order(99, ago(MINUTE * 60 * 24 * 20));
    fraud["billing"]["email"] = json!("eve@example.com");
    let unlabelled = codes(&client, &live("L-3", "eve@example.com", 9)).await?;
    fraud["transaction"]["is_fraud"] = json!(true);
    assert_eq!(counts(&shop.backfill(&[&shop.write("2.jsonl", lines(&[fraud]))?]).await?), [1, 0, 0]);
    let labelled = codes(&client, &live("L-4", "eve@example.com", 9)).await?;
    let is_told = |codes: &[String]| codes.iter().any(|code| code.contains("fraud") || code.contains("chargeback"));
    assert!(!is_told(&unlabelled) && is_told(&labelled), "{unlabelled:?} {labelled:?}");

    // The three orders that were screened since, and nothing of the file's.
    assert_eq!(shop.count("events").await?, events + 3);
    assert_eq!(shop.count("transactions").await?, transactions + 3);
    assert_eq!(shop.count("deliveries").await?, 0);
    Ok(())
}

async fn an_order_that_was_screened_is_not_remembered_twice(backend: &Backend) -> Result<()> {
    let server = Touchstone::new("all", backend)?.start().await?;
    let shop = Box::pin(Shop::open(backend)).await?;
    let client = shop.client(&server).await?;
    codes(&client, &live("P-1", "ann@example.com", 1)).await?;
    let row = order(1, ago(MINUTE));
    let file = shop.write("1.jsonl", lines(&[row]))?;
    // What became of it is new.
    assert_eq!(counts(&shop.backfill(&[&file]).await?), [1, 0, 0]);
    assert_eq!(shop.count("history WHERE what = 'order'").await?, 1);
    assert_eq!(shop.count("history WHERE what = 'fulfilled'").await?, 1);
    assert_eq!(counts(&shop.backfill(&[&file]).await?), [0, 1, 0]);
    assert_eq!(shop.count("history").await?, 2);
    Ok(())
}

async fn past_orders_tell_what_is_usual_at_the_store(backend: &Backend) -> Result<()> {
    let server = Touchstone::new("all", backend)?.start().await?;
    let shop = Box::pin(Shop::open(backend)).await?;
    let client = shop.client(&server).await?;
    let rows: Vec<Value> = (0..300).map(|number| order(number, ago(MINUTE * 60 * 48))).collect();
    assert_eq!(counts(&shop.backfill(&[&shop.write("1.jsonl", lines(&rows))?]).await?), [300, 0, 0]);
    let mut large = live("L-1", "ann@example.com", 1);
    large["amount"] = json!("900.00");
    let codes = codes(&client, &large).await?;
    assert!(codes.contains(&"amount_outlier".to_owned()), "{codes:?}");
    Ok(())
}

async fn what_is_out_of_reach_enters_no_history_but_what_becomes_of_it_does(backend: &Backend) -> Result<()> {
    let server = Touchstone::new("all", backend)?.start().await?;
    let shop = Box::pin(Shop::open(backend)).await?;
    let client = shop.client(&server).await?;
    let mut row = order(1, ago(HISTORY_SPAN + MINUTE * 60));
    row["billing"]["email"] = json!("eve@example.com");
    let read = async |name: &str, row: &Value| {
        let file = shop.write(name, lines(std::slice::from_ref(row)))?;
        anyhow::Ok((counts(&shop.backfill(&[&file]).await?), counts(&shop.backfill(&[&file]).await?)))
    };
    assert_eq!(read("1.jsonl", &row).await?, ([1, 0, 0], [0, 1, 0]));
    assert_eq!((shop.count("history").await?, shop.count("backfilled").await?), (0, 1));

    // A customer disputes it weeks later, and wins a day ago: told by two files.
    row["transaction"]["chargeback_status"] = json!("opened");
    row["transaction"]["updated_on"] = json!(ago(MINUTE * 60 * 24 * 30).to_rfc3339());
    assert_eq!(read("2.jsonl", &row).await?, ([1, 0, 0], [0, 1, 0]));
    row["transaction"]["chargeback_status"] = json!("won");
    row["transaction"]["updated_on"] = json!(ago(MINUTE * 60 * 24).to_rfc3339());
    assert_eq!(read("3.jsonl", &row).await?, ([1, 0, 0], [0, 1, 0]));
    assert_eq!(shop.count("history WHERE what IN ('chargeback_opened', 'chargeback_upheld')").await?, 2);
    assert_eq!(shop.count("history").await?, 2);
    let reasons = codes(&client, &live("L-1", "eve@example.com", 9)).await?;
    assert!(reasons.iter().any(|code| code.contains("chargeback")), "{reasons:?}");

    // Other facts are told from the same, as of any order.
    row["transaction"]["order_total"] = json!("99.00");
    let (code, answer) = shop.attempt(&[&shop.write("4.jsonl", lines(&[row]))?]).await?;
    assert_eq!((code, counts(&answer)), (Some(1), [0, 0, 1]));
    Ok(())
}
