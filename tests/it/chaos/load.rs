//! Clients that send orders at the same time, each the same order again until it is accepted.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use hyper::StatusCode;
use hyper_util::client::legacy::Error as ClientError;
use tokio::sync::watch;
use tokio::time::timeout;
use touchstone_tests::{Answer, SignedClient, eventually};

use super::shop::{Accepted, Shop};

/// How long a client waits for an answer, as the platforms do (contract section 1).
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one order may take to be accepted, the longest outage of a test included.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(75);

/// What the clients met.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Connections that broke with a request on them.
    pub(super) broken: AtomicUsize,
    /// Connections that were refused: nobody listened.
    pub(super) refused: AtomicUsize,
    /// Requests without an answer in 5 s.
    pub(super) hung: AtomicUsize,
    /// Answers 503.
    pub(super) unavailable: AtomicUsize,
}

/// Orders to be sent.
pub(super) struct Load {
    client: SignedClient,
    orders: usize,
    next: AtomicUsize,
    accepted: watch::Sender<usize>,
    pub(super) tally: Tally,
}

impl Load {
    /// `orders` orders for the door of `client`.
    pub(super) fn new(client: SignedClient, orders: usize) -> Self {
        Self { client, orders, next: AtomicUsize::new(0), accepted: watch::Sender::new(0), tally: Tally::default() }
    }

    /// Sends them all with `clients` clients.
    pub(super) async fn send(&self, clients: usize) -> anyhow::Result<Vec<Accepted>> {
        let clients = (0..clients).map(|_| self.send_one_by_one());
        let accepted: Vec<_> = try_join_all(clients).await?.into_iter().flatten().collect();
        ensure!(accepted.len() == self.orders, "{} of {} orders were sent", accepted.len(), self.orders);
        Ok(accepted)
    }

    /// Waits until `count` orders have been accepted.
    pub(super) async fn reach(&self, count: usize) -> anyhow::Result<()> {
        self.accepted.subscribe().wait_for(|accepted| *accepted >= count).await?;
        Ok(())
    }

    async fn send_one_by_one(&self) -> anyhow::Result<Vec<Accepted>> {
        let mut accepted = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Relaxed);
            if number >= self.orders {
                return Ok(accepted);
            }
            accepted.push(Box::pin(self.send_until_accepted(number)).await?);
            self.accepted.send_modify(|count| *count += 1);
        }
    }

    async fn send_until_accepted(&self, number: usize) -> anyhow::Result<Accepted> {
        let order = Shop::order(number);
        let what = format!("order {number} to be accepted");
        let answer = eventually(ACCEPTED_WITHIN, &what, async || self.try_once(&order).await).await;
        let answer = answer.with_context(|| format!("{:?}", self.tally))?;
        Accepted::from_answer(&order, &answer)
    }

    /// Sends it; none when the client has to send it again.
    async fn try_once(&self, order: &serde_json::Value) -> Option<Answer> {
        match timeout(PATIENCE, self.client.analyze(order)).await {
            Err(_) => self.tally.hung.fetch_add(1, Relaxed),
            Ok(Err(error)) if error.downcast_ref().is_some_and(ClientError::is_connect) => {
                self.tally.refused.fetch_add(1, Relaxed)
            }
            Ok(Err(_)) => self.tally.broken.fetch_add(1, Relaxed),
            Ok(Ok(answer)) if answer.status == StatusCode::SERVICE_UNAVAILABLE => {
                if answer.header("retry-after").is_empty() {
                    // Shown to the test as what was answered instead of an acceptance.
                    return Some(answer);
                }
                self.tally.unavailable.fetch_add(1, Relaxed)
            }
            Ok(Ok(answer)) => return Some(answer),
        };
        None
    }
}
