//! Outside data in the running pipeline: a file that is put into the folder counts from the next order on.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use touchstone_tests::{Backend, Credentials, SignedClient, Touchstone, eventually, touchstone_json};

use super::fixture::{PATIENCE, codes, told};
use crate::ingest::fixture::order;

fn from(domain: &str, id: &str) -> Value {
    let mut order = order(id);
    order["customer"]["email"] = json!(format!("ada.lovelace@{domain}"));
    order
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_in_file_changes_the_next_verdict_and_a_malformed_one_changes_nothing() -> Result<()> {
    let backend = Backend::embedded()?;
    let name = |document: &Value, name: &str| document[name].as_str().map(str::to_owned).context("no id");
    let merchant = touchstone_json(&backend, &["merchant", "create", "--name", "Keller"]).await?;
    let merchant = name(&merchant, "merchant_id")?;
    let store = touchstone_json(&backend, &["store", "create", "--merchant", &merchant, "--name", "Shop"]).await?;
    let store = name(&store, "store_id")?;
    touchstone_json(&backend, &["store", "set", "--store", &store, "--rate-limit", "100000"]).await?;
    let key = touchstone_json(&backend, &["key", "create", "--store", &store]).await?;
    let process = Touchstone::new("all", &backend)?.start().await?;
    let client = SignedClient::new(&process.url(), Credentials::from_json(&key)?);
    let is_disposable = async |domain: &str, id: &str| -> Result<bool> {
        let verdict = told(&client.analyze(&from(domain, id)).await?, 200)?;
        Ok(codes(&verdict).contains(&"email_disposable"))
    };
    assert!(!is_disposable("fleeting-mail.net", "E-0").await?);

    let folder = backend.data_dir().join("enrichment");
    fs::create_dir(&folder)?;
    let put = |text: &str| {
        fs::write(folder.join("new"), text)?;
        fs::rename(folder.join("new"), folder.join("disposable-domains.txt"))
    };
    put("fleeting-mail.net\n")?;
    let mut number = 0;
    eventually(PATIENCE, "the file to count", async || {
        number += 1;
        is_disposable("fleeting-mail.net", &format!("E-1-{number}")).await.ok()?.then_some(())
    })
    .await?;

    put("other-mail.net\nnot a domain\n")?;
    eventually(PATIENCE, "the malformed file to be refused", async || {
        process.log().ok()?.contains("line 2: expected a domain").then_some(())
    })
    .await?;
    assert!(is_disposable("fleeting-mail.net", "E-2").await? && !is_disposable("other-mail.net", "E-3").await?);
    Ok(())
}
