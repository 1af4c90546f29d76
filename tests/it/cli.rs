//! The command line, run as other people's scripts run it: the real binary, on both ways to run.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use touchstone_tests::process::TemporaryFolder;
use touchstone_tests::servers::Servers;
use touchstone_tests::{
    Backend, Behaviour, Credentials, HttpClient, Receiver, SignedClient, Touchstone, eventually, touchstone,
    touchstone_json, touchstone_with,
};

/// Longest that anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn text<'a>(document: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    document[name].as_str().with_context(|| format!("no `{name}` in {document}"))
}

pub(crate) async fn new_store(backend: &Backend) -> anyhow::Result<String> {
    let merchant = touchstone_json(backend, &["merchant", "create", "--name", "Keller"]).await?;
    let merchant = text(&merchant, "merchant_id")?;
    let store = touchstone_json(backend, &["store", "create", "--merchant", merchant, "--name", "Shop"]).await?;
    Ok(text(&store, "store_id")?.to_owned())
}

/// Settings of an endpoint come back, the values of its own headers never do.
async fn endpoint_settings_come_back_without_secrets(backend: &Backend, store: &str) -> anyhow::Result<()> {
    let hook = "https://shop.example/hook";
    let create = ["endpoint", "create", "--store", store, "--url", hook];
    let own = ["--description", "Keller's ERP", "--header", "Authorization: Bearer hunter2", "--header", "X-Shop: 7"];
    let made = touchstone_json(backend, &[create.as_slice(), &own].concat()).await?;
    let endpoint = text(&made, "endpoint_id")?;
    let show = ["endpoint", "show", "--endpoint", endpoint];
    let set = ["endpoint", "set", "--endpoint", endpoint];
    let shown = touchstone_json(backend, &show).await?;
    assert_eq!((&shown["description"], &shown["url"]), (&json!("Keller's ERP"), &json!(hook)));
    assert_eq!(shown["headers"], json!(["Authorization", "X-Shop"]));
    let listed = touchstone_json(backend, &["endpoint", "list", "--store", store]).await?;
    let told = format!("{shown}{listed}{}", touchstone(backend, &show).await?.stdout);
    ensure!(!told.contains("hunter2"), "{told}");

    let folder = TemporaryFolder::new("headers")?;
    let file = folder.path().join("headers");
    std::fs::write(&file, "Authorization: Bearer hunter2\nX-Filed: 1\n\n")?;
    let name = file.to_str().context("a path of text")?;
    let filed = [set.as_slice(), &["--header-file", name]].concat();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
    let refused = touchstone(backend, &filed).await?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("chmod 600"), "{}", refused.stderr);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    let taken = touchstone(backend, &filed).await?;
    ensure!(taken.code == Some(0) && !taken.stderr.contains("warning"), "{}", taken.stderr);
    let shown = touchstone_json(backend, &show).await?;
    assert_eq!(shown["headers"], json!(["Authorization", "X-Filed"]));
    let warned = touchstone(backend, &[set.as_slice(), &own[2..4]].concat()).await?;
    ensure!(warned.stderr.contains("warning: --header shows its value"), "{}", warned.stderr);

    let moved = ["--url", "https://shop.example/other", "--events", "order.decided", "--header", "X-Other: hunter2"];
    touchstone_json(backend, &[set.as_slice(), &moved].concat()).await?;
    let shown = touchstone_json(backend, &show).await?;
    assert_eq!((&shown["url"], &shown["events"]), (&json!("https://shop.example/other"), &json!(["order.decided"])));
    assert_eq!((&shown["headers"], &shown["description"]), (&json!(["X-Other"]), &json!("Keller's ERP")));
    assert_eq!(shown["rate_limit"], json!(null));
    let renamed = touchstone(backend, &[set.as_slice(), &["--events", "chargeback.lost"]].concat()).await?;
    ensure!(renamed.code == Some(2), "{renamed:?}");
    ensure!(renamed.stderr.contains("chargeback.reversed for those in which you keep it"), "{}", renamed.stderr);
    touchstone_json(backend, &[set.as_slice(), &["--rate-limit", "7", "--ordered", "true"]].concat()).await?;
    let shown = touchstone_json(backend, &show).await?;
    assert_eq!((&shown["rate_limit"], &shown["ordered"]), (&json!(7), &json!(true)));
    let bare = ["--all-events", "--clear-headers", "--rate-limit", "0", "--ordered", "false"];
    touchstone_json(backend, &[set.as_slice(), &bare].concat()).await?;
    let shown = touchstone_json(backend, &show).await?;
    assert_eq!((&shown["events"], &shown["headers"]), (&json!([]), &json!([])));
    assert_eq!((&shown["rate_limit"], &shown["ordered"]), (&json!(null), &json!(false)));

    let recover = ["endpoint", "recover", "--endpoint", endpoint, "--since", "24h"];
    let recovered = touchstone_json(backend, &recover).await?;
    assert_eq!((&recovered["recovered"], &recovered["dead"], &recovered["waiting"]), (&json!(0), &json!(0), &json!(0)));
    assert_eq!((&recovered["state"], &recovered["kind"]), (&json!("done"), &json!("recover")));
    let id = text(&recovered, "recovery_id")?;
    let followed = touchstone_json(backend, &["endpoint", "recovery", "show", "--id", id]).await?;
    assert_eq!((&followed["state"], &followed["looked_at"]), (&json!("done"), &json!(0)));
    let listed = touchstone_json(backend, &["endpoint", "recovery", "list", "--endpoint", endpoint]).await?;
    assert_eq!((&listed["recoveries"][0]["recovery_id"], &listed["next_cursor"]), (&json!(id), &json!(null)));
    let long_ago = ["endpoint", "recover", "--endpoint", endpoint, "--since", "15d"];
    ensure!(touchstone(backend, &long_ago).await?.stderr.contains("14 days"));
    let page = ["delivery", "list", "--endpoint", endpoint, "--newest", "--event", "order.scored", "--limit", "5"];
    let page = touchstone_json(backend, &page).await?;
    assert_eq!((&page["deliveries"], &page["next_cursor"]), (&json!([]), &json!(null)));
    let replay = ["delivery", "replay", "--endpoint", endpoint, "--since", "24h"];
    assert_eq!(touchstone_json(backend, &replay).await?["replayed"], json!(0));
    for wrong in [["--header", "webhook-id: hunter2"], ["--header", "hunter2"], ["--url", "http://10.0.0.1/hook"]] {
        let refused = touchstone(backend, &[set.as_slice(), &wrong].concat()).await?;
        assert_ne!(refused.code, Some(0), "{wrong:?}");
        ensure!(!format!("{}{}", refused.stdout, refused.stderr).contains("hunter2"), "{}", refused.stderr);
    }
    assert_eq!(touchstone(backend, &set).await?.code, Some(2), "something must be given");
    Ok(())
}

