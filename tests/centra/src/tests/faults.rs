use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    client::{RESUME, data, resume, send, try_send},
    shop,
};
use crate::{Centra, Chaos, Fault, On, Order, RetryAfter, Settings};

/// A shop whose next mutation meets a fault, and the order that it is about.
async fn failing(fault: Fault) -> (Centra, String) {
    let order = Order::held(1);
    let shop = shop([order.clone()]).await;
    shop.fail_next_on(On::Mutations, fault);
    (shop, order.id)
}

/// After a fault everything works, and the order is resumed by whichever of the two attempts came through.
async fn assert_mended(shop: &Centra, id: &str, fault: Fault) {
    assert_eq!(shop.faults_waiting(), 0, "{fault:?}");
    assert_eq!(shop.applied(id).len(), usize::from(fault.applies()), "{fault:?}");
    assert_eq!(shop.order(id).unwrap().is_on_hold(), !fault.applies(), "{fault:?}");
    assert_eq!(resume(shop, id).await.unwrap().status, 200, "{fault:?}");
    assert_eq!(shop.applied(id).len(), 1, "{fault:?}");
    assert_eq!(shop.requests().faulted, 1, "{fault:?}");
}

#[tokio::test]
async fn status_is_answered_before_or_after_applying() {
    let faults = [
        (Fault::Status(500), 500),
        (Fault::StatusAfterApplying(502), 502),
        (Fault::TooMany(RetryAfter::Seconds), 429),
        (Fault::Forbidden, 403),
    ];
    for (fault, status) in faults {
        let (shop, id) = failing(fault).await;
        assert_eq!(resume(&shop, &id).await.unwrap().status, status);
        assert_mended(&shop, &id, fault).await;
    }
}

/// How long a client waits in vain: silence has no other end.
const PATIENCE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn silence_lasts_until_the_client_gives_up() {
    for fault in [Fault::NeverAnswer, Fault::NeverAnswerAfterApplying] {
        let (shop, id) = failing(fault).await;
        let answer = tokio::time::timeout(PATIENCE, resume(&shop, &id)).await;
        assert!(answer.is_err(), "{fault:?} was answered");
        assert_eq!(shop.requests().faulted, 1, "{fault:?}");
        assert_mended(&shop, &id, fault).await;
    }
}

#[tokio::test]
async fn connection_breaks() {
    for fault in [Fault::CloseWithoutAnswer, Fault::CloseAfterApplying, Fault::HalfAnswer] {
        let (shop, id) = failing(fault).await;
        assert!(resume(&shop, &id).await.is_err(), "{fault:?}");
        assert_mended(&shop, &id, fault).await;
    }
}

#[tokio::test]
async fn half_answer_has_a_whole_head() {
    let shop = shop([Order::held(1)]).await;
    shop.fail_next(Fault::HalfAnswer);
    let body = json!({ "query": "{ orders { id } }" }).to_string();
    let (token, length) = (shop.token(), body.len());
    let address = shop.api_url().replace("http://", "").replace("/graphql", "");
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head =
        format!("POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {length}");
    connection.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();

    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let promised = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!(body.len(), promised.parse::<usize>().unwrap() / 2);
    assert!(body.starts_with("{\"data\":"), "{body}");
}

#[tokio::test]
async fn answer_of_http_200_may_be_a_failure() {
    let (shop, id) = failing(Fault::GraphqlErrors).await;
    let answer = resume(&shop, &id).await.unwrap();
    assert_eq!((answer.status, &answer.json()["data"]), (200, &Value::Null));
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 1);
    assert_mended(&shop, &id, Fault::GraphqlErrors).await;

    let (shop, id) = failing(Fault::NotJson).await;
    let answer = resume(&shop, &id).await.unwrap();
    assert_eq!((answer.status, &answer.headers["content-type"]), (200, &"text/html".parse().unwrap()));
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
    assert_mended(&shop, &id, Fault::NotJson).await;
}

#[tokio::test]
async fn user_errors_and_warnings_come_in_the_payload() {
    let (shop, id) = failing(Fault::UserErrors).await;
    let answer = data(&shop, RESUME, json!({ "id": id })).await;
    assert_eq!(answer["resumeOrder"]["userErrors"].as_array().unwrap().len(), 1);
    assert_mended(&shop, &id, Fault::UserErrors).await;

    let (shop, id) = failing(Fault::UserWarnings).await;
    let answer = data(&shop, RESUME, json!({ "id": id })).await;
    assert_eq!(answer["resumeOrder"]["userErrors"], json!([]));
    assert_eq!(answer["resumeOrder"]["userWarnings"].as_array().unwrap().len(), 1);
    assert_eq!(answer["resumeOrder"]["order"]["id"], json!(id));
    assert_mended(&shop, &id, Fault::UserWarnings).await;
}

#[tokio::test]
async fn slow_answer_comes_late_and_has_applied_at_once() {
    let delay = Duration::from_millis(200);
    let (shop, id) = failing(Fault::Slow(delay)).await;
    let answer = resume(&shop, &id).await.unwrap();

    assert_eq!(answer.json()["data"]["resumeOrder"]["userErrors"], json!([]));
    assert!(shop.applied(&id)[0].at.elapsed() >= delay);
    assert_mended(&shop, &id, Fault::Slow(delay)).await;
}

#[tokio::test]
async fn faults_are_met_once_each_by_the_operations_that_they_wait_for() {
    let shop = shop([Order::held(1)]).await;
    shop.fail_next_on(On::Mutations, Fault::Status(500));
    shop.fail_next_on(On::Queries, Fault::Status(501));
    shop.fail_next(Fault::Status(502));

    let statuses = async || send(&shop, "{ centraIPs }", Value::Null).await.status;
    assert_eq!([statuses().await, statuses().await, statuses().await], [501, 502, 200]);
    assert_eq!(resume(&shop, "unknown").await.unwrap().status, 500);
    shop.fail_next(Fault::Forbidden);
    shop.clear_faults();
    assert_eq!(resume(&shop, "unknown").await.unwrap().status, 200);
}

#[tokio::test]
async fn chaos_is_repeated_by_its_seed_and_never_applies_twice() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let chaos = Some(Chaos::evenly(42, 60));
        let shop = Centra::start(Settings { chaos, ..Settings::default() }).await.unwrap();
        let mut outcomes = Vec::new();
        for number in 1..=10 {
            let order = Order::held(number);
            shop.put(order.clone());
            while shop.order(&order.id).unwrap().is_on_hold() {
                outcomes.push(resume(&shop, &order.id).await.map_or(0, |answer| answer.status));
            }
            assert_eq!(shop.applied(&order.id).len(), 1);
        }
        shop.set_chaos(None);
        assert!(try_send(&shop, "{ centraIPs }", Value::Null).await.is_ok());
        assert_ne!(shop.requests().faulted, 0);
        runs.push(outcomes);
    }
    assert_eq!(runs[0], runs[1]);
}
