//! Documents that are policies, and all that is wrong with those that are not.

use proptest::prelude::*;
use serde_json::{Value, json};

use touchstone_schema::limits;

use super::*;

/// Pointers of the faults of a refused policy.
fn pointers(document: &str) -> Vec<String> {
    let faults = Policy::parse(document).expect_err("a refused policy");
    assert!(faults.iter().all(|fault| !fault.message.is_empty()));
    faults.into_iter().map(|fault| fault.pointer).collect()
}

fn rule(name: &str) -> Value {
    json!({"name": name, "when": {"logic": "and", "conditions": [{"field": "amount", "op": "gt", "value": 5}]},
        "points": 5})
}

fn parsed(document: &Value) -> PolicyDocument {
    Policy::parse(&document.to_string()).expect("a valid policy")
}

#[test]
fn the_empty_object_is_the_default_policy() {
    assert_eq!(Policy::parse("{}").ok(), Some(PolicyDocument::default()));
}

#[test]
fn the_policies_of_the_evaluation_are_valid_and_declare_what_they_look_at() {
    for (document, key) in [
        (include_str!("../../../../examples/evaluate/handbook-policy.json"), "terminal"),
        (include_str!("../../../../examples/evaluate/cloudwalk-policy.json"), "merchant"),
    ] {
        let policy = Policy::parse(document).expect("a valid policy");
        assert!(policy.history_keys.contains_key(key), "{key}");
        assert!(!policy.rules.is_empty(), "{key}");
    }
}

