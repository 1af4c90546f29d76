//! Connections to Centra shops as an operator makes, watches and ends them; on both ways to run.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use touchstone_centra_double::{Centra, SDL, Settings};
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::sha256_hex;
use touchstone_platform::queue::{self, Lane, QueueSettings};
use touchstone_platform::random;
use touchstone_platform::store::accounts::ConnectionRow;
use touchstone_platform::store::holds::{Hold, HoldMove, NEVER};
use touchstone_platform::store::{Store, StoreSettings, SystemReason, SystemStore};
use touchstone_schema::centra::{HoldState, Notice, OrderArgument, OrderArguments, WAITING_NOTICE};
use touchstone_schema::ids::{ConnectionId, RequestId, TransactionId};
use touchstone_schema::secret::Secret;
use touchstone_schema::submission::{Submission, SubmissionKind};
use touchstone_schema::tenant::{KeyMode, Surface, Tenant};
use touchstone_schema::time::Timestamp;
use touchstone_tests::process::TemporaryFolder;
use touchstone_tests::{Backend, Touchstone, eventually, touchstone, touchstone_json};

use crate::cli::{new_store, text};
use crate::cli_policy::on_both_ways_to_run;

const DAY: Duration = Duration::from_secs(86_400);
/// Longest that anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

on_both_ways_to_run![
    a_connection_is_made_changed_and_ended,
    paths_and_tokens_are_replaced_and_never_shown_again,
    wrong_input_names_what_is_wrong_and_changes_nothing,
    status_shows_what_is_on_hold_and_why,
    release_wants_all_resumed_once_it_is_confirmed,
    a_persons_decision_reaches_the_hold_of_its_order,
    an_approved_order_that_the_shop_keeps_for_a_person_is_decided,
    doctor_finds_no_difference_at_a_shop_that_serves_what_we_know,
    doctor_tells_each_difference_of_a_shop_and_what_it_breaks,
    the_argument_that_a_shop_shows_is_kept_by_connect_and_by_doctor,
    doctor_watches_tokens_sweeps_and_holds,
];

/// A store that is connected to a shop.
struct Connected {
    shop: Centra,
    store: String,
    connection: String,
    path: String,
    files: TemporaryFolder,
}

impl Connected {
    async fn new(backend: &Backend) -> Result<Self> {
        Self::to(backend, Settings::default()).await
    }

    async fn to(backend: &Backend, settings: Settings) -> Result<Self> {
        let (shop, store) = (Centra::start(settings).await?, new_store(backend).await?);
        let files = TemporaryFolder::new("centra")?;
        let token = token_file(&files, "token", &format!("  {}\n", shop.token()))?;
        let url = shop.api_url();
        let connect = ["centra", "connect", "--store", &store, "--api-url", &url, "--token-file", &token];
        let made = touchstone_json(backend, &connect).await?;
        let (connection, path) = (text(&made, "connection_id")?.to_owned(), text(&made, "connector_path")?.to_owned());
        Ok(Self { shop, store, connection, path, files })
    }

    async fn status(&self, backend: &Backend) -> Result<Value> {
        let mut status = touchstone_json(backend, &["centra", "status", "--store", &self.store]).await?;
        Ok(status["connections"][0].take())
    }

    fn id(&self) -> Result<ConnectionId> {
        Ok(self.connection.parse()?)
    }

    async fn row(&self, system: &SystemStore<'_>) -> Result<ConnectionRow> {
        system.connection(&self.id()?).await?.context("the connection")
    }

    /// What the door would hand on when the shop says that an order waits.
    async fn hears_of(&self, system: &SystemStore<'_>, kind: &str, reference: &str, at: Timestamp) -> Result<()> {
        let notice = Notice {
            version: Notice::VERSION,
            connection_id: self.id()?,
            tenant: Tenant { store_id: self.store.parse()?, mode: KeyMode::Live },
            kind: kind.to_owned(),
            reference: reference.to_owned(),
            received_at: at,
            request_id: RequestId::mint(at, random::bytes()),
            document: serde_json::value::to_raw_value(&json!({"order": {"order": reference}}))?,
        };
        Ok(system.take_notice(&notice, &self.row(system).await?).await?)
    }

