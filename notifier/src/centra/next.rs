//! What follows for a held order, from what the shop says of it now: pure functions.
//!
//! Guarantee (contract: Centra connector): an order is resumed or cancelled only when it was just read and found held
//! for us, nothing else holds it, and no contrary request may still take effect. What somebody else did is never fought.

use std::time::Duration;

use serde::Deserialize;
use touchstone_platform::store::holds::{Ending, Hold};
use touchstone_schema::centra::{Effect, HoldOutcome, WantedBy};
use touchstone_schema::event::EventKind;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::TransactionStatus;

/// How long a request whose answer did not come may still take effect.
const UNKNOWN_SETTLES: Duration = Duration::from_secs(120);
/// Times that an order which the shop does not know is asked for.
const UNKNOWN_ATTEMPTS: u32 = 5;

const OURS: &str = "WAITING_FOR_FRAUD_CHECK";
/// Holds that end by themselves.
const PASSING: [&str; 3] =
    ["WAITING_FOR_PAYMENT", "WAITING_FOR_CHECK_FIRST_ALLOCATION", "WAITING_FOR_GIFT_CARD_AUTHORIZATION"];

/// Where an order stands at the shop.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderState {
    pub(super) id: String,
    pub(super) number: i64,
    pub(super) status: String,
    pub(super) is_on_hold: bool,
    #[serde(default)]
    order_hold_reason: Option<Vec<String>>,
}

impl OrderState {
    /// Whether the shop holds it, for us among others.
    pub(super) fn is_held_for_us(&self) -> bool {
        self.is_on_hold && !self.is_over() && self.reasons().any(|reason| reason == OURS)
    }

    fn is_cancelled(&self) -> bool {
        self.status == "CANCELLED"
    }

    /// Whether nothing can be done with it any more.
    fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "CANCELLED" | "DELETED" | "ARCHIVED")
    }

    fn reasons(&self) -> impl Iterator<Item = &str> {
        self.order_hold_reason.iter().flatten().map(String::as_str)
    }
}

/// What follows.
#[derive(Debug)]
pub(super) enum Next {
    /// It is handed to the scorer.
    Screen,
    /// It is resumed or cancelled.
    Send(Effect),
    /// It is read again later.
    LookAgain(String),
    /// A person has to look.
    Person(String),
    /// Nothing is left to do.
    End(Ending),
}

/// What follows for an order that was announced. `held_before`: an earlier hold of it has ended with it resumed or
/// cancelled, so that this notice may just be late.
pub(super) fn after_announcement(hold: &Hold, order: Option<&OrderState>, held_before: bool, now: Timestamp) -> Next {
    let Some(order) = order else {
        let why = "the shop does not know this order".to_owned();
        let is_last = hold.attempts + 1 >= UNKNOWN_ATTEMPTS;
        return if is_last { quietly(HoldOutcome::Unknown, why) } else { Next::LookAgain(why) };
    };
    if order.is_held_for_us() {
        return Next::Screen;
    }
    let why = format!("the shop does not hold it for us; its status is {}", order.status);
    if order.is_over() || held_before || now >= hold.deadline_at {
        quietly(HoldOutcome::NotHeld, why)
    } else {
        Next::LookAgain(why)
    }
}

/// What follows for an order that waits for a person, when it is looked at before anybody decided.
pub(super) fn while_waiting(order: Option<&OrderState>) -> Option<Ending> {
    let Some(order) = order else {
        return Some(told(
            HoldOutcome::Unknown,
            EventKind::OrderActionFailed,
            None,
            "the shop does not know it any more",
        ));
    };
    if order.is_held_for_us() {
        return None;
    }
    let by_others = "somebody else settled it at the shop";
    let cancelled = Some(TransactionStatus::Cancelled);
    Some(if order.is_cancelled() {
        told(HoldOutcome::Overtaken, EventKind::OrderCancelled, cancelled, by_others)
    } else if order.is_over() {
        told(HoldOutcome::Overtaken, EventKind::OrderActionFailed, None, "the shop has deleted or archived it")
    } else {
        told(HoldOutcome::Overtaken, EventKind::OrderResumed, Some(TransactionStatus::Approved), by_others)
    })
}

