//! The harness itself: what every other test takes for granted.

use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::StatusCode;
use redis::AsyncCommands;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};
use touchstone_tests::{
    Backend, Behaviour, Credentials, HttpClient, Receiver, SignedClient, Touchstone, eventually,
    servers::{Admin, Postgres, RabbitMq, Redis},
};

async fn sql(url: &str) -> anyhow::Result<DatabaseConnection> {
    Ok(Box::pin(Database::connect(url)).await?)
}

async fn redis(url: &str) -> anyhow::Result<redis::aio::MultiplexedConnection> {
    Ok(redis::Client::open(url)?.get_multiplexed_async_connection().await?)
}

#[tokio::test]
async fn postgres_keeps_its_data_over_a_kill_and_a_restart() -> anyhow::Result<()> {
    let mut server = Postgres::start().await?;
    let connection = sql(&server.url("postgres")).await?;
    connection.execute_unprepared("CREATE TABLE kept (id int)").await?;
    connection.execute_unprepared("INSERT INTO kept VALUES (1)").await?;

    server.kill();
    server.restart().await?;
    let connection = sql(&server.url("postgres")).await?;
    connection.execute_unprepared("INSERT INTO kept VALUES (2)").await?;
    server.restart().await?;

    let connection = sql(&server.url("postgres")).await?;
    let removed = connection.execute_unprepared("DELETE FROM kept").await?.rows_affected();
    assert_eq!(removed, 2);
    Ok(())
}

#[tokio::test]
async fn redis_keeps_its_data_over_a_kill_and_a_restart() -> anyhow::Result<()> {
    let mut server = Redis::start().await?;
    redis(&server.url()).await?.set::<_, _, ()>("kept", 7).await?;

    server.kill();
    server.restart().await?;
    server.restart().await?;

    assert_eq!(redis(&server.url()).await?.get::<_, i32>("kept").await?, 7);
    Ok(())
}

#[tokio::test]
async fn rabbitmq_keeps_its_messages_over_a_kill_and_a_restart() -> anyhow::Result<()> {
    let mut server = RabbitMq::start().await?;
    let admin = Admin::new(&server.admin_url())?;
    let queue = json!({"durable": true, "arguments": {"x-queue-type": "quorum"}});
    admin.put("/api/queues/%2F/kept", &queue).await?;
    let message = json!({
        "properties": {"delivery_mode": 2}, "routing_key": "kept", "payload": "hello", "payload_encoding": "string"
    });
    admin.post("/api/exchanges/%2F/amq.default/publish", &message).await?;

    // In order first: RabbitMQ 3.10 notes a new quorum queue on the disk a moment after it has answered, and one that
    // was declared just before a kill does not come back.
    server.restart().await?;
    server.kill();
    server.restart().await?;

    // The leader of the queue is elected after the start.
    let fetch = json!({"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"});
    let mut answer = None;
    let payload = eventually(Duration::from_secs(30), "the kept message", async || {
        answer = Some(admin.post("/api/queues/%2F/kept/get", &fetch).await);
        let fetched = answer.as_ref()?.as_ref().ok()?;
        Some(fetched[0]["payload"].as_str()?.to_owned())
    })
    .await
    .with_context(|| format!("{answer:?}"))?;
    assert_eq!(payload, "hello");
    Ok(())
}

#[tokio::test]
async fn two_production_backends_do_not_see_each_other() -> anyhow::Result<()> {
    let (one, other) = (Backend::production().await?, Backend::production().await?);
    let addresses = |backend: &Backend| {
        let (amqp, redis) = (backend.amqp_url.clone(), backend.redis_url.clone());
        (amqp.unwrap_or_default(), redis.unwrap_or_default())
    };
    let ((one_amqp, one_redis), (other_amqp, other_redis)) = (addresses(&one), addresses(&other));

    sql(&one.database_url).await?.execute_unprepared("CREATE TABLE mine (id int)").await?;
    let stranger = sql(&other.database_url).await?.execute_unprepared("SELECT * FROM mine").await;
    assert!(stranger.is_err());

    redis(&one_redis).await?.set::<_, _, ()>("mine", 1).await?;
    assert_eq!(redis(&other_redis).await?.get::<_, Option<i32>>("mine").await?, None);

    assert_ne!(one_amqp, other_amqp);
    assert_ne!(one.data_dir(), other.data_dir());
    Ok(())
}

