//! What strangers may cost: sizes, times, connections.

use std::io::Read as _;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use touchstone_ingest::Settings;
use touchstone_platform::listen::WriteLimits;
use touchstone_tests::{HttpClient, eventually};

use super::fixture::{Door, order, verdict_of};

/// Sends bytes, and reads until the other side closes.
async fn converse(door: &Door, bytes: &[u8]) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(door.address).await?;
    stream.write_all(bytes).await?;
    read_all(&mut stream).await
}

async fn read_all(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn assert_refused(answer: &str, status: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    assert!(answer.contains("x-request-id: "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn announced_and_chunked_bodies_above_the_limit_are_413_before_authentication() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let announced = converse(&door, b"POST /v1/analyze HTTP/1.1\r\nhost: t\r\ncontent-length: 262145\r\n\r\n").await?;
    assert_refused(&announced, "413");
    let mut chunked = b"POST /v1/analyze HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..5 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.resize(chunked.len() + 0x10000, b'x');
        chunked.extend_from_slice(b"\r\n");
    }
    assert_refused(&converse(&door, &chunked).await?, "413");
    Ok(())
}

#[tokio::test]
async fn slow_heads_and_bodies_are_cut() -> anyhow::Result<()> {
    let settings = Settings {
        head_timeout: Duration::from_millis(200),
        body_timeout: Duration::from_millis(200),
        ..Settings::default()
    };
    let door = Door::embedded(settings).await?;
    let head = converse(&door, b"POST /v1/analyze HTTP/1.1\r\nhost:").await?;
    assert!(!head.contains("200 OK"), "{head}");
    let body = converse(&door, b"POST /v1/analyze HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\n{").await?;
    assert_refused(&body, "408");
    Ok(())
}

#[tokio::test]
async fn heads_with_too_many_fields_are_431() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let mut head = "GET /healthz HTTP/1.1\r\nhost: t\r\n".to_owned();
    for at in 0..80 {
        head.push_str(&format!("x-{at}: 1\r\n"));
    }
    assert_refused(&converse(&door, format!("{head}\r\n").as_bytes()).await?, "431");
    Ok(())
}

#[tokio::test]
async fn connection_too_many_is_told_so_and_room_comes_back() -> anyhow::Result<()> {
    let door = Door::embedded(Settings { max_connections: 1, ..Settings::default() }).await?;
    let mut first = TcpStream::connect(door.address).await?;
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n").await?;
    let mut one = [0u8; 1];
    first.read_exact(&mut one).await?;
    assert_refused(&converse(&door, b"").await?, "503");
    drop(first);
    eventually(Duration::from_secs(10), "room", async || {
        HttpClient::new().get(&format!("{}/healthz", door.url)).await.ok().filter(|answer| answer.status == 200)
    })
    .await?;
    Ok(())
}

/// Sends requests without end and reads nothing; returns when the door has closed the connection.
async fn pipeline_without_reading(door: &Door) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(door.address).await?;
    let requests = b"GET /openapi.json HTTP/1.1\r\nhost: t\r\n\r\n".repeat(64);
    while stream.write_all(&requests).await.is_ok() {}
    Ok(())
}