    async fn holds(&self, system: &SystemStore<'_>) -> Result<Vec<Hold>> {
        Ok(system.open_holds(&self.id()?).await?)
    }
}

fn token_file(files: &TemporaryFolder, name: &str, token: &str) -> Result<String> {
    let path = files.path().join(name);
    std::fs::write(&path, token)?;
    Ok(path.to_str().context("the path is text")?.to_owned())
}

/// The database that the commands work on.
async fn database(backend: &Backend) -> Result<Store> {
    let settings = match backend.amqp_url {
        None => StoreSettings::Sqlite { path: backend.data_dir().join("touchstone.sqlite") },
        Some(_) => StoreSettings::Postgres { url: Secret::new(backend.database_url.as_str()), connections: 1 },
    };
    Ok(Store::open(&settings).await?)
}

async fn a_connection_is_made_changed_and_ended(backend: &Backend) -> Result<()> {
    let connected = Connected::new(backend).await?;
    let id = connected.connection.as_str();
    let settings = connected.status(backend).await?["settings"].take();
    assert_eq!((&settings["on_approve"], &settings["on_critical"]), (&json!("resume"), &json!("cancel")));

    let set =
        ["centra", "set", "--connection", id, "--on-high", "cancel", "--review-deadline", "36h", "--warehouse", "7"];
    let changed = touchstone_json(backend, &set).await?["settings"].take();
    let mut expected = settings.clone();
    for (name, value) in
        [("on_high", json!("cancel")), ("review_deadline_minutes", json!(2160)), ("warehouse", json!(7))]
    {
        expected[name] = value;
    }
    assert_eq!(changed, expected, "the others stay");
    let more = ["--warehouse", "none", "--stock", "remove", "--send-email", "true", "--cancel-authorization", "false"];
    let rest = ["--sweep-interval", "1m", "--on-deadline", "resume", "--on-low", "resume", "--on-medium", "resume"];
    let set: Vec<_> = ["centra", "set", "--connection", id].into_iter().chain(more).chain(rest).collect();
    let told = touchstone(backend, &set).await?;
    assert!(told.stdout.contains("36h, then resume") && told.stdout.contains("every 1m"), "{}", told.stdout);
    let now = connected.status(backend).await?["settings"].take();
    assert_eq!((&now["stock"], &now["warehouse"], &now["sweep_minutes"]), (&json!("remove"), &Value::Null, &json!(1)));

    let refused = touchstone(backend, &["centra", "disconnect", "--connection", id]).await?;
    assert_eq!(refused.code, Some(1), "nobody typed anything");
    assert!(refused.stderr.contains("Type `disconnect`"), "{}", refused.stderr);
    let ended = touchstone_json(backend, &["centra", "disconnect", "--connection", id, "--yes"]).await?;
    assert_eq!(ended["still_on_hold"], 0);
    assert_eq!(connected.status(backend).await?["state"], "disconnected");
    for after in [
        vec!["centra", "set", "--connection", id, "--on-low", "keep"],
        vec!["centra", "rotate-path", "--connection", id],
        vec!["centra", "disconnect", "--connection", id, "--yes"],
        vec!["centra", "release", "--all", "--store", &connected.store, "--yes"],
    ] {
        assert_eq!(touchstone(backend, &after).await?.code, Some(1), "{after:?}");
    }
    let again = connected.shop.api_url();
    let token = token_file(&connected.files, "token", "another")?;
    let connect = ["centra", "connect", "--store", &connected.store, "--api-url", &again, "--token-file", &token];
    touchstone_json(backend, &connect).await?;
    assert_eq!(touchstone(backend, &connect).await?.code, Some(1), "a shop is connected once");
    Ok(())
}

