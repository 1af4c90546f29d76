//! The e-mail address: whether it is there, can be real, and looks like its owner's.

use std::collections::HashSet;
use std::sync::LazyLock;

use touchstone_schema::history::HistoryKeyKind;
use touchstone_schema::order::OrderSource;

use super::super::history::MONTH;
use super::super::policy::Group;
use super::super::{Facts, Finding, Signal};
use super::{amount, gibberish, identity, words};

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    Signal {
        code: "email_missing",
        group: Group::Email,
        points: 10,
        meaning: "an order without an e-mail address",
        check: missing,
    },
    Signal {
        code: "email_invalid",
        group: Group::Email,
        points: 15,
        meaning: "the e-mail address is malformed, or of a domain that cannot receive mail",
        check: invalid,
    },
    Signal {
        code: "email_disposable",
        group: Group::Email,
        points: 20,
        meaning: "the e-mail address is of a service for disposable addresses",
        check: disposable,
    },
    Signal {
        code: "email_free_provider",
        group: Group::Email,
        points: 3,
        meaning: "an e-mail address of a free provider on an order above the high amount",
        check: free_provider,
    },
    Signal {
        code: "email_gibberish",
        group: Group::Email,
        points: 8,
        meaning: "the e-mail address looks random before its at sign",
        check: random_looking,
    },
    Signal {
        code: "email_name_mismatch",
        group: Group::Email,
        points: 2,
        meaning: "the e-mail address contains no part of the customer's name",
        check: name_mismatch,
    },
    Signal {
        code: "email_plus_alias",
        group: Group::Email,
        points: 8,
        meaning: "an alias of a mailbox that was used with other cards within thirty days",
        check: alias_with_other_cards,
    },
];

/// Providers that give mailboxes away, by the domain's name without its country.
const FREE_PROVIDERS: &[&str] = &[
    "gmail",
    "googlemail",
    "yahoo",
    "ymail",
    "rocketmail",
    "hotmail",
    "outlook",
    "live",
    "msn",
    "icloud",
    "me",
    "mac",
    "aol",
    "gmx",
    "web",
    "mail",
    "proton",
    "protonmail",
    "zoho",
    "yandex",
    "qq",
    "163",
    "126",
    "naver",
    "daum",
    "tutanota",
    "fastmail",
    "libero",
    "orange",
    "laposte",
    "free",
    "seznam",
    "wp",
    "o2",
    "onet",
    "interia",
    "abv",
    "inbox",
    "bk",
    "list",
];
/// Relays that hide a customer's address behind a random one. They are the customer's choice and not evidence.
const RELAYS: &[&str] = &["privaterelay.appleid.com", "mozmail.com", "duck.com", "simplelogin.com", "passmail.net"];
/// Domains and top-level domains that never receive mail (RFC 2606, RFC 6761, RFC 6762).
const RESERVED: &[&str] =
    &["example.com", "example.net", "example.org", "example", "test", "invalid", "localhost", "local", "internal"];

/// Longest local part and domain (RFC 5321, 4.5.3.1), and longest label of a domain (RFC 1035), in bytes.
const LOCAL_BYTES: usize = 64;
const DOMAIN_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

static DISPOSABLE: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| mailchecker::blacklist().into_iter().filter(|domain| !RELAYS.contains(domain)).collect());

/// A well-formed address in lower case.
struct Mailbox {
    text: String,
    at: usize,
}

impl Mailbox {
    fn of(facts: &Facts<'_>) -> Option<Self> {
        Self::parse(facts.order.customer.email.as_deref()?)
    }

    fn parse(address: &str) -> Option<Self> {
        let text = address.trim().to_lowercase();
        let at = text.rfind('@')?;
        let mailbox = Self { text, at };
        (is_local_part(mailbox.local()) && is_domain(mailbox.domain())).then_some(mailbox)
    }

    fn local(&self) -> &str {
        self.text.get(..self.at).unwrap_or_default()
    }

    /// The local part without the tag after a plus sign.
    fn untagged(&self) -> &str {
        self.local().split('+').next().unwrap_or_default()
    }

    fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or_default()
    }

    /// The domain and the domains above it, the longest first.
    fn domains(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.domain()), |domain| domain.split_once('.').map(|(_, above)| above))
    }

    fn is_relay(&self) -> bool {
        RELAYS.contains(&self.domain())
    }
}

fn is_local_part(local: &str) -> bool {
    (1..=LOCAL_BYTES).contains(&local.len())
        && local.split('.').all(|atom| !atom.is_empty())
        && local
            .chars()
            .all(|c| c.is_alphanumeric() || (!c.is_ascii() && !c.is_whitespace()) || ".!#$%&'*+/=?^_`{|}~-".contains(c))
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let top = domain.rsplit('.').next().unwrap_or_default();
    domain.len() <= DOMAIN_BYTES
        && domain.contains('.')
        && domain.split('.').all(is_label)
        && !top.bytes().all(|byte| byte.is_ascii_digit())
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

/// The domain, or one above it, is on the list of disposable domains.
pub fn disposable(facts: &Facts<'_>) -> Option<Finding> {
    let mailbox = Mailbox::of(facts)?;
    let listed = mailbox.domains().filter(|domain| domain.contains('.')).find_map(|domain| DISPOSABLE.get(domain))?;
    Finding::because(format!("the e-mail address is a disposable one ({listed})"))
}

fn free_provider(facts: &Facts<'_>) -> Option<Finding> {
    let mailbox = Mailbox::of(facts)?;
    let provider = mailbox.domain().split('.').next()?;
    (amount::is_high(facts) && mailbox.domain().matches('.').count() <= 2 && FREE_PROVIDERS.contains(&provider))
        .then_some("a large order with an e-mail address of a free provider")
        .and_then(Finding::because)
}

fn random_looking(facts: &Facts<'_>) -> Option<Finding> {
    let mailbox = Mailbox::of(facts)?;
    let local = mailbox.untagged();
    (!mailbox.is_relay() && (gibberish::has_unlikely_letters(local) || gibberish::mixes_digits(local)))
        .then_some("the e-mail address looks random")
        .and_then(Finding::because)
}

/// Only names in plain Latin letters are looked for: how others are spelt in an address cannot be told.
fn name_mismatch(facts: &Facts<'_>) -> Option<Finding> {
    let mailbox = Mailbox::of(facts)?;
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
    let mailbox = Mailbox::of(facts)?;
    let local = mailbox.local();
    let dots_are_ignored = matches!(mailbox.domain(), "gmail.com" | "googlemail.com");
    let is_alias = local.contains('+') || (dots_are_ignored && local.contains('.'));
    let own = facts.history.own.card.filter(|_| is_alias)?;
    let others = facts.history.distinct(HistoryKeyKind::Email, MONTH, Some(own), |entry| entry.keys.card) - 1;
    (others > 0)
        .then(|| match others {
            1 => "an alias of a mailbox that another card was used with within 30 days".to_owned(),
            _ => format!("an alias of a mailbox that {others} other cards were used with within 30 days"),
        })
        .and_then(Finding::because)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::fixture::{Case, key};

    fn mail(address: &str) -> Case {
        Case::ordinary().with("/customer/email", address)
    }

    #[test]
    fn an_order_without_address_fires_unless_made_in_a_shop() {
        assert!(Case::ordinary().without("/customer/email").fires("email_missing"));
        assert!(!Case::ordinary().without("/customer/email").with("/source", "in_store").fires("email_missing"));
        assert!(!Case::ordinary().fires("email_missing"));
    }

    #[test]
    fn malformed_and_reserved_addresses_are_invalid() {
        let bad = [
            "plain",
            "@x.com",
            "a@",
            "a@b",
            "a b@shop.com",
            "a..b@shop.com",
            ".a@shop.com",
            "a@-x.com",
            "a@x..com",
            "a@1.2.3.4",
            "a@b@shop.com",
            "x@example.com",
            "x@mail.test",
            "x@printer.local",
        ];
        for address in bad {
            assert!(mail(address).fires("email_invalid"), "{address}");
        }
    }

    #[test]
    fn unusual_but_valid_addresses_are_not_invalid() {
        for address in
            ["o'neil+tag@shop.co.uk", "jürgen@müller.de", "用户@例子.中国", "A.B@Shop.COM", "x@example-shop.com"]
        {
            assert!(!mail(address).fires("email_invalid"), "{address}");
        }
        assert!(!Case::ordinary().without("/customer/email").fires("email_invalid"));
    }

    #[test]
    fn a_disposable_domain_and_what_is_below_it_fire_with_the_listed_domain() {
        for address in ["ann@mailinator.com", "ann@inbox.MAILINATOR.com"] {
            let finding = mail(address).finding("email_disposable");
            assert_eq!(
                finding.map(|f| f.detail).as_deref(),
                Some("the e-mail address is a disposable one (mailinator.com)")
            );
        }
    }

    #[test]
    fn real_mailboxes_and_privacy_relays_are_not_disposable() {
        let domains =
            ["gmail.com", "outlook.com", "yahoo.co.uk", "icloud.com", "gmx.de", "proton.me", "duck.com", "mozmail.com"];
        for domain in domains.iter().chain(RELAYS) {
            assert!(!mail(&format!("ann.lee@{domain}")).fires("email_disposable"), "{domain}");
        }
    }

    #[test]
    fn a_free_provider_fires_on_a_high_amount() {
        assert!(mail("ann@gmail.com").with("/amount", 250).fires("email_free_provider"));
        assert!(mail("ann@yahoo.co.uk").with("/amount", 250).fires("email_free_provider"));
    }

    #[test]
    fn a_free_provider_does_not_fire_on_a_usual_amount_nor_an_own_domain_on_a_high_one() {
        assert!(!mail("ann@gmail.com").fires("email_free_provider"));
        assert!(!mail("ann@leefurniture.com").with("/amount", 250).fires("email_free_provider"));
    }

    #[test]
    fn a_random_local_part_fires() {
        assert!(mail("xkqjzvbwtf@gmail.com").fires("email_gibberish"));
        assert!(mail("a7k2m9q4z1@gmail.com").fires("email_gibberish"));
    }

    #[test]
    fn names_tags_and_relays_are_no_gibberish() {
        assert!(!mail("christopher.wright1985@gmail.com").fires("email_gibberish"));
        assert!(!mail("ann+xkqjzvbwtf@gmail.com").fires("email_gibberish"));
        assert!(!mail("xkqjzvbwtf@privaterelay.appleid.com").fires("email_gibberish"));
    }

    #[test]
    fn an_address_without_the_name_fires() {
        assert!(mail("skater99@gmail.com").fires("email_name_mismatch"));
    }

    #[test]
    fn an_address_with_part_of_the_name_does_not_fire_nor_one_of_an_accented_name() {
        assert!(!mail("mcarter@gmail.com").fires("email_name_mismatch"));
        let accented = mail("skater99@gmail.com").with("/customer/first_name", "Zoë");
        assert!(!accented.fires("email_name_mismatch"));
        let nameless = mail("skater99@gmail.com").without("/customer/first_name").without("/customer/last_name");
        assert!(!nameless.without("/billing_address").without("/shipping_address").fires("email_name_mismatch"));
    }

    #[test]
    fn an_alias_of_a_mailbox_with_other_cards_fires() {
        for address in ["maria+2@carter-family.com", "m.aria@gmail.com"] {
            let case = mail(address).earlier(600, |own, entry| {
                entry.keys.email = own.email;
                entry.keys.card = Some(key(900));
            });
            assert!(case.fires("email_plus_alias"), "{address}");
        }
    }

    #[test]
    fn an_alias_with_the_same_card_or_a_plain_address_with_others_does_not_fire() {
        let same_card = mail("maria+2@carter-family.com").earlier(600, |own, entry| {
            entry.keys.email = own.email;
            entry.keys.card = own.card;
        });
        assert!(!same_card.fires("email_plus_alias"));
        let no_alias = Case::ordinary().earlier(600, |own, entry| {
            entry.keys.email = own.email;
            entry.keys.card = Some(key(900));
        });
        assert!(!no_alias.fires("email_plus_alias"));
    }
}