#[tokio::test]
async fn callers_who_pipeline_and_never_read_are_closed_and_their_slots_are_free() -> anyhow::Result<()> {
    let write_limits = WriteLimits { stall: Duration::from_millis(500), total: Duration::from_secs(2) };
    let door = Door::embedded(Settings { max_connections: 60, write_limits, ..Settings::default() }).await?;
    let callers = join_all((0..60).map(|_| pipeline_without_reading(&door)));
    let closed = tokio::time::timeout(Duration::from_secs(30), callers).await.context("some were still held")?;
    closed.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let rooms = join_all((0..60).map(|_| TcpStream::connect(door.address))).await;
    let mut last = rooms.into_iter().last().context("there are sixty")??;
    last.write_all(b"GET /healthz HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await?;
    assert!(read_all(&mut last).await?.starts_with("HTTP/1.1 200"), "every slot is free again");
    Ok(())
}

#[tokio::test]
async fn address_has_its_own_limit_unless_it_is_a_proxys() -> anyhow::Result<()> {
    let limited = Settings { connections_per_peer: 2, trusted_proxies: Vec::new(), ..Settings::default() };
    let proxied = Settings { connections_per_peer: 2, ..Settings::default() };
    for (settings, third) in [(limited, "503"), (proxied, "200")] {
        let door = Door::embedded(settings).await?;
        let mut kept = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(door.address).await?;
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n").await?;
            stream.read_exact(&mut [0u8; 1]).await?;
            kept.push(stream);
        }
        let mut stream = TcpStream::connect(door.address).await?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await?;
        let answer = read_all(&mut stream).await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {third}")), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn document_is_compressed_for_those_who_take_it() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let http = HttpClient::new();
    let url = format!("{}/openapi.json", door.url);
    let plain = http.get(&url).await?;
    let request = hyper::Request::get(&url).header("accept-encoding", "gzip").body(http_body_util::Full::default())?;
    let zipped = http.send(request).await?;
    assert_eq!((zipped.header("content-encoding"), zipped.header("vary")), ("gzip", "accept-encoding"));
    assert!(zipped.body.len() * 4 < plain.body.len(), "{} of {}", zipped.body.len(), plain.body.len());
    let mut unzipped = Vec::new();
    flate2::read::GzDecoder::new(zipped.body.as_ref()).read_to_end(&mut unzipped)?;
    assert_eq!(unzipped, plain.body);
    Ok(())
}

#[tokio::test]
async fn reference_runs_the_script_and_style_that_it_is_served_with_and_no_others() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let page = HttpClient::new().get(&format!("{}/docs", door.url)).await?;
    let (policy, text) = (page.header("content-security-policy"), String::from_utf8(page.body.to_vec())?);
    assert!(!policy.contains("unsafe-inline"), "{policy}");
    for (directive, tag) in [("script-src", "script"), ("style-src", "style")] {
        let (_, rest) = text.split_once(&format!("<{tag}>")).context("it is there")?;
        let (inside, _) = rest.split_once(&format!("</{tag}>")).context("it ends")?;
        let hash = BASE64_STANDARD.encode(Sha256::digest(inside));
        assert!(policy.contains(&format!("{directive} 'sha256-{hash}';")), "{policy}");
    }
    Ok(())
}

#[tokio::test]
async fn a_captured_request_sent_again_takes_none_of_the_stores_rate_limit() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    door.scorer(verdict_of).await?;
    // Two requests a minute.
    let client = door.client(&door.keys.few);
    let captured = client.request(hyper::Method::POST, "/v1/analyze", order("R-1").to_string())?;
    assert_eq!(client.execute(captured.clone()).await?.status, 200);
    for _ in 0..5 {
        assert_eq!(client.execute(captured.clone()).await?.status, 401);
    }
    assert_eq!(client.analyze(&order("R-2")).await?.status, 200);
    assert_eq!(client.analyze(&order("R-3")).await?.status, 429);
    assert_eq!(client.execute(captured).await?.status, 401, "it is a replay also when no slot is left");
    Ok(())
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems_with_a_request_id() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    assert_refused(&converse(&door, b"GET /nowhere HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await?, "404");
    let wrong = converse(&door, b"PUT /v1/analyze HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await?;
    assert_refused(&wrong, "405");
    assert!(wrong.contains("allow: POST"), "{wrong}");
    let echoed =
        converse(&door, b"GET /healthz HTTP/1.1\r\nhost: t\r\nx-request-id: mine-1\r\nconnection: close\r\n\r\n")
            .await?;
    assert!(echoed.contains("x-request-id: mine-1"), "{echoed}");
    Ok(())
}

#[tokio::test]
async fn documents_and_probes_answer_without_a_key() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let http = HttpClient::new();
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs"] {
        let answer = http.get(&format!("{}{path}", door.url)).await?;
        anyhow::ensure!(answer.status == 200, "{path}: {answer:?}");
    }
    assert_eq!(http.get(&format!("{}/metrics", door.url)).await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn shutdown_lets_the_request_in_flight_finish() -> anyhow::Result<()> {
    let mut door = Door::embedded(Settings::default()).await?;
    let client = door.client(&door.keys.mine);
    let waiting = tokio::spawn(async move { client.analyze(&order("S-1")).await });
    let depth = async || door.queue.depth(touchstone_platform::queue::Lane::Interactive).await.ok().filter(|n| *n > 0);
    eventually(Duration::from_secs(3), "the order on its lane", depth).await?;
    let served = door.served.take();
    door.scorer(verdict_of).await?;
    door.shutdown.cancel();
    let answer = waiting.await??;
    assert!([200, 202].contains(&answer.status.as_u16()), "{answer:?}");
    tokio::time::timeout(Duration::from_secs(10), served.expect("it serves")).await???;
    assert!(TcpStream::connect(door.address).await.is_err());
    Ok(())
}
