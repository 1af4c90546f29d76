//! E-mail addresses that fire, and honest ones that do not.

use touchstone_schema::enrichment::EmailFacts;

use super::super::mailbox;
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
    for address in ["o'neil+tag@shop.co.uk", "jürgen@müller.de", "用户@例子.中国", "A.B@Shop.COM", "x@example-shop.com"]
    {
        assert!(!mail(address).fires("email_invalid"), "{address}");
    }
    assert!(!Case::ordinary().without("/customer/email").fires("email_invalid"));
}

#[test]
fn a_disposable_domain_and_what_is_below_it_fire_without_being_told() {
    for address in ["ann@mailinator.com", "ann@inbox.MAILINATOR.com"] {
        let finding = mail(address).finding("email_disposable");
        assert_eq!(finding.map(|f| f.detail).as_deref(), Some("the e-mail address is a disposable one"));
    }
}

#[test]
fn real_mailboxes_and_privacy_relays_are_not_disposable() {
    let domains =
        ["gmail.com", "outlook.com", "yahoo.co.uk", "icloud.com", "gmx.de", "proton.me", "duck.com", "mozmail.com"];
    for domain in domains.iter().chain(mailbox::RELAYS) {
        assert!(!mail(&format!("ann.lee@{domain}")).fires("email_disposable"), "{domain}");
    }
}

#[test]
fn outside_data_adds_disposable_and_free_providers() {
    let known = |tell: fn(&mut EmailFacts)| Case::ordinary().enriched(|known| tell(&mut known.email));
    assert!(known(|email| email.is_disposable = true).fires("email_disposable"));
    assert!(!known(|email| email.is_disposable = true).with("/customer/email", "x@duck.com").fires("email_disposable"));
    assert!(known(|email| email.is_free = true).with("/amount", 250).fires("email_free_provider"));
    assert!(!known(|email| email.is_free = true).fires("email_free_provider"));
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
        assert_eq!(case.points("email_plus_alias"), Some(8), "{address}");
        assert_eq!(case.weak_card().points("email_plus_alias"), Some(4), "{address}");
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
