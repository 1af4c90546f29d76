//! Twice what the product carries, for a minute, from clients that give up after 5 s.
//!
//! What it carries is measured after as long at its own pace, so that the tables are those of a shop at work and not empty
//! ones: what is slower afterwards is then the overload's doing.
//!
//! Each client sends at a fixed pace whether or not its earlier orders were answered, so that the load does not slow
//! down with the product. Guarantee: every order sent is counted under its status or as a hang; every 202 is followed
//! until its verdict is there.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet, time::MissedTickBehavior};

use crate::{
    Options, compare,
    load::{HttpCaller, NO_ANSWER},
    progress,
    report::answers_to_text,
    subject::Product,
};

/// Impatient clients.
const CLIENTS: usize = 64;

/// When they give up (the integrator's example has this time-out).
const PATIENCE: Duration = Duration::from_secs(5);

/// Orders that one client has under way at most, each on a connection of its own: a real client's pool ends too.
const CONNECTIONS_PER_CLIENT: usize = 64;

/// How long a promised verdict may take after the load has ended.
const VERDICT_WITHIN: Duration = Duration::from_secs(120);

/// Pause between two looks at a promised verdict.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Promised verdicts that are asked for at once.
const READERS: usize = 16;

/// What became of the orders.
pub(crate) struct Outcome {
    fresh: f64,
    carried: f64,
    carried_after: f64,
    seconds: u64,
    answers: BTreeMap<u16, u64>,
    hangs: u64,
    unsent: u64,
    promised: usize,
    kept: usize,
    slowest: Duration,
}

impl Outcome {
    pub(crate) fn to_json(&self) -> String {
        json!({
            "carried_per_second_from_empty": self.fresh,
            "carried_per_second_before": self.carried,
            "carried_per_second_after": self.carried_after,
            "seconds": self.seconds,
            "answers": self.answers,
            "hangs": self.hangs,
            "unsent": self.unsent,
            "promised": self.promised,
            "promised_with_verdict": self.kept,
            "slowest_answer_ms": self.slowest.as_millis() as u64,
        })
        .to_string()
    }

    pub(crate) fn to_text(&self) -> String {
        let Self { fresh, carried, carried_after, seconds, hangs, unsent, promised, kept, slowest, .. } = self;
        format!(
            "carried from empty tables {fresh:.0} orders/s at {CLIENTS} connections, for {seconds} s\n\
             carried then              {carried:.0} orders/s\n\
             offered                   {:.0} orders/s for {seconds} s by {CLIENTS} clients with a time-out of {PATIENCE:?}\n\
             answers by status         {}\n\
             slowest answer            {:.2} s\n\
             hangs                     {hangs} (none may be)\n\
             not sent                  {unsent} (a client had {CONNECTIONS_PER_CLIENT} orders under way)\n\
             promised by 202           {promised}, of which {kept} got their verdict\n\
             carried right after       {carried_after:.0} orders/s, {:.0} % of before",
            carried * 2.0,
            answers_to_text(&self.answers),
            slowest.as_secs_f64(),
            100.0 * carried_after / carried.max(1.0),
        )
    }

    /// Whether every order was answered and every promise kept.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        ensure!(self.hangs == 0, "{} orders were not answered in time", self.hangs);
        ensure!(self.kept == self.promised, "{} promised verdicts are missing", self.promised - self.kept);
        let odd: Vec<_> = self.answers.keys().filter(|status| ![200, 202, 429, 503].contains(*status)).collect();
        ensure!(odd.is_empty(), "answers other than 200, 202, 429 and 503: {odd:?}");
        Ok(())
    }
}

