//! What operators see of endpoints on the probe door of a real process.

use anyhow::Result;
use touchstone_tests::{Backend, Behaviour, HttpClient, Receiver, eventually};

use super::PATIENCE;
use super::tls::Shop;

async fn failing_endpoint_is_told_by_name(backend: Backend, role: &str) -> Result<()> {
    let shop = Shop::open(backend, role).await?;
    let receiver = Receiver::start().await?;
    receiver.behave(Behaviour::status(500));
    let endpoint = shop.endpoint(&receiver.url()).await?;
    shop.test(&endpoint).await?;
    receiver.wait_for(1, PATIENCE).await?;
    let http = HttpClient::new();
    let url = format!("{}/metrics", shop.process.probe_url());
    let line = format!("touchstone_webhook_endpoint_failures{{endpoint=\"{endpoint}\"}} ");
    eventually(PATIENCE, &line, async || {
        let metrics = http.get(&url).await.ok()?;
        let metrics = String::from_utf8(metrics.body.to_vec()).ok()?;
        metrics.lines().any(|one| one.starts_with(&line)).then_some(())
    })
    .await
}

mod embedded {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn failing_endpoint_is_told_by_name() -> anyhow::Result<()> {
        Box::pin(super::failing_endpoint_is_told_by_name(super::Backend::embedded()?, "all")).await
    }
}

mod production {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn failing_endpoint_is_told_by_name() -> anyhow::Result<()> {
        let backend = Box::pin(super::Backend::production()).await?;
        Box::pin(super::failing_endpoint_is_told_by_name(backend, "notifier")).await
    }
}
