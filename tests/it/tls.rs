//! The services over TLS, with certificates of a private authority, and what is never said in plain text.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use touchstone_tests::servers::Servers;
use touchstone_tests::{Authority, Backend, Credentials, SignedClient, Touchstone, touchstone_with};

use crate::cli::{new_store, text};

const CA_FILE: &str = "TOUCHSTONE_CA_FILE";

/// What doctor finds under this name: grade and text.
async fn found(backend: &Backend, environment: &[(&str, String)], what: &str) -> Result<Vec<(String, String)>> {
    let printed = touchstone_with(backend, environment, &["doctor", "--json"]).await?;
    let document: Value = serde_json::from_str(&printed.stdout).with_context(|| printed.stderr.clone())?;
    let checks = document["checks"].as_array().context("checks")?.iter();
    let of = checks.filter(|check| check["what"] == what);
    of.map(|check| Ok((text(check, "grade")?.to_owned(), text(check, "found")?.to_owned()))).collect()
}

/// Over TLS the database is asked by its settings, so the commands that need no TLS work on the same data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_services_are_reached_over_tls_with_a_private_authority() -> Result<()> {
    let authority = Authority::new()?;
    let servers = Box::pin(Servers::start_with_tls(&authority)).await?;
    let mut backend = Backend::on(&servers.addresses()).await?;
    let (amqp, redis) = (backend.amqp_url.take().context("a broker")?, backend.redis_url.take().context("a cache")?);
    backend.database_url = format!("{}?sslmode=verify-full", backend.database_url);
    backend.amqp_url = Some(amqp.replace(&servers.rabbitmq.url(), &servers.rabbitmq.tls_url()));
    backend.redis_url = Some(redis.replace(&servers.redis.url(), &servers.redis.tls_url()));

    // The system's authorities know nothing of this one.
    let strange = touchstone_with(&backend, &[], &["migrate"]).await?;
    ensure!(strange.code == Some(1) && strange.stderr.contains("PostgreSQL cannot be reached"), "{}", strange.stderr);
    for service in ["PostgreSQL", "Redis", "RabbitMQ"] {
        let grades = found(&backend, &[], service).await?;
        ensure!(grades.iter().all(|(grade, _)| grade == "fail") && !grades.is_empty(), "{service}: {grades:?}");
    }

    let root = authority.root_file().to_str().context("a path of text")?.to_owned();
    let trusting = [(CA_FILE, root.clone())];
    let migrated = touchstone_with(&backend, &trusting, &["migrate"]).await?;
    ensure!(migrated.code == Some(0), "{}", migrated.stderr);
    for (what, grade) in [("PostgreSQL", "ok"), ("Redis", "ok"), ("RabbitMQ", "ok"), ("TLS to services", "ok")] {
        let grades = found(&backend, &trusting, what).await?;
        ensure!(grades.iter().all(|(of, _)| of == grade) && !grades.is_empty(), "{what}: {grades:?}");
    }
    let server = Touchstone::new("all", &backend)?.with(CA_FILE, &root).start().await?;
    backend.database_url = backend.database_url.replace("verify-full", "prefer");
    let store = new_store(&backend).await?;
    let create = ["key", "create", "--store", &store, "--json"];
    let key = touchstone_with(&backend, &trusting, &create).await?;
    let client = SignedClient::new(&server.url(), Credentials::from_json(&serde_json::from_str(&key.stdout)?)?);
    let order = json!({"order_id": "TLS-1", "amount": "12.00", "currency": "EUR"});
    let scored = touchstone_tests::eventually(std::time::Duration::from_secs(30), "a verdict", async || {
        client.analyze(&order).await.ok().filter(|answer| answer.status == 200)
    });
    assert_eq!(scored.await?.json()?["order_id"], "TLS-1");
    Ok(())
}

/// 0.0.0.0 leads to this machine, and no rule says so.
#[tokio::test]
async fn postgres_on_another_host_is_not_spoken_to_in_plain_text_unless_the_url_says_so() -> Result<()> {
    let mut backend = Backend::production().await?;
    let elsewhere = backend.database_url.replace("127.0.0.1", "0.0.0.0");
    ensure!(elsewhere != backend.database_url, "{elsewhere}");
    backend.database_url.clone_from(&elsewhere);
    let refused = touchstone_with(&backend, &[], &["migrate"]).await?;
    assert_eq!(refused.code, Some(1));
    ensure!(refused.stderr.contains("over TLS with a verified certificate"), "{}", refused.stderr);

    backend.database_url = format!("{elsewhere}?sslmode=disable");
    let taken = touchstone_with(&backend, &[], &["migrate"]).await?;
    ensure!(taken.code == Some(0), "{}", taken.stderr);
    let warned = found(&backend, &[], "TLS to services").await?;
    ensure!(warned.len() == 1 && warned[0].0 == "warn" && warned[0].1.contains("in plain text"), "{warned:?}");
    Ok(())
}
