//! Tuning a policy as an operator does: apply, test, compare, roll back; on both ways to run.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use touchstone_tests::process::TemporaryFolder;
use touchstone_tests::{
    Backend, Credentials, Receiver, SignedClient, Touchstone, eventually, touchstone, touchstone_json,
};

use crate::cli::{new_store, text};

/// Longest that anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Declares each behaviour as a test on either way to run.
macro_rules! on_both_ways_to_run {
    ($($behaviour:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                Box::pin(super::$behaviour(&touchstone_tests::Backend::embedded()?)).await
            })+
        }
        mod production {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                let backend = touchstone_tests::Backend::production().await?;
                touchstone_tests::touchstone_json(&backend, &["migrate"]).await?;
                Box::pin(super::$behaviour(&backend)).await
            })+
        }
    };
}

pub(crate) use on_both_ways_to_run;

on_both_ways_to_run![
    versions_are_applied_listed_compared_and_rolled_back,
    refused_policies_tell_where_and_change_nothing,
    backtest_counts_what_a_hand_counts_and_writes_nothing,
    shadow_store_scores_as_a_live_one_and_says_so,
];

struct Files(TemporaryFolder);

impl Files {
    fn new() -> Result<Self> {
        Ok(Self(TemporaryFolder::new("policy")?))
    }

    fn write(&self, name: &str, document: &Value) -> Result<String> {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, document.to_string())?;
        Ok(path.to_str().context("the path is text")?.to_owned())
    }
}

/// A shop that sends orders to a serving process.
struct Shop {
    store: String,
    client: SignedClient,
}