async fn paths_and_tokens_are_replaced_and_never_shown_again(backend: &Backend) -> Result<()> {
    let connected = Connected::new(backend).await?;
    let id = connected.connection.as_str();
    let store = database(backend).await?;
    let system = store.system(SystemReason::Operator);
    let hash = |path: &str| path.strip_prefix("/v1/centra/").map(|token| sha256_hex(token.as_bytes()));
    let token = connected.path.strip_prefix("/v1/centra/").context("a path of the door")?;
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{token}");
    let before = connected.row(&system).await?;
    assert_eq!(Some(&before.path_hash), hash(&connected.path).as_ref());
    assert!(before.sealed_token.windows(5).all(|part| part != &connected.shop.token().as_bytes()[..5]), "it is sealed");

    let rotated = touchstone_json(backend, &["centra", "rotate-path", "--connection", id, "--grace", "2h"]).await?;
    let fresh = text(&rotated, "connector_path")?;
    assert!(text(&rotated, "connector_url")?.ends_with(fresh) && fresh != connected.path);
    let row = connected.row(&system).await?;
    assert_eq!(Some(row.path_hash), hash(fresh));
    let (previous, until) = row.previous_path.context("the old path")?;
    assert_eq!(
        (Some(previous), Some(until.to_rfc3339().as_str())),
        (hash(&connected.path), rotated["previous_valid_until"].as_str())
    );
    assert_eq!(connected.status(backend).await?["previous_path_valid_until"], rotated["previous_valid_until"]);
    let ended = touchstone_json(backend, &["centra", "rotate-path", "--connection", id, "--grace", "0"]).await?;
    assert_eq!(ended["previous_valid_until"], Value::Null);
    assert_eq!(connected.status(backend).await?["previous_path_valid_until"], Value::Null);

    system.stop_connection(&connected.id()?, "the shop refused the token", row.token_set_at).await?;
    let told = touchstone(backend, &["centra", "status", "--store", &connected.store]).await?;
    assert!(told.stdout.contains("STOPPED: the shop refused the token"), "{}", told.stdout);
    let next = token_file(&connected.files, "next", "next-token-0123456789")?;
    let set = touchstone_json(backend, &["centra", "set-token", "--connection", id, "--token-file", &next]).await?;
    assert_eq!(set["was_stopped"], "the shop refused the token");
    assert_eq!(connected.status(backend).await?["state"], "running");
    assert_ne!(connected.row(&system).await?.sealed_token, before.sealed_token);

    let status = ["centra", "status", "--store", &connected.store];
    let shown = touchstone(backend, &status).await?.stdout + &touchstone_json(backend, &status).await?.to_string();
    let paths = [connected.path.as_str(), fresh, text(&ended, "connector_path")?];
    for secret in paths.iter().map(|path| &path[11..]).chain([connected.shop.token().as_str(), "next-token"]) {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    Ok(())
}

async fn wrong_input_names_what_is_wrong_and_changes_nothing(backend: &Backend) -> Result<()> {
    let connected = Connected::new(backend).await?;
    let (store, id) = (connected.store.as_str(), connected.connection.as_str());
    let good = token_file(&connected.files, "good", "token")?;
    let connect = |url: &str, file: &str| {
        ["centra", "connect", "--store", store, "--api-url", url, "--token-file", file].map(str::to_owned).to_vec()
    };
    let set = |flag: &str, value: &str| ["centra", "set", "--connection", id, flag, value].map(str::to_owned).to_vec();
    let shop = "https://brand.centra.com/graphql";
    let mut cases = vec![
        (connect("brand.centra.com/graphql", &good), 2, "--api-url"),
        (connect("https://user:pw@brand.centra.com/graphql", &good), 2, "credentials"),
        (connect("https://brand.centra.com/", &good), 2, "GraphQL"),
        (connect("https://10.0.0.1/graphql", &good), 1, "--api-url"),
        (connect("http://8.8.8.8/graphql", &good), 1, "unencrypted"),
        (connect(shop, "/no/such/file"), 1, "--token-file"),
        (connect(shop, "-"), 1, "is empty"),
        (set("--on-high", "approve"), 2, "--on-high"),
        (set("--sweep-interval", "30s"), 2, "1m to 1d"),
        (set("--review-deadline", "91d"), 2, "5m to 90d"),
        (set("--send-email", "maybe"), 2, "--send-email"),
        (set("--warehouse", "main"), 2, "--warehouse"),
        (vec!["centra".into(), "set".into(), "--connection".into(), id.into()], 2, "--on-approve"),
    ];
    for (name, token) in [("empty", " \n"), ("two", "one two"), ("lines", "one\ntwo"), ("odd", "t\u{f6}ken")] {
        cases.push((connect(shop, &token_file(&connected.files, name, token)?), 1, "--token-file"));
    }
    // Names are judged by what they resolve to.
    let url = connected.shop.api_url().replace("127.0.0.1", "localhost");
    let other = new_store(backend).await?;
    let by_name = ["centra", "connect", "--store", &other, "--api-url", &url, "--token-file", &good];
    touchstone_json(backend, &by_name).await?;
    let before = touchstone_json(backend, &["centra", "status", "--store", store]).await?;
    for (arguments, code, told) in cases {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let refused = touchstone(backend, &arguments).await?;
        assert_eq!(refused.code, Some(code), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(told), "{arguments:?}: {}", refused.stderr);
    }
    let both = ["centra", "set", "--connection", id, "--stock", "remove", "--warehouse", "7"];
    assert!(touchstone(backend, &both).await?.stderr.contains("--warehouse"));
    assert_eq!(touchstone_json(backend, &["centra", "status", "--store", store]).await?, before);
    let stranger = "cen_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for command in ["set-token", "rotate-path", "disconnect"] {
        let mut arguments = vec!["centra", command, "--connection", stranger];
        arguments.extend((command == "set-token").then_some(["--token-file", &good]).into_iter().flatten());
        let refused = touchstone(backend, &arguments).await?;
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(stranger), "{}", refused.stderr);
    }
    assert_eq!(
        touchstone(backend, &["centra", "status", "--store", store, "--connection", stranger]).await?.code,
        Some(1)
    );
    Ok(())
}

