//! Files by HTTP.

use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::Value;
use touchstone_tests::{Backend, SignedClient, Touchstone, eventually};

use super::fixture::{PATIENCE, Shop, ago, client, counts, csv, lines, order};
use crate::cli::new_store;
use crate::cli_policy::on_both_ways_to_run;

on_both_ways_to_run![
    upload_is_read_in_the_background_and_tells_its_refused_rows,
    upload_says_the_form_of_its_file_in_the_signed_path,
    upload_whose_rows_the_database_refuses_fails_and_says_how_far_it_came,
    an_upload_that_is_not_what_was_signed_leaves_nothing,
    uploads_of_a_scorer_that_was_killed_are_read_by_the_next,
];

fn past(orders: usize) -> Vec<Value> {
    let begin = ago(Duration::from_secs(86_400));
    (0..orders).map(|number| order(number, begin + Duration::from_secs(number as u64))).collect()
}

async fn done(client: &SignedClient, location: &str) -> Result<Value> {
    eventually(PATIENCE, "the upload to be read", async || {
        let shown = client.get(location).await.ok()?.json().ok()?;
        ["done", "failed"].contains(&shown["state"].as_str()?).then_some(shown)
    })
    .await
}

async fn upload_is_read_in_the_background_and_tells_its_refused_rows(backend: &Backend) -> Result<()> {
    let server = Touchstone::new("all", backend)?.start().await?;
    let shop = Box::pin(Shop::open(backend)).await?;
    let mine = shop.client(&server).await?;
    let theirs = client(backend, &server, &new_store(backend).await?).await?;
    let file = format!("{}broken,row\r\n", csv(&past(4_000)));
    anyhow::ensure!(file.len() > 300_000, "it is larger than other bodies may be");
    let answer = mine.upload("/v1/backfill", "text/csv; charset=utf-8", file).await?;
    anyhow::ensure!(answer.status == 202, "{answer:?}");
    let location = answer.header("location").to_owned();
    let shown = done(&mine, &location).await?;
    assert_eq!((shown["state"].as_str(), counts(&shown)), (Some("done"), [4_000, 0, 1]), "{shown}");
    assert_eq!(shown["position"], shown["size"], "nothing of it is left");
    let form = ["format", "encoding", "separator", "decimal"].map(|name| &shown[name]);
    assert_eq!(form, ["csv", "utf-8", "comma", "point"].map(Value::from).each_ref());
    assert!(shown["refusals"][0]["reason"].as_str().context("it has a reason")?.contains("13 values"), "{shown}");
    assert_eq!(theirs.get(&location).await?.status, 404);
    let again = mine.upload("/v1/backfill?kind=order", "application/x-ndjson", lines(&past(3))).await?;
    assert_eq!(counts(&done(&mine, again.header("location")).await?), [0, 0, 3], "other times, so other facts");
    eventually(PATIENCE, "the pieces to be forgotten", async || {
        (shop.count("backfill_chunks").await.ok()? == 0).then_some(())
    })
    .await?;
    assert_eq!(shop.count("history WHERE what = 'order'").await?, 4_000);
    assert_eq!(shop.count("events").await?, 0);
    let broken = mine.upload("/v1/backfill", "text/csv", "a,a\n1,2\n").await?;
    let shown = done(&mine, broken.header("location")).await?;
    assert!(shown["failure"].as_str().is_some_and(|failure| failure.contains("column `a`")), "{shown}");
    Ok(())
}

async fn upload_says_the_form_of_its_file_in_the_signed_path(backend: &Backend) -> Result<()> {
    let server = Touchstone::new("all", backend)?.start().await?;
    let shop = Box::pin(Shop::open(backend)).await?;
    let mine = shop.client(&server).await?;
    let file = "transaction.order_id|transaction.ordered_on|transaction.order_total|note\n\
        F-1|2026-03-01|1,234|M\u{fc}ller\nF-2|2026-03-01|12.50|x\n";
    let windows: Vec<u8> = file.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?')).collect();
    let said = "/v1/backfill?separator=pipe&decimal=comma&encoding=windows-1252&kind=order";
    let answer = mine.upload(said, "text/csv", windows).await?;
    anyhow::ensure!(answer.status == 202, "{answer:?}");
    let location = answer.header("location").to_owned();
    let shown = done(&mine, &location).await?;
    // USD has no three decimals, so what would be 1234 with a decimal point is refused.
    assert_eq!((counts(&shown), shown["warned"].as_u64()), ([1, 0, 1], Some(1)), "{shown}");
    let form = ["format", "encoding", "separator", "decimal"].map(|name| &shown[name]);
    assert_eq!(form, ["csv", "windows-1252", "pipe", "comma"].map(Value::from).each_ref());
    let warning = ["line", "code", "field"].map(|name| &shown["warnings"][0][name]);
    assert_eq!(warning, [Value::from(3), "malformed".into(), "/transaction/order_total".into()].each_ref());
    assert_eq!(mine.get(&format!("{location}?warnings_after=1")).await?.json()?["warnings"], Value::Array(vec![]));
    for (parameter, field) in
        [("separator=x", "/separator"), ("decimal=;", "/decimal"), ("encoding=ebcdic", "/encoding")]
    {
        let refused = mine.upload(&format!("/v1/backfill?{parameter}"), "text/csv", "a\n").await?;
        assert_eq!((refused.status.as_u16(), &refused.json()?["field"]), (422, &Value::from(field)));
    }
    Ok(())
}