async fn accounts_come_back_as_they_were_made(backend: &Backend) -> anyhow::Result<()> {
    let store = new_store(backend).await?;
    touchstone_json(backend, &["store", "set", "--store", &store, "--mode", "shadow", "--rate-limit", "7"]).await?;
    let shown = touchstone_json(backend, &["store", "show", "--store", &store]).await?;
    assert_eq!((&shown["mode"], &shown["rate_limit"]), (&json!("shadow"), &json!(7)));
    assert_eq!((&shown["name"], &shown["currency"]), (&json!("Shop"), &json!("USD")));

    let key =
        touchstone_json(backend, &["key", "create", "--store", &store, "--test", "--scopes", "signed,checks"]).await?;
    let id = text(&key, "key_id")?;
    assert!(text(&key, "api_key")?.starts_with("fcc_test_"));
    let rotated = touchstone_json(backend, &["key", "rotate", "--key", id]).await?;
    assert_ne!(rotated["hmac_secret"], key["hmac_secret"]);
    let listed = touchstone_json(backend, &["key", "list", "--store", &store]).await?;
    assert_eq!(listed["keys"][0]["previous_secret_valid_until"], rotated["previous_valid_until"]);
    assert_eq!(listed["keys"][0]["scopes"], json!(["signed", "checks"]));
    for secret in ["hmac_secret", "api_key", "secret"] {
        ensure!(!listed.to_string().contains(text(&key, secret)?), "the list shows the {secret}");
    }
    let ended = touchstone_json(backend, &["key", "rotate", "--key", id, "--grace", "0"]).await?;
    assert_eq!(ended["previous_valid_until"], Value::Null);
    touchstone_json(backend, &["key", "revoke", "--key", id]).await?;
    let again = touchstone(backend, &["key", "rotate", "--key", id]).await?;
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is revoked"), "{}", again.stderr);

    let hook = "https://shop.example/hook";
    let events = "order.scored,order.decided";
    let made =
        touchstone_json(backend, &["endpoint", "create", "--store", &store, "--url", hook, "--events", events]).await?;
    let endpoint = text(&made, "endpoint_id")?;
    touchstone_json(backend, &["endpoint", "disable", "--endpoint", endpoint]).await?;
    let listed = touchstone_json(backend, &["endpoint", "list", "--store", &store]).await?;
    let listed = &listed["endpoints"][0];
    assert_eq!((&listed["enabled"], &listed["url"]), (&json!(false), &json!(hook)));
    assert_eq!(listed["events"], json!(["order.scored", "order.decided"]));
    let resealed = touchstone_json(backend, &["key", "reseal"]).await?;
    assert_eq!(resealed["resealed"], 0);
    endpoint_settings_come_back_without_secrets(backend, &store).await
}

