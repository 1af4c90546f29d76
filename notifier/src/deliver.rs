//! Makes the attempts: fairly among endpoints, bounded in all and per endpoint.
//!
//! Guarantee: an attempt is made only while its lease outlasts the attempt's time-out, so no two attempts of one
//! delivery are in flight. A slow endpoint fills its own slots and its own line, then its deliveries are left in the
//! database; endpoints with work take turns. An endpoint begins with few slots and gets more while it answers; attempts that
//! keep us waiting leave their slots to others (see [`crate::flights`]); an endpoint that only times out is left alone for
//! a while, and its deliveries are due again after that. What waits for an endpoint when it is changed goes back, to be claimed
//! with its new settings. Failure: what is not attempted is given back, or its lease ends.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use touchstone_platform::clock::Clock;
use touchstone_platform::store::deliveries::{DueDelivery, GivenBack};
use touchstone_schema::ids::EndpointId;
use touchstone_schema::time::Timestamp;

use crate::Settings;
use crate::attempt::Attempter;
use crate::changes::{Change, Recent};
use crate::flights::{Flights, News};
use crate::pace::{Outcome, Pace};
use crate::pace_right::PaceRight;
use crate::plan::Leased;
use crate::record::Record;

/// Deliveries that wait here for one endpoint, for each slot that it has, before what is due to it is left to the
/// database: one that answers gets a longer line.
const WAITING_PER_SLOT: usize = 32;
/// Deliveries that wait here in all, before long lines and those of endpoints that hang get no longer.
const LINES: usize = 8_192;
/// A line this short may always grow: those of others do not keep its endpoint waiting.
const SHORT_LINE: usize = 4;
/// When a delivery that found its line full is due again.
const LINE_FULL_PAUSE: Duration = Duration::from_secs(1);

/// Endpoints whose line is full: what is due to them is left to the database, until `due` tells that there is room again.
#[derive(Debug, Clone)]
pub(crate) struct BusyEndpoints {
    endpoints: Arc<Mutex<HashSet<EndpointId>>>,
    due: Arc<Notify>,
}

impl BusyEndpoints {
    pub(crate) fn new(due: Arc<Notify>) -> Self {
        Self { endpoints: Arc::default(), due }
    }

    /// The endpoints.
    pub(crate) fn list(&self) -> Vec<EndpointId> {
        self.lock().iter().cloned().collect()
    }

    fn fill(&self, endpoint: &EndpointId) {
        self.lock().insert(endpoint.clone());
    }

    fn free(&self, endpoint: &EndpointId) {
        if self.lock().remove(endpoint) {
            self.due.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<EndpointId>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A leased delivery in its line.
#[derive(Debug)]
struct Waiting {
    delivery: DueDelivery,
    until: Timestamp,
}

/// What waits and what flies to one endpoint.
#[derive(Debug)]
struct Line {
    waiting: VecDeque<Waiting>,
    in_flight: usize,
    /// How many of those keep us waiting.
    slow: usize,
    /// Most that may fly: doubled by each arrival, back to the least by each failure.
    slots: usize,
    failing: bool,
    has_turn: bool,
}

impl Line {
    /// Whether the endpoint keeps so many attempts waiting that no more are begun.
    const fn is_stuck(&self) -> bool {
        self.slow > 0 && self.slow * 2 >= self.slots
    }

    /// So many may wait before the endpoint counts as busy.
    const fn places(&self) -> usize {
        self.slots * WAITING_PER_SLOT
    }
}

/// Owns the lines and the attempts in flight.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    settings: Arc<Settings>,
    clock: Clock,
    attempter: Attempter,
    record: mpsc::Sender<Record>,
    busy: BusyEndpoints,
    pace: Pace,
    right: PaceRight,
    changes: Recent,
    lines: HashMap<EndpointId, Line>,
    turns: VecDeque<EndpointId>,
    /// Turns of endpoints that fail.
    failing_turns: VecDeque<EndpointId>,
    waiting: usize,
    flights: Flights,
}

impl Dispatcher {
    pub(crate) fn new(
        settings: Arc<Settings>,
        clock: Clock,
        attempter: Attempter,
        record: mpsc::Sender<Record>,
        (busy, right): (BusyEndpoints, PaceRight),
    ) -> Self {
        Self {
            flights: Flights::new(&settings),
            changes: Recent::new(clock.clone(), settings.lease()),
            settings,
            clock,
            attempter,
            record,
            busy,
            pace: Pace::default(),
            right,
            lines: HashMap::new(),
            turns: VecDeque::new(),
            failing_turns: VecDeque::new(),
            waiting: 0,
        }
    }

    /// Dispatches until shutdown, then finishes the attempts in flight and gives the rest back.
    pub(crate) async fn run(
        mut self,
        mut handed: mpsc::Receiver<Leased>,
        mut changed: mpsc::Receiver<Vec<Change>>,
        shutdown: CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(news) = self.flights.next() => match news {
                    News::Ended { endpoint, outcome, was_slow } => self.ended(&endpoint, outcome, was_slow).await,
                    News::Slow(endpoint) => self.slowed_down(&endpoint),
                    News::Died(error) => return died(&error),
                },
                Some(changes) = changed.recv() => self.renew(&changes).await,
                leased = handed.recv() => match leased {
                    Some(leased) => self.take(leased).await,
                    None => break,
                },
            }
            self.start().await;
            self.tell();
        }
        self.drain(handed).await;
    }

