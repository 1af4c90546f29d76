//! A captured request is itself and no other one.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Uri};
use serde_json::json;
use touchstone_ingest::Settings;
use touchstone_platform::random;
use touchstone_platform::store::SystemReason;
use touchstone_platform::store::accounts::EndpointRow;
use touchstone_schema::ids::EndpointId;

use super::fixture::{Door, order};

type Wire = Request<Full<Bytes>>;

/// A captured request, sent as another one with the same credentials.
fn aimed(captured: &Wire, method: Method, url: &str, nonce: &str, body: String) -> anyhow::Result<Wire> {
    let mut request = captured.clone();
    *request.method_mut() = method;
    *request.uri_mut() = url.parse::<Uri>()?;
    *request.body_mut() = Full::new(Bytes::from(body));
    request.headers_mut().insert("x-fraudshield-nonce", nonce.parse()?);
    Ok(request)
}

fn nonce_of(request: &Wire) -> String {
    request.headers()["x-fraudshield-nonce"].to_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn captured_order_switches_no_endpoint_off_and_lists_nothing() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let (client, now) = (door.client(&door.keys.mine), door.clock.now());
    let id = EndpointId::mint(now, random::bytes());
    let endpoint =
        EndpointRow::new(id.clone(), door.keys.mine.tenant.store_id.clone(), "https://a.example", vec![1], now);
    door.store.system(SystemReason::Operator).add_endpoint(&endpoint).await?;
    for (method, target) in
        [(Method::POST, format!("/v1/endpoints/{id}/disable")), (Method::GET, "/v1/transactions".to_owned())]
    {
        let mut document = order("R-1");
        document["customer"]["first_name"] = json!(format!("a.{method} {target}.b"));
        let body = document.to_string();
        let captured = client.request(Method::POST, "/v1/analyze", body.clone())?;
        let (before, rest) = body.split_once(&format!(".{method} {target}.")).expect("the name is in it");
        let nonce = format!("{}.{before}", nonce_of(&captured));
        let replayed = aimed(&captured, method, &format!("{}{target}", door.url), &nonce, rest.to_owned())?;
        let answer = client.execute(replayed).await?;
        assert_eq!((answer.status.as_u16(), &answer.json()?["code"]), (401, &json!("unauthorized")), "{target}");
    }
    let kept = door.store.system(SystemReason::Operator).endpoint(&id).await?;
    assert!(kept.is_some_and(|endpoint| endpoint.enabled));
    Ok(())
}

#[tokio::test]
async fn captured_request_of_another_route_is_no_order() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let client = door.client(&door.keys.mine);
    let (target, document) = ("/v1/lists", json!({"list": "block", "subject": "email", "value": "a@b.example"}));
    let captured = client.request(Method::POST, target, document.to_string())?;
    let body = format!("POST {target}.{document}");
    let mut replayed = aimed(&captured, Method::POST, &format!("{}/v1/analyze", door.url), &nonce_of(&captured), body)?;
    replayed.headers_mut().insert("content-type", "application/json".parse()?);
    let answer = client.execute(replayed).await?;
    assert_eq!((answer.status.as_u16(), &answer.json()?["code"]), (400, &json!("invalid_json")));
    Ok(())
}

#[tokio::test]
async fn body_where_none_is_described_is_400_and_so_is_an_unescaped_target() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let client = door.client(&door.keys.mine);
    for (method, target, body, code) in [
        (Method::GET, "/v1/transactions?status=", "b", "unexpected_body"),
        (Method::POST, "/v1/endpoints/ep_1/disable", "{}", "unexpected_body"),
        (Method::POST, "/v1/transactions/tx_1/reanalyze", "{}", "unexpected_body"),
        (Method::DELETE, "/v1/lists/le_1", "{}", "unexpected_body"),
        (Method::GET, "/v1/transactions/{a", "", "unescaped_target"),
    ] {
        let answer = client.send(method, target, body).await?;
        assert_eq!((answer.status.as_u16(), &answer.json()?["code"]), (400, &json!(code)), "{target}");
    }
    Ok(())
}

#[tokio::test]
async fn nonce_of_own_routes_is_of_letters_digits_and_two_marks() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let client = door.client(&door.keys.mine);
    let plain = client.get("/v1/transactions").await?;
    assert_eq!(plain.status, 200);
    let bad = client.execute(client.request_with_nonce(Method::GET, "/v1/transactions", "a.b", "")?).await?;
    let wrong = client.execute(client.request_with_nonce(Method::GET, "/v1/transactions", "", "")?).await?;
    assert_eq!((bad.status.as_u16(), &bad.json()?["code"]), (401, &json!("unauthorized")));
    assert_eq!(bad.json()?["detail"], wrong.json()?["detail"]);
    let order = client.request_with_nonce(Method::POST, "/v1/analyze", "a.b", "{")?;
    assert_eq!(client.execute(order).await?.json()?["code"], "invalid_json", "an order's nonce may hold dots");
    Ok(())
}