#[tokio::test]
async fn texts_of_others_steer_no_terminal_and_json_is_exact() -> anyhow::Result<()> {
    const HOSTILE: &str = "Ann\u{1b}[2J\r\nforged line\u{202e}\u{2066}\u{200b}";
    let backend = Backend::embedded()?;
    let store = new_store(&backend).await?;
    touchstone_json(&backend, &["store", "set", "--store", &store, "--name", HOSTILE]).await?;
    let add = ["list", "add", "--store", &store, "--list", "block", "--subject", "customer", "--value", "c-1"];
    touchstone_json(&backend, &[&add[..], &["--note", HOSTILE]].concat()).await?;
    let show_store = ["store", "show", "--store", &store];
    let show_list = ["list", "show", "--store", &store];
    for command in [&show_store[..], &show_list] {
        let shown = touchstone(&backend, command).await?.stdout;
        assert!(!shown.contains(['\u{1b}', '\r', '\u{202e}', '\u{2066}', '\u{200b}']), "{shown:?}");
        assert!(shown.contains("Ann\\u{1b}[2J\\u{d}\\u{a}forged line\\u{202e}\\u{2066}\\u{200b}"), "{shown}");
    }
    assert_eq!(touchstone_json(&backend, &show_store).await?["name"], HOSTILE);
    assert_eq!(touchstone_json(&backend, &show_list).await?["entries"][0]["note"], HOSTILE);
    let unknown = touchstone(&backend, &["dead-letter", "show", "--id", HOSTILE]).await?;
    assert_eq!(unknown.code, Some(1));
    assert!(!unknown.stderr.contains(['\u{1b}', '\r', '\u{202e}']), "{:?}", unknown.stderr);
    Ok(())
}

#[tokio::test]
async fn list_values_that_match_nothing_are_refused_with_what_to_call_instead() -> anyhow::Result<()> {
    let backend = Backend::embedded()?;
    let store = new_store(&backend).await?;
    for (subject, value, told) in [
        ("email", "*@shop.example", "use the subject email_domain"),
        ("email", "a@x.example,b@x.example", "one call for each"),
        ("ip", "203.0.113.7/24", "first address of the range"),
        ("phone", "none", "stands for a missing value"),
        ("phone", "12345", "at least 7 digits"),
        ("address", "10 High St; SW1A 1AA; Britain", "two letters"),
    ] {
        let add = ["list", "add", "--store", &store, "--list", "block", "--subject", subject, "--value", value];
        let refused = touchstone(&backend, &add).await?;
        assert_eq!(refused.code, Some(1), "{value}");
        ensure!(refused.stderr.contains("--value") && refused.stderr.contains(told), "{}", refused.stderr);
    }
    let listed = touchstone_json(&backend, &["list", "show", "--store", &store]).await?;
    assert_eq!(listed["entries"], json!([]));
    Ok(())
}

