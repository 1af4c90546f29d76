//! The e-mail address: whether it is there, can be real, and looks like its owner's.

use touchstone_schema::history::HistoryKeyKind;
use touchstone_schema::order::OrderSource;

use super::super::confidence::Input;
use super::super::history::Window;
use super::super::policy::Group;
use super::super::{Check, Facts, Finding, Signal};
use super::mailbox::Mailbox;
use super::{amount, gibberish, identity, velocity, words};

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    Signal {
        code: "email_missing",
        group: Group::Email,
        points: 10,
        meaning: "an order without an e-mail address",
        inputs: &[Input::Email],
        check: Check::By(missing),
    },
    Signal {
        code: "email_invalid",
        group: Group::Email,
        points: 15,
        meaning: "the e-mail address is malformed, or of a domain that cannot receive mail",
        inputs: &[Input::Email],
        check: Check::By(invalid),
    },
    Signal {
        code: "email_disposable",
        group: Group::Email,
        points: 20,
        meaning: "the e-mail address is of a service for disposable addresses",
        inputs: &[Input::Email, Input::EmailProvider],
        check: Check::By(disposable),
    },
    Signal {
        code: "email_free_provider",
        group: Group::Email,
        points: 3,
        meaning: "an e-mail address of a free provider on an order above the high amount",
        inputs: &[Input::Email, Input::EmailProvider, Input::Amount],
        check: Check::By(free_provider),
    },
    Signal {
        code: "email_gibberish",
        group: Group::Email,
        points: 8,
        meaning: "the e-mail address looks random before its at sign",
        inputs: &[Input::Email],
        check: Check::By(random_looking),
    },
    Signal {
        code: "email_name_mismatch",
        group: Group::Email,
        points: 2,
        meaning: "the e-mail address contains no part of the customer's name",
        inputs: &[Input::Email, Input::Name],
        check: Check::By(name_mismatch),
    },
    Signal {
        code: "email_plus_alias",
        group: Group::Email,
        points: 8,
        meaning: "an alias of a mailbox that was used with other cards within thirty days",
        inputs: &[Input::Email, Input::Card, Input::History],
        check: Check::By(alias_with_other_cards),
    },
];

/// Domains and top-level domains that never receive mail (RFC 2606, RFC 6761, RFC 6762).
const RESERVED: &[&str] =
    &["example.com", "example.net", "example.org", "example", "test", "invalid", "localhost", "local", "internal"];

fn mailbox(facts: &Facts<'_>) -> Option<Mailbox> {
    Mailbox::parse(facts.order.customer.email.as_deref()?)
}

fn missing(facts: &Facts<'_>) -> Option<Finding> {
    let in_store = facts.order.source == Some(OrderSource::InStore);
    (facts.order.customer.email.is_none() && !in_store)
        .then_some("no e-mail address was given")
        .and_then(Finding::because)
}

fn invalid(facts: &Facts<'_>) -> Option<Finding> {
    let address = facts.order.customer.email.as_deref()?;
    let Some(mailbox) = Mailbox::parse(address) else {
        return Finding::because("the e-mail address is malformed");
    };
    let reserved = mailbox.domains().find_map(|domain| RESERVED.iter().find(|reserved| **reserved == domain))?;
    Finding::because(format!("the e-mail address is of a reserved domain that cannot receive mail ({reserved})"))
}

/// The domain is on a list of disposable domains.
pub fn disposable(facts: &Facts<'_>) -> Option<Finding> {
    let mailbox = mailbox(facts).filter(|_| facts.enrichment.email.is_disposable)?;
    // The domain is not told: on a list of the operator's own it may belong to one person.
    (!mailbox.is_relay()).then_some("the e-mail address is a disposable one").and_then(Finding::because)
}

fn free_provider(facts: &Facts<'_>) -> Option<Finding> {
    (facts.enrichment.email.is_free && amount::is_high(facts))
        .then_some("a large order with an e-mail address of a free provider")
        .and_then(Finding::because)
}

fn random_looking(facts: &Facts<'_>) -> Option<Finding> {
    let mailbox = mailbox(facts)?;
    let local = mailbox.untagged();
    (!mailbox.is_relay() && (gibberish::has_unlikely_letters(local) || gibberish::mixes_digits(local)))
        .then_some("the e-mail address looks random")
        .and_then(Finding::because)
}

/// Only names in plain Latin letters are looked for: how others are spelt in an address cannot be told.
fn name_mismatch(facts: &Facts<'_>) -> Option<Finding> {
    let mailbox = mailbox(facts)?;
    let local: String = words::letters(mailbox.untagged()).collect();
    let names = words::spaced(identity::names(facts.order));
    let is_judged = names.is_ascii() && names.trim().len() > 2 && local.is_ascii() && !mailbox.is_relay();
    (is_judged && !names.split_whitespace().any(|name| occurs(name, &local)))
        .then_some("the e-mail address contains no part of the customer's name")
        .and_then(Finding::because)
}

/// Whether a name, or its first four letters, occurs in the local part. Initials are no evidence either way.
fn occurs(name: &str, local: &str) -> bool {
    name.len() > 1 && local.contains(name.get(..4).unwrap_or(name))
}

fn alias_with_other_cards(facts: &Facts<'_>) -> Option<Finding> {
    facts.history.own.card?;
    let mailbox = mailbox(facts)?;
    let local = mailbox.local();
    let dots_are_ignored = matches!(mailbox.domain(), "gmail.com" | "googlemail.com");
    let is_alias = local.contains('+') || (dots_are_ignored && local.contains('.'));
    let cards = || facts.history.distinct(HistoryKeyKind::Email, Window::Month, HistoryKeyKind::Card);
    let others = if is_alias { cards().saturating_sub(1) } else { 0 };
    let detail = match others {
        0 => return None,
        1 => "an alias of a mailbox that another card was used with within 30 days".to_owned(),
        _ => format!("an alias of a mailbox that {others} other cards were used with within 30 days"),
    };
    Finding::worth(velocity::weighed(facts, true, 8), detail)
}

#[cfg(test)]
mod tests;
