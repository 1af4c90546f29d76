//! What earlier orders that share something with this one came to, and what the merchant itself says of the customer.
//!
//! Only what was known when the order was received counts. Evidence that rests on a card known by BIN and last four
//! alone counts half.

use std::time::Duration;

use touchstone_schema::history::HistoryKeyKind::{self, Address, Card, Customer, Device, Email, Phone};
use touchstone_schema::history::HistoryKeys;

use super::super::confidence::Input;
use super::super::history::{Fate, Window};
use super::super::policy::Group;
use super::super::{Check, Facts, Finding, Signal};

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    Signal {
        code: "prior_chargeback",
        group: Group::History,
        points: 40,
        meaning: "an earlier order that shares card, e-mail address, device, phone or address was charged back or \
                  marked as fraud; 10 points more for each further one",
        inputs: &[Input::History],
        check: Check::By(prior_chargeback),
    },
    Signal {
        code: "prior_refunds",
        group: Group::History,
        points: 8,
        meaning: "three or more earlier orders that share something were refunded within 90 days",
        inputs: &[Input::History],
        check: Check::By(prior_refunds),
    },
    Signal {
        code: "prior_rejected",
        group: Group::History,
        points: 20,
        meaning: "a person rejected an earlier order that shares something within 90 days",
        inputs: &[Input::History],
        check: Check::By(prior_rejected),
    },
    Signal {
        code: "good_history",
        group: Group::History,
        points: -20,
        meaning: "two or more earlier orders, older than 60 days, were fulfilled with the same e-mail address and the \
                  same card or address, and none with that e-mail address was disputed",
        inputs: &[Input::History],
        check: Check::By(good_history),
    },
    Signal {
        code: "repeat_customer",
        group: Group::History,
        points: -10,
        meaning: "the merchant vouches for the customer, as one who came back and always paid",
        inputs: &[Input::Trusted],
        check: Check::By(repeat_customer),
    },
    Signal {
        code: "merchant_score",
        group: Group::History,
        points: 20,
        meaning: "the merchant's own score, from -10 points where it is safest to 20 where it is riskiest; only when \
                  the policy states its scale",
        inputs: &[Input::MerchantScore, Input::Policy],
        check: Check::By(merchant_score),
    },
];

/// What links two orders so closely that the fate of one tells of the other. An IP address does not.
const LINKS: [HistoryKeyKind; 5] = [Card, Email, Device, Phone, Address];
/// The same, and the merchant's own account of the customer.
const CUSTOMER_LINKS: [HistoryKeyKind; 6] = [Card, Email, Device, Phone, Address, Customer];
/// The links but the card.
const LINKS_WITHOUT_CARD: [HistoryKeyKind; 5] = [Email, Device, Phone, Address, Customer];

/// Points of the first order that was charged back, and of each further one.
const CHARGEBACK_POINTS: [i32; 2] = [40, 10];
/// Most further ones that add points: the group's cap is reached long before.
const MOST_FURTHER: usize = 10;
/// Refunded orders that are too many.
const REFUNDS: usize = 3;
/// Fulfilled orders that make a good history, and how long ago they must have been made: disputes come late.
const FULFILLED: usize = 2;
const SETTLED: Duration = Duration::from_secs(60 * 86_400);
/// Points where the merchant's own score is safest and where it is riskiest.
const OWN_SCORE_POINTS: [i128; 2] = [-10, 20];