#[test]
fn a_bad_value_is_refused_with_its_pointer() {
    let cases = [
        ("7", ""),
        ("null", ""),
        ("[]", ""),
        ("", ""),
        (r#"{"a":1,"a":2}"#, "/a"),
        (r#"{"band":{}}"#, "/band"),
        (r#"{"preset":"wild"}"#, "/preset"),
        (r#"{"bands":{"low":1}}"#, "/bands/low"),
        (r#"{"bands":{"medium":60}}"#, "/bands"),
        (r#"{"bands":{"critical":102}}"#, "/bands/critical"),
        (r#"{"actions":{"low":"ignore"}}"#, "/actions/low"),
        (r#"{"actions":{"lowest":"hold"}}"#, "/actions/lowest"),
        (r#"{"points":{"no_such_code":5}}"#, "/points/no_such_code"),
        (r#"{"points":{"a/b~c":5}}"#, "/points/a~1b~0c"),
        (r#"{"points":{"avs_mismatch":1001}}"#, "/points/avs_mismatch"),
        (r#"{"points":{"avs_mismatch":1.5}}"#, "/points/avs_mismatch"),
        (r#"{"disabled":["avs_mismatch","nonsense"]}"#, "/disabled/1"),
        (r#"{"disabled":"avs_mismatch"}"#, "/disabled"),
        (r#"{"caps":{"issuer":-1}}"#, "/caps/issuer"),
        (r#"{"caps":{"weather":5}}"#, "/caps/weather"),
        (r#"{"high_amounts":{"USD":[100,100,200]}}"#, "/high_amounts/USD"),
        (r#"{"high_amounts":{"USD":[0,100,200]}}"#, "/high_amounts/USD"),
        (r#"{"high_amounts":{"usd":[50,100,200]}}"#, "/high_amounts/usd"),
        (r#"{"high_amounts":{"DOLLARS":[50,100,200]}}"#, "/high_amounts/DOLLARS"),
        (r#"{"high_risk_countries":["DE","ZZ"]}"#, "/high_risk_countries/1"),
        (r#"{"risky_skus":["A",7]}"#, "/risky_skus/1"),
        (r#"{"merchant_score_scale":[5,5]}"#, "/merchant_score_scale"),
        (r#"{"history_keys":{"terminal":"metadata."}}"#, "/history_keys/terminal"),
        (r#"{"history_keys":{"terminal":"signals.avs_mismatch"}}"#, "/history_keys/terminal"),
        (r#"{"history_keys":{"terminal":"line_items.sku"}}"#, "/history_keys/terminal"),
        (r#"{"history_keys":{"card":"metadata.card"}}"#, "/history_keys/card"),
        (r#"{"history_keys":{"The Till":"metadata.till"}}"#, "/history_keys/The Till"),
        (r#"{"rules":{}}"#, "/rules"),
    ];
    for (document, pointer) in cases {
        assert_eq!(pointers(document), [pointer], "{document}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let document = json!({
        "preset": "wild", "bands": {"medium": "x"}, "points": {"nonsense": 1}, "colour": 1,
        "rules": [
            {"name": "a", "points": 5000, "when": {"logic": "xor", "conditions": [
                {"field": "customer.mail", "op": "eq", "value": "x"}, {"field": "amount", "op": "contains", "value": "x"},
                {"logic": "or", "conditions": [{"field": "amount", "op": "gt", "value": "much"}, {"op": "like"}]},
            ]}},
            rule("A!"),
            {"name": "b", "mode": "loud", "enabled": 1, "action": "block", "extra": 1},
        ],
    });
    let mut found = pointers(&document.to_string());
    found.sort();
    let mut expected = vec![
        "/bands/medium",
        "/colour",
        "/points/nonsense",
        "/preset",
        "/rules/0/points",
        "/rules/0/when/conditions/0/field",
        "/rules/0/when/conditions/1/op",
        "/rules/0/when/conditions/2/conditions/0/value",
        "/rules/0/when/conditions/2/conditions/1/field",
        "/rules/0/when/conditions/2/conditions/1/op",
        "/rules/0/when/logic",
        "/rules/1/name",
        "/rules/2/action",
        "/rules/2/enabled",
        "/rules/2/extra",
        "/rules/2/mode",
        "/rules/2/points",
        "/rules/2/when",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_document_may_not_grow_without_bounds() {
    let rules = |count: usize| json!({"rules": (0..count).map(|n| rule(&format!("r{n}"))).collect::<Vec<_>>()});
    assert_eq!(parsed(&rules(limits::POLICY_RULES)).rules.len(), limits::POLICY_RULES);
    assert_eq!(pointers(&rules(limits::POLICY_RULES + 1).to_string()), ["/rules"]);
    assert_eq!(pointers(&" ".repeat(limits::POLICY_BYTES + 1)), [""]);
    let keys: serde_json::Map<_, _> = (0..9).map(|n| (format!("key{n}"), json!("metadata.x"))).collect();
    assert_eq!(pointers(&json!({"history_keys": keys}).to_string()), ["/history_keys"]);
}

#[test]
fn lists_and_keys_are_at_hand() {
    let document = json!({
        "high_risk_countries": ["br", "UK"], "risky_skus": ["GIFT"], "merchant_score_scale": [1000, 0],
        "history_keys": {"terminal": "metadata.terminal"},
    });
    let policy = Policy::of(4, parsed(&document));
    let countries: Vec<_> = policy.high_risk_countries().iter().map(ToString::to_string).collect();
    assert_eq!(countries, ["BR", "GB"]);
    assert_eq!((policy.risky_skus(), policy.merchant_score_scale()), (["GIFT".to_owned()].as_slice(), Some([1000, 0])));
    assert_eq!(policy.history_keys().collect::<Vec<_>>(), [("terminal", "metadata.terminal")]);
    assert_eq!(policy.version, 4);
}

#[test]
fn a_rule_of_the_stores_own_takes_the_place_of_the_presets() {
    let count = |document: Value| Policy::of(1, parsed(&document)).rules().len();
    let base = count(json!({}));
    assert_eq!(count(json!({"rules": [rule("Own")]})), base + 1);
    assert_eq!(count(json!({"rules": [rule("card-testing")]})), base);
    assert_eq!(count(json!({"disabled": ["rule_card_testing"]})), base - 1);
    assert_eq!(count(json!({"rules": [rule("Own")], "disabled": ["rule_own"], "points": {"rule_own": 3}})), base);
    assert!(count(json!({"preset": "medium"})) > base);
}

#[test]
fn bands_begin_at_their_least_score() {
    let policy = Policy::built_in();
    let levels = [0, 30, 31, 50, 51, 75, 76, 100].map(|score| policy.level(score));
    use RiskLevel::{Critical, High, Low, Medium};
    assert_eq!(levels, [Low, Low, Medium, Medium, High, High, Critical, Critical]);
    let actions = RiskLevel::ALL.iter().map(|level| policy.action(*level)).collect::<Vec<_>>();
    assert_eq!(actions, [Action::Approve, Action::Review, Action::Review, Action::Hold]);
}

#[test]
fn a_band_can_be_switched_off_at_its_end() {
    let policy = Policy::of(1, parsed(&json!({"bands": {"critical": 101}, "actions": {"high": "hold"}})));
    assert_eq!(policy.level(100), RiskLevel::High);
    assert_eq!(policy.action(RiskLevel::High), Action::Hold);
}

/// Words of policies, so that arbitrary documents come close to real ones.
const WORDS: &[&str] = &[
    "rules",
    "points",
    "bands",
    "medium",
    "disabled",
    "caps",
    "issuer",
    "actions",
    "low",
    "hold",
    "preset",
    "expert",
    "high_amounts",
    "EUR",
    "history_keys",
    "high_risk_countries",
    "DE",
    "name",
    "when",
    "logic",
    "and",
    "or",
    "conditions",
    "field",
    "op",
    "value",
    "eq",
    "in",
    "matches",
    "exists",
    "amount",
    "customer.email",
    "metadata.x",
    "ip.country",
    "history.card.24h.orders",
    "signals.avs_mismatch",
    "line_items.sku",
    "(",
    "a{99}",
    "mode",
    "shadow",
];

fn arbitrary_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(WORDS);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(word.clone().prop_map(str::to_owned), inner, 0..7)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_document_panics_and_a_valid_one_survives_its_text(json in arbitrary_json()) {
        for document in [json.clone(), json!({"rules": [json]})] {
            if let Ok(policy) = Policy::parse(&document.to_string()) {
                let text = serde_json::to_string(&policy).unwrap();
                prop_assert_eq!(Policy::parse(&text), Ok(policy));
            }
        }
    }
}
