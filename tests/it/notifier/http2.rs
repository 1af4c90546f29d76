//! Receivers that misuse HTTP/2, frame by frame: none of them stops other endpoints or makes a process grow, and what they
//! provably did not look at counts as not sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use touchstone_tests::{Backend, Receiver, Says, eventually};

use super::PATIENCE;
use super::tls::{ATTEMPT, HTTP2, Shop};

const PREFACE: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// Flag of a SETTINGS or PING that answers one.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 200`, by its place in the static table.
const STATUS_200: &[u8] = &[0x88];
const REFUSED_STREAM: u32 = 7;
const INTERNAL_ERROR: u32 = 2;
/// What may have left a flooding receiver until its connection ends.
const FLOOD_MOST_BYTES: usize = 16 << 20;

macro_rules! on_both_ways_to_run {
    ($($behaviour:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                let shop = Box::pin(super::Shop::open(super::Backend::embedded()?, "all")).await?;
                Box::pin(super::$behaviour(&shop)).await
            })+
        }
        mod production {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                let backend = Box::pin(super::Backend::production()).await?;
                let shop = Box::pin(super::Shop::open(backend, "notifier")).await?;
                Box::pin(super::$behaviour(&shop)).await
            })+
        }
    };
}

on_both_ways_to_run![request_that_was_not_looked_at_counts_as_not_sent, misused_http2_neither_hangs_others_nor_is_held,];

/// What a double does with the requests on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misuse {
    /// Answers the first request; goes away before the second.
    GoAway,
    /// Refuses the first request, on the first connection.
    Refuse,
    /// Ends each stream with an error.
    Reset,
    /// Takes no streams at all.
    NoStreams,
    /// Sends settings without end.
    Settings,
    /// Sends pings without end.
    Pings,
    /// Answers with header fields without end.
    Headers,
    /// Answers with a body without end, whatever the window.
    Body,
}

#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    ended: AtomicUsize,
    answered: AtomicUsize,
    flooded: AtomicUsize,
}

struct Double {
    url: String,
    seen: Arc<Seen>,
    server: AbortHandle,
}

impl Drop for Double {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Double {
    async fn start(shop: &Shop, misuse: Misuse) -> Result<Self> {
        let acceptor = shop.authority.issue(Says::sound(HTTP2))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://{}/", listener.local_addr()?);
        let seen = Arc::new(Seen::default());
        let server = tokio::spawn(accept(listener, acceptor, misuse, Arc::clone(&seen))).abort_handle();
        Ok(Self { url, seen, server })
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, misuse: Misuse, seen: Arc<Seen>) {
    while let Ok((stream, _)) = listener.accept().await {
        let number = seen.connections.fetch_add(1, Ordering::SeqCst) + 1;
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            // It ends when the sender ends it, which is what is waited for.
            let _ = serve(stream, acceptor, misuse, number, &seen).await;
            seen.ended.fetch_add(1, Ordering::SeqCst);
        });
    }
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, misuse: Misuse, number: usize, seen: &Seen) -> Result<()> {
    let mut stream = acceptor.accept(tcp).await?;
    stream.read_exact(&mut [0; PREFACE]).await?;
    // SETTINGS_MAX_CONCURRENT_STREAMS is 3.
    let settings: &[u8] = if misuse == Misuse::NoStreams { &[0, 3, 0, 0, 0, 0] } else { &[] };
    send(&mut stream, SETTINGS, 0, 0, settings).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        stream.read_exact(&mut vec![0; length]).await?;
        match (head[3], head[4] & ACK) {
            (SETTINGS, 0) => send(&mut stream, SETTINGS, ACK, 0, &[]).await?,
            (HEADERS, _) => meet(&mut stream, misuse, (number, id), seen).await?,
            _ => {}
        }
    }
}

async fn meet(
    stream: &mut TlsStream<TcpStream>,
    misuse: Misuse,
    (number, id): (usize, u32),
    seen: &Seen,
) -> Result<()> {
    match misuse {
        Misuse::GoAway if number == 1 && id > 1 => {
            // The last stream looked at was 1, and nothing is wrong.
            return send(stream, GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]).await;
        }
        Misuse::Refuse if number == 1 => return send(stream, RST_STREAM, 0, id, &REFUSED_STREAM.to_be_bytes()).await,
        // One may have been sent before the settings were seen.
        Misuse::NoStreams => return Ok(()),
        Misuse::Reset => return send(stream, RST_STREAM, 0, id, &INTERNAL_ERROR.to_be_bytes()).await,
        Misuse::GoAway | Misuse::Refuse => {}
        Misuse::Settings => return flood(stream, seen, (SETTINGS, 0, &[])).await,
        Misuse::Pings => return flood(stream, seen, (PING, 0, &[0; 8])).await,
        Misuse::Headers => {
            send(stream, HEADERS, 0, id, STATUS_200).await?;
            // A literal field that is not put in the table: name `x`, and a value of 100 bytes.
            let field = [&[0, 1, b'x', 100], &[b'y'; 100][..]].concat().repeat(100);
            return flood(stream, seen, (CONTINUATION, id, &field)).await;
        }
        Misuse::Body => {
            send(stream, HEADERS, END_HEADERS, id, STATUS_200).await?;
            return flood(stream, seen, (DATA, id, &[b'x'; 16_000])).await;
        }
    }
    seen.answered.fetch_add(1, Ordering::SeqCst);
    send(stream, HEADERS, END_HEADERS | END_STREAM, id, STATUS_200).await
}