#[tokio::test]
async fn secrets_come_from_private_files() -> anyhow::Result<()> {
    let backend = Backend::embedded()?;
    let folder = TemporaryFolder::new("secrets")?;
    let file = folder.path().join("master-key");
    let name = file.to_str().context("a path of text")?;
    std::fs::write(&file, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640))?;
    let refused = touchstone_with(&backend, &[("TOUCHSTONE_MASTER_KEY_FILE", name.to_owned())], &["doctor"]).await?;
    ensure!(refused.stdout.contains(&format!("chmod 600 {name}")), "{}", refused.stdout);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    let healthy = touchstone_with(&backend, &[("TOUCHSTONE_MASTER_KEY_FILE", name.to_owned())], &["doctor"]).await?;
    ensure!(healthy.code == Some(0), "{}", healthy.stdout);
    ensure!(!backend.data_dir().join("master.key").exists(), "the key of the file is used, and none is made");
    let both = [("TOUCHSTONE_MASTER_KEY_FILE", name), ("TOUCHSTONE_MASTER_KEY", "hunter2")]
        .map(|(of, is)| (of, is.to_owned()));
    let refused = touchstone_with(&backend, &both, &["doctor"]).await?;
    ensure!(refused.stdout.contains("keep one of them") && !refused.stdout.contains("hunter2"), "{}", refused.stdout);
    Ok(())
}

#[tokio::test]
async fn own_headers_are_resealed_under_a_new_master_key() -> anyhow::Result<()> {
    let mut backend = Backend::production().await?;
    touchstone_json(&backend, &["migrate"]).await?;
    let store = new_store(&backend).await?;
    let hook = ["endpoint", "create", "--store", &store, "--url", "https://shop.example/hook"];
    touchstone_json(&backend, &[hook.as_slice(), &["--header", "X-Shop: 7"]].concat()).await?;
    let new = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let old = backend.master_key.clone().context("production has a key")?;
    backend.master_key = Some(format!("new:{new},{old}"));
    // The store's data key, the signing secret and the headers.
    assert_eq!(touchstone_json(&backend, &["key", "reseal"]).await?["resealed"], 3);
    backend.master_key = Some(format!("new:{new}"));
    assert_eq!(touchstone_json(&backend, &["key", "reseal"]).await?["resealed"], 0);
    Ok(())
}

#[tokio::test]
async fn accounts_come_back_as_they_were_made_when_embedded() -> anyhow::Result<()> {
    accounts_come_back_as_they_were_made(&Backend::embedded()?).await
}

#[tokio::test]
async fn accounts_come_back_as_they_were_made_in_production() -> anyhow::Result<()> {
    let backend = Backend::production().await?;
    let unmigrated = touchstone(&backend, &["merchant", "create", "--name", "N"]).await?;
    assert_eq!(unmigrated.code, Some(1));
    assert!(unmigrated.stderr.contains("touchstone migrate"), "{}", unmigrated.stderr);
    touchstone_json(&backend, &["migrate"]).await?;
    accounts_come_back_as_they_were_made(&backend).await
}

#[tokio::test]
async fn demo_shows_that_everything_arrived() -> anyhow::Result<()> {
    let report = touchstone_json(&Backend::embedded()?, &["demo", "--once"]).await?;
    assert_eq!(report["complete"], true, "{report}");
    Ok(())
}