async fn status_shows_what_is_on_hold_and_why(backend: &Backend) -> Result<()> {
    let connected = Connected::new(backend).await?;
    let store = database(backend).await?;
    let system = store.system(SystemReason::Operator);
    let now = Clock::system().now();
    connected.hears_of(&system, WAITING_NOTICE, "#1001", now - DAY * 3).await?;
    connected.hears_of(&system, WAITING_NOTICE, "#1002", now).await?;
    connected.hears_of(&system, "orderShipped", "#1003", now).await?;
    let late = connected.holds(&system).await?.remove(0);
    let waits = "the shop holds it for PAYMENT_MISMATCH too";
    system.give_up_hold(&late, waits, late.deadline_at, now).await?;

    let status = connected.status(backend).await?;
    let by_state = &status["open_holds"]["by_state"];
    let counts: Vec<_> = by_state.as_array().context("counts")?.iter().map(|of| (&of["state"], &of["holds"])).collect();
    assert_eq!(counts, [(&json!("reading"), &json!(1)), (&json!("waiting"), &json!(1))]);
    let hold = &status["open_holds"]["holds"][0];
    assert_eq!((&hold["reference"], &hold["last_error"]), (&json!("#1001"), &json!(waits)));
    assert_eq!(status["unknown_notices"], json!([{"kind": "orderShipped", "notices": 1}]));
    let told = touchstone(backend, &["centra", "status", "--store", &connected.store]).await?.stdout;
    for part in ["#1001", "waiting", "PAYMENT_MISMATCH", "oldest 3 days", "1 × orderShipped", "not yet"] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    let warned = touchstone(backend, &["centra", "disconnect", "--connection", &connected.connection]).await?;
    assert!(warned.stderr.contains("2 order(s) are still on hold"), "{}", warned.stderr);
    Ok(())
}