/// Sends a frame again and again until the connection ends.
async fn flood(stream: &mut TlsStream<TcpStream>, seen: &Seen, (kind, id, payload): (u8, u32, &[u8])) -> Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let sending = async {
        loop {
            writer.write_all(&frame(kind, 0, id, payload)).await?;
            writer.flush().await?;
            seen.flooded.fetch_add(payload.len() + 9, Ordering::SeqCst);
        }
    };
    let reading = async {
        while reader.read(&mut [0; 4_096]).await? > 0 {}
        anyhow::Ok(())
    };
    tokio::select! {
        sent = sending => sent,
        read = reading => read,
    }
}

async fn send(stream: &mut TlsStream<TcpStream>, kind: u8, flags: u8, id: u32, payload: &[u8]) -> Result<()> {
    stream.write_all(&frame(kind, flags, id, payload)).await?;
    Ok(stream.flush().await?)
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
}

async fn request_that_was_not_looked_at_counts_as_not_sent(shop: &Shop) -> Result<()> {
    for (misuse, events) in [(Misuse::Refuse, 1), (Misuse::GoAway, 2)] {
        let double = Double::start(shop, misuse).await?;
        let endpoint = shop.endpoint(&double.url).await?;
        for sent in 1..=events {
            shop.test(&endpoint).await?;
            let what = format!("{misuse:?}: {sent} answered");
            eventually(PATIENCE, &what, async || (double.seen.answered.load(Ordering::SeqCst) == sent).then_some(()))
                .await?;
        }
        let of_all = |row: &serde_json::Value| row["state"] == "delivered";
        let found = shop.delivery(&endpoint, "a delivered row", of_all).await?;
        ensure!(found["delivery"]["attempts"] == 1, "{misuse:?}: {found}");
        ensure!(double.seen.connections.load(Ordering::SeqCst) == 2, "{misuse:?}: {:?}", double.seen);
        ensure!(shop.failed(&endpoint).await? == 0, "{misuse:?}");
    }
    Ok(())
}

/// All at once, each with an event, and a sound receiver beside them that is served meanwhile.
async fn misused_http2_neither_hangs_others_nor_is_held(shop: &Shop) -> Result<()> {
    let misuses = [
        (Misuse::Reset, &[Some("protocol")][..]),
        (Misuse::NoStreams, &[Some("timeout")]),
        (Misuse::Settings, &[Some("timeout"), Some("protocol")]),
        (Misuse::Pings, &[Some("timeout"), Some("protocol")]),
        (Misuse::Headers, &[Some("protocol")]),
        // Its 200 counts if it was read before the bytes that break the window.
        (Misuse::Body, &[None, Some("protocol")]),
    ];
    let healthy = Receiver::start_tls(shop.authority.issue(Says::sound(HTTP2))?).await?;
    let healthy_endpoint = shop.endpoint(&healthy.url()).await?;
    let mut doubles = Vec::new();
    for (misuse, errors) in misuses {
        let double = Double::start(shop, misuse).await?;
        let endpoint = shop.endpoint(&double.url).await?;
        shop.test(&endpoint).await?;
        shop.test(&endpoint).await?;
        doubles.push((misuse, errors, endpoint, double));
    }
    for sent in 1..=5 {
        shop.test(&healthy_endpoint).await?;
        healthy.wait_for(sent, PATIENCE).await?;
    }
    ensure!(healthy.deliveries().iter().all(|delivery| delivery.connection == 1), "its connection is kept");
    for (misuse, errors, endpoint, double) in &doubles {
        let attempted = |row: &serde_json::Value| row["attempts"] != 0;
        let found = shop.delivery(endpoint, &format!("{misuse:?}: an attempt"), attempted).await?;
        let error = found["attempts"][0]["error"].as_str();
        ensure!(errors.contains(&error), "{misuse:?}: {found}");
        eventually(ATTEMPT, &format!("{misuse:?}: the end of its connections"), async || {
            let seen = &double.seen;
            (seen.connections.load(Ordering::SeqCst) == seen.ended.load(Ordering::SeqCst)).then_some(())
        })
        .await?;
        let flooded = double.seen.flooded.load(Ordering::SeqCst);
        ensure!(
            matches!(misuse, Misuse::Settings | Misuse::Pings) || flooded <= FLOOD_MOST_BYTES,
            "{misuse:?}: {flooded} bytes"
        );
    }
    let id = shop.process.id().context("it runs")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak")?;
    let peak_kb: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    ensure!(peak_kb <= 400 * 1_024, "{peak_kb} kB");
    Ok(())
}
