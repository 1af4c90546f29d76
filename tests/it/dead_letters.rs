//! Messages that could not be processed, as an operator meets them: in the log, in the list, and gone.

use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use serde_json::json;
use touchstone_platform::clock::Clock;
use touchstone_platform::queue::{self, Lane, QueueSettings};
use touchstone_platform::store::{Store, StoreSettings};
use touchstone_schema::secret::Secret;
use touchstone_tests::{Backend, Touchstone, eventually, touchstone, touchstone_json};

use crate::cli_policy::on_both_ways_to_run;

const PATIENCE: Duration = Duration::from_secs(60);

on_both_ways_to_run![dead_letter_is_logged_once_with_its_id_and_can_be_discarded];

/// Puts what is no submission on the lane of promised orders, beside the process that serves.
async fn publish_garbage(backend: &Backend) -> Result<()> {
    let settings = match &backend.amqp_url {
        Some(url) => QueueSettings::RabbitMq { url: Secret::new(url.as_str()), connection_name: "test".to_owned() },
        None => {
            let path = backend.data_dir().join("touchstone.sqlite");
            QueueSettings::BesideEmbedded { store: Store::open(&StoreSettings::Sqlite { path }).await? }
        }
    };
    let queue = queue::open(&settings, Clock::system()).await?;
    eventually(PATIENCE, "the message to be on its lane", async || {
        queue.publish(Lane::Durable, vec![Bytes::from_static(b"\xffgarbage")]).await.ok()
    })
    .await?;
    queue.close().await;
    Ok(())
}

async fn dead_letter_is_logged_once_with_its_id_and_can_be_discarded(backend: &Backend) -> Result<()> {
    let server = Touchstone::new("all", backend)?.start().await?;
    publish_garbage(backend).await?;
    let id = eventually(PATIENCE, "the dead letter", async || {
        let listed = touchstone_json(backend, &["dead-letter", "list"]).await.ok()?;
        listed["dead_letters"][0]["id"].as_str().map(str::to_owned)
    })
    .await?;
    let log = server.log()?;
    let lines: Vec<_> = log.lines().filter(|line| line.contains(&id)).collect();
    ensure!(lines.len() == 1 && lines[0].contains("WARN") && lines[0].contains("not a submission"), "{log}");

    let discarded = touchstone_json(backend, &["dead-letter", "discard", "--id", &id]).await?;
    assert_eq!(discarded["discarded"], 1);
    let listed = touchstone_json(backend, &["dead-letter", "list"]).await?;
    assert_eq!(listed["dead_letters"], json!([]));
    let again = touchstone(backend, &["dead-letter", "discard", "--id", &id]).await?;
    ensure!(again.code == Some(1) && again.stderr.contains("there is no dead letter"), "{again:?}");
    Ok(())
}
