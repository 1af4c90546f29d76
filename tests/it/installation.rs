//! What a person meets who sets up, breaks and repairs an installation: folders, master keys, processes.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use touchstone_tests::{
    Backend, Credentials, SignedClient, Touchstone, eventually, touchstone, touchstone_json, touchstone_with,
};

use crate::cli::{new_store, text};

const PATIENCE: Duration = Duration::from_secs(60);

/// What doctor found of one thing, with other options.
async fn found(backend: &Backend, options: &[&str], what: &str) -> Result<Value> {
    let printed = touchstone(backend, &[&["doctor", "--json"], options].concat()).await?;
    let document: Value = serde_json::from_str(&printed.stdout).with_context(|| format!("{printed:?}"))?;
    assert_eq!(document["healthy"], printed.code == Some(0), "{document}");
    let checks = document["checks"].as_array().context("checks")?;
    Ok(checks.iter().find(|check| check["what"] == what).cloned().unwrap_or(Value::Null))
}

#[tokio::test]
async fn commands_in_a_folder_without_data_fail_and_make_none() -> Result<()> {
    let backend = Backend::embedded()?;
    const STORE: &str = "store_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for command in [
        &["merchant", "list"][..],
        &["store", "list"],
        &["store", "create", "--merchant", "mer_01ARZ3NDEKTSV4RRFFQ69G5FAV", "--name", "N"],
        &["order", "list", "--store", STORE],
        &["key", "list", "--store", STORE],
        &["endpoint", "list", "--store", STORE],
        &["delivery", "list", "--store", STORE],
        &["policy", "list", "--store", STORE],
        &["list", "show", "--store", STORE],
        &["rules", "show", "--store", STORE],
        &["centra", "status", "--store", STORE],
        &["history", "rebuild"],
        &["dead-letter", "list"],
        &["backfill", "--store", STORE, "orders.csv"],
    ] {
        let refused = touchstone(&backend, command).await?;
        assert_eq!(refused.code, Some(1), "{command:?}: {refused:?}");
        ensure!(refused.stderr.contains("no data folder at"), "{command:?}: {}", refused.stderr);
    }
    assert_eq!(found(&backend, &[], "data folder").await?["grade"], "off");
    assert_eq!(std::fs::read_dir(backend.data_dir())?.count(), 0, "nothing was written");
    Ok(())
}

#[tokio::test]
async fn first_merchant_makes_the_database_and_says_where() -> Result<()> {
    let backend = Backend::embedded()?;
    let first = touchstone(&backend, &["merchant", "create", "--name", "N", "--json"]).await?;
    let folder = backend.data_dir().display().to_string();
    ensure!(first.code == Some(0) && first.stderr.contains(&folder) && first.stderr.contains("embedded"), "{first:?}");
    let second = touchstone(&backend, &["merchant", "create", "--name", "M", "--json"]).await?;
    assert_eq!((second.code, second.stderr.as_str()), (Some(0), ""));
    let listed = touchstone_json(&backend, &["merchant", "list"]).await?;
    let names: Vec<_> = listed["merchants"].as_array().context("merchants")?.iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["M", "N"]);
    Ok(())
}

#[tokio::test]
async fn stores_are_listed_newest_first_and_by_merchant() -> Result<()> {
    let backend = Backend::embedded()?;
    let first = new_store(&backend).await?;
    let second = new_store(&backend).await?;
    let ids = async |arguments: &[&str]| {
        let listed = touchstone_json(&backend, &[&["store", "list"], arguments].concat()).await?;
        let stores = listed["stores"].as_array().context("stores")?.clone();
        Ok::<_, anyhow::Error>(stores.into_iter().map(|one| one["store_id"].clone()).collect::<Vec<_>>())
    };
    assert_eq!(ids(&[]).await?, [second.as_str(), &first]);
    let shown = touchstone_json(&backend, &["store", "show", "--store", &first]).await?;
    assert_eq!(ids(&["--merchant", text(&shown, "merchant_id")?]).await?, [first.as_str()]);
    Ok(())
}