#[tokio::test]
async fn doctor_says_that_rabbitmq_is_stopped_and_how_to_mend_it() -> anyhow::Result<()> {
    let mut servers = Box::pin(Servers::start()).await?;
    let backend = Backend::on(&servers.addresses()).await?;
    touchstone_json(&backend, &["migrate"]).await?;
    let healthy = touchstone_json(&backend, &["doctor", "--before-start"]).await?;
    assert_eq!(healthy["healthy"], true, "{healthy}");

    servers.rabbitmq.kill();
    let printed = touchstone(&backend, &["doctor", "--before-start"]).await?;
    assert_eq!(printed.code, Some(1));
    assert!(printed.stdout.contains("FAIL  RabbitMQ"), "{}", printed.stdout);
    assert!(printed.stdout.contains("start RabbitMQ"), "{}", printed.stdout);
    Ok(())
}

#[tokio::test]
async fn doctor_warns_of_an_endpoint_that_was_switched_off_and_of_whom_nobody_told() -> anyhow::Result<()> {
    let backend = Backend::embedded()?;
    let store = new_store(&backend).await?;
    let receiver = Receiver::start().await?;
    receiver.behave(Behaviour::status(410));
    let made = touchstone_json(&backend, &["endpoint", "create", "--store", &store, "--url", &receiver.url()]).await?;
    let endpoint = text(&made, "endpoint_id")?;
    let _process = Touchstone::new("all", &backend)?.start().await?;
    let of_endpoints = async || {
        let document = touchstone_json(&backend, &["doctor"]).await.ok()?;
        let checks = document["checks"].as_array()?;
        checks.iter().find(|check| check["what"] == "webhook endpoints").cloned()
    };
    assert_eq!(of_endpoints().await.context("doctor looks at endpoints")?["grade"], "ok");
    touchstone_json(&backend, &["endpoint", "test", "--endpoint", endpoint]).await?;
    let warning = eventually(Duration::from_secs(30), "a warning", async || {
        of_endpoints().await.filter(|one| one["grade"] == "warn")
    });
    let warning = warning.await?;
    let found = text(&warning, "found")?;
    assert!(found.contains(endpoint) && found.contains("410 Gone") && found.contains("nobody was told"), "{found}");
    assert!(text(&warning, "mend")?.contains("touchstone endpoint recover"), "{warning}");
    Ok(())
}

#[tokio::test]
async fn failures_exit_1_and_usage_errors_2_with_one_document_on_standard_output() -> anyhow::Result<()> {
    let backend = Backend::embedded()?;
    touchstone_json(&backend, &["migrate"]).await?;
    let unknown = "store_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let failed = touchstone(&backend, &["store", "show", "--store", unknown, "--json"]).await?;
    assert_eq!(failed.code, Some(1));
    let document: Value = serde_json::from_str(&failed.stdout)?;
    assert!(text(&document["error"], "message")?.contains(unknown));
    let usage = touchstone(&backend, &["store", "show"]).await?;
    assert_eq!((usage.code, usage.stdout.as_str()), (Some(2), ""));
    let usage = touchstone(&backend, &["store", "show", "--json"]).await?;
    let document: Value = serde_json::from_str(&usage.stdout)?;
    assert_eq!(usage.code, Some(2));
    assert!(text(&document["error"], "message")?.contains("--store"), "{document}");
    let alone = touchstone(&backend, &["serve", "scorer"]).await?;
    assert_eq!(alone.code, Some(1));
    assert!(alone.stderr.contains("DATABASE_URL"), "{}", alone.stderr);
    Ok(())
}

#[tokio::test]
async fn openapi_is_a_json_document() -> anyhow::Result<()> {
    let document = touchstone_json(&Backend::embedded()?, &["openapi"]).await?;
    assert!(text(&document, "openapi")?.starts_with("3.1"));
    Ok(())
}

