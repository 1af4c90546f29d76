//! The same promises with every role in processes of their own.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use touchstone_tests::{Backend, Credentials, Receiver, SignedClient, Touchstone, touchstone_json};

use super::fixture::{events, revisions, shown, stored_bytes};
use crate::ingest::fixture::order;

async fn made(backend: &Backend, arguments: &[&str], name: &str) -> Result<String> {
    let document = touchstone_json(backend, arguments).await?;
    Ok(document[name].as_str().with_context(|| format!("no {name} in {document}"))?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identical_orders_at_two_doors_and_two_scorers_make_one_verdict_and_one_webhook() -> Result<()> {
    let backend = Backend::production().await?;
    touchstone_json(&backend, &["migrate"]).await?;
    let merchant = made(&backend, &["merchant", "create", "--name", "Keller"], "merchant_id").await?;
    let store = made(&backend, &["store", "create", "--merchant", &merchant, "--name", "Shop"], "store_id").await?;
    let key = touchstone_json(&backend, &["key", "create", "--store", &store]).await?;
    let credentials = Credentials::from_json(&key)?;
    let receiver = Receiver::start().await?;
    let endpoint = ["endpoint", "create", "--store", &store, "--url", &receiver.url()];
    made(&backend, &endpoint, "endpoint_id").await?;
    let _notifier = Touchstone::new("notifier", &backend)?.start().await?;
    let doors =
        [Touchstone::new("ingest", &backend)?.start().await?, Touchstone::new("ingest", &backend)?.start().await?];
    let _scorers =
        [Touchstone::new("scorer", &backend)?.start().await?, Touchstone::new("scorer", &backend)?.start().await?];

    let clients = doors.each_ref().map(|door| SignedClient::new(&door.url(), credentials.clone()));
    let order = order("X-1");
    let answers = futures_util::future::try_join_all((0..16).map(|at| clients[at % 2].analyze(&order))).await?;
    let verdicts: BTreeSet<_> = answers.iter().map(stored_bytes).collect::<Result<_>>()?;
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    let transaction = shown(&clients[0], &answers[0].json()?["transaction_id"]).await?;
    assert_eq!((revisions(&transaction), events(&transaction)), (1, vec!["order.scored"]), "{transaction}");
    let deliveries = receiver.wait_for(1, Duration::from_secs(30)).await?;
    assert_eq!(deliveries.len(), 1);
    Ok(())
}
