//! What each operator says of each type, what absence means, what rules do to a verdict, and that the reference page
//! tells the truth.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use touchstone_schema::enrichment::Enrichment;
use touchstone_schema::limits;
use touchstone_schema::lists::ListSubject;
use touchstone_schema::order::CountryCode;
use touchstone_schema::verdict::{Action, Assessment};

use super::super::fixture::Case;
use super::super::policy::Policy;
use super::field::{Kind, Source, TABLES, key_text};
use super::presets::{self, Preset};
use super::{Op, Rule};

fn rule(conditions: impl Into<Json>) -> Json {
    json!({"name": "T", "when": {"logic": "and", "conditions": conditions.into()}, "points": 7})
}

fn with_rules(case: Case, rules: &Json) -> Case {
    case.policy(&json!({"rules": rules, "history_keys": {"terminal": "metadata.terminal"}}).to_string())
}

fn asks(case: &Case, field: &str, op: &str, value: Json) -> bool {
    let mut leaf = json!({"field": field, "op": op});
    if value != Json::Null {
        leaf["value"] = value;
    }
    with_rules(case.clone(), &json!([rule(json!([leaf]))])).points("rule_t") == Some(7)
}

/// The ordinary order with lists, annotations and outside data.
fn rich() -> Case {
    let lines =
        json!([{"sku": "MUG", "quantity": 2, "price": "42.25"}, {"sku": "Pen", "is_digital": true}, {"name": "Mat"}]);
    let case = Case::ordinary().with("/line_items", lines).with("/metadata", json!({"till": "K 7", "visits": "12.5"}));
    case.enriched(|known| known.ip.country = CountryCode::parse("CA"))
}