async fn release_wants_all_resumed_once_it_is_confirmed(backend: &Backend) -> Result<()> {
    let connected = Connected::new(backend).await?;
    let store = database(backend).await?;
    let system = store.system(SystemReason::Operator);
    let now = Clock::system().now();
    for reference in ["#1", "#2", "#3"] {
        connected.hears_of(&system, WAITING_NOTICE, reference, now).await?;
    }
    let release = ["centra", "release", "--all", "--store", &connected.store];
    let asked = touchstone(backend, &release).await?;
    assert_eq!(asked.code, Some(1), "nobody typed anything");
    assert!(
        asked.stderr.contains("RESUMED, 3 known of") && asked.stderr.contains("Type `release`"),
        "{}",
        asked.stderr
    );
    assert!(connected.holds(&system).await?.iter().all(|hold| hold.wanted.is_none()));
    let released = touchstone_json(backend, &[&release[..], &["--yes"]].concat()).await?;
    assert_eq!((&released["releasing"], &released["stopped_connections"]), (&json!(3), &json!([])));
    let status = connected.status(backend).await?;
    let holds = status["open_holds"]["holds"].as_array().context("holds")?;
    assert_eq!(holds.len(), 3);
    for hold in holds {
        assert_eq!((&hold["wanted"], &hold["wanted_by"]), (&json!("resume"), &json!("release")));
    }
    Ok(())
}

/// Hands an order to the scorer as the notifier does, and returns when it has a verdict.
async fn screened(
    backend: &Backend,
    connected: &Connected,
    system: &SystemStore<'_>,
    hold: &Hold,
    order: &Value,
) -> Result<TransactionId> {
    let transaction = TransactionId::mint(hold.opened_at, random::bytes());
    assert!(system.name_hold(hold, "c-1", 1001, &transaction).await?);
    let submission = Submission {
        version: Submission::VERSION,
        id: hold.submission_id.clone(),
        tenant: Tenant { store_id: connected.store.parse()?, mode: KeyMode::Live },
        surface: Surface::Centra,
        kind: SubmissionKind::Held,
        transaction_id: transaction.clone(),
        order_id: "c-1".to_owned(),
        body_hash: sha256_hex(order.to_string().as_bytes()),
        received_at: hold.opened_at,
        deadline: None,
        request_id: hold.request_id.clone(),
        trace: None,
        document: serde_json::value::to_raw_value(order)?,
    };
    let settings = match &backend.amqp_url {
        None => QueueSettings::BesideEmbedded { store: database(backend).await? },
        Some(url) => QueueSettings::RabbitMq { url: Secret::new(url.as_str()), connection_name: "test".to_owned() },
    };
    let queue = queue::open(&settings, Clock::system()).await?;
    queue.publish(Lane::Durable, vec![serde_json::to_vec(&submission)?.into()]).await?;
    queue.close().await;
    // Orders are scored, and nobody speaks with the shop: the connection is stopped.
    let row = connected.row(system).await?;
    system.stop_connection(&row.id, "for the test", row.token_set_at).await?;
    let mut server = Touchstone::new("all", backend)?.start().await?;
    let list = ["order", "list", "--store", &connected.store];
    eventually(PATIENCE, "the verdict", async || {
        let listed = touchstone_json(backend, &list).await.ok()?;
        listed["orders"][0]["risk_score"].is_u64().then_some(())
    })
    .await?;
    server.stop().await?;
    Ok(transaction)
}

async fn a_persons_decision_reaches_the_hold_of_its_order(backend: &Backend) -> Result<()> {
    let connected = Connected::new(backend).await?;
    let store = database(backend).await?;
    let system = store.system(SystemReason::Operator);
    connected.hears_of(&system, WAITING_NOTICE, "#1001", Clock::system().now()).await?;
    let hold = connected.holds(&system).await?.remove(0);
    let order = json!({"order_id": "c-1", "amount": "900.00", "currency": "EUR",
        "payment": {"method": "card", "avs_result": "N", "cvv_result": "N"}});
    let transaction = screened(backend, &connected, &system, &hold, &order).await?;

    let (store, id) = (connected.store.as_str(), transaction.as_str());
    let decide = ["order", "decide", "--store", store, "--id", id, "--decision", "reject", "--reviewer", "ann"];
    let told = touchstone(backend, &decide).await?;
    assert!(told.stdout.contains("If the shop holds it, it is cancelled."), "{told:?}");
    let hold = connected.status(backend).await?["open_holds"]["holds"][0].take();
    let expected = (&json!("acting"), &json!("cancel"), &json!("decision"));
    assert_eq!((&hold["state"], &hold["wanted"], &hold["wanted_by"]), expected);
    let shown = touchstone_json(backend, &["order", "show", "--store", store, "--id", id]).await?;
    let events = shown["events"].as_array().context("events")?;
    assert!(events.iter().any(|event| event["type"] == "order.decided"), "{shown}");
    Ok(())
}

