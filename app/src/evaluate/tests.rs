//! Small files through the whole evaluation, with figures that are counted by hand.

use std::path::PathBuf;

use touchstone_schema::time::Timestamp;
use touchstone_scorer::score::policy::Policy;

use super::*;

const HEADER: &str = "id,seconds,who,card,paid,cheat\n";
const MAPPING: &str = r#"
[order]
order_id = "id"
created_at = { column = "seconds", form = "seconds", since = "2026-01-01" }
"customer.email" = "who"
"payment.card_bin" = { column = "card", form = "card_bin" }
"payment.card_last4" = { column = "card", form = "card_last4" }
amount = { column = "paid", form = "rounded" }
currency = { value = "EUR" }
"metadata.till" = { columns = ["who", "card"] }

[label]
column = "cheat"
fraud = ["1"]
legitimate = ["0"]
known_after = "2d"

[review]
entity = "who"
known_since = "30d"
"#;

/// A folder with a file and its mapping, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, file: &[u8], mapping: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("touchstone-evaluate-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("orders.csv"), file).expect("a file");
        std::fs::write(folder.join("mapping.toml"), mapping).expect("a file");
        Self(folder)
    }

    fn evaluate(&self, from: Option<&str>) -> anyhow::Result<serde_json::Value> {
        let evaluation = evaluate(Request {
            file: &self.0.join("orders.csv"),
            mapping: &self.0.join("mapping.toml"),
            policy: Policy::built_in(),
            from: from.and_then(Timestamp::parse_rfc3339),
            to: None,
            top: 2,
            shows_progress: false,
        })?;
        draw(&evaluation, Rank::Points, &self.0.join("plots"))?;
        Ok(serde_json::to_value(&evaluation)?)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Leaving a folder behind in the temporary one fails nothing.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A row: minutes after the beginning, the customer, the amount and the label.
fn row(number: usize, minutes: u64, who: &str, paid: &str, label: &str) -> String {
    format!("{number},{},{who},411111******1111,{paid},{label}\n", minutes * 60)
}

fn orders(counted: &serde_json::Value) -> [&serde_json::Value; 5] {
    ["measured", "frauds", "history_only", "left_out_without_label", "refused"].map(|name| &counted["orders"][name])
}

#[test]
fn a_file_is_measured_with_its_own_history() {
    let mut file = HEADER.to_owned();
    for number in 0..6 {
        file.push_str(&row(number, number as u64, "ann@example.com", "20.005", "0"));
    }
    file.push_str(&row(6, 10, "bob@example.com", "2500", "1"));
    file.push_str(&row(7, 11, "eve@example.com", "20", ""));
    file.push_str("8,soon,eve@example.com,,20,0\n");
    file.push_str("9,720,eve@example.com\n");
    let folder = Folder::with("whole", file.as_bytes(), MAPPING);
    let told = folder.evaluate(Some("2026-01-01T00:03:00Z")).expect("an evaluation");
    assert_eq!(orders(&told), [4, 1, 3, 1, 2].map(serde_json::Value::from).each_ref());
    assert_eq!(told["orders"]["refusals"][0], "line 10: order.created_at: expected a number of seconds");
    assert_eq!(told["points"]["auc_roc"], 1.0);
    let code = |code: &str| told["signals"].as_array().into_iter().flatten().find(|line| line["code"] == code).cloned();
    assert_eq!(code("email_velocity").expect("it fired")["fired"], 3);
    assert_eq!(code("high_amount").expect("it fired")["lift"], 4.0);
    for plot in ["roc", "precision-recall", "scores"] {
        let svg = std::fs::read_to_string(folder.0.join(format!("plots/{plot}.svg"))).expect("a plot");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{plot}");
    }
}

#[test]
fn rows_out_of_time_order_are_put_in_order() {
    let rows = [(2, 30), (0, 10), (1, 20)].map(|(number, at)| row(number, at, "ann@example.com", "20", "0"));
    let sorted = [(0, 10), (1, 20), (2, 30)].map(|(number, at)| row(number, at, "ann@example.com", "20", "0"));
    let told = |name: &str, rows: &[String]| {
        let file = format!("{HEADER}{}", rows.concat());
        let told = Folder::with(name, file.as_bytes(), MAPPING).evaluate(None).expect("an evaluation");
        (told["orders"].clone(), told["signals"].clone())
    };
    assert_eq!(told("shuffled", &rows), told("sorted", &sorted));
}

#[test]
fn customers_known_for_a_fraud_when_the_day_began_are_left_out() {
    let day = 24 * 60;
    let rows = [
        row(0, 5, "eve@example.com", "20", "1"),
        row(1, 2 * day + 4, "eve@example.com", "20", "1"), // known in the course of this day, not at its beginning
        row(2, 3 * day + 1, "eve@example.com", "20", "0"),
        row(3, 3 * day + 2, "ann@example.com", "20", "0"),
    ];
    let file = format!("{HEADER}{}", rows.concat());
    let told = Folder::with("known", file.as_bytes(), MAPPING).evaluate(None).expect("an evaluation");
    assert_eq!((&told["orders"]["measured"], &told["orders"]["left_out_of_known_entities"]), (&3.into(), &1.into()));
}

#[test]
fn mappings_that_make_no_sense_are_refused_with_the_reason() {
    let file = format!("{HEADER}{}", row(0, 0, "ann@example.com", "20", "0"));
    let cases = [
        (("\"who\"\n", "\"whom\"\n"), "the file has no column `whom`; it has id, seconds, who, card, paid, cheat"),
        (("\"customer.email\"", "\"customer.mail\""), "order.customer.mail: no field of an order has this name"),
        (("order_id = \"id\"\n", ""), "order.order_id: expected a column or a value; it is required"),
        (
            ("{ value = \"EUR\" }", "{ value = \"EUR\", column = \"id\" }"),
            "expected one of `column`, `columns` and `value`",
        ),
        (("\"2d\"", "\"soon\""), "`soon` is not a span of time"),
        (("fraud = [\"1\"]", "fraud = [\"0\"]"), "`0` cannot mean both fraud and legitimate"),
        (("\"rounded\"", "\"round\""), "unknown variant `round`"),
    ];
    for (number, ((from, to), reason)) in cases.into_iter().enumerate() {
        let mapping = MAPPING.replacen(from, to, 1);
        let folder = Folder::with(&format!("wrong{number}"), file.as_bytes(), &mapping);
        let refusal = format!("{:#}", folder.evaluate(None).expect_err("a refusal"));
        assert!(refusal.contains(reason), "{refusal}");
    }
}

#[test]
fn a_file_without_anything_to_measure_is_refused() {
    let file = format!("{HEADER}{}", row(0, 0, "ann@example.com", "much", "0"));
    let refusal = Folder::with("nothing", file.as_bytes(), MAPPING).evaluate(None).expect_err("a refusal").to_string();
    assert_eq!(
        refusal,
        "nothing was measured: 0 orders before the period, 0 without label, 1 refused (first: line 2: order.amount: \
         expected a decimal number)"
    );
}
