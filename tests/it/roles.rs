//! The database role that Touchstone runs as need not own anything.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use touchstone_tests::{Backend, Credentials, SignedClient, Touchstone, touchstone, touchstone_json};

use crate::cli::new_store;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_runs_as_a_role_that_cannot_change_audit_lines_or_tables() -> Result<()> {
    let mut backend = Backend::production().await?;
    let role = backend.database_url.rsplit_once("/test_").map(|(_, name)| format!("app_{name}")).context("a name")?;
    let unknown = touchstone(&backend, &["migrate", "--grant-to", &role]).await?;
    ensure!(unknown.code == Some(1) && unknown.stderr.contains("gets no rights"), "{}", unknown.stderr);
    let owner = backend.open_database().await?;
    owner.run(&format!("CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE")).await?;
    owner.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await?;
    // Twice, as every upgrade does it again.
    for _ in 0..2 {
        let granted = touchstone_json(&backend, &["migrate", "--grant-to", &role]).await?;
        assert_eq!(granted["granted_to"], json!(role));
    }

    backend.database_url = backend.database_url.replace("touchstone@", &format!("{role}@"));
    ensure!(backend.database_url.contains(&role), "{}", backend.database_url);
    let store = new_store(&backend).await?;
    let key = touchstone_json(&backend, &["key", "create", "--store", &store]).await?;
    let server = Touchstone::new("all", &backend)?.start().await?;
    let client = SignedClient::new(&server.url(), Credentials::from_json(&key)?);
    let order = json!({"order_id": "R-1", "amount": "12.00", "currency": "EUR"});
    let scored = touchstone_tests::eventually(std::time::Duration::from_secs(30), "a verdict", async || {
        client.analyze(&order).await.ok().filter(|answer| answer.status == 200)
    });
    scored.await?;

    let app = backend.open_database().await?;
    ensure!(app.count("audit_log").await? > 0, "what was made is in the audit log");
    for forbidden in [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "DROP TABLE audit_log",
        "ALTER TABLE audit_log ADD COLUMN more TEXT",
        "DELETE FROM seaql_migrations",
        "CREATE TABLE own (id BIGINT)",
        "TRUNCATE transactions",
    ] {
        let refused = app.run(forbidden).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(refused.contains("permission denied") || refused.contains("must be owner"), "{forbidden}: {refused}");
    }
    Ok(())
}

/// What the container image does when nothing is set.
#[tokio::test]
async fn embedded_data_is_refused_where_an_image_wants_a_volume_and_none_is_mounted() -> Result<()> {
    let backend = Backend::embedded()?;
    let folder = backend.data_dir().join("volume");
    std::fs::create_dir(&folder)?;
    let volume = folder.to_str().context("a path of text")?.to_owned();
    let unset = [("TOUCHSTONE_DATA_DIR", String::new()), ("TOUCHSTONE_DATA_VOLUME", volume.clone())];
    for command in [&["serve"][..], &["migrate"], &["doctor"], &["merchant", "create", "--name", "N"]] {
        let refused = touchstone_tests::touchstone_with(&backend, &unset, command).await?;
        assert_eq!(refused.code, Some(1), "{command:?}: {refused:?}");
        let told = format!("{}{}", refused.stdout, refused.stderr);
        ensure!(told.contains("no volume is mounted") && told.contains("--volume touchstone:"), "{command:?}: {told}");
    }
    assert_eq!(std::fs::read_dir(&folder)?.count(), 0, "nothing was written");
    let named = [("TOUCHSTONE_DATA_DIR", volume.clone()), ("TOUCHSTONE_DATA_VOLUME", volume)];
    let made = touchstone_tests::touchstone_with(&backend, &named, &["merchant", "create", "--name", "N"]).await?;
    ensure!(made.code == Some(0), "{}", made.stderr);
    Ok(())
}
