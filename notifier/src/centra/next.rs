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

/// Waits between looks at an order that is not as it should be yet, as multiples of the first.
const PAUSES: [u32; 8] = [1, 2, 5, 15, 60, 120, 300, 900];

/// How long to wait after the `attempts`-th failure in a row (from 1); `fraction` in `[0, 1)` draws the jitter.
pub(super) fn pause(first: Duration, attempts: u32, fraction: f64) -> Duration {
    let at = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause = first.saturating_mul(PAUSES[at.min(PAUSES.len() - 1)]);
    pause.mul_f64(0.8 + 0.4 * fraction.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use touchstone_schema::centra::HoldState;
    use touchstone_schema::ids::{ConnectionId, HoldId, RequestId, StoreId, SubmissionId};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const BY_VERDICT: (Effect, WantedBy) = (Effect::Resume, WantedBy::Verdict);

    fn hold() -> Hold {
        Hold {
            id: HoldId::mint(NOW, [0; 10]),
            connection_id: ConnectionId::mint(NOW, [0; 10]),
            store_id: StoreId::mint(NOW, [0; 10]),
            reference: "#7".to_owned(),
            centra_id: Some("a".to_owned()),
            number: Some(7),
            submission_id: SubmissionId::mint(NOW, [0; 10]),
            transaction_id: None,
            request_id: RequestId::mint(NOW, [0; 10]),
            state: HoldState::Acting,
            wanted: None,
            would_have: None,
            sent: None,
            attempts: 0,
            ended_by: None,
            outcome: None,
            last_error: None,
            opened_at: NOW,
            deadline_at: NOW + Duration::from_secs(3_600),
            due_at: NOW,
            closed_at: None,
        }
    }

    fn order(status: &str, reasons: &[&str]) -> OrderState {
        OrderState {
            id: "a".to_owned(),
            number: 7,
            status: status.to_owned(),
            is_on_hold: !reasons.is_empty(),
            order_hold_reason: Some(reasons.iter().map(|reason| (*reason).to_owned()).collect()),
        }
    }

    fn held() -> OrderState {
        order("PENDING", &[OURS])
    }

    fn outcome(next: &Next) -> Option<(HoldOutcome, Option<EventKind>)> {
        match next {
            Next::End(ending) => Some((ending.outcome, ending.tells)),
            _ => None,
        }
    }

    #[test]
    fn only_an_order_that_is_held_for_us_alone_is_asked_for() {
        let next = |order: &OrderState| before_acting(&hold(), BY_VERDICT, Some(order), NOW);
        assert!(matches!(next(&held()), Next::Send(Effect::Resume)));
        for reason in PASSING {
            assert!(matches!(next(&order("PENDING", &[OURS, reason])), Next::LookAgain(_)), "{reason}");
        }
        for reason in ["PAYMENT_MISMATCH", "A_REASON_THAT_IS_NEW"] {
            assert!(matches!(next(&order("PENDING", &[OURS, reason])), Next::Person(_)), "{reason}");
        }
    }

    #[test]
    fn what_a_person_decided_passes_a_mismatch_and_waits_for_what_passes() {
        for by in [WantedBy::Decision, WantedBy::Release] {
            let next = |reason| {
                let late = hold().deadline_at;
                before_acting(&hold(), (Effect::Cancel, by), Some(&order("PENDING", &[OURS, reason])), late)
            };
            assert!(matches!(next("PAYMENT_MISMATCH"), Next::Send(Effect::Cancel)));
            assert!(matches!(next("WAITING_FOR_PAYMENT"), Next::LookAgain(_)));
        }
    }

    #[test]
    fn what_the_merchant_reported_is_sent_once_never_beside_its_contrary_and_not_past_a_mismatch() {
        let reported = (Effect::Cancel, WantedBy::Outcome);
        assert!(matches!(before_acting(&hold(), reported, Some(&held()), NOW), Next::Send(Effect::Cancel)));
        let mismatch = order("PENDING", &[OURS, "PAYMENT_MISMATCH"]);
        assert!(matches!(before_acting(&hold(), reported, Some(&mismatch), NOW), Next::Person(_)));
        let resuming = Hold { sent: Some((Effect::Resume, NOW - Duration::from_secs(1))), ..hold() };
        assert!(matches!(before_acting(&resuming, reported, Some(&held()), NOW), Next::LookAgain(_)));
        let cancelled = before_acting(&hold(), reported, Some(&order("CANCELLED", &[OURS])), NOW);
        assert_eq!(outcome(&cancelled), Some((HoldOutcome::Cancelled, Some(EventKind::OrderCancelled))));
        let gone_on = before_acting(&hold(), reported, Some(&order("CONFIRMED", &[])), NOW);
        assert_eq!(outcome(&gone_on), Some((HoldOutcome::Overtaken, Some(EventKind::OrderActionFailed))));
    }

    #[test]
    fn what_still_holds_it_at_the_deadline_is_for_a_person() {
        let order = order("PENDING", &[OURS, "WAITING_FOR_PAYMENT"]);
        assert!(matches!(before_acting(&hold(), BY_VERDICT, Some(&order), hold().deadline_at), Next::Person(_)));
    }

    #[test]
    fn nothing_contrary_is_sent_while_an_outcome_is_unknown() {
        let at = |sent_at| {
            let hold = Hold { sent: Some((Effect::Cancel, sent_at)), ..hold() };
            before_acting(&hold, (Effect::Resume, WantedBy::Decision), Some(&held()), NOW)
        };
        assert!(matches!(at(NOW - Duration::from_secs(1)), Next::LookAgain(_)));
        assert!(matches!(at(NOW - UNKNOWN_SETTLES), Next::Send(Effect::Resume)));
        let again = Hold { sent: Some((Effect::Cancel, NOW)), ..hold() };
        let next = before_acting(&again, (Effect::Cancel, WantedBy::Verdict), Some(&held()), NOW);
        assert!(matches!(next, Next::Send(Effect::Cancel)));
    }

    #[test]
    fn what_is_as_wanted_is_done_and_what_is_otherwise_is_not_fought() {
        use {EventKind::*, HoldOutcome::*};
        let ends = |wanted, order: &OrderState| {
            outcome(&before_acting(&hold(), (wanted, WantedBy::Verdict), Some(order), NOW))
        };
        let (resumed, cancelled) = (order("CONFIRMED", &[]), order("CANCELLED", &[OURS]));
        assert_eq!(ends(Effect::Resume, &resumed), Some((Resumed, Some(OrderResumed))));
        assert_eq!(ends(Effect::Cancel, &cancelled), Some((Cancelled, Some(OrderCancelled))));
        assert_eq!(ends(Effect::Cancel, &resumed), Some((Overtaken, Some(OrderActionFailed))));
        assert_eq!(ends(Effect::Resume, &cancelled), Some((Overtaken, Some(OrderActionFailed))));
        assert_eq!(ends(Effect::Cancel, &order("DELETED", &[])), Some((Overtaken, Some(OrderActionFailed))));
        let gone = before_acting(&hold(), BY_VERDICT, None, NOW);
        assert_eq!(outcome(&gone), Some((Unknown, Some(OrderActionFailed))));
    }

    #[test]
    fn an_announced_order_is_screened_only_when_it_is_held_for_us() {
        let next = |order: Option<&OrderState>, held_before| after_announcement(&hold(), order, held_before, NOW);
        assert!(matches!(next(Some(&held()), true), Next::Screen));
        let not_yet = order("PENDING", &["WAITING_FOR_PAYMENT"]);
        assert!(matches!(next(Some(&not_yet), false), Next::LookAgain(_)));
        assert_eq!(outcome(&next(Some(&not_yet), true)), Some((HoldOutcome::NotHeld, None)));
        assert_eq!(outcome(&next(Some(&order("CANCELLED", &[OURS])), false)), Some((HoldOutcome::NotHeld, None)));
        assert!(matches!(next(None, false), Next::LookAgain(_)));
        let often = Hold { attempts: UNKNOWN_ATTEMPTS - 1, ..hold() };
        assert_eq!(outcome(&after_announcement(&often, None, false, NOW)), Some((HoldOutcome::Unknown, None)));
        let late = after_announcement(&hold(), Some(&not_yet), false, hold().deadline_at);
        assert_eq!(outcome(&late), Some((HoldOutcome::NotHeld, None)));
    }

    #[test]
    fn pauses_grow_to_a_quarter_of_an_hour_and_no_further() {
        let pauses: Vec<_> = (1..12).map(|attempts| pause(Duration::from_secs(1), attempts, 0.5).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 5, 15, 60, 120, 300, 900, 900, 900, 900]);
        assert_eq!(pause(Duration::from_secs(10), u32::MAX, 1.0), Duration::from_secs(10_800));
    }
}