async fn an_approved_order_that_the_shop_keeps_for_a_person_is_decided(backend: &Backend) -> Result<()> {
    let connected = Connected::new(backend).await?;
    let store = database(backend).await?;
    let system = store.system(SystemReason::Operator);
    connected.hears_of(&system, WAITING_NOTICE, "#1001", Clock::system().now()).await?;
    let hold = connected.holds(&system).await?.remove(0);
    let order = json!({"order_id": "c-1", "amount": "9.00", "currency": "EUR",
        "payment": {"method": "card", "avs_result": "Y", "cvv_result": "M"}});
    let transaction = screened(backend, &connected, &system, &hold, &order).await?;
    let (store, id) = (connected.store.as_str(), transaction.as_str());
    let decide = ["order", "decide", "--store", store, "--id", id, "--decision", "approve", "--reviewer", "ann"];
    let refused = touchstone(backend, &decide).await?;
    assert!(refused.code == Some(1) && refused.stderr.contains("is approved"), "nobody waits for it: {refused:?}");

    let hold = connected.holds(&system).await?.remove(0);
    let to = HoldMove { state: HoldState::Waiting, due_at: NEVER, attempts: 0, error: None };
    assert!(system.move_hold(&hold, &to).await?);
    touchstone_json(backend, &decide).await?;
    let hold = connected.status(backend).await?["open_holds"]["holds"][0].take();
    assert_eq!((&hold["state"], &hold["wanted"]), (&json!("acting"), &json!("resume")));
    Ok(())
}

/// What doctor finds about Centra: grade and text.
async fn findings(backend: &Backend) -> Result<(Option<i32>, Vec<(String, String)>)> {
    let printed = touchstone(backend, &["doctor", "--before-start", "--json"]).await?;
    let document: Value = serde_json::from_str(&printed.stdout)?;
    let checks = document["checks"].as_array().context("checks")?.iter();
    let centra = checks.filter(|check| check["what"].as_str().is_some_and(|what| what.starts_with("Centra")));
    let told = centra.map(|check| {
        let mend = check["mend"].as_str().unwrap_or_default();
        Ok((text(check, "grade")?.to_owned(), format!("{} → {mend}", text(check, "found")?)))
    });
    Ok((printed.code, told.collect::<Result<_>>()?))
}

async fn doctor_finds_no_difference_at_a_shop_that_serves_what_we_know(backend: &Backend) -> Result<()> {
    let connected = Connected::new(backend).await?;
    let (code, found) = findings(backend).await?;
    assert_eq!(code, Some(0), "{found:?}");
    assert!(found.iter().all(|(grade, _)| grade == "ok"), "{found:?}");
    assert!(found.iter().any(|(_, text)| text.contains("serves all that is asked of it")), "{found:?}");
    connected.shop.expire_token();
    let (code, found) = findings(backend).await?;
    assert_eq!(code, Some(1));
    assert!(found.iter().any(|(grade, text)| grade == "fail" && text.contains("refuses the token")), "{found:?}");
    Ok(())
}

async fn doctor_tells_each_difference_of_a_shop_and_what_it_breaks(backend: &Backend) -> Result<()> {
    let mut sdl = SDL.to_owned();
    for (from, to) in [
        ("userIP: String", "userIp: String"),
        ("FRAUD_CHECK_REJECTED", "FRAUDULENT"),
        ("PAYMENT_MISMATCH", "PAYMENT_MISMATCH\n  WAITING_FOR_STOCK"),
    ] {
        assert!(sdl.contains(from), "{from}");
        sdl = sdl.replace(from, to);
    }
    let _connected = Connected::to(backend, Settings { sdl: Some(sdl), ..Settings::default() }).await?;
    let (code, found) = findings(backend).await?;
    assert_eq!(code, Some(1));
    for (grade, what, breaks) in [
        ("fail", "does not have a field `userIP`", "read to be screened"),
        ("fail", "value `FRAUD_CHECK_REJECTED` does not exist on `CancelOrderReason`", "orders are cancelled"),
        ("warn", "`WAITING_FOR_STOCK`", "left to a person"),
    ] {
        let told = found.iter().any(|(of, text)| of == grade && text.contains(what) && text.contains(breaks));
        assert!(told, "{what} is not in {found:#?}");
    }
    Ok(())
}