    async fn drain(mut self, mut handed: mpsc::Receiver<Leased>) {
        // Until nobody plans any more: what is leased at this moment would otherwise wait for its lease to run out.
        let now = self.clock.now();
        while let Some(leased) = handed.recv().await {
            for delivery in leased.deliveries {
                self.give_back(delivery, leased.until, now).await;
            }
        }
        let lines = std::mem::take(&mut self.lines);
        for Waiting { delivery, until, .. } in lines.into_values().flat_map(|line| line.waiting) {
            self.give_back(delivery, until, now).await;
        }
        while let Some(news) = self.flights.next().await {
            if let News::Died(error) = news {
                return died(&error);
            }
        }
    }

    async fn take(&mut self, leased: Leased) {
        let Leased { deliveries, until } = leased;
        let now = self.clock.now();
        for delivery in deliveries {
            let id = delivery.endpoint.id.clone();
            if self.changes.is_behind(&delivery.endpoint) {
                self.give_back(delivery, until, now).await;
                continue;
            }
            if let Some(paused) = self.pace.paused(&id, now) {
                self.give_back(delivery, until, self.after_trial(paused)).await;
                continue;
            }
            let failing = delivery.endpoint.failing_since.is_some();
            let slots = self.settings.failing_concurrency;
            let new = || Line { waiting: VecDeque::new(), in_flight: 0, slow: 0, slots, failing, has_turn: false };
            let line = self.lines.entry(id.clone()).or_insert_with(new);
            // What is under way to a line that is full finds room there all the same: only what comes later is left.
            let may_grow = self.waiting < LINES || line.waiting.len() < SHORT_LINE;
            if !may_grow || line.waiting.len() + 1 >= line.places() {
                self.busy.fill(&id);
            }
            if !may_grow {
                self.give_back(delivery, until, now + LINE_FULL_PAUSE).await;
                continue;
            }
            line.waiting.push_back(Waiting { delivery, until });
            self.waiting += 1;
            self.offer_turn(&id);
        }
    }

    /// Gives back what waits for endpoints that were changed since it was claimed: it is claimed again at once, as they are now.
    async fn renew(&mut self, changes: &[Change]) {
        self.changes.note(changes);
        let now = self.clock.now();
        for (endpoint, _) in changes {
            self.pace.forget(endpoint, now);
            let Some(line) = self.lines.get_mut(endpoint) else { continue };
            let waiting = std::mem::take(&mut line.waiting);
            let (behind, current): (VecDeque<_>, _) =
                waiting.into_iter().partition(|one| self.changes.is_behind(&one.delivery.endpoint));
            line.waiting = current;
            self.waiting -= behind.len();
            if !behind.is_empty() {
                self.busy.free(endpoint);
            }
            for Waiting { delivery, until, .. } in behind {
                self.give_back(delivery, until, now).await;
            }
            self.forget_idle(endpoint);
        }
    }

    /// Gives the endpoint a place in the round, when it has work and a free slot.
    fn offer_turn(&mut self, endpoint: &EndpointId) {
        let Some(line) = self.lines.get_mut(endpoint) else { return };
        // One attempt finds out whether an endpoint that only timed out answers again.
        let slots = if self.pace.on_trial(endpoint) { 1 } else { line.slots };
        if !line.has_turn && !line.waiting.is_empty() && line.in_flight < slots && !line.is_stuck() {
            line.has_turn = true;
            let turns = if line.failing { &mut self.failing_turns } else { &mut self.turns };
            turns.push_back(endpoint.clone());
        }
    }

    /// Whose turn it is, and whether it fails.
    fn next_turn(&mut self) -> Option<(EndpointId, bool)> {
        if self.flights.has_slot_for_failing()
            && let Some(endpoint) = self.failing_turns.pop_front()
        {
            return Some((endpoint, true));
        }
        let turn = if self.flights.has_slot() { self.turns.pop_front() } else { None };
        turn.map(|endpoint| (endpoint, false))
    }

