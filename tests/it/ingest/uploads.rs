//! What an upload may cost: slots, time, and bytes a day.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use touchstone_ingest::Settings;
use touchstone_platform::clock::Clock;
use touchstone_tests::{Backend, eventually};

use super::fixture::{Door, Key};

/// Longest that anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An upload whose head, with this header of its length, and these first bytes are sent.
async fn begun(door: &Door, key: &Key, length: &str, first: &str) -> anyhow::Result<TcpStream> {
    let request = door.client(key).upload_request("/v1/backfill", "application/x-ndjson", &"0".repeat(64), "")?;
    let mut head = format!("POST /v1/backfill HTTP/1.1\r\nhost: t\r\n{length}\r\n");
    for (name, value) in request.headers().iter().filter(|(name, _)| *name != "content-length" && *name != "host") {
        head.push_str(&format!("{name}: {}\r\n", value.to_str()?));
    }
    let mut stream = TcpStream::connect(door.address).await?;
    stream.write_all(format!("{head}\r\n{first}").as_bytes()).await?;
    Ok(stream)
}

async fn answer(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await??;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_has_two_uploads_at_once_and_others_have_theirs() -> anyhow::Result<()> {
    let door =
        Door::embedded(Settings { body_timeout: PATIENCE, upload_window: PATIENCE, ..Settings::default() }).await?;
    let length = "content-length: 10";
    let held = [begun(&door, &door.keys.mine, length, "{").await?, begun(&door, &door.keys.mine, length, "{").await?];
    let tenant = door.store.tenant(&door.keys.mine.tenant);
    eventually(PATIENCE, "both to come in", async || {
        (tenant.receiving_backfills(Clock::system().now()).await.ok()? == 2).then_some(())
    })
    .await?;
    let mine = door.client(&door.keys.mine);
    let refused = mine.upload("/v1/backfill", "application/x-ndjson", "{}").await?;
    assert_eq!((refused.status.as_u16(), &refused.json()?["code"]), (409, &Value::from("too_many_backfills")));
    let theirs = door.client(&door.keys.theirs).upload("/v1/backfill", "application/x-ndjson", "{}").await?;
    assert_eq!(theirs.status, 202, "{theirs:?}");
    // Slots are given up with the connections.
    drop(held);
    eventually(PATIENCE, "a slot", async || {
        let answer = mine.upload("/v1/backfill", "application/x-ndjson", "{}").await.ok()?;
        (answer.status == 202).then_some(())
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_that_are_too_slow_are_ended_and_told_the_rate() -> anyhow::Result<()> {
    let settings = Settings {
        body_timeout: PATIENCE,
        upload_least_rate: 1_000,
        upload_window: Duration::from_millis(500),
        ..Settings::default()
    };
    let door = Door::embedded(settings).await?;
    let mut stream = begun(&door, &door.keys.mine, "content-length: 1000000", "{").await?;
    // Byte by byte it is never silent for long.
    let (mut reader, mut writer) = stream.split();
    let trickle = async {
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        while writer.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
        std::future::pending::<()>().await;
    };
    let mut told = Vec::new();
    // The connection may be reset behind the answer, because there is more to read than is read.
    let read = async { while reader.read_buf(&mut told).await.is_ok_and(|length| length > 0) {} };
    tokio::select! {
        () = trickle => {}
        read = tokio::time::timeout(PATIENCE, read) => read?,
    }
    let told = String::from_utf8_lossy(&told);
    assert!(told.starts_with("HTTP/1.1 408") && told.contains("upload_too_slow"), "{told}");
    assert!(told.contains("at least 1000 bytes a second over 0.5 s"), "{told}");
    let tenant = door.store.tenant(&door.keys.mine.tenant);
    assert_eq!(tenant.receiving_backfills(Clock::system().now()).await?, 0, "its slot is free");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_uploads_so_many_bytes_a_day_whether_or_not_they_become_whole() -> anyhow::Result<()> {
    quota(&Door::embedded(Settings { upload_day_bytes: 5_000_000, ..Settings::default() }).await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_uploads_so_many_bytes_a_day_in_production_too() -> anyhow::Result<()> {
    let settings = Settings { upload_day_bytes: 5_000_000, ..Settings::default() };
    quota(&Door::open(Backend::production().await?, settings).await?).await
}

async fn quota(door: &Door) -> anyhow::Result<()> {
    let mine = door.client(&door.keys.mine);
    let media = "application/x-ndjson";
    let file = "x".repeat(3_000_000);
    // Another body than was signed: it counts all the same.
    let broken = mine.execute(mine.upload_request("/v1/backfill", media, &"0".repeat(64), file.clone())?).await?;
    assert_eq!(broken.status, 422, "{broken:?}");
    let told = answer(&mut begun(door, &door.keys.mine, "content-length: 3000000", "").await?).await?;
    assert!(told.starts_with("HTTP/1.1 429") && told.contains("upload_quota"), "{told}");
    assert!(told.contains("retry-after: "), "{told}");
    // One that does not announce its length is ended where the quota is.
    let chunks = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(32);
    let told = answer(&mut begun(door, &door.keys.mine, "transfer-encoding: chunked", &chunks).await?).await?;
    assert!(told.starts_with("HTTP/1.1 429") && told.contains("upload_quota"), "{told}");
    assert_eq!(mine.upload("/v1/backfill", media, "{}").await?.status, 202, "what is left may be used");
    let theirs = door.client(&door.keys.theirs).upload("/v1/backfill", media, file).await?;
    assert_eq!(theirs.status, 202, "{theirs:?}");
    Ok(())
}
