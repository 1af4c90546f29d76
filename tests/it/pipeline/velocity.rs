//! What earlier orders tell of later ones, through the real history tables.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::fixture::{Pipeline, codes, told};
use crate::ingest::fixture::order;

on_both_ways_to_run![
    other_cards_on_one_e_mail_within_a_day_fire,
    cards_of_the_day_before_and_of_other_stores_do_not_fire,
    orders_that_wait_together_see_those_before_them,
    fourth_honest_customer_behind_a_proxy_of_the_shop_is_not_reviewed,
];

/// An order of Ada's with the card of this number.
fn with_card(id: &str, card: usize) -> Value {
    let mut order = order(id);
    order["payment"] = json!({"method": "card", "card_fingerprint": format!("fp_{card}"), "card_last4": "4242"});
    order
}

fn is_card_testing(verdict: &Value) -> bool {
    let codes = codes(verdict);
    let fired = ["cards_per_email", "rule_card_testing"].map(|code| codes.contains(&code));
    assert_eq!(fired[0], fired[1], "{verdict}");
    fired[0]
}

async fn other_cards_on_one_e_mail_within_a_day_fire(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let mut fired = Vec::new();
    for card in 0..4 {
        fired.push(is_card_testing(&told(&client.analyze(&with_card(&format!("V-1-{card}"), card)).await?, 200)?));
        pipeline.door.clock.advance(Duration::from_secs(600));
    }
    assert_eq!(fired, [false, false, true, true], "the third card is one too many");
    let same = told(&client.analyze(&with_card("V-1-same", 3)).await?, 200)?;
    assert!(is_card_testing(&same));
    Ok(())
}

async fn cards_of_the_day_before_and_of_other_stores_do_not_fire(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    for card in 0..4 {
        told(&client.analyze(&with_card(&format!("V-2-{card}"), card)).await?, 200)?;
    }
    let theirs = pipeline.door.client(&pipeline.door.keys.theirs);
    assert!(!is_card_testing(&told(&theirs.analyze(&with_card("V-2-theirs", 9)).await?, 200)?));
    pipeline.door.clock.advance(Duration::from_secs(86_401));
    assert!(!is_card_testing(&told(&client.analyze(&with_card("V-2-late", 9)).await?, 200)?));
    Ok(())
}

async fn orders_that_wait_together_see_those_before_them(pipeline: &mut Pipeline) -> Result<()> {
    let mut batch = Vec::new();
    for card in 0..4 {
        batch.push(pipeline.submission(&with_card(&format!("V-3-{card}"), card))?);
        pipeline.door.clock.advance(Duration::from_secs(1));
    }
    // They wait together for the scorer, which takes them in one batch or in several.
    pipeline.enqueue(&batch).await?;
    pipeline.score();
    let client = pipeline.client();
    let mut fired = Vec::new();
    for submission in &batch {
        let transaction = pipeline.settled(&client, submission.transaction_id.as_str()).await?;
        fired.push(is_card_testing(&transaction["verdict"]));
    }
    assert_eq!(fired, [false, false, true, true]);
    Ok(())
}

async fn fourth_honest_customer_behind_a_proxy_of_the_shop_is_not_reviewed(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    for (name, address, has_velocity) in
        [("private", "10.20.30.40", false), ("loopback", "127.0.0.1", false), ("public", "81.2.69.142", true)]
    {
        let mut verdicts = Vec::new();
        for customer in 0..4 {
            let mut order = with_card(&format!("V-{name}-{customer}"), customer);
            order["payment"]["card_fingerprint"] = json!(format!("fp_{name}_{customer}"));
            order["customer"] = json!({"id": format!("{name}-{customer}"), "email": format!("c{customer}.{name}@carter-family.com"),
                "phone": format!("+1512555{:04}", customer)});
            order["ip_address"] = json!(address);
            verdicts.push(told(&client.analyze(&order).await?, 200)?);
            pipeline.door.clock.advance(Duration::from_secs(60));
        }
        let last = &verdicts[3];
        let fired = ["ip_velocity", "cards_per_ip"].map(|code| codes(last).contains(&code));
        assert_eq!(fired, [has_velocity; 2], "{name}: {last}");
        assert_eq!(codes(last).contains(&"private_ip"), !has_velocity, "{name}: {last}");
        if !has_velocity {
            assert_eq!(last["risk_score"], verdicts[0]["risk_score"], "{name}: {last}");
        }
    }
    Ok(())
}