/// What follows for an order that is to be resumed or cancelled.
pub(super) fn before_acting(
    hold: &Hold,
    (wanted, by): (Effect, WantedBy),
    order: Option<&OrderState>,
    now: Timestamp,
) -> Next {
    let Some(order) = order else {
        let detail = "the shop does not know it any more";
        return Next::End(told(HoldOutcome::Unknown, EventKind::OrderActionFailed, None, detail));
    };
    if !order.is_held_for_us() {
        return Next::End(without_us(hold, wanted, order));
    }
    if let Some((sent, at)) = hold.sent
        && sent != wanted
        && now.since(at) < UNKNOWN_SETTLES
    {
        return Next::LookAgain(format!("whether it was {sent}d is not known yet"));
    }
    let others: Vec<&str> = order.reasons().filter(|reason| *reason != OURS).collect();
    let is_by_a_person = matches!(by, WantedBy::Decision | WantedBy::Release);
    if let Some(reason) = others.iter().find(|reason| !PASSING.contains(reason))
        && !is_by_a_person
    {
        return Next::Person(format!("the shop also holds it for {reason}"));
    }
    match others.iter().find(|reason| PASSING.contains(reason)) {
        Some(reason) if !is_by_a_person && now >= hold.deadline_at => {
            Next::Person(format!("at the review deadline the shop still holds it for {reason}"))
        }
        Some(reason) => Next::LookAgain(format!("the shop also holds it for {reason}")),
        None => Next::Send(wanted),
    }
}

/// How a hold ends that the shop has ended already: by our request, whose answer may have been lost, or by somebody else.
fn without_us(hold: &Hold, wanted: Effect, order: &OrderState) -> Ending {
    let is_ours = hold.sent.is_some_and(|(sent, _)| sent == wanted);
    let detail = if is_ours { "the answer to our request was lost" } else { "it was so already" };
    if wanted == Effect::Cancel && order.is_cancelled() {
        return ended(wanted, detail);
    }
    if wanted == Effect::Resume && !order.is_over() {
        return ended(wanted, detail);
    }
    let (status, what) = if order.is_cancelled() {
        (Some(TransactionStatus::Cancelled), "somebody else cancelled it at the shop")
    } else if order.is_over() {
        (None, "the shop has deleted or archived it")
    } else {
        (Some(TransactionStatus::Approved), "somebody else resumed it at the shop")
    };
    told(HoldOutcome::Overtaken, EventKind::OrderActionFailed, status, what)
}

/// The order was resumed or cancelled, as was wanted.
pub(super) fn done(effect: Effect, warnings: Vec<String>) -> Ending {
    Ending { detail: None, warnings, ..ended(effect, "") }
}

fn ended(effect: Effect, detail: &str) -> Ending {
    match effect {
        Effect::Cancel => {
            let status = Some(TransactionStatus::Cancelled);
            told(HoldOutcome::Cancelled, EventKind::OrderCancelled, status, detail)
        }
        Effect::Resume | Effect::Keep => {
            told(HoldOutcome::Resumed, EventKind::OrderResumed, Some(TransactionStatus::Approved), detail)
        }
    }
}

fn told(outcome: HoldOutcome, kind: EventKind, status: Option<TransactionStatus>, detail: &str) -> Ending {
    Ending { outcome, tells: Some(kind), status, detail: Some(detail.to_owned()), warnings: Vec::new() }
}

/// An ending that nobody needs to be told of: nothing was ever screened.
fn quietly(outcome: HoldOutcome, detail: String) -> Next {
    Next::End(Ending { outcome, tells: None, status: None, detail: Some(detail), warnings: Vec::new() })
}

/// Waits between looks at an order that is not as it should be yet.
const PAUSES: [Duration; 8] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(2 * 60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
];

/// How long to wait after the `attempts`-th failure in a row (from 1); `fraction` in `[0, 1)` draws the jitter.
pub(super) fn pause(attempts: u32, fraction: f64) -> Duration {
    let at = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause = PAUSES.get(at).unwrap_or(&PAUSES[PAUSES.len() - 1]);
    pause.mul_f64(0.8 + 0.4 * fraction.clamp(0.0, 1.0))
}
