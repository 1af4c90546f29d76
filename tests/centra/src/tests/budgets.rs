use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::client::{data, resume, send};
use crate::{Budgets, Centra, Fault, Order, Quota, RetryAfter, Settings};

const LIMITS: &str = "{ rateLimits { type intervalSeconds quota usedQuota remainingQuota } }";

async fn shop_with(budgets: Budgets, retry_after: RetryAfter) -> Centra {
    Centra::start(Settings { budgets, retry_after, ..Settings::default() }).await.unwrap()
}

#[tokio::test]
async fn used_up_budget_is_refused_and_comes_back() {
    let budgets = Budgets {
        requests: Quota { ten_seconds: 1, hour: 1_000 },
        ten_seconds: Duration::from_millis(500),
        ..Budgets::default()
    };
    let shop = shop_with(budgets, RetryAfter::Seconds).await;
    let ask = async || send(&shop, "{ centraIPs }", Value::Null).await;

    // Two requests may fall into two windows.
    let refused = loop {
        let answer = ask().await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status, &refused.headers["retry-after"]), (429, &"1".parse().unwrap()));
    while ask().await.status != 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(shop.requests().refused_for_budget, 0);
}

#[tokio::test]
async fn mutation_over_its_budget_is_not_applied() {
    let budgets = Budgets { mutations: Quota { ten_seconds: 100, hour: 1 }, ..Budgets::default() };
    let shop = shop_with(budgets, RetryAfter::Seconds).await;
    let [first, second] = [Order::held(1), Order::held(2)];
    shop.put(first.clone());
    shop.put(second.clone());

    assert_eq!(resume(&shop, &first.id).await.unwrap().status, 200);
    assert_eq!(resume(&shop, &second.id).await.unwrap().status, 429);
    assert!(shop.order(&second.id).unwrap().is_on_hold());
    assert_eq!(shop.mutations().len(), 1);
    assert_eq!(send(&shop, "{ centraIPs }", Value::Null).await.status, 200);
}

#[tokio::test]
async fn rate_limits_are_told_and_count_themselves() {
    let shop = shop_with(Budgets::modest(), RetryAfter::Seconds).await;
    resume(&shop, "unknown").await.unwrap();
    let limits = data(&shop, LIMITS, Value::Null).await;
    let limit = |kind: &str, interval: &str, quota: u32, used: u32| {
        json!({
            "type": kind, "intervalSeconds": interval, "quota": quota, "usedQuota": used, "remainingQuota": quota - used,
        })
    };

    assert_eq!(
        limits["rateLimits"],
        json!([
            limit("REQUEST_COUNT", "TEN_SECONDS", 60, 2),
            limit("REQUEST_COUNT", "ONE_HOUR", 5_000, 2),
            limit("MUTATION_COUNT", "TEN_SECONDS", 20, 1),
            limit("MUTATION_COUNT", "ONE_HOUR", 1_000, 1),
        ])
    );
}

#[tokio::test]
async fn retry_after_takes_the_form_that_is_chosen() {
    let empty = Quota { ten_seconds: 0, hour: 1_000 };
    let mut waits = Vec::new();
    for form in [RetryAfter::Seconds, RetryAfter::HttpDate, RetryAfter::EpochSeconds] {
        let shop = shop_with(Budgets { requests: empty, ..Budgets::default() }, form).await;
        let refused = send(&shop, "{ centraIPs }", Value::Null).await;
        let told = refused.headers["retry-after"].to_str().unwrap().to_owned();
        let from = |then: DateTime<Utc>| (then - crate::sample::now()).num_seconds();
        waits.push(match form {
            RetryAfter::Seconds => told.parse().unwrap(),
            RetryAfter::HttpDate => from(DateTime::parse_from_rfc2822(&told).unwrap().to_utc()),
            RetryAfter::EpochSeconds => from(DateTime::from_timestamp(told.parse().unwrap(), 0).unwrap()),
        });
        shop.fail_next(Fault::TooMany(form));
        assert!(send(&shop, "{ centraIPs }", Value::Null).await.headers.contains_key("retry-after"));
    }
    assert!(waits.iter().all(|wait| (5..=12).contains(wait)), "{waits:?}");
}