#[test]
fn every_operator_tells_of_every_type_what_it_says() {
    let domain = "email.domain"; // carter-family.com
    let age = "customer.created_at"; // 2024-01-05T10:00:00Z
    let country = "billing_address.country"; // US
    let guest = "customer.is_guest"; // false
    let cases = [
        (domain, "eq", json!("Carter-Family.COM"), json!("carter-family.org")),
        (domain, "ne", json!("carter-family.org"), json!("CARTER-family.com")),
        (domain, "in", json!(["x.com", "Carter-family.com"]), json!(["x.com", "carter"])),
        (domain, "nin", json!(["x.com", "carter"]), json!(["x.com", "carter-family.com"])),
        (domain, "contains", json!("FAMILY"), json!("famous")),
        (domain, "starts_with", json!("Carter"), json!("family")),
        (domain, "ends_with", json!(".com"), json!("family")),
        (domain, "matches", json!("CARTER-[a-z]+\\.com"), json!("carter")),
        (domain, "matches", json!(".*|x"), json!("family|c")),
        ("amount", "eq", json!(84.5), json!(84.51)),
        ("amount", "eq", json!(84.500000), json!(-84.5)),
        ("amount", "ne", json!(84.51), json!(84.5)),
        ("amount", "gt", json!(84.499999), json!(84.5)),
        ("amount", "gte", json!(84.5), json!(84.500001)),
        ("amount", "lt", json!(84.500001), json!(84.5)),
        ("amount", "lte", json!(84.5), json!(84.499999)),
        ("amount", "in", json!([1, 84.5]), json!([84, 85])),
        ("amount", "nin", json!([84, 85]), json!([1, 84.5])),
        (guest, "eq", json!(false), json!(true)),
        (guest, "ne", json!(true), json!(false)),
        (country, "eq", json!("us"), json!("CA")),
        (country, "ne", json!("CA"), json!("US")),
        (country, "in", json!(["DE", "US"]), json!(["DE", "CA"])),
        (country, "nin", json!(["DE", "CA"]), json!(["DE", "US"])),
        (age, "eq", json!("2024-01-05T11:00:00+01:00"), json!("2024-01-05T10:00:01Z")),
        (age, "ne", json!("2024-01-05T10:00:01Z"), json!("2024-01-05T10:00:00Z")),
        (age, "gt", json!("2024-01-05T09:59:59Z"), json!("2024-01-05T10:00:00Z")),
        (age, "gte", json!("2024-01-05T10:00:00Z"), json!("2024-01-05T10:00:01Z")),
        (age, "lt", json!("2024-01-05T10:00:01Z"), json!("2024-01-05T10:00:00Z")),
        (age, "lte", json!("2024-01-05T10:00:00Z"), json!("2024-01-05T09:59:59Z")),
        // Lists: any of them; `ne` and `nin`: none of them.
        ("line_items.sku", "eq", json!("pen"), json!("ink")),
        ("line_items.sku", "ne", json!("ink"), json!("pen")),
        ("line_items.sku", "in", json!(["ink", "pen"]), json!(["ink"])),
        ("line_items.sku", "nin", json!(["ink"]), json!(["ink", "pen"])),
        ("line_items.sku", "ends_with", json!("ug"), json!("ink")),
        ("line_items.price", "gte", json!(42.25), json!(42.26)),
        ("line_items.is_digital", "eq", json!(true), json!(false)),
        ("line_items.count", "eq", json!(3), json!(2)),
        // Families and what follows from the order.
        ("metadata.till", "eq", json!("k 7"), json!("k 8")),
        ("metadata_number.visits", "gt", json!(12.4), json!(12.5)),
        ("signals.guest_checkout", "eq", json!(false), json!(true)),
        ("ip.country", "eq", json!("CA"), json!("US")),
        ("ip.is_hosting", "eq", json!(false), json!(true)),
        ("created_at.hour_utc", "eq", json!(13), json!(14)),
        ("created_at.weekday_utc", "eq", json!(1), json!(7)),
        ("customer.account_age_days", "gt", json!(849.5), json!(851)),
        ("shipping_method.is_express", "eq", json!(false), json!(true)),
        ("amount.is_high", "eq", json!(false), json!(true)),
        ("history.card.24h.orders", "eq", json!(0), json!(1)),
        ("payment.card_expiry", "eq", json!("12/29"), json!("11/29")),
        // References, by object and by the bare name of a field.
        ("ip.country", "ne", json!({"field": "billing_address.country"}), json!({"field": "ip.country"})),
        ("customer.last_name", "eq", json!("billing_address.last_name"), json!("billing_address.first_name")),
        ("customer.email", "ends_with", json!({"field": "email.domain"}), json!({"field": "currency"})),
        ("amount", "gt", json!({"field": "line_items.count"}), json!({"field": "amount"})),
        ("line_items.price", "lt", json!({"field": "amount"}), json!({"field": "line_items.count"})),
        ("currency", "in", json!(["USD", "currency"]), json!(["currency"])),
    ];
    for (field, op, holds, fails) in cases {
        assert!(asks(&rich(), field, op, holds.clone()), "{field} {op} {holds}");
        assert!(!asks(&rich(), field, op, fails.clone()), "{field} {op} {fails}");
    }
}

/// A literal that fits an operator on a field of a type.
fn literal(op: Op, kind: Kind) -> Json {
    let one = match kind {
        Kind::Text => json!("a"),
        Kind::Number => json!(1),
        Kind::Boolean => json!(true),
        Kind::Country => json!("DE"),
        Kind::Time => json!("2026-01-02T03:04:05Z"),
    };
    match op {
        Op::Exists | Op::NotExists => Json::Null,
        Op::In | Op::Nin => json!([one]),
        _ => one,
    }
}

fn parses(field: &str, op: Op, value: Json) -> Result<(), Vec<String>> {
    let mut leaf = json!({"field": field, "op": op.as_str()});
    if value != Json::Null {
        leaf["value"] = value;
    }
    let document = json!({"rules": [rule(json!([leaf]))]}).to_string();
    let prefix = "/rules/0/when/conditions/0";
    let strip = |pointer: &str| pointer.strip_prefix(prefix).unwrap_or(pointer).to_owned();
    Policy::parse(&document).map(|_| ()).map_err(|faults| faults.iter().map(|f| strip(&f.pointer)).collect())
}

/// One field of each type.
const OF_KIND: [(Kind, &str); 5] = [
    (Kind::Text, "user_agent"),
    (Kind::Number, "shipping_amount"),
    (Kind::Boolean, "customer.is_guest"),
    (Kind::Country, "card.country"),
    (Kind::Time, "customer.created_at"),
];