#[tokio::test]
async fn virtual_host_goes_with_its_backend() -> anyhow::Result<()> {
    let backend = Backend::production().await?;
    let amqp_url = backend.amqp_url.clone().unwrap_or_default();
    let admin = Admin::new(backend.amqp_admin_url.as_deref().unwrap_or_default())?;
    let vhost = amqp_url.rsplit('/').next().unwrap_or_default().to_owned();
    let names = async || -> anyhow::Result<Vec<Value>> {
        let vhosts = admin.get("/api/vhosts").await?;
        Ok(vhosts.as_array().into_iter().flatten().map(|vhost| vhost["name"].clone()).collect())
    };
    assert!(names().await?.contains(&json!(vhost)));
    drop(backend);
    assert!(!names().await?.contains(&json!(vhost)));
    Ok(())
}

#[test]
fn embedded_backend_is_a_folder_that_goes_with_it() -> anyhow::Result<()> {
    let (one, other) = (Backend::embedded()?, Backend::embedded()?);
    assert_ne!(one.database_url, other.database_url);
    let folder = one.data_dir().to_owned();
    assert!(folder.is_dir());
    drop(one);
    assert!(!folder.exists());
    Ok(())
}

#[tokio::test]
async fn role_that_ends_at_once_is_an_error_that_says_so() -> anyhow::Result<()> {
    let started = Touchstone::new("no-such-role", &Backend::embedded()?)?.start().await;
    let error = started.expect_err("there is no such role");
    assert!(error.to_string().contains("ended early"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn receiver_records_what_arrives_and_behaves_as_told() -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    let credentials = Credentials { api_key: "fcc_test_key".to_owned(), hmac_secret: "secret".to_owned() };
    let client = SignedClient::new(&receiver.url().replace("/webhooks", ""), credentials.clone());

    let answer = client.post("/v1/transactions/tx_1/decision?a=b", &json!({"decision": "approve"})).await?;
    assert_eq!(answer.status, StatusCode::OK);
    receiver.behave(Behaviour::Answer(503, vec![("Retry-After".to_owned(), "7".to_owned())]));
    let answer = client.analyze(&json!({"order_id": "é"})).await?;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "7"));
    receiver.behave(Behaviour::Close);
    ensure!(HttpClient::new().get(&receiver.url()).await.is_err(), "a closed connection is no answer");

    let deliveries = receiver.wait_for(3, Duration::from_secs(5)).await?;
    for (delivery, prefix) in deliveries.iter().zip(["POST /v1/transactions/tx_1/decision?a=b.", ""]) {
        let signed = [prefix.as_bytes(), &delivery.body].concat();
        let (timestamp, nonce) = (delivery.header("x-fraudshield-timestamp"), delivery.header("x-fraudshield-nonce"));
        assert_eq!(delivery.header("x-fraudshield-signature"), credentials.sign(timestamp, nonce, &signed)?);
    }
    Ok(())
}

#[tokio::test]
async fn dripping_receiver_never_ends_its_answer() -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    let client = HttpClient::new();
    for behaviour in [Behaviour::Drip, Behaviour::Hang] {
        receiver.behave(behaviour);
        let answer = tokio::time::timeout(Duration::from_millis(700), client.get(&receiver.url())).await;
        assert!(answer.is_err());
    }
    Ok(())
}

#[tokio::test]
async fn waiting_for_nothing_ends_at_the_deadline_with_its_name() {
    let error = eventually(Duration::from_millis(50), "a miracle", async || None::<()>).await.expect_err("no miracle");
    assert!(error.to_string().contains("a miracle"), "{error}");
    let stuck = eventually(Duration::from_millis(50), "an answer", async || std::future::pending::<Option<()>>().await);
    assert!(stuck.await.is_err());
}