/// The limit that many shells set at first is below the number of connections that the roles allow.
#[tokio::test]
async fn a_low_limit_of_open_files_is_raised_to_what_the_system_allows() -> anyhow::Result<()> {
    let own = std::process::id().to_string();
    // Of this test's process, which hands it down.
    let lowered = std::process::Command::new("prlimit").args(["--pid", &own, "--nofile=512:"]).status()?;
    anyhow::ensure!(lowered.success(), "prlimit is part of util-linux");
    let server = Touchstone::new("all", &Backend::embedded()?)?.start().await?;
    let id = server.id().ok_or_else(|| anyhow::anyhow!("it runs"))?;
    let limits = std::fs::read_to_string(format!("/proc/{id}/limits"))?;
    let files: Vec<_> = limits.lines().filter_map(|line| line.strip_prefix("Max open files")).collect();
    let files: Vec<_> = files.iter().flat_map(|line| line.split_whitespace()).collect();
    anyhow::ensure!(files.len() == 3 && files[0] == files[1] && files[0] != "512", "{files:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_table_of_open_files_ends_no_process() -> anyhow::Result<()> {
    const IDLE: usize = 140;
    let backend = Backend::embedded()?;
    let server = Touchstone::new("all", &backend)?.start().await?;
    let id = server.id().ok_or_else(|| anyhow::anyhow!("it runs"))?;
    let open = || Ok::<_, std::io::Error>(std::fs::read_dir(format!("/proc/{id}/fd"))?.count());
    let room = format!("--nofile={}:", open()? + 8);
    let lowered = std::process::Command::new("prlimit").args(["--pid", &id.to_string(), &room]).status()?;
    anyhow::ensure!(lowered.success(), "prlimit is part of util-linux");
    for url in [server.probe_url(), server.url()] {
        let door = url.trim_start_matches("http://").to_owned();
        let mut idle = Vec::new();
        for _ in 0..IDLE {
            idle.push(tokio::net::TcpStream::connect(&door).await?);
        }
        eventually(PATIENCE, "the failed accept to be logged", async || {
            server.log().ok().filter(|log| log.contains("a connection could not be accepted"))
        })
        .await?;
        drop(idle);
        let http = HttpClient::new();
        let is_ready = async || Some(http.get(&format!("{}/readyz", server.probe_url())).await.ok()?.status == 200);
        eventually(PATIENCE, "the process to answer again", async || is_ready().await.filter(|ready| *ready)).await?;
    }
    let key = touchstone_json(&backend, &["key", "create", "--store", &new_store(&backend).await?]).await?;
    let client = SignedClient::new(&server.url(), Credentials::from_json(&key)?);
    eventually(PATIENCE, "an order to be screened", async || {
        let answer = client.analyze(&json!({"order_id": "1", "amount": 1, "currency": "EUR"})).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await
}

#[tokio::test]
async fn completion_and_manual_pages_know_every_command() -> anyhow::Result<()> {
    let backend = Backend::embedded()?;
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = touchstone(&backend, &["completion", shell]).await?;
        ensure!(script.code == Some(0) && script.stdout.contains("dead-letter"), "{shell}: {script:?}");
    }
    let folder = backend.data_dir().join("man1");
    let to = folder.to_str().context("a path of text")?;
    touchstone_json(&backend, &["man", "--to", to]).await?;
    let page = std::fs::read_to_string(folder.join("touchstone-order-decide.1"))?;
    ensure!(page.contains("approve or reject"), "{page}");
    Ok(())
}

#[tokio::test]
async fn the_store_may_be_named_once_in_the_environment() -> anyhow::Result<()> {
    let backend = Backend::embedded()?;
    let (first, second) = (new_store(&backend).await?, new_store(&backend).await?);
    let environment = [("TOUCHSTONE_STORE", first.clone())];
    let shown = touchstone_with(&backend, &environment, &["store", "show", "--json"]).await?;
    assert_eq!(text(&serde_json::from_str(&shown.stdout)?, "store_id")?, first);
    let shown = touchstone_with(&backend, &environment, &["store", "show", "--store", &second, "--json"]).await?;
    assert_eq!(text(&serde_json::from_str(&shown.stdout)?, "store_id")?, second, "what is said in the call wins");
    Ok(())
}