    async fn start(&mut self) {
        while let Some((endpoint, failing)) = self.next_turn() {
            let Some(line) = self.lines.get_mut(&endpoint) else { continue };
            line.has_turn = false;
            let Some(Waiting { delivery, until }) = line.waiting.pop_front() else {
                // What waited was given back meanwhile.
                self.forget_idle(&endpoint);
                continue;
            };
            self.waiting -= 1;
            // Half a line is room enough to be told of again.
            if line.waiting.len() <= line.places() / 2 {
                self.busy.free(&endpoint);
            }
            let now = self.clock.now();
            let limit = delivery.endpoint.rate_limit;
            let is_ours = limit.is_none() || self.right.is_held(now);
            if !is_ours || now + self.settings.attempt_timeout >= until {
                self.give_back(delivery, until, now).await;
            } else if let Some(due) = limit.and_then(|limit| self.pace.begin(&endpoint, limit, delivery.fresh, now)) {
                self.give_back(delivery, until, due).await;
            } else {
                line.in_flight += 1;
                let attempt = self.attempter.clone().attempt(delivery, self.record.clone());
                self.flights.begin(endpoint.clone(), failing, attempt);
            }
            self.offer_turn(&endpoint);
            self.forget_idle(&endpoint);
        }
    }

    fn slowed_down(&mut self, endpoint: &EndpointId) {
        if let Some(line) = self.lines.get_mut(endpoint) {
            line.slow += 1;
        }
    }

    async fn ended(&mut self, endpoint: &EndpointId, outcome: Outcome, was_slow: bool) {
        let least = self.settings.failing_concurrency;
        if let Some(line) = self.lines.get_mut(endpoint) {
            line.in_flight -= 1;
            line.slow -= usize::from(was_slow);
            line.failing = outcome != Outcome::Arrived;
            line.slots = if line.failing { least } else { (line.slots * 2).min(self.settings.endpoint_concurrency) };
        }
        let now = self.clock.now();
        if let Some(paused) = self.pace.ended(endpoint, outcome, now) {
            self.pause(endpoint, paused).await;
        }
        self.offer_turn(endpoint);
        self.forget_idle(endpoint);
    }

    /// Lets the endpoint alone: one delivery is due when the pause ends, to find out whether it answers, and all others after
    /// that, so that nobody looks at them meanwhile.
    async fn pause(&mut self, endpoint: &EndpointId, paused: Timestamp) {
        tracing::warn!(%endpoint, until = paused.to_rfc3339(), "the endpoint only times out: it is left alone for a while");
        let waiting = self.lines.get_mut(endpoint).map(|line| std::mem::take(&mut line.waiting)).unwrap_or_default();
        self.waiting -= waiting.len();
        self.busy.free(endpoint);
        let later = self.after_trial(paused);
        for (at, Waiting { delivery, until, .. }) in waiting.into_iter().enumerate() {
            self.give_back(delivery, until, if at == 0 { paused } else { later }).await;
        }
        self.send(Record::Postpone { endpoint: endpoint.clone(), due: later }).await;
    }

    /// When an attempt that begins at the end of a pause has told how it goes on.
    fn after_trial(&self, paused: Timestamp) -> Timestamp {
        paused + self.settings.attempt_timeout + LINE_FULL_PAUSE
    }

    fn forget_idle(&mut self, endpoint: &EndpointId) {
        let idle = |line: &Line| line.in_flight == 0 && line.waiting.is_empty() && !line.has_turn;
        if self.lines.get(endpoint).is_some_and(idle) {
            self.lines.remove(endpoint);
            self.busy.free(endpoint);
        }
    }

    async fn give_back(&self, delivery: DueDelivery, leased_until: Timestamp, due: Timestamp) {
        self.send(Record::GiveBack(GivenBack { delivery: delivery.id, leased_until, due })).await;
    }

    async fn send(&self, record: Record) {
        if self.record.send(record).await.is_err() {
            tracing::debug!("shutting down: a lease is left to run out");
        }
    }

    fn tell(&self) {
        metrics::gauge!("touchstone_webhook_waiting").set(self.waiting as f64);
        metrics::gauge!("touchstone_webhook_in_flight").set(self.flights.count() as f64);
        metrics::gauge!("touchstone_webhook_slow").set(self.flights.slow() as f64);
    }
}

/// The dispatcher ends, and with it the process: an attempt does not panic unless something is very wrong.
fn died(error: &tokio::task::JoinError) {
    tracing::error!(error = error as &dyn std::error::Error, "a delivery attempt died");
}