fn prior_chargeback(facts: &Facts<'_>) -> Option<Finding> {
    let count = facts.history.count(&LINKS, Fate::Fraud);
    if count == 0 {
        return None;
    }
    // A card that is known by BIN and last four alone links strangers: what it alone links counts half.
    let firm = if facts.history.card_is_weak { facts.history.count(&LINKS[1..], Fate::Fraud) } else { count };
    let [first, further] = CHARGEBACK_POINTS;
    let points_of = |count: usize| match i32::try_from(count.min(MOST_FURTHER)) {
        Ok(count) if count > 0 => first + further * (count - 1),
        _ => 0,
    };
    let points = points_of(firm) + (points_of(count) - points_of(firm)) / 2;
    let shared: Vec<&str> = LINKS
        .iter()
        .filter(|kind| facts.history.count(&[**kind], Fate::Fraud) > 0)
        .map(|kind| match kind {
            Card => "card",
            Email => "e-mail address",
            Device => "device",
            Phone => "telephone number",
            _ => "postal address",
        })
        .collect();
    let orders = if count == 1 { "an earlier order".to_owned() } else { format!("{count} earlier orders") };
    let was = if count == 1 { "was" } else { "were" };
    Finding::worth(points, format!("{orders} with the same {} {was} charged back or fraud", shared.join(" or ")))
}

fn prior_refunds(facts: &Facts<'_>) -> Option<Finding> {
    linked(facts, REFUNDS, 8, Fate::Refunded(Window::Quarter), |count| {
        format!("{count} earlier orders of this customer were refunded")
    })
}

fn prior_rejected(facts: &Facts<'_>) -> Option<Finding> {
    linked(facts, 1, 20, Fate::Rejected(Window::Quarter), |count| match count {
        1 => "a person rejected an earlier order of this customer".to_owned(),
        _ => format!("a person rejected {count} earlier orders of this customer"),
    })
}

/// Fires when at least `least` linked orders met a fate; for half the points when only a weak card links
/// enough of them.
fn linked(
    facts: &Facts<'_>,
    least: usize,
    points: i32,
    fate: Fate,
    tell: impl FnOnce(usize) -> String,
) -> Option<Finding> {
    let count = facts.history.count(&CUSTOMER_LINKS, fate);
    if count < least {
        return None;
    }
    let is_firm = !facts.history.card_is_weak || facts.history.count(&LINKS_WITHOUT_CARD, fate) >= least;
    Finding::worth(if is_firm { points } else { points / 2 }, tell(count))
}

fn good_history(facts: &Facts<'_>) -> Option<Finding> {
    let settled = facts.received_at - SETTLED;
    let own = &facts.history.own;
    let (mut by_card, mut firm) = (0, 0);
    for earlier in facts.history.earlier(Email) {
        if earlier.was_disputed {
            return None;
        }
        if earlier.was_fulfilled && earlier.entry.ordered_at < settled {
            let shares =
                |key: fn(&HistoryKeys) -> Option<_>| key(own).is_some() && key(own) == key(&earlier.entry.keys);
            let (card, address) = (shares(|keys| keys.card), shares(|keys| keys.address));
            by_card += usize::from(card || address);
            firm += usize::from(address || (card && !facts.history.card_is_weak));
        }
    }
    (by_card >= FULFILLED).then(|| {
        let points = if firm >= FULFILLED { -20 } else { -10 };
        Finding::worth(points, format!("{by_card} earlier orders of this customer went well"))
    })?
}

fn repeat_customer(facts: &Facts<'_>) -> Option<Finding> {
    (facts.order.customer.is_trusted == Some(true))
        .then_some("the merchant knows the customer as a safe repeater")
        .and_then(Finding::because)
}

/// Linear between the ends of the scale, to the nearest point; beyond the ends as at the ends.
fn merchant_score(facts: &Facts<'_>) -> Option<Finding> {
    let [safest, riskiest] = facts.policy.merchant_score_scale()?.map(|end| i128::from(end) * 1_000_000);
    let score = i128::from(facts.order.merchant_score_millionths?);
    let span = (riskiest - safest).abs();
    let along = ((score - safest) * (riskiest - safest).signum()).clamp(0, span);
    let [least, most] = OWN_SCORE_POINTS;
    let points = i32::try_from((along * (most - least) + span / 2).checked_div(span)? + least).ok()?;
    let percent = (along * 100).checked_div(span)?;
    (points != 0)
        .then(|| format!("the merchant's own score is at {percent} % of its scale from safest to riskiest"))
        .and_then(|detail| Finding::worth(points, detail))
}

#[cfg(test)]
mod tests;