#[test]
fn an_operator_takes_its_own_types_and_refuses_all_others() {
    for (kind, field) in OF_KIND {
        for op in Op::ALL {
            let fitting = parses(field, *op, literal(*op, kind));
            let expected = if op.applies_to(kind) { Ok(()) } else { Err(vec!["/op".to_owned()]) };
            assert_eq!(fitting, expected, "{kind} {op}");
            if !op.applies_to(kind) || *op == Op::Exists || *op == Op::NotExists {
                continue;
            }
            let list_of = |value: Json| if matches!(op, Op::In | Op::Nin) { json!([value]) } else { value };
            for (other, _) in OF_KIND.iter().filter(|(other, _)| *other != kind && kind != Kind::Text) {
                if (kind, *other) == (Kind::Country, Kind::Text) || matches!(other, Kind::Country | Kind::Time) {
                    continue;
                }
                let refused = parses(field, *op, list_of(literal(Op::Eq, *other))).unwrap_err();
                assert!(refused[0].starts_with("/value"), "{kind} {op} {other}");
            }
            assert_eq!(parses(field, *op, Json::Null), Err(vec!["/value".to_owned()]), "{kind} {op}");
        }
    }
}

#[test]
fn what_cannot_be_compared_is_refused_where_it_stands() {
    let cases = [
        ("user_agent", Op::Eq, json!(5), "/value"),
        ("user_agent", Op::Eq, json!(["a"]), "/value"),
        ("user_agent", Op::In, json!("a"), "/value"),
        ("user_agent", Op::In, json!([]), "/value"),
        ("user_agent", Op::In, json!(["a", 5]), "/value/1"),
        ("user_agent", Op::In, json!([{"field": "amount"}]), "/value/0"),
        ("user_agent", Op::Eq, json!({"field": "no.such"}), "/value/field"),
        ("user_agent", Op::Eq, json!({"fields": "amount"}), "/value"),
        ("user_agent", Op::Eq, json!({"field": "amount"}), "/value"),
        ("user_agent", Op::Eq, json!("amount"), "/value"),
        ("user_agent", Op::Eq, json!("line_items.sku"), "/value"),
        ("user_agent", Op::Exists, json!("a"), "/value"),
        ("user_agent", Op::Matches, json!("("), "/value"),
        ("user_agent", Op::Matches, json!("a)|(b"), "/value"),
        ("user_agent", Op::Matches, json!("(a{1000}){1000}"), "/value"),
        ("user_agent", Op::Matches, json!(5), "/value"),
        ("user_agent", Op::Contains, json!("x".repeat(257)), "/value"),
        ("amount", Op::Gt, json!(0.0000001), "/value"),
        ("amount", Op::Gt, json!(1e15), "/value"),
        ("card.country", Op::Eq, json!("Germany"), "/value"),
        ("created_at", Op::Gt, json!("yesterday"), "/value"),
        ("history.card.25h.orders", Op::Gt, json!(1), "/field"),
        ("history.till.24h.orders", Op::Gt, json!(1), "/field"),
        ("history.card.24h", Op::Gt, json!(1), "/field"),
        ("signals.no_such", Op::Eq, json!(true), "/field"),
        ("metadata.", Op::Exists, Json::Null, "/field"),
        ("customer", Op::Exists, Json::Null, "/field"),
    ];
    for (field, op, value, pointer) in cases {
        assert_eq!(parses(field, op, value.clone()), Err(vec![pointer.to_owned()]), "{field} {op} {value}");
    }
}

#[test]
fn without_a_value_only_not_exists_holds() {
    let bare = Case::of(json!({"order_id": "1", "amount": 1, "currency": "EUR"}))
        .enriched(|known| *known = Enrichment::default());
    for (kind, field) in OF_KIND.into_iter().chain([(Kind::Text, "line_items.sku"), (Kind::Text, "metadata.x")]) {
        for op in Op::ALL.iter().filter(|op| op.applies_to(kind)) {
            assert_eq!(asks(&bare, field, op.as_str(), literal(*op, kind)), *op == Op::NotExists, "{field} {op}");
        }
    }
    assert!(!asks(&bare, "amount", "ne", json!({"field": "shipping_amount"})));
    assert!(!asks(&rich(), "metadata_number.till", "exists", Json::Null));
    assert!(asks(&rich(), "line_items.sku", "exists", Json::Null));
    assert!(!asks(&rich(), "line_items.sku", "not_exists", Json::Null));
}