#[tokio::test]
async fn a_lost_master_key_is_missed_and_not_made_again() -> Result<()> {
    let backend = Backend::embedded()?;
    let store = new_store(&backend).await?;
    let path = backend.data_dir().join("master.key");
    let kept = std::fs::read(&path)?;
    std::fs::remove_file(&path)?;
    assert_eq!(found(&backend, &["--before-start"], "master key").await?["grade"], "fail");
    for command in [&["serve"][..], &["key", "create", "--store", &store]] {
        let refused = touchstone(&backend, command).await?;
        assert_eq!(refused.code, Some(1), "{command:?}");
        ensure!(refused.stderr.contains("restore it from its backup"), "{command:?}: {}", refused.stderr);
    }
    ensure!(!path.exists(), "another key would open nothing");
    std::fs::write(&path, kept)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    assert_eq!(found(&backend, &["--before-start"], "stored secrets").await?["grade"], "ok");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_fails_while_no_process_serves_the_folder_and_a_second_one_is_refused() -> Result<()> {
    let backend = Backend::embedded()?;
    new_store(&backend).await?;
    let process = found(&backend, &[], "process").await?;
    assert_eq!((&process["grade"], &process["mend"]), (&json!("fail"), &json!("touchstone serve")));
    assert_eq!(found(&backend, &["--before-start"], "process").await?, Value::Null);

    let server = Touchstone::new("all", &backend)?.start().await?;
    assert_eq!(found(&backend, &[], "process").await?["grade"], "ok");
    let second = touchstone(&backend, &["serve"]).await?;
    let id = server.id().context("it runs")?;
    assert_eq!(second.code, Some(1));
    ensure!(second.stderr.contains("touchstone already runs on"), "{}", second.stderr);
    ensure!(second.stderr.contains(&format!("(process {id})")), "{}", second.stderr);
    drop(server);
    assert_eq!(found(&backend, &[], "process").await?["grade"], "fail");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_fails_without_a_scorer_and_warns_without_a_notifier() -> Result<()> {
    let backend = Backend::production().await?;
    touchstone_json(&backend, &["migrate"]).await?;
    let _ingest = Touchstone::new("ingest", &backend)?.start().await?;
    let grades = async || {
        let scorer = found(&backend, &[], "scorer").await.ok()?["grade"].clone();
        Some([scorer, found(&backend, &[], "notifier").await.ok()?["grade"].clone()])
    };
    let expected = [json!("fail"), json!("warn")];
    assert_eq!(grades().await, Some(expected));
    let _scorer = Touchstone::new("scorer", &backend)?.start().await?;
    let _notifier = Touchstone::new("notifier", &backend)?.start().await?;
    let ok = [json!("ok"), json!("ok")];
    eventually(PATIENCE, "both to be seen", async || grades().await.filter(|grades| *grades == ok)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_goes_to_a_file_has_no_colours() -> Result<()> {
    let backend = Backend::embedded()?;
    let mut server = Touchstone::new("all", &backend)?.with("TOUCHSTONE_LOG", "debug").start().await?;
    server.stop().await?;
    let log = server.log()?;
    ensure!(log.lines().count() > 1 && !log.contains('\u{1b}'), "{log:?}");
    Ok(())
}

#[tokio::test]
async fn keys_of_a_master_key_that_is_gone_are_named_by_doctor_and_stop_the_start() -> Result<()> {
    let mut backend = Backend::production().await?;
    touchstone_json(&backend, &["migrate"]).await?;
    let store = new_store(&backend).await?;
    let made = touchstone_json(&backend, &["key", "create", "--store", &store]).await?;
    let key = text(&made, "key_id")?;
    let old = backend.master_key.clone().context("production has a key")?;
    let new = "new:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    backend.master_key = Some(format!("{new},{old}"));
    touchstone_json(&backend, &["key", "reseal"]).await?;
    assert_eq!(found(&backend, &["--before-start"], "API keys").await?["grade"], "ok");

    backend.master_key = Some(new.to_owned());
    let keys = found(&backend, &["--before-start"], "API keys").await?;
    ensure!(keys["grade"] == "fail" && text(&keys, "found")?.contains(key), "{keys}");
    let refused = touchstone(&backend, &["serve", "scorer"]).await?;
    ensure!(refused.code == Some(1) && refused.stderr.contains(key), "{refused:?}");
    let listed = touchstone_json(&backend, &["key", "list", "--store", &store]).await?;
    ensure!(listed["keys"][0]["master_key"].is_string() && listed["keys"][0]["master_key"] != "new", "{listed}");

    touchstone_json(&backend, &["key", "revoke", "--key", key]).await?;
    assert_eq!(found(&backend, &["--before-start"], "API keys").await?["grade"], "ok");
    let _running = Touchstone::new("scorer", &backend)?.start().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_while_serving_holds_the_orders_and_is_for_its_owner_only() -> Result<()> {
    let backend = Backend::embedded()?;
    let store = new_store(&backend).await?;
    let key = touchstone_json(&backend, &["key", "create", "--store", &store]).await?;
    let server = Touchstone::new("all", &backend)?.start().await?;
    let client = SignedClient::new(&server.url(), Credentials::from_json(&key)?);
    let screened = client.analyze(&json!({"order_id": "1", "amount": 12.5, "currency": "EUR"})).await?;
    ensure!(screened.status == 200, "{screened:?}");
    let copy = backend.data_dir().join("copy");
    std::fs::create_dir(&copy)?;
    let file = copy.join("touchstone.sqlite");
    let name = file.to_str().context("a path of text")?;
    let made = touchstone_json(&backend, &["backup", "--to", name]).await?;
    let facts = std::fs::metadata(&file)?;
    assert_eq!((facts.permissions().mode() & 0o777, &made["bytes"]), (0o600, &json!(facts.len())));
    let again = touchstone(&backend, &["backup", "--to", name]).await?;
    ensure!(again.code == Some(1) && again.stderr.contains("does not exist"), "{again:?}");
    std::fs::copy(backend.data_dir().join("master.key"), copy.join("master.key"))?;

    let folder = [("TOUCHSTONE_DATA_DIR", copy.to_str().context("a path of text")?.to_owned())];
    let show = ["order", "show", "--store", &store, "--id", "1", "--json"];
    let shown = touchstone_with(&backend, &folder, &show).await?;
    ensure!(shown.code == Some(0) && shown.stdout.contains("revisions"), "{shown:?}");
    Ok(())
}