/// Measures, overloads, measures again, then asks for every promised verdict.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Outcome> {
    let product = Arc::new(Box::pin(Product::start(options.webhooks)).await?);
    compare::rest().await?;
    progress(format_args!("carrying orders at its own pace for {} s", options.overload_seconds));
    let fresh = product.run(CLIENTS, Duration::from_secs(options.overload_seconds)).await?.rate();
    let carried = product.run(CLIENTS, options.window()).await?.rate();
    ensure!(carried > 0.0, "the product answers nothing");
    progress(format_args!("carries {carried:.0} orders/s; offering twice that for {} s", options.overload_seconds));
    let pace = Duration::from_secs_f64(CLIENTS as f64 / (carried * 2.0));
    let end = Instant::now() + Duration::from_secs(options.overload_seconds);
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(insist(Arc::clone(&product), pace, end))).collect();
    let mut seen = Seen::default();
    for client in clients {
        seen.add(client.await?);
    }
    progress(format_args!("answers: {}", answers_to_text(&seen.answers)));
    let carried_after = product.run(CLIENTS, options.window()).await?.rate();
    let promised = seen.promised.len();
    let kept = count_kept(&product, seen.promised).await?;
    Ok(Outcome {
        fresh,
        carried,
        carried_after,
        seconds: options.overload_seconds,
        answers: seen.answers,
        hangs: seen.hangs,
        unsent: seen.unsent,
        promised,
        kept,
        slowest: seen.slowest,
    })
}

#[derive(Default)]
struct Seen {
    answers: BTreeMap<u16, u64>,
    hangs: u64,
    unsent: u64,
    promised: Vec<String>,
    slowest: Duration,
}

impl Seen {
    fn add(&mut self, other: Self) {
        for (status, count) in other.answers {
            *self.answers.entry(status).or_insert(0) += count;
        }
        self.hangs += other.hangs;
        self.unsent += other.unsent;
        self.promised.extend(other.promised);
        self.slowest = self.slowest.max(other.slowest);
    }
}

/// One client: an order at every tick, on a free connection of its pool.
async fn insist(product: Arc<Product>, pace: Duration, end: Instant) -> Seen {
    let mut pool = HttpCaller::many(CONNECTIONS_PER_CLIENT, product.address, &product.orders);
    let mut under_way = JoinSet::new();
    let mut seen = Seen::default();
    let mut ticks = tokio::time::interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while Instant::now() < end {
        ticks.tick().await;
        while let Some(Ok((caller, sent))) = under_way.try_join_next() {
            pool.push(caller);
            seen.add(sent);
        }
        match pool.pop() {
            Some(caller) => drop(under_way.spawn(send(caller))),
            None => seen.unsent += 1,
        }
    }
    while let Some(Ok((_, sent))) = under_way.join_next().await {
        seen.add(sent);
    }
    seen
}

/// Sends one order.
async fn send(mut caller: HttpCaller) -> (HttpCaller, Seen) {
    let mut seen = Seen::default();
    let sent = Instant::now();
    match caller.exchange(PATIENCE).await {
        Ok((status, body)) => {
            seen.answers.insert(status, 1);
            seen.slowest = sent.elapsed();
            if status == 202 {
                // An id that is missing is a promise that cannot be kept, and is counted as one.
                let document: Value = serde_json::from_slice(&body).unwrap_or_default();
                seen.promised.push(document["transaction_id"].as_str().unwrap_or_default().to_owned());
            }
        }
        Err(_) if sent.elapsed() >= PATIENCE => seen.hangs += 1,
        Err(_) => drop(seen.answers.insert(NO_ANSWER, 1)),
    }
    (caller, seen)
}

/// How many of the promised transactions get their verdict in time.
async fn count_kept(product: &Product, promised: Vec<String>) -> anyhow::Result<usize> {
    let (readers, deadline) = (Arc::new(Semaphore::new(READERS)), Instant::now() + VERDICT_WITHIN);
    let mut tasks = JoinSet::new();
    for id in promised {
        let (client, readers) = (product.client(), Arc::clone(&readers));
        tasks.spawn(async move {
            loop {
                let reading = readers.acquire().await.context("nobody closes it")?;
                let answer = client.get(&format!("/v1/transactions/{id}")).await;
                drop(reading);
                let document = answer.ok().and_then(|answer| answer.json().ok()).unwrap_or_default();
                if document["risk_score"].is_u64() || document.pointer("/verdict/risk_score").is_some_and(Value::is_u64)
                {
                    return anyhow::Ok(true);
                }
                if Instant::now() >= deadline {
                    return Ok(false);
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        });
    }
    let mut kept = 0;
    while let Some(task) = tasks.join_next().await {
        kept += usize::from(task??);
    }
    Ok(kept)
}