async fn upload_whose_rows_the_database_refuses_fails_and_says_how_far_it_came(backend: &Backend) -> Result<()> {
    let server = Touchstone::new("all", backend)?.start().await?;
    let shop = Box::pin(Shop::open(backend)).await?;
    let mine = shop.client(&server).await?;
    shop.refuse("backfilled").await?;
    let answer = mine.upload("/v1/backfill", "text/csv", csv(&past(3))).await?;
    let shown = done(&mine, answer.header("location")).await?;
    let failure = shown["failure"].as_str().context("it says why")?;
    assert_eq!((shown["state"].as_str(), counts(&shown)), (Some("failed"), [0, 0, 0]), "{shown}");
    anyhow::ensure!(failure.contains("nothing after the first 0 rows"), "{failure}");
    eventually(PATIENCE, "the pieces to be forgotten", async || {
        (shop.count("backfill_chunks").await.ok()? == 0).then_some(())
    })
    .await?;
    assert_eq!(shop.count("audit_log WHERE action = 'backfill.begin' AND actor = 'merchant'").await?, 1);
    Ok(())
}

async fn an_upload_that_is_not_what_was_signed_leaves_nothing(backend: &Backend) -> Result<()> {
    let server = Touchstone::new("all", backend)?.start().await?;
    let shop = Box::pin(Shop::open(backend)).await?;
    let mine = shop.client(&server).await?;
    let file = lines(&past(5));
    let another = mine.upload_request("/v1/backfill", "application/x-ndjson", &"0".repeat(64), file.clone())?;
    let answer = mine.execute(another).await?;
    assert_eq!((answer.status.as_u16(), &answer.json()?["code"]), (422, &Value::from("another_body")));
    // A body that was signed like those of other routes, and one whose hash was changed on the way.
    assert_eq!(mine.send(Method::POST, "/v1/backfill", file.clone()).await?.status, 401);
    let mut changed = mine.upload_request("/v1/backfill", "application/x-ndjson", &"0".repeat(64), file.clone())?;
    changed.headers_mut().insert("X-Content-SHA256", "1".repeat(64).parse()?);
    assert_eq!(mine.execute(changed).await?.status, 401);
    let mut large = mine.upload_request("/v1/backfill", "application/x-ndjson", &"0".repeat(64), "")?;
    large.headers_mut().insert("Content-Length", "1073741825".parse()?);
    assert_eq!(mine.execute(large).await?.status, 413);
    let media = mine.upload("/v1/backfill", "application/pdf", file.clone()).await?;
    assert_eq!(media.status, 415);
    let kind = mine.upload("/v1/backfill?kind=parcel", "application/x-ndjson", file).await?;
    assert_eq!((kind.status.as_u16(), &kind.json()?["field"]), (422, &Value::from("/kind")));
    eventually(PATIENCE, "what was begun to be dropped", async || {
        (shop.count("backfills").await.ok()? == 0 && shop.count("backfill_chunks").await.ok()? == 0).then_some(())
    })
    .await?;
    assert_eq!(shop.count("history").await?, 0);
    Ok(())
}

async fn uploads_of_a_scorer_that_was_killed_are_read_by_the_next(backend: &Backend) -> Result<()> {
    let mut server = Touchstone::new("all", backend)?.start().await?;
    let shop = Box::pin(Shop::open(backend)).await?;
    let mine = shop.client(&server).await?;
    let answer = mine.upload("/v1/backfill", "text/csv", csv(&past(20_000))).await?;
    anyhow::ensure!(answer.status == 202, "{answer:?}");
    eventually(PATIENCE, "some of it to be committed", async || {
        (shop.count("backfilled").await.ok()? > 0).then_some(())
    })
    .await?;
    server.restart().await?;
    let shown = done(&mine, answer.header("location")).await?;
    assert_eq!(counts(&shown), [20_000, 0, 0]);
    assert_eq!(shop.count("history WHERE what = 'order'").await?, 20_000);
    Ok(())
}
