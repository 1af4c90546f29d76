//! The load: callers that each send the next request as soon as the last is answered.
//!
//! Guarantee: what a run counts began and ended inside its window; the warm-up before is not counted.
//! Failure: a broken connection is counted under status 0 and made anew; nothing ends the run early.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    body::Bytes,
    client::conn::http1::{Connection, SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{
    machine::{Processes, Usage},
    order::Orders,
};

/// Before the window of every run: connections are made, caches filled, the CPU's clock raised.
const WARM_UP: Duration = Duration::from_millis(1_500);

/// Longer than every deadline of the product, so that a hang shows as one.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Pause before a connection is tried again, so that a dead server does not cost the whole machine.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// The status under which failed connections and missing answers are counted.
pub(crate) const NO_ANSWER: u16 = 0;

/// One that asks and waits.
pub(crate) trait Caller: Send + 'static {
    /// One exchange; the status of its answer.
    fn call(&mut self) -> impl Future<Output = u16> + Send;
}

/// What one run showed.
pub(crate) struct Run {
    /// Exchanges of the window with a good answer, in rising order.
    latencies: Vec<Duration>,
    /// Every answer of the window.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// How long the window was.
    window: Duration,
    /// What the machine did in the window.
    pub(crate) usage: Usage,
}

impl Run {
    /// Good answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.window.as_secs_f64()
    }

    /// The latency in milliseconds that `share` of the good answers do not exceed.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let index = (self.latencies.len() as f64 * share).ceil() as usize;
        let latency = self.latencies.get(index.saturating_sub(1)).copied().unwrap_or_default();
        latency.as_secs_f64() * 1_000.0
    }

    /// CPU time of each process in microseconds per good answer.
    pub(crate) fn cpu_per_answer(&self) -> Vec<(&'static str, f64)> {
        let answers = self.latencies.len().max(1) as f64;
        self.usage.cpu.iter().map(|(name, time)| (*name, time.as_secs_f64() * 1e6 / answers)).collect()
    }
}

/// Lets `callers` run for `window` after a warm-up.
pub(crate) async fn run<C: Caller>(callers: Vec<C>, window: Duration, processes: &Processes) -> anyhow::Result<Run> {
    let begin = Instant::now() + WARM_UP;
    let end = begin + window;
    let tasks: Vec<_> = callers.into_iter().map(|caller| tokio::spawn(repeat(caller, begin, end))).collect();
    tokio::time::sleep_until(begin.into()).await;
    let before = processes.reading()?;
    tokio::time::sleep_until(end.into()).await;
    let usage = processes.reading()?.since(&before);
    let (mut latencies, mut statuses) = (Vec::new(), BTreeMap::new());
    for task in tasks {
        for (status, latency) in task.await? {
            *statuses.entry(status).or_insert(0) += 1;
            if status == 200 {
                latencies.push(latency);
            }
        }
    }
    latencies.sort_unstable();
    Ok(Run { latencies, statuses, window, usage })
}

async fn repeat<C: Caller>(mut caller: C, begin: Instant, end: Instant) -> Vec<(u16, Duration)> {
    let mut seen = Vec::with_capacity(65_536);
    loop {
        let asked = Instant::now();
        if asked >= end {
            return seen;
        }
        let status = caller.call().await;
        let answered = Instant::now();
        if asked >= begin && answered <= end {
            seen.push((status, answered - asked));
        }
    }
}

/// Sends orders over one connection that stays open.
pub(crate) struct HttpCaller {
    address: SocketAddr,
    host: String,
    orders: Arc<Orders>,
    link: Option<Link>,
}

/// Both ends of a hyper connection, driven by the task that uses it: no hop to another task on the way.
struct Link {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
}

impl HttpCaller {
    /// One caller of the door at `address`.
    pub(crate) fn new(address: SocketAddr, orders: &Arc<Orders>) -> Self {
        Self { address, host: address.to_string(), orders: Arc::clone(orders), link: None }
    }

    /// As many as asked for.
    pub(crate) fn many(count: usize, address: SocketAddr, orders: &Arc<Orders>) -> Vec<Self> {
        (0..count).map(|_| Self::new(address, orders)).collect()
    }

    /// Sends the next order and reads the whole answer within `within`.
    ///
    /// # Errors
    /// When none comes; the connection is given up.
    pub(crate) async fn exchange(&mut self, within: Duration) -> anyhow::Result<(u16, Bytes)> {
        let request = self.orders.request(&self.host)?;
        let link = match self.link.take() {
            Some(link) => link,
            None => Link::open(self.address).await?,
        };
        let (answer, link) = tokio::time::timeout(within, link.exchange(request)).await.context("no answer")??;
        self.link = link;
        Ok(answer)
    }
}

impl Caller for HttpCaller {
    async fn call(&mut self) -> u16 {
        match self.exchange(ANSWER_WITHIN).await {
            Ok((status, _)) => status,
            Err(_) => {
                tokio::time::sleep(RECONNECT_PAUSE).await;
                NO_ANSWER
            }
        }
    }
}

impl Link {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, connection: Box::pin(connection) })
    }

    /// The answer, and the link if it can be used again.
    async fn exchange(mut self, request: Request<Full<Bytes>>) -> anyhow::Result<((u16, Bytes), Option<Self>)> {
        let answer = {
            let sender = &mut self.sender;
            let mut exchange = pin!(async move {
                sender.ready().await?;
                let answer = sender.send_request(request).await?;
                let status = answer.status().as_u16();
                anyhow::Ok((status, answer.into_body().collect().await?.to_bytes()))
            });
            tokio::select! {
                biased;
                answer = &mut exchange => answer?,
                // A connection that ends may still have delivered the whole answer.
                ended = &mut self.connection => match ended {
                    Ok(()) => return Ok((exchange.await?, None)),
                    Err(error) => bail!(error),
                },
            }
        };
        Ok((answer, Some(self)))
    }
}