#[test]
fn groups_join_their_conditions() {
    let yes = json!({"field": "amount", "op": "gt", "value": 1});
    let no = json!({"field": "amount", "op": "lt", "value": 1});
    let holds = |logic: &str, conditions: Json| {
        let nested = json!([{"logic": logic, "conditions": conditions}]);
        with_rules(Case::ordinary(), &json!([rule(nested)])).points("rule_t").is_some()
    };
    assert!(holds("and", json!([yes, yes])) && !holds("and", json!([yes, no])));
    assert!(holds("or", json!([no, yes])) && !holds("or", json!([no, no])));
}

#[test]
fn groups_are_bounded_in_depth_and_number() {
    let leaf = json!({"field": "amount", "op": "gt", "value": 1});
    let nested = |depth: usize| (1..depth).fold(leaf.clone(), |inner, _| json!({"logic": "or", "conditions": [inner]}));
    let refusal = |conditions: Json| {
        let faults = Policy::parse(&json!({"rules": [rule(conditions)]}).to_string());
        faults.err().map(|faults| faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>())
    };
    assert_eq!(refusal(json!([nested(limits::RULE_DEPTH)])), None);
    let too_deep = format!("/rules/0/when{}", "/conditions/0".repeat(limits::RULE_DEPTH));
    assert_eq!(refusal(json!([nested(limits::RULE_DEPTH + 1)])), Some(vec![too_deep]));
    assert_eq!(refusal(json!([])), Some(vec!["/rules/0/when/conditions".to_owned()]));
    let half = json!({"logic": "or", "conditions": vec![leaf.clone(); limits::RULE_CONDITIONS / 2]});
    assert_eq!(refusal(json!([half, half])), None);
    assert_eq!(refusal(json!([half, half, leaf])), Some(vec!["/rules/0/when".to_owned()]));
}

#[test]
fn patterns_are_bounded_in_number() {
    let rules = |count: usize| {
        let named = |n: usize| {
            let mut rule = rule(json!([{"field": "user_agent", "op": "matches", "value": "a.*"}]));
            rule["name"] = json!(format!("r{n}"));
            rule
        };
        Policy::parse(&json!({"rules": (0..count).map(named).collect::<Vec<_>>()}).to_string())
    };
    assert!(rules(limits::POLICY_PATTERNS).is_ok());
    assert_eq!(rules(limits::POLICY_PATTERNS + 1).unwrap_err()[0].pointer, "/rules");
}

#[test]
fn the_worst_patterns_on_the_longest_lists_come_to_an_end() {
    // Exponential under backtracking: without linear time this test would not end.
    let lines: Vec<_> = (0..limits::ORDER_LIST_ITEMS).map(|_| json!({"sku": "a".repeat(200)})).collect();
    let case = Case::ordinary().with("/line_items", lines).with("/user_agent", "a".repeat(limits::FIELD_CHARS));
    for pattern in ["(a*)*b", "(a|a)*b", "(a?){60}a{60}b", "(.*.*.*.*)*b"] {
        assert!(!asks(&case, "line_items.sku", "matches", json!(pattern)), "{pattern}");
        assert!(!asks(&case, "user_agent", "matches", json!(pattern)), "{pattern}");
    }
    let many: Vec<_> = (0..limits::POLICY_LIST_ITEMS).map(|n| json!(format!("sku-{n}"))).collect();
    assert!(asks(&case, "line_items.sku", "nin", json!(many)));
}

fn named(name: &str, more: impl Into<Json>) -> Json {
    let mut rule = rule(json!([{"field": "amount", "op": "gt", "value": 1}]));
    rule["name"] = json!(name);
    for (key, value) in more.into().as_object().into_iter().flatten() {
        rule[key] = value.clone();
    }
    rule
}