impl Shop {
    async fn open(backend: &Backend, server: &Touchstone) -> Result<Self> {
        let store = new_store(backend).await?;
        let key = touchstone_json(backend, &["key", "create", "--store", &store]).await?;
        let client = SignedClient::new(&server.url(), Credentials::from_json(&key)?);
        let shop = Self { store, client };
        // The door learns of the key within two seconds.
        eventually(PATIENCE, "the key to be known", async || {
            let answer = shop.client.get("/v1/transactions").await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await?;
        Ok(shop)
    }

    async fn send(&self, order: &Value) -> Result<Value> {
        let answer = self.client.analyze(order).await?;
        anyhow::ensure!(answer.status == 200, "{answer:?}");
        answer.json()
    }

    /// Sends orders of strangers until one is scored under this version of the policy.
    async fn scored_under(&self, version: u32, series: &str) -> Result<()> {
        let mut number = 0;
        eventually(PATIENCE, "the policy to apply", async || {
            number += 1;
            let order = json!({"order_id": format!("{series}-{number}"), "amount": 1, "currency": "USD"});
            let verdict = self.send(&order).await.ok()?;
            (verdict["policy_version"] == version).then_some(())
        })
        .await
    }
}

/// An order of a customer like no other, with the card issuer's answers.
fn order(number: usize, amount: &str, avs: &str, cvv: &str) -> Value {
    let (first, last) =
        [("Maria", "Carter"), ("Peter", "Holm"), ("Helen", "Marsh"), ("Oscar", "Wells"), ("Julia", "Stone")]
            [number % 5];
    let email = format!("{}@{}-family.com", first.to_lowercase(), last.to_lowercase());
    let street = format!("{} Oak Street", 500 + 20 * number);
    let address = json!({"first_name": first, "last_name": last, "address1": street, "city": "Austin", "region": "TX",
        "postal_code": "78701", "country": "US"});
    json!({
        "order_id": format!("T-{number}"), "amount": amount, "currency": "EUR",
        "customer": {"id": format!("c-{number}"), "email": email, "first_name": first, "last_name": last,
            "phone": format!("+1 512 555 01{number}0"), "created_at": "2024-01-05T10:00:00Z", "orders_count": 6},
        "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/124.0 Safari/537.36",
        "billing_address": address, "shipping_address": address,
        "payment": {"method": "card", "avs_result": avs, "cvv_result": cvv, "card_fingerprint": format!("fp-{number}"),
            "card_last4": "1111"},
    })
}

async fn versions_are_applied_listed_compared_and_rolled_back(backend: &Backend) -> Result<()> {
    let files = Files::new()?;
    let server = Touchstone::new("all", backend)?.start().await?;
    let shop = Shop::open(backend, &server).await?;
    let store = shop.store.as_str();
    let first = files.write("first.json", &json!({"points": {"avs_mismatch": 7}}))?;
    let second = files.write("second.json", &json!({"points": {"avs_mismatch": 9}, "disabled": ["cvv_mismatch"]}))?;

    let apply = ["rules", "apply", "--store", store, "--file", &first, "--note", "softer", "--author", "ann"];
    let applied = touchstone_json(backend, &apply).await?;
    assert_eq!((&applied["version"], &applied["changed"]), (&json!(1), &json!(true)));
    shop.scored_under(1, "first").await?;
    let again = touchstone_json(backend, &apply).await?;
    assert_eq!((&again["version"], &again["changed"]), (&json!(1), &json!(false)), "the same makes no version");
    touchstone_json(backend, &["rules", "apply", "--store", store, "--file", &second]).await?;
    shop.scored_under(2, "second").await?;

    let differences =
        touchstone_json(backend, &["policy", "diff", "--store", store, "--from", "1", "--to", "2"]).await?;
    let expected = json!([
        {"path": "/disabled", "to": "cvv_mismatch"},
        {"path": "/points/avs_mismatch", "from": 7, "to": 9},
    ]);
    assert_eq!(differences["differences"], expected);
    let told = touchstone(backend, &["policy", "diff", "--store", store, "--from", "1", "--to", "2"]).await?;
    assert!(told.stdout.contains("~ /points/avs_mismatch: 7 → 9"), "{}", told.stdout);

    let back = touchstone_json(backend, &["policy", "rollback", "--store", store, "--to", "1"]).await?;
    assert_eq!(back["version"], 3);
    shop.scored_under(3, "third").await?;
    let shown = touchstone_json(backend, &["policy", "show", "--store", store]).await?;
    assert_eq!((&shown["version"], &shown["policy"]), (&json!(3), &json!({"points": {"avs_mismatch": 7}})));
    let shown = touchstone_json(backend, &["policy", "show", "--store", store, "--version", "2"]).await?;
    assert_eq!(shown["policy"]["points"]["avs_mismatch"], 9, "what it was is kept");
    let listed = touchstone_json(backend, &["policy", "list", "--store", store]).await?;
    let versions = listed["versions"].as_array().context("a list")?;
    assert_eq!(versions.iter().map(|version| &version["version"]).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!((&versions[2]["note"], &versions[2]["author"]), (&json!("softer"), &json!("ann")));
    touchstone_json(backend, &["policy", "rollback", "--store", store, "--to", "0"]).await?;
    let shown = touchstone_json(backend, &["policy", "show", "--store", store]).await?;
    assert_eq!((&shown["version"], &shown["policy"]), (&json!(4), &json!({})));
    Ok(())
}

async fn refused_policies_tell_where_and_change_nothing(backend: &Backend) -> Result<()> {
    let files = Files::new()?;
    let store = new_store(backend).await?;
    let wrong = files.write("wrong.json", &json!({"points": {"no_such_code": 5}}))?;
    for command in ["apply", "test"] {
        let mut arguments = vec!["rules", command, "--store", &store, "--file", &wrong, "--json"];
        arguments.extend((command == "test").then_some(["--since", "1d"]).into_iter().flatten());
        let refused = touchstone(backend, &arguments).await?;
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("/points/no_such_code"), "{}", refused.stderr);
        let document: Value = serde_json::from_str(&refused.stdout)?;
        assert!(text(&document["error"], "message")?.contains("is refused"), "{document}");
    }
    let listed = touchstone_json(backend, &["policy", "list", "--store", &store]).await?;
    assert_eq!(listed["versions"], json!([]));
    for arguments in [
        vec!["policy", "show", "--store", &store, "--version", "1"],
        vec!["policy", "rollback", "--store", &store, "--to", "7"],
        vec!["rules", "apply", "--store", &store, "--file", "/no/such/file"],
    ] {
        assert_eq!(touchstone(backend, &arguments).await?.code, Some(1), "{arguments:?}");
    }
    assert_eq!(touchstone(backend, &["rules", "test", "--store", &store]).await?.code, Some(2));
    Ok(())
}

async fn backtest_counts_what_a_hand_counts_and_writes_nothing(backend: &Backend) -> Result<()> {
    let files = Files::new()?;
    let server = Touchstone::new("all", backend)?.start().await?;
    let shop = Shop::open(backend, &server).await?;
    let store = shop.store.as_str();
    let caps = json!({"issuer": 100});
    let points = |avs: i64, cvv: i64| json!({"points": {"avs_mismatch": avs, "cvv_mismatch": cvv}, "caps": &caps});
    let now = files.write("now.json", &points(40, 0))?;
    touchstone_json(backend, &["rules", "apply", "--store", store, "--file", &now]).await?;
    shop.scored_under(1, "warm").await?;

    let orders = [
        (order(0, "10.00", "N", "M"), 40, Some("fraud_confirmed")),
        (order(1, "20.00", "N", "M"), 40, Some("legitimate")),
        (order(2, "40.00", "Y", "N"), 0, Some("chargeback_opened")),
        (order(3, "80.00", "Y", "M"), 0, Some("legitimate")),
        (order(4, "160.00", "Y", "N"), 0, None),
    ];
    for (order, score, outcome) in &orders {
        let verdict = shop.send(order).await?;
        assert_eq!(verdict["risk_score"], *score, "{verdict}");
        let path = format!("/v1/transactions/{}/outcome", text(&verdict, "transaction_id")?);
        if let Some(outcome) = outcome {
            let told = json!({"type": outcome, "occurred_at": "2026-05-04T12:00:00Z"});
            assert_eq!(shop.client.post(&path, &told).await?.status, 200);
        }
    }
    let list = ["order", "list", "--store", store, "--limit", "100"];
    let show = ["order", "show", "--store", store, "--id", "T-0"];
    let before = (touchstone_json(backend, &list).await?, touchstone_json(backend, &show).await?);

    let candidate = files.write("candidate.json", &points(80, 35))?;
    let test = ["rules", "test", "--store", store, "--file", &candidate, "--since", "1h"];
    let report = touchstone_json(backend, &test).await?;
    // 0 and 1 go from 40 to 80, 2 and 4 from 0 to 35, 3 stays.
    assert_eq!((&report["changed_levels"], &report["changed_actions"]), (&json!(4), &json!(4)), "{report}");
    let (current, candidate) = (&report["current"], &report["candidate"]);
    // Now 0 (fraud) and 1 (honest) are stopped, 2 (fraud) goes through; then 0, 1 and 2 are stopped.
    assert_eq!((&current["precision"], &current["recall"]), (&json!(0.5), &json!(0.5)));
    assert_eq!((&candidate["precision"], &candidate["recall"]), (&json!(2.0 / 3.0), &json!(1.0)));
    let money = |figures: &Value| -> Vec<Value> {
        let money = figures["money"].as_array().cloned().unwrap_or_default();
        money.into_iter().filter(|line| line["currency"] == "EUR").collect()
    };
    let line = |action: &str, orders: u64, amount: &str| json!({"currency": "EUR", "action": action, "orders": orders, "amount": amount});
    assert_eq!(money(current), [line("approve", 3, "280.00"), line("review", 2, "30.00")]);
    let expected = [line("approve", 1, "80.00"), line("review", 2, "200.00"), line("hold", 2, "30.00")];
    assert_eq!(money(candidate), expected);
    let most: Vec<_> =
        report["most_changed"].as_array().context("a list")?.iter().map(|one| &one["order_id"]).collect();
    assert_eq!(most, ["T-0", "T-1", "T-2", "T-4"]);
    let reason = &report["most_changed"][2]["reasons"][0];
    assert_eq!((&reason["code"], &reason["from"], &reason["to"]), (&json!("cvv_mismatch"), &json!(0), &json!(35)));
    let told = touchstone(backend, &test).await?;
    assert!(told.stdout.contains("66.7 %") && told.stdout.contains("nothing was changed"), "{}", told.stdout);

    assert_eq!((touchstone_json(backend, &list).await?, touchstone_json(backend, &show).await?), before);
    let listed = touchstone_json(backend, &["policy", "list", "--store", store]).await?;
    assert_eq!(listed["versions"].as_array().map(Vec::len), Some(1));
    Ok(())
}

async fn shadow_store_scores_as_a_live_one_and_says_so(backend: &Backend) -> Result<()> {
    let server = Touchstone::new("all", backend)?.start().await?;
    let (live, shadow) = (Shop::open(backend, &server).await?, Shop::open(backend, &server).await?);
    touchstone_json(backend, &["store", "set", "--store", &shadow.store, "--mode", "shadow"]).await?;
    let mut receivers = Vec::new();
    for shop in [&live, &shadow] {
        let receiver = Receiver::start().await?;
        touchstone_json(backend, &["endpoint", "create", "--store", &shop.store, "--url", &receiver.url()]).await?;
        receivers.push(receiver);
    }
    let mut number = 0;
    eventually(PATIENCE, "the store's mode to be known", async || {
        number += 1;
        let probe = json!({"order_id": format!("probe-{number}"), "amount": 1, "currency": "USD"});
        let verdict = shadow.send(&probe).await.ok()?;
        (verdict["mode"] == "shadow").then_some(())
    })
    .await?;
    let order = order(0, "900.00", "N", "N");
    let (acts, observes) = (live.send(&order).await?, shadow.send(&order).await?);
    assert_eq!((&acts["mode"], &observes["mode"]), (&json!("live"), &json!("shadow")));
    for member in ["risk_score", "risk_level", "recommended_action", "confidence", "reasons", "policy_version"] {
        assert_eq!(acts[member], observes[member], "{member}");
    }
    for (receiver, mode) in receivers.iter().zip(["live", "shadow"]) {
        let delivered = eventually(PATIENCE, "the webhook of the order", async || {
            let deliveries = receiver.wait_for(1, PATIENCE).await.ok()?;
            let bodies = deliveries.iter().filter_map(|delivery| delivery.json().ok());
            bodies.into_iter().find(|body| body["data"]["order_id"] == "T-0")
        })
        .await?;
        assert_eq!(delivered["data"]["mode"], mode, "its receiver can tell");
    }
    // A person's decision is recorded as that of a shadow too.
    let path = format!("/v1/transactions/{}/decision", text(&observes, "transaction_id")?);
    let decision = json!({"decision": "reject", "reviewer": "ann"});
    assert_eq!(shadow.client.post(&path, &decision).await?.status, 200);
    let decided = eventually(PATIENCE, "the webhook of the decision", async || {
        let deliveries = receivers[1].wait_for(1, PATIENCE).await.ok()?;
        let bodies = deliveries.iter().filter_map(|delivery| delivery.json().ok());
        bodies.into_iter().find(|body| body["type"] == "order.decided")
    })
    .await?;
    assert_eq!(decided["data"]["mode"], "shadow");
    Ok(())
}