async fn the_argument_that_a_shop_shows_is_kept_by_connect_and_by_doctor(backend: &Backend) -> Result<()> {
    let settings = Settings { order_argument: Some(OrderArgument::Id), ..Settings::default() };
    let connected = Connected::to(backend, settings).await?;
    let by_id = json!({"resume": "id", "cancel": "id"});
    assert_eq!(connected.status(backend).await?["order_arguments"], by_id);
    let store = database(backend).await?;
    let system = store.system(SystemReason::Operator);
    let by_order = OrderArguments { resume: Some(OrderArgument::Order), cancel: None };
    assert!(system.set_connection_arguments(&connected.id()?, by_order, Clock::system().now()).await?);

    let (code, found) = findings(backend).await?;
    assert_eq!(code, Some(0), "{found:?}");
    let told = |grade: &str, part: &str| found.iter().any(|(of, text)| of == grade && text.contains(part));
    assert!(told("warn", "resume id, cancel id; resume order, cancel not shown was kept"), "{found:#?}");
    assert!(told("ok", "serves all that is asked of it"), "{found:#?}");
    assert_eq!(connected.status(backend).await?["order_arguments"], by_id);
    let (_, found) = findings(backend).await?;
    assert!(found.iter().all(|(grade, _)| grade == "ok"), "{found:#?}");

    // A shop that cannot be asked is connected all the same.
    let token = token_file(&connected.files, "wrong", "another")?;
    let (other, url) = (new_store(backend).await?, connected.shop.api_url());
    let connect = ["centra", "connect", "--store", &other, "--api-url", &url, "--token-file", &token];
    let told = touchstone(backend, &connect).await?.stdout;
    assert!(told.contains("not known yet: the shop refuses the token"), "{told}");
    Ok(())
}

async fn doctor_watches_tokens_sweeps_and_holds(backend: &Backend) -> Result<()> {
    let connected = Connected::new(backend).await?;
    let store = database(backend).await?;
    let system = store.system(SystemReason::Operator);
    let (id, now) = (connected.id()?, Clock::system().now());
    let sealed = connected.row(&system).await?.sealed_token;
    connected.hears_of(&system, WAITING_NOTICE, "#1001", now - DAY * 3).await?;
    system.set_connection_token(&id, &sealed, now - DAY * 26).await?;
    let sweep = system.due_sweep(&id, now).await?.context("a sweep")?;
    system.swept(&id, &sweep, now - DAY, now).await?;
    let (code, found) = findings(backend).await?;
    assert_eq!(code, Some(0), "{found:?}");
    for told in ["26 days old", "1 on hold beyond their review deadline", "was last looked through"] {
        assert!(found.iter().any(|(grade, text)| grade == "warn" && text.contains(told)), "{told} is not in {found:?}");
    }
    let status = connected.status(backend).await?;
    assert!(text(&status["token"], "warning")?.contains("set-token"), "{status}");

    system.set_connection_token(&id, &sealed, now - DAY * 31).await?;
    let (code, found) = findings(backend).await?;
    assert_eq!(code, Some(1), "{found:?}");
    assert!(found.iter().any(|(grade, text)| grade == "fail" && text.contains("31 days old")), "{found:?}");
    system.stop_connection(&id, "the token was refused", now - DAY * 31).await?;
    let (_, found) = findings(backend).await?;
    assert!(
        found.iter().any(|(grade, text)| grade == "fail" && text.contains("is stopped: the token was")),
        "{found:?}"
    );
    Ok(())
}