fn assessed(rules: impl Into<Json>) -> Assessment {
    with_rules(Case::ordinary(), &rules.into()).assess()
}

#[test]
fn a_rule_that_fires_is_a_reason_with_its_points_and_words() {
    let assessment =
        assessed(json!([named("Big  order!", json!({"detail": "an order above one"})), named("B", json!({}))]));
    let reasons: Vec<_> = assessment.reasons.iter().map(|r| (r.code.as_str(), r.points, r.detail.as_str())).collect();
    assert_eq!(reasons, [("rule_b", 7, "the rule \"B\" applies"), ("rule_big_order", 7, "an order above one")]);
    assert_eq!(assessment.risk_score, 14);
    assert_eq!(assessed(json!([named("off", json!({"enabled": false}))])).reasons, []);
    let cheaper = json!({"rules": [named("B", json!({}))], "points": {"rule_b": -3}}).to_string();
    assert_eq!(Case::ordinary().policy(&cheaper).points("rule_b"), Some(-3));
}

#[test]
fn a_shadow_rule_is_recorded_and_changes_nothing_else() {
    let trial = json!({"mode": "shadow", "action": "hold", "points": 60});
    let with = assessed(json!([named("trial", trial), named("z trial", json!({"mode": "shadow"}))]));
    let shadow: Vec<_> = with.shadow_reasons.iter().map(|reason| (reason.code.as_str(), reason.points)).collect();
    assert_eq!(shadow, [("rule_trial", 60), ("rule_z_trial", 7)]);
    let mut without = assessed(json!([]));
    assert!(!serde_json::to_string(&without).unwrap().contains("shadow_reasons"));
    without.shadow_reasons = with.shadow_reasons.clone();
    assert_eq!(with, without);
}

#[test]
fn actions_of_rules_make_stricter_and_approve_yields() {
    let action = |points: i32, actions: &[&str]| {
        let rules = actions.iter().enumerate();
        let rules = rules.map(|(n, action)| named(&format!("r{n}"), json!({"action": action, "points": 0})));
        let score = named("score", json!({"points": points}));
        assessed(rules.chain([score]).collect::<Vec<_>>()).recommended_action
    };
    assert_eq!(action(0, &["review"]), Action::Review);
    assert_eq!(action(0, &["review", "hold", "approve"]), Action::Hold);
    assert_eq!(action(90, &["review"]), Action::Hold);
    assert_eq!(action(90, &["approve"]), Action::Approve);
    assert_eq!(action(40, &["approve", "review"]), Action::Review);
    let explained = assessed(json!([named("r", json!({"action": "hold", "detail": "large orders wait"}))])).explanation;
    assert!(explained.ends_with(" A rule decided so: large orders wait."), "{explained}");
}

#[test]
fn no_rule_approves_what_is_on_a_block_list() {
    let rules = json!([named("trust", json!({"action": "approve", "points": 90}))]);
    let blocked = with_rules(Case::ordinary(), &rules).listed(|lists| lists.blocked.push(ListSubject::Email));
    assert_ne!(blocked.assess().recommended_action, Action::Approve);
}

#[test]
fn a_signal_that_is_switched_off_can_still_be_asked_for() {
    let rules = json!([rule(json!([{"field": "signals.guest_checkout", "op": "eq", "value": true}]))]);
    let document = json!({"rules": rules, "disabled": ["guest_checkout"]}).to_string();
    let guest = Case::ordinary().with("/customer/is_guest", true).policy(&document);
    assert_eq!((guest.points("guest_checkout"), guest.points("rule_t")), (None, Some(7)));
}

#[test]
fn a_declared_key_is_made_of_one_normalised_field_of_the_order() {
    let order = rich().with("/metadata/terminal", "Till-7 A").order().expect("an order");
    assert_eq!(key_text("metadata.terminal", &order).as_deref(), Some("till-7 a"));
    assert_eq!(key_text("billing_address.country", &order).as_deref(), Some("US"));
    assert_eq!((key_text("line_items.sku", &order), key_text("metadata.none", &order)), (None, None));
    assert!(parses("history.terminal.24h.orders", Op::Gt, json!(1)).is_err());
    with_rules(rich(), &json!([rule(json!([{"field": "history.terminal.24h.orders", "op": "gt", "value": 1}]))]));
}

