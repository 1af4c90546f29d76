//! Settings of endpoints: headers of the merchant's own.

use anyhow::{Result, ensure};
use touchstone_platform::crypto::SealContext;
use touchstone_platform::store::accounts::{EndpointRow, SealedHeaders};
use touchstone_tests::Receiver;

use super::{Backend, PATIENCE, World};

on_both_ways_to_run![
    own_headers_arrive_beside_a_signature_that_verifies,
    own_headers_never_replace_the_signature_whatever_is_stored,
];

fn sealed(world: &World, row: &EndpointRow, lines: &str) -> Result<SealedHeaders> {
    let (store, record) = (row.store_id.as_str(), row.id.as_str());
    let context = SealContext { store, record, purpose: SealContext::WEBHOOK_HEADERS };
    Ok(SealedHeaders { names: Vec::new(), sealed: world.master_keys.seal(lines.as_bytes(), &context)? })
}

async fn own_headers_arrive_beside_a_signature_that_verifies(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let lines = "Authorization: Bearer hunter2\nX-Shop: 7\n";
    let change = |row| Ok(EndpointRow { headers: Some(sealed(world, &row, lines)?), ..row });
    let (_, secret) = world.endpoint_with(&receiver.url(), change).await?;
    world.start("127.0.0.0/8")?;
    let event = world.announced_event().await?;
    let delivery = receiver.wait_for(1, PATIENCE).await?.remove(0);
    delivery.verify(&secret)?;
    ensure!(delivery.header("webhook-id") == event.id.as_str());
    ensure!(delivery.header("authorization") == "Bearer hunter2" && delivery.header("x-shop") == "7");
    world.stop().await
}

/// Rows that no command of ours would write: they are read by the same rules as what is typed.
async fn own_headers_never_replace_the_signature_whatever_is_stored(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let mut endpoints = Vec::new();
    for name in ["webhook-id", "Webhook-Timestamp", "WEBHOOK-SIGNATURE", "content-length", "host"] {
        let lines = format!("X-Shop: 7\n{name}: forged\n");
        let change = |row| Ok(EndpointRow { headers: Some(sealed(world, &row, &lines)?), ..row });
        endpoints.push(world.endpoint_with(&receiver.url(), change).await?.0);
    }
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    for endpoint in endpoints {
        let (row, _) = world.delivery(&endpoint, "a refused attempt", |row| row.attempts == 1).await?;
        ensure!(row.last_error.as_deref() == Some("headers"), "{row:?}");
    }
    ensure!(receiver.deliveries().is_empty());
    world.stop().await
}
