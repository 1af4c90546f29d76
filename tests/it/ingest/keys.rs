//! What another process has just made works at its first use, and what strangers may cause by asking for more.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::json;
use touchstone_ingest::Settings;
use touchstone_platform::clock::Clock;
use touchstone_platform::directory::Directory;
use touchstone_platform::random;
use touchstone_platform::store::SystemReason;
use touchstone_schema::tenant::{KeyMode, KeyScope};
use touchstone_schema::time::Timestamp;
use touchstone_tests::{Backend, Credentials, HttpClient, SignedClient, Touchstone, touchstone_json};

use super::centra::{sample, tell};
use super::fixture::{Door, Key, connection_row};
use super::orders::Shop;
use crate::cli::{new_store, text};

async fn at_its_first_use(door: &Door) -> Result<()> {
    let mine = &door.keys.mine;
    for _ in 0..4 {
        // A store that no process has read yet, and a key of it.
        let key = door.add_store().await?;
        assert_eq!(door.client(&key).get("/v1/transactions").await?.status, 200);
        let fresh = SignedClient::new(&door.url, door.rotate(&key, Duration::from_secs(60)).await?);
        assert_eq!(fresh.get("/v1/transactions").await?.status, 200, "a secret that was just rotated");

        let orders = door.add_unread_key(mine, KeyMode::Live, KeyScope::Orders).await?;
        assert_eq!(Shop::at(&door.url, &orders.credentials.api_key).get("/v1/orders/1").await?.status, 404);

        let checks = door.add_unread_key(mine, KeyMode::Live, KeyScope::Checks).await?;
        assert_eq!(check_status(door, &checks).await?, 406);

        let token = hex::encode(random::bytes::<16>());
        let row = connection_row(&mine.tenant.store_id, &token, &door.clock);
        door.store.system(SystemReason::Operator).add_connection(&row).await?;
        let told = tell(&format!("{}/v1/centra/{token}", door.url), sample().to_string()).await?;
        assert_eq!(told.status, 202, "{told:?}");
    }
    Ok(())
}

async fn check_status(door: &Door, key: &Key) -> Result<u16> {
    let pair = BASE64_STANDARD.encode(format!("{}:{}", key.id, key.password));
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{}/v2/risk/order/ecommerce", door.url))
        .header("authorization", format!("Basic {pair}"))
        .header("content-type", "application/json");
    Ok(HttpClient::new().send(request.body(Full::from("{}"))?).await?.status.as_u16())
}

#[tokio::test]
async fn what_was_just_made_works_at_its_first_use_embedded() -> Result<()> {
    at_its_first_use(&Door::embedded(Settings::default()).await?).await
}

#[tokio::test]
async fn what_was_just_made_works_at_its_first_use_in_production() -> Result<()> {
    at_its_first_use(&Door::production(Settings::default()).await?).await
}

#[tokio::test]
async fn key_that_a_command_made_beside_a_running_program_works_at_once() -> Result<()> {
    let backend = Backend::embedded()?;
    let store = new_store(&backend).await?;
    let server = Touchstone::new("all", &backend)?.start().await?;
    for _ in 0..3 {
        let key = touchstone_json(&backend, &["key", "create", "--store", &store]).await?;
        let client = SignedClient::new(&server.url(), Credentials::from_json(&key)?);
        assert_eq!(client.get("/v1/transactions").await?.status, 200);
        let id = text(&key, "key_id")?;
        touchstone_json(&backend, &["key", "revoke", "--key", id]).await?;
    }
    Ok(())
}

/// A directory that nothing keeps fresh but looking again, at a time that stands still.
async fn still_directory() -> Result<(Door, Arc<Directory>)> {
    let clock = Clock::manual(Timestamp::from_millis(1_790_000_000_000));
    let door = Door::open_at(Backend::embedded()?, Settings::default(), clock).await?;
    let directory = door.open_directory().await?;
    Ok((door, directory))
}

async fn finds_a_new_store(door: &Door, directory: &Directory, name: &str) -> Result<bool> {
    let seen = directory.snapshot();
    let key = door.add_store().await?;
    let found = directory.look_again(&seen, name).await;
    Ok(found.is_some_and(|newer| newer.store(&key.tenant.store_id).is_some()))
}

#[tokio::test]
async fn strangers_spend_a_budget_and_then_cost_no_look() -> Result<()> {
    let (door, directory) = still_directory().await?;
    for number in 0..1_000 {
        assert!(directory.look_again(&directory.snapshot(), &format!("stranger {number}")).await.is_none());
    }
    assert!(!finds_a_new_store(&door, &directory, "first").await?, "nobody looks any more");
    door.clock.advance(Duration::from_millis(50));
    assert!(finds_a_new_store(&door, &directory, "second").await?, "one look was earned");
    directory.refresh_now().await?;
    Ok(())
}

#[tokio::test]
async fn name_that_was_not_found_is_not_looked_for_again_at_once() -> Result<()> {
    let (door, directory) = still_directory().await?;
    for _ in 0..1_000 {
        assert!(directory.look_again(&directory.snapshot(), "the same").await.is_none());
    }
    assert!(!finds_a_new_store(&door, &directory, "the same").await?);
    assert!(finds_a_new_store(&door, &directory, "another").await?, "the budget is not spent");
    Ok(())
}

#[tokio::test]
async fn requests_that_wait_together_share_a_look() -> Result<()> {
    let (door, directory) = still_directory().await?;
    let seen = directory.snapshot();
    let key = door.add_store().await?;
    let names: Vec<_> = (0..500).map(|number| format!("waiting {number}")).collect();
    let found = join_all(names.iter().map(|name| directory.look_again(&seen, name))).await;
    assert!(found.iter().flatten().all(|newer| newer.store(&key.tenant.store_id).is_some()));
    assert_eq!(found.iter().flatten().count(), names.len(), "each found it, by one budget of twenty");
    Ok(())
}

#[tokio::test]
async fn wrong_secret_of_a_known_key_is_refused_like_an_unknown_key() -> Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let known = &door.keys.mine.credentials;
    let wrong = Credentials { hmac_secret: "0".repeat(64), ..known.clone() };
    let unknown = Credentials { api_key: format!("fcc_live_{}", "0".repeat(32)), ..known.clone() };
    let mut refusals = Vec::new();
    for credentials in [wrong, unknown] {
        let client = SignedClient::new(&door.url, credentials);
        let mut request = client.request(Method::GET, "/v1/transactions", "")?;
        request.headers_mut().insert("x-request-id", "same".parse()?);
        let answer = client.execute(request).await?;
        assert_eq!((answer.status.as_u16(), &answer.json()?["code"]), (401, &json!("unauthorized")));
        refusals.push(answer.body);
    }
    assert_eq!(refusals[0], refusals[1]);
    Ok(())
}