/// A condition that fits, on any field of the table.
fn conditions() -> impl Strategy<Value = Json> {
    let fields: Vec<_> = TABLES.iter().copied().flatten().map(|entry| (entry.name, entry.kind)).collect();
    let leaf = (prop::sample::select(fields), prop::sample::select(Op::ALL), any::<bool>());
    let leaf = leaf.prop_map(|((name, kind), op, with_field)| {
        let op = if op.applies_to(kind) { op } else { Op::Ne };
        let by_reference = with_field && !matches!(op, Op::In | Op::Nin | Op::Matches | Op::Exists | Op::NotExists);
        let is_list =
            ["line_items.", "discount_codes."].iter().any(|list| name.starts_with(list)) && !name.ends_with("count");
        let mut leaf = json!({"field": name, "op": op.as_str()});
        match literal(op, kind) {
            Json::Null => {}
            _ if by_reference && !is_list => leaf["value"] = json!({"field": name}),
            value => leaf["value"] = value,
        }
        leaf
    });
    leaf.prop_recursive(4, 12, 4, |inner| {
        (prop::sample::select(vec!["and", "or"]), prop::collection::vec(inner, 1..4))
            .prop_map(|(logic, conditions)| json!({"logic": logic, "conditions": conditions}))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_rule_that_fits_is_accepted_survives_its_text_and_answers(condition in conditions()) {
        let text = json!({"rules": [rule(json!([condition]))]}).to_string();
        let document = Policy::parse(&text);
        prop_assert!(document.is_ok(), "{:?}", document);
        let written = serde_json::to_string(&document.clone().ok()).unwrap();
        prop_assert_eq!(Policy::parse(&written), document);
        prop_assert_eq!(rich().policy(&text).assess(), rich().policy(&written).assess());
    }
}

const PAGE: &str = include_str!("../../../../docs/rules.md");

/// The part of the page that is made from the program, which must be what the program says.
fn is_current(name: &str, made: &str) {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let written = PAGE.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map(|(part, _)| part);
    assert_eq!(written, Some(made), "docs/rules.md: put this between the marks of {name}:\n{made}");
}

#[test]
fn the_page_lists_every_field() {
    let rows = TABLES.iter().copied().flatten().map(|entry| {
        let each = if matches!(entry.source, Source::Each(_)) { ", each" } else { "" };
        format!("| `{}` | {}{each} | {} |\n", entry.name, entry.kind, entry.meaning)
    });
    is_current("fields", &format!("| field | type | meaning |\n|---|---|---|\n{}", rows.collect::<String>()));
}

#[test]
fn the_page_lists_every_operator() {
    let rows = Op::ALL.iter().map(|op| {
        let kinds = Kind::ALL.iter().filter(|kind| op.applies_to(**kind)).map(|kind| kind.as_str());
        format!("| `{op}` | {} |\n", kinds.collect::<Vec<_>>().join(", "))
    });
    is_current("operators", &format!("| operator | of fields that are |\n|---|---|\n{}", rows.collect::<String>()));
}

#[test]
fn the_page_lists_every_rule_of_the_presets() {
    let row = |(preset, rule): (Preset, &Rule)| {
        let action = rule.action.map_or("", Action::as_str);
        let detail = rule.detail.as_deref().unwrap_or_default();
        format!("| {preset} | `{}` | {:+} | {action} | {detail} |\n", rule.code(), rule.points)
    };
    let rows: String = presets::added().map(row).collect();
    is_current("presets", &format!("| from | code | points | action | fires when |\n|---|---|---|---|---|\n{rows}"));
}

#[test]
fn every_example_of_the_page_is_accepted() {
    let examples: Vec<_> = PAGE.split("```json\n").skip(1).filter_map(|rest| rest.split_once("```")).collect();
    assert!(examples.len() >= 5);
    for (example, _) in examples {
        let json: Json = serde_json::from_str(example).expect("an example is JSON");
        let document = if json.get("when").is_some() { json!({"rules": [json]}) } else { json };
        assert_eq!(Policy::parse(&document.to_string()).err(), None, "{example}");
    }
}
