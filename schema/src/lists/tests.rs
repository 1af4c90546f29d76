//! What is listed matches what it names, in every spelling, and nothing beside it.

use proptest::prelude::*;

use super::*;
use crate::json::Json;

const NOW: Timestamp = Timestamp::from_millis(1_777_900_000_000);

fn order(members: &str) -> Order {
    let text = format!(r#"{{"order_id":"A-1","amount":"10.00","currency":"USD",{members}}}"#);
    Order::parse(&Json::parse(text.as_bytes()).expect("JSON")).expect("an order")
}

fn data_key() -> Secret {
    Secret::new("data key")
}

fn lists(entries: &[(ListKind, ListSubject, &str)]) -> StoreLists {
    let mut lists = StoreLists::default();
    for (number, (list, subject, value)) in entries.iter().enumerate() {
        lists.add(entry(number, *list, *subject, value, None));
    }
    lists
}

fn entry(number: usize, list: ListKind, subject: ListSubject, value: &str, expires_at: Option<Timestamp>) -> ListEntry {
    ListEntry {
        id: ListEntryId::mint(NOW, [u8::try_from(number).expect("few entries"); 10]),
        list,
        subject,
        matcher: ListMatcher::read(subject, value, &data_key(), KeyMode::Live).expect("a value"),
        hint: hint(subject, value),
        note: None,
        created_at: NOW,
        expires_at,
    }
}

fn email_key(email: &str) -> HistoryKeys {
    let text = normal::email(email).expect("an address");
    HistoryKeys { email: Some(HistoryKey::of(&data_key(), KeyMode::Live, "email", &text)), ..HistoryKeys::default() }
}

#[test]
fn addresses_match_their_ranges_and_nothing_beside_them() {
    let lists = lists(&[
        (ListKind::Block, ListSubject::Ip, "203.0.113.0/24"),
        (ListKind::Allow, ListSubject::Ip, "203.0.113.7"),
        (ListKind::Block, ListSubject::Ip, "2001:db8::/32"),
        (ListKind::Block, ListSubject::Ip, "::ffff:198.51.100.7"),
        (ListKind::Block, ListSubject::Ip, "::ffff:192.0.2.0/120"),
    ]);
    let of = |ip: &str| {
        let found = lists.matches(&order(&format!(r#""ip_address":"{ip}""#)), &HistoryKeys::default(), NOW);
        (found.blocked.len(), found.allowed.len())
    };
    assert_eq!(of("203.0.113.7"), (1, 1));
    assert_eq!(of("203.0.113.8"), (1, 0));
    assert_eq!(of("::ffff:203.0.113.8"), (1, 0));
    assert_eq!(of("203.0.114.7"), (0, 0));
    assert_eq!(of("2001:db8:1::1"), (1, 0));
    assert_eq!(of("2001:db9::1"), (0, 0));
    assert_eq!(of("198.51.100.7"), (1, 0));
    assert_eq!((of("192.0.2.255"), of("192.0.3.0")), ((1, 0), (0, 0)));
}

#[test]
fn a_domain_matches_itself_and_those_below_it() {
    let lists = lists(&[(ListKind::Block, ListSubject::EmailDomain, "@Example.com")]);
    let blocked = |email: &str| {
        let order = order(&format!(r#""customer":{{"email":"{email}"}}"#));
        !lists.matches(&order, &HistoryKeys::default(), NOW).blocked.is_empty()
    };
    assert!(blocked("ann@example.com"));
    assert!(blocked("ann@MAIL.example.com"));
    assert!(!blocked("ann@notexample.com"));
    assert!(!blocked("ann@example.com.evil.test"));
}

#[test]
fn a_mailbox_matches_in_all_its_spellings_until_it_expires() {
    let mut lists = StoreLists::default();
    let soon = NOW + std::time::Duration::from_secs(60);
    lists.add(entry(1, ListKind::Allow, ListSubject::Email, "ann.lee@gmail.com", Some(soon)));
    let keys = email_key("AnnLee+shop@googlemail.com");
    assert_eq!(lists.matches(&order(r#""source":"web""#), &keys, NOW).allowed, [ListSubject::Email]);
    assert_eq!(lists.matches(&order(r#""source":"web""#), &keys, soon), ListMatches::default());
}

#[test]
fn values_of_another_form_are_refused_with_what_was_expected() {
    let refused = [
        (ListSubject::Email, "ann", "an e-mail address"),
        (ListSubject::Email, "ann@", "an e-mail address"),
        (ListSubject::Email, "+tag@shop.example", "an e-mail address"),
        (ListSubject::Email, "*@shop.example", "subject email_domain"),
        (ListSubject::Email, "ann*@shop.example", "subject email_domain"),
        (ListSubject::Email, "@shop.example", "subject email_domain"),
        (ListSubject::EmailDomain, "com", "a domain"),
        (ListSubject::EmailDomain, "shop..example", "a domain"),
        (ListSubject::EmailDomain, "https://shop.example/", "a domain"),
        (ListSubject::EmailDomain, "*.shop.example", "without `*`"),
        (ListSubject::EmailDomain, "ann@shop.example", "subject email "),
        (ListSubject::Ip, "300.1.1.1", "an IP address"),
        (ListSubject::Ip, "10.0.0.0/33", "an IP address"),
        (ListSubject::Ip, "010.0.0.0/8", "an IP address"),
        (ListSubject::Ip, "0.0.0.0/0", "a wider one"),
        (ListSubject::Ip, "10.0.0.0/15", "a wider one"),
        (ListSubject::Ip, "::/0", "a wider one"),
        (ListSubject::Ip, "2001::/31", "a wider one"),
        (ListSubject::Ip, "203.0.113.7/24", "first address of the range"),
        (ListSubject::Ip, "2001:db8::1/32", "first address of the range"),
        (ListSubject::Phone, "123", "at least 7 digits"),
        (ListSubject::Phone, "ask the shop", "at least 7 digits"),
        (ListSubject::Address, "10 High St", "street; postcode; country"),
        (ListSubject::Address, "10 High St; SW1A 1AA", "street; postcode; country"),
        (ListSubject::Address, "10 High St; ; GB", "street; postcode; country"),
        (ListSubject::Address, "10 High St; SW1A 1AA; Britain", "two letters"),
        (ListSubject::Card, "4242 4242 4242 4242", "never a card number"),
        (ListSubject::Card, "4242424242424242", "never a card number"),
        (ListSubject::Customer, " ", "a value"),
    ];
    for (subject, value, part) in refused {
        let told = ListMatcher::read(subject, value, &data_key(), KeyMode::Live).expect_err(value);
        assert!(told.starts_with("expected ") && told.contains(part), "{value}: {told}");
    }
}

#[test]
fn several_values_in_one_text_are_refused_with_what_to_do() {
    for separator in [",", ", ", ";", " ", "\n", "\r\n", "\t"] {
        for (subject, value) in [
            (ListSubject::Email, "ann@shop.example"),
            (ListSubject::EmailDomain, "shop.example"),
            (ListSubject::Ip, "203.0.113.7"),
            (ListSubject::Phone, "+46 70 123 45 67"),
            (ListSubject::Device, "d-1"),
            (ListSubject::Customer, "c-1"),
            (ListSubject::Card, "fp_1"),
        ] {
            let several = format!("{value}{separator}{value}");
            let told = ListMatcher::read(subject, &several, &data_key(), KeyMode::Live).expect_err(&several);
            assert!(told.contains("one call for each"), "{several:?}: {told}");
        }
    }
    let addresses = "10 High St; SW1A 1AA; GB\n11 High St; SW1A 1AA; GB";
    assert!(ListMatcher::read(ListSubject::Address, addresses, &data_key(), KeyMode::Live).is_err());
}

#[test]
fn an_internationalised_domain_and_its_punycode_are_one() {
    let typed = ["bücher.example", "xn--bcher-kva.example"];
    for (listed, other) in [(typed[0], typed[1]), (typed[1], typed[0])] {
        let lists = lists(&[
            (ListKind::Block, ListSubject::EmailDomain, listed),
            (ListKind::Allow, ListSubject::Email, &format!("ann@{listed}")),
        ]);
        let order = order(&format!(r#""customer":{{"email":"Ann@{other}"}}"#));
        let found = lists.matches(&order, &email_key(&format!("Ann@{other}")), NOW);
        assert_eq!((found.blocked.len(), found.allowed.len()), (1, 1), "{listed} {other}");
    }
    let stored = ListMatcher::from_stored(ListSubject::EmailDomain, "bücher.example");
    assert_eq!(stored, Some(ListMatcher::Domain(typed[1].to_owned())), "as releases before kept it");
}

#[test]
fn a_hint_tells_no_more_than_it_must() {
    assert_eq!(hint(ListSubject::Email, "ann.lee@Example.com"), "a…@example.com");
    assert_eq!(hint(ListSubject::Phone, "+46701234567"), "…67");
    assert_eq!(hint(ListSubject::Customer, "c-7"), "…");
    assert_eq!(hint(ListSubject::Ip, "203.0.113.0/24"), "203.0.113.0/24");
}

proptest! {
    #[test]
    fn any_value_is_read_or_refused_and_survives_its_stored_form(value in "\\PC{0,40}", number in 0usize..8) {
        let subject = ListSubject::ALL[number];
        hint(subject, &value);
        if let Ok(matcher) = ListMatcher::read(subject, &value, &data_key(), KeyMode::Test) {
            prop_assert_eq!(ListMatcher::from_stored(subject, &matcher.stored()), Some(matcher));
        }
    }
}
